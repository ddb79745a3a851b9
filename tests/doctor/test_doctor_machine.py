"""What the doctor says of a machine: disk, memory, ports, proxies, libraries, settings."""

from __future__ import annotations

import builtins
import shutil
import socket
import sys
from collections import namedtuple
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from energy_demand.doctor import machine
from energy_demand.doctor.checks import Area, State, run_checks
from energy_demand.doctor.examination import examine
from energy_demand.errors import UserError
from support import PRESENT, make_settings

Usage = namedtuple("Usage", "total used free")  # noqa: PYI024


def lines(settings=None, *, names=None):
    checks = [each for each in machine.checks(settings, None) if names is None or each.name in names]
    return {each.finding.name: each.finding for each in run_checks(checks, str)}


@pytest.fixture
def settings(tmp_path):
    return make_settings(energy_demand_home=tmp_path / "home")


def test_this_machine_is_fit_and_nothing_is_made(settings, tmp_path, processes):
    found = lines(settings)
    for name in ("python", "LightGBM", "time zones"):
        assert found[name].state is State.OK, found[name]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("free", "state"), [(1e8, State.FAILURE), (1e9, State.WARNING), (1e11, State.OK)])
def test_disk_room(settings, monkeypatch, free, state):
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: Usage(1e12, 0, free))
    found = lines(settings, names={"home", "temporary folder"})
    assert {each.state for each in found.values()} == {state}
    assert all(bool(each.remedy) == (state is not State.OK) for each in found.values())


@pytest.mark.parametrize(
    ("free", "state"),
    [(1e8, State.FAILURE), (1e9, State.WARNING), (1e11, State.OK), (None, State.NOT_CHECKED)],
)
def test_memory(monkeypatch, free, state):
    monkeypatch.setattr(machine, "available_memory", lambda: free)
    assert lines(names={"memory"})["memory"].state is state


def test_free_memory_is_a_figure_of_this_machine():
    available = machine.available_memory()
    assert available is not None
    assert 1e6 < available < 1e14


def test_a_home_below_a_file_or_of_another_account(tmp_path, monkeypatch):
    file = tmp_path / "file"
    file.write_text("")
    assert lines(make_settings(energy_demand_home=file), names={"home"})["home"].state is State.FAILURE
    monkeypatch.setattr("os.access", lambda *_: False)
    found = lines(make_settings(energy_demand_home=tmp_path), names={"home"})["home"]
    assert found.state is State.FAILURE
    assert "cannot be written" in found.found


def missing(name: str, error: Exception):
    real = builtins.__import__

    def refuse(wanted, *arguments, **named):
        if wanted == name:
            raise error
        return real(wanted, *arguments, **named)

    return refuse


def test_a_machine_without_libgomp(monkeypatch):
    message = "libgomp.so.1: cannot open shared object file: No such file or directory"
    monkeypatch.setattr(builtins, "__import__", missing("energy_demand.boosting", OSError(message)))
    found = lines(names={"LightGBM"})["LightGBM"]
    assert found.state is State.FAILURE
    assert found.found == message
    assert "libgomp1" in found.remedy
    monkeypatch.setattr(sys, "platform", "darwin")
    assert "brew install libomp" in lines(names={"LightGBM"})["LightGBM"].remedy


def test_a_machine_without_time_zone_data(monkeypatch):
    import zoneinfo  # noqa: PLC0415

    def unknown(name):
        raise zoneinfo.ZoneInfoNotFoundError(name)

    monkeypatch.setattr(zoneinfo, "ZoneInfo", unknown)
    found = lines(names={"time zones"})["time zones"]
    assert found.state is State.FAILURE
    assert "tzdata" in found.remedy


def test_an_old_python(monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 10, 1))
    assert lines(names={"python"})["python"].state is State.FAILURE


PROXIES = {
    "none": ({}, {"proxies": State.OK}),
    "loopback exempt": (
        {"HTTP_PROXY": "http://proxy:3128", "NO_PROXY": "127.0.0.1,localhost"},
        {"proxies": State.OK},
    ),
    "loopback not exempt": ({"HTTPS_PROXY": "http://proxy:3128"}, {"proxies": State.WARNING}),
    "SOCKS": (
        {"ALL_PROXY": "socks5://127.0.0.1:1080"},
        {"proxies": State.WARNING, "SOCKS proxy": State.FAILURE},
    ),
}


