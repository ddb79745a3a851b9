"""The OpenAPI document beyond what FastAPI derives: failures, the request id, the key, the batch's schema."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi.openapi.utils import get_openapi

from energy_demand.serving.http.middleware import OPEN_PATHS, REQUEST_ID_PATTERN
from energy_demand.serving.scenario_schemas import ScenarioQuestion, SiteWeather
from energy_demand.serving.schemas import Batch, FeatureRow, Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fastapi import FastAPI
    from pydantic import BaseModel

REASONS = {
    400: "The body cannot be read.",
    401: "The API key is missing or wrong.",
    406: "The header Accept names none of the formats.",
    403: "Only this machine may call while API_KEY is not set.",
    409: "A reload is in progress, or the request id was used for a different request.",
    413: "The body is too large.",
    422: "A field is invalid; the response names it.",
    429: "Too many requests at once; Retry-After says when to try again.",
    502: "The champion's files are damaged; the old model keeps serving.",
    503: "No model serves, or the database or model registry cannot be reached.",
    504: "The request took too long.",
}
ID_PARAMETER = {
    "name": "X-Request-ID",
    "in": "header",
    "required": False,
    "description": "Identifies the request in responses and logs; generated if left out. The same request "
    "with the same id within an hour returns the same response and is logged once.",
    "schema": {"type": "string", "pattern": f"^{REQUEST_ID_PATTERN.pattern}$"},
}
KEY_SCHEME = {"type": "apiKey", "in": "header", "name": "X-API-Key"}


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The failures of a route, for its documentation."""
    return {status: {"model": Problem, "description": REASONS[status]} for status in statuses}


def body_of(schema: type[BaseModel]) -> dict[str, Any]:
    """The request body of a route that reads it itself."""
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema.__name__}"}}}
    return {"requestBody": {"required": True, "content": content}}


def described(app: FastAPI, regions: Sequence[str]) -> Callable[[], dict[str, Any]]:
    """A function that builds the document at the first call and returns it from then on.

    `regions` are the values that the parameter `region` takes.
    """
    document: dict[str, Any] = {}

    def openapi() -> dict[str, Any]:
        if not document:
            document.update(_document(app, regions))
        return document

    return openapi


def _document(app: FastAPI, regions: Sequence[str]) -> dict[str, Any]:
    document = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    components = document["components"]
    components["securitySchemes"] = {"ApiKey": KEY_SCHEME}
    for schema in (FeatureRow, Batch, SiteWeather, ScenarioQuestion):
        json_schema = schema.model_json_schema(ref_template="#/components/schemas/{model}")
        json_schema.pop("$defs", None)
        components["schemas"][schema.__name__] = json_schema
    for unused in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(unused, None)
    problem = {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for path, operations in document["paths"].items():
        for operation in operations.values():
            operation.setdefault("parameters", []).append(ID_PARAMETER)
            for parameter in operation["parameters"]:
                _without_null(parameter["schema"])
                if parameter["name"] == "region":
                    parameter["schema"]["enum"] = list(regions)
            added = {422} if path in OPEN_PATHS else {401, 403, 422}
            if "requestBody" in operation:
                added |= {400}
            for status in sorted(added):
                operation["responses"].setdefault(
                    str(status), {"description": REASONS[status], "content": problem}
                )
            if path not in OPEN_PATHS:
                operation["security"] = [{"ApiKey": []}]
    return document


def _without_null(schema: dict[str, Any]) -> None:
    """Drop null from a query parameter's schema: a query can leave a parameter out, but not send null."""
    kinds = [kind for kind in schema.pop("anyOf", []) if kind != {"type": "null"}]
    schema.update(kinds[0] if len(kinds) == 1 else {"anyOf": kinds} if kinds else {})
