"""Speed of the exports: a year of hourly forecasts in each format, and what predictions notice meanwhile.

    .venv/bin/python benchmarks/exports.py [--json] [--home DIR] [--hours N] [--rounds N]

Fills a database of its own (embedded PostgreSQL) with the log of a service that forecast 48 hours in each of
8,760 hours, 420,480 rows with their features, and asks a service for all of them. Without `--home` it trains
a champion on synthetic data first. Of each format: seconds to the first byte and to the last, megabytes and
rows. Of the predictions: rate and p99 alone, and while one Parquet export follows the other.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import shutil
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

from answers import answer_alone
from energy_demand.config import Settings
from energy_demand.database.embedded import EmbeddedServer
from energy_demand.database.engine import open_database
from energy_demand.exports.formats import FORMATS
from energy_demand.serving.schemas import EXAMPLE
from load_client import Load, post, run_load
from processes import service, started, trained, until_ready

NOW = datetime(2026, 11, 1, 15, 0, tzinfo=UTC)
YEAR_HOURS, LEADS = 8_760, 48
FEATURES = ", ".join(f"'feature_{number}', round((random() * 1000)::numeric, 2)" for number in range(24))
ROWS: dict[str, Any] = {
    "csv": lambda body: body.count(b"\n") - 1,
    "json": lambda body: body.count(b"\n") - 1,
    "parquet": lambda body: pq.read_metadata(io.BytesIO(body)).num_rows,
    "arrow": lambda body: pa.ipc.open_stream(body).read_all().num_rows,
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--home", type=Path, help="ENERGY_DEMAND_HOME with a champion; it is copied")
    parser.add_argument("--hours", type=int, default=YEAR_HOURS, help="hours of issue; each has 48 rows")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each load of predictions")
    arguments = parser.parse_args()
    with answer_alone():
        measured = _measured(arguments)
    if arguments.json:
        print(json.dumps(measured))
    else:
        _print_result(measured)


def _measured(arguments: argparse.Namespace) -> dict[str, Any]:
    with contextlib.ExitStack() as stack:
        logs = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        champion = arguments.home or trained(stack, logs)
        home = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "home"
        home.mkdir()
        for folder in (home.parent, home):
            folder.chmod(0o755)
        for part in ("mlflow", "models"):
            if (champion / part).is_dir():
                shutil.copytree(champion / part, home / part)
        server = EmbeddedServer(home)
        server.start()
        stack.callback(server.stop)
        fill_seconds = _fill(home, arguments.hours)
        environment = {
            **os.environ,
            "ENERGY_DEMAND_HOME": str(home),
            "ENERGY_DEMAND_NOW": NOW.isoformat(),
            "OMP_NUM_THREADS": "1",
        }
        port = stack.enter_context(started(service(), environment, logs / "service"))
        until_ready(port)
        expected = arguments.hours * LEADS
        formats = {how: _format(port, how, arguments.rounds, expected) for how in FORMATS}
        return {
            "rows": expected,
            "fill_s": round(fill_seconds, 1),
            "formats": formats,
            "page_1000_ms": _page(port, arguments.rounds),
            "day_ahead_year_s": _day_ahead(port, arguments.rounds),
            "predictions": _predictions(port, arguments.rounds, arguments.seconds),
        }


def _fill(home: Path, hours: int) -> float:
    """Fill the empty database; seconds."""
    database = open_database(Settings(_env_file=None, energy_demand_home=home, energy_demand_now=NOW))
    began = time.perf_counter()
    given = {"now": NOW, "hours": hours}
    issues = (
        "generate_series(CAST(:now AS timestamptz) - (:hours - 1) * interval '1 hour', "
        "CAST(:now AS timestamptz), interval '1 hour')"
    )
    with database.transaction() as connection:
        connection.exec_driver_sql("SET LOCAL synchronous_commit = off")
        connection.execute(
            sa.text(
                "INSERT INTO raw_demand (respondent, series, period, value, known_at, ingested_at, "
                "origin) SELECT 'NY', 'D', h, "
                "round(15000 + 4000 * sin(extract(hour FROM h) / 24 * 2 * pi()))::float, "
                f"h + interval '2 hours', h + interval '2 hours', 'NY' FROM {issues} AS h "
                "WHERE h <= CAST(:now AS timestamptz) - interval '2 hours'"
            ),
            given,
        )
        connection.execute(
            sa.text(
                "INSERT INTO prediction_log (respondent, timestamp, issued_at, lead_hours, "
                "predicted_demand, lower_80, upper_80, lower_95, upper_95, model_version, quality, "
                "source, request_id, features_json, prediction_made_at) "
                "SELECT 'NY', i + lead * interval '1 hour', i, lead, "
                "p, p - 300, p + 300, p - 500, p + 500, '1', 'champion', 'request', 'hour ' || i, "
                f"jsonb_build_object({FEATURES}), i + interval '2 seconds' FROM ("
                "SELECT i, lead, round((15000 + 4000 * random())::numeric, 1)::float AS p "
                f"FROM {issues} AS i, generate_series(1, {LEADS}) AS lead ORDER BY i, lead) AS made"
            ),
            given,
        )
    with database.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.exec_driver_sql("VACUUM (ANALYZE)")
    database.close()
    return time.perf_counter() - began


def _whole(port: int, how: str) -> tuple[float, float, bytes]:
    """Seconds to the first byte of the body and to the last, and the body."""
    began, first, parts = time.perf_counter(), 0.0, []
    address = f"http://127.0.0.1:{port}/forecasts?format={how}&period_from=2025-10-01"
    with httpx.stream("GET", address, timeout=120) as answer:
        if answer.status_code != 200:
            sys.exit(f"{how} failed: {answer.read()[:200]!r}")
        for part in answer.iter_raw():
            first = first or time.perf_counter() - began
            parts.append(part)
    return first, time.perf_counter() - began, b"".join(parts)


def _format(port: int, how: str, rounds: int, expected: int) -> dict[str, float]:
    """The medians of a format; the first round is not counted."""
    taken = [_whole(port, how) for _ in range(rounds + 1)][1:]
    body = taken[-1][2]
    found = ROWS[how](body)
    if found != expected:
        sys.exit(f"{how} has {found:,} rows, not {expected:,}")
    return {
        "first_byte_s": round(median(first for first, _, _ in taken), 3),
        "seconds": round(median(last for _, last, _ in taken), 2),
        "mb": round(len(body) / 1e6, 1),
        "rows": found,
    }


def _page(port: int, rounds: int) -> float:
    """Milliseconds of a page of 1,000 rows as JSON."""
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        taken = []
        for _ in range(4 * rounds):
            began = time.perf_counter()
            client.get("/forecasts?limit=1000").raise_for_status()
            taken.append(1000 * (time.perf_counter() - began))
    return round(median(taken), 1)


def _day_ahead(port: int, rounds: int) -> float:
    """Seconds of a year's day-ahead series as Parquet."""
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        address = f"http://127.0.0.1:{port}/forecasts?format=parquet&days_ahead=1"
        httpx.get(address, timeout=60).raise_for_status()
        taken.append(time.perf_counter() - began)
    return round(median(taken), 2)


