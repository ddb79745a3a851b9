"""Backfills 14 months from a strict sandbox with Open-Meteo's call limits, on a virtual clock.

    .venv/bin/python benchmarks/live_backfill.py --json
    .venv/bin/python benchmarks/live_backfill.py --months 22 --json   # all that `ecmwf_ifs` has

The clock is shared by the sandbox's limits and the client; it goes on only where the client waits. Reported
are the calls, their weight and how many were refused; the virtual seconds, beside those that the limits of a
minute, an hour and a day allow at best for that weight; and, of the days of the span, for how many a run
exists that was published by the hour of issue, and how many of these runs are stored whole. `ok` is whether
the bars hold: no source failed, every such run is whole, at most 5 calls refused, at most 1.3 of the best
time; the command fails where it is false.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
import threading
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from answers import answer_alone
from energy_demand.call_limits import Timing
from energy_demand.columns import WEATHER_VARIABLES
from energy_demand.config import Settings
from energy_demand.data.ingestion.ingest import backfill_span, ingest
from energy_demand.data.weather_client import RUN_DAYS
from energy_demand.database.embedded import EmbeddedServer
from energy_demand.database.engine import opened
from energy_demand.sandbox.app import create_app
from energy_demand.sandbox.open_meteo.limits import Limits
from energy_demand.sandbox.open_meteo.runs import Runs
from energy_demand.sandbox.server import serving
from energy_demand.sandbox.strictness import Strictness
from energy_demand.sandbox.worlds.synthetic import SyntheticWorld
from energy_demand.timeaxis import day_ahead_issue

if TYPE_CHECKING:
    from energy_demand.database.engine import Database

MODEL = "ecmwf_ifs"
NOW = datetime(2026, 1, 10, 14, 20, 30, tzinfo=UTC)
LAST = date(2026, 1, 9)
LIMITS = Limits()
STRICT = Strictness(limits=LIMITS)
MOST_REFUSED, MOST_OF_THE_BEST = 5, 1.3
MOST_DAYS = 4
# Sums, gusts and radiation are null at a run's own hour.
NULL_AT_FIRST = {"precipitation", "rain", "snowfall", "wind_gusts_10m", "shortwave_radiation"}
SPANS = (
    (timedelta(minutes=1), LIMITS.minute),
    (timedelta(hours=1), LIMITS.hour),
    (timedelta(days=1), LIMITS.day),
)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class VirtualClock:
    """A clock that goes on only where somebody waits. Threads that wait for the same moment wait together."""

    def __init__(self, start: datetime) -> None:
        self._now = start
        self._read = threading.local()
        self._lock = threading.Lock()

    def now(self) -> datetime:
        """The time, which this thread has then read."""
        with self._lock:
            self._read.at = self._now
            return self._now

    def sleep(self, seconds: float) -> None:
        """Go on to so long after this thread last read the clock, if it is not there yet."""
        with self._lock:
            begun = getattr(self._read, "at", self._now)
            self._now = max(self._now, begun + timedelta(seconds=seconds))


def main() -> Any:
    """Run it in a home of its own, print the figures, and return whether the bars hold."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--months", type=int, default=14, help="how far back, in months of 30.44 days")
    parser.add_argument("--json", action="store_true", help="print one JSON object, as without it")
    given = parser.parse_args()
    with answer_alone():
        figures = backfilled(given.months)
    print(json.dumps(figures, indent=1))
    return figures["ok"]


def backfilled(months: int) -> dict[str, Any]:
    """The figures of one backfill, with a sandbox, a server and a home of its own."""
    logging.basicConfig(format="%(message)s")  # the lines that say until when it waits
    clock = VirtualClock(NOW)
    app = create_app(SyntheticWorld(seed=1), now=NOW, strict=STRICT, wall=clock.now)
    with (
        tempfile.TemporaryDirectory(prefix="live-backfill-", ignore_cleanup_errors=True) as folder,
        serving(app) as address,
    ):
        Path(folder).chmod(0o755)  # PostgreSQL's account must enter it
        home = Path(folder) / "home"
        settings = Settings(
            _env_file=None,
            sandbox_url=address,
            energy_demand_home=home,
            energy_demand_now=NOW,
            open_meteo_models=MODEL,
            open_meteo_calls_per_minute=LIMITS.minute,
            open_meteo_calls_per_hour=LIMITS.hour,
            open_meteo_calls_per_day=LIMITS.day,
        )
        try:
            with opened(settings) as database:
                return measured(database, settings, clock, app.state.limits, months)
        finally:
            EmbeddedServer(home).stop()


