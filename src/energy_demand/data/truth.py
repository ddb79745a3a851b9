"""Keeps the stored verdicts on which hours of demand are truth, so that everything that scores agrees.

Two-sided screening needs the hours after an hour, so verdicts on the newest weeks may change. Each ingestion
screens the hours again that its span can change; the whole record is screened once, in a new or upgraded
database and after a release from quarantine.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pandas as pd

from energy_demand.columns import TARGET_COLUMN
from energy_demand.data.screening import SETTLED_DAYS, screen, truth_flags
from energy_demand.database import repository, state
from energy_demand.timeaxis import utc_index

if TYPE_CHECKING:
    import sqlalchemy as sa

    from energy_demand.database.engine import Database
    from energy_demand.region import Region

SETTLED = timedelta(days=SETTLED_DAYS)
BEGINNING = datetime(1990, 1, 1, tzinfo=UTC)


def refresh_truth(
    database: Database, region: Region, start: datetime, end: datetime, now: datetime
) -> datetime:
    """Screen the hours again whose verdict demand from `start` to `end` can change; store the verdicts.

    Returns:
        The time after which verdicts may have changed.
    """
    respondent = region.respondent

    def work(connection: sa.Connection) -> datetime:
        state.lock_ingestion(connection)
        whole = state.get_watermark(connection, state.TRUTH, respondent) is None
        first, last = (BEGINNING, now) if whole else (start - SETTLED, end + SETTLED)
        # A window shows the whole record's verdict only some weeks from its ends.
        demand = repository.read_demand(connection, respondent, "D", first - SETTLED, last + SETTLED, now)
        if demand.empty:
            return first
        flags = _flags(demand, region)
        newest = utc_index(demand["period"]).max()
        last = min(last, newest.to_pydatetime())
        stored = flags[(flags["period"] >= first) & (flags["period"] <= last)]
        repository.replace_truth_flags(
            connection, respondent, first, last, stored.assign(respondent=respondent, flagged_at=now)
        )
        state.advance_watermark(connection, state.TRUTH, respondent, newest.to_pydatetime(), now)
        return first

    return database.run(work)


def _flags(demand: pd.DataFrame, region: Region) -> pd.DataFrame:
    """`period` and `flag` of the hours that are not truth."""
    hours = demand.rename(columns={"value": TARGET_COLUMN})
    causal = screen(hours, region=region)
    flags = truth_flags(causal, screen(hours, two_sided=True, region=region))
    return pd.DataFrame({"period": causal["period"], "flag": flags})[flags.notna().to_numpy()]
