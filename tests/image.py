"""A PostgreSQL server set up as the image of Compose would be: `infra/postgres/init.sql`, run by psql."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from energy_demand.database.embedded import EmbeddedServer
from energy_demand.database.embedded_host import packaged_binaries

if TYPE_CHECKING:
    from collections.abc import Iterator

INIT_SQL = Path(__file__).parents[1] / "infra/postgres/init.sql"
PASSWORDS = {
    "APP_DB_PASSWORD": 'it\'s; a "hard" $one\\',
    "MLFLOW_DB_PASSWORD": "second",
    "PREFECT_DB_PASSWORD": "third",
    "GRAFANA_DB_PASSWORD": "fourth $HOME",
}


@contextmanager
def image_server() -> Iterator[EmbeddedServer]:
    """A server whose superuser is `postgres`, as the image's, for the length of a `with` block."""
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


def port_of(server: EmbeddedServer) -> int:
    return int(server.libpq_url().rsplit(":", 1)[1].split("/")[0])


def connect_as(server: EmbeddedServer, role: str, password: str, database: str) -> psycopg.Connection:
    return psycopg.connect(
        host="127.0.0.1", port=port_of(server), user=role, password=password, dbname=database
    )
