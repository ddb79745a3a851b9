"""A response reaches the system in one piece: a balancer never has its headers alone."""

from __future__ import annotations

import asyncio

import pytest
from uvicorn.config import Config
from uvicorn.server import ServerState

from energy_demand.serving.whole_responses import WholeResponses


class Recording(asyncio.Transport):
    """Notes what is written, as a socket would see it."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.closed_after: int | None = None

    def write(self, data) -> None:
        self.written.append(bytes(data))

    def close(self) -> None:
        self.closed_after = len(self.written)

    def is_closing(self) -> bool:
        return self.closed_after is not None

    def resume_reading(self) -> None:
        """Nothing to do."""


async def two_messages(_scope, _receive, send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
    await send({"type": "http.response.body", "body": b"whol", "more_body": False})


async def slow(_scope, _receive, send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
    await send({"type": "http.response.body", "body": b"wh", "more_body": True})
    await asyncio.sleep(0.01)
    await send({"type": "http.response.body", "body": b"ol", "more_body": False})


def answered(app, headers: bytes = b"") -> Recording:
    """What was written to a connection that asked once."""

    async def run() -> Recording:
        config = Config(app, lifespan="off")
        config.load()
        transport = Recording()
        protocol = WholeResponses(config, ServerState(), {}, asyncio.get_running_loop())
        protocol.connection_made(transport)
        protocol.data_received(b"GET / HTTP/1.1\r\nHost: a\r\n" + headers + b"\r\n")
        await asyncio.sleep(0.1)
        return transport

    return asyncio.run(run())


def test_headers_and_body_are_one_write():
    (response,) = answered(two_messages).written
    assert response.startswith(b"HTTP/1.1 200 OK\r\n")
    assert response.endswith(b"\r\n\r\nwhol")


def test_a_body_that_comes_later_is_written_when_it_comes():
    first, second = answered(slow).written
    assert (first[-2:], second) == (b"wh", b"ol")


@pytest.mark.parametrize("app", [two_messages, slow])
def test_everything_is_written_before_the_connection_is_closed(app):
    transport = answered(app, b"Connection: close\r\n")
    assert b"".join(transport.written).endswith(b"whol")
    assert transport.closed_after == len(transport.written)
