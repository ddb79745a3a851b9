"""Several services on one database behind nginx: one is killed under load, and a new champion reaches all."""

from __future__ import annotations

import json
import shutil
import signal
import threading
import time
import uuid
from typing import TYPE_CHECKING

import httpx
import pytest
import sqlalchemy as sa
from servers import Server, wait_until

from balancer import NGINX, balancer
from energy_demand.registry.registry import Registry
from energy_demand.serving.prediction_log import JOURNAL_SECONDS
from energy_demand.serving.schemas import EXAMPLE
from load_client import Load, post, run_load
from support import make_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(NGINX is None, reason="nginx is not installed"),
]

BODY = json.dumps(EXAMPLE).encode()
# Behind a proxy the service asks for a key.
KEY = "a-key-of-the-replicas"
HEADERS = {"content-type": "application/json", "x-api-key": KEY}


@pytest.fixture(scope="module")
def replicas(registered, filled_database_url, tmp_path_factory) -> Iterator[tuple[Server, Server]]:
    """Two services on one home and one database."""
    home = tmp_path_factory.mktemp("replicas") / "home"
    shutil.copytree(registered / "mlflow", home / "mlflow")
    both = Server(home, filled_database_url, api_key=KEY), Server(home, filled_database_url, api_key=KEY)
    for each in both:
        each.start()
    yield both
    for each in both:
        each.stop()
        each.client.close()


def logged(url: str) -> dict[str, int]:
    """Rows of this file's requests, by request id."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        rows = connection.execute(
            sa.text(
                "SELECT request_id, count(*) AS rows FROM prediction_log "
                "WHERE request_id LIKE 'replicas-%' GROUP BY 1"
            )
        )
        return {row.request_id: row.rows for row in rows}


def test_a_replica_behind_the_balancer_answers_as_the_service_itself(replicas, tmp_path):
    first, _ = replicas
    with balancer([first.port], tmp_path) as port:
        direct, through = (
            httpx.post(f"http://127.0.0.1:{each}/predict", content=BODY, headers=HEADERS)
            for each in (first.port, port)
        )
        assert through.status_code == direct.status_code == 200
        assert through.json()["predicted_demand_mwh"] == direct.json()["predicted_demand_mwh"]
        wrong = httpx.post(f"http://127.0.0.1:{port}/predict", content=b"{", headers=HEADERS)
        assert (wrong.status_code, wrong.headers["content-type"]) == (422, "application/json")


def test_a_replica_killed_under_load_fails_no_request_and_logs_none_twice(
    replicas, filled_database_url, tmp_path
):
    first, second = replicas
    sent: list[str] = []
    loads: list[Load] = []
    over = threading.Event()

    def request() -> bytes:
        sent.append(f"replicas-{uuid.uuid4().hex}")
        return post(port, "/predict", BODY, X_Request_ID=sent[-1], X_API_Key=KEY)

    def run() -> None:
        loads.append(run_load(port, request, connections=8, seconds=60, until=over.is_set))

    with balancer([first.port, second.port], tmp_path) as port:
        thread = threading.Thread(target=run)
        thread.start()
        try:
            wait_until(lambda: len(sent) > 500, what="load")
            before = set(sent)
            time.sleep(2 * JOURNAL_SECONDS)
            first.stop(signal.SIGKILL)
            killed_at = len(sent)
            wait_until(lambda: len(sent) > killed_at + 500, what="load after the kill")
        finally:
            over.set()
            thread.join()
    (load,) = loads
    assert set(load.statuses) == {200}
    assert load.broken == 0
    first.start()  # it logs what the killed process had in its journal
    wait_until(lambda: before <= set(logged(filled_database_url)), seconds=60, what="the log")
    assert set(logged(filled_database_url).values()) == {1}


def test_a_new_champion_reaches_every_replica(replicas):
    Registry(make_settings(energy_demand_home=replicas[0].home)).promote("2")
    for each in replicas:
        wait_until(lambda each=each: each.client.get("/model").json()["version"] == "2", what="version 2")
