"""The peers' benchmark: what a peer may see, how it is scored, and a whole run with a tiny adapter."""

from __future__ import annotations

import argparse
import importlib.util
import re
import subprocess
import sys
from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import pytest

import peer_inputs
import peer_scores
import peers
from energy_demand.region import NEW_YORK
from energy_demand.timeaxis import days_periods
from records import altered_after

FIRST, LAST = date(2024, 10, 30), date(2024, 11, 6)  # with the clock change of 2024-11-03
SINCE = date(2024, 8, 1)
ZONE = NEW_YORK.zone
TARGETS = days_periods(FIRST, LAST, ZONE)
ADAPTER = """
from peer_protocol import run

def forecast(model, history, horizon):
    seasons = len(horizon) // 24 + 1
    yesterday = list(history["demand_mwh"].iloc[-24:]) * seasons
    frame = horizon[[]].assign(predicted_mwh=yesterday[: len(horizon)])
    return frame.assign(hours_known=len(history))

run(lambda history: len(history), forecast)
"""


@pytest.fixture(scope="module")
def protocol():
    spec = importlib.util.spec_from_file_location("peer_protocol", peers.FOLDER / "peer_protocol.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["peer_protocol"] = module  # where its dataclasses look themselves up
    spec.loader.exec_module(module)
    yield module
    del sys.modules["peer_protocol"]


def inputs_of(record, weather="observed", refit_days=3):
    return peer_inputs.peer_inputs(record, FIRST, LAST, weather=weather, refit_days=refit_days, since=SINCE)


@pytest.fixture(scope="module")
def inputs(record):
    return inputs_of(record)


# What a peer may see.


def test_each_issue_has_the_hours_from_the_newest_known_one_to_the_end_of_its_day(inputs, protocol, tmp_path):
    issues = list(protocol.issues(peers.write_inputs(inputs, tmp_path)))
    assert len(issues) == 8
    for issue in issues:
        local = issue.issued_at.tz_convert(ZONE)
        assert (local.hour, local.minute) == (9, 0)
        assert issue.history.index[-1] == issue.issued_at - pd.Timedelta(hours=1)
        assert issue.horizon.index[0] == issue.issued_at
        day = (issue.target.index[issue.target] - pd.Timedelta(hours=1)).tz_convert(ZONE).date
        assert set(day) == {(local + pd.Timedelta(days=1)).date()}
    assert [len(issue.target[issue.target]) for issue in issues] == [24, 24, 24, 24, 25, 24, 24, 24]
    assert pd.concat([issue.target[issue.target] for issue in issues]).index.equals(TARGETS)


def test_a_horizon_has_the_columns_of_history_without_demand(inputs, protocol, tmp_path):
    issue = next(protocol.issues(peers.write_inputs(inputs, tmp_path)))
    assert list(issue.history) == ["demand_mwh", *inputs.columns]
    assert list(issue.horizon) == list(inputs.columns)
    assert not any("demand" in name or "truth" in name for name in inputs.horizon)
    assert not inputs.history.isna().any(axis=None)
    assert not inputs.horizon.isna().any(axis=None)


def test_with_observed_weather_both_tables_have_the_same_values(inputs):
    ahead = inputs.horizon.set_index("period")[list(inputs.columns)]
    common = ahead.index.intersection(inputs.history.index)
    assert len(common) > 100
    there = ahead[~ahead.index.duplicated()].loc[common.unique()]
    pd.testing.assert_frame_equal(
        there, inputs.history.loc[there.index, list(inputs.columns)], atol=0.02, check_freq=False
    )


@pytest.mark.parametrize("weather", ["observed", "as_issued"])
def test_nothing_that_is_known_after_an_issue_changes_its_inputs(record, protocol, tmp_path, weather):
    plain = list(protocol.issues(peers.write_inputs(inputs_of(record, weather), tmp_path / "plain")))
    cut = plain[3].issued_at
    changed = inputs_of(altered_after(record, cut.to_pydatetime()), weather)
    altered = list(protocol.issues(peers.write_inputs(changed, tmp_path / "altered")))
    for before, after in zip(plain[:4], altered[:4], strict=True):
        pd.testing.assert_frame_equal(before.history, after.history)
        if weather == "as_issued":
            pd.testing.assert_frame_equal(before.horizon, after.horizon)
    assert not plain[5].history["demand_mwh"].equals(altered[5].history["demand_mwh"])
    assert not plain[5].horizon.equals(altered[5].horizon)
    if weather == "observed":  # a perfect weather forecast: the weather to come is seen, as in a backtest
        assert not plain[3].horizon["main_temperature"].equals(altered[3].horizon["main_temperature"])


def test_as_issued_the_weather_ahead_is_that_of_the_runs(record, inputs):
    issued = inputs_of(record, "as_issued").horizon
    both = issued.merge(inputs.horizon, on=["issued_at", "period"], suffixes=("", "_observed"))
    ahead = both["period"] > both["issued_at"]
    assert (both["main_temperature"] == both["main_temperature_observed"])[~ahead].all()
    off = (both["main_temperature"] - both["main_temperature_observed"])[ahead].abs()
    assert off.gt(0).mean() > 0.9
    assert off.mean() < 5


def test_a_horizon_that_holds_demand_is_refused(inputs, protocol, tmp_path):
    leaking = replace(inputs, horizon=inputs.horizon.assign(demand_mwh=1.0))
    with pytest.raises(ValueError, match="must not hold demand"):
        next(protocol.issues(peers.write_inputs(leaking, tmp_path)))


def test_demand_that_was_not_known_at_the_issue_is_refused(inputs, protocol, tmp_path):
    late = inputs.issues.assign(newest_known=inputs.issues["newest_known"] + pd.Timedelta(hours=3))
    ahead = inputs.horizon["period"] > inputs.horizon["issued_at"] + pd.Timedelta(hours=2)
    leaking = replace(inputs, issues=late, horizon=inputs.horizon[ahead])
    with pytest.raises(ValueError, match="was not known"):
        next(protocol.issues(peers.write_inputs(leaking, tmp_path)))


def test_a_refit_is_due_when_its_days_have_passed(inputs):
    assert inputs.issues["refit"].tolist() == [True, False, False, True, False, False, True, False]
    assert peer_inputs.refits(inputs, 100).issues["refit"].tolist() == [True, *[False] * 7]


# Scores.


def hours_of(truth, factor, **bounds):
    frame = pd.DataFrame({"predicted_mwh": factor * truth})
    return frame.assign(**{name: value * truth for name, value in bounds.items()})


@pytest.fixture(scope="module")
def truth():
    return pd.Series(1000.0, index=TARGETS)


def test_errors_intervals_and_the_days_energy_are_scored(truth):
    frame = hours_of(truth, 1.02, lower_95=0.9, lower_80=1.01, upper_80=1.05, upper_95=1.1)
    scores = peer_scores.scored(frame, truth, TARGETS, ZONE)
    assert scores["mape"] == scores["bias"] == scores["mape_noon"] == scores["daily_mape"] == 2.0
    assert (scores["coverage_80"], scores["coverage_95"], scores["width_80"]) == (0.0, 100.0, 4.0)
    # 0.025·100, 0.9·10, 0.5·20, 0.1·50 and 0.025·100, on the side that each quantile is off
    assert scores["pinball"] == pytest.approx((2.5 + 9.0 + 10.0 + 5.0 + 2.5) / 5)
    assert scores["days"] == 8


def test_a_side_without_intervals_has_none_scored(truth):
    scores = peer_scores.scored(hours_of(truth, 0.99), truth, TARGETS, ZONE)
    assert scores["mape"] == 1.0
    assert scores["coverage_80"] is scores["pinball"] is None


def test_a_day_with_a_missing_hour_counts_by_the_hour_alone(truth):
    autumn = TARGETS[(TARGETS - pd.Timedelta(hours=1)).tz_convert(ZONE).date == date(2024, 11, 3)]
    assert len(autumn) == 25
    scores = peer_scores.scored(hours_of(truth, 1.01), truth, TARGETS.drop(autumn[:1]), ZONE)
    assert scores["days"] == 7


def test_only_hours_that_every_side_forecast_are_scored(truth):
    sides = {"a": hours_of(truth, 1.0).iloc[2:], "b": hours_of(truth, 1.0).iloc[:-3]}
    known = truth.mask(truth.index == TARGETS[10])
    assert peer_scores.common_hours(sides, known).equals(TARGETS[2:-3].delete(8))
    with pytest.raises(ValueError, match="no hour"):
        peer_scores.common_hours({**sides, "c": sides["a"].iloc[:0]}, known)


def test_the_mean_of_two_has_intervals_only_if_both_have(truth):
    wide = dict.fromkeys(peer_scores.BOUNDS, 0.9)
    both = peer_scores.mean_of([hours_of(truth, 1.0, **wide), hours_of(truth, 1.1, **wide)])
    assert both["predicted_mwh"].to_numpy() == pytest.approx(1050.0)
    assert both["lower_80"].to_numpy() == pytest.approx(900.0)
    one = peer_scores.mean_of([hours_of(truth, 1.0, **wide), hours_of(truth, 1.1)])
    assert list(one) == ["predicted_mwh"]


# The peers' files.


@pytest.mark.parametrize("name", sorted({peer.requirements for peer in peers.PEERS.values()}))
def test_each_pin_has_a_hash_and_nothing_names_an_index(name):
    text = (peers.FOLDER / f"requirements_{name}.txt").read_text()
    pins = re.split(r"^(?=\S)", text, flags=re.MULTILINE)
    pins = [pin for pin in pins if pin and not pin.startswith("#")]
    assert len(pins) >= 3
    for pin in pins:
        assert re.match(r"[a-z0-9._-]+(\[[a-z,]+\])?==\S+", pin), pin
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", pin), pin
    assert not re.search(r"://|--index|--find-links|--extra-index|file:| @ |^/", text, flags=re.MULTILINE)


def test_every_peer_has_an_adapter_and_none_is_among_the_projects_requirements():
    project = (peers.FOLDER.parents[1] / "requirements.txt").read_text()
    for name, peer in peers.PEERS.items():
        assert peer.script.is_file(), name
        assert peer.pins.is_file(), name
    # mlforecast is an extra of another benchmark, at a pin of its own.
    assert not re.search(r"^(openstef|skforecast|statsforecast)", project, flags=re.MULTILINE)


def test_names_of_peers_are_checked():
    assert peers.chosen("skforecast, ridges") == ["ridges", "skforecast"]
    with pytest.raises(argparse.ArgumentTypeError, match="unknown: prophet"):
        peers.chosen("prophet")


# A whole run.


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """One peer whose adapter repeats the day before, run by this Python."""
    folder = tmp_path / "peers"
    folder.mkdir()
    (folder / "adapter_tiny.py").write_text(ADAPTER)
    (folder / "requirements_tiny.txt").write_text("")
    (folder / "peer_protocol.py").write_text((peers.FOLDER / "peer_protocol.py").read_text())
    monkeypatch.setattr(peers, "FOLDER", folder)
    monkeypatch.setattr(peers, "PEERS", {"tiny": peers.Peer("tiny", "tiny", python="3.11")})
    monkeypatch.setattr(peers, "environment", lambda peer, parent: sys.executable)
    return folder


def options_of(names):
    return argparse.Namespace(start=FIRST, end=LAST, weather="observed", refit_days=3, peers=names)


@pytest.mark.usefixtures("processes")
def test_a_peer_is_run_scored_and_not_computed_twice(record, inputs, stand_in, tmp_path, monkeypatch):
    options, cache = options_of(["tiny"]), tmp_path / "cache"
    sides, missing = peers.peers_outcomes(inputs, options, cache)
    assert missing == {}
    demand = pd.Series(record.demand_mwh, index=record.periods)
    first = sides["tiny"].hours
    # Each hour repeats the newest known hour of the same clock hour: of the issue's day before 08:00, else
    # of the day before it.
    known = pd.DatetimeIndex(first["issued_at"]) - pd.Timedelta(hours=1)
    back = 24 * np.ceil((first.index - known) / pd.Timedelta(hours=24))
    expected = demand.loc[first.index - pd.to_timedelta(back, unit="h")].to_numpy()
    assert first["predicted_mwh"].to_numpy() == pytest.approx(expected)
    body = peers.table(
        record, inputs, {"ours": sides["tiny"], **sides}, {"absent": "no Python 3.99"}, options
    )
    assert body["rows"]["tiny"]["status"] == "run"
    assert body["rows"]["tiny"]["fits"] == 3
    assert body["rows"]["tiny"]["mape"] == body["rows"]["ours"]["mape"] > 0
    assert body["rows"]["absent"] == {"status": "not run", "reason": "no Python 3.99"}
    assert body["hours"] == len(TARGETS)

    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("computed again"))
    again, _ = peers.peers_outcomes(inputs, options, cache)
    pd.testing.assert_frame_equal(again["tiny"].hours, first)


