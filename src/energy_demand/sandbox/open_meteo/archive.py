"""The archive's newest hours: which are there, and how the young ones differ from the final ones."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np

from energy_demand.sandbox.worlds.noise import stream, white
from energy_demand.sandbox.worlds.world import BoolArray, FloatArray, hour_number

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from energy_demand.sandbox.worlds.world import IntArray, Place

RAIN = ("precipitation", "rain", "snowfall")
RAIN_ALONE_HOURS = 48  # after the complete part
FINAL_AFTER_HOURS = 240
_ADDED = {  # standard deviation of what a young value lacks, in the variable's unit
    "temperature_2m": 0.2,
    "dew_point_2m": 0.2,
    "apparent_temperature": 0.2,
    "surface_pressure": 0.2,
    "relative_humidity_2m": 1.0,
    "cloud_cover": 3.0,
}
_PERCENT = {"relative_humidity_2m", "cloud_cover"}
_FACTOR = 0.03  # of the other variables, which are never negative and stay zero where they are
_HUNDREDTHS = set(RAIN)


def known(
    variables: Sequence[str], hours: IntArray, now: datetime, delay_days: int, *, rain_first: bool
) -> BoolArray:
    """Which of (variables × hours) the archive has by `now`."""
    complete = hour_number(now - timedelta(days=delay_days))
    rain = min(complete + RAIN_ALONE_HOURS, hour_number(now)) if rain_first else complete
    ends = np.array([rain if name in RAIN else complete for name in variables], dtype=np.int64)
    there: BoolArray = hours <= ends[:, np.newaxis]
    return there


def preliminary(
    values: FloatArray, seed: int, place: Place, variables: Sequence[str], hours: IntArray, now: datetime
) -> FloatArray:
    """The values as the archive has them by `now`: those younger than ten days differ a little.

    All variables of an hour follow one number, so that they still agree with one another.
    """
    young = hours > hour_number(now) - FINAL_AFTER_HOURS
    if not young.any():
        return values
    found = values.copy()
    key = stream(seed, "preliminary", round(place.latitude, 2), round(place.longitude, 2))
    noise = np.clip(white(key, int(hours[young][0]), int(young.sum())), -2.5, 2.5)
    for line, name in enumerate(variables):
        value = found[line, young]
        value = value + _ADDED[name] * noise if name in _ADDED else value * (1.0 + _FACTOR * noise)
        if name in _PERCENT:
            value = np.clip(value, 0.0, 100.0)
        found[line, young] = np.round(value, 2 if name in _HUNDREDTHS else 1)
    return found
