"""Times and scores the spine on recorded data: backfill, features, training, forecast, first accuracy.

    .venv/bin/python benchmarks/spine.py --data ../shared/data

Prints one JSON object. Looks at the scoring window 2024-08-01 … 2025-07-31 once each time it runs; count
the looks in docs/measurements.md.
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
from datetime import date
from pathlib import Path

from energy_demand.columns import TARGET
from energy_demand.config import Settings
from energy_demand.data.feature_engineering import build_features
from energy_demand.data.history import History
from energy_demand.database.embedded import EmbeddedServer
from energy_demand.database.engine import opened
from energy_demand.model.baselines import seasonal_naive_24, seasonal_naive_168
from energy_demand.model.evaluate import coverage, scores
from energy_demand.model.forecast_job import run_forecast
from energy_demand.model.registry import Registry
from energy_demand.model.train import Recipe, train_model
from energy_demand.model.training_job import training_rows, whole_history
from energy_demand.timeaxis import Availability, days_periods, parse_moment

COMMAND = Path(sys.executable).with_name("energy-demand")
PRESENT = "2025-08-01T05:00Z"
WINDOW = (date(2024, 8, 1), date(2025, 7, 31))


def main() -> None:
    """Run everything in a home of its own and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of recorded files")
    data = parser.parse_args().data
    with tempfile.TemporaryDirectory(prefix="spine-", ignore_cleanup_errors=True) as folder:
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

    command("backfill", "backfill", "--start", "2019-01-01", "--end", "2025-07-31")
    command("backfill_again", "backfill", "--start", "2019-01-01", "--end", "2025-07-31")
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
        history = whole_history(database, settings, now)
    figures |= features_of_all_leads(history)
    figures |= rolling_24h(history, settings)
    return figures


def features_of_all_leads(history: History) -> dict[str, object]:
    """Time and peak memory of one build for leads 1–48 over the whole history."""
    started = time.perf_counter()
    rows = build_features(history.demand, history.weather, leads=range(1, 49))
    return {
        "features_all_leads_rows": len(rows),
        "features_all_leads_seconds": round(time.perf_counter() - started, 1),
        "process_peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2),
    }


def rolling_24h(history: History, settings: Settings) -> dict[str, object]:
    """One fit on everything before the window, scored on the window: `rolling-24h`, observed weather."""
    settings = settings.model_copy(update={"publication_delay_hours": 0})
    window = days_periods(*WINDOW, settings.region.zone)
    before = History(
        history.demand[history.demand["period"] < window[0]],
        history.weather[history.weather["timestamp"] < window[0]],
        history.as_of,
    )
    recipe = Recipe()
    started = time.perf_counter()
    model, _ = train_model(training_rows(before, settings, recipe), publication_delay_hours=0)
    seconds = time.perf_counter() - started
    rows = build_features(history.demand, history.weather, leads=24, availability=Availability(0))
    rows = rows[(rows["timestamp"] >= window[0]) & (rows["timestamp"] <= window[-1])]
    predicted = model.predict(rows)
    actual = rows[TARGET].to_numpy()
    interval = {
        f"coverage_{level}": round(
            coverage(actual, predicted[f"lower_{level}"].to_numpy(), predicted[f"upper_{level}"].to_numpy()),
            1,
        )
        for level in (80, 95)
    }
    forecasts = {
        "model": predicted["predicted_demand_mwh"],
        "seasonal_naive_24": seasonal_naive_24(rows),
        "seasonal_naive_168": seasonal_naive_168(rows),
    }
    return {
        "rolling_24h": {
            "window": [str(day) for day in WINDOW],
            "fit_seconds": round(seconds, 1),
            **{name: rounded(scores(actual, guess)) for name, guess in forecasts.items()},
            **interval,
        }
    }


def rounded(found: dict[str, float]) -> dict[str, float]:
    """Scores with two decimals."""
    return {name: round(value, 2) for name, value in found.items()}


if __name__ == "__main__":
    main()
