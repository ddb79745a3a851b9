"""The adaptive regression: it learns the response of demand, forgets slowly, and never uses the future."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from energy_demand.model.stages import response_features as groups
from energy_demand.model.stages.adaptive_regression import AGES, AdaptiveRegression, RegressionRecipe
from energy_demand.model.stages.response_features import Responses
from energy_demand.timeaxis import hourly
from records import not_a_number

DAYS = 120
SIZE = DAYS * 24


def responses(seed: int = 0, zone: str = "UTC") -> Responses:
    """A level and one column of weather."""
    periods = hourly(
        pd.Timestamp("2024-09-01T01:00Z"), pd.Timestamp("2024-09-01T00:00Z") + pd.Timedelta(days=DAYS)
    )
    local = (periods - pd.Timedelta(hours=1)).tz_convert(zone)
    weather = np.random.default_rng(seed).normal(20.0, 5.0, SIZE)
    return Responses(
        periods,
        local.hour.to_numpy(dtype=np.int64),
        local.month.to_numpy(dtype=np.int64),
        local.dayofyear.to_numpy(dtype=np.int64),
        local.dayofweek.to_numpy(dtype=np.int64),
        ("level", "weather"),
        (groups.LEVEL, groups.AIR),
        np.stack([np.ones(SIZE), weather], axis=1),
        np.zeros(SIZE),
    )


def demand_of(rows: Responses, slope: np.ndarray | float = 0.01) -> np.ndarray:
    """Log demand is linear in the weather, at a level of its own for each clock hour."""
    return 17_000 * np.exp(0.02 * np.sin(rows.hours / 4) + slope * (rows.values[:, 1] - 20.0))


def run(rows: Responses, demand: np.ndarray, recipe: RegressionRecipe | None = None):
    return AdaptiveRegression.start(rows, demand, recipe).advance(rows, demand)


def test_it_learns_a_linear_response_at_each_clock_hour():
    rows = responses()
    stage, forecast = run(rows, demand_of(rows))
    errors = 100 * np.log(demand_of(rows)) - forecast.log_load
    assert np.abs(errors[:, -24 * 20 :]).max() < 0.5
    assert np.abs(stage.predict(rows) - 100 * np.log(demand_of(rows))).mean() < 0.5


def test_it_follows_a_response_that_changes():
    rows = responses()
    slope = np.where(np.arange(SIZE) < SIZE // 2, 0.01, 0.03)
    _, forecast = run(rows, demand_of(rows, slope))
    errors = np.abs(100 * np.log(demand_of(rows, slope)) - forecast.log_load[0])
    just_after, later = errors[SIZE // 2 :][: 24 * 5].mean(), errors[-24 * 10 :].mean()
    assert later < 0.5 * just_after


def test_older_coefficients_forecast_a_moving_level_worse():
    rows = responses()
    demand = demand_of(rows) * np.exp(0.004 * np.arange(SIZE) / 24)
    _, forecast = run(rows, demand)
    errors = np.abs(100 * np.log(demand) - forecast.log_load)[:, -24 * 60 :].mean(axis=1)
    assert len(errors) == AGES
    assert errors[0] < errors[1] < errors[2]


@pytest.mark.parametrize("cut", [1, 24, 24 * 50 + 7])
def test_advancing_in_parts_equals_advancing_at_once(cut):
    rows = responses(zone="America/New_York")  # its 25-hour day is among them
    demand = demand_of(rows)
    whole, forecast = run(rows, demand)
    first, early = AdaptiveRegression.start(rows, demand).advance(rows.rows(slice(0, cut)), demand[:cut])
    second, late = first.advance(rows.rows(slice(cut, SIZE)), demand[cut:])
    np.testing.assert_allclose(
        np.concatenate([early.log_load[0], late.log_load[0]]), forecast.log_load[0], rtol=0, atol=1e-9
    )
    for one, other in zip(whole.filters, second.filters, strict=True):
        np.testing.assert_allclose(one.coefficients, other.coefficients, rtol=0, atol=1e-9)
    np.testing.assert_allclose(whole.innovations, second.innovations, atol=1e-9)
    np.testing.assert_allclose(whole.variance, second.variance, atol=1e-9)
    assert second.through == rows.periods[-1]


def test_a_forecast_does_not_depend_on_its_own_hour_or_later_ones():
    rows, at = responses(), 24 * 60 + 5
    demand = demand_of(rows)
    altered = np.where(np.arange(SIZE) >= at, demand * 2, demand)
    start = AdaptiveRegression.start(rows, demand)
    forecast, again = start.advance(rows, demand)[1], start.advance(rows, altered)[1]
    np.testing.assert_array_equal(forecast.log_load[:, : at + 1], again.log_load[:, : at + 1])
    np.testing.assert_array_equal(forecast.spread[: at + 1], again.spread[: at + 1])
    assert np.abs(forecast.log_load[0, at + 24 :] - again.log_load[0, at + 24 :]).max() > 1


def test_an_age_is_the_days_since_the_coefficients_were_updated():
    rows, at = responses(), 24 * 60 + 5
    altered = demand_of(rows)
    altered[at] *= 1.1
    start = AdaptiveRegression.start(rows, demand_of(rows))
    forecast, again = start.advance(rows, demand_of(rows))[1], start.advance(rows, altered)[1]
    changed = np.abs(forecast.log_load - again.log_load) > 1e-9
    for age in range(AGES):
        assert np.flatnonzero(changed[age])[0] == at + 24 * (age + 1)


def test_an_hour_without_demand_does_not_change_the_coefficients():
    rows, at = responses(), np.arange(24 * 30, 24 * 33)
    demand = demand_of(rows)
    gap = not_a_number(demand, at)
    stage, forecast = AdaptiveRegression.start(rows, demand).advance(rows, gap)
    assert np.isfinite(forecast.log_load).all()
    before, _ = AdaptiveRegression.start(rows, demand).advance(rows.rows(slice(0, at[0])), demand[: at[0]])
    after, _ = AdaptiveRegression.start(rows, demand).advance(
        rows.rows(slice(0, at[-1] + 1)), gap[: at[-1] + 1]
    )
    np.testing.assert_array_equal(before.filters[0].coefficients, after.filters[0].coefficients)
    assert np.isnan(after.innovations[-72:]).all()
    assert np.isfinite(stage.innovations[-72:]).all()


def test_one_absurd_hour_moves_the_coefficients_no_more_than_an_outlier_may():
    rows, at = responses(), 24 * 100 + 3
    demand = demand_of(rows) * np.exp(np.random.default_rng(1).normal(0, 0.01, SIZE))
    broken, worse = demand.copy(), demand.copy()
    broken[at], worse[at] = demand[at] * 3, demand[at] * 30
    start = AdaptiveRegression.start(rows, demand)
    coefficients = [start.advance(rows, each)[0].filters[0].coefficients for each in (demand, broken, worse)]
    np.testing.assert_allclose(coefficients[1], coefficients[2], atol=1e-9)
    without_clipping = AdaptiveRegression.start(rows, demand, replace(RegressionRecipe(), outlier=1e9))
    moved = [each.advance(rows, broken)[0].filters[0].coefficients for each in (start, without_clipping)]
    assert np.abs(moved[0] - coefficients[0]).max() < 0.3 * np.abs(moved[1] - coefficients[0]).max()


def test_the_spread_is_the_size_of_recent_errors_at_that_clock_hour():
    rows = responses()
    noise = np.where(rows.hours < 12, 0.005, 0.02)
    demand = demand_of(rows) * np.exp(np.random.default_rng(2).normal(0, noise))
    stage, _ = run(rows, demand)
    night, day = stage.spread(np.arange(12)).mean(), stage.spread(np.arange(12, 24)).mean()
    assert night < 0.75 * day
    assert 1.5 < day < 4


def test_a_break_widens_the_spread_within_days_and_a_quiet_time_does_not():
    rows, at = responses(), 24 * 100
    noise = np.random.default_rng(5).normal(0, 0.03, SIZE)  # as large as the first variance
    quiet = demand_of(rows) * np.exp(noise)
    broken = demand_of(rows) * np.exp(np.where(np.arange(SIZE) >= at, 3.0, 1.0) * noise)
    start = AdaptiveRegression.start(rows, quiet)
    end = at + 24 * 4
    spreads = []
    for demand in (quiet, broken):
        stage, forecast = start.advance(rows.rows(slice(0, end)), demand[:end])
        spreads.append(stage.spread(np.arange(24)).mean())
        assert forecast.spread[at - 24 * 20 : at].mean() == pytest.approx(3.0, abs=0.5)
        assert len(stage.scores) == 14 * 24
    np.testing.assert_allclose(spreads[0], np.sqrt(start.advance(rows, quiet)[0].variance).mean(), rtol=0.1)
    assert spreads[1] > 1.6 * spreads[0]


def test_who_was_right_is_believed_and_a_rate_of_zero_is_the_mean():
    rows = responses()
    demand = demand_of(rows, np.where(np.arange(SIZE) < SIZE // 2, 0.01, 0.03))
    recipe = replace(RegressionRecipe(), regret_rate=0.0)
    mean, _ = AdaptiveRegression.start(rows, demand, recipe).advance(rows, demand)
    stage, _ = run(rows, demand)
    np.testing.assert_array_equal(mean.weights, 0.5)
    np.testing.assert_allclose(stage.weights.sum(axis=1), 1.0)
    assert stage.weights[:, 0].mean() > 0.5  # the fast filter, where the coefficients moved
    by_filter = [
        (rows.values - stage.centre) / stage.scale * each.coefficients[rows.hours] for each in stage.filters
    ]
    mixed = sum(
        weight[rows.hours, None] * each for weight, each in zip(stage.weights.T, by_filter, strict=True)
    )
    np.testing.assert_allclose(stage.contributions(rows), np.nan_to_num(mixed))


def test_the_contributions_add_up_to_the_forecast():
    rows = responses()
    stage, _ = run(rows, demand_of(rows))
    total = stage.contributions(rows).sum(axis=1) + stage.reference
    np.testing.assert_allclose(total, stage.predict(rows))


def test_missing_weather_counts_as_average():
    rows = responses()
    stage, _ = run(rows, demand_of(rows))
    blank = replace(rows, values=np.stack([np.ones(SIZE), np.full(SIZE, np.nan)], axis=1))
    average = replace(rows, values=np.stack([np.ones(SIZE), np.full(SIZE, stage.centre[1])], axis=1))
    np.testing.assert_array_equal(stage.predict(blank), stage.predict(average))


def test_hours_that_do_not_follow_are_refused():
    rows = responses()
    stage, _ = AdaptiveRegression.start(rows, demand_of(rows)).advance(
        rows.rows(slice(0, 24)), demand_of(rows)[:24]
    )
    with pytest.raises(ValueError, match="the hour after .* is needed"):
        stage.advance(rows.rows(slice(30, 40)), demand_of(rows)[30:40])
    with pytest.raises(ValueError, match="24 hours of demand for 10 rows"):
        stage.advance(rows.rows(slice(24, 34)), demand_of(rows)[:24])


def test_other_columns_are_refused():
    rows = responses()
    stage, _ = run(rows, demand_of(rows))
    with pytest.raises(ValueError, match="do not have the columns"):
        stage.predict(replace(rows, names=("level", "moonlight")))


def test_demand_without_a_known_hour_is_refused():
    rows = responses()
    with pytest.raises(ValueError, match="no hour of demand is known"):
        AdaptiveRegression.start(rows, np.full(SIZE, np.nan))


def test_no_hours_change_nothing():
    rows = responses()
    stage, _ = run(rows, demand_of(rows))
    same, forecast = stage.advance(rows.rows(slice(0, 0)), np.empty(0))
    assert same is stage
    assert forecast.log_load.shape == (AGES, 0)
