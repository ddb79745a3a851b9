"""Faults on demand: what the real upstreams do on a bad day, queued by a test and used up one by one.

`POST /sandbox/faults` with `{"kind": "http_403", "times": 2, "path": "/eia"}` makes the next two requests
whose path starts with `/eia` fail so. `DELETE /sandbox/faults` clears. The sandbox's own addresses (`/`
and `/sandbox/...`) never fail. All of it runs on the event loop, so the queue needs no lock.

| what goes wrong | kinds |
| --- | --- |
| another answer than the application's | `http_403`, `http_429`, `http_500`, `html_502`, `error_under_200` |
| the true answer late (`seconds`), or half of it | `slow`, `truncated` |
| EIA does another query than the one asked | `overlap` (`rows` earlier), `mixed_series` |
| EIA's rows: every `every`-th | `nulls`, `zeros`, `missing_rows`, `wrong_region`, `garbage_rows` |
| EIA's whole page | `numbers`, `total_too_large` (by `rows`), `warnings_top`, `warnings_inside` |
| Open-Meteo's list of sites | `sites_reordered`, `site_missing`, `site_elsewhere` |

A fault of EIA's rows or of a list of sites leaves alone, and uses itself up on, an answer that has none.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from energy_demand.sandbox.eia.answers import NOT_FOUND

if TYPE_CHECKING:
    from starlette.requests import Request

_THROTTLED = {
    "error": {
        "code": "OVER_RATE_LIMIT",
        "message": "You have exceeded your rate limit. Try again later.",
    }
}
_OVERLOADED = {"error": True, "reason": "The service is overloaded"}
_BUSY = {"error": True, "reason": "Minutely API request limit exceeded. Please try again in one minute."}
_GATEWAY = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>nginx</body>\r\n</html>\r\n"
_WARNINGS = [{"warning": "slow query", "description": "The answer is what was asked for all the same."}]
_ELSEWHERE = {"respondent": "PJM", "respondent-name": "PJM Interconnection, LLC"}
_GARBAGE = ({"period": "2025-13-41T25"}, {"value": "abc"}, {"value": "-5"}, {"value": "99999999999"})
_FAR_DEGREES = 20.0


@dataclass
class Fault:
    """A queued fault: what happens, to which paths, and how often still; the rest is for some kinds."""

    kind: str
    times: int = 1
    path: str = "/"
    seconds: float = 1.0
    every: int = 24
    rows: int = 24


Query = list[tuple[str, str]]
Row = dict[str, Any]
Behaviour = Callable[[Fault, ASGIApp, Scope, Receive, Send], Awaitable[None]]


def _answer(make: Callable[[], Response]) -> Behaviour:
    """The request never reaches the application; this is the answer."""

    async def behave(_fault: Fault, _app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        await make()(scope, receive, send)

    return behave


async def _slow(fault: Fault, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    await asyncio.sleep(fault.seconds)
    await app(scope, receive, send)


async def _truncated(_fault: Fault, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """The true answer under 200, its second half missing, its length as if nothing were."""
    whole = await _true_answer(app, scope, receive)
    half = Response(whole.body[: len(whole.body) // 2], media_type=whole.media_type)
    await half(scope, receive, send)


async def _true_answer(app: ASGIApp, scope: Scope, receive: Receive) -> Response:
    """What the application answers: status, body and media type."""
    start: Message = {}
    body = bytearray()

    async def collect(message: Message) -> None:
        if message["type"] == "http.response.start":
            start.update(message)
        body.extend(message.get("body", b""))

    await app(scope, receive, collect)
    media_type = Headers(raw=start["headers"]).get("content-type")
    return Response(bytes(body), start["status"], media_type=media_type)


def _misread(change: Callable[[Fault, Query], Query]) -> Behaviour:
    """The application answers a different query from the one it received."""

    async def behave(fault: Fault, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        query = change(fault, parse_qsl(scope["query_string"].decode(), keep_blank_values=True))
        await app({**scope, "query_string": urlencode(query).encode()}, receive, send)

    return behave


def _overlap(fault: Fault, query: Query) -> Query:
    return [
        (name, str(max(int(value) - fault.rows, 0)) if name == "offset" and value.isdecimal() else value)
        for name, value in query
    ]


def _mixed_series(_fault: Fault, query: Query) -> Query:
    return [(name, value) for name, value in query if not name.startswith("facets[type]")]


def _rewritten(change: Callable[[Fault, Any], Any]) -> Behaviour:
    """The application's true answer with its parsed body changed; an answer without JSON as it is."""

    async def behave(fault: Fault, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        answer = await _true_answer(app, scope, receive)
        if answer.media_type == JSONResponse.media_type:
            answer = JSONResponse(change(fault, json.loads(bytes(answer.body))), answer.status_code)
        await answer(scope, receive, send)

    return behave


def _page(change: Callable[[Fault, Any], None]) -> Behaviour:
    """A page of EIA's is changed in place."""

    def rewrite(fault: Fault, body: Any) -> Any:
        if isinstance(body, dict) and "response" in body:
            change(fault, body)
        return body

    return _rewritten(rewrite)


def _rows(struck: Callable[[Row, int], list[Row]]) -> Behaviour:
    """The first row of a page and every `every`-th after it become what `struck` makes of them.

    `struck` gets the row and how many were struck before it.
    """

    def change(fault: Fault, body: Any) -> None:
        count = itertools.count()
        body["response"]["data"] = [
            served
            for number, row in enumerate(body["response"]["data"])
            for served in (struck(row, next(count)) if number % fault.every == 0 else [row])
        ]

    return _page(change)


def _numbers(_fault: Fault, body: Any) -> None:
    for row in body["response"]["data"]:
        if "value" in row:
            row["value"] = int(row["value"])


def _total_too_large(fault: Fault, body: Any) -> None:
    body["response"]["total"] = str(int(body["response"]["total"]) + fault.rows)


def _sites(change: Callable[[list[Any]], list[Any]]) -> Behaviour:
    """A list of sites of Open-Meteo's becomes another one."""
    return _rewritten(lambda _fault, body: change(body) if isinstance(body, list) else body)


def _last_elsewhere(sites: list[Any]) -> list[Any]:
    *others, last = sites
    return [*others, last | {"latitude": last["latitude"] + _FAR_DEGREES}]


KINDS: dict[str, Behaviour] = {
    "http_403": _answer(lambda: JSONResponse(_THROTTLED, status_code=403)),
    "http_429": _answer(lambda: JSONResponse(_BUSY, status_code=429)),
    "http_500": _answer(lambda: JSONResponse(NOT_FOUND, status_code=500)),
    "html_502": _answer(lambda: HTMLResponse(_GATEWAY, status_code=502)),
    "error_under_200": _answer(lambda: JSONResponse(_OVERLOADED)),
    "slow": _slow,
    "truncated": _truncated,
    "overlap": _misread(_overlap),
    "mixed_series": _misread(_mixed_series),
    "nulls": _rows(lambda row, _count: [row | {"value": None}]),
    "zeros": _rows(lambda row, _count: [row | {"value": "0"}]),
    "missing_rows": _rows(lambda _row, _count: []),
    "wrong_region": _rows(lambda row, _count: [row | _ELSEWHERE, row]),
    "garbage_rows": _rows(lambda row, count: [row | _GARBAGE[count % len(_GARBAGE)]]),
    "numbers": _page(_numbers),
    "total_too_large": _page(_total_too_large),
    "warnings_top": _page(lambda _fault, body: body.update(warnings=_WARNINGS)),
    "warnings_inside": _page(lambda _fault, body: body["response"].update(warnings=_WARNINGS)),
    "sites_reordered": _sites(lambda sites: sites[::-1]),
    "site_missing": _sites(lambda sites: sites[:-1]),
    "site_elsewhere": _sites(_last_elsewhere),
}


class FaultError(ValueError):
    """A fault that was asked for cannot be understood."""


class FaultQueue:
    """Faults in the order in which they were asked for. Never more than `times` requests per fault."""

    def __init__(self) -> None:
        self._waiting: list[Fault] = []

    def add(self, asked: object) -> int:
        """Queue what a JSON body asks for; the number of faults now waiting.

        Raises:
            FaultError: The body is not a fault.
        """
        self._waiting.append(_fault(asked))
        return len(self._waiting)

    def clear(self) -> None:
        """Forget all faults."""
        self._waiting.clear()

    def take(self, path: str) -> Fault | None:
        """The fault for a request to `path`, used up once; None when all is well."""
        if path == "/" or path.startswith("/sandbox/"):
            return None
        for fault in self._waiting:
            if path.startswith(fault.path):
                fault.times -= 1
                if fault.times == 0:
                    self._waiting.remove(fault)
                return fault
        return None


def _fault(asked: object) -> Fault:
    if not isinstance(asked, dict) or asked.get("kind") not in KINDS:
        raise FaultError(f"kind must be one of {', '.join(KINDS)}")
    try:
        fault = Fault(**asked)
        fault.times, fault.seconds, fault.path = int(fault.times), float(fault.seconds), str(fault.path)
        fault.every, fault.rows = int(fault.every), int(fault.rows)
    except (TypeError, ValueError) as error:
        raise FaultError(str(error)) from error
    if min(fault.times, fault.every, fault.rows) < 1 or fault.seconds < 0:
        raise FaultError("times, every and rows must be 1 or more, seconds 0 or more")
    return fault


class FaultMiddleware:
    """Lets the queue decide, before the application, what becomes of a request."""

    def __init__(self, app: ASGIApp, queue: FaultQueue) -> None:
        self._app = app
        self._queue = queue

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, well or badly."""
        fault = self._queue.take(scope["path"]) if scope["type"] == "http" else None
        if fault is None:
            await self._app(scope, receive, send)
        else:
            await KINDS[fault.kind](fault, self._app, scope, receive, send)


def routes(queue: FaultQueue) -> list[Route]:
    """The address at which a test asks for faults."""

    async def post(request: Request) -> JSONResponse:
        try:
            waiting = queue.add(await request.json())
        except ValueError as error:
            return JSONResponse({"error": str(error)}, status_code=400)
        return JSONResponse({"waiting": waiting}, status_code=201)

    async def delete(_request: Request) -> JSONResponse:
        queue.clear()
        return JSONResponse({"waiting": 0})

    methods: dict[str, Any] = {"POST": post, "DELETE": delete}
    return [Route("/sandbox/faults", endpoint, methods=[method]) for method, endpoint in methods.items()]
