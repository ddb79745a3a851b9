"""Requests hourly demand from EIA's API v2, page by page; it repairs nothing.

This module knows EIA's parameters, pages and error bodies. It returns rows as EIA wrote them
(`fetch_rows`), or a frame of numbers (`fetch_demand`).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pandas as pd

from energy_demand.columns import TARGET_COLUMN
from energy_demand.config import EIA_KEY_MISSING, MissingKeyError, Settings, load_settings
from energy_demand.http import Fault, HttpClient, UpstreamClient, UpstreamError, describe
from energy_demand.timeaxis import HOUR, floor_hour, local_midnight, parse_moment, to_utc, utc_index

if TYPE_CHECKING:
    from collections.abc import Sequence

DEMAND = "D"
SERIES = (DEMAND, "DF")  # and the operator's own day-ahead forecast
PAGE_ROWS = 5000
HOURLY_ROUTE = "electricity/rto/region-data/data/"
DAILY_ROUTE = "electricity/rto/daily-region-data/data/"
# EIA's names of the zones of its daily totals, by their offset from UTC in January and July.
DAILY_TIMEZONES = {
    (-5, -4): "Eastern",
    (-6, -5): "Central",
    (-7, -6): "Mountain",
    (-7, -7): "Arizona",
    (-8, -7): "Pacific",
}
PERIOD_FORMAT = "%Y-%m-%dT%H"
KEY_FAULTS = frozenset({"API_KEY_MISSING", "API_KEY_INVALID", "API_KEY_DISABLED", "API_KEY_UNAUTHORIZED"})
THROTTLED = frozenset({403, 429})

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Predecessor:
    """The respondent under which the same grid is on record before `until` (a period)."""

    respondent: str
    until: datetime


# Regions are served from 2019 on, their balancing authorities from 2015-07; these regions have one authority,
# which is the same grid. Seen in the data for NY, and taken to be so for the others.
PREDECESSORS = {
    region: Predecessor(authority, local_midnight(date(2019, 1, 1), ZoneInfo(zone)))
    for region, authority, zone in (
        ("NE", "ISNE", "America/New_York"),
        ("NY", "NYIS", "America/New_York"),
        ("TEN", "TVA", "America/Chicago"),
        ("TEX", "ERCO", "America/Chicago"),
    )
}


class EIADialect:
    """How EIA reports faults: 403 means a bad key or too many calls."""

    name = "EIA"

    def fault(self, status: int, body: Any) -> Fault | None:
        """The fault in a response, or None."""
        error = body.get("error") if isinstance(body, dict) else None
        if isinstance(error, dict):
            code, message = str(error.get("code")), str(error.get("message", ""))
            throttled = status in THROTTLED and code not in KEY_FAULTS
            return Fault(f"{code} {message}".strip(), retry=throttled or status >= 500)
        if error is not None and isinstance(body, dict):
            code = body.get("code", status)
            # A missing route is a 404 body under HTTP 500: another try does not help.
            return Fault(f"{error} (code {code})", retry=_server_side(code))
        if status in THROTTLED:
            return Fault("too many requests", retry=True)
        return None


class EIAClient(UpstreamClient):
    """Hourly demand and day-ahead forecast of a respondent.

    Raises:
        MissingKeyError: (a ValueError) EIA_API_KEY is not set, and no sandbox is used.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        settings = settings or load_settings()
        if settings.eia_api_key is None and settings.sandbox_url is None:
            raise MissingKeyError(EIA_KEY_MISSING)
        self._root = settings.eia_base_url.rstrip("/") + "/"
        self._respondent = settings.eia_region
        self._settings = settings
        # In a header, so that it stands in no address that a proxy or a server writes down.
        key = settings.eia_api_key
        self._http = HttpClient(
            EIADialect(),
            settings,
            interval_seconds=settings.eia_request_interval_seconds,
            headers={} if key is None else {"X-Api-Key": key.get_secret_value()},
        )

    def fetch_demand(self, start: datetime | str, end: datetime | str) -> pd.DataFrame:
        """Demand of the hours from `start` to `end`, both included.

        Args:
            start: first period (UTC, hour ending), as a datetime or like `2024-12-01T00`.
            end: last period, likewise.

        Returns:
            `period` (UTC), `respondent`, `series` (`D`), `demand_mwh`, sorted by period, one row an hour.
            A value that is null or not a number is NaN.

        Raises:
            UpstreamError: EIA did not return what was requested.
            TimeFormatError: `start` or `end` cannot be read.
        """
        rows = self.fetch_rows(_moment(start), _moment(end), series=("D",))
        frame = pd.DataFrame(rows, columns=["period", "respondent", "type", "value"], dtype=object)
        try:
            frame["period"] = utc_index(pd.to_datetime(frame["period"], format=PERIOD_FORMAT, utc=True))
        except ValueError as error:
            raise UpstreamError(
                "EIA", f"{start} to {end}", f"invalid period in the response: {error}"
            ) from None
        frame["respondent"] = self._respondent
        frame[TARGET_COLUMN] = pd.to_numeric(frame.pop("value"), errors="coerce").astype(float)
        frame = frame.rename(columns={"type": "series"})
        return frame.drop_duplicates("period", keep="last").sort_values("period", ignore_index=True)

    def fetch_incremental(self, last_timestamp: datetime | str) -> pd.DataFrame:
        """Demand after `last_timestamp` up to the present; columns as in `fetch_demand`."""
        return self.fetch_demand(_moment(last_timestamp) + HOUR, floor_hour(self._settings.present()))

    def fetch_rows(
        self,
        start: datetime,
        end: datetime,
        series: Sequence[str],
    ) -> list[dict[str, Any]]:
        """The rows as EIA wrote them, periods from `start` to `end` included.

        Each row is a mapping with `period`, `respondent` (as requested), `type` and `value`. Hours before
        the respondent's own record are those of its predecessor.

        Args:
            start: first period.
            end: last period; before `start`, no row is asked for.
            series: EIA types, such as `D` and `DF`.

        Raises:
            UpstreamError: EIA did not return what was requested.
        """
        rows: list[dict[str, Any]] = []
        for respondent, first, last in _spans(self._respondent, to_utc(start), to_utc(end)):
            rows += self._fetch_span(respondent, first, last, series)
        return rows

    def fetch_daily_rows(self, first: date, last: date, series: Sequence[str]) -> list[dict[str, Any]]:
        """Daily totals of the local days `first` to `last`, both included, as EIA wrote them.

        EIA has none of days in a time zone outside of the contiguous United States: then there are no rows.

        Raises:
            UpstreamError: EIA did not return what was requested.
        """
        timezone = daily_timezone(self._settings.region.zone)
        if timezone is None:
            return []
        asking = [
            ("frequency", "daily"),
            ("facets[timezone][]", timezone),
            ("start", first.isoformat()),
            ("end", last.isoformat()),
        ]
        return self._fetch_pages(DAILY_ROUTE, self._respondent, series, asking)

    def _fetch_span(
        self, respondent: str, start: datetime, end: datetime, series: Sequence[str]
    ) -> list[dict[str, Any]]:
        asking = [
            ("frequency", "hourly"),
            ("start", start.strftime(PERIOD_FORMAT)),
            ("end", end.strftime(PERIOD_FORMAT)),
        ]
        return self._fetch_pages(HOURLY_ROUTE, respondent, series, asking)

    def _fetch_pages(
        self, route: str, respondent: str, series: Sequence[str], asking: list[tuple[str, str]]
    ) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        bounds = dict(asking)
        expected = _Expected(respondent, frozenset(series), bounds["start"], bounds["end"])
        total = 1
        while len(rows) < total:
            params = [*asking, *self._common(respondent, series), ("offset", str(len(rows)))]
            page, total = self._page(route, params)
            if not page or not expected.fits(page):
                # Requested once more; the contract quarantines rows that still do not match.
                logger.warning("EIA's page at row %d does not match the request; trying once more", len(rows))
                page, total = self._page(route, params)
            if not page:
                break
            expected.note(page)
            rows += page
        if len(rows) < total:
            logger.warning("EIA announced %d rows for %s but returned %d", total, respondent, len(rows))
        return rows

    def _page(self, route: str, params: list[tuple[str, str]]) -> tuple[list[dict[str, Any]], int]:
        url = self._root + route
        return _page(self._http.get_json(url, params), describe(url, params))

    def _common(self, respondent: str, series: Sequence[str]) -> list[tuple[str, str]]:
        return [
            ("data[0]", "value"),
            ("facets[respondent][]", respondent),
            *(("facets[type][]", name) for name in series),
            ("sort[0][column]", "period"),
            ("sort[0][direction]", "asc"),
            # Pages are stable only when sorted by the whole key.
            ("sort[1][column]", "type"),
            ("sort[1][direction]", "asc"),
            ("length", str(PAGE_ROWS)),
        ]


