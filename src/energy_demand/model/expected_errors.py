"""What is ordinary for a model: how far off its adaptive regression was, day by day, before it served. Pure.

Each day was foreseen before it was learnt, given the weather that came, so the days are an honest sample of
what the model misses when the world stays as it was. Charts of concept drift and the monitor of performance
measure later days by them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from energy_demand.timeaxis import HOUR

if TYPE_CHECKING:
    from datetime import date
    from zoneinfo import ZoneInfo

    from energy_demand.arrays import Floats


KEPT_DAYS = 3 * 365
FEWEST_HOURS = 12  # of a day, to count it
SIGMA_DAYS = 365
SIGMA_PER_MAD = 1.4826  # of a normal distribution
LEAST_SIGMA = 0.1  # percent
SEASON_DAYS = 14  # on either side


@dataclass(frozen=True)
class ExpectedErrors:
    """Days before a model served.

    Attributes:
        first: the first day.
        levels: percent by which demand was above what was foreseen, hours weighted; one a day, NaN where
            too little is known.
        mape: mean absolute error in percent, coefficients as old as in a day-ahead forecast.
        weights: of the 24 clock hours in `levels`; they add up to one.
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
        """MAPE of these very days, percent, where it is known."""
        held = pd.Series(self.mape, index=pd.date_range(self.first, periods=len(self.mape), freq="D"))
        return np.asarray(held.reindex(days).dropna(), dtype=np.float64)

    def season(self, days: pd.DatetimeIndex) -> Floats:
        """MAPE of the days held within `SEASON_DAYS` of the day of year of any of `days`, percent."""
        held = pd.date_range(self.first, periods=len(self.mape), freq="D")
        apart = np.abs(held.dayofyear.to_numpy()[:, None] - days.dayofyear.to_numpy()[None, :])
        near = (np.minimum(apart, 365 - apart) <= SEASON_DAYS).any(axis=1) & ~np.isnan(self.mape)
        return np.asarray(self.mape[near])

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "first": self.first.isoformat(),
            "levels": _listed(self.levels),
            "mape": _listed(self.mape),
            "weights": self.weights.tolist(),
        }

    @classmethod
    def from_dict(cls, read: dict[str, Any]) -> ExpectedErrors:
        """The inverse of `to_dict`."""
        return cls(
            first=pd.Timestamp(read["first"]).date(),
            levels=_array(read["levels"]),
            mape=_array(read["mape"]),
            weights=np.array(read["weights"], dtype=float),
        )


def expected_errors(
    periods: pd.DatetimeIndex, one_day: Floats, day_ahead: Floats, variance: Floats, zone: ZoneInfo
) -> ExpectedErrors:
    """The newest `KEPT_DAYS` of a record.

    Args:
        periods: UTC, every hour.
        one_day: truth minus what was foreseen with coefficients one day old, percent of log demand; NaN:
            not known.
        day_ahead: the same with coefficients as old as in a day-ahead forecast.
        variance: by clock hour, of the errors.
        zone: of the days.
    """
    weights = 1.0 / np.sqrt(variance)
    weights = weights / weights.sum()
    levels = daily_levels(periods, one_day, weights, zone)
    off = pd.Series(100.0 * np.abs(np.expm1(day_ahead / 100.0)), index=periods)
    mape = off.groupby(_local_days(periods, zone)).agg(_mean_of_enough).reindex(levels.index)
    kept = levels.index[-KEPT_DAYS:]
    return ExpectedErrors(
        kept[0].date(), levels[kept].to_numpy(dtype=float), mape[kept].to_numpy(dtype=float), weights
    )


def daily_levels(periods: pd.DatetimeIndex, missed: Floats, weights: Floats, zone: ZoneInfo) -> pd.Series:
    """By local day the weighted mean of what was missed, percent; NaN where too few hours are known.

    Quiet hours weigh more: all of them show the level, with less noise.
    """
    local = (periods - pd.Timedelta(HOUR)).tz_convert(zone)
    hour = weights[local.hour]
    known = ~np.isnan(missed)
    table = pd.DataFrame(
        {
            "weighted": np.where(known, missed * hour, 0.0),
            "weight": np.where(known, hour, 0.0),
            "known": known,
        }
    )
    sums = table.groupby(_local_days(periods, zone)).sum()
    levels = sums["weighted"] / sums["weight"].where(sums["known"] >= FEWEST_HOURS)
    return levels.reindex(pd.date_range(levels.index[0], levels.index[-1], freq="D"))


def _local_days(periods: pd.DatetimeIndex, zone: ZoneInfo) -> pd.DatetimeIndex:
    """The local day of each hour, without a zone."""
    return (periods - pd.Timedelta(HOUR)).tz_convert(zone).tz_localize(None).normalize()


def _mean_of_enough(values: pd.Series) -> float:
    return float(values.mean()) if values.notna().sum() >= FEWEST_HOURS else np.nan


def _listed(values: Floats) -> list[float | None]:
    return [None if np.isnan(each) else round(float(each), 4) for each in values]


def _array(values: list[float | None]) -> Floats:
    return np.array([np.nan if each is None else each for each in values], dtype=float)
