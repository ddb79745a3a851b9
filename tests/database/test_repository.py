"""What is written, what comes back, and what was known when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
import sqlalchemy as sa

from energy_demand.columns import WEATHER_VARIABLES
from energy_demand.database import repository, state
from energy_demand.database.repository import Written

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


def weather(values: dict[int, float | None], source: str = "archive", **more) -> pd.DataFrame:
    times = pd.DatetimeIndex([at(hour) for hour in values]).as_unit("us")
    frame = pd.DataFrame({"site": "albany", "timestamp": times}).assign(
        **dict.fromkeys(WEATHER_VARIABLES, float("nan"))
    )
    frame["temperature_2m"] = pd.array(list(values.values()), dtype="Float64").to_numpy(
        float, na_value=float("nan")
    )
    return frame.assign(source=source, known_at=times, ingested_at=at(1000), **more)


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


def test_other_respondents_and_series_are_not_touched(database):
    write(database, demand({1: 100.0}), at(1000))
    write(database, demand({1: 7.0}).assign(respondent="PJM"), at(1000))
    write(database, demand({1: 8.0}).assign(series="DF"), at(1000))
    assert read(database, at(2000)) == {1: 100.0}


def test_the_archive_replaces_what_the_forecast_api_filled_in_and_not_the_reverse(database):
    def write_weather(frame, now):
        with database.transaction() as connection:
            return repository.upsert_weather(connection, frame, now)

    def temperatures(as_of):
        with database.transaction() as connection:
            found = repository.read_weather(connection, ["albany"], at(0), at(100), as_of)
        return found["temperature_2m"].tolist()

    write_weather(weather({1: 5.0, 2: 6.0}, source="forecast_api"), at(10))
    assert write_weather(weather({1: 5.5}), at(50)) == Written(0, 1)
    assert temperatures(at(50)) == [5.5, 6.0]
    assert temperatures(at(49)) == [5.0, 6.0]  # what was known before the archive came
    assert write_weather(weather({1: 9.0}, source="forecast_api"), at(60)) == Written(0, 0)
    assert temperatures(at(60)) == [5.5, 6.0]


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


def test_a_missing_variable_comes_back_missing(database):
    with database.transaction() as connection:
        repository.upsert_weather(connection, weather({1: None, 2: 3.0}), at(1000))
        frame = repository.read_weather(connection, ["albany"], at(0), at(100), at(100))
    assert frame["temperature_2m"].isna().tolist() == [True, False]
    assert frame["dew_point_2m"].isna().all()
    assert str(frame["timestamp"].dtype) == "datetime64[us, UTC]"


def test_an_empty_answer_has_the_same_columns_and_types(database):
    with database.transaction() as connection:
        frame = repository.read_weather(connection, ["albany"], at(0), at(100), at(100))
    assert frame.empty
    assert str(frame["timestamp"].dtype) == "datetime64[us, UTC]"
    assert str(frame["temperature_2m"].dtype) == "float64"


@pytest.mark.parametrize(
    ("as_of", "expected"),
    [
        pytest.param(at(5), [], id="before the first issue nothing"),
        pytest.param(at(6), [10.0], id="at its issue the first"),
        pytest.param(at(11), [10.0], id="until the second is issued still the first"),
        pytest.param(at(12), [12.0], id="then the second"),
    ],
)
def test_the_newest_forecast_known_is_the_one_that_counts(database, as_of, expected):
    for issued, value in ((6, 10.0), (12, 12.0)):
        frame = (
            weather({20: value}).drop(columns=["source"]).assign(issued_at=at(issued), known_at=at(issued))
        )
        with database.transaction() as connection:
            repository.insert_forecasts(connection, frame)
    with database.transaction() as connection:
        found = repository.read_forecasts(connection, ["albany"], at(0), at(100), as_of)
    assert found["temperature_2m"].tolist() == expected


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
