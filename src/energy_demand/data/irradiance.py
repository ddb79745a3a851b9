"""Global horizontal irradiance from the sun's position and cloud cover. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pvlib

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
    position = pvlib.solarposition.get_solarposition(middle, latitude, longitude, method="ephemeris")
    clear: Floats = pvlib.clearsky.haurwitz(position["apparent_zenith"])["ghi"].to_numpy(dtype=float)
    return clear


def under_clouds(clear: Floats, covered: Floats) -> Floats:
    """What is left of clear-sky irradiance under clouds that cover a share (0 to 1) of the sky.

    After Kasten and Czeplak (1980): GHI = clear · (1 − 0.75 n^3.4).
    """
    return np.asarray(clear * (1.0 - 0.75 * covered**3.4))
