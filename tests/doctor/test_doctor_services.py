"""What the doctor says of the services: of ours, of other programs on their ports, and of none."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from energy_demand.config import prefect_api_url
from energy_demand.doctor import services
from energy_demand.doctor.checks import State, run_checks
from energy_demand.doctor.privacy import Secrets
from support import make_settings


@pytest.fixture
def serve(processes):
    """Starts a server with these answers by path, (status, body); gives its port."""
    servers = []

    def start(answers) -> int:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, body = answers.get(self.path, (404, ""))
                self.send_response(status)
                self.end_headers()
                self.wfile.write((body if isinstance(body, str) else json.dumps(body)).encode())

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return server.server_address[1]

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def line(name, settings, prefect=None):
    checks = [each for each in services.checks(settings, prefect) if each.name == name]
    (found,) = run_checks(checks, Secrets(settings, {}).clean)
    return found.finding


HEALTHY = {"status": "healthy", "model_loaded": True}
READY = {"status": "ready", "model_version": "7"}
APIS = {
    "ready": ({"/health": (200, HEALTHY), "/ready": (200, READY)}, State.OK, "serves version 7"),
    "no model": (
        {"/health": (200, HEALTHY), "/ready": (503, {"detail": "no model serves yet"})},
        State.FAILURE,
        "no model serves yet",
    ),
    "ready says nothing": ({"/health": (200, HEALTHY)}, State.FAILURE, "does not say why"),
    "another program": ({"/health": (200, "fine")}, State.FAILURE, "another program"),
    "JSON of another program": ({"/health": (200, {"status": "UP"})}, State.FAILURE, "another program"),
}


@pytest.mark.parametrize("how", APIS)
def test_the_api(serve, how):
    answers, state, told = APIS[how]
    found = line("API", make_settings(api_port=serve(answers)))
    assert found.state is state
    assert told in found.found
    assert bool(found.remedy) == (state is State.FAILURE)


def test_no_service_runs(processes):
    settings = make_settings(api_port=9, dashboard_port=9)
    for name in ("API", "dashboard", "Prefect"):
        found = line(name, settings)
        assert found.state is State.NOT_CHECKED
        assert found.remedy


@pytest.mark.parametrize(
    ("answers", "state"),
    [({"/_stcore/health": (200, "ok")}, State.OK), ({"/": (200, "hello")}, State.WARNING)],
    ids=["ours", "another program"],
)
def test_the_dashboard(serve, answers, state):
    assert line("dashboard", make_settings(dashboard_port=serve(answers))).state is state


@pytest.mark.parametrize(
    ("answers", "state"),
    [({"/api/health": (200, "true")}, State.OK), ({"/api/health": (500, "no")}, State.FAILURE)],
    ids=["healthy", "broken"],
)
def test_prefect(serve, answers, state):
    address = f"http://127.0.0.1:{serve(answers)}/api/"
    assert line("Prefect", make_settings(), address).state is state


def test_a_prefect_that_cannot_be_reached_keeps_its_password(processes):
    found = line("Prefect", make_settings(), "http://me:prefectpw@127.0.0.1:9/api")
    assert found.state is State.FAILURE
    assert "prefectpw" not in str(found)
    assert "PREFECT_API_URL" in found.remedy


def test_the_address_of_prefect_is_the_one_that_prefect_reads(monkeypatch):
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    assert prefect_api_url() is None
    monkeypatch.setenv("PREFECT_API_URL", " ")
    assert prefect_api_url() is None
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:4200/api")
    assert prefect_api_url() == "http://127.0.0.1:4200/api"
