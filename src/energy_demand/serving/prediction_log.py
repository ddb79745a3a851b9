"""The log of every prediction: off the request's path, through a spool on disk, into PostgreSQL once.

The request only puts rows into memory. Every `JOURNAL_SECONDS` one thread writes them to the spool; a second
thread moves the spool into `prediction_log` whenever the database can be reached. So a prediction is only in
memory for at most that long, which is what `kill -9` can lose. If the disk refuses the lines, up to
`MOST_IN_MEMORY` rows stay in memory and go to the database from there; further rows are dropped, counted and
logged as dropped.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import deque
from typing import TYPE_CHECKING

from sqlalchemy.exc import DataError, IntegrityError

from energy_demand.database import predictions
from energy_demand.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from energy_demand.database.engine import Database
    from energy_demand.serving.spool import Spool

    Lines = Sequence[bytes] | Callable[[], Sequence[bytes]]

JOURNAL_SECONDS = 0.1
SHIP_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 15.0
LINES_AT_ONCE = 2_000
MOST_IN_MEMORY = 100_000

_log = logging.getLogger(__name__)


class PredictionLog:
    """Takes rows of `prediction_log` from any thread and delivers them.

    Args:
        spool: the queue on disk.
        connect: opens the migrated database; called until it succeeds.
        most_in_memory: bound of the rows that are not on disk.
    """

    def __init__(
        self, spool: Spool, connect: Callable[[], Database], *, most_in_memory: int = MOST_IN_MEMORY
    ) -> None:
        self._spool = spool
        self._connect = connect
        self._most = most_in_memory
        self._new: deque[Lines] = deque()
        self._kept: list[bytes] = []  # lines that the disk refused
        self._kept_guard = threading.Lock()
        self._stopping = threading.Event()
        self._journal = threading.Thread(target=self._keep_journal, name="prediction-journal", daemon=True)
        self._shipper = threading.Thread(target=self._ship_along, name="prediction-shipper", daemon=True)
        self._disk_refused = self._dropping = False
        self.written = 0
        self.dropped = 0

    def start(self) -> None:
        """Start the threads."""
        self._journal.start()
        self._shipper.start()

    def add(self, lines: Lines) -> None:
        """Log rows, each a JSON object of `prediction_log`'s columns; never waits.

        A function is called later, in the journal's thread: for rows that take long to serialise.
        """
        self._new.append(lines)

    @property
    def in_memory(self) -> int:
        """Rows in memory because the disk refused them."""
        return len(self._kept)

    def spool_bytes(self) -> int:
        """Bytes waiting on disk."""
        return self._spool.bytes()

    def close(self, patience_seconds: float = 5.0) -> None:
        """Write everything; rows that do not reach the database in time wait in the spool."""
        self._stopping.set()
        self._journal.join()
        self._shipper.join(timeout=patience_seconds)
        with self._kept_guard, contextlib.suppress(OSError):
            if self._kept:
                self._spool.append(self._kept)  # the disk may have room again
                self._kept = []
        self._spool.close()
        if self._kept:
            _log.error(
                "%d predictions are lost: neither the database nor %s could be written",
                len(self._kept),
                self._spool.folder,
            )

    def _keep_journal(self) -> None:
        while True:
            stopping = self._stopping.wait(JOURNAL_SECONDS)
            try:
                self._write_down()
            except Exception:  # noqa: BLE001
                # The thread must live: without it every later prediction would stay in memory.
                _log.exception("predictions could not be written to the spool")
            if stopping and not self._new:
                return

    def _write_down(self) -> None:
        lines: list[bytes] = []
        while self._new:
            added = self._new.popleft()
            try:
                lines += added() if callable(added) else added
            except Exception:  # noqa: BLE001
                # The lines collected before must not be lost with it.
                _log.exception("predictions could not be written to the spool")
        if not lines:
            return
        try:
            self._spool.append(lines)
        except OSError as error:
            if not self._disk_refused:
                _log.error("the spool cannot be written: %s; predictions are kept in memory", error)
            self._disk_refused = True
            with self._kept_guard:
                self._kept += lines
                lost = max(0, len(self._kept) - self._most)
                del self._kept[:lost]
            if lost and not self._dropping:
                _log.error("predictions are dropped from the log: spool and database are unavailable")
            self._dropping = self._dropping or lost > 0
            self.dropped += lost
        else:
            self._disk_refused = self._dropping = False

    def _ship_along(self) -> None:
        database: Database | None = None
        pause = SHIP_SECONDS
        away = False
        while True:
            stopping = self._stopping.wait(pause)
            if stopping:
                self._journal.join()
            try:
                database = database or self._connect()
                self._ship(database)
                pause = SHIP_SECONDS
                if away:
                    _log.warning("the database is available again; waiting predictions are being logged")
                away = False
            except UserError as error:
                if not away:
                    _log.error("predictions wait in %s: %s", self._spool.folder, error)
                away = True
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            except Exception:  # noqa: BLE001
                # The thread must live: without it nothing is ever logged again.
                _log.exception("predictions wait in %s", self._spool.folder)
                pause = LONGEST_PAUSE_SECONDS
            if stopping:
                if database is not None:
                    database.close()
                return

    def _ship(self, database: Database) -> None:
        for file in self._spool.waiting():
            try:
                lines = self._spool.lines(file)
            except FileNotFoundError:  # another process took it
                continue
            except OSError as error:  # it must not hold up the others
                _log.error("%s cannot be read and is kept: %s", file, error)
                continue
            refused = self._insert(database, lines)
            try:
                if refused:
                    self._spool.refuse(file, refused)
            except OSError as error:  # likewise
                _log.error("%s is kept, because its refused rows cannot be written: %s", file, error)
                continue
            self._spool.done(file)
        with self._kept_guard:
            kept, self._kept = self._kept, []
        try:
            refused = self._insert(database, kept)
        except BaseException:
            with self._kept_guard:
                self._kept = kept + self._kept
            raise
        if refused:
            self.dropped += len(refused)

    def _insert(self, database: Database, lines: list[bytes]) -> list[bytes]:
        """Log lines; return those that the table refuses.

        Raises:
            DatabaseUnavailableError: the connection was lost; all lines may be sent again.
        """
        refused: list[bytes] = []
        for start in range(0, len(lines), LINES_AT_ONCE):
            some = lines[start : start + LINES_AT_ONCE]
            try:
                self.written += _insert(database, some)
            except (DataError, IntegrityError, UnicodeDecodeError):
                refused += self._one_by_one(database, some)
        if refused:
            _log.error(
                "the database refused %d predictions; they are kept in %s", len(refused), self._spool.folder
            )
        return refused

    def _one_by_one(self, database: Database, lines: list[bytes]) -> list[bytes]:
        refused = []
        for line in lines:
            try:
                self.written += _insert(database, [line])
            except (DataError, IntegrityError, UnicodeDecodeError):
                refused.append(line)
        return refused


def _insert(database: Database, lines: list[bytes]) -> int:
    if not lines:
        return 0
    with database.transaction() as connection:
        return predictions.insert_prediction_lines(connection, lines)
