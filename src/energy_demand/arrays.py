"""The array types of the whole package, and means that skip unknown values (NaN)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Sequence

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Positions = Integers  # indices into an array of hours
Booleans = npt.NDArray[np.bool_]


def mean_of_known(values: Floats) -> Floats:
    """Mean along the last axis over the values that are not NaN; NaN where there is none.

    >>> mean_of_known(np.array([[1.0, np.nan, 3.0], [np.nan, np.nan, np.nan]]))
    array([ 2., nan])
    """
    known = ~np.isnan(values)
    count = known.sum(axis=-1)
    mean = np.full(values.shape[:-1], np.nan)
    np.divide(np.where(known, values, 0.0).sum(axis=-1), count, out=mean, where=count > 0)
    return mean


def weighted_mean_of_known(weighted: Sequence[tuple[float, Floats]]) -> Floats:
    """Mean of arrays of one shape, weighted, over those that know a value; NaN where none does.

    >>> weighted_mean_of_known([(3.0, np.array([1.0, np.nan])), (1.0, np.array([5.0, np.nan]))])
    array([ 2., nan])
    """
    if not weighted:
        return np.empty(0)
    total, weights = (np.zeros(weighted[0][1].shape) for _ in range(2))
    for weight, values in weighted:
        known = ~np.isnan(values)
        total[known] += weight * values[known]
        weights[known] += weight
    mean = np.full(total.shape, np.nan)
    np.divide(total, weights, out=mean, where=weights > 0)
    return mean
