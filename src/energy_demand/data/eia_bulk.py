"""Reads hourly demand from EIA's six-month files, which need no key; it repairs nothing.

The files are downloaded from EIA or read from a folder, under the same names. A file has the rows of every
balancing authority, 40 to 60 MB: it is read line by line, and only the requested authority's lines are kept.
Rows have the form of the API's (`EIAClient.fetch_rows`), so that one data contract checks both.
"""

from __future__ import annotations

import csv
import logging
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Self

import httpx
import pandas as pd

from energy_demand.config import Settings, load_settings
from energy_demand.data.eia_client import PERIOD_FORMAT, EIADialect, names_on_record
from energy_demand.http import (
    LIVE,
    STREAM_BYTES,
    BodyError,
    HttpClient,
    UpstreamClient,
    UpstreamError,
    describe,
)
from energy_demand.timeaxis import HOUR, local_day, local_midnight, to_utc, utc_index

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path
    from zoneinfo import ZoneInfo

AUTHORITY_COLUMN = "Balancing Authority"
TIME_COLUMN = "UTC Time at End of Hour"
TIME_FORMAT = "%m/%d/%Y %I:%M:%S %p"
# As reported, which is what the API serves; `(Adjusted)` holds what EIA imputed.
SERIES_COLUMNS = {"D": "Demand (MW)", "DF": "Demand Forecast (MW)"}
WANTED_COLUMNS = (AUTHORITY_COLUMN, TIME_COLUMN, *SERIES_COLUMNS.values())
# EIA's rows have some 500 bytes; a file with a line as long as this is not a text table.
LONGEST_LINE = 1 << 20

logger = logging.getLogger(__name__)


@dataclass(frozen=True, order=True)
class HalfYear:
    """The local days of one file: January to June, or July to December."""

    year: int
    later: bool

    @classmethod
    def of(cls, day: date) -> Self:
        """The half-year that contains `day`."""
        return cls(day.year, day.month > 6)

    @property
    def file_name(self) -> str:
        """As EIA names the file."""
        return f"EIA930_BALANCE_{self.year}_{'Jul_Dec' if self.later else 'Jan_Jun'}.csv"

    def next(self) -> HalfYear:
        """The half-year after this one."""
        return HalfYear(self.year + self.later, not self.later)

    def periods(self, zone: ZoneInfo) -> tuple[datetime, datetime]:
        """Its first and last hour-ending period, UTC."""
        begin = date(self.year, 7 if self.later else 1, 1)
        after = self.next()
        end = date(after.year, 7 if after.later else 1, 1)
        return local_midnight(begin, zone) + HOUR, local_midnight(end, zone)


# Before July 2015 EIA collected no hours and has no file.
FIRST_FILE = HalfYear(2015, later=True)


