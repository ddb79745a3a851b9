"""The flows as Prefect runs them, in this process: how they end, and when they are to run."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa
from short import NOTHING_LISTENS
from sqlalchemy.pool import NullPool

from energy_demand.config import TELEMETRY_OFF, settings_of
from energy_demand.database.engine import opened
from energy_demand.database.job_runs import Job, job_lock
from support import PRESENT
from webhook import webhook

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("processes")]

COMMAND = Path(sys.executable).with_name("energy-demand")


@pytest.fixture(scope="module", autouse=True)
def _prefect(tmp_path_factory):
    """A Prefect of the module's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_HOME", str(tmp_path_factory.mktemp("prefect")))
        for name, value in TELEMETRY_OFF.items():
            patch.setenv(name, value)
        from prefect.testing.utilities import prefect_test_harness  # noqa: PLC0415

        with prefect_test_harness(server_startup_timeout=120):
            yield


@pytest.fixture
def flows(settings, monkeypatch):
    """The flows, with this test's settings in the environment."""
    for name in ("energy_demand_home", "sandbox_url"):
        monkeypatch.setenv(name.upper(), str(getattr(settings, name)))
    monkeypatch.setenv("DATABASE_URL", settings.database_url.get_secret_value())
    monkeypatch.setenv("ENERGY_DEMAND_NOW", PRESENT.isoformat())
    monkeypatch.setenv("HTTP_ATTEMPTS", "1")
    from energy_demand.orchestration import flows  # noqa: PLC0415

    return flows


@pytest.fixture
def count(settings):
    """Counts rows of a table."""
    engine = sa.create_engine(settings.database_url.get_secret_value(), poolclass=NullPool)

    def rows(table: str) -> int:
        with engine.connect() as connection:
            return connection.scalar(sa.text(f"SELECT count(*) FROM {table}"))

    return rows


def test_an_ingestion_fetches_the_days_that_are_asked_for(flows, count):
    before = count("raw_demand")
    state = flows.data_ingestion_flow(start=date(2024, 10, 20), end=date(2024, 10, 21), return_state=True)
    assert state.name == "Completed"
    assert state.result()["demand"]["new"] == count("raw_demand") - before == 2 * 48


def test_a_forecast_is_logged_once_and_a_second_run_says_so(flows, count):
    first = flows.forecast_flow(return_state=True)
    assert first.name == "Completed"
    assert count("prediction_log") == 24
    assert flows.forecast_flow(return_state=True).result()["logged_before"] is True
    assert count("prediction_log") == 24


def test_a_forecast_from_old_data_is_logged_and_its_run_fails_for_people_to_see(flows, count, monkeypatch):
    monkeypatch.setenv("SANDBOX_URL", NOTHING_LISTENS)
    state = flows.forecast_flow(return_state=True)
    assert state.name == "Failed"
    assert "tomorrow's forecast is logged, but new data could not be ingested" in state.message
    assert count("prediction_log") == 24


def test_people_are_notified_of_what_flows_did_once(flows, monkeypatch):
    with webhook() as hook:
        monkeypatch.setenv("NOTIFY_URLS", hook.url)
        monkeypatch.setenv("SANDBOX_URL", NOTHING_LISTENS)
        monkeypatch.setenv("ENERGY_DEMAND_NOW", (PRESENT + timedelta(minutes=30)).isoformat())
        for _ in range(2):
            assert flows.forecast_flow(return_state=True).name == "Failed"
    assert sorted(hook.titles) == [
        "NY: EIA cannot be read",
        "NY: Open-Meteo cannot be read",
        "NY: forecast for Thu 13 Mar 2025",
    ]


def test_a_check_is_stored_and_where_nothing_is_to_be_done_nothing_is_retrained(flows, count):
    state = flows.drift_check_flow(return_state=True)
    assert state.name == "Completed"
    assert state.result()["retrain"] is False
    assert (count("drift_log"), count("retraining_log")) == (1, 0)


def test_a_check_that_asks_for_it_is_followed_by_a_retraining_with_its_reason(flows, monkeypatch):
    asked = []
    found = {"retrain": True, "trigger": "drift", "reason": "drift share 0.42, above 0.30"}
    monkeypatch.setattr(flows, "check_task", lambda scheduled_at, region: found)
    monkeypatch.setattr(flows, "retrain_task", lambda *given: asked.append(given) or {})
    assert flows.drift_check_flow(return_state=True).name == "Completed"
    assert flows.drift_check_flow("ERCO", return_state=True).name == "Completed"
    assert asked == [("drift", "drift share 0.42, above 0.30", region) for region in (None, "ERCO")]


def test_a_retraining_without_enough_rows_fails_and_is_logged_as_skipped(flows, settings, database):
    with database.transaction() as connection:
        connection.execute(sa.text("DELETE FROM raw_demand WHERE period < '2025-02-25'"))
    state = flows.retrain_flow(return_state=True)
    assert state.name == "Failed"
    with database.transaction() as connection:
        assert connection.scalar(sa.text("SELECT outcome FROM retraining_log")) == "skipped"


