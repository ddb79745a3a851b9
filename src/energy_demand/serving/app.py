"""The HTTP service: one factory that takes `Settings`, thin routes, typed answers.

An answer is a schema or a `Problem` of one line; nothing inside is ever shown.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import date
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

import orjson
from fastapi import FastAPI, Query, Request, Response
from fastapi_offline import FastAPIOffline
from pydantic import BeforeValidator
from starlette.middleware.cors import CORSMiddleware

from energy_demand import __version__
from energy_demand.model.base.booster import BOOSTER_COLUMNS
from energy_demand.model.scenarios.changes import POSSIBLE, read_scenario
from energy_demand.serving.exports import EXPORT_SECONDS
from energy_demand.serving.forecast_schemas import ForecastAnswer
from energy_demand.serving.http.answers import BadFieldError, read_body, request_id_of
from energy_demand.serving.http.direct_route import DirectRoute
from energy_demand.serving.http.export_routes import EXPORT_PATHS, add_exports
from energy_demand.serving.http.failures import add_failures
from energy_demand.serving.http.idempotency import Replayed
from energy_demand.serving.http.middleware import Guarded, Headed, Limited, Observed
from energy_demand.serving.http.openapi import body_of, described, responses
from energy_demand.serving.http.parameters import REGION, REGION_TEXT, Region, parse_day_or_tomorrow
from energy_demand.serving.http.peak_routes import add_peaks
from energy_demand.serving.scenario_schemas import TEXT_EXAMPLES, ScenarioQuestion
from energy_demand.serving.schemas import (
    Batch,
    FeatureRow,
    Health,
    ModelAnswer,
    Prediction,
    Predictions,
    Ready,
    ReloadAnswer,
)
from energy_demand.serving.service import Service
from energy_demand.timeaxis import MAX_LEAD_HOURS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from energy_demand.config import Settings

JSON = "application/json"
NO_MODEL = "none"
NOT_LOADED = "the newest champion is not loaded; GET /model and the log have the reason"
FORECAST_PARAMETERS = ("hours", "day", "explain", "quantiles", "region")
SCENARIO = "scenario"
Hours = Annotated[
    int | None, Query(ge=1, le=MAX_LEAD_HOURS, description="Forecast the next hours; default 24.")
]
Day = Annotated[
    Literal["tomorrow"] | date | None,
    BeforeValidator(parse_day_or_tomorrow),
    Query(
        description="Forecast all 23, 24 or 25 hours of a local day: `tomorrow` or a date; "
        "not together with hours."
    ),
]
Explain = Annotated[bool, Query(description="Include the contribution of each part.")]
Quantiles = Annotated[
    bool,
    Query(description="Include 23 quantiles of each hour, of the energy and of the peak of all hours."),
]


def create_app(settings: Settings) -> FastAPI:
    """The service as an ASGI application; its threads run from its start-up to its shutdown."""
    service = Service(settings)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await asyncio.to_thread(service.start)
        try:
            yield
        finally:
            await asyncio.to_thread(service.stop)

    app = FastAPIOffline(
        redoc_url=None,
        title="energy-demand",
        version=__version__,
        description="Forecasts of hourly electricity demand with calibrated intervals, in MWh. "
        "Times are UTC; an hour is identified by its end.",
        lifespan=lifespan,
    )
    _add_predictions(app, service)
    _add_routes(app, service)
    add_exports(app, service, REGION_TEXT)
    add_peaks(app, service)
    add_failures(app)
    # The last one added is the outermost.
    app.add_middleware(Replayed)
    app.add_middleware(
        Limited,
        most_in_flight=settings.api_max_in_flight,
        seconds=settings.api_timeout_seconds,
        longer=dict.fromkeys(EXPORT_PATHS, EXPORT_SECONDS),
    )
    app.add_middleware(Guarded, key=None if settings.api_key is None else settings.api_key.get_secret_value())
    if settings.api_cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.api_cors_origins),
            allow_methods=["GET", "POST"],
            allow_headers=["Content-Type", "X-API-Key", "X-Request-ID"],
            expose_headers=["X-Request-ID", "Retry-After", "Link"],
        )
    app.add_middleware(Headed)
    app.add_middleware(Observed, requests=service.requests)
    app.openapi = described(app, settings.regions)  # type: ignore[method-assign]
    return app


def _add_routes(app: FastAPI, service: Service) -> None:
    @app.get(
        "/forecast",
        response_model=ForecastAnswer,
        tags=["forecasts"],
        responses=responses(409, 422, 429, 503, 504),
    )
    async def forecast(
        request: Request,
        hours: Hours = None,
        day: Day = None,
        explain: Explain = False,  # noqa: FBT002
        quantiles: Quantiles = False,  # noqa: FBT002
        scenario: Annotated[
            str | None,
            Query(
                description="Add the same hours under other weather or on another kind of day: changes, "
                f"separated by commas; {POSSIBLE}. A scenario is never logged.",
                openapi_examples=TEXT_EXAMPLES,
            ),
        ] = None,
        region: Region = None,
    ) -> Response:
        """Forecast the next hours or a whole day from what is known now; `quality` names the method."""
        _check_parameters(request, (*FORECAST_PARAMETERS, SCENARIO), hours, day)
        if scenario is not None:
            read = partial(read_scenario, scenario)
            beside = await service.scenario(read, hours=hours, day=day, region=region)
            return _json(beside.to_json(explain=explain, quantiles=quantiles))
        answer = await service.forecast(request_id_of(request.scope), hours=hours, day=day, region=region)
        # Written once, from the forecast itself; a test holds it to `ForecastAnswer`.
        return _json(answer.to_json(explain=explain, quantiles=quantiles))

    @app.post(
        "/forecast",
        response_model=ForecastAnswer,
        tags=["forecasts"],
        responses=responses(409, 413, 422, 429, 503, 504),
        openapi_extra=body_of(ScenarioQuestion),
    )
    async def forecast_scenario(
        request: Request,
        hours: Hours = None,
        day: Day = None,
        explain: Explain = False,  # noqa: FBT002
        quantiles: Quantiles = False,  # noqa: FBT002
        region: Region = None,
    ) -> Response:
        """Forecast with weather of your own by hour and site, beside the forecast as it is; never logged."""
        _check_parameters(request, FORECAST_PARAMETERS, hours, day)
        question = read_body(ScenarioQuestion, await _json_body(request))
        beside = await service.scenario(question.scenario_of, hours=hours, day=day, region=region)
        return _json(beside.to_json(explain=explain, quantiles=quantiles))

    @app.get("/model", tags=["model"], responses=responses(422, 429, 503, 504))
    async def model(region: Region = None) -> ModelAnswer:
        """The model that serves a region in the answering process."""
        of = service.of(region)
        served = of.model()
        champion = served.champion
        return ModelAnswer(
            name=of.model_name,
            version=served.version,
            run_id=champion.run_id,
            previous_version=None if served.previous is None else served.previous.version,
            trained_through=champion.forecaster.trained_through,
            respondent=champion.forecaster.respondent,
            features=list(BOOSTER_COLUMNS),
            metrics=dict(champion.metrics),
            loaded_at=served.loaded_at,
            problem=of.models.problem,
        )

    @app.post("/reload-model", tags=["model"], responses=responses(409, 422, 429, 502, 503, 504))
    async def reload_model(region: Region = None) -> ReloadAnswer:
        """Load a region's current champion now; the old model serves until the new one is verified."""
        served, replaced = await service.reload(region)
        status: Literal["reloaded", "unchanged"] = "unchanged" if replaced is None else "reloaded"
        return ReloadAnswer(status=status, version=served.version, replaced=replaced)

    @app.get("/health", tags=["health"], response_model_exclude_none=True)
    async def health() -> Health:
        """Whether the process is alive; checks no dependency."""
        problem = None if service.models.problem is None else NOT_LOADED
        return Health(model_loaded=service.models.served is not None, problem=problem)

    @app.get("/ready", tags=["health"], response_model_exclude_none=True, responses=responses(503))
    async def ready() -> Ready:
        """Whether a model serves the default region; and which one serves each other region."""
        others = {code: version or NO_MODEL for code, version in service.others().items()}
        return Ready(model_version=service.model().version, regions=others or None)


