"""Expected errors of a model: by day, their spread, and those of a season."""

from __future__ import annotations

import json
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import stats

from energy_demand.model.expected_errors import (
    KEPT_DAYS,
    LEAST_SIGMA,
    SEASON_DAYS,
    SIGMA_DAYS,
    ExpectedErrors,
    daily_levels,
    expected_errors,
)
from energy_demand.region import NEW_YORK
from energy_demand.timeaxis import FEWEST_HOURS_OF_DAY, days_periods

ZONE = NEW_YORK.zone
ALIKE = np.ones(24)
EVEN = np.full(24, 1 / 24)
FIRST = date(2025, 1, 10)


def errors_of(mape, first: date = FIRST, levels=None) -> ExpectedErrors:
    mape = np.asarray(mape, dtype=float)
    return ExpectedErrors(first, np.zeros(len(mape)) if levels is None else levels, mape, EVEN)


def periods_of(days: int, first: date = FIRST) -> pd.DatetimeIndex:
    return days_periods(first, first + timedelta(days=days - 1), ZONE)


def test_a_day_is_the_mean_of_the_residuals_of_its_local_hours():
    periods = periods_of(3)
    one_day = np.repeat([1.0, -2.0, 0.5], 24)
    found = expected_errors(periods, one_day, 2 * one_day, ALIKE, ZONE)
    assert found.first == FIRST
    assert found.levels == pytest.approx([1.0, -2.0, 0.5])
    assert found.mape == pytest.approx(100 * np.abs(np.expm1([0.02, -0.04, 0.01])))
    assert found.weights == pytest.approx(EVEN)


def test_days_of_23_and_25_hours_are_whole_days():
    for change in (date(2025, 3, 9), date(2025, 11, 2)):
        periods = periods_of(3, change - timedelta(days=1))
        local = (periods - pd.Timedelta(hours=1)).tz_convert(ZONE).day
        levels = daily_levels(periods, np.where(local == change.day, 5.0, 1.0), EVEN, ZONE)
        assert levels.tolist() == pytest.approx([1.0, 5.0, 1.0])
        assert levels.index[1] == pd.Timestamp(change)


def test_hours_that_vary_little_weigh_more():
    variance = np.where(np.arange(24) < 12, 1.0, 9.0)
    residuals = np.where(np.arange(24) < 12, 4.0, 0.0)
    found = expected_errors(periods_of(1), residuals, residuals, variance, ZONE)
    assert found.weights.sum() == pytest.approx(1.0)
    assert found.weights[0] == pytest.approx(3 * found.weights[23])
    assert found.levels == pytest.approx([3.0])


def test_a_day_counts_from_twelve_known_hours_on():
    residuals = np.full(48, np.nan)
    residuals[: FEWEST_HOURS_OF_DAY - 1] = 1.0
    residuals[24 : 24 + FEWEST_HOURS_OF_DAY] = 2.0
    found = expected_errors(periods_of(2), residuals, residuals, ALIKE, ZONE)
    np.testing.assert_allclose(found.levels, [np.nan, 2.0])
    np.testing.assert_allclose(found.mape, [np.nan, 100 * np.expm1(0.02)])


def test_missing_days_are_unknown_days():
    whole = periods_of(5)
    with_gap = whole[:24].append(whole[-24:])
    found = expected_errors(with_gap, np.ones(48), np.ones(48), ALIKE, ZONE)
    assert np.isnan(found.levels).tolist() == [False, True, True, True, False]
    assert np.isnan(found.mape).tolist() == [False, True, True, True, False]


def test_only_the_newest_three_years_are_kept():
    periods = periods_of(KEPT_DAYS + 5, date(2020, 1, 1))
    number = np.arange(len(periods)) / 1000
    found = expected_errors(periods, number, number, ALIKE, ZONE)
    assert len(found.levels) == len(found.mape) == KEPT_DAYS
    assert found.first == date(2020, 1, 6)
    assert found.levels[-1] == pytest.approx(number[-24:].mean())


@settings(deadline=None)
@given(arrays.arrays(float, st.integers(1, 80), elements=st.floats(-8, 8)), st.floats(-20, 20))
def test_sigma_ignores_the_level_and_grows_with_the_spread(levels, moved):
    sigma = errors_of(levels, levels=levels).sigma
    assert errors_of(levels, levels=levels + moved).sigma == pytest.approx(sigma, abs=1e-9)
    assert errors_of(levels, levels=levels * 3).sigma == pytest.approx(
        max(LEAST_SIGMA, 3 * 1.4826 * np.median(np.abs(levels - np.median(levels))))
    )


