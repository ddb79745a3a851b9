"""The Compose file: it refuses to start without passwords, and opens nothing to the network."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

import pytest
from files import GRAFANA, INFRA, PASSWORDS, read

COMPOSE = INFRA / "docker-compose.yml"
SERVICES = read(COMPOSE)["services"]


@pytest.fixture
def compose(tmp_path):
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


@pytest.mark.parametrize("name", PASSWORDS)
def test_without_a_password_compose_refuses_and_names_it(compose, name):
    given = dict.fromkeys(PASSWORDS, "given")
    for environment in ({**given, name: ""}, {key: value for key, value in given.items() if key != name}):
        done = compose(**environment)
        assert done.returncode != 0
        assert name in done.stderr


@pytest.mark.parametrize("kind", ["none", "webhook", "email"])
def test_the_contact_is_the_one_that_is_set(compose, kind):
    chosen = {} if kind == "none" else {"ALERT_CONTACT": kind}
    done = compose(**dict.fromkeys(PASSWORDS, "given"), **chosen)
    assert done.returncode == 0, done.stderr
    assert (
        f"/infra/grafana/contact/{kind}.yml:/etc/grafana/provisioning/alerting/contact.yml:ro" in done.stdout
    )


def test_the_example_names_every_variable_that_compose_and_grafana_use():
    lines = [line for path in (COMPOSE, *GRAFANA.rglob("*.yml")) for line in path.read_text().splitlines()]
    settings = [line for line in lines if not line.lstrip().startswith("#")]
    used = {name for line in settings for name in re.findall(r"\$\{?([A-Z_]+)", line)}
    example = (INFRA.parent / ".env.example").read_text()
    assert used >= {*PASSWORDS, "ALERT_CONTACT", "ALERT_WEBHOOK_URL", "ALERT_EMAIL"}
    assert used <= set(re.findall(r"^([A-Z_]+)=", example, re.MULTILINE))


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_is_pinned_bounded_and_open_to_this_machine_alone(name):
    service = SERVICES[name]
    assert re.search(r":v?\d+\.\d+(\.\d+)?(-[a-z]+)?$", service["image"])
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["read_only"]
    assert service["mem_limit"]
    assert service["healthcheck"]["test"][0] == "CMD"


def test_every_file_that_is_mounted_is_there():
    mounts = [mount for service in SERVICES.values() for mount in service["volumes"]]
    sources = [re.sub(r"\$\{\w+:-(\w+)\}", r"\1", mount).partition(":")[0] for mount in mounts]
    assert [source for source in sources if source[0] == "." and not (INFRA / source).exists()] == []
    assert {source for source in sources if source[0] != "."} == set(read(COMPOSE)["volumes"])
