"""Weather-normalised demand of stored days, with the champion's response to weather.

The champion's state at the present is used for every day, early ones too: this is a look back, no forecast.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from energy_demand.data.history import load_with_truth
from energy_demand.data.record import make_record
from energy_demand.data.record_store import NoDemandError
from energy_demand.database import repository
from energy_demand.errors import UserError
from energy_demand.model.weather_normalisation import (
    DEMAND,
    FEWEST_YEARS,
    NORMALISED,
    TEMPERATURE,
    normalised,
)
from energy_demand.timeaxis import days_periods, local_day

if TYPE_CHECKING:
    from datetime import date, datetime

    from energy_demand.config import Settings
    from energy_demand.data.record import Record
    from energy_demand.database.engine import Database
    from energy_demand.model.forecaster import Forecaster
    from energy_demand.model.weather_normalisation import NormalisedDemand

DIGITS = {DEMAND: 1, NORMALISED: 1, TEMPERATURE: 1, "demand_change": 2, "normalised_change": 2}


class UnknownDaysError(UserError, ValueError):
    """Days that cannot be normalised."""


def weather_normalised(
    database: Database, forecaster: Forecaster, settings: Settings, now: datetime, start: date, end: date
) -> NormalisedDemand:
    """Observed and weather-normalised demand of past local days, from what is known at `now`.

    Raises:
        NoDemandError: no demand was known.
        TooFewYearsError: too little weather is stored.
        UnknownDaysError: nothing is known of any of the days.
    """
    record = _record(database, settings, now)
    zone = settings.region.zone
    last = min(end, local_day(now, zone) - timedelta(days=1))
    if last < start:
        raise UnknownDaysError(f"{start} is not over yet; give past days")
    found = normalised(forecaster.advance(record), record, days_periods(start, last, zone))
    if found.days.empty:
        raise UnknownDaysError(
            f"no day from {start} to {last} can be normalised: {found.without_demand} lack demand of some "
            f"hour, {found.without_weather} observed weather then or in {FEWEST_YEARS} years"
        )
    return found


def body_of(found: NormalisedDemand, respondent: str) -> dict[str, Any]:
    """The body of `weather-normalised --json`."""
    return {
        "region": respondent,
        "usual_weather": {"years": found.years, "from": found.weather_from, "to": found.weather_to},
        "days_without_demand": found.without_demand,
        "days_without_weather": found.without_weather,
        "years": _rows(found.by("Y").rename(columns={"period": "year"})),
        "months": _rows(found.by("M").rename(columns={"period": "month"})),
        "days": _rows(found.days.assign(day=found.days["day"].dt.date)),
    }


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    rounded = frame.round({name: digits for name, digits in DIGITS.items() if name in frame})
    return [
        {str(name): None if pd.isna(value) else value for name, value in row.items()}
        for row in rounded.to_dict("records")
    ]


def _record(database: Database, settings: Settings, now: datetime) -> Record:
    """Demand with truth and observed weather, without the weather forecasts."""
    region = settings.region
    with database.transaction() as connection:
        span = repository.demand_span(connection, region.respondent, "D", now)
    if span is None:
        raise NoDemandError(
            f"{database.label} holds no demand of {region.respondent}; run `energy-demand backfill` first"
        )
    history = load_with_truth(database, region, span[0], now, now)
    none = history.weather.iloc[:0].assign(issued_at=np.array([], dtype="datetime64[us]"))
    return make_record(history.demand, history.weather, none, region, now)
