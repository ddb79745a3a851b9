"""Weather of the target hour as base columns: sites averaged by population, radiation estimated. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from energy_demand.arrays import weighted_mean_of_known
from energy_demand.columns import WEATHER_COLUMNS
from energy_demand.data.irradiance import clear_sky, under_clouds
from energy_demand.timeaxis import utc_index

if TYPE_CHECKING:
    from energy_demand.arrays import Floats, Integers
    from energy_demand.region import Region, Site

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
    by_site: dict[str, list[tuple[float, Floats]]] = {name: [] for name in WEATHER_COLUMNS}
    for site in region.sites:
        of_site = weather[(weather["site"] == site.name).to_numpy()]
        rows = _rows(of_site, periods, issued_at)
        for name, values in _columns(of_site, site).items():
            by_site[name].append((site.weight, _pick(values, rows)))
    return {name: weighted_mean_of_known(found) for name, found in by_site.items()}


def estimate_radiation(timestamps: pd.DatetimeIndex, cloud_cover: Floats, site: Site) -> Floats:
    """Global horizontal irradiance (W/m²) over the hour before each time, from cloud cover in percent."""
    clear = clear_sky(timestamps, site.latitude, site.longitude)
    return under_clouds(clear, np.clip(cloud_cover / 100.0, 0.0, 1.0))


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


def _rows(of_site: pd.DataFrame, periods: pd.DatetimeIndex, issued_at: pd.DatetimeIndex) -> Integers:
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
    rows: Integers = newest["row"].sort_index().fillna(-1).to_numpy(dtype=np.int64)
    return rows


def _last_of_each(at: pd.DatetimeIndex) -> pd.DatetimeIndex:
    if at.has_duplicates:
        raise ValueError(f"weather_df has {at[at.duplicated()][0]} twice for one site")
    return at


def _pick(values: Floats, rows: Integers) -> Floats:
    picked = np.full(len(rows), np.nan)
    picked[rows >= 0] = values[rows[rows >= 0]]
    return picked
