"""The Compose file: it refuses to start without secrets, gives each to whom it concerns, opens nothing."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import tomllib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest
from files import GRAFANA, INFRA, SECRETS, read

from energy_demand.config import Settings

if TYPE_CHECKING:
    from pathlib import Path

ROOT = INFRA.parent
COMPOSE = INFRA / "docker-compose.yml"
SERVICES = read(COMPOSE)["services"]


@pytest.fixture
def compose(tmp_path, processes):
    """Runs `docker-compose config` with these variables and no others."""
    if shutil.which("docker-compose") is None:
        pytest.skip("docker-compose is not on PATH (Debian: apt-get install docker-compose)")

    nothing = tmp_path / "empty.env"  # instead of a developer's own
    nothing.touch()

    def run(**variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["docker-compose", "--env-file", nothing, "--file", COMPOSE, "config"],
            env={"PATH": os.environ["PATH"], **variables},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.mark.parametrize("name", SECRETS)
def test_without_a_secret_compose_refuses_and_names_it(compose, name):
    given = dict.fromkeys(SECRETS, "given")
    for environment in ({**given, name: ""}, {key: value for key, value in given.items() if key != name}):
        done = compose(**environment)
        assert done.returncode != 0
        assert name in done.stderr


@pytest.mark.parametrize("kind", ["none", "webhook", "email"])
def test_the_contact_is_the_one_that_is_set(compose, kind):
    chosen = {} if kind == "none" else {"ALERT_CONTACT": kind}
    done = compose(**dict.fromkeys(SECRETS, "given"), **chosen)
    assert done.returncode == 0, done.stderr
    assert (
        f"/infra/grafana/contact/{kind}.yml:/etc/grafana/provisioning/alerting/contact.yml:ro" in done.stdout
    )


NO_CONTACT = {
    "a webhook without an address": ({"ALERT_CONTACT": "webhook"}, "needs ALERT_WEBHOOK_URL"),
    "a webhook that is no address": (
        {"ALERT_CONTACT": "webhook", "ALERT_WEBHOOK_URL": "hooks.example"},
        "needs ALERT_WEBHOOK_URL",
    ),
    "mail to nobody": ({"ALERT_CONTACT": "email", "ALERT_SMTP_HOST": "mail.example:25"}, "needs ALERT_EMAIL"),
    "mail without a server": (
        {"ALERT_CONTACT": "email", "ALERT_EMAIL": "a@b.example"},
        "needs ALERT_SMTP_HOST",
    ),
    "a contact that is not known": ({"ALERT_CONTACT": "pager"}, "must be none, webhook or email"),
}
CONTACTS = {
    "none": {},
    "none by name": {"ALERT_CONTACT": "none"},
    "a webhook": {"ALERT_CONTACT": "webhook", "ALERT_WEBHOOK_URL": "https://hooks.example/x"},
    "mail": {
        "ALERT_CONTACT": "email",
        "ALERT_EMAIL": "a@b.example",
        "ALERT_SMTP_HOST": "mail.example:25",
    },
}


@pytest.fixture
def check_contact(tmp_path, processes):
    """Runs what `make up` asks before Compose, with these lines in `.env`."""

    def run(given: dict[str, str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
        env_file = tmp_path / ".env"
        env_file.write_text("".join(f"{name}={value}\n" for name, value in given.items()))
        return subprocess.run(
            [sys.executable, INFRA / "check_contact.py", "--env-file", env_file],
            env={"PATH": os.environ["PATH"], **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.mark.parametrize("source", ["the file", "the environment"])
@pytest.mark.parametrize(("given", "said"), NO_CONTACT.values(), ids=NO_CONTACT)
def test_a_contact_without_an_address_is_refused_before_anything_starts(check_contact, given, said, source):
    done = check_contact(*((given, {}) if source == "the file" else ({"ALERT_CONTACT": "none"}, given)))
    assert done.returncode == 1
    assert said in done.stderr
    assert "nothing was started" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("given", CONTACTS.values(), ids=CONTACTS)
def test_a_contact_with_its_address_passes(check_contact, given):
    done = check_contact({**given, "WEATHER_FURTHER_SITES": '[{"name":"a b"}]', "X": "$(exit 7)"}, {})
    assert (done.returncode, done.stderr) == (0, "")


def test_quoted_values_and_comments_are_read_as_compose_does(check_contact):
    done = check_contact(
        {"ALERT_CONTACT": "'email'  # not yet", "ALERT_EMAIL": '"a@b.example"', "ALERT_SMTP_HOST": '""'}, {}
    )
    assert "needs ALERT_SMTP_HOST" in done.stderr


@pytest.mark.parametrize(("given", "said"), NO_CONTACT.values(), ids=NO_CONTACT)
def test_grafana_s_container_refuses_as_well_and_starts_nothing(given, said, processes):
    grafana = SERVICES["grafana"]
    assert grafana["entrypoint"] == ["/bin/sh", "/etc/grafana/start.sh"]
    assert {"ALERT_CONTACT", "ALERT_WEBHOOK_URL", "ALERT_EMAIL", "ALERT_SMTP_HOST"} <= set(
        grafana["environment"]
    )
    script = ["/bin/sh", GRAFANA / "start.sh", "echo", "started"]
    done = subprocess.run(script, env=given, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr


def test_with_its_address_grafana_s_own_command_runs(processes):
    script = ["/bin/sh", GRAFANA / "start.sh", "echo", *SERVICES["grafana"]["command"]]
    for given in CONTACTS.values():
        done = subprocess.run(script, env=given, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (0, "/run.sh\n")


@pytest.mark.parametrize(("status", "healthy"), [(200, True), (503, False), (None, False)])
def test_the_log_collector_is_healthy_when_it_says_that_it_is_ready(status, healthy, processes):
    class Alloy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/-/ready" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Alloy) as server:
        if status is not None:
            threading.Thread(target=server.serve_forever, daemon=True).start()
        else:
            server.server_close()
        collector = SERVICES["log-collector"]
        _, *check = collector["healthcheck"]["test"]
        assert "--server.http.listen-addr=127.0.0.1:12345" in collector["command"]
        asked = [part.replace("12345", str(server.server_port)).replace("$$", "$") for part in check]
        done = subprocess.run(asked, capture_output=True, check=False, timeout=60)
        if status is not None:
            server.shutdown()
    assert (done.returncode == 0) is healthy


def test_the_log_collector_keeps_how_far_it_read():
    command, volumes = SERVICES["log-collector"]["command"], SERVICES["log-collector"]["volumes"]
    (path,) = (part.partition("=")[2] for part in command if part.startswith("--storage.path="))
    assert f"alloy-data:{path}" in volumes


def test_the_example_names_every_variable_that_compose_and_grafana_use():
    lines = [line for path in (COMPOSE, *GRAFANA.rglob("*.yml")) for line in path.read_text().splitlines()]
    settings = [line for line in lines if not line.lstrip().startswith("#")]
    used = {name for line in settings for name in re.findall(r"\$\{?([A-Z_]+)", line)}
    example = (INFRA.parent / ".env.example").read_text()
    assert used >= {*SECRETS, "ALERT_CONTACT", "ALERT_WEBHOOK_URL", "ALERT_EMAIL"}
    assert used <= set(re.findall(r"^([A-Z_]+)=", example, re.MULTILINE))


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_is_pinned_bounded_and_open_to_this_machine_alone(name):
    service = SERVICES[name]
    assert re.search(r":v?\d+\.\d+(\.\d+)?(-[a-z]+)?$", service["image"])
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["read_only"]
    assert service["mem_limit"]
    assert name == "migrate" or service["healthcheck"]["test"][0] == "CMD"


def test_our_images_are_of_the_version_that_the_package_has():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    ours = {
        service["image"] for service in SERVICES.values() if service["image"].startswith("energy-demand/")
    }
    assert ours == {f"energy-demand/{name}:{version}" for name in ("api", "worker", "dashboard", "mlflow")}
    built = {
        service["image"]: service["build"]["dockerfile"]
        for service in SERVICES.values()
        if "build" in service
    }
    assert built == {
        image: f"infra/Dockerfile.{image.partition('/')[2].partition(':')[0]}" for image in sorted(ours)
    }


def test_every_file_that_is_mounted_is_there_and_the_socket_is_the_log_collectors_alone():
    mounts = [
        (name, *mount.split(":")[:1])
        for name, service in SERVICES.items()
        for mount in service.get("volumes", [])
    ]
    sources = [(name, re.sub(r"\$\{\w+$", "none.yml", source)) for name, source in mounts]
    assert [source for _, source in sources if source[0] == "." and not (INFRA / source).exists()] == []
    assert {source for _, source in sources if source[0] not in "./"} == set(read(COMPOSE)["volumes"])
    assert {(name, source) for name, source in sources if source[0] == "/"} == {
        ("log-collector", "/var/run/docker.sock")
    }


@pytest.mark.parametrize(
    ("secret", "holders"),
    [
        ("POSTGRES_PASSWORD", {"postgres"}),
        ("MLFLOW_DB_PASSWORD", {"postgres", "mlflow"}),
        ("PREFECT_DB_PASSWORD", {"postgres", "prefect-server"}),
        ("GRAFANA_DB_PASSWORD", {"postgres", "grafana"}),
        ("GRAFANA_ADMIN_PASSWORD", {"grafana"}),
        (
            "APP_DB_PASSWORD",
            {"postgres", "migrate", "prefect-worker", "dask-worker", "api", "api-2", "streamlit"},
        ),
        ("API_KEY", {"api", "api-2"}),
        ("EIA_API_KEY", {"prefect-worker", "dask-worker"}),
        ("NOTIFY_URLS", {"prefect-worker", "dask-worker"}),
        ("ALERT_SMTP_PASSWORD", {"grafana"}),
    ],
)
def test_a_secret_reaches_whom_it_concerns_and_nobody_else(secret, holders):
    used = {name for name, service in SERVICES.items() if f"${{{secret}:" in json.dumps(service)}
    assert used == holders


def test_every_setting_reaches_a_container():
    given = {name for service in SERVICES.values() for name in service.get("environment", {})}
    known = {name.upper() for name in Settings.model_fields}
    # The images set it: it is a volume.
    assert known - given == {"ENERGY_DEMAND_HOME"}


class TestNewEnv:
    """`make env`."""

    def run(self, root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, root / "infra" / "new_env.py", *arguments],
            capture_output=True,
            text=True,
            check=False,
        )

    @pytest.fixture
    def root(self, tmp_path):
        (tmp_path / "infra").mkdir()
        for name in (".env.example", "infra/new_env.py", "infra/docker-compose.yml"):
            shutil.copy(ROOT / name, tmp_path / name)
        return tmp_path

    def values(self, root: Path) -> dict[str, str]:
        lines = (root / ".env").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if line and line[0] != "#")

    @pytest.mark.usefixtures("processes")
    def test_every_secret_is_random_and_the_file_is_its_owners_alone(self, root):
        assert self.run(root).returncode == 0
        values = self.values(root)
        made = [values[name] for name in SECRETS]
        assert all(re.fullmatch(r"[0-9a-f]{48}", secret) for secret in made)
        assert len(set(made)) == len(SECRETS)
        assert (root / ".env").stat().st_mode & 0o777 == 0o600
        assert (values["EIA_API_KEY"], values["SANDBOX_URL"]) == ("", "")

    @pytest.mark.usefixtures("processes")
    def test_an_env_that_is_there_stays(self, root):
        (root / ".env").write_text("API_KEY=mine\n")
        done = self.run(root)
        assert done.returncode == 1
        assert "already exists; nothing was changed" in done.stderr
        assert (root / ".env").read_text() == "API_KEY=mine\n"

    def test_a_system_without_a_key_has_the_sandbox(self, root, compose):
        assert self.run(root, "--sandbox").returncode == 0
        assert self.values(root)["COMPOSE_PROFILES"] == "sandbox"
        done = compose(**self.values(root))
        assert done.returncode == 0, done.stderr
        assert "SANDBOX_URL: http://sandbox:8090" in done.stdout
