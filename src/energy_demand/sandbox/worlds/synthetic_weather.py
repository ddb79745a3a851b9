"""Synthetic weather: a few hidden smooth fields, and the twelve variables derived from them together.

Forecasts disturb the hidden fields and derive again, so a forecast is as consistent in itself as the
truth, and knows nothing but the truth and its own error. Weather moves from west to east: all places
share the large fields, shifted in time by longitude.

Several weather models forecast it (`models.MODELS`). A model has an error, a bias and a record of its own;
its error is in part that of `ecmwf_ifs`, as every model starts from much the same observations.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from energy_demand.sandbox.worlds import climate
from energy_demand.sandbox.worlds.disturbances import Disturbance, heat_added
from energy_demand.sandbox.worlds.models import ERROR_GROWTH, MODELS, Model, model_of
from energy_demand.sandbox.worlds.noise import (
    BLOCK_HOURS,
    autoregressive,
    from_blocks,
    gaussian,
    smooth,
    stream,
)
from energy_demand.sandbox.worlds.variables import derive
from energy_demand.sandbox.worlds.world import IFS, VARIABLES, FloatArray, IntArray, Place

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SPAN_HOURS = 17 * 24  # how far a run reaches
_HOURS_PER_DEGREE = 2.0  # 85 km of longitude at 40 km/h
_HOME_LONGITUDE = -74.0


class Field(NamedTuple):
    """How a hidden field varies: its large and local parts (which square to one) and forecast error.

    `error` is the standard deviation of the forecast error an hour ahead, in units of the field.
    """

    large: float
    large_hours: float
    local: float
    local_phi: float
    error: float


# Time scales: pressure systems pass in three to five days, cloud and wind within one.
_FIELDS = {
    "temperature": Field(0.85, 32.0, 0.53, 0.96, 0.50),  # its error is in °C
    "cloud": Field(0.85, 10.0, 0.53, 0.85, 0.15),
    "humidity": Field(0.85, 20.0, 0.53, 0.92, 0.12),
    "wind": Field(0.80, 12.0, 0.60, 0.90, 0.12),
    "pressure": Field(0.98, 28.0, 0.20, 0.98, 0.05),
    "gust": Field(0.60, 10.0, 0.80, 0.80, 0.15),
}
_NAMES = tuple(_FIELDS)
_SHARED_ERROR = 0.75  # of an error's standard deviation is common to successive runs


class SyntheticWeather:
    """Weather at any place and hour as a pure function of the seed."""

    def __init__(
        self, seed: int, disturbances: Sequence[Disturbance], models: Mapping[str, Model] = MODELS
    ) -> None:
        self._seed = seed
        self._models = models
        self._disturbances = tuple(disturbances)
        # A block is about 0.3 MB; these hold four places for some twelve years.
        self._hidden = lru_cache(maxsize=256)(self._hidden_block)
        self._truth = lru_cache(maxsize=256)(self._truth_block)
        self._run = lru_cache(maxsize=128)(self._run_block)

    def variables_observed(self, place: Place) -> frozenset[str]:  # noqa: ARG002 - the same everywhere
        """Every variable."""
        return frozenset(VARIABLES)

    def variables_forecast(self, place: Place, model: str = IFS) -> frozenset[str]:  # noqa: ARG002 - likewise
        """Every variable but those that the model lacks."""
        return frozenset(VARIABLES) - self._model(model).lacks

    def observed(self, place: Place, variables: Sequence[str], hours: IntArray) -> FloatArray:
        """What was measured, as (variables × hours)."""
        lines = [VARIABLES.index(name) for name in variables]
        return from_blocks(lambda number: self._truth(place, number)[lines], hours)

    def has_run(self, model: str, run: int) -> bool:
        """Whether the model ran at this hour number."""
        return self._model(model).has_run(run)

    def newest_issue(self, *, after: float, by: float, model: str = IFS) -> int | None:
        """The newest run published in (after, by]; its key is the hour it was initialised."""
        return self._model(model).newest_run(after=after, by=by)

    def forecast(
        self, issue: int, place: Place, variables: Sequence[str], hours: IntArray, model: str = IFS
    ) -> FloatArray:
        """The forecast of the run initialised at hour `issue`; NaN before it and beyond its range."""
        lacks = self._model(model).lacks
        lines = [VARIABLES.index(name) for name in variables]
        inside = (hours >= issue) & (hours < issue + _SPAN_HOURS)
        found = np.full((len(lines), hours.size), np.nan)
        found[:, inside] = self._run(place, issue, model)[lines][:, hours[inside] - issue]
        found[[name in lacks for name in variables]] = np.nan
        return found

    def _hidden_block(self, place: Place, number: int) -> FloatArray:
        """The hidden fields (and no more) of one block: temperature in °C, the others standard normal."""
        first = number * BLOCK_HOURS
        fields = [self._field(name, place, first, BLOCK_HOURS) for name in _NAMES]
        hours = np.arange(first, first + BLOCK_HOURS)
        summer = climate.summerness(place, hours)
        clear = 1.0 / (1.0 + np.exp(1.5 * fields[_NAMES.index("cloud")]))
        swing = (3.2 + 0.7 * summer) * (0.6 + 0.8 * clear)  # °C; clear days are wider than dull ones
        spread = 3.9 - 1.2 * summer  # °C; winters change more than summers, as recorded
        fields[0] = (
            climate.mean_temperature(place, hours)
            + swing * climate.daily_wave(place, hours)
            + spread * fields[0]
            + heat_added(self._disturbances, hours)
        )
        return np.stack(fields)

    def _truth_block(self, place: Place, number: int) -> FloatArray:
        hours = np.arange(number * BLOCK_HOURS, (number + 1) * BLOCK_HOURS)
        return derive(place, hours, *self._hidden(place, number))

    def _run_block(self, place: Place, run: int, model: str) -> FloatArray:
        line = self._model(model)
        hours = np.arange(run, run + _SPAN_HOURS)
        growth = (1.0 + hours - run) ** ERROR_GROWTH
        truth = from_blocks(lambda number: self._hidden(place, number), hours)
        errors = [_FIELDS[name].error * self._error_of(model, name, place, run) for name in _NAMES]
        errors[0] = errors[0] + line.bias / growth[30]  # reaches the bias at 30 h
        truth[0] += line.shift(run)
        return derive(place, hours, *(truth + growth * np.stack(errors)))

    def _field(self, name: str, place: Place, first: int, count: int) -> FloatArray:
        field = _FIELDS[name]
        large = smooth(self._key(name), first - _shift(place), count, gaussian(field.large_hours))
        local = smooth(self._key(name, *_cell(place)), first, count, autoregressive(field.local_phi))
        return field.large * large + field.local * local

    def _error_of(self, model: str, name: str, place: Place, run: int) -> FloatArray:
        """The error of a model's run before it grows: what it has in common with `ecmwf_ifs`, and its own."""
        line = self._model(model)
        common = self._error((), name, place, run)
        if line.common == 1.0:
            return line.error * common
        own = self._error((model,), name, place, run)
        error: FloatArray = line.error * (line.common * common + np.sqrt(1.0 - line.common**2) * own)
        return error

    def _error(self, of: tuple[str, ...], name: str, place: Place, run: int) -> FloatArray:
        """An error of unit variance, smooth in time and in part the error of the runs beside it."""
        kernel, first = gaussian(6.0), run - _shift(place)
        shared = smooth(self._key("error", *of, name), first, _SPAN_HOURS, kernel)
        own = smooth(self._key("error", *of, name, run), first, _SPAN_HOURS, kernel)
        error: FloatArray = _SHARED_ERROR * shared + np.sqrt(1.0 - _SHARED_ERROR**2) * own
        return error

    def _model(self, name: str) -> Model:
        return model_of(name, self._models)

    def _key(self, *parts: str | float) -> int:
        return stream(self._seed, "weather", *parts)


def _shift(place: Place) -> int:
    """By how many hours the large fields arrive later here than in New York City."""
    return round(_HOURS_PER_DEGREE * (place.longitude - _HOME_LONGITUDE))


def _cell(place: Place) -> tuple[float, float]:
    """The grid cell whose local noise a place has."""
    return round(place.latitude, 1), round(place.longitude, 1)
