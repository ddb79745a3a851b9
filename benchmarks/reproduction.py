"""How many logged forecasts can be made again bit for bit after two weeks of jobs with faults.

    .venv/bin/python benchmarks/reproduction.py --forecasts 1000 --json

The jobs of `fault_schedules.py` run on its simulated days and with its faults: revised, withdrawn and late
hours, runs that are missing or come in halves. Beside them forecasts of 1 to 48 hours are logged at random
times: between two jobs, for past times, and 20 seconds after a job began, before it has stored anything.
At the end a random choice of what is logged, scheduled forecasts included, is made again and compared.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import sys
import tempfile
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from answers import answer_alone
from energy_demand.database.tables import prediction_log
from energy_demand.errors import UserError
from energy_demand.jobs.forecast import run_forecast
from energy_demand.jobs.reproduction import reproduce
from energy_demand.model.forecast import CHAMPION
from energy_demand.registry.registry import Registry
from fault_schedules import drawn, simulation

if TYPE_CHECKING:
    from datetime import datetime

    from energy_demand.config import Settings
    from energy_demand.database.engine import Database
    from energy_demand.jobs.reproduction import Reproduction

EVERY_HOURS = 4
OF_PAST_TIMES = 0.1


class Requests:
    """Logs forecasts beside the jobs, and makes a choice of what is logged again at the end."""

    def __init__(self, forecasts: int, jobs: int, seed: int) -> None:
        self._forecasts = forecasts
        self._each = -(-forecasts // jobs)
        self._random = random.Random(seed)
        self.results: list[Reproduction] = []
        self.during_jobs = 0
        self.refused = 0
        self.seconds: list[float] = []

    def before_job(self, database: Database, settings: Settings, now: datetime) -> None:
        """One that does not see what the job, which has begun, will store."""
        self.during_jobs += 1
        self._forecast(database, settings, now + timedelta(seconds=20))

    def after_job(self, database: Database, settings: Settings, now: datetime) -> None:
        """Some in the hours until the next job."""
        for _ in range(self._each):
            self._forecast(
                database, settings, now + timedelta(minutes=self._random.randint(1, 60 * EVERY_HOURS - 1))
            )

    def at_end(self, database: Database, settings: Settings) -> None:
        """Make a choice of them again."""
        with database.transaction() as connection:
            logged = list(connection.scalars(sa.select(prediction_log.c.request_id).distinct()))
        registry = Registry(settings)
        for request_id in self._random.sample(sorted(logged), min(self._forecasts, len(logged))):
            began = time.perf_counter()
            self.results.append(reproduce(database, registry, settings, request_id=request_id))
            self.seconds.append(time.perf_counter() - began)

    def _forecast(self, database: Database, settings: Settings, now: datetime) -> None:
        past = self._random.random() < OF_PAST_TIMES
        issued_at = now - timedelta(hours=self._random.randint(1, 48)) if past else now
        hours = self._random.randint(1, 48)
        try:
            run_forecast(database, Registry(settings), settings, issued_at, now, hours=hours)
        except UserError:
            self.refused += 1


def measured(folder: Path, forecasts: int, days: int, seed: int) -> dict[str, Any]:
    """What is printed."""
    schedule = drawn(seed, days, EVERY_HOURS)
    requests = Requests(forecasts, len(schedule.times), seed)
    with simulation(folder, days, EVERY_HOURS) as simulated:
        simulated.run(schedule, visitor=requests)
    results = requests.results
    return {
        "reproduced": len(results),
        "agree": sum(result.agrees for result in results),
        "all_parts_the_same": sum(set(result.parts.values()) == {"same"} for result in results),
        "jobs": len(schedule.times),
        "faults": len(schedule.faults),
        "issued_during_a_job": requests.during_jobs,
        "refused": requests.refused,
        "fallbacks": dict(Counter(result.quality for result in results if result.quality != CHAMPION)),
        "differ": [result.to_json() for result in results if not result.agrees],
        "median_seconds": round(sorted(requests.seconds)[len(requests.seconds) // 2], 3),
    }


def main() -> None:
    """Run it, and print one object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--forecasts", type=int, default=1000, help="how many are made again")
    parser.add_argument("--days", type=int, default=14, help="days that are simulated")
    parser.add_argument("--seed", type=int, default=1, help="of the faults and the requests")
    parser.add_argument("--json", action="store_true", help="print one JSON object, as without it")
    given = parser.parse_args()
    with answer_alone(), tempfile.TemporaryDirectory(prefix="reproduction-") as folder:
        logging.disable(logging.ERROR)  # of faults that are wanted
        Path(folder).chmod(0o755)  # PostgreSQL's account must enter it
        figures = measured(Path(folder), given.forecasts, given.days, given.seed)
    print(json.dumps(figures, indent=1))
    sys.exit(0 if figures["agree"] == figures["reproduced"] else 1)


if __name__ == "__main__":
    main()
