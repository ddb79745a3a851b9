"""Sequential tests of two models: the published formulas, and error rates that hold under daily looks."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from energy_demand.evaluation.sequential import (
    LEAST_VARIANCE,
    always_valid,
    daily_gains,
    group_sequential,
    studentised,
    winsorised,
)


def by_hand(gains: list[float]) -> float:
    """The one-sided p-value from the published formulas; h = 2, Bartlett's weight ½ at lag one."""
    count = len(gains)
    mean = sum(gains) / count
    centred = [gain - mean for gain in gains]
    gamma_0 = sum(value * value for value in centred) / count
    gamma_1 = sum(later * earlier for earlier, later in pairwise(centred)) / count
    statistic = mean / (max(gamma_0 + 2 * 0.5 * gamma_1, LEAST_VARIANCE) / count) ** 0.5
    h = 2
    statistic *= ((count + 1 - 2 * h + h * (h - 1) / count) / count) ** 0.5
    return float(1 - special.stdtr(count - 1, statistic))


def test_the_studentised_mean_of_four_days_by_hand():
    # Mean 2.5; deviations −1.5, −0.5, 0.5, 1.5: γ₀ = 1.25, γ₁ = (0.75 − 0.25 + 0.75) / 4 = 0.3125,
    # so the variance of the mean is 1.5625 / 4 and the statistic 2.5 / 0.625 = 4; corrected by
    # √((4 + 1 − 4 + 0.5) / 4) = √0.375. Student's t with 3 degrees of freedom at 2.4495: 0.0459.
    found = studentised(np.array([1.0, 2.0, 3.0, 4.0]))
    assert stats.norm.sf(found) == pytest.approx(0.0459, abs=2e-4)


@settings(deadline=None)
@given(st.lists(st.floats(-5, 5), min_size=3, max_size=40).filter(lambda gains: np.ptp(gains) > 1e-3))
def test_the_studentised_mean_is_the_published_formula(gains):
    found = studentised(np.array(gains))
    assert stats.norm.sf(found) == pytest.approx(by_hand(gains), abs=1e-9)
    assert studentised(-np.array(gains)) == pytest.approx(-found)


@pytest.mark.parametrize("gains", [[], [1.0], [1.0, 2.0], [0.0] * 14], ids=["none", "one", "two", "zero"])
def test_too_few_days_or_none_that_differ_cannot_be_tested(gains):
    assert studentised(np.array(gains)) is None
    assert not group_sequential(np.array(gains), planned=56, fewest=1, error_rate=0.05).proven


def test_a_gain_is_the_logarithm_of_the_ratio_of_both_errors():
    np.testing.assert_allclose(
        daily_gains(np.array([2.0, 1.0]), np.array([1.0, 2.0])), [np.log(2), -np.log(2)]
    )
    assert np.isfinite(daily_gains(np.array([0.0, 1.0]), np.array([1.0, 0.0]))).all()


def test_one_day_that_is_far_out_decides_nothing():
    gains = np.full(28, -0.01) + np.tile([0.02, -0.02], 14)
    wild = np.append(gains, 50.0)
    assert winsorised(wild).max() < 0.2
    assert not group_sequential(wild, planned=56, fewest=14, error_rate=0.05).proven


def overlapping(random: np.random.Generator, days: int, deviation: float = 0.08) -> np.ndarray:
    """Gains of equal models; neighbouring days go together, as those of day-ahead forecasts."""
    noise = random.normal(size=days + 1)
    return deviation * (noise[1:] + 0.3 * noise[:-1]) / np.hypot(1, 0.3)


def test_looking_every_day_proves_equal_models_different_as_seldom_as_stated():
    random = np.random.default_rng(1)

    def ever(gains: np.ndarray) -> bool:
        looks = (
            group_sequential(gains[:days], planned=56, fewest=14, error_rate=0.05) for days in range(28, 57)
        )
        return any(look.proven for look in looks)

    false = np.mean([ever(overlapping(random, 56)) for _ in range(300)])
    assert false < 0.09  # 0.05 and three standard errors
    true = np.mean([ever(overlapping(random, 56) + 0.05) for _ in range(100)])
    assert true > 0.9


def test_the_boundary_falls_with_the_days_to_that_of_one_look():
    looks = [group_sequential(np.ones(days), planned=56, fewest=14, error_rate=0.05) for days in (14, 28, 56)]
    boundaries = [look.boundary for look in looks]
    # Early it is capped: 1.96 / √0.25 would be 3.92.
    np.testing.assert_allclose(boundaries, [3.29, 1.959964 / np.sqrt(0.5), 1.959964], rtol=1e-6)


def test_the_always_valid_test_is_robbins_mixture_and_holds_its_rate():
    # r = 1 after one day of an effect as large as the deviation; the average likelihood ratio is then
    # 2 Φ(z/√2) exp(z²/4) / √2, at the boundary at least 1 / rate but for the factor Φ < 1.
    look = always_valid(np.array([0.5]), deviation=0.1, effect=0.1, error_rate=0.02)
    assert look.statistic == pytest.approx(5.0)
    ratio = 2 * np.exp(look.boundary**2 / 4) / np.sqrt(2)
    assert ratio == pytest.approx(1 / 0.02)
    assert look.proven
    random = np.random.default_rng(2)

    def ever(gains: np.ndarray) -> bool:
        return any(
            always_valid(gains[:days], deviation=0.08, effect=0.1, error_rate=0.05).proven
            for days in range(1, 29)
        )

    false = np.mean([ever(random.normal(0, 0.08, 28)) for _ in range(1000)])
    assert false < 0.07


def test_a_gross_loss_is_found_on_the_first_day_and_a_smaller_one_within_a_week():
    for gain, days in ((0.8, 1), (0.2, 2), (0.1, 7)):
        looks = [
            always_valid(np.full(number, gain), deviation=0.08, effect=0.1, error_rate=0.02).proven
            for number in range(1, 29)
        ]
        assert looks.index(True) + 1 == days
