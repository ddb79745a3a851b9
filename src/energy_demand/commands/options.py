"""Options that several commands share, and their parsers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from energy_demand.outputs import OutputError, check_output
from energy_demand.timeaxis import TimeFormatError, parse_day, parse_moment

if TYPE_CHECKING:
    from energy_demand.config import Settings

_Choice = TypeVar("_Choice", bound=StrEnum)


def moment(text: str) -> datetime:
    """Parse a time from the command line, as UTC."""
    try:
        return parse_moment(text)
    except TimeFormatError as error:
        raise typer.BadParameter(str(error)) from None


FIRST_YEAR = 2000  # of demand that can be asked for


def day(text: str) -> date:
    """Parse a day from the command line."""
    try:
        return parse_day(text)
    except TimeFormatError as error:
        raise typer.BadParameter(str(error)) from None


Now = Annotated[
    datetime | None,
    typer.Option(
        parser=moment, metavar="TIME", help="Use this time as the present; same as ENERGY_DEMAND_NOW."
    ),
]
FirstDay = Annotated[date, typer.Option(parser=day, metavar="DATE", help="First day, in the region's time.")]
LastDay = Annotated[date, typer.Option(parser=day, metavar="DATE", help="Last day, included.")]
Weather = Annotated[
    str | None,
    typer.Option(
        metavar="as_issued|observed",
        help="Weather as forecast at the issue time, or as observed; default: as_issued where it is stored.",
    ),
]
WorkerCount = Annotated[
    int | None,
    typer.Option(
        "--workers", min=1, metavar="N", help="Share the work among N processes of this machine, by Dask."
    ),
]
RegionWorkers = Annotated[
    int | None,
    typer.Option("--workers", min=1, metavar="N", help="Do the jobs of several regions in N processes."),
]
DaskAddress = Annotated[
    str | None,
    typer.Option("--dask", metavar="tcp://HOST:8786", help="Use the workers of this Dask scheduler instead."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]


def check_workers(count: int | None, address: str | None) -> None:
    """Refuse both at once."""
    if count is not None and address is not None:
        raise typer.BadParameter("--workers starts a cluster here, --dask uses another one; give one of them")


def current_settings(**overrides: Any) -> Settings:
    """The settings; imported only now, so that `--help` answers at once."""
    from energy_demand import config  # noqa: PLC0415

    return config.load_settings(**overrides)


def settings_at(now: datetime | None) -> Settings:
    """The settings, with the present fixed to `now` if the command line gives it."""
    return current_settings() if now is None else current_settings(energy_demand_now=now)


def choice(kind: type[_Choice], option: str, text: str) -> _Choice:
    """Parse one of a few words from the command line."""
    try:
        return kind(text)
    except ValueError:
        known = ", ".join(each.value for each in kind)
        raise typer.BadParameter(f"{option} must be one of {known}; got {text!r}") from None


def check_word(option: str, text: str, known: Sequence[str]) -> None:
    """Refuse a word that is none of `known`."""
    if text not in known:
        raise typer.BadParameter(f"{option} must be one of {', '.join(known)}; got {text!r}")


def check_window(start: date, end: date, weather: str | None, **files: Path | None) -> None:
    """Refuse an unknown weather mode, an empty window, or an output file that cannot be written."""
    if weather not in (None, "as_issued", "observed"):
        raise typer.BadParameter(f"--weather must be as_issued or observed; got {weather!r}")
    if end < start:
        raise typer.BadParameter(f"--end {end} is before --start {start}")
    check_files(**files)


def check_files(**files: Path | None) -> None:
    """Refuse an option's output file that cannot be written."""
    for option, path in files.items():
        if path is None:
            continue
        try:
            check_output(path)
        except OutputError as error:
            raise typer.BadParameter(f"--{option}: {error}") from None
