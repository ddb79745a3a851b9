"""The source of each weather column in each hour, inferred from the values themselves. Pure.

A provider that changes its source changes the numbers although the weather stays the same: a city's own
humidity instead of a state mean, measured instead of estimated radiation, one more site. Each hour of each
column gets a label; a drift check must only compare hours with the same label.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from energy_demand.data.weather_features import COLUMN_OF_VARIABLE
from energy_demand.monitoring.drift_detection import SOURCE
from energy_demand.timeaxis import utc_index

if TYPE_CHECKING:
    import numpy.typing as npt

    from energy_demand.arrays import Floats
    from energy_demand.region import Region


ESTIMATED = "estimated"
ALIKE = "alike at all sites"
BLOCK = "7D"  # copied series are recognised by whole weeks
ALIKE_SHARE = 0.95
FEWEST_INFORMATIVE = 24  # hours of a block whose values would not agree by chance
# Values that sites often share by chance: dry, clear, overcast.
BY_CHANCE = (0.0, 100.0)
# Columns derived from temperature alone.
FOLLOWING = ("temp_squared", "cooling_degree_hours", "heating_degree_hours")


def weather_sources(weather_df: pd.DataFrame, periods: pd.DatetimeIndex, region: Region) -> pd.DataFrame:
    """A label for each hour and weather column.

    Args:
        weather_df: observed weather by `timestamp` and `site`, Open-Meteo's variables.
        periods: the hours to label.
        region: with its sites.

    Returns:
        Columns `source_X`, one row per period: `no site`, or the number of sites that have a value, with
        `alike at all sites` where a week of them is one copied series, or `estimated` (radiation).
    """
    names = [site.name for site in region.sites]
    labels: dict[str, npt.NDArray[np.object_]] = {}
    for variable, column in COLUMN_OF_VARIABLE.items():
        table = _by_site(weather_df, variable, periods, names)
        labels[column] = _label(table, periods)
        if column == "solar_radiation":
            labels[column] = np.where(labels[column] == _counted(0), ESTIMATED, labels[column])
    labels |= dict.fromkeys(FOLLOWING, labels["temperature"])
    return pd.DataFrame({SOURCE + name: pd.Categorical(values) for name, values in labels.items()})


def _by_site(weather: pd.DataFrame, variable: str, periods: pd.DatetimeIndex, names: list[str]) -> Floats:
    """Hours × sites; NaN where there is no value."""
    if variable not in weather or weather.empty:
        return np.full((len(periods), len(names)), np.nan)
    table = pd.DataFrame(
        {
            "at": utc_index(weather["timestamp"]),
            "site": weather["site"].to_numpy(),
            "value": weather[variable].to_numpy(dtype=float),
        }
    )
    wide = table.pivot_table(index="at", columns="site", values="value")
    return np.asarray(wide.reindex(index=periods, columns=names).to_numpy(dtype=float))


def _label(table: Floats, periods: pd.DatetimeIndex) -> npt.NDArray[np.object_]:
    count = (~np.isnan(table)).sum(axis=1)
    names = np.array([_counted(number) for number in range(table.shape[1] + 1)], dtype=object)
    labels: npt.NDArray[np.object_] = names[count]
    several = count > 1
    low, high = (np.where(several, pick(table), np.nan) for pick in (_lowest, _highest))
    informative = several & ~((low == high) & np.isin(low, BY_CHANCE))
    weeks = pd.Series(periods).dt.floor(BLOCK).to_numpy()
    votes = pd.DataFrame({"week": weeks, "informative": informative, "same": informative & (low == high)})
    sums = votes.groupby("week").sum()
    share = sums["same"] / sums["informative"]
    share = share.where(sums["informative"] >= FEWEST_INFORMATIVE).ffill().bfill()
    copied = share.reindex(weeks).to_numpy() >= ALIKE_SHARE
    labels[copied & several] = labels[copied & several] + f", {ALIKE}"
    return labels


def _counted(number: int) -> str:
    return "no site" if number == 0 else f"{number} site{'s' if number > 1 else ''}"


def _lowest(table: Floats) -> Floats:
    return np.asarray(np.where(np.isnan(table), np.inf, table).min(axis=1))


def _highest(table: Floats) -> Floats:
    return np.asarray(np.where(np.isnan(table), -np.inf, table).max(axis=1))
