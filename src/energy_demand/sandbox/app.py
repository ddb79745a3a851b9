"""One ASGI application that simulates all upstreams, given a world and a present.

The clock is read only here, and only if the present is not fixed; everything below gets it as an argument.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.responses import JSONResponse
from starlette.routing import Route

from energy_demand.sandbox.eia import answers as eia
from energy_demand.sandbox.eia import bulk
from energy_demand.sandbox.errors import Refusal
from energy_demand.sandbox.faults import queue as faults
from energy_demand.sandbox.nyiso import files as nyiso
from energy_demand.sandbox.open_meteo import answers as open_meteo
from energy_demand.sandbox.open_meteo.limits import CallCounts, LimitMiddleware
from energy_demand.sandbox.strictness import Strictness
from energy_demand.sandbox.worlds.world import first_hour, last_hour, moment_of_hour

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from energy_demand.sandbox.worlds.world import World

DATA_HEADER = "x-sandbox-data"


def create_app(
    world: World,
    *,
    now: datetime | Callable[[], datetime] | None,
    require_key: str | None = None,
    archive_delay_days: int = 5,
    strict: Strictness | None = None,
    wall: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Starlette:
    """The sandbox of all upstreams.

    EIA's API is below `/eia/v2/`, its files below `/eia/sixMonthFiles/`; Open-Meteo is below `/archive`,
    `/forecast` and `/single-runs`, and for customers below `/customer-archive` and so on. NYISO's forecast
    files are below `/public/csv/isolf/`.

    Args:
        world: What there is to serve.
        now: The present (naive is UTC), or a clock that says it; nothing later is served. None is the end of
            the record, or the clock at each request where time goes on.
        require_key: The only `api_key` EIA's routes accept; None accepts anything.
        archive_delay_days: How late the weather archive is.
        strict: Which limits, gaps and revisions of the real ones it has; None is none of them.
        wall: The clock of Open-Meteo's limits, UTC. What was used is `app.state.limits`.
    """
    strict = strict or Strictness.none()
    counts = CallCounts(strict.limits, wall)
    clock = present_of(world, now)
    queue = faults.FaultQueue()

    last = last_hour(world)

    def index(_request: Request) -> JSONResponse:
        return JSONResponse(
            {
                "kind": world.kind,
                "now": _iso(clock()),
                "first": _iso(moment_of_hour(first_hour(world))),
                "last": None if last is None else _iso(moment_of_hour(last)),
            }
        )

    def used(_request: Request) -> JSONResponse:
        return JSONResponse({"calls": counts.calls, "weight": counts.weight, "refused": counts.refused})

    app = Starlette(
        routes=[
            Route("/", index),
            Route("/sandbox/limits", used),
            *faults.routes(queue),
            *bulk.routes(world, clock, strict),  # before EIA's API, which answers any other path below /eia
            *eia.routes(world, clock, require_key, strict),
            *open_meteo.routes(world, clock, archive_delay_days, strict),
            *nyiso.routes(world, clock, strict),
        ],
        middleware=[
            Middleware(_StampMiddleware, kind=world.kind),
            Middleware(LimitMiddleware, counts=counts),
            Middleware(faults.FaultMiddleware, queue=queue),
        ],
        exception_handlers={Refusal: _refused},
    )
    app.router.redirect_slashes = False
    app.state.limits = counts
    return app


def present_of(world: World, now: datetime | Callable[[], datetime] | None) -> Callable[[], datetime]:
    """The sandbox's present, UTC: fixed, or the clock where neither `now` nor the record fixes it."""
    if callable(now):
        return now
    last = last_hour(world)
    if now is None and last is None:
        return lambda: datetime.now(UTC)
    fixed = moment_of_hour(last or 0) if now is None else now
    utc = fixed.replace(tzinfo=UTC) if fixed.tzinfo is None else fixed.astimezone(UTC)
    return lambda: utc


class _StampMiddleware:
    """Says on every answer, errors and faults included, what kind of data this is."""

    def __init__(self, app: ASGIApp, kind: str) -> None:
        self._app = app
        self._kind = kind

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def stamped(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[DATA_HEADER] = self._kind
            await send(message)

        await self._app(scope, receive, stamped)


def _refused(_request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, Refusal):
        raise error
    return JSONResponse(error.body, status_code=error.status)


def _iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
