"""Who is let in, and what a browser is told, by a server without a key and by one with it."""

from __future__ import annotations

import shutil
import socket
from typing import TYPE_CHECKING

import httpx
import pytest
from servers import Server

from energy_demand.serving.schemas import EXAMPLE

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = "canary-key-0123456789"
SITE = "https://grid.example"
GUARDED = [
    ("POST", "/predict"),
    ("POST", "/predict/batch"),
    ("GET", "/forecast"),
    ("GET", "/model"),
    ("POST", "/reload-model"),
    ("GET", "/forecasts"),
    ("GET", "/demand"),
    ("GET", "/scores"),
    ("GET", "/peaks"),
    ("GET", "/peaks.ics"),
    ("GET", "/nope"),
]
OPEN = ["/health", "/ready", "/docs", "/openapi.json", "/static-offline-docs/swagger-ui.css"]
HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}


@pytest.fixture(scope="module")
def locked(registered, filled_database_url, tmp_path_factory) -> Iterator[Server]:
    """A server with a key, whose pages one other site may use."""
    home = tmp_path_factory.mktemp("locked") / "home"
    shutil.copytree(registered / "mlflow", home / "mlflow")
    started = Server(home, filled_database_url, api_key=KEY, api_cors_origins=f'["{SITE}"]').start()
    yield started
    started.stop()
    started.client.close()


@pytest.fixture
def stranger(locked) -> Iterator[httpx.Client]:
    """A client of the locked server that has no key."""
    with httpx.Client(base_url=locked.client.base_url) as client:
        yield client


def preflight(client: httpx.Client, site: str) -> httpx.Response:
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "X-API-Key"}
    return client.options("/predict", headers={"Origin": site, **asked})


@pytest.mark.parametrize(("method", "path"), GUARDED)
@pytest.mark.parametrize("key", [None, "", KEY[:-1], KEY.upper()], ids=["none", "empty", "shorter", "louder"])
def test_without_the_right_key_nothing_is_told_not_even_what_exists(stranger, method, path, key):
    headers = {} if key is None else {"X-API-Key": key}
    answer = stranger.request(method, path, headers=headers)
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "ApiKey")
    assert answer.json().keys() == {"detail", "request_id"}


def test_the_right_key_lets_in_whatever_the_host_and_however_forwarded(locked):
    headers = {"Host": "demand.example", "X-Forwarded-For": "203.0.113.9", "Forwarded": "for=203.0.113.9"}
    assert locked.client.post("/predict", json=EXAMPLE, headers=headers).status_code == 200


@pytest.mark.parametrize("path", OPEN)
def test_health_and_the_pages_about_the_api_are_open(stranger, path):
    assert stranger.get(path).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/health/../model",
        "//health/../model",
        "/docs/../model",
        "/docs/%2e%2e/model",
        "/static-offline-docs/../model",
        "/static-offline-docs/%2e%2e/model",
        "/static-offline-docs/..%2f..%2f..%2fetc%2fpasswd",
    ],
)
def test_an_open_path_is_no_way_round_the_key(locked, path):
    with socket.create_connection(("127.0.0.1", locked.port), timeout=10) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert int(answer.split()[1]) in {401, 404}
    assert b"run_id" not in answer


def test_the_key_stands_in_no_log_and_no_answer(locked, stranger):
    answers = [
        locked.client.get("/model"),
        locked.client.get(f"/forecast?api_key={KEY}"),
        locked.client.get(f"/nope?api_key={KEY}"),
        stranger.get("/model", headers={"X-API-Key": KEY + "x"}),
        locked.client.post("/predict", json={"api_key": KEY}),
    ]
    assert [answer.status_code for answer in answers] == [200, 422, 404, 401, 422]
    assert not any(KEY in str(answer.headers) for answer in answers)
    assert not any(KEY in answer.json()["detail"] for answer in answers[1:])
    assert KEY not in locked.log()
    assert KEY not in locked.metrics()


def test_only_the_site_that_was_named_may_be_used_from_a_browser(locked, stranger):
    allowed = preflight(stranger, SITE)
    assert allowed.headers["Access-Control-Allow-Origin"] == SITE
    assert "Access-Control-Allow-Credentials" not in allowed.headers
    for site in ("https://evil.example", "null", SITE + ".evil.example", SITE.replace("https", "http")):
        assert "Access-Control-Allow-Origin" not in preflight(stranger, site).headers
        assert (
            "Access-Control-Allow-Origin" not in locked.client.get("/model", headers={"Origin": site}).headers
        )
    answer = locked.client.get("/model", headers={"Origin": SITE})
    assert answer.headers["Access-Control-Allow-Origin"] == SITE


def test_a_preflight_opens_nothing_but_itself(stranger):
    assert stranger.get("/model", headers={"Origin": SITE}).status_code == 401


def test_unless_set_no_site_may_be_used_from_a_browser(service):
    for answer in (preflight(service.client, SITE), service.client.get("/model", headers={"Origin": SITE})):
        assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    ("method", "path"), [*GUARDED, ("GET", "/health"), ("GET", "/docs"), ("POST", "/health")]
)
def test_every_answer_bears_the_security_headers(service, method, path):
    answer = service.client.request(method, path)
    assert HEADERS.items() <= answer.headers.items()
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert "frame-ancestors 'none'" in policy
    assert ("script-src" in policy) == (path == "/docs")
    assert "server" not in answer.headers


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"X-Forwarded-For": "127.0.0.1"}, id="forwarded"),
        pytest.param({"Host": "evil.example"}, id="for another host"),
    ],
)
@pytest.mark.parametrize(("method", "path"), GUARDED)
def test_without_a_key_only_this_machine_is_let_in(service, method, path, headers):
    answer = service.client.request(method, path, headers=headers)
    assert (answer.status_code, "API_KEY" in answer.json()["detail"]) == (403, True)
    assert service.client.get("/health", headers=headers).status_code == 200


def test_without_a_key_a_caller_without_a_host_is_refused(service):
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
        connection.sendall(b"GET /model HTTP/1.0\r\n\r\n")
        assert connection.recv(65536).split()[1] == b"403"
