"""Dask schedulers and workers in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from energy_demand.jobs.fan_out.workers import WorkersError, workers_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def scheduler_at(
    port: int, *, worker: bool = True, imports: Path | None = None, **environment: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A scheduler, and a worker of it, as one starts them by hand."""
    address = f"tcp://127.0.0.1:{port}"
    dask = [sys.executable, "-m", "dask"]
    found = {**os.environ, **environment}
    if imports is not None:
        found["PYTHONPATH"] = str(imports)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": found}
    here = ["--host", "127.0.0.1", "--no-dashboard"]
    processes = [subprocess.Popen([*dask, "scheduler", "--port", str(port), *here], **quiet)]
    try:
        if worker:
            processes.append(subprocess.Popen([*dask, "worker", address, "--nthreads", "1", *here], **quiet))
        yield processes[0]
    finally:
        for process in reversed(processes):
            process.kill()
            process.wait()


def wait_for_worker(port: int) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            with workers_of(address=f"tcp://127.0.0.1:{port}"):
                return
        except WorkersError:
            time.sleep(0.2)
    pytest.fail("no worker joined")
