"""What monitoring watches, in one look at rows as flows leave them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
import sqlalchemy as sa

from energy_demand.columns import FEATURE_COLUMNS
from energy_demand.database import decisions, job_runs, operator_forecasts, predictions
from energy_demand.database.job_runs import Job
from energy_demand.database.tables import drift_log, features, raw_demand, retraining_log, truth_flag
from energy_demand.database.watched import (
    ROLLBACK_SPAN,
    Challenger,
    FlowRun,
    LastCheck,
    ShadowLag,
    Watched,
    watched,
)
from energy_demand.limits import PROBATION_DAYS
from energy_demand.region import NEW_YORK
from logged import HOUR, row

ZONE = ZoneInfo("America/New_York")
NOW = datetime(2025, 3, 12, 13, tzinfo=UTC)  # 09:00 in New York
ISSUED = NOW - 24 * HOUR
EMPTY = Watched(
    newest=None,
    observed=None,
    forecast=None,
    operator=None,
    champion_share=None,
    sources=(),
    check=None,
    retrainings=0,
    mae=None,
    mape=None,
    by_step=(),
    tomorrow_hours=0,
    retraining_failed=None,
    challenger=None,
    rolled_back=False,
    shadows=(),
    flows=(),
    feature_rows=0,
    peak=None,
    peak_alerts=0,
    notifiers=(),
    messages_waiting=0,
)


def at(hours: int) -> datetime:
    return NOW + hours * HOUR


@pytest.fixture
def look(database):
    def found(now: datetime = NOW, zone: ZoneInfo = ZONE) -> Watched:
        with database.transaction() as connection:
            return watched(connection, replace(NEW_YORK, zone=zone), "ecmwf_ifs", now)

    return found


@pytest.fixture
def demand(database):
    """Stores demand by hours from now, each known an hour later."""

    def store(values: dict[int, float]) -> None:
        rows = [
            {
                "respondent": "NY",
                "series": "D",
                "period": at(hour),
                "value": value,
                "known_at": at(hour + 1),
                "ingested_at": NOW,
                "origin": "NY",
            }
            for hour, value in values.items()
        ]
        with database.transaction() as connection:
            connection.execute(sa.insert(raw_demand), rows)

    return store


@pytest.fixture
def forecast(database):
    """Logs forecasts by hours from now, scheduled at yesterday's 09:00 unless told otherwise."""
    requests = iter(range(1000))

    def log(values: dict[int, float], **given: object) -> None:
        rows = [
            row(
                next(requests),
                **{
                    "timestamp": at(hour).isoformat(),
                    "predicted_demand": value,
                    "source": "scheduled",
                    "quality": "champion",
                    "issued_at": ISSUED.isoformat(),
                    **given,
                },
            )
            for hour, value in values.items()
        ]
        with database.transaction() as connection:
            predictions.insert_predictions(connection, rows)

    return log


@pytest.fixture
def run(database):
    """Runs a function with a connection and commits."""

    def within(work):
        with database.transaction() as connection:
            return work(connection)

    return within


def test_of_an_empty_database_nothing_is_watched(look):
    assert look() == EMPTY


def test_the_error_is_that_of_scheduled_forecasts_for_hours_that_are_known(look, demand, forecast):
    demand({-3: 100.0, -2: 200.0, 0: 300.0})
    forecast({-3: 110.0, -2: 160.0, 0: 9_999.0, 1: 9_999.0})  # hour 0 is known in an hour
    found = look()
    assert (found.newest, found.mae, found.mape) == (at(-2), 25.0, pytest.approx(15.0))


@pytest.mark.parametrize(
    ("given", "hour"),
    [
        pytest.param({"source": "request"}, -3, id="a forecast that somebody asked for"),
        pytest.param({"source": "backfill"}, -3, id="one made afterwards"),
        pytest.param({"respondent": "PJM"}, -3, id="one for another respondent"),
        pytest.param({"issued_at": at(-23).isoformat()}, -3, id="one scheduled at ten"),
        pytest.param({}, -2, id="one for an hour that screening doubts"),
        pytest.param({"issued_at": at(-192).isoformat()}, -170, id="one for an hour a week ago"),
        pytest.param({}, -5, id="one for an hour without demand"),
    ],
)
def test_the_error_leaves_out(look, demand, forecast, run, given, hour):
    demand({-4: 100.0, -3: 100.0, -2: 100.0, -165: 100.0, -170: 100.0})
    flag = {"respondent": "NY", "period": at(-2), "flag": "SPIKE", "flagged_at": NOW}
    run(lambda connection: connection.execute(sa.insert(truth_flag).values(**flag)))
    forecast({-4: 110.0})
    forecast({-165: 110.0}, issued_at=at(-191).isoformat())  # 09:00 before the clocks changed
    forecast({hour: 9_999.0}, **given)
    found = look()
    assert (found.newest, found.mae, found.mape) == (at(-3), 10.0, pytest.approx(10.0))


