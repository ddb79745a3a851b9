"""Job locks (one run of a job at a time) and when each job last started, succeeded and failed.

The lock is an advisory lock: PostgreSQL drops it with its connection, so a killed run leaves nothing behind.
"""

from __future__ import annotations

from contextlib import contextmanager
from enum import IntEnum
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import SQLAlchemyError

from energy_demand import locks
from energy_demand.database.storable import storable
from energy_demand.database.tables import job_run
from energy_demand.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from energy_demand.database.engine import Database


class Job(IntEnum):
    """Jobs of which one run at a time is allowed; the number is that of the lock (`locks`)."""

    INGESTION = locks.INGESTION_JOB
    DRIFT_CHECK = locks.DRIFT_CHECK_JOB
    RETRAIN = locks.RETRAIN_JOB
    FORECAST = locks.FORECAST_JOB

    @property
    def title(self) -> str:
        """The name in messages."""
        return self.name.lower().replace("_", " ")


class JobRunningError(UserError, RuntimeError):
    """The job is already running; this run did nothing."""


@contextmanager
def job_lock(database: Database, job: Job, respondent: str) -> Iterator[None]:
    """Hold the job's lock for the length of a `with` block.

    Raises:
        JobRunningError: another process or thread holds it.
        DatabaseUnavailableError: the database cannot be reached.
    """
    key = {"job": int(job), "respondent": respondent}
    connection: sa.Connection | None = None
    try:
        with database.transaction() as probe:  # raises DatabaseUnavailableError if it is unreachable
            probe.execute(sa.select(1))
        connection = database.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        acquired = connection.scalar(sa.text("SELECT pg_try_advisory_lock(:job, hashtext(:respondent))"), key)
        if not acquired:
            raise JobRunningError(
                f"another {job.title} job for {respondent} is already running on {database.label}; "
                "nothing was done. Try again when it has ended"
            )
        yield
    finally:
        if connection is not None:
            _release(connection, key)


def record_start(connection: sa.Connection, job: Job, respondent: str, now: datetime) -> None:
    """Note that a run of the job began."""
    row = insert(job_run).values(job=job.name, respondent=respondent, last_started_at=now)
    connection.execute(
        row.on_conflict_do_update(
            index_elements=["job", "respondent"], set_={"last_started_at": row.excluded.last_started_at}
        )
    )


def record_end(
    connection: sa.Connection, job: Job, respondent: str, now: datetime, error: str | None = None
) -> None:
    """Note how the run that began at `now` ended."""
    values = {"last_error": storable(error)} if error else {"last_error": None, "last_success_at": now}
    connection.execute(
        sa.update(job_run)
        .where(job_run.c.job == job.name, job_run.c.respondent == respondent)
        .values(**values)
    )


def last_success(connection: sa.Connection, job: Job, respondent: str) -> datetime | None:
    """When the newest successful run began, or None."""
    return connection.scalar(
        sa.select(job_run.c.last_success_at).where(
            job_run.c.job == job.name, job_run.c.respondent == respondent
        )
    )


def _release(connection: sa.Connection, key: Mapping[str, object]) -> None:
    try:
        # Released explicitly, because the server notices a closed session only a little later.
        connection.execute(sa.text("SELECT pg_advisory_unlock(:job, hashtext(:respondent))"), key)
        connection.invalidate()
    except SQLAlchemyError:  # the connection is lost, and the lock with it
        pass
    finally:
        connection.close()
