"""The third stage: LightGBM on the residuals of the first two. Pure.

Its features are weather, calendar, the forecasts of the first two stages and their recent errors. The
correction is shrunk, because part of what it learns is noise.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from energy_demand.boosting import lgb, train
from energy_demand.model.stages import error_stage
from energy_demand.model.stages.response_features import SPECIAL_DAY, Responses, dew_point

if TYPE_CHECKING:
    from collections.abc import Mapping

    from energy_demand.arrays import Floats, Positions


RESPONSES = (
    "fast",
    "middle",
    "slow",
    "main_temperature",
    "rest_temperature",
    "cooling_24h_before",
    "cooling_48h_before",
    "heating_24h_before",
    "dew_point_over_10",
    "humidity",
    "wind",
    "wind_steady",
    "cloud",
    "cloud_half_day",
    "clear_sky",
    "main_radiation",
    "rest_radiation",
    "rest_radiation_smoothed",
)
NAMES = (
    *RESPONSES,
    "special_day",
    "day_of_year",
    "day_of_week",
    "clock_hour",
    "dew_point",
    "distance",
    "linear_forecast",
    "error_correction",
    *error_stage.NAMES,
)


@dataclass(frozen=True)
class ResidualRecipe:
    """How the trees are fitted.

    Attributes:
        parameters: LightGBM's own.
        trees: their number.
        shrink: factor on the correction.
        largest: percent; larger residuals are clipped in training.
    """

    parameters: Mapping[str, Any] = field(
        default_factory=lambda: {
            "objective": "l2",
            "num_leaves": 63,
            "learning_rate": 0.03,
            "min_data_in_leaf": 120,
            "feature_fraction": 0.5,
            "bagging_fraction": 0.7,
            "bagging_freq": 1,
            "seed": 1,
            "deterministic": True,
            "force_row_wise": True,
            "verbose": -1,
        }
    )
    trees: int = 600
    shrink: float = 0.6
    largest: float = 12.0


@dataclass(frozen=True)
class ResidualStage:
    """The trees, and the factor on their correction."""

    booster: lgb.Booster
    shrink: float

    @classmethod
    def fit(cls, rows: Floats, residuals: Floats, recipe: ResidualRecipe) -> ResidualStage:
        """Fit on rows of `residual_features` and the residuals of the first two stages there (percent)."""
        usable = ~np.isnan(residuals)
        data = lgb.Dataset(
            rows[usable],
            label=np.clip(residuals[usable], -recipe.largest, recipe.largest),
            feature_name=list(NAMES),
        )
        return cls(train(recipe.parameters, data, recipe.trees), recipe.shrink)

    def correction(self, rows: Floats) -> Floats:
        """Percent to add to log gross load."""
        return self.shrink * np.asarray(self.booster.predict(rows, num_threads=1), dtype=float)


def residual_features(
    responses: Responses, regression: Floats, correction: Floats, errors: Floats, distances: Positions
) -> Floats:
    """Rows × `NAMES`.

    Args:
        responses: of the target hours.
        regression: forecast of the adaptive regression, percent of log gross load.
        correction: of the error stage, percent.
        errors: rows of `error_features`.
        distances: hours from the newest known hour.
    """
    position = {name: index for index, name in enumerate(responses.names)}
    special = np.array(responses.groups) == SPECIAL_DAY

    def at(name: str) -> Floats:
        return np.asarray(responses.values[:, position[name]])

    columns = [at(name) for name in RESPONSES]
    columns += [
        responses.values[:, special].max(axis=1),
        responses.days_of_year.astype(float),
        responses.days_of_week.astype(float),
        responses.hours.astype(float),
        dew_point(at("fast"), 10.0 * at("humidity") + 70.0),
        distances.astype(float),
        regression,
        correction,
    ]
    return np.concatenate([np.stack(columns, axis=1), errors], axis=1)
