"""EIA's six-month files, generated from the same world as the API: one CSV of hourly rows a half-year.

The columns are the first sixteen of EIA's and its last; the fuels between them are left out. The files also
have rows of an invented authority, so that a reader has to skip rows.
"""

from __future__ import annotations

import csv
import io
import math
import re
from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING

import numpy as np
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from energy_demand.sandbox.worlds.world import NEW_YORK, SECONDS_PER_HOUR, FloatArray, IntArray, hour_number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.requests import Request

    from energy_demand.sandbox.worlds.world import Series, World

AUTHORITY = "NYIS"
INVENTED = "NOWH"  # no real authority has this name; a twentieth of New York
_INVENTED_SHARE = 0.05
_REGION = "NY"
_NAME = re.compile(r"EIA930_BALANCE_([12]\d{3})_(Jan_Jun|Jul_Dec)\.csv")
_COLUMNS = (
    "Balancing Authority",
    "Data Date",
    "Hour Number",
    "Local Time at End of Hour",
    "UTC Time at End of Hour",
    "Demand Forecast (MW)",
    "Demand (MW)",
    "Net Generation (MW)",
    "Total Interchange (MW)",
    "Sum(Valid DIBAs) (MW)",
    "Demand (MW) (Imputed)",
    "Net Generation (MW) (Imputed)",
    "Total Interchange (MW) (Imputed)",
    "Demand (MW) (Adjusted)",
    "Net Generation (MW) (Adjusted)",
    "Total Interchange (MW) (Adjusted)",
    "Region",
)
_NOT_FOUND = (
    "<html>\r\n<head><title>404 - File or directory not found.</title></head>\r\n<body></body></html>\r\n"
)


def routes(world: World, clock: Callable[[], datetime]) -> list[Route]:
    """The routes of the files, and of the page for a missing one."""

    def file(request: Request) -> Response:
        named = _NAME.fullmatch(request.path_params["name"])
        hours = _hours(world.hourly, clock(), int(named[1]), named[2]) if named else np.empty(0, np.int64)
        if hours.size == 0:
            return HTMLResponse(_NOT_FOUND, 404)
        return Response(_text(world.hourly, hours), media_type="text/csv")

    return [Route("/eia/sixMonthFiles/{name:path}", file)]


def _hours(series: Series, now: datetime, year: int, half: str) -> IntArray:
    """The hours that end within the half-year's local days, as far as they are on record by `now`."""
    begin, end = (date(year, 1, 1), date(year, 7, 1)) if half == "Jan_Jun" else _later_half(year)
    newest = hour_number(now) if series.last is None else min(series.last, hour_number(now))
    return np.arange(max(_midnight(begin) + 1, series.first), min(_midnight(end), newest) + 1)


def _later_half(year: int) -> tuple[date, date]:
    return date(year, 7, 1), date(year + 1, 1, 1)


def _midnight(day: date) -> int:
    return hour_number(datetime.combine(day, time(0), tzinfo=NEW_YORK))


def _text(series: Series, hours: IntArray) -> str:
    heads = list(_heads(hours))
    forecast, demand, generation, interchange = (
        _column(series, name, hours) for name in ("DF", "D", "NG", "TI")
    )
    imputed = _imputed(demand)
    adjusted = np.where(np.isnan(imputed), demand, imputed)
    nothing = np.full(hours.size, np.nan)
    columns = np.stack(
        [
            *(forecast, demand, generation, interchange, interchange),
            *(imputed, nothing, nothing),
            *(adjusted, generation, interchange),
        ]
    )
    text = io.StringIO()
    text.write(",".join(f'"{name}"' for name in _COLUMNS) + "\n")
    # Numbers with a thousands comma are quoted, all others are not: EIA's way too.
    lines = csv.writer(text, lineterminator="\n")
    for authority, share in ((INVENTED, _INVENTED_SHARE), (AUTHORITY, 1.0)):
        rows = np.round(columns * share).T.tolist()
        for head, row in zip(heads, rows, strict=True):
            lines.writerow([authority, *head, *map(_number, row), _REGION])
    return text.getvalue()


def _heads(hours: IntArray) -> Iterator[tuple[str, int, str, str]]:
    """Data date, hour number and both times of each hour; the hour before a midnight is the day's last."""
    for hour in hours.tolist():
        ends = datetime.fromtimestamp(hour * SECONDS_PER_HOUR, tz=UTC)
        begins = datetime.fromtimestamp((hour - 1) * SECONDS_PER_HOUR, tz=NEW_YORK)
        number = hour - _midnight(begins.date())  # counts through a clock change: 23 or 25 then
        yield f"{begins:%m/%d/%Y}", number, _clock(ends.astimezone(NEW_YORK)), _clock(ends)


def _clock(moment: datetime) -> str:
    """As in EIA's files: `01/31/2024 6:00:00 AM`."""
    return f"{moment:%m/%d/%Y} {moment.hour % 12 or 12}:00:00 {'AM' if moment.hour < 12 else 'PM'}"


def _column(series: Series, name: str, hours: IntArray) -> FloatArray:
    """The values of a series, NaN where it has none."""
    found = np.full(hours.size, np.nan)
    if name in series.names:
        there = series.present(name, hours)
        found[there] = series.values(name, hours[there])
    return found


def _imputed(demand: FloatArray) -> FloatArray:
    """Imputed values for absent and zero hours, NaN elsewhere; EIA's own method differs."""
    good = demand > 0
    stands_in = np.full(demand.size, np.nan)
    if good.any():
        at = np.arange(demand.size)
        stands_in[~good] = np.interp(at[~good], at[good], demand[good])
    return stands_in


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:,.0f}"
