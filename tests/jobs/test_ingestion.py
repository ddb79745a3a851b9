"""The ingestion job: after a kill anywhere, the next run ends with the rows of an undisturbed run."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from children import run_and_kill, run_job

from contents import contents
from energy_demand.database import predictions
from energy_demand.database.engine import opened
from energy_demand.database.job_runs import Job
from logged import HOUR, row
from support import PRESENT

POINTS = {
    "before the weather": ("before", "energy_demand.data.ingestion.ingest:ingest_observed"),
    "before the actual values": ("before", "energy_demand.database.predictions:fill_actuals"),
    "while these are written": ("after", "energy_demand.database.predictions:fill_actuals"),
}


def lose_the_newest_day(database) -> None:
    """As the database was a day ago, with a prediction of an hour that has passed since."""
    predicted = row(1, timestamp=(PRESENT - 6 * HOUR).isoformat())
    with database.transaction() as connection:
        for table, column in (
            ("raw_demand", "period"),
            ("raw_weather", "timestamp"),
            ("features", "timestamp"),
        ):
            connection.execute(
                sa.text(f"DELETE FROM {table} WHERE {column} > :since"), {"since": PRESENT - 24 * HOUR}
            )
        predictions.insert_predictions(connection, [predicted])


def stored(settings) -> dict[str, list[str]]:
    return contents(settings.database_url.get_secret_value())


@pytest.fixture(scope="module")
def undisturbed(copied, filled):
    """The rows of an undisturbed run."""
    with copied() as address:
        settings = filled.model_copy(update={"database_url": type(filled.database_url)(address)})
        with opened(settings) as database:
            lose_the_newest_day(database)
            run_job(Job.INGESTION, database, settings)
            return stored(settings)


@pytest.mark.parametrize("point", POINTS.values(), ids=POINTS.keys())
def test_an_ingestion_that_was_killed_is_completed_by_the_next(database, settings, undisturbed, point):
    lose_the_newest_day(database)
    run_and_kill(Job.INGESTION, settings, point)
    assert stored(settings) != undisturbed
    run_job(Job.INGESTION, database, settings)
    assert stored(settings) == undisturbed


def test_a_run_reports_how_many_predictions_got_their_actual_value(database, settings):
    lose_the_newest_day(database)
    assert run_job(Job.INGESTION, database, settings).to_json()["actuals"] == 1
    assert run_job(Job.INGESTION, database, settings).to_json()["actuals"] == 0
