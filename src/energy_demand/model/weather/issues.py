"""Features of the outlook at many issue times at once: observed weather and the newest weather run. Pure.

Observed weather after an issue must never get in.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from energy_demand.arrays import mean_of_known
from energy_demand.data.weather_path import (
    CLOUD,
    COLUMN,
    HUMIDITY,
    MAIN,
    PATH_COLUMNS,
    RADIATION,
    REST,
    WIND,
)
from energy_demand.model.weather.climate import Climate, climate_basis, clock, naive
from energy_demand.timeaxis import HOUR, MAX_LEAD_HOURS

if TYPE_CHECKING:
    from energy_demand.arrays import Floats, Positions
    from energy_demand.data.issued_weather import IssuedWeather
    from energy_demand.data.weather_path import WeatherPath

OBSERVED_HOURS = 48  # of observed weather before the issue
RUN_HOURS_BEFORE, RUN_HOURS_AFTER = 8, 72  # hours of a weather run around the issue
PATH_OFFSETS = (
    -24,
    -12,
    -6,
    -3,
    0,
    3,
    6,
    12,
    24,
)  # hours from the target, at which the main site is a feature
CORRECTED = (MAIN, REST, HUMIDITY, CLOUD, WIND, *RADIATION)
LAGGED = (MAIN, HUMIDITY, CLOUD)  # of which the newest run and the spread of the runs are features
CORRECTION = "correction"
LEADS = np.arange(1, MAX_LEAD_HOURS + 1)


@dataclass(frozen=True)
class Issues:
    """Many issues at once, as arrays.

    Attributes:
        hours: full hour of each issue.
        observed: issues × (`OBSERVED_HOURS` + 1) × columns; the last hour is the issue's own.
        forecast: issues × hours −`RUN_HOURS_BEFORE` … `RUN_HOURS_AFTER` × columns: of the newest run up to
            the issue's hour, of the mean of the newest runs after it.
        newest: issues × hours 1 … `RUN_HOURS_AFTER` × columns, of the newest run.
        spread: the same, standard deviation of the newest runs.
        zone: of local clock hours and days.
        leads: in hours.
    """

    hours: pd.DatetimeIndex
    observed: Floats
    forecast: Floats
    newest: Floats
    spread: Floats
    zone: ZoneInfo
    leads: Positions = field(default_factory=lambda: LEADS)

    @property
    def forecast_at_leads(self) -> Floats:
        """Issues × leads × columns, from the newest weather runs."""
        return self.forecast[:, RUN_HOURS_BEFORE + self.leads]

    def clock(self) -> tuple[Floats, Floats]:
        """Issues × leads: clock hour (start of the hour) and day of year."""
        (hour, day), at = self._clock_at(self.leads)
        return hour[at], day[at]

    def guess_features(self, name: str, main: Floats, climate: Climate) -> tuple[Floats, Floats]:
        """Features of the booster that fills gaps in `name`, and the base that its prediction is added to.

        Args:
            name: `MAIN` or `REST`.
            main: issues × leads, expected temperature of the main site.
            climate: that anomalies are relative to.
        """
        columns, base = self.guess_columns(name, main, climate)
        return np.stack(list(columns.values()), axis=-1), base

    def guess_columns(self, name: str, main: Floats, climate: Climate) -> tuple[dict[str, Floats], Floats]:
        """`guess_features` by name."""
        anomalies = {column: self._anomalies(column, climate) for column in (MAIN, REST)}
        columns = self._clock_columns()
        shape = columns["lead"].shape
        for column, anomaly in anomalies.items():
            for back in (0, 6, 12):
                columns[f"{column}_{back}h_before"] = np.broadcast_to(anomaly[:, -1 - back][:, None], shape)
            day, day_before = mean_of_known(anomaly[:, -24:]), mean_of_known(anomaly[:, -48:-24])
            columns[f"{column}_day"] = np.broadcast_to(day[:, None], shape)
            columns[f"{column}_day_before"] = np.broadcast_to(day_before[:, None], shape)
            columns[f"{column}_same_hour"] = anomaly[
                :, OBSERVED_HOURS + self.leads - 24 * -(-self.leads // 24)
            ]
        for other in (HUMIDITY, CLOUD, WIND):
            columns[other] = np.broadcast_to(self.observed[:, -1, COLUMN[other]][:, None], shape)
        base = self._climate_at(name, self.leads, climate)
        if name == REST:
            path = self._main_path(anomalies[MAIN], main, climate)
            for offset in PATH_OFFSETS:
                columns[f"{MAIN}_{offset:+d}h"] = path[:, OBSERVED_HOURS + self.leads + offset]
            base = base + climate.slope * np.nan_to_num(path[:, OBSERVED_HOURS + self.leads])
        return columns, base

    def _main_path(self, before: Floats, main: Floats, climate: Climate) -> Floats:
        """Anomalies of the main site from `OBSERVED_HOURS` before the issue to `RUN_HOURS_AFTER` after it."""
        path = np.full((len(before), OBSERVED_HOURS + 1 + RUN_HOURS_AFTER), np.nan)
        path[:, : OBSERVED_HOURS + 1] = before
        path[:, OBSERVED_HOURS + self.leads] = main - self._climate_at(MAIN, self.leads, climate)
        if len(self.leads) == len(LEADS):
            beyond = np.arange(LEADS[-1] + 1, RUN_HOURS_AFTER + 1)
            forecast = self.forecast[:, RUN_HOURS_BEFORE + beyond, COLUMN[MAIN]]
            path[:, OBSERVED_HOURS + beyond] = forecast - self._climate_at(MAIN, beyond, climate)
        return path

    def correction_features(self) -> Floats:
        """Issues × `LEADS` × features: the run's forecast, and its errors up to the issue."""
        return np.stack(list(self.correction_columns().values()), axis=-1)

    def correction_columns(self) -> dict[str, Floats]:
        """`correction_features` by name."""
        at_leads = RUN_HOURS_BEFORE + self.leads
        columns = self._clock_columns()
        shape = columns["lead"].shape
        for name in CORRECTED:
            forecast = self.forecast[..., COLUMN[name]]
            columns[name] = forecast[:, at_leads]
            columns[f"{name}_around"] = _around(forecast, 3)[:, at_leads]
            before = forecast[:, RUN_HOURS_BEFORE - 5 : RUN_HOURS_BEFORE + 1]
            errors = self.observed[:, -6:, COLUMN[name]] - before
            columns[f"{name}_error"] = np.broadcast_to(errors[:, -1][:, None], shape)
            columns[f"{name}_mean_error"] = np.broadcast_to(mean_of_known(errors)[:, None], shape)
        for name in LAGGED:
            newest, spread = (each[:, self.leads - 1, COLUMN[name]] for each in (self.newest, self.spread))
            columns[f"{name}_newest"] = newest - columns[name]
            columns[f"{name}_spread"] = spread
        forecast = self.forecast[..., COLUMN[MAIN]]
        columns[f"{MAIN}_over_its_mean"] = forecast[:, at_leads] - _around(forecast, 6)[:, at_leads]
        return columns

    def _clock_columns(self) -> dict[str, Floats]:
        hour, day = self.clock()
        lead = np.broadcast_to(self.leads, hour.shape).astype(float)
        return {"clock_hour": hour, "day_of_year": day, "lead": lead}

    def _anomalies(self, name: str, climate: Climate) -> Floats:
        hours = np.arange(-OBSERVED_HOURS, 1)
        return self.observed[..., COLUMN[name]] - self._climate_at(name, hours, climate)

    def _climate_at(self, name: str, hours: Positions, climate: Climate) -> Floats:
        table, at = self._clock_at(hours)
        return np.asarray((climate_basis(*table) @ climate.coefficients[name])[at])

    def _clock_at(self, hours: Positions) -> tuple[tuple[Floats, Floats], Positions]:
        """Clock hours and days of year of a span, and the position in it of each issue's hours.

        The hours of many issues overlap, so each hour of the span is converted to local time once.
        """
        starts = naive(self.hours)[:, None] + (hours - 1) * np.timedelta64(1, "h")
        span = np.arange(starts.min(), starts.max() + np.timedelta64(1, "h"), np.timedelta64(1, "h"))
        return clock(span, self.zone), (starts - span[0]) // np.timedelta64(1, "h")


