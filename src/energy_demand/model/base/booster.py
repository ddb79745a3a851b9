"""The base booster with its intervals: LightGBM on the twenty base columns. Pure.

It serves callers that have only these columns, and is a step of the fallback ladder.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from energy_demand.columns import FEATURE_COLUMNS, LEAD

if TYPE_CHECKING:
    from energy_demand.arrays import Floats
    from energy_demand.boosting import lgb
    from energy_demand.model.intervals import ConformalIntervals

BOOSTER_COLUMNS = (*FEATURE_COLUMNS, LEAD)
EXPECTED = "expected"


@dataclass(frozen=True)
class BaseBooster:
    """Forecasts MWh for feature rows of any lead.

    Attributes:
        booster: LightGBM on the twenty base columns and `lead_hours`, in MWh.
        intervals: half-widths from held-out hours.
    """

    booster: lgb.Booster
    intervals: ConformalIntervals

    def predict(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Point forecast and intervals of each feature row.

        Args:
            rows: the columns of `build_features`; weather may be missing (NaN).

        Returns:
            `predicted_demand_mwh`, `lower_80`, `upper_80`, `lower_95`, `upper_95` in MWh, with the index
            of `rows`.
        """
        predicted = self.predict_point(rows)
        leads = rows[LEAD].to_numpy(dtype=np.int64)
        hours = rows["hour_of_day"].to_numpy(dtype=np.int64)
        bounds = self.intervals.bounds(predicted, leads, hours)
        return pd.DataFrame({"predicted_demand_mwh": predicted, **bounds}, index=rows.index)

    def predict_point(self, rows: pd.DataFrame) -> Floats:
        """The point forecast of each row (MWh)."""
        matrix = rows.loc[:, list(BOOSTER_COLUMNS)].to_numpy(dtype=float)
        predicted: Floats = np.asarray(self.booster.predict(matrix, num_threads=1), dtype=float)
        return predicted

    def contributions(self, rows: pd.DataFrame) -> pd.DataFrame:
        """What each column adds to the point forecast of each row, MWh.

        SHAP values of the trees (Lundberg et al. 2020, TreeSHAP), as LightGBM computes them. Not thread-safe.

        Returns:
            The columns of `BOOSTER_COLUMNS` and `expected`, the booster's mean forecast; each row sums to its
            point forecast.
        """
        matrix = rows.loc[:, list(BOOSTER_COLUMNS)].to_numpy(dtype=float)
        shap_values = np.asarray(self.booster.predict(matrix, pred_contrib=True, num_threads=1), dtype=float)
        return pd.DataFrame(shap_values, columns=[*BOOSTER_COLUMNS, EXPECTED], index=rows.index)
