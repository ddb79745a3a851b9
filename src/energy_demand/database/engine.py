"""Opens the application's database: starts the embedded one where none is set, migrates, checks the stamp.

Migrations are the only creator of tables. Nothing here reads or writes a row of data but the stamp.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote

import psycopg
import sqlalchemy as sa
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
        with suppress(DatabaseUnavailableError), self.transaction() as connection:
            return work(connection)
        import stamina  # noqa: PLC0415  (a tenth of a second, and only a lost connection needs it)

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
    label = _label(url)
    if settings.database_url is None:
        label = f"embedded PostgreSQL in {settings.home} ({label})"
    # What the address asks for stays; of the options the last of a name counts, and these have to.
    options = [*_asked(url, "options"), "-c timezone=UTC"]
    connect_args: dict[str, Any] = {}
    if "connect_timeout" not in url.query:
        connect_args["connect_timeout"] = CONNECT_TIMEOUT_SECONDS
    if read_only:
        options.append("-c default_transaction_read_only=on")
    if statement_seconds is not None:
        milliseconds = int(1000 * statement_seconds)
        options.append(f"-c statement_timeout={milliseconds}")
        if "tcp_user_timeout" not in url.query:
            connect_args["tcp_user_timeout"] = milliseconds
    connect_args["options"] = " ".join(options)
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
    text = settings.database_url.get_secret_value()
    try:
        url = sa.make_url(text)
    except (sa.exc.ArgumentError, ValueError):  # e.g. a port that is not a number
        raise _invalid_url() from None
    # An @ in the password ends it for a parser: what follows would be shown as the host, name or option.
    query = text.partition("?")[2]
    if any("@" in each for each in (url.host or "", url.database or "", query)):
        raise _invalid_url()
    if not url.drivername.startswith("postgresql"):
        raise DatabaseUnavailableError(
            f"DATABASE_URL must start with postgresql://; its scheme is {url.drivername}"
        )
    _check_options(query)
    url = url.set(drivername="postgresql+psycopg")
    try:
        url.get_dialect()().create_connect_args(url)
    except sa.exc.ArgumentError:
        raise DatabaseUnavailableError(
            "DATABASE_URL: its hosts and ports do not fit together; write ?host=one:5432&host=two:5432"
        ) from None
    return url


def _invalid_url() -> DatabaseUnavailableError:
    """The refusal of an address; no part of it is shown, since any could belong to the password."""
    return DatabaseUnavailableError(
        "DATABASE_URL is not a valid URL; expected e.g. postgresql://user@host:5432/energy_demand, with "
        ":password after the user and its special characters percent-encoded (%40 for @, %2F for /)"
    )


def _check_options(query: str) -> None:
    """Refuse what follows the `?` of an address if a part of it would be dropped or not understood."""
    for part in filter(None, query.split("&")):
        name, _, value = map(unquote, part.partition("="))
        if not value or not _is_option(name, value):
            raise DatabaseUnavailableError(
                f"DATABASE_URL: {name!r} is not a connection option with a valid value; write name=value "
                "with a name of libpq, e.g. ?sslmode=require"
            )


def _is_option(name: str, value: str) -> bool:
    try:
        psycopg.conninfo.make_conninfo(**{name: value})
        psycopg.conninfo.timeout_from_conninfo({name: value})  # libpq does not read it, psycopg does
    except (ValueError, psycopg.Error):
        return False
    return True


def _asked(url: sa.URL, option: str) -> tuple[str, ...]:
    """The values of an option in the address."""
    found = url.query.get(option, ())
    return (found,) if isinstance(found, str) else found


def _label(url: sa.URL) -> str:
    """Where an address leads, for messages; the host may be among its options."""
    host = url.host or ",".join(_asked(url, "host")) or "local"
    port = url.port or ",".join(_asked(url, "port")) or 5432
    place = host if ":" in host and not url.host else f"{host}:{port}"
    return f"{place}/{url.database or ','.join(_asked(url, 'dbname'))}"


def migrate(database: Database) -> bool:
    """Migrate the tables to this version; True if anything changed.

    Raises:
        DatabaseUnavailableError: not reachable, or its tables are newer than this program.
    """
    with database.transaction() as connection:
        if _revision(connection) == newest_revision():
            return False
    from alembic import command  # noqa: PLC0415  (0.2 s, and most runs have nothing to migrate)
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


def newest_revision() -> str:
    """The version of this program's tables, read from the names of the migrations."""
    files = (Path(__file__).parent / "migrations" / "versions").glob("[0-9]*_*.py")
    return max(file.name.partition("_")[0] for file in files)


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
