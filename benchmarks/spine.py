"""Times the spine on recorded data: backfill, features, training, refresh, forecast.

    .venv/bin/python benchmarks/spine.py --data ../shared/data

Prints one JSON object. Accuracy is the backtest's, see docs/accuracy.md.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from answers import answer_alone
from energy_demand.config import Settings
from energy_demand.data.feature_engineering import build_features
from energy_demand.data.record_store import load_record
from energy_demand.database.embedded import EmbeddedServer
from energy_demand.database.engine import opened
from energy_demand.jobs.forecast import run_forecast
from energy_demand.model.stages.response_features import MEMORY_HOURS, response_features
from energy_demand.registry.registry import Registry
from energy_demand.timeaxis import parse_moment

if TYPE_CHECKING:
    from energy_demand.data.record import Record
    from energy_demand.model.forecaster import Forecaster

COMMAND = Path(sys.executable).with_name("energy-demand")
PRESENT = "2024-08-01T13:00Z"  # before the scoring window: training prints scores of its last weeks


def main() -> None:
    """Run everything in a home of its own and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of recorded files")
    data = parser.parse_args().data
    with answer_alone(), tempfile.TemporaryDirectory(prefix="spine-", ignore_cleanup_errors=True) as folder:
        home = Path(folder) / "home"
        sandbox = subprocess.Popen(
            [COMMAND, "sandbox", "--data", data, "--port", "0"], stdout=subprocess.PIPE, text=True
        )
        try:
            address = sandbox.stdout.readline().split()[-1]
            figures = measure(home, address)
        finally:
            sandbox.terminate()
            sandbox.wait()
            EmbeddedServer(home).stop()
    print(json.dumps(figures, indent=1))


def measure(home: Path, address: str) -> dict[str, object]:
    """All figures, in the order in which a new user meets them."""
    environment = {
        **os.environ,
        "SANDBOX_URL": address,
        "ENERGY_DEMAND_HOME": str(home),
        "ENERGY_DEMAND_NOW": PRESENT,
    }
    figures: dict[str, object] = {}

    def command(name: str, *arguments: str) -> None:
        started = time.perf_counter()
        subprocess.run([COMMAND, *arguments], env=environment, check=True, capture_output=True)
        figures[f"{name}_seconds"] = round(time.perf_counter() - started, 1)

    command("backfill", "backfill", "--start", "2016-01-01", "--end", "2024-07-31")
    command("backfill_again", "backfill", "--start", "2016-01-01", "--end", "2024-07-31")
    command("ingest", "ingest")
    command("train", "train")
    command("forecast_command", "forecast", "--day", "tomorrow", "--json")
    command("status", "status", "--json")
    settings = Settings(
        _env_file=None,
        sandbox_url=address,
        energy_demand_home=home,
        energy_demand_now=parse_moment(PRESENT),
    )
    now = settings.present()
    with opened(settings) as database:
        registry = Registry(settings)
        run_forecast(database, registry, settings, now, now, hours=48)
        started = time.perf_counter()
        run_forecast(database, registry, settings, now, now, hours=48)
        figures["forecast_48h_warm_seconds"] = round(time.perf_counter() - started, 3)
        record = load_record(database, settings, now)
        model = registry.champion().forecaster
    figures |= refresh_of_a_day(record, model)
    figures |= features_of_all_leads(record)
    return figures


def refresh_of_a_day(record: Record, model: Forecaster) -> dict[str, object]:
    """Time of taking one more day of demand into the adaptive regression, responses included."""
    through = model.regression.through
    path = model.outlook.completed(record.observed.until(through, MEMORY_HOURS + 24))
    started = time.perf_counter()
    responses = response_features(path, record.region, last=24)
    stage = replace(model.regression, through=through - pd.Timedelta(days=1))
    first = record.position(through) - 23
    stage.advance(responses, record.demand_mwh[first : first + 24])
    return {"daily_refresh_seconds": round(time.perf_counter() - started, 3)}


def features_of_all_leads(record: Record) -> dict[str, object]:
    """Time and peak memory of one build for leads 1–48 over the whole record."""
    started = time.perf_counter()
    rows = build_features(record.demand, record.weather, leads=range(1, 49))
    return {
        "features_all_leads_rows": len(rows),
        "features_all_leads_seconds": round(time.perf_counter() - started, 1),
        "process_peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2),
    }


if __name__ == "__main__":
    main()
