"""Open-Meteo as the product uses it: the archive, the current forecast, and past runs as issued.

Values not yet known at the present are null (archive, forecast) or an error (a run that is not published
yet): no response may have more than the real service would have had by then.
"""

from __future__ import annotations

from datetime import timedelta
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from energy_demand.sandbox.open_meteo.archive import known, preliminary
from energy_demand.sandbox.open_meteo.limits import WEIGHT, weight
from energy_demand.sandbox.open_meteo.query import (
    INVALID_KEY,
    MAX_FORECAST_DAYS,
    MAX_PAST_DAYS,
    MeteoQuery,
    read_count,
    read_day_range,
    read_query,
    read_run,
    refuse,
)
from energy_demand.sandbox.open_meteo.runs import (
    HALF_HOURS,
    PUBLICATION_DELAY,
    RUN_INTERVAL,
    Missing,
    Runs,
    not_available,
    run_unavailable,
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
    from datetime import datetime

    from starlette.datastructures import QueryParams
    from starlette.requests import Request

    from energy_demand.sandbox.strictness import Strictness
    from energy_demand.sandbox.worlds.world import World

    Endpoint = Callable[[Request], Response]

_DEFAULT_FORECAST_DAYS = 7
_GRID_CELLS_PER_DEGREE = 16  # the answer's coordinates are the grid cell's, not the caller's
_DEFAULT_ELEVATION_M = 100.0
_ARCHIVE_PARAMS = frozenset({"start_date", "end_date"})
_FORECAST_PARAMS = frozenset({"past_days", "forecast_days"})
_RUN_PARAMS = frozenset({"run", "forecast_days"})
_NULL_AT_FIRST = {"precipitation", "rain", "snowfall", "wind_gusts_10m", "shortwave_radiation"}
_NO_UNIT = "undefined"
STREAMED = "application/json; charset=utf-8"  # also where the text in it is none


def routes(
    world: World, clock: Callable[[], datetime], archive_delay_days: int, strict: Strictness
) -> list[Route]:
    """The three services below their own base paths, free and (with a key) below `customer-…`."""
    services = _Services(world, clock, archive_delay_days, strict)
    endpoints: dict[str, Endpoint] = {
        "archive/v1/archive": services.archive,
        "forecast/v1/forecast": services.forecast,
        "single-runs/v1/forecast": services.single_run,
    }
    names = [path.partition("/")[0] for path in endpoints]
    return [
        *(Route(f"/{path}", endpoint) for path, endpoint in endpoints.items()),
        *(Route(f"/customer-{path}", _with_key(endpoint)) for path, endpoint in endpoints.items()),
        *(Route(f"/{paid}{name}/{{rest:path}}", _unknown) for paid in ("", "customer-") for name in names),
    ]


class _Services:
    """What answers a request, at the time of the clock."""

    def __init__(
        self, world: World, clock: Callable[[], datetime], archive_delay_days: int, strict: Strictness
    ) -> None:
        self._weather = world.weather
        self._clock = clock
        self._delay_days = archive_delay_days
        self._strict = strict
        self._runs = Runs(strict)

    def archive(self, request: Request) -> Response:
        """Observations of whole days."""
        began = perf_counter()
        now, params = self._clock(), request.query_params
        query = read_query(params, now, _ARCHIVE_PARAMS)
        first, days = read_day_range(params, query.zone.today(now))
        _weigh(request, query, days)
        hours = query.zone.hours_of_days(first, days)
        partial = self._strict.partial_archive
        there = known(query.variables, hours, now, self._delay_days, rain_first=partial)
        sites = []
        for place in query.places:
            values = np.where(there, self._weather.observed(place, query.variables, hours), np.nan)
            if partial:
                values = preliminary(values, self._strict.seed, place, query.variables, hours, now)
            defined = [self._weather.variables_observed(place)] * len(query.models)
            sites.append(_Site(place, _for_each_model(query, values), defined))
        return _respond(query, hours, sites, began)

    def forecast(self, request: Request) -> Response:
        """Observations up to now, then the newest forecast issued by now."""
        began = perf_counter()
        now, params = self._clock(), request.query_params
        query = read_query(params, now, _FORECAST_PARAMS)
        past = read_count(params, "past_days", 0, 0, MAX_PAST_DAYS)
        days = past + _forecast_days(params)
        _weigh(request, query, days)
        hours = query.zone.hours_of_days(query.zone.today(now) - timedelta(days=past), days)
        sites = []
        for place in query.places:
            values = [
                self._observed_then_forecast(now, place, query.variables, hours, model)
                for model in query.models
            ]
            observed = self._weather.variables_observed(place)
            defined = [observed | self._weather.variables_forecast(place, model) for model in query.models]
            sites.append(_Site(place, np.concatenate(values), defined))
        return _respond(query, hours, sites, began)

    def single_run(self, request: Request) -> Response:
        """The forecast as one model run issued it; of a missing run, one of the three ways to say so."""
        began = perf_counter()
        now, params = self._clock(), request.query_params
        query = read_query(params, now, _RUN_PARAMS)
        run, days = read_run(params), _forecast_days(params)
        issues = self._issues_of_run(query.models, run, now)
        missing = [(shape, model) for model in query.models if (shape := self._runs.missing(model, run))]
        for shape, model in missing:
            if shape is Missing.REFUSED:
                raise refuse(not_available(model, _run_text(run)))
        _weigh(request, query, days)
        hours = np.arange(hour_number(run), hour_number(run) + 24 * days)
        sites = [self._site_of_run(place, issues, query, run, hours, now) for place in query.places]
        answer = _respond(query, hours, sites, began)
        if not missing:
            return answer
        shape, model = missing[0]
        whole = bytes(answer.body)
        begun = whole[: len(whole) // 2] if shape is Missing.MIDWAY else b""
        return Response(begun + run_unavailable(model, _run_text(run)).encode(), media_type=STREAMED)

    def _observed_then_forecast(
        self, now: datetime, place: Place, variables: list[str], hours: IntArray, model: str
    ) -> FloatArray:
        past = hours <= hour_number(now)
        issue = self._weather.newest_issue(after=-np.inf, by=now.timestamp(), model=model)
        values = np.full((len(variables), hours.size), np.nan)
        values[:, past] = self._weather.observed(place, variables, hours[past])
        if issue is not None:
            values[:, ~past] = self._weather.forecast(issue, place, variables, hours[~past], model)
        return values

    def _issues_of_run(self, models: list[str], run: datetime, now: datetime) -> list[int]:
        """The forecast served as the run of each model: the newest one issued by the run's publication.

        A forecast no newer than the run before belongs to that run: then this run is not available.
        """
        issues = []
        for model in models:
            issue = self._weather.newest_issue(
                after=(run - RUN_INTERVAL).timestamp(),
                by=(run + PUBLICATION_DELAY).timestamp(),
                model=model,
            )
            there = self._weather.has_run(model, hour_number(run)) and self._runs.served(model, run, now)
            if issue is None or not there:
                raise refuse(not_available(model, _run_text(run)))
            issues.append(issue)
        return issues

    def _site_of_run(
        self,
        place: Place,
        issues: list[int],
        query: MeteoQuery,
        run: datetime,
        hours: IntArray,
        now: datetime,
    ) -> _Site:
        """The values model by model; some of them not yet, some of them never."""
        by_model = []
        for model, issue in zip(query.models, issues, strict=True):
            values = self._weather.forecast(issue, place, query.variables, hours, model)
            if self._strict.first_hours:
                values[[name in _NULL_AT_FIRST for name in query.variables], 0] = np.nan
            if self._runs.is_half(model, run, now):
                values[:, HALF_HOURS:] = np.nan
            by_model.append(values)
        defined = [self._weather.variables_forecast(place, model) for model in query.models]
        return _Site(place, np.concatenate(by_model), defined)


class _Site(NamedTuple):
    """One site's answer: (models × variables, hours), and which variables each model has at all."""

    place: Place
    values: FloatArray
    defined: list[frozenset[str]]


def _with_key(endpoint: Endpoint) -> Endpoint:
    """The service for customers: any key in the header or the query will do."""

    def guarded(request: Request) -> Response:
        if not (request.headers.get("x-api-key") or request.query_params.get("apikey")):
            raise refuse(INVALID_KEY)
        return endpoint(request)

    return guarded


def _weigh(request: Request, query: MeteoQuery, days: int) -> None:
    """Leave the call's weight for the limits."""
    cost = weight(len(query.places), len(query.variables), days, len(query.models))
    request.scope.setdefault("state", {})[WEIGHT] = cost


def _for_each_model(query: MeteoQuery, values: FloatArray) -> FloatArray:
    """The same values for every model: what was observed is one."""
    return np.tile(values, (len(query.models), 1))


def _unknown(_request: Request) -> JSONResponse:
    return JSONResponse({"error": True, "reason": "Not Found"}, status_code=404)


def _forecast_days(params: QueryParams) -> int:
    return read_count(params, "forecast_days", _DEFAULT_FORECAST_DAYS, 1, MAX_FORECAST_DAYS)


def _run_text(run: datetime) -> str:
    return f"{run:%Y-%m-%dT%H:%M}"


def _respond(query: MeteoQuery, hours: IntArray, sites: list[_Site], began: float) -> JSONResponse:
    times = query.zone.local_times(hours)
    spent_ms = (perf_counter() - began) * 1000 / len(sites)
    answers = [_site(query, site, times, spent_ms) for site in sites]
    return JSONResponse(answers if len(answers) > 1 else answers[0])


def _site(query: MeteoQuery, site: _Site, times: list[str], spent_ms: float) -> dict[str, Any]:
    place = site.place
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
    columns = query.columns()
    units = [
        VARIABLE_UNITS[name] if name in defined else _NO_UNIT
        for defined in site.defined
        for name in query.variables
    ]
    return head | {
        "hourly_units": {"time": "iso8601", **dict(zip(columns, units, strict=True))},
        "hourly": {"time": times, **dict(zip(columns, map(_with_nulls, site.values), strict=True))},
    }


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
