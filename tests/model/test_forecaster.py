"""The model as text and JSON: it comes back the same, or not at all."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest

from energy_demand.columns import BASE_COLUMNS
from energy_demand.errors import UserError
from energy_demand.model.forecaster import (
    BOOSTER_COLUMNS,
    BOOSTER_FILE,
    MANIFEST_FILE,
    Forecaster,
    ModelRefusedError,
)
from energy_demand.model.intervals import ConformalIntervals

COUNT = 1500
OUTPUT = ["predicted_demand_mwh", "lower_80", "upper_80", "lower_95", "upper_95"]


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    """Random feature rows, some of the weather missing, with a demand that depends on three columns."""
    random = np.random.default_rng(3)
    frame = pd.DataFrame({name: random.normal(size=COUNT) for name in BASE_COLUMNS})
    frame["hour_of_day"] = random.integers(0, 24, COUNT)
    frame["lead_hours"] = random.integers(1, 49, COUNT)
    frame["demand_mwh"] = 17_000 + 900 * frame["temperature"] + 100 * frame["hour_of_day"]
    frame.loc[::7, "temperature"] = np.nan
    return frame


@pytest.fixture(scope="module")
def forecaster(rows) -> Forecaster:
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
    return Forecaster(booster, intervals, "NY", datetime(2025, 7, 31, 12, tzinfo=UTC), 2)


def changed_manifest(forecaster: Forecaster, **changes: object) -> dict[str, str]:
    texts = forecaster.to_texts()
    return texts | {MANIFEST_FILE: json.dumps(json.loads(texts[MANIFEST_FILE]) | changes)}


def test_the_booster_takes_the_twenty_columns_and_the_lead():
    assert (*BASE_COLUMNS, "lead_hours") == BOOSTER_COLUMNS
    assert len(BOOSTER_COLUMNS) == 21


def test_a_forecast_has_its_intervals_and_the_index_of_its_rows(forecaster, rows):
    odd = rows.iloc[[5, 3, 1000]].set_axis([30, 10, 20])
    found = forecaster.predict(odd)
    assert list(found.columns) == OUTPUT
    assert list(found.index) == [30, 10, 20]
    assert found["predicted_demand_mwh"].tolist() == forecaster.predict_point(odd).tolist()
    ordered = found[["lower_95", "lower_80", "predicted_demand_mwh", "upper_80", "upper_95"]]
    assert (ordered.diff(axis=1).iloc[:, 1:] >= 0).all(axis=None)


def test_the_order_of_the_columns_and_further_ones_do_not_matter(forecaster, rows):
    shuffled = rows[rows.columns[::-1]].assign(another="column")
    assert forecaster.predict_point(shuffled).tolist() == forecaster.predict_point(rows).tolist()


def test_a_missing_column_is_an_error(forecaster, rows):
    with pytest.raises(KeyError, match="humidity"):
        forecaster.predict(rows.drop(columns="humidity"))


def test_missing_weather_is_forecast_on(forecaster, rows):
    assert forecaster.predict(rows.assign(temperature=np.nan)).notna().all(axis=None)


def test_what_comes_back_from_its_texts_predicts_exactly_the_same(forecaster, rows):
    again = Forecaster.from_texts(forecaster.to_texts())
    pd.testing.assert_frame_equal(again.predict(rows), forecaster.predict(rows), check_exact=True)
    assert (again.respondent, again.publication_delay_hours) == ("NY", 2)
    assert again.trained_through == datetime(2025, 7, 31, 12, tzinfo=UTC)


def test_the_texts_survive_a_second_round(forecaster):
    texts = forecaster.to_texts()
    assert Forecaster.from_texts(texts).to_texts() == texts


def test_the_texts_are_text_and_json_with_the_feature_list(forecaster):
    texts = forecaster.to_texts()
    assert set(texts) == {BOOSTER_FILE, MANIFEST_FILE}
    assert texts[BOOSTER_FILE].startswith("tree\n")
    assert json.loads(texts[MANIFEST_FILE])["features"] == list(BOOSTER_COLUMNS)


def test_a_changed_booster_is_refused(forecaster):
    texts = forecaster.to_texts()
    changed = texts[BOOSTER_FILE].replace("leaf_value=1", "leaf_value=2", 1)
    assert changed != texts[BOOSTER_FILE]
    with pytest.raises(ModelRefusedError, match=f"{BOOSTER_FILE} does not match its checksum") as caught:
        Forecaster.from_texts(texts | {BOOSTER_FILE: changed})
    assert isinstance(caught.value, UserError)


def test_a_booster_cut_off_is_refused(forecaster):
    texts = forecaster.to_texts()
    with pytest.raises(ModelRefusedError, match="checksum"):
        Forecaster.from_texts(texts | {BOOSTER_FILE: texts[BOOSTER_FILE][:-100]})


@pytest.mark.parametrize(
    ("features", "reason"),
    [
        pytest.param([*BOOSTER_COLUMNS[:-1]], "lead_hours", id="one is missing"),
        pytest.param([*BOOSTER_COLUMNS, "tariff"], "tariff", id="one too many"),
        pytest.param(list(reversed(BOOSTER_COLUMNS)), "their order", id="in another order"),
    ],
)
def test_a_model_for_other_features_is_refused(features, reason, forecaster):
    with pytest.raises(ModelRefusedError, match=f"other features .*{reason}"):
        Forecaster.from_texts(changed_manifest(forecaster, features=features))


def test_another_format_is_refused(forecaster):
    with pytest.raises(ModelRefusedError, match="format 99, this program reads 1"):
        Forecaster.from_texts(changed_manifest(forecaster, format=99))


@pytest.mark.parametrize("name", [BOOSTER_FILE, MANIFEST_FILE])
def test_a_missing_file_is_refused_by_name(name, forecaster):
    texts = forecaster.to_texts()
    del texts[name]
    with pytest.raises(ModelRefusedError, match=name):
        Forecaster.from_texts(texts)


@pytest.mark.parametrize(
    "manifest",
    ["", "{", "null", "[]", '"text"', "{}"],
    ids=["empty", "cut off", "null", "list", "text", "{}"],
)
def test_a_manifest_that_is_none_is_refused(manifest, forecaster):
    with pytest.raises(ModelRefusedError, match="train again"):
        Forecaster.from_texts(forecaster.to_texts() | {MANIFEST_FILE: manifest})


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"intervals": {}}, id="intervals are missing"),
        pytest.param({"intervals": {"80": [[0.1]], "95": [[0.2]]}}, id="intervals of another shape"),
        pytest.param({"intervals": None}, id="no intervals"),
        pytest.param({"trained_through": "yesterday"}, id="a time that is none"),
        pytest.param({"publication_delay_hours": "soon"}, id="a delay that is no number"),
        pytest.param({"sha256": {}}, id="no checksum"),
    ],
)
def test_a_damaged_manifest_is_refused(changes, forecaster):
    with pytest.raises(ModelRefusedError, match=r"damaged|does not match its checksum"):
        Forecaster.from_texts(changed_manifest(forecaster, **changes))


@pytest.mark.parametrize(
    "key", ["format", "features", "sha256", "respondent", "trained_through", "intervals"]
)
def test_a_manifest_that_lacks_something_is_refused_by_name(key, forecaster):
    texts = forecaster.to_texts()
    manifest = json.loads(texts[MANIFEST_FILE])
    del manifest[key]
    with pytest.raises(ModelRefusedError, match=key):
        Forecaster.from_texts(texts | {MANIFEST_FILE: json.dumps(manifest)})


def test_intervals_that_were_changed_are_refused(forecaster):
    texts = forecaster.to_texts()
    manifest = json.loads(texts[MANIFEST_FILE])
    manifest["intervals"]["95"][0][0] += 0.01
    with pytest.raises(ModelRefusedError):
        Forecaster.from_texts(texts | {MANIFEST_FILE: json.dumps(manifest)})
