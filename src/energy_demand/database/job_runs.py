"""Job locks (one run of a job at a time) and when each job last started, succeeded and failed.

The lock is an advisory lock: PostgreSQL drops it with its connection, so a killed run leaves nothing behind.
"""

from __future__ import annotations

import logging
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


_log = logging.getLogger(__name__)


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


class JobLockLostError(UserError, RuntimeError):
    """The job lost its lock to another run of the job, and ended before it wrote a result."""


class JobLock:
    """The lock of a running job: an advisory lock on a connection of its own, lost with that connection.

    Each holder marks the job's row in `job_run`, so that a run that takes the lock again can tell whether
    another one had it meanwhile.
    """

    def __init__(self, database: Database, job: Job, respondent: str) -> None:
        """Not held until `take`."""
        self._database = database
        self._job = job
        self._respondent = respondent
        self._key = {"job": int(job), "respondent": respondent}
        self._connection: sa.Connection | None = None
        self._mark: str | None = None

    def take(self) -> None:
        """Take the lock.

        Raises:
            JobRunningError: another process or thread holds it.
            DatabaseUnavailableError: the database cannot be reached.
        """
        with self._database.transaction() as probe:  # raises DatabaseUnavailableError if it is unreachable
            probe.execute(sa.select(1))
        if not self._try():
            raise JobRunningError(
                f"another {self._job.title} job for {self._respondent} is already running on "
                f"{self._database.label}; nothing was done. Try again when it has ended"
            )
        self._mark_row()

    def check(self) -> None:
        """Make sure that the lock is held, before something is written that counts.

        A lock that was lost (the database restarted) is taken again if no other run has it or had it since.

        Raises:
            JobLockLostError: another run of the job has it, or had it.
            DatabaseUnavailableError: the database cannot be reached.
        """
        if self._is_held():
            return
        self.release()
        self._database.run(lambda probe: probe.execute(sa.select(1)))  # waits while the server starts
        if not self._try():
            raise self._lost("another one is running")
        if self._marked() != self._mark:
            raise self._lost("another one has run since")
        self._mark_row()
        _log.warning("%s of %s: the job lock was lost and taken again", self._job.title, self._respondent)

    def note_start(self, now: datetime) -> None:
        """Note that the run began.

        Raises:
            JobLockLostError: another run of the job has the lock, or had it.
            DatabaseUnavailableError: the database cannot be reached.
        """
        self.check()
        self._database.run(lambda connection: record_start(connection, self._job, self._respondent, now))
        self._mark = self._marked()

    def release(self) -> None:
        """Give the lock back; nothing happens if it is not held."""
        connection, self._connection = self._connection, None
        if connection is not None:
            _release(connection, self._key)

    def _try(self) -> bool:
        connection = self._database.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        taken = sa.text("SELECT pg_try_advisory_lock(:job, hashtext(:respondent))")
        self._connection = connection
        if not connection.scalar(taken, self._key):
            self.release()
        return self._connection is not None

    def _is_held(self) -> bool:
        """Whether the lock's connection lives, and the lock with it."""
        if self._connection is None or self._connection.invalidated:
            return False
        try:
            self._connection.execute(sa.select(1))
        except SQLAlchemyError:
            return False
        return True

    def _mark_row(self) -> None:
        """Write the job's row as it is, which gives it a new `xmin`; nothing where the job never ran."""
        row = sa.update(job_run).where(
            job_run.c.job == self._job.name, job_run.c.respondent == self._respondent
        )
        self._database.run(lambda connection: connection.execute(row.values(job=self._job.name)))
        self._mark = self._marked()

    def _marked(self) -> str | None:
        """The transaction that wrote the job's row last."""
        query = sa.text("SELECT xmin::text FROM job_run WHERE job = :job AND respondent = :respondent")
        row = {"job": self._job.name, "respondent": self._respondent}
        mark: str | None = self._database.run(lambda connection: connection.scalar(query, row))
        return mark

    def _lost(self, why: str) -> JobLockLostError:
        return JobLockLostError(
            f"the {self._job.title} job for {self._respondent} lost its lock with the connection to "
            f"{self._database.label}, and {why}; this one ended before it changed anything. "
            "Check that the database stays up; the next scheduled run tries again"
        )


@contextmanager
def job_lock(database: Database, job: Job, respondent: str) -> Iterator[JobLock]:
    """Hold the job's lock for the length of a `with` block.

    Raises:
        JobRunningError: another process or thread holds it.
        DatabaseUnavailableError: the database cannot be reached.
    """
    lock = JobLock(database, job, respondent)
    try:
        lock.take()
        yield lock
    finally:
        lock.release()


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
