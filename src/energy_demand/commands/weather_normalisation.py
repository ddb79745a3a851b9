"""The command about demand in usual weather."""

from __future__ import annotations

import typer

from energy_demand.commands import options
from energy_demand.commands.by_region import OneRegion, of_region
from energy_demand.commands.options import FirstDay, Json, LastDay, Now, settings_at


def weather_normalised(
    start: FirstDay,
    end: LastDay,
    region: OneRegion = None,
    now: Now = None,
    as_json: Json = False,
) -> None:
    """Show energy by month and year as observed and in usual weather, and how both changed in a year.

    A change is known for days a year after --start. Days with unknown demand or weather are left out.

    Example: energy-demand weather-normalised --start 2023-01-01 --end 2024-12-31
    """
    from energy_demand.database.engine import opened  # noqa: PLC0415
    from energy_demand.jobs.weather_normalisation import body_of  # noqa: PLC0415
    from energy_demand.jobs.weather_normalisation import weather_normalised as job  # noqa: PLC0415
    from energy_demand.registry.registry import Registry  # noqa: PLC0415
    from energy_demand.terminal.console import err, print_json  # noqa: PLC0415
    from energy_demand.terminal.weather_normalisation import print_normalised  # noqa: PLC0415

    settings = of_region(settings_at(now), region)
    options.check_window(start, end, None)
    if start.year < options.FIRST_YEAR:
        raise typer.BadParameter(f"--start must be in the year {options.FIRST_YEAR} or later; got {start}")
    with opened(settings) as database:
        err.print(f"database: {database.label}", soft_wrap=True)
        forecaster = Registry(settings).champion().forecaster
        found = job(database, forecaster, settings, settings.present(), start, end)
    if as_json:
        print_json(body_of(found, settings.region.respondent))
    else:
        print_normalised(found)
