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
FEWEST_OF_SEASON = 500  # hours, about three weeks; fewer do not represent a season


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


def _quantile(residuals: Floats, level: int) -> float:
    """The conformal quantile: the ⌈(n + 1) level⌉-th smallest of n residuals."""
    rank = int(np.ceil((len(residuals) + 1) * level / 100))
    return float(np.sort(residuals)[min(rank, len(residuals)) - 1])


SEASON_OF_MONTH = np.array([0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 0])  # winter, spring, summer, autumn
SEASONS = 4


@dataclass(frozen=True)
class ScaledIntervals:
    """Quantiles of |error| in units of the recent spread, by level: tables of lead bucket × season.

    The scores are |log actual − log predicted| over the running spread of the clock hour (locally
    weighted conformal prediction, Lei et al. 2018, section 5.2), so that intervals widen as soon as errors
    grow.
    """

    quantiles: dict[int, Floats]

    @classmethod
    def fit(cls, residuals: Floats, spread: Floats, leads: Integers, months: Integers) -> ScaledIntervals:
        """Quantiles from held-out hours.

        Args:
            residuals: log actual − log predicted, percent; NaN is left out.
            spread: percent.
            leads: in hours.
            months: 1–12, local.

        Raises:
            ValueError: there are no residuals.
        """
        known = ~np.isnan(residuals)
        scores = np.abs(residuals[known]) / spread[known]
        if len(scores) == 0:
            raise ValueError("there are no held-out hours to fit intervals on")
        bucket, season = _lead_and_season(leads[known], months[known])
        shape = (len(LAST_LEAD_OF_BUCKET) + 1, SEASONS)
        tables = {level: np.full(shape, _quantile(scores, level)) for level in LEVELS}
        for row, column in np.ndindex(*shape):
            of_lead = bucket == row
            inside = of_lead & (season == column)
            chosen = inside if inside.sum() >= FEWEST_OF_SEASON else of_lead
            if chosen.sum() >= FEWEST_RESIDUALS:
                for level in LEVELS:
                    tables[level][row, column] = _quantile(scores[chosen], level)
        return cls(tables)

    def widened(self, factor: float) -> ScaledIntervals:
        """These intervals, so many times as wide."""
        return ScaledIntervals({level: factor * table for level, table in self.quantiles.items()})

    def bounds(
        self, predicted: Floats, spread: Floats, leads: Integers, months: Integers
    ) -> dict[str, Floats]:
        """`lower_80`, `upper_80`, `lower_95`, `upper_95` (MWh) around each prediction."""
        cells = _lead_and_season(leads, months)
        bounds = {}
        for level in LEVELS:
            factor = np.exp(self.quantiles[level][cells] * spread / 100)
            bounds[f"lower_{level}"] = predicted / factor
            bounds[f"upper_{level}"] = predicted * factor
        return bounds

    def to_dict(self) -> dict[str, Any]:
        """The JSON form: the tables as plain lists."""
        return {str(level): table.tolist() for level, table in self.quantiles.items()}

    @classmethod
    def from_dict(cls, tables: dict[str, Any]) -> ScaledIntervals:
        """The inverse of `to_dict`.

        Raises:
            ValueError: a level is missing, or a table is invalid.
        """
        return cls(_tables_from_dict(tables, (len(LAST_LEAD_OF_BUCKET) + 1, SEASONS)))


def _lead_and_season(leads: Integers, months: Integers) -> tuple[Integers, Integers]:
    return np.searchsorted(LAST_LEAD_OF_BUCKET, leads), SEASON_OF_MONTH[months - 1]


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
