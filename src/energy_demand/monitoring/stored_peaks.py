"""What the scheduled forecasts said of days' peaks, from stored rows. Only reads, and imports little.

`peak_of_tomorrow` says whether tomorrow is alerted, and why.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from energy_demand.database import peaks
from energy_demand.model.day_peak import DayPeak
from energy_demand.timeaxis import local_day

if TYPE_CHECKING:
    from datetime import date, datetime

    import sqlalchemy as sa

    from energy_demand.region import Region


def stored_peak(connection: sa.Connection, region: Region, day: date, now: datetime) -> DayPeak | None:
    """What the scheduled forecast said of a day's peak, as known at `now`; None where none is stored."""
    row = peaks.read_peak(connection, region.respondent, day, now)
    return None if row is None else DayPeak.of_row(row)


def peak_of_tomorrow(connection: sa.Connection, region: Region, now: datetime) -> DayPeak | None:
    """Whether tomorrow is alerted (`alert`) and why (`reason`); None before it was forecast."""
    return stored_peak(connection, region, local_day(now, region.zone) + timedelta(days=1), now)


def stored_year(connection: sa.Connection, region: Region, year: int, now: datetime) -> list[DayPeak]:
    """What the scheduled forecasts said of a year's days, in their order, as known at `now`."""
    return [DayPeak.of_row(row) for row in peaks.read_year(connection, region.respondent, year, now)]
