"""The year's ten highest days and hours of demand: what a coming day's chances are, and when to alert. Pure.

A day counts by its highest hour. Everything here comes from demand known at an issue and from a forecast's
distribution; nothing later may reach it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from energy_demand.model.distribution import PROBABILITIES
from energy_demand.model.forecaster import BOUNDS, PREDICTED
from energy_demand.timeaxis import local_days, utc_index

if TYPE_CHECKING:
    from collections.abc import Mapping
    from zoneinfo import ZoneInfo

    from energy_demand.model.forecast import Forecast

HIGHEST = 10
EARLIER_YEARS = 5  # that say what this year is expected to reach
FEWEST_DAYS = 300  # of an earlier year; fewer may lack its season
# Of the bounds 80 and 95 % and of the point forecast, in the order of `BOUNDS`.
BOUND_PROBABILITIES = (0.1, 0.9, 0.025, 0.975)


@dataclass(frozen=True)
class Standings:
    """What a coming day has to exceed, as known at an issue; None while it is unknown.

    Attributes:
        so_far_mwh: the tenth-highest daily peak of the year so far.
        day_mwh: the tenth-highest daily peak that the year is expected to have in the end.
        hour_mwh: the tenth-highest hour, likewise.
        to_come: share of the earlier years' ten highest days that came on this date or later; without an
            earlier year the share of this year's days.
    """

    so_far_mwh: float | None
    day_mwh: float | None
    hour_mwh: float | None
    to_come: float


def highest(demand: pd.Series, zone: ZoneInfo) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The ten highest days and the ten highest hours, highest first.

    Args:
        demand: MWh by period (UTC, hour ending); NaN where unknown.
        zone: of the local days.

    Returns:
        Of the days their highest hour, and the hours: `day` (a naive midnight), `period`, `demand_mwh`.
    """
    return _highest(_by_demand(demand, zone))


def standings(demand: pd.Series, day: date, zone: ZoneInfo) -> Standings:
    """The standings before a day.

    The tenth-highest so far says little early in a year. So the thresholds lie between it and the mean of the
    earlier years' tenth-highest, by the share of the ten highest days that then was still to come. They are
    never below what was reached. Without a whole earlier year they are what was reached.

    Args:
        demand: MWh by period (UTC, hour ending) as known at the issue, of this year and of earlier ones;
            NaN where it is unknown or not believed.
        day: local.
        zone: of the local days.
    """
    rows = _by_demand(demand, zone)
    rows = rows[rows["day"] < pd.Timestamp(day)]
    years = rows["day"].dt.year
    so_far, so_far_hour = map(_tenth, _highest(rows[years == day.year]))
    earlier = [
        _highest(of_year)
        for year, of_year in rows.groupby(years)
        if day.year - EARLIER_YEARS <= year < day.year and of_year["day"].nunique() >= FEWEST_DAYS
    ]
    if not earlier:
        return Standings(so_far, so_far, so_far_hour, (date(day.year, 12, 31) - day).days / 365)
    dates = pd.concat([days["day"] for days, _ in earlier])
    to_come = float(np.mean([(each.month, each.day) >= (day.month, day.day) for each in dates]))
    return Standings(
        so_far,
        _expected(so_far, [_tenth(days) for days, _ in earlier], to_come),
        _expected(so_far_hour, [_tenth(hours) for _, hours in earlier], to_come),
        to_come,
    )


def _by_demand(demand: pd.Series, zone: ZoneInfo) -> pd.DataFrame:
    """Known hours, highest first; of equal ones the earlier first."""
    known = demand.dropna()
    periods = utc_index(pd.DatetimeIndex(known.index))
    frame = pd.DataFrame(
        {"day": local_days(periods, zone), "period": periods, "demand_mwh": known.to_numpy(dtype=float)}
    )
    return frame.sort_values("demand_mwh", ascending=False, kind="stable", ignore_index=True)


