"""Weather forecasts into the database as they were issued, run by run.

A run that is missing, incomplete or cannot be fetched takes no other with it: it is noted, asked for again
while it may still come, and meanwhile the run before it is there to fill its place. Nor does a model that
cannot be fetched: the others are stored all the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import islice, takewhile
from typing import TYPE_CHECKING

import pandas as pd

from energy_demand.data.ingestion.ingestion_run import IngestInterruptedError
from energy_demand.data.quality import check_weather
from energy_demand.data.weather_client import RUNS_AT_ONCE, WeatherClient
from energy_demand.database import state, weather
from energy_demand.database.engine import stamp
from energy_demand.http import UpstreamError
from energy_demand.timeaxis import day_ahead_issue, local_day

if TYPE_CHECKING:
    import sqlalchemy as sa

    from energy_demand.data.ingestion.ingestion_run import IngestionRun
    from energy_demand.data.model_run import ModelRun
    from energy_demand.database.repository import Written
    from energy_demand.database.weather import RunState
    from energy_demand.weather_models import WeatherModel

FORECASTS = "open_meteo_single_runs"
EVERY_RUN_FOR = timedelta(days=2)
# After an outage every run since the last success is fetched, at most so far back.
CAUGHT_UP_FOR = timedelta(days=31)
# For a moment without the newest run, so many before it are tried: together a day of runs.
RUNS_FOR_A_MOMENT = 4
# So long without any run is a gap, or the time before a model's record begins: only every so often a run is
# asked for there, at last the oldest one wanted, and where one is found, so are those after it.
GAP = timedelta(days=7)
PROBED_EVERY = timedelta(days=60)
# Runs are completed within hours, damaged ones were restored within days.
COMPLETED_WITHIN = timedelta(days=2)
INCOMPLETE_FOR = timedelta(days=14)
RESTORED_WITHIN = timedelta(days=7)
ASKED_AGAIN_AFTER = timedelta(minutes=50)
OLD_ASKED_AGAIN_AFTER = timedelta(hours=20)
LONGEST_REASON = 300


@dataclass
class _Progress:
    """The runs of one model in this ingestion."""

    model: WeatherModel
    known: dict[datetime, RunState]
    asked: set[datetime] = field(default_factory=set)
    failed: list[UpstreamError] = field(default_factory=list)

    def next_for(self, moment: datetime, now: datetime) -> datetime | None:
        """The run to ask for next, so that the newest run of `moment` is there; None: no other helps."""
        for start in islice(self.model.runs_before(moment), RUNS_FOR_A_MOMENT):
            stored = self.known.get(start)
            if start not in self.asked and (stored is None or self._is_due(start, stored, now)):
                return start
            if stored is not None and self._is_whole(stored):
                return None
        return None

    @property
    def away(self) -> bool:
        """Whether no run could be fetched, and that is not the fault of one run."""
        unreachable = any(error.status is None for error in self.failed)
        return len(self.failed) == len(self.asked) > (0 if unreachable else 1)

    def has_run(self, moment: datetime) -> bool:
        """Whether any run of the day before `moment` is stored."""
        runs = islice(self.model.runs_before(moment), RUNS_FOR_A_MOMENT)
        return any(start in self.known and self.known[start].status in _STORED for start in runs)

    def unfinished(self) -> set[datetime]:
        """When the runs that were asked for, and may still become more than they are, were issued."""
        return {
            self.model.published(start) for start, stored in self.known.items() if not self._is_whole(stored)
        }

    def _is_whole(self, stored: RunState) -> bool:
        """Whether all is stored that the model has."""
        return stored.status == "complete" and stored.lacking <= self._never

    @property
    def _never(self) -> frozenset[str]:
        """The variables that no run has: those the model lacks. One that another run has was lost."""
        lacking = [stored.lacking for stored in self.known.values() if stored.status in _STORED]
        return frozenset.intersection(*lacking) if lacking else frozenset()

    def _is_due(self, start: datetime, stored: RunState, now: datetime) -> bool:
        """Whether a run that was asked for before may have become more than it was."""
        age, since = now - start, now - stored.asked_at
        if stored.status == "failed":
            return True
        if self._is_whole(stored):
            return False
        if stored.status == "missing":
            return since >= (ASKED_AGAIN_AFTER if age <= RESTORED_WITHIN else OLD_ASKED_AGAIN_AFTER)
        wait = ASKED_AGAIN_AFTER if age <= COMPLETED_WITHIN else OLD_ASKED_AGAIN_AFTER
        return age <= INCOMPLETE_FOR and since >= wait


_STORED = {"complete", "incomplete"}


def ingest_issued(run: IngestionRun, client: WeatherClient) -> None:
    """Store the forecasts of the span as each model issued them, those that are not stored yet.

    Of each day the newest `weather_runs_kept` runs known at the hour of issue, and the newest known now;
    unless the span is history also every run of the last two days, or since the last success where that is
    longer ago, and every run of the span that was not whole.

    Raises:
        IngestInterruptedError: Open-Meteo failed for a model; what was fetched is stored, of every model.
    """
    failed: list[_ModelFailedError] = []
    for model in run.settings.weather_models:
        try:
            _ingest_model(run, client, model)
        except _ModelFailedError as failure:
            failed.append(failure)
            if failure.no_calls_left:
                break
    if failed:
        raise _interrupted(run, failed)
    run.database.run(lambda connection: _note(run, connection))


class _ModelFailedError(Exception):
    """The runs of a model, the newest first, that could not all be fetched, and why."""

    def __init__(self, model: WeatherModel, error: UpstreamError, wanted: list[datetime]) -> None:
        super().__init__(f"weather forecasts of {model.name}: {error}")
        self.model, self.error, self.wanted = model, error, wanted

    @property
    def no_calls_left(self) -> bool:
        """Whether the calls of the day are used up, so that no other model can be asked for either."""
        fault = self.error.fault
        return fault is not None and (fault.used_up is not None or self.error.status is None)


def _ingest_model(run: IngestionRun, client: WeatherClient, model: WeatherModel) -> None:
    wanted_at = _moments(run, model)
    oldest = min(islice(model.runs_before(min(wanted_at)), RUNS_FOR_A_MOMENT))
    known = run.database.run(
        lambda connection: weather.run_states(connection, run.respondent, model.name, oldest, run.now)
    )
    progress = _Progress(model, known)
    if not run.span.history:
        wanted_at |= progress.unfinished()
    waiting = sorted(wanted_at, reverse=True)
    moments, found_at = len(waiting), waiting[0]
    skipped: list[datetime] = []
    while waiting:
        batch = waiting[: 1 if skipped else RUNS_AT_ONCE]
        while wanted := {start for moment in batch if (start := progress.next_for(moment, run.now))}:
            _fetch(run, client, progress, sorted(wanted, reverse=True))
        found = [moment for moment in batch if progress.has_run(moment)]
        waiting = waiting[len(batch) :]
        if found:
            waiting = sorted(waiting + skipped, reverse=True)
            skipped, found_at = [], min(found)
        elif found_at - batch[-1] >= GAP:
            cut = sum(moment > batch[-1] - PROBED_EVERY for moment in waiting)
            cut = min(cut, max(len(waiting) - 1, 0))  # the oldest is asked for however near it is
            skipped, waiting = waiting[:cut], waiting[cut:]
        run.progress("weather forecasts", moments - len(waiting), moments)
    if progress.away:
        raise _ModelFailedError(model, progress.failed[-1], sorted(progress.asked, reverse=True))


def _moments(run: IngestionRun, model: WeatherModel) -> set[datetime]:
    """The times whose newest run is wanted."""
    zone, now = run.settings.region.zone, run.now
    first = local_day(run.span.start - timedelta(hours=1), zone)
    days = (local_day(run.span.end, zone) - first).days + 2
    issues = [day_ahead_issue(first + timedelta(days=day), zone) for day in range(days)]
    kept = run.settings.weather_runs_kept
    moments = {
        model.published(start)
        for moment in issues
        if moment <= now
        for start in islice(model.runs_before(moment), kept)
    }
    if run.span.end >= now - EVERY_RUN_FOR or not moments:
        moments.add(now)
    if not run.span.history:
        since = _every_run_since(run)
        recent = takewhile(lambda start: start >= since, model.runs_before(now))
        moments |= {model.published(start) for start in recent}
    return moments


def _every_run_since(run: IngestionRun) -> datetime:
    """From which start on every run is wanted."""
    succeeded_at = run.database.run(
        lambda connection: state.last_success(connection, FORECASTS, run.respondent)
    )
    now = run.now
    caught_up = now if succeeded_at is None else max(succeeded_at, now - CAUGHT_UP_FOR)
    return min(caught_up, now) - EVERY_RUN_FOR


def _fetch(run: IngestionRun, client: WeatherClient, progress: _Progress, wanted: list[datetime]) -> None:
    """Fetch and store some runs, then raise what ended it early."""
    runs, ended_by = client.fetch_runs(wanted, progress.model)
    stored = _store(run, client, progress.model, runs)
    progress.asked |= {found.run for found in runs}
    progress.failed += [found.error for found in runs if found.error is not None]
    progress.known |= stored
    if ended_by is not None:
        raise _ModelFailedError(progress.model, ended_by, wanted)


def _store(
    run: IngestionRun, client: WeatherClient, model: WeatherModel, runs: list[ModelRun]
) -> dict[datetime, RunState]:
    """Store runs and what became of each, in one transaction."""
    frames = [found.frame for found in runs if found.frame is not None]
    good, broken = check_weather(pd.concat(frames, ignore_index=True)) if frames else (pd.DataFrame(), [])
    # Of history a run counts as known since its publication; otherwise not before it was fetched.
    known_at = good["issued_at"] if len(good) and run.span.history else run.now
    runs = [_with_usable_rows(found, model, good) for found in runs]
    rows = good.assign(model=model.name, known_at=known_at, ingested_at=run.now) if len(good) else good
    states = [_state_row(run, model, found) for found in runs]

    def store(connection: sa.Connection) -> tuple[Written, int]:
        state.lock_ingestion(connection)
        if frames:
            stamp(connection, client.data_kind, run.now)
        if len(rows):
            newest = rows["issued_at"].max()
            state.advance_watermark(connection, FORECASTS, run.respondent, newest, run.now)
        weather.record_runs(connection, states)
        written = weather.upsert_runs(connection, rows)
        return written, run.set_apart(connection, FORECASTS, broken)

    written, apart = run.database.run(store)
    run.report.forecasts += written
    run.report.quarantined += apart
    run.report.runs_missing += sum(found.status == "missing" for found in runs)
    run.report.runs_failed += sum(found.status == "failed" for found in runs)
    return {found.run: weather.RunState(found.status, run.now, frozenset(found.lacking)) for found in runs}


def _with_usable_rows(found: ModelRun, model: WeatherModel, good: pd.DataFrame) -> ModelRun:
    """The run, as failed where none of its rows keeps to the data contract."""
    if found.status not in _STORED or (good["issued_at"] == model.published(found.run)).any():
        return found
    asked = f"the run of {found.run:%Y-%m-%dT%H} UTC of {model.name}"
    error = UpstreamError("Open-Meteo", asked, "none of its rows keeps to the data contract")
    return replace(found, frame=None, error=error)


def _state_row(run: IngestionRun, model: WeatherModel, found: ModelRun) -> dict[str, object]:
    return {
        "model": model.name,
        "run_at": found.run,
        "issued_at": model.published(found.run),
        "status": found.status,
        "missing_values": found.missing,
        "lacking": ",".join(found.lacking),
        "reason": None if found.error is None else _reason(found.error)[:LONGEST_REASON],
        "asked_at": run.now,
        "respondent": run.respondent,
    }


def _reason(error: UpstreamError) -> str:
    return error.reason if error.status is None else f"HTTP {error.status}: {error.reason}"


def _interrupted(run: IngestionRun, failed: list[_ModelFailedError]) -> IngestInterruptedError:
    """The error of the models that failed, all named; stored for monitoring."""
    interruptions = [
        run.interrupted(
            FORECASTS,
            failure.error,
            f"weather forecasts of {failure.model.name}",
            [(failure.wanted[-1], failure.wanted[0])],
            0,
        )
        for failure in failed
    ]
    if len(failed) == 1:
        return interruptions[0]
    run.note_failure(FORECASTS, "; ".join(map(str, failed)))
    return IngestInterruptedError(" ".join(map(str, interruptions)))


def _note(run: IngestionRun, connection: sa.Connection) -> None:
    newest = state.get_watermark(connection, FORECASTS, run.respondent)
    state.record_success(connection, FORECASTS, run.respondent, run.now, newest)
