"""The weather of a region hour by hour, as the adaptive regression sees it. Pure.

A path has no gaps in time: it runs from observed hours into forecast hours. Temperature and radiation are
kept separately for the main site and for the other sites, as both matter on their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from energy_demand.arrays import weighted_mean_of_known
from energy_demand.timeaxis import HOUR, utc_index

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from energy_demand.arrays import Floats
    from energy_demand.region import Region, Site


MAIN, REST = "main_temperature", "rest_temperature"  # °C
HUMIDITY, CLOUD, WIND = "humidity", "cloud_cover", "wind_speed"  # %, %, km/h
MAIN_CLOUD = "main_cloud_cover"  # %
MAIN_RADIATION, REST_RADIATION = "main_radiation", "rest_radiation"  # W/m², mean of the hour
RADIATION = (MAIN_RADIATION, REST_RADIATION)
PATH_COLUMNS = (MAIN, REST, HUMIDITY, CLOUD, WIND, MAIN_CLOUD, *RADIATION)
COLUMN = {name: position for position, name in enumerate(PATH_COLUMNS)}
_OF_ALL_SITES = {HUMIDITY: "relative_humidity_2m", CLOUD: "cloud_cover", WIND: "wind_speed_10m"}
_OF_MAIN = {MAIN: "temperature_2m", MAIN_CLOUD: "cloud_cover", MAIN_RADIATION: "shortwave_radiation"}
_OF_OTHERS = {REST: MAIN, REST_RADIATION: MAIN_RADIATION}
LONGEST_GAP_HOURS = 6  # up to so many hours without weather take the last that was observed


@dataclass(frozen=True)
class WeatherPath:
    """Consecutive hours of weather.

    Attributes:
        periods: UTC, every hour from the first to the last.
        values: hours × `PATH_COLUMNS`; NaN where nothing is known.
    """

    periods: pd.DatetimeIndex
    values: Floats

    def column(self, name: str) -> Floats:
        """One of `PATH_COLUMNS`."""
        column: Floats = self.values[:, COLUMN[name]]
        return column

    def until(self, end: pd.Timestamp, hours: int) -> WeatherPath:
        """The last `hours` hours up to and including `end`; fewer where the path begins later."""
        stop = max(0, self.position(end) + 1)
        start = max(0, stop - hours)
        return WeatherPath(self.periods[start:stop], self.values[start:stop])

    def then(self, later: WeatherPath) -> WeatherPath:
        """This path continued by one that begins right after it.

        Raises:
            ValueError: it begins at another hour.
        """
        if len(self.periods) and later.periods[0] - self.periods[-1] != pd.Timedelta(HOUR):
            raise ValueError(f"{later.periods[0]} does not follow {self.periods[-1]}")
        return WeatherPath(
            pd.DatetimeIndex(self.periods.append(later.periods)),
            np.concatenate([self.values, later.values], axis=0),
        )

    def position(self, period: pd.Timestamp) -> int:
        """Index of an hour; negative or beyond the end where the path does not have it."""
        return int((period - self.periods[0]) // pd.Timedelta(HOUR))


def weather_path(weather_df: pd.DataFrame, periods: pd.DatetimeIndex, region: Region) -> WeatherPath:
    """The path over `periods` from rows of weather.

    Args:
        weather_df: `timestamp`, `site` and Open-Meteo's variables; one row per site and hour.
        periods: consecutive hours.
        region: its sites; the first one is the main site, all are weighted by population.
    """
    at = utc_index(weather_df["timestamp"])
    of_site = {site.name: (weather_df["site"] == site.name).to_numpy() for site in region.sites}

    def grid(site: str, variable: str) -> Floats:
        if variable not in weather_df:
            return np.full(len(periods), np.nan)
        mine = of_site[site]
        series = pd.Series(weather_df[variable].to_numpy(dtype=float)[mine], index=at[mine])
        return series.reindex(periods).to_numpy(dtype=float)

    columns = weighted_sites(grid, region)
    for name in set(columns) - set(RADIATION):  # the sun does not stand still
        columns[name] = _bridged(columns[name])
    return WeatherPath(periods, np.stack([columns[name] for name in PATH_COLUMNS], axis=1))


def weighted_sites(grid: Callable[[str, str], Floats], region: Region) -> dict[str, Floats]:
    """The columns of a path from `grid(site, variable)`, sites weighted by population."""
    main, *others = region.sites
    columns = {name: grid(main.name, variable) for name, variable in _OF_MAIN.items()}

    def mean(sites: Sequence[Site], variable: str) -> Floats:
        return weighted_mean_of_known([(site.weight, grid(site.name, variable)) for site in sites])

    for name, same_of_main in _OF_OTHERS.items():
        columns[name] = mean(others, _OF_MAIN[same_of_main]) if others else columns[same_of_main]
    return columns | {name: mean(region.sites, variable) for name, variable in _OF_ALL_SITES.items()}


def _bridged(values: Floats) -> Floats:
    """Fill short gaps with the hour before: what follows a gap is not known within it."""
    return np.asarray(pd.Series(values).ffill(limit=LONGEST_GAP_HOURS), dtype=np.float64)
