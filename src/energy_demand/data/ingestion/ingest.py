"""Fetch → check → store. The entry of an ingestion; nothing here knows SQL or HTTP.

Each chunk is one transaction, its watermark included, so that a run may be killed at any point and
simply run again.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from energy_demand.call_limits import REAL_TIME, Timing
from energy_demand.data.eia_bulk import BulkClient
from energy_demand.data.eia_client import DEMAND, EIAClient
from energy_demand.data.ingestion.demand import (
    EIA,
    LONG_LOOK,
    ingest_daily,
    ingest_demand,
)
from energy_demand.data.ingestion.ingestion_run import (
    EmptyAnswerError,
    IngestInterruptedError,
    IngestionRun,
    NoDataError,
    Progress,
    RangeError,
    Report,
    Span,
)
from energy_demand.data.ingestion.issued_weather import FORECASTS, ingest_issued
from energy_demand.data.ingestion.observed_weather import ARCHIVE, ingest_observed
from energy_demand.data.ingestion.operator_forecasts import SOURCE as OPERATOR_FILES
from energy_demand.data.ingestion.operator_forecasts import ingest_operator
from energy_demand.data.operator_client import OperatorClient
from energy_demand.data.weather_client import WeatherClient
from energy_demand.database import repository, state
from energy_demand.database.daily_totals import EIA_DAILY, LOOK_BACK
from energy_demand.http import DataKindError
from energy_demand.timeaxis import days_periods

if TYPE_CHECKING:
    from collections.abc import Callable
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
    "looking_back",
    "trailing_span",
]


# A run of the schedule a little early still counts as the next day's.
ONCE_A_DAY = timedelta(hours=23)
# An hour whose value changed or was taken back is looked at again for so long, also outside those days.
CHANGED_LATELY = timedelta(days=14)
UNSETTLED_FOR = 2 * LOOK_BACK


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


def looking_back(database: Database, settings: Settings, span: Span, now: datetime) -> Span:
    """The span, once a day as long as EIA corrects hours; not where nothing is stored that far back.

    It begins earlier where an older hour changed lately, or was taken back and has not come again: a fault of
    the upstream looks the same, and what it changed would stay.
    """
    if span.history or span.end - span.start >= LOOK_BACK:
        return span
    respondent = settings.region.respondent
    with database.transaction() as connection:
        stored = repository.demand_span(connection, respondent, DEMAND, now)
        looked = state.get_watermark(connection, LONG_LOOK, respondent)
        unsettled = repository.oldest_unsettled(
            connection, respondent, span.end - UNSETTLED_FOR, now - CHANGED_LATELY
        )
    if stored is None or (looked is not None and now - looked < ONCE_A_DAY):
        return span
    start = min(span.start, span.end - LOOK_BACK, unsettled or span.end)
    return replace(span, start=min(span.start, max(stored[0], start)))


def ingest(
    database: Database,
    settings: Settings,
    span: Span,
    now: datetime,
    progress: Progress,
    *,
    bulk: bool = False,
    bulk_folder: Path | None = None,
    timing: Timing = REAL_TIME,
) -> Report:
    """Store demand, daily totals, observed weather and issued forecasts of `span` in the database.

    With `bulk`, hourly demand is read from EIA's six-month files (from `bulk_folder` if given), which need
    no key and have no daily totals. Each source stands alone: one that fails is in `failures` of the report,
    and the others are stored all the same. Where `OPERATOR_FORECAST` is set, the grid operator's own forecast
    is stored, too. `timing` is how Open-Meteo's calls are counted and waited for.

    Raises:
        NoDataError: EIA has no demand in a span of history; nothing is stored.
        MissingKeyError: EIA's API needs a key.
        DataKindMismatchError: the database has another kind of data.
    """
    run = IngestionRun(database, settings, span, now, progress, Report())
    if bulk:
        with BulkClient(settings, bulk_folder) as files:
            _alone(run, EIA, lambda: ingest_demand(run, files, may_withdraw=False))
    else:
        with EIAClient(settings) as eia:
            _alone(run, EIA, lambda: ingest_demand(run, eia, may_withdraw=True))
            _alone(run, EIA_DAILY, lambda: ingest_daily(run, eia))
    # One client for both: they share the calls that Open-Meteo allows.
    with WeatherClient(settings, timing=timing) as weather:
        _alone(run, ARCHIVE, lambda: ingest_observed(run, weather))
        _alone(run, FORECASTS, lambda: ingest_issued(run, weather))
    if settings.operator_forecast is not None:
        with OperatorClient(settings) as operator:
            _alone(run, OPERATOR_FILES, lambda: ingest_operator(run, operator))
    return run.report


def _alone(run: IngestionRun, source: str, work: Callable[[], None]) -> None:
    """Do the work of one source; its failure is noted and stops no other."""
    try:
        work()
    except IngestInterruptedError as error:
        run.report.failures[source] = str(error)
    except (DataKindError, EmptyAnswerError, NoDataError) as error:
        if isinstance(error, NoDataError) and run.span.history:
            raise
        run.note_failure(source, str(error))
        run.report.failures[source] = str(error)
    else:
        run.report.read.append(source)
