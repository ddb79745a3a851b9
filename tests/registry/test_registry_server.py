"""The registry on a real MLflow server, which is stricter than a store in a file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import mlflow
import pytest
from servers import free_port, wait_until

from energy_demand.config import TELEMETRY_OFF
from energy_demand.evaluation.promotion import FIRST
from energy_demand.registry.registry import Registry
from support import PRESENT, make_settings

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("processes")]


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """An MLflow server that serves its files too, as Compose's does."""
    folder = tmp_path_factory.mktemp("mlflow-server")
    url = f"http://127.0.0.1:{free_port()}"
    command = [
        *(Path(sys.executable).with_name("mlflow"), "server", "--host", "127.0.0.1"),
        *("--port", url.rpartition(":")[2], "--workers", "1", "--serve-artifacts"),
        *(
            "--backend-store-uri",
            f"sqlite:///{folder / 'mlflow.db'}",
            "--artifacts-destination",
            folder / "files",
        ),
    ]
    environment = {**os.environ, **TELEMETRY_OFF, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    log = (folder / "log").open("w")
    with (
        log,
        subprocess.Popen(
            command, env=environment, stdout=log, stderr=log, cwd=folder, start_new_session=True
        ) as process,
    ):

        def answers() -> bool:
            assert process.poll() is None, (folder / "log").read_text()
            try:
                return httpx.get(f"{url}/health").is_success
            except httpx.HTTPError:
                return False

        wait_until(answers, seconds=90, what="MLflow's server")
        yield url
        os.killpg(process.pid, signal.SIGKILL)


def test_versions_are_registered_promoted_loaded_and_pruned_over_http(address, trained, tmp_path, capfd):
    registry = Registry(make_settings(energy_demand_home=tmp_path, mlflow_tracking_uri=address))
    for _ in range(3):
        made = registry.register(trained.judged, params={}, metrics={"test_mape": 2.5}, started_at=PRESENT)
        assert registry.apply_verdict(made.run_id, FIRST)
    assert registry.champion().version == "3"
    assert registry.champion().forecaster.trained_through == trained.judged.trained_through
    assert mlflow.lightgbm.load_model("models:/energy-demand-lgbm@champion").num_trees() > 0
    assert registry.prune(2) == ["1"]
    with registry._store.client() as client:
        (experiment,) = client.search_experiments(filter_string="name = 'energy-demand-forecast'")
        assert len(client.search_logged_models([experiment.experiment_id])) == 2
    assert registry.rollback() == ("2", "3")
    # Standard output is for what was asked: `--json` must stay JSON.
    assert capfd.readouterr().out == ""
