"""What breaks around a serving process, broken for real: answers go on, and none is lost to the log."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import mlflow
import pytest
import sqlalchemy as sa
from servers import fill, free_port, wait_until

from energy_demand.config import CHAMPION_ALIAS, MODEL_NAME
from energy_demand.database.embedded import EmbeddedServer
from energy_demand.registry.home_store import follow_home
from energy_demand.registry.registry import Registry
from energy_demand.serving.prediction_log import JOURNAL_SECONDS
from energy_demand.serving.schemas import EXAMPLE
from load_client import Load, post, run_load
from records import with_other_responses
from support import PRESENT, make_settings

pytestmark = pytest.mark.slow

BODY = json.dumps(EXAMPLE).encode()


class Background:
    """A load beside the test until `stop`, which gives what came back."""

    def __init__(self, port: int, connections: int = 8) -> None:
        self._over = threading.Event()
        self._load = Load()
        self._thread = threading.Thread(target=self._run, args=(port, connections))
        self._thread.start()

    def stop(self) -> Load:
        self._over.set()
        self._thread.join()
        return self._load

    def _run(self, port: int, connections: int) -> None:
        self._load = run_load(
            port, post(port, "/predict", BODY), connections=connections, seconds=90, until=self._over.is_set
        )


def logged_rows(url: str) -> int:
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        return connection.scalar(sa.text("SELECT count(*) FROM prediction_log"))


@pytest.fixture(scope="module")
def own_server(open_folder):
    """A PostgreSQL that only this module stops and starts."""
    server = EmbeddedServer(open_folder / "serving-faults")
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def own_url(own_server, synthetic_upstream, tmp_path_factory) -> str:
    """A filled database there."""
    fill(own_server.url(), synthetic_upstream, tmp_path_factory.mktemp("own"))
    return own_server.url()


@pytest.fixture
def own_log(own_url) -> str:
    """The same with an empty prediction log."""
    engine = sa.create_engine(own_url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.execute(sa.text("TRUNCATE prediction_log"))
    return own_url


def test_while_the_database_is_away_answers_go_on_and_are_logged_when_it_is_back(serve, own_server, own_log):
    server = serve(database_url=own_log)
    assert server.client.get("/forecast", params={"hours": 3}).json()["quality"] == "champion"
    load = Background(server.port)
    try:
        time.sleep(1)
        own_server.stop()
        before = time.time()
        answer = server.client.get("/forecast", params={"hours": 4})
        assert answer.json()["quality"] == "champion"  # from what was read before
        wait_until(lambda: sum(server.metric("prediction_log_spool_bytes").values()) > 0, what="the spool")
        assert server.metric("database_up") == {"": 0.0}
        time.sleep(max(0.0, 5 - (time.time() - before)))
    finally:
        own_server.start()
        came = load.stop()
    assert set(came.statuses) == {200}
    assert came.broken == 0
    answered = came.statuses[200] + 3 + 4
    wait_until(lambda: logged_rows(own_log) == answered, seconds=90, what=f"{answered} rows")
    wait_until(lambda: set(server.metric("prediction_log_spool_bytes").values()) == {0.0})


def test_a_service_starts_while_the_database_is_away(serve, own_server, own_log):
    own_server.stop()
    try:
        server = serve(database_url=own_log)
        assert server.client.post("/predict", json=EXAMPLE).status_code == 200
        refused = server.client.get("/forecast")
        assert refused.status_code == 503
        assert "database" in refused.json()["detail"]
        assert "Retry-After" in refused.headers
    finally:
        own_server.start()
    wait_until(lambda: logged_rows(own_log) == 1, seconds=90, what="the row")
    assert server.client.get("/forecast").status_code == 200


def test_sigterm_under_load_answers_what_was_accepted_and_loses_nothing(serve, own_log):
    server = serve(database_url=own_log, api_workers=2)
    load = Background(server.port, connections=16)
    time.sleep(2)
    assert server.stop(signal.SIGTERM) == 0
    came = load.stop()
    assert set(came.statuses) == {200}
    assert came.statuses[200] > 500
    # A connection that was idle may be closed just as its next request is sent; none was begun and dropped.
    assert logged_rows(own_log) >= came.statuses[200]
    assert logged_rows(own_log) <= came.statuses[200] + came.broken
    assert not list((server.home / "spool").rglob("*.jsonl"))


def test_sigterm_while_the_database_is_away_leaves_the_log_on_disk_for_the_next_start(
    serve, own_server, own_log
):
    server = serve(database_url=own_log)
    load = Background(server.port)
    time.sleep(1)
    own_server.stop()
    try:
        time.sleep(1)
        assert server.stop(signal.SIGTERM) == 0
        came = load.stop()
        assert list((server.home / "spool").rglob("*.jsonl"))
    finally:
        own_server.start()
    serve(database_url=own_log)
    answered = came.statuses[200]
    wait_until(lambda: logged_rows(own_log) >= answered, seconds=90, what=f"{answered} rows")
    assert logged_rows(own_log) <= answered + came.broken


def test_kill_9_loses_no_more_than_what_was_not_yet_in_the_journal(serve, own_log):
    server = serve(database_url=own_log)
    load = Background(server.port, connections=4)
    time.sleep(3)
    server.stop(signal.SIGKILL)
    came = load.stop()
    serve(database_url=own_log)
    wait_until(lambda: not list((server.home / "spool").rglob("*.jsonl")), seconds=30)
    rate = came.statuses[200] / 3
    lost = came.statuses[200] - logged_rows(own_log)
    # The journal is written every `JOURNAL_SECONDS`; a busy machine may be late by as much again.
    assert lost <= 3 * JOURNAL_SECONDS * rate


def test_a_killed_worker_is_replaced_and_what_it_left_is_logged(serve, own_log):
    server = serve(database_url=own_log, api_workers=2)
    wait_until(lambda: len(server.workers()) == 2, what="two workers")
    killed, left = server.workers()
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: killed not in server.workers() and len(server.workers()) == 2, seconds=90)
    assert left in server.workers()
    assert server.client.post("/predict", json=EXAMPLE).status_code == 200


def test_workers_end_when_their_parent_is_killed(serve):
    server = serve(api_workers=2)
    wait_until(lambda: len(server.workers()) == 2, what="two workers")
    workers = server.workers()
    os.kill(server.process.pid, signal.SIGKILL)
    server.process.wait()

    def ended(process: int) -> bool:
        state = Path(f"/proc/{process}/stat")
        return not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z"

    wait_until(lambda: all(ended(worker) for worker in workers), seconds=30, what="their end")


def test_a_spool_that_cannot_be_written_costs_no_answer_and_no_row(serve, home, own_log):
    home.joinpath("spool").write_text("a file where the folder should be")
    server = serve(database_url=own_log)
    for _ in range(20):
        assert server.client.post("/predict", json=EXAMPLE).status_code == 200
    wait_until(lambda: logged_rows(own_log) == 20, what="the rows")
    assert "the spool cannot be written" in server.log()


@pytest.fixture
def full_disk(tmp_path):
    """A folder on a disk of 64 KiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], check=False)
    if mounted.returncode:
        pytest.skip("a small disk cannot be mounted here")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_while_the_database_is_away_keeps_answers_in_memory_until_it_is_back(
    full_disk, serve, home, own_server, own_log
):
    home.joinpath("spool").symlink_to(full_disk)
    server = serve(database_url=own_log)
    own_server.stop()
    try:
        came = run_load(server.port, post(server.port, "/predict", BODY), connections=4, seconds=2)
        assert set(came.statuses) == {200}
        wait_until(lambda: sum(server.metric("prediction_log_in_memory_rows").values()) > 0)
    finally:
        own_server.start()
    wait_until(lambda: logged_rows(own_log) == came.statuses[200], seconds=90, what="the rows")
    assert server.metric("prediction_log_dropped_rows_total") == {"": 0.0}


