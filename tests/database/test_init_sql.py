"""`infra/postgres/init.sql`, run by psql as the PostgreSQL image would, on a server like the image's."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import psycopg
import pytest

from energy_demand.database.engine import open_database
from image import PASSWORDS, connect_as, image_server, port_of, run_init
from support import make_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from energy_demand.database.embedded import EmbeddedServer

NAMES = ["energy_demand", "mlflow", "prefect"]


@pytest.fixture
def server(processes) -> Iterator[EmbeddedServer]:
    with image_server() as server:
        yield server


def query(server: EmbeddedServer, text: str) -> list[tuple[object, ...]]:
    with psycopg.connect(server.libpq_url()) as connection:
        return connection.execute(text).fetchall()


OWNERS = """
    SELECT datname, pg_get_userbyid(datdba) FROM pg_database
    WHERE datname IN ('energy_demand', 'mlflow', 'prefect') ORDER BY datname
"""
ROLES = "SELECT rolname FROM pg_roles WHERE rolname IN ('energy_demand', 'mlflow', 'prefect', 'grafana')"


def test_each_program_has_a_role_and_a_database_that_only_it_may_enter(server: EmbeddedServer) -> None:
    done = run_init(server, PASSWORDS)
    assert (done.returncode, done.stderr) == (0, "")
    assert query(server, OWNERS) == [(name, name) for name in NAMES]

    passwords = dict(zip(NAMES, list(PASSWORDS.values())[:3], strict=True))
    for role, password in passwords.items():
        with connect_as(server, role, password, role) as connection:
            connection.execute("CREATE TABLE alembic_version (version_num text)")
            facts = (
                "SELECT rolsuper OR rolcreatedb OR rolcreaterole FROM pg_roles WHERE rolname = current_user"
            )
            assert connection.execute(facts).fetchone() == (False,)
        for other in set(NAMES) - {role}:
            with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
                connect_as(server, role, password, other)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        connect_as(server, "mlflow", "wrong", "mlflow")

    log = (server.data / "server.log").read_text(encoding="utf-8")
    assert not [password for password in PASSWORDS.values() if password in log + done.stdout]


WRITES = [
    "INSERT INTO demand VALUES (2)",
    "UPDATE demand SET value = 2",
    "DELETE FROM demand",
    "TRUNCATE demand",
    "DROP TABLE demand",
    "ALTER TABLE demand ADD COLUMN another int",
    "CREATE TABLE public.mine (value int)",
    "CREATE TEMPORARY TABLE mine (value int)",
    "CREATE SCHEMA mine",
    "SELECT setval('demand_number_seq', 5)",
    "SET ROLE energy_demand",
]


def test_grafana_reads_what_the_application_makes_later_and_writes_nothing(server: EmbeddedServer) -> None:
    assert run_init(server, PASSWORDS).returncode == 0
    grafana = PASSWORDS["GRAFANA_DB_PASSWORD"]
    with connect_as(server, "energy_demand", PASSWORDS["APP_DB_PASSWORD"], "energy_demand") as connection:
        connection.execute("CREATE TABLE demand (value int, number serial)")
        connection.execute("INSERT INTO demand VALUES (1)")
    with connect_as(server, "grafana", grafana, "energy_demand") as connection:
        assert connection.execute("SELECT value FROM demand").fetchall() == [(1,)]
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            connection.execute("DELETE FROM demand")
    with connect_as(server, "grafana", grafana, "energy_demand") as connection:
        connection.autocommit = True
        connection.execute("SET default_transaction_read_only = off")
        for statement in WRITES:
            with pytest.raises(
                psycopg.errors.InsufficientPrivilege, match=r"permission denied|must be owner"
            ):
                connection.execute(statement)
        assert connection.execute("SELECT count(*) FROM demand").fetchone() == (1,)
    for other in ("mlflow", "prefect"):
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            connect_as(server, "grafana", grafana, other)
    (limits,) = query(server, "SELECT rolconnlimit, rolconfig::text FROM pg_roles WHERE rolname = 'grafana'")
    assert limits[0] == 10
    assert "statement_timeout=15s" in str(limits[1])


def test_grafana_reads_what_the_migrations_make(server: EmbeddedServer) -> None:
    assert run_init(server, PASSWORDS).returncode == 0
    password = quote(PASSWORDS["APP_DB_PASSWORD"], safe="")
    address = f"postgresql://energy_demand:{password}@127.0.0.1:{port_of(server)}/energy_demand"
    open_database(make_settings(database_url=address)).close()
    with connect_as(server, "grafana", PASSWORDS["GRAFANA_DB_PASSWORD"], "energy_demand") as connection:
        for source in ("raw_demand", "prediction_log", "drift_log", "scored_forecasts()"):
            assert connection.execute(f"SELECT count(*) FROM {source}").fetchone() == (0,)


def test_a_missing_or_empty_password_is_named_and_nothing_is_made(server: EmbeddedServer) -> None:
    unset = {name: value for name, value in PASSWORDS.items() if name != "MLFLOW_DB_PASSWORD"}
    both = {**unset, "PREFECT_DB_PASSWORD": ""}
    for environment, named in [
        (unset, "not set or empty: MLFLOW_DB_PASSWORD\n"),
        (both, "not set or empty: MLFLOW_DB_PASSWORD, PREFECT_DB_PASSWORD\n"),
    ]:
        done = run_init(server, environment)
        assert done.returncode == 3
        assert named in done.stderr
        assert query(server, OWNERS) == []
        assert query(server, ROLES) == []


def test_a_second_run_stops_instead_of_changing_passwords(server: EmbeddedServer) -> None:
    assert run_init(server, PASSWORDS).returncode == 0
    again = run_init(server, {**PASSWORDS, "APP_DB_PASSWORD": "another"})
    assert again.returncode == 3
    assert "already exists" in again.stderr
    connect_as(server, "energy_demand", PASSWORDS["APP_DB_PASSWORD"], "energy_demand").close()
