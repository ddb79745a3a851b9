"""The synthetic world: plausible demand and weather for any time, always labelled synthetic.

New York's, and that of other areas whose places, clocks and size are given.

It is a pure function of the seed: nothing is stored, and an hour's values do not depend on the request.
"""

from __future__ import annotations

from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from energy_demand.sandbox.worlds.disturbances import Disturbance
from energy_demand.sandbox.worlds.models import MODELS
from energy_demand.sandbox.worlds.operator_files import SyntheticOperator
from energy_demand.sandbox.worlds.recorded_regions import eia_timezone
from energy_demand.sandbox.worlds.synthetic_demand import Area, SyntheticDemand
from energy_demand.sandbox.worlds.synthetic_weather import SyntheticWeather
from energy_demand.sandbox.worlds.world import (
    NEW_YORK,
    SECONDS_PER_HOUR,
    BoolArray,
    FloatArray,
    Grid,
    IntArray,
    hour_number,
    local_midnight,
    new_york,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from zoneinfo import ZoneInfo

    from energy_demand.sandbox.worlds.models import Model

__all__ = ["Disturbance", "SyntheticWorld"]

_FIRST_HOUR = hour_number(datetime(2010, 1, 1, tzinfo=UTC))
_FIRST_DAY = _FIRST_HOUR // 24  # 1 January 2010 in New York begins five hours later, wholly inside


class SyntheticWorld:
    """Demand from 2010 and weather from any time, without end.

    Args:
        seed: Another seed is another world of the same kind.
        disturbances: Changes from stated moments on; nothing before them differs.
        models: The weather models that forecast, by name.
        areas: Further respondents by code, each with its name in EIA's words and its area. They have no rows
            in the six-month files.
    """

    kind: Literal["synthetic"] = "synthetic"

    def __init__(
        self,
        seed: int = 1,
        disturbances: Sequence[Disturbance] = (),
        models: Mapping[str, Model] = MODELS,
        areas: Mapping[str, tuple[str, Area]] = MappingProxyType({}),
    ) -> None:
        self.weather = SyntheticWeather(seed, disturbances, models)
        self.hourly = SyntheticDemand(seed, self.weather, disturbances, _FIRST_HOUR)
        self.daily = DailyTotals(self.hourly)
        further = {
            code: Grid(name, area.zone, eia_timezone(area.zone), None, hourly, DailyTotals(hourly, area.zone))
            for code, (name, area) in areas.items()
            for hourly in [SyntheticDemand(seed, self.weather, disturbances, _FIRST_HOUR, area)]
        }
        self.grids = {**new_york(self.hourly, self.daily), **further}
        self.operator = SyntheticOperator(seed, self.hourly)


class DailyTotals:
    """The hourly series summed over local days of 23, 24 or 25 hours."""

    last = None

    def __init__(self, hourly: SyntheticDemand, zone: ZoneInfo = NEW_YORK) -> None:
        # East of Greenwich that day begins before the first hour.
        self.first = _FIRST_DAY + int(local_midnight(_FIRST_DAY, zone) < _FIRST_HOUR)
        self.names = hourly.names
        self._hourly = hourly
        self._zone = zone

    def present(self, name: str, steps: IntArray) -> BoolArray:  # noqa: ARG002 - every series is complete
        """Every day from the first."""
        return steps >= self.first

    def values(self, name: str, steps: IntArray) -> FloatArray:
        """MWh of each day."""
        if steps.size == 0:
            return np.empty(0)
        starts, ends = _midnights(steps, self._zone), _midnights(steps + 1, self._zone)
        periods = np.arange(starts.min() + 1, ends.max() + 1)  # the hours that end within the days
        so_far = np.concatenate([[0.0], np.cumsum(self._hourly.values(name, periods))])
        totals: FloatArray = so_far[ends - starts.min()] - so_far[starts - starts.min()]
        return totals


def _midnights(days: IntArray, zone: ZoneInfo) -> IntArray:
    """The hour number at which each day begins in a zone."""
    local = pd.DatetimeIndex(days.astype("datetime64[D]").astype("datetime64[s]")).tz_localize(zone)
    seconds: IntArray = local.as_unit("s").asi8
    return seconds // SECONDS_PER_HOUR
