"""Builds every image and runs the whole system under Compose, on a machine that reaches no registry.

    .venv/bin/python infra/verify/verify.py [--keep] [--json]

Needs root, a Docker engine, docker-compose and debootstrap (Debian: docker.io docker-compose debootstrap).
Images of registries are replaced by stand-ins (`stand-ins.sh`); Grafana, Loki and its collector have none and
are not started. Ports must be free. The project `energy-demand-verify` is created for this run and removed
afterwards.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx

HERE = Path(__file__).resolve().parent
INFRA, ROOT = HERE.parent, HERE.parents[1]
PROJECT = "energy-demand-verify"
VERSION = "0.1.0"
IMAGES = ("api", "worker", "dashboard", "mlflow")
API_IMAGE_MOST_MB = 700
WITHOUT_A_STAND_IN = {"grafana", "loki", "log-collector"}
HISTORY_DAYS = 430
HEALTHY_SECONDS = 300
FLOW_SECONDS = 300
API, METRICS, PROMETHEUS = "http://127.0.0.1:8000", "http://127.0.0.1:8001", "http://127.0.0.1:9090"
MLFLOW, PREFECT, STREAMLIT = "http://127.0.0.1:5000", "http://127.0.0.1:4200", "http://127.0.0.1:8501"


class FailedError(Exception):
    """A step failed."""


def must(what: str, found: bool, seen: object = "") -> None:  # noqa: FBT001
    """Print that `what` holds, or fail with what was seen instead."""
    if not found:
        raise FailedError(f"{what}: {seen}")
    sys.stderr.write(f"  ok  {what}{f' ({seen})' if seen != '' else ''}\n")


def docker_that_builds() -> str:
    """A Docker client with BuildKit: one with buildx, or one old enough to have it built in."""
    for folder in os.environ["PATH"].split(os.pathsep):
        client = shutil.which("docker", path=folder)
        if client is None:
            continue
        version = subprocess.run([client, "--version"], capture_output=True, text=True, check=True).stdout
        with_buildx = subprocess.run([client, "buildx", "version"], capture_output=True, check=False)
        if with_buildx.returncode == 0 or int(version.split()[2].split(".")[0]) < 23:
            return client
    raise FailedError("no docker client with BuildKit is on PATH")


def new_env(folder: Path) -> tuple[Path, dict[str, str]]:
    """A filled-in `.env` for a system without a key, and what stands in it."""
    path = folder / ".env"
    made = [sys.executable, INFRA / "new_env.py", "--sandbox", "--output", path]
    subprocess.run(made, stdout=subprocess.DEVNULL, check=True)
    lines = path.read_text().splitlines()
    return path, dict(line.split("=", 1) for line in lines if line and line[0] != "#")


class Stack:
    """The Compose project of this run."""

    def __init__(self, env_file: Path, docker: str) -> None:
        self.docker = docker
        files = (INFRA / "docker-compose.yml", HERE / "docker-compose.yml")
        self._compose = [
            "docker-compose",
            *("--project-name", PROJECT, "--env-file", str(env_file)),
            *(part for file in files for part in ("--file", str(file))),
        ]

    def run(self, *arguments: str) -> str:
        """One command of Compose; its output."""
        done = subprocess.run([*self._compose, *arguments], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise FailedError(
                f"{' '.join(arguments[:4])} ended with {done.returncode}: {done.stderr[-2000:]}"
            )
        return done.stdout

    def up(self) -> float:
        """Start everything; seconds until all are healthy."""
        started = time.monotonic()
        services = set(self.run("config", "--services").split()) - WITHOUT_A_STAND_IN
        self.run("up", "--detach", "--no-build", *sorted(services))
        self.wait()
        return time.monotonic() - started

    def wait(self) -> None:
        """Until all are healthy."""
        done = subprocess.run(
            [INFRA / "wait-healthy.sh", str(HEALTHY_SECONDS), *self._compose],
            env={**os.environ, "DOCKER": self.docker},
            capture_output=True,
            text=True,
            check=False,
        )
        must("everything is healthy", done.returncode == 0, done.stderr.strip())

    def state(self, action: str, folder: Path) -> None:
        """Back up into `folder`, or restore from it."""
        done = subprocess.run(
            [INFRA / "state.sh", action, folder, *self._compose], capture_output=True, text=True, check=False
        )
        must(action, done.returncode == 0, (done.stdout if done.returncode == 0 else done.stderr).strip())

    def ours(self, *arguments: str) -> Any:
        """A command of the application in the worker's container; its JSON."""
        printed = self.run("exec", "-T", "prefect-worker", "energy-demand", *arguments, "--json")
        try:
            return json.loads(printed)
        except json.JSONDecodeError as error:
            raise FailedError(f"the output of {arguments[0]} is not JSON: {printed[:300]}") from error

    def sql(self, query: str) -> str:
        """What the application's own role reads."""
        command = f'PGPASSWORD="$APP_DB_PASSWORD" psql -XAtqc "{query}" -h 127.0.0.1 -U energy_demand'
        return self.run("exec", "-T", "postgres", "bash", "-c", f"{command} energy_demand").strip()


