"""The twelve published variables of a place, derived together so that they agree with one another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from energy_demand.sandbox.worlds import climate
from energy_demand.sandbox.worlds.world import ELEVATION_M, VARIABLES, nearest_site

if TYPE_CHECKING:
    from energy_demand.sandbox.worlds.world import FloatArray, IntArray, Place

_MAGNUS_A, _MAGNUS_B = 17.62, 243.12  # Magnus formula over water (WMO No. 8)
_MAX_DEW_POINT = 26.5  # °C; moister air does not reach New York
_SNOW_CM_PER_MM = 0.7  # Open-Meteo: 7 cm of snow are 10 mm of water
_WET_FROM = 1.0  # cloud field above which it rains: a sixth of all hours
_DECIMALS = {"surface_pressure": 1, "precipitation": 2, "rain": 2, "snowfall": 2}


def derive(
    place: Place,
    hours: IntArray,
    temperature: FloatArray,
    cloud: FloatArray,
    humidity: FloatArray,
    wind: FloatArray,
    pressure: FloatArray,
    gust: FloatArray,
) -> FloatArray:
    """The variables in the order of `VARIABLES`, from °C and five standard normal fields.

    Invariants: dew point ≤ temperature; gusts ≥ wind; precipitation = rain + snow water; percentages lie
    within 0 and 100; radiation is 0 at night.
    """
    wave = climate.daily_wave(place, hours)
    # A steep logistic gives the sky's two favourite states: clear and overcast, 48 % on average.
    cover = 1.0 / (1.0 + np.exp(-3.8 * (cloud - 0.08)))
    dew_point, relative = _moisture(temperature, humidity, wave, cover)
    # km/h: mean 11.6 with a standard deviation of 6, stronger in the afternoon, as recorded.
    speed = 10.7 * np.maximum(1.0 + 0.28 * wind, 0.0) ** 2 * (1.0 + 0.15 * wave)
    water = np.round(1.6 * np.maximum(cloud - _WET_FROM, 0.0) ** 1.5, 2)  # mm/h; about 1,100 mm a year
    frozen = np.clip((1.5 - temperature) / 2.0, 0.0, 1.0)  # all snow below −0.5, all rain above 1.5 °C
    rain = np.round(water * (1.0 - frozen), 2)
    # Overcast goes with low pressure; 8.3 m of height cost one hPa.
    height_m = ELEVATION_M.get(nearest_site(place) or "", 0.0)
    columns = {
        "temperature_2m": temperature,
        "relative_humidity_2m": relative,
        "dew_point_2m": dew_point,
        "apparent_temperature": _apparent(temperature, dew_point, speed),
        "precipitation": water,
        "rain": rain,
        "snowfall": (water - rain) * _SNOW_CM_PER_MM,
        "cloud_cover": 100.0 * cover,
        "wind_speed_10m": speed,
        "wind_gusts_10m": speed * (1.7 + 0.5 / (1.0 + np.exp(-gust))),
        "surface_pressure": 1016.0 + 7.0 * pressure - 3.0 * cloud - height_m / 8.3,
        # Kasten and Czeplak (1980): an overcast sky lets a quarter through.
        "shortwave_radiation": climate.clear_sky_radiation(place, hours) * (1.0 - 0.75 * cover**3.4),
    }
    return np.stack([np.round(columns[name], _DECIMALS.get(name, 1)) for name in VARIABLES])


def _moisture(
    temperature: FloatArray, humidity: FloatArray, wave: FloatArray, cover: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Dew point and relative humidity: 69 % on average, moister by night and under cloud, as recorded."""
    wanted = np.clip(69.0 - 11.0 * wave + 13.0 * humidity + 16.0 * (cover - 0.5), 12.0, 100.0)
    vapour = np.log(wanted / 100.0) + _MAGNUS_A * temperature / (_MAGNUS_B + temperature)
    dew_point = np.minimum(_MAGNUS_B * vapour / (_MAGNUS_A - vapour), np.minimum(temperature, _MAX_DEW_POINT))
    relative: FloatArray = 100.0 * np.minimum(_saturation(dew_point) / _saturation(temperature), 1.0)
    return dew_point, relative


def _saturation(temperature: FloatArray) -> FloatArray:
    """Vapour pressure over water, hPa."""
    pressure: FloatArray = 6.112 * np.exp(_MAGNUS_A * temperature / (_MAGNUS_B + temperature))
    return pressure


def _apparent(temperature: FloatArray, dew_point: FloatArray, wind_kmh: FloatArray) -> FloatArray:
    """Steadman's apparent temperature in the shade (1994), °C."""
    felt: FloatArray = temperature + 0.33 * _saturation(dew_point) - 0.70 * wind_kmh / 3.6 - 4.0
    return felt
