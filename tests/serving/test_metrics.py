"""What Prometheus is told: names of a contract, series that no caller can multiply, workers added up."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import time

import pytest
from servers import wait_until

from energy_demand.monitoring.prometheus_metrics import METHODS, ServingMetrics
from energy_demand.serving.schemas import EXAMPLE

CONTRACT = {
    "prediction_requests_total": "counter",
    "prediction_latency_seconds": "histogram",
    "predicted_demand_mwh": "gauge",
    "data_freshness_hours": "gauge",
    "http_requests_total": "counter",
    "http_request_errors_total": "counter",
    "http_requests_in_flight": "gauge",
    "model_version": "gauge",
    "model_problem": "gauge",
    "model_reloads_total": "counter",
    "forecasts_total": "counter",
    "prediction_log_spool_bytes": "gauge",
    "prediction_log_rows_total": "counter",
    "prediction_log_dropped_rows_total": "counter",
    "database_up": "gauge",
    "region_local_hour": "gauge",
    "region_usable": "gauge",
    "forecast_tomorrow_hours": "gauge",
    "feature_rows": "gauge",
    "retrain_triggered_total": "counter",
}
# Names that dashboards and alerts use; promtool would rather have seconds.
ALLOWED = {
    'data_freshness_hours use base unit "seconds" instead of "hours"',
    'forecast_tomorrow_hours use base unit "seconds" instead of "hours"',
    'operator_forecast_age_hours use base unit "seconds" instead of "hours"',
    'weather_forecast_age_hours use base unit "seconds" instead of "hours"',
    'weather_model_age_hours use base unit "seconds" instead of "hours"',
    'weather_observed_age_hours use base unit "seconds" instead of "hours"',
}


def series(server) -> set[str]:
    return {line.rpartition(" ")[0] for line in server.metrics().splitlines() if not line.startswith("#")}


def predicted(server) -> float:
    return server.metric("prediction_requests_total").get('route="/predict"', 0.0)


def test_the_metrics_have_the_names_and_kinds_of_the_contract(service):
    service.client.post("/predict", json=EXAMPLE)
    service.client.get("/forecast")
    service.client.get("/nope")

    def told() -> dict[str, str]:
        return dict(re.findall(r"^# TYPE (\S+) (\S+)$", service.metrics(), re.MULTILINE))

    wait_until(lambda: CONTRACT.keys() <= told().keys(), what="every name")
    assert CONTRACT.items() <= told().items()


def test_promtool_has_no_complaint_but_those_allowed(service):
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not on PATH (Debian: apt-get install prometheus)")
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=service.metrics(), capture_output=True, text=True, check=False
    )
    assert set((checked.stdout + checked.stderr).splitlines()) <= ALLOWED


def test_predictions_are_counted_and_timed_and_the_newest_one_shown(service):
    before = predicted(service)
    for degrees in (20, 35, 30):
        answer = service.client.post("/predict", json={**EXAMPLE, "temperature": degrees}).json()
    wait_until(lambda: predicted(service) == before + 3, what="the count")
    wait_until(
        lambda: service.metric("predicted_demand_mwh") == {'region="NY"': answer["predicted_demand_mwh"]},
        what="the gauge",
    )
    assert service.metric("prediction_latency_seconds_count")['route="/predict"'] == before + 3
    buckets = service.metric("prediction_latency_seconds_bucket")
    assert buckets['le="+Inf",route="/predict"'] == before + 3
    assert 0 < service.metric("prediction_latency_seconds_sum")['route="/predict"'] < 10


def test_a_refusal_is_counted_as_an_error_of_its_route(service):
    def errors() -> float:
        return service.metric("http_request_errors_total").get('route="/predict/batch",status="422"', 0.0)

    before = errors()
    service.client.post("/predict/batch", json={"rows": []})
    wait_until(lambda: errors() == before + 1, what="the count")


def test_state_is_told_from_the_database_and_the_process(service):
    assert service.metric("database_up") == {"": 1.0}
    assert service.metric("data_freshness_hours") == {'region="NY"': 1.0}
    assert list(service.metric("model_version").values()) == [1.0]
    wait_until(lambda: service.metric("prediction_log_spool_bytes") == {"": 0.0}, what="an empty spool")
    assert service.metric("prediction_log_dropped_rows_total") == {"": 0.0}
    wait_until(lambda: service.metric("http_requests_in_flight") == {"": 0.0}, what="rest")


def test_a_request_is_shown_while_it_is_under_way(service):
    with socket.create_connection(("127.0.0.1", service.port)) as connection:
        head = "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        connection.sendall(f"{head}Content-Length: 9\r\n\r\n".encode())
        wait_until(lambda: service.metric("http_requests_in_flight") == {"": 1.0}, what="the request")
    wait_until(lambda: service.metric("http_requests_in_flight") == {"": 0.0}, what="its end")


def test_a_thousand_unknown_paths_and_odd_methods_add_no_series(service):
    def unmatched() -> float:
        return service.metric("http_request_errors_total").get('route="unmatched",status="404"', 0.0)

    service.client.get("/nope/0")
    service.client.request("PROPFIND", "/nope/0")
    service.client.request("BREW", "/nope/0")
    wait_until(lambda: unmatched() >= 2, what="the first ones")
    before, counted = series(service), unmatched()
    for number in range(1000):
        service.client.get(f"/nope/{number}?x={number}", headers={"X-Request-ID": f"nope-{number}"})
    for method in ("PROPFIND", "MKCOL", "REPORT", "PURGE", "LOCK", "BREW", "get"):
        service.client.request(method, f"/nope/{method}")
    wait_until(lambda: unmatched() >= counted + 1005, what="the count")
    assert series(service) == before


def test_a_method_that_nobody_knows_is_counted_as_other():
    metrics = ServingMetrics(["NY"])
    for number in range(1000):
        metrics.count(f"M{number}", None, 405, None)
    labels = {"method": "other", "route": "unmatched", "status": "405"}
    assert metrics.registry.get_sample_value("http_requests_total", labels) == 1000
    assert "OPTIONS" in METHODS


@pytest.mark.slow
def test_two_workers_are_added_up_and_one_that_is_killed_is_replaced_and_its_gauges_go(serve):
    server = serve(api_workers=2)
    wait_until(lambda: list(server.metric("model_version").values()) == [1.0, 1.0], what="two workers")

    def ask() -> str:
        """On a connection of its own, which either worker may take; who answered."""
        answer = server.client.post("/predict", json=EXAMPLE, headers={"Connection": "close"})
        return answer.json()["request_id"].partition("-")[0]

    who = [ask() for _ in range(40)]
    while len(set(who)) < 2:
        assert len(who) < 2000, "one worker answers everything"
        who.append(ask())
    wait_until(lambda: predicted(server) == len(who), what="the sum")

    victim, survivor = server.workers()
    os.kill(victim, signal.SIGSTOP)  # so that it dies while its parent waits for an answer to a health check
    time.sleep(2)
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: victim not in server.workers(), seconds=30, what="the end of its gauges")
    assert predicted(server) == len(who)
    wait_until(lambda: len(server.workers()) == 2, seconds=60, what="a new worker")
    assert survivor in server.workers()
    wait_until(lambda: list(server.metric("model_version").values()) == [1.0, 1.0], what="its model")
    who += [ask() for _ in range(10)]
    wait_until(lambda: predicted(server) == len(who), what="the sum")
    assert server.stop(signal.SIGINT) == 0, "Ctrl-C is an end like another"
