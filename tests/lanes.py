"""The lanes of the suite, set by fixtures, and the seconds that each file may take.

`make check` runs what needs no process, no socket and no fit; `make test` runs everything. A test asks for
what it starts by a fixture: `processes` (a database, a server, a browser, a command) or `fits` (a model is
trained). A test that starts a process without asking fails, so that a lane is always what it says.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ASKS = ("processes", "fits")
BUDGET = Path(__file__).with_name("budget.json")
# Machines differ, and what a session shares counts for the file that asks first.
TOLERANCE, LEAST_SECONDS = 1.5, 5.0
_STARTS = {"subprocess.Popen", "os.fork", "os.posix_spawn"}
_CONNECTS = {"socket.connect", "socket.bind"}

_allowed = True  # outside of tests: collection, and what pytest itself starts
_started: list[str] = []
_seconds: dict[str, float] = defaultdict(float)


def _watch(event: str, args: tuple[Any, ...]) -> None:
    if _allowed or len(_started) > 10:
        return
    if event in _STARTS and "uname" not in str(args[0]):  # how a library learns the processor
        _started.append(f"{event} {str(args[0])[-60:]}")
    elif event in _CONNECTS and isinstance(args[1], tuple):  # not a socket in a file, nor a pair
        _started.append(f"{event} {args[1]}")


sys.addaudithook(_watch)


@pytest.fixture(scope="session")
def processes() -> None:
    """Asked for by whatever starts a process or talks over a socket."""


@pytest.fixture(scope="session")
def fits() -> None:
    """Asked for by whatever trains a model."""


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Watch a test with the fixtures set up for it, so that no order of the files hides a connection."""
    global _allowed  # noqa: PLW0603  (an audit hook sees no test)
    _started.clear()
    _allowed = "processes" in getattr(item, "fixturenames", ())
    try:
        return (yield)
    finally:
        _allowed = True


@pytest.fixture(autouse=True)
def _lane() -> Iterator[None]:
    yield
    if _started:
        pytest.fail(f"this test starts something without the fixture `processes`: {_started[0]}")


def mark_lanes(items: list[pytest.Item]) -> None:
    """Give each test the markers of the fixtures that it asks for, itself or through others."""
    for item in items:
        asked = set(getattr(item, "fixturenames", ())) & set(ASKS)
        for name in asked:
            item.add_marker(getattr(pytest.mark, name))


def longest_files_first(items: list[pytest.Item]) -> None:
    """Order the files by their budget, so that no process of several is left with a long one at the end."""
    budget = json.loads(BUDGET.read_text()) if BUDGET.exists() else {}
    root = BUDGET.parents[1]
    items.sort(key=lambda item: -budget.get(item.path.relative_to(root).as_posix(), LEAST_SECONDS))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--record-budget", action="store_true", help="write the seconds of each file to budget.json"
    )


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    _seconds[report.nodeid.partition("::")[0]] += report.duration


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if hasattr(config, "workerinput") or not _seconds:
        return
    if config.getoption("--record-budget"):
        seconds = {name: round(spent, 1) for name, spent in sorted(_seconds.items())}
        BUDGET.write_text(json.dumps(seconds, indent=1) + "\n")
        terminalreporter.write_line(f"recorded: {BUDGET}")
        return
    budget = json.loads(BUDGET.read_text()) if BUDGET.exists() else {}
    over = {
        name: spent
        for name, spent in _seconds.items()
        if spent > max(TOLERANCE * budget.get(name, 0.0), LEAST_SECONDS)
    }
    if over:
        terminalreporter.section("files over their budget of seconds (tests/budget.json)")
        for name, spent in sorted(over.items(), key=lambda each: -each[1]):
            terminalreporter.write_line(f"{spent:7.1f} s, budget {budget.get(name, 0.0):7.1f} s  {name}")
