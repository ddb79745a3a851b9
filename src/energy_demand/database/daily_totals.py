"""Which daily totals of demand are not stored. Only reads."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import sqlalchemy as sa

from energy_demand.database.tables import raw_demand, raw_demand_daily
from energy_demand.timeaxis import HOUR, local_day

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime

    from energy_demand.config import Settings

# A longer gap at either end of a range is the end of the record, not a gap.
OUTSIDE_THE_RECORD = timedelta(days=14)
EIA_DAILY = "eia_daily"
SERIES = ("D", "DF")
# A day's total that is not there so long after its end is missing.
DAILY_WITHIN = timedelta(hours=12)
# Corrections come for up to 30 days, most of them within 3.
LOOK_BACK = timedelta(days=31)


def missing_totals(connection: sa.Connection, settings: Settings, now: datetime) -> list[date]:
    """The local days of the last `LOOK_BACK` without a daily total, `DAILY_WITHIN` after their end.

    Days before the first stored hour of demand are not missing.
    """
    respondent, zone = settings.region.respondent, settings.region.zone
    demand = raw_demand.c
    first_stored = connection.scalar(
        sa.select(demand.period)
        .where(demand.respondent == respondent, demand.series == "D", demand.known_at <= now)
        .order_by(demand.period)
        .limit(1)
    )
    if first_stored is None:
        return []
    last = local_day(now - DAILY_WITHIN, zone) - timedelta(days=1)
    first = max(local_day(now - LOOK_BACK, zone), local_day(first_stored - HOUR, zone))
    return missing_days(connection, respondent, zone.key, SERIES, first, last)


def missing_days(
    connection: sa.Connection, respondent: str, zone: str, series: Sequence[str], start: date, end: date
) -> list[date]:
    """The local days in [start, end] without the total of one of the series.

    As with hours, the days long before a series begins and long after it ends are not missing; a series
    without any total there is not published.
    """
    query = sa.select(raw_demand_daily.c.series, raw_demand_daily.c.day).where(
        raw_demand_daily.c.respondent == respondent,
        raw_demand_daily.c.timezone == zone,
        raw_demand_daily.c.series.in_(series),
        raw_demand_daily.c.day.between(start, end),
    )
    known: dict[str, set[date]] = {}
    for name, day in connection.execute(query):
        known.setdefault(name, set()).add(day)
    missing: set[date] = set()
    for days in known.values():
        first = start if min(days) - start <= OUTSIDE_THE_RECORD else min(days)
        last = end if end - max(days) <= OUTSIDE_THE_RECORD else max(days)
        missing |= {first + timedelta(days=number) for number in range((last - first).days + 1)} - days
    return sorted(missing)
