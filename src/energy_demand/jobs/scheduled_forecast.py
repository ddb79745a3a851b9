"""The scheduled forecast: ingest new data, then forecast tomorrow and log it. Never logs a day twice."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from energy_demand.call_limits import REAL_TIME, Timing
from energy_demand.data.ingestion.ingest import trailing_span
from energy_demand.database import predictions
from energy_demand.errors import UserError
from energy_demand.jobs.forecast import TOMORROW, run_forecast
from energy_demand.jobs.ingestion import run_ingestion
from energy_demand.timeaxis import ISSUE_HOUR_LOCAL, local_day

if TYPE_CHECKING:
    from datetime import datetime

    from energy_demand.config import Settings
    from energy_demand.data.ingestion.ingest import Progress
    from energy_demand.database.engine import Database
    from energy_demand.model.predict import Forecast
    from energy_demand.registry.registry import Registry

_log = logging.getLogger(__name__)


class NothingNewError(UserError, RuntimeError):
    """Tomorrow's forecast was made from stored data alone, because ingestion failed."""

    def __init__(self, trouble: str) -> None:
        super().__init__(f"tomorrow's forecast is logged, but new data could not be ingested: {trouble}")


@dataclass(frozen=True)
class ScheduledForecast:
    """The result of a scheduled forecast.

    Attributes:
        day: the forecast day.
        forecast: None if it was logged before.
        trouble: why no new data was ingested, or None.
    """

    day: date
    forecast: Forecast | None
    trouble: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "day": self.day,
            "logged_before": self.forecast is None,
            "trouble": self.trouble,
            "forecast": None if self.forecast is None else self.forecast.to_json(),
        }


def run_scheduled_forecast(
    database: Database,
    registry: Registry,
    settings: Settings,
    now: datetime,
    progress: Progress,
    *,
    timing: Timing = REAL_TIME,
) -> ScheduledForecast:
    """Ingest, then forecast all hours of tomorrow and log them as scheduled.

    If ingestion fails, the forecast is made from stored data, because a late forecast is of no use. In the
    hour of 09:00 it counts as scheduled; later it is logged as a request, and models are not scored by it.

    Raises:
        ForecastError: no step of the fallback ladder could forecast.
        NoChampionError: no model serves yet.
    """
    trouble = None
    try:
        span = trailing_span(database, settings, now)
        run_ingestion(database, settings, span, now, progress, timing=timing).raise_failures()
    except UserError as error:
        trouble = str(error)
        _log.error("new data could not be ingested, forecasting from stored data: %s", error)
    return replace(forecast_tomorrow(database, registry, settings, now), trouble=trouble)


def forecast_tomorrow(
    database: Database, registry: Registry, settings: Settings, now: datetime
) -> ScheduledForecast:
    """Forecast all hours of tomorrow from stored data and log them once, as in `run_scheduled_forecast`.

    Raises:
        ForecastError: no step of the fallback ladder could forecast.
        NoChampionError: no model serves yet.
    """
    zone, respondent = settings.region.zone, settings.region.respondent
    day = local_day(now, zone) + timedelta(days=1)
    request_id = f"scheduled {respondent} {day}"
    with database.transaction() as connection:
        if predictions.is_logged(connection, request_id):
            return ScheduledForecast(day, None)
    in_time = now.astimezone(zone).hour == ISSUE_HOUR_LOCAL
    forecast = run_forecast(
        database,
        registry,
        settings,
        now,
        now,
        day=TOMORROW,
        request_id=request_id,
        source="scheduled" if in_time else "request",
    )
    return ScheduledForecast(day, forecast)
