"""Runs services side by side until one of them ends or the user stops them; no process is left behind.

Honcho's `Process` runs each service in its own thread and session, and Honcho's `Printer` prefixes the
lines. Honcho's `Manager` is not used: it hangs if its separate runner process is killed, and leaves all
services running if it is killed itself (docs/decisions/0003-supervision.md).

A service is its whole process group, and has ended when its last process has. A second process, the leash,
ends the groups if this process is killed and can no longer do so.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Self

import httpx
from honcho.colour import get_colours  # type: ignore[import-untyped]
from honcho.compat import ProcessManager  # type: ignore[import-untyped]
from honcho.printer import Message, Printer  # type: ignore[import-untyped]
from honcho.process import Process  # type: ignore[import-untyped]

from energy_demand.config import environment_with
from energy_demand.errors import UserError
from energy_demand.local.services import HOST, Service
from energy_demand.logs import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import FrameType

START_SECONDS = 180
STOP_SECONDS = 25  # the API answers what it has accepted for up to 20
LOOK_SECONDS = 0.25
ANSWER_SECONDS = 20.0  # a port is open before the service behind it answers
OURS = "local"

# POSIX shell: reads process groups until its input ends, which happens when the supervisor ends.
LEASH = (
    'trap "" INT TERM HUP; while read -r group; do groups="$groups -$group"; done; '
    f"kill -s TERM -- $groups; sleep {STOP_SECONDS}; kill -s KILL -- $groups"
)


class PortTakenError(UserError, OSError):
    """A port that a service needs is taken."""


class ServiceEndedError(UserError, RuntimeError):
    """A service ended on its own or did not become healthy; all others were stopped."""


@dataclass
class _Running:
    """A service and its state; `pid` is also the id of its process group."""

    service: Service
    process: Process
    started: bool = False
    pid: int | None = None
    healthy: bool = False
    asked_to_end: bool = False
    status: int | None = None


def check_ports(services: Sequence[Service]) -> None:
    """Check that every port is free, before anything is started.

    Raises:
        PortTakenError: names the first taken port and the service that needs it.
    """
    for service in services:
        for name, port in service.ports.items():
            try:
                with socket.create_server((HOST, port)):
                    pass
            except OSError as error:
                reason = os.strerror(error.errno) if error.errno else str(error)
                raise PortTakenError(
                    f"{service.name} cannot listen on {HOST}:{port}: {reason}; nothing was started. "
                    f"Free the port, or choose another with {name}"
                ) from error


class Supervisor:
    """Starts services, prints their output on standard error, and stops them.

    Used as a `with` block, in which SIGINT, SIGTERM and SIGHUP are requests to stop and interrupt nothing.

    Args:
        services: in start order; a service that is `after` another one starts once that one is healthy.
    """

    def __init__(self, services: Sequence[Service]) -> None:
        # A signal handler may put an event while the main thread is taking one.
        self._events: SimpleQueue[Message] = SimpleQueue()
        self._printer = Printer(sys.stderr, width=max(len(each.name) for each in services))
        colours = get_colours()
        self._running = {each.name: _Running(each, _process(each, next(colours))) for each in services}
        self._asked = 0
        self._deadline: float | None = None
        self._failed: str | None = None
        self._killing = False

    def __enter__(self) -> Self:
        """Take over the signals."""
        self._before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # under nohup
            self._before[signal.SIGHUP] = signal.getsignal(signal.SIGHUP)
        for each in self._before:
            signal.signal(each, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        """Restore the signal handlers."""
        for each, handler in self._before.items():
            signal.signal(each, handler)

    def run(self, when_healthy: Callable[[], None] | None) -> None:
        """Run the services until the user asks to stop; `when_healthy` is called once all are healthy.

        Raises:
            ServiceEndedError: one ended on its own or did not become healthy within `START_SECONDS`.
        """
        with _leash() as hold:
            while not self._all_over():
                if self._asked:
                    self._stop("stopping; press Ctrl-C again to kill")
                self._start_what_can()
                self._end_what_can()
                with contextlib.suppress(Empty):
                    self._handle(self._events.get(timeout=LOOK_SECONDS), hold)
                healthy = self._deadline is None and all(each.healthy for each in self._running.values())
                if when_healthy and healthy:
                    when_healthy()
                    when_healthy = None
            for each in self._running.values():
                if each.pid is not None:  # processes that closed their output but still run
                    ProcessManager().kill(each.pid)
        if self._failed:
            raise ServiceEndedError(
                f"{self._failed}; the others were stopped. See its last lines above for the reason"
            )

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        self._asked += 1
        self._events.put(Message("asked", None, datetime.now().astimezone(), OURS, None))

    def _handle(self, event: Message, hold: Callable[[int], None]) -> None:
        if event.type == "asked":
            return
        each = self._running[event.name]
        if event.type == "line":
            text = event.data.decode("utf-8", "replace").rstrip("\n")
            self._printer.write(event._replace(data=redact(text)))
        elif event.type == "start":
            each.pid = event.data["pid"]
            hold(event.data["pid"])
        elif event.type == "healthy":
            each.healthy = True
        elif event.type == "overdue":
            self._fail(f"{event.name} did not become healthy within {START_SECONDS} s")
        elif event.type == "stop":
            each.status = event.data["returncode"]
            self._fail(f"{event.name} ended with {_status(event.data['returncode'])}")

    def _fail(self, how: str) -> None:
        if self._deadline is None:
            self._failed = how
            self._stop(f"{how}; stopping the others")

    def _start_what_can(self) -> None:
        for each in self._running.values():
            before = each.service.after
            if each.started or self._deadline is not None or (before and not self._running[before].healthy):
                continue
            each.started = True
            for work, given in ((each.process.run, self._events), (self._watch, each)):
                threading.Thread(target=work, args=(given,), daemon=True).start()

    def _watch(self, each: _Running) -> None:
        """Poll a service until it reports healthy; runs in its own thread."""
        url, until = each.service.health, time.monotonic() + START_SECONDS
        answer = "healthy" if url is None else "overdue"
        with httpx.Client(trust_env=False, timeout=ANSWER_SECONDS) as client:
            while url is not None and time.monotonic() < until:
                if each.status is not None or self._deadline is not None:
                    return
                with contextlib.suppress(httpx.HTTPError):
                    if client.get(url).is_success:
                        answer = "healthy"
                        break
                time.sleep(LOOK_SECONDS)
        self._events.put(Message(answer, None, datetime.now().astimezone(), each.service.name, None))

    def _stop(self, why: str) -> None:
        if self._deadline is None:
            self._say(why)
            self._deadline = time.monotonic() + STOP_SECONDS

    def _end_what_can(self) -> None:
        """Ask services to end, dependents first; kill those that take too long."""
        if self._deadline is None:
            return
        alive = [each for each in self._running.values() if each.started and each.status is None]
        needed = {each.service.after for each in alive}
        for each in alive:
            if each.pid is not None and not each.asked_to_end and each.service.name not in needed:
                each.asked_to_end = True
                ProcessManager().terminate(each.pid)
        late = time.monotonic() > self._deadline
        if (self._asked > 1 or late) and not self._killing and all(each.pid for each in alive):
            self._killing = True
            self._say(f"killing {', '.join(each.service.name for each in alive)}")
            for each in alive:
                ProcessManager().kill(each.pid)

    def _all_over(self) -> bool:
        """Whether no service runs and none will be started."""
        return all(
            each.status is not None if each.started else self._deadline is not None
            for each in self._running.values()
        )

    def _say(self, what: str) -> None:
        self._printer.write(Message("line", what, datetime.now().astimezone(), OURS, None))


def _process(service: Service, colour: str) -> Process:
    environment = {**service.environment, "PYTHONUNBUFFERED": "1"}
    return Process(
        f"exec {shlex.join(service.argv)} < /dev/null",
        name=service.name,
        colour=colour,
        env=environment_with(environment, settings=service.ours),
        cwd=service.cwd,
    )


def _status(returncode: int) -> str:
    if returncode >= 0:
        return f"status {returncode}"
    return signal.Signals(-returncode).name


@contextmanager
def _leash() -> Iterator[Callable[[int], None]]:
    """Ends the registered process groups unless the `with` block ends normally."""
    leash = subprocess.Popen(  # noqa: S603  (a constant)
        ["/bin/sh", "-c", LEASH], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    )
    if leash.stdin is None:
        raise AssertionError("Popen was asked for a pipe")
    groups = leash.stdin

    def hold(group: int) -> None:
        groups.write(f"{group}\n".encode())
        groups.flush()

    try:
        yield hold
        leash.kill()
    finally:
        groups.close()
        if sys.exc_info()[0] is None:
            leash.wait()
