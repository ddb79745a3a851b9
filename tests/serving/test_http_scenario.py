"""Scenarios over HTTP on a real server: both curves, clear refusals, and nothing in the log."""

from __future__ import annotations

import json
from datetime import timedelta
from urllib.parse import quote

import pytest
from servers import wait_until

from energy_demand.serving.forecast_schemas import ForecastAnswer
from energy_demand.serving.scenario_schemas import QUESTION_EXAMPLE, ScenarioQuestion
from support import PRESENT

FIRST = (PRESENT + timedelta(hours=1)).isoformat()


def asked(service, query: str, **headers: str):
    return service.client.get(f"/forecast?{query}", headers=headers)


def posted(service, body: object, query: str = ""):
    return service.client.post(f"/forecast{query}", json=body)


@pytest.mark.parametrize(
    "query", ["hours=30&quantiles=true&explain=true", "day=tomorrow"], ids=["hours", "a day"]
)
def test_the_answer_is_the_forecast_as_it_is_with_the_scenario_beside_it(service, query):
    ordinary = asked(service, query).json()
    body = asked(service, f"{query}&scenario=temperature-3,day=holiday").json()
    scenario = body.pop("scenario")
    assert body == ordinary
    whole = ForecastAnswer.model_validate({**body, "scenario": scenario})
    assert whole.model_dump(mode="json", exclude_none=True) == {**body, "scenario": scenario}
    assert scenario["changes"] == "temperature-3,day=holiday"
    for hour, before in zip(scenario["hours"], ordinary["hours"], strict=True):
        assert hour["period"] == before["period"]
        after = hour["predicted_demand_mwh"]
        assert round(after - before["predicted_demand_mwh"], 1) == hour["difference_mwh"]
        assert set(hour["parts"]) == {"temperature", "day"}
        assert round(sum(hour["parts"].values()), 1) == hour["difference_mwh"]
    assert scenario["peak"]["predicted_demand_mwh"] == max(
        hour["predicted_demand_mwh"] for hour in scenario["hours"]
    )


def test_a_plus_may_be_written_as_it_is_or_encoded(service):
    answers = {
        asked(service, f"hours=5&scenario={text}").content
        for text in ("temperature+3", "temperature%2B3", "temperature%203")
    }
    assert len(answers) == 1


def test_no_scenario_is_logged_and_no_forecast_beside_one(service, logged):
    given = asked(service, "hours=5&scenario=cloud=0", **{"X-Request-ID": "scenario-get"})
    sent = service.client.post(
        "/forecast", json={"scenario": "cloud=0"}, headers={"X-Request-ID": "scenario-post"}
    )
    assert (given.status_code, sent.status_code) == (200, 200)
    asked(service, "hours=1", **{"X-Request-ID": "after-scenarios"})
    wait_until(lambda: logged("after-scenarios"), what="the log")
    assert logged("scenario-%") == []


@pytest.mark.parametrize(
    "text",
    ["", "temp+3", "temperature+25", "cloud=200", "day=someday", "temperature=20", "x" * 300],
    ids=["nothing", "a name", "too much", "out of bounds", "a day", "not to be set", "too long"],
)
def test_a_scenario_that_cannot_be_used_is_refused_with_what_can(service, text):
    for answer in (asked(service, f"scenario={quote(text)}"), posted(service, {"scenario": text})):
        assert answer.status_code == 422
        body = answer.json()
        assert [each["field"] for each in body["errors"]] == ["scenario"]
        assert "temperature+3" in body["detail"]
        assert "day=workday|" in body["detail"]