@lru_cache(maxsize=1)
def feature_names() -> dict[str, tuple[str, ...]]:
    """Names of the features: of the guess of `MAIN`, of that of `REST`, and of every `CORRECTION`."""
    unknown = np.full((1, OBSERVED_HOURS + 1, len(PATH_COLUMNS)), np.nan)
    issues = simulated_issues(
        pd.DatetimeIndex([pd.Timestamp(0, tz="UTC")]), unknown, no_runs(1), ZoneInfo("UTC")
    )
    size = climate_basis(np.zeros(1), np.zeros(1)).shape[-1]
    flat = Climate({name: np.zeros(size) for name in (MAIN, REST)}, 0.0)
    main = np.full((1, len(LEADS)), np.nan)
    names = {name: tuple(issues.guess_columns(name, main, flat)[0]) for name in (MAIN, REST)}
    return {**names, CORRECTION: tuple(issues.correction_columns())}


def issues_at(
    moments: pd.DatetimeIndex, observed: WeatherPath, issued: IssuedWeather, zone: ZoneInfo
) -> Issues:
    """What is known of the weather at some times.

    Args:
        moments: UTC.
        observed: hours after a time are not used for it.
        issued: recorded runs; those issued later are not used.
        zone: of local clock hours and days.
    """
    hours = moments.floor("h")
    forecast = issued.around(moments, RUN_HOURS_BEFORE, RUN_HOURS_AFTER)
    newest = forecast[:, RUN_HOURS_BEFORE + 1 :].copy()
    mean, spread = issued.lagged(moments, RUN_HOURS_AFTER)
    forecast[:, RUN_HOURS_BEFORE + 1 :] = np.where(np.isnan(newest), newest, mean)
    past = windows(observed, hours, OBSERVED_HOURS, 0)
    return Issues(hours, past, forecast, newest, spread, zone)


