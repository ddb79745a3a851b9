"""How a job runs: under its lock, with start and end recorded, once for all missed schedules, with notice."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, TypeVar

from energy_demand.database import job_runs
from energy_demand.logs import redact
from energy_demand.notifications.notify import notifying

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from energy_demand.config import Settings
    from energy_demand.database.engine import Database
    from energy_demand.database.job_runs import Job, JobLock

    T = TypeVar("T")

LONGEST_ERROR = 500

_log = logging.getLogger(__name__)


def run_exclusively(
    database: Database,
    settings: Settings,
    job: Job,
    now: datetime,
    work: Callable[[JobLock], T],
    *,
    scheduled_at: datetime | None = None,
) -> T | None:
    """Run `work` under the job lock and return its result, then notify people.

    Args:
        database: that has the lock.
        settings: for the region.
        job: the job to run.
        now: start of this run.
        work: does the job; it calls the lock's `check` before it writes what must not be written twice.
        scheduled_at: when it should have run. If a later run succeeded, this one is skipped.

    Returns:
        None if the run was skipped.

    Raises:
        JobRunningError: the job is already running.
        JobLockLostError: `work` checked the lock, which another run has taken meanwhile.
    """
    respondent = settings.region.respondent
    # After the lock is given back, so that a slow receiver holds up no other run.
    with notifying(database, settings), job_runs.job_lock(database, job, respondent) as lock:
        last_success = database.run(lambda connection: job_runs.last_success(connection, job, respondent))
        if scheduled_at is not None and last_success is not None and last_success >= scheduled_at:
            _log.info(
                "%s of %s: a later run at %s already did this work", job.title, scheduled_at, last_success
            )
            return None
        lock.note_start(now)
        try:
            result = work(lock)
        except job_runs.JobLockLostError:
            raise  # the record of the job is the other run's
        except Exception as error:
            reason = redact(str(error) or type(error).__name__)[:LONGEST_ERROR]
            _record_end(database, lock, job, respondent, now, reason)
            raise
        _record_end(database, lock, job, respondent, now)
        return result


def _record_end(
    database: Database, lock: JobLock, job: Job, respondent: str, now: datetime, reason: str | None = None
) -> None:
    """Record how the run ended, unless the record is another run's by now."""
    try:
        lock.check()
    except job_runs.JobLockLostError as error:
        _log.warning("the end of this run is not recorded: %s", error)
        return
    database.run(lambda connection: job_runs.record_end(connection, job, respondent, now, reason))
