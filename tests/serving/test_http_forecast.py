"""GET /forecast on a real server."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from servers import wait_until

from energy_demand.model.forecast import FORECASTER_INPUTS
from energy_demand.serving.forecast_schemas import ForecastAnswer
from support import PRESENT

HOUR = timedelta(hours=1)


def periods(body: dict) -> list[datetime]:
    return [datetime.fromisoformat(hour["period"]) for hour in body["hours"]]


def refusal(service, query: str) -> dict:
    answer = service.client.get(f"/forecast?{query}")
    assert answer.status_code == 422
    return answer.json()


@pytest.mark.parametrize(("query", "count"), [("", 24), ("?hours=1", 1), ("?hours=48", 48)])
def test_the_next_hours_are_forecast_from_the_present_on(service, query, count):
    body = service.client.get(f"/forecast{query}").json()
    assert datetime.fromisoformat(body["issued_at"]) == PRESENT
    assert periods(body) == [PRESENT + lead * HOUR for lead in range(1, count + 1)]
    assert [hour["lead_hours"] for hour in body["hours"]] == list(range(1, count + 1))
    assert (body["model_version"], body["quality"], body["demand_age_hours"]) == ("1", "champion", 1.0)
    assert datetime.fromisoformat(body["state_through"]) == PRESENT - HOUR


@pytest.mark.parametrize("query", ["", "?day=tomorrow&explain=true", "?hours=30&quantiles=true"])
def test_the_answer_is_the_documented_one(service, query):
    body = service.client.get(f"/forecast{query}").json()
    answer = ForecastAnswer.model_validate(body)
    assert answer.model_dump(mode="json", exclude_none=True) == body


def test_intervals_hold_the_forecast_and_one_another_and_the_peak_is_the_highest_hour(service):
    body = service.client.get("/forecast?hours=48").json()
    for hour in body["hours"]:
        names = ("lower_95", "lower_80", "predicted_demand_mwh", "upper_80", "upper_95")
        assert all(low < high for low, high in pairwise(hour[name] for name in names))
    assert body["peak"] == max(body["hours"], key=lambda hour: hour["predicted_demand_mwh"])


def test_tomorrow_is_a_whole_local_day_by_its_name_and_by_its_date(service):
    tomorrow = service.client.get("/forecast?day=tomorrow").json()
    starts = [(period - HOUR).astimezone(ZoneInfo("America/New_York")) for period in periods(tomorrow)]
    assert [start.hour for start in starts] == list(range(24))
    assert {f"{start:%Y-%m-%d}" for start in starts} == {"2025-03-13"}
    assert service.client.get("/forecast?day=2025-03-13").json() == tomorrow


def test_an_explanation_adds_up_to_the_forecast(service):
    hours = service.client.get("/forecast?hours=6&explain=true").json()["hours"]
    for hour in hours:
        parts = hour["explanation"].values()
        assert sum(parts) == pytest.approx(hour["predicted_demand_mwh"], abs=0.05 * (len(parts) + 1))
    assert "explanation" not in service.client.get("/forecast?hours=6").json()["hours"][0]


def test_a_forecast_is_logged_as_it_was_given_and_a_retry_only_once(service, logged):
    headers = {"X-Request-ID": "forecast"}
    first, second = (service.client.get("/forecast?hours=5", headers=headers) for _ in range(2))
    assert first.content == second.content
    service.client.get("/forecast?hours=1", headers={"X-Request-ID": "later"})
    wait_until(lambda: logged("later"), what="the log")
    rows = logged("forecast")
    assert [row.timestamp for row in rows] == periods(first.json())
    given = [hour["predicted_demand_mwh"] for hour in first.json()["hours"]]
    assert [row.predicted_demand for row in rows] == pytest.approx(given, abs=0.05)
    assert {(row.source, row.quality, row.model_version) for row in rows} == {("request", "champion", "1")}
    for row in rows:
        assert set(row.features_json) == set(FORECASTER_INPUTS)
        assert row.features_json["lead_hours"] == row.lead_hours
        assert row.features_json["demand_age_hours"] == pytest.approx(
            first.json()["demand_age_hours"], abs=0.01
        )
        assert row.features_json["demand_lag_168h"] > 0


@pytest.mark.parametrize(
    ("query", "field"),
    [
        pytest.param("hours=0", "hours", id="no hours"),
        pytest.param("hours=49", "hours", id="more hours than there are"),
        pytest.param("hours=-1", "hours", id="hours of the past"),
        pytest.param("hours=1.5", "hours", id="a part of an hour"),
        pytest.param("hours=many", "hours", id="a word for hours"),
        pytest.param("hours=", "hours", id="hours without a number"),
        pytest.param("hours=%00", "hours", id="a byte of zero"),
        pytest.param("hours=" + "9" * 5000, "hours", id="a number of five thousand digits"),
        pytest.param("day=yesterday", "day", id="another word for a day"),
        pytest.param("day=2025-02-30", "day", id="a day that is in no calendar"),
        pytest.param("day=1741824000", "day", id="seconds since 1970"),
        pytest.param("day=2025-03-13T00:00:00", "day", id="a moment"),
        pytest.param("hours=3&day=tomorrow", "day", id="hours and a day"),
        pytest.param("explain=maybe", "explain", id="neither yes nor no"),
        pytest.param("quantiles=0.5", "quantiles", id="a probability for a yes or no"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused_and_its_field_named(service, query, field):
    body = refusal(service, query)
    assert [each["field"] for each in body["errors"]] == [field]
    assert body["detail"].startswith(f"{field}: ")
    assert len(body["detail"]) < 250


@pytest.mark.parametrize(
    ("day", "reason"),
    [
        pytest.param("2025-03-12", "already begun", id="today"),
        pytest.param("2025-03-11", "already begun", id="yesterday"),
        pytest.param("0001-01-01", "already begun", id="the first of all days"),
        pytest.param("2025-03-14", "48 hours", id="the day after tomorrow"),
        pytest.param("9999-12-31", "48 hours", id="the last of all days"),
    ],
)
def test_a_day_that_cannot_be_forecast_is_refused_with_the_reason(service, day, reason):
    detail = refusal(service, f"day={day}")["detail"]
    assert day in detail
    assert reason in detail


def test_a_parameter_that_there_is_not_is_refused_by_name(service):
    answer = service.client.get("/forecast", params={"hour": 6})
    assert answer.status_code == 422
    assert (
        answer.json()["detail"]
        == "hour: unknown parameter; use hours, day, explain, quantiles, region, scenario"
    )
