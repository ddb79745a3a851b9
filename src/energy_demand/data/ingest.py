"""Fetch → check → store: demand, observed weather, weather forecasts as issued.

Each chunk is one transaction, its watermark included, so that a run may be killed at any point and
simply run again. Nothing here knows SQL or HTTP.
"""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass, field
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

import pandas as pd

from energy_demand.columns import WEATHER_VARIABLES
from energy_demand.data.eia_client import EIAClient, names_on_record
from energy_demand.data.quality import check_demand
from energy_demand.data.weather_client import MAX_PAST_DAYS, RUN_EVERY_HOURS, WeatherClient
from energy_demand.database import repository
from energy_demand.database.engine import stamp
from energy_demand.database.repository import Written
from energy_demand.errors import UserError
from energy_demand.http import UpstreamError
from energy_demand.timeaxis import HOUR, day_ahead_issue, days_periods, floor_hour, local_day

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from energy_demand.config import Settings
    from energy_demand.database.engine import Database

SERIES = ("D", "DF")
TRAILING_DAYS = 14
CHUNK = timedelta(days=366)
# The record of issued forecasts begins somewhere; so many missing days in a row are its beginning.
RUNS_MISSING_AT_THE_BEGINNING = 7
RUNS_PER_TRANSACTION = 30
EVERY_RUN_FOR = timedelta(days=2)

EIA = "eia"
ARCHIVE = "open_meteo_archive"
FORECASTS = "open_meteo_single_runs"

logger = logging.getLogger(__name__)


class RangeError(UserError, ValueError):
    """A range of days that cannot be ingested."""


class NoDataError(UserError, RuntimeError):
    """The upstream has nothing in the range that was asked for."""


class IngestInterruptedError(UserError, RuntimeError):
    """An upstream failed in the middle; the message says what was kept."""


class Progress(Protocol):
    """Told how far a step is."""

    def __call__(self, step: str, done: int, total: int) -> None:
        """`done` of `total` parts of `step` are stored."""


@dataclass(frozen=True)
class Span:
    """A range of hours to ingest, both ends included.

    `history` tells that the values were published long ago: they count as known when they were
    published, and of the forecasts one a day is enough. Otherwise a value is known from now on, and
    every recent forecast is fetched.
    """

    start: datetime
    end: datetime
    history: bool


@dataclass
class Report:
    """What an ingestion stored."""

    demand: Written = field(default_factory=Written)
    weather: Written = field(default_factory=Written)
    forecasts: Written = field(default_factory=Written)
    quarantined: int = 0

    def to_json(self) -> dict[str, Any]:
        """The counts by kind of row."""
        return asdict(self)


def backfill_span(settings: Settings, first: date, last: date, now: datetime) -> Span:
    """The hours of the local days `first` to `last` that are published by `now`.

    Raises:
        RangeError: `last` is before `first`, or nothing of the range lies in the past.
    """
    if last < first:
        raise RangeError(f"the end {last} is before the start {first}")
    periods = days_periods(first, last, settings.region.zone)
    end = min(periods[-1].to_pydatetime(), settings.availability.newest_known(now))
    start = periods[0].to_pydatetime()
    if end < start:
        raise RangeError(f"nothing from {first} to {last} was published by {now:%Y-%m-%d %H:%M} UTC")
    return Span(start, end, history=True)


def trailing_span(database: Database, settings: Settings, now: datetime) -> Span:
    """From the trailing window before what is stored (for revisions) up to what is published by `now`."""
    with database.transaction() as connection:
        newest = repository.get_watermark(connection, EIA, settings.region.respondent)
    end = settings.availability.newest_known(now)
    start = min(newest or end, end) - timedelta(days=TRAILING_DAYS)
    return Span(start, end, history=False)