def _highest(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    days = rows.drop_duplicates("day")
    return days.head(HIGHEST).reset_index(drop=True), rows.head(HIGHEST)


def _tenth(rows: pd.DataFrame) -> float | None:
    return float(rows["demand_mwh"].iloc[-1]) if len(rows) == HIGHEST else None


def _expected(so_far: float | None, earlier: list[float | None], to_come: float) -> float:
    expected = float(np.mean([each for each in earlier if each is not None]))
    return expected if so_far is None else so_far + max(expected - so_far, 0.0) * to_come


@dataclass(frozen=True)
class PeakForecast:
    """A forecast of a day's peak.

    Attributes:
        quantiles: MWh of the highest hour, by probability.
        hours: `period`, `predicted_demand_mwh`, and `probability` that the hour is the day's highest; NaN
            where a fallback without joint paths answered.
    """

    quantiles: dict[float, float]
    hours: pd.DataFrame

    @classmethod
    def of(cls, forecast: Forecast) -> PeakForecast:
        """From a forecast of all hours of a day; a fallback gives the bounds of its highest hour alone."""
        hours = forecast.hours[["period", PREDICTED]]
        joint = forecast.distribution
        if joint is not None:
            quantiles = dict(zip(PROBABILITIES.tolist(), joint.peak.tolist(), strict=True))
            return cls(quantiles, hours.assign(probability=joint.peak_hour))
        highest = forecast.hours.iloc[int(forecast.hours[PREDICTED].to_numpy().argmax())]
        bounds = {at: float(highest[name]) for at, name in zip(BOUND_PROBABILITIES, BOUNDS, strict=True)}
        return cls(
            dict(sorted({**bounds, 0.5: float(highest[PREDICTED])}.items())), hours.assign(probability=np.nan)
        )


def probability_above(quantiles: Mapping[float, float], mwh: float) -> float:
    """The probability of more than `mwh`, from quantiles (MWh by probability, at least two).

    Straight lines between the quantiles on normal probability paper, and beyond the outermost ones.
    """
    at = np.array([NormalDist().inv_cdf(probability) for probability in quantiles])
    values = np.maximum.accumulate(np.array(list(quantiles.values()), dtype=float))
    values += np.arange(len(values)) * 1e-6  # rising, where quantiles are equal
    below = int(np.clip(np.searchsorted(values, mwh), 1, len(values) - 1))
    slope = (at[below] - at[below - 1]) / (values[below] - values[below - 1])
    return 1.0 - NormalDist().cdf(float(at[below] + slope * (mwh - values[below])))


@dataclass(frozen=True)
class Chances:
    """A coming day's probabilities; None while their threshold is unknown.

    Attributes:
        so_far_probability: that it is among the year's ten highest days so far.
        day_probability: that its peak exceeds what the year's tenth-highest day is expected to reach.
        hour_probability: that its peak exceeds what the year's tenth-highest hour is expected to reach.
    """

    so_far_probability: float | None
    day_probability: float | None
    hour_probability: float | None

    @classmethod
    def of(cls, quantiles: Mapping[float, float], known: Standings) -> Chances:
        """From the quantiles of the day's peak, and the standings at the issue."""
        thresholds = (known.so_far_mwh, known.day_mwh, known.hour_mwh)
        return cls(*(None if mwh is None else probability_above(quantiles, mwh) for mwh in thresholds))


@dataclass(frozen=True)
class AlertRule:
    """Alert a day that holds one of the year's ten highest hours with at least a certain probability.

    The limit rises while alerts are used up faster than the season passes, and falls while they are saved.

    Attributes:
        limit: where as much of the alert days is used as of the season has passed.
        slope: by which it rises with the share of alert days used, less the share of the season passed.
        alert_days: to spend in a year; more are given where the probability is high enough.
    """

    limit: float
    slope: float
    alert_days: int

    def needed(self, used: int, to_come: float) -> float:
        """The probability that an alert needs after `used` alerts this year; see `Standings.to_come`."""
        ahead = used / self.alert_days - (1.0 - to_come)
        return float(np.clip(self.limit + self.slope * ahead, 0.01, 0.99))


# Chosen on the summers of 2017 … 2020 by benchmarks/peaks.py, with the aim of 9 of 10 hours in 8 days a year.
ALERT_RULE = AlertRule(limit=0.18, slope=0.5, alert_days=8)
