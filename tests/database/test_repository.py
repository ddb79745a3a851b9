"""What is written, what comes back, and what was known when."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta

import pandas as pd
import pytest
import sqlalchemy as sa

from energy_demand.database import predictions, repository, state
from energy_demand.database.repository import Written
from logged import line, row

HOUR = timedelta(hours=1)
T0 = datetime(2024, 1, 1, tzinfo=UTC)


def at(hours: int) -> datetime:
    return T0 + hours * HOUR


def demand(values: dict[int, float], known_after: int = 1) -> pd.DataFrame:
    periods = pd.DatetimeIndex([at(hour) for hour in values]).as_unit("us")
    return pd.DataFrame(
        {
            "respondent": "NY",
            "series": "D",
            "period": periods,
            "value": list(values.values()),
            "known_at": periods + known_after * HOUR,
            "ingested_at": at(1000),
            "origin": "NY",
        }
    )


def read(database, as_of: datetime) -> dict[int, float]:
    with database.transaction() as connection:
        frame = repository.read_demand(connection, "NY", "D", at(0), at(100), as_of)
    return {int((row.period - T0) / HOUR): row.value for row in frame.itertuples()}


def write(database, frame: pd.DataFrame, now: datetime) -> Written:
    with database.transaction() as connection:
        return repository.upsert_demand(connection, frame, now)


def test_writing_the_same_demand_twice_changes_nothing(database):
    assert write(database, demand({1: 100.0, 2: 110.5}), at(1000)) == Written(2, 0)
    assert write(database, demand({1: 100.0, 2: 110.5}), at(1001)) == Written(0, 0)
    assert read(database, at(2000)) == {1: 100.0, 2: 110.5}


def test_a_value_is_seen_from_the_moment_it_was_known(database):
    write(database, demand({1: 100.0, 2: 110.0}), at(1000))
    assert read(database, at(2) - timedelta(seconds=1)) == {}
    assert read(database, at(2)) == {1: 100.0}
    assert read(database, at(3)) == {1: 100.0, 2: 110.0}


def test_a_revision_becomes_current_and_the_earlier_value_stays_for_earlier_moments(database):
    write(database, demand({1: 100.0}), at(1000))
    assert write(database, demand({1: 101.0}), at(50)) == Written(0, 1)
    assert write(database, demand({1: 102.0}), at(60)) == Written(0, 1)
    assert read(database, at(49)) == {1: 100.0}
    assert read(database, at(50)) == {1: 101.0}
    assert read(database, at(59)) == {1: 101.0}
    assert read(database, at(60)) == {1: 102.0}


def test_a_revised_hour_has_all_its_vintages_and_others_have_none(database):
    write(database, demand({1: 100.0, 2: 200.0}).assign(ingested_at=at(3)), at(3))
    write(database, demand({1: 101.0}).assign(ingested_at=at(50)), at(50))
    write(database, demand({1: 102.0}).assign(ingested_at=at(60)), at(60))
    write(database, demand({1: 7.0}).assign(series="DF"), at(60))

    def vintages(as_of: datetime) -> list[tuple[object, ...]]:
        with database.transaction() as connection:
            frame = repository.read_vintages(connection, "NY", "D", at(0), at(100), as_of)
        assert set(frame["period"]) <= {pd.Timestamp(at(1))}
        columns = frame[["value", "stored_at", "superseded_at"]].astype(object)
        return [tuple(row) for row in columns.where(frame.notna(), None).to_numpy()]

    times = [pd.Timestamp(at(hour)) for hour in (3, 50, 60)]
    assert vintages(at(60)) == [
        (100.0, times[0], times[1]),
        (101.0, times[1], times[2]),
        (102.0, times[2], None),
    ]
    # Before the last revision the second value was the current one.
    assert vintages(at(59)) == [(100.0, times[0], times[1]), (101.0, times[1], None)]


def test_an_hour_counts_as_stored_late_by_its_first_value(database):
    live = demand({1: 100.0, 2: 200.0}).assign(ingested_at=at(4))
    write(database, live, at(4))
    write(database, demand({9: 300.0}).assign(ingested_at=at(400)), at(400))
    # A revision much later does not make its hour late.
    write(database, demand({1: 101.0}).assign(ingested_at=at(300)), at(300))

    def late(first: int, last: int) -> int:
        with database.transaction() as connection:
            return repository.hours_stored_late(connection, "NY", "D", at(first), at(last), 24 * HOUR)

    assert (late(0, 8), late(0, 9), late(9, 9), late(20, 30)) == (0, 1, 1, 0)


def test_other_respondents_and_series_are_not_touched(database):
    write(database, demand({1: 100.0}), at(1000))
    write(database, demand({1: 7.0}).assign(respondent="PJM"), at(1000))
    write(database, demand({1: 8.0}).assign(series="DF"), at(1000))
    assert read(database, at(2000)) == {1: 100.0}


def daily(value: float) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "respondent": "NY",
            "series": "DF",
            "timezone": "America/New_York",
            "day": [T0.date()],
            "value": [value],
            "known_at": pd.DatetimeIndex([at(30)]).as_unit("us"),
            "ingested_at": at(31),
        }
    )


def test_a_revised_daily_total_keeps_its_earlier_value(database):
    with database.transaction() as connection:
        assert repository.upsert_daily(connection, daily(1.0), at(31)) == Written(1, 0)
        assert repository.upsert_daily(connection, daily(1.0), at(32)) == Written(0, 0)
        assert repository.upsert_daily(connection, daily(2.0), at(33)) == Written(0, 1)
        kept = connection.execute(sa.text("SELECT value, known_at FROM raw_demand_daily_revision")).all()
    assert [(row.value, row.known_at) for row in kept] == [(1.0, at(30))]


def test_the_state_of_a_source_tells_its_last_success_and_its_last_error(database):
    with database.transaction() as connection:
        state.record_error(connection, "eia", "NY", at(1), "no answer")
        state.record_success(connection, "eia", "NY", at(2), at(0), missing_hours=3)
        state.record_error(connection, "eia", "NY", at(3), "broken")
        (found,) = state.source_states(connection)
    assert (found["last_success_at"], found["newest"], found["missing_hours"]) == (at(2), at(0), 3)
    assert (found["last_error_at"], found["last_error"]) == (at(3), "broken")


def test_a_watermark_only_moves_forward(database):
    with database.transaction() as connection:
        for hour in (5, 9, 7):
            state.advance_watermark(connection, "eia", "NY", at(hour), at(1000))
        assert state.get_watermark(connection, "eia", "NY") == at(9)
        assert state.get_watermark(connection, "eia", "PJM") is None


def test_a_row_in_quarantine_is_kept_once(database):
    row = {
        "source": "eia",
        "subject": "NY",
        "reason": "NEGATIVE",
        "payload": {"value": "-5"},
        "seen_at": at(0),
    }
    with database.transaction() as connection:
        assert state.insert_quarantine(connection, [row]) == 1
        assert state.insert_quarantine(connection, [row]) == 0
        assert state.demand_summary(connection, "NY", at(0))["quarantined"] == 1


def test_a_failed_transaction_leaves_what_was_stored(database):
    write(database, demand({1: 100.0}), at(1000))
    with pytest.raises(ZeroDivisionError), database.transaction() as connection:
        repository.upsert_demand(connection, demand({1: 999.0, 2: 999.0}), at(1001))
        _ = 1 / 0
    assert read(database, at(2000)) == {1: 100.0}


def test_missing_hours_are_counted_between_the_first_and_the_last(database):
    write(database, demand({1: 100.0, 2: 100.0, 5: 100.0}), at(1000))
    with database.transaction() as connection:
        summary = state.demand_summary(connection, "NY", at(2000))
    assert (summary["rows"], summary["missing_hours"]) == (3, 2)
    assert (summary["first"], summary["last"]) == (at(1), at(5))


def log(database, *lines: bytes) -> int:
    with database.transaction() as connection:
        return predictions.insert_prediction_lines(connection, lines)


def logged_values(database, *names: str) -> list[tuple]:
    with database.transaction() as connection:
        query = f"SELECT {', '.join(names)} FROM prediction_log ORDER BY request_id, row_number, timestamp"
        return [tuple(found) for found in connection.execute(sa.text(query))]


def test_ten_thousand_predictions_are_logged_in_one_go(database):
    columns = {f"column_{number}": number + 0.125 for number in range(40)}
    lines = [line(7, row_number=number, features_json=columns) for number in range(10_000)]
    assert log(database, *lines) == 10_000
    found = logged_values(
        database, "row_number", "features_json->>'column_3'", "jsonb_typeof(features_json->'column_39')"
    )
    assert found == [(number, "3.125", "number") for number in range(10_000)]


def test_a_prediction_comes_back_as_it_was_logged(database):
    given = row(1, row_number=4, quality="a 'quoted' \\ £: %s :batch")
    with database.transaction() as connection:
        assert predictions.insert_predictions(connection, [given]) == 1
        (found,) = predictions.read_predictions(connection, at(0), at(100_000)).to_dict("records")
    found["features_json"] = json.loads(found["features_json"])
    moments = {"timestamp", "issued_at", "prediction_made_at"}
    assert {name: found[name] for name in given if name not in moments} == {
        name: value for name, value in given.items() if name not in moments
    }
    assert all(found[name] == datetime.fromisoformat(given[name]) for name in moments)
    assert found["actual_demand"] is None


@pytest.mark.parametrize(
    ("second", "new"),
    [
        pytest.param(line(1, predicted_demand=1.0), 0, id="of the same request, row and hour is not logged"),
        pytest.param(line(2), 1, id="of another request is"),
        pytest.param(line(1, row_number=1), 1, id="of another row is"),
        pytest.param(line(1, timestamp=at(5).isoformat()), 1, id="of another hour is"),
        pytest.param(line(1, timestamp="2025-03-13T09:00:00-04:00"), 0, id="of that hour elsewhere is not"),
    ],
)
def test_a_second_prediction(database, second, new):
    assert log(database, line(1)) == 1
    assert log(database, second, second) == new
    assert log(database, line(1), second) == 0
    assert (15_001.5,) in logged_values(database, "predicted_demand")  # the first stays


def test_lines_of_before_there_were_row_numbers_count_as_the_first_row(database):
    old = row(1)
    del old["row_number"]
    assert log(database, json.dumps(old).encode()) == 1
    assert logged_values(database, "row_number") == [(0,)]
    assert log(database, line(1)) == 0


def test_no_lines_are_no_rows(database):
    assert log(database) == 0


def test_the_same_predictions_logged_by_two_at_once_are_there_once(database):
    lines = [line(number) for number in range(500)]
    with ThreadPoolExecutor() as pool:
        new = list(pool.map(lambda some: log(database, *some), [lines, lines[::-1], lines, lines]))
    assert sum(new) == 500
    assert len(logged_values(database, "id")) == 500


def test_old_predictions_are_found_by_utc_day_read_by_span_and_deleted_by_id(database):
    made = [at(-25), at(-1), at(-1) + timedelta(minutes=59), at(0), at(30)]
    log(database, *(line(number, prediction_made_at=each.isoformat()) for number, each in enumerate(made)))
    with database.transaction() as connection:
        assert predictions.old_prediction_days(connection, at(0)) == [date(2023, 12, 30), date(2023, 12, 31)]
        found = predictions.read_predictions(connection, at(-1), at(0))
        assert found["request_id"].tolist() == ["request-1", "request-2"]
        assert predictions.delete_predictions(connection, found["id"].tolist()) == 2
        assert predictions.delete_predictions(connection, found["id"].tolist()) == 0
        assert predictions.read_predictions(connection, at(-1), at(0)).empty
    assert [found for (found,) in logged_values(database, "request_id")] == [
        "request-0",
        "request-3",
        "request-4",
    ]


@pytest.mark.parametrize(
    "poison",
    [
        pytest.param("a\x00b", id="a NUL"),
        pytest.param("\ud800", id="half a surrogate pair"),
        pytest.param("x" * 1_000_000, id="an absurd length"),
        pytest.param(float("inf"), id="infinity"),
        pytest.param(10**400, id="a number of 400 digits"),
        pytest.param({"\x00": [float("nan"), {"deep": [[[[[[1]]]]]]}]}, id="an object of all that"),
        pytest.param(b"\xff", id="bytes"),
    ],
)
def test_a_row_in_quarantine_and_an_error_can_hold_anything(database, poison):
    row = {"source": "eia", "subject": "NY", "reason": "NOT_A_NUMBER", "seen_at": at(1)}
    with database.transaction() as connection:
        assert state.insert_quarantine(connection, [{**row, "payload": {"value": poison}}]) == 1
        state.record_error(connection, "eia", "NY", at(1), f"no answer: {poison!s:.2000}")
        (kept,) = state.quarantined(connection)
    assert len(json.dumps(kept["payload"])) < 5000