class _Expected:
    """The rows that a request expects; a page that repeats earlier rows does not fit either."""

    def __init__(self, respondent: str, series: frozenset[str], start: str, end: str) -> None:
        self._respondent, self._series, self._start, self._end = respondent, series, start, end
        self._seen: set[tuple[str, str]] = set()

    def fits(self, page: Sequence[dict[str, Any]]) -> bool:
        return all(
            row.get("respondent") == self._respondent
            and row.get("type") in self._series
            and self._start <= str(row.get("period")) <= self._end
            and _key(row) not in self._seen
            for row in page
        )

    def note(self, page: Sequence[dict[str, Any]]) -> None:
        self._seen.update(map(_key, page))


def _key(row: dict[str, Any]) -> tuple[str, str]:
    return str(row.get("period")), str(row.get("type"))


def _moment(value: datetime | str) -> datetime:
    return parse_moment(value) if isinstance(value, str) else to_utc(value)


def _spans(respondent: str, start: datetime, end: datetime) -> list[tuple[str, datetime, datetime]]:
    before = PREDECESSORS.get(respondent)
    if before is None or start > before.until:
        spans = [(respondent, start, end)]
    else:
        spans = [
            (before.respondent, start, min(end, before.until)),
            (respondent, before.until + HOUR, end),
        ]
    return [span for span in spans if span[1] <= span[2]]


