"""Jobs run one at a time, are recorded, and catch up once for all missed schedules."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from energy_demand.database.job_runs import Job, JobRunningError, job_lock
from energy_demand.database.tables import job_run
from energy_demand.errors import UserError
from energy_demand.jobs.job_lock import LONGEST_ERROR, run_exclusively
from support import PRESENT, make_settings

HOUR = timedelta(hours=1)


@pytest.fixture
def database_url(new_database_url) -> str:
    """These jobs need no data."""
    return new_database_url()


@pytest.fixture
def settings(tmp_path, database_url):
    return make_settings(energy_demand_home=tmp_path, database_url=database_url)


@pytest.fixture
def noted(database):
    """Reads the record of a job."""

    def read(job: Job) -> tuple | None:
        columns = (job_run.c.last_started_at, job_run.c.last_success_at, job_run.c.last_error)
        with database.transaction() as connection:
            return connection.execute(sa.select(*columns).where(job_run.c.job == job.name)).one_or_none()

    return read


def test_start_and_success_of_a_run_are_recorded(database, settings, noted):
    seen = run_exclusively(database, settings, Job.FORECAST, PRESENT, lambda: noted(Job.FORECAST))
    assert seen == (PRESENT, None, None)
    assert noted(Job.FORECAST) == (PRESENT, PRESENT, None)
    assert noted(Job.RETRAIN) is None


def test_a_failed_run_is_recorded_with_its_reason_and_the_last_success_stays(database, settings, noted):
    run_exclusively(database, settings, Job.INGESTION, PRESENT, lambda: None)
    with pytest.raises(UserError, match="away"):
        run_exclusively(
            database, settings, Job.INGESTION, PRESENT + HOUR, lambda: fail(UserError("EIA is away"))
        )
    assert noted(Job.INGESTION) == (PRESENT + HOUR, PRESENT, "EIA is away")
    run_exclusively(database, settings, Job.INGESTION, PRESENT + 2 * HOUR, lambda: None)
    assert noted(Job.INGESTION) == (PRESENT + 2 * HOUR, PRESENT + 2 * HOUR, None)


def test_a_reason_is_kept_short_and_without_secrets_and_never_empty(database, settings, noted):
    for error in (ValueError(f"postgresql://u:secret-word@h/d {'x' * 9999}"), KeyError()):
        with pytest.raises(type(error)):
            run_exclusively(database, settings, Job.RETRAIN, PRESENT, lambda error=error: fail(error))
        kept = noted(Job.RETRAIN)[2]
        assert 0 < len(kept) <= LONGEST_ERROR
        assert "secret-word" not in kept
    assert kept == "KeyError"


@pytest.mark.parametrize(
    ("scheduled_at", "ran"),
    [
        pytest.param(PRESENT - HOUR, False, id="scheduled before the newest success"),
        pytest.param(PRESENT, False, id="scheduled when that one began"),
        pytest.param(PRESENT + timedelta(seconds=1), True, id="scheduled after it"),
        pytest.param(None, True, id="requested by hand"),
    ],
)
def test_what_a_later_run_caught_up_is_not_run_again(database, settings, noted, scheduled_at, ran):
    run_exclusively(database, settings, Job.DRIFT_CHECK, PRESENT, lambda: None)
    late = PRESENT + 3 * HOUR
    done = run_exclusively(
        database, settings, Job.DRIFT_CHECK, late, lambda: "ran", scheduled_at=scheduled_at
    )
    assert done == ("ran" if ran else None)
    assert noted(Job.DRIFT_CHECK)[0] == (late if ran else PRESENT)


def test_many_missed_runs_are_caught_up_by_one(database, settings):
    ran_for = []
    for hours in (30, 24, 18, 12, 6):  # as a server hands them out when it is back
        run_exclusively(
            database,
            settings,
            Job.INGESTION,
            PRESENT,
            lambda hours=hours: ran_for.append(hours),
            scheduled_at=PRESENT - hours * HOUR,
        )
    assert ran_for == [30]


def test_a_run_that_failed_catches_up_nothing(database, settings):
    with pytest.raises(RuntimeError):
        run_exclusively(database, settings, Job.INGESTION, PRESENT, lambda: fail(RuntimeError("away")))
    late = run_exclusively(
        database, settings, Job.INGESTION, PRESENT + HOUR, lambda: "ran", scheduled_at=PRESENT - HOUR
    )
    assert late == "ran"


def test_a_run_that_meets_another_one_is_not_recorded(database, settings, noted):
    with job_lock(database, Job.FORECAST, "NY"), pytest.raises(JobRunningError):
        run_exclusively(database, settings, Job.FORECAST, PRESENT, lambda: None)
    assert noted(Job.FORECAST) is None


def test_the_lock_is_released_after_a_run_whichever_way_it_ended(database, settings):
    with pytest.raises(RuntimeError):
        run_exclusively(database, settings, Job.FORECAST, PRESENT, lambda: fail(RuntimeError("no")))
    run_exclusively(database, settings, Job.FORECAST, PRESENT, lambda: None)
    with job_lock(database, Job.FORECAST, "NY"):
        pass


def fail(error: Exception) -> None:
    raise error
