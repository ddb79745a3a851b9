"""The daily check: judge the models in the shadow, then look for drift."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from energy_demand.database.job_runs import Job, JobRunningError, job_lock
from energy_demand.errors import UserError
from energy_demand.jobs.drift_check import run_check
from energy_demand.jobs.shadow import judge_shadows

if TYPE_CHECKING:
    from datetime import datetime

    from energy_demand.config import Settings
    from energy_demand.database.engine import Database
    from energy_demand.jobs.drift_check import DriftOutcome
    from energy_demand.registry.registry import Registry

_log = logging.getLogger(__name__)


def run_daily_check(
    database: Database, registry: Registry, settings: Settings, now: datetime
) -> DriftOutcome:
    """Promote, refuse or roll back as the shadows' tests say, then check for drift with the champion of then.

    While a retraining runs nothing is judged; the next check does it. Where judging fails, the check is made
    all the same, and the failure is raised afterwards.

    Raises:
        NoChampionError, NoDemandError, RegistryUnavailableError, ModelRefusedError: as `run_check`.
    """
    failure, judged = None, None
    try:
        with job_lock(database, Job.RETRAIN, settings.region.respondent) as lock:
            judged = judge_shadows(database, registry, settings, now, check_lock=lock.check)
    except JobRunningError:
        _log.info("a retraining is running; the models in the shadow are judged at the next check")
    except UserError as error:
        failure = error
        _log.error("the models in the shadow could not be judged: %s", error)
    outcome = run_check(database, registry, settings, now)
    if failure is not None:
        raise failure
    return outcome if judged is None else replace(outcome, shadow=judged.to_json())
