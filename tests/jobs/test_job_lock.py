"""Jobs run one at a time, are recorded, and catch up once for all missed schedules."""

from __future__ import annotations

import shutil
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from energy_demand.database.embedded import EmbeddedServer
from energy_demand.database.engine import opened
from energy_demand.database.job_runs import Job, JobLockLostError, JobRunningError, job_lock
from energy_demand.database.tables import job_run
from energy_demand.errors import UserError
from energy_demand.jobs.job_lock import LONGEST_ERROR, run_exclusively
from support import PRESENT, make_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    seen = run_exclusively(database, settings, Job.FORECAST, PRESENT, lambda _: noted(Job.FORECAST))
    assert seen == (PRESENT, None, None)
    assert noted(Job.FORECAST) == (PRESENT, PRESENT, None)
    assert noted(Job.RETRAIN) is None


def test_a_failed_run_is_recorded_with_its_reason_and_the_last_success_stays(database, settings, noted):
    run_exclusively(database, settings, Job.INGESTION, PRESENT, lambda _: None)
    with pytest.raises(UserError, match="away"):
        run_exclusively(
            database, settings, Job.INGESTION, PRESENT + HOUR, lambda _: fail(UserError("EIA is away"))
        )
    assert noted(Job.INGESTION) == (PRESENT + HOUR, PRESENT, "EIA is away")
    run_exclusively(database, settings, Job.INGESTION, PRESENT + 2 * HOUR, lambda _: None)
    assert noted(Job.INGESTION) == (PRESENT + 2 * HOUR, PRESENT + 2 * HOUR, None)


def test_a_reason_is_kept_short_and_without_secrets_and_never_empty(database, settings, noted):
    for error in (ValueError(f"postgresql://u:secret-word@h/d {'x' * 9999}"), KeyError()):
        with pytest.raises(type(error)):
            run_exclusively(database, settings, Job.RETRAIN, PRESENT, lambda _, error=error: fail(error))
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
    run_exclusively(database, settings, Job.DRIFT_CHECK, PRESENT, lambda _: None)
    late = PRESENT + 3 * HOUR
    done = run_exclusively(
        database, settings, Job.DRIFT_CHECK, late, lambda _: "ran", scheduled_at=scheduled_at
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
            lambda _, hours=hours: ran_for.append(hours),
            scheduled_at=PRESENT - hours * HOUR,
        )
    assert ran_for == [30]


def test_a_run_that_failed_catches_up_nothing(database, settings):
    with pytest.raises(RuntimeError):
        run_exclusively(database, settings, Job.INGESTION, PRESENT, lambda _: fail(RuntimeError("away")))
    late = run_exclusively(
        database, settings, Job.INGESTION, PRESENT + HOUR, lambda _: "ran", scheduled_at=PRESENT - HOUR
    )
    assert late == "ran"


def test_a_run_that_meets_another_one_is_not_recorded(database, settings, noted):
    with job_lock(database, Job.FORECAST, "NY"), pytest.raises(JobRunningError):
        run_exclusively(database, settings, Job.FORECAST, PRESENT, lambda _: None)
    assert noted(Job.FORECAST) is None


def test_the_lock_is_released_after_a_run_whichever_way_it_ended(database, settings):
    with pytest.raises(RuntimeError):
        run_exclusively(database, settings, Job.FORECAST, PRESENT, lambda _: fail(RuntimeError("no")))
    run_exclusively(database, settings, Job.FORECAST, PRESENT, lambda _: None)
    with job_lock(database, Job.FORECAST, "NY"):
        pass


@pytest.fixture(scope="module")
def own_server(processes) -> Iterator[EmbeddedServer]:
    """An embedded server that nobody else uses, to be restarted."""
    made = Path(tempfile.mkdtemp(prefix="job-lock-"))
    made.chmod(0o755)  # the server's account has to enter it
    server = EmbeddedServer(made / "home")
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def restarted(own_server) -> Iterator[tuple]:
    """A database, its settings, and a function that restarts its server."""
    settings = make_settings(energy_demand_home=own_server.folder.parent)

    def restart() -> None:
        own_server.stop()
        own_server.start()

    with opened(settings) as database:
        assert str(own_server.folder) in database.label or str(settings.home) in database.label
        with database.transaction() as connection:
            connection.execute(sa.delete(job_run))
        yield database, settings, restart


def run_of(row: sa.Connection) -> tuple:
    columns = (job_run.c.last_started_at, job_run.c.last_success_at, job_run.c.last_error)
    return row.execute(sa.select(*columns)).one()


def test_a_lock_that_a_restart_of_the_database_took_is_taken_again(restarted, caplog):
    database, settings, restart = restarted

    def work(lock) -> str:
        restart()
        with job_lock(database, Job.RETRAIN, "PJM"):  # the database is back, and the lock is free
            pass
        lock.check()
        with pytest.raises(JobRunningError), job_lock(database, Job.RETRAIN, "NY"):
            pytest.fail("two would run")
        lock.check()
        return "done"

    assert run_exclusively(database, settings, Job.RETRAIN, PRESENT, work) == "done"
    assert caplog.text.count("the job lock was lost and taken again") == 1
    assert database.run(run_of) == (PRESENT, PRESENT, None)
    with job_lock(database, Job.RETRAIN, "NY"):
        pass


def rolled_back(database) -> None:
    """What a rollback does: it has the lock for a moment and records no run."""
    with job_lock(database, Job.RETRAIN, "NY"):
        pass


@pytest.mark.parametrize("by_rollback", [False, True], ids=["another retraining", "a rollback"])
def test_a_job_whose_lock_another_one_had_meanwhile_ends(restarted, by_rollback):
    database, settings, restart = restarted
    written = []

    def work(lock) -> None:
        restart()
        if by_rollback:
            rolled_back(database)
        else:  # at the same time by the clock of both
            run_exclusively(database, settings, Job.RETRAIN, PRESENT, lambda _: written.append("other"))
        lock.check()
        written.append("this")

    with pytest.raises(JobLockLostError, match="lost its lock .* and another one has run since") as ended:
        run_exclusively(database, settings, Job.RETRAIN, PRESENT, work)
    assert "\n" not in str(ended.value)
    assert "this" not in written
    assert database.run(run_of) == (PRESENT, None if by_rollback else PRESENT, None)


def test_a_job_whose_lock_another_one_has_ends_and_leaves_the_record_to_it(restarted):
    database, settings, restart = restarted

    def late(lock) -> None:
        lock.check()
        pytest.fail("two ran")

    def first(lock) -> None:
        restart()

        def second(_lock) -> None:
            with pytest.raises(JobLockLostError, match="and another one is running"):
                late(lock)
            assert database.run(run_of) == (PRESENT + HOUR, None, None)

        run_exclusively(database, settings, Job.RETRAIN, PRESENT + HOUR, second)

    assert run_exclusively(database, settings, Job.RETRAIN, PRESENT, first) is None
    assert database.run(run_of) == (PRESENT + HOUR, PRESENT + HOUR, None)


def test_the_record_of_a_job_that_failed_after_it_lost_its_lock_is_the_other_ones(restarted):
    database, settings, restart = restarted

    def work(_lock) -> None:
        restart()
        run_exclusively(database, settings, Job.FORECAST, PRESENT + HOUR, lambda _: None)
        raise RuntimeError("this run failed")

    with pytest.raises(RuntimeError, match="this run failed"):
        run_exclusively(database, settings, Job.FORECAST, PRESENT, work)
    assert database.run(run_of) == (PRESENT + HOUR, PRESENT + HOUR, None)


def fail(error: Exception) -> None:
    raise error
