"""skforecast: `ForecasterRecursive` with LightGBM, the way of its authors' tutorial on energy demand.

Lags around one hour, one, two days and one week, a rolling mean of three days, conformal intervals from the
residuals of weeks that the forecaster had not seen, with the gap between the newest known hour and the day.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import pandas as pd
from lightgbm import LGBMRegressor
from peer_protocol import DEMAND, run
from skforecast.model_selection import TimeSeriesFold, backtesting_forecaster
from skforecast.preprocessing import RollingFeatures
from skforecast.recursive import ForecasterRecursive

LAGS = [1, 2, 3, 23, 24, 25, 47, 48, 49, 167, 168, 169]
MEAN_HOURS = 72
PARAMETERS = {"n_estimators": 600, "learning_rate": 0.05, "num_leaves": 31, "min_child_samples": 40}
CALIBRATION_DAYS = 56
STEPS = 40  # from the newest known hour to the end of the next day

warnings.filterwarnings("ignore")


@dataclass(frozen=True)
class Model:
    """The fitted forecaster and the columns it gets."""

    forecaster: ForecasterRecursive
    columns: list[str]


def series(history: pd.DataFrame) -> tuple[pd.Series, pd.DataFrame]:
    """Target and inputs on a plain hourly index."""
    index = pd.DatetimeIndex(history.index.tz_localize(None), freq="h", name=None)
    plain = history.set_axis(index)
    return plain.get(DEMAND), plain.drop(columns=DEMAND, errors="ignore")


def fit(history: pd.DataFrame) -> Model:
    """Fit on everything known; the residuals that set the intervals come from weeks it had not seen."""
    target, inputs = series(history)
    forecaster = ForecasterRecursive(
        estimator=LGBMRegressor(**PARAMETERS, random_state=1, verbose=-1, n_jobs=1),
        lags=LAGS,
        window_features=RollingFeatures(stats=["mean"], window_sizes=MEAN_HOURS),
    )
    start = len(target) - 24 * CALIBRATION_DAYS
    folds = TimeSeriesFold(steps=24, gap=STEPS - 24, initial_train_size=start, refit=False, verbose=False)
    _, held_out = backtesting_forecaster(
        forecaster=forecaster,
        y=target,
        exog=inputs,
        cv=folds,
        metric="mean_absolute_error",
        n_jobs=1,
        show_progress=False,
    )
    forecaster.fit(y=target, exog=inputs, store_in_sample_residuals=True)
    seen = target.loc[held_out.index].to_numpy()
    forecaster.set_out_sample_residuals(y_true=seen, y_pred=held_out["pred"].to_numpy())
    return Model(forecaster, list(inputs))


def forecast(model: Model, history: pd.DataFrame, horizon: pd.DataFrame) -> pd.DataFrame:
    """The horizon's demand, and conformal intervals."""
    target, _ = series(history.iloc[-24 * 15 :])
    _, inputs = series(horizon)
    result = pd.DataFrame(index=horizon.index)
    for level, bounds in ((80, [0.1, 0.9]), (95, [0.025, 0.975])):
        found = model.forecaster.predict_interval(
            steps=len(horizon),
            last_window=target,
            exog=inputs[model.columns],
            method="conformal",
            interval=bounds,
            use_in_sample_residuals=False,
            suppress_warnings=True,
        )
        result["predicted_mwh"] = found["pred"].to_numpy()
        result[f"lower_{level}"] = found["lower_bound"].to_numpy()
        result[f"upper_{level}"] = found["upper_bound"].to_numpy()
    return result


if __name__ == "__main__":
    run(fit, forecast)