def build(docker: str) -> dict[str, float]:
    """All images, on the stand-in; their sizes in MB without what the base has."""
    subprocess.run([HERE / "stand-ins.sh"], env={**os.environ, "DOCKER": docker}, check=True)
    sizes = {}
    for name in IMAGES:
        tag = f"energy-demand/{name}:{VERSION}"
        subprocess.run(
            [
                *(docker, "build", "--quiet", "--network", "host", "--tag", tag),
                *("--build-arg", f"PYTHON_IMAGE={PROJECT}/python"),
                *("--file", INFRA / f"Dockerfile.{name}", ROOT),
            ],
            env={**os.environ, "DOCKER_BUILDKIT": "1"},
            stdout=subprocess.DEVNULL,
            check=True,
        )
        size = subprocess.run(
            [docker, "image", "inspect", "--format", "{{.Size}}", tag],
            capture_output=True,
            text=True,
            check=True,
        )
        sizes[name] = round(int(size.stdout) / 1e6)
    must(
        f"the API's image is under {API_IMAGE_MOST_MB} MB",
        sizes["api"] < API_IMAGE_MOST_MB,
        ", ".join(f"{name} {size} MB" for name, size in sizes.items()),
    )
    return sizes


def is_hardened(stack: Stack) -> None:
    """Nothing runs as root, holds a capability or can write to its image."""
    probe = "id -u; grep CapEff /proc/1/status; touch /opt/energy-demand/x 2>&1 || true; pwd"
    for service in ("mlflow", "prefect-server", "prefect-worker", "api", "streamlit", "sandbox"):
        user, capabilities, *rest = stack.run("exec", "-T", service, "sh", "-c", probe).splitlines()
        held = int(capabilities.split()[1], 16)
        must(
            f"{service}: no root, no capabilities, read-only",
            user == "10001" and held == 0 and "Read-only" in rest[0],
            f"user {user}",
        )


def whole_loop(stack: Stack) -> dict[str, Any]:
    """Sandbox → backfill → train → forecast → drift → retrain, by commands in the worker's container."""
    today = datetime.now(ZoneInfo("America/New_York")).date()
    first = today - timedelta(days=HISTORY_DAYS)
    filled = stack.ours(
        "backfill", "--start", first.isoformat(), "--end", (today - timedelta(days=1)).isoformat()
    )
    must("backfill", filled["demand"]["new"] > 9000, f"{filled['demand']['new']} hours of demand")
    trained = stack.ours("train")
    must("train", bool(trained), f"version {trained['version']['version']}")
    stack.run("exec", "-T", "prefect-worker", "energy-demand", "forecast", "--scheduled")
    made = stack.ours("forecast", "--day", "tomorrow")
    must("forecast", len(made["hours"]) in {23, 24, 25}, f"{len(made['hours'])} hours, {made['quality']}")
    drifted = stack.ours("drift", "--check-only")
    must("drift", bool(drifted), drifted.get("reason", ""))
    retrained = stack.ours("retrain")
    must("retrain", bool(retrained), json.dumps(retrained)[:200])
    return {"trained": trained, "drift": drifted, "retrained": retrained}


def flow_runs() -> None:
    """The ingestion flow, asked for at the Prefect server, done by the worker."""
    with httpx.Client(base_url=f"{PREFECT}/api", timeout=30) as prefect:
        found = prefect.get("/deployments/name/data-ingestion/data-ingestion").raise_for_status().json()
        run = prefect.post(f"/deployments/{found['id']}/create_flow_run", json={}).raise_for_status().json()
        until = time.monotonic() + FLOW_SECONDS
        state: dict[str, Any] = {"type": "not begun"}
        while time.monotonic() < until and state["type"] not in {"COMPLETED", "FAILED", "CRASHED"}:
            time.sleep(2)
            state = prefect.get(f"/flow_runs/{run['id']}").raise_for_status().json()["state"] or state
    must(
        "the flow data-ingestion ran by way of the Prefect server",
        state["type"] == "COMPLETED",
        state["type"],
    )


