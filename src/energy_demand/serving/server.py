"""Runs the service: worker processes under one parent, which serves their metrics.

The parent binds both ports before anything starts, restarts workers that die, and passes SIGTERM on; a worker
then answers its accepted requests and writes its log before it ends. A worker whose parent has died ends.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from energy_demand.config import Settings, prepare_serving
from energy_demand.errors import UserError
from energy_demand.logs import configure_json_logging
from energy_demand.openmp import check_library
from energy_demand.outputs import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastapi import FastAPI

DRAIN_SECONDS = 20
BACKLOG = 1024
KEEP_ALIVE_SECONDS = 60
# Loading MLflow or a model can keep a worker from answering its parent for a while.
HEALTH_CHECK_SECONDS = 60
PARENT_LOOK_SECONDS = 1.0
# The logging threads yield to the event loop after one millisecond instead of Python's five.
SWITCH_SECONDS = 0.001

_log = logging.getLogger(__name__)


class PortError(UserError, OSError):
    """A port cannot be listened on."""


def run(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM; print one line on standard output once the port is open.

    Raises:
        PortError: a port is taken or not permitted.
        LibraryMissingError: LightGBM cannot be loaded; a worker would end at once, again and again.
    """
    check_library()
    with (
        _metrics_folder(settings.home) as folder,
        _listening(settings.api_host, settings.api_port) as api,
    ):
        prepare_serving(folder)
        # Imported here, because these imports read the environment set above.
        from uvicorn import Config  # noqa: PLC0415

        from energy_demand.serving.whole_responses import WholeResponses  # noqa: PLC0415
        from energy_demand.serving.workers import Workers  # noqa: PLC0415

        config = Config(
            partial(worker, settings, os.getpid()),
            factory=True,
            workers=settings.api_workers,
            loop="uvloop",
            http=WholeResponses,
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=DRAIN_SECONDS,
            timeout_worker_healthcheck=HEALTH_CHECK_SECONDS,
        )
        with _metrics(settings, folder):
            sys.stdout.write(
                f"serving on {_address(api)}, metrics on port {settings.prometheus_port}, "
                f"{settings.api_workers} worker{'s' if settings.api_workers > 1 else ''}\n"
            )
            sys.stdout.flush()
            Workers(config, sockets=[api]).run()


def worker(settings: Settings, parent: int) -> FastAPI:
    """The application of one worker process, with its logs set up; ends with its parent."""
    configure_json_logging()
    sys.setswitchinterval(SWITCH_SECONDS)
    from energy_demand.serving.app import create_app  # noqa: PLC0415

    threading.Thread(target=_end_with, args=(parent,), name="parent-watch", daemon=True).start()
    return create_app(settings)


def _end_with(parent: int) -> None:
    pause = threading.Event()
    while os.getppid() == parent:
        pause.wait(PARENT_LOOK_SECONDS)
    _log.error("the parent process has died; this worker ends")
    os.kill(os.getpid(), signal.SIGTERM)


@contextmanager
def _metrics_folder(home: Path) -> Iterator[Path]:
    """A folder of this run in the home, since the system's folder for such files is cleaned after days."""
    base = home / "metrics"
    try:
        base.mkdir(parents=True, exist_ok=True)
        for left in base.glob("run-*"):  # by a parent that was killed
            if not _in_use(left):
                shutil.rmtree(left, ignore_errors=True)
        folder = Path(tempfile.mkdtemp(prefix=f"run-{os.getpid()}-", dir=base))
    except OSError as error:
        raise OutputError(
            f"{base} cannot be written ({error.strerror or error}); make it writable, or set "
            "ENERGY_DEMAND_HOME to another folder"
        ) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _in_use(folder: Path) -> bool:
    process = int(folder.name.split("-")[1])
    if process == os.getpid():  # in a container each run has the same number
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@contextmanager
def _metrics(settings: Settings, folder: Path) -> Iterator[None]:
    from energy_demand.serving.metrics_server import serving_metrics  # noqa: PLC0415

    try:
        with serving_metrics(settings, folder):
            yield
    except OSError as error:
        raise _port_error(settings.api_host, settings.prometheus_port, "PROMETHEUS_PORT", error) from error


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    """A listening socket: from now on connections wait for a worker, and none is refused."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
        family, kind, protocol, _, address = found[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(BACKLOG)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise _port_error(host, port, "API_PORT", error) from error
    listener.set_inheritable(True)
    with contextlib.closing(listener):
        yield listener


def _port_error(host: str, port: int, variable: str, error: OSError) -> PortError:
    reason = error.strerror or str(error)
    return PortError(
        f"cannot listen on {host}:{port}: {reason}; free the port, or change {variable} or API_HOST"
    )


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
