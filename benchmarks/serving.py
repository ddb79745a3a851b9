"""Speed of the service, compared with FastAPI that computes nothing and with `mlflow models serve`.

    .venv/bin/python benchmarks/serving.py [--json] [--home DIR] [--workers N] [--seconds S]

One run, one machine, the same load on all three in turn; the median round counts. Without
`--home` it trains a champion on synthetic data first. The service runs as in production: with its log to
PostgreSQL, its request log and its metrics.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx

from answers import answer_alone
from energy_demand.model.base.booster import BOOSTER_COLUMNS
from energy_demand.serving.schemas import EXAMPLE, FeatureRow
from load_client import Load, post, run_load
from processes import BIN, service, started, trained, until_ready

MODEL_URI = "models:/energy-demand-lgbm@champion"
WARM_UP_SECONDS = 3.0


def main() -> None:
    """Measure and print."""
    arguments = _arguments()
    with answer_alone():
        loads, batch = _measured(arguments)
    _print_result(arguments, loads["service"], loads["ceiling"], loads["mlflow"], batch)


def _measured(arguments: argparse.Namespace) -> tuple[dict[str, Load], float]:
    """The typical load on each of the three, and the milliseconds of a batch."""
    with contextlib.ExitStack() as stack:
        logs = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        home = arguments.home or trained(stack, logs)
        environment = {**os.environ, "ENERGY_DEMAND_HOME": str(home), "OMP_NUM_THREADS": "1"}
        body = json.dumps(EXAMPLE).encode()

        row = FeatureRow.model_validate(EXAMPLE).values()
        table = {"dataframe_split": {"columns": list(BOOSTER_COLUMNS), "data": [row]}}
        start = stack.enter_context
        ports = {
            "ceiling": start(started(_ceiling(), environment, logs / "ceiling")),
            "service": start(started(service(arguments.workers), environment, logs / "service")),
            "mlflow": start(started(_mlflow(), environment, logs / "mlflow", path="/ping")),
        }
        requests = {
            "ceiling": post(ports["ceiling"], "/predict", body),
            "service": post(ports["service"], "/predict", body),
            "mlflow": post(ports["mlflow"], "/invocations", json.dumps(table).encode()),
        }
        until_ready(ports["service"])
        measured: dict[str, list[Load]] = {name: [] for name in ports}
        for number in range(1 + arguments.rounds):
            for name, port in ports.items():
                seconds = arguments.seconds if number else WARM_UP_SECONDS  # the first round is not counted
                load = run_load(port, requests[name], connections=arguments.connections, seconds=seconds)
                if set(load.statuses) != {200} or load.broken:
                    sys.exit(f"{name} failed: {dict(load.statuses)}, {load.broken} broken")
                if number:
                    measured[name].append(load)
        batch = _batch_ms(ports["service"])
    typical = {
        name: sorted(loads, key=lambda load: load.per_second)[len(loads) // 2]
        for name, loads in measured.items()
    }
    return typical, batch


def _print_result(
    arguments: argparse.Namespace, service: Load, ceiling: Load, mlflow: Load, batch: float
) -> None:
    body = {
        "predict_rps": round(service.per_second, 1),
        "predict_p99_ms": round(service.percentile_ms(99), 2),
        "ceiling_rps": round(ceiling.per_second, 1),
        "mlflow_rps": round(mlflow.per_second, 1),
        "batch_10000_ms": round(batch, 1),
        "connections": arguments.connections,
        "workers": arguments.workers,
    }
    if arguments.json:
        print(json.dumps(body))
        return
    for name, load in (("ceiling", ceiling), ("/predict", service), ("mlflow", mlflow)):
        print(
            f"{name:<10} {load.per_second:>8,.0f} requests/s   p50 {load.percentile_ms(50):6.2f} ms   "
            f"p99 {load.percentile_ms(99):6.2f} ms   most {load.percentile_ms(100):6.2f} ms"
        )
    print(
        f"/predict is {service.per_second / ceiling.per_second:.0%} of the ceiling, "
        f"{service.per_second / mlflow.per_second:.1f} times mlflow; a batch of 10,000 takes {batch:.0f} ms"
    )


def _batch_ms(port: int) -> float:
    """The median of nine batches of 10,000 rows, from the first byte sent to the last one read."""
    rows = [{**EXAMPLE, "temperature": 20 + number % 1000 / 100} for number in range(10_000)]
    content = json.dumps({"rows": rows}).encode()
    headers = {"Content-Type": "application/json"}
    taken = []
    with httpx.Client(timeout=30) as client:
        for _ in range(9):
            started = time.perf_counter()
            response = client.post(f"http://127.0.0.1:{port}/predict/batch", content=content, headers=headers)
            taken.append(1000 * (time.perf_counter() - started))
            if response.status_code != 200:
                sys.exit(f"the batch failed: {response.text[:200]}")
            time.sleep(0.5)  # its log is written meanwhile
    return sorted(taken)[len(taken) // 2]


def _ceiling() -> list[str]:
    """FastAPI with the same request and response schemas that computes nothing; same server, same options."""
    return [
        str(BIN / "python"), "-m", "uvicorn", "--factory", "ceiling_app:create_app", "--app-dir",
        str(Path(__file__).parent), "--no-access-log", "--loop", "uvloop", "--http", "httptools",
        "--host", "127.0.0.1", "--port", "{port}",
    ]  # fmt: skip


def _mlflow() -> list[str]:
    return [
        str(BIN / "mlflow"), "models", "serve", "--model-uri", MODEL_URI, "--env-manager", "local",
        "--host", "127.0.0.1", "--port", "{port}",
    ]  # fmt: skip


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--home", type=Path, help="ENERGY_DEMAND_HOME with a champion")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    parsed: Any = parser.parse_args()
    return parsed


if __name__ == "__main__":
    main()
