"""`energy-demand serve` as a process: how it starts, refuses to start, and ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys

import httpx
import pytest
from servers import COMMAND, free_port

from energy_demand.errors import UserError
from energy_demand.serving.metrics_server import WorkersCollector
from energy_demand.serving.schemas import EXAMPLE
from energy_demand.serving.server import _metrics_folder

pytestmark = pytest.mark.usefixtures("processes")


@pytest.fixture
def taken():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.mark.parametrize("variable", ["API_PORT", "PROMETHEUS_PORT"])
def test_a_port_that_is_taken_is_one_line_that_names_its_setting(taken, tmp_path, variable):
    ports = {"API_PORT": free_port(), "PROMETHEUS_PORT": free_port(), variable: taken}
    environment = {
        **os.environ,
        "ENERGY_DEMAND_HOME": str(tmp_path),
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
        **{name: str(port) for name, port in ports.items()},
    }
    done = subprocess.run(
        [COMMAND, "serve"], env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert f"127.0.0.1:{taken}" in line
    assert "in use" in line
    assert variable in line


def test_a_server_that_is_told_to_ends_without_a_fault_and_with_every_answer_logged(serve, logged):
    server = serve()
    said = server.log().splitlines()[0]
    assert said == (
        f"serving on http://127.0.0.1:{server.port}, metrics on port {server.metrics_port}, 1 worker"
    )
    ids = [f"last-{number}" for number in range(50)]
    for each in ids:
        server.client.post("/predict", json=EXAMPLE, headers={"X-Request-ID": each})
    assert server.stop(signal.SIGTERM, seconds=20) == 0
    assert {row.request_id for row in logged("last-%")} == set(ids)
    with pytest.raises(httpx.ConnectError):
        server.client.get("/health")
    assert "Traceback" not in server.log()
    answered = [line for line in server.log_lines() if str(line.get("request_id")).startswith("last-")]
    assert len(answered) == len(ids)


def test_the_metrics_are_in_the_home_where_nothing_cleans_them(tmp_path):
    (tmp_path / "metrics" / "run-999999999-left").mkdir(parents=True)  # by a parent that was killed
    (tmp_path / "metrics" / "run-1-other").mkdir()  # of a process that runs
    with _metrics_folder(tmp_path) as folder:
        assert folder.parent == tmp_path / "metrics"
        assert {each.name for each in folder.parent.iterdir()} == {folder.name, "run-1-other"}
    assert [each.name for each in (tmp_path / "metrics").iterdir()] == ["run-1-other"]


def test_a_home_that_cannot_hold_the_metrics_is_one_line(tmp_path):
    (tmp_path / "metrics").write_text("")
    refused = pytest.raises(UserError, match="metrics cannot be written .*ENERGY_DEMAND_HOME")
    with refused, _metrics_folder(tmp_path):
        pass


def test_metrics_are_added_up_in_a_folder_of_any_name(tmp_path, monkeypatch):
    folder = tmp_path / "a [b] c?"
    folder.mkdir()
    count = (
        "import sys; from prometheus_client import Counter; Counter('odd_total', 'x', registry=None).inc(2)"
    )
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder)}
    for _ in range(2):
        subprocess.run([sys.executable, "-c", count], env=environment, check=True)
    found = {metric.name: metric.samples[0].value for metric in WorkersCollector(folder).collect()}
    assert found == {"odd": 4.0}
