"""The grid operator's forecast as it was known at an issue. Pure.

A yardstick beside the model's forecasts, never an input of them.
"""

from __future__ import annotations

import pandas as pd

from energy_demand.timeaxis import utc_index


def known_at_issue(postings: pd.DataFrame, targets: pd.DataFrame) -> pd.Series:
    """The operator's forecast of each target hour as known at its issue: of the newest posting by then.

    Args:
        postings: `period`, `issued_at`, `forecast_mwh`, in any order; of postings at the same time the last
            row counts.
        targets: `period` and `issued_at` (of our forecast), UTC.

    Returns:
        MWh by the index of `targets`; NaN where no posting forecasts the hour by then.
    """
    ours = pd.DataFrame(
        {
            "period": utc_index(targets["period"]),
            "at": utc_index(targets["issued_at"]),
            "row": range(len(targets)),
        }
    ).sort_values("at", kind="stable")
    theirs = pd.DataFrame(
        {
            "period": utc_index(postings["period"]),
            "at": utc_index(postings["issued_at"]),
            "forecast_mwh": postings["forecast_mwh"].to_numpy(dtype=float),
        }
    ).sort_values("at", kind="stable")
    found = pd.merge_asof(ours, theirs, on="at", by="period", direction="backward").sort_values("row")
    return pd.Series(found["forecast_mwh"].to_numpy(dtype=float), index=targets.index, name="operator_mwh")
