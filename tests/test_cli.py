"""The commands as a person calls them: what they say, where they say it, how they end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest
import sqlalchemy as sa
import typer

from energy_demand import cli
from energy_demand.database.engine import opened
from energy_demand.database.job_runs import Job, job_lock
from energy_demand.model.base.training import FEWEST_ROWS
from energy_demand.registry.registry import Registry
from support import PRESENT, make_settings
from webhook import webhook

if TYPE_CHECKING:
    import click

COMMAND = Path(sys.executable).with_name("energy-demand")


@pytest.fixture(scope="module")
def shop(tmp_path_factory, new_database_url, synthetic_upstream):
    """An environment in which the commands have been run once: backfill, then train."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path_factory.mktemp("user")),
        "SANDBOX_URL": synthetic_upstream,
        "ENERGY_DEMAND_HOME": str(tmp_path_factory.mktemp("home")),
        "ENERGY_DEMAND_NOW": PRESENT.isoformat(),
        "DATABASE_URL": new_database_url(),
        "OMP_NUM_THREADS": os.environ["OMP_NUM_THREADS"],
    }
    for arguments in (["backfill", "--start", "2024-09-20", "--end", "2025-03-12"], ["train", "--json"]):
        done = subprocess.run(
            [COMMAND, *arguments], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    environment["TRAINED"] = done.stdout
    return environment


@pytest.fixture
def hook(processes):
    """Takes messages."""
    with webhook() as server:
        yield server


@pytest.fixture
def call(monkeypatch, capfd):
    """Run a command in this process; gives exit status, standard output and standard error."""

    def run(environment: dict[str, str], *arguments: str) -> tuple[int, str, str]:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["energy-demand", *arguments])
        monkeypatch.setattr(sys, "excepthook", sys.excepthook)
        with pytest.raises(SystemExit) as ended:
            cli.main()
        told = capfd.readouterr()
        return int(ended.value.code or 0), told.out, told.err

    return run


def rows(environment: dict[str, str]) -> dict[str, int]:
    engine = sa.create_engine(environment["DATABASE_URL"])
    with engine.connect() as connection:
        found = {
            table: connection.scalar(sa.text(f"SELECT count(*) FROM {table}"))
            for table in ("raw_demand", "raw_weather", "weather_forecast", "features", "prediction_log")
        }
    engine.dispose()
    return found


def test_training_answers_with_one_json_object_that_says_what_was_decided(shop):
    body = json.loads(shop["TRAINED"])
    assert body["verdict"] == {
        "promoted": True,
        "decision": "promoted",
        "reason": "first model, promoted without a contest",
        "challenger": None,
        "champion": None,
        "days": 0,
        "gain_percent": None,
        "statistic": None,
        "boundary": None,
        "slices": {},
    }
    assert body["metrics"]["test_mape"] < body["metrics"]["test_seasonal_naive_24_mape"]
    assert body["rows"] > FEWEST_ROWS


def test_a_forecast_of_tomorrow_has_every_hour_and_ordered_intervals(shop, call):
    status, out, err = call(shop, "forecast", "--day", "tomorrow", "--json")
    body = json.loads(out)
    assert status == 0
    assert set(body) == {
        "issued_at",
        "model_version",
        "state_through",
        "demand_age_hours",
        "warnings",
        "expected_error_percent",
        "quality",
        "peak",
        "hours",
    }
    assert body["peak"] == max(body["hours"], key=lambda hour: hour["predicted_demand_mwh"])
    assert body["quality"] == "champion"
    assert body["issued_at"] == "2025-03-12T13:00:00Z"
    assert body["state_through"] == "2025-03-12T12:00:00Z"
    assert [hour["lead_hours"] for hour in body["hours"]] == list(range(16, 40))
    for hour in body["hours"]:
        bounds = [
            hour[key] for key in ("lower_95", "lower_80", "predicted_demand_mwh", "upper_80", "upper_95")
        ]
        assert bounds == sorted(bounds)
        assert 5_000 < bounds[2] < 40_000
    assert "database:" in err


@pytest.mark.parametrize(
    ("day", "as_of", "hours", "leads"),
    [
        pytest.param("2025-03-09", "2025-03-08T14:00Z", 23, (16, 38), id="the 23 h day in spring"),
        pytest.param("2024-11-03", "2024-11-02T13:00Z", 25, (16, 40), id="the 25 h day in autumn"),
        pytest.param("2025-03-08", "2025-03-07T14:00Z", 24, (16, 39), id="an ordinary day"),
    ],
)
def test_a_day_is_forecast_whole_over_the_clock_changes(shop, call, day, as_of, hours, leads):
    status, out, err = call(shop, "forecast", "--day", day, "--as-of", as_of, "--json")
    body = json.loads(out)
    found = [hour["lead_hours"] for hour in body["hours"]]
    assert (status, len(found), found[0], found[-1]) == (0, hours, *leads)
    assert body["in_sample"] is True
    assert "not an out-of-sample forecast" in err


