"""Control charts of residuals: changes are detected, noise is not, and no day uses the next."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from energy_demand.columns import TARGET_COLUMN
from energy_demand.evaluation.injection import Injection, Kind
from energy_demand.monitoring.concept_drift import CHARTS, Chart, daily_residuals, run_charts
from energy_demand.timeaxis import HOUR, Availability, local_midnight
from records import altered_after

FIRST = "2025-03-01"
DAY = timedelta(days=1)


def days(values) -> pd.Series:
    values = np.asarray(values, dtype=float)
    return pd.Series(values, index=pd.date_range(FIRST, periods=len(values), freq="D"))


def noise(count: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=count)


@pytest.mark.parametrize(("sign", "direction"), [(1, "more"), (-1, "less")])
def test_a_step_is_found_within_days(sign, direction):
    # 5 % is about three standard deviations of a day.
    residuals = days(np.concatenate([noise(60), sign * 3.0 + noise(10, seed=2)]))
    assert run_charts(residuals[:60]).alarms == ()
    found = run_charts(residuals)
    assert date(2025, 4, 30) <= found.alarms[0] <= date(2025, 5, 6)
    before = run_charts(residuals[: pd.Timestamp(found.alarms[0]) - DAY])
    assert before.alarms == ()
    assert before.direction == direction


@pytest.mark.parametrize("sign", [1, -1], ids=["more demand", "less demand"])
def test_gradual_change_is_found_by_the_slow_chart_and_not_by_the_quick_one(sign):
    ramp = sign * np.minimum(np.arange(120) / 60, 1.0) + 0.5 * noise(120)
    found = {name: run_charts(days(ramp), {name: chart}).alarms for name, chart in CHARTS.items()}
    assert found["quick"] == ()
    assert date(2025, 3, 20) < found["slow"][0] < date(2025, 4, 30)


def test_noise_without_change_alarms_less_than_once_in_two_years():
    alarms = [len(run_charts(days(noise(365, seed))).alarms) for seed in range(60)]
    assert sum(alarms) < 30


def test_one_day_alone_never_alarms():
    assert run_charts(days([0.0, 1e6, 0.0, -1e6, 0.0])).alarms == ()


def test_the_charts_restart_after_an_alarm():
    chart = {"one": Chart(allowance=1.0, limit=5.0, clip=4.0)}
    # Three more each day: over five on the second, and again two days later.
    found = run_charts(days([4.0] * 7), chart)
    assert found.alarms == (date(2025, 3, 2), date(2025, 3, 4), date(2025, 3, 6))
    assert found.height == pytest.approx(3.0 / 5.0)
    assert run_charts(days([4.0] * 6), chart).height == 0.0


def test_an_alarm_resets_the_other_chart_and_direction_too():
    charts = {"near": Chart(0.0, 5.0, 9.0), "far": Chart(0.0, 50.0, 9.0)}
    found = run_charts(days([6.0, 1.0]), charts)
    assert found.alarms == (date(2025, 3, 1),)
    assert (found.chart, found.height) == ("near", pytest.approx(1.0 / 5.0))
    assert run_charts(days([6.0] + [1.0] * 5), {"far": charts["far"]}).height == pytest.approx(11 / 50)


def test_the_limit_itself_does_not_alarm():
    chart = {"one": Chart(0.0, 2.0, 9.0)}
    assert run_charts(days([1.0, 1.0]), chart).alarms == ()
    assert run_charts(days([1.0, 1.0, 0.5]), chart).alarms == (date(2025, 3, 3),)


def test_unknown_days_are_skipped():
    values = 3.0 + noise(9)
    gaps = np.insert(values, [2, 5, 5], np.nan)
    whole, broken = run_charts(days(values)), run_charts(days(gaps))
    assert len(broken.alarms) == len(whole.alarms) > 0
    assert (broken.height, broken.chart, broken.days) == (whole.height, whole.chart, 9)


@pytest.mark.parametrize("residuals", [pd.Series(dtype=float), days([np.nan] * 3)], ids=["none", "not known"])
def test_without_days_the_charts_are_at_zero(residuals):
    found = run_charts(residuals)
    assert (found.alarms, found.height, found.days) == ((), 0.0, 0)


@settings(deadline=None)
@given(
    st.lists(st.floats(-6, 6), min_size=1, max_size=40),
    st.floats(0, 2),
    st.floats(0.5, 4),
)
def test_the_height_is_the_largest_sum_of_the_days_up_to_now(values, allowance, clip):
    found = run_charts(days(values), {"one": Chart(allowance, 1000.0, clip)})
    sums = [
        sum(sign * np.clip(each, -clip, clip) - allowance for each in values[start:])
        for sign in (1, -1)
        for start in range(len(values))
    ]
    assert found.height * 1000 == pytest.approx(max(0.0, *sums), abs=1e-9)


@settings(deadline=None)
@given(st.lists(st.floats(-6, 6), min_size=1, max_size=60))
def test_the_charts_treat_more_and_less_alike_and_days_come_in_order(values):
    up, down = run_charts(days(values)), run_charts(days(np.negative(values)))
    assert (up.alarms, up.chart, up.days) == (down.alarms, down.chart, down.days)
    assert up.height == pytest.approx(down.height)
    earlier = run_charts(days(values[:-1])) if len(values) > 1 else None
    if earlier:
        assert up.alarms[: len(earlier.alarms)] == earlier.alarms


@pytest.fixture(scope="module")
def judged(trained):
    """Sixteen whole days before the end of the record."""
    return trained.judged


@pytest.fixture(scope="module")
def residuals(judged, record) -> pd.Series:
    return daily_residuals(judged, record)


def test_every_local_day_since_the_champion_was_trained_has_a_residual(residuals, judged, record):
    # Trained through midnight in UTC: that local day has five hours left, too few to say anything.
    assert residuals.index.tolist() == pd.date_range("2025-02-01", "2025-02-25", freq="D").tolist()
    assert np.isnan(residuals.iloc[0])
    assert residuals.iloc[1:].notna().all()


def test_without_change_the_residuals_are_as_expected(residuals):
    assert residuals.abs().median() < 1.5
    assert run_charts(residuals).alarms == ()


def test_a_step_of_five_percent_is_found_within_a_week(judged, record):
    day = date(2025, 2, 12)
    stepped = daily_residuals(judged, Injection(Kind.STEP, day).into(record))
    (alarm, *_) = run_charts(stepped).alarms
    assert day <= alarm < day + 7 * DAY


def test_a_step_shows_on_its_first_day_in_full(judged, record, residuals):
    day = pd.Timestamp("2025-02-12")
    stepped = daily_residuals(judged, Injection(Kind.STEP, day.date()).into(record))
    pd.testing.assert_series_equal(stepped[: day - DAY], residuals[: day - DAY])
    # Of the gross load, which residuals are shares of, a step of demand is a little less by day.
    in_full = 100 * np.log(1.05) / judged.expected_errors.sigma
    assert 0.95 * in_full < (stepped - residuals)[day] < in_full
    # From then on the champion learns it.
    assert 0 < (stepped - residuals)[day + DAY] < (stepped - residuals)[day]


@pytest.mark.parametrize("day", ["2025-02-13", "2025-02-20"])
def test_later_data_does_not_change_the_residual_of_a_day(judged, record, residuals, day):
    end = local_midnight(date.fromisoformat(day) + DAY, record.region.zone)
    altered = daily_residuals(judged, altered_after(record, end))
    pd.testing.assert_series_equal(altered[:day], residuals[:day])
    assert not np.allclose(altered[day:][1:], residuals[day:][1:])


def test_a_day_has_the_same_residual_at_midnight_as_later(judged, record, residuals):
    """At midnight its last hour is not published yet."""
    day = date(2025, 2, 20)
    midnight = local_midnight(day + DAY, record.region.zone)
    known = record.cut_at(midnight, Availability(1))
    assert daily_residuals(judged, known)[str(day)] == pytest.approx(residuals[str(day)], abs=1e-12)


def test_the_last_hour_of_a_day_does_not_count(judged, record, residuals):
    last_hour = local_midnight(date(2025, 2, 16), record.region.zone)  # of the 15th
    demand = record.demand.copy()
    demand.loc[demand["period"] == last_hour, "truth_mwh"] *= 2
    assert daily_residuals(judged, replace(record, demand=demand))["2025-02-15"] == residuals["2025-02-15"]
    demand.loc[demand["period"] == last_hour - HOUR, "truth_mwh"] *= 2
    assert daily_residuals(judged, replace(record, demand=demand))["2025-02-15"] > residuals["2025-02-15"]


def test_a_day_with_too_few_known_hours_has_no_residual(judged, record):
    start = local_midnight(date(2025, 2, 15), record.region.zone)
    demand = record.demand.copy()
    lost = (demand["period"] > start) & (demand["period"] <= start + 12 * HOUR)
    demand.loc[lost, [TARGET_COLUMN, "truth_mwh"]] = np.nan
    found = daily_residuals(judged, replace(record, demand=demand))
    assert np.isnan(found["2025-02-15"])  # eleven of twelve hours count
    assert found[["2025-02-14", "2025-02-16"]].notna().all()


def test_right_after_training_there_are_no_residuals(forecaster, record):
    assert daily_residuals(forecaster, record).empty
    assert run_charts(daily_residuals(forecaster, record)).days == 0


def test_without_truth_there_are_no_residuals(judged, record):
    demand = record.demand.assign(truth_mwh=np.nan)
    assert daily_residuals(judged, replace(record, demand=demand)).empty
