"""The columns of the adaptive regression: level, calendar and the response to weather. Pure.

They contain no demand. A row depends on its hour's calendar and on the weather path up to and including its
hour, so the same columns serve observed and forecast weather. Unknown values are NaN; smoothed columns keep
their last value meanwhile. Of a path with temperature alone, humidity, clouds and sun are estimated.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from energy_demand.data.irradiance import clear_sky, under_clouds
from energy_demand.data.weather_path import (
    CLOUD,
    HUMIDITY,
    MAIN,
    MAIN_RADIATION,
    PATH_COLUMNS,
    REST,
    REST_RADIATION,
    WIND,
    WeatherPath,
)
from energy_demand.model.stages.estimated_weather import with_estimates
from energy_demand.model.stages.rooftop_solar import rooftop_generation
from energy_demand.model.stages.special_days import special_day_columns
from energy_demand.region import NEW_YORK, centre
from energy_demand.timeaxis import HOUR

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from energy_demand.arrays import Floats, Integers
    from energy_demand.region import Region


# Groups of columns: each adapts at its own pace, and an explanation adds up the columns of a group.
LEVEL, SEASON, WEEKDAY, SPECIAL_DAY = "level", "season", "weekday", "special_day"
FAST, MIDDLE, SLOW, PLACES, BY_DAY = "fast", "middle", "slow", "places", "by_day"
MOISTURE, AIR, CLOUDS, SUN = "moisture", "air", "clouds", "sun"
CALENDAR_GROUPS = (LEVEL, SEASON, WEEKDAY, SPECIAL_DAY)
TEMPERATURE_GROUPS = (FAST, MIDDLE, SLOW, PLACES, BY_DAY)
OTHER_WEATHER_GROUPS = (MOISTURE, AIR)
SOLAR_GROUPS = (CLOUDS, SUN)
GROUPS = (*CALENDAR_GROUPS, *TEMPERATURE_GROUPS, *OTHER_WEATHER_GROUPS, *SOLAR_GROUPS)

# Buildings follow the temperature slowly: half-lives of the smoothing in hours, knots in °C.
FAST_HOURS, FAST_KNOTS = 1.5, (-8, -4, 0, 4, 8, 11, 14, 17, 20, 23, 26, 29)
MIDDLE_HOURS, MIDDLE_KNOTS = 12.0, (-4, 4, 9, 14, 17, 20, 23, 26)
SLOW_HOURS, SLOW_KNOTS = 72.0, (0, 8, 14, 18, 22, 25)
PLACE_KNOTS = {MAIN: (14, 18, 22, 26), REST: (14, 18, 22, 26)}
DAY_HOURS = 24.0
COOLING_FROM, HEATING_FROM = 17.0, 13.0  # °C
LAG_HOURS = {3: (17.0, 14.0), 6: (17.0, 14.0), 12: (17.0, None), 24: (17.0, 14.0), 48: (17.0, 14.0)}
SLOW_LAG_HOURS = 72
YEAR_DAYS = 365.25
HARMONICS = 6
WATTS_PER_KILOWATT = 1000.0
# Hours of past weather that a row depends on; the slowest smoothing has a half-life of 72 hours.
MEMORY_HOURS = 30 * 24


@dataclass(frozen=True)
class Responses:
    """Rows of the adaptive regression.

    Attributes:
        periods: UTC, hour ending.
        hours: local clock hour of each hour's start, 0–23.
        months: local month of each hour's start, 1–12.
        days_of_year: local, 1–366.
        days_of_week: local, 0 (Monday) – 6.
        names: of the columns.
        groups: of the columns, each one of `GROUPS`.
        values: rows × columns.
        rooftop_mwh: of each hour, what panels behind the meter generate.
    """

    periods: pd.DatetimeIndex
    hours: Integers
    months: Integers
    days_of_year: Integers
    days_of_week: Integers
    names: tuple[str, ...]
    groups: tuple[str, ...]
    values: Floats
    rooftop_mwh: Floats

    def rows(self, chosen: slice | Integers) -> Responses:
        """Some of the rows."""
        return Responses(
            self.periods[chosen],
            self.hours[chosen],
            self.months[chosen],
            self.days_of_year[chosen],
            self.days_of_week[chosen],
            self.names,
            self.groups,
            self.values[chosen],
            self.rooftop_mwh[chosen],
        )


def warmth(responses: Responses) -> Floats:
    """The temperature of each hour, smoothed over half a day, °C; NaN where unknown."""
    return np.asarray(responses.values[:, responses.names.index("middle")])


def joined(parts: list[Responses]) -> Responses:
    """The rows of several parts with the same columns, one after the other."""
    return Responses(
        pd.DatetimeIndex(parts[0].periods.append([part.periods for part in parts[1:]])),
        np.concatenate([part.hours for part in parts]),
        np.concatenate([part.months for part in parts]),
        np.concatenate([part.days_of_year for part in parts]),
        np.concatenate([part.days_of_week for part in parts]),
        parts[0].names,
        parts[0].groups,
        np.concatenate([part.values for part in parts]),
        np.concatenate([part.rooftop_mwh for part in parts]),
    )


def response_features(path: WeatherPath, region: Region, last: int | None = None) -> Responses:
    """The columns of every hour of a path, or of its `last` hours.

    The first `MEMORY_HOURS` of a path lack part of their past: their smoothed columns are means over the
    available hours.
    """
    return responses_of([path], region, last)[0]


def responses_of(paths: Sequence[WeatherPath], region: Region, last: int | None = None) -> list[Responses]:
    """`response_features` of several paths over the same hours; calendar and sun are computed once."""
    periods = paths[0].periods
    shown = slice(None) if last is None else slice(max(0, len(periods) - last), None)
    local = (periods - pd.Timedelta(HOUR)).tz_convert(region.zone)
    watts = clear_sky(periods, *centre(region.sites))
    paths, clear = [with_estimates(path, region, watts) for path in paths], watts / WATTS_PER_KILOWATT
    local_shown = local[shown]
    calendar: dict[str, tuple[str, Floats]] = {}
    calendar_columns(
        lambda group, name, values: calendar.update({name: (group, values)}),
        local_shown.dayofyear.to_numpy(dtype=float),
        local_shown.dayofweek.to_numpy(),
        special_day_columns(local_shown.tz_localize(None).normalize(), region.country),
    )
    weekend, season = (local.dayofweek >= 5).astype(float), season_of(local.dayofyear.to_numpy(dtype=float))
    clock: dict[str, Any] = {
        "periods": periods[shown],
        "hours": local_shown.hour.to_numpy(dtype=np.int64),
        "months": local_shown.month.to_numpy(dtype=np.int64),
        "days_of_year": local_shown.dayofyear.to_numpy(dtype=np.int64),
        "days_of_week": local_shown.dayofweek.to_numpy(dtype=np.int64),
    }
    found = []
    for path in paths:
        columns = dict(calendar)

        def add(group: str, name: str, values: Floats, columns: dict[str, Any] = columns) -> None:
            columns[name] = (group, values[shown])

        weather_columns(add, path, weekend, season, region, clear)
        found.append(
            Responses(
                **clock,
                names=tuple(columns),
                groups=tuple(group for group, _ in columns.values()),
                values=np.stack([values for _, values in columns.values()], axis=1),
                rooftop_mwh=rooftop_generation(path, region)[shown],
            )
        )
    return found


@lru_cache(maxsize=1)
def response_columns() -> tuple[tuple[str, str], ...]:
    """Name and group of each column, in order; the same for every region."""
    hour = pd.DatetimeIndex([pd.Timestamp(0, tz="UTC")])
    rows = response_features(WeatherPath(hour, np.full((1, len(PATH_COLUMNS)), np.nan)), NEW_YORK)
    return tuple(zip(rows.names, rows.groups, strict=True))


def dew_point(temperature: Floats, humidity: Floats) -> Floats:
    """Dew point (°C) from °C and percent: the Magnus formula, constants of Alduchov and Eskridge (1996).

    Saturated air has its own temperature as its dew point:

    >>> dew_point(np.array([20.0]), np.array([100.0]))
    array([20.])
    """
    gamma = np.log(np.clip(humidity, 1.0, 100.0) / 100.0) + 17.625 * temperature / (243.04 + temperature)
    point: Floats = 243.04 * gamma / (17.625 - gamma)
    return point


def smoothed(values: Floats, half_life_hours: float) -> Floats:
    """The exponentially weighted mean of each hour and those before it.

    >>> smoothed(np.array([0.0, 1.0]), half_life_hours=1.0)
    array([0.        , 0.66666667])
    """
    alpha = 1.0 - 0.5 ** (1.0 / half_life_hours)
    series = pd.Series(values) if values.ndim == 1 else pd.DataFrame(values)
    return series.ewm(alpha=alpha, ignore_na=True).mean().to_numpy(dtype=float)


def season_of(days_of_year: Floats) -> Floats:
    """The angle of each day in its year."""
    return 2.0 * np.pi * days_of_year / YEAR_DAYS


def calendar_columns(
    add: Callable[[str, str, Floats], None],
    days_of_year: Floats,
    weekday: Integers,
    special: Mapping[str, Floats],
) -> None:
    """Hand each column of the calendar to `add` by its group and name; arguments are of each hour."""
    add(LEVEL, "level", np.ones(len(days_of_year)))
    season = season_of(days_of_year)
    for order in range(1, HARMONICS + 1):
        add(SEASON, f"season_sin_{order}", np.sin(order * season))
        add(SEASON, f"season_cos_{order}", np.cos(order * season))
    for number, name in ((0, "monday"), (4, "friday"), (5, "saturday"), (6, "sunday")):
        add(WEEKDAY, name, (weekday == number).astype(float))
    weekend = (weekday >= 5).astype(float)
    add(WEEKDAY, "weekend_sin", weekend * np.sin(season))
    add(WEEKDAY, "weekend_cos", weekend * np.cos(season))
    for name, values in special.items():
        add(SPECIAL_DAY, name, values)


def weather_columns(
    add: Callable[[str, str, Floats], None],
    path: WeatherPath,
    weekend: Floats,
    season: Floats,
    region: Region,
    clear: Floats,
) -> None:
    """Hand each column of the response to weather to `add` by its group and name.

    Args:
        add: takes group, name and values.
        path: with its estimates; its values may have a third axis, of several paths side by side. `weekend`,
            `season` and `clear` then have a second one.
        weekend: 1.0 in the hours of a weekend.
        season: `season_of` each hour.
        region: its sites give the weight of the main one.
        clear: clear-sky irradiance, kW/m².
    """
    main, rest = path.column(MAIN), path.column(REST)
    share = region.sites[0].weight / sum(site.weight for site in region.sites)
    temperature = share * main + (1.0 - share) * rest
    fast = smoothed(temperature, FAST_HOURS)
    day = smoothed(temperature, DAY_HOURS)
    _hinges(add, FAST, "fast", fast, FAST_KNOTS)
    _hinges(add, MIDDLE, "middle", smoothed(temperature, MIDDLE_HOURS), MIDDLE_KNOTS)
    _hinges(add, SLOW, "slow", smoothed(temperature, SLOW_HOURS), SLOW_KNOTS)
    for name, values in ((MAIN, main), (REST, rest)):
        _hinges(add, PLACES, name, smoothed(values, FAST_HOURS), PLACE_KNOTS[name])
    for hours, (cooling_from, heating_from) in LAG_HOURS.items():
        before = _lagged(fast, hours)
        add(PLACES, f"cooling_{hours}h_before", np.maximum(before - cooling_from, 0.0))
        if heating_from is not None:
            add(PLACES, f"heating_{hours}h_before", np.maximum(heating_from - before, 0.0))
    add(PLACES, "cooling_days_before", np.maximum(_lagged(day, SLOW_LAG_HOURS) - COOLING_FROM, 0.0))
    cooling, heating = np.maximum(fast - COOLING_FROM, 0.0) / 10, np.maximum(HEATING_FROM - fast, 0.0) / 10
    add(PLACES, "heating_for_days", heating * np.maximum(HEATING_FROM - day, 0.0))
    add(BY_DAY, "cooling_weekend", cooling * weekend)
    add(BY_DAY, "heating_weekend", heating * weekend)
    hot, cold = np.clip((fast - 15.0) / 10, 0.0, 1.5), np.clip((14.0 - fast) / 10, 0.0, 2.5)
    _moisture(add, temperature, path.column(HUMIDITY), hot, clear)
    _wind(add, path.column(WIND), hot, cold, heating)
    _solar(add, path, clear, hot, season)


def _hinges(
    add: Callable[[str, str, Floats], None], group: str, name: str, values: Floats, knots: tuple[int, ...]
) -> None:
    """A piecewise linear function with a bend at each knot."""
    add(group, name, values)
    for knot in knots:
        add(group, f"{name}_over_{knot}", np.maximum(values - knot, 0.0))


def _moisture(
    add: Callable[[str, str, Floats], None], temperature: Floats, humidity: Floats, hot: Floats, clear: Floats
) -> None:
    point = dew_point(temperature, humidity)
    recent = smoothed(point, 3.0)
    add(MOISTURE, "dew_point_over_10", np.maximum(recent - 10.0, 0.0))
    add(MOISTURE, "dew_point_over_10_hot", np.maximum(recent - 10.0, 0.0) * hot)
    add(MOISTURE, "dew_point_over_18_hot", np.maximum(recent - 18.0, 0.0) * hot)
    add(MOISTURE, "dew_point_day_hot", np.maximum(smoothed(point, DAY_HOURS) - 12.0, 0.0) * hot)
    humid = (humidity - 70.0) / 10
    add(MOISTURE, "humidity", humid)
    # Humid air by day means cloud and haze that cloud cover does not show.
    add(MOISTURE, "humidity_sun", humid * clear)
    add(MOISTURE, "humidity_squared_sun", humid**2 * clear)


def _wind(
    add: Callable[[str, str, Floats], None], wind: Floats, hot: Floats, cold: Floats, heating: Floats
) -> None:
    steady = smoothed(wind, 6.0)
    add(AIR, "wind", wind)
    add(AIR, "wind_cold", wind * cold)
    add(AIR, "wind_hot", wind * hot)
    add(AIR, "wind_steady", steady)
    add(AIR, "wind_steady_heating", steady * heating)
    add(AIR, "wind_squared", wind**2 / 100)


def _solar(
    add: Callable[[str, str, Floats], None], path: WeatherPath, clear: Floats, hot: Floats, season: Floats
) -> None:
    covered = np.clip(path.column(CLOUD) / 100.0, 0.0, 1.0)
    add(CLOUDS, "cloud", covered)
    add(CLOUDS, "cloud_squared", covered**2)
    add(CLOUDS, "cloud_smoothed", smoothed(covered, 1.5))
    add(CLOUDS, "cloud_half_day", smoothed(covered, 8.0))
    through = under_clouds(clear, covered)
    add(CLOUDS, "sun_through_cloud", through)
    add(CLOUDS, "sun_through_cloud_smoothed", smoothed(through, 1.0))
    add(SUN, "clear_sky", clear)
    for name in (MAIN_RADIATION, REST_RADIATION):
        radiation = path.column(name) / WATTS_PER_KILOWATT
        add(SUN, name, radiation)
        add(SUN, f"{name}_smoothed", smoothed(radiation, 1.0))
        add(SUN, f"{name}_hot", radiation * hot)
    # Panels are tilted to the south, and windows take in a low sun.
    add(SUN, f"{REST_RADIATION}_season_sin", radiation * np.sin(season))
    add(SUN, f"{REST_RADIATION}_season_cos", radiation * np.cos(season))


def _lagged(values: Floats, hours: int) -> Floats:
    lagged = np.full(values.shape, np.nan)
    lagged[hours:] = values[: max(0, len(values) - hours)]
    return lagged
