"""The weather of a scenario: the forecast's path with some quantities changed, within physical bounds. Pure.

A change of temperature keeps the dew point, so relative humidity follows; air that is cooled below its dew
point is saturated. Clouds change the sun: between a cloudless sky (Haurwitz 1945) and an overcast one (Kasten
and Czeplak 1980) the forecast's radiation moves as the formula of cover lets one expect. Nothing shines at
night. A quantity that is not changed keeps its values to the last bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from energy_demand.data import weather_path as paths
from energy_demand.data.irradiance import under_clouds
from energy_demand.data.weather_path import COLUMN, MAIN, RADIATION, REST
from energy_demand.model.scenarios.changes import (
    CLOUD,
    HUMIDITY,
    SOLAR,
    TEMPERATURE,
    WIND,
    Scenario,
    ScenarioError,
)
from energy_demand.model.stages.response_features import dew_point
from energy_demand.model.weather.radiation import ABOVE_CLEAR, CLOUDS_OF
from energy_demand.timeaxis import HOUR, utc_index, utc_text

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import datetime

    from energy_demand.arrays import Floats
    from energy_demand.region import Region

# The response to a change of temperature (°C) is interpolated between these; it is nearly linear there.
DEGREES = (1.0, 2.0, 3.0, 5.0, 7.0, 10.0, 15.0, 20.0)
MOST_PARTS = 4  # of the way to temperatures of one's own
BOTH = [COLUMN[MAIN], COLUMN[REST]]
# Columns of a path by quantity, and Open-Meteo's name of it.
_COLUMNS = {
    TEMPERATURE: (MAIN, REST),
    HUMIDITY: (paths.HUMIDITY,),
    CLOUD: (paths.CLOUD, paths.MAIN_CLOUD),
    WIND: (paths.WIND,),
    SOLAR: RADIATION,
}
_VARIABLES = {
    TEMPERATURE: "temperature_2m",
    HUMIDITY: "relative_humidity_2m",
    CLOUD: "cloud_cover",
    WIND: "wind_speed_10m",
    SOLAR: "shortwave_radiation",
}
_OF_MAIN, _OF_OTHERS = (MAIN, paths.MAIN_CLOUD, RADIATION[0]), (REST, RADIATION[1])


@dataclass(frozen=True)
class ChangedWeather:
    """The target hours of a path, and how a scenario changes them.

    Attributes:
        base: hours × `PATH_COLUMNS`, as the forecast has them.
        own: likewise, with weather of one's own in its place; NaN where none is given.
        clear: clear-sky radiation of each column of `RADIATION`, W/m².
        main_share: of the main site in the region's temperature.
        scenario: what changes.
    """

    base: Floats
    own: Floats
    clear: Mapping[str, Floats]
    main_share: float
    scenario: Scenario

    @property
    def temperature(self) -> Floats:
        """The region's temperature in the forecast's weather, °C."""
        return self._mean(self.base)

    def warming(self) -> list[Floats]:
        """How the temperature is changed step by step: differences from `base` (°C), hours × main and rest.

        First none; then weather of one's own in equal parts; then the change of every hour over `DEGREES`,
        which are the same for every change. The last step is at or above it, see `last_share`.
        """
        own = np.nan_to_num(self.own[:, BOTH] - self.base[:, BOTH])
        parts = min(int(np.ceil(np.abs(own).max(initial=0.0))), MOST_PARTS)
        steps = [np.zeros_like(own), *(own * part / parts for part in range(1, parts + 1))]
        degrees = self._degrees
        reached = DEGREES[: np.searchsorted(DEGREES, abs(degrees)) + 1] if degrees else ()
        return steps + [own + np.sign(degrees) * each for each in reached]

    @property
    def last_share(self) -> float:
        """How much of its last step the change of every hour takes."""
        degrees = abs(self._degrees)
        last = int(np.searchsorted(DEGREES, degrees))
        before = DEGREES[last - 1] if last else 0.0
        return (degrees - before) / (DEGREES[last] - before) if degrees else 1.0

    @property
    def _degrees(self) -> float:
        change = self.scenario.change(TEMPERATURE)
        return 0.0 if change is None else change.value

    def of(self, quantities: Collection[str], warming: Floats) -> Floats:
        """The weather with these quantities changed, temperature by `warming`: hours × `PATH_COLUMNS`."""
        values = self.base.copy()
        if TEMPERATURE in quantities and warming.any():
            values[:, BOTH] += warming
            self._keep_dew_point(values)
        for name in (HUMIDITY, WIND):
            if name in quantities:
                self._change(values, name)
        if CLOUD in quantities:
            self._change(values, CLOUD)
            for name in RADIATION:
                column, cover = COLUMN[name], COLUMN[CLOUDS_OF[name]]
                values[:, column] = radiation_under(
                    values[:, column], self.base[:, cover], values[:, cover], self.clear[name]
                )
        if SOLAR in quantities:
            for name in RADIATION:
                own = np.minimum(self.own[:, COLUMN[name]], ABOVE_CLEAR * self.clear[name])
                values[:, COLUMN[name]] = np.where(np.isnan(own), values[:, COLUMN[name]], own)
        return values

    def _mean(self, values: Floats) -> Floats:
        main, rest = values[:, COLUMN[MAIN]], values[:, COLUMN[REST]]
        return np.asarray(self.main_share * main + (1.0 - self.main_share) * rest)

    def _keep_dew_point(self, values: Floats) -> None:
        humidity = values[:, COLUMN[paths.HUMIDITY]]
        before, after = self.temperature, self._mean(values)
        same = before == after
        point = dew_point(before, humidity)
        kept = np.minimum(relative_humidity(after, point), 100.0)
        values[:, COLUMN[paths.HUMIDITY]] = np.where(same, humidity, kept)

    def _change(self, values: Floats, quantity: str) -> None:
        change = self.scenario.change(quantity)
        high = np.inf if quantity == WIND else 100.0
        for name in _COLUMNS[quantity]:
            column, own = values[:, COLUMN[name]], self.own[:, COLUMN[name]]
            changed = np.where(np.isnan(own), column, own)
            if change is not None:
                changed = np.full(len(changed), change.value) if change.is_set else changed + change.value
                changed = np.clip(changed, 0.0, high)
            values[:, COLUMN[name]] = changed


def relative_humidity(temperature: Floats, point: Floats) -> Floats:
    """Percent, of air of a temperature and a dew point (°C): the inverse of `dew_point`."""

    def exponent(celsius: Floats) -> Floats:
        return np.asarray(17.625 * celsius / (243.04 + celsius))

    return np.asarray(100.0 * np.exp(exponent(point) - exponent(temperature)))


def radiation_under(radiation: Floats, before: Floats, after: Floats, clear: Floats) -> Floats:
    """Radiation (W/m²) under another cloud cover.

    It moves from what it is towards the clear sky's or an overcast sky's, by as much of the way as
    `under_clouds` does, so that no cover gives the clear sky's and the same cover what it is.

    Args:
        radiation: under the cover before; NaN: unknown.
        before: cloud cover, percent; NaN: as `radiation` lets one expect.
        after: likewise, then.
        clear: of a cloudless sky.
    """
    least = float(under_clouds(np.ones(1), np.ones(1))[0])
    seen = np.clip(_ratio(radiation, clear), least, 1.0)
    share_before = np.where(np.isnan(before), seen, under_clouds(np.ones(1), before / 100.0))
    share_after = under_clouds(np.ones(1), after / 100.0)
    rise = share_after - share_before
    up = np.clip(_ratio(rise, 1.0 - share_before), 0.0, 1.0)
    down = np.clip(_ratio(-rise, share_before - least), 0.0, 1.0)
    moved = radiation + up * np.maximum(clear - radiation, 0.0)
    moved = moved - down * np.maximum(radiation - least * clear, 0.0)
    return np.where((clear <= 0.0) | (rise == 0.0) | np.isnan(rise), radiation, moved)


def _ratio(part: Floats, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0.0)


def own_weather(
    scenario: Scenario,
    base: Floats,
    periods: pd.DatetimeIndex,
    forecasts: pd.DataFrame,
    region: Region,
    issued_at: datetime,
) -> Floats:
    """The columns of a path with weather of one's own; NaN in hours and columns without any.

    Where only some of the sites are given, the others keep their forecast: what the newest run known at the
    issue says of them, corrected by as much as the forecast of all of them was.

    Args:
        scenario: with its own weather.
        base: of the forecast, hours × `PATH_COLUMNS`.
        periods: of these hours.
        forecasts: rows of weather forecasts by `issued_at`, `timestamp` and `site`.
        region: its sites.
        issued_at: later runs are not used.

    Raises:
        ScenarioError: an hour or a site is none of these, or is given twice.
    """
    columns = np.full(base.shape, np.nan)
    if not scenario.own:
        return columns
    given = _by_site(scenario, periods, region)
    runs = _newest_runs(forecasts, periods, issued_at)
    for quantity, names in _COLUMNS.items():
        grid = given.get(quantity)
        if grid is None:
            continue
        variable = _VARIABLES[quantity]
        known = runs.get(variable)
        for name in names:
            mine = _sites_of(name, region)
            weights = np.array([region.sites[site].weight for site in mine])
            own = grid[:, mine]
            raw: Floats = np.full(own.shape, np.nan)
            if known is not None:
                raw = known.reindex(columns=[region.sites[site].name for site in mine]).to_numpy(dtype=float)
            columns[:, COLUMN[name]] = _mixed(own, raw, base[:, COLUMN[name]], weights)
    return columns


def _mixed(own: Floats, raw: Floats, base: Floats, weights: Floats) -> Floats:
    """The mean of the sites with one's own values in place of those forecast; NaN where none is given."""
    there = ~np.isnan(own)
    known = np.where(np.isnan(raw), 0.0, weights)
    total = known.sum(axis=1)
    mean = np.divide((known * np.nan_to_num(raw)).sum(axis=1), total, out=base.copy(), where=total > 0.0)
    forecast = np.where(np.isnan(raw), base[:, None], raw + (base - mean)[:, None])
    values = np.where(there, own, forecast)
    of_given = (np.where(there, own, 0.0) * weights).sum(axis=1) / np.maximum(
        (there * weights).sum(axis=1), 1e-9
    )
    mixed = np.where(np.isnan(base), of_given, (values * weights).sum(axis=1) / weights.sum())
    return np.where(there.any(axis=1), mixed, np.nan)


