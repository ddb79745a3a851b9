"""The replay job: stored record → a policy day by day → figures, hours and a picture."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pandas as pd
from pydantic import TypeAdapter

from energy_demand.data.record_store import load_record
from energy_demand.evaluation.contest import weather_of
from energy_demand.evaluation.injection import BadPromotion, Injection
from energy_demand.evaluation.policy_replay import Event, Replay, ReplayPolicy, Retraining, replay
from energy_demand.jobs.fan_out.resumable import Storage, run_parts
from energy_demand.jobs.fan_out.workers import THIS_PROCESS
from energy_demand.jobs.past_days import AS_REVISED, PastDaysError, check_past_days, vintages_read
from energy_demand.outputs import write_output
from energy_demand.timeaxis import HOUR, day_ahead_issue, local_midnight

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import date, datetime
    from pathlib import Path

    from energy_demand.config import Settings
    from energy_demand.data.record import Record
    from energy_demand.database.engine import Database
    from energy_demand.jobs.fan_out.workers import Workers
    from energy_demand.model.train import Recipe, Weather
    from energy_demand.timeaxis import Availability

LONGEST_DAYS = 5 * 366


class ReplayError(PastDaysError):
    """A replay that cannot be run; the message says why and what to do."""


@dataclass(frozen=True)
class Replayed:
    """What a replay gave: the body of `replay --json`, and the run itself."""

    body: dict[str, Any]
    run: Replay

    def write(self, path: Path) -> None:
        """Write the hours as Parquet.

        Raises:
            OutputError: the file cannot be written; the scores are not lost by that.
        """
        write_output(path, lambda path: self.run.hours.to_parquet(path, index=False))


def run_replays(
    database: Database,
    settings: Settings,
    now: datetime,
    *,
    policies: Sequence[ReplayPolicy],
    start: date,
    end: date,
    injection: Injection | BadPromotion | None = None,
    weather: Weather | None = None,
    recipe: Recipe | None = None,
    progress: Callable[[str, int, int], None] = lambda *_: None,
    workers: Workers = THIS_PROCESS,
) -> dict[ReplayPolicy, Replayed]:
    """Replay policies over the local days `start` to `end`, both included.

    Weather is as forecast at the issue if most of the days have a recorded run, else observed. Forecasts and
    fits see demand as it was known then as far as that is stored, but of a record with an injected change
    as revised; scores, triggers and verdicts use the newest values.

    Each policy is a part of its own, done by `workers`; finished ones are kept in the home folder until all
    are.

    Raises:
        PastDaysError: the days cannot be scored, or have too little before them; nothing was fitted.
        ReplayError: they are too many, or the change is not among them.
        NoDemandError: nothing is stored.
        TooFewRowsError: the first fit has too little to learn from.
        WorkersError: the workers were lost; what they had finished is kept.
    """
    record = load_record(database, settings, now, with_vintages=True)
    _check(record, start, end, injection, weather)
    zone = record.region.zone
    after = local_midnight(end + timedelta(days=1), zone)
    record = record.up_to(after + settings.availability.delay_hours * HOUR, settings.availability)
    days = [start + timedelta(days=number) for number in range((end - start).days + 1)]
    weather = weather or weather_of(record, days)
    vintages = AS_REVISED
    if not isinstance(injection, Injection):
        issues = (day_ahead_issue(start, zone), day_ahead_issue(end, zone))
        vintages = vintages_read(database, settings, record, *issues)
    bad_promotion = injection if isinstance(injection, BadPromotion) else None
    total = len(days) * len(policies)
    parts = run_parts(
        replayed,
        injection.into(record) if isinstance(injection, Injection) else record,
        {
            number: Question(policy, start, end, settings.availability, weather, recipe, bad_promotion)
            for number, policy in enumerate(policies)
        },
        workers=workers,
        folder=settings.home / "replays",
        storage=STORAGE,
        steps=lambda _question: len(days),
        progress=lambda done: progress("days", done, total),
    )
    begins = None if injection is None else local_midnight(injection.day, zone)
    about = {
        "start": start,
        "end": end,
        "protocol": "day-ahead",
        "weather": weather,
        "publication_delay_hours": settings.publication_delay_hours,
        "vintages": vintages,
    }
    found = {
        policy: Replayed(
            {
                "policy": policy.value,
                **about,
                **part.run.summary(injection, begins),
                "seconds": round(part.seconds, 1),
            },
            part.run,
        )
        for policy, part in zip(policies, parts.found.values(), strict=True)
    }
    parts.kept.forget()
    return found


@dataclass(frozen=True)
class Question:
    """The replay of one policy: what a worker is asked; see `evaluation.policy_replay.replay`."""

    policy: ReplayPolicy
    start: date
    end: date
    availability: Availability
    weather: Weather
    recipe: Recipe | None
    bad_promotion: BadPromotion | None


@dataclass(frozen=True)
class Part:
    """The answer to a question, and the seconds that it took."""

    run: Replay
    seconds: float


def replayed(record: Record, question: Question, tell: Callable[[object], None]) -> Part:
    """Replay a policy; `tell` is called with each forecast day."""
    began = time.perf_counter()
    run = replay(
        record,
        question.policy,
        question.start,
        question.end,
        availability=question.availability,
        weather=question.weather,
        recipe=question.recipe,
        bad_promotion=question.bad_promotion,
        progress=tell,
    )
    return Part(run, time.perf_counter() - began)


EVENTS, RETRAININGS = TypeAdapter(list[Event]), TypeAdapter(list[Retraining])


def _written(part: Part) -> tuple[dict[str, pd.DataFrame], dict[str, Any]]:
    run = part.run
    return {"hours": run.hours, "checks": pd.DataFrame(run.checks)}, {
        "alarms": EVENTS.dump_python(run.alarms, mode="json"),
        "retrainings": RETRAININGS.dump_python(run.retrainings, mode="json"),
        "rollbacks": EVENTS.dump_python(run.rollbacks, mode="json"),
        "training_seconds": run.training_seconds,
        "seconds": part.seconds,
    }


def _read(frames: dict[str, pd.DataFrame], body: dict[str, Any]) -> Part:
    run = Replay(
        hours=frames["hours"],
        checks=[
            {str(name): value for name, value in row.items()} for row in frames["checks"].to_dict("records")
        ],
        alarms=EVENTS.validate_python(body["alarms"]),
        retrainings=RETRAININGS.validate_python(body["retrainings"]),
        rollbacks=EVENTS.validate_python(body["rollbacks"]),
        training_seconds=body["training_seconds"],
    )
    return Part(run, body["seconds"])


STORAGE = Storage[Part](write=_written, read=_read)


def _check(
    record: Record,
    start: date,
    end: date,
    injection: Injection | BadPromotion | None,
    weather: Weather | None,
) -> None:
    if (end - start).days > LONGEST_DAYS:
        raise ReplayError(f"{start} to {end} is longer than {LONGEST_DAYS} days; replay it in parts")
    check_past_days(record, start, end, weather)
    if injection is not None and not start <= injection.day <= end:
        raise ReplayError(f"--inject-on {injection.day} is not between {start} and {end}")