def normal(mean: float, sigma: float, count: int) -> np.ndarray:
    """Shuffled quantiles of a normal distribution, instead of random draws."""
    quantiles = stats.norm.ppf((np.arange(count) + 0.5) / count, mean, sigma)
    return np.random.default_rng(1).permutation(quantiles)


def test_sigma_is_that_of_a_normal_distribution_and_robust_to_a_few_outliers():
    levels = normal(3.0, 1.5, SIGMA_DAYS)
    assert errors_of(levels, levels=levels).sigma == pytest.approx(1.5, rel=0.01)
    outliers = levels.copy()
    outliers[:10], outliers[10:14] = 90.0, np.nan
    assert errors_of(outliers, levels=outliers).sigma == pytest.approx(1.5, rel=0.1)


def test_sigma_is_of_the_newest_year():
    levels = np.concatenate([normal(0, 9, 500), normal(0, 1, SIGMA_DAYS)])
    assert errors_of(levels, levels=levels).sigma == pytest.approx(1.0, rel=0.01)


@pytest.mark.parametrize("levels", [np.empty(0), np.full(5, np.nan), np.full(5, 2.0)])
def test_sigma_is_never_zero_or_unknown(levels):
    assert errors_of(levels, levels=levels).sigma == LEAST_SIGMA


def test_the_errors_of_chosen_days_are_the_known_ones():
    days = errors_of([1.0, 2.0, np.nan, 4.0])
    assert days.on(pd.date_range("2025-01-11", "2025-01-13")).tolist() == [2.0, 4.0]
    assert days.on(pd.date_range("2024-01-10", "2024-01-20")).tolist() == []


def test_the_season_is_every_day_of_any_year_near_the_day_of_year():
    start = date(2022, 1, 1)
    days = errors_of(np.arange(3 * 365, dtype=float), first=start)
    july = days.season(pd.DatetimeIndex(["2030-07-01"]))
    assert len(july) == 3 * (2 * SEASON_DAYS + 1)
    dates = [start + timedelta(days=int(each)) for each in july]
    assert {each.year for each in dates} == {2022, 2023, 2024}
    assert min(dates) == date(2022, 6, 17)
    assert {each.month for each in dates} == {6, 7}


def test_the_season_crosses_new_year_and_leaves_out_unknown_days():
    start = date(2022, 7, 1)
    mape = np.arange(365, dtype=float)
    mape[180] = np.nan
    around = errors_of(mape, first=start).season(pd.DatetimeIndex(["2025-01-01"]))
    dates = [start + timedelta(days=int(each)) for each in around]
    assert min(dates) == date(2022, 12, 18)
    assert max(dates) == date(2023, 1, 15)
    assert len(dates) == 2 * SEASON_DAYS


def test_the_season_of_several_days_counts_each_day_once():
    days = errors_of(np.arange(365.0), first=date(2023, 1, 1))
    fortnight = pd.date_range("2025-07-01", periods=14)
    assert len(days.season(fortnight)) == 14 + 2 * SEASON_DAYS


@settings(deadline=None)
@given(
    st.dates(date(2010, 1, 1), date(2030, 1, 1)),
    arrays.arrays(float, 40, elements=st.floats(-50, 50) | st.just(np.nan)),
)
def test_expected_errors_survive_json(first, values):
    days = ExpectedErrors(first, values, np.abs(values), ALIKE / 7)
    restored = ExpectedErrors.from_dict(json.loads(json.dumps(days.to_dict(), allow_nan=False)))
    assert restored.first == first
    np.testing.assert_allclose(restored.levels, values, atol=5e-5)
    np.testing.assert_allclose(restored.mape, np.abs(values), atol=5e-5)
    np.testing.assert_array_equal(restored.weights, days.weights)


def test_a_forecaster_has_its_expected_errors(trained, record):
    days = trained.judged.expected_errors
    last = days.first + timedelta(days=len(days.levels) - 1)
    assert last == date(2025, 2, 1)  # the local day on which its training ends
    assert last < record.periods[-1].date()
    assert days.weights.sum() == pytest.approx(1.0)
    assert 0.3 < days.sigma < 5
    assert np.nanmedian(days.mape) < 5


def test_expected_errors_of_a_longer_fit_begin_with_those_of_a_shorter_one(trained):
    short, long = trained.judged.expected_errors, trained.forecaster.expected_errors
    whole = len(short.levels) - 1  # the last day is incomplete
    assert long.first == short.first
    np.testing.assert_allclose(long.mape[:whole], short.mape[:whole])
    assert len(long.mape) > len(short.mape)
