"""Scores of scheduled forecasts, and whether they are worse than the champion's holdout error."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from energy_demand.model.expected_errors import ExpectedErrors
from energy_demand.monitoring.performance_monitor import (
    FEWEST_DAYS,
    JUDGED_DAYS,
    LEAD_BANDS,
    WINDOWS_DAYS,
    Comparison,
    compare,
    performance,
)
from energy_demand.monitoring.retraining_policy import Evidence, Trigger, decide
from energy_demand.region import NEW_YORK
from energy_demand.timeaxis import FEWEST_HOURS_OF_DAY, day_periods, hourly

ZONE = NEW_YORK.zone
NOW = datetime(2025, 7, 15, 13, tzinfo=UTC)
ACTUAL = 20_000.0


def forecasts(periods: pd.DatetimeIndex, percent=1.0) -> pd.DataFrame:
    """Forecasts with this percent error, with bounds of 2 and 4 % around them."""
    predicted = np.full(len(periods), ACTUAL) * (1 + np.asarray(percent) / 100)
    return pd.DataFrame(
        {
            "timestamp": periods,
            "lead_hours": 16 + np.arange(len(periods)) % 24,
            "quality": "champion",
            "predicted_demand": predicted,
            "lower_80": predicted * 0.98,
            "upper_80": predicted * 1.02,
            "lower_95": predicted * 0.96,
            "upper_95": predicted * 1.04,
            "actual_demand": ACTUAL,
            "demand_lag_24h": ACTUAL * 0.95,
            "demand_lag_168h": ACTUAL * 1.1,
        }
    )


def newest(days: int, percent=1.0) -> pd.DataFrame:
    return forecasts(hourly(NOW - timedelta(hours=24 * days - 1), NOW), percent)


def test_scores_of_a_window_are_those_of_its_hours():
    found = performance(newest(1, np.tile([1.0, -3.0], 12)), NOW)["1d"]
    assert found["mae"] == pytest.approx(0.02 * ACTUAL)
    assert found["mape"] == pytest.approx(2.0)
    assert found["rmse"] == pytest.approx(np.sqrt(5) / 100 * ACTUAL)
    assert found["bias_percent"] == pytest.approx(-1.0)
    assert found["n"] == 24


def test_coverage_is_the_share_of_hours_within_the_bounds():
    # The actual value lies 1, 3 or 6 % from the forecast: within 2 %, within 4 %, beyond both.
    found = performance(newest(1, np.tile([1.0, 3.0, -3.0, 6.0], 6)), NOW)["1d"]
    assert found["coverage_80"] == pytest.approx(25.0)
    assert found["coverage_95"] == pytest.approx(75.0)


def test_windows_end_now_and_begin_whole_days_before():
    found = performance(newest(40), NOW)
    assert {name: each["n"] for name, each in found.items()} == {
        f"{days}d": 24 * days for days in WINDOWS_DAYS
    }
    an_hour_later = performance(newest(40), NOW + timedelta(hours=1))
    assert an_hour_later["1d"]["n"] == 23
    an_hour_earlier = performance(newest(40), NOW - timedelta(hours=1))
    assert an_hour_earlier["1d"]["n"] == 24  # hours after now do not count


def test_a_window_without_known_hours_has_no_scores():
    old = newest(10)
    found = performance(old[old["timestamp"] <= NOW - timedelta(days=3)], NOW)
    assert found["1d"] is None
    assert found["7d"]["n"] == 4 * 24
    assert performance(newest(40).iloc[:0], NOW) == {f"{days}d": None for days in WINDOWS_DAYS}


def test_hours_without_truth_do_not_count():
    rows = newest(1, np.where(np.arange(24) < 12, 1.0, 50.0))
    rows.loc[12:, "actual_demand"] = np.nan
    found = performance(rows, NOW)["1d"]
    assert found["n"] == found["seasonal_naive_24"]["n"] == 12
    assert found["mape"] == pytest.approx(1.0)
    assert found["coverage_80"] == 100.0


def test_each_band_of_leads_has_its_own_scores():
    rows = newest(7)
    lead = rows["lead_hours"]
    rows["predicted_demand"] = ACTUAL * (1 + lead / 1000)
    by_lead = performance(rows, NOW)["7d"]["by_lead"]
    assert list(by_lead) == list(LEAD_BANDS)
    for name, (low, high) in LEAD_BANDS.items():
        inside = [each for each in range(16, 40) if low <= each <= high]
        assert by_lead[name]["n"] == 7 * len(inside)
        assert by_lead[name]["mape"] == pytest.approx(np.mean(inside) / 10)
    assert sum(each["n"] for each in by_lead.values()) == len(rows)


def test_a_band_without_hours_has_no_scores():
    assert performance(newest(1).assign(lead_hours=20), NOW)["1d"]["by_lead"]["34-40"] is None


def test_naive_forecasts_are_scored_on_the_same_hours():
    rows = newest(1)
    rows.loc[:5, "actual_demand"] = np.nan
    found = performance(rows, NOW)["1d"]
    assert found["seasonal_naive_24"]["mape"] == pytest.approx(5.0)
    assert found["seasonal_naive_168"]["bias_percent"] == pytest.approx(10.0)
    assert found["n"] == found["seasonal_naive_24"]["n"] == found["seasonal_naive_168"]["n"] == 18
    assert performance(rows.drop(columns="demand_lag_24h"), NOW)["1d"]["seasonal_naive_24"] is None


@settings(deadline=None, max_examples=20)
@given(st.lists(st.one_of(st.none(), st.floats(-20, 20)), min_size=1, max_size=60))
def test_the_order_of_rows_does_not_matter_and_a_wider_band_covers_no_less(percents):
    known = np.array([np.nan if each is None else each for each in percents])
    rows = forecasts(hourly(NOW - timedelta(hours=len(percents) - 1), NOW), np.nan_to_num(known))
    rows.loc[np.isnan(known), "actual_demand"] = np.nan
    found = performance(rows, NOW)["30d"]
    if np.isnan(known).all():
        assert found is None
        return
    assert found["n"] == (~np.isnan(known)).sum()
    assert abs(found["bias_percent"]) <= found["mape"] + 1e-9
    assert found["mae"] <= found["rmse"] + 1e-6
    assert found["coverage_80"] <= found["coverage_95"]
    shuffled = performance(rows.sample(frac=1, random_state=1), NOW)["30d"]
    assert shuffled["mae"] == pytest.approx(found["mae"])


LAST = date(2025, 7, 14)
FIRST_EXPECTED = date(2022, 6, 1)
CHAMPION = {"test_mape": 2.0, "test_first_day": 20250401.0, "test_last_day": 20250428.0}


def jitter(count: int, seed: int = 1) -> np.ndarray:
    """Factors around one, so that daily errors differ."""
    return 1 + np.random.default_rng(seed).uniform(-0.1, 0.1, count)


def usual_errors(summer: float = 2.0, april: float = 2.0) -> ExpectedErrors:
    """Three years to the end of May 2025, 2 % except in June to August and in April."""
    days = pd.date_range(FIRST_EXPECTED, "2025-05-31", freq="D")
    mape = np.where(np.isin(days.month, [6, 7, 8]), summer, np.where(days.month == 4, april, 2.0))
    return ExpectedErrors(
        first=FIRST_EXPECTED,
        levels=np.zeros(len(days)),
        mape=mape * jitter(len(days)),
        weights=np.full(24, 1 / 24),
    )


def served(percent: float, days: int = JUDGED_DAYS, hours: int = 24) -> pd.DataFrame:
    """Whole local days up to `LAST`, or their first hours, with about this percent error."""
    factors = jitter(days, seed=2)
    parts = []
    for number in range(days):
        periods = day_periods(LAST - timedelta(days=days - 1 - number), ZONE)[:hours]
        parts.append(forecasts(periods, percent * factors[number]))
    return pd.concat(parts, ignore_index=True)


def compared(rows: pd.DataFrame, champion=CHAMPION, days: ExpectedErrors | None = None) -> Comparison:
    return compare(rows, champion, days or usual_errors(), ZONE)


def test_expected_errors_are_not_worse():
    found = compared(served(2.0))
    assert found.days == JUDGED_DAYS
    assert found.mape == pytest.approx(2.0, rel=0.05)
    assert found.mae == pytest.approx(found.mape / 100 * ACTUAL)
    assert found.expected_mape == pytest.approx(2.0, rel=0.03)
    assert found.ratio == pytest.approx(found.mape / found.expected_mape)
    assert not found.worse


def test_errors_far_above_the_expected_are_worse():
    found = compared(served(3.5))
    assert found.worse is True
    assert found.ratio > 1.5
    assert found.p_value < 0.01


def test_errors_less_than_half_above_the_expected_are_not_worse():
    found = compared(served(2.8))
    assert found.p_value < 0.01
    assert not found.worse


def test_one_very_bad_day_is_not_significant():
    rows = served(2.0)
    of_last = rows.index[-24:]
    rows.loc[of_last, "predicted_demand"] = ACTUAL * 1.4
    found = compared(rows)
    assert found.ratio > 1.5
    assert found.p_value > 0.01
    assert not found.worse


def test_a_hard_season_does_not_count_against_the_champion():
    errors = served(4.0)
    assert compared(errors, days=usual_errors(summer=2.0)).worse
    found = compared(errors, days=usual_errors(summer=4.0))
    assert found.expected_mape == pytest.approx(4.0, rel=0.03)
    assert not found.worse


def test_an_easy_holdout_does_not_count_against_the_champion():
    lucky = {**CHAMPION, "test_mape": 1.0}
    errors = served(2.0)
    # The test's days were easy for the adaptive regression as well.
    found = compared(errors, lucky, usual_errors(april=1.0))
    assert found.expected_mape == pytest.approx(2.0, rel=0.03)
    assert not found.worse
    # Those days were typical, so the champion is better than its adaptive regression.
    assert compared(errors, lucky, usual_errors(april=2.0)).worse


def extraordinary(where: dict[str, float], first: date = FIRST_EXPECTED) -> ExpectedErrors:
    """The usual errors from `first` on, and those of some days as given, percent."""
    usual = usual_errors()
    days = pd.date_range(FIRST_EXPECTED, periods=len(usual.mape), freq="D")
    mape = pd.Series(usual.mape, index=days)
    mape.update(pd.Series(list(where.values()), index=pd.DatetimeIndex(list(where))))
    kept = mape[str(first) :]
    return ExpectedErrors(first, usual.levels[-len(kept) :], kept.to_numpy(), usual.weights)


# The errors of New York's adaptive regression in its first summer, 2019.
FIRST_SUMMER = {
    "2024-06-26": 19.1,
    "2024-06-27": 40.1,
    "2024-06-28": 13.9,
    "2024-06-29": 17.0,
    "2024-07-16": 10.7,
    "2024-07-17": 57.8,
    "2024-07-20": 116.9,
    "2024-07-21": 386.1,
}


@pytest.mark.parametrize(
    "first", [pytest.param(FIRST_EXPECTED, id="of three"), pytest.param(date(2024, 3, 1), id="the only one")]
)
def test_single_extraordinary_days_do_not_raise_what_is_expected(first):
    """The season's mean is 7 to 18 % with them; the holdout had 2 %, and so has every other day."""
    errors = extraordinary(FIRST_SUMMER, first)
    assert errors.season(pd.date_range(end=LAST, periods=JUDGED_DAYS)).mean() > 7
    found = compared(served(5.0), days=errors)
    assert found.expected_mape < 3.0
    assert found.worse


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        pytest.param(date(2024, 3, 31), 2.0, id="14 months, learnt in its only summer"),
        pytest.param(date(2023, 3, 31), 4.0, id="26 months, one summer after the first year"),
    ],
)
def test_a_season_met_only_while_learning_does_not_raise_what_is_expected(first, expected):
    """Last summer had 4 %; in the first year of a record that was learning, later it is the season."""
    usual = extraordinary({}, first)
    days = pd.date_range(first, periods=len(usual.mape), freq="D")
    mape = np.where(np.isin(days.month, [6, 7, 8]), 2.0 * usual.mape, usual.mape)
    found = compared(served(5.0), days=replace(usual, mape=mape))
    assert found.expected_mape == pytest.approx(expected, rel=0.03)
    assert found.worse == (expected == 2.0)


