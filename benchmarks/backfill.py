"""Times a backfill of ten years from the strict sandbox, its call limits off.

    .venv/bin/python benchmarks/backfill.py --json
    .venv/bin/python benchmarks/backfill.py --every-day --json   # a run of the weather model for every day
    .venv/bin/python benchmarks/backfill.py --profile            # where the time goes, on standard error

The sandbox runs in a process of its own on the same machine. Its runs of `ecmwf_ifs` begin in March 2024, as
the real ones do; with `--every-day` they are there for all ten years.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import multiprocessing
import pstats
import resource
import sys
import tempfile
import time
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from answers import answer_alone
from energy_demand.config import Settings
from energy_demand.data.ingestion.ingest import backfill_span
from energy_demand.database.embedded import EmbeddedServer
from energy_demand.database.engine import opened
from energy_demand.jobs.ingestion import run_ingestion
from energy_demand.sandbox.app import create_app
from energy_demand.sandbox.server import serving
from energy_demand.sandbox.strictness import Strictness
from energy_demand.sandbox.worlds.synthetic import SyntheticWorld

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection

FIRST, LAST = date(2016, 1, 1), date(2025, 12, 31)
NOW = datetime(2026, 1, 1, 14, tzinfo=UTC)
SHOWN = 45


def main() -> None:
    """Run it in a home of its own and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--every-day", action="store_true", help="runs of the weather model for all ten years"
    )
    parser.add_argument("--profile", action="store_true", help="print where the time goes")
    parser.add_argument("--json", action="store_true", help="print one JSON object, as without it")
    given = parser.parse_args()
    with answer_alone():
        figures = backfilled(every_day=given.every_day, profiled=given.profile)
    print(json.dumps(figures, indent=1))


def backfilled(*, every_day: bool, profiled: bool) -> dict[str, Any]:
    """The figures of one backfill, with a sandbox, a server and a home of its own."""
    profile = cProfile.Profile() if profiled else None
    with (
        tempfile.TemporaryDirectory(prefix="backfill-", ignore_cleanup_errors=True) as folder,
        sandbox(Strictness(limits=None, models=not every_day)) as address,
    ):
        Path(folder).chmod(0o755)  # PostgreSQL's account must enter it
        home = Path(folder) / "home"
        try:
            figures = measured(home, address, profile)
        finally:
            EmbeddedServer(home).stop()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)  # of the sandbox, which has ended
    figures["sandbox_cpu_seconds"] = round(used.ru_utime + used.ru_stime, 1)
    if profile is not None:
        pstats.Stats(profile, stream=sys.stderr).sort_stats("tottime").print_stats(SHOWN)
    return figures


@contextmanager
def sandbox(strict: Strictness) -> Iterator[str]:
    """A synthetic sandbox in a process of its own; yields its address."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=_serve, args=(strict, theirs), daemon=True)
    process.start()
    try:
        yield ours.recv()
    finally:
        ours.send(None)
        process.join()


def _serve(strict: Strictness, pipe: Connection) -> None:
    with serving(create_app(SyntheticWorld(seed=1), now=NOW, strict=strict)) as address:
        pipe.send(address)
        pipe.recv()


def measured(home: Path, address: str, profile: cProfile.Profile | None) -> dict[str, Any]:
    """Seconds by step, and what was stored."""
    settings = Settings(
        _env_file=None,
        sandbox_url=address,
        energy_demand_home=home,
        energy_demand_now=NOW,
        open_meteo_models="ecmwf_ifs",
    )
    ended: dict[str, float] = {}
    with opened(settings) as database:
        span = backfill_span(settings, FIRST, LAST, NOW)
        began, cpu_began = time.perf_counter(), time.process_time()

        def progress(step: str, _done: int, _total: int) -> None:
            ended[step] = time.perf_counter() - began

        if profile is not None:
            profile.enable()
        outcome = run_ingestion(database, settings, span, NOW, progress)
        if profile is not None:
            profile.disable()
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu_began
    before, by_step = 0.0, {}
    for step, at in sorted(ended.items(), key=lambda item: item[1]):
        by_step[step] = round(at - before, 1)
        before = at
    report = outcome.to_json()
    return {
        "seconds": round(seconds, 1),
        "cpu_seconds": round(cpu, 1),
        "seconds_by_step": by_step,
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3),
        "new_rows": {
            name: report[name]["new"] for name in ("demand", "daily", "weather", "forecasts", "features")
        },
        "runs_missing": report["runs_missing"],
        "runs_failed": report["runs_failed"],
        "failures": report["failures"],
    }


if __name__ == "__main__":
    main()
