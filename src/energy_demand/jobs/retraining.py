"""The retraining job: train → contest → verdict or shadow, then the log, the drift reference and pruning.

One at a time. A run that was killed leaves a row with outcome `running`; the next run completes that row. A
failure must never change the champion.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from energy_demand.database import decisions
from energy_demand.evaluation.contest import best_of_year
from energy_demand.evaluation.promotion import Decision
from energy_demand.jobs.contest_state import read_shadows
from energy_demand.jobs.drift_check import refresh_reference
from energy_demand.jobs.job_lock import LONGEST_ERROR
from energy_demand.jobs.shadow import plain_verdict, stored_contest
from energy_demand.jobs.training import TrainingOutcome, promotions_of, run_training
from energy_demand.logs import redact
from energy_demand.model.train import TooFewRowsError
from energy_demand.registry.mlflow_store import RegistryUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    import sqlalchemy as sa

    from energy_demand.config import Settings
    from energy_demand.database.engine import Database
    from energy_demand.model.train import Recipe
    from energy_demand.monitoring.retraining_policy import Trigger
    from energy_demand.registry.registry import Registry, Version

OUTCOMES = {
    Decision.PROMOTED: "promoted",
    Decision.REFUSED: "not_promoted",
    Decision.UNDECIDED: "shadow",
}
BY_HAND = "requested by hand"
KILLED = "the process ended before the retraining finished"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RetrainingOutcome:
    """The result of a retraining."""

    trigger: Trigger
    reason: str
    training: TrainingOutcome
    pruned: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The body of `retrain --json`."""
        return {
            "trigger": self.trigger.value,
            "reason": self.reason,
            **self.training.to_json(),
            "pruned": list(self.pruned),
        }


def run_retraining(
    database: Database,
    registry: Registry,
    settings: Settings,
    now: datetime,
    *,
    trigger: Trigger,
    reason: str = BY_HAND,
    recipe: Recipe | None = None,
    check_lock: Callable[[], None] = lambda: None,
    progress: Callable[[str], None] = lambda step: None,  # noqa: ARG005
) -> RetrainingOutcome:
    """Train on everything known, and promote the new model if it wins the contest. Needs the job lock.

    `check_lock` makes sure of it before a version is registered or promoted. A model that is not decided on
    goes into the shadow, in place of one that is there.

    Raises:
        NoDemandError: nothing is stored.
        TooFewRowsError: there is not enough data to train on; nothing was changed.
        RegistryUnavailableError: MLflow failed; the champion is unchanged.
        JobLockLostError: another retraining took the lock; the champion is unchanged.
    """
    respondent = settings.region.respondent
    champion: str | None = None
    _complete_killed(database, registry, settings, now)
    number = database.run(
        lambda connection: decisions.begin_retraining(connection, respondent, now, trigger.value, reason)
    )

    def registered(version: Version) -> None:
        database.run(
            lambda connection: decisions.note_version(connection, number, version.version, version.run_id)
        )

    def end(outcome: str, training: TrainingOutcome | None = None, error: str | None = None) -> None:
        verdict = None if training is None else plain_verdict(training.verdict)
        contest = (
            None
            if training is None or "period" not in training.contest
            else stored_contest(training.contest, champion, refit=trigger.is_routine)
        )

        def write(connection: sa.Connection) -> None:
            if training is not None and training.verdict.decision is not Decision.REFUSED:
                decisions.supersede(connection, respondent, number, training.version.version, now)
            decisions.end_retraining(
                connection,
                number,
                settings.present(),
                outcome,
                verdict=verdict,
                contest=contest,
                error=error,
            )

        database.run(write)

    try:
        champion = registry.champion_version()
        training = run_training(
            database,
            registry,
            settings,
            now,
            recipe=recipe,
            refit=trigger.is_routine,
            check_lock=check_lock,
            registered=registered,
            progress=progress,
        )
    except Exception as error:
        too_few = isinstance(error, TooFewRowsError)
        end(
            "skipped" if too_few else "failed",
            error=redact(str(error) or type(error).__name__)[:LONGEST_ERROR],
        )
        raise
    end(OUTCOMES[training.verdict.decision], training)
    progress("storing the drift reference")
    pruned = _afterwards(database, registry, settings, now)
    return RetrainingOutcome(trigger, reason, training, pruned)


def _complete_killed(database: Database, registry: Registry, settings: Settings, now: datetime) -> None:
    """Record the outcome of retrainings that were killed. None of them runs now: this job has the lock."""
    respondent = settings.region.respondent
    unfinished = database.run(lambda connection: decisions.unfinished_retrainings(connection, respondent))
    if not unfinished:
        return
    champion = registry.champion_version()

    def complete(connection: sa.Connection) -> None:
        for row in unfinished:
            serves = row["model_version"] is not None and row["model_version"] == champion
            outcome, error = ("promoted", None) if serves else ("failed", KILLED)
            decisions.end_retraining(connection, row["id"], now, outcome, error=error)

    database.run(complete)


def _afterwards(database: Database, registry: Registry, settings: Settings, now: datetime) -> tuple[str, ...]:
    """Write the drift reference and prune old versions; a failure does not change the verdict."""
    respondent = settings.region.respondent
    try:
        refresh_reference(database, registry, settings)
        needed = set(read_shadows(database, registry, settings, now).versions)
        chain = promotions_of(database.run(lambda connection: decisions.promotions(connection, respondent)))
        best = best_of_year(chain, now)
        return tuple(registry.prune(settings.model_versions_kept, needed | ({best} if best else set())))
    except RegistryUnavailableError as error:
        _log.warning("old model versions could not be deleted: %s", error)
        return ()