class BulkClient(UpstreamClient):
    """Hourly demand and day-ahead forecast of a region, from six-month files.

    Each file that a span needs is read once and its hours are kept, so that a year requested in parts
    does not download the file again. The days of a file are days of the region's time zone.

    Args:
        settings: the region, its time zone, the present, and where EIA's files are.
        folder: the folder of the files; None: download them.
        kind: the kind of data in `folder`: `live`, `recorded` or `synthetic`.
    """

    def __init__(
        self, settings: Settings | None = None, folder: Path | None = None, *, kind: str = LIVE
    ) -> None:
        settings = settings or load_settings()
        self._settings = settings
        self._folder = folder
        self._kind = kind
        self._zone = settings.region.zone
        # The files know balancing authorities only: of a region's names the older one.
        self._authority = names_on_record(settings.eia_region)[-1]
        self._files: dict[HalfYear, pd.DataFrame] = {}
        self._http = HttpClient(
            EIADialect(), settings, interval_seconds=settings.eia_request_interval_seconds
        )

    @property
    def data_kind(self) -> str:
        """Live, recorded or synthetic; for downloads known after the first file."""
        return self._http.data_kind if self._folder is None else self._kind

    def fetch_rows(self, start: datetime, end: datetime, series: Sequence[str]) -> list[dict[str, Any]]:
        """The rows of the periods from `start` to `end`, both included.

        Each row is a mapping with `period` (UTC, hour ending, as the API writes it), `respondent` (the
        balancing authority), `type`, and `value` (text without thousands commas, None where the file has
        none). A row whose time cannot be read is returned unchanged, and the contract quarantines it.

        No file is needed for hours before EIA's first file, nor for the current half-year if an earlier
        file was read: EIA may not have published it yet.

        Args:
            start: first period.
            end: last period; before `start`, no file is read.
            series: of `D` and `DF`.

        Raises:
            UpstreamError: a file is missing or damaged; the message names it, its hours and what to do.
        """
        start, end = to_utc(start), to_utc(end)
        rows: list[dict[str, Any]] = []
        for half in self._needed(start, end):
            hours = self._hours(half)
            inside = hours["period"].isna() | hours["period"].between(start, end)
            rows += _rows(hours[inside], self._authority, series)
        return rows

    def _needed(self, start: datetime, end: datetime) -> Iterator[HalfYear]:
        if end < start:
            return
        half = HalfYear.of(local_day(start - HOUR, self._zone))
        last = min(HalfYear.of(local_day(end - HOUR, self._zone)), self._current())
        while half <= last:
            yield half
            half = half.next()

    def _current(self) -> HalfYear:
        return HalfYear.of(local_day(self._settings.present(), self._zone))

    def _hours(self, half: HalfYear) -> pd.DataFrame:
        """The file's hours, read once; empty if the file is missing and not required."""
        if half not in self._files:
            hours = self._load(half)
            logger.info("%s: %d hours of %s", half.file_name, len(hours), self._authority)
            _, last = half.periods(self._zone)
            if half < self._current() and not hours.empty and hours["period"].max() < last:
                logger.warning(
                    "%s ends at %s UTC, before the end of its half-year; later hours are missing",
                    half.file_name,
                    f"{hours['period'].max():%Y-%m-%dT%H}",
                )
            self._files[half] = hours
        return self._files[half]

    def _load(self, half: HalfYear) -> pd.DataFrame:
        first, last = half.periods(self._zone)
        about = f"{half.file_name} (hours {first:%Y-%m-%dT%H} to {last:%Y-%m-%dT%H} UTC)"
        try:
            return self._read(half)
        except _NotThereError:
            earlier_found = any(not hours.empty for hours in self._files.values())
            if half < FIRST_FILE or (half == self._current() and earlier_found):
                logger.warning("%s was not found; its hours are missing", about)
                return _frame([])
            advice = f"download it from {self._settings.eia_bulk_url} into the folder"
            if self._folder is None:
                advice = "check EIA_BULK_URL, or choose other dates"
            reason = f"{about} was not found; {advice}"
            raise UpstreamError("EIA", describe(self._place(half), []), reason) from None
        except UpstreamError as error:
            advice = "try again later, or download the files and use --folder"
            if self._folder is not None:
                advice = f"download it again from {self._settings.eia_bulk_url}"
            raise UpstreamError(
                error.source,
                error.asked,
                f"{about} {error.reason}; {advice}",
                status=error.status,
                retry=error.retry,
                retry_after=error.retry_after,
            ) from None

    def _read(self, half: HalfYear) -> pd.DataFrame:
        if self._folder is None:
            try:
                return self._http.get_stream(self._place(half), self._parse)
            except UpstreamError as error:
                if error.status == httpx.codes.NOT_FOUND:
                    raise _NotThereError from None
                raise
        path = self._folder / half.file_name
        try:
            with path.open("rb") as file:
                return self._parse(iter(lambda: file.read(STREAM_BYTES), b""))
        except FileNotFoundError:
            raise _NotThereError from None
        except OSError as error:
            raise UpstreamError("EIA", str(path), f"cannot be read ({error.strerror})") from None
        except BodyError as error:
            raise UpstreamError("EIA", str(path), str(error)) from None

    def _parse(self, pieces: Iterable[bytes]) -> pd.DataFrame:
        return read_hours(pieces, self._authority)

    def _place(self, half: HalfYear) -> str:
        if self._folder is not None:
            return str(self._folder / half.file_name)
        return self._settings.eia_bulk_url.rstrip("/") + "/" + half.file_name


