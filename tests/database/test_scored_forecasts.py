"""The database's function that scores scheduled forecasts: against sums by hand; its migration."""

from __future__ import annotations

from datetime import date
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from alembic import command

from energy_demand.database import predictions
from energy_demand.database.engine import _alembic_config, migrate, open_database
from energy_demand.database.predictions import scored_forecasts
from energy_demand.database.tables import demand_flag, raw_demand, truth_flag
from energy_demand.database.watched import watched
from energy_demand.model.forecast import BASE_BOOSTER, CHAMPION, LAST_WEEK, PREVIOUS, WITHOUT_WEATHER
from energy_demand.region import NEW_YORK
from energy_demand.timeaxis import HOUR, day_ahead_issue
from logged import row
from support import PRESENT, make_settings

ZONE = NEW_YORK.zone.key
ISSUED = day_ahead_issue(date(2025, 3, 12), NEW_YORK.zone)


def demand(hour: int, value: float, series: str = "D", known_after: int = 1) -> dict[str, object]:
    period = PRESENT + hour * HOUR
    known_at = period + known_after * HOUR
    return {"respondent": "NY", "series": series, "period": period, "value": value, "known_at": known_at} | {
        "ingested_at": PRESENT,
        "origin": "NY",
    }


def forecast(number: int, hour: int, value: float, **given: object) -> dict[str, object]:
    times = {"timestamp": (PRESENT + hour * HOUR).isoformat(), "issued_at": ISSUED.isoformat()}
    made = {"prediction_made_at": ISSUED.isoformat(), "source": "scheduled", "predicted_demand": value}
    return row(number, **{**times, **made, **given})


def fill(connection: sa.Connection, flags: sa.Table = truth_flag) -> None:
    """Hours of demand and of the operator's forecast, one doubted, one zero; and forecasts of them."""
    connection.execute(
        sa.insert(raw_demand),
        [
            *(demand(hour, 100.0 * -hour) for hour in (-6, -5, -4, -3)),
            demand(-2, 0.0),
            demand(-6, 630.0, "DF", known_after=-24),
        ],
    )
    doubted = {"respondent": "NY", "period": PRESENT - 5 * HOUR, "flag": "SPIKE", "flagged_at": PRESENT}
    connection.execute(sa.insert(flags).values(**doubted))
    lags = {"demand_lag_24h": 610.0, "demand_lag_168h": None}
    predictions.insert_predictions(
        connection,
        [
            forecast(1, -6, 606.0, features_json=lags, quality="champion", model_version="3"),
            *(
                forecast(10 - hour, hour, 330.0, features_json=None, quality="champion")
                for hour in (-5, -4, -3, -2, 0)
            ),
            forecast(30, -6, 9_999.0, source="request"),
            forecast(31, -6, 9_999.0, source="backfill"),
            forecast(32, -6, 9_999.0, issued_at=(ISSUED + HOUR).isoformat()),
            forecast(33, -6, 9_999.0, issued_at=(ISSUED - HOUR / 60).isoformat()),
        ],
    )


EXPECTED = [  # hours from now, predicted, actual, error, percentage error, operator
    (-6, 606.0, 600.0, 6.0, 1.0, 630.0),
    (-5, 330.0, None, None, None, None),  # doubted
    (-4, 330.0, 400.0, -70.0, -17.5, None),
    (-3, 330.0, 300.0, 30.0, 10.0, None),
    (-2, 330.0, 0.0, 330.0, None, None),  # no demand: no percentage of it
    (0, 330.0, None, None, None, None),  # not known
]
FIGURES = 'predicted, actual, error, percentage_error, operator FROM scored_forecasts() ORDER BY "timestamp"'


def figures(connection: sa.Connection) -> list[tuple[object, ...]]:
    found = connection.exec_driver_sql(f'SELECT "timestamp", {FIGURES}')
    return [(round((period - PRESENT) / HOUR), *rest) for period, *rest in found]


def test_each_scheduled_forecast_stands_beside_its_demand_and_error(database):
    with database.transaction() as connection:
        fill(connection)
        assert figures(connection) == EXPECTED


def test_what_the_program_asks_for_is_what_the_database_has(database):
    rows = scored_forecasts(ZONE, PRESENT)
    with database.transaction() as connection:
        fill(connection)
        first = connection.execute(sa.select(*rows.c).order_by(rows.c.timestamp)).mappings().first()
        names = connection.exec_driver_sql("SELECT * FROM scored_forecasts()").keys()
    assert list(first) == list(names)
    assert (first["demand_lag_24h"], first["demand_lag_168h"]) == (610.0, None)
    assert (first["model_version"], first["quality"], first["lower_80"]) == ("3", "champion", 14_000.0)