def test_workers_converge_on_a_new_champion_and_each_exports_it(serve, promote):
    server = serve(api_workers=2)
    wait_until(lambda: set(server.metric("model_version").values()) == {1.0}, what="version 1")
    promote(2)
    wait_until(
        lambda: list(server.metric("model_version").values()) == [2.0, 2.0], seconds=30, what="version 2"
    )
    assert server.client.get("/model").json()["previous_version"] == "1"
    promote(1)
    answer = server.client.post("/reload-model")
    assert answer.status_code in {200, 409}  # 409: the watch was quicker and is at it
    wait_until(lambda: list(server.metric("model_version").values()) == [1.0, 1.0], seconds=30)


def test_a_damaged_champion_is_refused_and_the_old_one_serves_on(serve, home):
    files = forecaster_files(home, version=2)
    whole = files.joinpath("adaptive_regression.json").read_text()
    server = serve(model_watch_seconds=30)
    try:
        files.joinpath("adaptive_regression.json").write_text(whole.replace("0", "1", 1))
        promote_without_loading(home, 2)
        refused = server.client.post("/reload-model")
        assert refused.status_code == 502
        assert "adaptive_regression.json does not match its checksum" in refused.json()["detail"]
        assert "version 1 keeps serving" in refused.json()["detail"]
        assert server.client.post("/predict", json=EXAMPLE).json()["model_version"] == "1"
        assert "checksum" in server.client.get("/model").json()["problem"]
    finally:
        files.joinpath("adaptive_regression.json").write_text(whole)
    assert server.client.post("/reload-model").json() == {
        "status": "reloaded",
        "version": "2",
        "replaced": "1",
    }
    assert server.client.get("/model").json()["problem"] is None


