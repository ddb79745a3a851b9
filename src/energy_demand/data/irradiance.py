"""Global horizontal irradiance from the sun's position and cloud cover. Pure."""

from __future__ import annotations

import importlib
import sys
from functools import cache
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from energy_demand.timeaxis import HOUR

if TYPE_CHECKING:
    from energy_demand.arrays import Floats


def clear_sky(periods: pd.DatetimeIndex, latitude: float, longitude: float) -> Floats:
    """Clear-sky irradiance (W/m²) in the middle of the hour before each of `periods`.

    After Haurwitz (1945).
    """
    if len(periods) == 0:
        return np.empty(0)
    middle = periods - pd.Timedelta(HOUR / 2)
    solarposition = _solarposition()
    position = solarposition.get_solarposition(middle, latitude, longitude, method="ephemeris")
    cosine = np.cos(np.radians(position["apparent_zenith"].to_numpy(dtype=float)))
    day = cosine > 0.0
    clear = np.zeros(len(periods))
    clear[day] = 1098.0 * cosine[day] * np.exp(-0.059 / cosine[day])
    return clear


@cache
def _solarposition() -> Any:
    """`pvlib.solarposition` alone: the package imports all of SciPy, HDF5 and requests, which takes seconds.

    The package's own module is held back for the length of the import, so that `import pvlib` elsewhere
    still gives the whole of it; so is `scipy.optimize`, which only its search for rise and set needs.
    """
    if "pvlib" in sys.modules:
        return importlib.import_module("pvlib.solarposition")
    spec = find_spec("pvlib")
    if spec is None or spec.submodule_search_locations is None:
        raise ModuleNotFoundError("pvlib", name="pvlib")
    bare = ModuleType("pvlib")
    bare.__path__ = list(spec.submodule_search_locations)
    sys.modules["pvlib"] = bare
    if "scipy.optimize" not in sys.modules:
        sys.modules["scipy.optimize"] = placeholder = ModuleType("scipy.optimize")
        placeholder.__getattr__ = _of_optimize  # type: ignore[method-assign]
    try:
        return importlib.import_module("pvlib.solarposition")
    finally:
        for name in [each for each in sys.modules if each == "pvlib" or each.startswith("pvlib.")]:
            del sys.modules[name]
        if getattr(sys.modules["scipy.optimize"], "__getattr__", None) is _of_optimize:
            del sys.modules["scipy.optimize"]


def _of_optimize(name: str) -> Any:
    return getattr(importlib.import_module("scipy.optimize"), name)


def under_clouds(clear: Floats, covered: Floats) -> Floats:
    """What is left of clear-sky irradiance under clouds that cover a share (0 to 1) of the sky.

    After Kasten and Czeplak (1980): GHI = clear · (1 − 0.75 n^3.4).
    """
    return np.asarray(clear * (1.0 - 0.75 * covered**3.4))
