"""The scheduled forecast: ingest new data, then forecast tomorrow, and log it with what it says of the peak.

Repeated in the hour of 09:00, it replaces a poor forecast by a better one: what was missing at nine may be
there at twenty past. An equal or worse forecast is never logged again, and of several of an hour one counts
(`scored_forecasts`).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from energy_demand.call_limits import REAL_TIME, Timing
from energy_demand.code_identity import code_identity
from energy_demand.data.ingestion.ingest import trailing_span
from energy_demand.database import predictions
from energy_demand.errors import UserError
from energy_demand.jobs.forecast import TOMORROW, asked_hours, forecast_by_champion
from energy_demand.jobs.ingestion import run_ingestion
from energy_demand.jobs.peaks import day_peak, store_peak
from energy_demand.jobs.shadow import forecast_shadows
from energy_demand.model.forecast import LATE_HOURS
from energy_demand.timeaxis import HOUR, ISSUE_HOUR_LOCAL, local_day, utc_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    import sqlalchemy as sa

    from energy_demand.config import Settings
    from energy_demand.data.ingestion.ingest import Progress
    from energy_demand.database.engine import Database
    from energy_demand.database.predictions import Logged
    from energy_demand.model.day_peak import DayPeak
    from energy_demand.model.forecast import Forecast
    from energy_demand.registry.registry import Registry

    # Less is better: the step of the fallback ladder, features without a value, whether demand was late.
    Grade = tuple[int, int, bool]

BEST: Grade = (0, 0, False)

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
        forecast: None if one that is as good was logged before.
        peak: what it says of the day's peak; None likewise.
        trouble: why no new data was ingested, or None.
        shadow_problems: why models in the shadow did not forecast, a line each.
    """

    day: date
    forecast: Forecast | None
    peak: DayPeak | None = None
    trouble: str | None = None
    shadow_problems: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "day": self.day,
            "logged_before": self.forecast is None,
            "trouble": self.trouble,
            "forecast": None if self.forecast is None else self.forecast.to_json(),
            "peak_alert": None if self.peak is None else self.peak.alert,
            "shadow_problems": list(self.shadow_problems),
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
    hour of 09:00 it counts as scheduled, and replaces one that is worse; later it is logged as a request, if
    none is logged yet, and models are not scored by it.

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
    """Forecast all hours of tomorrow from stored data and log them, as in `run_scheduled_forecast`.

    Raises:
        ForecastError: no step of the fallback ladder could forecast.
        NoChampionError: no model serves yet.
    """
    zone, respondent = settings.region.zone, settings.region.respondent
    day = local_day(now, zone) + timedelta(days=1)
    in_time = now.astimezone(zone).hour == ISSUE_HOUR_LOCAL
    request_id = f"scheduled {respondent} {day}"
    periods = asked_hours(settings, now, day=TOMORROW)

    def is_needed(connection: sa.Connection, grade: Grade) -> bool:
        """Whether a forecast of this grade is better than what is logged of the day."""
        if not in_time:
            return not predictions.is_logged(connection, request_id)
        start, end = periods[0].to_pydatetime() - HOUR, periods[-1].to_pydatetime()
        logged = predictions.read_logged_day(connection, respondent, zone.key, start, end, now)
        return logged is None or grade < _grade_of_logged(logged)

    with database.transaction() as connection:
        if not is_needed(connection, BEST):
            return ScheduledForecast(day, None)
    forecast = forecast_by_champion(database, registry, settings, now, periods)

    peak = _peak(database, settings, forecast, day, now)

    def log(connection: sa.Connection) -> bool:
        predictions.lock_scheduled(connection)
        source = "scheduled" if in_time else "request"
        rows = forecast.log_rows(source, request_id, now, respondent, code_identity())
        if not is_needed(connection, _grade(forecast, rows)):
            return False
        if predictions.is_logged(connection, request_id):
            rows = [{**row, "request_id": f"{request_id} at {utc_text(now)}"} for row in rows]
        predictions.insert_predictions(connection, rows)
        if peak is not None:
            store_peak(connection, respondent, peak)
        return True

    if not database.run(log):
        return ScheduledForecast(day, None)
    shadows = forecast_shadows(database, registry, settings, now, periods) if in_time else ()
    return ScheduledForecast(day, forecast, peak, shadow_problems=tuple(shadows))


def _peak(
    database: Database, settings: Settings, forecast: Forecast, day: date, now: datetime
) -> DayPeak | None:
    """What the forecast says of the day's peak; None where that fails, which must not cost the forecast."""
    try:
        with database.transaction() as connection:
            return day_peak(connection, settings.region, forecast, day, now)
    except Exception:  # noqa: BLE001  (whatever it is, the forecast comes first)
        _log.exception("the chances of a peak day could not be computed; the forecast is logged without them")
        return None


def _grade(forecast: Forecast, rows: Sequence[dict[str, Any]]) -> Grade:
    unknown = sum(value is None for row in rows for value in row["features_json"].values())
    return predictions.step_number(forecast.quality), unknown, forecast.demand_age_hours > LATE_HOURS


def _grade_of_logged(logged: Logged) -> Grade:
    late = logged.newest_demand is None or (logged.issued_at - logged.newest_demand) / HOUR > LATE_HOURS
    return predictions.step_number(logged.quality), logged.unknown_features, late
