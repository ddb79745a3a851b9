"""Losses: input that the forecasts of a backtest lack, to score what is left without it. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from energy_demand.data.issued_weather import IssuedWeather, issued_weather
from energy_demand.data.record import Record, make_record
from energy_demand.data.weather_path import WeatherPath
from energy_demand.timeaxis import utc_index

if TYPE_CHECKING:
    from datetime import datetime

    from energy_demand.arrays import Floats

LOST_WEATHER_HOURS = 72  # of observed weather before the issue, in a loss of all weather
# Weather runs that are late are known a day, and this, after they were issued.
STALE_BY = timedelta(days=1, seconds=1)
# Another weather model: its temperatures are warmer, and have an error of this standard deviation besides,
# drawn for each UTC day and interpolated between days, so that runs of the same day share it.
CHANGED_BY, CHANGED_ERROR, CHANGED_SEED = 1.5, 1.0, 19
_TEMPERATURES = ("temperature_2m", "apparent_temperature")


class Loss(StrEnum):
    """Data that the forecasts of a backtest lack; the fits have it.

    `FIRST_MODEL` leaves the runs of the other listed weather models, if there are any. `PROVIDER_CHANGE` is a
    change instead: the runs issued in the second half of the days are another weather model's, for forecasts
    and fits. `OPERATOR` changes nothing of our forecast, only its combination with the operator's.
    """

    NOTHING = "nothing"
    DEMAND_6H = "demand-6h"
    DEMAND_30H = "demand-30h"
    WEATHER = "weather"
    OTHER_SITES = "other-sites"
    FIRST_MODEL = "first-model"
    NO_RUNS = "no-runs"
    STALE_RUNS = "stale-runs"
    PROVIDER_CHANGE = "provider-change"
    OPERATOR = "operator"

    @property
    def demand_late_hours(self) -> int:
        """Hours by which demand arrives late."""
        return {Loss.DEMAND_6H: 6, Loss.DEMAND_30H: 30}.get(self, 0)

    @property
    def needs_runs(self) -> bool:
        """Whether it is a loss of weather runs, and nothing where weather is observed."""
        return self in {Loss.FIRST_MODEL, Loss.NO_RUNS, Loss.STALE_RUNS, Loss.PROVIDER_CHANGE}

    def of_sites(self, record: Record) -> Record:
        """The record without the lost sites."""
        if self is not Loss.OTHER_SITES:
            return record
        main = record.region.sites[0].name
        partial = make_record(
            record.demand,
            record.weather[record.weather["site"] == main],
            record.forecasts[record.forecasts["site"] == main],
            record.region,
            record.periods[-1],
        )
        return replace(partial, vintages=record.vintages)

    def at_issue(self, record: Record, issued_at: datetime) -> Record:
        """The record without the weather that is lost at an issue; an outlook uses nothing after it."""
        if self is Loss.WEATHER:
            observed = _without_newest(record, issued_at)
            return replace(record, observed=observed, issued=_no_runs(record), other_runs={})
        if self is Loss.FIRST_MODEL:
            return replace(record, issued=_no_runs(record))
        if self is Loss.NO_RUNS:
            return replace(record, issued=_no_runs(record), other_runs={})
        if self is Loss.STALE_RUNS:
            newest = pd.Timestamp(issued_at - STALE_BY)
            others = {model: runs.until(newest) for model, runs in record.other_runs.items()}
            return replace(record, issued=record.issued.until(newest), other_runs=others)
        return record

    def of_rows(self, weather: pd.DataFrame) -> pd.DataFrame:
        """The weather that rows of the base booster are made of, without what is lost."""
        if self in {Loss.WEATHER, Loss.FIRST_MODEL, Loss.NO_RUNS}:
            return weather.iloc[:0]
        if self is Loss.STALE_RUNS:
            return weather.assign(issued_at=weather["issued_at"] + STALE_BY)
        return weather


def without_operator(postings: pd.DataFrame, first_issue: datetime, first: pd.Timestamp) -> pd.DataFrame:
    """The operator's postings until the first issue of a backtest, of hours before its `first` one.

    Args:
        postings: `period`, `issued_at` and others.
        first_issue: of the backtest.
        first: its first hour.
    """
    gone = (postings["issued_at"] > pd.Timestamp(first_issue)) | (postings["period"] >= first)
    return postings[~gone]


def with_provider_change(record: Record, at: datetime) -> Record:
    """The record with another weather model's runs from `at` on; see `CHANGED_BY`."""
    forecasts = record.forecasts
    valid = utc_index(forecasts["timestamp"])
    changed = np.asarray(utc_index(forecasts["issued_at"]) >= pd.Timestamp(at))
    if not changed.any():
        return record
    shift = np.where(changed, CHANGED_BY + _error_of(valid, pd.Timestamp(at)), 0.0)
    there = [name for name in _TEMPERATURES if name in forecasts]
    forecasts = forecasts.assign(**{name: forecasts[name].astype(float) + shift for name in there})
    # The other weather models, where there are any, are other providers.
    return replace(record, forecasts=forecasts, issued=issued_weather(forecasts, record.region))


def _error_of(valid: pd.DatetimeIndex, at: pd.Timestamp) -> Floats:
    """The other model's error of each hour, °C; 0 before `at`."""
    days = np.asarray((valid - at.floor("D")) / pd.Timedelta(days=1), dtype=float)
    drawn = np.random.default_rng(CHANGED_SEED).normal(0.0, CHANGED_ERROR, int(max(days.max(), 0.0)) + 2)
    return np.asarray(np.interp(days, np.arange(len(drawn)), drawn, left=0.0), dtype=np.float64)


def _without_newest(record: Record, issued_at: datetime) -> WeatherPath:
    """The weather observed by an issue without that of the newest hours."""
    observed = record.observed
    last = observed.position(pd.Timestamp(issued_at))
    values = observed.values[: last + 1].copy()
    values[-LOST_WEATHER_HOURS:] = np.nan
    return WeatherPath(observed.periods[: last + 1], values)


def _no_runs(record: Record) -> IssuedWeather:
    return IssuedWeather(record.issued.issued_at[:0], record.issued.values[:0])
