"""Scores of a forecast. Pure; the percentages are those of the spec."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from energy_demand.arrays import Floats


ERROR_OF_HALF_WIDTH = float(np.sqrt(2 / np.pi)) / 1.2815515655446004


class Scores(TypedDict):
    """Errors of a forecast: `mae` and `rmse` in MWh, `mape` and `bias_percent` in percent."""

    mape: float
    mae: float
    rmse: float
    bias_percent: float
    n: int


def scores(actual: npt.ArrayLike, predicted: npt.ArrayLike) -> Scores:
    """Scores over the hours in which both values are known.

    `bias_percent` is 100 (predicted − actual) / actual, averaged over the hours.

    Raises:
        ValueError: there is no such hour, or the lengths differ.
    """
    truth, error = _known(actual, predicted)
    return Scores(
        mape=float(100 * np.mean(np.abs(error) / truth)),
        mae=float(np.mean(np.abs(error))),
        rmse=float(np.sqrt(np.mean(error**2))),
        bias_percent=float(100 * np.mean(error / truth)),
        n=len(truth),
    )


def r2(actual: npt.ArrayLike, predicted: npt.ArrayLike) -> float:
    """The share of the variance of the known hours that a forecast explains.

    Hours that do not vary have no variance to explain: 1 for a forecast without error, else 0.

    >>> r2([1.0, 2.0, 3.0], [1.0, 2.0, 4.0])
    0.5
    """
    truth, error = _known(actual, predicted)
    squares, spread = float(np.sum(error**2)), float(np.sum((truth - truth.mean()) ** 2))
    if spread == 0:
        return float(squares == 0)
    return 1 - squares / spread


def headline(actual: npt.ArrayLike, predicted: npt.ArrayLike) -> dict[str, float]:
    """`mae` and `rmse` (MWh), `r2`, `mape` (percent): what callers look for in a model's metrics."""
    found = scores(actual, predicted)
    return {
        "mae": found["mae"],
        "rmse": found["rmse"],
        "r2": r2(actual, predicted),
        "mape": found["mape"],
    }


def coverage(actual: Floats, lower: Floats, upper: Floats) -> float:
    """Percent of the known hours whose actual value is within the interval.

    >>> coverage(np.array([10.0, 20.0, np.nan]), np.array([9.0, 21.0, 0.0]), np.array([11.0, 22.0, 0.0]))
    50.0
    """
    known = ~np.isnan(actual)
    inside = (actual >= lower) & (actual <= upper)
    return float(100 * np.mean(inside[known]))


def pinball(actual: Floats, quantiles: Floats, probabilities: Floats) -> Floats:
    """The mean quantile loss of each probability over the known hours (Koenker and Bassett 1978).

    Args:
        actual: hours; NaN where unknown.
        quantiles: hours × probabilities, in the unit of `actual`.
        probabilities: between 0 and 1.

    >>> pinball(np.array([10.0, 20.0]), np.array([[12.0], [16.0]]), np.array([0.5])).tolist()
    [1.5]
    """
    known = ~np.isnan(actual)
    over = actual[known, None] - quantiles[known]
    return np.asarray(np.maximum(probabilities * over, (probabilities - 1.0) * over).mean(axis=0))


def crps(actual: Floats, quantiles: Floats, probabilities: Floats) -> float:
    """The continuous ranked probability score, in the unit of `actual`.

    Twice the integral of the pinball loss (Gneiting and Raftery 2007, doi 10.1198/016214506000001437) by the
    trapezoidal rule over the given probabilities, the outermost of which stand for the tails beyond them.

    Args:
        actual: hours; NaN where unknown.
        quantiles: hours × probabilities.
        probabilities: rising, between 0 and 1.
    """
    between = (probabilities[1:] + probabilities[:-1]) / 2.0
    weights = np.diff(np.concatenate([[0.0], between, [1.0]]))
    return float(2.0 * np.sum(weights * pinball(actual, quantiles, probabilities)))


def expected_percent_error(
    predicted: npt.ArrayLike, lower_80: npt.ArrayLike, upper_80: npt.ArrayLike
) -> float:
    """The mean absolute error, percent, that 80 % intervals let one expect before the truth is known.

    Of a normal error whose 80 % interval is as wide: √(2/π) / 1.2816 of the half-width. The intervals widen
    with the recent errors of the clock hour, the season, the lead and the spread of the weather forecast.

    >>> round(expected_percent_error([100.0, 100.0], [98.0, 99.0], [102.0, 101.0]), 3)
    0.934
    """
    forecast, lower, upper = (np.asarray(values, dtype=float) for values in (predicted, lower_80, upper_80))
    return float(100 * np.mean(ERROR_OF_HALF_WIDTH * (upper - lower) / 2 / forecast))


def _known(actual: npt.ArrayLike, predicted: npt.ArrayLike) -> tuple[Floats, Floats]:
    """The actual values and the errors of the hours in which both values are known."""
    truth, guess = np.asarray(actual, dtype=float), np.asarray(predicted, dtype=float)
    if truth.shape != guess.shape:
        raise ValueError(f"{truth.shape} actual and {guess.shape} predicted values do not belong together")
    both = ~np.isnan(truth) & ~np.isnan(guess)
    if not both.any():
        raise ValueError("no hour has both an actual and a predicted value")
    return truth[both], guess[both] - truth[both]
