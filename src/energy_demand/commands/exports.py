"""Commands that write what is stored: the logged forecasts, demand and scores, for other programs."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

from energy_demand.commands.by_region import OneRegion, of_region
from energy_demand.commands.options import Now, check_files, check_word, settings_at
from energy_demand.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator


class _Bytes(Protocol):
    def write(self, piece: bytes, /) -> int: ...


ROWS, OUTPUT = "Which rows", "Output"

PeriodFrom = Annotated[
    str | None,
    typer.Option(
        metavar="DATE|TIME",
        rich_help_panel=ROWS,
        help="First local day, or first hour by its end in UTC; default: 366 days before the last one.",
    ),
]
PeriodTo = Annotated[
    str | None,
    typer.Option(
        metavar="DATE|TIME",
        rich_help_panel=ROWS,
        help="Last local day or hour, included; default: the newest.",
    ),
]
AsOf = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        rich_help_panel=ROWS,
        help="Only what was logged and known by this time; default: now.",
    ),
]
Quality = Annotated[
    list[str] | None,
    typer.Option(
        metavar="WORD",
        rich_help_panel=ROWS,
        help="Only forecasts of this step of the fallback ladder; may be repeated.",
    ),
]
Version = Annotated[
    str | None,
    typer.Option(metavar="VERSION", rich_help_panel=ROWS, help="Only forecasts of this model version."),
]
Limit = Annotated[
    str | None,
    typer.Option(
        metavar="N", rich_help_panel=ROWS, help="At most N rows; with a cursor to go on after them."
    ),
]
Cursor = Annotated[
    str | None,
    typer.Option(
        metavar="TEXT",
        rich_help_panel=ROWS,
        help="Go on after a page: `next` of the JSON of the page before.",
    ),
]
Format = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="json|csv|parquet|arrow",
        rich_help_panel=OUTPUT,
        help="Default: by the name of --output, else csv; arrow is an IPC stream.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", rich_help_panel=OUTPUT, help="The same as --format json.")]
Output = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", rich_help_panel=OUTPUT, help="Write to this file instead of standard output."
    ),
]


def forecasts(
    period_from: PeriodFrom = None,
    period_to: PeriodTo = None,
    issued_from: Annotated[
        str | None,
        typer.Option(
            metavar="DATE|TIME", rich_help_panel=ROWS, help="Only forecasts issued at this time or later."
        ),
    ] = None,
    issued_to: Annotated[
        str | None,
        typer.Option(metavar="DATE|TIME", rich_help_panel=ROWS, help="Only forecasts issued by this time."),
    ] = None,
    days_ahead: Annotated[
        str | None,
        typer.Option(
            metavar="1",
            rich_help_panel=ROWS,
            help="1: of each local day the last forecast of the whole day issued on the day before.",
        ),
    ] = None,
    issued_by: Annotated[
        str | None,
        typer.Option(
            metavar="HH:MM",
            rich_help_panel=ROWS,
            help="With --days-ahead: issued by this local time; default: 09:59.",
        ),
    ] = None,
    as_of: AsOf = None,
    quality: Quality = None,
    version: Version = None,
    limit: Limit = None,
    cursor: Cursor = None,
    region: OneRegion = None,
    output_format: Format = None,
    as_json: AsJson = False,
    output: Output = None,
    now: Now = None,
) -> None:
    """Write the logged forecasts, each with the demand of its hour where it is known, and the error.

    Example: energy-demand forecasts --days-ahead 1 --period-from 2025-01-01 --output day_ahead.parquet
    """
    given = {
        "period_from": period_from,
        "period_to": period_to,
        "issued_from": issued_from,
        "issued_to": issued_to,
        "days_ahead": days_ahead,
        "issued_by": issued_by,
        "as_of": as_of,
        "quality": quality,
        "version": version,
        "limit": limit,
        "cursor": cursor,
    }
    _write("forecasts", given, region, now, _format(output_format, output, as_json=as_json), output)


def demand(
    period_from: PeriodFrom = None,
    period_to: PeriodTo = None,
    as_of: AsOf = None,
    limit: Limit = None,
    cursor: Cursor = None,
    region: OneRegion = None,
    output_format: Format = None,
    as_json: AsJson = False,
    output: Output = None,
    now: Now = None,
) -> None:
    """Write hourly demand as served, with the flags of screening.

    Example: energy-demand demand --period-from 2025-07-01 --period-to 2025-07-31 --output july.csv
    """
    given = {
        "period_from": period_from,
        "period_to": period_to,
        "as_of": as_of,
        "limit": limit,
        "cursor": cursor,
    }
    _write("demand", given, region, now, _format(output_format, output, as_json=as_json), output)


def scores(
    by: Annotated[
        str | None,
        typer.Option(
            metavar="day|version|quality", rich_help_panel=ROWS, help="What makes a row; default: day."
        ),
    ] = None,
    period_from: PeriodFrom = None,
    period_to: PeriodTo = None,
    as_of: AsOf = None,
    quality: Quality = None,
    version: Version = None,
    limit: Limit = None,
    cursor: Cursor = None,
    region: OneRegion = None,
    output_format: Format = None,
    as_json: AsJson = False,
    output: Output = None,
    now: Now = None,
) -> None:
    """Write the errors of the forecasts that were scheduled at 09:00, by day, model version or quality.

    Example: energy-demand scores --by version
    """
    given = {
        "by": by,
        "period_from": period_from,
        "period_to": period_to,
        "as_of": as_of,
        "quality": quality,
        "version": version,
        "limit": limit,
        "cursor": cursor,
    }
    _write("scores", given, region, now, _format(output_format, output, as_json=as_json), output)


def _format(chosen: str | None, output: Path | None, *, as_json: bool) -> str:
    from energy_demand.exports.formats import BINARY, CSV, FORMATS, JSON  # noqa: PLC0415

    if as_json and chosen not in {None, JSON}:
        raise typer.BadParameter("give --format or --json, not both")
    suffix = "" if output is None else output.suffix.removeprefix(".").lower()
    how = JSON if as_json else chosen or (suffix if suffix in FORMATS else CSV)
    check_word("--format", how, FORMATS)
    if how in BINARY and output is None and sys.stdout.isatty():
        raise typer.BadParameter(f"{how} is binary and standard output is a terminal; add --output FILE")
    return how


def _write(
    export: str, given: dict[str, Any], region: str | None, now: Any, how: str, output: Path | None
) -> None:
    """Read and write an export; a file appears under its name only when it is whole."""
    check_files(output=output)
    from energy_demand.database.engine import open_database  # noqa: PLC0415
    from energy_demand.exports.formats import pieces  # noqa: PLC0415
    from energy_demand.exports.questions import QuestionError, parse_question  # noqa: PLC0415
    from energy_demand.exports.reading import STATEMENT_SECONDS, open_export  # noqa: PLC0415
    from energy_demand.terminal.console import err  # noqa: PLC0415

    settings = of_region(settings_at(now), region)
    asked = {
        name: list(value) if isinstance(value, list) else [value] for name, value in given.items() if value
    }
    try:
        question = parse_question(export, asked, settings.region, settings.present())
    except QuestionError as error:
        raise typer.BadParameter(f"{_option(error.field)}: {error}") from None
    database = open_database(settings, statement_seconds=STATEMENT_SECONDS)
    try:
        err.print(f"database: {database.label}", soft_wrap=True)
        answer = open_export(database, question)
        with _file(output) as file:
            for piece in pieces(answer, how):
                file.write(piece)
    except QuestionError as error:
        raise typer.BadParameter(f"{_option(error.field)}: {error}") from None
    finally:
        database.close()
    if answer.next_cursor is not None:
        err.print(f"more rows follow: --cursor {answer.next_cursor}", soft_wrap=True)


@contextmanager
def _file(output: Path | None) -> Iterator[_Bytes]:
    """What is written to: standard output, or a file that takes its name once it is whole."""
    from energy_demand.outputs import OutputError  # noqa: PLC0415

    if output is None:
        with _standard_output() as file:
            yield file
        return
    regular = output.is_file() or not output.exists()  # unlike /dev/null
    written = output.with_name(f".{output.name}.part") if regular else output
    try:
        with written.open("wb") as file:
            yield file
        if regular:
            written.replace(output)
    except OSError as error:
        if isinstance(error, UserError):
            raise
        raise OutputError(
            f"{output} cannot be written ({error.strerror or error}); nothing was changed. Name another file"
        ) from error
    finally:
        if regular:
            written.unlink(missing_ok=True)


@contextmanager
def _standard_output() -> Iterator[_Bytes]:
    sys.stdout.flush()
    try:
        yield getattr(sys.stdout, "buffer", None) or _AsText()
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _AsText:
    """Standard output that a caller in this process has replaced by a stream of text."""

    def write(self, piece: bytes) -> int:
        return sys.stdout.write(piece.decode())


def _option(field: str) -> str:
    return f"--{field.replace('_', '-')}"
