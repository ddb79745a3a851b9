"""Weather of the target hour as base columns: sites averaged by population, radiation estimated. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pvlib

from energy_demand.columns import WEATHER_COLUMNS
from energy_demand.timeaxis import HOUR, utc_index

if TYPE_CHECKING:
    import numpy.typing as npt

    from energy_demand.region import Region, Site

    Floats = npt.NDArray[np.float64]

COLUMN_OF_VARIABLE = {
    "temperature_2m": "temperature",
    "apparent_temperature": "apparent_temperature",
    "relative_humidity_2m": "humidity",
    "wind_speed_10m": "wind_speed",
    "cloud_cover": "cloud_cover",
    "shortwave_radiation": "solar_radiation",
    "precipitation": "precipitation",
}


def weather_features(
    weather_df: pd.DataFrame, periods: pd.DatetimeIndex, issued_at: pd.DatetimeIndex, region: Region
) -> dict[str, Floats]:
    """The seven weather columns of each target hour.

    Each is the mean over the sites that have it, weighted by population; NaN where no site has it.
    Forecasts (a frame with `issued_at`) count only if issued by the row's own issue time.
    """
    weather = weather_df.rename(columns=COLUMN_OF_VARIABLE)
    if "site" not in weather:
        weather = weather.assign(site=region.sites[0].name)
    total = {name: np.zeros(len(periods)) for name in WEATHER_COLUMNS}
    weight = {name: np.zeros(len(periods)) for name in WEATHER_COLUMNS}
    for site in region.sites:
        of_site = weather[(weather["site"] == site.name).to_numpy()]
        rows = _rows(of_site, periods, issued_at)
        for name, values in _columns(of_site, site).items():
            found = _pick(values, rows)
            known = ~np.isnan(found)
            total[name][known] += site.weight * found[known]
            weight[name][known] += site.weight
    return {name: _ratio(total[name], weight[name]) for name in WEATHER_COLUMNS}


def estimate_radiation(timestamps: pd.DatetimeIndex, cloud_cover: Floats, site: Site) -> Floats:
    """Global horizontal irradiance (W/m²) over the hour before each time, from cloud cover in percent.

    Clear sky after Haurwitz (1945), at the middle of the hour; clouds after Kasten and Czeplak (1980):
    GHI = clear · (1 − 0.75 n^3.4) with n the covered part of the sky.
    """
    if len(timestamps) == 0:
        return np.empty(0)
    middle = timestamps - pd.Timedelta(HOUR / 2)
    position = pvlib.solarposition.get_solarposition(
        middle, site.latitude, site.longitude, method="ephemeris"
    )
    clear = pvlib.clearsky.haurwitz(position["apparent_zenith"])["ghi"].to_numpy()
    covered = np.clip(cloud_cover / 100.0, 0.0, 1.0)
    radiation: Floats = clear * (1.0 - 0.75 * covered**3.4)
    return radiation


def _columns(of_site: pd.DataFrame, site: Site) -> dict[str, Floats]:
    nothing = np.full(len(of_site), np.nan)
    columns = {
        name: of_site[name].to_numpy(dtype=float) if name in of_site else nothing for name in WEATHER_COLUMNS
    }
    radiation = columns["solar_radiation"]
    lacking = np.isnan(radiation)
    if lacking.any():
        estimated = estimate_radiation(
            utc_index(of_site["timestamp"])[lacking], columns["cloud_cover"][lacking], site
        )
        columns["solar_radiation"] = radiation.copy()
        columns["solar_radiation"][lacking] = estimated
    return columns


def _rows(
    of_site: pd.DataFrame, periods: pd.DatetimeIndex, issued_at: pd.DatetimeIndex
) -> npt.NDArray[np.int64]:
    """For each target, the row of `of_site` that holds its weather, or −1."""
    at = utc_index(of_site["timestamp"])
    if "issued_at" not in of_site:
        return _last_of_each(at).get_indexer(periods)
    forecasts = pd.DataFrame(
        {"timestamp": at, "issued_at": utc_index(of_site["issued_at"]), "row": np.arange(len(at))}
    ).sort_values("issued_at", kind="stable")
    wanted = pd.DataFrame(
        {"timestamp": periods, "issued_at": issued_at, "order": np.arange(len(periods))}
    ).sort_values("issued_at", kind="stable")
    newest = pd.merge_asof(wanted, forecasts, on="issued_at", by="timestamp").set_index("order")
    rows: npt.NDArray[np.int64] = newest["row"].sort_index().fillna(-1).to_numpy(dtype=np.int64)
    return rows


def _last_of_each(at: pd.DatetimeIndex) -> pd.DatetimeIndex:
    if at.has_duplicates:
        raise ValueError(f"weather_df has {at[at.duplicated()][0]} twice for one site")
    return at


def _pick(values: Floats, rows: npt.NDArray[np.int64]) -> Floats:
    picked = np.full(len(rows), np.nan)
    picked[rows >= 0] = values[rows[rows >= 0]]
    return picked


def _ratio(total: Floats, weight: Floats) -> Floats:
    mean = np.full(len(total), np.nan)
    np.divide(total, weight, out=mean, where=weight > 0)
    return mean
