"""Synthetic worlds that are identical up to a fork and differ after it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from energy_demand.sandbox.worlds.synthetic import SyntheticWorld
from energy_demand.sandbox.worlds.world import IFS, hour_number

if TYPE_CHECKING:
    from datetime import datetime


class ForkedWorld(SyntheticWorld):
    """World 1 up to and including `fork`, world 2 afterwards, in demand, weather and weather forecasts.

    Weather forecasts issued by the fork are those of world 1, also for hours after it.
    """

    def __init__(self, fork: datetime) -> None:
        super().__init__(seed=1)
        other = SyntheticWorld(seed=2)
        self.hourly = _ForkedSeries(self.hourly, other.hourly, hour_number(fork))
        self.weather = _ForkedWeather(self.weather, other.weather, fork)


class _ForkedSeries:
    def __init__(self, before, after, fork: int) -> None:
        self._before, self._after, self._fork = before, after, fork
        self.names, self.first, self.last = before.names, before.first, before.last

    def present(self, name, steps):
        return self._before.present(name, steps)

    def values(self, name, steps):
        return np.where(
            steps <= self._fork, self._before.values(name, steps), self._after.values(name, steps)
        )


class _ForkedWeather:
    def __init__(self, before, after, fork: datetime) -> None:
        self._before, self._after = before, after
        self._hour = hour_number(fork)
        self._newest = before.newest_issue(after=-np.inf, by=fork.timestamp())

    def variables_observed(self, place):
        return self._before.variables_observed(place)

    def variables_forecast(self, place, model=IFS):
        return self._before.variables_forecast(place, model)

    def observed(self, place, variables, hours):
        return np.where(
            hours <= self._hour,
            self._before.observed(place, variables, hours),
            self._after.observed(place, variables, hours),
        )

    def has_run(self, model, run):
        return self._before.has_run(model, run)

    def newest_issue(self, *, after, by, model=IFS):
        return self._before.newest_issue(after=after, by=by, model=model)

    def forecast(self, issue, place, variables, hours, model=IFS):
        world = self._before if issue <= self._newest else self._after
        return world.forecast(issue, place, variables, hours, model)
