"""The usual temperature by day of year and clock hour. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from energy_demand.data.weather_path import MAIN, REST
from energy_demand.timeaxis import HOUR

if TYPE_CHECKING:
    from collections.abc import Mapping
    from zoneinfo import ZoneInfo

    import numpy.typing as npt

    from energy_demand.arrays import Floats
    from energy_demand.data.weather_path import WeatherPath

YEAR_HOURS = 365 * 24
# Harmonics are not determined by less than a year, and must not run away in the seasons that are missing:
# anomalies of 3 °C that last for two days, against a spread of 2 °C of the coefficients: 48 · 3² / 2².
SHORT_PENALTY = 108.0


@dataclass(frozen=True)
class Climate:
    """Usual temperatures.

    Attributes:
        coefficients: of `MAIN` and `REST`, for the harmonics of day of year and clock hour.
        slope: °C by which `REST` deviates from its climate per °C of deviation at `MAIN`.
    """

    coefficients: Mapping[str, Floats]
    slope: float


def fit_climate(path: WeatherPath, zone: ZoneInfo) -> Climate:
    """The climate of a path of observed weather.

    Raises:
        ValueError: the path has no temperature of the main site.
    """
    basis = climate_basis(*clock(naive(path.periods - pd.Timedelta(HOUR)), zone))
    main, rest = path.column(MAIN), path.column(REST)
    if np.isnan(main).all():
        raise ValueError("no observed temperature of the main site; the weather outlook needs it")
    if np.isnan(rest).all():
        rest = main
    coefficients = {MAIN: _regressed(basis, main)}
    # A site that was not observed through all seasons differs from the main site as far as it was observed.
    prior = coefficients[MAIN] if _is_short(rest) else np.zeros(basis.shape[1])
    coefficients[REST] = prior + _regressed(basis, rest - basis @ prior)
    both = ~np.isnan(main) & ~np.isnan(rest)
    main_anomaly = main[both] - basis[both] @ coefficients[MAIN]
    rest_anomaly = rest[both] - basis[both] @ coefficients[REST]
    variance = max(float(np.dot(main_anomaly, main_anomaly)), 1e-9)
    return Climate(coefficients, float(np.dot(rest_anomaly, main_anomaly)) / variance)


def _is_short(values: Floats) -> bool:
    return bool((~np.isnan(values)).sum() < YEAR_HOURS)


def _regressed(basis: Floats, values: Floats) -> Floats:
    known = ~np.isnan(values)
    strength = SHORT_PENALTY if _is_short(values) else 1e-3 * known.sum()
    penalty = strength * np.eye(basis.shape[1])
    penalty[0, 0] = 0.0
    rows = basis[known]
    return np.asarray(np.linalg.solve(rows.T @ rows + penalty, rows.T @ values[known]))


def climate_basis(hour: Floats, day: Floats) -> Floats:
    """Two harmonics of the day of year times two of the clock hour."""
    year, clock = 2.0 * np.pi * day / 365.25, 2.0 * np.pi * hour / 24.0
    seasons = [np.ones_like(year), np.sin(year), np.cos(year), np.sin(2 * year), np.cos(2 * year)]
    hours = [np.ones_like(year), np.sin(clock), np.cos(clock), np.sin(2 * clock), np.cos(2 * clock)]
    return np.stack([season * of_day for season in seasons for of_day in hours], axis=-1)


def naive(times: pd.DatetimeIndex) -> npt.NDArray[np.datetime64]:
    """UTC times as naive NumPy values."""
    return np.asarray(times.tz_localize(None), dtype="datetime64[us]")


def clock(starts: npt.NDArray[np.datetime64], zone: ZoneInfo) -> tuple[Floats, Floats]:
    """Local clock hour and day of year of UTC hours."""
    local = pd.DatetimeIndex(starts).tz_localize("UTC").tz_convert(zone)
    return local.hour.to_numpy(dtype=float), local.dayofyear.to_numpy(dtype=float)