def measured(
    database: Database, settings: Settings, clock: VirtualClock, counts: Any, months: int
) -> dict[str, Any]:
    """One unattended backfill, and what came of it."""
    first = LAST - timedelta(days=round(30.44 * months) - 1)
    began, began_at = time.perf_counter(), clock.now()
    days = 0
    while True:
        days += 1
        report = ingest(
            database,
            settings,
            backfill_span(settings, first, LAST, NOW),
            NOW,
            lambda _step, _done, _total: None,
            timing=Timing(clock.now, clock.sleep),
        )
        if days == MOST_DAYS or not any("used up" in each for each in report.failures.values()):
            break
        # The limit of a day is reached: the same command again on the next.
        clock.sleep((_end(clock.now(), timedelta(days=1)) - clock.now()).total_seconds())
    seconds = (clock.now() - began_at).total_seconds()
    best = best_seconds(began_at, counts.weight)
    expected = expected_runs(first, LAST, settings)
    whole = whole_runs(database, settings)
    stored = len(expected & whole)
    ratio = seconds / best if best else (1.0 if seconds == 0 else float("inf"))
    return {
        "first_day": first.isoformat(),
        "last_day": LAST.isoformat(),
        "calls": counts.calls,
        "weight": round(counts.weight, 1),
        "refused": counts.refused,
        "days": days,
        "virtual_seconds": round(seconds, 1),
        "best_seconds": round(best, 1),
        "ratio": round(ratio, 3),
        "runs_that_exist": len(expected),
        "runs_stored_whole": stored,
        "runs_missing": report.runs_missing,
        "runs_failed": report.runs_failed,
        "failures": report.failures,
        "real_seconds": round(time.perf_counter() - began, 1),
        "ok": not report.failures
        and stored == len(expected)
        and counts.refused <= MOST_REFUSED
        and ratio <= MOST_OF_THE_BEST,
    }


def best_seconds(start: datetime, weight: float) -> float:
    """The seconds from `start` in which the limits allow calls of this weight at the earliest."""
    now, left = start, weight
    spent = dict.fromkeys((length for length, _ in SPANS), 0.0)
    while True:
        room = min(limit - spent[length] for length, limit in SPANS)
        if left <= room:
            return (now - start).total_seconds()
        left -= room
        spent = {length: used + room for length, used in spent.items()}
        now = max(_end(now, length) for length, limit in SPANS if spent[length] >= limit)
        spent = {
            length: used if _end(now, length) == _end(now - timedelta(microseconds=1), length) else 0.0
            for length, used in spent.items()
        }


def _end(moment: datetime, length: timedelta) -> datetime:
    """The end of the clock's minute, hour or day that `moment` lies in."""
    return moment - (moment - EPOCH) % length + length


def expected_runs(first: date, last: date, settings: Settings) -> set[datetime]:
    """By the sandbox's own word: for each day, the newest run there is, published by the hour of issue."""
    runs, expected = Runs(STRICT), set()
    for number in range((last - first).days + 1):
        issue = day_ahead_issue(first + timedelta(days=number), settings.region.zone)
        newest = issue.replace(minute=0, hour=issue.hour - issue.hour % 6)
        for back in range(4):
            start = newest - timedelta(hours=6 * back)
            if (
                runs.exists(MODEL, start)
                and runs.missing(MODEL, start) is None
                and runs.published(MODEL, start) <= issue
            ):
                expected.add(start)
                break
    return expected


def whole_runs(database: Database, settings: Settings) -> set[datetime]:
    """The runs of which every hour of every site has every variable."""
    null = " OR ".join(
        f'"{name}" IS NULL' + (" AND timestamp > run_at" if name in NULL_AT_FIRST else "")
        for name in WEATHER_VARIABLES
    )
    query = sa.text(
        "SELECT run_at FROM weather_run JOIN weather_forecast USING (model, issued_at) "
        f"WHERE model = :model AND status = 'complete' AND NOT ({null}) "
        "GROUP BY run_at HAVING count(*) = :hours"
    )
    values = {"model": MODEL, "hours": 24 * RUN_DAYS * len(settings.region.sites)}
    with database.transaction() as connection:
        return set(connection.scalars(query, values))


if __name__ == "__main__":
    sys.exit(not main())
