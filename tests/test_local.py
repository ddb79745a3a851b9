"""Everything on one machine: what is planned, how services are supervised, and the real thing."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from servers import COMMAND, free_port, wait_until

from energy_demand.config import Settings
from energy_demand.local import supervision
from energy_demand.local.services import SamePortError, Service, local_services
from energy_demand.local.supervision import PortTakenError, check_ports
from support import make_settings

pytestmark = pytest.mark.usefixtures("processes")

SECRETS = {
    "eia_api_key": "canary-key",
    "api_key": "canary-api",
    "database_url": "postgresql://u:canary-word@db/d",
}
PORT_SETTINGS = ("API_PORT", "PROMETHEUS_PORT", "DASHBOARD_PORT")


def plan(tmp_path, store="sqlite:////nowhere/mlflow.db", **given):
    settings = make_settings(energy_demand_home=tmp_path, api_host="0.0.0.0", **{**SECRETS, **given})
    return {
        each.name: each
        for each in local_services(settings, Path("/bin"), store, mlflow_port=5000, prefect_port=4200)
    }


def test_five_services_are_planned_on_the_ports_of_the_spec(tmp_path):
    services = plan(tmp_path)
    assert {name: list(each.ports.values()) for name, each in services.items()} == {
        "api": [8000, 8001],
        "dashboard": [8501],
        "mlflow": [5000],
        "prefect": [4200],
        "worker": [],
    }
    assert {name for name, each in services.items() if each.health is None} == {"worker"}
    assert {name: each.after for name, each in services.items() if each.after} == {
        "api": "mlflow",
        "dashboard": "mlflow",
        "worker": "prefect",
    }


def test_nothing_is_told_to_listen_on_or_to_ask_anything_but_this_machine(tmp_path):
    services = plan(tmp_path, dashboard_host="0.0.0.0")
    for each in services.values():
        said = [*each.argv, *each.environment.values(), *each.pages.values(), each.health or ""]
        assert not [text for text in said if "0.0.0.0" in text or "::" in text]
        assert {urlsplit(text).hostname for text in said if text.startswith("http")} <= {"127.0.0.1"}
    assert services["api"].environment["API_HOST"] == "127.0.0.1"
    assert services["dashboard"].environment["DASHBOARD_HOST"] == "127.0.0.1"
    assert services["prefect"].environment["PREFECT_SERVER_API_HOST"] == "127.0.0.1"
    assert services["mlflow"].argv[services["mlflow"].argv.index("--host") + 1] == "127.0.0.1"


def test_no_secret_stands_in_a_command_line_and_what_is_not_ours_gets_none(tmp_path, monkeypatch):
    for name, value in SECRETS.items():
        monkeypatch.setenv(name.upper(), value)
    services = plan(tmp_path, store="postgresql://m:canary-store@db/mlflow")
    assert "canary" not in str([each.argv for each in services.values()])
    processes = {name: supervision._process(each, "31") for name, each in services.items()}
    assert "canary" not in str([each.cmd for each in processes.values()])
    for name in ("mlflow", "prefect"):
        environment = {**processes[name].env, "MLFLOW_BACKEND_STORE_URI": ""}
        assert "canary" not in str(environment)
    assert processes["api"].env["EIA_API_KEY"] == "canary-key"


def test_an_mlflow_server_that_is_set_is_not_started_and_the_dashboard_links_to_it(tmp_path):
    services = plan(tmp_path, store="http://elsewhere:5000")
    assert "mlflow" not in services
    assert services["api"].after is None
    assert services["dashboard"].environment["MLFLOW_PUBLIC_URL"] == "http://elsewhere:5000"


def test_one_port_for_two_is_refused(tmp_path):
    with pytest.raises(SamePortError, match="API_PORT and --prefect-port are both 4200"):
        plan(tmp_path, api_port=4200)


def test_a_taken_port_is_told_with_its_service_and_what_sets_it():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortTakenError, match=rf"mlflow cannot listen on 127.0.0.1:{port}.*--mlflow-port"):
            check_ports([Service("mlflow", (), {}, ports={"--mlflow-port": port})])


class Run:
    """A supervisor as a process, its output, and what it has started."""

    def __init__(self, argv, log: Path, environment: dict[str, str]) -> None:
        self._log = log
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                argv, stdout=file, stderr=file, env=environment, start_new_session=True
            )
        self.seen: set[int] = set()

    def told(self) -> str:
        return self._log.read_text()

    def wait_for(self, text: str, seconds: float = 20) -> None:
        def found() -> bool:
            self.seen |= set(children(self.process.pid))
            assert text in self.told() or self.process.poll() is None, self.told()[-3000:]
            return text in self.told()

        wait_until(found, seconds=seconds, what=f"{text!r} in {self.told()[-3000:]}")

    def end(self, how: int | None, seconds: float = 40) -> int:
        self.seen |= set(children(self.process.pid))
        if how is not None:
            self.process.send_signal(how)
        return self.process.wait(seconds)

    def left(self) -> list[int]:
        return [pid for pid in self.seen if alive(pid)]

    def close(self) -> None:
        for pid in (self.process.pid, *self.seen):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()


def stat(pid: int) -> list[str]:
    """State, parent and so on of a process; empty where there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def alive(pid: int) -> bool:
    return stat(pid)[:1] not in ([], ["Z"])


