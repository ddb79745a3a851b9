"""Rollback by hand: the champion before, or a chosen version, serves again, and the log says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from energy_demand.database import decisions
from energy_demand.database.job_runs import Job, JobRunningError, job_lock
from energy_demand.jobs.drift_check import refresh_reference
from energy_demand.monitoring.retraining_policy import Trigger
from energy_demand.notifications.notify import notifying

if TYPE_CHECKING:
    from datetime import datetime

    from energy_demand.config import Settings
    from energy_demand.database.engine import Database
    from energy_demand.registry.registry import Registry


def roll_back(
    database: Database, registry: Registry, settings: Settings, now: datetime, to: str | None = None
) -> tuple[str, str]:
    """Let the champion before this one serve again, or the version `to`; note it in the retraining log.

    Returns:
        The version that serves now and the one that served.

    Raises:
        JobRunningError: a retraining or another rollback is running; no champion was changed.
        NoRollbackError: there is no version to go back to, or it serves already; nothing is noted.
    """
    respondent = settings.region.respondent
    # A retraining in progress could promote its model over the rollback.
    try:
        with notifying(database, settings), job_lock(database, Job.RETRAIN, respondent):
            serves, served = registry.rollback(to)
            database.run(
                lambda connection: decisions.note_rollback(
                    connection, respondent, served, Trigger.MANUAL.value, now
                )
            )
            refresh_reference(database, registry, settings)
    except JobRunningError as error:
        raise JobRunningError(
            f"{error} (a retraining or another rollback). No champion was changed"
        ) from error
    return serves, served
