"""Online aggregation: weights follow who was right, only ever by errors that were known."""

from __future__ import annotations

import numpy as np
import pytest

from energy_demand.model.stages.aggregation import aggregate, weights_of

DAYS, RATE, FORGETTING = 200, 0.05, 0.01
HOURS = np.tile(np.arange(24), DAYS)
BATCHES = [slice(24 * day, 24 * day + 24) for day in range(DAYS)]
RANDOM = np.random.default_rng(7)
ACTUAL = RANDOM.normal(0.0, 3.0, 24 * DAYS)


def experts(*errors):
    """Experts × ages × hours, each with the same forecast at each of three ages."""
    return np.stack([np.repeat((ACTUAL + error)[None], 3, axis=0) for error in errors])


def run(forecasts, actual=ACTUAL, rate=RATE, regrets=None):
    before = np.zeros((24, len(forecasts))) if regrets is None else regrets
    return aggregate(before, forecasts, actual, HOURS, BATCHES, rate, FORGETTING)


NOISE = [RANDOM.normal(0.0, size, 24 * DAYS) for size in (1.0, 3.0)]


def test_the_better_expert_is_believed_and_the_mixture_is_no_worse_than_it():
    regrets, mixture = run(experts(*NOISE))
    assert (weights_of(regrets, RATE)[:, 0] > 0.6).all()
    late = slice(24 * 100, None)
    mae = [np.abs(each[late]).mean() for each in (mixture[0] - ACTUAL, *NOISE)]
    assert mae[0] < 1.05 * mae[1] < mae[2]


def test_each_clock_hour_has_weights_of_its_own():
    night = HOURS < 12
    regrets, _ = run(experts(np.where(night, *NOISE), np.where(night, *NOISE[::-1])))
    weights = weights_of(regrets, RATE)
    assert (weights[:12, 0] > 0.6).all()
    assert (weights[12:, 0] < 0.4).all()


def test_a_change_of_who_is_right_is_followed():
    early = np.arange(24 * DAYS) < 24 * 100
    regrets, _ = run(experts(np.where(early, *NOISE), np.where(early, *NOISE[::-1])))
    assert (weights_of(regrets, RATE)[:, 0] < 0.5).all()


def test_experts_that_agree_keep_equal_weights_and_a_rate_of_zero_is_the_mean():
    regrets, mixture = run(experts(NOISE[0], NOISE[0]))
    np.testing.assert_array_equal(regrets, 0.0)
    np.testing.assert_allclose(mixture[0], ACTUAL + NOISE[0])
    both = experts(*NOISE)
    np.testing.assert_allclose(run(both, rate=0.0)[1], both.mean(axis=0))


@pytest.mark.parametrize("age", [0, 1, 2])
def test_no_later_hour_touches_a_weight(age):
    at = 24 * 150 + 5
    altered = np.where(np.arange(24 * DAYS) >= at, ACTUAL + 40.0, ACTUAL)
    before, after = (run(experts(*NOISE), actual)[1][age] for actual in (ACTUAL, altered))
    changed = np.flatnonzero(before != after)
    assert 24 * (age + 1) <= changed[0] - at < 24 * (age + 4)


def test_an_unknown_hour_teaches_nothing_and_a_broken_one_little():
    gap, broken = ACTUAL.copy(), ACTUAL.copy()
    gap[24 * 199 :] = np.nan
    broken[24 * 199 :] += 1e6
    before, _ = aggregate(
        np.zeros((24, 2)), experts(*NOISE)[..., : 24 * 199], ACTUAL, HOURS, BATCHES[:199], RATE, FORGETTING
    )
    np.testing.assert_array_equal(run(experts(*NOISE), gap)[0], before)
    moved = weights_of(run(experts(*NOISE), broken)[0], RATE) - weights_of(before, RATE)
    assert np.abs(moved).max() < 0.1


def test_learning_in_parts_equals_learning_at_once():
    both = experts(*NOISE)
    whole, mixture = run(both)
    half = 24 * 100
    first, early = aggregate(
        np.zeros((24, 2)), both[..., :half], ACTUAL[:half], HOURS[:half], BATCHES[:100], RATE, FORGETTING
    )
    second, late = aggregate(
        first, both[..., half:], ACTUAL[half:], HOURS[half:], BATCHES[:100], RATE, FORGETTING
    )
    np.testing.assert_allclose(second, whole)
    np.testing.assert_allclose(np.concatenate([early[0], late[0]]), mixture[0])