def test_a_person_is_told_what_a_training_came_to(shop, call):
    status, out, _ = call(shop, "train")
    assert status == 0
    assert "holdout hours" in out
    assert "in the shadow until more days decide: only 0 days" in out


def test_an_explained_forecast_adds_up_hour_by_hour(shop, call):
    status, out, _ = call(shop, "forecast", "--hours", "24", "--explain", "--json")
    assert status == 0
    for hour in json.loads(out)["hours"]:
        parts = hour["explanation"]
        assert {"calendar", "temperature", "solar", "recent_error", "trees"} <= set(parts)
        assert sum(parts.values()) == pytest.approx(hour["predicted_demand_mwh"], abs=1)


def test_a_person_is_told_what_adds_to_a_forecast(shop, call, tmp_path):
    picture = str(tmp_path / "explained.png")
    status, out, _ = call(shop, "forecast", "--day", "tomorrow", "--explain", "--picture", picture)
    assert status == 0
    words = ("typical", "calendar", "temp.", "humidity", "solar", "recent", "trees", "rooftop", "= MWh")
    assert [word for word in words if word not in out] == []
    assert "A cloudless sky would change the energy of these hours by" in out


def test_a_forecast_has_the_distribution_of_energy_and_peak(shop, call, tmp_path):
    status, out, _ = call(shop, "forecast", "--day", "tomorrow", "--quantiles", "--json")
    assert status == 0
    body = json.loads(out)
    assert body["energy_quantiles"]["0.1"] < sum(hour["predicted_demand_mwh"] for hour in body["hours"])
    assert sum(hour["peak_probability"] for hour in body["hours"]) == pytest.approx(1.0, abs=0.02)
    picture = str(tmp_path / "distribution.png")
    status, out, _ = call(shop, "forecast", "--day", "tomorrow", "--quantiles", "--picture", picture)
    assert status == 0
    assert "Most likely beginnings of the peak hour" in out
    assert "energy below" in out


@pytest.mark.slow
def test_a_backtest_answers_with_scores_and_a_file_of_hours(shop, call, tmp_path):
    hours = tmp_path / "hours.parquet"
    window = ["--start", "2025-03-03", "--end", "2025-03-04"]
    status, out, err = call(
        shop, "backtest", "--protocol", "day-ahead", *window, "--json", "--output", str(hours)
    )
    body = json.loads(out)
    assert status == 0
    assert body["protocol"] == "day-ahead"
    assert (body["start"], body["end"]) == ("2025-03-03", "2025-03-04")
    assert body["weather"] == "as_issued"
    assert body["publication_delay_hours"] == 1
    assert body["vintages"] == "as_revised"
    assert body["n_hours"] == 48
    for name in ("model", "base_booster", "seasonal_naive_24", "seasonal_naive_168", "operator"):
        assert set(body[name]) == {"mape", "mae", "rmse", "bias_percent", "n"}
        assert body[name]["n"] == 48
    assert body["model"]["mape"] < body["seasonal_naive_168"]["mape"]
    assert body["daily"]["operator_bias_corrected"]["n"] == body["daily"]["model"]["n"] == 2
    assert 0 <= body["coverage_80"] <= body["coverage_95"] <= 100
    assert 0 < body["distribution"]["crps_mwh"] < 2 * body["model"]["mae"]
    assert body["distribution"]["coverage"]["season"]["spring"]["n_hours"] == 48
    assert body["distribution"]["days"]["peak"]["n_days"] == 2
    assert "database:" in err
    rows = pd.read_parquet(hours)
    assert len(rows) == 48
    assert {"period", "issued_at", "lead_hours", "actual_mwh", "predicted_mwh", "model_version"} <= set(rows)
    assert (rows["quantile_0.5"] == rows["predicted_mwh"]).all()


def test_asking_twice_logs_the_forecast_once(shop, call):
    call(shop, "forecast", "--hours", "5", "--json")
    once = rows(shop)
    call(shop, "forecast", "--hours", "5", "--json")
    assert rows(shop) == once
    assert once["prediction_log"] >= 5