class _NotThereError(Exception):
    """EIA, or the folder, has no such file."""


@dataclass(frozen=True)
class _Columns:
    """The positions of the wanted cells in a row, and the number of cells in a row."""

    wanted: tuple[int, ...]
    width: int

    @classmethod
    def of(cls, header: bytes) -> Self:
        text = _text(header, 1).removeprefix("\ufeff").strip()
        if not text:
            raise BodyError("is empty", retry=True)
        if text.startswith("<"):
            raise BodyError(f"is a web page, not a table ({text[:60]!r})", retry=True)
        names = [name.strip() for name in _split(text, 1)]
        lacks = [name for name in WANTED_COLUMNS if name not in names]
        if lacks:
            raise BodyError(f"lacks the columns {', '.join(lacks)}", retry=False)
        return cls(tuple(map(names.index, WANTED_COLUMNS)), len(names))

    def cells(self, line: bytes, number: int) -> list[str]:
        """The wanted cells of a line."""
        cells = _split(_text(line, number).strip(), number)
        if len(cells) != self.width:
            reason = f"has {len(cells)} of {self.width} columns in line {number}: it is truncated or damaged"
            raise BodyError(reason, retry=True)
        return [cells[place].strip() for place in self.wanted]


def read_hours(pieces: Iterable[bytes], authority: str) -> pd.DataFrame:
    """The hours of one balancing authority out of a six-month file; memory does not grow with the file.

    Args:
        pieces: the file, cut anywhere.
        authority: as in the column `Balancing Authority`.

    Returns:
        `period` (UTC, hour ending; NaT where the time cannot be read), `written` (the time as in the file),
        and `D`, `DF` as text without thousands commas, None where empty; sorted by period.

    Raises:
        BodyError: the file is not such a table, or it ends in the middle of a row.
    """
    lines = _lines(pieces)
    line, number = next(lines, b""), 1
    columns = _Columns.of(line)
    needle = authority.encode()
    hours: list[list[str]] = []
    for number, line in enumerate(lines, start=2):
        if needle in line:  # the others, nearly all, are not even decoded
            name, *hour = columns.cells(line, number)
            if name == authority:
                hours.append(hour)
    columns.cells(line, number)  # the last line must be complete, whichever authority it belongs to
    frame = _frame(hours)
    if hours and frame["period"].isna().all():
        raise BodyError(f"has no readable time; the first is {hours[0][0]!r}", retry=False)
    return frame


def _lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The lines that are not blank, without their ends."""
    rest = b""
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            if line.strip():
                yield line
        if len(rest) > LONGEST_LINE:
            raise BodyError("is not a text table (a line has no end)", retry=True)
    if rest.strip():
        yield rest


def _text(line: bytes, number: int) -> str:
    try:
        text = line.decode()
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise BodyError(f"is not text in line {number}", retry=True)
    return text


def _split(text: str, number: int) -> list[str]:
    try:
        return next(csv.reader([text]))
    except csv.Error as error:
        raise BodyError(f"is not a table in line {number} ({error})", retry=True) from None


def _frame(hours: list[list[str]]) -> pd.DataFrame:
    frame = pd.DataFrame(hours, columns=["written", *SERIES_COLUMNS], dtype="str")
    times = pd.to_datetime(frame["written"], format=TIME_FORMAT, errors="coerce", utc=True)
    frame["period"] = utc_index(times.where(times.dt.floor("h") == times))
    for name in SERIES_COLUMNS:
        values = frame[name].str.replace(",", "", regex=False)
        frame[name] = values.where(values != "", None)
    return frame.sort_values("period", kind="stable", ignore_index=True)


def _rows(frame: pd.DataFrame, authority: str, series: Sequence[str]) -> list[dict[str, Any]]:
    periods = frame["period"].dt.strftime(PERIOD_FORMAT).fillna(frame["written"]).tolist()
    columns = [frame[name].astype(object).where(frame[name].notna(), None).tolist() for name in series]
    return [
        {"period": period, "respondent": authority, "type": name, "value": value}
        for period, *values in zip(periods, *columns, strict=True)
        for name, value in zip(series, values, strict=True)
    ]
