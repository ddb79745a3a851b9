"""Random fault schedules over two simulated weeks of the daily jobs, each compared with a run without faults.

    .venv/bin/python benchmarks/fault_schedules.py --schedules 100 --json
    .venv/bin/python benchmarks/fault_schedules.py --seed 17 --json     # this schedule alone

A strict synthetic sandbox (missing and half runs, late, revised and withdrawn hours, an archive that fills
up; no call limits), whose present moves. Every `--every` hours `ingest` runs, and at 09:00 New York time the
scheduled forecast with a champion. A schedule draws faults of all kinds, on all paths, of all lengths from
one job to days; they end two days before the end. Each schedule begins with a copy of the same database.

Checked after each job:
- a source that failed has its error in `status`, with the time of the job, and a run that failed is on record
  as failed;
- a source that has fewer values of the trailing two weeks (but for the newest three hours, and the total of a
  day that ended less than twelve hours before) than the run
  without faults had then says so: an error that is newer than its last success, missing hours, or runs that
  are missing, incomplete or failed.
Checked at the end:
- of every day a forecast of all hours was logged as scheduled, and the actual values beside it are those of
  the run without faults;
- these tables have the same rows, from 31 days before the first job on, as the run without faults: hourly
  demand (series, period, value), daily totals (series, day, value), observed weather (site, hour, values),
  forecasts as issued (model, site, issue, hour, values), runs (model, start, status, missing and lacking
  values), flagged hours and feature rows. Not compared are the times at which a row became known or was
  written, superseded values, the source of observed weather, and the quarantine.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

os.environ.setdefault("OMP_NUM_THREADS", "1")  # the fits are small

import httpx
import sqlalchemy as sa

from answers import answer_alone
from energy_demand.call_limits import Timing
from energy_demand.columns import FEATURE_COLUMNS, WEATHER_VARIABLES
from energy_demand.config import Settings
from energy_demand.data.ingestion.demand import DAILY_WITHIN, EIA, EIA_DAILY
from energy_demand.data.ingestion.ingest import backfill_span, trailing_span
from energy_demand.data.ingestion.issued_weather import FORECASTS
from energy_demand.data.ingestion.observed_weather import ARCHIVE
from energy_demand.data.record_store import load_record
from energy_demand.database import state
from energy_demand.database.embedded import EmbeddedServer
from energy_demand.database.engine import opened
from energy_demand.evaluation.promotion import FIRST as FIRST_MODEL
from energy_demand.jobs.ingestion import run_ingestion
from energy_demand.jobs.scheduled_forecast import run_scheduled_forecast
from energy_demand.model.base.training import BaseRecipe
from energy_demand.model.stages.residual_stage import ResidualRecipe
from energy_demand.model.train import Recipe, fit
from energy_demand.model.weather.training import OutlookRecipe
from energy_demand.region import NEW_YORK
from energy_demand.registry.registry import Registry
from energy_demand.sandbox.app import create_app
from energy_demand.sandbox.faults import answers, eia, open_meteo
from energy_demand.sandbox.server import serving
from energy_demand.sandbox.strictness import Strictness
from energy_demand.sandbox.worlds.synthetic import SyntheticWorld
from energy_demand.timeaxis import ISSUE_HOUR_LOCAL, day_periods, local_day

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from energy_demand.data.ingestion.ingest import Report
    from energy_demand.database.engine import Database

FIRST_DAY = date(2024, 10, 28)
START = datetime(2025, 3, 12, 13, tzinfo=UTC)  # 09:00 in New York, three days after the clock change
FILLED = "filled_for_schedules"  # the database that is copied
QUIET = timedelta(days=2)
TRAILING, COMPARED = timedelta(days=14), timedelta(days=31)
PUBLISHED = timedelta(hours=3)
TIMEOUT_SECONDS = 3.0
RECIPE = Recipe(
    base=BaseRecipe(max_trees=15, patience=10, test_days=28, test_share=0.25),
    outlook=OutlookRecipe(guess_trees=25, correction_trees=25, issue_step=17),
    residual=ResidualRecipe(trees=40),
    warm_up_days=60,
    calibration_days=40,
    fewest_issues=20,
)

EIA_PATHS = (
    "/eia",
    "/eia/v2/electricity/rto/region-data",
    "/eia/v2/electricity/rto/daily-region-data",
)
WEATHER_PATHS = ("/archive", "/forecast", "/single-runs")
ALL_PATHS = ("/", *EIA_PATHS, *WEATHER_PATHS)
PATHS = {
    **dict.fromkeys(answers.KINDS, ALL_PATHS),
    **dict.fromkeys(eia.KINDS, EIA_PATHS),
    **dict.fromkeys(open_meteo.KINDS, WEATHER_PATHS),
    **{kind: ("/single-runs",) for kind in answers.KINDS if kind.startswith("run_missing")},
}
# A run may be away or damaged alone.
OF_A_RUN = ("run_missing", "half_run", "stream_timeout", "http_500", "truncated", "temperature_only")

_VALUES = ", ".join(f'"{name}"' for name in WEATHER_VARIABLES)
_FEATURES = ", ".join(f'"{name}"' for name in FEATURE_COLUMNS)
TABLES = {
    "raw_demand": "series, period, value FROM raw_demand WHERE period >= :since",
    "raw_demand_daily": "series, day, value FROM raw_demand_daily WHERE day >= :since",
    "raw_weather": f"site, timestamp, {_VALUES} FROM raw_weather WHERE timestamp >= :since",
    "weather_forecast": f"model, site, issued_at, timestamp, {_VALUES} FROM weather_forecast "
    "WHERE issued_at >= :since",
    "weather_run": "model, run_at, status, missing_values, lacking FROM weather_run WHERE run_at >= :since",
    "demand_flag": "period, flag, served_mwh, imputed_mwh FROM demand_flag WHERE period >= :since",
    "features": f"timestamp, lead_hours, demand_mwh, {_FEATURES} FROM features WHERE timestamp >= :since",
    "actuals of predictions": "timestamp, actual_demand FROM prediction_log",
}
_FILLED = " + ".join(f'count("{name}")' for name in WEATHER_VARIABLES)
STORED = {
    EIA: "SELECT count(*) FROM raw_demand WHERE series = 'D' AND period > :since AND period <= :until",
    EIA_DAILY: "SELECT count(*) FROM raw_demand_daily WHERE day > :since AND day < :today",
    ARCHIVE: f"SELECT {_FILLED} FROM raw_weather WHERE timestamp > :since AND timestamp <= :until",
    FORECASTS: f"SELECT {_FILLED} FROM weather_forecast WHERE issued_at > :since",
}


@dataclass(frozen=True)
class Drawn:
    """A fault of a schedule, active from job `first` to job `last`, as the sandbox is asked for it."""

    first: int
    last: int
    asked: dict[str, Any]


@dataclass
class Schedule:
    """The jobs' times, and the faults of each."""

    days: int
    every_hours: int
    faults: list[Drawn] = field(default_factory=list)

    @property
    def times(self) -> list[datetime]:
        """When the jobs run; the first and the last at 09:00 New York time."""
        steps = self.days * 24 // self.every_hours
        return [START + timedelta(hours=self.every_hours * step) for step in range(steps + 1)]

    def at(self, job: int) -> list[dict[str, Any]]:
        """What the sandbox is asked for at a job."""
        return [fault.asked for fault in self.faults if fault.first <= job <= fault.last]