def test_a_person_gets_a_table_a_plot_and_a_picture(shop, call, tmp_path):
    picture = tmp_path / "tomorrow.png"
    status, out, _ = call(shop, "forecast", "--day", "tomorrow", "--picture", str(picture))
    assert status == 0
    assert "← peak" in out
    assert "Peak" in out
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_scenario_stands_beside_the_forecast_and_is_not_logged(shop, call):
    before = rows(shop)
    asked = ("forecast", "--day", "tomorrow", "--scenario", "temperature-4,day=holiday")
    status, out, _ = call(shop, *asked, "--json")
    body = json.loads(out)
    assert status == 0
    assert len(body["scenario"]["hours"]) == len(body["hours"]) == 24
    assert set(body["scenario"]["energy"]["parts"]) == {"temperature", "day"}
    status, out, _ = call(shop, *asked)
    picture = Path(shop["ENERGY_DEMAND_HOME"]) / "reports" / "scenario.png"
    assert status == 0
    assert f"picture: {picture}" in out
    assert "by temperature" in out
    assert "A scenario is not logged" in out
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert rows(shop) == before


def test_without_a_file_the_picture_goes_into_the_home(shop, call):
    picture = Path(shop["ENERGY_DEMAND_HOME"]) / "reports" / "forecast.png"
    status, out, _ = call(shop, "forecast", "--hours", "3")
    assert status == 0
    assert f"picture: {picture}" in out
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_status_is_complete_and_honest_about_the_kind_of_data(shop, call):
    status, out, _ = call(shop, "status", "--json")
    body = json.loads(out)
    assert status == 0
    assert body["data"] == "synthetic"
    assert body["demand"]["missing_hours"] == 0
    assert body["demand"]["last"] == "2025-03-12T12:00:00Z"
    assert set(body["weather"]) == {"new_york_city", "albany", "buffalo", "syracuse"}
    assert body["champion"]["version"] == "1"
    assert body["last_drift_check"] is None
    assert body["problems"] == {}
    assert "test_" in body["database"]
    assert body["mlflow"].startswith("sqlite:")


def test_the_quarantine_is_listed_and_empty_where_all_rows_were_good(shop, call):
    status, out, _ = call(shop, "quarantine", "--json")
    assert (status, json.loads(out)) == (0, {"released": 0, "rows": []})
    _, out, _ = call(shop, "quarantine")
    assert "the quarantine is empty" in out


def test_an_earlier_present_sees_only_what_was_known_then(shop, call):
    _, out, _ = call(shop, "status", "--json", "--now", "2025-01-01T00:00Z")
    assert json.loads(out)["demand"]["last"] == "2024-12-31T23:00:00Z"


def test_a_second_training_on_the_same_data_does_not_unseat_the_champion(shop, call):
    status, out, _ = call(shop, "train", "--json")
    body = json.loads(out)
    assert status == 0
    assert body["verdict"]["promoted"] is False
    assert "neither model was trained on" in body["verdict"]["reason"]
    _, out, _ = call(shop, "status", "--json")
    assert json.loads(out)["champion"]["version"] == "1"


def test_ingesting_what_is_there_already_adds_nothing(shop, call):
    before = rows(shop)
    status, out, _ = call(shop, "ingest", "--json")
    body = json.loads(out)
    assert status == 0
    assert body["demand"] == {"new": 0, "revised": 0}
    assert {**rows(shop), "weather_forecast": 0} == {**before, "weather_forecast": 0}


NOT_KNOWN_YET = (
    "{} cannot be scored: demand is known through 2025-03-12T12:00Z, so the last day that can be scored is "
    "2025-03-11; ingest first or end earlier"
)
NOTHING_LISTENS = "http://127.0.0.1:9"


