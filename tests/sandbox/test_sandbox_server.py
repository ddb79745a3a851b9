from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from energy_demand.sandbox.app import create_app
from energy_demand.sandbox.errors import SandboxDataError, SandboxPortError
from energy_demand.sandbox.server import run, serving
from energy_demand.sandbox.worlds.recorded import RecordedWorld
from energy_demand.sandbox.worlds.synthetic import SyntheticWorld

COMMAND = Path(sys.executable).with_name("energy-demand")
PROGRAM = """
from datetime import UTC, datetime
from energy_demand.sandbox.server import run
from energy_demand.sandbox.worlds.synthetic import SyntheticWorld
run(SyntheticWorld(), port=0, now=datetime(2025, 1, 2, 3, tzinfo=UTC))
"""


@pytest.mark.usefixtures("processes")
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM], ids=lambda stop: stop.name)
def test_the_server_says_one_line_serves_and_stops_quietly(stop):
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        timer = threading.Timer(20, process.kill)
        timer.start()
        line = process.stdout.readline()
        found = re.fullmatch(
            r"sandbox: synthetic data \(not real\) up to 2025-01-02T03:00Z on (http://127\.0\.0\.1:\d+)\n",
            line,
        )
        try:
            assert found, line
            assert httpx.get(found[1]).json()["now"] == "2025-01-02T03:00:00Z"
        finally:
            process.send_signal(stop)
            rest, errors = process.communicate()
            timer.cancel()
    assert (rest, errors, process.returncode) == ("", "", 0)


@pytest.mark.usefixtures("processes")
def test_the_command_is_strict_when_asked():
    """The blend has no runs kept of April 2025; a sandbox that is not strict has them."""
    arguments = ["sandbox", "--port", "0", "--now", "2025-04-10T14:00Z", "--strict"]
    asked = {"latitude": "40.7", "longitude": "-74", "hourly": "temperature_2m", "run": "2025-04-10T00:00"}
    with subprocess.Popen([COMMAND, *arguments], stdout=subprocess.PIPE, text=True) as process:
        timer = threading.Timer(20, process.kill)
        timer.start()
        try:
            address = process.stdout.readline().split()[-1]
            answer = httpx.get(f"{address}/single-runs/v1/forecast", params=asked)
        finally:
            process.terminate()
            process.communicate()
            timer.cancel()
    assert answer.status_code == 400
    assert "The requested model run is not available" in answer.json()["reason"]


@pytest.mark.usefixtures("processes")
def test_a_port_in_use_is_a_clear_error(synthetic_world):
    now = datetime(2025, 1, 1, tzinfo=UTC)
    with serving(create_app(synthetic_world, now=now)) as url:
        port = int(url.rsplit(":", 1)[1])
        with pytest.raises(SandboxPortError, match=f"127.0.0.1:{port}.*in use") as caught:
            run(synthetic_world, port=port, now=now)
    assert caught.value.port == port
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("processes")
def test_without_a_fixed_present_the_synthetic_world_follows_the_clock():
    with serving(create_app(SyntheticWorld(), now=None)) as url:
        now = datetime.fromisoformat(httpx.get(url).json()["now"])
    assert abs((datetime.now(UTC) - now).total_seconds()) < 60


@pytest.mark.usefixtures("processes")
def test_without_a_fixed_present_a_record_is_seen_at_its_end(small_record):
    with serving(create_app(RecordedWorld(small_record), now=None)) as url:
        assert httpx.get(url).json() == {
            "kind": "recorded",
            "now": "2024-03-11T00:00:00Z",
            "first": "2024-03-01T00:00:00Z",
            "last": "2024-03-11T00:00:00Z",
        }


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SandboxDataError, match=r"ny_demand_hourly\.parquet") as caught:
        RecordedWorld(tmp_path)
    assert caught.value.path == tmp_path / "ny_demand_hourly.parquet"


def test_a_file_that_is_not_what_it_should_be_is_named(small_record, tmp_path):
    for file in small_record.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "ny_demand_daily_eastern.csv").write_text("something,else\n1,2\n")
    with pytest.raises(SandboxDataError, match=r"ny_demand_daily_eastern\.csv.*lacks columns"):
        RecordedWorld(tmp_path)