@pytest.mark.parametrize("how", PROXIES)
def test_proxies(monkeypatch, how):
    variables, expected = PROXIES[how]
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(machine, "_installed", lambda _package: False)
    found = lines(names={"proxies"})
    assert {name: each.state for name, each in found.items()} == expected


def test_the_names_of_what_is_set_are_shown_and_no_value():
    settings = make_settings(
        eia_api_key="s3cretkey", sandbox_url="http://127.0.0.1:9", http_attempts=2, energy_demand_now=PRESENT
    )
    found = lines(settings, names={"settings"})["settings"]
    assert found.state is State.OK
    for name in ("EIA_API_KEY", "SANDBOX_URL", "HTTP_ATTEMPTS"):
        assert name in found.found
    assert "EIA_BASE_URL" not in found.found  # it follows from SANDBOX_URL
    assert "s3cretkey" not in found.found


def test_an_env_file_with_secrets_is_for_its_owner_alone(tmp_path, monkeypatch):
    monkeypatch.setattr("energy_demand.config.project_root", lambda: tmp_path)
    assert "not needed" in lines(make_settings(), names={".env"})[".env"].found
    file = tmp_path / ".env"
    file.write_text("API_PORT=8000\nEIA_API_KEY=\n")
    file.chmod(0o644)
    assert lines(make_settings(), names={".env"})[".env"].state is State.OK
    file.write_text("EIA_API_KEY=s3cretkey\n")
    found = lines(make_settings(), names={".env"})[".env"]
    assert found.state is State.WARNING
    assert "EIA_API_KEY" in found.found
    assert "s3cretkey" not in str(found)
    file.chmod(0o600)
    assert lines(make_settings(), names={".env"})[".env"].state is State.OK


def test_a_fixed_present_is_for_records_and_sandboxes():
    assert lines(make_settings(), names={"present"})["present"].state is State.WARNING
    sandboxed = make_settings(sandbox_url="http://127.0.0.1:9")
    assert lines(sandboxed, names={"present"})["present"].state is State.OK
    live = make_settings(energy_demand_now=None)
    assert lines(live, names={"present"})["present"].state is State.OK


class Answering(BaseHTTPRequestHandler):
    body = b""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def listening(processes):
    servers = []

    def start(body: bytes) -> int:
        handler = type("Handler", (Answering,), {"body": body})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return server.server_address[1]

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


PAGES = {
    "the API": (b'{"status": "healthy", "model_loaded": true}', State.OK, "API listens there"),
    "another program": (b"<html>router</html>", State.WARNING, "something else than API"),
    "JSON of another program": (b"[1]", State.WARNING, "something else than API"),
}


@pytest.mark.parametrize("who", PAGES)
def test_a_port_in_use(listening, who):
    body, state, told = PAGES[who]
    port = listening(body)
    found = lines(make_settings(api_port=port), names={f"port {port}"})[f"port {port}"]
    assert found.state is state
    assert told in found.found
    assert ("API_PORT" in found.remedy) == (state is State.WARNING)


def test_a_port_that_does_not_speak_http(processes):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        found = lines(make_settings(api_port=port), names={f"port {port}"})[f"port {port}"]
    assert found.state is State.WARNING


def test_settings_that_cannot_be_read_are_a_line_and_the_rest_waits(processes):
    def refuse():
        raise UserError("API_PRT: no such setting; did you mean API_PORT?")

    found = examine(refuse, set(Area))
    by_name = {each.finding.name: each.finding for each in found.results}
    assert by_name["settings"].state is State.FAILURE
    assert "did you mean API_PORT" in by_name["settings"].found
    assert by_name["settings"].remedy
    assert {by_name[name].state for name in ("upstreams", "stores", "services")} == {State.NOT_CHECKED}
    assert by_name["LightGBM"].state is State.OK
    assert not found.healthy
    only = examine(refuse, {Area.UPSTREAMS})
    assert [each.finding.name for each in only.results] == ["settings", "upstreams"]


def test_a_fault_while_the_settings_are_read_is_a_line_too(processes):
    def broken():
        raise KeyError("No time zone found with key America/New_York")

    found = examine(broken, {Area.STORES})
    assert "No time zone found" in found.results[0].finding.found
    assert not found.healthy
