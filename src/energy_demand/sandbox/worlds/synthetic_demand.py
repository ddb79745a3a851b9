"""Synthetic demand of New York or another area: calendar × season, weather, solar, growth and noise, in MWh.

A plausible stand-in, not an estimate: the constants were set by eye so that level, shape and spread look
like the real grid's (mean 17 GW, mild nights 13 GW, summer peaks 25 to 31 GW). Another area has the weather,
the time zone and the holidays of its own, and the same people in another number.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import holidays
import numpy as np
import pandas as pd

from energy_demand.sandbox.worlds import climate
from energy_demand.sandbox.worlds.disturbances import Disturbance, level_factor
from energy_demand.sandbox.worlds.noise import (
    BLOCK_HOURS,
    autoregressive,
    from_blocks,
    gaussian,
    smooth,
    stream,
)
from energy_demand.sandbox.worlds.world import (
    NEW_YORK,
    SECONDS_PER_HOUR,
    SITES,
    BoolArray,
    FloatArray,
    IntArray,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from zoneinfo import ZoneInfo

    from energy_demand.sandbox.worlds.synthetic_weather import SyntheticWeather
    from energy_demand.sandbox.worlds.world import Place

# Share of the state's people near each site: the city and its suburbs have two thirds.
_SITE_WEIGHTS = {"new_york_city": 0.66, "albany": 0.10, "buffalo": 0.13, "syracuse": 0.11}
_MILD_LEVEL_MWH = 14_500.0  # mean of a mild spring weekday in 2020
_GROWTH_PER_YEAR = 0.003  # electrification, slightly faster than efficiency
# Per mille of the mild level by local hour of the hour's start: night valley, morning ramp, supper.
# fmt: off
_WEEKDAY = np.array([860, 828, 812, 807, 818, 862, 940, 1008, 1042, 1054, 1060, 1064,
                     1064, 1064, 1062, 1064, 1072, 1080, 1076, 1055, 1030, 990, 948, 900]) / 1000
_WEEKEND = np.array([862, 826, 804, 793, 793, 804, 830, 878, 930, 966, 988, 1000,
                     1004, 1004, 1002, 1004, 1014, 1028, 1030, 1014, 990, 958, 920, 880]) / 1000
# fmt: on
_MONDAY_MORNING, _FRIDAY_EVENING = -0.015, -0.012  # shares; buildings start cold, people go out
_DARK_MWH = 1_700.0  # lamps and kitchens between four and eleven in the evening, once the sun is down
_HEATING_MWH_PER_DEGREE = 205.0  # below 15 °C, about the slope of the record's winter days
_COOLING_MWH_PER_DEGREE = 930.0  # above 18 °C, while air conditioners still start
_COOLING_HALVES_AT = 40.0  # °C above: machines that all run cannot run more
_MUGGY_PER_DEGREE = 0.018  # more cooling for each °C of dew point above 15
_COOLING_BY_DAY = 0.22  # offices add to cooling in the working day
_SOLAR_MWH_PER_WATT = 3.2  # behind the meter at the end of the build-up, for each W/m²
_MEMORY_HOURS = 72  # how long buildings remember the weather
_DAY_FROM, _DAY_TO = 5, 22  # offices wake and empty over four hours


@dataclass(frozen=True)
class Area:
    """Who uses the demand, and where.

    Attributes:
        sites: places and their shares of the people; the sun sets where the first one is.
        zone: of its clocks.
        country: of its holidays.
        level_mwh: mean of a mild spring weekday in 2020.
        key: what tells its chance from New York's.
    """

    sites: tuple[tuple[Place, float], ...]
    zone: ZoneInfo
    country: str
    level_mwh: float
    key: tuple[str, ...] = ()


NEW_YORK_STATE = Area(
    sites=tuple((SITES[name], weight) for name, weight in _SITE_WEIGHTS.items()),
    zone=NEW_YORK,
    country="US",
    level_mwh=_MILD_LEVEL_MWH,
)


class SyntheticDemand:
    """`D`, `DF`, `NG` and `TI` of any hour-ending period as a pure function of the seed."""

    names = ("D", "DF", "NG", "TI")
    last = None

    def __init__(
        self,
        seed: int,
        weather: SyntheticWeather,
        disturbances: Sequence[Disturbance],
        first: int,
        area: Area = NEW_YORK_STATE,
    ) -> None:
        self.first = first
        self._area = area
        self._size = area.level_mwh / _MILD_LEVEL_MWH
        self._seed = seed
        self._weather = weather
        self._disturbances = tuple(disturbances)
        self._block = lru_cache(maxsize=256)(self._all_of_block)

    def present(self, name: str, steps: IntArray) -> BoolArray:  # noqa: ARG002 - every series is complete
        """Every hour from the first."""
        return steps >= self.first

    def values(self, name: str, steps: IntArray) -> FloatArray:
        """Whole MWh of each hour-ending period."""
        line = self.names.index(name)
        return from_blocks(lambda number: self._block(number)[line], steps)

    def _all_of_block(self, number: int) -> FloatArray:
        first = number * BLOCK_HOURS
        periods = np.arange(first, first + BLOCK_HOURS)
        # Small unpredictable deviations, hours and days long: 1.2 % together.
        chance = 0.007 * self._noise("hour", first, autoregressive(0.9))
        chance += 0.010 * self._noise("day", first, gaussian(30.0))
        demand = np.round(
            self._expected(periods) * (1.0 + chance) * level_factor(self._disturbances, periods)
        )
        # The operator is 2 % low and errs by 2.2 % around that: 2.5 % mean absolute, as recorded.
        operator = np.round(demand * (0.98 + 0.022 * self._noise("operator", first, gaussian(5.0))))
        # New York makes six sevenths of its energy and buys the rest.
        generation = np.round(demand * (0.86 + 0.03 * self._noise("generation", first, gaussian(12.0))))
        return np.stack([demand, operator, generation, generation - demand])

    def _expected(self, periods: IntArray) -> FloatArray:
        """Demand without chance, MWh."""
        years = (periods - climate.HOURS_PER_YEAR * 50) / climate.HOURS_PER_YEAR  # since 2020
        hour, weekday, off = _calendar(periods - 1, self._area)
        temperature, dew_point, radiation = self._area_weather(periods)
        day = np.clip(np.minimum(hour - _DAY_FROM, _DAY_TO - hour) / 4.0, 0.0, 1.0)
        shape = np.where(off, _WEEKEND[hour], _WEEKDAY[hour])
        shape = shape + _MONDAY_MORNING * ((weekday == 0) & (hour < 10))
        shape = shape + _FRIDAY_EVENING * ((weekday == 4) & (hour >= 17))
        sun = climate.sun_height(self._area.sites[0][0], periods, minutes=-30.0)
        evening = np.exp(-0.5 * ((hour - 18.5) / 2.4) ** 2)
        dark = _DARK_MWH * evening / (1.0 + np.exp(sun / 0.06))
        heating = _HEATING_MWH_PER_DEGREE * _softplus(15.0 - temperature, 1.5)
        muggy = 1.0 + _MUGGY_PER_DEGREE * np.clip(dew_point - 15.0, -6.0, 9.0)
        work = 1.0 + _COOLING_BY_DAY * day * np.where(off, 0.0, 1.0)
        warm = _softplus(temperature - 18.0, 1.8)
        cooling = _COOLING_MWH_PER_DEGREE * warm / (1.0 + warm / _COOLING_HALVES_AT) * muggy * work
        built = 1.0 / (1.0 + np.exp(-(years - 3.0) / 2.0))  # roof panels: half of them by 2023
        solar = _SOLAR_MWH_PER_WATT * built * radiation
        growth = 1.0 + _GROWTH_PER_YEAR * years
        expected: FloatArray = growth * (_MILD_LEVEL_MWH * shape + dark + heating + cooling) - solar
        return self._size * expected

    def _area_weather(self, periods: IntArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Temperature and dew point as buildings feel them, and radiation, weighted over the area.

        Only weather up to the end of each period enters.
        """
        hours = np.arange(periods[0] - _MEMORY_HOURS, periods[-1] + 1)
        names = ("temperature_2m", "dew_point_2m", "shortwave_radiation")
        weather = sum(
            (weight * self._weather.observed(place, names, hours) for place, weight in self._area.sites),
            start=np.zeros((len(names), hours.size)),
        )
        temperature, dew_point = (np.convolve(line, _memory(), mode="valid") for line in weather[:2])
        return temperature, dew_point, weather[2, _MEMORY_HOURS:]

    def _noise(self, name: str, first: int, kernel: FloatArray) -> FloatArray:
        return smooth(stream(self._seed, "demand", *self._area.key, name), first, BLOCK_HOURS, kernel)