@pytest.mark.parametrize(
    ("as_of", "known"),
    [
        pytest.param(PRESENT, [-6, -4, -3, -2], id="now"),
        pytest.param(PRESENT - 3 * HOUR, [-6, -4], id="an hour is known an hour after its end"),
        pytest.param(PRESENT - 6 * HOUR, [], id="before any was known"),
        pytest.param(ISSUED - HOUR, None, id="before any was forecast"),
    ],
)
def test_what_came_later_is_not_there(database, as_of, known):
    rows = scored_forecasts(ZONE, as_of).c
    with database.transaction() as connection:
        fill(connection)
        found = connection.execute(sa.select(rows.timestamp, rows.actual).order_by(rows.timestamp)).all()
    hours = [round((each.timestamp - PRESENT) / HOUR) for each in found if each.actual is not None]
    assert hours == (known or [])
    assert bool(found) == (known is not None)


def test_a_causal_flag_does_not_decide_what_is_truth(database):
    with database.transaction() as connection:
        fill(connection)
        doubted = {"respondent": "NY", "period": PRESENT - 4 * HOUR, "flag": "SPIKE", "flagged_at": PRESENT}
        connection.execute(sa.insert(demand_flag).values(**doubted))
        assert figures(connection) == EXPECTED


LATER = (ISSUED + HOUR / 3).isoformat()


@pytest.mark.parametrize(
    ("second", "counts"),
    [
        pytest.param({"quality": "champion_without_weather"}, 1.0, id="the better step though it is older"),
        pytest.param({"quality": "something else"}, 1.0, id="a step that is known"),
        pytest.param({"quality": "champion"}, 2.0, id="the newer of one step"),
        pytest.param({"quality": "champion", "issued_at": LATER}, 2.0, id="the newer by issue"),
    ],
)
def test_one_forecast_of_an_hour_counts(database, second, counts):
    """Given are two; the first is the champion's."""
    later = {"issued_at": ISSUED.isoformat(), "prediction_made_at": LATER, **second}
    with database.transaction() as connection:
        rows = [forecast(1, -3, 1.0, quality="champion"), forecast(2, -3, 2.0, **later)]
        predictions.insert_predictions(connection, rows)
        chosen = connection.exec_driver_sql("SELECT predicted FROM scored_forecasts()").scalars().all()
        before = sa.select(scored_forecasts(ZONE, ISSUED).c.predicted)
        assert chosen == [counts]
        assert connection.scalars(before).all() == [1.0], "what was made later did not count before"


def test_steps_of_the_ladder_in_the_database_are_those_of_the_forecasts(database):
    steps = (CHAMPION, WITHOUT_WEATHER, PREVIOUS, BASE_BOOSTER, LAST_WEEK)
    with database.transaction() as connection:
        for number, quality in enumerate(reversed(steps)):
            predictions.insert_predictions(connection, [forecast(number, -3, 1.0, quality=quality)])
            found = connection.exec_driver_sql("SELECT quality FROM scored_forecasts()").scalars().all()
            assert found == [quality]


def test_nine_o_clock_is_that_of_the_zone(database):
    sydney = ZoneInfo("Australia/Sydney")
    issued = day_ahead_issue(date(2025, 3, 12), sydney).isoformat()
    with database.transaction() as connection:
        fill(connection)
        predictions.insert_predictions(connection, [forecast(50, -6, 777.0, issued_at=issued)])
        rows = scored_forecasts(sydney.key, PRESENT).c
        assert connection.scalars(sa.select(rows.predicted)).all() == [777.0]
        assert figures(connection) == EXPECTED, "Grafana's are New York's"


def test_errors_of_demand_that_nobody_asks_for_are_not_looked_up(database):
    plan = "EXPLAIN SELECT predicted FROM scored_forecasts() WHERE respondent = 'NY'"
    with database.transaction() as connection:
        plan = "\n".join(connection.exec_driver_sql(plan).scalars())
    assert "prediction_log" in plan
    assert "Function Scan" not in plan
    assert "raw_demand" not in plan
    assert "flag" not in plan


def test_an_upgrade_from_the_version_before_keeps_the_rows_and_scores_them(create_database):
    database = open_database(make_settings(database_url=create_database()), migrate_now=False)
    config = _alembic_config()
    with database.transaction() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0004")
        # Today's code writes the rows, which have a column of a later migration.
        connection.exec_driver_sql("ALTER TABLE prediction_log ADD COLUMN provenance jsonb")
        fill(connection, demand_flag)  # the flags that counted before migration 0007
        connection.exec_driver_sql("ALTER TABLE prediction_log DROP COLUMN provenance")
    assert migrate(database) is True
    with database.transaction() as connection:
        assert figures(connection) == EXPECTED
        config.attributes["connection"] = connection
        command.downgrade(config, "0004")
        functions = sa.text("SELECT count(*) FROM pg_proc WHERE proname = 'scored_forecasts'")
        assert connection.scalar(functions) == 0
        assert connection.scalar(sa.text("SELECT count(*) FROM prediction_log")) == 10
    database.close()


def test_the_mean_of_its_errors_is_what_the_exporter_reports(database):
    with database.transaction() as connection:
        fill(connection)
        seen = watched(connection, NEW_YORK, "ecmwf_ifs", PRESENT)
        means = connection.exec_driver_sql(
            "SELECT avg(abs(error)), avg(abs(percentage_error)) FROM scored_forecasts()"
        ).one()
    assert (seen.mae, seen.mape) == tuple(means) == (pytest.approx(109.0), pytest.approx(9.5))
