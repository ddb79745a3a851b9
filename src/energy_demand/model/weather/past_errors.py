"""What the errors of several weather models say at an issue: weights, corrections, changes. Pure.

Each model is weighted by the inverse of its discounted mean squared error (Bates and Granger 1969), by column
and lead, drawn to equal weights while few errors are known. Only errors known at the issue are used: of hours
up to it, by runs issued before those hours.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from energy_demand.data.issued_weather import WEIGHED_DAYS
from energy_demand.data.weather_path import CLOUD, COLUMN, MAIN, PATH_COLUMNS, RADIATION
from energy_demand.model.weather.changes import Change, change_in
from energy_demand.model.weather.issues import LEADS
from energy_demand.timeaxis import HOUR, day_ahead_issue, local_day, utc_index

if TYPE_CHECKING:
    from collections.abc import Mapping
    from zoneinfo import ZoneInfo

    from energy_demand.arrays import Booleans, Floats, Positions
    from energy_demand.data.issued_weather import IssuedWeather
    from energy_demand.data.weather_path import WeatherPath

FIRST = ""  # the first model of a record has no name there
# Errors of neighbouring hours are alike: every third lead is enough.
PAST_LEADS = np.arange(2, int(LEADS[-1]) + 1, 3)
BLOCK_HOURS = 12  # of leads that share a weight
CLOCK_HOURS = 6  # of the day (UTC) that share a mean error
HALF_LIFE_DAYS = 12.0
EQUAL_DAYS = 5.0  # that errors as large as the mean of the models count for
ZERO_DAYS = 2.0  # that a mean error of zero counts for
FEWEST_DAYS = 14.0  # with fewer days of known errors a model sleeps beside one that has more
FORGOTTEN = 0.05  # weight of errors from before a change
# The newest run at each of these hours from the hour of a past issue tells whether a model has changed.
SHORT_ISSUES, SHORT_LEADS = (0, 6, 12, 18), 6


class Learnt(NamedTuple):
    """What an issue knows of a model.

    Attributes:
        weights: leads × columns, relative to those of the other models; 0: it sleeps.
        bias: leads × columns, to be added to what its own corrections leave.
        uncorrected_bias: the same for what no booster corrects.
        change: the change of its errors in the last `WEIGHED_DAYS`, or None.
    """

    weights: Floats
    bias: Floats
    uncorrected_bias: Floats
    change: pd.Timestamp | None


@dataclass(frozen=True)
class ModelErrors:
    """The errors of one model at past issues.

    Attributes:
        errors: issues × `PAST_LEADS` × `PATH_COLUMNS`, observed minus expected; NaN where unknown.
        daily: by issue, mean error of the newest runs in the day from the issue on (forecast minus observed
            temperature of the main site, °C); NaN where unknown.
    """

    errors: Floats
    daily: Floats


@dataclass(frozen=True)
class PastErrors:
    """The errors of several models at the same past issues.

    Attributes:
        hours: full hours of the issues, rising.
        models: by name; the first of the record by `FIRST`.
    """

    hours: pd.DatetimeIndex
    models: Mapping[str, ModelErrors]

    def at(self, issued_at: pd.Timestamp) -> dict[str, Learnt]:
        """What is known at an issue, by model."""
        hour = issued_at.floor("h")
        age = np.asarray((hour - self.hours) / pd.Timedelta(HOUR), dtype=float)
        chosen = (age > 0) & (age <= WEIGHED_DAYS * 24 + 1)
        hours, age = self.hours[chosen], age[chosen]
        # An error is known once its hour has come.
        known = PAST_LEADS[None, :] <= age[:, None]
        target = (hours.hour.to_numpy()[:, None] + PAST_LEADS[None, :]) % 24 // CLOCK_HOURS
        changes = {name: self._change(each, chosen, age) for name, each in self.models.items()}
        found = {}
        for name, each in self.models.items():
            change = changes[name]
            weight = 0.5 ** (age / 24.0 / HALF_LIFE_DAYS)
            if change is not None:
                weight = np.where(np.arange(len(hours)) < change.day, FORGOTTEN * weight, weight)
            errors = np.where(known[:, :, None], each.errors[chosen], np.nan)
            found[name] = _Discounted(errors, weight, target)
        own = {name: each.mean_square() for name, each in found.items()}
        days = {name: each.days() for name, each in found.items()}
        squares = np.stack([square for square, _ in own.values()])
        there = ~np.isnan(squares)
        count = there.sum(axis=0)
        equal = np.where(there, squares, 0.0).sum(axis=0) / np.maximum(count, 1)
        most = max(days.values(), default=0.0)
        result = {}
        for name, (square, number) in own.items():
            shrunk = (number * np.nan_to_num(square) + EQUAL_DAYS * equal) / (number + EQUAL_DAYS)
            weights = np.where(shrunk > 0.0, 1.0 / np.maximum(shrunk, 1e-9), 1.0)
            if days[name] < min(FEWEST_DAYS, most):
                weights = np.zeros_like(weights)
            weights[:, [COLUMN[column] for column in RADIATION]] = weights[:, [COLUMN[CLOUD]]]
            bias = found[name].mean_error(LEADS, hour)
            change = changes[name]
            result[name] = Learnt(
                weights[(LEADS - 1) // BLOCK_HOURS],
                bias if change is not None and change.kind == "level" else np.zeros_like(bias),
                bias,
                None if change is None else hours[change.day],
            )
        return result

    def _change(self, model: ModelErrors, chosen: Booleans, age: Floats) -> Change | None:
        return change_in(np.where(age >= 24.0, model.daily[chosen], np.nan))


class _Discounted:
    """Discounted means of the errors of a model."""

    def __init__(self, errors: Floats, weight: Floats, clock: Positions) -> None:
        self._errors, self._clock = errors, clock
        self._there = ~np.isnan(errors)
        self._weight = np.where(self._there, weight[:, None, None], 0.0)
        self._values = np.where(self._there, errors, 0.0)
        self._by_clock = np.stack([self._mean(clock == number) for number in range(24 // CLOCK_HOURS)])

    def _mean(self, rows: Booleans) -> Floats:
        """By column: the mean error of some hours, drawn to zero."""
        weight = np.where(rows[:, :, None], self._weight, 0.0)
        per_day = max(float(rows.sum()) / max(len(rows), 1), 1.0)
        total: Floats = (weight * self._values).sum(axis=(0, 1))
        return np.asarray(total / (weight.sum(axis=(0, 1)) + ZERO_DAYS * per_day))

    def mean_error(self, leads: Positions, hour: pd.Timestamp) -> Floats:
        """Leads × columns, by the clock hour of the target."""
        return np.asarray(self._by_clock[(hour.hour + leads) % 24 // CLOCK_HOURS])

    def mean_square(self) -> tuple[Floats, Floats]:
        """Blocks of leads × columns: the mean square of what the mean error leaves, and of how many days."""
        left = np.where(self._there, self._values - self._by_clock[self._clock], 0.0)
        squares, days = [], []
        for block in range(int(LEADS[-1]) // BLOCK_HOURS):
            rows = np.equal((PAST_LEADS - 1) // BLOCK_HOURS, block)
            weight = self._weight[:, rows]
            total = weight.sum(axis=(0, 1))
            square = np.full(total.shape, np.nan)
            np.divide((weight * left[:, rows] ** 2).sum(axis=(0, 1)), total, out=square, where=total > 0.0)
            squares.append(square)
            days.append(total / max(int(rows.sum()), 1))
        return np.stack(squares), np.stack(days)

    def days(self) -> float:
        """On how many days an error of the main site's temperature is known."""
        return float(self._there[:, :, COLUMN[MAIN]].any(axis=1).sum())


