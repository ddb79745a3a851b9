"""The forecast job: the champion's forecast of some hours, logged as it was given."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from energy_demand.code_identity import code_identity
from energy_demand.config import FIRST_REGION, FORECAST_HORIZON_HOURS
from energy_demand.data.record_store import load_recent
from energy_demand.database import predictions
from energy_demand.jobs.fallback_ladder import best_available
from energy_demand.model.predict import ForecastError, Question, hours_of_day, next_hours
from energy_demand.timeaxis import local_day, parse_day, utc_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date, datetime

    import pandas as pd

    from energy_demand.config import Settings
    from energy_demand.database.engine import Database
    from energy_demand.model.forecast import Forecast
    from energy_demand.registry.champion import Champion
    from energy_demand.registry.registry import Registry

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
    request_id: str | None = None,
    source: str | None = None,
) -> Forecast:
    """Forecast the next `hours`, or all hours of a local `day` (a date or `tomorrow`), and log it.

    Asking twice for the same forecast by the same version logs it once. By default the log
    calls it a `request`, or a `backfill` if it was issued in the past.

    Raises:
        ForecastError: the hours cannot be forecast.
        NoChampionError: no model serves yet.
        ModelRefusedError: the champion's files are damaged.
    """
    periods = asked_hours(settings, issued_at, hours=hours, day=day)
    forecast = forecast_by_champion(database, registry, settings, issued_at, periods)
    request_id = request_id or (
        f"command {_of_region(settings)}{utc_text(issued_at)} v{forecast.model_version} "
        f"{utc_text(periods[0])} {len(periods)}"
    )
    source = source or ("request" if issued_at >= now else "backfill")
    with database.transaction() as connection:
        rows = forecast.log_rows(source, request_id, now, settings.region.respondent, code_identity())
        predictions.insert_predictions(connection, rows)
    return forecast


def _of_region(settings: Settings) -> str:
    """What tells a region's requests from those of others; New York's have no code in them."""
    return "" if settings.eia_region == FIRST_REGION else f"{settings.eia_region} "


def asked_hours(
    settings: Settings, issued_at: datetime, *, hours: int | None = None, day: date | str | None = None
) -> pd.DatetimeIndex:
    """The next `hours` (24 by default), or all hours of a local `day` (a date, its text, or `tomorrow`).

    Raises:
        ForecastError: they cannot be forecast at `issued_at`, or both are given.
        TimeFormatError: the text is no day.
    """
    zone = settings.region.zone
    if day is None:
        return next_hours(issued_at, FORECAST_HORIZON_HOURS if hours is None else hours)
    if hours is not None:
        raise ForecastError("give hours or day, not both")
    if day == TOMORROW:
        day = local_day(issued_at, zone) + timedelta(days=1)
    return hours_of_day(parse_day(day) if isinstance(day, str) else day, issued_at, zone)


def forecast_by_champion(
    database: Database,
    registry: Registry,
    settings: Settings,
    issued_at: datetime,
    periods: pd.DatetimeIndex,
) -> Forecast:
    """The best forecast of `periods` from what is stored, by the champion or the step below it.

    Raises:
        ForecastError: the hours cannot be forecast.
        NoChampionError: no model serves yet.
        ModelRefusedError: the champion's files are damaged.
    """
    champion = registry.champion()
    return forecast_stored(
        database, settings, issued_at, periods, champion, lambda: registry.previous(champion)
    )


def forecast_stored(
    database: Database,
    settings: Settings,
    issued_at: datetime,
    periods: pd.DatetimeIndex,
    champion: Champion | None,
    previous: Callable[[], Champion | None] = lambda: None,
) -> Forecast:
    """The best forecast of `periods` from what is stored.

    Raises:
        NoDemandError: none of the last weeks is stored.
        NoForecastError: none was known, or no rung of the ladder could answer.
    """
    question = Question(issued_at, periods, settings.availability)
    return best_available(
        lambda start: load_recent(database, settings, start, issued_at), question, champion, previous
    )
