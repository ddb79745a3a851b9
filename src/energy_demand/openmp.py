"""LightGBM's library needs OpenMP, which some machines and images lack; that is reported in one line."""

from __future__ import annotations

import ctypes
from importlib.util import find_spec
from pathlib import Path

from energy_demand.errors import UserError


class LibraryMissingError(UserError, ImportError):
    """A library of the system that LightGBM needs is not installed."""

    def __init__(self, error: OSError) -> None:
        """Takes the dynamic linker's own words, which name the library."""
        super().__init__(
            f"LightGBM cannot be loaded: {error}; install OpenMP and run again: `apt-get install libgomp1` "
            "on Debian and Ubuntu, `dnf install libgomp` on Fedora, `brew install libomp` on macOS"
        )


def check_library() -> None:
    """Load LightGBM's library without the package, for a process that only starts others.

    Raises:
        LibraryMissingError: it cannot be loaded.
    """
    spec = find_spec("lightgbm")
    for folder in (spec and spec.submodule_search_locations) or ():
        for file in (Path(folder) / "lib").glob("lib_lightgbm.*"):
            try:
                ctypes.CDLL(str(file))
            except OSError as error:
                raise LibraryMissingError(error) from error
