"""What a fault is: a kind, and which requests and hours of an answer it strikes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import unquote

from starlette.types import ASGIApp, Receive, Scope, Send

UNTIL_CLEARED = 0


@dataclass
class Fault:
    """A queued fault: what happens, to which requests, and how often still; the rest is for some kinds.

    Attributes:
        times: How often still; 0 is until cleared.
        path: How the paths begin that it strikes.
        query: A text in the query of the requests that it strikes, as sent or decoded.
        start: The first hour it changes, ISO; `end` is the last one. Without an offset they are UTC.
        variable: Of Open-Meteo's, for the kinds that change one.
    """

    kind: str
    times: int = 1
    path: str = "/"
    query: str = ""
    seconds: float = 1.0
    every: int = 24
    rows: int = 24
    start: str | None = None
    end: str | None = None
    variable: str = "shortwave_radiation"

    def __post_init__(self) -> None:
        self.times, self.every, self.rows = int(self.times), int(self.every), int(self.rows)
        self.seconds = float(self.seconds)
        for text in (self.path, self.query, self.variable):
            if not isinstance(text, str):
                raise TypeError("path, query and variable must be texts")
        if min(self.every, self.rows) < 1 or min(self.times, self.seconds) < 0:
            raise ValueError("every and rows must be 1 or more, times and seconds 0 or more")
        self._first = None if self.start is None else _utc(self.start)
        self._last = None if self.end is None else _utc(self.end)

    def strikes(self, path: str, query: str) -> bool:
        """Whether a request is struck."""
        return path.startswith(self.path) and (self.query in query or self.query in unquote(query))

    @property
    def has_window(self) -> bool:
        """Whether the fault names hours."""
        return self._first is not None or self._last is not None

    def covers(self, time: str) -> bool:
        """Whether an hour of an answer, as written there (UTC), is one of those that are changed."""
        if not self.has_window:
            return True
        try:
            moment = _utc(time)
        except ValueError:
            return False
        return (self._first is None or self._first <= moment) and (self._last is None or moment <= self._last)


Behaviour = Callable[[Fault, ASGIApp, Scope, Receive, Send], Awaitable[None]]


def _utc(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
