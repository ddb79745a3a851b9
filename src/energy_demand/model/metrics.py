"""Scores of a forecast. Pure; the percentages are those of the spec."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from energy_demand.arrays import Floats


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
    truth, forecast = np.asarray(actual, dtype=float), np.asarray(predicted, dtype=float)
    if truth.shape != forecast.shape:
        raise ValueError(f"{truth.shape} actual and {forecast.shape} predicted values differ in shape")
    both = ~np.isnan(truth) & ~np.isnan(forecast)
    if not both.any():
        raise ValueError("no hour has both an actual and a predicted value")
    truth, error = truth[both], forecast[both] - truth[both]
    return Scores(
        mape=float(100 * np.mean(np.abs(error) / truth)),
        mae=float(np.mean(np.abs(error))),
        rmse=float(np.sqrt(np.mean(error**2))),
        bias_percent=float(100 * np.mean(error / truth)),
        n=int(both.sum()),
    )


def coverage(actual: Floats, lower: Floats, upper: Floats) -> float:
    """Percent of the known hours whose actual value is within the interval."""
    known = ~np.isnan(actual)
    inside = (actual >= lower) & (actual <= upper)
    return float(100 * np.mean(inside[known]))
