"""What the scheduled forecast says of tomorrow's peak: stored with it once, read as of any time."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from children import silent

from energy_demand.database import repository
from energy_demand.database.tables import peak_forecast, raw_demand
from energy_demand.jobs import scheduled_forecast
from energy_demand.jobs.forecast import forecast_stored
from energy_demand.jobs.peaks import day_peak, peaks_body, store_peak
from energy_demand.jobs.scheduled_forecast import run_scheduled_forecast
from energy_demand.jobs.status import status
from energy_demand.monitoring.stored_peaks import peak_of_tomorrow, stored_peak
from energy_demand.timeaxis import day_periods, local_midnight
from support import PRESENT

if TYPE_CHECKING:
    from energy_demand.model.day_peak import DayPeak

TOMORROW = date(2025, 3, 13)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def morning(database, registry, settings):
    def run(now=PRESENT, **changed: object):
        return run_scheduled_forecast(database, registry, settings.model_copy(update=changed), now, silent)

    return run


@pytest.fixture
def of_tomorrow(database, settings):
    def read(now=PRESENT) -> DayPeak | None:
        with database.transaction() as connection:
            return peak_of_tomorrow(connection, settings.region, now)

    return read


def test_the_scheduled_forecast_stores_what_it_says_of_the_peak(morning, of_tomorrow, database, settings):
    outcome = morning()
    peak = of_tomorrow()
    assert outcome.peak == peak
    assert (peak.day, peak.issued_at, peak.quality) == (TOMORROW, PRESENT, "champion")
    joint = outcome.forecast.distribution
    assert list(peak.quantiles.values()) == pytest.approx(joint.peak, abs=0.1)
    assert [hour["period"] for hour in peak.hours] == list(day_periods(TOMORROW, settings.region.zone))
    assert sum(hour["probability"] for hour in peak.hours) == pytest.approx(1.0, abs=0.02)
    # Ten weeks of one year are stored, so that what was reached so far is all there is.
    assert peak.so_far_mwh == peak.day_mwh < peak.hour_mwh
    assert 0.0 <= peak.hour_probability <= peak.so_far_probability <= 1.0
    assert peak.alert == (peak.hour_probability >= peak.needed_probability)
    assert morning(PRESENT + 20 * MINUTE).peak is None
    with database.transaction() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(peak_forecast)) == 1


def test_nothing_is_known_before_it_was_forecast(morning, of_tomorrow):
    morning()
    assert of_tomorrow(PRESENT - MINUTE) is None
    assert of_tomorrow(PRESENT) is not None
    assert of_tomorrow(PRESENT + timedelta(days=1)) is None


def test_demand_after_the_issue_and_later_alerts_touch_no_decision(morning, database, settings):
    outcome = morning()
    region = settings.region
    with database.transaction() as connection:
        later = PRESENT + timedelta(hours=30)
        values = {"respondent": region.respondent, "series": "D", "period": later, "value": 90_000.0}
        connection.execute(
            sa.insert(raw_demand).values(**values, known_at=later, ingested_at=later, origin="NY")
        )
        store_peak(
            connection,
            region.respondent,
            replace(outcome.peak, day=TOMORROW + timedelta(days=1), alert=True, made_at=later),
        )
        again = day_peak(connection, region, outcome.forecast, TOMORROW, PRESENT)
    assert again == outcome.peak


def test_an_alert_makes_the_next_one_need_more(morning, database, settings):
    outcome = morning()
    region = settings.region
    with database.transaction() as connection:
        for number in (1, 2):
            earlier = replace(outcome.peak, day=TOMORROW - timedelta(days=number), alert=True)
            store_peak(connection, region.respondent, earlier)
        again = day_peak(connection, region, outcome.forecast, TOMORROW, PRESENT)
    assert again.alerts_before == 2
    assert again.needed_probability > outcome.peak.needed_probability


def test_a_newer_issue_counts(morning, of_tomorrow, database, settings):
    peak = morning().peak
    newer = replace(
        peak, issued_at=PRESENT + MINUTE, made_at=PRESENT + MINUTE, alert=not peak.alert, quality="last_week"
    )
    with database.transaction() as connection:
        store_peak(connection, settings.region.respondent, newer)
    assert of_tomorrow().quality == "champion"
    assert of_tomorrow(PRESENT + MINUTE) == newer


def test_a_fallback_gives_a_probability_from_its_bounds(database, settings):
    region = settings.region
    periods = day_periods(TOMORROW, region.zone)
    forecast = forecast_stored(database, settings, PRESENT, periods, None)
    assert forecast.quality == "last_week"
    with database.transaction() as connection:
        peak = day_peak(connection, region, forecast, TOMORROW, PRESENT)
        store_peak(connection, region.respondent, peak)
        assert stored_peak(connection, region, TOMORROW, PRESENT) == peak
    assert list(peak.quantiles) == [0.025, 0.1, 0.5, 0.9, 0.975]
    assert {hour["probability"] for hour in peak.hours} == {None}
    assert peak.hour_probability is not None
    start, end = peak.likely
    assert end - start == timedelta(hours=1)
    assert peak.reason(region.zone).startswith("2025-03-13 is")


def test_the_body_has_the_highest_days_and_hours_with_what_was_forecast_of_them(morning, database, settings):
    region = settings.region
    morning()
    highest_hour = day_periods(TOMORROW, region.zone)[18].to_pydatetime()
    after = highest_hour + timedelta(hours=2)
    with database.transaction() as connection:
        values = {"respondent": region.respondent, "series": "D", "period": highest_hour, "value": 29_000.0}
        connection.execute(
            sa.insert(raw_demand).values(**values, known_at=after, ingested_at=after, origin="NY")
        )
        body = peaks_body(connection, region, after, TOMORROW)
        before = peaks_body(connection, region, PRESENT - MINUTE, TOMORROW)
        truth = repository.read_truth(
            connection, region.respondent, local_midnight(date(2025, 1, 1), region.zone), after, after
        )
    first = body["highest_hours"][0]
    assert (first["period"], first["demand_mwh"]) == (highest_hour, 29_000.0)
    assert first["predicted_demand_mwh"] == pytest.approx(
        next(
            hour["predicted_demand_mwh"] for hour in body["peak"]["hours"] if hour["period"] == highest_hour
        ),
        abs=0.1,
    )
    assert first["alert"] == body["peak"]["alert"]
    assert [each["demand_mwh"] for each in body["highest_hours"]] == sorted(truth["value"], reverse=True)[:10]
    assert len({each["day"] for each in body["highest_days"]}) == 10
    assert before["peak"] is None
    assert before["highest_hours"][0]["demand_mwh"] < 29_000.0
    assert before["highest_hours"][0]["predicted_demand_mwh"] is None


def test_status_tells_it(morning, settings):
    assert status(settings, PRESENT)["peak"] == {
        "day": TOMORROW,
        "alert": None,
        "reason": None,
        "alerted_days": [],
    }
    peak = morning().peak
    body = status(settings, PRESENT)["peak"]
    assert (body["alert"], body["reason"]) == (peak.alert, peak.reason(settings.region.zone))
    assert body["alerted_days"] == ([TOMORROW] if peak.alert else [])


def test_chances_that_cannot_be_computed_do_not_cost_the_forecast(
    settings, database, registry, monkeypatch, caplog
):
    def fails(*_given):
        raise ZeroDivisionError

    monkeypatch.setattr(scheduled_forecast, "day_peak", fails)
    done = scheduled_forecast.forecast_tomorrow(database, registry, settings, settings.present())
    assert done.forecast is not None
    assert done.peak is None
    assert "the chances of a peak day could not be computed" in caplog.text
