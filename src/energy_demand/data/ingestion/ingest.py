"""Fetch → check → store. The entry of an ingestion; nothing here knows SQL or HTTP.

Each chunk is one transaction, its watermark included, so that a run may be killed at any point and
simply run again.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from energy_demand.data.eia_bulk import BulkClient
from energy_demand.data.eia_client import EIAClient
from energy_demand.data.ingestion.demand import EIA, ingest_daily, ingest_demand
from energy_demand.data.ingestion.ingestion_run import (
    IngestInterruptedError,
    IngestionRun,
    NoDataError,
    Progress,
    RangeError,
    Report,
    Span,
)
from energy_demand.data.ingestion.weather import ingest_issued, ingest_observed
from energy_demand.data.weather_client import WeatherClient
from energy_demand.database import state
from energy_demand.timeaxis import days_periods

if TYPE_CHECKING:
    from pathlib import Path

    from energy_demand.config import Settings
    from energy_demand.database.engine import Database

__all__ = [
    "IngestInterruptedError",
    "NoDataError",
    "Progress",
    "RangeError",
    "Report",
    "Span",
    "backfill_span",
    "ingest",
    "trailing_span",
]


def backfill_span(settings: Settings, first: date, last: date, now: datetime) -> Span:
    """The hours of the local days `first` to `last` that are published by `now`.

    Raises:
        RangeError: `last` is before `first`, or no hour of the range is published yet.
    """
    if last < first:
        raise RangeError(f"end {last} is before start {first}")
    periods = days_periods(first, last, settings.region.zone)
    end = min(periods[-1].to_pydatetime(), settings.availability.newest_known(now))
    start = periods[0].to_pydatetime()
    if end < start:
        raise RangeError(
            f"no demand from {first} to {last} was published by {now:%Y-%m-%d %H:%M} UTC; choose earlier days"
        )
    return Span(start, end, history=True)


def trailing_span(
    database: Database, settings: Settings, now: datetime, days_back: int | None = None
) -> Span:
    """From `days_back` days before the newest stored hour, for revisions, to the newest published by `now`.

    `days_back` defaults to `REVISION_WINDOW_DAYS`.
    """
    with database.transaction() as connection:
        newest = state.get_watermark(connection, EIA, settings.region.respondent)
    end = settings.availability.newest_known(now)
    start = min(newest or end, end) - timedelta(days=days_back or settings.revision_window_days)
    return Span(start, end, history=False)


def ingest(
    database: Database,
    settings: Settings,
    span: Span,
    now: datetime,
    progress: Progress,
    *,
    bulk: bool = False,
    bulk_folder: Path | None = None,
) -> Report:
    """Store demand, daily totals, observed weather and issued forecasts of `span` in the database.

    With `bulk`, hourly demand is read from EIA's six-month files (from `bulk_folder` if given), which need
    no key and have no daily totals.

    Raises:
        NoDataError: EIA has no demand in the span.
        IngestInterruptedError: an upstream failed; the message says what is stored.
        DataKindMismatchError: the database has another kind of data.
    """
    run = IngestionRun(database, settings, span, now, progress, Report())
    if bulk:
        with BulkClient(settings, bulk_folder) as files:
            ingest_demand(run, files)
    else:
        with EIAClient(settings) as eia:
            ingest_demand(run, eia)
            ingest_daily(run, eia)
    with WeatherClient(settings) as weather:
        ingest_observed(run, weather)
        ingest_issued(run, weather)
    return run.report
