"""The forecast job: the champion's forecast of some hours, logged as it was given."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

from energy_demand.config import FORECAST_HORIZON_HOURS
from energy_demand.database import repository
from energy_demand.model.predict import Forecast, hours_ahead, hours_of_day, make_forecast, utc_text
from energy_demand.timeaxis import local_day

if TYPE_CHECKING:
    from datetime import datetime

    from energy_demand.config import Settings
    from energy_demand.database.engine import Database
    from energy_demand.model.registry import Registry

TOMORROW = "tomorrow"


def run_forecast(
    database: Database,
    registry: Registry,
    settings: Settings,
    issued_at: datetime,
    now: datetime,
    *,
    hours: int | None = None,
    day: date | str | None = None,
) -> Forecast:
    """Forecast the next `hours`, or all hours of a local `day` (a date or `tomorrow`), and log it.

    Asking twice for the same forecast by the same version logs it once.

    Raises:
        ForecastError: the hours cannot be forecast.
        NoChampionError: no model serves yet.
    """
    zone = settings.region.zone
    if day == TOMORROW:
        day = local_day(issued_at, zone) + timedelta(days=1)
    if isinstance(day, date):
        periods = hours_of_day(day, issued_at, zone)
    else:
        periods = hours_ahead(issued_at, hours or FORECAST_HORIZON_HOURS)
    made = make_forecast(database, settings, registry.champion(), issued_at, periods)
    request_id = f"command {utc_text(issued_at)} v{made.model_version} {utc_text(periods[0])} {len(periods)}"
    source = "request" if issued_at >= now else "backfill"
    with database.transaction() as connection:
        repository.insert_predictions(
            connection, made.log_rows(source, request_id, now, settings.region.respondent)
        )
    return made
