"""Times the pages of the dashboard on a year of forecasts with 48 leads, one issued each hour: 420,000 rows.

    .venv/bin/python benchmarks/dashboard_pages.py

Prints one JSON object: seconds from asking for a page until its script has ended and every plot is drawn in
Chromium, for the first visit of all (`first`), later visits with an empty cache of the dashboard
(`median`, `worst`), and the whole year instead of 30 days (`year`). Synthetic data. Needs Debian's chromium.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
import sqlalchemy as sa

from answers import answer_alone
from browsers import browser, settled
from dashboard.menu import TITLES
from energy_demand.database.embedded import EmbeddedServer
from energy_demand.monitoring.drift_detection import WATCHED

COMMAND = Path(sys.executable).with_name("energy-demand")
PRESENT = "2025-07-31T13:00Z"
FIRST, LAST = "2024-06-01", "2025-07-31"
PORT = 8593
VISITS = 3
HELD_SECONDS = 60  # as in dashboard.store
YEAR = "days=2024-08-01&days=2025-07-31"

# Forecasts with errors of a few percent, which grow with the lead.
FORECASTS = """
INSERT INTO prediction_log (respondent, timestamp, issued_at, lead_hours, predicted_demand, lower_80,
    upper_80, lower_95, upper_95, model_version, quality, source, request_id, features_json,
    prediction_made_at)
SELECT respondent, period, issued, lead, predicted, predicted * 0.98, predicted * 1.02, predicted * 0.96,
    predicted * 1.04, '1', 'champion', 'scheduled', 'filled ' || issued,
    jsonb_build_object('demand_lag_24h', day, 'demand_lag_168h', week), issued
FROM (
    SELECT d.respondent, d.period, lead, d.period - lead * interval '1 hour' AS issued,
        d.value * (1 + 0.02 * (random() + random() + random() - 1.5) * (1 + lead / 48.0)) AS predicted,
        lag(d.value, 24) OVER each AS day, lag(d.value, 168) OVER each AS week
    FROM raw_demand d CROSS JOIN generate_series(1, 48) AS lead
    WHERE d.series = 'D' AND d.period > timestamptz '2024-07-31 13:00Z'
    WINDOW each AS (PARTITION BY lead ORDER BY d.period)
) AS made
"""
CHECKS = """
INSERT INTO drift_log (respondent, check_timestamp, dataset_drift_detected, drift_share, n_drifted_features,
    n_total_features, drift_details, triggered_retrain, reason)
SELECT 'NY', day, share > 0.3, share, (15 * share)::int, 15, jsonb_build_object('champion', '1',
    'source_changes', '[]'::jsonb, 'per_feature', (
        SELECT jsonb_object_agg(name, jsonb_build_object('group', 'demand', 'status', 'compared',
            'drifted', random() < share, 'score', random() * share * 2, 'shift', random()))
        FROM unnest(CAST(:names AS text[])) AS name
    )), share > 0.3, 'a benchmark'
FROM (SELECT day, random() * 0.35 AS share
      FROM generate_series(timestamptz '2024-08-01 04:00Z', '2025-07-31 04:00Z', '1 day') AS day) AS each
"""


def main() -> None:
    """Fill a home of its own, visit every page, print the figures."""
    with (
        answer_alone(),
        tempfile.TemporaryDirectory(prefix="dashboard-", ignore_cleanup_errors=True) as folder,
    ):
        home = Path(folder) / "home"
        sandbox = subprocess.Popen(
            [COMMAND, "sandbox", "--port", "0", "--now", PRESENT], stdout=subprocess.PIPE, text=True
        )
        assert sandbox.stdout is not None
        environment = {
            **os.environ,
            "ENERGY_DEMAND_HOME": str(home),
            "ENERGY_DEMAND_NOW": PRESENT,
            "SANDBOX_URL": sandbox.stdout.readline().split()[-1],
            "DASHBOARD_PORT": str(PORT),
        }
        try:
            for command in (
                ["backfill", "--start", FIRST, "--end", LAST],
                ["train"],
                ["drift", "--check-only"],
            ):
                subprocess.run([COMMAND, *command], env=environment, check=True, capture_output=True)
            rows = fill(home)
            figures = visit_all(environment)
        finally:
            sandbox.terminate()
            sandbox.wait()
            EmbeddedServer(home).stop()
    print(json.dumps({"prediction_rows": rows, "pages": figures}, indent=1))


def fill(home: Path) -> int:
    """The year of forecasts and checks; how many rows the prediction log then has."""
    engine = sa.create_engine(EmbeddedServer(home).url(), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text(FORECASTS))
        connection.execute(sa.text(CHECKS), {"names": list(WATCHED)})
        connection.execute(sa.text("VACUUM ANALYZE"))
        rows = int(connection.scalar(sa.text("SELECT count(*) FROM prediction_log")) or 0)
    engine.dispose()
    return rows


def visit_all(environment: dict[str, str]) -> dict[str, dict[str, float]]:
    """Seconds of each page."""
    process = subprocess.Popen(
        [COMMAND, "dashboard"], env=environment, stdout=subprocess.DEVNULL, start_new_session=True
    )
    try:
        while True:
            try:
                httpx.get(f"http://127.0.0.1:{PORT}/_stcore/health").raise_for_status()
                break
            except httpx.HTTPError:
                time.sleep(0.2)
        time.sleep(5)  # what it preloads
        with browser() as chromium:
            page = chromium.new_page(viewport={"width": 1280, "height": 900})

            def seconds(name: str, query: str = "") -> float:
                began = time.perf_counter()
                page.goto(f"http://127.0.0.1:{PORT}/{'' if name == 'overview' else name}?{query}")
                settled(page, pause=0)
                return round(time.perf_counter() - began, 2)

            found = {name: {"first": seconds(name)} for name in TITLES}
            later: dict[str, list[float]] = {name: [] for name in TITLES}
            for _ in range(VISITS):
                time.sleep(HELD_SECONDS + 1)
                for name in TITLES:
                    later[name].append(seconds(name))
            for name, each in later.items():
                found[name] |= {"median": statistics.median(each), "worst": max(each)}
            found["model_performance"]["year"] = seconds("model_performance", YEAR)
            found["drift_monitor"]["year"] = seconds("drift_monitor", "span=1+year")
        return found
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


if __name__ == "__main__":
    main()
