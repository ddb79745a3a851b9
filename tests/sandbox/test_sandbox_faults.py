from __future__ import annotations

import json
import time

import pytest

EIA = "/eia/v2/electricity/rto/region-data/data/"
WEATHER = "/archive/v1/archive"
QUERY = {"latitude": "40.7", "longitude": "-74", "start_date": "2024-01-01", "end_date": "2024-01-01"}


@pytest.fixture
def client(synthetic):
    yield synthetic
    synthetic.delete("/sandbox/faults")


def queue(client, **fault):
    assert client.post("/sandbox/faults", json=fault).status_code == 201


@pytest.mark.parametrize(
    ("kind", "status", "marker"),
    [
        pytest.param("http_403", 403, "OVER_RATE_LIMIT", id="throttled with 403"),
        pytest.param("http_429", 429, "limit exceeded", id="throttled with 429"),
        pytest.param("http_500", 500, '"code":404', id="a 404 body under 500"),
        pytest.param("html_502", 502, "<html>", id="a gateway's HTML"),
        pytest.param("error_under_200", 200, "overloaded", id="an error under 200"),
    ],
)
def test_a_fault_strikes_as_often_as_asked_and_then_no_more(client, kind, status, marker):
    queue(client, kind=kind, times=2, path="/archive")
    for _ in range(2):
        struck = client.get(WEATHER, params=QUERY)
        assert (struck.status_code, marker in struck.text) == (status, True)
        assert struck.headers["x-sandbox-data"] == "synthetic"
    healthy = client.get(WEATHER, params=QUERY)
    assert healthy.status_code == 200
    assert "elevation" in healthy.json()


def test_a_slow_answer_is_late_but_right(client):
    queue(client, kind="slow", seconds=0.2)
    began = time.perf_counter()
    assert "elevation" in client.get(WEATHER, params=QUERY).json()
    assert time.perf_counter() - began >= 0.2


def test_a_truncated_answer_is_half_the_body_under_200(client):
    whole = client.get(EIA, params={"length": "10"}).content
    queue(client, kind="truncated")
    half = client.get(EIA, params={"length": "10"})
    assert half.status_code == 200
    assert whole.startswith(half.content)
    assert len(half.content) == len(whole) // 2
    with pytest.raises(json.JSONDecodeError):
        half.json()


def test_a_fault_strikes_its_own_path_only(client):
    queue(client, kind="html_502", path="/eia")
    assert client.get(WEATHER, params=QUERY).status_code == 200
    assert client.get(EIA).status_code == 502


def test_the_sandbox_itself_never_fails(client):
    queue(client, kind="html_502", times=5, path="/")
    assert client.get("/").status_code == 200
    assert client.post("/sandbox/faults", json={"kind": "slow"}).status_code == 201


def test_faults_can_be_cleared(client):
    queue(client, kind="html_502", times=5)
    client.delete("/sandbox/faults")
    assert client.get(EIA).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        pytest.param('{"kind": "meteor"}', id="an unknown kind"),
        pytest.param('{"kind": "slow", "times": 0}', id="no times"),
        pytest.param('{"kind": "slow", "colour": "red"}', id="an unknown field"),
        pytest.param("[]", id="not an object"),
        pytest.param("{", id="not JSON"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(client, body):
    assert client.post("/sandbox/faults", content=body).status_code == 400
