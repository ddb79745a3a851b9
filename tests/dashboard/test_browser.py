"""The dashboard in a real browser, on a real database: it opens, reacts, gives its rows away, can be read."""

from __future__ import annotations

import csv
import re
from typing import TYPE_CHECKING

import pytest
from axe_playwright_python.sync_playwright import Axe

from browsers import browser, chromium_path, settled
from dashboard.menu import TITLES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dashboards import Dashboard
    from playwright.sync_api import Browser, Page

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(chromium_path() is None, reason="Debian's chromium is not installed"),
]

WIDE, NARROW = (1280, 900), (390, 844)
# Streamlit looks for itself below a page's address first, and the browser says that it was not there.
OWN_PROBES = re.compile(r"/\w+/_stcore/(health|host-config)$")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as opened:
        yield opened


def plots(name: str) -> int:
    """How many plots a page has at least; one needs three years of weather, which are not here."""
    return 0 if name == "weather_normalised" else 1


class Visit:
    """A browser tab that notes what went wrong."""

    def __init__(self, chromium: Browser, dashboard: Dashboard, size: tuple[int, int], scheme: str = "light"):
        self._address = dashboard.address
        self._context = chromium.new_context(
            viewport={"width": size[0], "height": size[1]}, color_scheme=scheme, accept_downloads=True
        )
        self.page: Page = self._context.new_page()
        self.troubles: list[str] = []
        self.page.on("pageerror", lambda error: self.troubles.append(str(error)))
        self.page.on("response", self._note)
        self.page.on("request", self._note_foreign)
        self.page.on("console", self._note_console)

    def open(self, name: str) -> Page:
        self.page.goto(f"{self._address}/{'' if name == 'overview' else name}")
        settled(self.page, least=plots(name))
        return self.page

    def close(self) -> None:
        self._context.close()

    def _note(self, response) -> None:
        if response.status >= 400 and not OWN_PROBES.search(response.url):
            self.troubles.append(f"{response.status} {response.url}")

    def _note_foreign(self, request) -> None:
        if not request.url.startswith((self._address, "data:", "blob:", "about:")):
            self.troubles.append(f"asks {request.url}")

    def _note_console(self, message) -> None:
        if message.type == "error" and not OWN_PROBES.search(message.location.get("url", "")):
            self.troubles.append(message.text)


@pytest.fixture
def visit(chromium, served) -> Iterator:
    visits: list[Visit] = []

    def begin(size: tuple[int, int] = WIDE, scheme: str = "light") -> Visit:
        visits.append(Visit(chromium, served, size, scheme))
        return visits[-1]

    yield begin
    for each in visits:
        each.close()


def figures(page: Page) -> list[str]:
    """What every plot draws, as text that changes with it."""
    return page.eval_on_selector_all(
        ".js-plotly-plot",
        "plots => plots.map(plot => JSON.stringify(plot.data.map(each => [each.x, each.y, each.z])))",
    )


def rows_of(visit: Visit, button: str, folder: Path) -> list[dict[str, str]]:
    with visit.page.expect_download() as started:
        visit.page.get_by_role("button", name=re.compile(button)).first.click()
    path = folder / started.value.suggested_filename
    started.value.save_as(path)
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["at 1280 pixels", "at 390 pixels"])
def test_the_first_screen_is_accessible(size, scheme, visit):
    """By axe-core: contrast as WCAG AA asks for it, names of controls, order of headings, landmarks."""
    page = visit(size, scheme).open("overview")
    page.get_by_text("What drives tomorrow").wait_for()
    found = Axe().run(page).response["violations"]
    assert [(each["id"], each["nodes"][0]["html"][:200]) for each in found] == []


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["at 1280 pixels", "at 390 pixels"])
@pytest.mark.parametrize("name", list(TITLES))
def test_every_page_opens_without_an_error_and_fits(name, size, visit):
    tab = visit(size)
    page = tab.open(name)
    assert tab.troubles == []
    assert page.locator("[data-testid=stException]").count() == 0
    assert "Weather data by Open-Meteo.com" in page.inner_text("body")
    assert page.locator(".js-plotly-plot").count() >= plots(name)
    main = page.locator("[data-testid=stMain]")
    assert main.evaluate("node => node.scrollWidth <= node.clientWidth"), "it scrolls sideways"
    # Values that do not fit end in an ellipsis.
    cut = page.eval_on_selector_all(
        "[data-testid=stMetricValue] *",
        "nodes => nodes.filter(node => node.scrollWidth > node.clientWidth + 1).length",
    )
    assert cut == 0


