"""The dashboard as a process: started as a user would, ended with the test."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from typing import TYPE_CHECKING, Self

import httpx
from servers import COMMAND, free_port, wait_until

from energy_demand.config import Settings

if TYPE_CHECKING:
    from pathlib import Path


class Dashboard:
    """`energy-demand dashboard` on some settings, for the length of a `with` block."""

    def __init__(self, settings: Settings) -> None:
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self._settings = settings
        self._log: Path = settings.home / f"dashboard-{self.port}.log"
        self._process: subprocess.Popen[bytes] | None = None

    @staticmethod
    def variables(settings: Settings) -> dict[str, str]:
        """The environment that gives these settings."""
        given = {
            "ENERGY_DEMAND_HOME": settings.home,
            "ENERGY_DEMAND_NOW": settings.energy_demand_now,
            "DATABASE_URL": settings.database_url and settings.database_url.get_secret_value(),
            "MLFLOW_TRACKING_URI": settings.mlflow_tracking_uri,
        }
        return {name: str(value) for name, value in given.items() if value is not None}

    def __enter__(self) -> Self:
        known = {name.upper() for name in Settings.model_fields}
        outside = {name: value for name, value in os.environ.items() if name not in known}
        variables = {**outside, **self.variables(self._settings), "DASHBOARD_PORT": str(self.port)}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [COMMAND, "dashboard"], env=variables, stdout=log, stderr=log, start_new_session=True
            )
        wait_until(self._answers, seconds=60, what="the dashboard")
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(timeout=20)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def log(self) -> str:
        """What it wrote."""
        return self._log.read_text()

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log()[-3000:]
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(f"{self.address}/_stcore/health").status_code == 200
        return False
