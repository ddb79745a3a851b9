"""The forecaster as text and JSON: it comes back the same, or not at all."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from energy_demand.errors import UserError
from energy_demand.registry.manifest import MANIFEST_FILE, ModelRefusedError
from energy_demand.registry.serialization import from_texts, to_texts
from energy_demand.timeaxis import Availability
from records import START

ISSUE = START + timedelta(days=240, hours=13) - timedelta(days=1)


@pytest.fixture(scope="module")
def texts(forecaster) -> dict[str, str]:
    return to_texts(forecaster)


def test_what_comes_back_forecasts_the_same(forecaster, texts, record):
    again = from_texts(texts)
    known = record.cut_at(ISSUE, Availability(1))
    for one in (forecaster, again):
        assert one.respondent == "NY"
    made = [one.forecast(one.horizon(known, ISSUE), ISSUE) for one in (forecaster, again)]
    pd.testing.assert_frame_equal(made[0], made[1], check_exact=True)
    for one, other in zip(forecaster.regression.filters, again.regression.filters, strict=True):
        np.testing.assert_array_equal(one.covariance, other.covariance)
    assert again.trained_through == forecaster.trained_through
    assert again.publication_delay_hours == forecaster.publication_delay_hours


def test_what_comes_back_can_go_on(forecaster, texts, record):
    later = replace(record)
    state = from_texts(texts)
    assert state.regression.through == forecaster.regression.through
    assert state.advance(later) is state  # it has seen all of this record


def test_storing_gives_the_same_texts_every_time(forecaster, texts):
    assert to_texts(forecaster) == texts
    again = to_texts(from_texts(texts))  # LightGBM does not read back the parameters it writes
    assert to_texts(from_texts(again)) == again


def test_everything_is_text_without_a_pickle(texts):
    assert all(name.endswith((".txt", ".json")) for name in texts)
    assert all(isinstance(text, str) for text in texts.values())
    assert set(json.loads(texts[MANIFEST_FILE])["sha256"]) == set(texts) - {MANIFEST_FILE}


@pytest.mark.parametrize(
    "name",
    [
        "base_booster.txt",
        "residual_booster.txt",
        "adaptive_regression.json",
        "outlook.json",
        "errors_and_intervals.json",
    ],
)
def test_a_file_that_was_changed_is_refused(name, texts):
    changed = {**texts, name: texts[name].replace("1", "2", 1)}
    with pytest.raises(ModelRefusedError, match=f"{name} does not match its checksum") as caught:
        from_texts(changed)
    assert isinstance(caught.value, UserError)


def test_every_missing_file_is_refused(texts):
    for name in texts:
        with pytest.raises(ModelRefusedError, match="damaged"):
            from_texts({key: text for key, text in texts.items() if key != name})


@pytest.mark.parametrize("key", ["features", "residual_features"])
def test_a_model_of_other_features_is_refused_by_name(key, texts):
    manifest = json.loads(texts[MANIFEST_FILE])
    manifest[key] = [*manifest[key][:-1], "moonlight"]
    with pytest.raises(ModelRefusedError, match=f"`{key}` lacks .* and has the unknown moonlight; run `energy-demand train`"):
        from_texts({**texts, MANIFEST_FILE: json.dumps(manifest)})


def test_another_format_is_refused(texts):
    manifest = {**json.loads(texts[MANIFEST_FILE]), "format": 1}
    with pytest.raises(
        ModelRefusedError, match="format 1, but this version reads format 4; run `energy-demand train`"
    ):
        from_texts({**texts, MANIFEST_FILE: json.dumps(manifest)})


def test_a_forecaster_without_all_its_stages_is_not_stored(forecaster):
    with pytest.raises(ValueError, match="without all its stages"):
        to_texts(replace(forecaster, residual=None))
