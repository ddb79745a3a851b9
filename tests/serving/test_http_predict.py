"""POST /predict and /predict/batch on a real server: what is answered, logged, and refused."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from servers import wait_until

from energy_demand.model.base.booster import BOOSTER_COLUMNS
from energy_demand.serving.schemas import DERIVED, EXAMPLE, MAX_BATCH_ROWS
from support import PRESENT

CANARY = "canary0123456789secret"
NUMBERS = ("predicted_demand_mwh", "lower_80", "upper_80", "lower_95", "upper_95")
# 2025-07-30T20:00Z is the end of 15:00–16:00 on a Wednesday in New York.
TIMED = {**EXAMPLE, "timestamp": "2025-07-30T20:00:00Z"}


def line_of(service, request_id: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = []

    def there() -> bool:
        found[:] = [line for line in service.log_lines() if line.get("request_id") == request_id]
        return bool(found)

    wait_until(there, what="the line")
    (line,) = found
    return line


def named(answer) -> dict[str, str]:
    assert answer.status_code == 422
    return {each["field"]: each["message"] for each in answer.json()["errors"]}


def test_a_row_is_logged_as_it_was_answered(service, logged):
    answer = service.client.post("/predict", json=TIMED, headers={"X-Request-ID": "as-answered"}).json()
    wait_until(lambda: logged("as-answered"), what="the log")
    (row,) = logged("as-answered")
    assert row.timestamp == datetime(2025, 7, 30, 20, tzinfo=UTC)
    assert row.issued_at == row.timestamp - timedelta(hours=24)
    assert (row.lead_hours, row.respondent, row.source, row.quality) == (24, "NY", "request", "base_booster")
    assert row.model_version == answer["model_version"] == "1"
    columns = ("predicted_demand", *NUMBERS[1:])
    assert [getattr(row, name) for name in columns] == pytest.approx(
        [answer[name] for name in NUMBERS], abs=0.05
    )
    assert row.features_json.keys() == set(BOOSTER_COLUMNS)
    assert {name: row.features_json[name] for name in EXAMPLE} == EXAMPLE
    assert row.features_json["temp_squared"] == pytest.approx(29.4**2)


def test_a_batch_answers_each_row_as_if_it_had_come_alone_and_in_order(service, logged):
    rows = [
        {**EXAMPLE, "temperature": degrees, "lead_hours": lead} for degrees, lead in ((-5, 1), (31.5, 48))
    ]
    batch = service.client.post("/predict/batch", json={"rows": rows}, headers={"X-Request-ID": "two"}).json()
    alone = [service.client.post("/predict", json=row).json() for row in rows]
    for together, single in zip(batch["predictions"], alone, strict=True):
        assert together == {name: single[name] for name in ("timestamp", "lead_hours", *NUMBERS)}
    assert alone[0]["predicted_demand_mwh"] != alone[1]["predicted_demand_mwh"]
    wait_until(lambda: len(logged("two")) == 2, what="the log")
    assert [row.features_json["temperature"] for row in logged("two")] == [-5, 31.5]


def test_ten_thousand_rows_are_answered_and_logged(service, logged):
    rows = [{**EXAMPLE, "humidity": number % 100} for number in range(MAX_BATCH_ROWS)]
    answer = service.client.post("/predict/batch", json={"rows": rows}, headers={"X-Request-ID": "many"})
    assert len(answer.json()["predictions"]) == MAX_BATCH_ROWS
    wait_until(lambda: len(logged("many")) == MAX_BATCH_ROWS, what="the log")


def test_one_row_too_many_is_refused(service):
    answer = service.client.post("/predict/batch", json={"rows": [EXAMPLE] * (MAX_BATCH_ROWS + 1)})
    assert named(answer).keys() == {"rows"}


def test_without_a_timestamp_the_hour_is_counted_from_the_present(service):
    answer = service.client.post("/predict", json={**EXAMPLE, "lead_hours": 7}).json()
    assert datetime.fromisoformat(answer["timestamp"]) == PRESENT + timedelta(hours=7)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        pytest.param("hour_of_day", 16, id="the hour of the end, not of the start"),
        pytest.param("day_of_week", 3, id="another day of the week"),
        pytest.param("month", 8, id="another month"),
        pytest.param("is_holiday", 1, id="a holiday on a working day"),
    ],
)
def test_a_calendar_field_that_contradicts_the_timestamp_is_refused(service, field, value):
    wrong = {**TIMED, field: value}
    assert "contradicts timestamp" in named(service.client.post("/predict", json=wrong))[field]
    batch = service.client.post("/predict/batch", json={"rows": [TIMED, wrong]})
    assert named(batch).keys() == {f"rows.1.{field}"}


@pytest.mark.parametrize("end", ["2025-11-02T06:00:00Z", "2025-11-02T07:00:00Z"])
def test_both_hours_from_one_to_two_on_the_day_the_clocks_go_back_are_hour_one(service, end):
    row = {**EXAMPLE, "timestamp": end, "hour_of_day": 1, "day_of_week": 6, "month": 11}
    assert service.client.post("/predict", json=row).status_code == 200


def test_independence_day_is_a_holiday(service):
    row = {**EXAMPLE, "timestamp": "2025-07-04T20:00:00Z", "day_of_week": 4}
    assert named(service.client.post("/predict", json=row)).keys() == {"is_holiday"}
    assert service.client.post("/predict", json={**row, "is_holiday": 1}).status_code == 200


@pytest.mark.parametrize("path", ["/predict", "/predict/batch"])
@pytest.mark.parametrize(
    "kind", [None, "text/plain", "application/x-www-form-urlencoded", "application/jsonp"], ids=str
)
def test_a_body_that_is_not_called_json_is_refused(service, path, kind):
    headers = {} if kind is None else {"Content-Type": kind}
    assert "application/json" in named(service.client.post(path, content=b"{}", headers=headers))["body"]


def test_json_may_name_its_encoding(service):
    headers = {"Content-Type": "Application/JSON; charset=utf-8"}
    batch = service.client.post("/predict/batch", content=b'{"rows": []}', headers=headers)
    assert named(batch).keys() == {"rows"}


@pytest.mark.parametrize("field", [*DERIVED, "temperature", "surprise"])
def test_a_refused_field_is_named_with_what_it_must_be(service, field):
    answer = service.client.post("/predict", json={**EXAMPLE, field: 1e7})
    assert named(answer).keys() == {field}
    assert answer.json()["detail"] == f"{field}: {named(answer)[field]}"
    assert answer.json()["request_id"] == answer.headers["X-Request-ID"]


def test_a_retry_gets_the_same_answer_and_is_logged_once(service, logged):
    first, second = (
        service.client.post("/predict", json=EXAMPLE, headers={"X-Request-ID": "again"}) for _ in range(2)
    )
    assert first.content == second.content
    assert second.headers["X-Request-ID"] == second.json()["request_id"] == "again"
    service.client.post("/predict", json=EXAMPLE, headers={"X-Request-ID": "after"})
    wait_until(lambda: logged("after"), what="the log")
    assert len(logged("again")) == 1


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        pytest.param("POST", "/predict", {**EXAMPLE, "humidity": 59}, id="another row"),
        pytest.param("POST", "/predict/batch", EXAMPLE, id="the same body elsewhere"),
        pytest.param("GET", "/forecast", None, id="a forecast"),
    ],
)
def test_another_question_under_the_same_id_is_a_conflict(service, method, path, body):
    headers = {"X-Request-ID": "taken"}
    assert service.client.post("/predict", json=EXAMPLE, headers=headers).status_code == 200
    answer = service.client.request(method, path, json=body, headers=headers)
    assert (answer.status_code, "taken" in answer.json()["detail"]) == (409, True)


def test_a_refusal_does_not_use_up_its_id(service):
    headers = {"X-Request-ID": "second-try"}
    assert service.client.post("/predict", json={}, headers=headers).status_code == 422
    assert service.client.post("/predict", json=EXAMPLE, headers=headers).status_code == 200


@pytest.mark.parametrize("sent", ["", "a b", "é".encode("latin-1"), "x" * 129, "a/b", "%s"])
def test_an_id_that_no_log_should_hold_is_refused(service, sent):
    answer = service.client.post("/predict", json=EXAMPLE, headers={"X-Request-ID": sent})
    assert (answer.status_code, "X-Request-ID" in answer.json()["detail"]) == (422, True)


def test_a_request_without_an_id_gets_one_of_its_own(service):
    made = {service.client.post("/predict", json=EXAMPLE).json()["request_id"] for _ in range(20)}
    assert len(made) == 20


@pytest.mark.parametrize("path", ["/predict", "/predict/batch"])
def test_another_method_is_refused_and_the_right_one_named(service, path):
    answer = service.client.get(path)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")


def test_an_unknown_path_says_where_to_look(service):
    answer = service.client.get("/nope")
    assert (answer.status_code, "/docs" in answer.json()["detail"]) == (404, True)


def test_the_pages_about_the_api_need_nothing_from_elsewhere(service):
    page = service.client.get("/docs")
    assert page.headers["Content-Type"].startswith("text/html")
    assert "://" not in page.text
    shown = service.client.get("/openapi.json").json()["paths"]
    assert shown.keys() == {
        "/predict", "/predict/batch", "/forecast", "/model", "/reload-model", "/health", "/ready",
        "/forecasts", "/demand", "/scores", "/peaks", "/peaks.ics",
    }  # fmt: skip


def test_the_model_says_what_it_is(service):
    model = service.client.get("/model").json()
    assert (model["version"], model["respondent"], model["problem"]) == ("1", "NY", None)
    assert model["trained_through"] == "2025-02-02T00:00:00Z"
    assert model["features"] == list(BOOSTER_COLUMNS)
    assert model["metrics"] == {"test_mape": 2.5}


def test_a_reload_without_a_new_champion_changes_nothing(service):
    told = service.client.post("/reload-model").json()
    assert told == {"status": "unchanged", "version": "1", "replaced": None}


def test_health_says_that_a_model_is_loaded(service):
    assert service.client.get("/health").json() == {"status": "healthy", "model_loaded": True}


READ = [
    "/health",
    "/forecasts?format=csv",
    "/demand",
    "/scores",
    "/peaks?day=2025-03-01",
    "/peaks.ics",
    "/ready",
    "/model",
    "/docs",
    "/openapi.json",
    "/forecast?hours=2",
    "/static-offline-docs/swagger-ui.css",
]


@pytest.mark.parametrize(
    "path", [*READ, "/nope", "/predict", "/forecast?hours=0", "/forecast?day=2001-01-01"]
)
def test_head_answers_as_get_does_without_a_body(service, path):
    varying = {"date", "x-request-id"}
    if path.startswith("/forecast?"):
        varying.add("content-length")
    # HTTP lets HEAD leave out what is decided while a body is sent.
    streamed = {"transfer-encoding"} & service.client.get(path).headers.keys()
    got, headed = service.client.get(path), service.client.head(path)
    assert headed.status_code == got.status_code
    assert headed.content == b""
    assert {name: value for name, value in headed.headers.items() if name not in varying} == {
        name: value for name, value in got.headers.items() if name not in varying | streamed
    }
    assert headed.headers.keys() == got.headers.keys() - streamed


def test_every_path_that_can_be_read_is_asked_by_head(service):
    shown = service.client.get("/openapi.json").json()["paths"]
    assert {path for path, kinds in shown.items() if "get" in kinds} <= {
        path.partition("?")[0] for path in READ
    }
    assert not any("head" in kinds for kinds in shown.values())  # HTTP itself says what HEAD is


def test_a_connection_goes_on_after_head_and_the_log_names_it(service):
    with httpx.Client(base_url=service.client.base_url) as client:
        for number in range(3):
            asked = client.head("/model", headers={"X-Request-ID": f"headed-{number}"})
            assert client.get("/health").json()["status"] == "healthy"
            assert int(asked.headers["content-length"]) > 100
    line = line_of(service, "headed-0")
    assert (line["method"], line["route"], line["status"]) == ("HEAD", "/model", 200)


def test_what_may_be_read_may_be_asked_by_head_and_says_so(service):
    assert service.client.post("/health").headers["Allow"] == "GET, HEAD"


@pytest.mark.parametrize("path", ["/predict", "/predict/batch"])
@pytest.mark.parametrize("flags", [{}, {"is_weekend": False}], ids=["holiday alone", "both"])
def test_flags_may_be_true_and_false_and_the_answer_is_that_of_one_and_zero(service, path, flags):
    def asked(row):
        found = service.client.post(path, json=row if path == "/predict" else {"rows": [row]})
        assert found.status_code == 200, found.text
        body = found.json()
        return (body if path == "/predict" else body["predictions"][0])["predicted_demand_mwh"]

    flagged = {**EXAMPLE, "is_holiday": False, **flags}
    numbers = {name: int(value) for name, value in flags.items()}
    assert asked(flagged) == asked({**EXAMPLE, "is_holiday": 0, **numbers})
    assert asked({**flagged, "is_holiday": True}) == asked({**flagged, "is_holiday": 1})


def test_a_real_server_writes_one_line_a_request_and_no_line_of_another_kind(service):
    service.client.post("/predict", json=EXAMPLE, headers={"X-Request-ID": "lined"})
    service.client.post("/predict", json={}, headers={"X-Request-ID": "lined-422"})
    line = line_of(service, "lined")
    assert (line["route"], line["status"], line["model_version"]) == ("/predict", 200, "1")
    assert 0 < line["latency_ms"] < 5000
    assert line_of(service, "lined-422")["status"] == 422
    others = [line for line in service.log().splitlines() if not line.startswith("{")]
    assert [line for line in others if not re.match(r"serving on http://127.0.0.1:\d+", line)] == []


def test_a_line_holds_the_route_and_never_what_was_asked(service):
    service.client.get(f"/forecast?day={CANARY}", headers={"X-Request-ID": "asked"})
    service.client.get(f"/{CANARY}", headers={"X-Request-ID": "nowhere", "Authorization": CANARY})
    assert line_of(service, "asked")["route"] == "/forecast"
    assert line_of(service, "nowhere")["route"] == "unmatched"
    assert CANARY not in service.log()
