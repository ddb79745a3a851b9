"""The processes and the log of an embedded PostgreSQL, read from its own files and from the system.

A pid file alone proves nothing, and no process of anybody else's is ever touched.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from energy_demand.database.embedded_host import EmbeddedServerError

HOST = "127.0.0.1"
STOP_SECONDS = 60
LOG_LIMIT_BYTES = 5_000_000
LOG_KEEP_BYTES = 500_000


@dataclass(frozen=True)
class Postmaster:
    """A running server process, as its pid file describes it."""

    pid: int
    port: int | None
    stopping: bool


def find_postmaster(data: Path) -> Postmaster | None:
    """The server that lives on `data`. A pid file alone proves nothing: its process may be another's now."""
    try:
        lines = (data / "postmaster.pid").read_text("utf-8").splitlines()
    except FileNotFoundError:
        return None
    # pid, data folder, start time, port, socket folder, address, shared memory, status
    if not lines or not lines[0].isdigit() or not runs_on(int(lines[0]), data):
        return None
    port = int(lines[3]) if len(lines) > 3 and lines[3].isdigit() else None
    status = lines[7].strip() if len(lines) > 7 else "starting"
    return Postmaster(int(lines[0]), port, stopping=status == "stopping")


def runs_on(pid: int, data: Path) -> bool:
    """Whether `pid` is a process of PostgreSQL on `data`; every one of them works in that folder."""
    process = Path("/proc", str(pid))
    if Path("/proc/self").exists():
        try:
            name = (process / "comm").read_text("utf-8").strip()
            return name == "postgres" and (process / "cwd").samefile(data)
        except OSError:
            return False
    # A system without /proc; the postmaster's command line holds its folder.
    listing = subprocess.run(  # noqa: S603 - a number is its only argument
        ["ps", "-p", str(pid), "-o", "command="],  # noqa: S607 - the path of ps differs
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    return "postgres" in listing and str(data) in listing


def clear_remains(data: Path) -> None:
    """End the processes that a killed postmaster left running on `data`, and delete its pid file.

    PostgreSQL would refuse to start beside either, and would take any process with that number for a server.
    PostgreSQL cleans up shared memory itself.
    """
    began = time.monotonic()
    numbers = [int(entry.name) for entry in Path("/proc").glob("[0-9]*")]
    while orphans := [pid for pid in numbers if runs_on(pid, data)]:
        passed = time.monotonic() - began
        if passed > STOP_SECONDS:
            raise EmbeddedServerError(
                f"Processes of a dead server still use {data}",
                reason=f"they do not end: {', '.join(map(str, orphans))}",
                kept="Its data is untouched",
                todo="End them, then start again",
            )
        for pid in orphans:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGQUIT if passed < 5 else signal.SIGKILL)
        time.sleep(0.02)
    (data / "postmaster.pid").unlink(missing_ok=True)


def shut_down(data: Path) -> bool:
    """End the server on `data` and its connections, losing nothing; False if none runs.

    Raises:
        EmbeddedServerError: if it does not end in time.
    """
    server = find_postmaster(data)
    if server is None:
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(server.pid, signal.SIGINT)  # PostgreSQL's fast shutdown
    deadline = time.monotonic() + STOP_SECONDS
    while runs_on(server.pid, data):
        if time.monotonic() > deadline:
            raise EmbeddedServerError(
                f"The embedded database in {data} did not stop within {STOP_SECONDS} s",
                kept="Its data is untouched",
                todo=f"See {data / 'server.log'}, or end process {server.pid}",
            )
        time.sleep(0.02)
    return True


def free_port(data: Path) -> int:
    """The port of the last start if it is free, so that addresses stay valid; else any free one."""
    last = 0
    with contextlib.suppress(FileNotFoundError):
        if found := re.search(r'"-p" "(\d+)"', (data / "postmaster.opts").read_text("utf-8")):
            last = int(found[1])
    for port in (last, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as PostgreSQL itself binds
            try:
                probe.bind((HOST, port))
            except OSError as error:
                if error.errno != errno.EADDRINUSE or not port:
                    raise
                continue
            return int(probe.getsockname()[1])
    raise AssertionError("port 0 binds or raises")


def reason_in(text: str) -> str:
    """The reason of a failure: the last fatal lines of a log or program, without their prefixes."""
    reasons: list[str] = []
    before = ""
    for line in filter(None, map(str.strip, text.splitlines())):
        if found := re.search(r"\b(?:FATAL|PANIC|error|ERROR):\s+(.*)", line):
            # A fatal line often only reports an error, and the line before says which one.
            reasons += [
                *re.findall(r"\b(?:LOG|WARNING):\s+((?:invalid|unrec|could not|syntax).*)", before),
                found[1],
            ]
        before = line
    return "; ".join(dict.fromkeys(reasons[-3:])) or before or "no reason given"


def read_from(path: Path, offset: int) -> str:
    """The part of a log after `offset`."""
    if not path.exists():
        return ""
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(LOG_KEEP_BYTES).decode("utf-8", "replace")


def trim(log: Path) -> None:
    """Keep the log bounded; the server appends, so it continues at the new end."""
    # The folder is another account's: root must not be led by a link to a file of its own.
    try:
        descriptor = os.open(log, os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:  # the server was started by hand
        return
    with open(descriptor, "r+b") as file:  # noqa: PTH123 - a descriptor
        if file.seek(0, os.SEEK_END) <= LOG_LIMIT_BYTES:
            return
        file.seek(-LOG_KEEP_BYTES, os.SEEK_END)
        tail = file.read()
        file.seek(0)
        file.truncate()
        file.write(tail)
