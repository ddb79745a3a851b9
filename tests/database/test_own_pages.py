"""The migration that lets a region's rows be read from pages of their own: with rows, up and down."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa
from alembic import command

from energy_demand.columns import WEATHER_VARIABLES
from energy_demand.database import state
from energy_demand.database.engine import _alembic_config, migrate, open_database
from support import PRESENT, make_settings

ROWS = (
    "INSERT INTO raw_demand SELECT 'NY', 'D', hour, 15000, hour, hour, 'NY' FROM hours",
    (
        "INSERT INTO raw_weather (site, timestamp, temperature_2m, source, known_at, ingested_at) "
        "SELECT site, hour, 20, 'archive', hour, hour FROM hours, unnest(ARRAY['albany', 'buffalo']) AS site"
    ),
    (
        "INSERT INTO raw_weather_revision (site, timestamp, source, known_at, ingested_at, superseded_at) "
        "SELECT 'albany', hour, 'forecast_api', hour, hour, hour + interval '1 day' FROM hours"
    ),
    (
        "INSERT INTO quarantine (source, subject, reason, payload, seen_at) "
        "SELECT 'eia', 'NY', 'negative', jsonb_build_object('hour', hour), hour FROM hours"
    ),
    "INSERT INTO operator_forecast SELECT 'nyiso', 'NYISO', hour, 1, hour, 15000, hour, hour FROM hours",
)
HOURS = 400
TABLES = ("raw_demand", "raw_weather", "raw_weather_revision", "quarantine", "operator_forecast")


def contents(connection: sa.Connection) -> dict[str, list[str]]:
    """The rows of each table, as text, in their order."""
    return {
        table: sorted(connection.scalars(sa.text(f"SELECT CAST(t AS text) FROM {table} t")))
        for table in TABLES
    }


def key(connection: sa.Connection, table: str) -> str:
    """The columns of a table's primary key."""
    text = "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = :name"
    return str(connection.scalar(sa.text(text), {"name": f"pk_{table}"}))


def test_an_upgrade_keeps_every_row_and_a_downgrade_gives_the_keys_back(create_database):
    database = open_database(make_settings(database_url=create_database()), migrate_now=False)
    config = _alembic_config()
    with database.transaction() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0010")
        connection.execute(
            sa.text(
                "CREATE TEMPORARY TABLE hours AS SELECT CAST(:now AS timestamptz) - n * interval '1 hour' "
                "AS hour FROM generate_series(1, :hours) n"
            ),
            {"now": PRESENT, "hours": HOURS},
        )
        for statement in ROWS:
            connection.exec_driver_sql(statement)
        before = contents(connection)
        keys = {table: key(connection, table) for table in ("raw_demand", "raw_weather", "operator_forecast")}
    assert migrate(database) is True
    with database.transaction() as connection:
        assert contents(connection) == before
        assert [len(rows) for rows in before.values()] == [HOURS, 2 * HOURS, HOURS, HOURS, HOURS]
        assert key(connection, "raw_demand") == f"{keys['raw_demand']} INCLUDE (value, known_at)"
        assert all(name in key(connection, "raw_weather") for name in (*WEATHER_VARIABLES, "known_at"))
        config.attributes["connection"] = connection
        command.downgrade(config, "0010")
        assert contents(connection) == before
        assert {table: key(connection, table) for table in keys} == keys
    database.close()


@pytest.mark.parametrize(
    ("table", "columns", "where"),
    [
        ("raw_demand", "period, value, known_at", "respondent = 'NY' AND series = 'D'"),
        ("raw_weather", f"site, timestamp, known_at, {', '.join(WEATHER_VARIABLES)}", "site = 'albany'"),
    ],
)
def test_a_window_is_read_from_the_index_alone(database, table, columns, where):
    with database.transaction() as connection:
        connection.execute(sa.text("SET LOCAL enable_seqscan = off"))
        connection.execute(sa.text("SET LOCAL enable_bitmapscan = off"))
        plan = connection.scalars(sa.text(f"EXPLAIN SELECT {columns} FROM {table} WHERE {where}")).all()
    assert f"Index Only Scan using pk_{table}" in plan[0]


def test_the_summary_of_weather_counts_the_runs_of_all_models_once_for_each_site(database):
    run = "'{}', '{}', CAST(:now AS timestamptz) - {} * interval '6 hours'"
    rows = [
        (model, site, number)
        for model in ("ecmwf_ifs", "gfs_seamless")
        for site in ("albany", "buffalo", "elsewhere")
        for number in range(1, 4 if model == "ecmwf_ifs" else 6)
    ]
    with database.transaction() as connection:
        for row in rows:
            connection.execute(
                sa.text(
                    "INSERT INTO weather_forecast (model, site, issued_at, timestamp, known_at, ingested_at) "
                    f"SELECT {run.format(*row)}, CAST(:now AS timestamptz) + h * interval '1 hour', "
                    f"CAST(:now AS timestamptz) - {row[2]} * interval '6 hours', :now "
                    "FROM generate_series(1, 3) h"
                ),
                {"now": PRESENT},
            )
        found = state.weather_summary(connection, ["albany", "buffalo", "nowhere"], PRESENT)
        assert set(found) == {"albany", "buffalo"}
        assert found["albany"]["forecasts"] == 5
        assert found["albany"]["rows"] is None
        earlier = state.weather_summary(connection, ["albany"], PRESENT - timedelta(hours=24))
        assert earlier["albany"]["forecasts"] == 2