def drawn(seed: int, days: int, every_hours: int) -> Schedule:
    """The schedule of a seed: every kind, path and length can come, several at once."""
    chance = random.Random(seed)
    schedule = Schedule(days, every_hours)
    times = schedule.times
    quiet = sum(moment <= times[-1] - QUIET for moment in times)
    for _ in range(chance.randint(days // 2, 2 * days)):
        kind = chance.choice(sorted(PATHS))
        first = chance.randrange(1, quiet)
        jobs = chance.choice((1, 1, 2, 4, 8, 24 * 4 // every_hours, 24 * 7 // every_hours))
        last = min(first + jobs, quiet) - 1
        moment = times[first]
        asked: dict[str, Any] = {
            "kind": kind,
            "path": chance.choice(PATHS[kind]),
            "times": chance.choice((0, 0, 1, 2, 5)),
            "every": chance.choice((1, 2, 7, 24)),
            "rows": chance.choice((1, 24, 200)),
            "variable": chance.choice(WEATHER_VARIABLES),
        }
        if kind == "slow":
            asked |= {"seconds": chance.choice((0.05, TIMEOUT_SECONDS + 0.5)), "times": 1}
        if asked["path"] == "/single-runs" and kind.startswith(OF_A_RUN) and chance.random() < 0.5:
            run = (moment - timedelta(hours=chance.choice((6, 12, 18, 24)))).replace(minute=0)
            asked["query"] = f"run={run.replace(hour=run.hour - run.hour % 6):%Y-%m-%dT%H}"
        if chance.random() < 0.4:  # hours of the answer
            start = moment - timedelta(hours=chance.choice((3, 12, 48, 200)))
            end = start + timedelta(hours=chance.choice((0, 5, 30, 100)))
            asked |= {"start": start.isoformat(), "end": end.isoformat()}
        schedule.faults.append(Drawn(first, last, asked))
    return schedule


class VirtualClock:
    """A clock that goes on where a client waits; a job sets it to its own time."""

    def __init__(self) -> None:
        self.time = START
        self._read = threading.local()
        self._lock = threading.Lock()

    def now(self) -> datetime:
        """The time, which this thread has then read."""
        with self._lock:
            self._read.at = self.time
            return self.time

    def sleep(self, seconds: float) -> None:
        """Go on to so long after this thread last read the clock, if it is not there yet."""
        with self._lock:
            self.time = max(self.time, getattr(self._read, "at", self.time) + timedelta(seconds=seconds))


@dataclass
class Outcome:
    """What a run of a schedule stored, and what was wrong with it."""

    rows: dict[str, set[str]]
    stored: list[dict[str, int]]
    problems: list[str]
    failed_sources: Counter[str]
    jobs: int


class Visitor(Protocol):
    """Looks in beside the jobs of a schedule, or does work of its own there."""

    def before_job(self, database: Database, settings: Settings, now: datetime) -> None:
        """Before the job that starts at `now`."""

    def after_job(self, database: Database, settings: Settings, now: datetime) -> None:
        """After it."""

    def at_end(self, database: Database, settings: Settings) -> None:
        """After all jobs, before the database is dropped."""


class Simulation:
    """One sandbox, one server of databases and one champion for all schedules."""

    def __init__(self, home: Path, server: EmbeddedServer, days: int, every_hours: int) -> None:
        self._home, self._server = home, server
        self._days, self._every = days, every_hours
        self._present = START
        self._address = ""
        self._admin = sa.create_engine(server.url(), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        self._numbers = 0

    @contextmanager
    def running(self) -> Iterator[Simulation]:
        """The sandbox runs, the database that is copied is filled, and a champion is registered."""
        world = SyntheticWorld(seed=1)
        app = create_app(world, now=lambda: self._present, strict=Strictness(limits=None))
        with serving(app) as self._address:
            with self._admin.connect() as connection:
                connection.exec_driver_sql(f"CREATE DATABASE {FILLED}")
            self._fill(self._settings(FILLED))
            yield self

    def run(
        self, schedule: Schedule, expected: Outcome | None = None, visitor: Visitor | None = None
    ) -> Outcome:
        """All jobs of a schedule in a database of its own, with what is expected of a run without faults."""
        self._numbers += 1
        name = f"schedule_{self._numbers}"
        with self._admin.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name} TEMPLATE {FILLED}")
            try:
                settings = self._settings(name)
                with opened(settings) as database:
                    outcome = self._run(database, settings, schedule, expected, visitor)
                    if visitor is not None:
                        visitor.at_end(database, settings)
                    return outcome
            finally:
                self._ask([])
                connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")

    def _settings(self, name: str) -> Settings:
        return Settings(
            _env_file=None,
            energy_demand_home=self._home,
            database_url=self._server.url(name),
            sandbox_url=self._address,
            http_attempts=2,
            http_backoff_seconds=0.0,
            http_timeout_seconds=TIMEOUT_SECONDS,
            publication_delay_hours=2,
            mlflow_tracking_uri=None,
        )

    def _fill(self, settings: Settings) -> None:
        last = local_day(START, settings.region.zone)
        with opened(settings) as database:
            run_ingestion(database, settings, backfill_span(settings, FIRST_DAY, last, START), START, _silent)
            record = load_record(database, settings, START)
        registry = Registry(settings)
        version = registry.register(
            fit(record, RECIPE, judge=False).forecaster,
            params={},
            metrics={"test_mape": 2.5, "test_mae": 400.0},
            started_at=START,
        )
        registry.apply_verdict(version.run_id, FIRST_MODEL)

    def _run(
        self,
        database: Database,
        settings: Settings,
        schedule: Schedule,
        expected: Outcome | None,
        visitor: Visitor | None,
    ) -> Outcome:
        registry, clock = Registry(settings), VirtualClock()
        outcome = Outcome({}, [], [], Counter(), 0)
        timing = Timing(clock.now, clock.sleep)
        for number, now in enumerate(schedule.times):
            self._present = clock.time = now
            self._ask(schedule.at(number))
            reports: list[Report] = []
            if visitor is not None:
                visitor.before_job(database, settings, now)
            try:
                if now.astimezone(settings.region.zone).hour == ISSUE_HOUR_LOCAL:
                    run_scheduled_forecast(database, registry, settings, now, _silent, timing=timing)
                else:
                    span = trailing_span(database, settings, now)
                    reports.append(
                        run_ingestion(database, settings, span, now, _silent, timing=timing).report
                    )
            except Exception as error:  # noqa: BLE001 - any end of a job but its own is a finding
                outcome.problems.append(f"{now:%m-%d %H}: a job ended with {type(error).__name__}: {error}")
            outcome.jobs += 1
            if visitor is not None:
                visitor.after_job(database, settings, now)
            self._look(database, now, reports, outcome, expected)
        outcome.rows = _rows(database)
        outcome.problems += _forecasts_missing(database, settings, schedule)
        if expected is not None:
            outcome.problems += _differences(outcome.rows, expected.rows)
        return outcome

    def _look(
        self,
        database: Database,
        now: datetime,
        reports: list[Report],
        outcome: Outcome,
        expected: Outcome | None,
    ) -> None:
        """After a job: what is stored, and whether `status` says what went wrong."""
        values = {"since": now - TRAILING, "until": now - PUBLISHED}
        values["today"] = local_day(now - DAILY_WITHIN, NEW_YORK.zone)
        with database.transaction() as connection:
            stored = {name: connection.scalar(sa.text(query), values) for name, query in STORED.items()}
            sources = {row["source"]: row for row in state.source_states(connection)}
            runs = state.run_counts(connection, NEW_YORK.respondent, now - TRAILING)
        when = f"{now:%m-%d %H}"
        for report in reports:
            outcome.failed_sources.update(report.failures.keys())
            for source in report.failures:
                row = sources.get(source)
                if row is None or row["last_error_at"] != now or not row["last_error"]:
                    outcome.problems.append(f"{when}: {source} failed, and status does not say so")
            if report.runs_failed and not runs.get("failed") and FORECASTS not in report.failures:
                # One that was fetched within the same job is whole again.
                outcome.problems.append(f"{when}: {report.runs_failed} runs failed without a record")
        if expected is not None:
            then = expected.stored[len(outcome.stored)]
            outcome.problems += [
                f"{when}: {source} has {stored[source]} of {then[source]} values, and status does not say so"
                for source in STORED
                if stored[source] < then[source] and not _is_visible(source, sources.get(source), runs)
            ]
        outcome.stored.append(stored)

    def _ask(self, faults: list[dict[str, Any]]) -> None:
        """Make these the sandbox's faults."""
        httpx.delete(f"{self._address}/sandbox/faults").raise_for_status()
        for fault in faults:
            httpx.post(f"{self._address}/sandbox/faults", json=fault).raise_for_status()


def _is_visible(source: str, row: dict[str, Any] | None, runs: dict[str, int]) -> bool:
    if row is None:
        return False
    failed_at, succeeded_at = row["last_error_at"], row["last_success_at"]
    if failed_at is not None and (succeeded_at is None or failed_at >= succeeded_at):
        return True
    if source == FORECASTS:
        return any(count for status, count in runs.items() if status != "complete")
    return bool(row["missing_hours"])


def _rows(database: Database) -> dict[str, set[str]]:
    with database.transaction() as connection:
        return {
            name: {
                "|".join(map(str, row))
                for row in connection.execute(sa.text(f"SELECT {query}"), {"since": START - COMPARED})
            }
            for name, query in TABLES.items()
        }


def _differences(found: dict[str, set[str]], expected: dict[str, set[str]]) -> list[str]:
    return [
        f"{name}: {len(expected[name] - rows)} rows are not there or differ, {len(rows - expected[name])} "
        f"are there instead, e.g. {sorted(expected[name] ^ rows)[:2]}"
        for name, rows in found.items()
        if rows != expected[name]
    ]


def _forecasts_missing(database: Database, settings: Settings, schedule: Schedule) -> list[str]:
    zone = settings.region.zone
    query = sa.text("SELECT timestamp FROM prediction_log WHERE source = 'scheduled'")
    with database.transaction() as connection:
        logged = Counter(connection.scalars(query))
    mornings = [now for now in schedule.times if now.astimezone(zone).hour == ISSUE_HOUR_LOCAL]
    wanted = {
        hour.to_pydatetime()
        for now in mornings
        for hour in day_periods(local_day(now, zone) + timedelta(days=1), zone)
    }
    if set(logged) == wanted and set(logged.values()) == {1}:
        return []
    return [f"forecasts: {len(wanted - set(logged))} of {len(wanted)} hours are not logged as scheduled"]


def _silent(_step: str, _done: int, _total: int) -> None:
    pass


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@contextmanager
def simulation(folder: Path, days: int, every_hours: int) -> Iterator[Simulation]:
    """A simulation with an embedded server of its own in `folder`, which every account may enter."""
    server = EmbeddedServer(folder / "server")
    server.start()
    try:
        engine = sa.create_engine(server.url(), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql("ALTER SYSTEM SET fsync = off")
            connection.exec_driver_sql("SELECT pg_reload_conf()")
        engine.dispose()
        with Simulation(folder / "home", server, days, every_hours).running() as simulated:
            yield simulated
    finally:
        server.stop()


def measured(
    simulated: Simulation,
    seeds: list[int],
    days: int,
    every_hours: int,
    tell: Callable[[str], None] = lambda _line: None,
    minutes: float = float("inf"),
) -> dict[str, Any]:
    """The schedules against the run without faults, as many as begin within so many minutes."""
    began = time.perf_counter()
    expected = simulated.run(Schedule(days, every_hours))
    tell(f"without faults: {time.perf_counter() - began:.0f} s, {expected.problems or 'as it should be'}")
    wrong: dict[int, list[str]] = {0: expected.problems} if expected.problems else {}
    drawn_kinds: Counter[str] = Counter()
    failed_sources: Counter[str] = Counter()
    jobs = 0
    done: list[int] = []
    for seed in seeds:
        if time.perf_counter() - began > 60 * minutes:
            break
        done.append(seed)
        schedule = drawn(seed, days, every_hours)
        drawn_kinds.update(fault.asked["kind"] for fault in schedule.faults)
        outcome = simulated.run(schedule, expected)
        failed_sources.update(outcome.failed_sources)
        jobs += outcome.jobs
        if outcome.problems:
            wrong[seed] = outcome.problems
        tell(f"seed {seed}: {len(schedule.faults)} faults, {len(outcome.problems)} problems")
        for problem in outcome.problems[:12]:
            tell(f"    {problem[:400]}")
    return {
        "ok": not wrong,
        "schedules": len(done),
        "seeds": done,
        "days": days,
        "every_hours": every_hours,
        "jobs": jobs,
        "faults": sum(drawn_kinds.values()),
        "kinds": len(drawn_kinds),
        "kinds_never_drawn": sorted(set(PATHS) - set(drawn_kinds)),
        "jobs_with_failed_source": dict(failed_sources),
        "failing_seeds": sorted(wrong),
        "problems": {str(seed): problems[:12] for seed, problems in wrong.items()},
        "seconds": round(time.perf_counter() - began, 1),
    }


def main() -> None:
    """Run the schedules and print one object; fail where one of them ended otherwise than without faults."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--schedules", type=int, default=100, help="how many; seeds from --first on")
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--seed", type=int, help="this seed alone")
    parser.add_argument("--days", type=int, default=14, help="days that are simulated")
    parser.add_argument("--every", type=int, default=6, help="hours between two jobs; a divisor of 24")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no schedule after them")
    parser.add_argument("--json", action="store_true", help="print one JSON object, as without it")
    given = parser.parse_args()
    seeds = list(range(given.first, given.first + given.schedules)) if given.seed is None else [given.seed]
    logging.disable(logging.ERROR)  # of faults that are wanted
    folder = Path(tempfile.mkdtemp(prefix="fault-schedules-"))
    folder.chmod(0o755)  # PostgreSQL's account must enter it
    try:
        with answer_alone(), simulation(folder, given.days, given.every) as simulated:
            figures = measured(simulated, seeds, given.days, given.every, _tell, given.minutes)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(figures, indent=1))
    sys.exit(0 if figures["ok"] else 1)


if __name__ == "__main__":
    main()
