"""Open-Meteo as the product uses it: the archive, the current forecast, and past runs as issued.

Values not yet known at the present are null (archive, forecast) or an error (a run that is not published
yet): no response may have more than the real service would have had by then.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from starlette.responses import JSONResponse
from starlette.routing import Route

from energy_demand.sandbox.open_meteo.query import (
    MAX_FORECAST_DAYS,
    MAX_PAST_DAYS,
    MeteoQuery,
    read_count,
    read_day_range,
    read_query,
    refuse,
)
from energy_demand.sandbox.worlds.world import (
    ELEVATION_M,
    VARIABLE_UNITS,
    FloatArray,
    IntArray,
    Place,
    hour_number,
    nearest_site,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.datastructures import QueryParams
    from starlette.requests import Request

    from energy_demand.sandbox.worlds.world import World

RUN_INTERVAL = timedelta(hours=6)
PUBLICATION_DELAY = timedelta(hours=6)  # from a model run's initialisation to its last file
_DEFAULT_FORECAST_DAYS = 7
_GRID_CELLS_PER_DEGREE = 16  # the answer's coordinates are the grid cell's, not the caller's
_DEFAULT_ELEVATION_M = 100.0
_RUN = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d")
_ARCHIVE_PARAMS = frozenset({"start_date", "end_date"})
_FORECAST_PARAMS = frozenset({"past_days", "forecast_days"})
_RUN_PARAMS = frozenset({"run", "forecast_days"})


def routes(world: World, clock: Callable[[], datetime], archive_delay_days: int) -> list[Route]:
    """The three services below their own base paths."""

    def archive(request: Request) -> JSONResponse:
        began = perf_counter()
        now, params = clock(), request.query_params
        query = read_query(params, now, _ARCHIVE_PARAMS)
        hours = query.zone.hours_of_days(*read_day_range(params, query.zone.today(now)))
        known = hours <= hour_number(now - timedelta(days=archive_delay_days))
        values = [
            np.where(known, world.weather.observed(p, query.variables, hours), np.nan) for p in query.places
        ]
        return _respond(query, hours, values, began)

    def forecast(request: Request) -> JSONResponse:
        began = perf_counter()
        now, params = clock(), request.query_params
        query = read_query(params, now, _FORECAST_PARAMS)
        past = read_count(params, "past_days", 0, 0, MAX_PAST_DAYS)
        ahead = _forecast_days(params)
        hours = query.zone.hours_of_days(query.zone.today(now) - timedelta(days=past), past + ahead)
        values = [
            _observed_then_forecast(world, now, place, query.variables, hours) for place in query.places
        ]
        return _respond(query, hours, values, began)

    def single_run(request: Request) -> JSONResponse:
        began = perf_counter()
        now, params = clock(), request.query_params
        query = read_query(params, now, _RUN_PARAMS)
        run = _run(params)
        issue = _issue_of_run(world, run, now)
        start = hour_number(run)
        hours = np.arange(start, start + 24 * _forecast_days(params))
        values = [world.weather.forecast(issue, place, query.variables, hours) for place in query.places]
        return _respond(query, hours, values, began)

    def unknown(_request: Request) -> JSONResponse:
        return JSONResponse({"error": True, "reason": "Not Found"}, status_code=404)

    return [
        Route("/archive/v1/archive", archive),
        Route("/forecast/v1/forecast", forecast),
        Route("/single-runs/v1/forecast", single_run),
        *(Route(f"/{service}/{{rest:path}}", unknown) for service in ("archive", "forecast", "single-runs")),
    ]


def _forecast_days(params: QueryParams) -> int:
    return read_count(params, "forecast_days", _DEFAULT_FORECAST_DAYS, 1, MAX_FORECAST_DAYS)


def _observed_then_forecast(
    world: World, now: datetime, place: Place, variables: list[str], hours: IntArray
) -> FloatArray:
    """Observations up to now, then the newest forecast issued by now."""
    past = hours <= hour_number(now)
    issue = world.weather.newest_issue(after=-np.inf, by=now.timestamp())
    values = np.full((len(variables), hours.size), np.nan)
    values[:, past] = world.weather.observed(place, variables, hours[past])
    if issue is not None:
        values[:, ~past] = world.weather.forecast(issue, place, variables, hours[~past])
    return values


def _run(params: QueryParams) -> datetime:
    text = params.get("run")
    if text is None:
        raise refuse("Parameter 'run' is required")
    try:
        run = datetime.fromisoformat(text if _RUN.fullmatch(text) else "").replace(tzinfo=UTC)
    except ValueError:
        raise refuse(f"Invalid run '{text}'. Make sure to use 'YYYY-MM-DDTHH:MM'") from None
    if run.minute or run.hour % 6:
        raise refuse(f"Invalid run '{text}'. Models run at 00, 06, 12 and 18 UTC")
    return run


def _issue_of_run(world: World, run: datetime, now: datetime) -> int:
    """The forecast served as a model run: the newest one issued by the run's publication.

    A forecast no newer than the run before belongs to that run: then this run is not available.
    """
    published = run + PUBLICATION_DELAY
    issue = None
    if published <= now:
        after = (run - RUN_INTERVAL).timestamp()
        issue = world.weather.newest_issue(after=after, by=published.timestamp())
    if issue is None:
        raise refuse(f"The requested model run {run:%Y-%m-%dT%H:%M} is not available")
    return issue


def _respond(query: MeteoQuery, hours: IntArray, values: list[FloatArray], began: float) -> JSONResponse:
    times = query.zone.local_times(hours)
    spent_ms = (perf_counter() - began) * 1000 / len(query.places)
    answers = [
        _site(query, place, times, lines, spent_ms) for place, lines in zip(query.places, values, strict=True)
    ]
    return JSONResponse(answers if len(answers) > 1 else answers[0])


def _site(
    query: MeteoQuery, place: Place, times: list[str], lines: FloatArray, spent_ms: float
) -> dict[str, Any]:
    head = {
        "latitude": round(place.latitude * _GRID_CELLS_PER_DEGREE) / _GRID_CELLS_PER_DEGREE,
        "longitude": round(place.longitude * _GRID_CELLS_PER_DEGREE) / _GRID_CELLS_PER_DEGREE,
        "generationtime_ms": spent_ms,
        "utc_offset_seconds": query.zone.offset_seconds,
        "timezone": query.zone.name,
        "timezone_abbreviation": query.zone.abbreviation,
        "elevation": ELEVATION_M.get(nearest_site(place) or "", _DEFAULT_ELEVATION_M),
    }
    if not query.variables:
        return head
    units = {"time": "iso8601"} | {name: VARIABLE_UNITS[name] for name in query.variables}
    columns = {name: _with_nulls(line) for name, line in zip(query.variables, lines, strict=True)}
    return head | {"hourly_units": units, "hourly": {"time": times, **columns}}


def _with_nulls(line: FloatArray) -> list[float | None]:
    """A JSON column: NaN is not JSON."""
    missing = np.isnan(line)
    if not missing.any():
        plain: list[float | None] = line.tolist()
        return plain
    boxed = line.astype(object)
    boxed[missing] = None
    nulled: list[float | None] = boxed.tolist()
    return nulled