def test_a_year_that_was_hard_as_a_whole_is_not_what_is_expected():
    hard = {f"{day:%Y-%m-%d}": 6.0 for day in pd.date_range("2024-06-15", "2024-08-15")}
    found = compared(served(3.5), days=extraordinary(hard))
    assert found.expected_mape == pytest.approx(2.0, rel=0.05)
    assert found.worse


@pytest.mark.parametrize(("summer", "expected"), [(30.0, 4.0), (0.1, 1.0)])
def test_a_season_is_at_most_twice_as_hard_or_easy_as_the_holdout(summer, expected):
    assert compared(served(2.0), days=usual_errors(summer=summer)).expected_mape == pytest.approx(expected)


def fortnight(quality: str) -> pd.DataFrame:
    """Fourteen days by the champion, of which the last seven are this step's, with 1.6 times the error."""
    rows = served(2.6)
    second = rows.index >= rows.index[-7 * 24]
    rows.loc[second, "predicted_demand"] = ACTUAL + 1.6 * (rows["predicted_demand"] - ACTUAL)
    rows.loc[second, "quality"] = quality
    return rows


@pytest.mark.parametrize(
    ("quality", "days", "worse"),
    [
        pytest.param("base_booster", 7, False, id="the base booster's"),
        pytest.param("previous_champion", 7, False, id="the previous champion's"),
        pytest.param("last_week", 7, False, id="last week's"),
        pytest.param("champion", 14, True, id="its own"),
        pytest.param("champion_without_weather", 14, True, id="its own without some weather"),
    ],
)
def test_only_the_champion_s_own_answers_count_against_it(quality, days, worse):
    found = compared(fortnight(quality))
    assert found.days == days
    decision = decide(Evidence(now=NOW, trained_through=NOW - timedelta(days=30), comparison=found))
    assert (found.worse, decision.retrain) == (worse, worse)
    assert decision.trigger is (Trigger.PERFORMANCE if worse else None)


