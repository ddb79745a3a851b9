"""Keeps what is derived from stored rows: feature rows at the 24 h lead, and the flags of screening."""

from __future__ import annotations

from typing import TYPE_CHECKING

from energy_demand.columns import TARGET_COLUMN
from energy_demand.config import FORECAST_HORIZON_HOURS
from energy_demand.data.feature_engineering import WARM_UP, build_features
from energy_demand.data.history import load_with_truth
from energy_demand.data.ingestion.ingestion_run import chunks_of
from energy_demand.database import repository
from energy_demand.database.repository import Written

if TYPE_CHECKING:
    from datetime import datetime

    import sqlalchemy as sa

    from energy_demand.config import Settings
    from energy_demand.database.engine import Database


def refresh_features(
    database: Database, settings: Settings, start: datetime, end: datetime, now: datetime
) -> Written:
    """Build and store the feature rows of the hours from `start` to `end`, as known at `now`.

    The weather is the observed one; a row whose values did not change is left as it is. The flags of the
    same hours are stored again.
    """
    written = Written()
    for first, last in chunks_of(start, end):
        written += _refresh(database, settings, first, last, now)
    return written


def _refresh(
    database: Database, settings: Settings, start: datetime, end: datetime, now: datetime
) -> Written:
    history = load_with_truth(database, settings.region, start - WARM_UP, end, now)
    rows = build_features(
        history.demand,
        history.weather,
        leads=FORECAST_HORIZON_HOURS,
        region=settings.region,
        availability=settings.availability,
    )
    rows = rows[rows["timestamp"] >= start].assign(respondent=settings.region.respondent, created_at=now)
    screened = history.demand[history.demand["flag"].notna() & (history.demand["period"] >= start)]
    flags = screened.rename(columns={TARGET_COLUMN: "imputed_mwh"}).assign(
        respondent=settings.region.respondent, flagged_at=now
    )

    def store(connection: sa.Connection) -> Written:
        repository.delete_flags(connection, settings.region.respondent, start, end)
        repository.upsert_flags(connection, flags)
        return repository.upsert_features(connection, rows)

    return database.run(store)
