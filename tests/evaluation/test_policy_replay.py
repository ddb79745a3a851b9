"""Policy replays: each day uses only what was known then, and injected changes are detected afterwards."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from energy_demand.evaluation.injection import BadPromotion, Fault, Injection, Kind
from energy_demand.evaluation.policy_replay import Event, Replay, ReplayPolicy, replay
from energy_demand.limits import SHADOW_DAYS
from energy_demand.region import NEW_YORK
from energy_demand.timeaxis import Availability, day_ahead_issue, days_periods, local_midnight
from records import QUICK, altered_after, synthetic_record

pytestmark = pytest.mark.usefixtures("fits")

ZONE = NEW_YORK.zone
FIRST, LAST = date(2024, 9, 25), date(2024, 10, 19)
STEP = Injection(Kind.STEP, date(2024, 10, 2))


def run(record, policy: ReplayPolicy, first: date = FIRST, last: date = LAST) -> Replay:
    return replay(record, policy, first, last, availability=Availability(1), weather="observed", recipe=QUICK)


@pytest.fixture(scope="module")
def short_record():
    """Sixteen weeks without recorded weather runs."""
    return synthetic_record(days=112, runs=False)


@pytest.fixture(scope="module")
def runs(short_record) -> dict[ReplayPolicy, Replay]:
    return {policy: run(short_record, policy) for policy in ReplayPolicy if policy.value != "monthly"}


@pytest.mark.parametrize("policy", ["frozen", "never", "weekly", "triggered"])
def test_every_hour_is_forecast_once_at_nine_the_day_before_and_every_midnight_is_checked(runs, policy):
    replayed = runs[ReplayPolicy(policy)]
    assert list(replayed.hours["period"]) == list(days_periods(FIRST, LAST, ZONE))
    issued = {day_ahead_issue(FIRST + timedelta(days=number), ZONE) for number in range(25)}
    assert set(replayed.hours["issued_at"]) == {pd.Timestamp(each) for each in issued}
    midnights = [local_midnight(FIRST + timedelta(days=number), ZONE) for number in range(24)]
    assert [check["at"] for check in replayed.checks] == midnights
    assert all(check["decision"] for check in replayed.checks)


def test_a_frozen_model_is_never_refreshed_and_one_that_is_never_retrained_is(runs):
    frozen, never = runs[ReplayPolicy.FROZEN], runs[ReplayPolicy.NEVER]
    assert frozen.retrainings == never.retrainings == []
    first_day = frozen.hours["period"] <= pd.Timestamp(local_midnight(FIRST + timedelta(days=1), ZONE))
    np.testing.assert_allclose(
        frozen.hours.loc[first_day, "predicted_mwh"], never.hours.loc[first_day, "predicted_mwh"]
    )
    assert frozen.summary(None, None)["mape"] > never.summary(None, None)["mape"]


def test_a_frozen_model_does_not_use_later_demand(short_record, runs):
    middle = local_midnight(date(2024, 10, 5), ZONE)
    changed = replace(short_record, demand=altered_after(short_record, middle).demand)
    again = run(changed, ReplayPolicy.FROZEN)
    np.testing.assert_array_equal(
        again.hours["predicted_mwh"], runs[ReplayPolicy.FROZEN].hours["predicted_mwh"]
    )


def test_a_weekly_policy_retrains_every_seven_days_without_a_contest(runs):
    replayed = runs[ReplayPolicy.WEEKLY]
    began = day_ahead_issue(FIRST, ZONE)
    # RetrainingOutcome at the first midnight at least seven days after the last fit.
    assert [(each.at - began).days for each in replayed.retrainings] == [7, 14, 21]
    assert {(each.outcome, each.reason) for each in replayed.retrainings} == {
        ("promoted", "scheduled by the policy")
    }
    assert replayed.promotions == 3
    assert replayed.training_seconds > 0


def test_a_triggered_policy_retrains_where_the_decision_says_so_and_judges(runs):
    replayed = runs[ReplayPolicy.TRIGGERED]
    decided = {check["at"]: check["decision"] for check in replayed.checks}
    assert replayed.retrainings
    for each in replayed.retrainings:
        assert each.reason.startswith(decided[each.at])
        if each.outcome == "in the shadow":
            assert each.decided_at is None
        else:
            assert each.outcome in {"promoted", "not promoted"}
            assert each.at <= each.decided_at <= each.at + timedelta(days=SHADOW_DAYS)
    for earlier, later in pairwise(replayed.retrainings):
        assert later.at - earlier.at >= timedelta(days=16)


@pytest.mark.parametrize("policy", ["weekly", "triggered"])
def test_what_is_stored_after_a_day_changes_nothing_of_its_forecast_or_decision(short_record, runs, policy):
    now = local_midnight(date(2024, 10, 12), ZONE)
    replayed, altered = (
        runs[ReplayPolicy(policy)],
        run(altered_after(short_record, now), ReplayPolicy(policy)),
    )

    def before(outcome: Replay) -> pd.DataFrame:
        hours = outcome.hours[outcome.hours["issued_at"] <= pd.Timestamp(now)]
        # A forecast uses observed weather, so only hours up to that time are the same.
        hours = hours[hours["period"] <= pd.Timestamp(now)]
        return hours.drop(columns="actual_mwh").reset_index(drop=True)

    pd.testing.assert_frame_equal(before(altered), before(replayed))
    for known in (lambda each: each.checks, lambda each: each.alarms, lambda each: each.retrainings):
        assert until(known(altered), now) == until(known(replayed), now)
    assert not altered.hours["predicted_mwh"].equals(replayed.hours["predicted_mwh"])


@pytest.mark.parametrize("fault", list(Fault))
def test_a_faulty_model_that_is_promoted_is_taken_back_by_itself(short_record, runs, fault):
    """On synthetic demand, whose noise is small; a stale model is hardly worse there than the others."""
    bad = BadPromotion(fault, date(2024, 10, 2))
    begins = local_midnight(bad.day, ZONE)
    replayed = replay(
        short_record,
        ReplayPolicy.NEVER,
        FIRST,
        LAST,
        availability=Availability(1),
        weather="observed",
        recipe=QUICK,
        bad_promotion=bad,
    )
    body = replayed.summary(bad, begins)
    assert body["inject"] == {"kind": f"bad-promotion:{fault.value}", "at": bad.day}
    (undone,) = replayed.rollbacks
    assert undone.reason.startswith("the champion before is better: MAPE ")
    assert body["rollback_delay_days"] == (undone.at - begins) / timedelta(days=1) <= 10
    good = runs[ReplayPolicy.NEVER].hours
    served = (replayed.hours["issued_at"] > begins) & (replayed.hours["issued_at"] < undone.at)
    assert not np.isclose(replayed.hours["predicted_mwh"], good["predicted_mwh"])[served].all()
    # Before and afterwards the same model forecasts as if nothing had been.
    np.testing.assert_allclose(
        replayed.hours.loc[~served, "predicted_mwh"], good.loc[~served, "predicted_mwh"], rtol=1e-9
    )


def until(happened: list, now) -> list:
    return [each for each in happened if (each["at"] if isinstance(each, dict) else each.at) <= now]


def test_a_step_raises_an_alarm_afterwards_and_the_delay_is_the_time_until_then(short_record):
    first, last = date(2024, 9, 15), date(2024, 10, 8)
    step = Injection(Kind.STEP, date(2024, 9, 25))
    begins = local_midnight(step.day, ZONE)
    undisturbed = run(short_record, ReplayPolicy.NEVER, first, last)
    replayed = run(step.into(short_record), ReplayPolicy.NEVER, first, last)
    new = [each for each in replayed.alarms if each.at > begins]
    assert until(replayed.alarms, begins) == until(undisturbed.alarms, begins)
    assert {each.kind for each in new} >= {"concept", "performance"}
    assert not {"concept", "performance"} & {each.kind for each in undisturbed.alarms}
    concept = next(each.at for each in new if each.kind == "concept")
    causes = {each["at"]: each["cause"] for each in replayed.checks}
    assert {cause for at, cause in causes.items() if at >= concept} == {"changed_response"}
    # After sixteen weeks autumn is unlike anything in the reference, while demand follows the weather.
    assert "unusual_weather" in {each["cause"] for each in undisturbed.checks}
    summary = replayed.summary(step, begins)
    assert summary["inject"] == {"kind": "step", "at": step.day}
    assert summary["detection_delay_days"] == round((new[0].at - begins) / timedelta(days=1), 2) > 0


def test_the_detection_delay_is_unknown_without_a_change_or_without_an_alarm():
    hours = pd.DataFrame(
        {"actual_mwh": [100.0, np.nan], "predicted_mwh": [110.0, 110.0]}
        | {f"{side}_{level}": [90.0, 90.0] for side in ("lower", "upper") for level in (80, 95)}
    )
    begins = local_midnight(STEP.day, ZONE)
    early = Replay(hours, alarms=[Event(begins, "drift")])
    assert early.summary(None, None)["detection_delay_days"] is None
    assert early.summary(STEP, begins)["detection_delay_days"] is None
    assert (early.summary(None, None)["n_hours"], early.summary(None, None)["mape"]) == (1, 10.0)


@pytest.mark.parametrize("kind", list(Kind))
def test_an_injected_change_leaves_everything_before_it(short_record, kind):
    changed = Injection(kind, STEP.day).into(short_record)
    before = changed.demand["period"] <= pd.Timestamp(local_midnight(STEP.day, ZONE))
    pd.testing.assert_frame_equal(changed.demand[before], short_record.demand[before])
    factor = changed.truth_mwh[~before] / short_record.truth_mwh[~before]
    assert (factor >= 1).all()
    assert (factor > 1).any()
    if kind is Kind.STEP:
        np.testing.assert_allclose(factor, 1.05)