def test_each_step_of_the_ladder_answers_for_itself(look, demand, forecast):
    demand({-5: 100.0, -4: 100.0, -3: 100.0, -2: 100.0})
    forecast({-5: 102.0})
    forecast({-4: 104.0}, quality="champion_without_weather")
    forecast({-3: 150.0}, quality="base_booster")
    forecast({-2: 150.0, -1: 150.0}, quality="last_week")
    found = look()
    assert (found.mae, found.mape) == (3.0, pytest.approx(3.0))
    assert found.champion_share == pytest.approx(2 / 5)
    assert {each.quality: (each.hours, each.mae) for each in found.by_step} == {
        "base_booster": (1, 50.0),
        "champion": (1, 2.0),
        "champion_without_weather": (1, 4.0),
        "last_week": (1, 50.0),
    }


def test_without_an_answer_of_the_champion_its_error_is_unknown(look, demand, forecast):
    demand({-3: 100.0})
    forecast({-3: 150.0}, quality="base_booster")
    assert (look().mae, look().mape, look().champion_share) == (None, None, 0.0)


def test_an_hour_that_was_forecast_again_counts_once(look, demand, forecast):
    demand({-3: 100.0})
    forecast({-3: 150.0}, quality="base_booster")
    forecast({-3: 104.0}, issued_at=(ISSUED + HOUR / 2).isoformat())
    assert (look().mae, look().champion_share) == (4.0, 1.0)


def test_an_hour_of_no_demand_counts_for_the_error_in_mwh_alone(look, demand, forecast):
    demand({-4: 100.0, -3: 0.0})
    forecast({-4: 110.0, -3: 30.0})
    found = look()
    assert (found.mae, found.mape) == (20.0, pytest.approx(10.0))


def check(hours_ago: int, share: float, **details: object) -> sa.Insert:
    return sa.insert(drift_log).values(
        respondent="NY",
        check_timestamp=at(-hours_ago),
        dataset_drift_detected=share > 0.3,
        drift_share=share,
        n_drifted_features=3,
        n_total_features=10,
        drift_details=details,
        triggered_retrain=share > 0.3,
        reason="a test",
    )


@pytest.mark.parametrize(("details", "mae"), [({"champion_test_mae": 412.5}, 412.5), ({}, None)])
def test_the_newest_check_by_now_counts(look, run, details, mae):
    run(lambda connection: [connection.execute(each) for each in (check(1, 0.1, **details), check(2, 0.5))])
    run(lambda connection: connection.execute(check(-1, 0.9)))
    found = look()
    assert found.check == LastCheck(at(-1), 0.1, drifted=False, champion_mae=mae)
    assert found.retrainings == 2


@pytest.mark.parametrize(
    ("given", "hours"),
    [
        pytest.param({"issued_at": NOW.isoformat()}, 24, id="scheduled"),
        pytest.param({"source": "request", "request_id": "scheduled NY 2025-03-13"}, 24, id="late"),
        pytest.param({"source": "request", "request_id": "scheduled PJM 2025-03-13"}, 0, id="asked for"),
        pytest.param({"issued_at": NOW.isoformat(), "respondent": "PJM"}, 0, id="another respondent's"),
    ],
)
def test_hours_of_tomorrow_that_have_a_forecast_are_counted_once(look, forecast, given, hours):
    tomorrow = range(16, 40)  # hours that end after midnight, New York's
    forecast(dict.fromkeys((14, 15, *tomorrow, 40), 1.0), **given)
    assert look().tomorrow_hours == hours
    forecast(dict.fromkeys(tomorrow, 1.0), **{**given, "request_id": "again"})
    assert look().tomorrow_hours == hours


def test_a_forecast_scheduled_yesterday_covers_nothing_of_tomorrow(look, forecast):
    forecast(dict.fromkeys(range(-8, 16), 1.0))
    assert look().tomorrow_hours == 0


@pytest.mark.parametrize(("day", "hours"), [((2025, 3, 8), 23), ((2025, 11, 1), 25)])
def test_the_day_that_the_clocks_change_has_its_own_length(look, forecast, day, hours):
    morning = datetime(*day, 9, tzinfo=ZONE).astimezone(UTC)
    start = round((morning - NOW) / HOUR) + 15
    forecast(dict.fromkeys(range(start + 1, start + 49), 1.0), issued_at=morning.isoformat())
    assert look(morning).tomorrow_hours == hours


