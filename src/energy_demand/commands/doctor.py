"""The command that says what is wrong, and what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from energy_demand.commands.by_region import OneRegion, of_region
from energy_demand.commands.options import Json, check_word, current_settings

AREAS = ("machine", "upstreams", "stores", "services")


def doctor(
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="|".join(AREAS), help="Look at this alone; repeat for more."),
    ] = None,
    record: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Keep what the upstreams answered in this folder, without secrets."),
    ] = None,
    region: OneRegion = None,
    as_json: Json = False,
) -> None:
    """Say what is wrong and what to do: machine, upstreams, stores, services. Changes nothing.

    Example: energy-demand doctor

    Exit status 1 if something failed; warnings do not count.
    """
    for word in only or ():
        check_word("--only", word, AREAS)
    from energy_demand.doctor import recording  # noqa: PLC0415
    from energy_demand.doctor.checks import Area  # noqa: PLC0415
    from energy_demand.doctor.examination import examine  # noqa: PLC0415
    from energy_demand.terminal.console import err, print_json  # noqa: PLC0415
    from energy_demand.terminal.doctor import print_examination  # noqa: PLC0415

    areas = {Area(word) for word in only or AREAS}
    if record is not None:
        if Area.UPSTREAMS not in areas:
            raise typer.BadParameter("--record keeps what the upstreams answered; add --only upstreams")
        recording.check_folder(record)
    with err.status("asking"):
        found = examine(lambda: of_region(current_settings(), region), areas)
    body = found.to_json()
    (print_json if as_json else print_examination)(body)
    if record is not None and found.now is not None:
        files = recording.write(record, found.answers, found.secrets, found.now)
        err.print(f"recorded: {len(files) - 1} answers in {record}", soft_wrap=True)
    if not found.healthy:
        raise typer.Exit(1)
