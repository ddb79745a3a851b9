"""The error stage: only known errors count, and persistent ones carry over to the forecast."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from energy_demand.model.stages.error_stage import FURTHEST, NAMES, ErrorStage, error_features

SIZE = 24 * 200


def persistent(seed: int = 0, half_life: float = 12.0) -> np.ndarray:
    """Errors that fade with this half-life (hours)."""
    shocks = np.random.default_rng(seed).normal(size=SIZE)
    errors = np.zeros(SIZE)
    for hour in range(1, SIZE):
        errors[hour] = 0.5 ** (1 / half_life) * errors[hour - 1] + shocks[hour]
    return errors


@given(known=st.integers(0, 600), distance=st.integers(1, 90), seed=st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_errors_after_the_newest_known_hour_change_nothing(known, distance, seed):
    errors = np.random.default_rng(seed).normal(size=700)
    altered = errors.copy()
    altered[known + 1 :] = 99.0
    position, target = np.array([known]), np.array([known + distance])
    np.testing.assert_array_equal(
        error_features(errors, position, target), error_features(altered, position, target)
    )


def test_each_feature_is_the_error_in_its_name():
    errors = np.arange(1000, dtype=float) / 100
    row = dict(zip(NAMES, error_features(errors, np.array([800]), np.array([830]))[0], strict=True))
    assert row["error_mean_1h"] == pytest.approx(errors[800])
    assert row["error_mean_24h"] == pytest.approx(errors[777:801].mean())
    assert row["error_same_hour_0"] == pytest.approx(errors[830 - 48])
    assert row["error_same_hour_3"] == pytest.approx(errors[830 - 48 - 72])
    assert row["error_same_hour_week"] == pytest.approx(errors[830 - 168])
    assert row["error_hour_after"] == pytest.approx(errors[830 - 47])
    assert row["error_two_hours_before"] == pytest.approx(errors[830 - 50])


def test_an_unknown_error_counts_as_zero():
    errors = np.full(500, np.nan)
    np.testing.assert_array_equal(error_features(errors, np.array([400]), np.array([410])), 0.0)


def test_persistent_errors_are_corrected_less_at_longer_leads():
    errors = persistent()
    stage = ErrorStage.fit(errors, np.repeat(errors[None], 3, axis=0), ridge=10.0)
    unexplained = []
    for distance in (1, 12, 48):
        target = np.arange(24 * 100, SIZE)
        features = error_features(errors, target - distance, target)
        correction = stage.correction(features, np.full(len(target), distance))
        unexplained.append(np.var(errors[target] - correction) / np.var(errors[target]))
    assert unexplained[0] < 0.2
    assert unexplained[0] < unexplained[1] < unexplained[2] < 1.0


def test_errors_without_persistence_are_not_corrected():
    errors = np.random.default_rng(3).normal(size=SIZE)
    stage = ErrorStage.fit(errors, np.repeat(errors[None], 3, axis=0), ridge=1000.0)
    assert np.abs(stage.coefficients).max() < 0.1


def test_beyond_its_reach_the_last_regression_serves():
    errors = persistent()
    stage = ErrorStage.fit(errors, np.repeat(errors[None], 3, axis=0), ridge=10.0)
    features = error_features(errors, np.array([3000]), np.array([3100]))
    assert stage.correction(features, np.array([100])) == stage.correction(features, np.array([FURTHEST]))


def test_the_stage_survives_json():
    stage = ErrorStage(np.random.default_rng(1).normal(size=(FURTHEST, len(NAMES))))
    np.testing.assert_array_equal(ErrorStage.from_dict(stage.to_dict()).coefficients, stage.coefficients)


def test_a_stage_for_other_features_is_refused():
    stored = ErrorStage(np.zeros((FURTHEST, len(NAMES)))).to_dict()
    with pytest.raises(ValueError, match="other features"):
        ErrorStage.from_dict({**stored, "names": stored["names"][::-1]})