def past_hours(first: pd.Timestamp, last: pd.Timestamp, zone: ZoneInfo) -> pd.DatetimeIndex:
    """The full hours of the day-ahead issues after `first` and before `last`."""
    day, issues = local_day(first.to_pydatetime(), zone), []
    while (issue := day_ahead_issue(day, zone)) < last:
        if issue > first:
            issues.append(issue)
        day += timedelta(days=1)
    return utc_index(pd.DatetimeIndex(issues)).floor("h")


def daily_errors(hours: pd.DatetimeIndex, observed: WeatherPath, runs: IssuedWeather) -> Floats:
    """`ModelErrors.daily` of a model's runs at some issues."""
    moments = pd.DatetimeIndex(
        np.concatenate([hours + pd.Timedelta(late * HOUR) for late in SHORT_ISSUES]) if len(hours) else hours
    )
    if len(moments) == 0 or len(runs.issued_at) == 0:
        return np.full(len(hours), np.nan)
    moments = utc_index(moments)
    forecast = runs.around(moments, 0, SHORT_LEADS)[:, 1:, COLUMN[MAIN]]
    forecast[~runs.fresh(moments)] = np.nan
    at = np.asarray((moments - observed.periods[0]) // pd.Timedelta(HOUR), dtype=np.int64)
    at = at[:, None] + np.arange(1, SHORT_LEADS + 1)[None, :]
    inside = (at >= 0) & (at < len(observed.periods))
    main = observed.column(MAIN)[np.clip(at, 0, len(observed.periods) - 1)]
    error = forecast - np.where(inside, main, np.nan)
    by_day = error.reshape(len(SHORT_ISSUES), len(hours), SHORT_LEADS)
    known = ~np.isnan(by_day)
    count = known.sum(axis=(0, 2))
    mean = np.full(len(hours), np.nan)
    np.divide(np.where(known, by_day, 0.0).sum(axis=(0, 2)), count, out=mean, where=count >= SHORT_LEADS)
    return mean


def nothing_known(count: int) -> Floats:
    """`ModelErrors.errors` where nothing is known."""
    return np.full((count, len(PAST_LEADS), len(PATH_COLUMNS)), np.nan)
