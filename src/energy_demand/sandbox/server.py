"""Runs the sandbox: in the foreground for the command, in a thread for the demo and tests."""

from __future__ import annotations

import signal
import socket
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import uvicorn

from energy_demand.sandbox.app import create_app, present_of
from energy_demand.sandbox.errors import SandboxError, SandboxPortError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from types import FrameType

    from starlette.types import ASGIApp

    from energy_demand.sandbox.strictness import Strictness
    from energy_demand.sandbox.worlds.world import World

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_STOP_SECONDS = 2
_LABELS = {"recorded": "recorded data", "synthetic": "synthetic data (not real)"}


def run(
    world: World,
    *,
    host: str = "127.0.0.1",
    port: int = 8090,
    now: datetime | None,
    require_key: str | None = None,
    archive_delay_days: int = 5,
    strict: Strictness | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM; prints one line on standard output when it listens.

    Args:
        world: The data to serve.
        host: The address to listen on.
        port: The port; 0 picks a free one, which the printed line names.
        now: The present; None is the end of the record, or the clock.
        require_key: The only `api_key` EIA's routes accept.
        archive_delay_days: Days by which the weather archive lags.
        strict: Which limits, gaps and revisions of the real upstreams it has; None is none of them.

    Raises:
        SandboxPortError: The address is taken or not ours.
    """
    app = create_app(
        world, now=now, require_key=require_key, archive_delay_days=archive_delay_days, strict=strict
    )
    with _listen(host, port) as listener:
        server = _server(app)
        with _stopping(server):
            until = present_of(world, now)()
            where = f"http://{host}:{listener.getsockname()[1]}"
            sys.stdout.write(f"sandbox: {_LABELS[world.kind]} up to {until:%Y-%m-%dT%H:%MZ} on {where}\n")
            sys.stdout.flush()
            server.run(sockets=[listener])


@contextmanager
def serving(app: ASGIApp, port: int = 0) -> Iterator[str]:
    """Run `app` in a thread for the length of a `with` block; yields its base URL, without a slash.

    Raises:
        SandboxPortError: The port is taken.
    """
    with _listen("127.0.0.1", port) as listener:
        server = _server(app)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="sandbox")
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(timeout=_STOP_SECONDS + 5)
        if thread.is_alive():
            raise SandboxError("the sandbox's thread did not stop")


def _server(app: ASGIApp) -> uvicorn.Server:
    return uvicorn.Server(
        uvicorn.Config(
            app,
            log_config=None,
            log_level="warning",
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=_STOP_SECONDS,
        )
    )


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket: from here on connections wait for the server, none is refused."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
        family, kind, protocol, _, address = found[0]
        # asyncio turns Nagle's delay (40 ms an answer) off only where the protocol is named.
        listener = socket.socket(family, kind, protocol)
    except (OSError, OverflowError) as error:
        raise _port_error(host, port, error) from error
    try:
        # A restart need not wait for old connections; a port in use still fails.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(128)
    except (OSError, OverflowError) as error:
        listener.close()
        raise _port_error(host, port, error) from error
    return listener


def _port_error(host: str, port: int, error: Exception) -> SandboxPortError:
    return SandboxPortError(host, port, getattr(error, "strerror", None) or str(error))


@contextmanager
def _stopping(server: uvicorn.Server) -> Iterator[None]:
    """Stop quietly on a signal: uvicorn raises it again after its own shutdown, which is caught here."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        server.should_exit = True

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {name: signal.signal(name, stop) for name in _STOP_SIGNALS}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
