"""Weather at many hours of issue at once: what was observed, what the newest run says, as features. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from energy_demand.arrays import mean_of_known
from energy_demand.data.weather_path import CLOUD, HUMIDITY, MAIN, PATH_COLUMNS, REST, WIND
from energy_demand.model.weather.climate import climate_basis, clock, naive
from energy_demand.timeaxis import HOUR, MAX_LEAD_HOURS

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from energy_demand.arrays import Floats, Positions
    from energy_demand.data.weather_path import WeatherPath
    from energy_demand.model.weather.climate import Climate

SEEN_HOURS = 48  # of observed weather before the issue
SAID_BEFORE, SAID_AFTER = 8, 72  # hours of a run around the issue
PATH_OFFSETS = (-24, -12, -6, -3, 0, 3, 6, 12, 24)  # hours from the target at which the main site is read
CORRECTED = (MAIN, REST, HUMIDITY, CLOUD, WIND)
COLUMN = {name: position for position, name in enumerate(PATH_COLUMNS)}
LEADS = np.arange(1, MAX_LEAD_HOURS + 1)


@dataclass(frozen=True)
class Issues:
    """Many issues at once, as arrays.

    Attributes:
        moments: full hours of issue.
        seen: issues × (`SEEN_HOURS` + 1) × columns; the last hour is the issue's own.
        said: issues × hours −`SAID_BEFORE` … `SAID_AFTER` × columns, from the newest run.
        zone: of the clock.
        leads: that are asked for.
    """

    moments: pd.DatetimeIndex
    seen: Floats
    said: Floats
    zone: ZoneInfo
    leads: Positions = field(default_factory=lambda: LEADS)

    @property
    def said_ahead(self) -> Floats:
        """What the run says of the leads."""
        return self.said[:, SAID_BEFORE + self.leads]

    def clock(self) -> tuple[Floats, Floats]:
        """Issues × leads: clock hour (start of the hour) and day of year."""
        (hour, day), at = self._clock_at(self.leads)
        return hour[at], day[at]

    def guess_features(self, name: str, main: Floats, climate: Climate) -> tuple[Floats, Floats]:
        """Features of the guess, and the base that it is added to.

        `main` is what is expected of the main site: issues × leads.
        """
        departures = {each: self._departures(each, climate) for each in (MAIN, REST)}
        hour, day = self.clock()
        columns = [hour, day, np.broadcast_to(self.leads, hour.shape).astype(float)]
        for each in departures.values():
            columns += [np.broadcast_to(each[:, -1 - back][:, None], hour.shape) for back in (0, 6, 12)]
            columns.append(np.broadcast_to(mean_of_known(each[:, -24:])[:, None], hour.shape))
            columns.append(np.broadcast_to(mean_of_known(each[:, -48:-24])[:, None], hour.shape))
            columns.append(each[:, SEEN_HOURS + self.leads - 24 * -(-self.leads // 24)])
        for other in (HUMIDITY, CLOUD, WIND):
            columns.append(np.broadcast_to(self.seen[:, -1, COLUMN[other]][:, None], hour.shape))
        base = self._climate_at(name, self.leads, climate)
        if name == REST:
            path = self._main_path(departures[MAIN], main, climate)
            columns += [path[:, SEEN_HOURS + self.leads + offset] for offset in PATH_OFFSETS]
            base = base + climate.slope * np.nan_to_num(path[:, SEEN_HOURS + self.leads])
        return np.stack(columns, axis=-1), base

    def _main_path(self, before: Floats, main: Floats, climate: Climate) -> Floats:
        """Departures of the main site from `SEEN_HOURS` before the issue to `SAID_AFTER` after it."""
        path = np.full((len(before), SEEN_HOURS + 1 + SAID_AFTER), np.nan)
        path[:, : SEEN_HOURS + 1] = before
        path[:, SEEN_HOURS + self.leads] = main - self._climate_at(MAIN, self.leads, climate)
        if len(self.leads) == len(LEADS):
            beyond = np.arange(LEADS[-1] + 1, SAID_AFTER + 1)
            said = self.said[:, SAID_BEFORE + beyond, COLUMN[MAIN]]
            path[:, SEEN_HOURS + beyond] = said - self._climate_at(MAIN, beyond, climate)
        return path

    def correction_features(self) -> Floats:
        """Issues × `LEADS` × features of what a run says and how wrong it was by the issue."""
        ahead = SAID_BEFORE + self.leads
        hour, day = self.clock()
        columns = [hour, day, np.broadcast_to(self.leads, hour.shape).astype(float)]
        for name in CORRECTED:
            said = self.said[..., COLUMN[name]]
            columns.append(said[:, ahead])
            columns.append(_around(said, 3)[:, ahead])
            wrong = self.seen[:, -6:, COLUMN[name]] - said[:, SAID_BEFORE - 5 : SAID_BEFORE + 1]
            columns.append(np.broadcast_to(wrong[:, -1][:, None], hour.shape))
            columns.append(np.broadcast_to(mean_of_known(wrong)[:, None], hour.shape))
        said = self.said[..., COLUMN[MAIN]]
        columns.append(said[:, ahead] - _around(said, 6)[:, ahead])
        return np.stack(columns, axis=-1)

    def _departures(self, name: str, climate: Climate) -> Floats:
        hours = np.arange(-SEEN_HOURS, 1)
        return self.seen[..., COLUMN[name]] - self._climate_at(name, hours, climate)

    def _climate_at(self, name: str, hours: Positions, climate: Climate) -> Floats:
        table, at = self._clock_at(hours)
        return np.asarray((climate_basis(*table) @ climate.coefficients[name])[at])

    def _clock_at(self, hours: Positions) -> tuple[tuple[Floats, Floats], Positions]:
        """Clock hours and days of year of a span, and where in it the hours after each issue start.

        The hours of many issues overlap: each is converted once.
        """
        starts = naive(self.moments)[:, None] + (hours - 1) * np.timedelta64(1, "h")
        span = np.arange(starts.min(), starts.max() + np.timedelta64(1, "h"), np.timedelta64(1, "h"))
        return clock(span, self.zone), (starts - span[0]) // np.timedelta64(1, "h")


def windows(path: WeatherPath, moments: pd.DatetimeIndex, before: int, after: int) -> Floats:
    """Moments × hours around each × columns; NaN outside the path."""
    centre = np.asarray((moments - path.periods[0]) // pd.Timedelta(HOUR), dtype=np.int64)
    positions = centre[:, None] + np.arange(-before, after + 1)[None, :]
    inside = (positions >= 0) & (positions < len(path.periods))
    values = path.values[np.clip(positions, 0, len(path.periods) - 1)]
    return np.where(inside[:, :, None], values, np.nan)


def no_runs(count: int) -> Floats:
    """`Issues.said` of issues without a run: NaN throughout."""
    return np.full((count, SAID_BEFORE + 1 + SAID_AFTER, len(PATH_COLUMNS)), np.nan)


def _around(values: Floats, reach: int) -> Floats:
    """Mean over the known hours up to `reach` before and after, along the second axis."""
    known = ~np.isnan(values)
    padded = ((0, 0), (reach, reach))
    slide = np.lib.stride_tricks.sliding_window_view
    total = slide(np.pad(np.where(known, values, 0.0), padded), 2 * reach + 1, axis=1).sum(axis=-1)
    count = slide(np.pad(known.astype(float), padded), 2 * reach + 1, axis=1).sum(axis=-1)
    mean = np.full(values.shape, np.nan)
    np.divide(total, count, out=mean, where=count > 0)
    return mean
