"""Digests of what a forecast was made from, to tell later whether it can be made again. Pure."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from energy_demand.columns import WEATHER_VARIABLES
from energy_demand.timeaxis import utc_index, utc_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from energy_demand.data.record import Record
    from energy_demand.model.predict import Question
    from energy_demand.model.stages.adaptive_regression import AdaptiveRegression

DEMAND, OBSERVED, FORECASTS = "demand", "observed_weather", "weather_forecasts"
SETTINGS, STATE = "settings", "state"
DATA_PARTS = (DEMAND, OBSERVED, FORECASTS)
SINCE = "since"


def provenance(
    known: Record, question: Question, regression: AdaptiveRegression | None = None
) -> dict[str, str]:
    """`SINCE` (the record's first hour) and digests: `SETTINGS`, `DATA_PARTS` and, with a model, `STATE`.

    Args:
        known: the record that the forecast was made from.
        question: what was asked.
        regression: the adaptive regression after the newest demand of the record.
    """
    parts = {
        SINCE: utc_text(known.periods[0].to_pydatetime()),
        SETTINGS: _digest(
            [repr(known.region), repr(question.availability), *(f"model {name}" for name in known.other_runs)]
        ),
        **data_digests(known),
    }
    return parts if regression is None else {**parts, STATE: _digest(_state(regression))}


def data_digests(known: Record) -> dict[str, str]:
    """A digest of each of `DATA_PARTS`, the same for the same values in the same hours."""
    since = known.periods[0]
    weather = known.weather[utc_index(known.weather["timestamp"]) >= since]
    others = [each for name, runs in known.other_runs.items() for each in (name, runs.issued_at, runs.values)]
    return {
        DEMAND: _digest([known.periods, known.demand_mwh, known.seen_mwh]),
        OBSERVED: _digest(_columns(weather)),
        FORECASTS: _digest([*_columns(known.forecasts), *others]),
    }


def _columns(rows: pd.DataFrame) -> Iterator[Any]:
    for name in ("issued_at", "timestamp"):
        if name in rows:
            yield utc_index(rows[name])
    yield "\n".join(rows["site"])
    yield rows[list(WEATHER_VARIABLES)].to_numpy(dtype=float)


def _state(regression: AdaptiveRegression) -> Iterator[Any]:
    yield utc_text(regression.through.to_pydatetime())
    for each in regression.filters:
        yield from (each.coefficients, each.covariance, each.noise, each.walk)
    yield from (regression.innovations, regression.variance, regression.scores, regression.regrets)


def _digest(parts: Any) -> str:
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, str):
            content = part.encode()
        elif isinstance(part, pd.DatetimeIndex):
            content = part.as_unit("us").asi8.tobytes()
        else:
            content = np.ascontiguousarray(part).tobytes()
        digest.update(len(content).to_bytes(8, "big") + content)
    return digest.hexdigest()[:16]
