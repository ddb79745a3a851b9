"""What a check finds, and how checks are run: side by side, each with a time limit, none stopping another."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Area(StrEnum):
    """What `--only` chooses from, in the order of the table."""

    MACHINE = "machine"
    UPSTREAMS = "upstreams"
    STORES = "stores"
    SERVICES = "services"


class State(StrEnum):
    """How a check ended. Only a failure changes the exit status."""

    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"
    NOT_CHECKED = "not checked"


@dataclass(frozen=True)
class Finding:
    """One line of the table.

    Attributes:
        name: what was looked at.
        state: how it is.
        found: what was seen.
        expected: what should have been seen; may be empty where all is well.
        remedy: a command, or a sentence that says what to do; empty where nothing is to be done.
    """

    name: str
    state: State
    found: str
    expected: str = ""
    remedy: str = ""


def ok(name: str, found: str, expected: str = "") -> Finding:
    """All is well."""
    return Finding(name, State.OK, found, expected)


def warning(name: str, found: str, expected: str, remedy: str) -> Finding:
    """It works, or will soon, but a person should know."""
    return Finding(name, State.WARNING, found, expected, remedy)


def failure(name: str, found: str, expected: str, remedy: str) -> Finding:
    """It does not work."""
    return Finding(name, State.FAILURE, found, expected, remedy)


def not_checked(name: str, found: str, remedy: str = "") -> Finding:
    """There was nothing to look at, or something else has to be put right first."""
    return Finding(name, State.NOT_CHECKED, found, "", remedy)


@dataclass(frozen=True)
class Check:
    """A question with a time limit; `run` gives one line or several."""

    area: Area
    name: str
    run: Callable[[], Sequence[Finding]]
    limit_seconds: float = 20.0


@dataclass(frozen=True)
class Result:
    """A finding with the area and the seconds of its check."""

    area: Area
    finding: Finding
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """As `doctor --json` has it."""
        found = self.finding
        return {
            "area": self.area.value,
            "name": found.name,
            "ok": found.state is not State.FAILURE,
            "state": found.state.value,
            "found": found.found,
            "expected": found.expected,
            "remedy": found.remedy,
            "seconds": round(self.seconds, 3),
        }


def run_checks(checks: Sequence[Check], clean: Callable[[str], str]) -> list[Result]:
    """The results of all checks, in their order.

    A check that raises, or takes longer than its limit, becomes a failure. Its thread is left alone then: it
    ends with the process.

    Args:
        checks: what to look at.
        clean: removes secrets from a text; every text of a finding passes through it.
    """
    running = [_Running(check) for check in checks]
    return [
        Result(each.check.area, _cleaned(finding, clean), each.seconds)
        for each in running
        for finding in each.findings()
    ]


class _Running:
    def __init__(self, check: Check) -> None:
        self.check = check
        self._findings: Sequence[Finding] | None = None
        self._began = time.monotonic()
        self._ended: float | None = None
        self._thread = threading.Thread(target=self._run, name=f"doctor {check.name}", daemon=True)
        self._thread.start()

    @property
    def seconds(self) -> float:
        return (self._ended or time.monotonic()) - self._began

    def findings(self) -> Sequence[Finding]:
        limit = self.check.limit_seconds
        self._thread.join(max(0.0, self._began + limit - time.monotonic()))
        if self._findings is not None:
            return self._findings
        return [
            failure(
                self.check.name,
                f"no answer within {limit:g} s",
                f"an answer within {limit:g} s",
                "Run `energy-demand doctor` again; if it stays, look at what this line asks",
            )
        ]

    def _run(self) -> None:
        try:
            found = self.check.run()
        except Exception as error:  # noqa: BLE001  (whatever it is, it belongs into the table)
            found = [unexpected(self.check.name, error)]
        self._ended = time.monotonic()
        self._findings = found


def unexpected(name: str, error: BaseException) -> Finding:
    """The line of a check that raised: its message, on one line."""
    reason = (str(error).strip().splitlines() or [""])[0]
    known = type(error).__name__
    return failure(
        name, f"{known}: {reason}" if reason else known, "no error", "Put right what the message names"
    )


def _cleaned(finding: Finding, clean: Callable[[str], str]) -> Finding:
    return replace(
        finding,
        found=" ".join(clean(finding.found).split()),
        expected=" ".join(clean(finding.expected).split()),
        remedy=" ".join(clean(finding.remedy).split()),
    )


def age(seconds: float) -> str:
    """A span for people: `40 min`, `3.5 h`, `12 days`."""
    if seconds < 0:
        return f"{age(-seconds)} in the future"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.3g} h" if seconds < 72 * 3600 else f"{seconds / 86400:.0f} days"
