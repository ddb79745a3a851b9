"""A champion meets a database: its state is brought up to date, or it says why that cannot be."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from energy_demand.data import record_store
from energy_demand.data.ingestion.ingest import backfill_span, ingest
from energy_demand.data.issued_weather import LAGGED_HOURS, LAGGED_RUNS
from energy_demand.data.record_store import load_recent, load_record
from energy_demand.jobs.fallback_ladder import earliest_needed
from energy_demand.jobs.forecast import asked_hours, forecast_stored
from energy_demand.model.predict import ForecastError, Question, by_forecaster
from energy_demand.registry.champion import Champion
from energy_demand.timeaxis import HOUR, day_periods, horizon_periods
from support import PRESENT, make_settings

if TYPE_CHECKING:
    from energy_demand.data.record import Record


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
    """Ingest everything from that day on, with as many weather runs as the settings say."""
    ingest(
        database,
        settings,
        backfill_span(settings, first, date(2025, 3, 12), PRESENT),
        PRESENT,
        lambda *_: None,
    )


def test_the_state_is_brought_up_to_the_newest_hour_that_is_known(database, fed, champion):
    fill(database, fed, date(2025, 1, 2))
    made = forecast_stored(database, fed, PRESENT, horizon_periods(PRESENT, 48), champion)
    assert made.state_through == PRESENT - timedelta(hours=1)
    assert made.quality == "champion"
    assert not made.in_sample
    assert (made.explanation["recent_error"] != 0).any()
    typical = made.rows["demand_rolling_mean_24h"].mean()
    assert made.hours["predicted_demand_mwh"].mean() == pytest.approx(typical, rel=0.2)


def test_a_database_that_begins_after_the_state_says_from_when_to_backfill_and_the_booster_answers(
    database, fed, champion, caplog
):
    fill(database, fed, date(2025, 3, 1))
    question = Question(PRESENT, horizon_periods(PRESENT, 24), fed.availability)
    recent = load_recent(database, fed, PRESENT - timedelta(days=56), PRESENT)
    with pytest.raises(
        ForecastError, match=r"state ends at 2025-02-02T00:00:00Z.*--start 2025-02-02"
    ) as said:
        by_forecaster(recent, champion.forecaster, champion.version, question)
    made = forecast_stored(database, fed, PRESENT, question.periods, champion)
    assert (made.quality, made.model_version) == ("base_booster", "7")
    assert str(said.value) in caplog.text


def test_what_is_loaded_for_a_forecast_gives_the_forecast_of_the_whole_record(
    database, fed, champion, monkeypatch
):
    """Serving sees the same weather runs as a backtest: all that the mean of the newest takes in."""
    fill(database, fed, date(2025, 1, 2))
    fill(database, fed.model_copy(update={"weather_runs_kept": LAGGED_RUNS}), date(2025, 3, 10))
    question = Question(PRESENT, horizon_periods(PRESENT, 48), fed.availability)

    def forecast(record: Record) -> pd.DataFrame:
        return by_forecaster(record, champion.forecaster, champion.version, question).hours

    def recent() -> Record:
        return load_recent(database, fed, earliest_needed(champion, question), PRESENT)

    every = load_record(database, fed, PRESENT)
    served, backtested = recent(), forecast(every)
    within = every.issued.issued_at > pd.Timestamp(PRESENT) - LAGGED_HOURS * HOUR
    assert within.sum() == LAGGED_RUNS < len(every.issued.issued_at)
    assert served.issued.issued_at.equals(every.issued.issued_at[within])
    pd.testing.assert_frame_equal(forecast(served), backtested, rtol=1e-9)
    # With the runs of one day it would be another.
    monkeypatch.setattr(record_store, "OLDEST_RUN", 24 * HOUR)
    assert not np.allclose(
        forecast(recent())["predicted_demand_mwh"], backtested["predicted_demand_mwh"], rtol=1e-9
    )


# The hours that are asked for. In New York the present is 09:00 on 2025-03-12.


@pytest.mark.parametrize(
    ("asked", "periods"),
    [
        pytest.param({}, horizon_periods(PRESENT, 24), id="nothing said: a day"),
        pytest.param({"hours": 48}, horizon_periods(PRESENT, 48), id="as many hours as can be"),
        pytest.param({"day": "tomorrow"}, None, id="tomorrow"),
        pytest.param({"day": date(2025, 3, 13)}, None, id="tomorrow by its date"),
    ],
)
def test_the_hours_are_the_next_ones_or_those_of_a_local_day(asked, periods):
    settings = make_settings()
    tomorrow = day_periods(date(2025, 3, 13), settings.region.zone)
    assert asked_hours(settings, PRESENT, **asked).equals(tomorrow if periods is None else periods)


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        pytest.param({"hours": 49}, "between 1 and 48; got 49", id="too many hours"),
        pytest.param({"hours": -1}, "between 1 and 48; got -1", id="fewer than none"),
        pytest.param({"day": date(2025, 3, 12)}, "already begun", id="today"),
        pytest.param({"day": date(2025, 3, 14)}, "more than 48 hours", id="the day after tomorrow"),
    ],
)
def test_hours_that_cannot_be_forecast_are_refused(asked, reason):
    with pytest.raises(ForecastError, match=reason):
        asked_hours(make_settings(), PRESENT, **asked)
