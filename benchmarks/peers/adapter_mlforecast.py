"""mlforecast: a recursive LightGBM with the 24 lags of its authors' tutorial on demand peaks, and more.

Added to the tutorial: weather and calendar, lags of two days, three days and a week, rolling means, and
larger trees. New hours come in by `update`, since `predict(new_df=)` fails with inputs and intervals.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import pandas as pd
from lightgbm import LGBMRegressor
from mlforecast import MLForecast
from mlforecast.lag_transforms import RollingMean
from mlforecast.utils import PredictionIntervals
from peer_protocol import DEMAND, run

SETTINGS = {
    "lags": [*range(1, 25), 48, 72, 168],
    "lag_transforms": {1: [RollingMean(24), RollingMean(168)]},
}
PARAMETERS = {"n_estimators": 600, "learning_rate": 0.05, "num_leaves": 31, "min_child_samples": 40}
STEPS, WINDOWS = 41, 30  # the longest horizon has 41 hours, at the clock change of autumn

warnings.filterwarnings("ignore")


@dataclass
class Model:
    """The fitted forecaster, and the newest hour that it has seen."""

    forecaster: MLForecast
    through: pd.Timestamp
    columns: list[str]


def long(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame as Nixtla's libraries take it: one series, naive hours."""
    table = frame.rename(columns={DEMAND: "y"})
    table.insert(0, "unique_id", "NY")
    table.insert(1, "ds", frame.index.tz_localize(None))
    return table.reset_index(drop=True)


def fit(history: pd.DataFrame) -> Model:
    """Fit on everything known, with conformal intervals from the newest windows."""
    forecaster = MLForecast(
        models={"lgbm": LGBMRegressor(**PARAMETERS, random_state=1, verbose=-1, n_jobs=1)},
        freq="h",
        **SETTINGS,
    )
    table = long(history)
    forecaster.fit(
        table, static_features=[], prediction_intervals=PredictionIntervals(n_windows=WINDOWS, h=STEPS)
    )
    columns = [name for name in table if name not in {"unique_id", "ds", "y"}]
    return Model(forecaster, history.index[-1], columns)


def forecast(model: Model, history: pd.DataFrame, horizon: pd.DataFrame) -> pd.DataFrame:
    """Take in the hours since the last forecast, then forecast the horizon."""
    new = history.loc[history.index > model.through]
    if len(new):
        model.forecaster.update(long(new))
        model.through = history.index[-1]
    inputs = long(horizon)[["unique_id", "ds", *model.columns]]
    found = model.forecaster.predict(h=len(horizon), X_df=inputs, level=[80, 95])
    result = pd.DataFrame({"predicted_mwh": found["lgbm"].to_numpy()}, index=horizon.index)
    for level in (80, 95):
        result[f"lower_{level}"] = found[f"lgbm-lo-{level}"].to_numpy()
        result[f"upper_{level}"] = found[f"lgbm-hi-{level}"].to_numpy()
    return result


if __name__ == "__main__":
    run(fit, forecast)
