"""Compares two checkouts of the project: that they behave alike, and how fast each answers.

    .venv/bin/python benchmarks/checkouts.py capture OUT --data ../shared/data [--checkout DIR]
    .venv/bin/python benchmarks/checkouts.py compare OUT_BEFORE OUT_AFTER
    .venv/bin/python benchmarks/checkouts.py speed DIR_BEFORE DIR_AFTER --data ../shared/data

`capture` runs one checkout's own commands on recorded data and keeps what they answer: backtests of two
months in both protocols, a training, a forecast, a replay of two months, the OpenAPI document and `--help` of
every command. `compare` prints what differs and exits with 1 where a figure does. `speed` runs both checkouts
side by side on the same data and prints the median time of a warm 48-hour forecast over HTTP and of commands,
with the ratios after / before; run it alone. Every checkout needs its own `.venv/`. Only months before the
scoring window are used.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from answers import answer_alone

if TYPE_CHECKING:
    from collections.abc import Iterator

FIRST_DAY, PRESENT = "2021-01-01", "2024-07-15T13:00Z"
BACKTEST = ("--start", "2024-05-01", "--end", "2024-06-30")
COMMANDS = (
    *(
        "backfill",
        "backtest",
        "dashboard",
        "db",
        "demo",
        "drift",
        "forecast",
        "ingest",
        "local",
        "quarantine",
    ),
    *("replay", "retrain", "rollback", "sandbox", "serve", "status", "train", "worker"),
)
# What differs between two runs of the same program.
VOLATILE = {
    "seconds",
    "seconds_per_fit",
    "training_seconds",
    "run_id",
    "database",
    "mlflow",
    "pruned",
    "report",
}
# Keys whose values are sentences.
TEXTS = (".reason", ".why")
ROUNDS, REQUESTS = 5, 20


def main() -> None:
    """Run one of the three."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    modes = parser.add_subparsers(dest="mode", required=True)
    one = modes.add_parser("capture")
    one.add_argument("out", type=Path)
    one.add_argument("--checkout", type=Path, default=Path(__file__).parents[1])
    two = modes.add_parser("compare")
    two.add_argument("before", type=Path)
    two.add_argument("after", type=Path)
    three = modes.add_parser("speed")
    three.add_argument("before", type=Path)
    three.add_argument("after", type=Path)
    for each in (one, three):
        each.add_argument("--data", type=Path, required=True, help="folder of recorded files")
    chosen = parser.parse_args()
    if chosen.mode == "capture":
        capture(chosen.checkout, chosen.out, chosen.data)
    elif chosen.mode == "compare":
        differences = compare(chosen.before, chosen.after)
        print("\n".join(differences) or "no difference")
        sys.exit(any(not line.startswith(("text: ", "added: ")) for line in differences))
    else:
        with answer_alone():
            figures = speed(chosen.before, chosen.after, chosen.data)
        print(json.dumps(figures, indent=1))


class Checkout:
    """One checkout's command in a home of its own."""

    def __init__(self, folder: Path, home: Path, sandbox: str) -> None:
        self.python = folder.resolve() / ".venv/bin/python"
        self._command = self.python.with_name("energy-demand")
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": os.environ["HOME"],
            "SANDBOX_URL": sandbox,
            "ENERGY_DEMAND_HOME": str(home),
            "ENERGY_DEMAND_NOW": PRESENT,
            "COLUMNS": "100",
            **{name: os.environ[name] for name in ("OMP_NUM_THREADS",) if name in os.environ},
        }
        self.home = home

    def run(self, *arguments: str) -> str:
        """Standard output of a command."""
        done = subprocess.run(
            [self._command, *arguments],
            env=self.environment,
            cwd=self.home,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"{' '.join(arguments)} failed: {done.stderr.strip().splitlines()[-1:]}")
        return done.stdout

    def prepare(self) -> None:
        """Store the record and train a champion."""
        self.home.mkdir(parents=True)
        self.run("backfill", "--start", FIRST_DAY, "--end", PRESENT[:10])

    @contextmanager
    def served(self) -> Iterator[str]:
        """The address of its HTTP service."""
        port, metrics_port = free_port(), free_port()
        environment = self.environment | {"API_PORT": str(port), "PROMETHEUS_PORT": str(metrics_port)}
        process = subprocess.Popen([self._command, "serve"], env=environment, stderr=subprocess.DEVNULL)
        address = f"http://127.0.0.1:{port}"
        try:
            wait_for(f"{address}/ready")
            yield address
        finally:
            process.terminate()
            process.wait()

    def stop(self) -> None:
        """Stop its database."""
        self.run("db", "stop")