def _memory() -> FloatArray:
    """Weights of the last hours: half follows within a few hours, half over a day and a half."""
    age = np.arange(_MEMORY_HOURS + 1)
    fast, slow = np.exp(-age / 2.5), np.exp(-age / 30.0)
    weights: FloatArray = 0.55 * fast / fast.sum() + 0.45 * slow / slow.sum()
    return weights


def _softplus(degrees: FloatArray, width: float) -> FloatArray:
    """max(0, degrees) with a rounded corner `width` °C wide: not everybody starts at once."""
    bent: FloatArray = width * np.logaddexp(0.0, degrees / width)
    return bent


def _calendar(starts: IntArray, area: Area) -> tuple[IntArray, IntArray, BoolArray]:
    """Local hour, weekday (Monday 0) and whether it is a weekend or holiday, of the hours' starts."""
    local = pd.DatetimeIndex(pd.to_datetime(starts * SECONDS_PER_HOUR, unit="s", utc=True)).tz_convert(
        area.zone
    )
    hour, weekday = (np.asarray(part, dtype=np.int64) for part in (local.hour, local.dayofweek))
    days = local.tz_localize(None).to_numpy().astype("datetime64[D]")
    years = range(int(local.year.min()), int(local.year.max()) + 1)
    feasts = np.array(sorted(holidays.country_holidays(area.country, years=years)), dtype="datetime64[D]")
    off: BoolArray = (weekday >= 5) | np.isin(days, feasts)
    return hour, weekday, off
