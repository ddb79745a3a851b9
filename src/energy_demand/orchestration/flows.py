"""The Prefect flows. They have no logic: each takes the job lock and calls the job of the same name.

A run is one region's (None: the default region's), so that a region that fails stops no other.
Without a server they run in the calling process. A task is retried if an external system was unavailable. A
run ends as `Skipped` if the same job is running or a later run already did its work.
"""

from __future__ import annotations

from datetime import date, datetime  # noqa: TC003  (Prefect reads the annotations of parameters)
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from energy_demand.by_region import ByRegion
from energy_demand.config import load_settings, opt_out_of_telemetry
from energy_demand.data.ingestion.ingest import (
    IngestInterruptedError,
    RangeError,
    backfill_span,
    trailing_span,
)
from energy_demand.database.engine import DatabaseUnavailableError, opened
from energy_demand.database.job_runs import Job, JobLock, JobRunningError
from energy_demand.errors import UserError
from energy_demand.jobs.daily_check import run_daily_check
from energy_demand.jobs.fan_out.workers import workers_of
from energy_demand.jobs.ingestion import run_ingestion
from energy_demand.jobs.job_lock import run_exclusively
from energy_demand.jobs.retraining import BY_HAND, run_retraining
from energy_demand.jobs.scheduled_forecast import NothingNewError, run_scheduled_forecast
from energy_demand.logs import redact
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
    from prefect.task_runners import TaskRunner

    from energy_demand.config import Settings
    from energy_demand.database.engine import Database
    from energy_demand.jobs.drift_check import DriftOutcome
    from energy_demand.jobs.ingestion import IngestionOutcome
    from energy_demand.jobs.retraining import RetrainingOutcome
    from energy_demand.jobs.scheduled_forecast import ScheduledForecast

DAYS_BACK = 7  # of an ingestion, for revisions
# Failures that a retry may resolve.
AWAY = (IngestInterruptedError, DatabaseUnavailableError, RegistryUnavailableError)