def retrain(outcome: str, hours_ago: int):
    def store(connection: sa.Connection) -> None:
        number = decisions.begin_retraining(connection, "NY", at(-hours_ago), "age", "a test")
        if outcome != "running":
            decisions.end_retraining(connection, number, at(-hours_ago) + timedelta(minutes=5), outcome)

    return store


@pytest.mark.parametrize(
    ("outcomes", "failed"),
    [
        (["running"], None),
        (["promoted"], False),
        (["failed"], True),
        (["failed", "not_promoted"], False),
        (["promoted", "failed", "running"], True),
    ],
)
def test_a_retraining_failed_where_the_last_one_that_ended_did(look, run, outcomes, failed):
    for number, outcome in enumerate(outcomes):
        run(retrain(outcome, 10 - number))
    assert look().retraining_failed is failed


@pytest.mark.parametrize(
    ("error", "failed"), [(None, False), ("MLflow is away", True)], ids=["went well", "went wrong"]
)
def test_a_retraining_that_failed_before_it_was_noted_failed_too(look, run, error, failed):
    run(lambda connection: job_runs.record_start(connection, Job.RETRAIN, "NY", at(-1)))
    assert look().retraining_failed is None, "it has only begun"
    run(lambda connection: job_runs.record_end(connection, Job.RETRAIN, "NY", at(-1), error))
    assert look().retraining_failed is failed


def test_one_that_had_too_few_rows_did_not_fail(look, run):
    run(lambda connection: job_runs.record_start(connection, Job.RETRAIN, "NY", at(-1)))
    run(retrain("skipped", 1))
    run(lambda connection: job_runs.record_end(connection, Job.RETRAIN, "NY", at(-1), "900 rows"))
    assert look().retraining_failed is False


def trained(version: str, outcome: str, hours_ago: float, **more: object):
    """Stores a retraining that ended so long ago."""
    values = {
        "respondent": "NY",
        "started_at": NOW - hours_ago * HOUR,
        "finished_at": NOW - hours_ago * HOUR,
        "decided_at": NOW - hours_ago * HOUR if outcome == "promoted" else None,
        "trigger": "drift",
        "reason": "a test",
        "outcome": outcome,
        "model_version": version,
        **more,
    }
    return lambda connection: connection.execute(sa.insert(retraining_log).values(**values))


@pytest.mark.parametrize(
    ("verdict", "gain"),
    [
        pytest.param({"days": 17, "gain_percent": -1.5}, -1.5, id="with days"),
        pytest.param({"days": 0, "gain_percent": None}, None, id="without days"),
        pytest.param(None, None, id="without a verdict"),
    ],
)
def test_the_challenger_in_the_shadow_is_watched_from_its_training_on(look, run, verdict, gain):
    run(trained("7", "shadow", -1, verdict=verdict))
    assert look().challenger is None, "it is trained in an hour"
    run(trained("8", "shadow", 30, respondent="PJM"))
    assert look().challenger is None, "another respondent's"
    run(trained("6", "not_promoted", 50, verdict=verdict))
    run(trained("7", "shadow", 48, verdict=verdict))
    assert look().challenger == Challenger("7", at(-48), gain)


def test_a_rollback_is_watched_for_a_week(look, run):
    run(trained("2", "promoted", 400))
    assert look().rolled_back is False
    run(trained("3", "promoted", 200, rolled_back_at=at(-3), rollback_reason="worse"))
    assert look().rolled_back is True
    assert look(at(-4)).rolled_back is False, "not before it happened"
    assert look(at(-3) + ROLLBACK_SPAN).rolled_back is False


def test_a_challenger_that_forecasts_as_often_as_the_champion_has_no_lag(look, run, forecast):
    run(trained("2", "shadow", 60))
    assert look().shadows == (), "there is no scheduled forecast"
    for days in (2, 1):
        issued = {"issued_at": at(-24 * days).isoformat()}
        forecast({16 - 24 * days: 1.0}, model_version="1", **issued)
        forecast({16 - 24 * days: 1.0}, model_version="2", source="shadow", **issued)
    assert look().shadows == (ShadowLag("challenger", 0.0),)
    forecast({16: 1.0}, model_version="1", issued_at=NOW.isoformat())
    forecast({16: 1.0}, model_version="9", source="shadow", issued_at=NOW.isoformat())
    assert look().shadows == (ShadowLag("challenger", 24.0),)


def test_a_challenger_that_never_forecast_lags_since_its_training(look, run, forecast):
    run(trained("2", "shadow", 9.5))
    forecast({-8: 1.0})
    assert look().shadows == (ShadowLag("challenger", 0.0),), "the morning is still to come"
    forecast({16: 1.0}, issued_at=NOW.isoformat())
    assert look().shadows == (ShadowLag("challenger", 9.5),)


