"""The distribution of a forecast: nominal coverage, quantiles in order, joint paths that keep them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from energy_demand.model.distribution import (
    CENTRAL_LEVELS,
    HEAT,
    MEDIAN,
    PATHS,
    PROBABILITIES,
    QUANTILES,
    Dependence,
    ErrorDistribution,
    central_interval,
    group_of,
)

SIZE = 20_000
ALONE = Dependence(0.0, 1.0)


def errors_of(seed: int = 0) -> tuple[np.ndarray, ...]:
    """Errors in proportion to a spread that differs by hour, larger at long leads and in summer."""
    random = np.random.default_rng(seed)
    spread = random.uniform(0.5, 4.0, SIZE)
    leads = random.integers(1, 49, SIZE)
    groups = random.integers(0, 4, SIZE)
    factor = np.where(leads > 24, 2.0, 1.0) * np.where(groups == 2, 1.5, 1.0)
    return random.normal(0.0, spread * factor), spread, leads, groups


@pytest.fixture(scope="module")
def distribution() -> ErrorDistribution:
    return ErrorDistribution.fit(*errors_of(), ALONE)


def test_the_probabilities_are_those_of_the_central_intervals():
    assert len(PROBABILITIES) == 2 * len(CENTRAL_LEVELS) + 1 >= 19
    assert PROBABILITIES[MEDIAN] == 0.5
    assert (np.diff(PROBABILITIES) > 0).all()
    np.testing.assert_allclose(PROBABILITIES + PROBABILITIES[::-1], 1.0)
    lower, upper = central_interval(PROBABILITIES[None], 95)
    assert (lower[0], upper[0]) == (0.025, 0.975)
    assert QUANTILES[:3] == ("quantile_0.01", "quantile_0.025", "quantile_0.05")


def test_every_interval_has_nominal_coverage_in_every_cell(distribution):
    errors, spread, leads, groups = errors_of(seed=1)
    quantiles = distribution.percent(spread, leads, groups)
    for level in CENTRAL_LEVELS:
        lower, upper = central_interval(quantiles, level)
        inside = (errors >= lower) & (errors <= upper)
        for cell in (leads > 36, leads <= 6, groups == 2, spread < 1, spread > 3):
            assert 100 * inside[cell].mean() == pytest.approx(level, abs=3)


def test_quantiles_rise_around_an_error_of_zero(distribution):
    _, spread, leads, groups = errors_of()
    quantiles = distribution.percent(spread, leads, groups)
    assert quantiles.shape == (SIZE, len(PROBABILITIES))
    assert (np.diff(quantiles, axis=1) > 0).all()
    assert (quantiles[:, MEDIAN] == 0).all()


def test_a_group_without_enough_hours_takes_those_of_the_lead():
    errors, spread, leads, groups = errors_of()
    winter = groups == 0
    few = ErrorDistribution.fit(errors[winter], spread[winter], leads[winter], groups[winter], ALONE)
    for table in few.quantiles.values():
        assert (table == table[:, :1]).all()


def test_unknown_errors_are_left_out_and_no_errors_are_refused():
    errors, spread, leads, groups = errors_of()
    some = errors.copy()
    some[::2] = np.nan
    half = ErrorDistribution.fit(some, spread, leads, groups, ALONE)
    known = ErrorDistribution.fit(errors[1::2], spread[1::2], leads[1::2], groups[1::2], ALONE)
    np.testing.assert_array_equal(half.quantiles[80], known.quantiles[80])
    with pytest.raises(ValueError, match="held-out hours"):
        ErrorDistribution.fit(np.full(SIZE, np.nan), spread, leads, groups, ALONE)


def test_hot_hours_are_a_group_of_their_own_in_any_season():
    months, temperature = np.array([1, 4, 7, 10, 5, 7]), np.array([-5.0, 10.0, 21.9, 12.0, 22.0, np.nan])
    assert group_of(months, temperature).tolist() == [0, 1, 2, 3, HEAT, 2]


def test_it_survives_json_and_invalid_ones_are_refused(distribution):
    stored = json.loads(json.dumps(distribution.to_dict()))
    again = ErrorDistribution.from_dict(stored)
    assert again.to_dict() == stored
    levels = stored["levels"]
    without = {name: table for name, table in levels.items() if name != "80"}
    crossed = {**levels, "80": levels["95"], "95": levels["80"]}
    for broken, reason in (
        ({**stored, "levels": without}, "shape"),
        ({**stored, "levels": crossed}, "at least as wide"),
        ({**stored, "share": 1.5}, "share"),
        ({**stored, "hours": float("inf")}, "share"),
    ):
        with pytest.raises(ValueError, match=reason):
            ErrorDistribution.from_dict(broken)


def correlated(share: float, hours: float, issues: int = 600, length: int = 40):
    """Scores, known and target of forecasts whose hours go together so."""
    scores = Dependence(share, hours).normal_paths(length)[:issues]
    known = np.repeat(np.arange(issues) * 100, length)
    return scores.ravel(), known, known + 1 + np.tile(np.arange(length), issues)


@pytest.mark.parametrize(("share", "hours"), [(0.0, 3.0), (0.4, 6.0), (0.7, 2.0)])
def test_the_dependence_of_neighbouring_hours_is_found(share, hours):
    found = Dependence.fit(*correlated(share, hours))
    lags = np.arange(1, 25)
    given, fitted = (
        each[0] + (1 - each[0]) * np.exp(-lags / each[1])
        for each in ((share, hours), (found.share, found.hours))
    )
    assert np.abs(given - fitted).max() < 0.12


def test_hours_that_are_unknown_leave_the_dependence_as_it_is():
    scores, known, target = correlated(0.4, 6.0)
    holes = np.where(np.random.default_rng(3).random(len(scores)) < 0.2, np.nan, scores)
    whole, some = Dependence.fit(scores, known, target), Dependence.fit(holes, known, target)
    assert abs(whole.share - some.share) <= 0.1
    assert Dependence.fit(np.full(4, np.nan), np.arange(4), np.arange(4) + 1) == ALONE


def test_paths_have_the_quantiles_of_each_hour(distribution):
    percent = distribution.percent(np.linspace(0.5, 3.0, 24), np.arange(1, 25), np.full(24, 2))
    paths = ErrorDistribution(distribution.quantiles, Dependence(0.3, 6.0)).paths(percent)
    assert paths.shape == (PATHS, 24)
    for at in (3, MEDIAN, len(PROBABILITIES) - 4):
        reached = (paths <= percent[:, at]).mean(axis=0)
        np.testing.assert_allclose(reached, PROBABILITIES[at], atol=0.04)


def test_hours_that_go_together_make_a_days_energy_less_certain(distribution):
    percent = distribution.percent(np.full(24, 2.0), np.arange(1, 25), np.full(24, 2))
    spread = [
        ErrorDistribution(distribution.quantiles, each).paths(percent).mean(axis=1).std()
        for each in (ALONE, Dependence(0.0, 12.0), Dependence(0.8, 12.0))
    ]
    assert spread[0] < 0.6 * spread[1] < 0.6 * spread[2]


def test_the_paths_are_the_same_at_each_call(distribution):
    percent = distribution.percent(np.full(24, 2.0), np.arange(1, 25), np.full(24, 2))
    np.testing.assert_array_equal(distribution.paths(percent), distribution.paths(percent))
