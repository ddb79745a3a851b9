"""Open-Meteo's limits on free use: calls have a weight, and an address may spend so much a minute, hour, day.

As in Open-Meteo's server: an address is refused once it has used a limit up, so its last call may exceed
the limit; a failed call costs 1, a refused one nothing; the counts return to zero with the clock's minute,
hour and UTC day. The clock is an argument.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

FREE = ("/archive/", "/forecast/", "/single-runs/")
WEIGHT = "open_meteo_weight"  # where a route leaves the weight of its call, in the request's state
MINUTELY = "Minutely API request limit exceeded. Please try again in one minute."
HOURLY = "Hourly API request limit exceeded. Please try again in the next hour."
DAILY = "Daily API request limit exceeded. Please try again tomorrow."
TOO_MANY_AT_ONCE = "Too many concurrent requests"
_PLAIN_VARIABLES, _PLAIN_DAYS = 10, 14  # what a call of weight 1 may ask
_FAILED = 1.0
_OK = 200


@dataclass(frozen=True)
class Limits:
    """What one address may use: weighted calls in each span of the clock, and calls at once."""

    minute: float = 600.0
    hour: float = 5_000.0
    day: float = 10_000.0
    at_once: int = 5


def weight(sites: int, variables: int, days: int, models: int = 1) -> float:
    """What a call costs: for each site max(1, variables / 10, days / 14 × variables / 10).

    Each model asked for counts its variables again.
    """
    tens = variables * models / _PLAIN_VARIABLES
    return sites * max(1.0, tens, days / _PLAIN_DAYS * tens)


class CallCounts:
    """The calls of each address, and what is left of its limits; None counts and refuses nothing.

    Attributes:
        calls: Calls that were let in.
        weight: Their weights together.
        refused: Calls that were refused.
    """

    def __init__(self, limits: Limits | None, wall: Callable[[], datetime]) -> None:
        self.calls = 0
        self.weight = 0.0
        self.refused = 0
        self._limits = limits
        self._wall = wall
        self._span: dict[str, tuple[int, ...]] = {}
        self._spent = {span: defaultdict[str, float](float) for span in ("minute", "hour", "day")}
        self._open: Counter[str] = Counter()

    def enter(self, address: str) -> str | None:
        """Let a call in, or say why not; one that was let in must `leave`."""
        reason = self._reason(address)
        if reason is None:
            self._open[address] += 1
            self.calls += 1
        else:
            self.refused += 1
        return reason

    def leave(self, address: str, cost: float) -> None:
        """The call is over and its weight known."""
        self._open[address] -= 1
        self.weight += cost
        self._turn()
        for spent in self._spent.values():
            spent[address] += cost

    def spent(self, address: str) -> dict[str, float]:
        """Weight of this address's calls in the present minute, hour and day."""
        self._turn()
        return {span: spent[address] for span, spent in self._spent.items()}

    def _reason(self, address: str) -> str | None:
        if self._limits is None:
            return None
        spent = self.spent(address)
        if spent["minute"] >= self._limits.minute:
            return MINUTELY
        if spent["hour"] >= self._limits.hour:
            return HOURLY
        if spent["day"] >= self._limits.day:
            return DAILY
        return TOO_MANY_AT_ONCE if self._open[address] >= self._limits.at_once else None

    def _turn(self) -> None:
        """Forget what was spent in a minute, hour or day that is over."""
        now = self._wall()
        day = (now.year, now.month, now.day)
        spans = {"minute": (*day, now.hour, now.minute), "hour": (*day, now.hour), "day": day}
        for name, span in spans.items():
            if self._span.get(name) != span:
                self._spent[name].clear()
        self._span = spans


class LimitMiddleware:
    """Counts the calls to the free services and refuses those over a limit, before faults and routes."""

    def __init__(self, app: ASGIApp, counts: CallCounts) -> None:
        self._app = app
        self._counts = counts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it."""
        if scope["type"] != "http" or not scope["path"].startswith(FREE):
            await self._app(scope, receive, send)
            return
        address = (scope.get("client") or ("unknown", 0))[0]
        if reason := self._counts.enter(address):
            await refused(reason)(scope, receive, send)
            return
        state: dict[str, Any] = scope.setdefault("state", {})
        answered: list[int] = []

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                answered.append(message["status"])
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            well = answered == [_OK]
            self._counts.leave(address, state.get(WEIGHT, _FAILED) if well else _FAILED)


def refused(reason: str) -> JSONResponse:
    """Open-Meteo's answer to a call over a limit; it names no time to wait."""
    return JSONResponse({"error": True, "reason": reason}, status_code=429)
