"""Speed of scenarios: GET /forecast?scenario=…, one after the other, and what predictions notice meanwhile.

    .venv/bin/python benchmarks/scenario_serving.py [--json] [--home DIR] [--now TIME] [--requests N]

Starts a service on a copy of the home, whose database it fills nothing into. Without `--home` it makes the
demo's first. `one` to `five` are scenarios of so many quantities, each request with other values; `post` is
weather of one's own for every hour. `first` is the first scenario of all, which makes the forecast that those
of the next minute stand beside; `forecast` is GET /forecast without a scenario. Milliseconds.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import subprocess
import tempfile
import threading
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np

from answers import answer_alone
from energy_demand.serving.schemas import EXAMPLE
from load_client import Load, post, run_load
from processes import BIN, service, started, trained, until_ready

if TYPE_CHECKING:
    from collections.abc import Callable

HOURS = 48
DAYS = ("workday", "saturday", "sunday", "holiday")
QUANTITIES: tuple[Callable[[random.Random], str], ...] = (
    lambda chance: f"temperature{chance.uniform(-20, 20):+.1f}",
    lambda chance: f"cloud={chance.randrange(101)}",
    lambda chance: f"day={chance.choice(DAYS)}",
    lambda chance: f"humidity{chance.uniform(-30, 30):+.1f}",
    lambda chance: f"wind{chance.uniform(-20, 20):+.1f}",
)
KINDS = {"one": 1, "two": 2, "three": 3, "five": 5}


def measured(arguments: argparse.Namespace) -> dict[str, Any]:
    """All figures."""
    with contextlib.ExitStack() as stack:
        logs = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        champion = arguments.home or trained(stack, logs)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.chmod(0o755)
        home = folder / "home"
        shutil.copytree(champion, home)
        environment = {
            **os.environ,
            "ENERGY_DEMAND_HOME": str(home),
            "ENERGY_DEMAND_NOW": arguments.now,
            "OMP_NUM_THREADS": "1",
        }
        stop = [str(BIN / "energy-demand"), "db", "stop"]
        stack.callback(subprocess.run, stop, env=environment, check=False)
        port = stack.enter_context(started(service(), environment, logs / "service"))
        until_ready(port)
        client = stack.enter_context(httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60))
        return asked(client, port, arguments)


def asked(client: httpx.Client, port: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """All figures of a running service."""
    chance = random.Random(1)
    address = f"/forecast?hours={HOURS}"
    body: dict[str, Any] = {"hours": HOURS, "requests": arguments.requests, "nice": os.nice(0)}
    client.get(address).raise_for_status()  # what is loaded once is loaded

    def get(count: int) -> Callable[[], httpx.Response]:
        return lambda: client.get(
            address, params={"scenario": ",".join(make(chance) for make in QUANTITIES[:count])}
        )

    body["first"] = milliseconds(get(1), 1)["p50"]
    body["forecast"] = milliseconds(lambda: client.get(address), arguments.requests)
    for name, count in KINDS.items():
        body[name] = milliseconds(get(count), arguments.requests)
    begin = datetime.fromisoformat(arguments.now)

    def weather() -> httpx.Response:
        rows = [
            {
                "period": (begin + timedelta(hours=lead)).isoformat(),
                "temperature": round(chance.uniform(15, 35), 1),
                "cloud_cover": chance.randrange(101),
            }
            for lead in range(1, HOURS + 1)
        ]
        return client.post(address, json={"weather": rows})

    body["post"] = milliseconds(weather, arguments.requests)
    row = post(port, "/predict", json.dumps(EXAMPLE).encode())
    body["predict_alone"] = of_load(run_load(port, row, connections=2, seconds=arguments.seconds))
    stopped = threading.Event()

    def keep_asking() -> None:
        while not stopped.is_set():
            get(3)()

    thread = threading.Thread(target=keep_asking)
    thread.start()
    body["predict_beside"] = of_load(run_load(port, row, connections=2, seconds=arguments.seconds))
    stopped.set()
    thread.join()
    return body


def milliseconds(ask: Callable[[], httpx.Response], count: int) -> dict[str, float]:
    """Percentiles of so many answers."""
    taken = []
    for _ in range(count):
        began = time.perf_counter()
        ask().raise_for_status()
        taken.append(1000 * (time.perf_counter() - began))
    return {f"p{percent}": round(float(np.percentile(taken, percent)), 1) for percent in (50, 95, 99)}


def of_load(load: Load) -> dict[str, float]:
    """Rate and percentiles of predictions."""
    return {
        "rps": round(load.per_second, 1),
        **{f"p{percent}": round(load.percentile_ms(percent), 2) for percent in (50, 99)},
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="one JSON object, as it always is")
    parser.add_argument("--home", type=Path, help="ENERGY_DEMAND_HOME with a champion and data; it is copied")
    parser.add_argument("--now", default="2025-07-31T13:00:00+00:00", help="ENERGY_DEMAND_NOW")
    parser.add_argument("--requests", type=int, default=200, help="of each kind")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each load of predictions")
    arguments = parser.parse_args()
    with answer_alone():
        body = measured(arguments)
    print(json.dumps(body))


if __name__ == "__main__":
    main()
