"""A champion meets a database: its state is brought up to date, or it says why that cannot be."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from energy_demand.data.ingest import backfill_span, ingest
from energy_demand.model.predict import ForecastError, make_forecast
from energy_demand.model.registry import Champion
from energy_demand.timeaxis import horizon
from support import PRESENT, make_settings


@pytest.fixture
def champion(trained) -> Champion:
    """Trained through 2025-02-02 on the world that the sandbox serves."""
    return Champion("7", "run", trained.judged, {})


@pytest.fixture
def fed(settings, synthetic_upstream):
    """Settings of the test's own database, with the sandbox upstream."""
    return make_settings(
        energy_demand_home=settings.home,
        database_url=settings.database_url.get_secret_value(),
        sandbox_url=synthetic_upstream,
    )


def fill(database, settings, first: date) -> None:
    ingest(
        database,
        settings,
        backfill_span(settings, first, date(2025, 3, 12), PRESENT),
        PRESENT,
        lambda *_: None,
    )


def test_the_state_is_brought_up_to_the_newest_hour_that_is_known(database, fed, champion):
    fill(database, fed, date(2025, 1, 2))
    made = make_forecast(database, fed, champion, PRESENT, horizon(PRESENT, 48))
    assert made.state_through == PRESENT - timedelta(hours=1)
    assert made.quality == "champion"
    assert not made.in_sample
    assert (made.explanation["recent_error"] != 0).any()
    typical = made.rows["demand_rolling_mean_24h"].mean()
    assert made.hours["predicted_demand_mwh"].mean() == pytest.approx(typical, rel=0.2)


def test_a_database_that_begins_after_the_state_says_from_when_to_backfill(database, fed, champion):
    fill(database, fed, date(2025, 3, 1))
    with pytest.raises(ForecastError, match=r"state ends at 2025-02-02T00:00:00Z.*--start 2025-02-02"):
        make_forecast(database, fed, champion, PRESENT, horizon(PRESENT, 24))
