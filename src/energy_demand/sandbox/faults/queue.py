"""The queue of faults, the address at which a test asks for them, and the middleware that applies them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse
from starlette.routing import Route

from energy_demand.sandbox.faults import answers, eia, nyiso, open_meteo
from energy_demand.sandbox.faults.fault import UNTIL_CLEARED, Behaviour, Fault

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp, Receive, Scope, Send

KINDS: dict[str, Behaviour] = answers.KINDS | eia.KINDS | open_meteo.KINDS | nyiso.KINDS


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

    def take(self, path: str, query: str) -> Fault | None:
        """The fault for a request, used up once; None when all is well."""
        if path == "/" or path.startswith("/sandbox/"):
            return None
        fault = next((fault for fault in self._waiting if fault.strikes(path, query)), None)
        if fault is not None and fault.times != UNTIL_CLEARED:
            fault.times -= 1
            if fault.times == 0:
                self._waiting.remove(fault)
        return fault


def _fault(asked: object) -> Fault:
    if not isinstance(asked, dict) or asked.get("kind") not in KINDS:
        raise FaultError(f"kind must be one of {', '.join(KINDS)}")
    try:
        return Fault(**asked)
    except (TypeError, ValueError) as error:
        raise FaultError(str(error)) from error


class FaultMiddleware:
    """Lets the queue decide, before the application, what becomes of a request."""

    def __init__(self, app: ASGIApp, queue: FaultQueue) -> None:
        self._app = app
        self._queue = queue

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, well or badly."""
        fault = None
        if scope["type"] == "http":
            fault = self._queue.take(scope["path"], scope["query_string"].decode())
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
