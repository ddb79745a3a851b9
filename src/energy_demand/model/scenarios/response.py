"""Demand under a scenario, and what each changed quantity is worth. Pure.

The adaptive regression responds; what the error stage and the trees add to it stays as in the forecast: trees
do not extrapolate. Where it is warm, the response to temperature is its running maximum over smaller changes,
so that a warmer hour never has less demand.

The difference is shared out by Shapley's value (1953): each quantity has the mean of what it adds over all
orders in which the quantities can be changed, so the parts depend on no order and add up.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import combinations
from math import factorial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from energy_demand.data.irradiance import clear_sky
from energy_demand.data.weather_path import RADIATION, WeatherPath
from energy_demand.model.scenarios.changes import (
    DAY,
    HOLIDAY,
    SATURDAY,
    SUNDAY,
    TEMPERATURE,
    WORKDAY,
    Scenario,
)
from energy_demand.model.scenarios.weather import ChangedWeather, own_weather
from energy_demand.model.stages.adaptive_regression import PERCENT
from energy_demand.model.stages.estimated_weather import with_estimates
from energy_demand.model.stages.response_features import (
    BY_DAY,
    WATTS_PER_KILOWATT,
    calendar_columns,
    season_of,
    weather_columns,
)
from energy_demand.model.stages.rooftop_solar import rooftop_generation
from energy_demand.model.stages.special_days import public_holidays, special_day_columns
from energy_demand.region import centre
from energy_demand.timeaxis import HOUR, hourly

if TYPE_CHECKING:
    from collections.abc import Sequence

    from energy_demand.arrays import Floats, Integers
    from energy_demand.data.record import Record
    from energy_demand.model.forecaster import Forecaster, StageForecasts
    from energy_demand.region import Region

# °C, of the region's temperature: from here on warmer hours never have less demand.
WARM_FROM = 20.0
AT_ONCE = 24  # paths side by side: with fewer pandas costs most, with more they leave the cache
MIDWEEK = 2  # a weekday without a column of its own: Tuesday to Thursday are alike


class Response(NamedTuple):
    """What a scenario does to some hours.

    Attributes:
        effect: of the whole scenario on log gross load, percent.
        rooftop_mwh: what panels behind the meter generate under it.
        parts: of each quantity, MWh; they add up to the difference of the point forecasts.
    """

    effect: Floats
    rooftop_mwh: Floats
    parts: dict[str, Floats]


class Calendar(NamedTuple):
    """Columns of the calendar by name, and 1.0 in the hours of a weekend."""

    columns: dict[str, Floats]
    weekend: Floats


def respond(
    forecaster: Forecaster,
    record: Record,
    past: WeatherPath,
    ahead: WeatherPath,
    stages: StageForecasts,
    gross_mwh: Floats,
    scenario: Scenario,
) -> Response:
    """The response of demand to a scenario.

    Args:
        forecaster: its state brought up to the issue.
        record: that the forecast was made from.
        past: observed weather up to the hour of issue, its gaps filled.
        ahead: the forecast's weather of all hours after it; those beyond the target hours do not matter.
        stages: of the forecast; its hours are those that the scenario changes.
        gross_mwh: the forecast's gross load in these hours.
        scenario: what changes.

    Raises:
        ScenarioError: weather of one's own is of other hours or sites.
    """
    quantities, region = scenario.quantities, record.region
    path, changed = changed_weather(forecaster, record, past, ahead, stages, scenario)
    periods = stages.horizon.responses.periods
    hours = len(periods)
    others = [name for name in quantities if name not in (TEMPERATURE, DAY)]
    chosen = [set(each) for size in range(len(others) + 1) for each in combinations(others, size)]
    steps = changed.warming() if TEMPERATURE in quantities else [np.zeros((hours, 2))]
    weather = np.stack(
        [changed.of({*subset, TEMPERATURE}, step) for subset in chosen for step in steps], axis=-1
    )
    calendars = _calendars(periods, region, scenario)
    load = np.concatenate(
        [
            _regression(forecaster, path, weather[..., at : at + AT_ONCE], calendars, region)
            for at in range(0, weather.shape[-1], AT_ONCE)
        ],
        axis=-1,
    ).reshape(len(calendars), hours, len(chosen), len(steps))
    load = load - load[:1, :, :1, :1]
    rooftop = rooftop_generation(WeatherPath(periods, weather[..., :: len(steps)]), region)
    demand, effects = {}, {}
    for of_day, day in zip(load, ((), (DAY,)), strict=False):
        warmest = _warmest(of_day, np.stack(steps, axis=-1), changed)
        for at, subset in enumerate(chosen):
            for names, effect in (((), of_day[:, at, 0]), ((TEMPERATURE,), warmest[:, at])):
                case = frozenset({*subset, *day, *names})
                effects[case] = effect
                demand[case] = gross_mwh * np.exp(effect / PERCENT) - rooftop[:, at]
    last = rooftop[:, -1]  # the last set is that of all
    whole = frozenset(quantities)
    return Response(effects[whole], last, shapley(demand, quantities))


def changed_weather(
    forecaster: Forecaster,
    record: Record,
    past: WeatherPath,
    ahead: WeatherPath,
    stages: StageForecasts,
    scenario: Scenario,
) -> tuple[WeatherPath, ChangedWeather]:
    """The forecast's weather up to the last target hour, and what the scenario does to the target hours.

    Arguments and errors are those of `respond`.
    """
    periods, region = stages.horizon.responses.periods, record.region
    path = past.then(ahead)
    first = path.position(periods[0])
    stop = first + len(periods)
    path = WeatherPath(path.periods[:stop], path.values[:stop])
    path = with_estimates(path, region, _clear_sky(path.periods[0], stop, *centre(region.sites)))
    base, places = path.values[first:], forecaster.outlook.radiation.places
    return path, ChangedWeather(
        base,
        own_weather(scenario, base, periods, record.forecasts, region, stages.issued_at),
        {name: _clear_sky(periods[0], len(periods), *places[name]) for name in RADIATION},
        region.sites[0].weight / sum(site.weight for site in region.sites),
        scenario,
    )


@lru_cache(maxsize=64)
def _clear_sky(first: pd.Timestamp, hours: int, latitude: float, longitude: float) -> Floats:
    """`clear_sky` of so many hours, computed once for the scenarios of a forecast."""
    clear = clear_sky(hourly(first, first + (hours - 1) * HOUR), latitude, longitude)
    clear.setflags(write=False)
    return clear


def shapley(worth: dict[frozenset[str], Floats], players: Sequence[str]) -> dict[str, Floats]:
    """What each of the players is worth (Shapley 1953), from the worth of every set of them.

    >>> worth = {frozenset(each): np.array([float(len(each) ** 2)]) for each in ("", "a", "b", "ab")}
    >>> {name: part.tolist() for name, part in shapley(worth, "ab").items()}
    {'a': [2.0], 'b': [2.0]}
    """
    size = len(players)
    parts = {}
    for player in players:
        others = [each for each in players if each != player]
        part = np.zeros_like(worth[frozenset()])
        for count in range(size):
            weight = factorial(count) * factorial(size - 1 - count) / factorial(size)
            for each in combinations(others, count):
                part += weight * (worth[frozenset({*each, player})] - worth[frozenset(each)])
        parts[player] = part
    return parts


def _warmest(load: Floats, steps: Floats, changed: ChangedWeather) -> Floats:
    """The response to the last step of temperature: hours × sets of the other quantities, percent.

    Step by step, an hour that is warm at the warmer end of a step has at least as much demand after it, if it
    and the hours before it grow warmer; and at most as much, if they grow colder.

    Args:
        load: hours × sets × steps, percent.
        steps: differences of temperature, hours × main and rest × steps.
        changed: the scenario's weather.
    """
    reached = load[..., 0]
    share = np.array([changed.main_share, 1.0 - changed.main_share])
    change = np.einsum("hst,s->ht", steps, share)
    for at in range(1, load.shape[-1]):
        moved = steps[..., at] - steps[..., at - 1]
        warmer = np.logical_and.accumulate((moved >= 0.0).all(axis=1))[:, None]
        colder = np.logical_and.accumulate((moved <= 0.0).all(axis=1))[:, None]
        warmest = changed.temperature + np.maximum(change[:, at - 1], change[:, at])
        warm = (warmest >= WARM_FROM)[:, None]
        following = load[..., at]
        following = np.where(warmer & warm, np.maximum(reached, following), following)
        following = np.where(colder & warm, np.minimum(reached, following), following)
        if at == load.shape[-1] - 1 and changed.last_share < 1.0:
            following = reached + changed.last_share * (following - reached)
        reached = following
    return np.asarray(reached)


def _calendars(periods: pd.DatetimeIndex, region: Region, scenario: Scenario) -> list[Calendar]:
    """The calendar as it is, and as the scenario has it where it has another kind of day."""
    local = (periods - pd.Timedelta(HOUR)).tz_convert(region.zone)
    special = special_day_columns(local.tz_localize(None).normalize(), region.country)
    kinds = [(local.dayofweek.to_numpy(), special)]
    if scenario.day is not None:
        kinds.append((_weekday(local, scenario), _special(special, scenario, region)))
    calendars = []
    for weekday, days in kinds:
        columns: dict[str, Floats] = {}
        calendar_columns(
            lambda _group, name, values, columns=columns: columns.update({name: values}),  # type: ignore[misc]
            local.dayofyear.to_numpy(dtype=float),
            weekday,
            days,
        )
        calendars.append(Calendar(columns, (weekday >= 5).astype(float)))
    return calendars


def _regression(
    forecaster: Forecaster,
    path: WeatherPath,
    weather: Floats,
    calendars: Sequence[Calendar],
    region: Region,
) -> Floats:
    """Log gross load by the adaptive regression, percent: calendars × hours × cases.

    Args:
        forecaster: of the forecast.
        path: the forecast's weather up to the last target hour.
        weather: of the target hours, hours × `PATH_COLUMNS` × cases.
        calendars: of the target hours.
        region: whose.
    """
    hours, _, cases = weather.shape
    past = path.values[:-hours, :, None]
    stack = WeatherPath(
        path.periods, np.concatenate([np.broadcast_to(past, (*past.shape[:2], cases)), weather])
    )
    local = (path.periods - pd.Timedelta(HOUR)).tz_convert(region.zone)
    columns: dict[str, Floats] = {}
    by_day: list[str] = []

    def add(group: str, name: str, values: Floats) -> None:
        columns[name] = np.broadcast_to(values[-hours:], (hours, cases))
        if group == BY_DAY:
            by_day.append(name)

    weather_columns(
        add,
        stack,
        np.ones((1, 1)),  # as if every day were one of a weekend: each calendar says below which are
        season_of(local.dayofyear.to_numpy(dtype=float))[:, None],
        region,
        _clear_sky(path.periods[0], len(path.periods), *centre(region.sites))[:, None] / WATTS_PER_KILOWATT,
    )
    clock = local[-hours:].hour.to_numpy(dtype=np.int64)
    loads = []
    for calendar in calendars:
        of_day = {
            name: np.broadcast_to(each[:, None], (hours, cases)) for name, each in calendar.columns.items()
        }
        of_day |= columns | {name: columns[name] * calendar.weekend[:, None] for name in by_day}
        rows = np.stack(list(of_day.values()), axis=-1)
        loads.append(forecaster.regression.predict_rows(tuple(of_day), rows, clock))
    return np.stack(loads)


def _weekday(local: pd.DatetimeIndex, scenario: Scenario) -> Integers:
    """The day of the week that each hour counts as."""
    weekday = local.dayofweek.to_numpy()
    if scenario.day is None:
        return weekday
    if scenario.day in (SATURDAY, SUNDAY):
        return np.full(len(weekday), 5 if scenario.day == SATURDAY else 6)
    return np.where(weekday >= 5, MIDWEEK, weekday)


def _special(special: dict[str, Floats], scenario: Scenario, region: Region) -> dict[str, Floats]:
    """The columns of special days that each hour counts as; `holiday` is the mean of all of the region."""
    if scenario.day is None:
        return special
    none = {name: np.zeros_like(values) for name, values in special.items()}
    if scenario.day in (WORKDAY, SATURDAY, SUNDAY):
        return none
    chosen = public_holidays(region.country) if scenario.day == HOLIDAY else (scenario.day,)
    return none | {name: np.full_like(none[name], 1.0 / len(chosen)) for name in chosen}
