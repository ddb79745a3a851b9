"""Counts and logs answered requests in groups: one by one, logging would take longer than a prediction.

A request only adds a note; `flush`, called a few times a second, turns notes into metrics and log lines.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from energy_demand.monitoring.prometheus_metrics import ServingMetrics

FLUSH_SECONDS = 0.05
PREDICTION_ROUTES = frozenset({"/predict", "/predict/batch", "/forecast"})

_log = logging.getLogger("energy_demand.serving.requests")


class Note(NamedTuple):
    """One answered request; `route` is its template, None if no route matched."""

    at: float
    request_id: str
    method: str
    route: str | None
    status: int
    seconds: float
    client: str | None
    model_version: str | None


class RequestLog:
    """Takes notes on the event loop's thread; any thread may flush them."""

    def __init__(self, metrics: ServingMetrics, version: Callable[[], str | None]) -> None:
        self._metrics = metrics
        self._version = version
        self._notes: deque[Note] = deque()
        self._flushing = threading.Lock()
        self._in_flight = 0

    def begin(self) -> None:
        """Count a request that begins."""
        self._in_flight += 1

    def end(
        self, request_id: str, method: str, route: str | None, status: int, seconds: float, client: str | None
    ) -> None:
        """Note a request that was answered."""
        self._in_flight -= 1
        self._notes.append(
            Note(time.time(), request_id, method, route, status, seconds, client, self._version())
        )

    def flush(self) -> None:
        """Count and log the requests answered since the last flush."""
        with self._flushing:
            self._metrics.in_flight.set(self._in_flight)
            while self._notes:
                note = self._notes.popleft()
                self._metrics.count(
                    note.method,
                    note.route,
                    note.status,
                    note.seconds if note.route in PREDICTION_ROUTES else None,
                )
                _log.handle(_record(note))


def _record(note: Note) -> logging.LogRecord:
    return logging.makeLogRecord(
        {
            "name": _log.name,
            "levelno": logging.INFO,
            "levelname": "INFO",
            "msg": "request",
            "created": note.at,
            "request_id": note.request_id,
            "method": note.method,
            "route": note.route or "unmatched",
            "status": note.status,
            "latency_ms": round(1000 * note.seconds, 3),
            "model_version": note.model_version,
            "client": note.client,
        }
    )
