"""The command about the year's peaks."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from energy_demand.commands import options
from energy_demand.commands.by_region import OneRegion, of_region
from energy_demand.commands.options import Json, Now, settings_at


def peaks(
    day: Annotated[
        str, typer.Option(metavar="DATE|tomorrow", help="Local day; a coming one or a past one.")
    ] = "tomorrow",
    region: OneRegion = None,
    now: Now = None,
    as_json: Json = False,
) -> None:
    """Say how likely a day is among its year's highest, and show the ten highest days and hours so far.

    A coming day without a scheduled forecast is forecast now.

    Example: energy-demand peaks --day tomorrow
    """
    from energy_demand.database.engine import opened  # noqa: PLC0415
    from energy_demand.jobs.forecast import run_forecast  # noqa: PLC0415
    from energy_demand.jobs.peaks import peaks_body  # noqa: PLC0415
    from energy_demand.registry.registry import Registry  # noqa: PLC0415
    from energy_demand.terminal.console import err, print_json  # noqa: PLC0415
    from energy_demand.terminal.peaks import print_peaks  # noqa: PLC0415
    from energy_demand.timeaxis import local_day  # noqa: PLC0415

    settings = of_region(settings_at(now), region)
    present, of = settings.present(), settings.region
    today = local_day(present, of.zone)
    asked = today + timedelta(days=1) if day == "tomorrow" else options.day(day)
    if asked.year < options.FIRST_YEAR:
        raise typer.BadParameter(f"--day must be in the year {options.FIRST_YEAR} or later; got {day}")
    with opened(settings) as database:
        err.print(f"database: {database.label}", soft_wrap=True)
        with database.transaction() as connection:
            body = peaks_body(connection, of, present, asked)
        if body["peak"] is None and asked > today:
            made = run_forecast(database, Registry(settings), settings, present, present, day=asked)
            with database.transaction() as connection:
                body = peaks_body(connection, of, present, asked, made)
    if as_json:
        print_json(body)
    else:
        print_peaks(body, of.zone)
