"""Made-up demand without any fault, and faults to put into it."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pandas as pd

START = datetime(2023, 1, 2, 6, tzinfo=UTC)
AT = 24 * 38 + 15  # an hour in the sixth week of the record
WEEKS = 8


def record(hours: int = WEEKS * 168) -> pd.DataFrame:
    """Demand with a day, a week and a slow drift, and no two equal hours."""
    hour = np.arange(hours)
    weekend = (hour // 24) % 7 >= 5
    drift = np.cumsum(np.random.default_rng(7).normal(0, 0.003, hours))
    level = 1 + 0.15 * np.sin(2 * np.pi * hour / 24) - 0.08 * weekend + 0.3 * (drift - drift.mean())
    period = pd.date_range(START, periods=hours, freq="h", name="period")
    return pd.DataFrame({"period": period, "demand_mwh": 17_000 * level})


def with_values(frame: pd.DataFrame, at: int, *factors: float) -> pd.DataFrame:
    changed = frame["demand_mwh"].to_numpy().copy()
    changed[at : at + len(factors)] *= factors
    return frame.assign(demand_mwh=changed)
