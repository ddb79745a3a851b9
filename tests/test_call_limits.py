"""Calls by weight: what fits into a minute, an hour and a day, and until when is waited."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx
import pytest

from energy_demand.call_limits import CallBudget, CallLimits, DailyLimitError, Timing, Window
from energy_demand.data.ingestion.ingest import backfill_span, ingest
from energy_demand.data.weather_client import WeatherClient
from energy_demand.sandbox.app import create_app
from energy_demand.sandbox.open_meteo.limits import Limits
from energy_demand.sandbox.server import serving
from energy_demand.sandbox.strictness import Strictness
from energy_demand.sandbox.worlds.synthetic import SyntheticWorld
from support import PRESENT, make_settings

START = datetime(2025, 3, 12, 13, 0, 30, tzinfo=UTC)


class Clock:
    """A clock that goes on where somebody waits."""

    def __init__(self, start: datetime = START) -> None:
        self.time = start

    def now(self) -> datetime:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def budget(clock):
    return lambda **limits: CallBudget("a source", CallLimits(**limits), Timing(clock.now, clock.sleep))


def test_calls_wait_for_the_minute_of_the_clock_that_has_room(budget, clock):
    calls = budget(minute=600)
    for _ in range(125):
        calls.reserve(4.8)  # 600 in all, though the sum of the fractions is a little more
    assert clock.time == START
    calls.reserve(4.8)
    assert clock.time == datetime(2025, 3, 12, 13, 1, 1, tzinfo=UTC)


def test_calls_wait_for_the_next_hour_and_stop_at_the_end_of_a_day(budget, clock):
    calls = budget(hour=10, day=20)
    for _ in range(20):
        calls.reserve(1)
    assert clock.time == datetime(2025, 3, 12, 14, 0, 1, tzinfo=UTC)
    with pytest.raises(DailyLimitError, match="go on after 2025-03-13 00:00 UTC"):
        calls.reserve(1)


def test_what_was_given_back_is_free_again(budget, clock):
    calls = budget(minute=10)
    counted_at = calls.reserve(10)
    calls.give_back(9, counted_at)
    calls.reserve(9)
    assert clock.time == START
    calls.reserve(1)
    assert clock.time > START


def test_nothing_is_given_back_to_a_window_that_began_later(budget, clock):
    calls = budget(minute=10)
    counted_at = calls.reserve(10)
    calls.reserve(10)
    in_the_second = clock.time
    calls.give_back(9, counted_at)
    calls.reserve(1)
    assert Window.MINUTE.start(clock.time) > Window.MINUTE.start(in_the_second)


@pytest.fixture
def limited(processes, clock):
    """A sandbox that takes 50 weighted calls a minute of this clock, and what it counted."""
    strict = Strictness.none(limits=Limits(minute=50))
    app = create_app(SyntheticWorld(seed=1), now=PRESENT, strict=strict, wall=clock.now)
    with serving(app) as address:
        yield address, app.state.limits


def test_a_refused_request_counts_as_one_call(limited, clock):
    address, counts = limited
    httpx.post(f"{address}/sandbox/faults", json={"kind": "run_missing_400", "times": 30})
    settings = make_settings(sandbox_url=address, open_meteo_calls_per_minute=50)
    with WeatherClient(settings, timing=Timing(clock.now, clock.sleep)) as client:
        for number in range(30):
            client.fetch_run(PRESENT.replace(hour=0) - timedelta(days=number))
    assert (counts.weight, counts.refused) == (30, 0)
    assert clock.time == START


def test_the_archive_and_the_runs_of_an_ingestion_share_the_calls_of_a_minute(limited, clock, database):
    address, counts = limited
    settings = make_settings(
        sandbox_url=address,
        open_meteo_calls_per_minute=50,
        database_url=database.engine.url.render_as_string(hide_password=False),
    )
    day = (PRESENT - timedelta(days=8)).date()
    span = backfill_span(settings, day - timedelta(days=9), day, PRESENT)
    report = ingest(database, settings, span, PRESENT, lambda *_: None, timing=Timing(clock.now, clock.sleep))
    assert report.failures == {}
    assert counts.weight > 50
    assert counts.refused == 0
    assert clock.time > START
