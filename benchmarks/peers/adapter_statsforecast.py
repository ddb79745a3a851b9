"""statsforecast: MSTL with AutoARIMA on the weather, the seasonal model of its authors' tutorials.

Daily and weekly seasons by LOESS, the rest by an ARIMA with the weather as regressors. The orders and
coefficients are found at each refit; at each issue the decomposition is made again from the newest weeks.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
from peer_protocol import DEMAND, run
from statsforecast.models import MSTL, AutoARIMA

SEASONS = [24, 168]
LEAST_SPREAD = 0.05
WEEKS = 6  # of the newest hours that are decomposed
REGRESSORS = ("heating", "cooling", "temperature_24h", "cooling_24h", "cloud_cover")

warnings.filterwarnings("ignore")


@dataclass(frozen=True)
class Model:
    """The fitted MSTL, and the regressors that it has with their scales."""

    mstl: MSTL
    names: list[str]
    scales: np.ndarray

    def regressors(self, frame: pd.DataFrame) -> np.ndarray | None:
        """On scales of one, as the optimiser likes them."""
        return frame[self.names].to_numpy(float) / self.scales if self.names else None


def fit(history: pd.DataFrame) -> Model:
    """Find the ARIMA on the newest weeks."""
    weeks = history.iloc[-168 * WEEKS :]
    # A regressor that hardly changes in these weeks, such as heat in winter, makes the system singular.
    spread = weeks[list(REGRESSORS)].std()
    names = [name for name in REGRESSORS if spread[name] > LEAST_SPREAD]
    model = Model(
        MSTL(season_length=SEASONS, trend_forecaster=AutoARIMA(seasonal=False)),
        names,
        spread[names].to_numpy(),
    )
    model.mstl.fit(weeks[DEMAND].to_numpy(float), model.regressors(weeks))
    return model


def forecast(model: Model, history: pd.DataFrame, horizon: pd.DataFrame) -> pd.DataFrame:
    """Decompose the newest weeks again and carry them forward."""
    weeks = history.iloc[-168 * WEEKS :]
    found = model.mstl.forward(
        weeks[DEMAND].to_numpy(float),
        h=len(horizon),
        X=model.regressors(weeks),
        X_future=model.regressors(horizon),
        level=[80, 95],
    )
    # The bounds are series with an index of their own, the mean is an array.
    values = {"predicted_mwh": found["mean"]}
    for level in (80, 95):
        values[f"lower_{level}"], values[f"upper_{level}"] = found[f"lo-{level}"], found[f"hi-{level}"]
    return pd.DataFrame({name: np.asarray(each) for name, each in values.items()}, index=horizon.index)


if __name__ == "__main__":
    run(fit, forecast)
