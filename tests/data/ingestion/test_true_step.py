"""A true, lasting step of demand: a day later all its hours are scored, whatever the causal flags say."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
import sqlalchemy as sa

from energy_demand.data.ingestion.ingest import backfill_span, trailing_span
from energy_demand.database import predictions
from energy_demand.database.predictions import scored_forecasts
from energy_demand.database.tables import demand_flag, prediction_log, truth_flag
from energy_demand.jobs.ingestion import run_ingestion
from energy_demand.region import NEW_YORK
from energy_demand.sandbox.app import create_app
from energy_demand.sandbox.server import serving
from energy_demand.sandbox.worlds.synthetic import Disturbance, SyntheticWorld
from energy_demand.timeaxis import HOUR, day_ahead_issue, day_periods, local_day
from logged import row
from support import PRESENT, make_settings

STEP = datetime(2025, 3, 12, 20, tzinfo=UTC)
FIRST = date(2025, 1, 20)


@pytest.fixture
def step(settings, database, processes):
    """Ingests as things are at a time in a world whose demand rises by 15 % for good."""
    world = SyntheticWorld(
        seed=1, disturbances=[Disturbance.parse(f"level-step@{STEP:%Y-%m-%dT%HZ},size=15")]
    )

    def ingest(now: datetime, first: date | None = None):
        with serving(create_app(world, now=now)) as address:
            own = {"database_url": settings.database_url, "energy_demand_home": settings.energy_demand_home}
            there = make_settings(sandbox_url=address, **own)
            if first is None:
                span = trailing_span(database, there, now)
            else:
                span = backfill_span(there, first, local_day(now, NEW_YORK.zone), now)
            return run_ingestion(database, there, span, now, lambda *_: None)

    return ingest


def log_forecasts(database) -> list[datetime]:
    """Scheduled forecasts of the step's day and the two after it; gives their hours."""
    rows = []
    for days in range(3):
        day = local_day(STEP, NEW_YORK.zone) + timedelta(days=days)
        issued = day_ahead_issue(day, NEW_YORK.zone).isoformat()
        for period in day_periods(day, NEW_YORK.zone):
            made = {"issued_at": issued, "prediction_made_at": issued, "timestamp": period.isoformat()}
            rows.append(row(len(rows), source="scheduled", quality="champion", **made))
    with database.transaction() as connection:
        predictions.insert_predictions(connection, rows)
    return [datetime.fromisoformat(each["timestamp"]) for each in rows]


def test_a_day_later_every_hour_of_a_true_step_has_its_actual_value_and_error(database, step):
    step(PRESENT, FIRST)
    hours = log_forecasts(database)
    for number in range(1, 9):
        step(PRESENT + number * timedelta(hours=6))
    newest = PRESENT + timedelta(hours=48) - HOUR
    old_enough = newest - timedelta(hours=24)
    wanted = [hour for hour in hours if STEP < hour <= old_enough]
    assert len(wanted) == 16
    flagged = sa.select(demand_flag.c.period).where(demand_flag.c.period > STEP)
    doubted = sa.select(truth_flag.c.period).where(truth_flag.c.period > STEP)
    actual = sa.select(prediction_log.c.timestamp).where(prediction_log.c.actual_demand.is_not(None))
    scored = scored_forecasts(NEW_YORK.zone.key, newest + HOUR).c
    error = sa.select(scored.timestamp).where(scored.error.is_not(None))
    with database.transaction() as connection:
        causal = set(connection.scalars(flagged))

        assert not set(connection.scalars(doubted)) & set(wanted)
        assert set(wanted) <= set(connection.scalars(actual))
        assert set(wanted) <= set(connection.scalars(error))
        assert causal & set(wanted), "causal flags doubt the first hours of the step"
