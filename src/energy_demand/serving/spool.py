"""A queue of lines on disk: appended by one process, taken in order, never lost.

Each process writes into its own folder and locks it while it runs. The next process finds the folder of a
killed one, as its lock is free. A line is written completely or, at the end of a file whose process was
killed, not at all.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from io import FileIO
    from pathlib import Path

LOCK_NAME = "lock"
SUFFIX = ".jsonl"
REFUSED_SUFFIX = ".refused"


class SpoolFullError(OSError):
    """The spool is full; nothing was written."""


class Spool:
    """The waiting lines in one folder, of this process and of processes that ended.

    One thread may append while another takes; both may ask for the size.

    Args:
        folder: of all processes' spools.
        max_bytes: bound of all waiting lines in `folder`.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.folder = folder
        self._max_bytes = max_bytes
        self._mine = folder / f"{os.getpid()}-{secrets.token_hex(4)}"
        self._guard = threading.Lock()
        self._lock_file: FileIO | None = None
        self._file: FileIO | None = None
        self._number = 0

    def append(self, lines: Sequence[bytes]) -> None:
        """Add lines, each without its newline; all of them or none.

        Raises:
            SpoolFullError: the spool would exceed its bound.
            OSError: the disk is full or cannot be written.
        """
        data = b"".join(line + b"\n" for line in lines)
        if self.bytes() + len(data) > self._max_bytes:
            raise SpoolFullError(f"{self.folder} has reached its limit of {self._max_bytes:,} bytes")
        with self._guard:
            file = self._opened()
            start = os.fstat(file.fileno()).st_size
            try:
                rest = memoryview(data)
                while rest:
                    rest = rest[file.write(rest) :]
            except OSError:
                # The part that was written is removed, so that no line is partial or duplicated.
                try:
                    file.truncate(start)
                except OSError:
                    self._close()  # half a line at the end of a file is left out
                raise

    def waiting(self) -> list[Path]:
        """The files that can be taken, oldest first; the file being written is closed first."""
        with self._guard:
            # Listed before a line can be appended: a file that is being written must not be taken.
            self._close()
            found = _files(self._mine)
        for folder in self._folders():
            if folder != self._mine:
                found += self._left_in(folder)
        return [file for _written, _name, file in sorted(found)]

    def lines(self, file: Path) -> list[bytes]:
        """The whole lines of a file; the unfinished last one of a killed process is left out."""
        *whole, _unfinished = file.read_bytes().split(b"\n")
        return whole

    def done(self, file: Path) -> None:
        """Delete a file whose lines have arrived, and the folder of an ended process with its last file."""
        file.unlink(missing_ok=True)
        folder = file.parent
        if folder != self._mine and not _files(folder):
            self._remove(folder)

    def refuse(self, file: Path, lines: Sequence[bytes]) -> None:
        """Keep lines that the database refused in a file beside the spool, for inspection."""
        with (self.folder / f"{file.parent.name}-{file.stem}{REFUSED_SUFFIX}").open("ab") as kept:
            kept.write(b"".join(line + b"\n" for line in lines))

    def bytes(self) -> int:
        """The bytes waiting, of all processes."""
        total = 0
        for folder in self._folders():
            for _written, _name, file in _files(folder):
                with contextlib.suppress(FileNotFoundError):
                    total += file.stat().st_size
        return total

    def close(self) -> None:
        """Release the folder; the next process takes what waits in it."""
        with self._guard:
            self._close()
            if self._lock_file is not None:
                if not _files(self._mine):
                    self._remove(self._mine)
                self._lock_file.close()
                self._lock_file = None

    def _opened(self) -> FileIO:
        while self._lock_file is None:
            self._mine.mkdir(parents=True, exist_ok=True, mode=0o700)
            with contextlib.suppress(FileNotFoundError):  # another process removed it before it was locked
                lock = (self._mine / LOCK_NAME).open("ab", buffering=0)
                fcntl.flock(lock, fcntl.LOCK_EX)
                if os.fstat(lock.fileno()).st_nlink:
                    self._lock_file = lock
                else:
                    lock.close()
        if self._file is None:
            self._number += 1
            self._file = (self._mine / f"{self._number:09}{SUFFIX}").open("ab", buffering=0)
        return self._file

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _folders(self) -> Iterator[Path]:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            yield from [folder for folder in self.folder.iterdir() if folder.is_dir()]

    def _left_in(self, folder: Path) -> list[tuple[int, str, Path]]:
        """The files of an ended process; none while it runs. A folder without files is deleted."""
        try:
            with (folder / LOCK_NAME).open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Listed under the lock: a process that is just starting has no file before it holds it.
                files = _files(folder)
                if not files:
                    self._remove(folder)
                return files
        except (FileNotFoundError, BlockingIOError):  # deleted meanwhile; or the process runs
            return []

    @staticmethod
    def _remove(folder: Path) -> None:
        # Another process may do the same; a file added meanwhile keeps the folder.
        with contextlib.suppress(OSError):
            (folder / LOCK_NAME).unlink(missing_ok=True)
            folder.rmdir()


def _files(folder: Path) -> list[tuple[int, str, Path]]:
    """Time of writing, name and path of each waiting file; skips files that another process takes."""
    found = []
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(SUFFIX):
                with contextlib.suppress(FileNotFoundError):
                    found.append((entry.stat().st_mtime_ns, entry.name, folder / entry.name))
    return found