def ingest(database: Database, settings: Settings, span: Span, now: datetime, progress: Progress) -> Report:
    """Demand, observed weather and issued weather forecasts of `span` into the database.

    Raises:
        NoDataError: EIA has no demand in the span.
        IngestInterruptedError: an upstream failed; what it names is stored.
        DataKindMismatchError: the database holds another kind of data.
    """
    report = Report()
    with EIAClient(settings) as eia, WeatherClient(settings) as weather:
        _ingest_demand(_Run(database, settings, span, now, progress, report), eia)
        _ingest_observed(_Run(database, settings, span, now, progress, report), weather)
        _ingest_issued(_Run(database, settings, span, now, progress, report), weather)
    return report


@dataclass(frozen=True)
class _Run:
    database: Database
    settings: Settings
    span: Span
    now: datetime
    progress: Progress
    report: Report


def _ingest_demand(run: _Run, client: EIAClient) -> None:
    respondent = run.settings.region.respondent
    chunks = list(_chunks(run.span.start, run.span.end))
    served = 0
    for done, (first, last) in enumerate(chunks):
        try:
            rows = client.fetch_rows(first, last, SERIES)
        except UpstreamError as error:
            raise _interrupted(error, "demand", chunks, done) from None
        good, broken = check_demand(
            rows, respondents=names_on_record(respondent), series=SERIES, start=first, end=last
        )
        delay = pd.Timedelta(run.settings.publication_delay_hours * HOUR)
        good["known_at"] = good["period"] + delay if run.span.history else run.now
        frame = good.assign(respondent=respondent, ingested_at=run.now)
        served += len(rows)
        if not rows:
            continue
        with run.database.transaction() as connection:
            repository.lock_ingestion(connection)
            stamp(connection, client.data_kind, run.now)
            run.report.demand += repository.upsert_demand(connection, frame, run.now)
            run.report.quarantined += repository.insert_quarantine(
                connection,
                [
                    {
                        "source": EIA,
                        "subject": respondent,
                        "reason": breach.name,
                        "payload": row,
                        "seen_at": run.now,
                    }
                    for breach, row in broken
                ],
            )
            demand = good.loc[good["series"] == "D", "period"]
            if len(demand):
                repository.advance_watermark(connection, EIA, respondent, demand.max(), run.now)
        run.progress("demand", done + 1, len(chunks))
    if not served:
        raise NoDataError(
            f"EIA has no demand of respondent {respondent} from {run.span.start:%Y-%m-%dT%H} to "
            f"{run.span.end:%Y-%m-%dT%H} UTC; nothing was stored. Check EIA_REGION and the dates"
        )


def _ingest_observed(run: _Run, client: WeatherClient) -> None:
    end = min(run.span.end, run.now)
    chunks = list(_chunks(run.span.start, end))
    for done, (first, last) in enumerate(chunks):
        try:
            frame = client.fetch_historical(first.date(), last.date())
        except UpstreamError as error:
            raise _interrupted(error, "observed weather", chunks, done) from None
        _store_observed(run, client, frame, "archive")
        run.progress("observed weather", done + 1, len(chunks))
    _fill_gap(run, client, end)


def _fill_gap(run: _Run, client: WeatherClient, end: datetime) -> None:
    """The archive is days late: until it arrives, the forecast API's recent past stands in."""
    with run.database.transaction() as connection:
        newest = repository.get_watermark(connection, ARCHIVE, _subject(run))
    late = (run.now - newest) if newest else timedelta(0)
    if newest is None or newest >= end or late > timedelta(days=MAX_PAST_DAYS):
        return
    try:
        frame = client.fetch_forecast(1, past_days=min(late.days + 2, MAX_PAST_DAYS))
    except UpstreamError as error:
        raise _interrupted(error, "recent weather", [(newest, end)], 0) from None
    recent = frame[(frame["timestamp"] > newest) & (frame["timestamp"] <= end)]
    _store_observed(run, client, recent, "forecast_api")


