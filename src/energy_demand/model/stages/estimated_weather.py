"""Humidity, clouds and sun from temperature, for records that have nothing else. Pure.

The dew point is taken for the lowest temperature of the last 24 hours (Allen et al. 1998, FAO irrigation
paper 56, equation 48). An hour counts as cloudier than usual where the air warmed less than usual at this
time of the day: clouds keep the sun from the ground by day, and warmth at the ground by night. The sun
shines through these clouds where no radiation is known either. None of it is a measurement; the model
learns what it is worth. A path with humidity, clouds or wind in any hour stays as it is, so a record with
gaps is not touched.

Every value depends on its hour and on the 16 days before it, never on later hours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from energy_demand.data.irradiance import under_clouds
from energy_demand.data.weather_path import (
    CLOUD,
    COLUMN,
    HUMIDITY,
    MAIN,
    MAIN_CLOUD,
    RADIATION,
    REST,
    WIND,
    WeatherPath,
)

if TYPE_CHECKING:
    from energy_demand.arrays import Floats
    from energy_demand.region import Region

OBSERVED_BESIDE = (HUMIDITY, CLOUD, MAIN_CLOUD, WIND)  # beside temperature
DAY_HOURS = 24
RISE_HOURS = 3  # over which the air warms or cools
USUAL_DAYS = 15  # whose mean at the same hour is the usual rise
# First guesses, not searched: half of the sky on a usual day, a tenth of it for each degree of the rise.
USUAL_COVER, COVER_PER_DEGREE = 50.0, 10.0  # percent


def with_estimates(path: WeatherPath, region: Region, clear: Floats) -> WeatherPath:
    """The path with humidity, clouds and sun estimated where it has temperature alone.

    Args:
        path: with temperature.
        region: its sites give the weight of the main one.
        clear: clear-sky irradiance of each hour, W/m².
    """
    if not all(np.isnan(path.column(name)).all() for name in OBSERVED_BESIDE):
        return path
    main, rest = path.column(MAIN), path.column(REST)
    share = region.sites[0].weight / sum(site.weight for site in region.sites)
    temperature = pd.Series(share * main + (1.0 - share) * rest)
    cover = clouds_of(temperature)
    estimates = {HUMIDITY: humidity_of(temperature), CLOUD: cover, MAIN_CLOUD: cover}
    sun = under_clouds(clear, cover / 100.0)
    estimates |= {name: sun for name in RADIATION if not _by_day(path.column(name))}
    values = path.values.copy()
    for name, estimate in estimates.items():
        values[:, COLUMN[name]] = estimate
    return WeatherPath(path.periods, values)


def _by_day(radiation: Floats) -> bool:
    """Whether radiation is known in any hour but those of the night, which are filled with zeros."""
    return bool((radiation > 0.0).any())


def humidity_of(temperature: pd.Series) -> Floats:
    """Relative humidity (percent) where the dew point is the lowest temperature of the last day.

    Args:
        temperature: °C, consecutive hours.
    """
    point = temperature.rolling(DAY_HOURS, min_periods=DAY_HOURS // 2).min()

    def exponent(celsius: pd.Series) -> pd.Series:  # of the Magnus formula, as in `dew_point`
        return 17.625 * celsius / (243.04 + celsius)

    return np.asarray(100.0 * np.exp(exponent(point) - exponent(temperature)), dtype=float)


def clouds_of(temperature: pd.Series) -> Floats:
    """Cloud cover (percent) by how much less than usual the air warmed in the last hours.

    Args:
        temperature: °C, consecutive hours.
    """
    rise = temperature - temperature.shift(RISE_HOURS)
    before = [rise.shift(DAY_HOURS * days) for days in range(1, USUAL_DAYS + 1)]
    unusual = rise - pd.concat(before, axis=1).mean(axis=1)
    # A window by itself, not a running sum: the same hours give the same value wherever the path begins.
    steady = pd.concat([unusual.shift(hours) for hours in range(RISE_HOURS)], axis=1).mean(axis=1)
    steady = steady.where(unusual.notna())
    return np.asarray(np.clip(USUAL_COVER - COVER_PER_DEGREE * steady, 0.0, 100.0), dtype=float)
