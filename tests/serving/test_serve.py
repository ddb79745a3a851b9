"""The service as a client meets it."""

from __future__ import annotations

from servers import wait_until

from energy_demand.serving.schemas import EXAMPLE


def test_a_row_is_predicted_and_logged_once(service, logged):
    answer = service.client.post("/predict", json=EXAMPLE, headers={"X-Request-ID": "one-row"})
    assert answer.status_code == 200
    body = answer.json()
    assert body["lower_95"] < body["lower_80"] < body["predicted_demand_mwh"] < body["upper_80"]
    assert body["quality"] == "base_booster"
    assert body["model_version"] == "1"
    wait_until(lambda: len(logged("one-row")) == 1, what="the log")
