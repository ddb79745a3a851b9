"""Debian's Chromium, driven by Playwright; and when a page of Streamlit is done."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from playwright.sync_api import sync_playwright

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

PATIENCE = 30_000  # milliseconds


def chromium_path() -> str | None:
    """Where the browser is, or None."""
    return shutil.which("chromium")


@contextmanager
def browser() -> Iterator[Browser]:
    """A browser for the length of a `with` block."""
    with sync_playwright() as playwright:
        # Without a sandbox: Chromium has none for root, which CI and containers are.
        opened = playwright.chromium.launch(executable_path=chromium_path(), args=["--no-sandbox"])
        try:
            yield opened
        finally:
            opened.close()


def settled(page: Page, *, pause: int = 300, least: int = 1) -> None:
    """Wait until the script has ended and every plot is drawn.

    With a `pause` (milliseconds) before: a change is sent a moment after the key that made it. `least` plots
    are waited for.
    """
    page.get_by_text("Weather data by").wait_for(timeout=PATIENCE)
    page.wait_for_timeout(pause)
    page.wait_for_function(
        """least => {
            const app = document.querySelector('[data-testid=stApp]');
            const plots = [...document.querySelectorAll('[data-testid=stPlotlyChart]')];
            return app.dataset.testScriptState === 'notRunning'
                && plots.length >= least
                && !document.querySelector('[data-testid=stSkeleton]')
                && plots.every(plot => plot.querySelector('.js-plotly-plot .main-svg'));
        }""",
        arg=least,
        timeout=PATIENCE,
    )
