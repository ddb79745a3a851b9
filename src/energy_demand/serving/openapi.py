"""The OpenAPI document beyond what FastAPI derives: failures, the request id, the key, the batch's schema."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi.openapi.utils import get_openapi

from energy_demand.serving.middleware import OPEN_PATHS, REQUEST_ID_PATTERN
from energy_demand.serving.schemas import Batch, FeatureRow, Problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastapi import FastAPI
    from pydantic import BaseModel

REASONS = {
    400: "The body cannot be read.",
    401: "The API key is missing or wrong.",
    403: "Without a key only this machine may call.",
    409: "A reload is under way, or the request id was used for another question.",
    413: "The body is too large.",
    422: "A field is refused; it is named.",
    429: "Too much is asked at once; Retry-After says when to come back.",
    502: "The champion's files are damaged; the old model serves on.",
    503: "No model serves, or what is needed cannot be reached.",
    504: "The request took too long.",
}
ID_PARAMETER = {
    "name": "X-Request-ID",
    "in": "header",
    "required": False,
    "description": "Goes by in answers and logs, made up if left out. Sent again with the same question "
    "within an hour it gives the same answer, and is logged once.",
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


def described(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """Makes the document once and gives it from then on."""
    made: dict[str, Any] = {}

    def openapi() -> dict[str, Any]:
        if not made:
            made.update(_document(app))
        return made

    return openapi


def _document(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    components = document["components"]
    components["securitySchemes"] = {"ApiKey": KEY_SCHEME}
    for schema in (FeatureRow, Batch):
        drawn = schema.model_json_schema(ref_template="#/components/schemas/{model}")
        drawn.pop("$defs", None)
        components["schemas"][schema.__name__] = drawn
    for unused in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(unused, None)
    problem = {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for path, operations in document["paths"].items():
        for operation in operations.values():
            operation.setdefault("parameters", []).append(ID_PARAMETER)
            for parameter in operation["parameters"]:
                _without_null(parameter["schema"])
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
    """A query can leave a parameter out, but has no word for null."""
    kinds = [kind for kind in schema.pop("anyOf", []) if kind != {"type": "null"}]
    schema.update(kinds[0] if len(kinds) == 1 else {"anyOf": kinds} if kinds else {})
