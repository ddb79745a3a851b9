"""Losses of a backtest: each takes away what it says, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from energy_demand.data.weather_path import COLUMN, HUMIDITY, MAIN
from energy_demand.evaluation.backtest import Walk, record_with, walk_forward
from energy_demand.evaluation.losses import CHANGED_BY, CHANGED_ERROR, Loss, with_provider_change
from energy_demand.evaluation.schedule import Predict, Protocol, schedule
from energy_demand.timeaxis import HOUR, Availability
from records import synthetic_record

ISSUE = datetime.fromisoformat("2025-01-20T14:00+00:00")
CHANGE = datetime.fromisoformat("2025-01-10T00:00+00:00")
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def whole():
    return synthetic_record()


@settings(max_examples=30, deadline=None)
@given(minutes=st.integers(0, 60 * 24 * 30))
def test_stale_runs_are_all_older_than_a_day_at_each_issue_and_none_of_these_is_lost(whole, minutes):
    issue = ISSUE + timedelta(minutes=minutes)
    issued = Loss.STALE_RUNS.at_issue(whole, issue).issued
    assert (issued.issued_at < pd.Timestamp(issue - DAY)).all()
    assert len(issued.issued_at) == (whole.issued.issued_at < pd.Timestamp(issue - DAY)).sum()
    np.testing.assert_array_equal(issued.values, whole.issued.values[: len(issued.values)])


def test_stale_runs_reach_the_base_booster_a_day_late_too(whole):
    late = Loss.STALE_RUNS.of_rows(whole.forecasts)
    age = pd.to_datetime(late["issued_at"]) - pd.to_datetime(whole.forecasts["issued_at"])
    assert (age > DAY).all()
    assert (age < DAY + HOUR).all()


def test_without_runs_observed_weather_stays(whole):
    record = Loss.NO_RUNS.at_issue(whole, ISSUE)
    assert len(record.issued.issued_at) == 0
    assert record.observed is whole.observed
    assert Loss.NO_RUNS.of_rows(whole.forecasts).empty


def test_without_the_first_weather_model_the_others_stay(whole):
    both = replace(whole, other_runs={"gfs_global": whole.issued})
    record = Loss.FIRST_MODEL.at_issue(both, ISSUE)
    assert len(record.issued.issued_at) == 0
    assert record.other_runs["gfs_global"] is whole.issued
    assert Loss.NO_RUNS.at_issue(both, ISSUE).other_runs == {}


def test_another_weather_model_is_warmer_and_less_accurate_from_its_first_run_on(whole):
    changed = with_provider_change(whole, CHANGE)
    apart = changed.issued.values - whole.issued.values
    later = np.asarray(whole.issued.issued_at >= CHANGE)
    assert not np.nan_to_num(apart[~later]).any()
    degrees = apart[later][:, :, COLUMN[MAIN]]
    assert np.nanmean(degrees) == pytest.approx(CHANGED_BY, abs=3 * CHANGED_ERROR / np.sqrt(later.sum()))
    # Drawn for each day, and a mean of two draws in between.
    assert CHANGED_ERROR / 2 < np.nanstd(degrees) < 1.2 * CHANGED_ERROR
    assert not np.nan_to_num(apart[:, :, COLUMN[HUMIDITY]]).any()
    pd.testing.assert_frame_equal(changed.weather, whole.weather)


def test_the_other_weather_model_is_the_same_each_time_and_its_runs_share_an_error(whole):
    once, again = (with_provider_change(whole, CHANGE) for _ in range(2))
    pd.testing.assert_frame_equal(once.forecasts, again.forecasts)
    shift = once.forecasts["temperature_2m"].astype(float) - whole.forecasts["temperature_2m"].astype(float)
    later = once.forecasts["issued_at"] >= CHANGE + DAY
    by_hour = shift[later].groupby(once.forecasts["timestamp"][later]).agg(["min", "max"])
    np.testing.assert_allclose(by_hour["min"], by_hour["max"], atol=1e-9)


def test_a_change_after_the_last_run_changes_nothing(whole):
    assert with_provider_change(whole, whole.periods[-1].to_pydatetime() + 9 * DAY) is whole


@pytest.mark.parametrize("loss", [loss for loss in Loss if loss.needs_runs])
def test_a_loss_of_runs_is_refused_where_weather_is_observed(loss, whole):
    with pytest.raises(ValueError, match="as issued"):
        Walk(whole, Availability(1), "observed", loss=loss)


@pytest.mark.usefixtures("fits")
def test_the_weather_model_changes_in_the_middle_of_the_days(record, trained):
    def run(loss):
        days = schedule(Protocol.DAY_AHEAD, date(2025, 2, 5), date(2025, 2, 8), record.region.zone)
        events = [event for event in days if isinstance(event, Predict)]
        return walk_forward(
            record_with(loss, record, events),
            events,
            protocol=Protocol.DAY_AHEAD,
            weather="as_issued",
            loss=loss,
            model=trained.judged,
        )

    same, changed = run(Loss.NOTHING), run(Loss.PROVIDER_CHANGE)
    apart = (same["predicted_mwh"] / changed["predicted_mwh"] - 1).abs().groupby(same["issued_at"]).max()
    assert (apart.iloc[:2] == 0).all()
    assert apart.iloc[-1] > 1e-3
    pd.testing.assert_series_equal(same["actual_mwh"], changed["actual_mwh"])
