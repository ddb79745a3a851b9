"""How much may be sent, be under way, and how long it may take; and that no fault shows its inside."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import shutil
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from servers import Server, wait_until

from energy_demand.serving.app import create_app
from energy_demand.serving.http.middleware import BATCH_BODY_BYTES, MOST_BODY_BYTES
from energy_demand.serving.schemas import EXAMPLE
from energy_demand.serving.service import BATCHES_WAITING, FORECASTS_WAITING, Service
from support import make_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

IN_FLIGHT, SECONDS = 16, 4
JSON = {"Content-Type": "application/json"}
MOST = {"/predict": MOST_BODY_BYTES, "/predict/batch": BATCH_BODY_BYTES}


@pytest.fixture(scope="module")
def tight(registered, filled_database_url, tmp_path_factory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("tight") / "home"
    shutil.copytree(registered / "mlflow", home / "mlflow")
    limits = {"api_max_in_flight": IN_FLIGHT, "api_timeout_seconds": SECONDS}
    started = Server(home, filled_database_url, **limits).start()
    yield started
    started.stop()
    started.client.close()


def begin(server: Server, declared: int, path: str = "/predict") -> socket.socket:
    """A connection on which a request has begun whose body does not come."""
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    connection.sendall(f"{head}Content-Length: {declared}\r\n\r\n".encode() + b"{")
    return connection


def answer_on(connection: socket.socket) -> tuple[int, dict[str, Any]]:
    response = b""
    while not response.endswith(b"}"):
        received = connection.recv(65536)
        assert received, response
        response += received
    head, _, body = response.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


@contextlib.contextmanager
def every_place_taken(server: Server) -> Iterator[list[socket.socket]]:
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(begin(server, 100)) for _ in range(IN_FLIGHT)]
        wait_until(lambda: server.client.get("/model").status_code == 429, what="a full house")
        yield held


def in_pieces(size: int) -> Iterator[bytes]:
    for begun in range(0, size, 65536):
        yield b" " * min(65536, size - begun)


@pytest.mark.parametrize("path", MOST)
def test_a_body_as_large_as_may_be_is_read_and_one_byte_more_is_not(tight, path):
    for more, status in ((0, 422), (1, 413)):
        answer = tight.client.post(path, content=b" " * (MOST[path] + more), headers=JSON)
        assert (answer.status_code, answer.json()["request_id"]) == (status, answer.headers["X-Request-ID"])
    assert f"{MOST[path]:,} bytes" in answer.json()["detail"]


@pytest.mark.parametrize("path", MOST)
@pytest.mark.parametrize("named", [{}, {"X-Request-ID": "too-large"}], ids=["without an id", "with an id"])
def test_a_body_that_does_not_say_its_size_is_measured(tight, path, named):
    for more, status in ((0, 422), (1, 413)):
        body = in_pieces(MOST[path] + more)
        assert tight.client.post(path, content=body, headers={**JSON, **named}).status_code == status


def test_a_body_that_is_far_too_large_is_refused_before_it_comes(tight):
    with begin(tight, 100 << 30) as connection:
        begun = time.monotonic()
        assert answer_on(connection)[0] == 413
        assert time.monotonic() - begun < SECONDS / 2
    assert tight.client.post("/predict", json=EXAMPLE).status_code == 200


def test_a_sender_of_twenty_megabytes_sees_why_they_are_refused(tight):
    assert tight.client.post("/predict/batch", content=b" " * (20 << 20), headers=JSON).status_code == 413


def test_a_body_that_comes_by_drops_is_given_up_in_time(tight):
    begun = time.monotonic()
    with begin(tight, 1000) as connection:
        with contextlib.suppress(ConnectionError):
            while time.monotonic() - begun < SECONDS + 0.5:
                connection.sendall(b" ")
                time.sleep(0.2)
        status, body = answer_on(connection)
    assert (status, f"{SECONDS} s" in body["detail"]) == (504, True)


def test_where_every_place_is_taken_others_are_sent_away_until_the_slow_are_given_up(tight):
    with every_place_taken(tight) as held:
        refused = tight.client.post("/predict", json=EXAMPLE)
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
        assert tight.client.get("/health").status_code == tight.client.get("/ready").status_code == 200
        assert {answer_on(connection)[0] for connection in held} == {504}
        assert tight.client.post("/predict", json=EXAMPLE).status_code == 200


def test_who_hangs_up_gives_the_place_back_at_once(tight):
    with every_place_taken(tight):
        pass
    wait_until(lambda: tight.client.post("/predict", json=EXAMPLE).status_code == 200, seconds=SECONDS / 2)


@pytest.mark.parametrize(
    ("method", "path", "body", "most"),
    [
        pytest.param("GET", "/forecast", None, FORECASTS_WAITING, id="forecasts"),
        pytest.param("POST", "/predict/batch", {"rows": [EXAMPLE] * 2000}, BATCHES_WAITING, id="batches"),
    ],
)
def test_of_many_at_once_some_are_answered_and_the_rest_asked_to_come_back(tight, method, path, body, most):
    together = Barrier(IN_FLIGHT)
    tight.client.request(method, path, json=body)  # the first one waits for connections and imports

    def ask(_: int) -> httpx.Response:
        with httpx.Client(base_url=tight.client.base_url, timeout=30) as client:
            client.get("/health")
            together.wait()
            return client.request(method, path, json=body)

    with ThreadPoolExecutor(IN_FLIGHT) as pool:
        answers = list(pool.map(ask, range(IN_FLIGHT)))
    refused = [answer for answer in answers if answer.status_code == 429]
    # A slow machine may run out of time for the last ones that were taken.
    assert {answer.status_code for answer in answers} - {504} == {200, 429}
    assert len(answers) - len(refused) >= most
    assert {answer.headers["Retry-After"] for answer in refused} == {"1"}


def ask_inside(app: Any, method: str, path: str, **given: Any) -> httpx.Response:
    """Ask an application in this process, without its threads: no model is loaded."""

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.request(method, path, **given)

    return asyncio.run(ask())


@pytest.fixture
def settings_inside(tmp_path):
    return make_settings(energy_demand_home=tmp_path, api_timeout_seconds=0.2)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/predict", EXAMPLE),
        ("POST", "/predict/batch", {"rows": [EXAMPLE]}),
        ("GET", "/model", None),
        ("GET", "/ready", None),
    ],
)
def test_without_a_model_the_answer_is_to_come_back(settings_inside, method, path, body):
    answer = ask_inside(create_app(settings_inside), method, path, json=body)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert "no model serves" in answer.json()["detail"]


def test_a_process_is_healthy_even_without_a_model_and_says_so(settings_inside):
    told = ask_inside(create_app(settings_inside), "GET", "/health").json()
    assert told == {"status": "healthy", "model_loaded": False}


def test_a_fault_inside_shows_no_more_than_an_id_that_the_log_explains(settings_inside, monkeypatch, caplog):
    def fail(_: Service, region: str | None) -> None:
        raise RuntimeError("postgresql://user:hunter2@db/x in /srv/secret.py")

    monkeypatch.setattr(Service, "of", fail)
    with caplog.at_level(logging.ERROR):
        answer = ask_inside(create_app(settings_inside), "GET", "/model", headers={"X-Request-ID": "broken"})
    assert (answer.status_code, answer.json().keys()) == (500, {"detail", "request_id"})
    assert answer.headers["X-Request-ID"] == answer.json()["request_id"] == "broken"
    assert "hunter2" not in answer.text
    assert "secret.py" not in answer.text
    (record,) = caplog.records
    assert (record.request_id, "RuntimeError" in caplog.text) == ("broken", True)


def test_work_over_its_time_is_given_up(settings_inside, monkeypatch):
    async def sleep(_: Service, region: str | None) -> None:
        await asyncio.sleep(20)

    monkeypatch.setattr(Service, "reload", sleep)
    answer = ask_inside(create_app(settings_inside), "POST", "/reload-model")
    assert (answer.status_code, "0.2 s" in answer.json()["detail"]) == (504, True)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        pytest.param("/predict", {f"f{n}": 1 for n in range(80_000)}, id="in a row"),
        pytest.param("/predict/batch", {"rows": [{f"f{n}": 1 for n in range(500_000)}]}, id="in a batch"),
    ],
)
def test_a_body_full_of_unknown_names_is_refused_without_looking_at_each(service, path, body):
    answer = service.client.post(path, json=body)
    assert answer.status_code == 422
    assert answer.json()["detail"] == "body: has more than 64 fields a row"
