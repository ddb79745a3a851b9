"""Actual values beside predictions, late and revised ones too; which forecasts a model is judged by."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
import sqlalchemy as sa

from energy_demand.database import predictions
from energy_demand.database.tables import prediction_log, raw_demand, truth_flag
from logged import HOUR, row
from support import PRESENT

ZONE = "America/New_York"


@pytest.fixture
def store(database):
    def add(table: sa.Table, **values: object) -> None:
        with database.transaction() as connection:
            connection.execute(sa.insert(table).values(**values))

    return add


@pytest.fixture
def demand(store):
    """Stores an hour of demand."""

    def add(hours_ago: int, value: float, *, known_hours_ago: float | None = None, series: str = "D") -> None:
        known = PRESENT - (hours_ago - 1 if known_hours_ago is None else known_hours_ago) * HOUR
        store(
            raw_demand,
            respondent="NY",
            series=series,
            period=PRESENT - hours_ago * HOUR,
            value=value,
            origin="NY",
            known_at=known,
            ingested_at=known,
        )

    return add


@pytest.fixture
def predicted(database):
    """Logs a prediction of an hour, made a day before it."""

    def add(hours_ago: int, **given: object) -> None:
        at = PRESENT - hours_ago * HOUR
        issued = (at - 24 * HOUR).isoformat()
        made = {"timestamp": at.isoformat(), "issued_at": issued, "prediction_made_at": issued}
        with database.transaction() as connection:
            predictions.insert_predictions(connection, [row(hours_ago, **{**made, **given})])

    return add


@pytest.fixture
def fill(database):
    """Fills actual values in and gives how many changed."""

    def run(now: datetime = PRESENT, since: datetime = PRESENT - 72 * HOUR) -> int:
        with database.transaction() as connection:
            return predictions.fill_actuals(connection, "NY", since, now)

    return run


@pytest.fixture
def actuals(database):
    """Reads request id → actual value."""

    def read() -> dict[str, float | None]:
        columns = (prediction_log.c.request_id, prediction_log.c.actual_demand)
        with database.transaction() as connection:
            return dict(connection.execute(sa.select(*columns)).tuples().all())

    return read


def test_every_prediction_of_an_hour_gets_the_value_that_came(demand, predicted, fill, actuals):
    predicted(5)
    predicted(5, request_id="another", source="scheduled")
    predicted(4)
    demand(5, 16_000.0)
    assert fill() == 2
    assert actuals() == {"request-5": 16_000.0, "another": 16_000.0, "request-4": None}


def test_a_late_value_is_filled_in_when_it_comes(demand, predicted, fill, actuals):
    predicted(30)
    assert fill() == 0
    demand(30, 16_000.0, known_hours_ago=1)
    assert fill(now=PRESENT - 2 * HOUR) == 0
    assert fill() == 1
    assert actuals() == {"request-30": 16_000.0}


def test_a_revised_value_takes_the_place_of_the_first_one(database, demand, predicted, fill, actuals):
    predicted(5)
    demand(5, 16_000.0)
    fill()
    with database.transaction() as connection:
        connection.execute(sa.update(raw_demand).values(value=16_500.0))
    assert fill() == 1
    assert actuals() == {"request-5": 16_500.0}


def test_a_doubted_hour_is_no_truth_and_becomes_one_when_the_doubt_is_gone(
    database, store, demand, predicted, fill, actuals
):
    predicted(5)
    demand(5, 90_000.0)
    assert fill() == 1
    doubted = {"respondent": "NY", "period": PRESENT - 5 * HOUR}
    store(truth_flag, **doubted, flag="SPIKE", flagged_at=PRESENT)
    assert fill() == 1
    assert actuals() == {"request-5": None}
    with database.transaction() as connection:
        connection.execute(sa.delete(truth_flag))
    assert fill() == 1
    assert actuals() == {"request-5": 90_000.0}


def test_rows_that_are_right_are_not_written_again(database, demand, predicted, fill):
    for hours_ago in (5, 4):
        predicted(hours_ago)
        demand(hours_ago, 16_000.0 + hours_ago)
    assert fill() == 2

    def versions() -> list[tuple]:
        with database.transaction() as connection:
            return connection.execute(sa.text("SELECT id, xmin::text FROM prediction_log ORDER BY id")).all()

    before = versions()
    assert fill() == 0
    assert versions() == before


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({"respondent": "PJM"}, id="another region's"),
        pytest.param({"timestamp": (PRESENT - 80 * HOUR).isoformat()}, id="before what is filled"),
    ],
)
def test_other_predictions_are_left_alone(demand, predicted, fill, actuals, given):
    predicted(5, **given)
    demand(5, 16_000.0)
    demand(80, 16_000.0)
    assert fill() == 0
    assert actuals() == {"request-5": None}


def test_the_operator_s_forecast_is_no_actual_value(demand, predicted, fill):
    predicted(5)
    demand(5, 16_000.0, series="DF")
    assert fill() == 0


def nine(*day: int, minutes: int = 0) -> str:
    """09:00 in New York and some minutes, in UTC."""
    return (datetime(*day, 9, minutes, tzinfo=ZoneInfo(ZONE)).astimezone(UTC)).isoformat()


@pytest.mark.parametrize(
    ("given", "counts"),
    [
        pytest.param({}, True, id="scheduled at 09:00"),
        pytest.param({"issued_at": nine(2025, 3, 10, minutes=59)}, True, id="scheduled at 09:59"),
        pytest.param({"issued_at": nine(2025, 3, 10, minutes=60 - 60)}, True, id="after the clock change"),
        pytest.param({"issued_at": nine(2025, 3, 8)}, True, id="before the clock change"),
        pytest.param({"issued_at": "2025-03-10T14:00:00+00:00"}, False, id="scheduled at 10:00"),
        pytest.param({"issued_at": "2025-03-10T12:59:59+00:00"}, False, id="scheduled before 09:00"),
        pytest.param({"source": "request"}, False, id="asked for"),
        pytest.param({"source": "backfill"}, False, id="made for the past"),
        pytest.param({"respondent": "PJM"}, False, id="another region's"),
        pytest.param({"prediction_made_at": (PRESENT + HOUR).isoformat()}, False, id="made later"),
        pytest.param({"timestamp": (PRESENT - 200 * HOUR).isoformat()}, False, id="of an hour long ago"),
    ],
)
def test_only_forecasts_scheduled_in_the_hour_of_nine_are_read(database, predicted, given, counts):
    predicted(5, **{"source": "scheduled", "issued_at": nine(2025, 3, 10), **given})
    with database.transaction() as connection:
        found = predictions.read_scheduled(connection, "NY", ZONE, PRESENT - 100 * HOUR, PRESENT)
    assert len(found) == counts


def test_what_is_read_has_the_naive_forecasts_and_numbers_where_something_is_missing(database, predicted):
    features = {"demand_lag_24h": 15_000.0, "demand_lag_168h": None}
    predicted(4, source="scheduled", issued_at=nine(2025, 3, 11), features_json=features)
    predicted(5, source="scheduled", issued_at=nine(2025, 3, 11), features_json=None)
    with database.transaction() as connection:
        found = predictions.read_scheduled(connection, "NY", ZONE, PRESENT - 100 * HOUR, PRESENT)
    assert list(found["timestamp"]) == [PRESENT - 5 * HOUR, PRESENT - 4 * HOUR]
    assert found["demand_lag_24h"].iloc[1] == 15_000.0
    for absent in (found["demand_lag_168h"], found["actual_demand"], found["lower_95"]):
        assert absent.dtype == float
        assert pd.isna(absent).all()


def test_a_request_is_in_the_log_when_one_of_its_rows_is(database, predicted):
    with database.transaction() as connection:
        assert not predictions.is_logged(connection, "scheduled NY 2025-03-13")
    predicted(5, request_id="scheduled NY 2025-03-13")
    with database.transaction() as connection:
        assert predictions.is_logged(connection, "scheduled NY 2025-03-13")
        assert not predictions.is_logged(connection, "scheduled NY 2025-03-1")
