"""The scheduled forecast: ingestion, then tomorrow's forecast, logged exactly once."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
import sqlalchemy as sa
from children import run_and_kill, run_job, silent
from short import NOTHING_LISTENS

from energy_demand.database.job_runs import Job
from energy_demand.database.tables import prediction_log
from energy_demand.jobs.scheduled_forecast import run_scheduled_forecast
from energy_demand.timeaxis import day_periods
from support import PRESENT

INSERT = "energy_demand.database.predictions:insert_predictions"
ENDED = "energy_demand.database.job_runs:record_end"


@pytest.fixture
def logged(database):
    """Reads the log, by hour."""

    def read() -> list[sa.Row]:
        query = sa.select(prediction_log).order_by(prediction_log.c.timestamp, prediction_log.c.id)
        with database.transaction() as connection:
            return list(connection.execute(query))

    return read


@pytest.fixture
def morning(database, registry, settings):
    def run(now: datetime = PRESENT, **changed: object):
        return run_scheduled_forecast(database, registry, settings.model_copy(update=changed), now, silent)

    return run


@pytest.mark.parametrize(
    ("now", "hours", "leads"),
    [
        pytest.param(PRESENT, 24, (16, 39), id="on a usual day"),
        pytest.param(PRESENT + timedelta(seconds=7), 24, (16, 39), id="seconds late, as a scheduler is"),
        pytest.param(datetime(2025, 3, 8, 14, tzinfo=UTC), 23, (16, 38), id="before the 23 h day"),
        pytest.param(datetime(2025, 3, 9, 13, tzinfo=UTC), 24, (16, 39), id="on the day of the clock change"),
    ],
)
def test_all_hours_of_tomorrow_are_logged_as_scheduled(morning, logged, settings, now, hours, leads):
    outcome = morning(now)
    rows = logged()
    assert outcome.trouble is None
    assert outcome.forecast.quality == "champion"
    assert [row.timestamp for row in rows] == list(day_periods(outcome.day, settings.region.zone))
    assert len(rows) == hours
    assert (rows[0].lead_hours, rows[-1].lead_hours) == leads
    assert {(row.source, row.issued_at, row.model_version) for row in rows} == {("scheduled", now, "1")}


def test_a_second_run_on_the_same_day_logs_nothing_more(morning, logged):
    morning()
    before = logged()
    again = morning(PRESENT + timedelta(minutes=20))
    assert again.forecast is None
    assert again.to_json()["logged_before"] is True
    assert logged() == before


def test_a_late_forecast_is_logged_as_a_request_and_not_scored(morning, logged):
    outcome = morning(PRESENT + timedelta(hours=1))
    assert outcome.day == date(2025, 3, 13)
    assert {row.source for row in logged()} == {"request"}
    assert len(logged()) == 24


def test_without_upstreams_the_forecast_is_made_and_the_trouble_reported(morning, logged):
    outcome = morning(
        eia_base_url=f"{NOTHING_LISTENS}/eia/v2/",
        open_meteo_forecast_url=NOTHING_LISTENS,
        http_attempts=1,
    )
    assert outcome.forecast.quality == "champion"
    assert "cannot fetch" in outcome.trouble
    assert outcome.to_json()["trouble"] == outcome.trouble
    assert {row.source for row in logged()} == {"scheduled"}
    assert len(logged()) == 24


@pytest.mark.parametrize(
    ("point", "left"),
    [
        pytest.param(("before", INSERT), 0, id="before it is logged"),
        pytest.param(("after", INSERT), 0, id="while it is logged"),
        pytest.param(("before", ENDED), 24, id="after it was logged"),
    ],
)
def test_a_killed_run_is_completed_by_the_next_without_duplicates(database, settings, logged, point, left):
    run_and_kill(Job.FORECAST, settings, point)
    assert len(logged()) == left
    run_job(Job.FORECAST, database, settings)
    rows = logged()
    assert [row.timestamp for row in rows] == list(day_periods(date(2025, 3, 13), settings.region.zone))
    assert {row.source for row in rows} == {"scheduled"}


def test_the_next_run_stores_the_actual_values_beside_the_forecast(database, settings, morning, logged):
    morning(PRESENT - timedelta(days=2))
    morning()
    yesterday = logged()[:24]
    stored = sa.text("SELECT period, value FROM raw_demand WHERE respondent = 'NY' AND series = 'D'")
    with database.transaction() as connection:
        truth = dict(connection.execute(stored).tuples().all())
    assert [row.actual_demand for row in yesterday] == [truth[row.timestamp] for row in yesterday]