def _store_observed(run: _Run, client: WeatherClient, frame: pd.DataFrame, source: str) -> None:
    seen = _with_values(frame[frame["timestamp"] <= run.now])
    rows = seen.assign(source=source, known_at=seen["timestamp"], ingested_at=run.now)
    with run.database.transaction() as connection:
        repository.lock_ingestion(connection)
        stamp(connection, client.data_kind, run.now)
        run.report.weather += repository.upsert_weather(connection, rows)
        if source == "archive" and len(rows):
            newest = rows["timestamp"].max()
            repository.advance_watermark(connection, ARCHIVE, _subject(run), newest, run.now)


def _ingest_issued(run: _Run, client: WeatherClient) -> None:
    wanted = _wanted_runs(run)
    missing = 0
    batch: list[pd.DataFrame] = []
    for done, model_run in enumerate(wanted):
        try:
            frame = client.fetch_run(model_run)
        except UpstreamError as error:
            _store_issued(run, client, batch)
            raise _interrupted(error, "weather forecasts", [(model_run, model_run)], 0) from None
        missing = missing + 1 if frame is None else 0
        if frame is not None:
            batch.append(_with_values(frame))
        if missing >= RUNS_MISSING_AT_THE_BEGINNING:
            break
        if len(batch) >= RUNS_PER_TRANSACTION:
            _store_issued(run, client, batch)
            batch = []
        run.progress("weather forecasts", done + 1, len(wanted))
    _store_issued(run, client, batch)
    run.progress("weather forecasts", len(wanted), len(wanted))


def _wanted_runs(run: _Run) -> list[datetime]:
    """Model runs that are not stored yet, the newest first.

    Of each day the newest run known at the hour of issue, and the newest known now; of the last two days
    every run, unless the span is history.
    """
    zone, now = run.settings.region.zone, run.now
    delay = timedelta(hours=run.settings.weather_publication_delay_hours)
    first = local_day(run.span.start - HOUR, zone)
    days = (local_day(run.span.end, zone) - first).days + 2
    issues = [day_ahead_issue(first + timedelta(days=day), zone) for day in range(days)]
    moments = {moment for moment in issues if moment <= now}
    if run.span.end >= now - EVERY_RUN_FOR:
        moments.add(now)
    if not run.span.history:
        moments |= {now - timedelta(hours=hours) for hours in range(0, 48, RUN_EVERY_HOURS)}
    runs = {_floor_run(moment - delay) for moment in moments}
    with run.database.transaction() as connection:
        names = [site.name for site in run.settings.region.sites]
        stored = repository.issued_forecasts(connection, min(runs), max(runs) + delay, names)
    return sorted((start for start in runs if start + delay not in stored), reverse=True)


def _store_issued(run: _Run, client: WeatherClient, batch: Sequence[pd.DataFrame]) -> None:
    if not batch:
        return
    frame = pd.concat(batch, ignore_index=True)
    rows = frame.assign(known_at=frame["issued_at"], ingested_at=run.now)
    with run.database.transaction() as connection:
        repository.lock_ingestion(connection)
        stamp(connection, client.data_kind, run.now)
        run.report.forecasts += repository.insert_forecasts(connection, rows)
        newest = frame["issued_at"].max()
        repository.advance_watermark(connection, FORECASTS, _subject(run), newest, run.now)


def _with_values(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[frame[list(WEATHER_VARIABLES)].notna().any(axis=1)]


def _subject(run: _Run) -> str:
    return run.settings.region.respondent


def _floor_run(moment: datetime) -> datetime:
    full = floor_hour(moment)
    return full - (full.hour % RUN_EVERY_HOURS) * HOUR


def _chunks(start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    while start <= end:
        last = min(start + CHUNK - HOUR, end)
        yield start, last
        start = last + HOUR


def _interrupted(
    error: UpstreamError, what: str, chunks: Sequence[tuple[datetime, datetime]], done: int
) -> IngestInterruptedError:
    first, last = chunks[done]
    kept = f"everything before {first:%Y-%m-%dT%H} UTC is stored" if done else "what was stored is unchanged"
    return IngestInterruptedError(
        f"{what} from {first:%Y-%m-%dT%H} to {last:%Y-%m-%dT%H} UTC did not come: {error}; {kept}. "
        "Run the same command again to go on"
    )
