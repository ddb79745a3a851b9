"""Prediction intervals by split conformal prediction (Lei et al. 2018, doi 10.1080/01621459.2017.1307116).

Half-widths are quantiles of |actual − predicted| / predicted over hours that the model was not fitted
on, by lead and time of day. Pure. The 95 % interval contains the 80 % one by construction.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from energy_demand.arrays import Floats, Integers


LEVELS = (80, 95)
LAST_LEAD_OF_BUCKET = (6, 12, 24, 36)  # and one bucket for all leads beyond
HOURS_PER_BLOCK = 3
SHAPE = (len(LAST_LEAD_OF_BUCKET) + 1, 24 // HOURS_PER_BLOCK)
FEWEST_RESIDUALS = 40  # with fewer, a cell takes the quantile of all residuals


@dataclass(frozen=True)
class ConformalIntervals:
    """Relative half-widths by level: tables of lead bucket × block of hours of the day."""

    half_widths: dict[int, Floats]

    @classmethod
    def fit(cls, actual: Floats, predicted: Floats, leads: Integers, hours: Integers) -> ConformalIntervals:
        """Half-widths from held-out hours.

        Raises:
            ValueError: there are no residuals.
        """
        if len(actual) == 0:
            raise ValueError("there are no held-out hours to fit intervals on")
        residuals = np.abs(actual - predicted) / predicted
        bucket, block = _cells(leads, hours)
        tables = {level: np.full(SHAPE, conformal_quantile(residuals, level)) for level in LEVELS}
        for cell in np.ndindex(*SHAPE):
            inside = residuals[(bucket == cell[0]) & (block == cell[1])]
            if len(inside) >= FEWEST_RESIDUALS:
                for level in LEVELS:
                    tables[level][cell] = conformal_quantile(inside, level)
        return cls(tables)

    def bounds(self, predicted: Floats, leads: Integers, hours: Integers) -> dict[str, Floats]:
        """`lower_80`, `upper_80`, `lower_95`, `upper_95` (MWh) around each prediction."""
        cells = _cells(leads, hours)
        bounds = {}
        for level in LEVELS:
            half = self.half_widths[level][cells] * predicted
            bounds[f"lower_{level}"] = predicted - half
            bounds[f"upper_{level}"] = predicted + half
        return bounds

    @cached_property
    def _lookup(self) -> tuple[list[list[float]], list[list[float]]]:
        narrow, wide = (self.half_widths[level].tolist() for level in LEVELS)
        return narrow, wide

    def half_widths_at(self, lead: int, hour: int) -> tuple[float, float]:
        """The relative half-widths (80 %, 95 %) of one hour: the fast path of `bounds` for a single row."""
        bucket, block = bisect_left(LAST_LEAD_OF_BUCKET, lead), hour // HOURS_PER_BLOCK
        narrow, wide = self._lookup
        return narrow[bucket][block], wide[bucket][block]

    def to_dict(self) -> dict[str, Any]:
        """The JSON form: the tables as plain lists."""
        return {str(level): table.tolist() for level, table in self.half_widths.items()}

    @classmethod
    def from_dict(cls, tables: dict[str, Any]) -> ConformalIntervals:
        """The inverse of `to_dict`.

        Raises:
            ValueError: a level is missing, or a table is invalid.
        """
        return cls(_tables_from_dict(tables, SHAPE))


def _cells(leads: Integers, hours: Integers) -> tuple[Integers, Integers]:
    return np.searchsorted(LAST_LEAD_OF_BUCKET, leads), hours // HOURS_PER_BLOCK


def conformal_quantile(residuals: Floats, level: int) -> float:
    """The conformal quantile: the ⌈(n + 1) level⌉-th smallest of n residuals."""
    rank = int(np.ceil((len(residuals) + 1) * level / 100))
    return float(np.sort(residuals)[min(rank, len(residuals)) - 1])


def _tables_from_dict(tables: dict[str, Any], shape: tuple[int, int]) -> dict[int, Floats]:
    """Tables by level from plain lists.

    Raises:
        ValueError: a level is missing, or a table is invalid.
    """
    by_level = {level: np.array(tables.get(str(level)), dtype=float) for level in LEVELS}
    narrow, wide = (by_level[level] for level in LEVELS)
    if narrow.shape != shape or wide.shape != shape:
        raise ValueError(f"interval tables must have the shape {shape}")
    if not (np.all(narrow >= 0) and np.all(wide >= narrow) and np.isfinite(wide).all()):
        raise ValueError(
            "interval tables must be finite and not negative, and the wider level at least as wide"
        )
    return by_level
