"""The demo, as `make demo` runs it: from nothing, then again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from energy_demand.database.embedded import EmbeddedServer

pytestmark = pytest.mark.usefixtures("processes")

COMMAND = Path(sys.executable).with_name("energy-demand")
TABLES = (
    "raw_demand",
    "raw_weather",
    "weather_forecast",
    "features",
    "prediction_log",
    "raw_demand_revision",
    "drift_log",
    "retraining_log",
)


@pytest.fixture(scope="module")
def twice(open_folder):
    home = open_folder / "demo"
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(open_folder),
        "ENERGY_DEMAND_HOME": str(home),
        # The demo must not touch what the environment points at.
        "DATABASE_URL": "postgresql://nobody:nothing@127.0.0.1:9/real",
        "EIA_REGION": "PJM",
    }
    server = EmbeddedServer(home.with_name("demo-demo"))
    runs = []
    for _ in range(2):
        done = subprocess.run(
            [COMMAND, "demo"], env=environment, capture_output=True, text=True, check=False, timeout=1200
        )
        assert done.returncode == 0, done.stderr
        engine = sa.create_engine(server.url())
        with engine.connect() as connection:
            counts = {name: connection.scalar(sa.text(f"SELECT count(*) FROM {name}")) for name in TABLES}
        engine.dispose()
        runs.append((done.stdout, counts))
    yield runs
    server.stop()


@pytest.mark.slow
def test_it_ends_with_a_summary_that_says_the_data_is_synthetic(twice):
    said = twice[0][0]
    assert "synthetic" in said.lower()
    assert "not real New York" in said
    assert "← peak" in said
    assert "Next:" in said


@pytest.mark.slow
def test_it_tells_how_a_step_of_demand_was_found_and_answered(twice):
    said = " ".join(twice[0][0].replace("│", " ").split())
    assert "Demand rose by 10 % in the sandbox" in said
    assert "The drift check: concept, cause: changed response" in said
    assert "Version 2 was trained and goes on in the shadow: not proven to be better" in said
    assert (
        "After 20 days in the shadow version 2 was promoted: challenger 2: better than the champion" in said
    )
    assert "Version 2 serves now" in said


@pytest.mark.slow
def test_it_stores_demand_weather_forecasts_features_and_the_prediction(twice):
    counts = twice[0][1]
    hours = 24 * 213
    assert counts["raw_demand"] > 2 * hours
    assert counts["raw_weather"] > 4 * hours
    assert counts["weather_forecast"] > 60_000
    assert counts["features"] > hours
    # 35 mornings as scheduled, 20 of the challenger in the shadow, and the last question.
    assert counts["prediction_log"] == 24 * (35 + 20 + 1)
    assert counts["drift_log"] == 2
    assert counts["retraining_log"] == 2


@pytest.mark.slow
def test_a_second_run_changes_nothing_that_was_right(twice):
    (_, first), (said, second) = twice
    assert second["raw_demand_revision"] == 0
    # A run of the model may have been published in between; nothing else may differ.
    assert {**second, "weather_forecast": 0} == {**first, "weather_forecast": 0}
    assert "An earlier run detected the step and trained version 2 (promoted)" in " ".join(
        said.replace("│", " ").split()
    )
