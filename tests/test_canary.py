"""Canaries in place of every secret, in every command and service: none is ever seen again.

The secrets share a word that occurs nowhere else, so that half a secret, or one in another spelling, is found
as well. A command that has no case here fails the first test.
"""

from __future__ import annotations

import io
import json
import logging
import os
import signal
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import sqlalchemy as sa
import typer
from servers import COMMAND, free_port, wait_until
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse

from energy_demand import cli, demo
from energy_demand.config import TELEMETRY_OFF
from energy_demand.database.embedded import EmbeddedServer
from energy_demand.evaluation import backtest
from energy_demand.evaluation import policy_replay as replay
from energy_demand.jobs import training as training_job
from energy_demand.sandbox.app import create_app
from energy_demand.sandbox.server import serving
from energy_demand.sandbox.worlds.synthetic import SyntheticWorld
from records import QUICK
from support import PRESENT

pytestmark = pytest.mark.slow

# Nineteen weeks are stored.
SHORT = replace(QUICK, base=replace(QUICK.base, test_share=0.25, max_trees=15), calibration_days=40)
WORD = "zq7kw"
EIA_KEY, API_KEY = f"{WORD}eia0123456789", f"{WORD}api0123456789"
PASSWORD = f"{WORD}/pass@word01"
NOTHING_LISTENS = "http://127.0.0.1:9"
PORTS = ("API_PORT", "PROMETHEUS_PORT", "DASHBOARD_PORT", "--mlflow-port", "--prefect-port")


class Echoing:
    """A sandbox that, while `how` says so, repeats the key that it was sent."""

    def __init__(self, app) -> None:
        self._app = app
        self.how: str | None = None

    async def __call__(self, scope, receive, send) -> None:
        query = scope.get("query_string", b"").decode()
        if scope["type"] != "http" or self.how is None or not scope["path"].startswith("/eia"):
            await self._app(scope, receive, send)
            return
        if self.how in ECHOED_IN:
            await ECHOED_IN[self.how](query)(scope, receive, send)
            return
        body = bytearray()

        async def collect(message) -> None:
            body.extend(message.get("body", b""))

        await self._app(scope, receive, collect)
        answer = json.loads(body)
        if self.how == "a warning":
            answer["response"]["warnings"] = [{"warning": f"slow for {EIA_KEY}: {query}"}]
        else:
            for row in answer["response"]["data"][::24]:
                row["respondent"] = EIA_KEY
        await JSONResponse(answer, headers={"x-sandbox-data": "synthetic"})(scope, receive, send)


ECHOED_IN = {
    "a refusal": lambda query: JSONResponse(
        {"error": {"code": "API_KEY_INVALID", "message": f"{EIA_KEY} of ?{query} is invalid"}},
        status_code=403,
    ),
    "a text under 500": lambda query: PlainTextResponse(f"GET ?{query}: {EIA_KEY}", status_code=500),
    "a page under 200": lambda query: HTMLResponse(f"<html>{EIA_KEY} <a href='?{query}'>again</a>"),
    "a redirection": lambda query: PlainTextResponse("", 302, headers={"location": f"/elsewhere?{query}"}),
}
ECHOES = [*ECHOED_IN, "a warning", "rows"]


@pytest.fixture(scope="module")
def upstream():
    app = Echoing(create_app(SyntheticWorld(seed=1), now=PRESENT, require_key=EIA_KEY))
    with serving(app) as address:
        app.address = address
        yield app


@pytest.fixture(scope="module")
def secret_database_url(server):
    """A database whose owner's password is a canary, written into its address as an address needs it."""
    engine = sa.create_engine(server.url(), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE ROLE keeper LOGIN PASSWORD '{PASSWORD}'")
        connection.exec_driver_sql("CREATE DATABASE kept OWNER keeper")
    url = sa.make_url(server.url())
    return f"postgresql://keeper:{quote(PASSWORD, safe='')}@{url.host}:{url.port}/kept"


@pytest.fixture(scope="module")
def shop(tmp_path_factory, secret_database_url, upstream):
    """The environment with all secrets, in a place of its own."""
    home = tmp_path_factory.mktemp("shop")
    home.chmod(0o755)
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "SANDBOX_URL": upstream.address,
        "EIA_API_KEY": EIA_KEY,
        "API_KEY": API_KEY,
        "DATABASE_URL": secret_database_url,
        "ENERGY_DEMAND_HOME": str(home),
        "ENERGY_DEMAND_NOW": PRESENT.isoformat(),
        "NOTIFY_URLS": f"json://{WORD}:{quote(PASSWORD, safe='')}@127.0.0.1:9/{WORD}, xml://127.0.0.1:9/{WORD}",
        "HTTP_ATTEMPTS": "1",
        "HTTP_BACKOFF_SECONDS": "0",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        "OMP_NUM_THREADS": "1",
    }


