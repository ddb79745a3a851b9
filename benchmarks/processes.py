"""Servers that a benchmark measures, as processes of their own."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from collections.abc import Iterator

BIN = Path(sys.executable).parent
START_SECONDS = 90.0


def service(workers: int = 1) -> list[str]:
    """The command of a service."""
    return [str(BIN / "energy-demand"), "serve", "--workers", str(workers)]


@contextlib.contextmanager
def started(
    command: list[str], environment: dict[str, str], log: Path, *, path: str = "/health"
) -> Iterator[int]:
    """The port of a server, once it answers."""
    with launched(command, environment, log, path=path) as (port, _):
        yield port


@contextlib.contextmanager
def launched(
    command: list[str], environment: dict[str, str], log: Path, *, path: str = "/health"
) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """The same with its process, which leads a group of its own."""
    port = free_port()
    home = environment["ENERGY_DEMAND_HOME"]
    settings = {
        "API_PORT": str(port),
        "PROMETHEUS_PORT": str(free_port()),
        "MLFLOW_TRACKING_URI": f"sqlite:///{home}/mlflow/mlflow.db",
        "PATH": f"{BIN}{os.pathsep}{environment['PATH']}",
    }
    if command[0].endswith("energy-demand"):
        del settings["MLFLOW_TRACKING_URI"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [part.format(port=port) for part in command],
            env={**environment, **settings},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_for(port, path, process, log)
        yield port, process
    finally:
        process.terminate()
        try:
            process.wait(timeout=30)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, 9)


def until_ready(port: int) -> None:
    """Wait for a service to have its champion."""
    deadline = time.monotonic() + START_SECONDS
    while httpx.get(f"http://127.0.0.1:{port}/ready").status_code != 200:
        if time.monotonic() > deadline:
            sys.exit("the service did not load a champion; is one trained in --home?")
        time.sleep(0.2)


def wait_for(port: int, path: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait for an answer of a process; ends with the end of its log if none comes."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(f"http://127.0.0.1:{port}{path}").status_code == 200:
                return
        time.sleep(0.2)
    sys.exit(f"{process.args} did not start:\n{log.read_text()[-2000:]}")


def trained(stack: contextlib.ExitStack, logs: Path) -> Path:
    """A home with a champion: the demo's, trained on synthetic data."""
    home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    home.chmod(0o755)
    environment = {**os.environ, "ENERGY_DEMAND_HOME": str(home / "home")}
    with (logs / "demo").open("wb") as output:
        subprocess.run(
            [str(BIN / "energy-demand"), "demo"], env=environment, stdout=output, stderr=output, check=True
        )
    trained = home / "home-demo"
    stop = [str(BIN / "energy-demand"), "db", "stop"]
    stack.callback(subprocess.run, stop, env={**os.environ, "ENERGY_DEMAND_HOME": str(trained)}, check=False)
    return trained


def free_port() -> int:
    """A port that is free now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