def test_weather_of_ones_own_by_hour_and_site(service):
    hours = [(PRESENT + timedelta(hours=lead)).isoformat() for lead in range(1, 6)]
    cold = {"weather": [{"period": hour, "temperature": -25} for hour in hours]}
    scenario = posted(service, cold, "?hours=6").json()["scenario"]
    assert (scenario["changes"], scenario["own_weather_rows"]) == ("", 5)
    assert all(hour["difference_mwh"] > 0 for hour in scenario["hours"][:5])
    at_one = {"weather": [{"period": hour, "site": "albany", "temperature": -25} for hour in hours]}
    albany = posted(service, at_one, "?hours=6").json()["scenario"]
    assert 0 < albany["energy"]["difference_mwh"] < scenario["energy"]["difference_mwh"]
    both = posted(service, {**cold, "scenario": "day=sunday,wind+10"}, "?hours=6").json()["scenario"]
    assert set(both["energy"]["parts"]) == {"temperature", "wind", "day"}


@pytest.mark.parametrize(
    ("body", "field", "reason"),
    [
        pytest.param({}, "body", "give scenario, weather, or both", id="nothing"),
        pytest.param({"weather": []}, "body", "give scenario, weather, or both", id="no rows"),
        pytest.param({"rain": 1}, "rain", "Extra inputs", id="an unknown field"),
        pytest.param(
            {"weather": [{"period": FIRST}]}, "weather.0", "give temperature, humidity", id="no weather"
        ),
        pytest.param(
            {"weather": [{"period": FIRST, "rain": 3}]}, "weather.0.rain", "Extra inputs", id="rain"
        ),
        pytest.param(
            {"weather": [{"period": FIRST, "temperature": 61}]}, "weather.0.temperature", "60", id="too hot"
        ),
        pytest.param(
            {"weather": [{"period": FIRST, "humidity": 101}]}, "weather.0.humidity", "100", id="too humid"
        ),
        pytest.param(
            {"weather": [{"period": "2025-03-12T14:30:00Z", "temperature": 1}]},
            "weather.0.period",
            "full UTC hour",
            id="half an hour",
        ),
        pytest.param(
            {"weather": [{"period": "2024-03-12T14:00:00Z", "temperature": 1}]},
            "weather.0.period",
            "give hours from 2025-03-12T14:00:00Z to 2025-03-13T13:00:00Z",
            id="an hour of the past",
        ),
        pytest.param(
            {"weather": [{"period": FIRST, "site": "boston", "temperature": 1}]},
            "weather.0.site",
            "use new_york_city",
            id="a site that there is not",
        ),
        pytest.param(
            {"weather": [{"period": FIRST, "temperature": 1}] * 2}, "weather.1", "given twice", id="twice"
        ),
    ],
)
def test_a_body_that_cannot_be_used_is_refused_and_its_field_named(service, body, field, reason):
    answer = posted(service, body)
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error["field"] == field
    assert reason in error["message"]


def test_parameters_are_checked_as_for_a_forecast(service):
    for answer in (
        posted(service, {"scenario": "cloud=0"}, "?hours=49"),
        posted(service, {"scenario": "cloud=0"}, "?hours=1&day=tomorrow"),
        posted(service, {"scenario": "cloud=0"}, "?scenario=cloud=0"),
        posted(service, {"scenario": "cloud=0"}, "?region=XX"),
        service.client.post("/forecast", content=b"{"),
        service.client.post("/forecast", content=b"{", headers={"Content-Type": "application/json"}),
    ):
        assert answer.status_code == 422


def test_another_method_is_refused_and_the_right_ones_named(service):
    answer = service.client.put("/forecast")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD, POST")
    assert service.client.post("/model").headers["Allow"] == "GET, HEAD"


def test_the_documented_examples_are_answers(service):
    document = service.client.get("/openapi.json").json()
    parameters = document["paths"]["/forecast"]["get"]["parameters"]
    (scenario,) = (each for each in parameters if each["name"] == "scenario")
    for example in scenario["examples"].values():
        assert asked(service, f"hours=2&scenario={example['value']}").status_code == 200
    body = json.loads(json.dumps(QUESTION_EXAMPLE).replace("2025-07-31", "2025-03-12"))
    assert ScenarioQuestion.model_validate_json(json.dumps(body)).weather
    assert posted(service, body).status_code == 200
    assert "SiteWeather" in document["components"]["schemas"]