@pytest.fixture(scope="module")
def run(shop):
    """Run a command in this process, logging all it can; gives its exit status and all it said."""

    def call(*arguments: str, **changed: str) -> tuple[int, str]:
        told = io.StringIO()
        loggers = [logging.getLogger(), logging.getLogger("energy_demand")]
        before = [(logger, logger.level, list(logger.handlers)) for logger in loggers]
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(told), redirect_stderr(told):
            for name, value in {**shop, **changed}.items():
                patch.setenv(name, value)
            for module in (training_job, backtest, replay):
                patch.setattr(module, "Recipe", lambda: SHORT)
            patch.setattr(sys, "argv", ["energy-demand", "--verbose", *arguments])
            patch.setattr(sys, "excepthook", sys.excepthook)
            try:
                cli.main()
            except SystemExit as ended:
                status = int(ended.code or 0)
            else:
                status = 0
            finally:
                for logger, level, handlers in before:
                    logger.setLevel(level)
                    logger.handlers[:] = handlers
        return status, told.getvalue()

    return call


@pytest.fixture(scope="module")
def history(run):
    """What the first two commands said: a backfill and a training."""
    told = {}
    for name, *arguments in (["backfill", "--start", "2024-10-28", "--end", "2025-03-12"], ["train"]):
        status, told[name] = run(name, *arguments)
        assert status == 0, told[name]
    return told


def clean(text: str) -> bool:
    return WORD not in text.lower()


def commands(group: Any, before: str = "") -> list[str]:
    """What can be typed after `energy-demand`."""
    return [
        name
        for word, command in group.commands.items()
        for name in (commands(command, f"{word} ") if hasattr(command, "commands") else [f"{before}{word}"])
    ]


WINDOW = ["--start", "2025-03-01", "--end", "2025-03-02"]
# Command → its arguments and the exit status where all is well.
CASES = {
    "backfill": (["--start", "2025-03-01", "--end", "2025-03-12"], 0),
    "ingest": ([], 0),
    "train": ([], 0),
    "forecast": (["--day", "tomorrow", "--explain", "--picture", "{home}/tomorrow.png"], 0),
    "backtest": (["--protocol", "day-ahead", *WINDOW, "--output", "{home}/hours.parquet"], 0),
    "drift": (["--check-only"], 0),
    "retrain": ([], 0),
    "contest": ([], 0),
    "rollback": ([], 1),  # there is no earlier champion
    "replay": (["--policy", "never", *WINDOW, "--output", "{home}/replay.parquet"], 0),
    "status": ([], 0),
    "doctor": ([], 0),
    "quarantine": ([], 0),
    "regions": ([], 0),
    "forecasts": ([], 0),
    "demand": (["--json"], 0),
    "scores": (["--by", "quality"], 0),
    "reproduce": (["2030-01-01T00:00Z"], 1),  # not logged
    "peaks": ([], 0),
    "weather-normalised": (WINDOW, 1),  # too few years of weather are stored
    "notify test": ([], 1),
    "notify send": ([], 1),
    "db upgrade": ([], 0),
    "db stop": ([], 1),
}
ASK_UPSTREAM = {
    "backfill": CASES["backfill"][0],
    "ingest": [],
    "forecast": ["--scheduled"],
}
NO_MLFLOW = {"MLFLOW_TRACKING_URI": f"http://user:{quote(PASSWORD, safe='')}@127.0.0.1:9"}
NO_DATABASE = {"DATABASE_URL": f"postgresql://keeper:{quote(PASSWORD, safe='')}@127.0.0.1:9/kept"}
BROKEN_DATABASES = {
    "refused": NO_DATABASE["DATABASE_URL"],
    "of no port": NO_DATABASE["DATABASE_URL"].replace(":9/", ":port/"),
    "of another kind": NO_DATABASE["DATABASE_URL"].replace("postgresql", "mysql"),
    "of a password that is not quoted": f"postgresql://keeper:{PASSWORD}@127.0.0.1:9/kept",
    "of no kind": PASSWORD,
    "with a password that is wrong": None,
}
# These are tested on their own below, `mcp` in tests/serving/client/test_mcp_server.py.
OTHERS = {"serve", "dashboard", "worker", "local", "sandbox", "demo", "db url", "mcp"}