def children(parent: int) -> list[int]:
    """All processes below one, however deep."""
    found = {int(each.name): stat(int(each.name)) for each in Path("/proc").iterdir() if each.name.isdigit()}
    below, depth = [parent], 0
    while depth < len(below):
        below += [pid for pid, facts in found.items() if facts[1:2] == [str(below[depth])]]
        depth += 1
    return below[1:]


@pytest.fixture
def supervise(tmp_path):
    """Runs services, each a name and a line of shell."""
    runs = []

    def start(**services):
        asked = [
            {"name": name, **({"argv": ["sh", "-c", what]} if isinstance(what, str) else what)}
            for name, what in services.items()
        ]
        program = [sys.executable, Path(__file__).with_name("supervised.py"), json.dumps(asked)]
        runs.append(Run(program, tmp_path / f"run-{len(runs)}.log", dict(os.environ)))
        return runs[-1]

    yield start
    for run in runs:
        run.close()


FOR_EVER = "echo up; exec sleep 600"
STUBBORN = 'trap "" TERM; echo up; while :; do sleep 1; done'
# Starts something that goes on when its parent is told to end.
WITH_CHILD = "sleep 600 & echo up; wait"


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda each: each.name)
def test_one_signal_stops_all_and_everything_they_started(supervise, how):
    run = supervise(one=WITH_CHILD, other=FOR_EVER)
    run.wait_for("all healthy")
    run.wait_for("one   | up")
    run.wait_for("other | up")
    assert run.end(how) == 0
    assert run.left() == []


def test_lines_are_prefixed_and_without_secrets(supervise):
    run = supervise(one='echo "https://api.eia.gov/v2/?api_key=canary0123"; exec sleep 600')
    run.wait_for("one | https://api.eia.gov/v2/?api_key=REDACTED")
    assert run.end(signal.SIGINT) == 0


def test_a_service_that_ends_is_named_with_its_status_and_the_others_stop(supervise):
    run = supervise(one="sleep 0.5; exit 7", other=FOR_EVER)
    assert run.end(None) == 1
    assert "error: one ended with status 7; the others were stopped" in run.told().splitlines()[-1]
    assert run.left() == []


def test_a_program_that_is_not_there_is_named(supervise):
    run = supervise(one={"argv": ["/no/such/program"]})
    assert run.end(None) == 1
    assert "one ended with status 127" in run.told()


def test_a_second_signal_kills_what_does_not_end(supervise):
    run = supervise(one=STUBBORN, other=FOR_EVER)
    run.wait_for("one   | up")
    run.process.send_signal(signal.SIGINT)
    run.wait_for("press Ctrl-C again to kill")
    time.sleep(0.5)
    assert run.process.poll() is None
    assert run.end(signal.SIGINT, seconds=5) == 0
    assert "killing one" in run.told()
    assert run.left() == []


def test_a_service_starts_after_the_one_it_needs_is_healthy_and_ends_before_it(supervise, tmp_path):
    port = free_port()
    server = f"sleep 1; exec {sys.executable} -m http.server --bind 127.0.0.1 {port}"
    run = supervise(
        needed={"argv": ["sh", "-c", server], "health": f"http://127.0.0.1:{port}/", "cwd": str(tmp_path)},
        other={
            "argv": [
                "sh",
                "-c",
                'trap "sleep 1; echo over; exit" TERM; echo up; while :; do sleep 0.1; done',
            ],
            "after": "needed",
        },
    )
    run.wait_for("other  | up")
    assert '"GET / HTTP/1.1" 200' in run.told()
    assert run.end(signal.SIGTERM) == 0
    assert "other  | over" in run.told()  # it was given its time, and its lines came through


