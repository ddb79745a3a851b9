"""EIA API v2 as the product meets it: hourly and daily series of its respondents, page by page."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from starlette.responses import JSONResponse
from starlette.routing import Route

from energy_demand.sandbox.eia.publication import Publication
from energy_demand.sandbox.eia.query import DAILY, HOURLY, EiaQuery, Form, read_query
from energy_demand.sandbox.errors import Refusal
from energy_demand.sandbox.worlds.noise import stream, uniform
from energy_demand.sandbox.worlds.world import (
    BoolArray,
    FloatArray,
    IntArray,
    day_number,
    hour_number,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from starlette.requests import Request

    from energy_demand.sandbox.strictness import Strictness
    from energy_demand.sandbox.worlds.world import Grid, Series, World

    _Key = tuple[int, int, str]

NOT_FOUND = {"error": "Not found.", "code": 404}  # EIA sends this body under HTTP 500
_TYPE_NAMES = {
    "D": "Demand",
    "DF": "Day-ahead demand forecast",
    "NG": "Net generation",
    "TI": "Total interchange",
}
_SOURCE = "Source: Form EIA-930\n    Product: Hourly Electric Grid Monitor"
_INCOMPLETE = {
    "warning": "incomplete return",
    "description": "The API can only return 5000 rows in JSON format.  Please consider constraining your "
    "request with facet, start, or end, or using offset to paginate results.",
}


@dataclass(frozen=True)
class _Table:
    """One of EIA's two tables: its query form, its contents and its newest step of a grid at a given time."""

    command: str
    form: Form
    date_format: str
    description: str
    series: Callable[[Grid], Series]
    newest: Callable[[Grid, datetime], int]
    steps_in_hours: bool

    def fixed(self, grid: Grid) -> dict[str, str | None]:
        """The fields that all rows of a grid share."""
        if self.steps_in_hours:
            return {}
        return {"timezone": grid.timezone, "timezone-description": grid.timezone}


_TABLES = (
    _Table(
        command="/v2/electricity/rto/region-data/data/",
        form=HOURLY,
        date_format='YYYY-MM-DD"T"HH24',
        description="Hourly demand, day-ahead demand forecast, net generation, and interchange by "
        f"balancing authority.  \n    {_SOURCE}",
        series=lambda grid: grid.hourly,
        newest=lambda _grid, now: hour_number(now),
        steps_in_hours=True,
    ),
    _Table(
        command="/v2/electricity/rto/daily-region-data/data/",
        form=DAILY,
        date_format="YYYY-MM-DD",
        description="Daily demand, day-ahead demand forecast, net generation, and interchange by "
        f"balancing authority.  \n    {_SOURCE}",
        series=lambda grid: grid.daily,
        newest=lambda grid, now: day_number(now.astimezone(grid.zone).date() - timedelta(days=1)),
        steps_in_hours=False,
    ),
)


def routes(
    world: World, clock: Callable[[], datetime], require_key: str | None, strict: Strictness
) -> list[Route]:
    """Both tables, with and without the trailing slash, and the answer to any other path."""

    def check_key(request: Request) -> None:
        key = request.headers.get("x-api-key") or request.query_params.get("api_key")
        if require_key is not None and key != require_key:
            raise key_refusal(missing=not key)

    def handler(table: _Table) -> Callable[[Request], JSONResponse]:
        def data(request: Request) -> JSONResponse:
            check_key(request)
            query = read_query(request.query_params, table.form)
            return JSONResponse(_answer(table, world, clock(), query, strict))

        return data

    def unknown(request: Request) -> JSONResponse:
        check_key(request)
        return JSONResponse(NOT_FOUND, status_code=500)

    known = [
        Route(path, handler(table))
        for table in _TABLES
        for path in (f"/eia{table.command}", f"/eia{table.command}".rstrip("/"))
    ]
    return [*known, Route("/eia/{rest:path}", unknown)]


def key_refusal(*, missing: bool) -> Refusal:
    """EIA's answer to a call without a key, or with a wrong one."""
    code = "API_KEY_MISSING" if missing else "API_KEY_INVALID"
    problem = "No api_key was supplied." if missing else "An invalid api_key was supplied."
    message = f"{problem} Please register for one at https://www.eia.gov/opendata/register.php"
    return Refusal(403, {"error": {"code": code, "message": message}})


def _answer(
    table: _Table, world: World, now: datetime, query: EiaQuery, strict: Strictness
) -> dict[str, Any]:
    publication = Publication(strict.seed) if strict.publication and table.steps_in_hours else None
    grids = _wanted(query, world)
    columns = {
        who: _Column(
            table.series(grid), table.newest(grid, now) if publication is None else publication.newest(now)
        )
        for who, grid in grids.items()
    }
    there = {name for column in columns.values() for name in column.series.names}
    names = [name for name in _TYPE_NAMES if name in there and name in query.facets.get("type", there)]
    steps = _steps(query, list(columns.values())) if names else np.empty(0, np.int64)
    chosen = _present(list(columns.values()), names, steps)
    order = _order(chosen, query, names, len(grids), strict)
    page = chosen[order][query.offset : query.offset + query.length]

    def values(who: str, name: str, hours: IntArray) -> FloatArray:
        final = columns[who].series.values(name, hours)
        return final if publication is None else publication.served(name, final, hours, now)

    top = {"warnings": [_INCOMPLETE]} if query.offset + page.size < chosen.size else {}
    return top | {
        "response": {
            "total": str(chosen.size),
            "dateFormat": table.date_format,
            "frequency": table.form.frequency,
            "data": _rows(table, values, grids, names, steps, page, with_value=query.with_value),
            "description": table.description,
        },
        "request": {"command": table.command, "params": query.echo},
        "apiVersion": "2.1.8",
        "ExcelAddInVersion": "2.1.0",
    }