def test_every_command_has_a_case():
    known = commands(typer.main.get_command(cli.app))
    assert sorted(known) == sorted([*CASES, *OTHERS])


@pytest.mark.parametrize("name", ["backfill", "train"])
def test_the_first_commands_keep_it_to_themselves(history, name):
    assert clean(history[name])
    assert "region-data" in history["backfill"]  # it did tell what it asked


@pytest.mark.parametrize("name", CASES)
@pytest.mark.usefixtures("history")
def test_no_secret_is_told_by(run, shop, name):
    arguments, expected = CASES[name]
    status, told = run(*name.split(), *(each.format(home=shop["ENERGY_DEMAND_HOME"]) for each in arguments))
    assert status == expected, told
    assert told
    assert clean(told)


@pytest.mark.parametrize("name", [each for each in CASES if each not in ("db stop", "regions")])
def test_no_secret_is_told_without_a_database_by(run, name):
    arguments = [each.format(home="/tmp") for each in CASES[name][0]]
    status, told = run(*name.split(), *arguments, **NO_DATABASE)
    assert status == 1
    assert clean(told)


@pytest.mark.parametrize("how", BROKEN_DATABASES)
def test_no_secret_is_told_of_a_database(run, shop, how):
    address = BROKEN_DATABASES[how] or shop["DATABASE_URL"].replace("@", "0@", 1)
    status, told = run("status", DATABASE_URL=address)
    assert status == 1
    assert clean(told)


@pytest.mark.parametrize("name", ["status", "forecast", "drift", "retrain", "rollback"])
@pytest.mark.usefixtures("history")
def test_no_secret_is_told_without_mlflow_by(run, name):
    status, told = run(name, **NO_MLFLOW)
    assert status == 1
    assert clean(told)


@pytest.mark.parametrize("how", [*ECHOES, "nothing listens"])
@pytest.mark.parametrize("name", ASK_UPSTREAM)
@pytest.mark.usefixtures("history")
def test_no_secret_is_told_where_the_upstream_repeats_it_in(run, upstream, name, how):
    changed = {"SANDBOX_URL": NOTHING_LISTENS} if how == "nothing listens" else {}
    upstream.how = how
    try:
        status, told = run(name, *ASK_UPSTREAM[name], **changed)
    finally:
        upstream.how = None
    assert status == (0 if how in ("a warning", "rows") else 1)
    assert clean(told)


@pytest.mark.parametrize("how", ECHOES)
def test_the_doctor_neither_tells_nor_keeps_what_the_upstream_repeats_in(run, upstream, tmp_path, how):
    upstream.how = how
    try:
        status, told = run("doctor", "--only", "upstreams", "--record", str(tmp_path / "recorded"))
    finally:
        upstream.how = None
    assert status == 1  # whatever it repeats, it serves no six-month file meanwhile
    assert clean(told)
    assert len(list((tmp_path / "recorded").iterdir())) == 7
    assert found_in(tmp_path) == []


@pytest.mark.usefixtures("history")
def test_the_quarantine_shows_no_secret_that_came_in_rows(run):
    _, told = run("quarantine", "--json")
    assert clean(told)


def test_the_address_of_the_database_is_told_to_who_asks_for_it_and_no_other_secret(run, shop):
    status, told = run("db", "url")
    assert status == 0
    assert shop["DATABASE_URL"] in told
    assert clean(told.replace(shop["DATABASE_URL"], ""))