def _page(body: Any, asked: str) -> tuple[list[dict[str, Any]], int]:
    response = body.get("response") if isinstance(body, dict) else None
    rows = response.get("data") if isinstance(response, dict) else None
    if (
        not isinstance(response, dict)
        or not isinstance(rows, list)
        or not all(isinstance(row, dict) for row in rows)
    ):
        raise UpstreamError("EIA", asked, "the response has no response.data")
    for place in (body, response):
        for warning in place.get("warnings") or ():
            # Every page but the last has a warning that the response is incomplete.
            logger.info("EIA warning: %s", warning.get("warning") if isinstance(warning, dict) else warning)
    try:
        return rows, int(response["total"])
    except (KeyError, TypeError, ValueError):
        raise UpstreamError("EIA", asked, "the response has no response.total") from None


def _server_side(code: Any) -> bool:
    try:
        return int(code) >= 500 or int(code) == 429
    except (TypeError, ValueError):
        return False


def daily_timezone(zone: ZoneInfo) -> str | None:
    """EIA's name of a time zone; None where it has no daily totals in it."""
    days = (datetime(2019, month, 15, tzinfo=zone) for month in (1, 7))
    january, july = (day.utcoffset() or timedelta() for day in days)
    return DAILY_TIMEZONES.get((january // HOUR, july // HOUR))


def names_on_record(respondent: str) -> list[str]:
    """The names under which EIA serves this respondent's hours: its own, and its predecessor's."""
    before = PREDECESSORS.get(respondent)
    return [respondent, before.respondent] if before else [respondent]
