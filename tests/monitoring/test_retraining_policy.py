"""When to retrain: each trigger, their order, the cooldown, and always a reason."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from energy_demand.monitoring.diagnosis import Cause, Circumstances, Residuals
from energy_demand.monitoring.performance_monitor import Comparison
from energy_demand.monitoring.retraining_policy import Decision, Evidence, Policy, Trigger, decide

NOW = datetime(2025, 7, 15, 13, tzinfo=UTC)
DAY = timedelta(days=1)
GOOD = Comparison(days=14, mae=400.0, mape=2.0, expected_mape=2.1, ratio=0.95, p_value=0.6, worse=False)
WORSE = Comparison(days=14, mae=900.0, mape=4.5, expected_mape=2.1, ratio=2.14, p_value=0.0004, worse=True)
LARGE_ERROR = Comparison(days=9, mae=1501.0, mape=7.0)
QUIET = Evidence(now=NOW, trained_through=NOW - 20 * DAY, drift_share=0.1, comparison=GOOD)
ALARM = date(2025, 7, 10)
# Residuals far above the expected ones, though no chart has alarmed yet.
CHANGED = Circumstances(residuals=Residuals(days=14, ratio=2.0, above=True))
CAUSES = {
    "large error": Cause.BROKEN_MODEL,
    "worse than expected": Cause.BROKEN_MODEL,
    "concept": Cause.CHANGED_RESPONSE,
    "drift": Cause.CHANGED_RESPONSE,
    "age": Cause.ROUTINE,
}

TROUBLE = {
    "large error": (Trigger.PERFORMANCE, {"comparison": LARGE_ERROR}),
    "worse than expected": (Trigger.PERFORMANCE, {"comparison": WORSE}),
    "concept": (Trigger.CONCEPT, {"concept_alarm": ALARM}),
    "drift": (Trigger.DRIFT, {"drift_share": 0.31, "circumstances": CHANGED}),
    "age": (Trigger.AGE, {"trained_through": NOW - 91 * DAY}),
}
REASONS = {
    "large error": "MAE of the last 9 days is 1,501 MWh, above 1,500",
    "worse than expected": "MAPE of the last 14 days is 4.50 %, 2.1 × the 2.10 %",
    "concept": "concept drift since 2025-07-10",
    "drift": "drift share 0.31, above 0.30",
    "age": "the champion is 91 days old, above 90",
}


@pytest.mark.parametrize("name", list(TROUBLE))
def test_each_trigger_alone_starts_a_retraining_with_its_reason(name):
    trigger, found = TROUBLE[name]
    decision = decide(replace(QUIET, **found))
    assert (decision.retrain, decision.trigger) == (True, trigger)
    assert decision.reason.startswith(REASONS[name])
    assert decision.cause is CAUSES[name]
    assert (f"; cause: {CAUSES[name]} (" in decision.reason) is (name != "age")


def test_drift_while_residuals_are_as_expected_starts_no_retraining():
    decision = decide(replace(QUIET, drift_share=0.31))
    assert (decision.retrain, decision.trigger, decision.cause) == (
        False,
        Trigger.DRIFT,
        Cause.UNUSUAL_WEATHER,
    )
    assert decision.reason.startswith("drift share 0.31, above 0.30; cause: unusual_weather (")
    assert decision.reason.endswith("; no retraining")


def test_a_trigger_without_retraining_leaves_the_decision_to_the_next():
    old = replace(QUIET, drift_share=0.31, trained_through=NOW - 91 * DAY)
    decision = decide(old)
    assert (decision.retrain, decision.trigger, decision.cause) == (True, Trigger.AGE, Cause.ROUTINE)


@pytest.mark.parametrize(
    "found",
    [
        pytest.param({"drift_share": 0.3}, id="drift share at the limit"),
        pytest.param({"trained_through": NOW - 90 * DAY}, id="age at the limit"),
        pytest.param({"comparison": replace(LARGE_ERROR, mae=1500.0)}, id="error at the limit"),
        pytest.param({}, id="quiet"),
    ],
)
def test_at_the_limits_nothing_is_done(found):
    decision = decide(replace(QUIET, **found))
    assert (decision.retrain, decision.trigger) == (False, None)


@pytest.mark.parametrize(("days", "retrain"), [(1, False), (6, False), (7, True)])
def test_a_large_error_needs_seven_days(days, retrain):
    one_storm = replace(QUIET, comparison=replace(LARGE_ERROR, days=days, mae=4_000.0))
    assert decide(one_storm).retrain is retrain


def test_the_reason_is_given_also_when_nothing_is_done():
    assert decide(QUIET).reason == (
        "no trigger: drift share 0.10 (limit 0.30), MAPE 2.00 % (expected 2.10 %), "
        "champion 20 days old (limit 90)"
    )
    unknown = replace(QUIET, drift_share=None, comparison=None)
    assert decide(unknown).reason == (
        "no trigger: drift share unknown, no scheduled forecasts to score, champion 20 days old (limit 90)"
    )
    early = replace(QUIET, comparison=Comparison(days=2, mae=400.0, mape=2.0))
    assert "MAPE 2.00 %, champion" in decide(early).reason


def test_without_a_model_nothing_is_retrained():
    everything = replace(
        QUIET, trained_through=None, drift_share=1.0, comparison=LARGE_ERROR, concept_alarm=ALARM
    )
    decision = decide(everything)
    assert (decision.retrain, decision.trigger) == (False, None)
    assert "no model serves yet" in decision.reason


@settings(deadline=None)
@given(st.sets(st.sampled_from(sorted(set(TROUBLE) - {"large error"}))))
def test_the_first_trigger_that_applies_is_named(present):
    evidence = QUIET
    for name in present:
        evidence = replace(evidence, **TROUBLE[name][1])
    order = [name for name in TROUBLE if name in present]
    decision = decide(evidence)
    assert decision.trigger == (TROUBLE[order[0]][0] if order else None)
    assert decision.retrain is bool(order)
    assert decision.reason


def test_a_very_large_error_is_named_before_one_above_the_expected():
    both = replace(WORSE, mae=2000.0)
    assert decide(replace(QUIET, comparison=both)).reason.startswith("MAE of")


@pytest.mark.parametrize("name", list(TROUBLE))
def test_during_the_cooldown_nothing_is_retrained_but_the_trigger_is_named(name):
    trigger, found = TROUBLE[name]
    began = datetime(2025, 7, 5, 9, 30, tzinfo=UTC)
    evidence = replace(QUIET, last_retraining=began, **found)
    decision = decide(evidence)
    assert (decision.retrain, decision.trigger) == (False, trigger)
    assert decision.reason.startswith(REASONS[name])
    assert decision.reason.endswith("; in cooldown until 2025-07-21T09:30Z")


def test_the_cooldown_ends_to_the_minute():
    began = NOW - Policy().cooldown
    drifted = replace(QUIET, drift_share=0.9, circumstances=CHANGED)
    assert decide(replace(drifted, last_retraining=began)).retrain
    assert not decide(replace(drifted, last_retraining=began + timedelta(minutes=1))).retrain


def test_without_a_trigger_the_cooldown_is_not_mentioned():
    decision = decide(replace(QUIET, last_retraining=NOW - DAY))
    assert decision == Decision(retrain=False, trigger=None, reason=decide(QUIET).reason)


def test_an_alarm_is_answered_by_a_retraining_after_it():
    later = replace(QUIET, now=NOW + 30 * DAY, trained_through=NOW, concept_alarm=ALARM, last_retraining=NOW)
    assert decide(later).trigger is None
    assert decide(replace(later, last_retraining=None)).trigger is Trigger.CONCEPT


def test_an_alarm_after_the_last_retraining_is_not_answered():
    evidence = replace(
        QUIET, now=NOW + 30 * DAY, trained_through=NOW, concept_alarm=NOW.date() + DAY, last_retraining=NOW
    )
    assert decide(evidence).trigger is Trigger.CONCEPT


def test_an_answered_alarm_does_not_hide_later_triggers():
    evidence = replace(QUIET, concept_alarm=ALARM, last_retraining=NOW - DAY, drift_share=0.8)
    assert decide(evidence).trigger is Trigger.DRIFT


@pytest.mark.parametrize(
    ("policy", "found"),
    [
        pytest.param(Policy(drift_share=0.05), {"circumstances": CHANGED}, id="drift share"),
        pytest.param(Policy(mae_mwh=399.0), {}, id="error"),
        pytest.param(Policy(max_age=19 * DAY), {}, id="age"),
        pytest.param(
            Policy(cooldown=DAY),
            {"drift_share": 0.5, "last_retraining": NOW - 2 * DAY, "circumstances": CHANGED},
            id="cooldown",
        ),
    ],
)
def test_a_policy_can_have_lower_thresholds(policy, found):
    evidence = replace(QUIET, **found)
    assert not decide(evidence).retrain
    assert decide(evidence, policy).retrain


@pytest.mark.parametrize("trigger", list(Trigger))
def test_only_age_and_manual_retrainings_are_routine(trigger):
    assert trigger.is_routine is (trigger in {Trigger.AGE, Trigger.MANUAL})