@pytest.mark.parametrize(
    ("job", "name"),
    [
        pytest.param(Job.INGESTION, "data_ingestion_flow", id="an ingestion"),
        pytest.param(Job.DRIFT_CHECK, "drift_check_flow", id="a drift check"),
        pytest.param(Job.RETRAIN, "retrain_flow", id="a retraining"),
        pytest.param(Job.FORECAST, "forecast_flow", id="a forecast"),
    ],
)
def test_a_flow_that_finds_another_run_ends_as_skipped(flows, settings, count, job, name):
    with opened(settings) as database, job_lock(database, job, "NY"):
        state = getattr(flows, name)(return_state=True)
    assert (state.type.value, state.name) == ("COMPLETED", "Skipped")
    assert "already running" in state.message
    assert count("job_run") == count("drift_log") == count("retraining_log") == count("prediction_log") == 0


def test_a_flow_that_was_caught_up_ends_as_skipped(flows, database, count):
    later = datetime.now(UTC) + timedelta(days=1)
    with database.transaction() as connection:
        connection.execute(
            sa.text("INSERT INTO job_run VALUES ('FORECAST', 'NY', :at, :at, NULL)"), {"at": later}
        )
    state = flows.forecast_flow(return_state=True)
    assert (state.name, state.message) == ("Skipped", "a later run already did this work")
    assert count("prediction_log") == 0


def test_an_upstream_that_is_back_a_moment_later_is_asked_again(flows, count, monkeypatch):
    monkeypatch.setattr(flows.ingest_task, "retry_delay_seconds", 0)
    sandbox = os.environ["SANDBOX_URL"]
    fault = {"kind": "http_500", "times": 2, "path": "/eia"}  # one for each of its two series
    httpx.post(f"{sandbox}/sandbox/faults", json=fault).raise_for_status()
    state = flows.data_ingestion_flow(return_state=True)
    assert state.name == "Completed"
    assert count("source_state WHERE last_error LIKE '%HTTP 500%' AND last_success_at >= last_error_at") == 2


def test_the_deployments_have_the_schedules_of_the_contract():
    from energy_demand.orchestration.deployments import deployments  # noqa: PLC0415

    found = {each.name: each for each in deployments(settings_of())}
    schedules = {
        name: [(each.schedule.cron, each.schedule.timezone) for each in deployment.schedules or []]
        for name, deployment in found.items()
    }
    assert schedules == {
        "data-ingestion": [("20 */6 * * *", "America/New_York")],
        "drift-check": [("0 0 * * *", "America/New_York")],
        "forecast": [("0,20,40 9 * * *", "America/New_York")],
        "retrain": [],
    }
    assert all(each.concurrency_limit is None for each in found.values())


def test_each_region_has_deployments_of_its_own_in_its_time_and_one_that_is_unknown_has_none(caplog):
    from energy_demand.orchestration.deployments import deployments  # noqa: PLC0415

    found = {each.name: each for each in deployments(settings_of(eia_regions=("NY", "ERCO", "XYZ")))}
    assert found.keys() == {
        *("data-ingestion", "drift-check", "forecast", "retrain"),
        *("data-ingestion-ERCO", "drift-check-ERCO", "forecast-ERCO", "retrain-ERCO"),
    }
    (morning,) = found["forecast-ERCO"].schedules
    assert (morning.schedule.cron, morning.schedule.timezone) == ("0,20,40 9 * * *", "America/Chicago")
    assert {name: each.parameters for name, each in found.items() if each.parameters} == {
        name: {"region": "ERCO"} for name in found if name.endswith("-ERCO")
    }
    assert "no flows of XYZ are scheduled: EIA_REGIONS: XYZ is not in the catalogue" in caplog.text


def test_on_dask_the_further_regions_of_a_time_zone_share_a_deployment():
    from energy_demand.orchestration.deployments import deployments  # noqa: PLC0415

    regions = ("NY", "ERCO", "MISO", "PJM")
    found = {
        each.name: each
        for each in deployments(settings_of(eia_regions=regions, dask_scheduler="tcp://127.0.0.1:8786"))
    }
    assert found.keys() == {
        *("data-ingestion", "drift-check", "forecast"),
        *(f"{job}-America-Chicago" for job in ("data-ingestion", "drift-check", "forecast")),
        *(f"{job}-America-New_York" for job in ("data-ingestion", "drift-check", "forecast")),
        *("retrain", "retrain-ERCO", "retrain-MISO", "retrain-PJM"),
    }
    texas = found["forecast-America-Chicago"]
    assert texas.parameters == {"job": "forecast", "regions": ["ERCO", "MISO"]}
    assert [each.schedule.timezone for each in texas.schedules] == ["America/Chicago"]


def test_a_worker_without_a_server_says_what_to_do(tmp_path):
    (tmp_path / "home").mkdir()
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "ENERGY_DEMAND_HOME": str(tmp_path / "home"),
    }
    done = subprocess.run(
        [COMMAND, "worker"], env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    assert (done.returncode, done.stdout) == (1, "")
    (complaint,) = [line for line in done.stderr.splitlines() if line]
    assert complaint.startswith("error: PREFECT_API_URL is not set")
    assert "PREFECT_API_URL" in complaint