NOT_LOADED = "the newest champion is not loaded; GET /model and the log have the reason"


def test_a_start_on_damaged_files_serves_what_served_last_and_health_and_metric_have_the_problem(serve, home):
    files = forecaster_files(home, version=2)
    whole = files.joinpath("adaptive_regression.json").read_text()
    first = serve()
    healthy = {"status": "healthy", "model_loaded": True}
    assert first.client.get("/health").json() == healthy
    first.stop()
    try:
        files.joinpath("adaptive_regression.json").write_text(whole.replace("0", "1", 1))
        promote_without_loading(home, 2)
        server = serve()
        assert server.client.get("/ready").json()["model_version"] == "1"
        assert server.client.get("/forecast").json()["quality"] == "champion"
        assert (
            "this machine's copy of version 1 keeps serving" in server.client.get("/model").json()["problem"]
        )
        assert server.client.get("/health").json() == {**healthy, "problem": NOT_LOADED}
        wait_until(lambda: set(server.metric("model_problem").values()) == {1.0}, what="the metric")
    finally:
        files.joinpath("adaptive_regression.json").write_text(whole)
    assert server.client.post("/reload-model").json()["version"] == "2"
    assert server.client.get("/health").json() == healthy
    assert set(server.metric("model_problem").values()) == {0.0}


def test_a_champion_stored_by_code_with_another_column_is_refused_by_a_reload_that_says_why(
    serve, home, trained
):
    server = serve(model_watch_seconds=30)
    registry = Registry(make_settings(energy_demand_home=home))
    model = with_other_responses(trained.forecaster)
    version = registry.register(model, params={}, metrics={}, started_at=PRESENT).version
    registry.promote(version)
    refused = server.client.post("/reload-model")
    assert refused.status_code == 502
    assert (
        "`responses` lacks rest_radiation_season_cos and has the unknown moonlight; "
        "run `energy-demand train`; version 1 keeps serving"
    ) in refused.json()["detail"]
    forecast = server.client.get("/forecast").json()
    assert (forecast["model_version"], forecast["quality"]) == ("1", "champion")


def forecaster_files(home: Path, version: int) -> Path:
    """Where the files of a version lie."""
    follow_home(home / "mlflow")  # it is a copy
    address = client_of(home).get_model_version_download_uri(MODEL_NAME, str(version))
    folder = Path(mlflow.artifacts.download_artifacts(address))  # local files are given as they are
    assert home in folder.parents
    return folder / "forecaster"


