"""EIA's six-month files, generated from the same world as the API: one CSV of hourly rows a half-year.

The columns are the first sixteen of EIA's and its last; the fuels between them are left out. The files also
have rows of an invented authority, so that a reader has to skip rows. An authority's rows are those of the
half-year's days in its own time zone.
"""

from __future__ import annotations

import csv
import io
import math
import re
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from energy_demand.sandbox.eia.publication import Publication
from energy_demand.sandbox.worlds.noise import share
from energy_demand.sandbox.worlds.world import (
    SECONDS_PER_HOUR,
    FloatArray,
    IntArray,
    day_number,
    hour_number,
    local_midnight,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from zoneinfo import ZoneInfo

    from starlette.requests import Request

    from energy_demand.sandbox.strictness import Strictness
    from energy_demand.sandbox.worlds.world import Grid, Series, World

INVENTED = "NOWH"  # no real authority has this name; a twentieth of the first one
_INVENTED_SHARE = 0.05
_REBUILT = time(14, 40)  # UTC, daily
_MOVED = "/moved.html"  # nothing is there
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


def routes(world: World, clock: Callable[[], datetime], strict: Strictness) -> list[Route]:
    """The routes of the files, and of what is in the place of a missing one."""
    publication = Publication(strict.seed) if strict.publication and strict.six_month_files else None

    def file(request: Request) -> Response:
        name = request.path_params["name"]
        named = _NAME.fullmatch(name)
        tables = list(_tables(world, clock(), int(named[1]), named[2], publication, strict)) if named else []
        if tables:
            return Response(_text(tables), media_type="text/csv")
        return _elsewhere(name, strict.seed) if strict.six_month_files else HTMLResponse(_NOT_FOUND, 404)

    return [Route("/eia/sixMonthFiles/{name:path}", file)]


class _Built(NamedTuple):
    """When the files were built, and their newest hours: of the operator's forecast, and of all else."""

    at: datetime
    newest_forecast: int
    newest_demand: int

    @classmethod
    def now(cls, now: datetime) -> _Built:
        """Files of everything there is."""
        return cls(now, hour_number(now), hour_number(now))


class _Table(NamedTuple):
    """The rows of an authority: its hours, and columns × hours of values."""

    authority: str
    grid: Grid
    hours: IntArray
    values: FloatArray


def _tables(
    world: World, now: datetime, year: int, half: str, publication: Publication | None, strict: Strictness
) -> Iterator[_Table]:
    """What every authority has of the half-year."""
    for authority, grid in world.grids.items():
        if grid.files_region is None:
            continue
        built = _rebuilt(now, grid.zone) if strict.six_month_files else _Built.now(now)
        hours = _hours(grid, built.newest_forecast, year, half)
        if hours.size:
            yield _Table(authority, grid, hours, _columns(grid.hourly, hours, built, publication))


def _rebuilt(now: datetime, zone: ZoneInfo) -> _Built:
    """The last rebuilding: demand to the end of yesterday, the operator's forecast to the end of today."""
    at = now.replace(hour=_REBUILT.hour, minute=_REBUILT.minute, second=0, microsecond=0)
    if at > now:
        at -= timedelta(days=1)
    today = day_number(at.astimezone(zone).date())
    return _Built(at, local_midnight(today + 1, zone), local_midnight(today, zone))


def _elsewhere(name: str, seed: int) -> Response:
    """For a file that is not there the real server sends elsewhere, or a page, by turns."""
    if share(seed, "missing file", name) < 1 / 2:
        return Response(status_code=302, headers={"location": _MOVED})
    return HTMLResponse(_NOT_FOUND)


def _hours(grid: Grid, newest: int, year: int, half: str) -> IntArray:
    """The hours that end within the half-year's local days, as far as they are on record."""
    begin, end = (date(year, 1, 1), date(year, 7, 1)) if half == "Jan_Jun" else _later_half(year)
    first, last = (local_midnight(day_number(day), grid.zone) for day in (begin, end))
    newest = newest if grid.hourly.last is None else min(grid.hourly.last, newest)
    return np.arange(max(first + 1, grid.hourly.first), min(last, newest) + 1)


def _later_half(year: int) -> tuple[date, date]:
    return date(year, 7, 1), date(year + 1, 1, 1)


def _columns(series: Series, hours: IntArray, built: _Built, publication: Publication | None) -> FloatArray:
    """The numbers of each hour in the order of the file's columns."""
    forecast = _column(series, "DF", hours)
    known = hours <= built.newest_demand
    demand, generation, interchange = (
        np.where(known, _column(series, name, hours), np.nan) for name in ("D", "NG", "TI")
    )
    if publication is not None:
        demand = publication.served("D", demand, hours, built.at)
    imputed = np.where(known, _imputed(demand), np.nan)
    adjusted = np.where(np.isnan(imputed), demand, imputed)
    nothing = np.full(hours.size, np.nan)
    return np.stack(
        [
            *(forecast, demand, generation, interchange, interchange),
            *(imputed, nothing, nothing),
            *(adjusted, generation, interchange),
        ]
    )


def _text(tables: Sequence[_Table]) -> str:
    text = io.StringIO()
    text.write(",".join(f'"{name}"' for name in _COLUMNS) + "\n")
    # Numbers with a thousands comma are quoted, all others are not: EIA's way too.
    lines = csv.writer(text, lineterminator="\n")
    invented = tables[0]._replace(authority=INVENTED, values=tables[0].values * _INVENTED_SHARE)
    for table in (invented, *tables):
        rows = np.round(table.values).T.tolist()
        for head, row in zip(_heads(table.hours, table.grid.zone), rows, strict=True):
            lines.writerow([table.authority, *head, *map(_number, row), table.grid.files_region])
    return text.getvalue()


def _heads(hours: IntArray, zone: ZoneInfo) -> Iterator[tuple[str, int, str, str]]:
    """Data date, hour number and both times of each hour; the hour before a midnight is the day's last."""
    for hour in hours.tolist():
        ends = datetime.fromtimestamp(hour * SECONDS_PER_HOUR, tz=UTC)
        begins = datetime.fromtimestamp((hour - 1) * SECONDS_PER_HOUR, tz=zone)
        # Counts through a clock change: 23 or 25 then.
        number = hour - local_midnight(day_number(begins.date()), zone)
        yield f"{begins:%m/%d/%Y}", number, _clock(ends.astimezone(zone)), _clock(ends)


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
