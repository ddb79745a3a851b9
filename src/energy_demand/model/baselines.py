"""The forecasts that any model must beat. Pure.

Both are columns of the feature rows already: the newest demand known at issue, at elapsed steps of 24 or
168 hours before the target.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from energy_demand.arrays import Floats


def seasonal_naive_24(rows: pd.DataFrame) -> Floats:
    """Same hour yesterday, or the newest day before it that is known at issue (MWh)."""
    return rows["demand_lag_24h"].to_numpy(dtype=float)


def seasonal_naive_168(rows: pd.DataFrame) -> Floats:
    """Same hour last week, or the newest week before it that is known at issue (MWh)."""
    return rows["demand_lag_168h"].to_numpy(dtype=float)
