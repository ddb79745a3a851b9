"""How events read: titles, figures in local time, links, runbooks that are there."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from energy_demand.notification_settings import Kind
from energy_demand.notifications.events import (
    DriftFound,
    ForecastReady,
    JobFailed,
    PeakExpected,
    Promoted,
    RolledBack,
    SourceAway,
)
from energy_demand.notifications.messages import Place, message, recovery, trial

ROOT = Path(__file__).parents[2]
AT = datetime(2025, 7, 31, 13, tzinfo=UTC)
PLACE = Place("NY", ZoneInfo("America/New_York"))
FORECAST = ForecastReady(
    day=date(2025, 8, 1),
    peak_period=datetime(2025, 8, 1, 22, tzinfo=UTC),
    peak_mwh=27431.4,
    lower_mwh=26800.0,
    upper_mwh=28100.0,
    energy_mwh=512_345.0,
    quality="champion",
)
PEAK = PeakExpected(
    day=date(2025, 8, 1),
    peak_period=datetime(2025, 8, 1, 22, tzinfo=UTC),
    peak_mwh=30_000.0,
    lower_mwh=29_000.0,
    upper_mwh=31_000.0,
    reason="above this year's highest hour so far (29,500 MW)",
    probability=0.42,
)
EVENTS = {
    "forecast": FORECAST,
    "peak": PEAK,
    "drift": DriftFound(AT, 0.42, "drift share 0.42 (limit 0.30)"),
    "promotion": Promoted(7, "3", AT, "better than the champion"),
    "rollback": RolledBack(7, "3", AT, "by hand"),
    "source": SourceAway(
        "EIA", {"eia_daily": "HTTP 503", "eia": "no answer\nin 60 s (requested http://h/?a[0]=b)"}, AT
    ),
    "forecast job": JobFailed("FORECAST", AT, "no model serves yet"),
    "retraining": JobFailed("RETRAIN", AT, "x" * 9000),
    "drift check": JobFailed("DRIFT_CHECK", AT, "no demand"),
}


def test_the_morning_s_forecast_has_peak_interval_and_energy_in_local_time():
    sent = message(FORECAST, PLACE)
    assert sent.title == "NY: forecast for Fri 1 Aug 2025"
    assert sent.body.splitlines() == [
        "Peak 27,431 MW between 17:00 and 18:00 (80 % interval 26,800 to 28,100 MW).",
        "Energy of the day 512.3 GWh.",
        "Runbook: docs/notifications.md#forecast",
    ]


def test_a_fallback_s_forecast_says_so_and_is_another_cause():
    poor = replace(FORECAST, quality="last_week")
    assert "a fallback did (last_week)" in message(poor, PLACE).body
    assert poor.dedup_key != FORECAST.dedup_key


def test_a_peak_day_says_why_and_how_likely():
    assert "29,500 MW). Probability 42%." in message(PEAK, PLACE).body
    assert "Probability" not in message(replace(PEAK, probability=None), PLACE).body


def test_a_source_that_is_away_has_a_line_for_each_part_of_it():
    lines = message(EVENTS["source"], PLACE).body.splitlines()
    assert lines[:2] == ["eia: No answer in 60 s.", "eia_daily: HTTP 503."]
    assert "Thu 31 Jul 2025 09:00 EDT" in lines[2]
    assert "never" in message(SourceAway("EIA", {"eia": "x"}, None), PLACE).body


def test_the_dashboard_is_linked_where_its_address_is_set_at_the_page_and_region():
    linked = replace(PLACE, dashboard="https://grid.example/")
    assert "Dashboard: https://grid.example/\n" in message(FORECAST, linked).body
    several = replace(linked, several=True)
    body = message(EVENTS["drift"], several).body
    assert "Dashboard: https://grid.example/drift_monitor?region=NY\n" in body


@pytest.mark.parametrize("kind", ["recorded", "synthetic"])
def test_data_that_is_not_live_is_said_to_be(kind):
    assert f"{kind.capitalize()} data." in message(FORECAST, replace(PLACE, data=kind)).body


@pytest.mark.parametrize("name", EVENTS)
def test_every_message_is_short_and_has_a_runbook_that_is_there(name):
    sent = message(EVENTS[name], PLACE)
    assert sent.title.startswith("NY: ")
    assert len(sent.body) < 600
    (page, anchor) = re.search(r"^Runbook: (\S+?)(?:#(\S+))?$", sent.body, re.MULTILINE).groups()
    headings = re.findall(r"^#+ (.+)$", (ROOT / page).read_text(), re.MULTILINE)
    assert anchor in {heading.lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", ["drift_monitor", "training_history"])
def test_the_pages_that_are_linked_are_there(page):
    assert (ROOT / "dashboard/pages" / f"{page}.py").is_file()


def test_only_a_forecast_that_failed_is_urgent():
    assert [name for name, event in EVENTS.items() if event.urgent] == ["forecast job"]


def test_an_end_says_since_when_and_a_trial_what_it_is():
    over = recovery("EIA can be read again", Kind.SOURCE, AT, AT.replace(hour=19), PLACE)
    assert over.title == "NY: EIA can be read again"
    assert "09:00 EDT" in over.body
    assert "15:00 EDT" in over.body
    assert trial(PLACE, 2).title == "NY: trial message"
