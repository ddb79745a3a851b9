"""The command that makes a logged forecast again."""

from __future__ import annotations

from typing import Annotated

import typer

from energy_demand.commands.by_region import OneRegion, of_region
from energy_demand.commands.options import Json, Now, settings_at
from energy_demand.errors import UserError


class NotReproducedError(UserError, RuntimeError):
    """A logged forecast cannot be made again as it was."""


def reproduce(
    what: Annotated[
        str,
        typer.Argument(
            metavar="REQUEST_ID|PERIOD",
            help="The id that a forecast was logged with, or an hour by its end in UTC: the scheduled "
            "forecast of that hour, else the newest one.",
        ),
    ],
    region: OneRegion = None,
    now: Now = None,
    as_json: Json = False,
) -> None:
    """Make a logged forecast again from database and registry, and compare it bit for bit.

    Exit status 1 if it differs or cannot be made; the reason names the part that is no longer as it was.

    Example: energy-demand reproduce 2025-07-31T18:00Z
    """
    from energy_demand.database.engine import opened  # noqa: PLC0415
    from energy_demand.jobs.reproduction import reproduce as again  # noqa: PLC0415
    from energy_demand.registry.registry import Registry  # noqa: PLC0415
    from energy_demand.terminal.console import err, print_json  # noqa: PLC0415
    from energy_demand.terminal.reproduction import print_reproduction  # noqa: PLC0415
    from energy_demand.timeaxis import parse_moment  # noqa: PLC0415

    settings = of_region(settings_at(now), region)
    try:
        period = parse_moment(what)
    except ValueError:
        period = None
    with opened(settings) as database:
        err.print(f"database: {database.label}", soft_wrap=True)
        result = again(
            database, Registry(settings), settings, request_id=None if period else what, period=period
        )
    if as_json:
        print_json(result.to_json())
    else:
        print_reproduction(result)
    if not result.agrees:
        raise NotReproducedError(f"forecast {result.request_id!r} was not reproduced: {result.reason}")
