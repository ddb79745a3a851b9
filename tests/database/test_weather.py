"""Rows of weather: what is observed, and what was forecast run by run; a known value is never lost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
import sqlalchemy as sa

from energy_demand.columns import WEATHER_VARIABLES
from energy_demand.database import state
from energy_demand.database import weather as weather_rows
from energy_demand.database.repository import Written

HOUR = timedelta(hours=1)
T0 = datetime(2024, 1, 1, tzinfo=UTC)


def at(hours: int) -> datetime:
    return T0 + hours * HOUR


def weather(values: dict[int, float | None], source: str = "archive", **more) -> pd.DataFrame:
    times = pd.DatetimeIndex([at(hour) for hour in values]).as_unit("us")
    frame = pd.DataFrame({"site": "albany", "timestamp": times}).assign(
        **dict.fromkeys(WEATHER_VARIABLES, float("nan"))
    )
    frame["temperature_2m"] = pd.array(list(values.values()), dtype="Float64").to_numpy(
        float, na_value=float("nan")
    )
    return frame.assign(source=source, known_at=times, ingested_at=at(1000), **more)


def whole(hour: int, value: float, source: str, **changed: float | None) -> pd.DataFrame:
    """A row of Albany's with one value in all variables but those that are given."""
    row = dict.fromkeys(WEATHER_VARIABLES, value) | changed
    frame = pd.DataFrame({"site": ["albany"], "timestamp": pd.DatetimeIndex([at(hour)]).as_unit("us")})
    numbers = {name: float("nan") if number is None else number for name, number in row.items()}
    return frame.assign(**numbers, source=source, known_at=at(hour), ingested_at=at(1000))


def stored(database) -> tuple[list[float | None], str]:
    """The values of the only row in the order of the variables, and its source."""
    with database.transaction() as connection:
        row = connection.execute(
            sa.text(f"SELECT {', '.join(WEATHER_VARIABLES)}, source FROM raw_weather")
        ).one()
    return list(row[:-1]), row[-1]


def put(database, frame: pd.DataFrame, now: datetime) -> Written:
    with database.transaction() as connection:
        return weather_rows.upsert_weather(connection, frame, now)


WATER = ("precipitation", "rain", "snowfall")
RAIN_ALONE = {name: None for name in WEATHER_VARIABLES if name not in WATER}


def test_an_archive_with_rain_alone_takes_nothing_from_what_the_forecast_api_filled_in(database):
    put(database, whole(1, 5.0, "forecast_api"), at(10))
    assert put(database, whole(1, 7.0, "archive", **RAIN_ALONE), at(20)) == Written(0, 1)
    expected = [7.0 if name in WATER else 5.0 for name in WEATHER_VARIABLES]
    assert stored(database) == (expected, "mixed")
    # Both come again at each ingestion, and change nothing.
    assert put(database, whole(1, 7.0, "archive", **RAIN_ALONE), at(30)) == Written(0, 0)
    assert put(database, whole(1, 5.5, "forecast_api"), at(31)) == Written(0, 0)
    put(database, whole(1, 9.0, "archive"), at(40))
    assert stored(database) == ([9.0] * 12, "archive")


def test_the_forecast_api_fills_what_the_archive_lacks_and_nothing_else(database):
    put(database, whole(1, 7.0, "archive", **RAIN_ALONE), at(10))
    put(database, whole(1, 5.0, "forecast_api"), at(20))
    assert stored(database) == ([7.0 if name in WATER else 5.0 for name in WEATHER_VARIABLES], "mixed")


@pytest.mark.parametrize("source", ["archive", "forecast_api"])
def test_a_null_replaces_no_value(database, source):
    put(database, whole(1, 5.0, source), at(10))
    nothing = dict.fromkeys(WEATHER_VARIABLES)
    assert put(database, whole(1, 0.0, source, **nothing), at(20)) == Written(0, 0)
    assert stored(database) == ([5.0] * 12, source)


def test_an_older_value_of_the_forecast_api_gives_way_to_a_newer_one(database):
    put(database, whole(1, 5.0, "forecast_api"), at(10))
    assert put(database, whole(1, 6.0, "forecast_api"), at(20)) == Written(0, 1)
    assert stored(database) == ([6.0] * 12, "forecast_api")


