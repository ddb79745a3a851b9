"""A closed-loop HTTP load: each connection sends its next request when the last one was answered.

Light enough that on two cores the server, not the client, is the bottleneck. Connects to this machine only.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httptools
import numpy as np
import uvloop

if TYPE_CHECKING:
    from collections.abc import Callable

HOST = "127.0.0.1"


@dataclass
class Load:
    """The responses.

    Attributes:
        seconds: how long it took.
        statuses: answers by status.
        latencies: of each answer, seconds.
        broken: requests that were sent and got no whole answer.
    """

    seconds: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)
    broken: int = 0

    @property
    def per_second(self) -> float:
        """Answers a second."""
        return len(self.latencies) / self.seconds

    def percentile_ms(self, percent: float) -> float:
        """A percentile of the latencies, ms."""
        return 1000 * float(np.percentile(self.latencies, percent))


def post(port: int, path: str, body: bytes, **headers: str) -> bytes:
    """The bytes of a POST with a JSON body."""
    lines = [f"POST {path} HTTP/1.1", f"Host: {HOST}:{port}", "Content-Type: application/json"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    lines += [f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


def get(port: int, path: str) -> bytes:
    """The bytes of a GET."""
    return f"GET {path} HTTP/1.1\r\nHost: {HOST}:{port}\r\n\r\n".encode()


def run_load(
    port: int,
    request: bytes | Callable[[], bytes],
    *,
    connections: int,
    seconds: float,
    until: Callable[[], bool] = lambda: False,
) -> Load:
    """Send `request` (or what it makes, each time) for `seconds`, or until `until` says so."""
    make = (lambda: request) if isinstance(request, bytes) else request
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_run(port, make, connections, seconds, until))


async def _run(
    port: int, make: Callable[[], bytes], connections: int, seconds: float, until: Callable[[], bool]
) -> Load:
    load, loop = Load(), asyncio.get_running_loop()
    started = time.perf_counter()
    ends = started + seconds

    def over() -> bool:
        return time.perf_counter() >= ends or until()

    async def keep_asking() -> None:
        while not over():
            try:
                _, protocol = await loop.create_connection(lambda: _Asking(make, load, over), HOST, port)
            except OSError:
                if not over():
                    await asyncio.sleep(0.05)
                continue
            await protocol.done

    await asyncio.gather(*(keep_asking() for _ in range(connections)))
    load.seconds = time.perf_counter() - started
    return load


class _Asking(asyncio.Protocol):
    """One connection."""

    def __init__(self, make: Callable[[], bytes], load: Load, over: Callable[[], bool]) -> None:
        self._make, self._load, self._over = make, load, over
        self._waiting = False
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        self._waiting = False
        self._load.latencies.append(time.perf_counter() - self._asked)
        self._load.statuses[self._parser.get_status_code()] += 1
        if self._over() or not self._parser.should_keep_alive():
            self._transport.close()
        else:
            self._ask()

    def connection_lost(self, _error: Exception | None) -> None:
        self._load.broken += self._waiting
        if not self.done.done():
            self.done.set_result(None)

    def _ask(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._waiting = True
        self._asked = time.perf_counter()
        self._transport.write(self._make())
