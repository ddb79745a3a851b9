"""Expected errors: the daily errors of a model's adaptive regression before the model served. Pure.

Each day was forecast from observed weather before it was learnt, so the errors are out of sample: they show
what to expect while demand keeps following weather and calendar. Concept drift and the performance monitor
compare later days with them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from energy_demand.timeaxis import FEWEST_HOURS_OF_DAY, HOUR, local_days

if TYPE_CHECKING:
    from datetime import date
    from zoneinfo import ZoneInfo

    from energy_demand.arrays import Booleans, Floats


KEPT_DAYS = 3 * 365
SIGMA_DAYS = 365
SIGMA_PER_MAD = 1.4826  # of a normal distribution
LEAST_SIGMA = 0.1  # percent
SEASON_DAYS = 14  # on either side
LEARNING_DAYS = 365  # at the start of a record the regression meets each season for the first time


@dataclass(frozen=True)
class ExpectedErrors:
    """Daily errors before a model served.

    Attributes:
        first: the first local day.
        levels: by day, the weighted mean error in percent, positive where demand was above the forecast; NaN
            where too few hours are known.
        mape: by day, mean absolute error in percent with coefficients as old as in a day-ahead forecast.
        weights: of the 24 clock hours in `levels`; they sum to one.
    """

    first: date
    levels: Floats
    mape: Floats
    weights: Floats

    @property
    def sigma(self) -> float:
        """Robust standard deviation of the levels of the newest year, percent."""
        known = self.levels[-SIGMA_DAYS:]
        known = known[~np.isnan(known)]
        if len(known) == 0:
            return LEAST_SIGMA
        spread = float(np.median(np.abs(known - np.median(known))))
        return max(SIGMA_PER_MAD * spread, LEAST_SIGMA)

    def on(self, days: pd.DatetimeIndex) -> Floats:
        """MAPE (percent) of exactly these days, where it is known."""
        by_day = pd.Series(self.mape, index=pd.date_range(self.first, periods=len(self.mape), freq="D"))
        return np.asarray(by_day.reindex(days).dropna(), dtype=np.float64)

    def season(self, days: pd.DatetimeIndex) -> pd.Series:
        """MAPE (percent) by day, of stored days within `SEASON_DAYS` of the day of year of any of `days`."""
        stored = pd.date_range(self.first, periods=len(self.mape), freq="D")
        apart = np.abs(stored.dayofyear.to_numpy()[:, None] - days.dayofyear.to_numpy()[None, :])
        near = (np.minimum(apart, 365 - apart) <= SEASON_DAYS).any(axis=1) & ~np.isnan(self.mape)
        return pd.Series(self.mape[near], index=stored[near])

    def is_settled(self, days: pd.DatetimeIndex) -> Booleans:
        """Whether each day is later than the first year of the record: earlier errors are those of learning.

        A record of `KEPT_DAYS` or more counts as settled: where it began is not kept.
        """
        if len(self.mape) >= KEPT_DAYS:
            return np.ones(len(days), dtype=bool)
        return np.asarray(days >= pd.Timestamp(self.first) + pd.Timedelta(days=LEARNING_DAYS))

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "first": self.first.isoformat(),
            "levels": _listed(self.levels),
            "mape": _listed(self.mape),
            "weights": self.weights.tolist(),
        }

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> ExpectedErrors:
        """The inverse of `to_dict`."""
        return cls(
            first=pd.Timestamp(stored["first"]).date(),
            levels=_array(stored["levels"]),
            mape=_array(stored["mape"]),
            weights=np.array(stored["weights"], dtype=float),
        )


def expected_errors(
    periods: pd.DatetimeIndex, one_day: Floats, day_ahead: Floats, variance: Floats, zone: ZoneInfo
) -> ExpectedErrors:
    """The expected errors of the newest `KEPT_DAYS` of a record.

    Args:
        periods: UTC, every hour.
        one_day: truth minus the forecast with coefficients one day old, percent of log gross load; NaN where
            unknown.
        day_ahead: the same with coefficients as old as in a day-ahead forecast.
        variance: of the errors, by clock hour.
        zone: of the local days.
    """
    weights = 1.0 / np.sqrt(variance)
    weights = weights / weights.sum()
    levels = daily_levels(periods, one_day, weights, zone)
    percent_error = pd.Series(100.0 * np.abs(np.expm1(day_ahead / 100.0)), index=periods)
    mape = percent_error.groupby(local_days(periods, zone)).agg(_mean_of_enough).reindex(levels.index)
    kept = levels.index[-KEPT_DAYS:]
    return ExpectedErrors(
        kept[0].date(), levels[kept].to_numpy(dtype=float), mape[kept].to_numpy(dtype=float), weights
    )


def daily_levels(periods: pd.DatetimeIndex, residuals: Floats, weights: Floats, zone: ZoneInfo) -> pd.Series:
    """The weighted mean residual (percent) of each local day; NaN where too few hours are known.

    Hours with less noise weigh more: every hour shows the level of demand, and these show it best.
    """
    local = (periods - pd.Timedelta(HOUR)).tz_convert(zone)
    hour = weights[local.hour]
    known = ~np.isnan(residuals)
    table = pd.DataFrame(
        {
            "weighted": np.where(known, residuals * hour, 0.0),
            "weight": np.where(known, hour, 0.0),
            "known": known,
        }
    )
    sums = table.groupby(local_days(periods, zone)).sum()
    levels = sums["weighted"] / sums["weight"].where(sums["known"] >= FEWEST_HOURS_OF_DAY)
    return levels.reindex(pd.date_range(levels.index[0], levels.index[-1], freq="D"))


def _mean_of_enough(values: pd.Series) -> float:
    return float(values.mean()) if values.notna().sum() >= FEWEST_HOURS_OF_DAY else np.nan


def _listed(values: Floats) -> list[float | None]:
    return [None if np.isnan(value) else round(float(value), 4) for value in values]


def _array(values: list[float | None]) -> Floats:
    return np.array([np.nan if value is None else value for value in values], dtype=float)