def run_rows(value: float, known: int, **changed: float | None) -> pd.DataFrame:
    frame = whole(20, value, "x", **changed).drop(columns="source")
    return frame.assign(model="ecmwf_ifs", issued_at=at(6), known_at=at(known))


def test_a_run_that_was_half_is_completed_and_what_was_issued_never_changes(database):
    def temperatures(as_of: datetime) -> list[tuple[float, float]]:
        with database.transaction() as connection:
            found = weather_rows.read_weather_runs(connection, "ecmwf_ifs", ["albany"], at(0), at(100), as_of)
        return list(zip(found["temperature_2m"], found["rain"], strict=True))

    def put_run(frame: pd.DataFrame) -> Written:
        with database.transaction() as connection:
            return weather_rows.upsert_runs(connection, frame)

    assert put_run(run_rows(3.0, known=6, rain=None)) == Written(1, 0)
    assert put_run(run_rows(4.0, known=8)) == Written(0, 1)
    assert temperatures(at(8)) == [(3.0, 4.0)]
    assert temperatures(at(7)) == []  # what was filled in was not known before
    assert put_run(run_rows(5.0, known=9)) == Written(0, 0)
    assert temperatures(at(9)) == [(3.0, 4.0)]


def test_runs_of_another_model_are_not_mixed_in(database):
    with database.transaction() as connection:
        weather_rows.upsert_runs(connection, run_rows(3.0, known=6))
        weather_rows.upsert_runs(connection, run_rows(4.0, known=6).assign(model="gfs_seamless"))
        found = weather_rows.read_weather_runs(
            connection, "gfs_seamless", ["albany"], at(0), at(100), at(100)
        )
    assert found["temperature_2m"].tolist() == [4.0]


def test_what_became_of_a_run_is_known_by_its_model_start_and_region(database):
    row = {
        "model": "ecmwf_ifs",
        "run_at": at(0),
        "issued_at": at(8),
        "status": "failed",
        "missing_values": 0,
        "lacking": "",
        "reason": "HTTP 500",
        "asked_at": at(9),
        "respondent": "NY",
    }
    with database.transaction() as connection:
        weather_rows.record_runs(connection, [row])
        weather_rows.record_runs(
            connection, [row | {"status": "complete", "reason": None, "asked_at": at(10)}]
        )
        weather_rows.record_runs(connection, [row | {"respondent": "PJM"}])
        elsewhere = weather_rows.run_states(connection, "PJM", "ecmwf_ifs", at(0), at(5))
        found = weather_rows.run_states(connection, "NY", "ecmwf_ifs", at(0), at(5))
        assert weather_rows.run_states(connection, "NY", "gfs_seamless", at(0), at(5)) == {}
    assert found == {at(0): weather_rows.RunState("complete", at(10))}
    assert elsewhere == {at(0): weather_rows.RunState("failed", at(9))}


def test_the_archive_replaces_what_the_forecast_api_filled_in_and_not_the_reverse(database):
    def write_weather(frame, now):
        with database.transaction() as connection:
            return weather_rows.upsert_weather(connection, frame, now)

    def temperatures(as_of):
        with database.transaction() as connection:
            found = weather_rows.read_weather(connection, ["albany"], at(0), at(100), as_of)
        return found["temperature_2m"].tolist()

    write_weather(weather({1: 5.0, 2: 6.0}, source="forecast_api"), at(10))
    assert write_weather(weather({1: 5.5}), at(50)) == Written(0, 1)
    assert temperatures(at(50)) == [5.5, 6.0]
    assert temperatures(at(49)) == [5.0, 6.0]  # what was known before the archive came
    assert write_weather(weather({1: 9.0}, source="forecast_api"), at(60)) == Written(0, 0)
    assert temperatures(at(60)) == [5.5, 6.0]


def test_a_missing_variable_comes_back_missing(database):
    with database.transaction() as connection:
        weather_rows.upsert_weather(connection, weather({1: None, 2: 3.0}), at(1000))
        frame = weather_rows.read_weather(connection, ["albany"], at(0), at(100), at(100))
    assert frame["temperature_2m"].isna().tolist() == [True, False]
    assert frame["dew_point_2m"].isna().all()
    assert str(frame["timestamp"].dtype) == "datetime64[us, UTC]"


