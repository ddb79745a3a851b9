"""The log of every answer: off the request's path, through a spool on disk, into PostgreSQL once.

Whoever answers only puts rows into memory. Every `JOURNAL_SECONDS` one thread writes them to the spool; a
second one carries the spool into `prediction_log`, whenever the database can be reached. So an answer is in
memory alone for at most that long: what `kill -9` can lose. Where the disk does not take the lines they stay
in memory, up to `MOST_IN_MEMORY` rows, and go to the database from there; what passes that is dropped,
counted and told.
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
    """Takes rows of `prediction_log` from any thread and sees that they arrive.

    Args:
        spool: where rows wait.
        connect: opens the database, migrated; called until it works.
        most_in_memory: bound of the rows that are not on disk.
    """

    def __init__(
        self, spool: Spool, connect: Callable[[], Database], *, most_in_memory: int = MOST_IN_MEMORY
    ) -> None:
        self._spool = spool
        self._connect = connect
        self._most = most_in_memory
        self._new: deque[Lines] = deque()
        self._kept: list[bytes] = []  # lines that the disk did not take
        self._kept_guard = threading.Lock()
        self._stopping = threading.Event()
        self._journal = threading.Thread(target=self._keep_journal, name="prediction-journal", daemon=True)
        self._shipper = threading.Thread(target=self._ship_along, name="prediction-shipper", daemon=True)
        self._disk_refused = self._dropping = False
        self.written = 0
        self.dropped = 0

    def start(self) -> None:
        """Begin to take rows away."""
        self._journal.start()
        self._shipper.start()

    def add(self, lines: Lines) -> None:
        """Log rows, each a JSON object of `prediction_log`'s columns; never waits.

        A function is called later, in the journal's thread: for what takes long to write.
        """
        self._new.append(lines)

    @property
    def in_memory(self) -> int:
        """Rows that are not on disk because it does not take them."""
        return len(self._kept)

    def spool_bytes(self) -> int:
        """What waits on disk."""
        return self._spool.bytes()

    def close(self, patience_seconds: float = 5.0) -> None:
        """Write down everything; what the database does not take in time waits in the spool."""
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
                "%d predictions could be written neither to the database nor to %s and are lost",
                len(self._kept),
                self._spool.folder,
            )

    def _keep_journal(self) -> None:
        while True:
            stopping = self._stopping.wait(JOURNAL_SECONDS)
            try:
                self._write_down()
            except Exception:  # noqa: BLE001
                # The thread must live: without it every later answer would stay in memory.
                _log.exception("predictions could not be written down")
            if stopping and not self._new:
                return

    def _write_down(self) -> None:
        lines: list[bytes] = []
        while self._new:
            added = self._new.popleft()
            try:
                lines += added() if callable(added) else added
            except Exception:  # noqa: BLE001
                # It must not take with it what was collected before.
                _log.exception("predictions could not be written down")
        if not lines:
            return
        try:
            self._spool.append(lines)
        except OSError as error:
            if not self._disk_refused:
                _log.error("the spool takes no more: %s; predictions are kept in memory", error)
            self._disk_refused = True
            with self._kept_guard:
                self._kept += lines
                lost = max(0, len(self._kept) - self._most)
                del self._kept[:lost]
            if lost and not self._dropping:
                _log.error("predictions are dropped from the log: disk and database are away")
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
                    _log.warning("the database is back; the log of predictions catches up")
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
                _log.error("%s cannot be read and stays: %s", file, error)
                continue
            refused = self._insert(database, lines)
            try:
                if refused:
                    self._spool.refuse(file, refused)
            except OSError as error:  # likewise
                _log.error("%s stays, as what was refused of it cannot be kept: %s", file, error)
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
        """Log lines; gives back those that the table does not take.

        Raises:
            DatabaseUnavailableError: the database went away; any of them may be asked again.
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
                "%d predictions cannot be logged; they are kept in %s", len(refused), self._spool.folder
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
