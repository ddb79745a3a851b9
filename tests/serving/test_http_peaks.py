"""Peaks over HTTP: stored days, coming days, limits, and the calendar that a recipe of the docs reads."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import icalendar
import pytest
import sqlalchemy as sa

from energy_demand.database.engine import open_database
from energy_demand.database.tables import peak_forecast
from energy_demand.jobs.peaks import store_peak
from energy_demand.region import NEW_YORK
from energy_demand.serving.peak_calendar import peak_calendar
from energy_demand.serving.peak_schemas import EXAMPLE, PeaksAnswer
from energy_demand.timeaxis import day_ahead_issue
from peak_days import peak
from support import make_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
ZONE = NEW_YORK.zone
ALERTED, QUIET, WITHDRAWN, TODAY = date(2025, 1, 22), date(2025, 2, 10), date(2025, 2, 11), date(2025, 3, 12)
TOMORROW = TODAY + timedelta(days=1)


@pytest.fixture(scope="module")
def peaks(service, filled_database_url) -> Iterator:
    """The service with what was said of four past days, one of them withdrawn; asks it."""
    database = open_database(make_settings(database_url=filled_database_url))
    with database.transaction() as connection:
        for day in (ALERTED, WITHDRAWN, TODAY):
            store_peak(connection, "NY", peak(day, alert=True))
        store_peak(connection, "NY", peak(QUIET, alert=False))
        later = day_ahead_issue(WITHDRAWN, ZONE) + timedelta(minutes=20)
        store_peak(connection, "NY", replace(peak(WITHDRAWN, alert=False), issued_at=later, made_at=later))
    yield lambda path="/peaks", **query: service.client.get(path, params=query)
    with database.transaction() as connection:
        connection.execute(sa.delete(peak_forecast))
    database.close()


def test_a_past_day_has_what_was_said_of_it(peaks):
    answer = peaks(day=str(ALERTED))
    assert answer.status_code == 200
    body = answer.json()
    PeaksAnswer.model_validate(body, strict=False)
    assert body.keys() == PeaksAnswer.model_fields.keys()
    assert (body["peak"]["alert"], body["peak"]["hour_probability"]) == (True, 0.7)
    assert body["peak"]["likely"] == {"start": "2025-01-22T22:00:00Z", "end": "2025-01-23T00:00:00Z"}
    assert body["peak"]["peak_quantiles"] == {"0.1": 23_000.0, "0.5": 24_000.0, "0.9": 25_000.0}
    assert body["alerted_days"] == [str(ALERTED), str(TODAY)]
    demand = [each["demand_mwh"] for each in body["highest_hours"]]
    assert len(demand) == 10
    assert demand == sorted(demand, reverse=True)
    assert len({each["day"] for each in body["highest_days"]}) == 10


def test_a_coming_day_without_a_scheduled_forecast_is_forecast_now_and_not_stored(peaks, filled_database_url):
    body = peaks().json()
    assert PeaksAnswer.model_validate(body).day == TOMORROW
    peak = body["peak"]
    assert (peak["day"], peak["made_at"], peak["alerts_before"]) == (str(TOMORROW), "2025-03-12T13:00:00Z", 2)
    assert sum(hour["probability"] for hour in peak["hours"]) == pytest.approx(1.0, abs=0.02)
    assert peak["alert"] == (peak["hour_probability"] >= peak["needed_probability"])
    assert body["alerted_days"] == [str(ALERTED), str(TODAY)]
    assert peaks(day=str(TOMORROW)).json()["peak"] == peak
    engine = sa.create_engine(filled_database_url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        stored = sa.select(sa.func.count()).where(peak_forecast.c.day == TOMORROW)
        assert connection.scalar(stored) == 0


def test_a_day_that_has_begun_and_was_not_forecast_has_no_probabilities(peaks):
    body = peaks(day="2025-03-01").json()
    assert PeaksAnswer.model_validate(body).peak is None
    assert peaks(day="2003-03-01").json()["highest_days"] == []


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        pytest.param({"day": "2025-03-20"}, "ends more than 48 hours after", id="too far ahead"),
        pytest.param({"day": "9999-12-31"}, "ends more than 48 hours after", id="the last day of all"),
        pytest.param(
            {"day": "0001-01-01"}, "day: must be in the year 2000 or later", id="the first day of all"
        ),
        pytest.param({"day": "soon"}, "day: 'soon' is not a valid date", id="no day"),
        pytest.param({"region": "PJM"}, "region: PJM is not served; use NY", id="another region"),
        pytest.param({"days": "1"}, "days: unknown parameter; use day, region", id="an unknown parameter"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_a_line(peaks, query, reason):
    answer = peaks(**query)
    assert answer.status_code == 422
    assert reason in answer.json()["detail"]


def test_the_calendar_has_the_alerted_days_as_they_are_in_the_region(peaks):
    answer = peaks("/peaks.ics")
    assert answer.headers["Content-Type"] == "text/calendar; charset=utf-8"
    events = {
        str(event["UID"]): event for event in icalendar.Calendar.from_ical(answer.content).walk("VEVENT")
    }
    assert list(events) == ["peak-NY-2025-01-22@energy-demand", "peak-NY-2025-03-12@energy-demand"]
    event = events["peak-NY-2025-01-22@energy-demand"]
    assert (event.decoded("DTSTART"), event.decoded("DTEND")) == (ALERTED, ALERTED + timedelta(days=1))
    assert event.decoded("DTSTAMP") == datetime(2025, 1, 21, 14, tzinfo=UTC)
    assert event["SUMMARY"] == "Peak demand in NY: 24.0 GW, likely 17:00 to 19:00"
    assert "with a probability of 70%" in event["DESCRIPTION"]
    assert peaks("/peaks.ics").content == answer.content
    assert peaks("/peaks.ics", day="tomorrow").status_code == 422
    assert peaks("/peaks.ics", region="PJM").status_code == 422


def test_a_calendar_without_alerts_can_be_read():
    assert icalendar.Calendar.from_ical(peak_calendar([], NEW_YORK)).walk("VEVENT") == []


def test_the_recipe_of_the_docs_reads_the_feed(peaks, service, capsys):
    text = (ROOT / "docs" / "peaks.md").read_text(encoding="utf-8")
    (recipe,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert "http://127.0.0.1:8000" in recipe
    found: dict[str, object] = {}
    exec(recipe.replace("http://127.0.0.1:8000", str(service.client.base_url).rstrip("/")), found)
    assert list(found["peak_days"]) == [ALERTED, TODAY]
    assert (
        capsys.readouterr().out.splitlines()[0]
        == f"{ALERTED} Peak demand in NY: 24.0 GW, likely 17:00 to 19:00"
    )


def test_the_example_of_the_document_fits_its_schema(service):
    PeaksAnswer.model_validate(EXAMPLE)
    document = service.client.get("/openapi.json").json()
    assert document["components"]["schemas"]["PeaksAnswer"]["examples"] == [EXAMPLE]
    assert "text/calendar" in document["paths"]["/peaks.ics"]["get"]["responses"]["200"]["content"]