def test_no_secret_is_told_by_a_traceback(shop):
    """A fault of the program: its traceback holds the settings' own words."""
    broken = (
        "from energy_demand import cli, status; from energy_demand.config import load_settings\n"
        "def fail(database, settings, now):\n"
        "    raise ValueError(settings.database_url.get_secret_value(), f'api_key={chr(39)}"
        "{settings.eia_api_key.get_secret_value()}', settings)\n"
        "status.status = fail; cli.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", broken, "status"], env=shop, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert clean(done.stdout + done.stderr), done.stderr


def test_no_secret_is_told_by_the_sandbox(shop, tmp_path):
    log = tmp_path / "sandbox.log"
    with log.open("wb") as file:
        program = [COMMAND, "sandbox", "--port", "0", "--now", PRESENT.isoformat(), "--require-key", EIA_KEY]
        process = subprocess.Popen(program, env=shop, stdout=file, stderr=file)
    try:
        wait_until(lambda: "http://" in log.read_text(), what="the sandbox")
        address = log.read_text().split()[-1]
        for key in (EIA_KEY, EIA_KEY + "0", None):
            path = f"{address}/eia/v2/electricity/rto/region-data/data/"
            httpx.get(
                path, params={} if key is None else {"api_key": key}, timeout=60
            )  # it repeats it, as EIA does
    finally:
        process.terminate()
        process.wait(20)
    assert clean(log.read_text())


def test_no_secret_is_told_by_the_demo(run, monkeypatch, open_folder):
    home, demos = open_folder / "canary", open_folder / "canary-demo"
    monkeypatch.setattr(demo, "HISTORY_DAYS", 160)
    monkeypatch.setattr(demo, "SCHEDULED_DAYS", 2)
    server = EmbeddedServer(demos)
    try:
        status, told = run("demo", ENERGY_DEMAND_HOME=str(home))
        assert status == 0, told
        assert clean(told)
        assert found_in(demos) == []
    finally:
        server.stop()


def found_in(folder: Path) -> list[Path]:
    """Files that hold the word."""
    word = WORD.encode()
    return [path for path in folder.rglob("*") if path.is_file() and word in path.read_bytes().lower()]


@pytest.fixture(scope="module")
def services(shop, tmp_path_factory):
    """`energy-demand local` with all secrets: API, dashboard, MLflow, Prefect, worker; and its log."""
    ports = {name: free_port() for name in PORTS}
    options = [text for name in PORTS if name.startswith("--") for text in (name, str(ports[name]))]
    environment = {
        **shop,
        **TELEMETRY_OFF,
        **{name: str(port) for name, port in ports.items() if not name.startswith("--")},
    }
    log = Path(shop["ENERGY_DEMAND_HOME"]) / "local.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [COMMAND, "--verbose", "local", *options], env=environment, stdout=file, stderr=file
        )
    try:
        wait_until(
            lambda: "are being served" in log.read_text() or process.poll() is not None,
            seconds=180,
            what="the start of all services",
        )
        assert process.poll() is None, log.read_text()[-3000:]
        yield {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}, log
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0


ROW = {"temperature": 900}
ASKED = {
    "a forecast": ("GET", "/forecast?hours=24", None, 200),
    "hours that cannot be": ("GET", "/forecast?hours=999", None, 422),
    "a row that cannot be": ("POST", "/predict", ROW, 422),
    "a batch that cannot be": ("POST", "/predict/batch", {"rows": [ROW]}, 422),
    "no JSON": ("POST", "/predict", None, 422),
    "the model": ("GET", "/model", None, 200),
    "a reload": ("POST", "/reload-model", None, 200),
    "a route that is none": ("GET", "/nowhere", None, 404),
    "a method that is none": ("PUT", "/predict", None, 405),
    "health": ("GET", "/health", None, 200),
    "readiness": ("GET", "/ready", None, 200),
    "the pages": ("GET", "/docs", None, 200),
    "the description": ("GET", "/openapi.json", None, 200),
}


@pytest.mark.parametrize("what", ASKED)
@pytest.mark.usefixtures("history")
def test_no_answer_of_the_api_tells_a_secret(services, what):
    method, path, body, expected = ASKED[what]
    key = {"X-API-Key": API_KEY}
    answer = httpx.request(method, services[0]["API_PORT"] + path, json=body, headers=key, timeout=60)
    assert answer.status_code == expected
    assert clean(answer.text + str(answer.headers))