def test_a_service_that_waits_for_another_is_not_started_when_it_is_to_stop(supervise):
    run = supervise(
        needed={"argv": ["sh", "-c", FOR_EVER], "health": f"http://127.0.0.1:{free_port()}/"},
        other={"argv": ["sh", "-c", FOR_EVER], "after": "needed"},
    )
    run.wait_for("needed | up")
    assert run.end(signal.SIGINT, seconds=10) == 0
    assert "all healthy" not in run.told()
    assert "other" not in run.told()


@pytest.mark.parametrize("milliseconds", [0, 200, 400, 600, 800])
def test_a_signal_while_they_start_leaves_nothing(supervise, milliseconds):
    run = supervise(**{f"number{number}": FOR_EVER for number in range(5)})
    wait_until(lambda: Path(f"/proc/{run.process.pid}/cmdline").read_bytes() != b"", what="a start")
    time.sleep(milliseconds / 1000)
    ended = run.end(signal.SIGINT, seconds=10)
    assert ended in (0, 1, -signal.SIGINT)  # 1 and a signal: before the supervisor had taken over
    wait_until(lambda: not run.left(), what="an end of all")


def test_services_end_also_when_their_supervisor_is_killed(supervise):
    run = supervise(one=WITH_CHILD, other=FOR_EVER)
    run.wait_for("one   | up")
    run.wait_for("other | up")
    assert run.end(signal.SIGKILL) == -signal.SIGKILL
    leash = [pid for pid in run.seen if b"trap" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    wait_until(lambda: set(run.left()) <= {*leash, *children(leash[0])}, what="an end of the services")


@pytest.fixture
def local(tmp_path, database_url):
    """Runs `energy-demand local` on free ports, an empty database and an empty home."""
    home = tmp_path / "home"
    home.mkdir()
    runs = []

    def start(*arguments: str, **given: object):
        ports = {name: free_port() for name in (*PORT_SETTINGS, "--mlflow-port", "--prefect-port")}
        options = [text for name in ports if name.startswith("--") for text in (name, str(ports[name]))]
        known = {name.upper() for name in Settings.model_fields}
        environment = {
            **{name: value for name, value in os.environ.items() if name not in known},
            "ENERGY_DEMAND_HOME": str(home),
            "DATABASE_URL": database_url,
            **{name: str(ports[name]) for name in PORT_SETTINGS},
            **{name: str(value) for name, value in given.items()},
        }
        run = Run([COMMAND, "local", *options, *arguments], tmp_path / f"{len(runs)}.log", environment)
        run.ports = ports
        runs.append(run)
        return run

    yield start
    for run in runs:
        run.close()


@pytest.mark.slow
def test_all_five_come_up_on_an_empty_database_answer_and_go_with_one_signal(local):
    run = local()
    run.wait_for("all services are running", seconds=170)
    api, metrics, dashboard, mlflow, prefect = (
        f"http://127.0.0.1:{run.ports[name]}" for name in (*PORT_SETTINGS, "--mlflow-port", "--prefect-port")
    )
    for page in (f"{api}/docs", f"{metrics}/metrics", dashboard, mlflow, prefect):
        assert httpx.get(page, follow_redirects=True, timeout=20).status_code == 200
        assert page in run.told()
    assert httpx.get(f"{api}/ready").status_code == 503
    assert httpx.get(f"{prefect}/ui-settings").json()["api_url"] == f"{prefect}/api"
    assert "energy-demand train" in run.told()
    run.wait_for("worker    | Your deployments are being served", seconds=60)
    assert run.end(signal.SIGINT, seconds=60) == 0
    assert run.left() == []
    for port in run.ports.values():
        with socket.create_server(("127.0.0.1", port)):
            pass
    assert "Traceback" not in run.told()


@pytest.mark.slow
def test_a_process_that_is_killed_is_named_and_takes_the_others_along(local):
    run = local()
    run.wait_for("database:", seconds=60)
    found: list[int] = []

    def started() -> bool:
        run.seen |= set(children(run.process.pid))
        found[:] = [
            pid for pid in run.seen if b"prefect\0server" in Path(f"/proc/{pid}/cmdline").read_bytes()
        ]
        return bool(found)

    wait_until(started, what="Prefect's process")
    os.kill(found[0], signal.SIGKILL)
    assert run.end(None, seconds=60) == 1
    assert "error: prefect ended with SIGKILL" in run.told().splitlines()[-1]
    assert run.left() == []


def test_a_busy_port_ends_it_before_anything_is_started(local, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        run = local(DASHBOARD_PORT=taken.getsockname()[1])
        assert run.end(None) == 1
    line = run.told().strip()
    assert "\n" not in line
    assert line.startswith("error: dashboard cannot listen on 127.0.0.1:")
    assert "DASHBOARD_PORT" in line
