"""Weather forecasts as they were issued, each run an array of hours around its issue. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from energy_demand.data.weather_path import PATH_COLUMNS, weighted_sites
from energy_demand.timeaxis import HOUR, utc_index

if TYPE_CHECKING:
    from energy_demand.arrays import Booleans, Floats, Positions
    from energy_demand.region import Region


HOURS_BEFORE, HOURS_AFTER = 24, 120  # of a run that are kept, counted from the hour of its issue
FRESH_HOURS = 24  # an older run is not what an issue would go by
RUNS_BEFORE = 4  # of a day: so many may stand in for what a newer one does not have
# A forecast averages the newest runs (lagged average forecasting, Hoffman and Kalnay 1983).
LAGGED_RUNS, LAGGED_HOURS = 12, 72
KEPT_WEIGHT, OF_HOURS = 0.85, 6.0  # each run's weight against one that is so many hours younger
# Of several models, the errors of so many days before an issue set the weights.
WEIGHED_DAYS = 45
SPAN = HOURS_BEFORE + 1 + HOURS_AFTER


@dataclass(frozen=True)
class IssuedWeather:
    """Runs in the order of their issue.

    Attributes:
        issued_at: UTC, rising.
        values: runs × `SPAN` hours × `PATH_COLUMNS`; NaN where a run has no value.
    """

    issued_at: pd.DatetimeIndex
    values: Floats

    @cached_property
    def _served(self) -> Booleans:
        """Which columns any run has."""
        if not len(self.values):
            return np.zeros(len(PATH_COLUMNS), dtype=bool)
        return np.asarray(~np.isnan(self.values).all(axis=(0, 1)))

    def until(self, moment: pd.Timestamp) -> IssuedWeather:
        """The runs issued by a time."""
        known = self.issued_at <= moment
        return IssuedWeather(self.issued_at[known], self.values[known])

    def newest(self, moments: pd.DatetimeIndex) -> Positions:
        """For each time the newest run issued by then, −1 where there is none."""
        return np.asarray(self.issued_at.searchsorted(moments, side="right") - 1, dtype=np.int64)

    def fresh(self, moments: pd.DatetimeIndex) -> Booleans:
        """Whether a run issued within the day before each time was known at that time."""
        runs = self.newest(moments)
        known = runs >= 0
        age = np.full(len(moments), np.inf)
        age[known] = (moments[known] - self.issued_at[runs[known]]) / pd.Timedelta(HOUR)
        return age <= FRESH_HOURS

    def around(self, moments: pd.DatetimeIndex, before: int, after: int) -> Floats:
        """The values of the newest run known at each time, for the hours around that time.

        What that run does not have of later hours (it may be half published) is of the run before it.

        Returns:
            moments × (before + 1 + after) hours × `PATH_COLUMNS`; the hour at index `before` is the
            full hour of the time itself.
        """
        newest = self.newest(moments)
        forecast = self._of(newest, moments, before, after)
        ahead = forecast[:, before + 1 :]
        served = self._served
        for back in range(1, RUNS_BEFORE + 1):
            run = newest - back
            rows = np.flatnonzero((run >= 0) & np.isnan(ahead[..., served]).any(axis=(1, 2)))
            if len(rows) == 0:
                break
            age = (moments[rows] - self.issued_at[run[rows]]) / pd.Timedelta(HOUR)
            rows = rows[np.asarray(age, dtype=float) <= FRESH_HOURS]
            older = self._of(run[rows], moments[rows], before, after)[:, before + 1 :]
            ahead[rows] = np.where(np.isnan(ahead[rows]), older, ahead[rows])
        return forecast

    def lagged(self, moments: pd.DatetimeIndex, after: int) -> tuple[Floats, Floats]:
        """The weighted mean of the newest runs known at each time, and their spread, for the hours after it.

        Up to `LAGGED_RUNS` of them, none older than `LAGGED_HOURS` at the time.

        Returns:
            Two arrays of moments × after hours × `PATH_COLUMNS`: the mean, NaN where no run has a value, and
            the standard deviation of the runs, NaN where fewer than two have one.
        """
        newest = self.newest(moments)
        shape = (len(moments), after, len(PATH_COLUMNS))
        weights, total, squares, count = (np.zeros(shape) for _ in range(4))
        for back in range(LAGGED_RUNS):
            run = newest - back
            rows = np.flatnonzero(run >= 0)
            if len(rows) == 0:
                break
            age = np.asarray((moments[rows] - self.issued_at[run[rows]]) / pd.Timedelta(HOUR), dtype=float)
            rows, age = rows[age <= LAGGED_HOURS], age[age <= LAGGED_HOURS]
            values = self._of(run[rows], moments[rows], 0, after)[:, 1:]
            known = ~np.isnan(values)
            weight = np.where(known, (KEPT_WEIGHT ** (age / OF_HOURS))[:, None, None], 0.0)
            values = np.where(known, values, 0.0)
            weights[rows] += weight
            total[rows] += weight * values
            squares[rows] += weight * values**2
            count[rows] += known
        mean, variance = np.full(shape, np.nan), np.full(shape, np.nan)
        np.divide(total, weights, out=mean, where=weights > 0.0)
        np.divide(squares, weights, out=variance, where=count > 1)
        return mean, np.sqrt(np.maximum(variance - mean**2, 0.0))

    def _of(self, runs: Positions, moments: pd.DatetimeIndex, before: int, after: int) -> Floats:
        """The values of a run for each time, as in `around`; NaN where the run is −1."""
        forecast = np.full((len(moments), before + 1 + after, len(PATH_COLUMNS)), np.nan)
        known = np.flatnonzero(runs >= 0)
        if len(known) == 0:
            return forecast
        late = (moments[known].floor("h") - self.issued_at[runs[known]].floor("h")) // pd.Timedelta(HOUR)
        hours = HOURS_BEFORE + late.to_numpy()[:, None] + np.arange(-before, after + 1)[None, :]
        inside = (hours >= 0) & (hours < SPAN)
        values = self.values[runs[known][:, None], np.clip(hours, 0, SPAN - 1)]
        forecast[known] = np.where(inside[:, :, None], values, np.nan)
        return forecast


def issued_weather(forecasts_df: pd.DataFrame, region: Region) -> IssuedWeather:
    """Runs from rows of `issued_at`, `timestamp`, `site` and Open-Meteo's variables."""
    if forecasts_df.empty:
        return IssuedWeather(utc_index(pd.DatetimeIndex([])), np.empty((0, SPAN, len(PATH_COLUMNS))))
    issued, at = utc_index(forecasts_df["issued_at"]), utc_index(forecasts_df["timestamp"])
    codes, runs = pd.factorize(issued, sort=True)
    hours = np.asarray((at - issued.floor("h")) // pd.Timedelta(HOUR), dtype=np.int64) + HOURS_BEFORE
    inside = (hours >= 0) & (hours < SPAN)
    site = forecasts_df["site"].to_numpy()

    def grid(name: str, variable: str) -> Floats:
        values = np.full((len(runs), SPAN), np.nan)
        if variable in forecasts_df:
            mine = inside & (site == name)
            values[codes[mine], hours[mine]] = forecasts_df[variable].to_numpy(dtype=float)[mine]
        return values

    columns = weighted_sites(grid, region)
    return IssuedWeather(
        utc_index(pd.DatetimeIndex(runs)), np.stack([columns[name] for name in PATH_COLUMNS], axis=-1)
    )
