"""What the weather of a place is on average: sun and temperature by date and hour, without chance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from energy_demand.sandbox.worlds.world import FloatArray, IntArray, Place

HOURS_PER_YEAR = 8766.0
_NEW_YORK_LATITUDE = 40.7
_2020 = 438_288  # hour number of 2020-01-01T00


def summerness(place: Place, hours: IntArray) -> FloatArray:
    """+1 in the warmest time of the year, −1 in the coldest."""
    warmest = 207.0  # 27 July: five weeks after the solstice, as in New York's record
    day = (hours / 24.0 - warmest) / (HOURS_PER_YEAR / 24.0)
    wave: FloatArray = np.cos(2 * np.pi * day) * np.sign(place.latitude)
    return wave


def mean_temperature(place: Place, hours: IntArray) -> FloatArray:
    """°C of an average day at each hour's date."""
    # Warm tropics and a cubic fall with latitude put New York at 12.9 and Buffalo at 10.5 °C.
    annual = np.maximum(27.0 - 2.1e-4 * abs(place.latitude) ** 3, -25.0)
    swing = 12.3 * min(abs(place.latitude) / _NEW_YORK_LATITUDE, 1.4)  # January 0.6, July 25.2 °C
    warming = 0.03 * (hours - _2020) / HOURS_PER_YEAR  # °C a year, about the observed trend
    mean: FloatArray = annual + swing * summerness(place, hours) + warming
    return mean


def daily_wave(place: Place, hours: IntArray) -> FloatArray:
    """The shape of a clear day's temperature around its mean: warmest at three, coldest before dawn."""
    solar_hour = hours % 24 + place.longitude / 15.0
    turn = 2 * np.pi / 24.0
    wave: FloatArray = np.cos(turn * (solar_hour - 15.2)) + 0.15 * np.cos(2 * turn * (solar_hour - 14.5))
    return wave


def sun_height(place: Place, hours: IntArray, minutes: float = 0.0) -> FloatArray:
    """Sine of the sun's height, `minutes` after each hour."""
    from pvlib import solarposition  # noqa: PLC0415 - seconds to import, and recorded data needs none of it

    day = 1.0 + (hours / 24.0) % (HOURS_PER_YEAR / 24.0)
    clock = hours % 24 + minutes / 60.0
    angle = 15.0 * (clock - 12.0) + place.longitude + solarposition.equation_of_time_spencer71(day) / 4.0
    zenith = solarposition.solar_zenith_analytical(
        np.deg2rad(place.latitude), np.deg2rad(angle), solarposition.declination_spencer71(day)
    )
    height: FloatArray = np.cos(zenith)
    return height


def clear_sky_radiation(place: Place, hours: IntArray) -> FloatArray:
    """W/m² on level ground under a clear sky, mean of the hour before (Haurwitz 1945)."""
    from pvlib import clearsky  # noqa: PLC0415 - as above

    zenith = pd.Series(np.rad2deg(np.arccos(sun_height(place, hours, minutes=-30.0))))
    clear: FloatArray = clearsky.haurwitz(zenith)["ghi"].to_numpy()
    return clear
