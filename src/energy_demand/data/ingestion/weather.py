"""Weather into the database: what was observed, and what was forecast as it was issued."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pandas as pd

from energy_demand.data.ingestion.ingestion_run import IngestionRun, chunks_of
from energy_demand.data.quality import check_weather
from energy_demand.data.weather_client import (
    MAX_PAST_DAYS,
    RUN_EVERY_HOURS,
    RUNS_AT_ONCE,
    WeatherClient,
    newest_run,
    with_values,
)
from energy_demand.database import repository, state
from energy_demand.database.engine import stamp
from energy_demand.http import UpstreamError
from energy_demand.timeaxis import HOUR, day_ahead_issue, local_day

if TYPE_CHECKING:
    import sqlalchemy as sa

    from energy_demand.database.repository import Written

ARCHIVE = "open_meteo_archive"
FORECASTS = "open_meteo_single_runs"
EVERY_RUN_FOR = timedelta(days=2)


def ingest_observed(run: IngestionRun, client: WeatherClient) -> None:
    """Store observed weather of the span; where the archive is late, the forecast API's recent past.

    Raises:
        IngestInterruptedError: Open-Meteo failed.
    """
    end = min(run.span.end, run.now)
    chunks = list(chunks_of(run.span.start, end))
    for done, (first, last) in enumerate(chunks):
        try:
            frame = client.fetch_historical(first.date(), last.date())
        except UpstreamError as error:
            raise run.interrupted(ARCHIVE, error, "observed weather", chunks, done) from None
        _store_observed(run, client, frame, "archive")
        run.progress("observed weather", done + 1, len(chunks))
    _fill_gap(run, client, end)
    run.database.run(lambda connection: _note(run, connection, ARCHIVE))


def _fill_gap(run: IngestionRun, client: WeatherClient, end: datetime) -> None:
    """Fill the archive's lag of some days with the forecast API's recent past."""
    newest = run.database.run(lambda connection: state.get_watermark(connection, ARCHIVE, run.respondent))
    late = (run.now - newest) if newest else timedelta(0)
    if newest is None or newest >= end or late > timedelta(days=MAX_PAST_DAYS):
        return
    try:
        frame = client.fetch_forecast(1, past_days=min(late.days + 2, MAX_PAST_DAYS))
    except UpstreamError as error:
        raise run.interrupted(ARCHIVE, error, "recent weather", [(newest, end)], 0) from None
    recent = frame[(frame["timestamp"] > newest) & (frame["timestamp"] <= end)]
    _store_observed(run, client, recent, "forecast_api")


def _store_observed(run: IngestionRun, client: WeatherClient, frame: pd.DataFrame, source: str) -> None:
    good, broken = check_weather(with_values(frame[frame["timestamp"] <= run.now]))
    rows = good.assign(source=source, known_at=good["timestamp"], ingested_at=run.now)

    def store(connection: sa.Connection) -> tuple[Written, int]:
        state.lock_ingestion(connection)
        stamp(connection, client.data_kind, run.now)
        if source == "archive" and len(rows):
            newest = rows["timestamp"].max()
            state.advance_watermark(connection, ARCHIVE, run.respondent, newest, run.now)
        written = repository.upsert_weather(connection, rows, run.now)
        return written, run.set_apart(connection, ARCHIVE, broken)

    written, apart = run.database.run(store)
    run.report.weather += written
    run.report.quarantined += apart


def ingest_issued(run: IngestionRun, client: WeatherClient) -> None:
    """Store the forecasts of the span as they were issued, those that are not stored yet.

    Raises:
        IngestInterruptedError: Open-Meteo failed.
    """
    wanted = _wanted_runs(run)
    done = 0
    try:
        for found in client.fetch_runs(wanted):
            if found:
                _store_issued(run, client, pd.concat(found, ignore_index=True))
            done = min(done + RUNS_AT_ONCE, len(wanted))
            run.progress("weather forecasts", done, len(wanted))
    except UpstreamError as error:
        failed = [(wanted[min(done + RUNS_AT_ONCE, len(wanted)) - 1], wanted[done])]
        raise run.interrupted(FORECASTS, error, "weather forecasts", failed, 0) from None
    run.database.run(lambda connection: _note(run, connection, FORECASTS))
    run.progress("weather forecasts", len(wanted), len(wanted))


def _wanted_runs(run: IngestionRun) -> list[datetime]:
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
    runs = {newest_run(moment, delay) for moment in moments}
    names = [site.name for site in run.settings.region.sites]
    stored = run.database.run(
        lambda connection: repository.issued_forecasts(connection, min(runs), max(runs) + delay, names)
    )
    return sorted((start for start in runs if start + delay not in stored), reverse=True)


def _store_issued(run: IngestionRun, client: WeatherClient, frame: pd.DataFrame) -> None:
    good, broken = check_weather(frame)
    rows = good.assign(known_at=good["issued_at"], ingested_at=run.now)

    def store(connection: sa.Connection) -> tuple[Written, int]:
        state.lock_ingestion(connection)
        stamp(connection, client.data_kind, run.now)
        if len(rows):
            newest = rows["issued_at"].max()
            state.advance_watermark(connection, FORECASTS, run.respondent, newest, run.now)
        return repository.insert_forecasts(connection, rows), run.set_apart(connection, FORECASTS, broken)

    written, apart = run.database.run(store)
    run.report.forecasts += written
    run.report.quarantined += apart


def _note(run: IngestionRun, connection: sa.Connection, source: str) -> None:
    newest = state.get_watermark(connection, source, run.respondent)
    state.record_success(connection, source, run.respondent, run.now, newest)
