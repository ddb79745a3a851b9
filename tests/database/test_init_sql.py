"""`infra/postgres/init.sql`, run by psql as the PostgreSQL image would, on a server like the image's."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from energy_demand.database.embedded import EmbeddedServer
from energy_demand.database.embedded_host import packaged_binaries

if TYPE_CHECKING:
    from collections.abc import Iterator

INIT_SQL = Path(__file__).parents[2] / "infra/postgres/init.sql"
NAMES = ["energy_demand", "mlflow", "prefect"]
PASSWORDS = {
    "APP_DB_PASSWORD": 'it\'s; a "hard" $one\\',
    "MLFLOW_DB_PASSWORD": "second",
    "PREFECT_DB_PASSWORD": "third",
}


@pytest.fixture
def server() -> Iterator[EmbeddedServer]:
    folder = Path(tempfile.mkdtemp(prefix="init-sql-"))
    folder.chmod(0o755)
    server = EmbeddedServer(folder / "home", superuser="postgres", database="postgres")
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


def run_init(server: EmbeddedServer, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    psql = packaged_binaries() / "pginstall/bin/psql"
    return subprocess.run(
        [psql, "--no-password", "--no-psqlrc", "--dbname", server.libpq_url(), "--file", INIT_SQL],
        env={"PATH": os.defpath, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def query(server: EmbeddedServer, text: str) -> list[tuple[object, ...]]:
    with psycopg.connect(server.libpq_url()) as connection:
        return connection.execute(text).fetchall()


def connect_as(server: EmbeddedServer, role: str, password: str, database: str) -> psycopg.Connection:
    port = int(server.libpq_url().rsplit(":", 1)[1].split("/")[0])
    return psycopg.connect(host="127.0.0.1", port=port, user=role, password=password, dbname=database)


OWNERS = """
    SELECT datname, pg_get_userbyid(datdba) FROM pg_database
    WHERE datname IN ('energy_demand', 'mlflow', 'prefect') ORDER BY datname
"""
ROLES = "SELECT rolname FROM pg_roles WHERE rolname IN ('energy_demand', 'mlflow', 'prefect')"


def test_each_program_has_a_role_and_a_database_that_only_it_may_enter(server: EmbeddedServer) -> None:
    done = run_init(server, PASSWORDS)
    assert (done.returncode, done.stderr) == (0, "")
    assert query(server, OWNERS) == [(name, name) for name in NAMES]

    passwords = dict(zip(NAMES, PASSWORDS.values(), strict=True))
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
