"""The answers of the first screen."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import yaml

from dashboard.health import (
    STALE_HOURS,
    decision_sign,
    drift_sign,
    freshness_sign,
    model_sign,
    newest_decision,
    peak_sign,
)
from energy_demand.limits import DRIFT_SHARE_THRESHOLD, PERFORMANCE_MAE_THRESHOLD
from energy_demand.monitoring.performance_monitor import WORSE_RATIO
from support import PRESENT

ALERTS = Path(__file__).parents[2] / "infra/prometheus/rules/alerts.yml"

ZONE = ZoneInfo("America/New_York")
CHECK = {
    "check_timestamp": PRESENT - timedelta(hours=9),
    "drift_share": 0.45,
    "dataset_drift_detected": True,
    "n_drifted_features": 6,
    "n_total_features": 15,
    "triggered_retrain": True,
    "reason": "drift share 0.45 over 0.30",
}
RETRAINING = {
    "started_at": PRESENT - timedelta(hours=8),
    "trigger": "drift",
    "outcome": "promoted",
    "model_version": "3",
    "verdict": {"reason": "better than the champion"},
    "reason": "drift share 0.45 over 0.30",
    "error": None,
    "decided_at": PRESENT - timedelta(hours=8),
    "rolled_back_at": None,
    "rollback_reason": None,
}
SHADOW = {
    **RETRAINING,
    "outcome": "shadow",
    "decided_at": None,
    "verdict": {"reason": "not proven to be better than the champion"},
}
UNDONE = {
    **RETRAINING,
    "started_at": PRESENT - timedelta(days=5),
    "decided_at": PRESENT - timedelta(days=5),
    "rolled_back_at": CHECK["check_timestamp"],
    "rollback_reason": "the champion before is better",
}


@pytest.mark.parametrize(
    ("mae", "own", "level"),
    [
        pytest.param(400.0, 380.0, "good", id="near its holdout error"),
        pytest.param(571.0, 380.0, "bad", id="above 1.5 × its holdout error"),
        pytest.param(1501.0, None, "bad", id="over 1,500 MWh"),
        pytest.param(1499.0, None, "good", id="under the limit, its holdout error unknown"),
    ],
)
def test_the_model_is_as_good_as_its_error(mae, own, level):
    sign = model_sign({"known": 168, "mae": mae, "mape": 2.5}, "4", own)
    assert (sign.level, sign.headline) == (level, "version 4, MAPE 2.50 %")


def test_without_a_model_or_a_forecast_to_judge_it_says_what_to_run():
    assert "energy-demand train" in model_sign(None, None, None).sentence
    unknown = model_sign({"known": 0, "mae": None, "mape": None}, "4", 380.0)
    assert unknown.level == "unknown"
    assert "forecast --scheduled" in unknown.sentence


@pytest.mark.parametrize(("hours", "level"), [(1, "good"), (48, "good"), (49, "bad")])
def test_data_is_stale_after_two_days(hours, level):
    assert freshness_sign(PRESENT - timedelta(hours=hours), PRESENT, ZONE).level == level


def test_the_limits_are_those_of_the_alerts():
    (group,) = yaml.safe_load(ALERTS.read_text())["groups"]
    expressions = {rule["alert"]: rule["expr"].strip() for rule in group["rules"]}
    for alert, limit in (
        ("DataStale", STALE_HOURS),
        ("DriftShareHigh", DRIFT_SHARE_THRESHOLD),
        ("ModelErrorHigh", PERFORMANCE_MAE_THRESHOLD),
        ("ModelErrorAboveChampion", WORSE_RATIO),
    ):
        assert expressions[alert].endswith(f"> {limit:g}")


def test_without_data_it_says_what_to_run():
    assert "backfill" in freshness_sign(None, PRESENT, ZONE).sentence


def test_drift_is_what_the_last_check_found():
    assert drift_sign(None, ZONE).level == "unknown"
    assert drift_sign(CHECK, ZONE).level == "bad"
    assert drift_sign({**CHECK, "dataset_drift_detected": False}, ZONE).level == "good"


def test_the_last_decision_is_the_newer_of_a_check_and_a_retraining():
    assert decision_sign(None, None, ZONE).level == "unknown"
    assert decision_sign(CHECK, None, ZONE).headline == "retrain"
    done = decision_sign(CHECK, RETRAINING, ZONE)
    assert done.headline == "version 3 promoted"
    assert "better than the champion" in done.sentence
    long_ago = PRESENT - timedelta(days=3)
    older = {**RETRAINING, "started_at": long_ago, "decided_at": long_ago}
    assert decision_sign(CHECK, older, ZONE).headline == "retrain"
    failed = {**RETRAINING, "outcome": "failed", "error": "MLflow was away", "verdict": None}
    assert decision_sign(None, failed, ZONE).level == "bad"
    assert "MLflow was away" in decision_sign(None, failed, ZONE).sentence


def test_a_challenger_in_the_shadow_is_no_decision_against_it():
    sign = decision_sign(CHECK, SHADOW, ZONE)
    assert (sign.level, sign.headline) == ("good", "version 3 in the shadow")
    assert "not proven to be better" in sign.sentence


def test_a_challenger_that_is_decided_on_after_weeks_is_the_last_decision_from_then_on():
    began = PRESENT - timedelta(days=20)
    decided = {**RETRAINING, "started_at": began, "decided_at": CHECK["check_timestamp"]}
    assert decision_sign(CHECK, decided, ZONE).headline == "version 3 promoted"
    assert decision_sign(CHECK, {**SHADOW, "started_at": began}, ZONE).headline == "retrain"


def test_a_rollback_is_the_last_decision_and_says_why():
    sign = decision_sign(CHECK, UNDONE, ZONE)
    assert (sign.level, sign.headline) == ("bad", "version 3 rolled back")
    assert "the champion before is better" in sign.sentence


def test_of_several_retrainings_the_one_that_was_decided_on_last_is_shown():
    assert newest_decision([]) is None
    refused = {**RETRAINING, "outcome": "not_promoted", "decided_at": UNDONE["rolled_back_at"]}
    refused["started_at"] = PRESENT - timedelta(days=2)
    assert newest_decision([refused, UNDONE]) is UNDONE, "both at one check"
    assert newest_decision([RETRAINING, refused, UNDONE]) is RETRAINING


@pytest.mark.parametrize(
    ("peak", "level", "headline"),
    [
        pytest.param(None, "unknown", "not forecast yet", id="before nine"),
        pytest.param({"alert": True, "reason": "hot"}, "bad", "alerted", id="a peak day"),
        pytest.param({"alert": False, "reason": "mild"}, "good", "not alerted", id="a usual day"),
    ],
)
def test_a_peak_day_is_told(peak, level, headline):
    sign = peak_sign(peak)
    assert (sign.level, sign.headline) == (level, headline)