def _was_away(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Whether to try again."""
    return isinstance(state.result(raise_on_failure=False), AWAY)


@task(name="ingest", retries=3, retry_delay_seconds=[30, 120, 600], retry_condition_fn=_was_away)
def ingest_task(
    start: date | None,
    end: date | None,
    days_back: int,
    scheduled_at: datetime | None,
    region: str | None = None,
) -> dict[str, Any] | None:
    """The ingestion job."""
    if start is None and end is not None:
        raise RangeError(f"end {end} is given without a start; nothing was fetched. Give both, or neither")

    def work(settings: Settings, database: Database, now: datetime, _lock: JobLock) -> IngestionOutcome:
        if start is None:
            span = trailing_span(database, settings, now, days_back)
        else:
            span = backfill_span(settings, start, end or local_day(now, settings.region.zone), now)
        outcome = run_ingestion(database, settings, span, now, _silent)
        outcome.raise_failures()
        return outcome

    return _run(Job.INGESTION, work, region, scheduled_at)


@task(name="check", retries=2, retry_delay_seconds=[30, 300], retry_condition_fn=_was_away)
def check_task(scheduled_at: datetime | None, region: str | None = None) -> dict[str, Any] | None:
    """Judge the models in the shadow, and check for drift."""
    return _run(
        Job.DRIFT_CHECK,
        lambda settings, database, now, _lock: run_daily_check(database, Registry(settings), settings, now),
        region,
        scheduled_at,
    )


@task(name="train-and-judge", retries=1, retry_delay_seconds=300, retry_condition_fn=_was_away)
def retrain_task(trigger: str, reason: str, region: str | None = None) -> dict[str, Any] | None:
    """The retraining job."""
    return _run(
        Job.RETRAIN,
        lambda settings, database, now, lock: run_retraining(
            database,
            Registry(settings),
            settings,
            now,
            trigger=Trigger(trigger),
            reason=reason,
            check_lock=lock.check,
        ),
        region,
    )


@task(name="forecast-tomorrow", retries=5, retry_delay_seconds=60, retry_condition_fn=_was_away)
def forecast_task(scheduled_at: datetime | None, region: str | None = None) -> dict[str, Any] | None:
    """The morning job."""
    return _run(
        Job.FORECAST,
        lambda settings, database, now, _lock: run_scheduled_forecast(
            database, Registry(settings), settings, now, _silent
        ),
        region,
        scheduled_at,
    )


class ScheduledJob(StrEnum):
    """A job that has a schedule, by the name of its flow."""

    INGESTION = "data-ingestion"
    DRIFT_CHECK = "drift-check"
    FORECAST = "forecast"


JOBS: dict[ScheduledJob, Task[..., Any]] = {
    ScheduledJob.INGESTION: ingest_task,
    ScheduledJob.DRIFT_CHECK: check_task,
    ScheduledJob.FORECAST: forecast_task,
}


class NoSchedulerError(UserError, RuntimeError):
    """No Dask scheduler is set, so jobs cannot be shared among its workers."""


@flow(name="data-ingestion")
def data_ingestion_flow(
    start: date | None = None, end: date | None = None, days_back: int = DAYS_BACK, region: str | None = None
) -> Any:
    """Fetch new data and the last `days_back` days again for revisions, or the days `start` to `end`."""
    return _or_skipped(lambda: ingest_task(start, end, days_back, _scheduled_at(), region))


@flow(name="drift-check")
def drift_check_flow(region: str | None = None) -> Any:
    """Judge the models in the shadow, check for drift, and retrain if the policy asks for it."""
    found = _or_skipped(lambda: check_task(_scheduled_at(), region))
    if isinstance(found, dict) and found["retrain"]:
        retrain_flow(found["trigger"], found["reason"], region)
    return found


@flow(name="retrain")
def retrain_flow(
    trigger: str = Trigger.MANUAL.value, reason: str = BY_HAND, region: str | None = None
) -> Any:
    """Train a challenger, and promote it if it passes the contest, now or after days in the shadow."""
    return _or_skipped(lambda: retrain_task(trigger, reason, region))


@flow(name="forecast")
def forecast_flow(region: str | None = None) -> Any:
    """Fetch new data, then log tomorrow's forecast; fails after the forecast if nothing could be fetched."""
    outcome = _or_skipped(lambda: forecast_task(_scheduled_at(), region))
    if isinstance(outcome, dict) and outcome["trouble"] is not None:
        raise NothingNewError(outcome["trouble"])
    return outcome


@flow(name="regions")
def regions_flow(job: ScheduledJob, regions: list[str]) -> Any:
    """Run a scheduled job of several regions on the Dask cluster of DASK_SCHEDULER.

    A region that fails stops no other; the run fails after them, with a line for each that failed.
    """
    common: dict[str, Any] = {"scheduled_at": _scheduled_at()}
    if job is ScheduledJob.INGESTION:
        common |= {"start": None, "end": None, "days_back": DAYS_BACK}
    outcome: ByRegion[Any] = ByRegion()
    with _on_dask() as runner:
        _submit(runner, JOBS[job], {code: {**common, "region": code} for code in regions}, outcome)
        if job is ScheduledJob.DRIFT_CHECK:
            asked = {
                code: {"trigger": found["trigger"], "reason": found["reason"], "region": code}
                for code, found in outcome.done.items()
                if found is not None and found["retrain"]
            }
            _submit(runner, retrain_task, asked, outcome)
    outcome.raise_failures()
    return outcome.done


def _on_dask() -> TaskRunner[Any]:
    """Runs tasks on the cluster of the settings.

    Raises:
        NoSchedulerError: none is set.
        WorkersError: it cannot be used.
    """
    address = load_settings().dask_scheduler
    if address is None:
        raise NoSchedulerError("DASK_SCHEDULER is not set; docs/scaling.md says how to start a scheduler")
    from prefect_dask.task_runners import DaskTaskRunner  # noqa: PLC0415  (only with the extra `scale`)

    with workers_of(address=address):  # says what is wrong with it
        return DaskTaskRunner(address=address)


def _submit(
    runner: TaskRunner[Any],
    of_region: Task[..., Any],
    parameters: dict[str, dict[str, Any]],
    outcome: ByRegion[Any],
) -> None:
    """Run a task for each region, and note what it gave (None: another run did the work) or why it failed."""
    runs = {code: runner.submit(of_region, given) for code, given in parameters.items()}
    for code, run in runs.items():
        run.wait()
        found = run.state.result(raise_on_failure=False)
        if isinstance(found, JobRunningError):
            outcome.done[code] = None
        elif isinstance(found, BaseException):
            outcome.failed[code] = redact(str(found))
        elif found is not None and found.get("trouble") is not None:
            outcome.failed[code] = redact(found["trouble"])
        else:
            outcome.done[code] = found


def _or_skipped(work: Callable[[], dict[str, Any] | None]) -> Any:
    try:
        outcome = work()
    except JobRunningError as error:
        return Completed(name="Skipped", message=str(error))
    if outcome is None:
        return Completed(name="Skipped", message="a later run already did this work")
    return outcome


def _scheduled_at() -> datetime | None:
    """The scheduled start of this run; None outside a run."""
    scheduled_start: datetime | None = runtime.flow_run.scheduled_start_time
    return scheduled_start


def _run(
    job: Job,
    work: Callable[
        [Settings, Database, datetime, JobLock],
        IngestionOutcome | DriftOutcome | RetrainingOutcome | ScheduledForecast,
    ],
    region: str | None,
    scheduled_at: datetime | None = None,
) -> dict[str, Any] | None:
    """Run a region's job under its lock, on the database of the settings; None if there was nothing to do."""
    settings = load_settings()
    if region is not None:
        settings = settings.for_region(region)
    with opened(settings) as database:
        now = settings.present()
        outcome = run_exclusively(
            database,
            settings,
            job,
            now,
            lambda lock: work(settings, database, now, lock),
            scheduled_at=scheduled_at,
        )
        return None if outcome is None else outcome.to_json()


def _silent(step: str, done: int, total: int) -> None:
    """Flows show no progress bars."""