# What goes wrong → command, exit status, what the complaint names, and the environment that does it.
BAD_INPUT = {
    "a malformed date": ("backfill --start 2025-13-01 --end 2025-03-01", 2, "2025-13-01", {}),
    "an end before the start": ("backfill --start 2025-03-02 --end 2025-03-01", 2, "is before --start", {}),
    "a range in the future": ("backfill --start 2031-01-01 --end 2031-01-02", 1, "was published by", {}),
    "no data in the range": ("backfill --start 2005-01-01 --end 2005-01-05", 1, "respondent NY", {}),
    "an unknown region": (
        "backfill --start 2025-03-01 --end 2025-03-02",
        1,
        "respondent XX",
        {
            "EIA_REGION": "XX",
            "WEATHER_TZ": "America/New_York",
            "WEATHER_SITE": "new_york_city",
            "WEATHER_LAT": "40.7128",
            "WEATHER_LON": "-74.0060",
            "WEATHER_FURTHER_SITES": "[]",
        },
    ),
    "a region in no catalogue": ("status", 1, "did you mean PNM or PJM?", {"EIA_REGION": "PJN"}),
    "a file of regions that is not there": ("regions", 1, "REGIONS_FILE", {"REGIONS_FILE": "nowhere.toml"}),
    "an unreachable upstream": (
        "ingest",
        1,
        "cannot be reached",
        {"SANDBOX_URL": "http://127.0.0.1:9", "HTTP_ATTEMPTS": "2", "HTTP_BACKOFF_SECONDS": "0"},
    ),
    "a database that is down": (
        "forecast",
        1,
        "127.0.0.1:9/d",
        {"DATABASE_URL": "postgresql://u:secret-word@127.0.0.1:9/d"},
    ),
    "an MLflow that is down": (
        "forecast",
        1,
        "MLflow",
        {"MLFLOW_TRACKING_URI": "sqlite:////proc/nowhere/mlflow.db"},
    ),
    "an unknown setting": ("status", 1, "EIA_REGIN", {"EIA_REGIN": "NY"}),
    "a malformed setting": ("status", 1, "WEATHER_LAT", {"WEATHER_LAT": "north"}),
    "too many hours": ("forecast --hours 49", 1, "between 1 and 48", {}),
    "hours and a day": ("forecast --hours 4 --day tomorrow", 2, "not both", {}),
    "a scenario of something else": ("forecast --scenario rain+3", 2, "temperature+3", {}),
    "a scenario of the morning job": ("forecast --scheduled --scenario cloud=0", 2, "--scenario", {}),
    "a day that is none": ("forecast --day someday", 2, "someday", {}),
    "a day that has begun": ("forecast --day 2025-03-12", 1, "already begun", {}),
    "a day too far away": ("forecast --day 2025-03-20", 1, "choose an earlier day", {}),
    "an issue in the future": ("forecast --as-of 2030-01-01T00:00Z", 2, "future", {}),
    "an issue before the record": ("forecast --as-of 2020-01-01T00:00Z", 1, "no demand of NY", {}),
    "a protocol that is none": (
        "backtest --protocol weekly --start 2025-03-01 --end 2025-03-02",
        2,
        "day-ahead",
        {},
    ),
    "a loss that is none": (
        "backtest --protocol day-ahead --start 2025-03-01 --end 2025-03-02 --loss sleep",
        2,
        "demand-6h",
        {},
    ),
    "a loss of runs where weather is observed": (
        "backtest --protocol rolling-24h --start 2025-03-01 --end 2025-03-02 --loss stale-runs",
        2,
        "as_issued",
        {},
    ),
    "weather that is none": (
        "backtest --protocol day-ahead --start 2025-03-01 --end 2025-03-02 --weather guessed",
        2,
        "as_issued or observed",
        {},
    ),
    "a backtest that ends before it starts": (
        "backtest --protocol day-ahead --start 2025-03-02 --end 2025-03-01",
        2,
        "is before --start",
        {},
    ),
    "a backtest with too little before it": (
        "backtest --protocol day-ahead --start 2024-10-01 --end 2024-10-02",
        1,
        "backfill more history or start later",
        {},
    ),
    "a backtest beyond the record": (
        "backtest --protocol day-ahead --start 2025-03-01 --end 2025-04-01",
        1,
        NOT_KNOWN_YET.format("2025-04-01"),
        {},
    ),
    "a backtest of the day that is not over": (
        "backtest --protocol rolling-24h --start 2025-03-10 --end 2025-03-12",
        1,
        NOT_KNOWN_YET.format("2025-03-12"),
        {},
    ),
    "a day-ahead backtest of the day that is not over": (
        "backtest --protocol day-ahead --weather observed --start 2025-03-10 --end 2025-03-12",
        1,
        NOT_KNOWN_YET.format("2025-03-12"),
        {},
    ),
    "a replay of the day that is not over": (
        "replay --policy never --start 2025-03-10 --end 2025-03-12",
        1,
        NOT_KNOWN_YET.format("2025-03-12"),
        {},
    ),
    "a backtest into a folder": (
        "backtest --protocol day-ahead --start 2025-03-01 --end 2025-03-02 --output /tmp",
        2,
        "/tmp is a folder",
        {},
    ),
    "a replay into a folder that is closed": (
        "replay --policy never --start 2025-03-01 --end 2025-03-02 --output /proc/hours.parquet",
        2,
        "/proc/hours.parquet cannot be written",
        {},
    ),
    "a replay's picture into a file that is closed": (
        "replay --policy never --start 2025-03-01 --end 2025-03-02 --picture /proc/version",
        2,
        "/proc/version cannot be written",
        {},
    ),
    "a forecast's picture into a folder": ("forecast --picture /tmp", 2, "/tmp is a folder", {}),
    "a mistyped address of the database": (
        "status",
        1,
        "DATABASE_ULR: no such setting; did you mean DATABASE_URL?",
        {"DATABASE_ULR": "postgresql://elsewhere/d"},
    ),
    "a backtest into no folder": (
        "backtest --protocol day-ahead --start 2025-03-01 --end 2025-03-02 --output no/such.parquet",
        2,
        "does not exist",
        {},
    ),
    "a folder without a record": ("sandbox --data no-such-folder", 1, "no-such-folder", {}),
    "a folder without bulk": ("backfill --start 2025-03-01 --end 2025-03-02 --folder .", 2, "bulk", {}),
    "a row that is not in quarantine": ("quarantine --release 4711", 1, "4711", {}),
    "an unknown disturbance": ("sandbox --disturb flood", 1, "flood", {}),
    "a drift check without MLflow": (
        "drift",
        1,
        "the champion is unchanged",
        {"MLFLOW_TRACKING_URI": "sqlite:////proc/nowhere/mlflow.db"},
    ),
    "a rollback from the first champion": ("rollback", 1, "there is no earlier one", {}),
    "a rollback to none there is": ("rollback --to 99", 1, "version 99 does not exist", {}),
    "a replay of no policy": (
        "replay --policy daily --start 2025-03-01 --end 2025-03-02",
        2,
        "frozen, never, weekly, monthly, triggered",
        {},
    ),
    "a replay of no change": (
        "replay --policy never --start 2025-03-01 --end 2025-03-02 --inject flood",
        2,
        "step, ramp, weather-response",
        {},
    ),
    "a day of no change": (
        "replay --policy never --start 2025-03-01 --end 2025-03-02 --inject-on 2025-03-01",
        2,
        "--inject-on needs --inject",
        {},
    ),
    "a replay with weather that is none": (
        "replay --policy never --start 2025-03-01 --end 2025-03-02 --weather guessed",
        2,
        "as_issued or observed",
        {},
    ),
    "a replay that ends before it starts": (
        "replay --policy never --start 2025-03-02 --end 2025-03-01",
        2,
        "is before --start",
        {},
    ),
    "a replay into no folder": (
        "replay --policy never --start 2025-03-01 --end 2025-03-02 --picture no/such.png",
        2,
        "does not exist",
        {},
    ),
    "a replay with too little before it": (
        "replay --policy never --start 2024-10-01 --end 2024-10-02",
        1,
        "backfill more history or start later",
        {},
    ),
    "a replay beyond the record": (
        "replay --policy never --start 2025-03-01 --end 2025-04-01",
        1,
        NOT_KNOWN_YET.format("2025-04-01"),
        {},
    ),
    "a change outside the replay": (
        "replay --policy never --start 2025-03-01 --end 2025-03-02 --inject step --inject-on 2025-03-09",
        1,
        "is not between",
        {},
    ),
    "stopping a database that is not ours": ("db stop", 1, "DATABASE_URL", {}),
}


