"""Requests the grid operator's own load forecast, NYISO's `isolf` files; it repairs nothing.

A file is named after the first day that it forecasts and is posted between 07:05 and 07:45 New York time on
the day before. Its stamps are the starts of the hours in New York's wall-clock time, which this module turns
into UTC periods, hour ending. A later posting takes the place of the file. NYISO has the daily files of the
last days; older ones are in an archive for each month. No key is needed, and the public address is http.
"""

from __future__ import annotations

import csv
import io
import logging
import zipfile
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pandas as pd

from energy_demand.columns import SYSTEM
from energy_demand.config import Settings, load_settings
from energy_demand.data.issued_operator import NEW_YORK, posted_after, usually_posted_by
from energy_demand.http import (
    BodyError,
    Fault,
    HttpClient,
    UpstreamClient,
    UpstreamError,
    describe,
)
from energy_demand.timeaxis import HOUR, days_periods, utc_index

if TYPE_CHECKING:
    from collections.abc import Iterable

ZONES = (
    "CAPITL",
    "CENTRL",
    "DUNWOD",
    "GENESE",
    "HUD VL",
    "LONGIL",
    "MHK VL",
    "MILLWD",
    "N.Y.C.",
    "NORTH",
    "WEST",
    SYSTEM,
)
TIME_COLUMN = "TIME STAMP"
STAMP_FORMAT = "%m/%d/%Y %H:%M"
# NYISO keeps the daily files for about ten days; older ones are read from the archives.
DAILY_FILES_FOR = timedelta(days=7)
# A forecast reaches 48 hours; from 09:00 that is into the second day of the newest file, or the third of the
# one before. Later days of a file are not read.
MAX_LEAD_DAYS = 3
# A file has some 12 kB, an archive some 120 kB.
LARGEST_FILE, LARGEST_ARCHIVE = 1 << 20, 16 << 20

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class OperatorFile:
    """What was served of one file.

    Attributes:
        day: its first day, after which it is named.
        issued_at: when it was posted, as far as that is known (UTC).
        lines: `written` (the stamp), `period` (UTC, hour ending; NaT where the stamp is none), `lead_days`
            (1 for the first day), and a column of text for each zone that the file has; empty cells are None.
            None: the file is not there.
        error: why it could not be read, or None.
    """

    day: date
    issued_at: datetime | None = None
    lines: pd.DataFrame | None = None
    error: UpstreamError | None = None

    @property
    def zones(self) -> tuple[str, ...]:
        """The zones that the file has, the system among them."""
        return () if self.lines is None else tuple(zone for zone in ZONES if zone in self.lines)


class OperatorDialect:
    """How NYISO reports faults: by status and page."""

    name = "NYISO"

    def fault(self, status: int, body: Any) -> Fault | None:  # noqa: ARG002
        """The fault in a response, or None."""
        if status == httpx.codes.NOT_FOUND:
            return Fault("no such file", retry=False, absent=True)
        return None


class OperatorClient(UpstreamClient):
    """The operator's forecast files of New York."""

    def __init__(self, settings: Settings | None = None) -> None:
        settings = settings or load_settings()
        self._root = settings.nyiso_forecast_url.rstrip("/") + "/"
        self._http = HttpClient(
            OperatorDialect(), settings, interval_seconds=settings.nyiso_request_interval_seconds
        )

    def fetch_day(self, day: date, now: datetime) -> OperatorFile:
        """The daily file of `day`, as it is there `now`.

        `issued_at` is the time that the server gives, else `now`; never before 07:05 on the day before.

        Raises:
            UpstreamError: NYISO did not return a forecast file; one that is not there is no error.
        """
        url = f"{self._root}{day:%Y%m%d}isolf.csv"
        try:
            lines, modified = self._http.get_dated(
                url, lambda pieces: read_file(_whole(pieces, LARGEST_FILE), day)
            )
        except UpstreamError as error:
            if error.absent:
                return OperatorFile(day)
            raise
        return OperatorFile(day, max(modified or now, posted_after(day)), lines)

    def fetch_month(self, month: date) -> list[OperatorFile]:
        """The files in the archive of a month, in the order of their days; empty without an archive.

        `issued_at` is 07:45 on the day before, the latest time of a usual posting, or the time that stands
        beside the file in the archive where that is later: then it was posted again. A damaged file has
        `error` and takes no other with it.

        Args:
            month: any day of it.

        Raises:
            UpstreamError: NYISO did not return an archive.
        """
        url = f"{self._root}{month:%Y%m}01isolf_csv.zip"
        try:
            members, _ = self._http.get_dated(url, lambda pieces: _members(_whole(pieces, LARGEST_ARCHIVE)))
        except UpstreamError as error:
            if error.absent:
                return []
            raise
        files = []
        for name, (stamped, body) in sorted(members.items()):
            day = _day_of(name)
            if day is None:
                logger.warning("NYISO: %s has an unknown file %r", url, name)
                continue
            try:
                lines = read_file(body, day)
            except BodyError as error:
                failed = UpstreamError("NYISO", describe(url, []), f"{name} {error}")
                files.append(OperatorFile(day, error=failed))
                continue
            files.append(OperatorFile(day, max(usually_posted_by(day), stamped or posted_after(day)), lines))
        return files