class _Column(NamedTuple):
    """A grid's series, and the newest step that is published of them."""

    series: Series
    newest: int

    @property
    def last(self) -> int:
        """The last step there is."""
        return self.newest if self.series.last is None else min(self.series.last, self.newest)

    def present(self, name: str, steps: IntArray) -> BoolArray:
        """Which of `steps` have a published value."""
        inside = (steps >= self.series.first) & (steps <= self.last)
        if name not in self.series.names:
            return np.zeros(steps.size, dtype=bool)
        there: BoolArray = inside & self.series.present(name, steps)
        return there


def _wanted(query: EiaQuery, world: World) -> dict[str, Grid]:
    """The grids that the facets select, in the row order within a step."""
    asked, zones = query.facets.get("respondent"), query.facets.get("timezone")
    return {
        who: grid
        for who, grid in world.grids.items()
        if (asked is None or who in asked) and (zones is None or grid.timezone in zones)
    }


def _steps(query: EiaQuery, columns: list[_Column]) -> IntArray:
    """Every step from the first to the last that a row may have."""
    first = min(column.series.first for column in columns)
    last = max(column.last for column in columns)
    first = first if query.first is None else max(query.first, first)
    last = last if query.last is None else min(query.last, last)
    return np.arange(first, last + 1)


def _present(columns: list[_Column], names: list[str], steps: IntArray) -> IntArray:
    """Flat positions (step × respondent × series) of the rows there are."""
    if steps.size == 0:
        return np.empty(0, np.int64)
    known: dict[_Key, BoolArray] = {}  # New York's two respondents are one grid
    for column in columns:
        for name in names:
            key = (id(column.series), column.newest, name)
            if key not in known:
                known[key] = column.present(name, steps)
    rows = [known[id(column.series), column.newest, name] for column in columns for name in names]
    return np.flatnonzero(np.stack(rows, axis=1))


def _order(
    chosen: IntArray, query: EiaQuery, names: list[str], respondents: int, strict: Strictness
) -> IntArray | slice:
    """The order of the rows: as sorted; what that leaves open is natural, or each page has its own."""
    counts = {"period": 2, "respondent": respondents, "type": len(names)}  # of periods any number
    natural = [name for name, count in counts.items() if count > 1]
    asked = [(name, descending) for name, descending in query.sort if name in natural]
    if asked == [(name, True) for name in natural]:
        return slice(None, None, -1)
    is_whole = len(asked) == len(natural) or not strict.unstable_pages
    if is_whole and asked == [(name, False) for name in natural][: len(asked)]:
        return slice(None)
    step, rest = np.divmod(chosen, respondents * len(names))
    columns = {"period": step, "respondent": rest // len(names), "type": rest % len(names)}
    keys = [-columns[name] if descending else columns[name] for name, descending in query.sort]
    if not query.sort or query.sort[0][0] != "period":
        keys.append(step)
    open_order = rest
    if strict.unstable_pages:
        open_order = uniform(stream(strict.seed, "page", query.offset), chosen)
    order: IntArray = np.lexsort((open_order, *reversed(keys)))
    return order


def _rows(
    table: _Table,
    values_of: Callable[[str, str, IntArray], FloatArray],
    grids: dict[str, Grid],
    names: list[str],
    steps: IntArray,
    page: IntArray,
    *,
    with_value: bool,
) -> list[dict[str, str | None]]:
    if page.size == 0:
        return []
    series = [(who, name) for who in grids for name in names]
    step, rest = np.divmod(page, len(series))
    values = np.empty(page.size)
    for line, (who, name) in enumerate(series):
        values[rest == line] = values_of(who, name, steps[step[rest == line]])
    periods = np.datetime_as_string(steps[step].astype(f"datetime64[{table.form.unit}]"))
    heads: list[dict[str, str | None]] = [
        {
            "respondent": who,
            "respondent-name": grids[who].name,
            "type": what,
            "type-name": _TYPE_NAMES[what],
            **table.fixed(grids[who]),
        }
        for who, what in series
    ]
    columns = zip(periods.tolist(), rest.tolist(), values.tolist(), strict=True)
    if not with_value:
        return [{"period": period, **heads[head]} for period, head, _ in columns]
    return [
        {"period": period, **heads[head], "value": _text(value), "value-units": "megawatthours"}
        for period, head, value in columns
    ]


def _text(value: float) -> str | None:
    """A value taken back is null."""
    return None if math.isnan(value) else f"{value:.0f}"
