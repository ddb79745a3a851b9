"""Keeps the `features` table: the base columns of every stored hour at the 24 h lead."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from energy_demand.config import FORECAST_HORIZON_HOURS
from energy_demand.data.feature_engineering import build_features
from energy_demand.data.history import load_observed
from energy_demand.database import repository

if TYPE_CHECKING:
    from datetime import datetime

    from energy_demand.config import Settings
    from energy_demand.database.engine import Database
    from energy_demand.database.repository import Written

# Lags reach back a week from the target; the rest makes up for missing hours.
WARM_UP = timedelta(days=28)


def refresh_features(
    database: Database, settings: Settings, start: datetime, end: datetime, now: datetime
) -> Written:
    """Build and store the feature rows of the hours from `start` to `end`, as known at `now`.

    The weather is the observed one; a row whose values did not change is left as it is.
    """
    history = load_observed(database, settings.region, start - WARM_UP, end, now)
    rows = build_features(
        history.demand,
        history.weather,
        leads=FORECAST_HORIZON_HOURS,
        region=settings.region,
        availability=settings.availability,
    )
    rows = rows[rows["timestamp"] >= start].assign(respondent=settings.region.respondent, created_at=now)
    with database.transaction() as connection:
        return repository.upsert_features(connection, rows)
