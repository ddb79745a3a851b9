"""Observed weather into the database: the archive, and the forecast API's recent past where that is late."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from energy_demand.columns import WEATHER_VARIABLES
from energy_demand.data.ingestion.ingestion_run import EmptyAnswerError, IngestionRun, chunks_of
from energy_demand.data.quality import check_weather
from energy_demand.data.weather_client import DAYS_PER_CALL, MAX_PAST_DAYS, WeatherClient, with_values
from energy_demand.database import state, weather
from energy_demand.database.engine import stamp
from energy_demand.http import UpstreamError
from energy_demand.timeaxis import HOUR

if TYPE_CHECKING:
    import pandas as pd
    import sqlalchemy as sa

    from energy_demand.database.repository import Written

ARCHIVE = "open_meteo_archive"
# The archive fills up and is revised for weeks.
ASKED_AGAIN = timedelta(days=31)


def ingest_observed(run: IngestionRun, client: WeatherClient) -> None:
    """Store observed weather of the span; where the archive is late, the forecast API's recent past.

    Raises:
        IngestInterruptedError: Open-Meteo failed.
        EmptyAnswerError: it answered without a usable value.
    """
    end = min(run.span.end, run.now)
    chunks = list(chunks_of(_start(run, end), end, timedelta(days=DAYS_PER_CALL)))
    complete: dict[str, datetime] = {}
    usable = 0
    for done, (first, last) in enumerate(chunks):
        try:
            frame = client.fetch_historical(first.date(), last.date())
        except UpstreamError as error:
            raise run.interrupted(ARCHIVE, error, "observed weather", chunks, done) from None
        usable += _store(run, client, frame, weather.ARCHIVE)
        complete = _complete_through(frame, last)
        run.progress("observed weather", done + 1, len(chunks))
    gap = min(complete.values(), default=end)
    if gap < end and run.now - gap <= timedelta(days=MAX_PAST_DAYS):
        usable += _fill(run, client, gap, end)
    if chunks and not usable:
        raise EmptyAnswerError(
            f"Open-Meteo served no usable observed weather from {chunks[0][0]:%Y-%m-%dT%H} to "
            f"{end:%Y-%m-%dT%H} UTC"
        )
    run.database.run(lambda connection: _note(run, connection, end))


def _start(run: IngestionRun, end: datetime) -> datetime:
    """The first hour to ask for: this source's own, however far another one has come."""
    if run.span.history:
        return run.span.start
    sites = [site.name for site in run.settings.region.sites]
    marks = run.database.run(
        lambda connection: [state.get_watermark(connection, ARCHIVE, site) for site in sites]
    )
    known = [mark for mark in marks if mark is not None]
    return min([run.span.start, end - ASKED_AGAIN, *known])


def _complete_through(frame: pd.DataFrame, last: datetime) -> dict[str, datetime]:
    """By site, the hour up to which every variable that the site has is there."""
    through = {}
    for site, of_site in frame.groupby("site"):
        present = of_site[list(WEATHER_VARIABLES)].notna()
        whole = present.loc[:, present.any()].all(axis=1) & bool(present.to_numpy().any())
        lacking = of_site.loc[~whole, "timestamp"]
        through[str(site)] = last if lacking.empty else lacking.iloc[0].to_pydatetime() - HOUR
    return through


def _fill(run: IngestionRun, client: WeatherClient, gap: datetime, end: datetime) -> int:
    """Fill what the archive does not have yet with the forecast API's recent past."""
    days = min((run.now.date() - gap.date()).days + 1, MAX_PAST_DAYS)
    try:
        frame = client.fetch_forecast(1, past_days=days)
    except UpstreamError as error:
        raise run.interrupted(ARCHIVE, error, "recent weather", [(gap, end)], 0) from None
    recent = frame[(frame["timestamp"] > gap) & (frame["timestamp"] <= end)]
    return _store(run, client, recent, weather.FORECAST_API)


def _store(run: IngestionRun, client: WeatherClient, frame: pd.DataFrame, source: str) -> int:
    """Store the rows up to now; return how many are usable."""
    good, broken = check_weather(with_values(frame[frame["timestamp"] <= run.now]))
    rows = good.assign(source=source, known_at=good["timestamp"], ingested_at=run.now)

    def store(connection: sa.Connection) -> tuple[Written, int]:
        state.lock_ingestion(connection)
        stamp(connection, client.data_kind, run.now)
        if source == weather.ARCHIVE:
            for site, newest in rows.groupby("site")["timestamp"].max().items():
                state.advance_watermark(connection, ARCHIVE, str(site), newest, run.now)
        written = weather.upsert_weather(connection, rows, run.now)
        return written, run.set_apart(connection, ARCHIVE, broken)

    written, apart = run.database.run(store)
    run.report.weather += written
    run.report.quarantined += apart
    return len(rows)


def _note(run: IngestionRun, connection: sa.Connection, end: datetime) -> None:
    sites = [site.name for site in run.settings.region.sites]
    marks = [state.get_watermark(connection, ARCHIVE, site) for site in sites]
    newest = min((mark for mark in marks if mark is not None), default=None)
    missing = weather.missing_hours(connection, sites, max(run.span.start, end - ASKED_AGAIN), end)
    state.record_success(connection, ARCHIVE, run.respondent, run.now, newest, missing)
