"""The base booster: the twenty columns and the lead in, MWh with intervals out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from energy_demand.boosting import lgb
from energy_demand.columns import FEATURE_COLUMNS
from energy_demand.model.base.booster import BOOSTER_COLUMNS, BaseBooster
from energy_demand.model.intervals import ConformalIntervals

COUNT = 1500
OUTPUT = ["predicted_demand_mwh", "lower_80", "upper_80", "lower_95", "upper_95"]


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    """Random feature rows, some of the weather missing, with a demand that depends on three columns."""
    random = np.random.default_rng(3)
    frame = pd.DataFrame({name: random.normal(size=COUNT) for name in FEATURE_COLUMNS})
    frame["hour_of_day"] = random.integers(0, 24, COUNT)
    frame["lead_hours"] = random.integers(1, 49, COUNT)
    frame["demand_mwh"] = 17_000 + 900 * frame["temperature"] + 100 * frame["hour_of_day"]
    frame.loc[::7, "temperature"] = np.nan
    return frame


@pytest.fixture(scope="module")
def base_model(rows) -> BaseBooster:
    booster = lgb.train(
        {"verbose": -1, "seed": 1, "deterministic": True, "num_leaves": 15},
        lgb.Dataset(
            rows[list(BOOSTER_COLUMNS)].to_numpy(), rows["demand_mwh"], feature_name=list(BOOSTER_COLUMNS)
        ),
        num_boost_round=40,
    )
    intervals = ConformalIntervals.fit(
        rows["demand_mwh"].to_numpy(),
        np.full(COUNT, 17_000.0),
        rows["lead_hours"].to_numpy(),
        rows["hour_of_day"].to_numpy(),
    )
    return BaseBooster(booster, intervals)


def test_the_booster_takes_the_twenty_columns_and_the_lead():
    assert (*FEATURE_COLUMNS, "lead_hours") == BOOSTER_COLUMNS
    assert len(BOOSTER_COLUMNS) == 21


def test_a_forecast_has_its_intervals_and_the_index_of_its_rows(base_model, rows):
    odd = rows.iloc[[5, 3, 1000]].set_axis([30, 10, 20])
    found = base_model.predict(odd)
    assert list(found.columns) == OUTPUT
    assert list(found.index) == [30, 10, 20]
    assert found["predicted_demand_mwh"].tolist() == base_model.predict_point(odd).tolist()
    ordered = found[["lower_95", "lower_80", "predicted_demand_mwh", "upper_80", "upper_95"]]
    assert (ordered.diff(axis=1).iloc[:, 1:] >= 0).all(axis=None)


def test_the_order_of_the_columns_and_further_ones_do_not_matter(base_model, rows):
    shuffled = rows[rows.columns[::-1]].assign(another="column")
    assert base_model.predict_point(shuffled).tolist() == base_model.predict_point(rows).tolist()


def test_rows_with_missing_weather_are_forecast(base_model, rows):
    blank = rows.head(5).assign(temperature=np.nan, humidity=np.nan)
    assert base_model.predict(blank).notna().all(axis=None)
