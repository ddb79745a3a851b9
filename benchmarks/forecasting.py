"""Compares the base booster's features with mlforecast's (Nixtla), at one lead, on the same rows.

Both learn with LightGBM, the same parameters, number of trees and leaves, from the same hours, and forecast
the same hours 24 h ahead with observed weather, publication delay 0. mlforecast gets the lags and rolling
columns of the same meaning, its own date features, and the same weather columns. Scored on the validation
year 2023-08-01 … 2024-07-31. Reads the database of the settings, which must be backfilled, and needs the
extra `benchmarks`:

    .venv/bin/uv pip install --python .venv/bin/python --require-hashes --constraints requirements.txt \
        --requirements pyproject.toml --extra benchmarks
    .venv/bin/python benchmarks/forecasting.py --json
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import lightgbm as lgb
import numpy as np
import pandas as pd
from mlforecast import MLForecast
from mlforecast.lag_transforms import RollingMean, RollingStd

from answers import answer_alone
from energy_demand.columns import DERIVED_COLUMNS, FEATURE_COLUMNS, TARGET_COLUMN, WEATHER_COLUMNS
from energy_demand.config import load_settings
from energy_demand.data.feature_engineering import build_features
from energy_demand.data.record_store import load_record
from energy_demand.database.engine import opened
from energy_demand.model.base.training import BaseRecipe
from energy_demand.timeaxis import Availability, days_periods

if TYPE_CHECKING:
    from energy_demand.data.record import Record

LEAD = 24
TREES = 400
FIRST, LAST = date(2023, 8, 1), date(2024, 7, 31)
END = datetime(2024, 8, 1, 5, tzinfo=UTC)
EXOGENOUS = [*WEATHER_COLUMNS, *DERIVED_COLUMNS, "is_holiday"]


@dataclass
class Rows:
    """Features and target of the same hours."""

    features: pd.DataFrame
    target: pd.Series
    seconds: float


def our_features(record: Record) -> tuple[Rows, pd.DataFrame]:
    """Our rows, indexed by hour; and the whole frame, whose weather the other side gets as well."""
    started = time.perf_counter()
    frame = build_features(record.demand, record.weather, leads=LEAD, availability=Availability(0))
    seconds = time.perf_counter() - started
    frame = frame.set_index("timestamp")
    return Rows(frame[list(FEATURE_COLUMNS)], frame[TARGET_COLUMN], seconds), frame


def mlforecast_features(record: Record, weather: pd.DataFrame) -> Rows:
    """Mlforecast's rows, indexed by hour."""
    series = record.demand.set_index("period")[TARGET_COLUMN].ffill()
    frame = pd.DataFrame({"unique_id": "NY", "ds": series.index.tz_localize(None), "y": series.to_numpy()})
    exogenous = weather[EXOGENOUS].reindex(series.index)
    frame = pd.concat([frame, exogenous.reset_index(drop=True)], axis=1)
    forecast = MLForecast(
        models=[],
        freq="h",
        lags=[24, 48, 168],
        lag_transforms={LEAD: [RollingMean(24), RollingStd(24)]},
        date_features=["hour", "dayofweek", "month"],
        num_threads=2,
    )
    started = time.perf_counter()
    table = forecast.preprocess(frame, static_features=[], dropna=False)
    seconds = time.perf_counter() - started
    table = table.set_index(pd.DatetimeIndex(table["ds"]).tz_localize("UTC"))
    return Rows(table.drop(columns=["unique_id", "ds", "y"]), table["y"], seconds)


def judged(
    rows: Rows, fitted: pd.DatetimeIndex, tested: pd.DatetimeIndex, truth: pd.Series
) -> dict[str, float]:
    """Fit and forecast; truth is the same for both sides."""
    parameters = {**BaseRecipe().parameters, "num_threads": 2}
    started = time.perf_counter()
    data = lgb.Dataset(rows.features.loc[fitted].to_numpy(dtype=float), truth.loc[fitted].to_numpy())
    booster = lgb.train(parameters, data, TREES)
    fit_s = time.perf_counter() - started
    started = time.perf_counter()
    predicted = np.asarray(booster.predict(rows.features.loc[tested].to_numpy(dtype=float)))
    predict_s = time.perf_counter() - started
    actual = truth.loc[tested].to_numpy()
    return {
        "features_s": round(rows.seconds, 3),
        "fit_s": round(fit_s, 3),
        "predict_s": round(predict_s, 3),
        "mape": round(float(100 * np.mean(np.abs(predicted / actual - 1))), 3),
    }


def main() -> None:
    """Run both and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one JSON object (also the default)")
    parser.parse_args()
    with answer_alone():
        body = compared()
    print(json.dumps(body))


def compared() -> dict[str, Any]:
    """Both sides on the same hours."""
    settings = load_settings()
    with opened(settings) as database:
        record = load_record(database, settings, END)
    our_rows, frame = our_features(record)
    their_rows = mlforecast_features(record, frame)
    window = days_periods(FIRST, LAST, record.region.zone)
    common = our_rows.features.index.intersection(their_rows.features.dropna(subset=["lag168"]).index)
    tested = common[common.isin(window)]
    fitted = common[common < window[0]]
    return {
        "ours": judged(our_rows, fitted, tested, our_rows.target),
        "mlforecast": judged(their_rows, fitted, tested, our_rows.target),
        "rows": {"fitted": len(fitted), "tested": len(tested)},
        "trees": TREES,
        "leaves": BaseRecipe().parameters["num_leaves"],
    }


if __name__ == "__main__":
    main()