@pytest.mark.usefixtures("processes")
def test_a_run_that_was_stopped_goes_on_with_the_fits_that_are_left(inputs, stand_in, tmp_path):
    options, cache = options_of(["tiny"]), tmp_path / "cache"
    whole, _ = peers.peers_outcomes(inputs, options, cache)
    (results,) = (cache / "results").iterdir()
    (results / "complete").unlink()
    (results / "block_002.parquet").unlink()
    kept = {file.name: file.stat().st_mtime_ns for file in results.glob("block_*.parquet")}
    again, _ = peers.peers_outcomes(inputs, options, cache)
    pd.testing.assert_frame_equal(again["tiny"].hours, whole["tiny"].hours)
    assert {name: (results / name).stat().st_mtime_ns for name in kept} == kept


@pytest.mark.usefixtures("processes")
def test_a_peer_that_fails_is_reported_with_its_reason(inputs, stand_in, tmp_path):
    (stand_in / "adapter_tiny.py").write_text("raise SystemExit('no such preset')\n")
    sides, missing = peers.peers_outcomes(inputs, options_of(["tiny"]), tmp_path / "cache")
    assert sides == {}
    assert missing == {"tiny": "the adapter failed: no such preset"}


@pytest.mark.usefixtures("processes")
def test_another_adapter_or_other_inputs_are_computed_anew(inputs, stand_in, tmp_path):
    peer = peers.PEERS["tiny"]
    folder = peers.write_inputs(inputs, tmp_path).name
    digest = peers.results_digest(peer, folder)
    warmer = inputs.history.assign(main_temperature=inputs.history["main_temperature"] + 0.1)
    assert peers.write_inputs(replace(inputs, history=warmer), tmp_path).name != folder
    (stand_in / "adapter_tiny.py").write_text(ADAPTER + "print()\n")
    assert peers.results_digest(peer, folder) != digest


