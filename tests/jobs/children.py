"""Jobs in child processes that kill themselves with `kill -9` or wait at a given point."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from short import SHORT

from energy_demand.data.ingestion.ingest import trailing_span
from energy_demand.database.engine import opened
from energy_demand.database.job_runs import Job, JobLock
from energy_demand.jobs.daily_check import run_daily_check
from energy_demand.jobs.ingestion import run_ingestion
from energy_demand.jobs.job_lock import run_exclusively
from energy_demand.jobs.retraining import run_retraining
from energy_demand.jobs.scheduled_forecast import run_scheduled_forecast
from energy_demand.monitoring.retraining_policy import Trigger
from energy_demand.registry.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from energy_demand.config import Settings
    from energy_demand.database.engine import Database

# Children are forked from a process without threads that has already imported the slow modules.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(
    ["mlflow.lightgbm", "evidently.presets", "energy_demand.evaluation.policy_replay"]
)
SECONDS = 60.0

# `before` or `after`, and a function that a job calls, as `module:name` or `module:Class.name`.
Point = tuple[str, str]


def silent(step: str, done: int, total: int) -> None:
    pass


def run_job(job: Job, database: Database, settings: Settings) -> Any:
    """The job as commands and flows run it, with a recipe that is quick to fit."""
    now, registry = settings.present(), Registry(settings)
    work: dict[Job, Callable[[JobLock], Any]] = {
        Job.INGESTION: lambda _: run_ingestion(
            database, settings, trailing_span(database, settings, now), now, silent
        ),
        Job.DRIFT_CHECK: lambda _: run_daily_check(database, registry, settings, now),
        Job.RETRAIN: lambda lock: run_retraining(
            database,
            registry,
            settings,
            now,
            trigger=Trigger.MANUAL,
            recipe=SHORT,
            check_lock=lock.check,
        ),
        Job.FORECAST: lambda _: run_scheduled_forecast(database, registry, settings, now, silent),
    }
    return run_exclusively(database, settings, job, now, work[job])


def run_and_kill(job: Job, settings: Settings, point: Point) -> None:
    """Run a job in a process that kills itself at the point."""
    child = PROCESSES.Process(target=_killed, args=(job, settings, point))
    child.start()
    child.join(SECONDS)
    assert child.exitcode == -signal.SIGKILL


@contextmanager
def held_at(job: Job, settings: Settings, point: Point) -> Iterator[Any]:
    """A process that runs a job and waits at the point for the length of a `with` block; then it goes on."""
    reached, go_on = PROCESSES.Event(), PROCESSES.Event()
    child = PROCESSES.Process(target=_waiting, args=(job, settings, point, reached, go_on))
    child.start()
    try:
        assert reached.wait(SECONDS)
        yield child
    finally:
        go_on.set()
        child.join(SECONDS)
        child.kill()


def _killed(job: Job, settings: Settings, point: Point) -> None:
    _at(point, lambda: os.kill(os.getpid(), signal.SIGKILL))
    _run(job, settings)


def _waiting(job: Job, settings: Settings, point: Point, reached: Any, go_on: Any) -> None:
    def wait() -> None:
        reached.set()
        go_on.wait(SECONDS)

    _at(point, wait)
    _run(job, settings)


def _run(job: Job, settings: Settings) -> None:
    with opened(settings) as database:
        run_job(job, database, settings)


def _at(point: Point, what: Callable[[], None]) -> None:
    """Do something before or after a function is called."""
    when, where = point
    module, _, path = where.partition(":")
    *outer, name = path.split(".")
    holder: Any = importlib.import_module(module)
    for each in outer:
        holder = getattr(holder, each)
    called = getattr(holder, name)

    def hooked(*given: Any, **named: Any) -> Any:
        if when == "before":
            what()
        result = called(*given, **named)
        if when == "after":
            what()
        return result

    setattr(holder, name, hooked)
