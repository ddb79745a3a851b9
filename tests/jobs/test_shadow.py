"""Models in the shadow: logged but unseen, decided by the test, undone by themselves, and safe to kill."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
import sqlalchemy as sa
from children import run_and_kill
from short import NOTHING_LISTENS

from energy_demand.database import decisions
from energy_demand.database.job_runs import Job
from energy_demand.database.tables import prediction_log, retraining_log
from energy_demand.evaluation.promotion import FEWEST_DAYS
from energy_demand.jobs.contest_state import contest_state, read_shadows
from energy_demand.jobs.daily_check import run_daily_check
from energy_demand.jobs.scheduled_forecast import forecast_tomorrow
from energy_demand.jobs.shadow import (
    NoChallengerError,
    contest_hours,
    decide_by_hand,
    judge_shadows,
    stored_contest,
)
from energy_demand.limits import PROBATION_DAYS, SHADOW_DAYS
from energy_demand.region import NEW_YORK
from energy_demand.registry.mlflow_store import RegistryUnavailableError
from energy_demand.registry.registry import Registry
from energy_demand.timeaxis import days_periods
from support import PRESENT

DAY = timedelta(days=1)
# At 09:00 in New York; version 1 and 2 were trained before.
FIRST_MORNING = datetime(2025, 2, 23, 14, tzinfo=UTC)


def evidence(days: int) -> pd.DataFrame:
    """The hours of a contest before the shadow: 1 % of error against 2 %."""
    periods = days_periods(FIRST_MORNING.date() - days * DAY, FIRST_MORNING.date() - DAY, NEW_YORK.zone)
    actual = pd.Series(17_000.0, index=range(len(periods)))
    return pd.DataFrame(
        {
            "period": periods,
            "challenger_mwh": actual * 1.01,
            "champion_mwh": actual * 1.02,
            "actual_mwh": actual,
        }
    )


@pytest.fixture
def new_row(database, registry):
    """Adds a row of `retraining_log`, as a retraining leaves it."""

    def add(
        version: str,
        outcome: str,
        at: datetime = FIRST_MORNING,
        champion: str = "2",
        days: int = 0,
        **more,
    ) -> int:
        values = {
            "respondent": "NY",
            "started_at": at,
            "finished_at": at,
            "trigger": "concept",
            "reason": "a chart alarmed",
            "outcome": outcome,
            "model_version": version,
            "run_id": registry.load(version).run_id,
            "verdict": {"decision": "undecided", "reason": "no days yet", "gain_percent": 0.0},
            "contest": stored_contest(evidence(days), champion, refit=False),
            "decided_at": at if outcome == "promoted" else None,
        }
        query = sa.insert(retraining_log).values(**{**values, **more}).returning(retraining_log.c.id)
        with database.transaction() as connection:
            return connection.scalar(query)

    return add


@pytest.fixture
def row(database):
    def read(number: int) -> sa.Row:
        with database.transaction() as connection:
            return connection.execute(sa.select(retraining_log).where(retraining_log.c.id == number)).one()

    return read


@pytest.fixture
def mornings(database, registry, settings):
    """Forecasts at 09:00 on so many days; returns the midnight after the last forecast day."""

    def run(days: int, first: datetime = FIRST_MORNING) -> datetime:
        for number in range(days):
            outcome = forecast_tomorrow(database, registry, settings, first + number * DAY)
            assert outcome.shadow_problems == ()
        return first + days * DAY + timedelta(hours=16)

    return run


def logged(database) -> pd.DataFrame:
    with database.transaction() as connection:
        return pd.DataFrame(connection.execute(sa.select(prediction_log)).mappings())


@pytest.mark.usefixtures("_worse_serves")
def test_a_challenger_forecasts_beside_the_champion_unseen_until_the_test_promotes_it(
    database, registry, settings, new_row, row, mornings
):
    number = new_row("1", "shadow", days=FEWEST_DAYS - 2)
    # With a day less than the least nothing is decided.
    now = mornings(1)
    rows = logged(database)
    assert set(rows.groupby("source")["model_version"].unique().map(tuple).items()) == {
        ("scheduled", ("2",)),
        ("shadow", ("1",)),
    }
    scheduled, shadow = (rows[rows["source"] == name] for name in ("scheduled", "shadow"))
    assert list(scheduled["timestamp"]) == list(shadow["timestamp"])
    assert set(scheduled["issued_at"]) == set(shadow["issued_at"])
    waiting = judge_shadows(database, registry, settings, now)
    assert (waiting.promoted, waiting.refused, waiting.rolled_back) == (None, None, None)
    assert row(number).outcome == "shadow"
    assert waiting.contest["challenger"]["version"] == "1"
    assert waiting.contest["challenger"]["days"] == FEWEST_DAYS - 1
    assert registry.champion_version() == "2"
    # One more day, and it is.
    now = mornings(1, FIRST_MORNING + DAY)
    decided = judge_shadows(database, registry, settings, now)
    assert decided.promoted == "1"
    assert registry.champion_and_previous() == ("1", "2")
    ended = row(number)
    assert (ended.outcome, ended.decided_at) == ("promoted", now)
    assert ended.verdict["reason"].startswith("better than the champion: MAPE ")
    assert decided.contest["challenger"] is None
    assert (decided.contest["promotion"]["version"], decided.contest["promotion"]["previous"]) == ("1", "2")
    # It is not decided twice.
    again = judge_shadows(database, registry, settings, now)
    assert (again.promoted, again.refused) == (None, None)


def test_a_promotion_that_was_wrong_is_undone_and_not_tried_again(
    database, registry, settings, new_row, row, mornings
):
    registry.promote("2")
    number = new_row("2", "promoted", champion="1", contest=None)
    now = mornings(3)
    assert set(logged(database)["source"]) == {"scheduled", "shadow"}
    undone = judge_shadows(database, registry, settings, now)
    assert undone.rolled_back == "2"
    assert "the champion before is better: MAPE " in undone.reasons[0]
    assert registry.champion_version() == "1"
    ended = row(number)
    assert (ended.outcome, ended.rolled_back_at) == ("promoted", now)
    assert ended.rollback_reason.startswith("the champion before is better")
    with database.transaction() as connection:
        assert decisions.promotions(connection, "NY") == []
    # The version is no challenger and no previous champion any more.
    later = judge_shadows(database, registry, settings, now + DAY)
    assert (later.promoted, later.rolled_back, later.contest["promotion"]) == (None, None, None)
    assert registry.champion_version() == "1"


def test_a_good_promotion_stays_and_is_watched_for_its_time_only(
    database, registry, settings, new_row, mornings
):
    registry.promote("2")
    registry.promote("1")
    new_row("1", "promoted", champion="2")
    now = mornings(4)
    outcome = judge_shadows(database, registry, settings, now)
    assert outcome.rolled_back is None
    assert "not proven better" in outcome.reasons[0]
    assert registry.champion_version() == "1"
    over = FIRST_MORNING + PROBATION_DAYS * DAY
    assert read_shadows(database, registry, settings, over - timedelta(hours=1)).previous == "2"
    assert read_shadows(database, registry, settings, over).versions == {}


@pytest.mark.usefixtures("_worse_serves")
def test_what_is_not_proven_by_the_end_is_refused(database, registry, settings, new_row, row):
    number = new_row("1", "shadow")
    end = FIRST_MORNING + SHADOW_DAYS * DAY
    assert judge_shadows(database, registry, settings, end - timedelta(hours=1)).refused is None
    assert judge_shadows(database, registry, settings, end).refused == "1"
    assert row(number).outcome == "not_promoted"
    assert registry.champion_version() == "2"


def test_a_challenger_whose_champion_was_replaced_by_hand_is_not_compared_with_another(
    database, registry, settings, new_row, row
):
    number = new_row("2", "shadow", champion="7")
    outcome = judge_shadows(database, registry, settings, FIRST_MORNING + DAY)
    assert outcome.refused == "2"
    assert "the champion changed from version 7 to version 1" in row(number).verdict["reason"]
    assert registry.champion_version() == "1"


@pytest.mark.usefixtures("_worse_serves")
@pytest.mark.parametrize(("promote", "champion"), [(True, "1"), (False, "2")])
def test_a_challenger_can_be_promoted_or_dropped_by_hand(
    promote, champion, database, registry, settings, new_row, row
):
    number = new_row("1", "shadow")
    assert decide_by_hand(database, registry, settings, PRESENT, promote=promote) == "1"
    assert registry.champion_version() == champion
    assert row(number).outcome == ("promoted" if promote else "not_promoted")
    assert row(number).verdict["reason"] == ("promoted by hand" if promote else "dropped by hand")
    with pytest.raises(NoChallengerError, match="no challenger is in the shadow; nothing was changed"):
        decide_by_hand(database, registry, settings, PRESENT, promote=promote)


def test_a_shadow_that_cannot_forecast_stops_nothing(database, registry, settings, new_row):
    new_row("2", "shadow", champion="1", model_version="99")
    outcome = forecast_tomorrow(database, registry, settings, FIRST_MORNING)
    assert outcome.forecast.quality == "champion"
    (problem,) = outcome.shadow_problems
    assert problem.startswith("challenger (version 99): ")
    assert set(logged(database)["source"]) == {"scheduled"}


@pytest.mark.usefixtures("_worse_serves")
def test_without_mlflow_nothing_is_decided_and_the_drift_check_fails_with_the_reason(
    database, settings, new_row, row, monkeypatch
):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    number = new_row("1", "shadow")
    away = settings.model_copy(update={"mlflow_tracking_uri": NOTHING_LISTENS})
    with pytest.raises(RegistryUnavailableError, match="the champion is unchanged"):
        run_daily_check(database, Registry(away), away, FIRST_MORNING + SHADOW_DAYS * DAY)
    assert row(number).outcome == "shadow"


DECIDED = FIRST_MORNING + SHADOW_DAYS * DAY


@pytest.mark.usefixtures("_worse_serves")
@pytest.mark.parametrize(
    "point",
    [
        ("before", "energy_demand.registry.registry:Registry.apply_verdict"),
        ("after", "energy_demand.registry.registry:Registry.apply_verdict"),
        ("after", "energy_demand.database.decisions:decide_challenger"),
    ],
    ids=["before the alias moves", "after it moved", "when all is written"],
)
def test_a_promotion_that_is_killed_between_two_steps_is_completed(
    point, database, settings, registry, new_row, row
):
    number = new_row("1", "shadow", days=FEWEST_DAYS)
    now = FIRST_MORNING + DAY
    run_and_kill(Job.DRIFT_CHECK, settings.model_copy(update={"energy_demand_now": now}), point)
    completed = judge_shadows(database, registry, settings, now + DAY)
    assert completed.promoted in {"1", None}
    assert registry.champion_and_previous() == ("1", "2")
    assert row(number).outcome == "promoted"
    assert row(number).verdict["reason"].startswith("better than the champion: MAPE ")


@pytest.mark.parametrize(
    "point",
    [
        ("after", "energy_demand.database.decisions:begin_rollback"),
        ("after", "energy_demand.registry.registry:Registry.rollback"),
        ("after", "energy_demand.database.decisions:end_rollback"),
    ],
    ids=["before the alias moves", "after it moved", "when all is written"],
)
def test_a_rollback_that_is_killed_between_two_steps_is_completed_once(
    point, database, settings, registry, new_row, row, mornings
):
    registry.promote("2")
    number = new_row("2", "promoted", champion="1", contest=None)
    now = mornings(3)
    run_and_kill(Job.DRIFT_CHECK, settings.model_copy(update={"energy_demand_now": now}), point)
    judge_shadows(database, registry, settings, now + DAY)
    assert registry.champion_version() == "1"
    assert row(number).rolled_back_at is not None
    assert judge_shadows(database, registry, settings, now + 2 * DAY).rolled_back is None
    assert registry.champion_version() == "1"


def test_a_contest_is_kept_as_it_was(settings):
    periods = pd.date_range("2025-03-01T05:00Z", periods=3, freq="h")
    hours = pd.DataFrame(
        {
            "period": periods,
            "challenger_mwh": [17_000.5, 16_000.0, 15_000.0],
            "champion_mwh": [17_100.0, 16_100.0, 15_100.0],
            "actual_mwh": [17_050.0, None, 15_050.0],
            "temperature": [1.5, 2.5, None],
        }
    )
    again = contest_hours(stored_contest(hours, "3", refit=True), settings)
    pd.testing.assert_frame_equal(again[hours.columns], hours, check_dtype=False)
    assert [str(day) for day in again["day"]] == ["2025-02-28", "2025-03-01", "2025-03-01"]


def test_the_state_says_what_is_in_the_shadow_and_until_when(database, registry, settings, new_row):
    new_row("2", "shadow", champion="1", verdict={"decision": "undecided", "reason": "few days", "days": 9})
    state = contest_state(read_shadows(database, registry, settings, PRESENT), PRESENT)
    assert state["challenger"] == {
        "version": "2",
        "since": FIRST_MORNING,
        "until": FIRST_MORNING + SHADOW_DAYS * DAY,
        "trigger": "concept",
        "days": 9,
        "gain_percent": None,
        "statistic": None,
        "boundary": None,
        "reason": "few days",
    }
    assert state["promotion"] is None