def _add_predictions(app: FastAPI, service: Service) -> None:
    """The routes that must be quick: they read their bodies themselves, once."""

    async def predict(request: Request) -> Response:
        """Predict the demand of one hour from its twenty base columns, with the champion's base booster."""
        row = read_body(FeatureRow, await _json_body(request))
        answer = service.predict(row, request_id_of(request.scope), _region(request))
        return Response(answer.model_dump_json(), media_type=JSON)

    async def predict_batch(request: Request) -> Response:
        """Predict up to 10,000 rows at once."""
        answer = await service.predict_batch(
            await _json_body(request), request_id_of(request.scope), _region(request)
        )
        return Response(answer, media_type=JSON)

    region = {
        "name": REGION,
        "in": "query",
        "required": False,
        "description": REGION_TEXT,
        "schema": {"type": "string"},
    }
    for path, endpoint, asked, answered in (
        ("/predict", predict, FeatureRow, Prediction),
        ("/predict/batch", predict_batch, Batch, Predictions),
    ):
        app.router.add_api_route(
            path,
            endpoint,
            methods=["POST"],
            tags=["forecasts"],
            response_model=answered,
            responses=responses(409, 413, 422, 429, 503, 504),
            openapi_extra={**body_of(asked), "parameters": [region]},
            route_class_override=DirectRoute,
        )


def _region(request: Request) -> str | None:
    """The region that the address names; most name none, and this route must be quick."""
    return request.query_params.get(REGION) if request.scope["query_string"] else None


def _json(body: dict[str, Any]) -> Response:
    return Response(orjson.dumps(body), media_type=JSON)


def _check_parameters(
    request: Request, known: Sequence[str], hours: int | None, day: date | str | None
) -> None:
    for name in request.query_params:
        if name not in known:
            raise BadFieldError(name, f"unknown parameter; use {', '.join(known)}")
    if hours is not None and day is not None:
        raise BadFieldError("day", "give hours or day, not both")


async def _json_body(request: Request) -> bytes:
    kind = request.headers.get("content-type", "")
    if kind != JSON and kind.partition(";")[0].strip().lower() != JSON:
        raise BadFieldError("body", f"must be JSON, with Content-Type: {JSON}")
    return await request.body()
