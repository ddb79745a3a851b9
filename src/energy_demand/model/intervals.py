"""Prediction intervals by split conformal prediction (Lei et al. 2018, doi 10.1080/01621459.2017.1307116).

Half-widths are quantiles of |actual − predicted| / predicted over hours that the model was not fitted
on, by lead and time of day. Pure. The 95 % interval holds the 80 % one by construction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Integers = npt.NDArray[np.int64]

LEVELS = (80, 95)
LAST_LEAD_OF_BUCKET = (6, 12, 24, 36)  # and one bucket beyond
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
            raise ValueError("intervals need held-out hours, and there are none")
        residuals = np.abs(actual - predicted) / predicted
        bucket, block = _cells(leads, hours)
        tables = {level: np.full(SHAPE, _quantile(residuals, level)) for level in LEVELS}
        for cell in np.ndindex(*SHAPE):
            inside = residuals[(bucket == cell[0]) & (block == cell[1])]
            if len(inside) >= FEWEST_RESIDUALS:
                for level in LEVELS:
                    tables[level][cell] = _quantile(inside, level)
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

    def to_dict(self) -> dict[str, Any]:
        """The tables as plain lists."""
        return {str(level): table.tolist() for level, table in self.half_widths.items()}

    @classmethod
    def from_dict(cls, tables: dict[str, Any]) -> ConformalIntervals:
        """The inverse of `to_dict`.

        Raises:
            ValueError: a level is missing, or a table cannot be right.
        """
        read = {level: np.array(tables.get(str(level)), dtype=float) for level in LEVELS}
        narrow, wide = (read[level] for level in LEVELS)
        if narrow.shape != SHAPE or wide.shape != SHAPE:
            raise ValueError(f"interval tables must have the shape {SHAPE}")
        if not (np.all(narrow >= 0) and np.all(wide >= narrow) and np.isfinite(wide).all()):
            raise ValueError("interval tables must be finite, not negative, and the wider level wider")
        return cls(read)


def _cells(leads: Integers, hours: Integers) -> tuple[Integers, Integers]:
    return np.searchsorted(LAST_LEAD_OF_BUCKET, leads), hours // HOURS_PER_BLOCK


def _quantile(residuals: Floats, level: int) -> float:
    """The conformal quantile: the ⌈(n + 1) level⌉-th smallest of n residuals."""
    rank = int(np.ceil((len(residuals) + 1) * level / 100))
    return float(np.sort(residuals)[min(rank, len(residuals)) - 1])