def capture(folder: Path, out: Path, data: Path) -> None:
    """Everything that `compare` looks at, into a new folder."""
    out.mkdir(parents=True)
    with tempfile.TemporaryDirectory(prefix="checkout-") as scratch, sandbox(data) as address:
        Path(scratch).chmod(0o755)
        checkout = Checkout(folder, Path(scratch) / "home", address)
        for name in COMMANDS:
            (out / f"help_{name}.txt").write_text(checkout_help(checkout, name))
        checkout.prepare()
        try:
            (out / "train.json").write_text(checkout.run("train", "--json"))
            (out / "forecast.json").write_text(
                checkout.run("forecast", "--day", "tomorrow", "--explain", "--json")
            )
            (out / "status.json").write_text(checkout.run("status", "--json"))
            for protocol in ("rolling-24h", "day-ahead"):
                hours = str((out / f"{protocol}.parquet").resolve())
                (out / f"backtest_{protocol}.json").write_text(
                    checkout.run("backtest", "--protocol", protocol, *BACKTEST, "--json", "--output", hours)
                )
            (out / "replay.json").write_text(
                checkout.run("replay", "--policy", "triggered", *BACKTEST, "--json")
            )
            (out / "drift.json").write_text(checkout.run("drift", "--check-only", "--json"))
            with checkout.served() as service:
                (out / "openapi.json").write_bytes(fetch(f"{service}/openapi.json"))
        finally:
            checkout.stop()


def checkout_help(checkout: Checkout, name: str) -> str:
    """`--help` of a command; before there is a home."""
    return subprocess.run(
        [checkout.python.with_name("energy-demand"), name, "--help"],
        env=checkout.environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def compare(before: Path, after: Path) -> list[str]:
    """A line for each difference; `text: ` before those that only people read, `added: ` before new keys."""
    found = []
    for file in sorted(before.glob("*.json")):
        one, other = (json.loads((folder / file.name).read_text()) for folder in (before, after))
        for line in differing(one, other):
            text = file.stem == "openapi" or line.partition(":")[0].endswith(TEXTS)
            kind = "text: " if text else "added: " if ": absent → " in line else ""
            found.append(f"{kind}{file.stem}{line}")
    for file in sorted(before.glob("*.parquet")):
        one, other = (pd.read_parquet(folder / file.name) for folder in (before, after))
        if not one.equals(other):
            found.append(f"{file.name}: the hours differ")
    for file in sorted(before.glob("help_*.txt")):
        one, other = (options_of((folder / file.name).read_text()) for folder in (before, after))
        found += [f"{file.stem}: {each} is in one only" for each in sorted(one ^ other)]
    return found


def options_of(text: str) -> set[str]:
    """The options that a help page names."""
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text))


def differing(one: Any, other: Any, path: str = "") -> list[str]:
    """Where two JSON values differ, but for what differs from run to run."""
    if isinstance(one, dict) and isinstance(other, dict):
        keys = (set(one) | set(other)) - VOLATILE
        return [
            line
            for key in sorted(keys)
            for line in differing(one.get(key, "absent"), other.get(key, "absent"), f"{path}.{key}")
        ]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [
            line
            for number, pair in enumerate(zip(one, other, strict=True))
            for line in differing(*pair, f"{path}[{number}]")
        ]
    return [] if one == other else [f"{path}: {str(one)[:80]} → {str(other)[:80]}"]


def speed(before: Path, after: Path, data: Path) -> dict[str, Any]:
    """Medians in milliseconds and their ratios; both checkouts take turns."""
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="checkouts-") as scratch, sandbox(data) as address:
        Path(scratch).chmod(0o755)
        both = {
            name: Checkout(folder, Path(scratch) / name, address)
            for name, folder in (("before", before), ("after", after))
        }
        try:
            for each in both.values():
                each.prepare()
                each.run("train")
            commands = {
                "help": ("--help",),
                "status": ("status", "--json"),
                "forecast_tomorrow": ("forecast", "--day", "tomorrow", "--json"),
            }
            for name, arguments in commands.items():
                figures[name] = ratio(both, lambda each, a=arguments: timed(lambda: each.run(*a)), ROUNDS)
            with both["before"].served() as one, both["after"].served() as other:
                addresses = {"before": one, "after": other}
                figures["http_forecast_48h"] = ratio(
                    addresses, lambda each: timed(lambda: fetch(f"{each}/forecast?hours=48")), REQUESTS
                )
        finally:
            for each in both.values():
                each.stop()
    return figures


def ratio(both: dict[str, Any], measure: Any, rounds: int) -> dict[str, float]:
    """Medians of both, after one round that warms up, and after / before."""
    times: dict[str, list[float]] = {name: [] for name in both}
    for _ in range(rounds + 1):
        for name, each in both.items():
            times[name].append(measure(each))
    medians = {name: statistics.median(values[1:]) for name, values in times.items()}
    return {
        **{f"{name}_ms": round(1000 * value, 1) for name, value in medians.items()},
        "ratio": round(medians["after"] / medians["before"], 3),
    }


def timed(work: Any) -> float:
    """Seconds that it takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


@contextmanager
def sandbox(data: Path) -> Iterator[str]:
    """This checkout's sandbox on recorded data; its address."""
    command = Path(sys.executable).with_name("energy-demand")
    process = subprocess.Popen(
        [command, "sandbox", "--data", data, "--port", "0"], stdout=subprocess.PIPE, text=True
    )
    try:
        yield process.stdout.readline().split()[-1]
    finally:
        process.terminate()
        process.wait()


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def fetch(address: str) -> bytes:
    """The body."""
    with urllib.request.urlopen(address, timeout=60) as answer:
        return answer.read()


def wait_for(address: str) -> None:
    """Until it answers."""
    for _ in range(300):
        try:
            fetch(address)
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise SystemExit(f"{address} did not answer")


if __name__ == "__main__":
    main()
