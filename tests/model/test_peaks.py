"""Peaks: probabilities from quantiles, thresholds from demand known by then, the alert rule."""

from __future__ import annotations

from datetime import date, timedelta
from statistics import NormalDist

import numpy as np
import pandas as pd
import pytest

from energy_demand.model import day_peak, forecaster
from energy_demand.model.distribution import PROBABILITIES
from energy_demand.model.peaks import (
    HIGHEST,
    AlertRule,
    Chances,
    Standings,
    highest,
    probability_above,
    standings,
)
from energy_demand.region import NEW_YORK
from energy_demand.timeaxis import day_periods, days_periods

ZONE = NEW_YORK.zone
DAY = date(2024, 7, 10)
NORMAL = {float(at): 30_000 + 1_000 * NormalDist().inv_cdf(at) for at in PROBABILITIES}


def demand(first: date, last: date, *, level: float = 15_000.0) -> pd.Series:
    """Every hour of some local days at one level."""
    periods = days_periods(first, last, ZONE)
    return pd.Series(level, index=periods)


def with_peaks(series: pd.Series, peaks: dict[date, float]) -> pd.Series:
    """With the hour that ends at 18:00 of these days as high as told."""
    changed = series.copy()
    for day, mwh in peaks.items():
        changed[day_periods(day, ZONE)[17]] = mwh
    return changed


def july(year: int, level: float) -> dict[date, float]:
    """Ten rising peaks on the first ten days of July."""
    return {date(year, 7, number): level + 100 * number for number in range(1, HIGHEST + 1)}


@pytest.mark.parametrize("mwh", [26_000.0, 28_500.0, 30_000.0, 31_234.0, 34_000.0])
def test_a_normal_peak_gives_the_normal_probability_also_beyond_the_outermost_quantiles(mwh):
    expected = 1 - NormalDist(30_000, 1_000).cdf(mwh)
    assert probability_above(NORMAL, mwh) == pytest.approx(expected, abs=1e-3)


def test_equal_quantiles_give_a_step():
    flat = dict.fromkeys((0.1, 0.5, 0.9), 20_000.0)
    assert probability_above(flat, 19_999.0) > 0.999
    assert probability_above(flat, 20_001.0) < 0.001


def test_the_highest_days_count_by_their_highest_hour_and_a_local_day():
    series = demand(date(2024, 7, 1), date(2024, 7, 20))
    late = day_periods(date(2024, 7, 5), ZONE)[-1]  # ends at midnight, on the next day in UTC as well
    series[late] = 31_000.0
    series[day_periods(date(2024, 7, 5), ZONE)[12]] = 30_500.0
    days, hours = highest(series, ZONE)
    assert (days["day"][0].date(), days["period"][0]) == (date(2024, 7, 5), late)
    assert list(hours["demand_mwh"][:2]) == [31_000.0, 30_500.0]
    assert len(days) == len(hours) == HIGHEST
    assert days["day"].is_unique


def test_thresholds_lie_between_the_year_so_far_and_the_earlier_ones():
    earlier = with_peaks(demand(date(2023, 1, 1), date(2023, 12, 31)), july(2023, 30_000))
    this = with_peaks(demand(date(2024, 1, 1), DAY), july(2024, 26_000))
    found = standings(pd.concat([earlier, this]), date(2024, 7, 6), ZONE)
    assert found.to_come == 0.5  # the 6th to the 10th
    # Five peaks of July were known before the 6th; the tenth day and hour so far are ordinary ones.
    assert found.so_far_mwh == 15_000.0
    assert found.day_mwh == found.hour_mwh == 15_000 + (30_100 - 15_000) / 2
    late = standings(pd.concat([earlier, this]), date(2024, 7, 11), ZONE)
    assert (late.to_come, late.so_far_mwh, late.day_mwh) == (0.0, 26_100.0, 26_100.0)


def test_the_threshold_is_never_below_what_was_reached():
    august = {date(2023, 8, number): 20_000.0 for number in range(1, HIGHEST + 1)}
    earlier = with_peaks(demand(date(2023, 1, 1), date(2023, 12, 31)), august)
    this = with_peaks(demand(date(2024, 1, 1), DAY), july(2024, 30_000))
    found = standings(pd.concat([earlier, this]), date(2024, 7, 11), ZONE)
    assert found == Standings(30_100.0, 30_100.0, 30_100.0, 1.0)


def test_without_a_whole_earlier_year_the_year_so_far_counts_alone():
    series = demand(date(2023, 10, 1), date(2024, 1, 20))
    found = standings(series, date(2024, 1, 21), ZONE)
    assert found == Standings(15_000.0, 15_000.0, 15_000.0, pytest.approx(345 / 365))
    third = standings(series, date(2024, 1, 3), ZONE)
    assert (third.so_far_mwh, third.hour_mwh) == (None, 15_000.0)
    assert standings(series.iloc[:0], DAY, ZONE).hour_mwh is None
    assert Chances.of(NORMAL, standings(series.iloc[:0], DAY, ZONE)).hour_probability is None


def test_the_day_itself_and_later_ones_move_nothing():
    series = with_peaks(demand(date(2022, 1, 1), date(2024, 8, 31)), july(2023, 30_000))
    before = standings(series, DAY, ZONE)
    later = series.index > day_periods(DAY - timedelta(days=1), ZONE)[-1]
    assert standings(series.mask(later, 99_000.0), DAY, ZONE) == before
    assert standings(series.mask(~later, 99_000.0), DAY, ZONE) != before


def test_unknown_hours_are_left_out():
    series = with_peaks(demand(date(2024, 7, 1), DAY), {date(2024, 7, 2): 31_000.0})
    holed = series.where(series < 31_000, np.nan)
    assert highest(holed, ZONE)[0]["demand_mwh"].max() == 15_000.0


def test_an_alert_needs_more_while_alert_days_go_faster_than_the_season():
    rule = AlertRule(limit=0.2, slope=0.5, alert_days=8)
    assert rule.needed(0, 1.0) == rule.needed(4, 0.5) == pytest.approx(0.2)
    assert rule.needed(4, 1.0) == pytest.approx(0.45)
    assert rule.needed(0, 0.0) == pytest.approx(0.01)  # nothing left to save them for
    assert rule.needed(40, 1.0) == pytest.approx(0.99)


def test_the_forecast_column_has_the_forecasters_name():
    assert day_peak.PREDICTED == forecaster.PREDICTED
