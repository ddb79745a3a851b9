"""The days that a backtest or a replay goes over: refused before any work if they cannot be scored."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np

from energy_demand.database import repository
from energy_demand.errors import UserError
from energy_demand.timeaxis import days_periods, local_day

if TYPE_CHECKING:
    from datetime import date, datetime

    import pandas as pd

    from energy_demand.config import Settings
    from energy_demand.data.record import Record
    from energy_demand.database.engine import Database
    from energy_demand.model.train import Weather

FEWEST_DAYS_BEFORE = 120  # of record before the first fit
# `vintages` in the JSON of a backtest or a replay.
AS_KNOWN, AS_REVISED = "as_known", "as_revised"
# An hour counts as kept live if its first value was stored within this time of its end. Of an hour that was
# backfilled later, the values that it had before are lost.
KEPT_LIVE_WITHIN = timedelta(days=1)
# Hours before the first issue that its forecast reads directly: lags of a week, and the recent errors.
READ_BEFORE = timedelta(days=15)


class PastDaysError(UserError, ValueError):
    """Days that cannot be gone over; the message says why and what to do."""


def check_past_days(record: Record, start: date, end: date, weather: Weather | None) -> None:
    """Refuse local days `start` to `end` that the record cannot score, or has too little before.

    `weather` is None where it follows from the record.

    Raises:
        PastDaysError: naming the first or the last day that can be scored.
    """
    zone = record.region.zone
    if end < start:
        raise PastDaysError(f"end {end} is before start {start}")
    first = local_day(record.periods[0].to_pydatetime(), zone) + timedelta(days=FEWEST_DAYS_BEFORE)
    if start < first:
        raise PastDaysError(
            f"start {start} is too early: training needs {FEWEST_DAYS_BEFORE} earlier days, so the first "
            f"possible day is {first}; backfill more history or start later"
        )
    newest, last = last_scorable_day(record)
    if end > last:
        raise PastDaysError(
            f"{end} cannot be scored: demand is known through {newest:%Y-%m-%dT%H:%M}Z, so the last day that "
            f"can be scored is {last}; ingest first or end earlier"
        )
    asked = record.periods.isin(days_periods(start, end, zone))
    if np.isnan(record.truth_mwh[asked]).all():
        raise PastDaysError(f"no hour from {start} to {end} has valid demand to score against")
    issued = record.issued.issued_at
    if weather == "as_issued" and (len(issued) == 0 or local_day(issued[0].to_pydatetime(), zone) > start):
        known = f"begin on {local_day(issued[0].to_pydatetime(), zone)}" if len(issued) else "are not stored"
        raise PastDaysError(
            f"weather forecasts as issued {known}; start later than {start}, or use --weather observed"
        )


def vintages_read(
    database: Database, settings: Settings, record: Record, first_issue: datetime, last_issue: datetime
) -> str:
    """Whether forecasts issued in this span saw demand as it was known at the issue: `vintages` in the JSON.

    `AS_KNOWN` needs every hour with a value, from `READ_BEFORE` the first issue to the last one, to have been
    stored within `KEPT_LIVE_WITHIN` its end: then each of its values is on record with the time from which it
    was known. One backfilled hour makes it `AS_REVISED`: what that hour was at its issue is not on record.
    What is on record is used either way.
    """
    respondent = settings.region.respondent
    start = max(first_issue - READ_BEFORE, record.periods[0].to_pydatetime())
    late = database.run(
        lambda connection: repository.hours_stored_late(
            connection, respondent, "D", start, last_issue, KEPT_LIVE_WITHIN
        )
    )
    return AS_REVISED if late else AS_KNOWN


def last_scorable_day(record: Record) -> tuple[pd.Timestamp, date]:
    """The newest hour of known demand, and the last local day whose every hour had ended by then."""
    newest = record.periods[~np.isnan(record.demand_mwh)][-1]
    # The day on which the next hour starts is not over.
    return newest, local_day(newest.to_pydatetime(), record.region.zone) - timedelta(days=1)
