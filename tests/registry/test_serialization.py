"""The forecaster as text and JSON: it comes back the same, or not at all."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from energy_demand.errors import UserError
from energy_demand.registry.feature_lists import check_sites, own_lists
from energy_demand.registry.manifest import MANIFEST_FILE, ModelRefusedError
from energy_demand.registry.serialization import from_texts, to_texts
from energy_demand.timeaxis import Availability
from records import START, with_other_responses

FIRST_LISTS = {"features", "responses", "residual_features"}  # of a manifest from the beginning
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


def test_corrections_of_several_weather_models_come_back_by_name(forecaster, texts):
    assert not any("of_model" in name for name in texts)  # one model has no file more than ever
    outlook = replace(forecaster.outlook, others={"gfs_seamless": forecaster.outlook.corrections, "x/y": {}})
    stored = to_texts(replace(forecaster, outlook=outlook))
    assert set(stored) - set(texts) == {
        f"correction_of_model_2_{name}.txt" for name in forecaster.outlook.corrections
    }
    others = from_texts(stored).outlook.others
    assert list(others) == ["gfs_seamless", "x/y"]
    rows = np.zeros((1, next(iter(outlook.corrections.values())).num_feature()))
    for name, booster in outlook.others["gfs_seamless"].items():
        assert others["gfs_seamless"][name].predict(rows) == booster.predict(rows)


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


@pytest.mark.parametrize("name", sorted(own_lists()))
def test_each_list_of_the_manifest_is_compared_with_this_version_s(name, texts):
    manifest = json.loads(texts[MANIFEST_FILE])
    manifest[name] = [*manifest[name][:-1], "moonlight"]
    with pytest.raises(ModelRefusedError, match=f"`{name}` .*has the unknown moonlight; run") as caught:
        from_texts({**texts, MANIFEST_FILE: json.dumps(manifest)})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", sorted(set(own_lists()) - {"weather_corrections"}))
def test_a_list_that_lacks_a_name_of_this_version_is_refused(name, texts):
    manifest = json.loads(texts[MANIFEST_FILE])
    *kept, last = manifest[name]
    manifest[name] = kept
    with pytest.raises(
        ModelRefusedError, match=f"`{name}` lacks {re.escape(last)}; run `energy-demand train`"
    ):
        from_texts({**texts, MANIFEST_FILE: json.dumps(manifest)})


def test_a_list_in_another_order_is_refused(texts):
    manifest = json.loads(texts[MANIFEST_FILE])
    manifest["responses"].reverse()
    with pytest.raises(ModelRefusedError, match="`responses` has another order"):
        from_texts({**texts, MANIFEST_FILE: json.dumps(manifest)})


def _regression(read: dict) -> None:
    read["groups"][3] = "sun"


def _variance(read: dict) -> None:
    read["variance"].append(1.0)


def _recipe(read: dict) -> None:
    read["recipe"]["momentum"] = 0.5


def _errors(read: dict) -> None:
    read["errors"]["names"][0] = "moonlight"


def _levels(read: dict) -> None:
    levels = read["distribution"]["levels"]
    levels["99"] = levels.pop("95")


def _climate(read: dict) -> None:
    read["climate"]["moon"] = read["climate"].pop("rest_temperature")


def _guesses(read: dict) -> None:
    read["guess"].remove("rest_temperature")


def _corrections(read: dict) -> None:
    read["correction"].append("moonlight")


@pytest.mark.parametrize(
    ("file", "change", "named"),
    [
        ("adaptive_regression.json", _regression, "response_groups"),
        ("adaptive_regression.json", _variance, "clock_hours"),
        ("adaptive_regression.json", _recipe, "regression_recipe"),
        ("errors_and_intervals.json", _errors, "error_features"),
        ("errors_and_intervals.json", _levels, "interval_levels"),
        ("outlook.json", _climate, "climate"),
        ("outlook.json", _guesses, "weather_guesses"),
        ("outlook.json", _corrections, "weather_corrections"),
    ],
)
def test_the_lists_in_the_files_are_compared_whatever_the_manifest_says(file, change, named, texts):
    read = json.loads(texts[file])
    change(read)
    with pytest.raises(ModelRefusedError, match=f"its list `{named}`"):
        from_texts(resealed({**texts, file: json.dumps(read)}))


@pytest.mark.parametrize("file", ["guess_main_temperature.txt", "guess_rest_temperature.txt"])
def test_a_weather_booster_of_other_features_is_refused_by_their_number(file, texts):
    with pytest.raises(ModelRefusedError, match="guess_features` has 21 names in place of"):
        from_texts(resealed({**texts, file: texts["base_booster.txt"]}))


def test_boosters_are_refused_by_their_own_names(texts):
    other = texts["base_booster.txt"].replace("solar_radiation", "moonlight")
    with pytest.raises(
        ModelRefusedError, match="`features` lacks solar_radiation and has the unknown moonlight"
    ):
        from_texts(resealed({**texts, "base_booster.txt": other}))


@pytest.mark.parametrize("part", ["coefficients", "covariance", "noise", "walk"])
def test_a_filter_of_another_size_is_refused(part, forecaster):
    state = forecaster.regression.filters[0]
    smaller = replace(state, **{part: getattr(state, part)[:-1]})
    regression = replace(forecaster.regression, filters=(smaller, *forecaster.regression.filters[1:]))
    with pytest.raises(ModelRefusedError, match=f"the {part} of filter 0 have the shape"):
        from_texts(to_texts(replace(forecaster, regression=regression)))


def test_a_model_of_code_with_another_response_column_is_refused(forecaster):
    with pytest.raises(
        ModelRefusedError, match="`responses` lacks rest_radiation_season_cos and has the unknown moonlight"
    ):
        from_texts(to_texts(with_other_responses(forecaster)))


def test_a_model_stored_before_the_lists_were_kept_is_read_by_its_files(texts):
    manifest = json.loads(texts[MANIFEST_FILE])
    kept = {name: value for name, value in manifest.items() if name not in set(own_lists()) - FIRST_LISTS}
    del kept["sites"]
    old = {**texts, MANIFEST_FILE: json.dumps(kept)}
    assert from_texts(old).sites == ()
    read = json.loads(texts["adaptive_regression.json"])
    read["names"][-1] = "moonlight"
    with pytest.raises(ModelRefusedError, match="has the unknown moonlight"):
        from_texts(resealed({**old, "adaptive_regression.json": json.dumps(read)}))


def test_the_sites_come_back_and_others_are_refused(forecaster, texts):
    sites = from_texts(texts).sites
    assert sites == forecaster.sites == ("new_york_city", "albany", "buffalo", "syracuse")
    check_sites(sites, sites)
    check_sites((), ["boston"])
    with pytest.raises(
        ModelRefusedError, match="`sites` lacks boston and has the unknown albany, buffalo, sy"
    ):
        check_sites(sites, ["new_york_city", "boston"])


def resealed(texts: dict[str, str]) -> dict[str, str]:
    """The texts with the checksums of a model that was stored like this."""
    manifest = json.loads(texts[MANIFEST_FILE])
    for name in manifest["sha256"]:
        manifest["sha256"][name] = hashlib.sha256(texts[name].encode()).hexdigest()
    return {**texts, MANIFEST_FILE: json.dumps(manifest)}


def test_another_format_is_refused(texts):
    manifest = {**json.loads(texts[MANIFEST_FILE]), "format": 1}
    with pytest.raises(
        ModelRefusedError, match="format 1, but this version reads format 6; run `energy-demand train`"
    ):
        from_texts({**texts, MANIFEST_FILE: json.dumps(manifest)})


def test_a_forecaster_without_all_its_stages_is_not_stored(forecaster):
    with pytest.raises(ValueError, match="without all its stages"):
        to_texts(replace(forecaster, residual=None))
