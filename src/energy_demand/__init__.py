"""energy-demand: day-ahead forecasts of hourly electricity demand.

    import energy_demand
    forecast = energy_demand.forecast(day="tomorrow")
    print(forecast.hours)

Importing the package touches nothing: no file, no network, no database, no clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import date

    from energy_demand.config import Settings
    from energy_demand.model.forecast import Forecast

__version__ = "0.1.0"


def forecast(
    *,
    hours: int | None = None,
    day: date | str | None = None,
    region: str | None = None,
    settings: Settings | None = None,
) -> Forecast:
    """The forecast by the model that serves, issued now, from what is stored; it is not logged.

    Args:
        hours: the next N hours, up to 48; 24 where neither is given.
        day: all hours of a local day: a date, or `tomorrow`.
        region: one of `EIA_REGIONS`; the default region where it is left out.
        settings: where database and registry are; from the environment and `.env` by default.

    Returns:
        A `Forecast`; its `hours` have `period` (UTC, hour ending), `lead_hours`, `predicted_demand_mwh` and
        the bounds of the 80 % and 95 % intervals (MWh).

    Raises:
        NoChampionError: no model serves yet.
        RegionError: the region is not among them, or cannot be used.
        ForecastError: the hours cannot be forecast.
        DatabaseUnavailableError, RegistryUnavailableError: one of them cannot be reached.
    """
    # Imported now: a program that only wants the version does not wait for pandas.
    from energy_demand.config import load_settings  # noqa: PLC0415
    from energy_demand.database.engine import opened  # noqa: PLC0415
    from energy_demand.jobs.forecast import asked_hours, forecast_stored  # noqa: PLC0415
    from energy_demand.registry.registry import Registry  # noqa: PLC0415

    settings = settings or load_settings()
    if region is not None:
        settings = settings.for_region(region)
    issued_at = settings.present()
    periods = asked_hours(settings, issued_at, hours=hours, day=day)
    registry = Registry(settings)
    champion = registry.champion()
    with opened(settings) as database:
        return forecast_stored(
            database, settings, issued_at, periods, champion, lambda: registry.previous(champion)
        )
