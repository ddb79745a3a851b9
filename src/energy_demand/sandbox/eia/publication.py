"""When EIA's hourly values appear and how they change afterwards: pure functions of hour and present.

An hour appears 1 to 2 hours after its end. A few percent of the demand values are first about 1 % off and
become final within 30 days, most of them within 3. A few hours are taken back for some hours in their first
days: their row stays, its value is null.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from energy_demand.sandbox.worlds.noise import stream, uniform, white
from energy_demand.sandbox.worlds.world import SECONDS_PER_HOUR, FloatArray, IntArray

if TYPE_CHECKING:
    from datetime import datetime

REVISED_SHARE = 0.04
LATE_SHARE = 0.15  # of the revisions, after three days
TAKEN_BACK_SHARE = 0.005
_EARLY_HOURS, _LATEST_HOURS = 72.0, 720.0
_TYPICAL_ERROR = 0.01
_SERVED_FOR = (3.0, 48.0)  # hours an hour is there before it is taken back
_AWAY_FOR = (3.0, 12.0)
_DEMAND = "D"


class Publication:
    """The life of each hour's values under `seed`."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def newest(self, now: datetime) -> int:
        """The newest hour that has appeared; all hours before it have, too."""
        age = now.timestamp() / SECONDS_PER_HOUR
        last = int(age // 1) - 1  # ended an hour ago, or longer
        return last if last + self.lag_hours(last) <= age else last - 1

    def lag_hours(self, hour: int) -> float:
        """Hours from the end of an hour to its appearance."""
        return 1.0 + float(self._share("lag", np.array([hour]))[0])

    def served(self, name: str, values: FloatArray, hours: IntArray, now: datetime) -> FloatArray:
        """The values of the series `name` as they are on record at `now`; NaN is a value taken back."""
        if name != _DEMAND:
            return values
        age = np.float64(now.timestamp() / SECONDS_PER_HOUR) - hours
        young = age <= _LATEST_HOURS
        if not young.any():
            return values
        found, steps = values.copy(), hours[young]
        found[young] = self.of_age(values[young], steps, age[young])
        return found

    def of_age(self, values: FloatArray, hours: IntArray, age: FloatArray) -> FloatArray:
        """The demand on record `age` hours after the end of each of `hours`, whose final values these are."""
        when = self._share("when", hours)
        early = self._share("late", hours) >= LATE_SHARE
        final_at = np.where(
            early, 3.0 + when * (_EARLY_HOURS - 3.0), _EARLY_HOURS + when * (_LATEST_HOURS - _EARLY_HOURS)
        )
        first = (self._share("revised", hours) < REVISED_SHARE) & (age < final_at)
        size = np.array([white(stream(self._seed, "size"), int(hour), 1)[0] for hour in hours[first]])
        found = values.copy()
        # At least half of the typical size: a revision of nothing is none.
        error = _TYPICAL_ERROR * np.copysign(np.clip(np.abs(size), 0.5, 2.5), size)
        found[first] = np.round(values[first] * (1.0 + error))
        away_from = _between(_SERVED_FOR, self._share("back", hours)) + 2.0
        away_to = away_from + _between(_AWAY_FOR, self._share("away", hours))
        taken = self._share("taken", hours) < TAKEN_BACK_SHARE
        found[taken & (away_from <= age) & (age < away_to)] = np.nan
        return found

    def _share(self, part: str, hours: IntArray) -> FloatArray:
        return uniform(stream(self._seed, "publication", part), hours)


def _between(bounds: tuple[float, float], share: FloatArray) -> FloatArray:
    low, high = bounds
    found: FloatArray = low + (high - low) * share
    return found