@pytest.mark.usefixtures("processes")
def test_without_an_interpreter_of_its_version_a_peer_is_not_run(tmp_path):
    peer = replace(peers.PEERS["ridges"], python="3.99")
    with pytest.raises(peers.NotRunError, match=r"no Python 3\.99 was found"):
        peers.environment(peer, tmp_path)


@pytest.mark.usefixtures("processes")
def test_an_environment_is_made_apart_from_the_projects(tmp_path, monkeypatch):
    monkeypatch.setattr(peers, "FOLDER", tmp_path)
    (tmp_path / "requirements_tiny.txt").write_text("")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    python = peers.environment(peers.Peer("tiny", "tiny", python=version), tmp_path / "environments")
    found = subprocess.run(
        [python, "-c", "import importlib.util as u, sys; print(sys.prefix, u.find_spec('pandas'))"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.split() == [str(python.parents[1]), "None"]


def test_a_comment_or_a_docstring_does_not_throw_away_what_was_computed():
    plain = 'def fit(history):\n    return history["a"].mean()\n'
    worded = '"""What it is."""\n\n\ndef fit(history):\n    """Fit."""\n    return history["a"].mean()  # a\n'
    assert peers.without_words(plain) == peers.without_words(worded)
    assert peers.without_words(plain) != peers.without_words(plain.replace("mean", "median"))
