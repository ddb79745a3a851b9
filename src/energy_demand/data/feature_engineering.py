"""The one feature builder, for training, replay and serving alike. Pure: frames in, frame out.

A row belongs to a target hour (`period`) and the time its forecast is issued. The leak guard is one
line in `DemandHistory.position_known_at`: a row sees demand only up to the newest period whose
publication delay had passed at `issued_at`. Of the weather it sees the target hour's.
"""

from __future__ import annotations

from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

import holidays
import numpy as np
import pandas as pd

from energy_demand.columns import FEATURE_COLUMNS, LEAD, TARGET_COLUMN
from energy_demand.data.weather_features import weather_features
from energy_demand.region import NEW_YORK, Region
from energy_demand.timeaxis import HOUR, Availability, lead_hours, utc_index

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date, datetime
    from zoneinfo import ZoneInfo

    from energy_demand.arrays import Floats, Positions


BALANCE_TEMPERATURE = 18.3  # °C; 65 °F, the base of degree days in the United States
ROLLING_HOURS = 24
# History before the first row: lags reach back a week, screening some weeks before the hour that it checks.
WARM_UP = timedelta(days=56)
ROW_COLUMNS = ("timestamp", "issued_at", *FEATURE_COLUMNS, LEAD, TARGET_COLUMN)


def build_features(
    demand_df: pd.DataFrame,
    weather_df: pd.DataFrame,
    *,
    leads: int | Iterable[int] = 24,
    targets: pd.DataFrame | None = None,
    region: Region = NEW_YORK,
    availability: Availability = Availability(1),  # noqa: B008  (frozen)
) -> pd.DataFrame:
    """Feature rows for each target hour and issue time.

    Args:
        demand_df: `period` (hour ending; naive is read as UTC) and `demand_mwh`; NaN: not known. With a
            column `truth_mwh`, that is the rows' `demand_mwh`, and the other only their history.
        weather_df: `timestamp`, optionally `site`, and Open-Meteo's variables (or the base columns' own
            names); a missing value stays missing. With an `issued_at` column it holds forecasts, and a
            row uses the newest one issued by its own issue time.
        leads: without `targets`: one row for every hour in `demand_df` and each of these leads, issued
            that many hours before the period.
        targets: `period` and `issued_at` of the rows that are wanted, in their order.
        region: time zone, holidays and sites with their weights.
        availability: the publication delay of demand.

    Returns:
        `timestamp` (the period), `issued_at`, the twenty base columns, `lead_hours`, `demand_mwh` (NaN for
        an hour that is not in `demand_df`). Without `targets`, rows whose demand history does not reach
        back far enough (one week and 24 hours) are left out, and so are hours without demand.

    Raises:
        ValueError: a column is missing, or a lead is not positive.
    """
    _require(demand_df, "demand_df", ["period", TARGET_COLUMN])
    _require(weather_df, "weather_df", ["timestamp"])
    history = DemandHistory(demand_df)
    wanted = _every_hour(history, leads) if targets is None else targets
    periods, issued_at = utc_index(wanted["period"]), utc_index(wanted["issued_at"])
    weather = weather_features(weather_df, periods, issued_at, region)
    columns = {
        "timestamp": periods,
        "issued_at": issued_at,
        **weather,
        **degree_features(weather["temperature"]),
        **calendar_features(periods, region.zone, region.country),
        **history.features(periods, issued_at, availability),
        LEAD: lead_hours(periods, issued_at),
        TARGET_COLUMN: history.value_at(periods),
    }
    rows = pd.DataFrame({name: columns[name] for name in ROW_COLUMNS}, copy=False)
    if targets is not None:
        return rows
    warm = rows["demand_lag_168h"].notna() & rows["demand_rolling_std_24h"].notna()
    return rows[warm & rows[TARGET_COLUMN].notna()].reset_index(drop=True)


