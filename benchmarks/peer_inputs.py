"""The inputs of the peers: the same hours, columns and issue times for every one of them. Pure.

Two tables. `history` has every hour with its demand, its calendar and its observed weather; `horizon` has,
for each issue, the hours from the newest known hour of demand to the end of the forecast day, with calendar
and weather, and never a demand. A peer sees of `history` what was known at the issue (`peer_protocol.issues`
cuts it), so the only place where something later could enter is `horizon`, and it holds no demand.

With observed weather the horizon has the weather that was observed (a perfect weather forecast, as in a
backtest of the product). As issued it has the mean of the newest weather runs known at the issue, as in the
product; a column without a run is estimated from what was known at the issue.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from energy_demand.data.feature_engineering import calendar_features
from energy_demand.data.irradiance import clear_sky, under_clouds
from energy_demand.data.weather_path import (
    CLOUD,
    COLUMN,
    HUMIDITY,
    MAIN,
    MAIN_CLOUD,
    PATH_COLUMNS,
    REST,
    REST_RADIATION,
    WIND,
    WeatherPath,
)
from energy_demand.evaluation.schedule import Fit, Protocol, schedule
from energy_demand.model.stages.response_features import dew_point, smoothed
from energy_demand.model.stages.special_days import special_day_columns
from energy_demand.timeaxis import HOUR, hourly, local_days

if TYPE_CHECKING:
    from datetime import date

    from energy_demand.arrays import Floats
    from energy_demand.data.record import Record
    from energy_demand.model.train import Weather
    from energy_demand.region import Region

DEMAND = "demand_mwh"
MEMORY_HOURS = 24 * 45  # of weather before the first hour of a horizon, for the smoothed columns
YEAR_HOURS = 365.25 * 24
HALF_LIVES = (3, 24, 72)  # hours
COMFORT = (14.0, 19.0)  # °C: below, heating; above, cooling


@dataclass(frozen=True)
class Inputs:
    """What every peer gets.

    Attributes:
        history: by `period` (UTC, hour ending, every hour): `demand_mwh` and `columns`.
        horizon: `issued_at`, `period`, `target` (an hour of the forecast day) and `columns`.
        columns: names of the inputs beside demand.
        issues: `issued_at`, `newest_known` (the newest hour with demand), `refit`.
    """

    history: pd.DataFrame
    horizon: pd.DataFrame
    columns: tuple[str, ...]
    issues: pd.DataFrame


def peer_inputs(
    record: Record, first: date, last: date, *, weather: Weather, refit_days: int, since: date
) -> Inputs:
    """The inputs of the day-ahead forecasts of the local days `first` to `last`.

    Args:
        record: of `load_record`.
        first: the first forecast day.
        last: the last forecast day.
        weather: of the horizons: `observed` or `as_issued`.
        refit_days: a refit is due when so many days have passed.
        since: history begins on this day.
    """
    protocol = Protocol.DAY_AHEAD
    zone, region = record.region.zone, record.region
    issues, forecasts = [], []
    for event in schedule(protocol, first, last, zone):
        if isinstance(event, Fit):
            continue
        newest = pd.Timestamp(protocol.availability.newest_known(event.issued_at))
        issued_at = pd.Timestamp(event.issued_at)
        path = _path(record, issued_at, event.periods[-1], weather)
        hours = columns_of(path, region)
        hours = hours[hours.index > newest]
        hours.insert(0, "target", hours.index.isin(event.periods))
        hours.insert(0, "issued_at", issued_at)
        forecasts.append(hours.reset_index())
        issues.append({"issued_at": issued_at, "newest_known": newest})
    start = pd.Timestamp(since, tz=zone).tz_convert("UTC")
    until = record.position(issues[-1]["newest_known"]) + 1
    observed = WeatherPath(record.periods[:until], record.observed.values[:until])
    history = columns_of(_gapless(observed, region), region)
    history.insert(0, DEMAND, _filled(record.demand_mwh[:until]))
    history = history[history.index > start]
    columns = tuple(name for name in history if name != DEMAND)
    whole = Inputs(history, pd.concat(forecasts, ignore_index=True), columns, pd.DataFrame(issues))
    return refits(whole, refit_days)


def refits(inputs: Inputs, days: int) -> Inputs:
    """The same inputs with a refit due whenever so many days have passed since the last."""
    due, last = [], None
    for issued_at in inputs.issues["issued_at"]:
        due.append(last is None or issued_at - last >= pd.Timedelta(days=days))
        last = issued_at if due[-1] else last
    return replace(inputs, issues=inputs.issues.assign(refit=due))


def columns_of(path: WeatherPath, region: Region) -> pd.DataFrame:
    """Calendar and weather columns of the hours of a path without gaps, by `period`.

    Every value of an hour comes from that hour and the hours before it.
    """
    periods, main = path.periods, region.sites[0]
    calendar = calendar_features(periods, region.zone, region.country)
    columns: dict[str, Floats] = {name: np.asarray(values, float) for name, values in calendar.items()}
    days = local_days(periods, region.zone)
    columns |= special_day_columns(days, region.country)
    turn = 2 * np.pi * (days.dayofyear.to_numpy() + columns["hour_of_day"] / 24) / 365.25
    for order in (1, 2):
        columns[f"year_sin_{order}"], columns[f"year_cos_{order}"] = (
            np.sin(order * turn),
            np.cos(order * turn),
        )
    hours = periods.as_unit("s").asi8 / 3600
    columns["years"] = (hours - hours[0].item() + _age(periods[0])) / YEAR_HOURS
    columns |= {name: path.column(name) for name in (MAIN, REST, HUMIDITY, CLOUD, WIND, MAIN_CLOUD)}
    weight = main.weight
    state = weight * path.column(MAIN) + (1 - weight) * path.column(REST)
    columns["temperature"] = state
    columns["dew_point"] = dew_point(state, path.column(HUMIDITY))
    columns["heating"], columns["cooling"] = (
        np.clip(COMFORT[0] - state, 0, None),
        np.clip(state - COMFORT[1], 0, None),
    )
    for half_life in HALF_LIVES:
        columns[f"temperature_{half_life}h"] = smoothed(state, half_life)
        columns[f"cooling_{half_life}h"] = smoothed(columns["cooling"], half_life)
    columns["cooling_dew_point"] = columns["cooling"] * np.clip(columns["dew_point"] - 10, 0, None)
    columns["heating_wind"] = columns["heating"] * path.column(WIND)
    # Rooftop solar takes more off demand every year, so the sun comes with the clouds and the year.
    sun = clear_sky(periods, main.latitude, main.longitude)
    columns["clear_sky"] = sun
    columns["sun_under_clouds"] = under_clouds(sun, path.column(CLOUD) / 100)
    columns["radiation"] = path.column(REST_RADIATION)
    columns["radiation_years"] = columns["radiation"] * columns["years"]
    return pd.DataFrame(columns, index=pd.DatetimeIndex(periods, name="period"))


def _age(period: pd.Timestamp) -> float:
    """Hours since 2016 began."""
    return (period - pd.Timestamp("2016-01-01", tz="UTC")) / pd.Timedelta(HOUR)


def _path(record: Record, issued_at: pd.Timestamp, last: pd.Timestamp, weather: Weather) -> WeatherPath:
    """Weather up to the last hour of a forecast: observed until the issue, then what `weather` names."""
    if weather == "observed":
        return _gapless(record.observed.until(last, MEMORY_HOURS + 48), record.region)
    hour = issued_at.floor("h")
    past = record.observed.until(hour, MEMORY_HOURS)
    size = int((last - hour) / pd.Timedelta(HOUR))
    mean, _ = record.issued.lagged(pd.DatetimeIndex([issued_at]), size)
    values = mean[0].copy()
    rest = values[:, COLUMN[REST]]
    # Upstate has no run on record: its difference from the city on the last day, hour by hour, goes on.
    gap = past.column(REST)[-24:] - past.column(MAIN)[-24:]
    known = values[:, COLUMN[MAIN]] + np.resize(gap, size)
    values[:, COLUMN[REST]] = np.where(np.isnan(rest), known, rest)
    return _gapless(past.then(WeatherPath(hourly(hour + HOUR, last), values)), record.region)


def _gapless(path: WeatherPath, region: Region) -> WeatherPath:
    """The path with unknown radiation estimated from clouds, and other gaps filled from the hours before."""
    values = path.values.copy()
    filled = np.asarray(pd.DataFrame(values).ffill().fillna(0.0), dtype=float)
    main = region.sites[0]
    sun = under_clouds(
        clear_sky(path.periods, main.latitude, main.longitude),
        np.clip(filled[:, COLUMN[CLOUD]], 0, 100) / 100,
    )
    radiation = [position for name, position in COLUMN.items() if name.endswith("radiation")]
    for position in range(len(PATH_COLUMNS)):
        instead = sun if position in radiation else filled[:, position]
        values[:, position] = np.where(np.isnan(values[:, position]), instead, values[:, position])
    return replace(path, values=values)


def _filled(demand: Floats) -> Floats:
    """Demand without gaps: an unknown hour takes the value of the same hour of the day before."""
    filled = demand.copy()
    for position in np.flatnonzero(np.isnan(filled)):
        filled[position] = filled[position - 24] if position >= 24 else np.nan
    return filled
