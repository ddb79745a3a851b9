"""Seconds, memory and database size of every job by the number of regions.

    .venv/bin/python benchmarks/scaling.py [--json] [--regions 1 4 16 60] [--days 200]

For each number, in a folder of its own: a synthetic sandbox on this machine without limits, New York and the
next regions of the catalogue, a backfill of `--days` days (the real history has years), a training of every
region, and on the next day the daily run as the schedule starts it: `forecast --scheduled` (ingest, refresh,
forecast) and `drift --check-only`, each for all regions; `ingest` runs once more before them. `features_s` is
reading a region's record and building the base booster's training rows, for all of them. Each job is the
command itself in a process of its own, imports included.

`daily_s` is the daily run: `ingest`, `forecast --scheduled` and `drift --check-only`. `peak_mb` is the most
that one process of a job took (of each: `train_mb` and so on); the database server, which works for all of
them, is not in it. `exponents` are the slopes of log seconds (MB) over log regions, by least squares; 1 is in
proportion.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa

from answers import answer_alone
from energy_demand.config import load_settings
from energy_demand.database.engine import opened
from energy_demand.region_catalogue import entries
from processes import BIN, started

NOW = datetime(2025, 3, 12, 14, 30, tzinfo=UTC)
COMMAND = str(BIN / "energy-demand")
MEASURED = (
    "backfill_s",
    "ingest_s",
    "features_s",
    "train_s",
    "forecast_all_s",
    "drift_all_s",
    "daily_s",
    "peak_mb",
    "database_mb",
)
DAILY = ("ingest_s", "forecast_all_s", "drift_all_s")
# In a process of its own, like the jobs.
FEATURES = """
from energy_demand.config import load_settings
from energy_demand.data.record_store import load_record
from energy_demand.database.engine import opened
from energy_demand.model.train import Recipe, base_rows

settings = load_settings()
with opened(settings) as database:
    for code in settings.regions:
        of = settings.for_region(code)
        base_rows(load_record(database, of, of.present()), Recipe().base, of.availability)
"""


def main() -> None:
    """Measure and print."""
    arguments = _arguments()
    with answer_alone():
        body = _measured(arguments)
    print(json.dumps(body) if arguments.json else json.dumps(body, indent=2))


def _measured(arguments: argparse.Namespace) -> dict[str, Any]:
    codes = ["NY", *(code for code, entry in entries().items() if entry.retired is None and code != "NY")]
    found: dict[str, dict[str, float]] = {}
    for count in arguments.regions:
        found[str(count)] = _with_regions(codes[:count], arguments.days)
        print(count, found[str(count)], file=sys.stderr, flush=True)
    return {"days": arguments.days, "regions": found, "exponents": _exponents(found)}


def _with_regions(codes: list[str], days: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        home.mkdir(mode=0o755)
        Path(folder).chmod(0o755)
        environment = {
            **os.environ,
            "ENERGY_DEMAND_HOME": str(home),
            "ENERGY_DEMAND_NOW": NOW.isoformat(),
            "EIA_REGIONS": ",".join(codes),
        }
        sandbox = [COMMAND, "sandbox", "--port", "{port}", "--now", (NOW + timedelta(days=2)).isoformat()]
        first, last = NOW.date() - timedelta(days=days), NOW.date() - timedelta(days=1)
        with started(sandbox, environment, Path(folder) / "sandbox", path="/") as port:
            environment["SANDBOX_URL"] = f"http://127.0.0.1:{port}"
            jobs = _Jobs(environment)
            try:
                jobs.run(
                    "backfill_s",
                    "backfill",
                    "--start",
                    str(first),
                    "--end",
                    str(last),
                )
                jobs.run("features_s", command=[sys.executable, "-c", FEATURES])
                jobs.run("train_s", "train")
                environment["ENERGY_DEMAND_NOW"] = (NOW + timedelta(days=1)).isoformat()
                jobs.run("ingest_s", "ingest")
                jobs.run("forecast_all_s", "forecast", "--scheduled")
                jobs.run("drift_all_s", "drift", "--check-only")
                database = _database_mb(environment)
            finally:
                subprocess.run([COMMAND, "db", "stop"], env=environment, check=False)
        peaks = {f"{name}_mb": peak for name, peak in jobs.peak_mb.items()}
        return {
            **jobs.seconds,
            **peaks,
            "peak_mb": max(jobs.peak_mb.values()),
            "daily_s": round(sum(jobs.seconds[name] for name in DAILY), 1),
            "database_mb": database,
        }


class _Jobs:
    """Runs commands, each once, and notes their seconds and the peak of their memory."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = environment
        self.seconds: dict[str, float] = {}
        self.peak_mb: dict[str, float] = {}

    def run(self, name: str, *arguments: str, command: list[str] | None = None) -> None:
        with tempfile.TemporaryFile() as log:
            began = time.perf_counter()
            process = subprocess.Popen(
                command or [COMMAND, *arguments], env=self._environment, stdout=log, stderr=log
            )
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            self.seconds[name] = round(time.perf_counter() - began, 1)
            self.peak_mb[name.removesuffix("_s")] = round(usage.ru_maxrss / 1024, 1)
            print(name, self.seconds[name], file=sys.stderr, flush=True)
            if process.returncode != 0:
                log.seek(0)
                sys.exit(f"{name} failed:\n{log.read().decode(errors='replace')[-3000:]}")


def _database_mb(environment: dict[str, str]) -> float:
    settings = load_settings(energy_demand_home=environment["ENERGY_DEMAND_HOME"])
    with opened(settings) as database, database.transaction() as connection:
        size = connection.scalar(sa.text("SELECT pg_database_size(current_database())"))
    return round(float(size or 0) / 2**20, 1)


def _exponents(found: dict[str, dict[str, float]]) -> dict[str, float]:
    if len(found) < 2:
        return {}
    sizes = np.log([int(count) for count in found])
    return {
        name: round(float(np.polyfit(sizes, np.log([each[name] for each in found.values()]), 1)[0]), 2)
        for name in MEASURED
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--regions", type=int, nargs="+", default=[1, 4, 16, 60])
    parser.add_argument("--days", type=int, default=200, help="of history")
    parsed: Any = parser.parse_args()
    return parsed


if __name__ == "__main__":
    main()
