"""Files that are written after long work: looked at before it begins, and failing without losing it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from energy_demand.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class OutputError(UserError, OSError):
    """A file that cannot be written; the message names it and says what to do."""


def check_output(path: Path) -> None:
    """Refuse a path to which no file can be written; leaves everything as it is.

    Raises:
        OutputError: the folder is not there or closed, or the path is a folder or a file that is closed.
    """
    try:
        unusable = _unusable(path)
    except OSError as error:
        raise _unwritable(path, error, "choose another one") from None
    if unusable:
        raise OutputError(unusable)


def write_output(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` write what was computed.

    Raises:
        OutputError: it failed; what was computed was printed before.
    """
    try:
        write(path)
    except OSError as error:
        raise _unwritable(path, error, "what was computed is above") from error


def _unwritable(path: Path, error: OSError, then: str) -> OutputError:
    return OutputError(f"{path} cannot be written ({error.strerror or error}); {then}")


def _unusable(path: Path) -> str | None:
    if path.is_dir():
        return f"{path} is a folder; name a file in it"
    if not path.resolve().parent.is_dir():
        return f"the folder of {path} does not exist; make it first"
    there = path.exists()
    if there and not path.is_file():  # such as /dev/null, which opening could change or wait for
        return None
    # Only opening says it for sure: to root every mode is open, and a file system may be read-only.
    path.open("ab").close()
    if not there:
        path.unlink()
    return None
