"""What a request leaves behind: a line of JSON and a count, some at a time."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from energy_demand.logs import configure_json_logging
from energy_demand.monitoring.prometheus_metrics import ServingMetrics
from energy_demand.serving.request_log import RequestLog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CANARY = "canary0123456789secret"


@pytest.fixture
def log_as_json(capfd) -> Iterator[Callable[[], Callable[[], list[dict[str, Any]]]]]:
    """Logs as a worker does, and gives a reader of what was written; puts the process's logging back."""
    root, own = logging.getLogger(), logging.getLogger("energy_demand")
    handlers, levels = root.handlers[:], (root.level, own.level)
    switches = {name: getattr(logging, name) for name in ("logThreads", "logProcesses", "logMultiprocessing")}

    def start() -> Callable[[], list[dict[str, Any]]]:
        configure_json_logging()
        return lambda: [json.loads(line) for line in capfd.readouterr().err.splitlines()]

    yield start
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    own.setLevel(levels[1])
    for name, held in switches.items():
        setattr(logging, name, held)


def value(metrics: ServingMetrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def answered(log: RequestLog, route: str | None, status: int = 200, method: str = "POST") -> None:
    log.begin()
    log.end("an-id", method, route, status, 0.0123, "127.0.0.1")


def test_a_request_is_one_line_with_id_version_and_latency(log_as_json):
    written = log_as_json()
    log = RequestLog(ServingMetrics(["NY"]), lambda: "7")
    before = datetime.now(UTC)
    answered(log, "/predict")
    assert written() == []
    log.flush()
    (line,) = written()
    assert before <= datetime.fromisoformat(line.pop("time")) <= datetime.now(UTC)
    assert line == {
        "level": "INFO",
        "logger": "energy_demand.serving.requests",
        "message": "request",
        "request_id": "an-id",
        "method": "POST",
        "route": "/predict",
        "status": 200,
        "latency_ms": 12.3,
        "model_version": "7",
        "client": "127.0.0.1",
    }


def test_a_line_names_the_version_that_served_when_it_was_answered(log_as_json):
    written = log_as_json()
    versions = iter(["1", "2"])
    log = RequestLog(ServingMetrics(["NY"]), lambda: next(versions))
    answered(log, "/predict")
    answered(log, "/predict")
    log.flush()
    assert [line["model_version"] for line in written()] == ["1", "2"]


def test_a_request_is_counted_once_however_often_the_log_is_flushed():
    metrics = ServingMetrics(["NY"])
    log = RequestLog(metrics, lambda: None)
    for status in (200, 422, 422):
        answered(log, "/predict", status)
    answered(log, "/model", 200, "GET")
    for _ in range(3):
        log.flush()
    assert value(metrics, "prediction_requests_total", route="/predict") == 3
    assert value(metrics, "prediction_latency_seconds_count", route="/predict") == 3
    assert value(metrics, "prediction_latency_seconds_sum", route="/predict") == pytest.approx(3 * 0.0123)
    assert value(metrics, "http_request_errors_total", route="/predict", status="422") == 2
    assert value(metrics, "http_requests_total", method="GET", route="/model", status="200") == 1
    assert value(metrics, "prediction_requests_total", route="/model") is None


def test_what_is_under_way_is_shown_until_it_is_answered():
    metrics = ServingMetrics(["NY"])
    log = RequestLog(metrics, lambda: None)
    log.begin()
    log.begin()
    log.flush()
    assert value(metrics, "http_requests_in_flight") == 2
    for _ in range(2):
        log.end("an-id", "GET", "/model", 200, 0.0, None)
    log.flush()
    assert value(metrics, "http_requests_in_flight") == 0


def test_a_traceback_is_one_line_of_json_without_its_secrets(log_as_json):
    written = log_as_json()
    try:
        int(f"postgresql://user:{CANARY}@host/db?api_key={CANARY}")
    except ValueError:
        logging.getLogger("energy_demand.x").exception("failed", extra={"url": f"http://:{CANARY}@host"})
    (line,) = written()
    assert line["exception"].startswith("Traceback")
    assert CANARY not in json.dumps(line)


def test_what_json_has_no_word_for_is_written_as_text(log_as_json):
    written = log_as_json()
    extra = {"moment": datetime(2025, 3, 12, 13, tzinfo=UTC), "kind": {1, 2}, "text": 'a "quoted"\nline\x00'}
    logging.getLogger("energy_demand.x").warning("odd %s", "é", extra=extra)
    (line,) = written()
    assert (line["message"], line["moment"], line["kind"]) == ("odd é", "2025-03-12T13:00:00Z", "{1, 2}")
    assert line["text"] == extra["text"]
