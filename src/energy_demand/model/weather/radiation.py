"""Solar radiation where none was measured or forecast, from clouds and the rest of the weather. Pure.

Cloud cover tells radiation badly: the same cover is haze or a thunderstorm. Where radiation was measured long
enough, a booster learns what the weather of an hour and of those before it lets one expect; elsewhere a
formula of cloud cover alone stands in. No later hour is used, so the guess for an hour does not depend on how
much of the path is known.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from energy_demand.boosting import lgb, train
from energy_demand.data.irradiance import clear_sky, under_clouds
from energy_demand.data.weather_path import (
    CLOUD,
    COLUMN,
    HUMIDITY,
    MAIN,
    MAIN_CLOUD,
    MAIN_RADIATION,
    PATH_COLUMNS,
    RADIATION,
    REST,
    REST_RADIATION,
    WIND,
    WeatherPath,
)
from energy_demand.model.weather.climate import clock, naive
from energy_demand.parallel import side_by_side
from energy_demand.region import centre

if TYPE_CHECKING:
    from collections.abc import Mapping
    from zoneinfo import ZoneInfo

    import numpy.typing as npt

    from energy_demand.arrays import Booleans, Floats
    from energy_demand.region import Region

    Times = npt.NDArray[np.datetime64]

ONE_HOUR = np.timedelta64(1, "h")
CLOUDS_OF = {MAIN_RADIATION: MAIN_CLOUD, REST_RADIATION: CLOUD}
CLOUDS_BEFORE = (1, 2)  # hours
RISE_HOURS = 3  # of temperature
ABOVE_CLEAR = 1.2  # broken clouds can add to the clear sky's radiation


@dataclass(frozen=True)
class RadiationRecipe:
    """How the boosters are fitted.

    Attributes:
        parameters: LightGBM's own.
        trees: their number.
        fewest_hours: of measured daylight; with fewer the formula is used.
    """

    parameters: Mapping[str, Any] = field(
        default_factory=lambda: {
            "objective": "l2",
            "num_leaves": 31,
            "learning_rate": 0.05,
            "min_data_in_leaf": 200,
            "feature_fraction": 0.6,
            "bagging_fraction": 0.6,
            "bagging_freq": 1,
            "seed": 1,
            "deterministic": True,
            "force_row_wise": True,
            "verbose": -1,
        }
    )
    trees: int = 300
    fewest_hours: int = 4000


@dataclass(frozen=True)
class RadiationGuess:
    """Fills gaps in the columns `RADIATION`.

    Attributes:
        places: latitude and longitude of each column.
        boosters: by column; none for a column that was not measured long enough.
        zone: of clock hours and days of year.
    """

    places: Mapping[str, tuple[float, float]]
    boosters: Mapping[str, lgb.Booster]
    zone: ZoneInfo

    def completed(self, path: WeatherPath) -> WeatherPath:
        """The path with its gaps filled."""
        return WeatherPath(path.periods, self.filled(path.values, naive(path.periods)))

    def filled(self, values: Floats, periods: Times) -> Floats:
        """Weather with its gaps filled; a gap stays where the formula knows no cloud cover either.

        Args:
            values: … × consecutive hours × `PATH_COLUMNS`.
            periods: … × hours, UTC without a zone, hour ending.
        """
        filled = values.copy()
        for name in RADIATION:
            gap = np.isnan(values[..., COLUMN[name]])
            if not gap.any():
                continue
            sun = _sun(periods, self.places[name], self.zone)
            clear = sun[0]
            filled[gap & (clear <= 0.0), COLUMN[name]] = 0.0
            gap &= clear > 0.0
            if gap.any():
                expected = self._expected(name, values, sun, gap)
                filled[gap, COLUMN[name]] = np.clip(expected, 0.0, ABOVE_CLEAR * clear[gap])
        return filled

    def _expected(
        self, name: str, values: Floats, sun: tuple[Floats, Floats, Floats], at: Booleans
    ) -> Floats:
        """Radiation of the chosen hours."""
        booster = self.boosters.get(name)
        if booster is not None:
            return np.asarray(booster.predict(_features(values, *sun)[at], num_threads=1), dtype=float)
        covered = np.clip(values[..., COLUMN[CLOUDS_OF[name]]][at] / 100.0, 0.0, 1.0)
        return under_clouds(sun[0][at], covered)


def fit_radiation(
    observed: WeatherPath, before: pd.Timestamp, region: Region, recipe: RadiationRecipe | None = None
) -> RadiationGuess:
    """A guess learnt from the hours up to `before` in which radiation was measured."""
    recipe = recipe or RadiationRecipe()
    main, *others = region.sites
    places = {MAIN_RADIATION: centre((main,)), REST_RADIATION: centre(others or (main,))}
    learnt_from: dict[str, lgb.Dataset] = {}
    path = observed.until(before, len(observed.periods))
    for name in RADIATION:
        measured = path.column(name)
        if np.isnan(measured).all():
            continue
        clear, hour, day = _sun(naive(path.periods), places[name], region.zone)
        usable = ~np.isnan(measured) & (clear > 0.0)
        if usable.sum() >= recipe.fewest_hours:
            rows = _features(path.values, clear, hour, day)[usable]
            learnt_from[name] = lgb.Dataset(rows, label=measured[usable])
    boosters = side_by_side(
        *(partial(train, recipe.parameters, data, recipe.trees) for data in learnt_from.values())
    )
    return RadiationGuess(places, dict(zip(learnt_from, boosters, strict=True)), region.zone)


def radiation_columns(values: Floats, clear: Floats, hour: Floats, day: Floats) -> dict[str, Floats]:
    """The features of the boosters by name.

    Args:
        values: … × consecutive hours × `PATH_COLUMNS`; radiation itself is not used.
        clear: … × hours, clear-sky irradiance, W/m².
        hour: clock hour of each.
        day: day of year of each.
    """
    columns = {
        "clear_sky": clear,
        "clear_sky_before": _before(clear, 1),
        "clock_hour": hour,
        "day_of_year": day,
    }
    for name in (CLOUD, MAIN_CLOUD, HUMIDITY, MAIN, REST, WIND):
        columns[name] = values[..., COLUMN[name]]
    for hours in CLOUDS_BEFORE:
        for name in (CLOUD, MAIN_CLOUD):
            columns[f"{name}_{hours}h_before"] = _before(columns[name], hours)
    columns[f"{HUMIDITY}_before"] = _before(columns[HUMIDITY], 1)
    for name in (MAIN, REST):
        columns[f"{name}_rise"] = columns[name] - _before(columns[name], RISE_HOURS)
    return columns


@lru_cache(maxsize=1)
def radiation_feature_names() -> tuple[str, ...]:
    """Names of the features of every booster."""
    hours = np.zeros(2)
    return tuple(radiation_columns(np.zeros((2, len(PATH_COLUMNS))), hours, hours, hours))


def _features(values: Floats, clear: Floats, hour: Floats, day: Floats) -> Floats:
    return np.stack(list(radiation_columns(values, clear, hour, day).values()), axis=-1)


def _sun(periods: Times, place: tuple[float, float], zone: ZoneInfo) -> tuple[Floats, Floats, Floats]:
    """Clear-sky irradiance, clock hour and day of year; hours that occur many times are computed once."""
    first = periods.min()
    span: Times = np.arange(first, periods.max() + ONE_HOUR, ONE_HOUR)
    at = (periods - first) // ONE_HOUR
    clear = clear_sky(pd.DatetimeIndex(span).tz_localize("UTC"), *place)
    starts: Times = span - ONE_HOUR
    hour, day = clock(starts, zone)
    return clear[at], hour[at], day[at]


def _before(values: Floats, hours: int) -> Floats:
    """The value so many hours before each hour; NaN where the path begins later."""
    shifted = np.full(values.shape, np.nan)
    shifted[..., hours:] = values[..., :-hours]
    return shifted
