"""The logs of checks and of retrainings: added and finished, read as of a moment, one region's alone."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from energy_demand.database import decisions
from support import PRESENT

DAY = timedelta(days=1)


def check(days_ago: float, reason: str, respondent: str = "NY") -> dict[str, object]:
    return {
        "respondent": respondent,
        "check_timestamp": PRESENT - days_ago * DAY,
        "dataset_drift_detected": False,
        "drift_share": 0.1,
        "n_drifted_features": 1,
        "n_total_features": 15,
        "drift_details": {"champion": "3", "groups": {"demand": None}},
        "triggered_retrain": False,
        "reason": reason,
    }


@pytest.fixture
def connection(database):
    with database.transaction() as connection:
        yield connection


@pytest.fixture
def log(connection):
    """Logs a retraining that began so many days ago; its id."""

    def add(days_ago: float, outcome: str | None, respondent: str = "NY") -> int:
        began = PRESENT - days_ago * DAY
        number = decisions.begin_retraining(connection, respondent, began, "age", "old")
        if outcome is not None:
            decisions.end_retraining(connection, number, began + timedelta(minutes=5), outcome)
        return number

    return add


def test_the_last_check_is_the_newest_by_then_of_the_region_with_all_its_columns(connection):
    for each in (
        check(2, "older"),
        check(1, "newer"),
        check(-1, "later"),
        check(0.5, "elsewhere", "PJM"),
    ):
        decisions.insert_check(connection, each)
    found = decisions.last_check(connection, "NY", PRESENT)
    assert {name: found[name] for name in check(1, "newer")} == check(1, "newer")
    assert decisions.last_check(connection, "NY", PRESENT - 1.5 * DAY)["reason"] == "older"
    assert decisions.last_check(connection, "NY", PRESENT - 9 * DAY) is None


def test_of_two_checks_at_one_moment_the_one_stored_later_counts(connection):
    numbers = [decisions.insert_check(connection, check(1, reason)) for reason in ("first", "second")]
    assert decisions.last_check(connection, "NY", PRESENT)["reason"] == "second"
    assert numbers[0] < numbers[1]


def test_a_retraining_is_running_until_it_is_said_how_it_ended(connection, log):
    number = log(1, None)
    log(1, None, "PJM")
    (row,) = decisions.unfinished_retrainings(connection, "NY")
    assert (row["id"], row["outcome"], row["finished_at"]) == (number, "running", None)
    decisions.note_version(connection, number, "7", "run-7")
    decisions.end_retraining(connection, number, PRESENT, "failed", error="MLflow is away")
    assert decisions.unfinished_retrainings(connection, "NY") == []
    (row,) = decisions.retrainings(connection, "NY", PRESENT, 10)
    assert (row["model_version"], row["run_id"], row["error"]) == ("7", "run-7", "MLflow is away")
    assert (row["outcome"], row["finished_at"]) == ("failed", PRESENT)


@pytest.mark.parametrize(
    ("changes", "words", "reason"),
    [
        pytest.param({"outcome": "running", "verdict": None}, "running", "asked", id="running"),
        pytest.param({"outcome": "shadow"}, "in the shadow", "scores", id="in the shadow"),
        pytest.param({"outcome": "not_promoted"}, "not promoted", "scores", id="refused"),
        pytest.param({"outcome": "failed", "error": "away"}, "failed", "away", id="failed"),
        pytest.param(
            {"rolled_back_at": PRESENT, "rollback_reason": "worse"}, "rolled back", "worse", id="undone"
        ),
        pytest.param({"rollback_reason": "worse"}, "promoted", "scores", id="about to be undone"),
    ],
)
def test_an_outcome_is_said_in_words_with_its_reason(changes, words, reason):
    row = {
        "outcome": "promoted",
        "reason": "asked",
        "verdict": {"reason": "scores"},
        "error": None,
        "rolled_back_at": None,
        "rollback_reason": None,
        **changes,
    }
    assert (decisions.outcome_in_words(row), decisions.outcome_reason(row)) == (words, reason)


def test_a_cooldown_runs_only_after_a_model_was_judged(connection, log):
    for days_ago, outcome in ((1, "failed"), (2, "skipped"), (3, None)):
        log(days_ago, outcome)
        assert decisions.last_retraining(connection, "NY", PRESENT) is None
    log(5, "promoted")
    log(4, "not_promoted")
    log(0.5, "promoted", "PJM")
    log(-1, "promoted")
    assert decisions.last_retraining(connection, "NY", PRESENT) == PRESENT - 4 * DAY
    assert decisions.last_retraining(connection, "NY", PRESENT - 4.5 * DAY) == PRESENT - 5 * DAY


def test_retrainings_are_listed_newest_first_and_no_more_than_asked(connection, log):
    numbers = [log(days_ago, "promoted") for days_ago in (3, 2, 1, -1)]
    found = [row["id"] for row in decisions.retrainings(connection, "NY", PRESENT, 2)]
    assert found == [numbers[2], numbers[1]]


def test_an_outcome_that_nobody_knows_is_refused(database):
    with pytest.raises(sa.exc.IntegrityError), database.transaction() as connection:
        number = decisions.begin_retraining(connection, "NY", PRESENT, "age", "old")
        decisions.end_retraining(connection, number, PRESENT, "perhaps")