@pytest.mark.parametrize(
    ("changes", "watched_roles"),
    [
        pytest.param({}, ["previous_champion"], id="a promotion by a contest"),
        pytest.param({"contest": None}, [], id="one without a contest"),
        pytest.param({"rolled_back_at": at(-1)}, [], id="one that was undone"),
        pytest.param({"decided_at": NOW - timedelta(days=PROBATION_DAYS)}, [], id="one of long ago"),
        pytest.param({"model_version": "4"}, [], id="that of a version that does not serve"),
    ],
)
def test_the_champion_before_is_watched_while_it_may_come_back(look, run, forecast, changes, watched_roles):
    run(trained("2", "promoted", 33, **{"contest": {"champion": "1", "period": []}, **changes}))
    forecast({16: 1.0}, model_version="2", issued_at=NOW.isoformat())
    found = look().shadows
    assert [each.role for each in found] == watched_roles
    assert all(each.hours == (NOW - at(-33)) / HOUR for each in found)
    forecast({16: 1.0}, model_version="1", source="shadow", issued_at=NOW.isoformat())
    assert [each.hours for each in look().shadows] == [0.0] * len(watched_roles)


def test_flows_are_told_by_their_names_at_prefect(look, run):
    for job, error in ((Job.INGESTION, None), (Job.FORECAST, "no champion")):
        run(lambda connection, job=job: job_runs.record_start(connection, job, "NY", at(-2)))
        run(lambda connection, job=job: job_runs.record_end(connection, job, "NY", at(-2)))
        run(
            lambda connection, job=job, error=error: job_runs.record_end(connection, job, "NY", at(-1), error)
        )
    assert look().flows == (
        FlowRun("forecast", at(-2), failed=True),
        FlowRun("data-ingestion", at(-1), failed=False),
    )


def test_rows_of_features_are_counted(look, run):
    rows = [
        {"respondent": name, "timestamp": at(hour), "lead_hours": 24, "created_at": NOW}
        | dict.fromkeys(FEATURE_COLUMNS, 1.0)
        for name in ("NY", "PJM")
        for hour in range(3)
    ]
    run(lambda connection: connection.execute(sa.insert(features), rows))
    assert look().feature_rows == 3


def test_a_look_reads_no_table_of_predictions_from_end_to_end(database, run, forecast):
    """In a log of 60,000 answers, nearly all of them for requests about tomorrow."""
    run(
        lambda connection: connection.exec_driver_sql(
            "INSERT INTO prediction_log (respondent, timestamp, issued_at, lead_hours, predicted_demand, "
            "model_version, quality, source, request_id, prediction_made_at) SELECT 'NY', "
            "'2025-03-12 13:00+00'::timestamptz + make_interval(hours => mod(n, 48)), '2025-03-12 13:00+00', "
            "24, 1, '1', 'q', 'request', 'request ' || n, '2025-03-12 13:00+00' "
            "FROM generate_series(1, 60000) n"
        )
    )
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("ANALYZE prediction_log")
    run(trained("2", "shadow", 40))
    forecast({-8: 1.0}, quality="base_booster")
    asked: list[tuple[str, object]] = []

    def note(connection, cursor, statement, parameters, context, executemany):
        asked.append((statement, parameters))

    with database.transaction() as connection:
        sa.event.listen(connection, "before_cursor_execute", note)
        watched(connection, replace(NEW_YORK, zone=ZONE), "ecmwf_ifs", NOW)
        sa.event.remove(connection, "before_cursor_execute", note)
        plans = [
            "\n".join(connection.exec_driver_sql(f"EXPLAIN {text}", given).scalars()) for text, given in asked
        ]
    about = [plan for plan in plans if "prediction_log" in plan]
    assert len(about) == 7
    assert not [plan for plan in about if "Seq Scan on prediction_log" in plan]


def test_the_operators_newest_forecast_is_watched_where_it_is_switched_on(database):
    issued = pd.DatetimeIndex([NOW - timedelta(hours=30), NOW - timedelta(hours=6)]).as_unit("us")
    frame = pd.DataFrame({"issued_at": issued, "period": issued + timedelta(days=1)}).assign(
        operator="nyiso", zone="NYISO", lead_days=1, forecast_mwh=17_000.0, known_at=issued, ingested_at=NOW
    )
    database.run(lambda connection: operator_forecasts.store_postings(connection, frame))
    for operator, as_of, newest in (
        ("nyiso", NOW, issued[1]),
        ("nyiso", NOW - timedelta(hours=7), issued[0]),
        (None, NOW, None),
    ):
        with database.transaction() as connection:
            assert watched(connection, NEW_YORK, "ecmwf_ifs", as_of, operator).operator == newest
