"""The embedded PostgreSQL: a real server in a folder of the project, for machines without one.

Many processes share one server: the first that needs it starts it, and it keeps running when they end. All
state is read from PostgreSQL's own files and processes, so a server, a start or an initialisation that was
killed at any time is detected and repaired. Data is never deleted, and the server listens only on 127.0.0.1
and only with a password. `embedded_host` knows the folders and the account that runs the server.
One file, because start, repair and stop share what they read of the server's files and processes.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import secrets
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import psycopg
from psycopg import sql

from energy_demand.database.embedded_host import (
    FALLBACK_BASE,
    LOCATION_FILE,
    OWNER_FILE,
    Account,
    EmbeddedServerError,
    as_root,
    file_lock,
    find_data,
    give,
    make_folders,
    may_enter,
    owner_of,
    owns,
    packaged_binaries,
    place_elsewhere,
    reachable_binaries,
    server_account,
    settle,
    take_copy,
    take_over,
    write_private,
)
from energy_demand.database.embedded_process import (
    HOST,
    STOP_SECONDS,
    clear_remains,
    find_postmaster,
    free_port,
    read_from,
    reason_in,
    shut_down,
    trim,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["EmbeddedServer", "EmbeddedServerError"]

START_SECONDS = 90
LOCK_SECONDS = START_SECONDS + STOP_SECONDS
RETRY_SECONDS = 10

# Written into postgresql.conf once, where a user may change them. What PostgreSQL does by default (fsync,
# full page writes, data checksums) stays, so that a killed server loses nothing it had committed.
SERVER_SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",  # a path in a deep folder is too long for a socket
    "max_connections": "100",
    "shared_buffers": "128MB",
    "max_wal_size": "512MB",
    "jit": "off",  # compiling costs more than our short queries
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
    "log_checkpoints": "off",
    "log_min_error_statement": "panic",  # no rows and no secrets in the log
    "log_error_verbosity": "terse",
}
# pg_ctl hands paths to a shell inside double quotes.
UNQUOTABLE = set('"$`\\\n')

_log = logging.getLogger(__name__)


class EmbeddedServer:
    """The PostgreSQL server of one `home` folder.

    Building it does nothing. `start` may be called by any number of processes at once: they share one server,
    which outlives them. The first connection a caller gets after `start` works.

    Args:
        home: Folder of everything local; the server's part is `home/postgres/`.
        superuser: Role that owns everything; the role in the URLs.
        database: Database that `start` makes sure of.
        fallback_base: Where root puts what the server's account cannot reach in `home` or the package.
    """

    def __init__(
        self,
        home: Path,
        *,
        superuser: str = "energy_demand",
        database: str = "energy_demand",
        fallback_base: Path = FALLBACK_BASE,
    ) -> None:
        self.folder = home.resolve() / "postgres"
        self.superuser = superuser
        self.database = database
        self._base = fallback_base

    @property
    def data(self) -> Path:
        """PostgreSQL's data folder: in `home`, or at the path in the `LOCATION` file."""
        return find_data(self.folder)

    @property
    def password_file(self) -> Path:
        """The generated password, readable only by the user who created the database."""
        return self.folder / "password"

    def start(self) -> None:
        """Make sure that the server runs, accepts connections and has its database.

        Raises:
            EmbeddedServerError: with what failed, why, and what to do.
        """
        with _plainly(f"The embedded database in {self.folder} cannot be started"):
            make_folders(self.folder, mode=0o755 if as_root() else 0o700)
            with self._locked():
                self._start()

    def stop(self) -> bool:
        """Shut the server down, ending its connections; False if none ran.

        Raises:
            EmbeddedServerError: if it does not end.
        """
        with _plainly(f"The embedded database in {self.folder} cannot be stopped"):
            if not self.folder.is_dir():
                return False
            with self._locked():
                return owns(self.folder, self.data) and shut_down(self.data)

    def is_running(self) -> bool:
        """Whether the server's process lives (it may still be starting)."""
        with _plainly(f"The embedded database in {self.folder} cannot be inspected"):
            return owns(self.folder, self.data) and find_postmaster(self.data) is not None

    def url(self, database: str | None = None) -> str:
        """The address for SQLAlchemy, password included: never log it.

        Raises:
            EmbeddedServerError: if the server is not running. Nothing is started.
        """
        return self._url("postgresql+psycopg", database)

    def libpq_url(self, database: str | None = None) -> str:
        """The address for psql, psycopg and pandas, password included: never log it.

        Raises:
            EmbeddedServerError: if the server is not running. Nothing is started.
        """
        return self._url("postgresql", database)

    def _url(self, scheme: str, database: str | None) -> str:
        with _plainly(f"The embedded database in {self.folder} cannot be inspected"):
            server = find_postmaster(self.data)
            if server is None or server.port is None:
                raise EmbeddedServerError(
                    f"The embedded database in {self.folder} is not running", todo="Call start() first"
                )
            user, name = quote(self.superuser, safe=""), quote(database or self.database, safe="")
            return f"{scheme}://{user}:{quote(self._password(), safe='')}@{HOST}:{server.port}/{name}"

    def _locked(self) -> contextlib.AbstractContextManager[None]:
        return file_lock(self.folder / "lock", seconds=LOCK_SECONDS)

    def _start(self) -> None:
        """Start under the lock: inspect the state, do the next necessary step, inspect again."""
        self._make_data_our_own()
        if elsewhere := place_elsewhere(self.folder, self._base):
            shut_down(elsewhere)
            settle(self.folder, elsewhere)
        for leftover in self.data.parent.glob("init-*"):  # under the lock: left by a process that was killed
            shutil.rmtree(leftover, ignore_errors=True)
        if not self.data.exists() or not any(self.data.iterdir()):
            self._initialise()
        self._check_data()

        began = time.monotonic()
        reason = "it did not respond"
        while (passed := time.monotonic() - began) < START_SECONDS:
            server = find_postmaster(self.data)
            if server is None:
                self._launch(may_fail=passed < RETRY_SECONDS)
            elif server.port and not server.stopping:
                try:
                    self._ensure_database(server.port)
                except psycopg.OperationalError as error:
                    reason = reason_in(str(error))
                else:
                    trim(self.data / "server.log")
                    return
            time.sleep(0.02)
        raise EmbeddedServerError(
            f"The embedded database in {self.data} did not become ready within {START_SECONDS} s",
            reason=reason,
            kept="Its data is untouched and the server was not stopped",
            todo=f"See {self.data / 'server.log'}, or start again",
        )

    def _make_data_our_own(self) -> None:
        """After a copy or move of a folder whose data is elsewhere: never write into another one's data."""
        data = self.data
        if owns(self.folder, data):
            return
        pointer = self.folder / LOCATION_FILE
        if not data.is_dir():
            raise EmbeddedServerError(
                f"The data of the embedded database in {self.folder} is missing",
                reason=f"{pointer} says that it is in {data}, which does not exist",
                kept="Nothing was changed",
                todo=f"Copy that folder too, or delete {pointer} to start with an empty database",
            )
        if owner_of(data) is None and (data.parent / OWNER_FILE).exists():
            take_over(self.folder, data)  # the folder was moved, or its original deleted
            return
        account = server_account(data)
        if account is None:
            raise EmbeddedServerError(
                f"The embedded database in {self.folder} is a copy without data of its own",
                kept="Nothing was changed",
                todo="Run as root once, which gives the copy its own data",
            )
        if find_postmaster(data):
            raise EmbeddedServerError(
                f"The embedded database in {self.folder} cannot get its own copy of {data}",
                reason="the original still runs",
                kept="Nothing was changed",
                todo="Stop the original (`energy-demand db stop` with its ENERGY_DEMAND_HOME), start again",
            )
        take_copy(self.folder, data, self._base, account)

    def _initialise(self) -> None:
        """Create the data folder elsewhere and rename it, so that it is complete or absent."""
        room = self.data.parent
        make_folders(room, mode=0o755)
        if self.data.exists():
            self.data.rmdir()
        if not self.password_file.exists():
            write_private(self.password_file, secrets.token_urlsafe(32))
        account = server_account(self.data)
        workshop = Path(tempfile.mkdtemp(prefix="init-", dir=room))
        try:
            write_private(workshop / "pwfile", self._password())
            if account:
                os.chown(workshop / "pwfile", account.uid, account.gid)
                os.chown(workshop, account.uid, account.gid)
            done = self._run(
                "initdb",
                f"--pgdata={workshop / 'data'}",
                f"--username={self.superuser}",
                f"--pwfile={workshop / 'pwfile'}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                # PostgreSQL's own C.UTF-8: the same sort order on every system.
                *("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
                "--no-instructions",
                *(f"--set={name}={value}" for name, value in SERVER_SETTINGS.items()),
                account=account,
                cwd=workshop,
            )
            if done.returncode:
                raise EmbeddedServerError(
                    f"The embedded database in {room} could not be initialised",
                    reason=reason_in(done.stderr),
                    kept="Nothing was left behind",
                )
            (workshop / "data").rename(self.data)
        finally:
            shutil.rmtree(workshop, ignore_errors=True)
        _log.info("initialised an embedded database in %s", self.data)

    def _check_data(self) -> None:
        """Refuse data that this server must not touch, and give files that root copied to the account."""
        data, kept = self.data, "The data is untouched"
        account = server_account(data)
        if account and not may_enter(data.parent, account):
            raise EmbeddedServerError(
                f"The embedded database in {data} belongs to account {account.name}, "
                "which can no longer enter that folder",
                kept=kept,
                todo="Make every folder above it accessible (chmod o+x), or change ENERGY_DEMAND_HOME",
            )
        version = data / "PG_VERSION"
        if not version.is_file():
            raise EmbeddedServerError(
                f"{data} is not a database folder", kept=kept, todo="Move it away and start again"
            )
        created_by = version.read_text(encoding="utf-8").strip()
        completed = self._run("postgres", "--version", account=account, cwd=Path("/"))
        found = re.search(r"\) (\d+)", completed.stdout)
        if found is None:
            raise EmbeddedServerError(
                "The embedded PostgreSQL does not run on this machine",
                reason=reason_in(completed.stderr),
                kept=kept,
            )
        if created_by != found[1]:
            raise EmbeddedServerError(
                f"The embedded database in {data} was created by PostgreSQL {created_by}, "
                f"but PostgreSQL {found[1]} is installed",
                kept=kept,
                todo=f"Dump it with PostgreSQL {created_by} (pg_dumpall) and restore it into a new database, "
                f"or move {data} away to start with an empty one",
            )
        self._password()
        if account and data.stat().st_uid == 0:  # there is one only where root calls
            give(data, account)

    def _launch(self, *, may_fail: bool) -> None:
        """Start a server; with `may_fail`, none where another attempt can help (its port was taken)."""
        data = self.data
        clear_remains(data)
        log = data / "server.log"
        before = log.stat().st_size if log.exists() else 0
        done = self._run(
            "pg_ctl",
            "start",
            "--silent",
            "--wait",
            f"--timeout={START_SECONDS}",
            f"--pgdata={data}",
            f"--log={log}",
            f"--options=-p {free_port(data)}",
            account=server_account(data),
            cwd=data,
        )
        if done.returncode == 0 or find_postmaster(data):
            return
        messages = read_from(log, before) or done.stderr
        if may_fail and ("Address already in use" in messages or "is still in use" in messages):
            return
        raise EmbeddedServerError(
            f"The embedded database in {data} could not be started",
            reason=reason_in(messages),
            kept="Its data is untouched",
        )

    def _ensure_database(self, port: int) -> None:
        try:
            connection = psycopg.connect(
                host=HOST,
                port=port,
                user=self.superuser,
                password=self._password(),
                dbname="postgres",
                autocommit=True,
                connect_timeout=10,
                sslmode="disable",
            )
        except psycopg.OperationalError as error:
            if "password authentication failed" not in str(error):
                raise
            raise EmbeddedServerError(
                f"The embedded database does not accept the password in {self.password_file}",
                kept=f"The data in {self.data} is untouched",
                todo="Restore that file, or move the data away to start with an empty database",
            ) from None
        with connection:
            query = "SELECT 1 FROM pg_database WHERE datname = %s"
            if connection.execute(query, [self.database]).fetchone() is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(self.database)))

    def _password(self) -> str:
        password = self.password_file.read_text("utf-8").strip() if self.password_file.exists() else ""
        if not password:
            raise EmbeddedServerError(
                f"The password file of the embedded database, {self.password_file}, is missing or empty",
                kept=f"The data in {self.data} is untouched",
                todo="Restore that file, or move the data away to start with an empty database",
            )
        return password

    def _run(
        self, program: str, *arguments: str, account: Account | None, cwd: Path
    ) -> subprocess.CompletedProcess[str]:
        """Run a server program as `account`, detached from this terminal, environment and umask."""
        binaries = reachable_binaries(packaged_binaries(), account, self._base)
        for path in (binaries, self.data):
            if UNQUOTABLE & set(str(path)):
                raise EmbeddedServerError(
                    f"PostgreSQL cannot be started from {str(path)!r}",
                    reason='a folder name contains one of the characters " $ ` \\',
                    todo="Rename the folder, or set ENERGY_DEMAND_HOME to another one",
                )
        return subprocess.run(  # noqa: S603 - the package's own programs
            [binaries / program, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            cwd=cwd,
            env={"PATH": os.defpath, "LC_ALL": "C"},
            umask=0o077,
            start_new_session=True,
            timeout=START_SECONDS + 30,
            **(account.run_options if account else {}),
        )


@contextlib.contextmanager
def _plainly(what: str) -> Iterator[None]:
    """Turn failures of the system (a full disk, another user's folder) into an EmbeddedServerError."""
    try:
        yield
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EmbeddedServerError(what, reason=str(error), kept="Existing data is untouched") from error
