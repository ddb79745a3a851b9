"""Faults on demand: what the real upstreams do on a bad day, queued by a test and used up one by one.

`POST /sandbox/faults` with `{"kind": "http_403", "times": 2, "path": "/eia"}` makes the next two requests
whose path starts with `/eia` fail so; `slow` also takes `seconds`. `DELETE /sandbox/faults` clears.
The sandbox's own addresses (`/` and `/sandbox/...`) never fail. All of it runs on the event loop, so
the queue needs no lock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from energy_demand.sandbox.eia import NOT_FOUND

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


@dataclass
class Fault:
    """A queued fault: what happens, to which paths, and how often still."""

    kind: str
    times: int = 1
    path: str = "/"
    seconds: float = 1.0


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
    body = bytearray()

    async def collect(message: Message) -> None:
        body.extend(message.get("body", b""))

    await app(scope, receive, collect)
    half = Response(bytes(body[: len(body) // 2]), media_type="application/json")
    await half(scope, receive, send)


KINDS: dict[str, Behaviour] = {
    "http_403": _answer(lambda: JSONResponse(_THROTTLED, status_code=403)),
    "http_429": _answer(lambda: JSONResponse(_BUSY, status_code=429)),
    "http_500": _answer(lambda: JSONResponse(NOT_FOUND, status_code=500)),
    "html_502": _answer(lambda: HTMLResponse(_GATEWAY, status_code=502)),
    "error_under_200": _answer(lambda: JSONResponse(_OVERLOADED)),
    "slow": _slow,
    "truncated": _truncated,
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
    except (TypeError, ValueError) as error:
        raise FaultError(str(error)) from error
    if fault.times < 1 or fault.seconds < 0:
        raise FaultError("times must be 1 or more, seconds 0 or more")
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
