"""EIA API v2 as the product meets it: hourly and daily series of the New York grid, page by page."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
from starlette.responses import JSONResponse
from starlette.routing import Route

from energy_demand.sandbox.eia.publication import Publication
from energy_demand.sandbox.eia.query import DAILY, HOURLY, EiaQuery, Form, read_query
from energy_demand.sandbox.errors import Refusal
from energy_demand.sandbox.worlds.noise import stream, uniform
from energy_demand.sandbox.worlds.world import (
    NEW_YORK,
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
    from energy_demand.sandbox.worlds.world import Series, World

NOT_FOUND = {"error": "Not found.", "code": 404}  # EIA sends this body under HTTP 500
RESPONDENTS = {"NY": "New York", "NYIS": "New York Independent System Operator"}
_TYPE_NAMES = {
    "D": "Demand",
    "DF": "Day-ahead demand forecast",
    "NG": "Net generation",
    "TI": "Total interchange",
}
_TIMEZONE = "Eastern"
_SOURCE = "Source: Form EIA-930\n    Product: Hourly Electric Grid Monitor"
_INCOMPLETE = {
    "warning": "incomplete return",
    "description": "The API can only return 5000 rows in JSON format.  Please consider constraining your "
    "request with facet, start, or end, or using offset to paginate results.",
}


@dataclass(frozen=True)
class _Table:
    """One of EIA's two tables: its query form, its contents and its newest step at a given time."""

    command: str
    form: Form
    date_format: str
    description: str
    fixed: dict[str, str]
    series: Callable[[World], Series]
    newest: Callable[[datetime], int]
    steps_in_hours: bool


_TABLES = (
    _Table(
        command="/v2/electricity/rto/region-data/data/",
        form=HOURLY,
        date_format='YYYY-MM-DD"T"HH24',
        description="Hourly demand, day-ahead demand forecast, net generation, and interchange by "
        f"balancing authority.  \n    {_SOURCE}",
        fixed={},
        series=lambda world: world.hourly,
        newest=hour_number,
        steps_in_hours=True,
    ),
    _Table(
        command="/v2/electricity/rto/daily-region-data/data/",
        form=DAILY,
        date_format="YYYY-MM-DD",
        description="Daily demand, day-ahead demand forecast, net generation, and interchange by "
        f"balancing authority.  \n    {_SOURCE}",
        fixed={"timezone": _TIMEZONE, "timezone-description": _TIMEZONE},
        series=lambda world: world.daily,
        newest=lambda now: day_number(now.astimezone(NEW_YORK).date() - timedelta(days=1)),
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
    series = table.series(world)
    publication = Publication(strict.seed) if strict.publication and table.steps_in_hours else None
    newest = table.newest(now) if publication is None else publication.newest(now)
    newest = newest if series.last is None else min(series.last, newest)
    first = series.first if query.first is None else max(query.first, series.first)
    last = newest if query.last is None else min(query.last, newest)
    respondents, names = _wanted(query, series)
    steps = np.arange(first, last + 1) if names and respondents else np.empty(0, np.int64)
    chosen = _present(series, names, steps, len(respondents))
    order = _order(chosen, query, names, len(respondents), strict)
    page = chosen[order][query.offset : query.offset + query.length]

    def values(name: str, hours: IntArray) -> FloatArray:
        final = series.values(name, hours)
        return final if publication is None else publication.served(name, final, hours, now)

    top = {"warnings": [_INCOMPLETE]} if query.offset + page.size < chosen.size else {}
    return top | {
        "response": {
            "total": str(chosen.size),
            "dateFormat": table.date_format,
            "frequency": table.form.frequency,
            "data": _rows(table, values, respondents, names, steps, page, with_value=query.with_value),
            "description": table.description,
        },
        "request": {"command": table.command, "params": query.echo},
        "apiVersion": "2.1.8",
        "ExcelAddInVersion": "2.1.0",
    }


def _wanted(query: EiaQuery, series: Series) -> tuple[list[str], list[str]]:
    """The respondents and series that the facets select, in the row order within a step."""
    if _TIMEZONE not in query.facets.get("timezone", [_TIMEZONE]):
        return [], []
    respondents = [name for name in RESPONDENTS if name in query.facets.get("respondent", RESPONDENTS)]
    return respondents, [name for name in series.names if name in query.facets.get("type", series.names)]


def _present(series: Series, names: list[str], steps: IntArray, respondents: int) -> IntArray:
    """Flat positions (step × respondent × series) of the rows there are."""
    if steps.size == 0:
        return np.empty(0, np.int64)
    there: BoolArray = np.stack([series.present(name, steps) for name in names], axis=1)
    return np.flatnonzero(np.tile(there, (1, respondents)))


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
    values_of: Callable[[str, IntArray], FloatArray],
    respondents: list[str],
    names: list[str],
    steps: IntArray,
    page: IntArray,
    *,
    with_value: bool,
) -> list[dict[str, str | None]]:
    if page.size == 0:
        return []
    step, rest = np.divmod(page, len(respondents) * len(names))
    name = rest % len(names)
    values = np.empty(page.size)
    for line, series_name in enumerate(names):
        values[name == line] = values_of(series_name, steps[step[name == line]])
    periods = np.datetime_as_string(steps[step].astype(f"datetime64[{table.form.unit}]"))
    heads: list[dict[str, str | None]] = [
        {
            "respondent": who,
            "respondent-name": RESPONDENTS[who],
            "type": what,
            "type-name": _TYPE_NAMES[what],
            **table.fixed,
        }
        for who in respondents
        for what in names
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