def results_show(stack: Stack, key: str) -> str:
    """What came out, as API, Prometheus, database and pages tell it; the version that serves."""
    logged = "SELECT count(*) FROM prediction_log"
    before = int(stack.sql(logged))
    with httpx.Client(base_url=API, timeout=30) as api:
        until = time.monotonic() + 60
        while api.get("/ready").status_code != 200 and time.monotonic() < until:
            time.sleep(1)
        refused = api.get("/forecast", params={"day": "tomorrow"})
        must("without the key the API refuses", refused.status_code in {401, 403}, refused.status_code)
        answer = api.get("/forecast", params={"day": "tomorrow"}, headers={"X-API-Key": key})
        must("with it the API forecasts tomorrow", answer.status_code == 200, answer.text[:120])
        version = str(answer.json()["model_version"])
    until = time.monotonic() + 30
    while int(stack.sql(logged)) == before and time.monotonic() < until:
        time.sleep(1)
    must("the API's predictions come into the database", int(stack.sql(logged)) > before)
    for what, query in (
        ("drift checks", "SELECT count(*) FROM drift_log"),
        ("retrainings", "SELECT count(*) FROM retraining_log"),
    ):
        must(f"{what} in the database", int(stack.sql(query)) > 0, stack.sql(query))
    for query in (
        'up{job="energy-demand-api"} == 1',
        "drift_share",
        "feature_rows > 9000",
        "forecast_tomorrow_hours > 22",
        "database_up == 1",
    ):
        until = time.monotonic() + 90
        found: list[Any] = []
        while not found and time.monotonic() < until:
            time.sleep(2)
            body = httpx.get(f"{PROMETHEUS}/api/v1/query", params={"query": query}).raise_for_status().json()
            found = body["data"]["result"]
        must(f"Prometheus answers {query}", bool(found), found[0]["value"][1] if found else "nothing")
    for name, url in (("dashboard", STREAMLIT), ("MLflow", MLFLOW), ("metrics", f"{METRICS}/metrics")):
        must(f"{name} answers", httpx.get(url, timeout=30).status_code == 200)
    stranger = httpx.get(f"{MLFLOW}/api/2.0/mlflow/experiments/search", headers={"Host": "evil.example"})
    must("MLflow refuses another name in the Host header", stranger.status_code == 403, stranger.status_code)
    return version


def restores(stack: Stack, folder: Path) -> None:
    """A backup, nothing left, a new stack, the backup in it: the same rows."""
    count = "SELECT (SELECT count(*) FROM raw_demand), (SELECT count(*) FROM retraining_log)"
    before = stack.sql(count)
    stack.state("backup", folder)
    stack.run("down", "--volumes")
    stack.up()
    must("a stack without volumes is empty", stack.sql(count) == "0|0", stack.sql(count))
    stack.state("restore", folder)
    stack.wait()
    must("a restore brings every row back", stack.sql(count) == before, before)


def verify(*, keep: bool) -> dict[str, Any]:
    """Every step; what was measured.

    Raises:
        FailedError: a step did not do what it must.
    """
    started = time.monotonic()
    docker = docker_that_builds()
    sizes = build(docker)
    built = time.monotonic() - started
    with tempfile.TemporaryDirectory() as folder:
        env_file, values = new_env(Path(folder))
        stack = Stack(env_file, docker)
        try:
            healthy = stack.up()
            is_hardened(stack)
            loop = whole_loop(stack)
            flow_runs()
            version = results_show(stack, values["API_KEY"])
            stack.run("down")
            stack.up()
            must(
                "after down and up the same version serves", results_show(stack, values["API_KEY"]) == version
            )
            restores(stack, Path(folder) / "backup")
            must("after a restore the same version serves", results_show(stack, values["API_KEY"]) == version)
        except BaseException:
            sys.stderr.write(stack.run("logs", "--no-color", "--tail", "15"))
            raise
        finally:
            if not keep:
                stack.run("down", "--volumes")
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "image_mb": sizes,
        "build_s": round(built),
        "healthy_s": round(healthy),
        "seconds": round(time.monotonic() - started),
        **loop,
    }


def main() -> None:
    """Run it; exit status 1 with a line where a step fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--keep", action="store_true", help="leave the containers and their data")
    parser.add_argument("--json", action="store_true", help="what was measured as one JSON object")
    given = parser.parse_args()
    try:
        body = verify(keep=given.keep)
    except FailedError as error:
        sys.exit(f"failed: {error}")
    if given.json:
        sys.stdout.write(json.dumps(body, indent=2) + "\n")


if __name__ == "__main__":
    main()
