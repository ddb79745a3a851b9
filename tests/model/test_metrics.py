"""Scores, checked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from energy_demand.model.metrics import coverage, headline, r2, scores


def test_the_scores_are_those_of_the_contract():
    found = scores([100.0, 200.0, 400.0], [110.0, 180.0, 400.0])
    assert found == {
        "mape": pytest.approx(100 * (0.1 + 0.1 + 0.0) / 3),
        "mae": pytest.approx(10.0),
        "rmse": pytest.approx(np.sqrt((100 + 400 + 0) / 3)),
        "bias_percent": pytest.approx(0.0),
        "n": 3,
    }
    assert type(found["n"]) is int


def test_the_bias_is_positive_where_too_much_was_predicted():
    assert scores([100.0, 200.0], [110.0, 210.0])["bias_percent"] == pytest.approx(7.5)
    assert scores([100.0, 200.0], [90.0, 190.0])["bias_percent"] == pytest.approx(-7.5)


def test_a_perfect_forecast_has_no_error():
    found = scores([1.0, 2.0], [1.0, 2.0])
    assert [found[name] for name in ("mape", "mae", "rmse", "bias_percent")] == [0.0] * 4


def test_only_hours_with_both_values_count():
    found = scores([100.0, np.nan, 300.0, 50.0], [110.0, 5.0, np.nan, 50.0])
    assert (found["n"], found["mae"]) == (2, 5.0)


@pytest.mark.parametrize(
    ("actual", "predicted"),
    [
        pytest.param([], [], id="no hours"),
        pytest.param([np.nan, 1.0], [1.0, np.nan], id="no hour with both"),
    ],
)
def test_nothing_to_score_is_refused(actual, predicted):
    with pytest.raises(ValueError, match="no hour has both"):
        scores(actual, predicted)


def test_values_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match=r"\(2,\) actual and \(1,\) predicted"):
        scores([1.0, 2.0], [1.0])


def test_coverage_is_the_percentage_of_hours_within_the_bounds_edges_included():
    actual = np.array([10.0, 12.0, 9.9, 12.1, 11.0])
    assert coverage(actual, np.full(5, 10.0), np.full(5, 12.0)) == pytest.approx(60.0)


def test_coverage_counts_known_hours_only():
    actual = np.array([11.0, np.nan, 13.0])
    assert coverage(actual, np.full(3, 10.0), np.full(3, 12.0)) == pytest.approx(50.0)


def test_r2_is_the_share_of_the_variance_that_is_explained():
    # Around the mean of 200 the truth varies by 10000 + 0 + 10000, and the errors by 400 + 100 + 0.
    assert r2([100.0, 200.0, 300.0], [120.0, 190.0, 300.0]) == pytest.approx(1 - 500 / 20_000)
    assert r2([100.0, 300.0], [200.0, 200.0]) == pytest.approx(0.0)
    assert r2([100.0, 300.0], [300.0, 100.0]) == pytest.approx(-3.0)
    assert r2([100.0, np.nan, 300.0], [100.0, 9.0, 300.0]) == 1.0


@pytest.mark.parametrize(("predicted", "explained"), [([5.0, 5.0], 1.0), ([5.0, 6.0], 0.0)])
def test_r2_of_hours_that_do_not_vary_is_a_number(predicted, explained):
    assert r2([5.0, 5.0], predicted) == explained


def test_the_headline_has_the_four_names_that_callers_look_for():
    actual, predicted = [100.0, 200.0, 400.0], [110.0, 180.0, 400.0]
    of_contract = scores(actual, predicted)
    assert headline(actual, predicted) == {
        "mae": of_contract["mae"],
        "rmse": of_contract["rmse"],
        "r2": r2(actual, predicted),
        "mape": of_contract["mape"],
    }
