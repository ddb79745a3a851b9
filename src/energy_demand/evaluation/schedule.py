"""When forecasts of a backtest are issued and when it fits: an ordered stream of events. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

import pandas as pd

from energy_demand.timeaxis import (
    HOUR,
    Availability,
    day_ahead_issue,
    day_periods,
    days_periods,
    local_days,
    utc_index,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from zoneinfo import ZoneInfo

    from energy_demand.model.train import Weather

REFIT_DAYS = 30


class Protocol(StrEnum):
    """When the forecast of an hour is issued."""

    ROLLING_24H = "rolling-24h"
    DAY_AHEAD = "day-ahead"

    @property
    def availability(self) -> Availability:
        """The publication delay of demand in this protocol."""
        return Availability(0 if self is Protocol.ROLLING_24H else 1)

    @property
    def weather(self) -> Weather:
        """The default weather of this protocol."""
        return "observed" if self is Protocol.ROLLING_24H else "as_issued"

    def issues(self, periods: pd.DatetimeIndex, zone: ZoneInfo) -> pd.DatetimeIndex:
        """When the forecast of each period is issued."""
        if self is Protocol.ROLLING_24H:
            return periods - pd.Timedelta(24 * HOUR)
        days = local_days(periods, zone)
        issues = {day: day_ahead_issue(day.date(), zone) for day in days.unique()}
        return utc_index(pd.DatetimeIndex([issues[day] for day in days]))


@dataclass(frozen=True)
class Fit:
    """Fit on everything known at `as_of`."""

    as_of: datetime


@dataclass(frozen=True)
class Predict:
    """Forecast `periods` from everything known at `issued_at`."""

    issued_at: datetime
    periods: pd.DatetimeIndex


def schedule(
    protocol: Protocol, first: date, last: date, zone: ZoneInfo, refit_days: int = REFIT_DAYS
) -> Iterator[Fit | Predict]:
    """The events of a backtest of the local days `first` to `last`, in order of time.

    The first event is a fit; another follows whenever `refit_days` have passed since the last.
    """
    fitted: datetime | None = None
    for predict in _predictions(protocol, first, last, zone):
        if fitted is None or predict.issued_at - fitted >= timedelta(days=refit_days):
            fitted = predict.issued_at
            yield Fit(fitted)
        yield predict


def _predictions(protocol: Protocol, first: date, last: date, zone: ZoneInfo) -> Iterator[Predict]:
    if protocol is Protocol.DAY_AHEAD:
        for number in range((last - first).days + 1):
            day = first + timedelta(days=number)
            yield Predict(day_ahead_issue(day, zone), day_periods(day, zone))
    else:
        for period in days_periods(first, last, zone):
            yield Predict((period - 24 * HOUR).to_pydatetime(), pd.DatetimeIndex([period]))


def by_fit(events: Iterable[Fit | Predict]) -> list[list[Fit | Predict]]:
    """The events in parts that do not depend on each other: each fit with the forecasts made from it."""
    parts: list[list[Fit | Predict]] = []
    for event in events:
        if isinstance(event, Fit) or not parts:
            parts.append([])
        parts[-1].append(event)
    return parts
