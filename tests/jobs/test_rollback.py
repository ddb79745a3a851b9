"""A rollback by hand: it is on record once, shown like one that came by itself, and alerts nobody."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from energy_demand.database import decisions, watched
from energy_demand.database.tables import retraining_log
from energy_demand.jobs.rollback import roll_back
from energy_demand.monitoring.retraining_policy import Trigger
from energy_demand.registry.registry import NoRollbackError
from support import PRESENT

pytestmark = pytest.mark.usefixtures("_worse_serves")  # version 2, promoted over version 1


def add(database, outcome: str, version: str | None, **more) -> None:
    values = {"respondent": "NY", "started_at": PRESENT, "finished_at": PRESENT, "trigger": "age"}
    values |= {"reason": "too old", "outcome": outcome, "model_version": version, **more}
    with database.transaction() as connection:
        connection.execute(sa.insert(retraining_log).values(**values))


def test_the_promotion_s_row_says_that_it_was_undone_by_hand(database, settings, registry, retrainings):
    add(database, "promoted", "2", decided_at=PRESENT)
    assert roll_back(database, registry, settings, PRESENT) == ("1", "2")
    (row,) = retrainings()
    assert (row.rolled_back_at, row.rollback_reason, row.outcome) == (PRESENT, "by hand", "promoted")
    shown = row._asdict()
    assert (decisions.outcome_in_words(shown), decisions.outcome_reason(shown)) == ("rolled back", "by hand")


def test_a_version_without_a_retraining_gets_a_row_of_its_own_which_starts_no_cooldown(
    database, settings, registry, retrainings
):
    roll_back(database, registry, settings, PRESENT, to="1")
    (row,) = retrainings()
    assert (row.model_version, row.trigger, row.reason) == ("2", Trigger.MANUAL.value, "by hand")
    assert (row.started_at, row.finished_at, row.rolled_back_at) == (PRESENT, PRESENT, PRESENT)
    assert decisions.outcome_in_words(row._asdict()) == "rolled back"
    assert database.run(lambda connection: decisions.last_retraining(connection, "NY", PRESENT)) is None
    assert database.run(lambda connection: decisions.promotions(connection, "NY")) == []


def test_repeated_it_is_refused_and_changes_nothing(database, settings, registry, retrainings):
    roll_back(database, registry, settings, PRESENT, to="1")
    before = retrainings()
    with pytest.raises(NoRollbackError, match="already serves"):
        roll_back(database, registry, settings, PRESENT, to="1")
    assert retrainings() == before


def test_a_refused_rollback_is_not_on_record(database, settings, registry, retrainings):
    with pytest.raises(NoRollbackError, match="does not exist"):
        roll_back(database, registry, settings, PRESENT, to="99")
    assert retrainings() == []
    assert registry.champion_version() == "2"


def test_forth_and_back_each_way_is_on_record(database, settings, registry, retrainings):
    add(database, "promoted", "2", decided_at=PRESENT)
    for to in ("1", "2", "1"):
        roll_back(database, registry, settings, PRESENT, to=to)
    assert [(row.model_version, row.outcome) for row in retrainings()] == [
        ("2", "promoted"),
        ("1", "skipped"),
        ("2", "skipped"),
    ]
    assert {row.rollback_reason for row in retrainings()} == {"by hand"}


@pytest.mark.parametrize("reason", ["by hand", "it was worse"])
def test_only_a_rollback_by_itself_alerts(database, reason):
    add(database, "promoted", "2", rolled_back_at=PRESENT, rollback_reason=reason)
    undone = database.run(lambda connection: watched._rolled_back(connection, "NY", PRESENT))
    assert undone == (reason != "by hand")


def test_a_failed_retraining_still_counts_as_failed_after_a_rollback(database, settings, registry):
    add(database, "failed", None, error="MLflow is away")
    roll_back(database, registry, settings, PRESENT)
    failed = database.run(lambda connection: watched._retraining_failed(connection, "NY", ()))
    assert failed is True