def simulated_issues(
    hours: pd.DatetimeIndex,
    observed: Floats,
    forecast: Floats,
    zone: ZoneInfo,
    leads: Positions | None = None,
) -> Issues:
    """Issues with a single run each, as arrays; see `Issues`."""
    newest = forecast[:, RUN_HOURS_BEFORE + 1 :]
    unknown = np.full(newest.shape, np.nan)
    return Issues(hours, observed, forecast, newest, unknown, zone, LEADS if leads is None else leads)


def windows(path: WeatherPath, centres: pd.DatetimeIndex, before: int, after: int) -> Floats:
    """Centres × hours around each × columns; NaN outside the path."""
    at = np.asarray((centres - path.periods[0]) // pd.Timedelta(HOUR), dtype=np.int64)
    positions = at[:, None] + np.arange(-before, after + 1)[None, :]
    inside = (positions >= 0) & (positions < len(path.periods))
    values = path.values[np.clip(positions, 0, len(path.periods) - 1)]
    return np.where(inside[:, :, None], values, np.nan)


def no_runs(count: int) -> Floats:
    """`Issues.forecast` of issues without a weather run: NaN throughout."""
    return np.full((count, RUN_HOURS_BEFORE + 1 + RUN_HOURS_AFTER, len(PATH_COLUMNS)), np.nan)


def _around(values: Floats, reach: int) -> Floats:
    """Centred moving mean of the known hours, `reach` hours on either side, along the second axis."""
    known = ~np.isnan(values)
    padded = ((0, 0), (reach, reach))
    slide = np.lib.stride_tricks.sliding_window_view
    total = slide(np.pad(np.where(known, values, 0.0), padded), 2 * reach + 1, axis=1).sum(axis=-1)
    count = slide(np.pad(known.astype(float), padded), 2 * reach + 1, axis=1).sum(axis=-1)
    mean = np.full(values.shape, np.nan)
    np.divide(total, count, out=mean, where=count > 0)
    return mean
