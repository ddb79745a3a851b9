"""Weather models that nobody recorded, derived from a record. They are simulated, not real forecasts.

A derived run is the observed weather with an error: in part the error of the recorded run of that time, in
part its own, as smooth in time as those of the synthetic world. After the last observation the recorded run
takes the place of the observed weather.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from energy_demand.sandbox.worlds.models import ERROR_GROWTH, PUBLICATION_HOURS, model_of
from energy_demand.sandbox.worlds.noise import gaussian, smooth, stream
from energy_demand.sandbox.worlds.world import SECONDS_PER_HOUR, VARIABLES

if TYPE_CHECKING:
    from collections.abc import Callable

    from energy_demand.sandbox.worlds.world import FloatArray, IntArray

SPAN_HOURS = 7 * 24  # how far the recorded runs reach
# Standard deviation of an error 30 hours ahead; temperature as recorded, the others in proportion to it.
ERRORS = {
    "temperature_2m": 1.8,
    "relative_humidity_2m": 9.0,
    "dew_point_2m": 1.6,
    "apparent_temperature": 2.3,
    "cloud_cover": 27.0,
    "wind_speed_10m": 3.5,
    "wind_gusts_10m": 6.0,
    "surface_pressure": 1.2,
}
# Amounts err by a factor: this is the standard deviation of its logarithm 30 hours ahead.
FACTORS = {"precipitation": 0.6, "rain": 0.6, "snowfall": 0.6, "shortwave_radiation": 0.25}
_WITH_TEMPERATURE = {"temperature_2m": 1.0, "dew_point_2m": 0.5, "apparent_temperature": 1.2}
_SHARED_ERROR = 0.75  # of an error's standard deviation is common to successive runs
_LIMITS = {
    "relative_humidity_2m": (1.0, 100.0),
    "cloud_cover": (0.0, 100.0),
    "wind_speed_10m": (0.0, np.inf),
    "wind_gusts_10m": (0.0, np.inf),
}
_DECIMALS = {"precipitation": 2, "rain": 2, "snowfall": 2}


class DerivedModels:
    """Runs of models that the record lacks.

    Args:
        observed: variables × hours of what was observed, for some hour numbers.
        recorded: the same of the newest recorded forecast issued by a time (seconds since 1970).
    """

    def __init__(
        self,
        observed: Callable[[IntArray], FloatArray],
        recorded: Callable[[float, IntArray], FloatArray],
    ) -> None:
        self._observed, self._recorded = observed, recorded
        self._run = lru_cache(maxsize=64)(self._made)

    def run(self, model: str, start: int) -> FloatArray:
        """`VARIABLES` × `SPAN_HOURS` hours from the run's start (hour number)."""
        return self._run(model, start)

    def _made(self, model: str, start: int) -> FloatArray:
        line = model_of(model)
        hours = np.arange(start, start + SPAN_HOURS)
        growth = ((1.0 + hours - start) / 31.0) ** ERROR_GROWTH
        observed = self._observed(hours)
        recorded = self._recorded(float((start + PUBLICATION_HOURS) * SECONDS_PER_HOUR), hours)
        base = np.where(np.isnan(observed), recorded, observed)
        error = np.nan_to_num(recorded - base)
        found = np.full(base.shape, np.nan)
        for row, name in enumerate(VARIABLES):
            own = np.sqrt(1.0 - line.common**2) * self._noise(model, name, start)
            if name in FACTORS:
                found[row] = base[row] * np.exp(line.error * FACTORS[name] * growth * own)
                continue
            common = line.common * error[row]
            found[row] = base[row] + line.error * (common + ERRORS[name] * growth * own)
            # The record's own bias is in the common part.
            found[row] += _WITH_TEMPERATURE.get(name, 0.0) * (line.bias * growth + line.shift(start))
        for name, limits in _LIMITS.items():
            found[VARIABLES.index(name)] = np.clip(found[VARIABLES.index(name)], *limits)
        dew, temperature = VARIABLES.index("dew_point_2m"), VARIABLES.index("temperature_2m")
        found[dew] = np.minimum(found[dew], found[temperature])
        found[[name in line.lacks for name in VARIABLES]] = np.nan
        rounded = [np.round(found[row], _DECIMALS.get(name, 1)) for row, name in enumerate(VARIABLES)]
        return np.stack(rounded)

    def _noise(self, model: str, name: str, start: int) -> FloatArray:
        """Of unit variance, smooth in time and in part the noise of the runs beside it."""
        kernel = gaussian(6.0)
        shared = smooth(stream("derived", model, name), start, SPAN_HOURS, kernel)
        own = smooth(stream("derived", model, name, start), start, SPAN_HOURS, kernel)
        noise: FloatArray = _SHARED_ERROR * shared + np.sqrt(1.0 - _SHARED_ERROR**2) * own
        return noise
