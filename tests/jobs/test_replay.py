"""The replay job: its body, and windows that cannot be replayed."""

from __future__ import annotations

from datetime import date

import pytest

from energy_demand.database.engine import opened
from energy_demand.evaluation.injection import Injection, Kind
from energy_demand.evaluation.policy_replay import ReplayPolicy
from energy_demand.jobs.fan_out.workers import ThisProcess, WorkersError, workers_of
from energy_demand.jobs.past_days import PastDaysError
from energy_demand.jobs.replay import Replayed, run_replays
from records import QUICK
from support import PRESENT


def test_the_body_of_a_replay_has_its_figures_and_settings(filled):
    with opened(filled) as database:
        found = run_replays(
            database,
            filled,
            PRESENT,
            policies=[ReplayPolicy.TRIGGERED],
            start=date(2025, 3, 1),
            end=date(2025, 3, 10),
            injection=Injection(Kind.STEP, date(2025, 3, 4)),
            recipe=QUICK,
        )
    replayed = found[ReplayPolicy.TRIGGERED]
    assert set(replayed.body) == {
        "policy",
        "start",
        "end",
        "protocol",
        "weather",
        "publication_delay_hours",
        "vintages",
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
        "rollback_delay_days",
        "rollbacks",
        "seconds",
    }
    assert (replayed.body["policy"], replayed.body["protocol"]) == ("triggered", "day-ahead")
    assert (replayed.body["weather"], replayed.body["vintages"]) == ("as_issued", "as_revised")
    assert replayed.body["n_hours"] == 10 * 24 - 1  # over the clock change
    assert replayed.body["inject"] == {"kind": "step", "at": date(2025, 3, 4)}


def test_several_policies_are_replayed_side_by_side_and_what_was_finished_is_kept(filled):
    policies = [ReplayPolicy.NEVER, ReplayPolicy.WEEKLY]
    window = {"start": date(2025, 3, 1), "end": date(2025, 3, 9), "recipe": QUICK}

    def figures(found: dict[ReplayPolicy, Replayed]) -> dict[ReplayPolicy, object]:
        timed = {"seconds", "training_seconds"}
        return {
            policy: (
                {name: value for name, value in each.body.items() if name not in timed},
                each.run.hours.to_parquet(index=False),
                each.run.checks,
            )
            for policy, each in found.items()
        }

    class LosesTheSecond(ThisProcess):
        def each(self, function, shared, tasks, tell):
            yield next(iter(super().each(function, shared, tasks, tell)))
            raise WorkersError("the scheduler was lost")

    asked: list[ReplayPolicy] = []

    class Counts(ThisProcess):
        def each(self, function, shared, tasks, tell):
            asked.extend(question.policy for question in tasks.values())
            return super().each(function, shared, tasks, tell)

    def run(workers) -> dict[ReplayPolicy, Replayed]:
        with opened(filled) as database:
            return run_replays(database, filled, PRESENT, policies=policies, workers=workers, **window)

    with pytest.raises(WorkersError):
        run(LosesTheSecond())
    resumed = run(Counts())
    with workers_of(2) as two:
        shared = run(two)
    assert asked == [ReplayPolicy.WEEKLY]
    assert figures(resumed) == figures(shared)
    assert [each.body["retrainings"] for each in resumed.values()] == [0, 1]
    assert not any((filled.home / "replays").iterdir()), "nothing is kept of a replay that has ended"


@pytest.mark.parametrize(
    ("start", "end", "message"),
    [
        pytest.param(date(2025, 3, 2), date(2025, 3, 1), "is before start", id="an end before the start"),
        pytest.param(date(2024, 11, 24), date(2025, 3, 1), "too early", id="too little before it"),
        pytest.param(
            date(2025, 3, 1),
            date(2025, 4, 1),
            "last day that can be scored is 2025-03-11",
            id="an end too late",
        ),
        pytest.param(date(2025, 3, 1), date(2035, 3, 1), "replay it in parts", id="too many days"),
        pytest.param(date(2025, 3, 5), date(2025, 3, 10), "not between", id="a change outside"),
    ],
)
def test_a_window_that_cannot_be_replayed_is_refused_with_the_reason(filled, start, end, message):
    change = Injection(Kind.STEP, date(2025, 3, 4))
    with opened(filled) as database, pytest.raises(PastDaysError, match=message):
        run_replays(
            database,
            filled,
            PRESENT,
            policies=[ReplayPolicy.NEVER],
            start=start,
            end=end,
            injection=change,
        )
