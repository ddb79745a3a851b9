"""The scripts of `infra/`, with programs in Docker's place that tell what they were asked."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from files import INFRA

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = pytest.mark.usefixtures("processes")


@pytest.fixture
def run(tmp_path):
    """Runs a script with a `docker` that says `states` and a `compose` that notes each call."""

    def program(name: str, text: str) -> Path:
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return path

    def run(script: str, *arguments: str, states: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        containers = "\n".join(f"{number}) echo '{state}' ;;" for number, state in enumerate(states))
        docker = program("docker", f'for last; do :; done\ncase "$last" in\n{containers}\nesac')
        ids = "; ".join(f"echo {number}" for number in range(len(states))) or ":"
        compose = program("compose", f'echo "$@" >> {tmp_path}/calls\ncase "$*" in *" ps "*) {ids} ;; esac')
        return subprocess.run(
            [INFRA / script, *arguments, compose, "--file", "x.yml"],
            env={"PATH": os.environ["PATH"], "DOCKER": str(docker)},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def calls(folder: Path) -> str:
    path = folder / "calls"
    return path.read_text() if path.exists() else ""


def test_waiting_ends_when_all_are_healthy_or_ended_well(run):
    done = run("wait-healthy.sh", "0", states=("api running 0 healthy", "migrate exited 0 none"))
    assert (done.returncode, done.stdout) == (0, "all containers are healthy\n")


def test_who_is_not_healthy_in_time_is_named(run):
    states = ("api running 0 starting", "mlflow running 0 healthy", "worker created 0 starting")
    done = run("wait-healthy.sh", "0", states=states)
    assert done.returncode == 1
    assert done.stderr == "not healthy: api (running, starting) worker (created, starting)\n"


def test_a_container_that_failed_ends_the_wait_at_once(run):
    done = run("wait-healthy.sh", "600", states=("migrate exited 3 none", "api created 0 starting"))
    assert done.returncode == 1
    assert "migrate ended with status 3" in done.stderr


def test_no_container_at_all_is_not_health(run):
    done = run("wait-healthy.sh", "0")
    assert done.returncode == 1
    assert "no container" in done.stderr


def test_a_backup_writes_over_nothing(run, tmp_path):
    folder = tmp_path / "backup"
    folder.mkdir()
    (folder / "energy_demand.dump").write_text("older")
    assert run("state.sh", "backup", str(folder)).returncode != 0
    assert (folder / "energy_demand.dump").read_text() == "older"
    assert calls(tmp_path) == ""


@pytest.mark.parametrize("action", ["backup", "restore"])
def test_without_a_folder_nothing_is_done_and_the_line_says_how(run, tmp_path, action):
    done = run("state.sh", action, "")
    assert (done.returncode, calls(tmp_path)) == (2, "")
    assert done.stderr == "a folder is missing; use make backup TO=FOLDER or make restore FROM=FOLDER\n"


@pytest.fixture
def backup(run, tmp_path):
    folder = tmp_path / "backup"
    done = run("state.sh", "backup", str(folder))
    assert done.returncode == 0, done.stderr
    (tmp_path / "calls").unlink()
    return folder


def test_a_backup_is_its_owners_alone_and_whole(backup):
    assert backup.stat().st_mode & 0o777 == 0o700
    assert {path.name for path in backup.iterdir()} == {
        *("energy_demand.dump", "mlflow.dump", "prefect.dump", "SHA256SUMS"),
        *("mlflow-artifacts.tar", "energy-demand-home.tar", "api-home.tar"),
    }


@pytest.mark.parametrize("damage", ["altered", "missing", "no list"])
def test_a_damaged_backup_is_refused_before_anything_is_touched(run, backup, tmp_path, damage):
    if damage == "altered":
        (backup / "mlflow.dump").write_text("other bytes")
    elif damage == "missing":
        (backup / "api-home.tar").unlink()
    else:
        shutil.move(backup / "SHA256SUMS", tmp_path / "elsewhere")
    assert run("state.sh", "restore", str(backup)).returncode != 0
    assert calls(tmp_path) == ""


def test_a_restore_stops_who_writes_first_and_starts_them_last(run, backup, tmp_path):
    assert run("state.sh", "restore", str(backup)).returncode == 0
    asked = [line.split("x.yml ", 1)[1].split()[0] for line in calls(tmp_path).splitlines()]
    assert (asked[0], asked[-1]) == ("stop", "start")
    assert asked.count("exec") == 3
    assert asked.count("run") == 3