def test_an_empty_answer_has_the_same_columns_and_types(database):
    with database.transaction() as connection:
        frame = weather_rows.read_weather(connection, ["albany"], at(0), at(100), at(100))
    assert frame.empty
    assert str(frame["timestamp"].dtype) == "datetime64[us, UTC]"
    assert str(frame["temperature_2m"].dtype) == "float64"


@pytest.mark.parametrize(
    ("as_of", "expected"),
    [
        pytest.param(at(5), [], id="before the first issue nothing"),
        pytest.param(at(6), [10.0], id="at its issue the first"),
        pytest.param(at(11), [10.0], id="until the second is issued still the first"),
        pytest.param(at(12), [10.0, 12.0], id="then the second after it"),
    ],
)
def test_only_runs_that_are_known_are_read_in_the_order_of_their_issue(database, as_of, expected):
    for issued, value in ((6, 10.0), (12, 12.0)):
        frame = (
            weather({20: value})
            .drop(columns=["source"])
            .assign(model="ecmwf_ifs", issued_at=at(issued), known_at=at(issued))
        )
        with database.transaction() as connection:
            weather_rows.upsert_runs(connection, frame)
    with database.transaction() as connection:
        found = weather_rows.read_weather_runs(connection, "ecmwf_ifs", ["albany"], at(0), at(100), as_of)
    assert found["temperature_2m"].tolist() == expected


# Missing hours.


def missing(database, *sites: str, first: int = 0, last: int = 9) -> int:
    with database.transaction() as connection:
        return weather_rows.missing_hours(connection, sites or ("albany",), at(first), at(last))


def put_hours(database, hours: range, **by_variable: float | None) -> None:
    for hour in hours:
        put(database, whole(hour, 5.0, "archive", **by_variable), at(1000))


WITHOUT_RADIATION = {"shortwave_radiation": None}


def test_without_any_row_every_hour_of_every_site_is_missing(database):
    assert missing(database, "albany", "buffalo") == 20
    put_hours(database, range(10))
    assert missing(database, "albany", "buffalo") == 10


def test_an_hour_is_missing_once_however_many_of_its_variables_are(database):
    put_hours(database, range(10))
    put_hours(database, range(10, 12), rain=None)
    put_hours(database, range(12, 14), rain=None, cloud_cover=None)
    put_hours(database, range(14, 15), cloud_cover=None)
    assert missing(database, last=14) == 5
    assert missing(database, last=15) == 6  # the hour that has no row


def test_a_variable_that_a_site_never_has_is_not_missing(database):
    put_hours(database, range(10), **WITHOUT_RADIATION)
    assert missing(database) == 0


def test_a_variable_that_began_later_counts_from_its_first_hour_on(database):
    put_hours(database, range(6), **WITHOUT_RADIATION)
    put_hours(database, range(6, 10))
    assert missing(database) == 0
    put_hours(database, range(10, 12), **WITHOUT_RADIATION)
    assert missing(database, last=11) == 2


def test_a_site_that_began_later_is_missing_until_then(database):
    put_hours(database, range(4), **dict.fromkeys(WEATHER_VARIABLES))
    put_hours(database, range(4, 10))
    assert missing(database) == 4
    assert missing(database, first=4) == 0


def test_a_variable_that_no_hour_has_is_told_by_site(database):
    put(database, weather({0: 1.0, 1: None}), at(1000))
    put(database, whole(2, 3.0, "archive", **dict.fromkeys(WEATHER_VARIABLES[1:])), at(1000))
    put(database, whole(0, 3.0, "archive", cloud_cover=None).assign(site="buffalo"), at(1000))
    rest = frozenset(WEATHER_VARIABLES) - {"temperature_2m"}
    with database.transaction() as connection:
        lacking = weather_rows.lacking_variables(connection, ["buffalo", "albany", "utica"], at(0), at(5))
        later = weather_rows.lacking_variables(connection, ["albany"], at(1), at(1))
        summary = state.weather_summary(connection, ["albany", "buffalo"], at(1000))
    assert list(lacking.items()) == [
        ("buffalo", frozenset({"cloud_cover"})),
        ("albany", rest),
        ("utica", frozenset(WEATHER_VARIABLES)),
    ]
    assert later == {"albany": frozenset(WEATHER_VARIABLES)}
    assert summary["buffalo"]["lacking"] == ["cloud_cover"]
    assert summary["albany"]["lacking"] == [name for name in WEATHER_VARIABLES if name in rest]
    assert summary["albany"]["rows"] == 3
