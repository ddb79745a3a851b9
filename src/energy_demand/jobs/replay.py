"""The replay job: stored record → a policy day by day → figures, hours and a picture."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from energy_demand.data.record_store import load_record
from energy_demand.evaluation.contest import weather_of
from energy_demand.evaluation.injection import BadPromotion, Injection
from energy_demand.evaluation.policy_replay import Replay, ReplayPolicy, replay
from energy_demand.jobs.past_days import AS_REVISED, PastDaysError, check_past_days, vintages_read
from energy_demand.outputs import write_output
from energy_demand.timeaxis import HOUR, day_ahead_issue, local_midnight

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date, datetime
    from pathlib import Path

    from energy_demand.config import Settings
    from energy_demand.data.record import Record
    from energy_demand.database.engine import Database
    from energy_demand.model.train import Recipe, Weather

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


def run_replay(
    database: Database,
    settings: Settings,
    now: datetime,
    *,
    policy: ReplayPolicy,
    start: date,
    end: date,
    injection: Injection | BadPromotion | None = None,
    weather: Weather | None = None,
    recipe: Recipe | None = None,
    progress: Callable[[str, int, int], None] = lambda *_: None,
) -> Replayed:
    """Replay a policy over the local days `start` to `end`, both included.

    Weather is as forecast at the issue if most of the days have a recorded run, else observed. Forecasts and
    fits see demand as it was known then as far as that is stored, but of a record with an injected change
    as revised; scores, triggers and verdicts use the newest values.

    Raises:
        PastDaysError: the days cannot be scored, or have too little before them; nothing was fitted.
        ReplayError: they are too many, or the change is not among them.
        NoDemandError: nothing is stored.
        TooFewRowsError: the first fit has too little to learn from.
    """
    began = time.perf_counter()
    record = load_record(database, settings, now, with_vintages=True)
    _check(record, start, end, injection, weather)
    zone = record.region.zone
    after = local_midnight(end + timedelta(days=1), zone)
    record = record.up_to(after + settings.availability.delay_hours * HOUR, settings.availability)
    days = [start + timedelta(days=number) for number in range((end - start).days + 1)]
    weather = weather or weather_of(record, days)
    changed = injection.into(record) if isinstance(injection, Injection) else record
    run = replay(
        changed,
        policy,
        start,
        end,
        availability=settings.availability,
        weather=weather,
        recipe=recipe,
        bad_promotion=injection if isinstance(injection, BadPromotion) else None,
        progress=lambda day: progress("days", (day - start).days + 1, len(days)),
    )
    vintages = AS_REVISED
    if not isinstance(injection, Injection):
        issues = (day_ahead_issue(start, zone), day_ahead_issue(end, zone))
        vintages = vintages_read(database, settings, record, *issues)
    begins = None if injection is None else local_midnight(injection.day, zone)
    body = {
        "policy": policy.value,
        "start": start,
        "end": end,
        "protocol": "day-ahead",
        "weather": weather,
        "publication_delay_hours": settings.publication_delay_hours,
        "vintages": vintages,
        **run.summary(injection, begins),
        "seconds": round(time.perf_counter() - began, 1),
    }
    return Replayed(body, run)


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