def _sites_of(name: str, region: Region) -> list[int]:
    every = list(range(len(region.sites)))
    if name in _OF_MAIN or len(every) == 1:
        return every[:1]
    return every[1:] if name in _OF_OTHERS else every


def _by_site(scenario: Scenario, periods: pd.DatetimeIndex, region: Region) -> dict[str, Floats]:
    """Hours × sites of each quantity; NaN where it is not given."""
    names = [site.name for site in region.sites]
    grids: dict[str, Floats] = {}
    seen: set[tuple[int, int]] = set()
    for number, row in enumerate(scenario.own):
        where = f"weather.{number}"
        hour = int((pd.Timestamp(row.period) - periods[0]) // pd.Timedelta(HOUR))
        if not 0 <= hour < len(periods):
            raise ScenarioError(
                f"{utc_text(row.period)} is not one of the forecast's hours; give hours from "
                f"{utc_text(periods[0])} to {utc_text(periods[-1])}",
                f"{where}.period",
            )
        if row.site is not None and row.site not in names:
            raise ScenarioError(
                f"{row.site} is not a site of {region.respondent}; use {', '.join(names)}, or leave it out "
                "for all of them",
                f"{where}.site",
            )
        for site in range(len(names)) if row.site is None else [names.index(row.site)]:
            if (hour, site) in seen:
                raise ScenarioError(
                    f"{utc_text(row.period)} is given twice for {names[site]}; give each hour of a site once",
                    where,
                )
            seen.add((hour, site))
            for quantity, value in row.values.items():
                grid = grids.setdefault(quantity, np.full((len(periods), len(names)), np.nan))
                grid[hour, site] = value
    return grids


def _newest_runs(
    forecasts: pd.DataFrame, periods: pd.DatetimeIndex, issued_at: datetime
) -> dict[str, pd.DataFrame]:
    """Of each variable, hours × sites: the newest values known at the issue."""
    if forecasts.empty:
        return {}
    at, issued = utc_index(forecasts["timestamp"]), utc_index(forecasts["issued_at"])
    wanted = np.asarray((issued <= pd.Timestamp(issued_at)) & at.isin(periods))
    rows = forecasts[wanted].assign(timestamp=at[wanted]).sort_values("issued_at", kind="stable")
    newest = rows.groupby(["timestamp", "site"]).last()  # of each variable its last known value
    return {
        variable: newest[variable].unstack("site").reindex(periods)  # noqa: PD010
        for variable in _VARIABLES.values()
        if variable in newest
    }
