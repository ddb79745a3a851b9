"""OpenSTEF 4: its presets. Which of them is the last argument of the command.

`large`: the preset `lgbm` on all history, with larger trees than shipped.
`shipped`: the preset `lgbm` as its own benchmark uses it, 90 days of history and the parameters as shipped.
`ensemble`: the preset of openstef-meta, learned weights over `lgbm` and `gblinear`, on all history.
"""

from __future__ import annotations

import logging
import sys
import warnings
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pandas as pd
from openstef_core.datasets import TimeSeriesDataset
from openstef_core.types import LeadTime, Q
from openstef_meta.presets import EnsembleForecastingWorkflowConfig, create_ensemble_forecasting_workflow
from openstef_models.models.forecasting.lgbm_forecaster import LGBMHyperParams
from openstef_models.presets import ForecastingWorkflowConfig, create_forecasting_workflow
from openstef_models.presets.forecasting_workflow import LocationConfig
from openstef_models.utils.feature_selection import FeatureSelection
from peer_protocol import DEMAND, run
from pydantic_extra_types.coordinate import Coordinate, Latitude, Longitude
from pydantic_extra_types.country import CountryAlpha2

QUANTILES = {"lower_95": 0.025, "lower_80": 0.1, "predicted_mwh": 0.5, "upper_80": 0.9, "upper_95": 0.975}
CONTEXT = timedelta(days=14)  # of history at a forecast, as in its own benchmark
SHIPPED_DAYS = 90  # of history at a fit, as in its own benchmark
HORIZON = LeadTime.from_string("PT41H")  # the longest, at the clock change of autumn
LARGER_TREES = LGBMHyperParams(
    n_estimators=200,
    learning_rate=0.1,
    max_depth=-1,
    num_leaves=31,
    min_data_in_leaf=40,
    early_stopping_rounds=None,
)
# What OpenSTEF calls the columns from which it derives more.
NAMES = {DEMAND: "load", "wind_speed": "windspeed", "humidity": "relative_humidity"}
# Its presets add these themselves, under the same names.
ITS_OWN = ["is_holiday"]

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)


@dataclass
class Model:
    """A fitted workflow."""

    workflow: Any


def dataset(frame: pd.DataFrame) -> TimeSeriesDataset:
    """The frame as OpenSTEF takes it; `temperature` and `radiation` have its names already."""
    table = frame.drop(columns=ITS_OWN).rename(columns=NAMES)
    table.index = pd.DatetimeIndex(table.index, name="timestamp")
    return TimeSeriesDataset(table, sample_interval=timedelta(hours=1))


def settings() -> dict[str, Any]:
    """What all variants share."""
    return {
        "model_id": "peer",
        "quantiles": [Q(level) for level in QUANTILES.values()],
        "sample_interval": timedelta(hours=1),
        "horizons": [HORIZON],
        "location": LocationConfig(
            name="New York",
            coordinate=Coordinate(
                latitude=Latitude(Decimal("40.7128")), longitude=Longitude(Decimal("-74.0060"))
            ),
            country_code=CountryAlpha2("US"),
        ),
        "mlflow_storage": None,
        # Its default, `ALL`, is resolved while the first column alone is known, and clips only that one.
        "clip_features": FeatureSelection.NONE,
    }


def workflow(variant: str) -> Any:
    """An unfitted workflow."""
    if variant == "ensemble":
        return create_ensemble_forecasting_workflow(
            EnsembleForecastingWorkflowConfig(**settings(), lgbm_hyperparams=LARGER_TREES)
        )
    if variant == "shipped":
        shared = {name: value for name, value in settings().items() if name != "clip_features"}
        return create_forecasting_workflow(ForecastingWorkflowConfig(**shared, model="lgbm"))
    return create_forecasting_workflow(
        ForecastingWorkflowConfig(**settings(), model="lgbm", lgbm_hyperparams=LARGER_TREES)
    )


def fitted(variant: str, history: pd.DataFrame) -> Model:
    """Fit on everything known, or on the days of history that are shipped."""
    if variant == "shipped":
        history = history.iloc[-24 * SHIPPED_DAYS :]
    flow = workflow(variant)
    flow.fit(dataset(history))
    return Model(flow)


def forecast(model: Model, history: pd.DataFrame, horizon: pd.DataFrame) -> pd.DataFrame:
    """Quantiles of the horizon; the demand of its hours is unknown."""
    context = history.iloc[-int(CONTEXT / timedelta(hours=1)) :]
    both = pd.concat([context, horizon.assign(**{DEMAND: float("nan")})[list(context)]])
    found = model.workflow.predict(dataset(both), forecast_start=horizon.index[0].to_pydatetime())
    values = found.data.reindex(horizon.index)
    return pd.DataFrame({name: values[Q(level).format()] for name, level in QUANTILES.items()})


if __name__ == "__main__":
    chosen = sys.argv[3]
    run(lambda history: fitted(chosen, history), forecast)
