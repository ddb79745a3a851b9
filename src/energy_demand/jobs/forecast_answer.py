"""What `energy-demand forecast` answers, for callers that only read: nothing is logged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from energy_demand.database.engine import opened
from energy_demand.jobs.forecast import asked_hours, forecast_by_champion
from energy_demand.jobs.operator_combination import combine
from energy_demand.model.predict import ForecastError
from energy_demand.registry.registry import Registry
from energy_demand.timeaxis import utc_text

if TYPE_CHECKING:
    from datetime import date, datetime

    from energy_demand.config import Settings
    from energy_demand.jobs.operator_combination import CombinedForecast


def forecast_answer(
    settings: Settings,
    *,
    hours: int | None = None,
    day: date | str | None = None,
    as_of: datetime | None = None,
) -> CombinedForecast:
    """The champion's forecast of the next `hours`, or of all hours of a local `day`.

    Args:
        settings: whose region, database and registry.
        hours: 1 to 48; 24 where neither is given.
        day: a date, its text, or `tomorrow`.
        as_of: the issue time in UTC; default: the present.

    Raises:
        ForecastError: the hours cannot be forecast, or `as_of` is in the future.
        TimeFormatError: the text is no day.
        NoChampionError: no model serves yet.
        DatabaseUnavailableError, RegistryUnavailableError: one of them cannot be reached.
    """
    present = settings.present()
    issued_at = present if as_of is None else as_of
    if issued_at > present:
        raise ForecastError(f"as_of {utc_text(issued_at)} is in the future")
    periods = asked_hours(settings, issued_at, hours=hours, day=day)
    with opened(settings) as database:
        forecast = forecast_by_champion(database, Registry(settings), settings, issued_at, periods)
        return combine(database, settings, forecast)
