"""Two regions from upstream to served forecast, beside one that is unknown and one without history."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from servers import Server, wait_until
from short import FIRST_DAY, LAST_DAY, SHORT

from dask_clusters import scheduler_at, wait_for_worker
from energy_demand import cli
from energy_demand.config import TELEMETRY_OFF
from energy_demand.database.engine import opened
from energy_demand.jobs.training import run_training
from energy_demand.recorded_data import synthetic_areas
from energy_demand.registry.registry import Registry
from energy_demand.sandbox.app import create_app
from energy_demand.sandbox.server import serving
from energy_demand.sandbox.worlds.synthetic import SyntheticWorld
from processes import free_port
from support import PRESENT, make_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("processes")]

MINE = """
[[region]]
code = "MINE"
name = "No respondent of EIA's"
zone = "America/Denver"
sites = [{ name = "boulder", latitude = 40.015, longitude = -105.27, weight = 1.0 }]
"""
REGIONS = ("NY", "ERCO", "XYZ", "MINE")


@pytest.fixture(scope="module")
def environment(tmp_path_factory, new_database_url) -> Iterator[dict[str, str]]:
    """Settings of four regions, of which the sandbox has two."""
    home = tmp_path_factory.mktemp("regions")
    own = home / "mine.toml"
    own.write_text(MINE)
    world = SyntheticWorld(seed=1, areas={"ERCO": synthetic_areas()["ERCO"]})
    with serving(create_app(world, now=PRESENT)) as address:
        yield {
            "ENERGY_DEMAND_HOME": str(home),
            "ENERGY_DEMAND_NOW": PRESENT.isoformat(),
            "DATABASE_URL": new_database_url(),
            "SANDBOX_URL": address,
            "EIA_REGIONS": ",".join(REGIONS),
            "REGIONS_FILE": str(own),
            "WEATHER_RUNS_KEPT": "1",
            "HTTP_BACKOFF_SECONDS": "0",
        }


@pytest.fixture
def call(environment, monkeypatch, capfd):
    """Run a command in this process; gives exit status, standard output and standard error."""

    def run(*arguments: str, **other: str) -> tuple[int, str, str]:
        for name, value in {**environment, **other}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["energy-demand", *arguments])
        monkeypatch.setattr(sys, "excepthook", sys.excepthook)
        with pytest.raises(SystemExit) as ended:
            cli.main()
        printed = capfd.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return run


@pytest.fixture
def settings(environment):
    return make_settings(**{name.lower(): value for name, value in environment.items()})


def errors(text: str) -> dict[str, str]:
    """The failures by region, of lines `error: CODE: reason`."""
    lines = [line.split(": ", 2) for line in text.splitlines() if line.startswith("error: ")]
    return {code: reason for _, code, reason in lines}


def counted(environment, query: str) -> dict[str, int]:
    engine = sa.create_engine(environment["DATABASE_URL"])
    with engine.connect() as connection:
        found = dict(connection.execute(sa.text(query)).tuples().all())
    engine.dispose()
    return found


def test_1_a_backfill_stores_each_region_and_names_those_that_failed(call, environment):
    status, out, err = call("backfill", "--start", str(FIRST_DAY), "--end", str(LAST_DAY))
    assert status == 1
    assert [line for line in out.splitlines() if line.endswith(":")] == ["NY:", "ERCO:"]
    failed = errors(err)
    assert list(failed) == ["XYZ", "MINE"]
    assert "XYZ is not in the catalogue" in failed["XYZ"]
    assert "EIA has no demand for respondent MINE" in failed["MINE"]
    hours = counted(
        environment, "SELECT respondent, count(*) FROM raw_demand WHERE series = 'D' GROUP BY respondent"
    )
    assert hours["NY"] == hours["ERCO"] + 1 > 3000, "the first day begins an hour later in Texas"
    runs = counted(
        environment,
        "SELECT respondent, count(*) FROM weather_run WHERE status = 'complete' GROUP BY respondent",
    )
    # The first region's runs are none of the second one's.
    assert runs["NY"] > 100
    assert abs(runs["NY"] - runs["ERCO"]) <= 2
    sites = counted(environment, "SELECT site, count(*) FROM weather_forecast GROUP BY site")
    assert {"albany", "houston", "dallas"} <= sites.keys()


def test_2_each_region_has_a_registered_model_of_its_own(settings):
    for code in ("NY", "ERCO"):
        of = settings.for_region(code)
        with opened(of) as database:
            outcome = run_training(database, Registry(of), of, PRESENT, recipe=SHORT)
        assert outcome.verdict.promoted
        assert outcome.version.version == "1"
    champions = [Registry(settings.for_region(code)).champion() for code in ("NY", "ERCO")]
    assert [each.forecaster.respondent for each in champions] == ["NY", "ERCO"]


def test_3_status_has_a_line_for_each_region(call):
    status, out, err = call("status")
    assert status == 1
    assert list(errors(err)) == ["XYZ"]
    lines = {line.split()[0]: line.split() for line in out.splitlines() if line.startswith(REGIONS)}
    assert list(lines) == list(REGIONS)
    assert (lines["NY"][1], lines["ERCO"][1]) == ("3,248", "3,247")
    assert (lines["ERCO"][7], lines["XYZ"][-1], lines["MINE"][1]) == ("1", "unusable", "0")
    status, out, _ = call("status", "--json")
    bodies = json.loads(out)["regions"]
    assert list(bodies) == list(REGIONS)
    assert set(bodies["XYZ"]) == {"error"}
    assert (bodies["ERCO"]["respondent"], bodies["ERCO"]["champion"]["version"]) == ("ERCO", "1")
    assert set(bodies["NY"]["weather"]) & set(bodies["ERCO"]["weather"]) == set()


def test_4_one_region_alone_answers_as_if_there_were_no_other(call):
    status, out, _ = call("status", "--json", "--region", "NY")
    alone = json.loads(out)
    other, listed, _ = call("status", "--json", EIA_REGIONS="")
    assert (status, other) == (0, 0)
    assert alone == json.loads(listed)


def test_5_a_forecast_is_of_the_default_region_or_of_the_one_that_is_named(call, environment):
    answers = {}
    for code, arguments in {"NY": (), "ERCO": ("--region", "ERCO")}.items():
        status, out, _ = call("forecast", "--hours", "3", "--json", *arguments)
        assert status == 0
        answers[code] = json.loads(out)["peak"]["predicted_demand_mwh"]
    assert answers["ERCO"] > 1.5 * answers["NY"]
    logged = counted(environment, "SELECT respondent, count(*) FROM prediction_log GROUP BY respondent")
    assert logged == {"NY": 3, "ERCO": 3}
    assert call("forecast", "--region", "XYZ")[0] == 1
    status, _, err = call("forecast", "--region", "PJM")
    assert (status, "PJM is not among the regions that are forecast" in err) == (1, True)


def test_6_the_morning_job_logs_tomorrow_for_each_region_in_its_own_time(call, environment):
    status, out, err = call("forecast", "--scheduled", "--json")
    assert status == 1
    assert list(errors(err)) == ["XYZ", "MINE"]
    bodies = json.loads(out)["regions"]
    assert [bodies[code]["day"] for code in ("NY", "ERCO")] == ["2025-03-13", "2025-03-13"]
    query = (
        "SELECT respondent || ' ' || source, count(*) FROM prediction_log "
        "WHERE request_id LIKE 'scheduled %' GROUP BY 1"
    )
    # Nine o'clock in New York is eight in Texas.
    assert counted(environment, query) == {"NY scheduled": 24, "ERCO request": 24}


def test_7_the_regions_jobs_run_in_processes_of_their_own_too(call):
    found = {}
    for more in ((), ("--workers", "2")):
        status, out, err = call("drift", "--check-only", "--json", *more)
        assert status == 1
        assert set(errors(err)) == {"XYZ", "MINE"}
        bodies = json.loads(out)["regions"]
        assert list(bodies) == list(REGIONS)
        found[more] = [
            (body.get("retrain"), body.get("reason"), body.get("error")) for body in bodies.values()
        ]
    one, several = found.values()
    assert one == several
    assert one[0][1] is not None
    status, out, err = call("drift", "--check-only", "--workers", "2")
    assert status == 1
    assert {line for line in out.splitlines() if line.endswith(":")} >= {"NY:", "ERCO:"}
    assert "--workers and --dask are for --scheduled" in call("forecast", "--workers", "2")[2]


@pytest.fixture(scope="module")
def on_dask(environment, tmp_path_factory) -> Iterator[dict[str, str]]:
    """A Dask cluster of one worker, and a registry that it reaches."""
    port = free_port()
    registry = f"sqlite:///{environment['ENERGY_DEMAND_HOME']}/mlflow/mlflow.db"
    found = {"MLFLOW_TRACKING_URI": registry, "PREFECT_HOME": str(tmp_path_factory.mktemp("prefect"))}
    with scheduler_at(port, **environment, **found):
        wait_for_worker(port)
        yield {**found, "DASK_SCHEDULER": f"tcp://127.0.0.1:{port}"}


def test_8_the_workers_of_a_dask_cluster_do_the_jobs_too(call, on_dask):
    address = on_dask["DASK_SCHEDULER"]
    status, out, err = call("drift", "--check-only", "--json", "--dask", address, **on_dask)
    assert (status, set(errors(err))) == (1, {"XYZ", "MINE"})
    here = json.loads(call("drift", "--check-only", "--json", **on_dask)[1])["regions"]
    there = json.loads(out)["regions"]
    for code in ("NY", "ERCO"):
        assert there[code]["reason"] == here[code]["reason"] is not None
    status, out, _ = call("drift", "--check-only", "--json", "--region", "ERCO", "--dask", address, **on_dask)
    assert (status, json.loads(out)["reason"]) == (0, here["ERCO"]["reason"])
    status, _, err = call("train", "--dask", address, MLFLOW_TRACKING_URI="")
    assert (status, "--dask needs MLFLOW_TRACKING_URI, so that the workers reach" in err) == (2, True)


def test_9_a_scheduled_flow_shares_regions_among_the_workers(environment, on_dask, monkeypatch):
    for name, value in {**environment, **on_dask, **TELEMETRY_OFF}.items():
        monkeypatch.setenv(name, value)
    from prefect.testing.utilities import prefect_test_harness  # noqa: PLC0415

    from energy_demand.orchestration.flows import regions_flow  # noqa: PLC0415

    with prefect_test_harness(server_startup_timeout=120):
        state = regions_flow("drift-check", ["NY", "ERCO"], return_state=True)
        assert state.name == "Completed"
        checked = state.result()
        assert list(checked) == ["NY", "ERCO"]
        assert all(each["reason"] for each in checked.values())
        state = regions_flow("drift-check", ["XYZ", "ERCO"], return_state=True)
        assert state.name == "Failed"
        assert "XYZ: EIA_REGIONS: XYZ is not in the catalogue" in state.message
        assert "ERCO:" not in state.message
        monkeypatch.delenv("DASK_SCHEDULER")
        state = regions_flow("forecast", ["ERCO"], return_state=True)
        assert "DASK_SCHEDULER is not set" in state.message
    checks = counted(environment, "SELECT respondent, count(*) FROM drift_log GROUP BY respondent")
    assert checks["ERCO"] == checks["NY"] + 2, "one by its own command, one beside a region that failed"


def test_10_nothing_is_undone_for_a_region_that_is_not_named(call):
    for arguments in (["rollback"], ["contest", "--drop"]):
        status, _, err = call(*arguments)
        assert (status, "--region is missing; nothing was changed" in err) == (1, True)
    assert (
        call("rollback", "--region", "ERCO")[2].splitlines()[-1].startswith("error: version 1 is the first")
    )


@pytest.fixture(scope="module")
def service(environment) -> Iterator[Server]:
    given = {name.lower(): value for name, value in environment.items()}
    server = Server(Path(given.pop("energy_demand_home")), given.pop("database_url"), **given)
    yield server.start()
    server.stop()
    server.client.close()


def test_9_the_service_answers_for_each_region(service):
    def ask(path: str, **parameters: object):
        return service.client.get(path, params=parameters)

    wait_until(lambda: ask("/model", region="ERCO").status_code == 200, what="the second region's model")
    assert ask("/ready").json() == {
        "status": "ready",
        "model_version": "1",
        "regions": {"ERCO": "1", "XYZ": "none", "MINE": "none"},
    }
    models = {code: ask("/model", region=code) for code in REGIONS}
    assert models["NY"].json()["name"] == "energy-demand-lgbm"
    assert (models["ERCO"].json()["name"], models["ERCO"].json()["respondent"]) == (
        "energy-demand-lgbm-ERCO",
        "ERCO",
    )
    assert [models[code].status_code for code in ("XYZ", "MINE")] == [503, 503]
    assert "XYZ is not in the catalogue" in models["XYZ"].json()["detail"]
    york, texas, default = (
        ask("/forecast", hours=2, **region).json()["peak"]["predicted_demand_mwh"]
        for region in ({"region": "NY"}, {"region": "ERCO"}, {})
    )
    assert default == york < texas / 1.5
    unknown = ask("/forecast", region="PJM")
    assert unknown.status_code == 422
    assert unknown.json()["detail"] == "region: PJM is not served; use NY, ERCO, MINE"


def test_10_each_metric_has_a_sample_for_each_region(service):
    def regions(name: str) -> dict[str, float]:
        found = service.metric(name)
        return {
            part.split('"')[1]: value
            for labels, value in found.items()
            for part in labels.split(",")
            if part.startswith("region=")
        }

    assert regions("region_usable") == {"NY": 1.0, "ERCO": 1.0, "XYZ": 0.0, "MINE": 1.0}
    assert regions("model_problem")["XYZ"] == 1.0
    assert (regions("model_version")["NY"], regions("model_version")["ERCO"]) == (1.0, 1.0)
    assert regions("data_freshness_hours").keys() == {"NY", "ERCO"}
    assert regions("forecast_tomorrow_hours") == {"NY": 24.0, "ERCO": 24.0, "MINE": 0.0}
    assert regions("region_local_hour") == {"NY": 9.0, "ERCO": 8.0, "MINE": 7.0}
