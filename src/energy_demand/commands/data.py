"""Commands that fetch, store and inspect data."""

from __future__ import annotations

from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from energy_demand.commands.by_region import EachRegion, each_region
from energy_demand.commands.options import FirstDay, Json, LastDay, Now, current_settings, settings_at

if TYPE_CHECKING:
    from energy_demand.commands.by_region import Emit
    from energy_demand.config import Settings


class Source(StrEnum):
    """Where a backfill reads demand from."""

    API = "api"
    BULK = "bulk"


def backfill(
    start: FirstDay,
    end: LastDay,
    source: Annotated[
        Source, typer.Option(help="Demand from EIA's API, or from its six-month files, which need no key.")
    ] = Source.API,
    folder: Annotated[
        Path | None,
        typer.Option(help="With --source bulk: folder of downloaded files; default: download them."),
    ] = None,
    region: EachRegion = None,
    now: Now = None,
    as_json: Json = False,
) -> None:
    """Fetch historical demand, weather, and weather forecasts as issued.

    Example: energy-demand backfill --start 2019-01-01 --end 2025-07-31
    """
    if folder is not None and source is not Source.BULK:
        raise typer.BadParameter("--folder needs --source bulk")
    from energy_demand.data.ingestion.ingest import backfill_span  # noqa: PLC0415

    settings = settings_at(now)
    if end < start:
        raise typer.BadParameter(f"--end {end} is before --start {start}")
    present = settings.present()
    backfill_span(settings, start, end, present)  # days that cannot be asked for are so of every region

    def work(of: Settings, emit: Emit) -> None:
        span = backfill_span(of, start, end, present)
        _ingest(of, span, emit, bulk=source is Source.BULK, bulk_folder=folder)

    each_region(settings, region, work, as_json=as_json)


def ingest(region: EachRegion = None, now: Now = None, as_json: Json = False) -> None:
    """Fetch new data, and the last weeks again to pick up revisions; each source alone.

    Example: energy-demand ingest
    """
    each_region(settings_at(now), region, lambda of, emit: _ingest(of, None, emit), as_json=as_json)


def _ingest(settings: Settings, span: Any, emit: Emit, **how: Any) -> None:
    from energy_demand.data.ingestion.ingest import trailing_span  # noqa: PLC0415
    from energy_demand.database.engine import opened  # noqa: PLC0415
    from energy_demand.jobs.ingestion import run_ingestion  # noqa: PLC0415
    from energy_demand.notifications.notify import notifying  # noqa: PLC0415
    from energy_demand.terminal.console import err, progress_bars  # noqa: PLC0415

    with opened(settings) as database:
        err.print(f"database: {database.label}", soft_wrap=True)
        now = settings.present()
        span = span or trailing_span(database, settings, now)
        with notifying(database, settings), progress_bars() as progress:
            outcome = run_ingestion(database, settings, span, now, progress, **how)
    if outcome.report.is_empty:  # only why
        outcome.raise_failures()
    emit(outcome.to_json(), partial(_print_ingested, settings))
    outcome.raise_failures()


def _print_ingested(settings: Settings, body: dict[str, Any]) -> None:
    from energy_demand.terminal.console import out  # noqa: PLC0415

    operator = ("operator",) if settings.operator_forecast else ()
    for name in ("demand", "daily", "weather", "forecasts", *operator, "features"):
        out.print(f"{name:<10} {body[name]['new']:>9,} new {body[name]['revised']:>7,} revised")
    out.print(f"{'quarantine':<10} {body['quarantined']:>9,} new")
    out.print(f"{'missing':<10} {body['missing_hours']:>9,} hours of demand")
    for name, meaning in (
        ("withdrawn", "hours of demand that EIA took back"),
        ("runs_missing", "runs of the weather model that are not on record"),
        ("runs_failed", "runs of the weather model that could not be fetched; asked for again later"),
    ):
        if body[name]:
            out.print(f"{name.removeprefix('runs_'):<10} {body[name]:>9,} {meaning}")


def status(region: EachRegion = None, now: Now = None, as_json: Json = False) -> None:
    """Show what is stored, what is missing, and which model serves; of several regions a line each.

    Example: energy-demand status

    If the database or MLflow cannot be read, the rest is shown, and the exit status is 1.
    """
    from energy_demand.errors import UserError  # noqa: PLC0415
    from energy_demand.jobs.status import status as read_status  # noqa: PLC0415
    from energy_demand.terminal.stored import print_status, print_status_of_regions  # noqa: PLC0415

    settings = settings_at(now)

    def work(of: Settings, emit: Emit) -> None:
        body = read_status(of, settings.present())
        emit(body, print_status)
        if body["problems"]:
            raise UserError("; ".join(body["problems"].values()))

    each_region(settings, region, work, as_json=as_json, table=print_status_of_regions)


def regions(as_json: Json = False) -> None:
    """List the regions that EIA_REGION may name: the catalogue's, and those of REGIONS_FILE.

    Example: energy-demand regions
    """
    from energy_demand.region_catalogue import entries  # noqa: PLC0415
    from energy_demand.terminal.console import print_json  # noqa: PLC0415
    from energy_demand.terminal.regions import print_regions  # noqa: PLC0415

    # Whatever EIA_REGION is: this is where to look if it is wrong.
    own = current_settings(eia_region="NY", eia_regions=()).regions_file
    listed = entries(own).values()
    if as_json:
        print_json({"regions": [entry.model_dump() for entry in listed]})
    else:
        print_regions(listed)


def quarantine(
    release: Annotated[
        list[int] | None,
        typer.Option(metavar="ID", help="Release this row and store it; repeat for more rows."),
    ] = None,
    now: Now = None,
    as_json: Json = False,
) -> None:
    """List the rows that broke the data contract, or release some of them.

    Example: energy-demand quarantine --release 12
    """
    from energy_demand.data.quarantine import release as release_rows  # noqa: PLC0415
    from energy_demand.database import state  # noqa: PLC0415
    from energy_demand.database.engine import opened  # noqa: PLC0415
    from energy_demand.terminal.console import err, out, print_json  # noqa: PLC0415
    from energy_demand.terminal.stored import print_quarantine  # noqa: PLC0415

    settings = settings_at(now)
    with opened(settings) as database:
        released = 0
        if release:
            err.print(f"database: {database.label}", soft_wrap=True)
            released = release_rows(database, release, settings.present())
        rows = database.run(state.quarantined)
    if as_json:
        print_json({"released": released, "rows": rows})
        return
    if release:
        out.print(f"released: {released}")
    print_quarantine(rows)
