"""Real serving processes for tests: started as a user would, stopped, killed, looked at."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from energy_demand.config import Settings
from energy_demand.data.ingestion.ingest import backfill_span, ingest
from energy_demand.database.engine import opened
from support import PRESENT, make_settings

if TYPE_CHECKING:
    from collections.abc import Callable

COMMAND = Path(sys.executable).with_name("energy-demand")
START_SECONDS = 180.0


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_until(true: Callable[[], bool], *, seconds: float = 60.0, what: str = "it") -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"{what} did not come about in {seconds} s"
        time.sleep(0.05)


def fill(database_url: str, upstream: str, home: Path) -> None:
    """Ingest the last ten weeks of the synthetic world."""
    settings = make_settings(database_url=database_url, sandbox_url=upstream, energy_demand_home=home)
    with opened(settings) as database:
        span = backfill_span(settings, date(2025, 1, 2), date(2025, 3, 12), PRESENT)
        ingest(database, settings, span, PRESENT, lambda *_: None)


class Server:
    """`energy-demand serve` with settings of its own, as a process group that nothing of outlives a test."""

    def __init__(self, home: Path, database_url: str, **settings: object) -> None:
        self.port, self.metrics_port = free_port(), free_port()
        self.home = home
        self.settings = {
            "ENERGY_DEMAND_HOME": home,
            "DATABASE_URL": database_url,
            "ENERGY_DEMAND_NOW": PRESENT.isoformat(),
            "API_PORT": self.port,
            "PROMETHEUS_PORT": self.metrics_port,
            "MODEL_WATCH_SECONDS": 1,
            **{name.upper(): value for name, value in settings.items()},
        }
        self._log_path = home / f"serve-{self.port}.log"
        self.process: subprocess.Popen[bytes] | None = None
        headers = {"X-API-Key": str(settings["api_key"])} if "api_key" in settings else {}
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", headers=headers, timeout=30)

    def start(self, *, ready: bool = True) -> Server:
        known = {name.upper() for name in Settings.model_fields}
        # MLflow leaves an address in the environment, and a fixture of a file comes before it is cleared.
        outside = {name: value for name, value in os.environ.items() if name not in known}
        environment = {**outside, **{name: str(value) for name, value in self.settings.items()}}
        self.home.mkdir(parents=True, exist_ok=True)
        with self._log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [COMMAND, "serve"], env=environment, stdout=log, stderr=log, start_new_session=True
            )
        path = "/ready" if ready else "/health"
        wait_until(lambda: self._answers(path), seconds=START_SECONDS, what=f"{path} of {self.log()[-1500:]}")
        return self

    def stop(self, how: int = signal.SIGTERM, *, seconds: float = 40.0) -> int:
        """Signal the parent (with SIGKILL the whole group) and wait; the exit status."""
        assert self.process is not None
        if self.process.poll() is None:
            (os.killpg if how == signal.SIGKILL else os.kill)(self.process.pid, how)
        try:
            return self.process.wait(timeout=seconds)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)

    def log(self) -> str:
        return self._log_path.read_text() if self._log_path.exists() else ""

    def log_lines(self) -> list[dict[str, Any]]:
        """The JSON lines of the workers' logs."""
        return [json.loads(line) for line in self.log().splitlines() if line.startswith("{")]

    def metrics(self) -> str:
        return httpx.get(f"http://127.0.0.1:{self.metrics_port}/metrics").text

    def metric(self, name: str) -> dict[str, float]:
        """Value by label text of one metric, such as `{'route="/predict"': 3.0}`."""
        found = {}
        for line in self.metrics().splitlines():
            series, _, value = line.rpartition(" ")
            bare, _, labels = series.partition("{")
            if bare == name:
                found[labels.rstrip("}")] = float(value)
        return found

    def workers(self) -> list[int]:
        """Process ids of the workers that export a version."""
        return [int(label.split('"')[1]) for label in self.metric("model_version")]

    def _answers(self, path: str) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log()[-3000:]
        with contextlib.suppress(httpx.HTTPError):
            return self.client.get(path).status_code == 200
        return False
