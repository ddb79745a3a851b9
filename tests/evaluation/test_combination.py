"""The combination of two forecasts: better than either, and learnt from errors known at the issue alone."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from energy_demand.evaluation.combination import FIRST_WEIGHT, combined
from energy_demand.region import NEW_YORK
from energy_demand.timeaxis import Availability, hourly

ZONE = NEW_YORK.zone
START = pd.Timestamp("2024-01-10T06:00Z")
DAYS = 200
AVAILABILITY = Availability(1)


def backtest(ours: float, theirs: float, days: int = DAYS, seed: int = 1) -> pd.DataFrame:
    """Day-ahead forecasts whose log errors have these standard deviations (percent), independently."""
    random = np.random.default_rng(seed)
    size = 24 * days
    periods = hourly(START, START + pd.Timedelta(hours=size - 1))
    actual = 17_000 * np.exp(0.1 * np.sin(np.arange(size) / 4))
    day = np.arange(size) // 24
    return pd.DataFrame(
        {
            "period": periods,
            "issued_at": START - pd.Timedelta(hours=15) + pd.to_timedelta(24 * day, unit="h"),
            "actual_mwh": actual,
            "ours": actual * np.exp(random.normal(0, ours / 100, size)),
            "theirs": actual * np.exp(random.normal(0, theirs / 100, size)),
        }
    )


def run(hours: pd.DataFrame) -> pd.DataFrame:
    return combined(hours, "ours", "theirs", ZONE, AVAILABILITY)


def mape(forecast: pd.Series, hours: pd.DataFrame) -> float:
    return float(100 * (forecast / hours["actual_mwh"] - 1).abs().mean())


@pytest.mark.parametrize(("ours", "theirs"), [(2.0, 2.0), (1.5, 2.5), (2.5, 1.5), (1.0, 4.0)])
def test_it_is_better_than_either_and_near_the_best_fixed_weight(ours, theirs):
    hours = backtest(ours, theirs)
    later = hours.index[24 * 60 :]
    found = run(hours).loc[later]
    known = hours.loc[later]
    alone = min(mape(known["ours"], known), mape(known["theirs"], known))
    best = theirs**2 / (ours**2 + theirs**2)  # of independent errors
    fixed = np.exp(best * np.log(known["ours"]) + (1 - best) * np.log(known["theirs"]))
    assert mape(found["combined_mwh"], known) < alone
    assert mape(found["combined_mwh"], known) < mape(fixed, known) + 0.02
    assert found["weight"].mean() == pytest.approx(best, abs=0.07)


def test_it_begins_with_equal_weights():
    hours = backtest(1.0, 4.0)
    first = run(hours).iloc[:24]
    assert (first["weight"] == FIRST_WEIGHT).all()
    expected = np.sqrt(hours["ours"] * hours["theirs"])[:24]
    np.testing.assert_allclose(first["combined_mwh"], expected)


def test_where_the_other_is_silent_ours_stands_alone():
    hours = backtest(2.0, 2.0)
    silent = hours["period"].between(START + pd.Timedelta(days=50), START + pd.Timedelta(days=60))
    found = run(hours.assign(theirs=hours["theirs"].mask(silent)))
    np.testing.assert_allclose(found["combined_mwh"][silent], hours["ours"][silent])
    assert (found["weight"][silent] == 1.0).all()
    assert found["combined_mwh"].notna().all()


def test_the_weight_follows_a_forecast_that_gets_worse():
    good, bad = backtest(2.0, 2.0, 120), backtest(6.0, 2.0, 120, seed=2)
    change = 24 * 60
    hours = good.assign(ours=good["ours"].where(good.index < change, bad["ours"]))
    weight = run(hours)["weight"]
    assert weight[change - 24 : change].mean() == pytest.approx(0.5, abs=0.1)
    assert weight.iloc[-24:].mean() < 0.25


@settings(max_examples=25, deadline=None)
@given(cut=st.integers(5, 35), seed=st.integers(0, 1000))
def test_nothing_that_becomes_known_after_an_issue_changes_it(cut, seed):
    hours = backtest(2.0, 3.0, days=40)
    issue = hours["issued_at"].iloc[24 * cut]
    later = hours["period"] > issue - pd.Timedelta(hours=1)
    noise = np.exp(np.random.default_rng(seed).normal(0, 0.2, len(hours)))
    altered = hours.assign(actual_mwh=hours["actual_mwh"].where(~later, hours["actual_mwh"] * noise))
    until = hours["issued_at"] <= issue
    pd.testing.assert_frame_equal(run(hours)[until], run(altered)[until])
    assert not run(hours).equals(run(altered))


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000))
def test_what_the_other_says_of_later_days_changes_no_earlier_combination(seed):
    hours = backtest(2.0, 3.0, days=30)
    noise = np.exp(np.random.default_rng(seed).normal(0, 0.2, len(hours)))
    later = hours.index >= 24 * 20
    altered = hours.assign(theirs=np.where(later, hours["theirs"] * noise, hours["theirs"]))
    pd.testing.assert_frame_equal(run(hours)[~later], run(altered)[~later])


def test_hours_without_truth_teach_nothing():
    hours = backtest(2.0, 3.0, days=30)
    unknown = hours.assign(actual_mwh=np.nan)
    assert (run(unknown)["weight"] == FIRST_WEIGHT).all()
