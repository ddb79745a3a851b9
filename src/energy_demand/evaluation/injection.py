"""Injections: known changes of demand and faults of a model, to measure how soon they are found. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from energy_demand.columns import TARGET_COLUMN
from energy_demand.data.weather_path import MAIN
from energy_demand.timeaxis import HOUR, local_midnight, utc_index

if TYPE_CHECKING:
    from datetime import date

    from energy_demand.arrays import Floats
    from energy_demand.data.record import Record


STEP_PERCENT = 5.0
RAMP_PERCENT, RAMP_DAYS = 5.0, 60
# A stronger response to weather, as from more air conditioning and heat pumps.
WARM_ABOVE, PERCENT_PER_WARM_DEGREE = 18.3, 1.0
COLD_BELOW, PERCENT_PER_COLD_DEGREE = 10.0, 0.5


class Kind(StrEnum):
    """The kind of change."""

    STEP = "step"
    RAMP = "ramp"
    WEATHER_RESPONSE = "weather-response"


@dataclass(frozen=True)
class Injection:
    """One change of demand, from the local midnight at the beginning of `day`."""

    kind: Kind
    day: date

    @property
    def name(self) -> str:
        """As in `--inject`."""
        return self.kind.value

    def into(self, record: Record) -> Record:
        """The record with demand and truth changed; hours before the change stay the same.

        Vintages are left out: earlier values do not have the change.
        """
        start = local_midnight(self.day, record.region.zone)
        ends = utc_index(record.demand["period"])
        elapsed = np.asarray((ends - pd.Timestamp(start)) / pd.Timedelta(HOUR), dtype=float)
        factor = np.where(elapsed > 0, 1.0 + self._percent(elapsed, record) / 100.0, 1.0)
        changed = {
            name: record.demand[name] * factor
            for name in (TARGET_COLUMN, "truth_mwh", "seen_mwh")
            if name in record.demand
        }
        return replace(record, demand=record.demand.assign(**changed), vintages=None)

    def _percent(self, hours: Floats, record: Record) -> Floats:
        if self.kind is Kind.STEP:
            return np.full(len(hours), STEP_PERCENT)
        if self.kind is Kind.RAMP:
            return RAMP_PERCENT * np.clip(hours / (24 * RAMP_DAYS), 0.0, 1.0)
        temperature = np.nan_to_num(record.observed.column(MAIN), nan=WARM_ABOVE)
        warm = np.maximum(temperature - WARM_ABOVE, 0.0) * PERCENT_PER_WARM_DEGREE
        cold = np.maximum(COLD_BELOW - temperature, 0.0) * PERCENT_PER_COLD_DEGREE
        return np.asarray(warm + cold)


class Fault(StrEnum):
    """What is wrong with a model that is promoted all the same."""

    BIAS = "bias"
    HOUR_LATE = "hour-late"
    STALE = "stale"
    WIDER = "wider"


BAD_PROMOTION = "bad-promotion"
BIAS_PERCENT = 3.0
STALE_DAYS = 7  # by which its demand is late, in training and in service
WIDER_PERCENT = 10.0


@dataclass(frozen=True)
class BadPromotion:
    """A refit with a fault, promoted without a contest at the local midnight at the beginning of `day`."""

    fault: Fault
    day: date

    @property
    def name(self) -> str:
        """As in `--inject`, with the fault."""
        return f"{BAD_PROMOTION}:{self.fault.value}"

    def spoil(self, hours: pd.DataFrame, truth: pd.Series) -> pd.DataFrame:
        """The forecast of a day as the faulty model makes it; one of `STALE` is stale by itself.

        Args:
            hours: `period`, `predicted_demand_mwh` and others.
            truth: by period.
        """
        predicted = hours["predicted_demand_mwh"]
        if self.fault is Fault.BIAS:
            changed = predicted * (1 + BIAS_PERCENT / 100)
        elif self.fault is Fault.HOUR_LATE:
            changed = predicted.shift(1).bfill()
        elif self.fault is Fault.WIDER:
            actual = pd.Series(truth.reindex(utc_index(hours["period"])).to_numpy(), index=hours.index)
            changed = (actual + (1 + WIDER_PERCENT / 100) * (predicted - actual)).fillna(predicted)
        else:
            changed = predicted
        return hours.assign(predicted_demand_mwh=changed)