@pytest.mark.parametrize(
    ("command", "status", "said", "environment"), BAD_INPUT.values(), ids=BAD_INPUT.keys()
)
def test_bad_input_is_one_clear_line_and_leaves_what_was_stored(
    shop, call, command, status, said, environment
):
    before = rows(shop)
    ended, out, err = call({**shop, **environment}, *command.split())
    assert ended == status
    assert out == ""
    assert said in " ".join(err.replace("│", " ").split())
    assert "Traceback" not in err
    assert "secret-word" not in err
    if status == 1:
        complaint = err.strip().splitlines()[-1]
        assert complaint.startswith("error: ")
        assert said in complaint
    assert rows(shop) == before


NO_DATABASE = {
    "down": ("postgresql://u:secret-word@127.0.0.1:9/d", "cannot use the database 127.0.0.1:9/d"),
    "mistyped": ("postgresql://u:secret@word@127.0.0.1:9/d", "DATABASE_URL is not a valid URL"),
}
NO_MLFLOW = {
    "down": ("http://127.0.0.1:9", "MLflow at http://127.0.0.1:9 failed"),
    "in a folder that is none": ("sqlite:////proc/nowhere/mlflow.db", "MLflow at sqlite:////proc/nowhere"),
}


@pytest.mark.parametrize(("address", "reason"), NO_DATABASE.values(), ids=NO_DATABASE)
def test_status_tells_the_model_while_the_database_is_away(shop, call, address, reason):
    environment = {**shop, "DATABASE_URL": address}
    ended, out, err = call(environment, "status", "--json")
    body = json.loads(out)
    assert ended == 1
    assert body["champion"]["version"] == "1"
    assert [body[name] for name in ("data", "demand", "weather", "last_drift_check")] == [None] * 4
    assert list(body["problems"]) == ["database"]
    assert err == f"error: {body['problems']['database']}\n"
    assert reason in err
    assert "secret" not in err + out
    ended, out, err = call(environment, "status")
    assert ended == 1
    assert "version 1, trained through" in out
    assert "unknown; the database cannot be read" in out
    assert "none yet" not in out  # unknown is not missing


