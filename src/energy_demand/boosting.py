"""LightGBM without scikit-learn, which it would import for wrappers that nothing here uses (seconds).

Import `lgb` from here, never `lightgbm` itself.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from energy_demand.openmp import LibraryMissingError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@contextmanager
def _without(package: str) -> Iterator[None]:
    """Let imports of a package fail for the length of a `with` block, unless it is loaded already."""
    if package in sys.modules:
        yield
        return
    # None is what Python documents to make an import fail.
    sys.modules[package] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[package]


# Threads of LightGBM that wait for one another must sleep: by default they spin, and beside any other work on
# the machine a fit then takes many times as long. OpenMP reads this when it is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

with _without("sklearn"):
    try:
        import lightgbm as lgb
        from lightgbm.libpath import _LIB as LIBRARY
    except OSError as error:
        raise LibraryMissingError(error) from error


def train(parameters: Mapping[str, Any], data: lgb.Dataset, trees: int, **more: Any) -> lgb.Booster:
    """A booster fitted on one thread.

    A second thread shortens the fit of a booster of this size by little; fits run side by side instead.
    """
    return lgb.train({**parameters, "num_threads": 1}, data, trees, **more)


__all__ = ["LIBRARY", "lgb", "train"]
