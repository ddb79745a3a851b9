"""Error responses: a one-line reason as JSON, with the request id."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar

from fastapi.responses import JSONResponse
from pydantic import BaseModel, ValidationError

from energy_demand.logs import redact
from energy_demand.serving.schemas import problem_body

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.types import Scope, Send

REQUEST_ID = "request_id"  # its place in the request's state
RETRY_SECONDS = 1
MOST_NAMES = 64
MOST_ERRORS = 20
LONGEST_INPUT = 60
Model = TypeVar("Model", bound=BaseModel)
INTERNAL = "internal error; see the service's log for this request id"


class NotReadyError(Exception):
    """No model serves yet (503)."""


class TooBusyError(Exception):
    """Too many requests at once (429)."""


class BadBodyError(Exception):
    """A body that does not match its schema (422); `errors` are pydantic's."""

    def __init__(self, errors: Sequence[Any]) -> None:
        super().__init__("the body does not match its schema")
        self.errors = errors


class BadFieldError(Exception):
    """A field contradicts another one (422)."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def read_body(schema: type[Model], body: bytes) -> Model:
    """Parse a body by its schema.

    Raises:
        BadBodyError: the body does not match the schema.
    """
    # Each unknown name is a separate error, and a million of them would block all other requests.
    if body.count(b'":') > MOST_NAMES * max(1, body.count(b"{")):
        reason = f"has more than {MOST_NAMES} fields a row"
        raise BadBodyError([{"type": "value_error", "loc": (), "msg": reason}])
    try:
        return schema.model_validate_json(body)
    except ValidationError as error:
        raise BadBodyError(error.errors(include_url=False, include_context=False)) from None


def request_id_of(scope: Scope) -> str:
    """The id of this request, in responses and logs."""
    found: str = scope["state"][REQUEST_ID]
    return found


def problem(
    scope: Scope, status: int, detail: str, errors: list[dict[str, str]] | None = None
) -> JSONResponse:
    """A `Problem` as a response, with the headers that its status requires."""
    headers = {}
    if status in {429, 503}:
        headers["Retry-After"] = str(RETRY_SECONDS)
    if status == 401:
        headers["WWW-Authenticate"] = "ApiKey"
    body = problem_body(redact(detail), request_id_of(scope), errors)
    return JSONResponse(body, status_code=status, headers=headers)


async def send_problem(scope: Scope, send: Send, status: int, detail: str) -> None:
    """The same, from a middleware."""
    response = problem(scope, status, detail)
    await send({"type": "http.response.start", "status": status, "headers": response.raw_headers})
    await send({"type": "http.response.body", "body": response.body})


def refused_fields(scope: Scope, errors: Sequence[Any]) -> JSONResponse:
    """422 from pydantic's errors: each field with its requirement and the given value."""
    fields = [{"field": _field(each["loc"]), "message": _message(each)} for each in errors[:MOST_ERRORS]]
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    first = fields[0]
    return problem(scope, 422, f"{first['field']}: {first['message']}{more}", fields)


def _field(location: Sequence[int | str]) -> str:
    # FastAPI puts the parameter's place first; a field of a body may have the same name.
    inner = location[1:] if len(location) > 1 and location[0] in {"query", "path", "header"} else location
    return _short(".".join(str(part) for part in inner)) or "body"


def _message(error: Any) -> str:
    message = str(error["msg"]).removeprefix("Value error, ")
    given = error.get("input")
    if error["type"] in {"missing", "json_invalid", "value_error"} or isinstance(given, dict | list | bytes):
        return message
    return f"{message}, got {_shown(given)}"


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.15g}"  # 24 for 24.0, and at most fifteen digits
    return _short(json.dumps(value, default=str))


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_INPUT else text[:LONGEST_INPUT] + "…"
