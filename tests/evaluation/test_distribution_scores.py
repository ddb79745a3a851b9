"""Scores of distributions: figures by hand, groups of hours, whole days."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from energy_demand.evaluation.distribution_scores import (
    day_scores,
    distribution_scores,
    kinds_of_days,
    quantile_scores,
)
from energy_demand.model.distribution import MEDIAN, PROBABILITIES, QUANTILES
from energy_demand.model.metrics import crps
from energy_demand.region import NEW_YORK
from energy_demand.timeaxis import HOUR

ZONE = ZoneInfo("America/New_York")
# Two days of winter and two of summer.
PERIODS = pd.DatetimeIndex(
    [
        *pd.date_range("2024-01-10T06:00Z", periods=48, freq="h"),
        *pd.date_range("2024-07-10T05:00Z", periods=48, freq="h"),
    ]
)


def hours(error=0.0) -> pd.DataFrame:
    """Hours with quantiles 100 MWh apart around 10,000 MWh, and an actual value `error` above."""
    steps = 100.0 * (np.arange(len(PROBABILITIES)) - MEDIAN)
    quantiles = pd.DataFrame(np.tile(10_000.0 + steps, (len(PERIODS), 1)), columns=list(QUANTILES))
    return quantiles.assign(
        period=PERIODS,
        actual_mwh=10_000.0 + np.broadcast_to(error, len(PERIODS)),
        lower_80=quantiles["quantile_0.1"],
        upper_80=quantiles["quantile_0.9"],
        lower_95=quantiles["quantile_0.025"],
        upper_95=quantiles["quantile_0.975"],
    )


def test_the_crps_of_a_normal_distribution_is_the_known_one():
    # Gneiting and Raftery 2007, eq. 21: σ (2 φ(0) − 1 / √π) = 0.2337 σ at the mean of a normal distribution.
    from statistics import NormalDist  # noqa: PLC0415

    probabilities = np.linspace(0.001, 0.999, 999)
    quantiles = np.array([[NormalDist().inv_cdf(each) for each in probabilities]])
    assert crps(np.array([0.0]), quantiles, probabilities) == pytest.approx(0.2337, abs=0.001)


def test_a_point_without_spread_scores_its_absolute_error():
    quantiles = np.full((2, len(PROBABILITIES)), 100.0)
    scores = quantile_scores(np.array([103.0, 99.0]), quantiles)
    assert scores["crps_mwh"] == pytest.approx(2.0, rel=0.01)
    assert scores["crps_percent"] == pytest.approx(2.0 / 101.0 * 100, rel=0.01)


def test_coverage_is_told_by_season_block_and_kind_of_day():
    summer = np.arange(96) >= 48
    hot = summer & (np.arange(96) < 72)
    body = distribution_scores(
        hours(np.where(summer, 5_000.0, 0.0)), ZONE, {"hot": hot, "holidays": np.zeros(96, dtype=bool)}
    )
    covered = body["coverage"]
    assert covered["season"] == {
        "winter": {"coverage_80": 100.0, "coverage_95": 100.0, "n_hours": 48},
        "summer": {"coverage_80": 0.0, "coverage_95": 0.0, "n_hours": 48},
    }
    assert list(covered["local_hours"]) == ["00-05", "06-11", "12-17", "18-23"]
    assert {each["n_hours"] for each in covered["local_hours"].values()} == {24}
    assert covered["days"] == {"hot": {"coverage_80": 0.0, "coverage_95": 0.0, "n_hours": 24}}


def test_unknown_hours_are_in_no_group():
    body = distribution_scores(
        hours(np.where(np.arange(96) < 48, np.nan, 0.0)), ZONE, {"all": np.ones(96, bool)}
    )
    assert list(body["coverage"]["season"]) == ["summer"]
    assert body["coverage"]["days"]["all"]["n_hours"] == 48


def test_energy_and_peak_of_whole_days_are_scored_and_a_day_with_a_gap_is_not():
    quantiles = 1_000.0 + 10.0 * (PROBABILITIES - 0.5)
    row = {
        f"{name}_{column}": value
        for name in ("energy", "peak")
        for column, value in zip(QUANTILES, quantiles, strict=True)
    }
    days = pd.DataFrame([row, row]).assign(
        energy_actual_mwh=[1_000.0, np.nan], peak_actual_mwh=[990.0, np.nan]
    )
    scores = day_scores(days)
    assert (scores["energy"]["coverage_80"], scores["energy"]["n_days"]) == (100.0, 1)
    assert (scores["peak"]["coverage_95"], scores["peak"]["n_days"]) == (0.0, 1)
    assert day_scores(pd.DataFrame()) == {"energy": None, "peak": None}


def test_the_kinds_of_days_are_those_of_the_observed_weather_and_of_the_calendar(record):
    periods = record.periods[: 24 * 300]
    kinds = kinds_of_days(record, periods)
    temperature = record.observed.column("main_temperature")[: 24 * 300]
    days = (periods - HOUR).tz_convert(ZONE).date
    hot = pd.Series(temperature).groupby(days).max() >= 30.0
    np.testing.assert_array_equal(kinds["30_degrees_and_more"], pd.Series(days).map(hot))
    holidays = sorted(set(days[kinds["holidays"]]))
    assert all((day.month, day.day) != (7, 3) for day in holidays)
    assert NEW_YORK.country == "US"
    assert any((day.month, day.day) == (7, 4) for day in holidays) or not any(
        (day.month, day.day) == (7, 4) for day in days
    )
