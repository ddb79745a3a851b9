"""Champion and challenger on the same days, each forecasting them as if it served. Pure."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import pandas as pd

from energy_demand.model.backtest import COLUMNS, Predict, Protocol, schedule, walk_forward
from energy_demand.timeaxis import day_ahead_issue, local_day, utc_index

if TYPE_CHECKING:
    from energy_demand.data.record import Record
    from energy_demand.model.forecaster import Forecaster
    from energy_demand.model.train import Weather

SHARE_WITH_RUNS = 0.8  # of the days; with fewer, weather as it was foreseen says too little


def unseen_days(record: Record, *models: Forecaster) -> list[date]:
    """Whole local days of a record whose day-ahead forecast none of the models had seen the data of."""
    zone = record.region.zone
    newest = max(model.trained_through for model in models)
    last = local_day(record.periods[-1].to_pydatetime(), zone)
    first = local_day(newest, zone)
    days = [first + timedelta(days=number) for number in range((last - first).days)]
    return [day for day in days if day_ahead_issue(day, zone) >= newest]


def day_ahead(model: Forecaster, record: Record, days: list[date]) -> pd.DataFrame:
    """The day-ahead forecasts of a frozen model, its state refreshed every day; `walk_forward`'s columns.

    The weather is as it was foreseen where most of the days have a run, else as it came.
    """
    if not days:
        return pd.DataFrame(columns=list(COLUMNS))
    zone = record.region.zone
    events = (
        each for each in schedule(Protocol.DAY_AHEAD, days[0], days[-1], zone) if isinstance(each, Predict)
    )
    return walk_forward(
        record,
        events,
        protocol=Protocol.DAY_AHEAD,
        weather=weather_of(record, days),
        availability=model.availability,
        model=model,
    )


def weather_of(record: Record, days: list[date]) -> Weather:
    """`as_issued` where most of the days have a fresh run to go by."""
    issues = utc_index(pd.DatetimeIndex([day_ahead_issue(day, record.region.zone) for day in days]))
    fresh = record.issued.fresh(issues).mean()
    return "as_issued" if fresh >= SHARE_WITH_RUNS else "observed"
