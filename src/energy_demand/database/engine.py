"""Opens the application's database: starts the embedded one where none is set, migrates, checks the stamp.

Migrations are the only creator of tables. Nothing here reads or writes a row of data but the stamp.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg
import sqlalchemy as sa
import stamina
from sqlalchemy.exc import OperationalError

from energy_demand import locks
from energy_demand.database.embedded import EmbeddedServer
from energy_demand.database.tables import database_stamp
from energy_demand.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from alembic.config import Config

    from energy_demand.config import Settings

MIGRATIONS = Path(__file__).parent / "migrations"
CONNECT_TIMEOUT_SECONDS = 5

T = TypeVar("T")

logger = logging.getLogger(__name__)


class DatabaseUnavailableError(UserError, RuntimeError):
    """The database cannot be reached or used; the message says what to do."""


class DataKindMismatchError(UserError, RuntimeError):
    """Data of one kind (live, recorded, synthetic) was refused by a database of another kind."""


@dataclass(frozen=True)
class Database:
    """An opened, migrated database. `label` is its address for messages, without a password."""

    engine: sa.Engine
    label: str

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """A connection in one transaction: committed at the end, rolled back on an error.

        Raises:
            DatabaseUnavailableError: the connection failed or was lost.
        """
        with _plain_errors(self.label), self.engine.begin() as connection:
            yield connection

    def run(self, work: Callable[[sa.Connection], T], *, patience_seconds: float = 30.0) -> T:
        """The result of `work` in its own transaction, which is repeated if the connection is lost.

        Raises:
            DatabaseUnavailableError: the database was unavailable for `patience_seconds`.
        """
        for attempt in stamina.retry_context(
            on=DatabaseUnavailableError,
            attempts=None,
            timeout=patience_seconds,
            wait_initial=0.2,
            wait_max=2.0,
        ):
            with attempt, self.transaction() as connection:
                return work(connection)
        raise AssertionError("stamina ends with a result or an error")

    def kind(self) -> str | None:
        """`live`, `recorded` or `synthetic`, or None before the first write."""
        with self.transaction() as connection:
            return connection.scalar(sa.select(database_stamp.c.kind))

    def close(self) -> None:
        """Give the connections back; an embedded server goes on running."""
        self.engine.dispose()


@contextmanager
def opened(settings: Settings) -> Iterator[Database]:
    """The application's database for the length of a `with` block."""
    database = open_database(settings)
    try:
        yield database
    finally:
        database.close()


def open_database(
    settings: Settings,
    *,
    migrate_now: bool = True,
    read_only: bool = False,
    statement_seconds: float | None = None,
) -> Database:
    """The application's database, started if it is the embedded one, with its tables up to date.

    With `read_only` no statement can write. With `statement_seconds`, a statement that takes longer fails,
    and so does a connection that has gone silent for as long.

    Raises:
        DatabaseUnavailableError: it cannot be reached, or its tables are newer than this program.
        EmbeddedServerError: the embedded server cannot be started.
    """
    url = database_url(settings)
    label = f"{url.host}:{url.port or 5432}/{url.database}"
    if settings.database_url is None:
        label = f"embedded PostgreSQL in {settings.home} ({label})"
    connect_args: dict[str, Any] = {
        "connect_timeout": CONNECT_TIMEOUT_SECONDS,
        "options": "-c timezone=UTC",
    }
    if read_only:
        connect_args["options"] += " -c default_transaction_read_only=on"
    if statement_seconds is not None:
        milliseconds = int(1000 * statement_seconds)
        connect_args["options"] += f" -c statement_timeout={milliseconds}"
        connect_args["tcp_user_timeout"] = milliseconds
    engine = sa.create_engine(url, pool_pre_ping=True, connect_args=connect_args)
    database = Database(engine, label)
    if migrate_now:
        migrate(database)
    return database


def database_url(settings: Settings) -> sa.URL:
    """The URL of the application's database, with the psycopg driver; starts the embedded server."""
    if settings.database_url is None:
        server = EmbeddedServer(settings.home)
        server.start()
        return sa.make_url(server.url())
    try:
        url = sa.make_url(settings.database_url.get_secret_value())
    except (sa.exc.ArgumentError, ValueError):  # e.g. a port that is not a number
        raise DatabaseUnavailableError(
            "DATABASE_URL is not a valid URL; expected e.g. postgresql://user@host:5432/energy_demand, with "
            ":password after the user and its special characters percent-encoded (%2F for /)"
        ) from None
    if not url.drivername.startswith("postgresql"):
        raise DatabaseUnavailableError(
            f"DATABASE_URL must start with postgresql://; its scheme is {url.drivername}"
        )
    return url.set(drivername="postgresql+psycopg")


def migrate(database: Database) -> bool:
    """Migrate the tables to this version; True if anything changed.

    Raises:
        DatabaseUnavailableError: not reachable, or its tables are newer than this program.
    """
    from alembic import command  # noqa: PLC0415  (0.3 s, and most runs have nothing to migrate)
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    config = _alembic_config()
    scripts = ScriptDirectory.from_config(config)
    newest = scripts.get_current_head()
    with database.transaction() as connection:
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(locks.MIGRATION)))
        current = _revision(connection)
        if current == newest:
            return False
        if current is not None and current not in {script.revision for script in scripts.walk_revisions()}:
            raise DatabaseUnavailableError(
                f"{database.label} has tables of version {current}, which this program does not know; "
                "nothing was changed. Upgrade energy-demand, or set DATABASE_URL to another database"
            )
        logger.info("migrating %s from %s to %s", database.label, current, newest)
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    return True


def stamp(connection: sa.Connection, kind: str, now: datetime) -> None:
    """Record the kind of data at the database's first write, and check it at every later one.

    Raises:
        DataKindMismatchError: the database has another kind of data.
    """
    stored_kind = connection.scalar(sa.select(database_stamp.c.kind))
    if stored_kind is None:
        connection.execute(
            sa.text(
                "INSERT INTO database_stamp (kind, stamped_at) VALUES (:kind, :now) ON CONFLICT DO NOTHING"
            ),
            {"kind": kind, "now": now},
        )
        stored_kind = connection.scalar(sa.select(database_stamp.c.kind))
    if stored_kind != kind:
        raise DataKindMismatchError(
            f"the database has {stored_kind} data, but the upstream serves {kind} data; nothing was stored. "
            f"Set ENERGY_DEMAND_HOME or DATABASE_URL to another database for {kind} data"
        )


def _revision(connection: sa.Connection) -> str | None:
    if connection.scalar(sa.text("SELECT to_regclass('alembic_version')")) is None:
        return None
    revision: str | None = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
    return revision


def _alembic_config() -> Config:
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config


@contextmanager
def _plain_errors(label: str) -> Iterator[None]:
    try:
        yield
    except (OperationalError, psycopg.OperationalError) as error:
        original = error.orig if isinstance(error, OperationalError) else error  # COPY is psycopg's own
        reason = (str(original).strip().splitlines() or ["no reason given"])[0]
        raise DatabaseUnavailableError(
            f"cannot use the database {label}: {reason}; stored data is unchanged. "
            "Check that the server runs and that DATABASE_URL is right"
        ) from error