def promote_without_loading(home: Path, version: int) -> None:
    client_of(home).set_registered_model_alias(MODEL_NAME, CHAMPION_ALIAS, str(version))


def client_of(home: Path) -> mlflow.MlflowClient:
    store = f"sqlite:///{home / 'mlflow' / 'mlflow.db'}"
    return mlflow.MlflowClient(store, store)


class TrackingServer:
    """A real MLflow server on the registered models."""

    def __init__(self, home: Path) -> None:
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self._store = f"sqlite:///{home / 'mlflow' / 'mlflow.db'}"
        self._process: subprocess.Popen[bytes] | None = None
        self._log = home / "tracking.log"

    def start(self) -> None:
        command = [
            Path(sys.executable).with_name("mlflow"), "server", "--backend-store-uri", self._store,
            "--host", "127.0.0.1", "--port", str(self.port), "--workers", "1",
        ]  # fmt: skip
        off = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                env={**os.environ, **off, "PATH": path},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

        def answers() -> bool:
            try:
                return httpx.get(f"{self.address}/health").status_code == 200
            except httpx.HTTPError:
                return False

        wait_until(answers, seconds=60, what=f"MLflow: {self._log.read_text()[-500:]}")

    def stop(self) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


@pytest.fixture
def tracking(home):
    server = TrackingServer(home)
    yield server
    server.stop()


def test_while_mlflow_is_away_the_model_serves_on_and_a_start_waits_for_it(serve, home, promote, tracking):
    server = serve(ready=False, mlflow_tracking_uri=tracking.address)
    for path in ("/ready", "/model"):
        assert server.client.get(path).status_code == 503
    assert server.client.post("/predict", json=EXAMPLE).status_code == 503
    assert server.client.get("/forecast").json()["quality"] == "last_week"
    tracking.start()
    wait_until(lambda: server.client.get("/ready").status_code == 200, seconds=60, what="a model")
    tracking.stop()
    promote(2)
    refused = server.client.post("/reload-model")
    assert refused.status_code in {503, 504, 409}
    assert server.client.post("/predict", json=EXAMPLE).json()["model_version"] == "1"
    server.stop()
    again = serve(mlflow_tracking_uri=tracking.address)  # serves what served last
    assert again.client.post("/predict", json=EXAMPLE).json()["model_version"] == "1"
    assert "MLflow" in again.client.get("/model").json()["problem"]
    tracking.start()
    wait_until(lambda: again.client.get("/model").json()["version"] == "2", seconds=60, what="version 2")
    assert again.client.get("/model").json()["problem"] is None


def test_a_minute_of_load_with_a_hundred_reloads_fails_no_request_and_keeps_memory_flat(serve, home):
    server = serve(model_watch_seconds=30)
    (worker,) = server.workers()
    load = Background(server.port, connections=16)
    began, sizes, versions, reloads = time.monotonic(), [], [], 0
    try:
        while reloads < 100 or time.monotonic() - began < 60:
            if reloads < 100:
                promote_without_loading(home, 2 - reloads % 2)
                answer = server.client.post("/reload-model")
                if answer.status_code == 409:  # the watch is at it
                    continue
                assert answer.status_code == 200, answer.text
                versions.append(answer.json()["version"])
                reloads += 1
            sizes.append(resident_bytes(worker))
            time.sleep(max(0.0, began + 0.6 * reloads - time.monotonic()) if reloads < 100 else 0.5)
    finally:
        came = load.stop()
    assert set(came.statuses) == {200}
    assert came.broken == 0
    assert versions == ["2", "1"] * 50
    third = len(sizes) // 3
    early, late = max(sizes[third : 2 * third]), max(sizes[2 * third :])
    assert late < 1.05 * early, f"grew from {early >> 20} to {late >> 20} MiB"


def resident_bytes(process: int) -> int:
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