def read_file(body: bytes, day: date) -> pd.DataFrame:
    """The lines of a file; see `OperatorFile.lines`. Columns are found by name, in whatever order.

    Args:
        body: the file.
        day: its first day; a file that begins on another day is not it.

    Raises:
        BodyError: it is not such a file, or it ends within a line or a day.
    """
    text = _text(body)
    if not text.strip():
        raise BodyError("is empty", retry=True)
    if text.lstrip().startswith("<"):
        raise BodyError(f"is a web page, not a table ({text.strip()[:60]!r})", retry=True)
    try:
        head, *rows = [row for row in csv.reader(io.StringIO(text)) if row]
    except csv.Error as error:
        raise BodyError(f"is not a table ({error})", retry=True) from None
    names = [name.strip().upper() for name in head]
    lacking = [name for name in (TIME_COLUMN, SYSTEM) if name not in names]
    if lacking:
        raise BodyError(f"lacks the columns {', '.join(lacking)}", retry=False)
    for number, row in enumerate(rows, start=2):
        if len(row) != len(names):
            reason = f"has {len(row)} of {len(names)} columns in line {number}: it is truncated or damaged"
            raise BodyError(reason, retry=True)
    columns = {
        name: [row[place].strip() or None for row in rows]
        for place, name in enumerate(names)
        if name in {TIME_COLUMN, *ZONES}
    }
    written = [stamp or "" for stamp in columns.pop(TIME_COLUMN)]
    stamps = [_stamp(text) for text in written]
    _check_days(stamps, day)
    periods = utc_index(pd.DatetimeIndex(_periods(stamps)))
    leads = [1 if stamp is None else (stamp.date() - day).days + 1 for stamp in stamps]
    frame = pd.DataFrame({"written": written, "period": periods, "lead_days": leads, **columns})
    return frame[frame["lead_days"] <= MAX_LEAD_DAYS].reset_index(drop=True)


def hours_expected(day: date) -> pd.DatetimeIndex:
    """The periods of the days of a file that are read, UTC."""
    return days_periods(day, day + timedelta(days=MAX_LEAD_DAYS - 1), NEW_YORK)


def _stamp(text: str) -> datetime | None:
    """A local time on the hour, naive; None where the text is none."""
    try:
        stamp = datetime.strptime(text, STAMP_FORMAT)  # noqa: DTZ007 - local, and may be ambiguous
    except ValueError:
        return None
    return stamp if stamp.minute == 0 else None


def _check_days(stamps: list[datetime | None], day: date) -> None:
    """That a file begins with the first hour of its day and ends with the last hour of one.

    Raises:
        BodyError: it does not.
    """
    known = [stamp for stamp in stamps if stamp is not None]
    if not known:
        raise BodyError("has no readable time", retry=True)
    if known[0].date() != day:
        raise BodyError(f"begins on {known[0]:%Y-%m-%d}, not on {day}", retry=False)
    if known[-1].hour != 23:
        raise BodyError(f"ends at {known[-1]:%Y-%m-%d %H:%M}, within a day: it is truncated", retry=True)


def _periods(stamps: list[datetime | None]) -> list[datetime | None]:
    """The hour-ending periods (UTC) of hours that start at these local times.

    An hour that the clocks repeat is the earlier one where it stands first, and the later one where it stands
    again. An hour that they skip is none.
    """
    periods: list[datetime | None] = []
    seen: set[datetime] = set()
    for stamp in stamps:
        if stamp is None:
            periods.append(None)
            continue
        earlier, later = (stamp.replace(tzinfo=NEW_YORK, fold=fold) for fold in (0, 1))
        skipped = earlier.astimezone(UTC).astimezone(NEW_YORK).replace(tzinfo=None) != stamp
        start = later if stamp in seen else earlier
        seen.add(stamp)
        periods.append(None if skipped else start.astimezone(UTC) + HOUR)
    return periods


def _whole(pieces: Iterable[bytes], most: int) -> bytes:
    """The body, which may have `most` bytes."""
    body = bytearray()
    for piece in pieces:
        body += piece
        if len(body) > most:
            raise BodyError(f"is larger than {most >> 20} MB", retry=False)
    return bytes(body)


def _text(body: bytes) -> str:
    try:
        text = body.decode().removeprefix("\ufeff")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise BodyError("is not text", retry=True)
    return text


def _members(body: bytes) -> dict[str, tuple[datetime | None, bytes]]:
    """The files of an archive by name, each with its time (UTC), which zip keeps as local wall-clock time."""
    if body.lstrip()[:1] == b"<":
        raise BodyError("is a web page, not an archive", retry=True)
    members: dict[str, tuple[datetime | None, bytes]] = {}
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            for member in archive.infolist():
                if member.file_size > LARGEST_FILE:
                    raise BodyError(
                        f"has a file {member.filename!r} of {member.file_size} bytes", retry=False
                    )
                members[member.filename] = _member_time(member), archive.read(member)
    except (zipfile.BadZipFile, EOFError, OSError, NotImplementedError, RuntimeError, ValueError) as error:
        if isinstance(error, BodyError):
            raise
        raise BodyError(f"is not a whole archive ({error})", retry=True) from None
    return members


def _member_time(member: zipfile.ZipInfo) -> datetime | None:
    try:
        return datetime(*member.date_time, tzinfo=NEW_YORK).astimezone(UTC)
    except ValueError:
        return None


def _day_of(name: str) -> date | None:
    """The first day of the file with this name."""
    stem, found, rest = name.rpartition("/")[2].partition("isolf.csv")
    if not found or rest or len(stem) != 8:
        return None
    try:
        return date.fromisoformat(stem)
    except ValueError:
        return None