def test_each_step_has_its_own_scores():
    by_quality = performance(fortnight("base_booster"), NOW)["14d"]["by_quality"]
    assert set(by_quality) == {"champion", "base_booster"}
    assert by_quality["base_booster"]["mape"] / by_quality["champion"]["mape"] == pytest.approx(1.6, rel=0.1)
    assert sum(each["n"] for each in by_quality.values()) == performance(fortnight("x"), NOW)["14d"]["n"]


def test_an_easy_season_lowers_the_expected_error():
    assert compared(served(2.0), days=usual_errors(summer=1.0)).worse


@pytest.mark.parametrize("days", range(1, FEWEST_DAYS + 1))
def test_a_comparison_needs_seven_days(days):
    found = compared(served(9.0, days=days))
    assert found.days == days
    assert found.mape == pytest.approx(9.0, rel=0.1)
    assert found.worse is (days == FEWEST_DAYS)
    assert (found.ratio is None) is (days < FEWEST_DAYS)


def test_only_the_newest_days_are_compared():
    rows = served(2.0, days=30)
    cut = rows.index[: -24 * JUDGED_DAYS]
    rows.loc[cut, "predicted_demand"] = ACTUAL * 1.5
    assert compared(rows).mape == pytest.approx(2.0, rel=0.05)


