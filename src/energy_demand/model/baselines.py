"""Seasonal naive baselines, which any model must beat. Pure.

Both are columns of the feature rows: the newest demand known at issue, at elapsed steps of 24 or 168 hours
before the target.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from energy_demand.arrays import Floats


def seasonal_naive_24(rows: pd.DataFrame) -> Floats:
    """Same hour yesterday, or on the newest earlier day known at issue (MWh)."""
    return rows["demand_lag_24h"].to_numpy(dtype=float)


def seasonal_naive_168(rows: pd.DataFrame) -> Floats:
    """Same hour last week, or in the newest earlier week known at issue (MWh)."""
    return rows["demand_lag_168h"].to_numpy(dtype=float)