def _predictions(port: int, rounds: int, seconds: float) -> dict[str, float]:
    """Rate and p99 of `/predict` from 4 connections, alone and beside exports, in turn; the median rounds."""
    alone: list[Load] = []
    beside: list[Load] = []
    exports = 0
    for _ in range(rounds):
        alone.append(_load(port, seconds))
        stop = threading.Event()
        counted: list[int] = []

        def export(stop: threading.Event = stop, counted: list[int] = counted) -> None:
            while not stop.is_set():
                _whole(port, "parquet")
                counted.append(1)

        thread = threading.Thread(target=export)
        thread.start()
        beside.append(_load(port, seconds))
        stop.set()
        thread.join()
        exports += len(counted)
    return {
        "alone_rps": round(median(load.per_second for load in alone), 1),
        "alone_p50_ms": round(median(load.percentile_ms(50) for load in alone), 2),
        "alone_p99_ms": round(median(load.percentile_ms(99) for load in alone), 2),
        "beside_exports_rps": round(median(load.per_second for load in beside), 1),
        "beside_exports_p50_ms": round(median(load.percentile_ms(50) for load in beside), 2),
        "beside_exports_p99_ms": round(median(load.percentile_ms(99) for load in beside), 2),
        "exports_meanwhile": exports,
    }


def _load(port: int, seconds: float) -> Load:
    request = post(port, "/predict", json.dumps(EXAMPLE).encode())
    load = run_load(port, request, connections=4, seconds=seconds)
    if set(load.statuses) != {200} or load.broken:
        sys.exit(f"/predict failed: {dict(load.statuses)}, {load.broken} broken")
    return load


def _print_result(measured: dict[str, Any]) -> None:
    lines = [
        f"{how:<8} first byte {each['first_byte_s']:.3f} s, last {each['seconds']:.2f} s, "
        f"{each['mb']:.1f} MB, {each['rows']:,} rows"
        for how, each in measured["formats"].items()
    ]
    rates = measured["predictions"]
    lines.append(
        f"a page of 1,000 rows {measured['page_1000_ms']:.0f} ms; "
        f"a year of the day-ahead series {measured['day_ahead_year_s']:.2f} s"
    )
    lines += [
        f"/predict {when} {rates[f'{name}_rps']:,.0f} requests/s, p99 {rates[f'{name}_p99_ms']:.1f} ms"
        for name, when in (("alone", "alone"), ("beside_exports", "beside exports"))
    ]
    print("\n".join(lines))


if __name__ == "__main__":
    main()