def test_the_menu_leads_to_every_page(visit):
    tab = visit()
    page = tab.open("overview")
    for name, (title, _) in list(TITLES.items())[1:]:
        page.get_by_role("link", name=title).first.click()
        page.get_by_role("heading", name=title).wait_for()
        settled(page, least=plots(name))
    assert tab.troubles == []


def test_dark_is_dark_and_light_is_light(visit):
    def paper(scheme: str) -> int:
        page = visit(WIDE, scheme).open("overview")
        colour = page.eval_on_selector(
            "[data-testid=stApp]", "node => getComputedStyle(node).backgroundColor"
        )
        return sum(map(int, re.findall(r"\d+", colour)[:3]))

    assert paper("dark") < 150 < 600 < paper("light")


def test_filters_change_the_plots(visit):
    tab = visit()
    page = tab.open("model_performance")
    before = figures(page)
    assert len(before) == 3
    slider = page.get_by_role("slider").first
    slider.focus()
    for _ in range(8):
        slider.press("ArrowRight")
    settled(page)
    after = figures(page)
    assert len(after) == 3
    assert [one == other for one, other in zip(before, after, strict=True)] == [False] * 3
    assert tab.troubles == []


def test_every_view_of_the_model_has_its_plots(visit):
    tab = visit()
    page = tab.open("model_performance")
    for view, plots in (("By hour and lead", 2), ("Calibration", 2), ("Over time", 3)):
        page.get_by_role("radio", name=view).click()
        settled(page)
        assert page.locator(".js-plotly-plot").count() == plots
    assert tab.troubles == []


def test_a_shorter_span_of_days_is_kept_in_the_address(visit):
    tab = visit()
    page = tab.open("model_performance?days=2025-03-01&days=2025-03-05")
    hours = page.get_by_role("button", name=re.compile("These hours as CSV"))
    assert "(120 rows)" in hours.inner_text()


def test_downloads_have_the_rows_that_are_shown(visit, tmp_path):
    tab = visit()
    page = tab.open("model_performance")
    rows = rows_of(tab, "These hours as CSV", tmp_path)
    shown = page.get_by_role("button", name=re.compile("These hours as CSV")).inner_text()
    assert f"({len(rows):,} rows)" in shown
    assert rows[0]["period_utc"] == "2025-02-12T06:00:00Z"
    assert rows[0]["start_local"] == "2025-02-12T00:00:00-05:00"
    assert rows[-1]["start_local"] == "2025-03-13T23:00:00-04:00"
    curve = page.evaluate(
        "[...document.querySelectorAll('.js-plotly-plot')][0].data.find(each => each.name === 'forecast').y"
    )
    drawn = curve if isinstance(curve, list) else list(curve.values())
    drawn = [value for value in drawn if isinstance(value, (int, float))]
    assert len(drawn) == len(rows)
    tab.open("overview")
    assert len(rows_of(tab, "Forecast as CSV", tmp_path)) == 24
    tab.open("drift_monitor")
    assert len(rows_of(tab, "These checks as CSV", tmp_path)) == 14
    tab.open("training_history")
    assert [row["version"] for row in rows_of(tab, "These runs as CSV", tmp_path)] == ["2", "1"]
    tab.open("feature_importance")
    assert len(rows_of(tab, "These values as CSV", tmp_path)) == 21


def test_the_evidently_report_is_a_link_away(visit):
    tab = visit()
    page = tab.open("overview")
    page.get_by_role("link", name="Evidently report").click()
    page.get_by_role("heading", name="Drift Monitor").wait_for()
    settled(page)
    frame = page.frame_locator("iframe").first
    frame.get_by_text("Dataset Drift").first.wait_for(timeout=20_000)


def test_another_hour_gets_another_explanation(visit):
    tab = visit()
    page = tab.open("feature_importance")
    before = figures(page)
    hour = page.get_by_role("combobox", name=re.compile("Hour"))
    hour.click()
    for key in ("ArrowDown", "ArrowDown", "Enter"):
        hour.press(key)
    settled(page)
    after = figures(page)
    assert before[:2] == after[:2]
    assert before[2] != after[2]
    assert before[3] != after[3]
    assert tab.troubles == []
