"""The lock of a job: one holder at a time, and free when the holder is gone, however it went."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest
from servers import wait_until

from energy_demand.database import job_runs
from energy_demand.database.engine import DatabaseUnavailableError, open_database
from energy_demand.database.job_runs import Job, JobRunningError, job_lock
from logged import away
from support import PRESENT

HOLDER = """
import signal, sys
from energy_demand.database.engine import open_database
from energy_demand.database.job_runs import Job, job_lock
from support import make_settings
database = open_database(make_settings(database_url=sys.argv[1]))
with job_lock(database, Job.RETRAIN, "NY"):
    print("held", flush=True)
    signal.pause()
"""


def is_free(database, job: Job = Job.RETRAIN) -> bool:
    try:
        with job_lock(database, job, "NY"):
            return True
    except JobRunningError:
        return False


def test_of_many_at_once_one_gets_the_lock(database):
    everybody_tried = threading.Barrier(8)
    outcomes: list[str] = []

    def run() -> None:
        try:
            with job_lock(database, Job.RETRAIN, "NY"):
                outcomes.append("ran")
                everybody_tried.wait(30)
        except JobRunningError as error:
            outcomes.append(str(error))
            everybody_tried.wait(30)

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count("ran") == 1
    (said,) = set(outcomes) - {"ran"}
    running = f"another retrain job for NY is already running on {database.label}"
    assert said == f"{running}; nothing was done. Try again when it has ended"


def test_a_holder_that_is_killed_leaves_the_turn_free(database, database_url):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", HOLDER, database_url]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        assert not is_free(database)
        holder.kill()
    assert holder.returncode == -signal.SIGKILL
    wait_until(lambda: is_free(database), what="a free turn")


def test_jobs_and_regions_do_not_wait_for_each_other(database):
    with job_lock(database, Job.RETRAIN, "NY"):
        assert is_free(database, Job.INGESTION)
        with job_lock(database, Job.RETRAIN, "PJM"):
            assert not is_free(database)


def test_a_holder_that_fails_leaves_the_turn_free(database):
    with pytest.raises(ZeroDivisionError), job_lock(database, Job.FORECAST, "NY"):
        raise ZeroDivisionError
    assert is_free(database, Job.FORECAST)


def test_a_turn_leaves_no_connection_behind(database):
    for _ in range(30):  # more than the pool holds
        with job_lock(database, Job.FORECAST, "NY"):
            pass
    assert database.engine.pool.checkedout() == 0


def test_where_the_database_is_away_that_is_one_line(settings, database_url):
    database = open_database(settings)
    with (
        away(database_url),
        pytest.raises(DatabaseUnavailableError, match="cannot use the database"),
        job_lock(database, Job.FORECAST, "NY"),
    ):
        pytest.fail("nobody can hold a turn there")
    database.close()


def test_a_database_that_goes_away_while_the_turn_is_held_takes_it_along(database, database_url):
    with job_lock(database, Job.FORECAST, "NY"), away(database_url):
        pass
    assert is_free(database, Job.FORECAST)


def test_notes_of_runs_are_by_job_and_region(database):
    with database.transaction() as connection:
        job_runs.record_start(connection, Job.FORECAST, "NY", PRESENT)
        assert job_runs.last_success(connection, Job.FORECAST, "NY") is None
        job_runs.record_end(connection, Job.FORECAST, "NY", PRESENT)
        assert job_runs.last_success(connection, Job.FORECAST, "NY") == PRESENT
        assert job_runs.last_success(connection, Job.FORECAST, "PJM") is None
        assert job_runs.last_success(connection, Job.INGESTION, "NY") is None
