"""The options that commands share, and how their texts become values."""

from __future__ import annotations

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
    """A moment from the command line."""
    try:
        return parse_moment(text)
    except TimeFormatError as error:
        raise typer.BadParameter(str(error)) from None


def day(text: str) -> date:
    """A day from the command line."""
    try:
        return parse_day(text)
    except TimeFormatError as error:
        raise typer.BadParameter(str(error)) from None


Now = Annotated[
    datetime | None,
    typer.Option(parser=moment, metavar="TIME", help="Fix the present; as ENERGY_DEMAND_NOW."),
]
FirstDay = Annotated[date, typer.Option(parser=day, metavar="DATE", help="First New York day.")]
LastDay = Annotated[date, typer.Option(parser=day, metavar="DATE", help="Last one, included.")]
Weather = Annotated[
    str | None,
    typer.Option(
        metavar="as_issued|observed",
        help="As it was foreseen, or as it came; by default as it was foreseen, where that is recorded.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]


def load_settings(**overrides: Any) -> Settings:
    """The settings; imported only now, so that `--help` answers at once."""
    from energy_demand import config  # noqa: PLC0415

    return config.load_settings(**overrides)


def settings_at(now: datetime | None) -> Settings:
    """The settings, with the present fixed where the command line does."""
    return load_settings() if now is None else load_settings(energy_demand_now=now)


def choice(kind: type[_Choice], option: str, text: str) -> _Choice:
    """One of a few words from the command line."""
    try:
        return kind(text)
    except ValueError:
        known = ", ".join(each.value for each in kind)
        raise typer.BadParameter(f"{option} is one of {known}, not {text!r}") from None


def check_window(start: date, end: date, weather: str | None, **files: Path | None) -> None:
    """Refuse a window of past days, a mode of weather, or a file before any work is done for it."""
    if weather not in (None, "as_issued", "observed"):
        raise typer.BadParameter(f"--weather is as_issued or observed, not {weather!r}")
    if end < start:
        raise typer.BadParameter(f"the end {end} is before the start {start}")
    check_files(**files)


def check_files(**files: Path | None) -> None:
    """Refuse the file of an option that cannot be written."""
    for option, path in files.items():
        if path is None:
            continue
        try:
            check_output(path)
        except OutputError as error:
            raise typer.BadParameter(f"--{option}: {error}") from None