@pytest.mark.parametrize(("address", "reason"), NO_MLFLOW.values(), ids=NO_MLFLOW)
def test_status_tells_the_data_while_mlflow_is_away(shop, call, address, reason):
    environment = {**shop, "MLFLOW_TRACKING_URI": address}
    ended, out, err = call(environment, "status", "--json")
    body = json.loads(out)
    assert ended == 1
    assert body["demand"]["last"] == "2025-03-12T12:00:00Z"
    assert body["champion"] is None
    assert list(body["problems"]) == ["mlflow"]
    assert err == f"error: {body['problems']['mlflow']}\n"
    assert reason in err
    ended, out, err = call(environment, "status")
    assert ended == 1
    assert "hours from 2024-09-20" in out
    assert "champion" in out
    assert "unknown; MLflow cannot be read" in out
    assert "energy-demand train" not in out


def test_status_with_both_away_has_two_reasons_and_no_traceback(shop, call):
    away = {"DATABASE_URL": "postgresql://127.0.0.1:9/d", "MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}
    ended, out, err = call({**shop, **away}, "status", "--json")
    assert ended == 1
    assert list(json.loads(out)["problems"]) == ["database", "mlflow"]
    assert err.startswith("error: cannot use the database")
    assert "MLflow at http://127.0.0.1:9 failed" in err
    assert len(err.splitlines()) == 1


def test_without_a_key_and_without_a_sandbox_the_spec_s_sentence_is_the_answer(shop, call):
    status, _, err = call({**shop, "SANDBOX_URL": ""}, "ingest")
    assert status == 1
    assert err.strip().splitlines()[-1] == (
        "error: EIA_API_KEY not set. Register at https://www.eia.gov/opendata/"
    )


def test_without_a_champion_a_forecast_says_what_to_run(shop, call, tmp_path):
    status, _, err = call({**shop, "ENERGY_DEMAND_HOME": str(tmp_path)}, "forecast")
    assert status == 1
    assert "run `energy-demand train` first" in err


def test_training_without_data_says_what_to_run(shop, call, new_database_url):
    status, _, err = call({**shop, "DATABASE_URL": new_database_url()}, "train")
    assert status == 1
    assert "run `energy-demand backfill` first" in err


def test_the_database_address_is_one_that_psql_takes(shop, call):
    status, out, _ = call(shop, "db", "url")
    assert status == 0
    assert out.startswith("postgresql://energy_demand:")


@pytest.mark.parametrize(
    "command",
    [
        "",
        "sandbox",
        "backfill",
        "ingest",
        "train",
        "forecast",
        "backtest",
        "drift",
        "retrain",
        "rollback",
        "replay",
        "worker",
        "status",
        "forecasts",
        "demand",
        "scores",
        "reproduce",
        "peaks",
        "weather-normalised",
        "demo",
        "notify",
        "notify test",
        "notify send",
        "db",
        "db upgrade",
        "db url",
        "db stop",
    ],
)
def test_every_command_has_help_with_an_example(call, command):
    status, out, _ = call({}, *command.split(), "--help")
    assert status == 0
    assert command in {"", "db", "notify"} or "Example:" in out


@pytest.fixture
def retrainings(shop):
    """Reads outcome and error of the retrainings, oldest first."""

    def read() -> list[tuple]:
        engine = sa.create_engine(shop["DATABASE_URL"], poolclass=sa.NullPool)
        with engine.connect() as connection:
            return connection.execute(sa.text("SELECT outcome, error FROM retraining_log ORDER BY id")).all()

    return read


@pytest.mark.parametrize("command", ["retrain", "rollback --to 2"])
def test_while_a_retraining_is_under_way_another_one_and_a_rollback_are_refused(
    shop, call, retrainings, command
):
    settings = make_settings(database_url=shop["DATABASE_URL"])
    before = retrainings()
    with opened(settings) as database, job_lock(database, Job.RETRAIN, "NY"):
        status, out, err = call(shop, *command.split())
    assert (status, out) == (1, "")
    complaint = err.strip().splitlines()[-1]
    assert complaint.startswith("error: another retrain job for NY is already running")
    assert ("another rollback). No champion was changed" in complaint) is command.startswith("rollback")
    assert retrainings() == before


@pytest.mark.slow
def test_a_retraining_without_mlflow_is_one_line_and_the_log_says_why(shop, call, retrainings):
    away = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
    status, out, err = call({**shop, **away}, "retrain")
    assert (status, out) == (1, "")
    complaint = err.strip().splitlines()[-1]
    assert complaint.startswith("error: MLflow at http://127.0.0.1:9 failed")
    outcome, reason = retrainings()[-1]
    assert outcome == "failed"
    assert complaint.startswith(f"error: {reason}")
    _, told, _ = call({**shop, "MLFLOW_TRACKING_URI": ""}, "status", "--json")
    assert json.loads(told)["champion"]["version"] == "1"


@pytest.mark.slow
def test_a_check_for_drift_is_stored_and_the_status_tells_of_it(shop, call, retrainings):
    before = retrainings()
    status, out, err = call(shop, "drift", "--check-only", "--json")
    body = json.loads(out)
    assert status == 0
    assert {"retrain", "trigger", "reason", "report", "drift_share", "drift_details", "retraining"} <= set(
        body
    )
    assert (body["retrain"], body["retraining"]) == (False, None)
    assert body["reason"].startswith("no trigger: ")
    assert body["drift_details"]["champion"] == "1"
    assert Path(body["report"]).is_file()
    assert "database:" in err
    _, out, _ = call(shop, "status", "--json")
    assert json.loads(out)["last_drift_check"] is not None
    assert retrainings() == before


def test_a_rollback_to_a_version_and_back_says_who_serves_now_and_who_did(shop, call):
    registry = Registry(make_settings(energy_demand_home=shop["ENERGY_DEMAND_HOME"]))
    model = registry.load("1").forecaster
    other = registry.register(model, params={}, metrics={}, started_at=PRESENT).version
    status, out, err = call(shop, "rollback", "--to", other)
    assert (status, out) == (
        0,
        f"rolled back from version 1 to version {other}; running services load it in seconds\n",
    )
    assert "mlflow:" in err
    status, out, _ = call(shop, "rollback", "--to", "1", "--json")
    assert (status, json.loads(out)) == (0, {"champion": "1", "was": other})
    status, out, _ = call(shop, "status", "--json")
    last = json.loads(out)["last_retraining"]
    assert (last["version"], last["reason"]) == (other, "by hand")
    assert last["rolled_back_at"] is not None
    assert "rolled back: by hand" in call(shop, "status")[1]


def test_the_morning_s_forecast_is_scheduled_and_logged_once(shop, call):
    status, out, err = call(shop, "forecast", "--scheduled", "--json")
    assert status == 0, err
    made = json.loads(out)
    assert (made["day"], made["logged_before"], made["trouble"]) == ("2025-03-13", False, None)
    assert len(made["forecast"]["hours"]) == 24
    status, out, _ = call(shop, "forecast", "--scheduled")
    assert (status, out) == (0, "the forecast for 2025-03-13 was already logged; nothing changed\n")
    engine = sa.create_engine(shop["DATABASE_URL"])
    with engine.connect() as connection:
        query = "SELECT count(*) FROM prediction_log WHERE source = 'scheduled'"
        assert connection.scalar(sa.text(query)) == 24
    engine.dispose()


def test_a_morning_without_upstreams_logs_the_forecast_and_ends_with_one_line(shop, call):
    away = {
        "SANDBOX_URL": "http://127.0.0.1:9",
        "HTTP_ATTEMPTS": "1",
        "ENERGY_DEMAND_NOW": "2025-03-12T13:30Z",
    }
    status, _, err = call({**shop, **away}, "forecast", "--scheduled", "--json")
    assert status == 1
    assert err.splitlines()[-1].startswith(
        "error: tomorrow's forecast is logged, but new data could not be ingested:"
    )


def test_the_peaks_are_told_as_one_json_object_and_as_text(shop, call):
    status, out, err = call(shop, "peaks", "--json")
    (line,) = out.splitlines()
    body = json.loads(line)
    assert status == 0
    assert (body["region"], body["day"], body["peak"]["day"]) == ("NY", "2025-03-13", "2025-03-13")
    assert len(body["highest_days"]) == len(body["highest_hours"]) == 10
    assert "database: " in err
    status, out, _ = call(shop, "peaks", "--day", "2025-03-13")
    assert status == 0
    assert "".join(body["peak"]["reason"].split()) in "".join(out.split())
    status, out, _ = call(shop, "peaks", "--day", "2025-02-20")
    assert (status, out.splitlines()[0]) == (0, "no scheduled forecast of 2025-02-20 is stored")
    status, out, err = call(shop, "peaks", "--day", "1999-12-31")
    assert (status, out) == (2, "")
    assert "--day must be in the year 2000 or later" in err
    status, _, err = call(shop, "peaks", "--day", "2025-04-01")
    assert status == 1
    assert "ends more than 48 hours after" in err


@pytest.mark.parametrize(
    ("window", "status", "reason"),
    [
        pytest.param(
            ["2025-01-01", "2025-02-01"],
            1,
            "0.4 years of observed weather are stored",
            id="too little weather",
        ),
        pytest.param(["2025-02-01", "2025-01-01"], 2, "is before --start", id="an empty window"),
        pytest.param(["1999-01-01", "2025-01-01"], 2, "must be in the year 2000 or later", id="too early"),
    ],
)
def test_demand_that_cannot_be_normalised_is_refused_with_the_reason(shop, call, window, status, reason):
    start, end = window
    got, out, err = call(shop, "weather-normalised", "--start", start, "--end", end, "--json")
    assert (got, out) == (status, "")
    assert reason in " ".join(err.replace("│", " ").split())


def test_a_scheduled_forecast_takes_no_other_choice(shop, call):
    status, _, err = call(shop, "forecast", "--scheduled", "--hours", "3")
    assert status == 2
    assert "as of now; leave out --hours" in " ".join(err.replace("│", " ").split())


def commands_with_json() -> dict[str, click.Command]:
    """Every command that takes `--json`, by its words."""
    found: dict[str, click.Command] = {}

    def walk(command: click.Command, words: str) -> None:
        for name, each in getattr(command, "commands", {}).items():
            walk(each, f"{words} {name}".strip())
        if any("--json" in option.opts for option in command.params):
            found[words] = command

    walk(typer.main.get_command(cli.app), "")
    return found


WITH_JSON = commands_with_json()
# What a required option is given; a new one needs its value here.
REQUIRED = {
    "start": "2025-03-03",
    "end": "2025-03-04",
    "protocol": "day-ahead",
    "policy": "never",
    "what": f"{PRESENT + timedelta(hours=1):%Y-%m-%dT%H:00Z}",
}
LONG = {"backtest", "drift", "replay", "retrain", "train"}


def asked_for_json(words: str) -> list[str]:
    options = [option for option in WITH_JSON[words].params if option.required]
    return [
        *words.split(),
        *(
            part
            for option in options
            for part in (option.opts[0], REQUIRED[option.name])[option.param_type_name == "argument" :]
        ),
        "--json",
    ]


def test_the_commands_of_the_contract_take_json():
    contract = "backfill ingest train forecast backtest drift retrain replay rollback status quarantine"
    assert WITH_JSON.keys() >= set(contract.split())


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(each, marks=pytest.mark.slow if each in LONG else ())
        for each in WITH_JSON
        if each != "weather-normalised"  # needs years; tests/jobs/test_weather_normalisation.py has it
    ],
)
def test_with_json_standard_output_is_one_object_and_nothing_else(shop, call, capfd, hook, words):
    asked = asked_for_json(words)
    if words.startswith("notify"):
        shop = {**shop, "NOTIFY_URLS": hook.url}
    if words == "reproduce":
        call(shop, "forecast", "--hours", "1")
        capfd.readouterr()
    if words == "rollback":
        registry = Registry(make_settings(energy_demand_home=shop["ENERGY_DEMAND_HOME"]))
        serving = registry.champion_version()
        other = registry.register(
            registry.load(serving).forecaster, params={}, metrics={}, started_at=PRESENT
        ).version
        asked += ["--to", other]
        capfd.readouterr()
    status, out, err = call(shop, *asked)
    assert status == 0, err
    assert out.count("\n") == 1
    assert isinstance(json.loads(out), dict)
    if words == "rollback":
        call(shop, "rollback", "--to", serving)


