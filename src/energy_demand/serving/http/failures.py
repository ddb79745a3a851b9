"""Maps exceptions to a status and one line for the caller. Exceptions not listed here are a 500."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from energy_demand.data.record_store import NoDemandError
from energy_demand.database.embedded import EmbeddedServerError
from energy_demand.database.engine import DatabaseUnavailableError
from energy_demand.exports.questions import QuestionError
from energy_demand.model.predict import ForecastError, NoForecastError
from energy_demand.model.scenarios.changes import ScenarioError
from energy_demand.registry.champion import NoChampionError
from energy_demand.registry.manifest import ModelRefusedError
from energy_demand.registry.mlflow_store import RegistryUnavailableError
from energy_demand.serving.http.answers import (
    INTERNAL,
    BadBodyError,
    BadFieldError,
    NotReadyError,
    TooBusyError,
    problem,
    refused_fields,
    request_id_of,
)
from energy_demand.serving.model_holder import ReloadInProgressError

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastapi import FastAPI, Request
    from starlette.responses import Response

_log = logging.getLogger(__name__)

# Errors whose message is sent to the caller, with their status.
STATUS_OF: dict[type[Exception], int] = {
    NotReadyError: 503,
    NoChampionError: 503,
    NoDemandError: 503,
    NoForecastError: 503,
    ModelRefusedError: 502,
    ReloadInProgressError: 409,
    ForecastError: 422,
    TooBusyError: 429,
}
# Messages to the caller for unreachable systems; the address and the error go to the log only.
AWAY: dict[type[Exception], str] = {
    DatabaseUnavailableError: "the database cannot be reached; try again shortly",
    EmbeddedServerError: "the database cannot be reached; try again shortly",
    RegistryUnavailableError: "the model registry cannot be reached; the loaded model keeps serving",
}


def add_failures(app: FastAPI) -> None:
    """Register the handlers with `app`."""
    handlers: dict[type[Exception], Callable[[Request, Any], Response]] = {
        **dict.fromkeys(STATUS_OF, _as_status),
        **dict.fromkeys(AWAY, _away),
        BadBodyError: _bad_body,
        RequestValidationError: _bad_parameters,
        BadFieldError: _bad_field,
        QuestionError: _bad_field,
        ScenarioError: _bad_field,
        HTTPException: _of_http,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)


def _as_status(request: Request, error: Exception) -> Response:
    status = next(STATUS_OF[kind] for kind in type(error).__mro__ if kind in STATUS_OF)
    return problem(request.scope, status, str(error))


def _away(request: Request, error: Exception) -> Response:
    _log.warning("%s", error, extra={"request_id": request_id_of(request.scope)})
    return problem(request.scope, 503, next(AWAY[kind] for kind in type(error).__mro__ if kind in AWAY))


def _bad_body(request: Request, error: BadBodyError) -> Response:
    return refused_fields(request.scope, error.errors)


def _bad_parameters(request: Request, error: RequestValidationError) -> Response:
    return refused_fields(request.scope, error.errors())


def _bad_field(request: Request, error: BadFieldError | QuestionError | ScenarioError) -> Response:
    fields = [{"field": error.field, "message": str(error)}]
    return problem(request.scope, 422, f"{error.field}: {error}", fields)


def _of_http(request: Request, error: HTTPException) -> Response:
    detail = INTERNAL if error.status_code >= 500 else str(error.detail)
    if error.status_code == 404:
        detail = "no such path; /docs lists the paths"
    response = problem(request.scope, error.status_code, detail)
    response.headers.update(error.headers or {})
    if "allow" in response.headers:
        response.headers["allow"] = _allowed(request)
    return response


def _allowed(request: Request) -> str:
    """The methods of an address, by all of its routes."""
    routes = [each for each in request.app.routes if getattr(each, "path", None) == request.url.path]
    methods = {method for each in routes for method in each.methods}
    return ", ".join(sorted(methods | ({"HEAD"} if "GET" in methods else set())))
