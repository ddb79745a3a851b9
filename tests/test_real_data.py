"""The recorded New York, from the sandbox to tomorrow's forecast: the commands of the README."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import sqlalchemy as sa

from support import SHARED_DATA

COMMAND = Path(sys.executable).with_name("energy-demand")
NOW = "2025-07-31T13:00Z"

pytestmark = [pytest.mark.shared_data, pytest.mark.slow]


@pytest.fixture(scope="module")
def recorded(new_database_url, tmp_path_factory):
    sandbox = subprocess.Popen(
        [COMMAND, "sandbox", "--data", SHARED_DATA, "--port", "0"], stdout=subprocess.PIPE, text=True
    )
    line = sandbox.stdout.readline()
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path_factory.mktemp("user")),
        "SANDBOX_URL": line.split()[-1],
        "ENERGY_DEMAND_HOME": str(tmp_path_factory.mktemp("home")),
        "ENERGY_DEMAND_NOW": NOW,
        "DATABASE_URL": new_database_url(),
    }
    answers = {"sandbox": line}
    for name, arguments in {
        "backfill": ["backfill", "--start", "2018-12-01", "--end", "2025-07-31", "--json"],
        "train": ["train", "--json"],
        "tomorrow": ["forecast", "--day", "tomorrow", "--json"],
        "as of": ["forecast", "--as-of", "2025-07-30T13:00Z", "--hours", "24", "--json"],
        "status": ["status", "--json"],
    }.items():
        done = subprocess.run(
            [COMMAND, *arguments], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{name}: {done.stderr}"
        answers[name] = json.loads(done.stdout)
    yield answers, environment["DATABASE_URL"]
    sandbox.terminate()
    sandbox.communicate()


def test_every_recorded_hour_is_stored_as_it_was_served(recorded):
    _, url = recorded
    engine = sa.create_engine(url)
    stored = pd.read_sql(
        "SELECT period, value, origin, known_at FROM raw_demand WHERE series = 'D' ORDER BY period", engine
    )
    engine.dispose()
    record = pd.read_parquet(SHARED_DATA / "ny_demand_hourly.parquet").dropna(subset="demand_mwh")
    first, last = pd.Timestamp("2018-12-01T06:00Z"), pd.Timestamp("2025-07-31T12:00Z")
    record = record[record["period"].between(first, last)]
    assert (pd.DatetimeIndex(stored["period"]) == pd.DatetimeIndex(record["period"])).all()
    assert stored["value"].tolist() == record["demand_mwh"].tolist()
    predecessor = stored["period"] <= pd.Timestamp("2019-01-01T05:00Z")
    assert stored["origin"].where(predecessor, "NY").eq("NYIS").equals(predecessor)
    assert (stored["known_at"] - stored["period"]).eq(pd.Timedelta(hours=1)).all()


def test_forecasts_as_issued_come_from_the_day_their_record_begins(recorded):
    weather = recorded[0]["status"]["weather"]
    # Twelve for each 09:00, which is every run of 670 days; a few are not on record.
    assert weather["new_york_city"]["forecasts"] == pytest.approx(2677, abs=3)
    assert weather["albany"]["forecasts"] is None
    assert weather["new_york_city"]["newest_forecast"] == "2025-07-31T12:30:00Z"


def test_tomorrow_is_forecast_near_what_came(recorded):
    body = recorded[0]["tomorrow"]
    assert len(body["hours"]) == 24
    assert body["hours"][0]["period"] == "2025-08-01T05:00:00Z"
    assert body["state_through"] == "2025-07-31T12:00:00Z"
    assert body["quality"] == "champion"


def test_a_forecast_of_a_trained_day_says_that_it_is_in_sample(recorded):
    assert recorded[0]["as of"]["in_sample"] is True
    record = pd.read_parquet(SHARED_DATA / "ny_demand_hourly.parquet").set_index("period")["demand_mwh"]
    hours = pd.DataFrame(recorded[0]["as of"]["hours"])
    actual = record.loc[pd.to_datetime(hours["period"], utc=True)].to_numpy()
    assert (hours["predicted_demand_mwh"] / actual - 1).abs().mean() < 0.08


def test_the_model_beats_both_naive_baselines_on_hours_it_had_not_seen(recorded):
    metrics = recorded[0]["train"]["metrics"]
    assert metrics["test_mape"] < 0.5 * metrics["test_seasonal_naive_24_mape"]
    assert metrics["test_mape"] < 0.5 * metrics["test_seasonal_naive_168_mape"]
    assert 65 <= metrics["test_coverage_80"] <= 95


def test_the_data_is_said_to_be_recorded(recorded):
    answers, _ = recorded
    assert answers["sandbox"].startswith("sandbox: recorded data up to 2025-08-01T04:00Z")
    assert answers["status"]["data"] == "recorded"
    assert answers["status"]["demand"]["missing_hours"] == 2
