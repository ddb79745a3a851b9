"""Takes the pictures of docs/images: each page of the dashboard on the demo's data, and MLflow's runs.

    .venv/bin/energy-demand demo && .venv/bin/python benchmarks/screenshots.py

Needs Debian's chromium. The data is synthetic, and the pages say so.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from browsers import browser, settled
from dashboard.menu import TITLES
from energy_demand.config import default_home
from energy_demand.demo import PRESENT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

COMMANDS = Path(sys.executable).parent
IMAGES = Path(__file__).parents[1] / "docs" / "images"
SIZE = {"width": 1280, "height": 900}
MOST_PIXELS = 2600  # of a page's height
DASHBOARD, MLFLOW = 8591, 8592


def main() -> None:
    """Start what is pictured, take the pictures, end it."""
    home = default_home().with_name(default_home().name + "-demo")
    IMAGES.mkdir(parents=True, exist_ok=True)
    settings = {
        "ENERGY_DEMAND_HOME": str(home),
        "ENERGY_DEMAND_NOW": PRESENT.isoformat(),
        "DASHBOARD_PORT": str(DASHBOARD),
    }
    store = f"sqlite:///{home / 'mlflow' / 'mlflow.db'}"
    runs = [COMMANDS / "mlflow", "ui", "--backend-store-uri", store, "--port", str(MLFLOW)]
    with (
        _running(
            [COMMANDS / "energy-demand", "dashboard"],
            f"http://127.0.0.1:{DASHBOARD}/_stcore/health",
            settings,
        ),
        _running(runs, f"http://127.0.0.1:{MLFLOW}/health", {}),
        browser() as chromium,
    ):
        for name in TITLES.keys() - {"weather_normalised"}:  # needs three years of weather, the demo has one
            _page(chromium, name)
        _evidently(chromium, home / "reports" / "latest_drift.html")
        _mlflow(chromium)


def _page(chromium: Browser, name: str) -> None:
    page = chromium.new_page(viewport=SIZE)
    page.goto(f"http://127.0.0.1:{DASHBOARD}/{'' if name == 'overview' else name}")
    settled(page)
    height = page.eval_on_selector("[data-testid=stMain]", "node => node.scrollHeight")
    page.set_viewport_size({"width": SIZE["width"], "height": min(height, MOST_PIXELS)})
    settled(page, pause=1000)
    page.screenshot(path=IMAGES / f"{name}.png")
    page.close()


def _evidently(chromium: Browser, report: Path) -> None:
    page = chromium.new_page(viewport=SIZE)
    page.goto(report.as_uri())
    page.get_by_text("Dataset Drift").first.wait_for()
    page.wait_for_timeout(2000)
    page.screenshot(path=IMAGES / "evidently.png")
    page.close()


def _mlflow(chromium: Browser) -> None:
    page = chromium.new_page(viewport=SIZE)
    page.goto(f"http://127.0.0.1:{MLFLOW}/#/models/energy-demand-lgbm")
    page.get_by_text("Version 1").first.wait_for(timeout=60_000)
    page.wait_for_timeout(2000)
    page.screenshot(path=IMAGES / "mlflow.png")
    page.close()


@contextmanager
def _running(command: list[Path | str], health: str, settings: dict[str, str]) -> Iterator[None]:
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    process = subprocess.Popen(
        command, env={**os.environ, **quiet, **settings}, stdout=subprocess.DEVNULL, start_new_session=True
    )
    try:
        for _ in range(240):
            try:
                if httpx.get(health).status_code == 200:
                    break
            except httpx.HTTPError:
                time.sleep(0.5)
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


if __name__ == "__main__":
    main()
