"""Nineteen stored weeks, and a recipe that fits them in a second or two and leaves two for a contest."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING

import pandas as pd

from energy_demand.data.record import make_record
from records import QUICK
from support import PRESENT

if TYPE_CHECKING:
    from energy_demand.data.record import Record

FIRST_DAY, LAST_DAY = date(2024, 10, 28), date(2025, 3, 12)
SHORT = replace(QUICK, base=replace(QUICK.base, test_share=0.25, max_trees=15), calibration_days=40)
# When the champion was trained: this leaves fourteen whole unseen days for a contest.
TRAINED_AT = PRESENT - timedelta(days=18)
NOTHING_LISTENS = "http://127.0.0.1:9"
# Holdout metrics of a champion, as `holdout_error` returns them.
TESTED = {"test_mape": 2.5, "test_mae": 400.0, "test_first_day": 20250205.0, "test_last_day": 20250220.0}


def poisoned(record: Record) -> Record:
    """A copy whose demand of the last month is 30 % too high."""
    demand = record.demand.copy()
    month = demand["period"] > record.periods[-1] - pd.Timedelta(days=30)
    demand.loc[month, ["demand_mwh", "truth_mwh"]] *= 1.3
    return make_record(demand, record.weather, record.forecasts, record.region, record.periods[-1])