@pytest.mark.parametrize("key", [None, API_KEY + "0", API_KEY[:-1]], ids=["no key", "a longer", "a shorter"])
def test_no_answer_to_a_caller_with_another_key_tells_it(services, key):
    answer = httpx.get(
        f"{services[0]['API_PORT']}/model", headers={} if key is None else {"X-API-Key": key}, timeout=60
    )
    assert answer.status_code in (401, 403)
    assert clean(answer.text + str(answer.headers))


@pytest.mark.parametrize(
    ("port", "path"),
    [
        ("PROMETHEUS_PORT", "/metrics"),
        ("PROMETHEUS_PORT", "/nowhere"),
        ("DASHBOARD_PORT", "/"),
        ("DASHBOARD_PORT", "/_stcore/health"),
        ("DASHBOARD_PORT", "/_stcore/host-config"),
        ("--mlflow-port", "/"),
        ("--mlflow-port", "/version"),
        ("--prefect-port", "/ui-settings"),
        ("--prefect-port", "/api/admin/settings"),
    ],
)
@pytest.mark.usefixtures("history")
def test_no_page_of_a_service_tells_a_secret(services, port, path):
    answer = httpx.get(services[0][port] + path, timeout=60)
    assert answer.status_code < 500
    assert clean(answer.text + str(answer.headers))


@pytest.mark.usefixtures("history")
def test_mlflow_tells_no_secret_of_any_run(services):
    api = f"{services[0]['--mlflow-port']}/api/2.0/mlflow"
    answer = httpx.post(f"{api}/runs/search", json={"experiment_ids": ["1"]}, timeout=60)
    assert answer.json()["runs"]
    assert clean(answer.text)
    assert clean(httpx.get(f"{api}/registered-models/search", timeout=60).text)


@pytest.mark.usefixtures("history")
def test_no_log_of_a_flow_tells_a_secret_where_its_upstream_repeats_it(services, upstream):
    api = f"{services[0]['--prefect-port']}/api"
    found = httpx.get(f"{api}/deployments/name/data-ingestion/data-ingestion", timeout=60).json()
    upstream.how = "a refusal"
    try:
        made = httpx.post(f"{api}/deployments/{found['id']}/create_flow_run", json={}, timeout=60).json()

        # Of this run alone: the schedule's runs write to the same log, and the server gives 200 lines.
        of_the_run = {"logs": {"flow_run_id": {"any_": [made["id"]]}}, "limit": 200}

        def told() -> str:
            return httpx.post(f"{api}/logs/filter", json=of_the_run, timeout=60).text

        wait_until(lambda: "API_KEY_INVALID" in told(), seconds=300, what="a failure of the flow")
    finally:
        upstream.how = None
    assert clean(told())
    assert clean(httpx.get(f"{api}/flow_runs/{made['id']}", timeout=60).text)
    assert clean(httpx.post(f"{api}/events/filter", json={}, timeout=60).text)


@pytest.mark.usefixtures("history", "services")
def test_no_secret_stands_in_a_command_line():
    told = b"".join(
        path.read_bytes()
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if os.access(path, os.R_OK) and path.parent.exists()
    )
    assert b"energy-demand" in told
    assert WORD.encode() not in told


@pytest.mark.usefixtures("history", "services")
def test_no_secret_is_in_a_file_or_table_after_all_that(shop, services):
    assert clean(services[1].read_text())
    assert found_in(Path(shop["ENERGY_DEMAND_HOME"])) == []
    engine = sa.create_engine(
        sa.make_url(shop["DATABASE_URL"]).set(drivername="postgresql+psycopg"), poolclass=sa.NullPool
    )
    with engine.connect() as connection:
        tables = sa.inspect(connection).get_table_names()
        assert "raw_demand" in tables
        leaks = {
            name: connection.scalar(
                sa.text(f"SELECT count(*) FROM {name} t WHERE to_jsonb(t)::text ILIKE :word"),
                {"word": f"%{WORD}%"},
            )
            for name in tables
        }
    assert {name for name, count in leaks.items() if count} == set()