def test_days_with_few_known_hours_do_not_count():
    assert compared(served(2.0, hours=FEWEST_HOURS_OF_DAY - 1)) == Comparison(0)
    assert compared(served(2.0, hours=FEWEST_HOURS_OF_DAY)).days == JUDGED_DAYS


def test_hours_without_truth_are_not_compared():
    rows = served(2.0)
    unknown = rows.index % 2 == 0
    rows.loc[unknown, "actual_demand"] = np.nan
    rows.loc[unknown, "predicted_demand"] = 1.0
    assert compared(rows).mape == pytest.approx(2.0, rel=0.05)
    assert compared(rows.assign(actual_demand=np.nan)) == Comparison(0)
    assert compared(rows.iloc[:0]) == Comparison(0)


def test_days_are_local_ones():
    rows = served(2.0, days=8)
    doubled = rows["predicted_demand"].where(rows["timestamp"] != rows["timestamp"].iloc[-1], ACTUAL * 2)
    # The hour that ends at midnight belongs to the day before it, and to no ninth day.
    assert compared(rows.assign(predicted_demand=doubled)).days == 8


@pytest.mark.parametrize(
    "champion",
    [
        pytest.param({}, id="no metrics"),
        pytest.param({"test_mape": 2.0}, id="holdout days unknown"),
        pytest.param(
            {"test_mape": 2.0, "test_first_day": 20300101.0, "test_last_day": 20300131.0},
            id="holdout days without expected errors",
        ),
    ],
)
def test_without_a_holdout_error_nothing_is_expected(champion):
    found = compared(served(9.0), champion)
    assert (found.expected_mape, found.ratio, found.p_value, found.worse) == (None, None, None, False)
    assert found.mape == pytest.approx(9.0, rel=0.05)
