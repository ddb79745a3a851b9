"""Prefect's flows. They hold no logic: each takes its turn and calls the job of the same name.

Without a server they run in the calling process. Tasks are tried again where something outside was away; a
run that finds another one under way, or that was caught up already, ends as `Skipped`.
"""

from __future__ import annotations

from datetime import date, datetime  # noqa: TC003  (Prefect reads the annotations of parameters)
from typing import TYPE_CHECKING, Any

from energy_demand.config import load_settings, opt_out_of_telemetry
from energy_demand.data.ingestion.ingest import (
    IngestInterruptedError,
    RangeError,
    backfill_span,
    trailing_span,
)
from energy_demand.database.engine import DatabaseUnavailableError, opened
from energy_demand.database.job_runs import Job, JobRunningError
from energy_demand.jobs.drift_check import run_check
from energy_demand.jobs.ingestion import run_ingestion
from energy_demand.jobs.job_lock import run_exclusively
from energy_demand.jobs.retraining import BY_HAND, run_retraining
from energy_demand.jobs.scheduled_forecast import NothingNewError, run_scheduled_forecast
from energy_demand.monitoring.retraining_policy import Trigger
from energy_demand.registry.mlflow_store import RegistryUnavailableError
from energy_demand.registry.registry import Registry
from energy_demand.timeaxis import local_day

opt_out_of_telemetry()  # Prefect reads it when it is imported
from prefect import flow, runtime, task  # noqa: E402
from prefect.states import Completed  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable

    from prefect import Task
    from prefect.client.schemas.objects import State, TaskRun

    from energy_demand.config import Settings
    from energy_demand.database.engine import Database
    from energy_demand.jobs.drift_check import DriftOutcome
    from energy_demand.jobs.ingestion import IngestionOutcome
    from energy_demand.jobs.retraining import RetrainingOutcome
    from energy_demand.jobs.scheduled_forecast import ScheduledForecast

# What may be back in a minute.
AWAY = (IngestInterruptedError, DatabaseUnavailableError, RegistryUnavailableError)


def _was_away(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Whether to try again."""
    return isinstance(state.result(raise_on_failure=False), AWAY)


@task(name="ingest", retries=3, retry_delay_seconds=[30, 120, 600], retry_condition_fn=_was_away)
def ingest_task(
    start: date | None, end: date | None, days_back: int, scheduled_at: datetime | None
) -> dict[str, Any] | None:
    """The ingestion job."""
    if start is None and end is not None:
        raise RangeError(f"the end {end} needs a start; nothing was asked for")

    def work(settings: Settings, database: Database, now: datetime) -> IngestionOutcome:
        if start is None:
            span = trailing_span(database, settings, now, days_back)
        else:
            span = backfill_span(settings, start, end or local_day(now, settings.region.zone), now)
        return run_ingestion(database, settings, span, now, _silent)

    return _run(Job.INGESTION, work, scheduled_at)


@task(name="check", retries=2, retry_delay_seconds=[30, 300], retry_condition_fn=_was_away)
def check_task(scheduled_at: datetime | None) -> dict[str, Any] | None:
    """The drift check."""
    return _run(
        Job.DRIFT_CHECK,
        lambda settings, database, now: run_check(database, Registry(settings), settings, now),
        scheduled_at,
    )


@task(name="train-and-judge", retries=1, retry_delay_seconds=300, retry_condition_fn=_was_away)
def retrain_task(trigger: str, reason: str) -> dict[str, Any] | None:
    """The retraining job."""
    return _run(
        Job.RETRAIN,
        lambda settings, database, now: run_retraining(
            database, Registry(settings), settings, now, trigger=Trigger(trigger), reason=reason
        ),
    )


@task(name="forecast-tomorrow", retries=5, retry_delay_seconds=60, retry_condition_fn=_was_away)
def forecast_task(scheduled_at: datetime | None) -> dict[str, Any] | None:
    """The morning job."""
    return _run(
        Job.FORECAST,
        lambda settings, database, now: run_scheduled_forecast(
            database, Registry(settings), settings, now, _silent
        ),
        scheduled_at,
    )


@flow(name="data-ingestion")
def data_ingestion_flow(start: date | None = None, end: date | None = None, days_back: int = 7) -> Any:
    """Fetch what is new, and the last `days_back` days again for revisions; or the days `start` to `end`."""
    return _or_skipped(lambda: ingest_task(start, end, days_back, _scheduled_at()))


@flow(name="drift-check")
def drift_check_flow() -> Any:
    """Look for drift, and retrain where that is decided."""
    found = _or_skipped(lambda: check_task(_scheduled_at()))
    if isinstance(found, dict) and found["retrain"]:
        retrain_flow(found["trigger"], found["reason"])
    return found


@flow(name="retrain")
def retrain_flow(trigger: str = Trigger.MANUAL.value, reason: str = BY_HAND) -> Any:
    """Train, judge, and let the new model serve if it is proven."""
    return _or_skipped(lambda: retrain_task(trigger, reason))


@flow(name="forecast")
def forecast_flow() -> Any:
    """Fetch what is new, then log tomorrow's forecast; fails, after the forecast, where nothing came."""
    made = _or_skipped(lambda: forecast_task(_scheduled_at()))
    if isinstance(made, dict) and made["trouble"] is not None:
        raise NothingNewError(made["trouble"])
    return made


def _or_skipped(work: Callable[[], dict[str, Any] | None]) -> Any:
    try:
        done = work()
    except JobRunningError as error:
        return Completed(name="Skipped", message=str(error))
    return Completed(name="Skipped", message="a later run caught up already") if done is None else done


def _scheduled_at() -> datetime | None:
    """When the server meant this run to begin; None where there is no run."""
    planned: datetime | None = runtime.flow_run.scheduled_start_time
    return planned


def _run(
    job: Job,
    work: Callable[
        [Settings, Database, datetime],
        IngestionOutcome | DriftOutcome | RetrainingOutcome | ScheduledForecast,
    ],
    scheduled_at: datetime | None = None,
) -> dict[str, Any] | None:
    """A job in its turn, on the database of the settings; None where there was nothing to do."""
    settings = load_settings()
    with opened(settings) as database:
        now = settings.present()
        done = run_exclusively(
            database,
            settings,
            job,
            now,
            lambda: work(settings, database, now),
            scheduled_at=scheduled_at,
        )
        return None if done is None else done.to_json()


def _silent(step: str, done: int, total: int) -> None:
    """Flows show no bars."""
