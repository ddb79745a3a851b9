"""Finds months in which a series seems to be labelled some hours early or late. Pure; it changes nothing.

Demand is compared with itself: the shape of a month's working days with that of the same month in other
years. The operator's forecast is compared with demand, hour by hour. A month is reported only where another
clock fits much better than its own; what the true clock is, no data can prove, so nothing is moved.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from energy_demand.timeaxis import HOUR

if TYPE_CHECKING:
    from collections.abc import Sequence
    from zoneinfo import ZoneInfo

    from energy_demand.arrays import Floats

SHIFTS = (-2, -1, 0, 1, 2)  # hours
FEWEST_DAYS = 10  # of a month, working days for a shape
FEWEST_YEARS = 2  # others with the same month: of two that differ, either may be the wrong one
# Another clock must leave less than this share of what the labelled one leaves: of the squared difference of
# two shapes, and of the forecast's mean absolute error about its median. In the records of New York, ISNE,
# PJM, ERCO and SWPP no other clock leaves less than 1.26 and 1.03 times as much in any month with the right
# one; demand moved by an hour leaves at most 0.30, and PJM's forecast, an hour early from 2019-02 on, 0.49 to
# 0.74.
SHAPE_SHARE = 0.5
ERROR_SHARE = 0.85
OUTAGE = 0.5  # a forecast whose logarithm is so far off is an outage of the publication


@dataclass(frozen=True)
class ClockFault:
    """Consecutive months whose labels are off.

    Attributes:
        series: `D` or `DF`.
        first: the first month, like `2019-02`.
        last: the last one.
        hours: to add to the labels; 1: the series is labelled an hour early.
    """

    series: str
    first: str
    last: str
    hours: int

    def __str__(self) -> str:
        size = abs(self.hours)
        when = self.first if self.first == self.last else f"{self.first} to {self.last}"
        way = "early" if self.hours > 0 else "late"
        what = {"D": "demand", "DF": "the operator's forecast"}[self.series]
        return (
            f"{what} of {when} seems to be labelled {size} hour{'s' * (size > 1)} {way}; it is kept as served"
        )


def demand_clock(demand: pd.Series, zone: ZoneInfo) -> list[ClockFault]:
    """Months whose working days have the shape of other years' at another clock.

    Args:
        demand: MWh by period (UTC, hour ending), NaN where not believed.
        zone: of the clock hours.
    """
    known = np.log(demand[demand > 0])
    starts = (pd.DatetimeIndex(known.index) - pd.Timedelta(HOUR)).tz_convert(zone)
    table = pd.DataFrame({"value": known.to_numpy(), "month": starts.strftime("%Y-%m"), "hour": starts.hour})[
        np.asarray(starts.dayofweek < 5)
    ]
    by_hour = table.groupby(["month", "hour"])["value"]
    count = by_hour.size().unstack("hour").reindex(columns=range(24)).min(axis=1)  # noqa: PD010
    shapes = by_hour.mean().unstack("hour").reindex(columns=range(24))[count >= FEWEST_DAYS]  # noqa: PD010
    # Changes from hour to hour, so that the level of a year does not count.
    rows = zip(map(str, shapes.index), shapes.to_numpy(), strict=True)
    changes: dict[str, Floats] = {month: row - np.roll(row, 1) for month, row in rows}
    found = {}
    for month, own in changes.items():
        others = [row for other, row in changes.items() if other[5:] == month[5:] and other != month]
        if len(others) < FEWEST_YEARS:
            continue
        usual = np.median(others, axis=0)
        left = [float(((np.roll(own, hours) - usual) ** 2).sum()) for hours in SHIFTS]
        found[month] = _better(left, SHAPE_SHARE)
    return _spans("D", found)


def forecast_clock(published: pd.Series, demand: pd.Series, zone: ZoneInfo) -> list[ClockFault]:
    """Months in which the operator's forecast fits demand much better at another clock.

    Args:
        published: MWh by period (UTC, hour ending).
        demand: MWh by period, NaN where not believed.
        zone: of the months.
    """
    forecast = np.log(published[published > 0])
    actual = np.log(demand[demand > 0])
    errors = pd.DataFrame(
        {hours: forecast.set_axis(forecast.index + hours * HOUR) - actual for hours in SHIFTS},
        index=actual.index,
    )
    errors = errors[(errors.abs() < OUTAGE).all(axis=1)]
    months = (pd.DatetimeIndex(errors.index) - pd.Timedelta(HOUR)).tz_convert(zone).strftime("%Y-%m")
    found = {}
    for month, rows in errors.groupby(months):
        if len(rows) >= FEWEST_DAYS * 24:
            found[str(month)] = _better((rows - rows.median()).abs().mean().tolist(), ERROR_SHARE)
    return _spans("DF", found)


def _better(left: Sequence[float], share: float) -> int:
    """The shift that leaves much less than none does, or 0."""
    best = int(np.argmin(left))
    return SHIFTS[best] if left[best] < share * left[SHIFTS.index(0)] else 0


def _spans(series: str, found: dict[str, int]) -> list[ClockFault]:
    """Months that follow one another with the same shift, as one."""
    spans: list[ClockFault] = []
    before: str | None = None
    for month in sorted(found):
        hours = found[month]
        if hours:
            if spans and spans[-1].hours == hours and spans[-1].last == before:
                spans[-1] = ClockFault(series, spans[-1].first, month, hours)
            else:
                spans.append(ClockFault(series, month, month, hours))
        before = month
    return spans
