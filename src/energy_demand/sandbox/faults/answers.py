"""Answers that never come from the application, and true answers that come late or in part."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, JSONResponse, Response

from energy_demand.sandbox.eia.answers import NOT_FOUND, key_refusal
from energy_demand.sandbox.nyiso.files import FOLDER
from energy_demand.sandbox.open_meteo import limits
from energy_demand.sandbox.open_meteo.answers import STREAMED
from energy_demand.sandbox.open_meteo.query import INVALID_KEY
from energy_demand.sandbox.open_meteo.runs import not_available, run_unavailable, streaming_error
from energy_demand.sandbox.worlds.world import BLEND

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from energy_demand.sandbox.faults.fault import Behaviour, Fault

_THROTTLED = {
    "error": {
        "code": "OVER_RATE_LIMIT",
        "message": "You have exceeded your rate limit. Try again later.",
    }
}
_OVERLOADED = {"error": True, "reason": "The service is overloaded"}
_GATEWAY = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>nginx</body>\r\n</html>\r\n"
_NULS = "<html>\x00\x00<head><title>502 Bad Gateway</title></head>\x00</html>"
_UNAVAILABLE = "<html>\r\n<head><title>503 Service Unavailable</title></head>\r\n<body></body>\r\n</html>\r\n"
_UNKNOWN_VARIABLE = (
    "Data corrupted at path ''. Cannot initialize ForecastVariable from invalid String value temperature_3m."
)
_MOVED = "/moved.html"  # nothing is there


def _answer(make: Callable[[], Response]) -> Behaviour:
    """The request never reaches the application; this is the answer."""
    return _asked(lambda _scope: make())


def _asked(make: Callable[[Scope], Response]) -> Behaviour:
    """As `_answer`, in the words that fit the request."""

    async def behave(_fault: Fault, _app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        await make(scope)(scope, receive, send)

    return behave


def _reason(text: str, status: int = 400) -> JSONResponse:
    return JSONResponse({"error": True, "reason": text}, status_code=status)


def _model_and_run(scope: Scope) -> tuple[str, str]:
    asked = parse_qs(scope["query_string"].decode())
    model = asked.get("models", [BLEND])[0].split(",")[0]
    return model, asked.get("run", ["1970-01-01T00:00"])[0]


def _missing_text(scope: Scope) -> str:
    return run_unavailable(*_model_and_run(scope))


def _is_eia(scope: Scope) -> bool:
    return bool(scope["path"].startswith("/eia"))


def _invalid_key(scope: Scope) -> Response:
    if not _is_eia(scope):
        return _reason(INVALID_KEY)
    refusal = key_refusal(missing=False)
    return JSONResponse(refusal.body, status_code=refusal.status)


def _other_400(scope: Scope) -> Response:
    if _is_eia(scope):
        text = "Invalid facet 'respondents' provided. The valid facets are respondent, type."
        return JSONResponse({"error": text, "code": 400}, status_code=400)
    return _reason(_UNKNOWN_VARIABLE)


def _http_503(scope: Scope) -> Response:
    if _is_eia(scope) or scope["path"].startswith(FOLDER):
        return HTMLResponse(_UNAVAILABLE, 503)
    return JSONResponse(_OVERLOADED, 503)


async def _slow(fault: Fault, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    await asyncio.sleep(fault.seconds)
    await app(scope, receive, send)


async def _truncated(_fault: Fault, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """The true answer under 200, its second half missing, its length as if nothing were."""
    whole = await true_answer(app, scope, receive)
    half = Response(whole.body[: len(whole.body) // 2], media_type=whole.media_type)
    await half(scope, receive, send)


def _broken_off(text: Callable[[Scope], str]) -> Behaviour:
    """Half of the true answer, and in the middle of it a line of text."""

    async def behave(_fault: Fault, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        whole = await true_answer(app, scope, receive)
        half = bytes(whole.body[: len(whole.body) // 2])
        await Response(half + text(scope).encode(), media_type=STREAMED)(scope, receive, send)

    return behave


async def true_answer(app: ASGIApp, scope: Scope, receive: Receive) -> Response:
    """What the application answers: status, body and media type."""
    start: Message = {}
    body = bytearray()

    async def collect(message: Message) -> None:
        if message["type"] == "http.response.start":
            start.update(message)
        body.extend(message.get("body", b""))

    await app(scope, receive, collect)
    headers = Headers(raw=start["headers"])
    kept = {name: headers[name] for name in ("last-modified",) if name in headers}
    return Response(bytes(body), start["status"], kept, headers.get("content-type"))


def rewritten(change: Callable[[Fault, Any], Any]) -> Behaviour:
    """The application's true answer with its parsed body changed; an answer without JSON as it is."""

    async def behave(fault: Fault, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        answer = await true_answer(app, scope, receive)
        if answer.media_type == JSONResponse.media_type:
            answer = JSONResponse(change(fault, json.loads(bytes(answer.body))), answer.status_code)
        await answer(scope, receive, send)

    return behave


KINDS: dict[str, Behaviour] = {
    "http_403": _answer(lambda: JSONResponse(_THROTTLED, status_code=403)),
    "http_429": _answer(lambda: limits.refused(limits.MINUTELY)),
    "http_500": _answer(lambda: JSONResponse(NOT_FOUND, status_code=500)),
    "http_503": _asked(_http_503),
    "html_502": _answer(lambda: HTMLResponse(_GATEWAY, status_code=502)),
    "nul_502": _answer(lambda: HTMLResponse(_NULS, status_code=502)),
    "error_under_200": _answer(lambda: JSONResponse(_OVERLOADED)),
    "redirected": _answer(lambda: Response(status_code=302, headers={"location": _MOVED})),
    "invalid_key": _asked(_invalid_key),
    "other_400": _asked(_other_400),
    "minutely_limit": _answer(lambda: limits.refused(limits.MINUTELY)),
    "hourly_limit": _answer(lambda: limits.refused(limits.HOURLY)),
    "daily_limit": _answer(lambda: limits.refused(limits.DAILY)),
    "too_many_at_once": _answer(lambda: limits.refused(limits.TOO_MANY_AT_ONCE)),
    "run_missing_400": _asked(lambda scope: _reason(not_available(*_model_and_run(scope)))),
    "run_missing_text": _asked(lambda scope: Response(_missing_text(scope), media_type=STREAMED)),
    "run_missing_midway": _broken_off(_missing_text),
    "stream_timeout": _broken_off(lambda _scope: streaming_error("timeoutReached")),
    "slow": _slow,
    "truncated": _truncated,
}