class DemandHistory:
    """Demand on an hourly grid, with the newest known value at each step already looked up.

    Invariant: no method reads a grid position later than the one it is given.
    """

    def __init__(self, demand_df: pd.DataFrame) -> None:
        periods = utc_index(demand_df["period"])
        values = demand_df[TARGET_COLUMN].to_numpy(dtype=float)
        known = ~np.isnan(values)
        if not known.any():
            periods, values = periods[:0], values[:0]
            self._start = pd.Timestamp(0, tz="UTC")
            size = 0
        else:
            self._start = periods[known].min()
            size = int((periods[known].max() - self._start) / pd.Timedelta(HOUR)) + 1
        self.values: Floats = np.full(size, np.nan)
        if size:
            self.values[self._position(periods[known])] = values[known]
        self.truth: Floats = self.values
        if size and "truth_mwh" in demand_df:
            self.truth = np.full(size, np.nan)
            self.truth[self._position(periods[known])] = demand_df["truth_mwh"].to_numpy(dtype=float)[known]
        self._newest = _newest_known(self.values, step=1)
        self._newest_day = _newest_known(self.values, step=24)
        self._newest_week = _newest_known(self.values, step=168)
        windows = _windows(self.values[~np.isnan(self.values)])
        self._rolling_mean = self._spread(windows.mean(axis=1))
        self._rolling_std = self._spread(windows.std(axis=1, ddof=1))

    @property
    def periods(self) -> pd.DatetimeIndex:
        """The hours whose true demand is known."""
        positions = np.flatnonzero(~np.isnan(self.truth))
        return utc_index(self._start + pd.to_timedelta(positions, unit="h"))

    def value_at(self, periods: pd.DatetimeIndex) -> Floats:
        """The true demand of each hour, NaN where it is not known."""
        return _take(self.truth, self._position(periods))

    def position_known_at(self, issued_at: pd.DatetimeIndex, availability: Availability) -> Positions:
        """Grid position of the newest period that is published at each issue time (the leak guard)."""
        return self._position(issued_at - pd.Timedelta(availability.delay_hours * HOUR))

    def features(
        self, periods: pd.DatetimeIndex, issued_at: pd.DatetimeIndex, availability: Availability
    ) -> dict[str, Floats]:
        """The demand columns: newest known value, same hour of day and of week, last 24 known hours."""
        published = self.position_known_at(issued_at, availability)
        target = self._position(periods)
        newest = _look_up(self._newest, published, step=1)
        return {
            "demand_lag_1h": _take(self.values, newest),
            "demand_lag_24h": self._same_phase(self._newest_day, target, published, step=24),
            "demand_lag_168h": self._same_phase(self._newest_week, target, published, step=168),
            "demand_rolling_mean_24h": _take(self._rolling_mean, newest),
            "demand_rolling_std_24h": _take(self._rolling_std, newest),
        }

    def _same_phase(self, newest: Positions, target: Positions, published: Positions, *, step: int) -> Floats:
        steps_back = np.maximum(1, -((published - target) // step))
        return _take(self.values, _look_up(newest, target - steps_back * step, step=step))

    def _position(self, moments: pd.DatetimeIndex) -> Positions:
        elapsed = (moments - self._start) // pd.Timedelta(HOUR)
        return np.asarray(elapsed, dtype=np.int64)

    def _spread(self, windowed: Floats) -> Floats:
        """The value of each window at the hour where it ends."""
        grid = np.full(len(self.values), np.nan)
        ends = np.flatnonzero(~np.isnan(self.values))[ROLLING_HOURS - 1 :]
        grid[ends] = windowed
        return grid


def calendar_features(periods: pd.DatetimeIndex, zone: ZoneInfo, country: str) -> dict[str, Positions]:
    """Local calendar of each hour's start: hour 0–23, weekday (0 Monday), month, weekend, holiday."""
    local = (periods - pd.Timedelta(HOUR)).tz_convert(zone)
    years = range(local.year.min(), local.year.max() + 1) if len(local) else ()
    days = pd.DatetimeIndex(sorted(holidays.country_holidays(country, years=years)))
    day_of_week = local.dayofweek.to_numpy(dtype=np.int64)
    return {
        "hour_of_day": local.hour.to_numpy(dtype=np.int64),
        "day_of_week": day_of_week,
        "month": local.month.to_numpy(dtype=np.int64),
        "is_weekend": (day_of_week >= 5).astype(np.int64),
        "is_holiday": local.tz_localize(None).normalize().isin(days).astype(np.int64),
    }


def local_calendar(period: datetime, zone: ZoneInfo, country: str) -> dict[str, int]:
    """The same for one hour, without arrays."""
    local = (period - HOUR).astimezone(zone)
    return {
        "hour_of_day": local.hour,
        "day_of_week": local.weekday(),
        "month": local.month,
        "is_weekend": int(local.weekday() >= 5),
        "is_holiday": int(local.date() in _holidays(country, local.year)),
    }


@lru_cache(maxsize=256)
def _holidays(country: str, year: int) -> frozenset[date]:
    return frozenset(holidays.country_holidays(country, years=year))


def degree_features(temperature: Floats) -> dict[str, Floats]:
    """Squared temperature, and degrees above and below the balance temperature."""
    return {
        "temp_squared": temperature**2,
        "cooling_degree_hours": np.maximum(temperature - BALANCE_TEMPERATURE, 0.0),
        "heating_degree_hours": np.maximum(BALANCE_TEMPERATURE - temperature, 0.0),
    }


def _every_hour(history: DemandHistory, leads: int | Iterable[int]) -> pd.DataFrame:
    chosen = np.array([leads] if isinstance(leads, int) else sorted(set(leads)), dtype=np.int64)
    if len(chosen) == 0 or chosen.min() < 1:
        raise ValueError(f"leads must be positive hours, got {leads}")
    periods = history.periods
    issued = np.tile(chosen, len(periods))
    repeated = periods.repeat(len(chosen))
    return pd.DataFrame({"period": repeated, "issued_at": repeated - pd.to_timedelta(issued, unit="h")})


def _windows(values: Floats) -> Floats:
    """Every window of 24 values. Unlike a running sum, each depends on nothing but its own values."""
    if len(values) < ROLLING_HOURS:
        return np.empty((0, ROLLING_HOURS))
    return np.lib.stride_tricks.sliding_window_view(values, ROLLING_HOURS)


def _newest_known(values: Floats, *, step: int) -> Positions:
    """For each position, the newest one at it or whole `step`s before it that has a value, else −1."""
    size = len(values)
    positions = np.where(np.isnan(values), -1, np.arange(size))
    padded = np.full(-(-size // step) * step, -1, dtype=np.int64)
    padded[:size] = positions
    return np.maximum.accumulate(padded.reshape(-1, step), axis=0).reshape(-1)


def _look_up(newest: Positions, positions: Positions, *, step: int) -> Positions:
    """`newest` at each position, −1 before the grid; one after it goes back whole `step`s into it."""
    last = len(newest) - 1
    if last < 0:
        return np.full(len(positions), -1, dtype=np.int64)
    beyond = np.maximum(0, -((last - positions) // step))
    inside = positions - beyond * step
    return np.where(inside < 0, -1, newest[np.maximum(inside, 0)])


def _take(values: Floats, positions: Positions) -> Floats:
    inside = (positions >= 0) & (positions < len(values))
    taken = np.full(len(positions), np.nan)
    taken[inside] = values[positions[inside]]
    return taken


def _require(frame: pd.DataFrame, name: str, columns: list[str]) -> None:
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise ValueError(f"{name} lacks the column {', '.join(missing)}; it has {', '.join(frame.columns)}")
