"""Backtests and replays of a database that was kept live, and of one that was backfilled."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pandas as pd
import pytest
import sqlalchemy as sa
from short import SHORT

from energy_demand.evaluation.injection import Injection, Kind
from energy_demand.evaluation.policy_replay import ReplayPolicy
from energy_demand.evaluation.schedule import Protocol
from energy_demand.jobs.backtest import run_backtest
from energy_demand.jobs.replay import run_replays
from support import PRESENT

DAY = date(2025, 3, 4)
ISSUE = datetime.fromisoformat("2025-03-03T14:00+00:00")


def execute(database, statement: str, **values: object) -> None:
    with database.transaction() as connection:
        assert connection.execute(sa.text(statement), values).rowcount


@pytest.fixture
def _kept_live(database):
    """As if every hour had been stored as it was published, from fifteen days before the issue on."""
    execute(
        database,
        "UPDATE raw_demand SET ingested_at = known_at WHERE period >= :first",
        first=ISSUE - timedelta(days=15),
    )


def revise(database, hour: datetime, before: float, at: datetime) -> None:
    """An hour had `before` times its value until `at`."""
    execute(
        database,
        "INSERT INTO raw_demand_revision "
        "SELECT r.*, :at AS superseded_at FROM raw_demand r WHERE series = 'D' AND period = :hour",
        hour=hour,
        at=at,
    )
    execute(
        database,
        "UPDATE raw_demand_revision SET value = :before * value WHERE period = :hour",
        before=before,
        hour=hour,
    )
    execute(
        database,
        "UPDATE raw_demand SET known_at = :at, ingested_at = :at WHERE series = 'D' AND period = :hour",
        hour=hour,
        at=at,
    )


def backtest(database, settings):
    return run_backtest(
        database,
        settings,
        PRESENT,
        protocol=Protocol.DAY_AHEAD,
        weather=None,
        start=DAY,
        end=DAY,
        refit_days=30,
        recipe=SHORT,
    )


@pytest.mark.usefixtures("_kept_live")
def test_a_backtest_of_hours_that_were_kept_live_sees_them_as_known(database, settings):
    before = backtest(database, settings)
    assert before.body["vintages"] == "as_known"
    # Revised before the issue: nothing changes. Revised after it: the forecast has the earlier value.
    revise(database, ISSUE - timedelta(hours=30), 1.04, ISSUE - timedelta(hours=20))
    pd.testing.assert_frame_equal(backtest(database, settings).hours, before.hours)
    revise(database, ISSUE - timedelta(hours=3), 1.04, ISSUE + timedelta(minutes=1))
    after = backtest(database, settings)
    assert after.body["vintages"] == "as_known"
    assert (after.hours["predicted_mwh"] > before.hours["predicted_mwh"]).any()
    pd.testing.assert_series_equal(after.hours["actual_mwh"], before.hours["actual_mwh"])


@pytest.mark.usefixtures("_kept_live")
def test_one_hour_that_was_backfilled_makes_a_backtest_as_revised(database, settings):
    hour = ISSUE - timedelta(days=15)
    execute(
        database,
        "UPDATE raw_demand SET ingested_at = period + interval '25 hours' "
        "WHERE series = 'D' AND period = :hour",
        hour=hour,
    )
    assert backtest(database, settings).body["vintages"] == "as_revised"


@pytest.mark.parametrize(
    ("injection", "vintages"),
    [(None, "as_known"), (Injection(Kind.STEP, DAY), "as_revised")],
    ids=["as it was", "with a change"],
)
@pytest.mark.usefixtures("_kept_live")
def test_a_replay_says_which_values_it_read(database, settings, injection, vintages):
    revise(database, ISSUE - timedelta(hours=3), 1.04, ISSUE + timedelta(hours=1))
    found = run_replays(
        database,
        settings,
        PRESENT,
        policies=[ReplayPolicy.NEVER],
        start=DAY,
        end=DAY + timedelta(days=1),
        injection=injection,
        recipe=SHORT,
    )
    body = found[ReplayPolicy.NEVER].body
    assert (body["vintages"], body["n_hours"]) == (vintages, 48)
