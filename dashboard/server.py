"""Starts Streamlit for `energy-demand dashboard`.

Streamlit runs in this process, so that slow modules are loaded once, before the first visit.
"""

from __future__ import annotations

import contextlib
import importlib
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from energy_demand.config import prepare_dashboard
from energy_demand.errors import UserError

if TYPE_CHECKING:
    from energy_demand.config import Settings

APP = Path(__file__).with_name("app.py")
SLOW_TO_LOAD = (
    "mlflow",
    "energy_demand.jobs.forecast",
    "energy_demand.registry.run_history",
    "energy_demand.monitoring.performance_monitor",
    "streamlit.elements.plotly_chart",
)


def run(settings: Settings) -> None:
    """Serve the dashboard until SIGINT or SIGTERM; Streamlit prints its address.

    Raises:
        UserError: the port is taken.
    """
    prepare_dashboard(settings)
    _check_port(settings.dashboard_host, settings.dashboard_port)
    _load()
    threading.Thread(target=_warm_up, args=(settings,), name="warm-up", daemon=True).start()
    # After the environment is set.
    from streamlit.runtime.pages_manager import PagesManager  # noqa: PLC0415
    from streamlit.web import cli  # noqa: PLC0415

    # As `st.navigation` sets it; until its first call, opening a page's address would run only that page.
    PagesManager.uses_pages_directory = False
    flags = {
        "server.address": settings.dashboard_host,
        "server.port": settings.dashboard_port,
        "server.headless": "true",
        "server.fileWatcherType": "none",
        "server.showEmailPrompt": "false",
        "browser.gatherUsageStats": "false",
        "client.showErrorDetails": "none",
        "client.toolbarMode": "minimal",
    }
    cli.main(["run", str(APP), *(f"--{name}={value}" for name, value in flags.items())])


def _load() -> None:
    """Load what the first visit would wait for; Plotly loads half of itself with the first figures."""
    for name in SLOW_TO_LOAD:
        importlib.import_module(name)
    figures = importlib.import_module("dashboard.figures")
    figures.error_by_lead(pd.DataFrame({"lead_hours": [1], "mape": [1.0], "known": [1]})).to_json()
    figures.importance({"nothing": 1.0}, "").to_json()


def _warm_up(settings: Settings) -> None:
    """Open MLflow's store and load the champion once, before the first visit; pages report failures."""
    from energy_demand.registry.registry import Registry  # noqa: PLC0415

    with contextlib.suppress(UserError):
        Registry(settings).champion()


def _check_port(host: str, port: int) -> None:
    try:
        with socket.create_server((host, port)):
            pass
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(
            f"cannot listen on {host}:{port}: {reason}; free the port, or change DASHBOARD_PORT or "
            "DASHBOARD_HOST"
        ) from error
