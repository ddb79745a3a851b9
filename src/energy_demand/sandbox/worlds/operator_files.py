"""The grid operator's forecast files: recorded ones, and a plausible operator of the synthetic world.

The synthetic operator's forecast of the next day is the series `DF`, as it is in reality; of the days after
it errs more. A first posting that is corrected later has an error of its own.
"""

from __future__ import annotations

from datetime import datetime, time
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from energy_demand.sandbox.worlds.noise import gaussian, smooth, stream
from energy_demand.sandbox.worlds.world import (
    NEW_YORK,
    OPERATOR_ZONES,
    SECONDS_PER_HOUR,
    date_of,
    local_midnight,
)

if TYPE_CHECKING:
    from energy_demand.sandbox.worlds.world import FloatArray, IntArray, Series

DAYS_OF_A_FILE = 6
_POSTED = time(7, 5)  # local, on the day before the first day of a file
# Shares of the recorded means of 2014 to 2020; New York City has the rest.
_SHARES = {
    "Capitl": 0.0755,
    "Centrl": 0.0995,
    "Dunwod": 0.0385,
    "Genese": 0.0619,
    "Hud Vl": 0.0606,
    "Longil": 0.1357,
    "Mhk Vl": 0.0436,
    "Millwd": 0.0176,
    "North": 0.0296,
    "West": 0.0978,
}
_REST, _SYSTEM = "N.Y.C.", "NYISO"
_ERROR_A_DAY = 0.009  # more for each day further ahead
_FIRST_POSTING_ERROR = 0.02


class SyntheticOperator:
    """Files of any day as a pure function of the seed."""

    last = None

    def __init__(self, seed: int, demand: Series) -> None:
        self._seed = seed
        self._demand = demand

    def posted_at(self, day: int) -> float | None:
        """07:05 New York time on the day before."""
        hours = self._hours(day)
        return posting_seconds(day) if hours[0] >= self._demand.first else None

    def file(self, day: int, *, final: bool) -> tuple[IntArray, FloatArray]:
        """Six days from `day` on."""
        hours = self._hours(day)
        first, count = int(hours[0]), hours.size
        demand, system = (self._demand.values(name, hours) for name in ("D", "DF"))
        further = (hours - first) // 24
        kernel = gaussian(6.0)
        error = smooth(stream(self._seed, "isolf", day), first, count, kernel)
        system = system + demand * _ERROR_A_DAY * further * error
        if not final:
            other = smooth(stream(self._seed, "isolf first posting", day), first, count, kernel)
            system = system * (1.0 + _FIRST_POSTING_ERROR * other)
        system = np.round(system)
        zones = {name: np.round(share * system) for name, share in _SHARES.items()}
        zones[_REST] = system - np.sum(list(zones.values()), axis=0)
        zones[_SYSTEM] = system
        return hours, np.stack([zones[name] for name in OPERATOR_ZONES])

    @staticmethod
    def _hours(day: int) -> IntArray:
        return np.arange(local_midnight(day) + 1, local_midnight(day + DAYS_OF_A_FILE) + 1)


class RecordedOperator:
    """Files as they were posted: of the six days of a file the record has two.

    Where a file was posted again later, the record has its newest figures and not their time. Such a file
    counts as posted at the end of its first day, so that nobody takes it for a forecast of that day.
    """

    def __init__(self, frame: pd.DataFrame) -> None:
        ordered = frame.sort_values(["issued_at", "period"], ignore_index=True)
        local = pd.DatetimeIndex(ordered["issued_at"]).tz_convert("America/New_York").tz_localize(None)
        days = local.to_numpy().astype("datetime64[D]").astype(np.int64) + 1
        names, starts = np.unique(days, return_index=True)
        bounds = np.append(starts, len(ordered))
        self._rows = {int(day): slice(int(bounds[at]), int(bounds[at + 1])) for at, day in enumerate(names)}
        self.last: int | None = int(names[-1])
        self._hours = pd.DatetimeIndex(ordered["period"]).as_unit("s").asi8 // SECONDS_PER_HOUR
        self._values = ordered[[name.upper() for name in OPERATOR_ZONES]].to_numpy(np.float64).T
        self._on_time = ordered["posted_on_time"].to_numpy(bool)

    def posted_at(self, day: int) -> float | None:
        """07:05 on the day before, or for a file that was posted again the end of its first day."""
        rows = self._rows.get(day)
        if rows is None:
            return None
        if self._on_time[rows].all():
            return posting_seconds(day)
        return float(local_midnight(day + 1) * SECONDS_PER_HOUR)

    def file(self, day: int, *, final: bool) -> tuple[IntArray, FloatArray]:  # noqa: ARG002 - one each
        """The recorded days of a file."""
        rows = self._rows[day]
        return self._hours[rows], self._values[:, rows]


def posting_seconds(day: int) -> float:
    """07:05 New York time on the day before `day`, in seconds since 1970."""
    return datetime.combine(date_of(day - 1), _POSTED, tzinfo=NEW_YORK).timestamp()
