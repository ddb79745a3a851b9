"""Training the whole forecaster: the holdout is not seen, short records are refused, all data is used."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from energy_demand.data.record import make_record
from energy_demand.evaluation.contest import day_ahead, unseen_days, weather_of
from energy_demand.evaluation.promotion import FEWEST_DAYS
from energy_demand.model.base.training import TooFewRowsError
from energy_demand.model.train import fit
from energy_demand.registry.serialization import to_texts
from energy_demand.timeaxis import Availability, day_ahead_issue
from records import QUICK, START, synthetic_record


def test_the_judged_fit_ends_before_the_holdout_and_the_served_one_with_the_data(record, trained):
    assert trained.judged.trained_through == trained.holdout_from
    assert trained.judged.regression.through == trained.holdout_from
    assert trained.forecaster.trained_through == record.periods[-1]
    assert trained.forecaster.regression.through == record.periods[-1]


def test_the_holdout_does_not_change_the_judged_fit(record, trained):
    demand = record.demand.copy()
    in_holdout = demand["period"] > trained.holdout_from
    demand.loc[in_holdout, ["demand_mwh", "truth_mwh"]] *= 1.3
    weather, forecasts = record.weather.copy(), record.forecasts.copy()
    weather.loc[weather["timestamp"] > trained.holdout_from, "temperature_2m"] += 5.0
    forecasts.loc[forecasts["issued_at"] > trained.holdout_from, "temperature_2m"] += 5.0
    altered = make_record(demand, weather, forecasts, record.region, record.periods[-1])
    again = fit(altered, QUICK)
    assert to_texts(again.judged) == to_texts(trained.judged)
    assert to_texts(again.forecaster) != to_texts(trained.forecaster)


def test_the_same_record_gives_the_same_forecaster(record, trained):
    assert to_texts(fit(record, QUICK).forecaster) == to_texts(trained.forecaster)


def test_the_publication_delay_is_that_of_the_availability(record):
    known = record.cut_at(START + timedelta(days=150), Availability(3))
    delayed = fit(known, QUICK, availability=Availability(3), judge=False)
    assert delayed.judged is None
    assert delayed.forecaster.publication_delay_hours == 3
    assert delayed.forecaster.trained_through == START + timedelta(days=150, hours=-3)


def test_the_weather_of_the_intervals_changes_only_the_intervals(record, trained):
    observed = fit(record, QUICK, weather="observed").forecaster
    np.testing.assert_array_equal(
        observed.regression.filters[0].coefficients, trained.forecaster.regression.filters[0].coefficients
    )
    assert not np.allclose(observed.distribution.quantiles[80], trained.forecaster.distribution.quantiles[80])


def test_a_record_without_weather_runs_can_be_trained_on():
    without_runs = fit(synthetic_record(days=150, runs=False), QUICK, judge=False)
    assert without_runs.forecaster.outlook.corrections == {}


@pytest.mark.parametrize("days", [1, 20])
def test_a_short_record_is_refused(days):
    with pytest.raises(TooFewRowsError):
        fit(synthetic_record(days=days, runs=False), QUICK)


def test_a_record_without_weather_is_refused(record):
    bare = make_record(
        record.demand, record.weather.iloc[:0], record.forecasts, record.region, record.periods[-1]
    )
    with pytest.raises(TooFewRowsError, match="hours of demand and of observed weather"):
        fit(bare, QUICK)


def test_the_judged_fit_beats_the_naive_forecasts_on_unseen_days(record, trained):
    days = unseen_days(record, trained.judged)
    hours = day_ahead(trained.judged, record, days)
    assert len(days) >= FEWEST_DAYS
    assert all(day_ahead_issue(day, record.region.zone) >= trained.holdout_from for day in days)
    error = (hours["predicted_mwh"] / hours["actual_mwh"] - 1).abs().mean()
    for naive in ("seasonal_naive_24_mwh", "seasonal_naive_168_mwh"):
        assert error < 0.8 * (hours[naive] / hours["actual_mwh"] - 1).abs().mean()


def test_days_that_a_model_was_trained_on_are_not_in_a_contest(record, trained):
    assert unseen_days(record, trained.judged, trained.forecaster) == []
    assert day_ahead(trained.judged, record, []).empty


def test_a_contest_uses_weather_as_issued_where_it_is_stored(record, trained):
    days = unseen_days(record, trained.judged)
    assert weather_of(record, days) == "as_issued"
    no_runs = make_record(
        record.demand, record.weather, record.forecasts.iloc[:0], record.region, record.periods[-1]
    )
    assert weather_of(no_runs, days) == "observed"


def test_hours_without_truth_are_not_trained_on(record, trained):
    demand = record.demand.copy()
    demand.loc[3000:3005, "truth_mwh"] = np.nan
    flagged = make_record(demand, record.weather, record.forecasts, record.region, record.periods[-1])
    rows = fit(flagged, QUICK, judge=False).rows
    assert not rows["timestamp"].isin(pd.DatetimeIndex(record.periods[3000:3006])).any()
    assert trained.rows["timestamp"].isin(pd.DatetimeIndex(record.periods[3000:3006])).any()
