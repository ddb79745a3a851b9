"""Retraining policies over past days: each day sees what was known then, and changes are found after them."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from energy_demand.database.engine import opened
from energy_demand.evaluation.injection import Injection, Kind
from energy_demand.evaluation.policy_replay import Event, Replay, ReplayPolicy, replay
from energy_demand.jobs.replay import ReplayError, run_replay
from energy_demand.region import NEW_YORK
from energy_demand.timeaxis import Availability, day_ahead_issue, days_periods, local_midnight
from records import QUICK, altered_after, synthetic_record
from support import PRESENT

ZONE = NEW_YORK.zone
FIRST, LAST = date(2024, 9, 25), date(2024, 10, 19)
STEP = Injection(Kind.STEP, date(2024, 10, 2))


def run(record, policy: ReplayPolicy, first: date = FIRST, last: date = LAST) -> Replay:
    return replay(record, policy, first, last, availability=Availability(1), weather="observed", recipe=QUICK)


@pytest.fixture(scope="module")
def short_record():
    """Sixteen weeks without recorded runs of the weather."""
    return synthetic_record(days=112, runs=False)


@pytest.fixture(scope="module")
def runs(short_record) -> dict[ReplayPolicy, Replay]:
    return {policy: run(short_record, policy) for policy in ReplayPolicy if policy.value != "monthly"}


@pytest.mark.parametrize("policy", ["frozen", "never", "weekly", "triggered"])
def test_every_hour_is_forecast_once_at_nine_the_day_before_and_every_midnight_is_checked(runs, policy):
    made = runs[ReplayPolicy(policy)]
    assert list(made.hours["period"]) == list(days_periods(FIRST, LAST, ZONE))
    issued = {day_ahead_issue(FIRST + timedelta(days=number), ZONE) for number in range(25)}
    assert set(made.hours["issued_at"]) == {pd.Timestamp(each) for each in issued}
    midnights = [local_midnight(FIRST + timedelta(days=number), ZONE) for number in range(24)]
    assert [check["at"] for check in made.checks] == midnights
    assert all(check["decision"] for check in made.checks)


def test_a_frozen_model_is_never_refreshed_and_one_that_is_never_retrained_is(runs):
    frozen, never = runs[ReplayPolicy.FROZEN], runs[ReplayPolicy.NEVER]
    assert frozen.retrainings == never.retrainings == []
    first_day = frozen.hours["period"] <= pd.Timestamp(local_midnight(FIRST + timedelta(days=1), ZONE))
    np.testing.assert_allclose(
        frozen.hours.loc[first_day, "predicted_mwh"], never.hours.loc[first_day, "predicted_mwh"]
    )
    assert frozen.summary(None, None)["mape"] > never.summary(None, None)["mape"]


def test_a_frozen_model_takes_nothing_from_the_demand_that_came_since(short_record, runs):
    middle = local_midnight(date(2024, 10, 5), ZONE)
    changed = replace(short_record, demand=altered_after(short_record, middle).demand)
    again = run(changed, ReplayPolicy.FROZEN)
    np.testing.assert_array_equal(
        again.hours["predicted_mwh"], runs[ReplayPolicy.FROZEN].hours["predicted_mwh"]
    )


def test_a_weekly_policy_retrains_every_seven_days_without_a_contest(runs):
    made = runs[ReplayPolicy.WEEKLY]
    began = day_ahead_issue(FIRST, ZONE)
    # RetrainingOutcome at the first midnight at least seven days after the last fit.
    assert [(each.at - began).days for each in made.retrainings] == [7, 14, 21]
    assert {(each.kind, each.reason) for each in made.retrainings} == {
        ("promoted", "scheduled by the policy")
    }
    assert made.promotions == 3
    assert made.training_seconds > 0


def test_a_triggered_policy_retrains_where_the_decision_says_so_and_judges(runs):
    made = runs[ReplayPolicy.TRIGGERED]
    decided = {check["at"]: check["decision"] for check in made.checks}
    assert made.retrainings
    for each in made.retrainings:
        assert each.reason.startswith(f"{decided[each.at]}; ")
        assert each.kind in {"promoted", "not promoted"}
    for earlier, later in pairwise(made.retrainings):
        assert later.at - earlier.at >= timedelta(days=16)


@pytest.mark.parametrize("policy", ["weekly", "triggered"])
def test_what_is_stored_after_a_day_changes_nothing_of_its_forecast_or_decision(short_record, runs, policy):
    moment = local_midnight(date(2024, 10, 12), ZONE)
    made, altered = runs[ReplayPolicy(policy)], run(altered_after(short_record, moment), ReplayPolicy(policy))

    def before(replayed: Replay) -> pd.DataFrame:
        hours = replayed.hours[replayed.hours["issued_at"] <= pd.Timestamp(moment)]
        # The weather of a day is seen as it came, so only hours up to the moment are the same.
        hours = hours[hours["period"] <= pd.Timestamp(moment)]
        return hours.drop(columns="actual_mwh").reset_index(drop=True)

    pd.testing.assert_frame_equal(before(altered), before(made))
    for known in (lambda each: each.checks, lambda each: each.alarms, lambda each: each.retrainings):
        assert until(known(altered), moment) == until(known(made), moment)
    assert not altered.hours["predicted_mwh"].equals(made.hours["predicted_mwh"])


def until(happened: list, moment) -> list:
    return [each for each in happened if (each["at"] if isinstance(each, dict) else each.at) <= moment]


def test_a_step_is_alarmed_after_it_and_the_delay_says_how_long_after(short_record):
    first, last = date(2024, 9, 15), date(2024, 10, 8)
    step = Injection(Kind.STEP, date(2024, 9, 25))
    begins = local_midnight(step.day, ZONE)
    undisturbed = run(short_record, ReplayPolicy.NEVER, first, last)
    made = run(step.into(short_record), ReplayPolicy.NEVER, first, last)
    new = [each for each in made.alarms if each.at > begins]
    assert until(made.alarms, begins) == until(undisturbed.alarms, begins)
    assert {each.kind for each in new} >= {"concept", "performance"}
    assert not {"concept", "performance"} & {each.kind for each in undisturbed.alarms}
    summary = made.summary(step, begins)
    assert summary["inject"] == {"kind": "step", "at": step.day}
    assert summary["detection_delay_days"] == round((new[0].at - begins) / timedelta(days=1), 2) > 0


def test_the_delay_is_not_known_where_nothing_changed_or_nothing_was_found():
    hours = pd.DataFrame(
        {"actual_mwh": [100.0, np.nan], "predicted_mwh": [110.0, 110.0]}
        | {f"{side}_{level}": [90.0, 90.0] for side in ("lower", "upper") for level in (80, 95)}
    )
    begins = local_midnight(STEP.day, ZONE)
    early = Replay(hours, alarms=[Event(begins, "drift")])
    assert early.summary(None, None)["detection_delay_days"] is None
    assert early.summary(STEP, begins)["detection_delay_days"] is None
    assert (early.summary(None, None)["n_hours"], early.summary(None, None)["mape"]) == (1, 10.0)


def test_the_answer_of_a_replay_has_its_figures_and_says_how_it_was_run(filled):
    with opened(filled) as database:
        made = run_replay(
            database,
            filled,
            PRESENT,
            policy=ReplayPolicy.TRIGGERED,
            start=date(2025, 3, 1),
            end=date(2025, 3, 10),
            injection=Injection(Kind.STEP, date(2025, 3, 4)),
            recipe=QUICK,
        )
    assert set(made.body) == {
        "policy",
        "start",
        "end",
        "protocol",
        "weather",
        "publication_delay_hours",
        "mape",
        "mae",
        "bias_percent",
        "n_hours",
        "coverage_80",
        "coverage_95",
        "retrainings",
        "promotions",
        "training_seconds",
        "alarms",
        "retrained",
        "inject",
        "detection_delay_days",
        "seconds",
    }
    assert (made.body["policy"], made.body["protocol"]) == ("triggered", "day-ahead")
    assert made.body["weather"] == "as_issued"
    assert made.body["n_hours"] == 10 * 24 - 1  # over the clock change
    assert made.body["inject"] == {"kind": "step", "at": date(2025, 3, 4)}


@pytest.mark.parametrize(
    ("start", "end", "said"),
    [
        pytest.param(date(2025, 3, 2), date(2025, 3, 1), "is before start", id="an end before the start"),
        pytest.param(date(2024, 11, 24), date(2025, 3, 1), "too early", id="too little before it"),
        pytest.param(
            date(2025, 3, 1), date(2025, 4, 1), "stored demand ends on 2025-03-1", id="an end too late"
        ),
        pytest.param(date(2025, 3, 1), date(2035, 3, 1), "replay it in parts", id="too many days"),
        pytest.param(date(2025, 3, 5), date(2025, 3, 10), "not between", id="a change outside"),
    ],
)
def test_a_window_that_cannot_be_replayed_is_refused_with_the_reason(filled, start, end, said):
    change = Injection(Kind.STEP, date(2025, 3, 4))
    with opened(filled) as database, pytest.raises(ReplayError, match=said):
        run_replay(
            database, filled, PRESENT, policy=ReplayPolicy.NEVER, start=start, end=end, injection=change
        )


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
