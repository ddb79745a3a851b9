"""The scheduled forecast: ingestion, then tomorrow's forecast, logged exactly once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta

import pytest
import sqlalchemy as sa
from children import run_and_kill, run_job, silent
from short import NOTHING_LISTENS

from dashboard import queries
from energy_demand.data.ingestion.ingest import trailing_span
from energy_demand.database.engine import opened
from energy_demand.database.job_runs import Job
from energy_demand.database.tables import prediction_log
from energy_demand.jobs.ingestion import run_ingestion
from energy_demand.jobs.scheduled_forecast import forecast_tomorrow, run_scheduled_forecast
from energy_demand.registry.registry import Registry
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


WITHOUT_WEATHER_RUNS = {"open_meteo_single_runs_url": NOTHING_LISTENS, "http_attempts": 1}
WITHOUT_EIA = {"eia_base_url": f"{NOTHING_LISTENS}/eia/v2/", "http_attempts": 1}
TWENTY_MINUTES = timedelta(minutes=20)


@pytest.fixture
def no_weather(database):
    """No weather forecast is stored, as after days without Open-Meteo."""
    with database.transaction() as connection:
        for table in ("weather_forecast", "weather_run"):
            connection.execute(sa.text(f"DELETE FROM {table}"))
        connection.execute(sa.text("DELETE FROM source_state WHERE source = 'open_meteo_single_runs'"))


@pytest.fixture
def no_demand(database):
    """Demand of the last ten hours is not stored."""
    with database.transaction() as connection:
        since = {"since": PRESENT - timedelta(hours=10)}
        connection.execute(sa.text("DELETE FROM raw_demand WHERE period > :since"), since)


@pytest.fixture
def counting(database, settings):
    """The forecasts that count, as the database scores them: (quality, issued_at), and how many hours."""

    def read() -> tuple[set[tuple[str, datetime]], int]:
        query = "SELECT quality, issued_at FROM scored_forecasts() WHERE respondent = 'NY'"
        with database.transaction() as connection:
            rows = connection.execute(sa.text(query)).all()
        return {(row.quality, row.issued_at) for row in rows}, len(rows)

    return read


@pytest.mark.usefixtures("no_weather")
def test_a_forecast_without_weather_is_replaced_once_the_weather_is_back(morning, logged, counting):
    poor = morning(**WITHOUT_WEATHER_RUNS)
    assert poor.forecast.quality == "base_booster"
    still_away = morning(PRESENT + timedelta(minutes=10), **WITHOUT_WEATHER_RUNS)
    assert still_away.forecast is None, "an equal one is not logged again"
    assert len(logged()) == 24
    better = morning(PRESENT + TWENTY_MINUTES)
    assert better.forecast.quality.startswith("champion")
    assert {row.source for row in logged()} == {"scheduled"}
    assert len(logged()) == 48
    assert counting() == ({(better.forecast.quality, PRESENT + TWENTY_MINUTES)}, 24)
    worse = morning(PRESENT + 2 * TWENTY_MINUTES, **WITHOUT_WEATHER_RUNS)
    assert worse.forecast is None
    assert len(logged()) == 48


@pytest.mark.usefixtures("no_weather")
def test_the_better_forecast_is_the_dashboard_s_of_tomorrow(morning, database, settings):
    morning(**WITHOUT_WEATHER_RUNS)
    day = morning(PRESENT + TWENTY_MINUTES).day
    periods = day_periods(day, settings.region.zone)
    start, end = periods[0].to_pydatetime() - timedelta(hours=1), periods[-1].to_pydatetime()
    with database.transaction() as connection:
        shown = queries.newest_forecast(connection, "NY", start, end, 24, PRESENT + TWENTY_MINUTES)
        # A later request that only a fallback could answer is not shown in its place.
        fallback = shown.drop(columns="id").assign(
            quality="base_booster",
            source="request",
            request_id="asked later",
            issued_at=PRESENT + 2 * TWENTY_MINUTES,
            prediction_made_at=PRESENT + 2 * TWENTY_MINUTES,
            respondent="NY",
        )
        connection.execute(sa.insert(prediction_log), fallback.to_dict("records"))
        later = queries.newest_forecast(connection, "NY", start, end, 24, PRESENT + 2 * TWENTY_MINUTES)
    assert set(shown["issued_at"]) == {PRESENT + TWENTY_MINUTES}
    assert later["id"].tolist() == shown["id"].tolist()


@pytest.mark.usefixtures("no_demand")
def test_a_forecast_from_old_demand_is_replaced_once_demand_is_there(morning, logged, counting):
    poor = morning(**WITHOUT_EIA)
    assert poor.forecast.quality == "champion"
    assert poor.forecast.demand_age_hours >= 10
    assert morning(PRESENT + timedelta(minutes=10), **WITHOUT_EIA).forecast is None
    better = morning(PRESENT + TWENTY_MINUTES)
    assert better.forecast.demand_age_hours < 3
    assert counting() == ({("champion", PRESENT + TWENTY_MINUTES)}, 24)
    assert morning(PRESENT + 2 * TWENTY_MINUTES).forecast is None
    assert len(logged()) == 48


@pytest.mark.usefixtures("no_weather")
def test_after_the_hour_a_poor_forecast_stays(morning, logged):
    morning(**WITHOUT_WEATHER_RUNS)
    assert morning(PRESENT + timedelta(hours=1)).forecast is None
    assert len(logged()) == 24


@pytest.mark.usefixtures("no_weather")
def test_two_workers_at_once_log_the_better_forecast_once(morning, logged, database, settings, counting):
    morning(**WITHOUT_WEATHER_RUNS)
    now = PRESENT + TWENTY_MINUTES
    run_ingestion(database, settings, trailing_span(database, settings, now), now, silent)
    together = threading.Barrier(2)

    class Together(Registry):
        """Both read the champion, and so the log before it, before either logs."""

        def champion(self):
            together.wait(60)
            return super().champion()

    def work(_: int):
        with opened(settings) as own:
            return forecast_tomorrow(own, Together(settings), settings, now)

    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(work, range(2)))
    assert sorted(outcome.forecast is None for outcome in outcomes) == [False, True]
    assert len(logged()) == 48
    assert counting()[1] == 24


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