@pytest.mark.parametrize("words", WITH_JSON)
def test_with_json_a_failure_leaves_standard_output_empty(shop, call, words):
    away = {"DATABASE_URL": "postgresql://u:secret-word@127.0.0.1:9/d"}
    if words == "regions":  # reads no database
        away = {"REGIONS_FILE": "absent.toml"}
    status, out, err = call({**shop, **away}, *asked_for_json(words))
    assert status == 1
    if words == "doctor":  # a check that fails is what it is asked for
        assert json.loads(out)["ok"] is False
        return
    if words == "status":  # it tells what it can, and what it cannot
        assert list(json.loads(out)["problems"]) == ["database"]
    else:
        assert out == ""
    assert err.splitlines()[-1].startswith("error: ")
    status, out, _ = call({**shop, "WEATHER_LAT": "north"}, *asked_for_json(words))
    assert (status, out) == (1, "")
    status, out, _ = call(shop, *asked_for_json(words), "--no-such-option")
    assert (status, out) == (2, "")


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        pytest.param("backtest --protocol day-ahead", id="a backtest"),
        pytest.param("replay --policy never", id="a replay"),
    ],
)
def test_scores_are_printed_though_the_disk_fills_up_meanwhile(shop, call, tmp_path, monkeypatch, command):
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_parquet", full)
    hours = str(tmp_path / "hours.parquet")
    window = ["--start", "2025-03-03", "--end", "2025-03-04"]
    status, out, err = call(shop, *command.split(), *window, "--json", "--output", hours)
    assert status == 1
    assert json.loads(out)["n_hours"] == 48
    assert err.splitlines()[-1] == (
        f"error: {hours} cannot be written (No space left on device); what was computed is above"
    )
