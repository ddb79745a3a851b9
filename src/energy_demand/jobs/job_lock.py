"""How a job runs: alone, noted when it begins and ends, and once for all the times it was missed."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, TypeVar

from energy_demand.database import job_runs
from energy_demand.logs import redact

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from energy_demand.config import Settings
    from energy_demand.database.engine import Database
    from energy_demand.database.job_runs import Job

    T = TypeVar("T")

LONGEST_ERROR = 500

_log = logging.getLogger(__name__)


def run_exclusively(
    database: Database,
    settings: Settings,
    job: Job,
    now: datetime,
    work: Callable[[], T],
    *,
    scheduled_at: datetime | None = None,
) -> T | None:
    """What `work` returns, run while no other run of the job is under way.

    Args:
        database: whose lock it takes.
        settings: for the region.
        job: which.
        now: when this run begins.
        work: the job itself.
        scheduled_at: when it should have run. Where a later run went well, this one has nothing to do.

    Returns:
        None where there was nothing to do.

    Raises:
        JobRunningError: another run is under way.
    """
    respondent = settings.region.respondent
    with job_runs.job_lock(database, job, respondent):
        done = database.run(lambda connection: job_runs.last_success(connection, job, respondent))
        if scheduled_at is not None and done is not None and done >= scheduled_at:
            _log.info("%s of %s: a later run at %s already did this work", job.title, scheduled_at, done)
            return None
        database.run(lambda connection: job_runs.record_start(connection, job, respondent, now))
        try:
            result = work()
        except Exception as error:
            reason = redact(str(error) or type(error).__name__)[:LONGEST_ERROR]
            database.run(lambda connection: job_runs.record_end(connection, job, respondent, now, reason))
            raise
        database.run(lambda connection: job_runs.record_end(connection, job, respondent, now))
        return result
