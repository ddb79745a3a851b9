"""Throughput of `/predict` by replicas behind nginx, and what one killed under load costs.

    .venv/bin/python benchmarks/replicas.py [--json] [--home DIR] [--replicas 1 2] [--seconds S]

One run, one machine: the service without a balancer, then that many replicas behind nginx, each one process,
on one database. Then, with the most replicas, one is killed (SIGKILL) in the middle of the load. Afterwards
another one starts and logs what the killed one's journal holds. Every request has an id of its own;
`logged_twice` counts the rows beyond one for an id. Without `--home` it first trains a champion on synthetic
data.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from answers import answer_alone
from balancer import NGINX, balancer
from energy_demand.config import load_settings
from energy_demand.database.engine import opened
from energy_demand.serving.schemas import EXAMPLE
from load_client import Load, post, run_load
from processes import launched, service, trained, until_ready

if TYPE_CHECKING:
    import subprocess

BODY = json.dumps(EXAMPLE).encode()
KEY = "of-this-benchmark"  # behind a proxy the service asks for one
LOGGED_SECONDS = 60.0


def main() -> None:
    """Measure and print."""
    arguments = _arguments()
    with answer_alone():
        body = _measured(arguments)
    print(json.dumps(body) if arguments.json else json.dumps(body, indent=2))


def _measured(arguments: argparse.Namespace) -> dict[str, Any]:
    if NGINX is None:
        sys.exit("nginx is not installed; on Debian: apt-get install --no-install-recommends nginx")
    with contextlib.ExitStack() as stack:
        logs = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        home = arguments.home or trained(stack, logs)
        environment = {
            **os.environ,
            "ENERGY_DEMAND_HOME": str(home),
            "OMP_NUM_THREADS": "1",
            "API_KEY": KEY,
        }
        most = max(arguments.replicas)
        running = [_replica(stack, environment, logs / f"replica-{number}") for number in range(most)]
        ports = [port for port, _ in running]
        body: dict[str, Any] = {"direct_rps": _rate(ports[0], arguments)}
        body["replicas"] = {}
        for count in sorted(arguments.replicas):
            with balancer(ports[:count], logs) as port:
                body["replicas"][str(count)] = {"rps": _rate(port, arguments)}
        with balancer(ports, logs) as port:
            body["killed"] = _killed(stack, port, running[0][1], environment, logs, arguments)
        body["connections"] = arguments.connections
    return body


def _replica(
    stack: contextlib.ExitStack, environment: dict[str, str], log: Path
) -> tuple[int, subprocess.Popen[bytes]]:
    """A service's port and process."""
    port, process = stack.enter_context(launched(service(), environment, log))
    until_ready(port)
    return port, process


def _rate(port: int, arguments: argparse.Namespace) -> float:
    """Answers a second, the median of the rounds; the first one is not counted."""
    rates = []
    for number in range(1 + arguments.rounds):
        request = post(port, "/predict", BODY, X_API_Key=KEY)
        load = run_load(port, request, connections=arguments.connections, seconds=arguments.seconds)
        if set(load.statuses) != {200} or load.broken:
            sys.exit(f"port {port} failed: {dict(load.statuses)}, {load.broken} broken")
        if number:
            rates.append(load.per_second)
    return round(sorted(rates)[len(rates) // 2], 1)


def _killed(
    stack: contextlib.ExitStack,
    port: int,
    victim: subprocess.Popen[bytes],
    environment: dict[str, str],
    logs: Path,
    arguments: argparse.Namespace,
) -> dict[str, Any]:
    """The responses, and the rows in the log, where one replica is killed after half of the load."""
    run = uuid.uuid4().hex[:8]
    asked = 0

    def request() -> bytes:
        nonlocal asked
        asked += 1
        return post(port, "/predict", BODY, X_API_Key=KEY, X_Request_ID=f"{run}-{asked}")

    loads: list[Load] = []
    thread = threading.Thread(
        target=lambda: loads.append(
            run_load(port, request, connections=arguments.connections, seconds=2 * arguments.seconds)
        )
    )
    thread.start()
    time.sleep(arguments.seconds)
    os.killpg(victim.pid, signal.SIGKILL)
    thread.join()
    (load,) = loads
    _replica(stack, environment, logs / "again")
    rows, ids = _logged(environment, run, load.statuses[200])
    return {
        "answered": load.statuses[200],
        "failed": sum(load.statuses.values()) - load.statuses[200] + load.broken,
        "statuses": {str(status): count for status, count in load.statuses.items()},
        "cut_off": load.broken,
        "logged": ids,
        "logged_twice": rows - ids,
    }


def _logged(environment: dict[str, str], run: str, answered: int) -> tuple[int, int]:
    """Rows and ids in the log, once all answers are there or nothing more comes."""
    settings = load_settings(energy_demand_home=environment["ENERGY_DEMAND_HOME"])
    until = time.monotonic() + LOGGED_SECONDS
    with opened(settings) as database:
        while True:
            with database.transaction() as connection:
                rows, ids = connection.execute(
                    sa.text(
                        "SELECT count(*), count(DISTINCT request_id) FROM prediction_log "
                        "WHERE request_id LIKE :run"
                    ),
                    {"run": f"{run}-%"},
                ).one()
            if ids >= answered or time.monotonic() > until:
                return rows, ids
            time.sleep(1)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--home", type=Path, help="ENERGY_DEMAND_HOME with a champion")
    parser.add_argument("--replicas", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    parsed: Any = parser.parse_args()
    return parsed


if __name__ == "__main__":
    main()
