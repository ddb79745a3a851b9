"""`kill -9` at ten points of a backfill: what is stored stays whole, the next run ends with the right rows.

A point is a place in the run and not a time of this machine's: half of them lie a moment after the run
began to write for the n-th time, the others a moment after its n-th request.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
import sqlalchemy as sa

from contents import contents
from energy_demand.locks import INGESTION_ROWS
from energy_demand.sandbox.app import create_app
from energy_demand.sandbox.server import serving
from energy_demand.sandbox.worlds.synthetic import SyntheticWorld
from support import PRESENT

if TYPE_CHECKING:
    from collections.abc import Callable

COMMAND = Path(sys.executable).with_name("energy-demand")
BACKFILL = [COMMAND, "backfill", "--start", "2025-01-10", "--end", "2025-03-12"]
# Demand, totals, observed weather, recent weather, then one forecast for each of 62 days.
REQUESTS = 66
SECONDS_A_REQUEST = 0.02
CHANCE = random.Random(3)
# The first kill strikes a database that is empty but for the writes before. The second needs requests:
# few are left where the first one struck the fifth write, which is of forecasts that are not fetched again.
POINTS = [
    (
        (write, CHANCE.uniform(0, 0.01)),
        (CHANCE.randint(1, REQUESTS - 10 if write < 5 else 30), CHANCE.uniform(0, 0.3)),
    )
    for write in range(1, 6)
]


class Counted:
    """A sandbox that counts the requests for data and says when a number is reached."""

    def __init__(self) -> None:
        self._app = create_app(SyntheticWorld(seed=1), now=PRESENT)
        self._count = 0
        self._wanted: int | None = None
        self.reached = threading.Event()

    def wait_for(self, number: int | None) -> None:
        """Count from here on; `reached` is set when that many requests have come."""
        self._count, self._wanted = 0, number
        self.reached.clear()

    @property
    def count(self) -> int:
        return self._count

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] == "http" and not scope["path"].startswith("/sandbox"):
            self._count += 1
            if self._count == self._wanted:
                self.reached.set()
        await self._app(scope, receive, send)


@pytest.fixture(scope="module")
def upstream():
    """A sandbox and its address; it takes its time, as the real ones do."""
    counted = Counted()
    with serving(counted) as address:
        slow = {"kind": "slow", "seconds": SECONDS_A_REQUEST, "times": 1_000_000}
        httpx.post(f"{address}/sandbox/faults", json=slow).raise_for_status()
        yield counted, address


@pytest.fixture(scope="module")
def shop(tmp_path_factory, new_database_url, upstream):
    """Makes the environment of a command that has a database and a home of its own."""

    def make() -> dict[str, str]:
        home = str(tmp_path_factory.mktemp("home"))
        return {
            "PATH": os.environ["PATH"],
            "HOME": home,
            "SANDBOX_URL": upstream[1],
            "ENERGY_DEMAND_HOME": home,
            "ENERGY_DEMAND_NOW": PRESENT.isoformat(),
            "DATABASE_URL": new_database_url(),
        }

    return make


@pytest.fixture(scope="module")
def undisturbed(shop, upstream):
    """What a backfill leaves that nobody kills."""
    environment = shop()
    upstream[0].wait_for(None)
    run_to_the_end(environment)
    assert upstream[0].count >= REQUESTS
    stored = contents(environment["DATABASE_URL"])
    for table in (
        "raw_demand",
        "raw_demand_daily",
        "raw_weather",
        "weather_forecast",
        "features",
        "watermark",
    ):
        assert stored[table], table
    return stored


def run_to_the_end(environment: dict[str, str]) -> None:
    done = subprocess.run(BACKFILL, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def run_and_kill(environment: dict[str, str], wait: Callable[[], bool], moment: float) -> None:
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(BACKFILL, env=environment, **quiet) as process:
        reached = wait()
        time.sleep(moment)
        process.kill()
    assert reached
    assert process.returncode == -signal.SIGKILL, "the run had ended before it was to be killed"


def wait_for_write(address: str, number: int) -> bool:
    """Until the lock that a writing ingestion holds is seen for the `number`-th time."""
    engine = sa.create_engine(address, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    query = sa.text(
        "SELECT EXISTS (SELECT 1 FROM pg_locks JOIN pg_database d ON d.oid = database WHERE granted "
        "AND locktype = 'advisory' AND objid = :lock AND datname = current_database())"
    )
    seen, held, give_up = 0, False, time.monotonic() + 30
    with engine.connect() as connection:
        while time.monotonic() < give_up:
            before, held = held, bool(connection.scalar(query, {"lock": INGESTION_ROWS}))
            seen += held and not before
            if seen == number:
                return True
            time.sleep(0.001)
    return False


def assert_whole(address: str) -> None:
    """Data and watermark change together: neither is ahead of the other."""
    newest = {
        "eia": "SELECT max(period) FROM raw_demand WHERE series = 'D'",
        "open_meteo_archive": "SELECT max(timestamp) FROM raw_weather WHERE source = 'archive'",
        "open_meteo_single_runs": "SELECT max(issued_at) FROM weather_forecast",
    }
    engine = sa.create_engine(address, isolation_level="REPEATABLE READ", poolclass=sa.NullPool)
    with engine.connect() as connection:
        marks = dict(connection.execute(sa.text("SELECT source, newest FROM watermark")).all())
        held = {source: connection.scalar(sa.text(query)) for source, query in newest.items()}
        hours = connection.execute(
            sa.text("SELECT issued_at FROM weather_forecast GROUP BY 1 HAVING count(DISTINCT site) <> 4")
        ).all()
    assert {source: marks.get(source) for source in newest} == held
    assert hours == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("write", "asked"),
    [
        pytest.param(*kills, id=f"in write {kills[0][0]}, then after request {kills[1][0]}")
        for kills in POINTS
    ],
)
def test_a_backfill_that_was_killed_ends_with_the_rows_of_an_undisturbed_one(
    shop, upstream, undisturbed, write, asked
):
    environment, sandbox = shop(), upstream[0]
    address = environment["DATABASE_URL"]
    number, moment = write
    run_and_kill(environment, lambda: wait_for_write(address, number), moment)
    assert_whole(address)
    number, moment = asked
    sandbox.wait_for(number)
    run_and_kill(environment, lambda: sandbox.reached.wait(30), moment)
    assert_whole(address)
    run_to_the_end(environment)
    assert contents(address) == undisturbed
