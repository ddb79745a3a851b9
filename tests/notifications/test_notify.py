"""What is reported when: once for each cause, its end, in quiet hours, to each URL, whatever fails."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from energy_demand.database import decisions, predictions, state
from energy_demand.database.engine import DatabaseUnavailableError
from energy_demand.database.job_runs import Job, JobRunningError, job_lock
from energy_demand.database.tables import notification
from energy_demand.database.watched import NotifierRun, watched
from energy_demand.errors import UserError
from energy_demand.jobs.job_lock import run_exclusively
from energy_demand.jobs.peaks import store_peak
from energy_demand.jobs.status import status
from energy_demand.model.day_peak import DayPeak
from energy_demand.model.forecaster import PREDICTED
from energy_demand.notifications.events import PeakExpected
from energy_demand.notifications.notify import notify, notify_of_state, notifying
from energy_demand.notifications.state import read_state
from energy_demand.region import NEW_YORK
from energy_demand.timeaxis import day_periods
from logged import row
from support import PRESENT

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ZONE = ZoneInfo("America/New_York")
NIGHT = datetime(2025, 3, 13, 3, tzinfo=UTC)  # 23:00 in New York
SECRET = "canary0123456789"
PEAK = PeakExpected(date(2025, 3, 13), PRESENT + DAY, 30_000.0, 29_000.0, 31_000.0, "the highest so far")
AWAY, BACK = "NY: EIA cannot be read", "NY: EIA can be read again"


@pytest.fixture
def eia(database):
    """Notes how the last attempt to read EIA ended."""

    def note(at: datetime, error: str | None = None, source: str = "eia", respondent: str = "NY") -> None:
        with database.transaction() as connection:
            if error is None:
                state.record_success(connection, source, respondent, at, at)
            else:
                state.record_error(connection, source, respondent, at, error)

    return note


@pytest.fixture
def rows(database):
    """Titles and what became of them, oldest first."""

    def read() -> list[tuple[str, str]]:
        columns = (notification.c.title, notification.c.outcome)
        with database.transaction() as connection:
            found = connection.execute(sa.select(*columns).order_by(notification.c.id))
            return [tuple(each) for each in found]

    return read


def log_forecast(database, quality: str = "champion", **given) -> None:
    periods = day_periods(date(2025, 3, 13), ZONE)
    of_the_day = [
        row(
            number,
            timestamp=period.isoformat(),
            lead_hours=16 + number,
            source="scheduled",
            quality=quality,
            request_id=f"scheduled NY {quality}",
            row_number=number,
            **given,
        )
        for number, period in enumerate(periods)
    ]
    with database.transaction() as connection:
        predictions.insert_predictions(connection, of_the_day)


def test_without_urls_nothing_is_looked_up_or_sent(database, settings_of, eia, rows):
    eia(PRESENT, "HTTP 503")
    seen = []
    sa.event.listen(database.engine, "before_cursor_execute", lambda *given: seen.append(given[2]))
    notify_of_state(database, settings_of())
    assert seen == []
    assert rows() == []


def test_tomorrow_s_forecast_is_reported_once_and_a_better_one_again(database, settings_of, hook):
    settings = settings_of(notify_urls=hook.url)
    log_forecast(database, "last_week")
    notify_of_state(database, settings)
    notify_of_state(database, settings)
    assert hook.titles == ["NY: forecast for Thu 13 Mar 2025"]
    assert "Peak 15,024 MW between 23:00 and 00:00" in hook.received[0]["message"]
    assert "Energy of the day 360.3 GWh." in hook.received[0]["message"]
    assert "a fallback did (last_week)" in hook.received[0]["message"]
    log_forecast(database, issued_at=(PRESENT + HOUR / 3).isoformat())
    notify_of_state(database, settings_of(notify_urls=hook.url, energy_demand_now=PRESENT + HOUR / 2))
    assert hook.titles == ["NY: forecast for Thu 13 Mar 2025"] * 2
    assert "fallback" not in hook.received[1]["message"]


def test_a_source_that_is_away_is_reported_once_and_its_end_is_reported(database, settings_of, hook, eia):
    eia(PRESENT - HOUR)
    for hours in range(3):
        eia(PRESENT + hours * HOUR, "HTTP 503")
        eia(PRESENT + hours * HOUR, "HTTP 503", "eia_daily")
        notify_of_state(database, settings_of(notify_urls=hook.url, energy_demand_now=PRESENT + hours * HOUR))
    assert hook.titles == [AWAY]
    eia(PRESENT + 3 * HOUR)
    notify_of_state(database, settings_of(notify_urls=hook.url, energy_demand_now=PRESENT + 3 * HOUR))
    assert hook.titles == [AWAY]  # its daily totals are away still
    eia(PRESENT + 4 * HOUR, source="eia_daily")
    later = settings_of(notify_urls=hook.url, energy_demand_now=PRESENT + 4 * HOUR)
    notify_of_state(database, later)
    notify_of_state(database, later)
    assert hook.titles == [AWAY, BACK]
    eia(PRESENT + 5 * HOUR, "HTTP 503")
    notify_of_state(database, settings_of(notify_urls=hook.url, energy_demand_now=PRESENT + 5 * HOUR))
    assert hook.titles == [AWAY, BACK, AWAY]


def test_a_reason_with_a_secret_is_reported_without_it(database, settings_of, hook, eia):
    eia(PRESENT, f"GET https://u:{SECRET}@h?api_key={SECRET} failed")
    notify_of_state(database, settings_of(notify_urls=hook.url))
    assert hook.titles == [AWAY]
    assert SECRET not in str(hook.received)


def test_in_quiet_hours_a_source_waits_for_their_end_and_a_failed_forecast_does_not(
    database, settings_of, hook, eia, rows
):
    quiet = {"notify_urls": hook.url, "notify_quiet_hours": "22-7"}
    eia(NIGHT, "HTTP 503")
    settings = settings_of(**quiet, energy_demand_now=NIGHT)
    with pytest.raises(UserError):
        run_exclusively(database, settings, Job.FORECAST, NIGHT, lambda _: fail("no model serves"))
    assert hook.titles == ["NY: the forecast job failed"]
    assert "No model serves." in hook.received[0]["message"]
    run_exclusively(database, settings, Job.FORECAST, NIGHT, lambda _: None)
    assert hook.titles[1:] == ["NY: the forecast job works again"]
    notify_of_state(database, settings_of(**quiet, energy_demand_now=NIGHT + 7 * HOUR + 59 * HOUR / 60))
    assert (AWAY, "waiting") in rows()
    notify_of_state(database, settings_of(**quiet, energy_demand_now=NIGHT + 8 * HOUR))
    assert hook.titles[2:] == [AWAY]


def test_quiet_hours_end_an_hour_later_in_utc_before_the_clocks_go_forward(database, settings_of, hook, eia):
    quiet = {"notify_urls": hook.url, "notify_quiet_hours": "22-7"}
    eia(PRESENT, "HTTP 503")
    for at in (datetime(2025, 3, 8, 11, 59, tzinfo=UTC), datetime(2025, 3, 9, 10, 59, tzinfo=UTC)):
        notify_of_state(database, settings_of(**quiet, energy_demand_now=at))
        assert hook.titles == []
    notify_of_state(database, settings_of(**quiet, energy_demand_now=datetime(2025, 3, 9, 11, tzinfo=UTC)))
    assert hook.titles == [AWAY]


def test_what_is_over_before_anybody_was_notified_is_not_sent(database, settings_of, hook, eia, rows):
    quiet = {"notify_urls": hook.url, "notify_quiet_hours": "22-7"}
    eia(NIGHT, "HTTP 503")
    notify_of_state(database, settings_of(**quiet, energy_demand_now=NIGHT))
    eia(NIGHT + HOUR)
    notify_of_state(database, settings_of(**quiet, energy_demand_now=NIGHT + HOUR))
    notify_of_state(database, settings_of(**quiet, energy_demand_now=NIGHT + 12 * HOUR))
    assert (hook.titles, rows()) == ([], [(AWAY, "withdrawn")])


def test_a_failed_ingestion_is_reported_as_its_sources_and_by_itself_without_them(
    database, settings_of, hook, eia
):
    eia(PRESENT, "HTTP 503")
    settings = settings_of(notify_urls=hook.url)
    with pytest.raises(UserError):
        run_exclusively(database, settings, Job.INGESTION, PRESENT, lambda _: fail("eia: HTTP 503"))
    assert hook.titles == [AWAY]
    eia(PRESENT + HOUR)
    with pytest.raises(UserError):
        run_exclusively(database, settings, Job.INGESTION, PRESENT + HOUR, lambda _: fail("disk full"))
    assert hook.titles == [AWAY, "NY: the ingestion job failed", BACK]


def test_drift_is_reported_with_its_reason_and_that_it_is_over(database, settings_of, hook):
    def check(at: datetime, *, drifted: bool, trigger: str | None = None) -> None:
        with database.transaction() as connection:
            decisions.insert_check(
                connection,
                {
                    "respondent": "NY",
                    "check_timestamp": at,
                    "dataset_drift_detected": drifted,
                    "drift_share": 0.42,
                    "n_drifted_features": 6,
                    "n_total_features": 15,
                    "drift_details": {"trigger": trigger},
                    "triggered_retrain": trigger is not None,
                    "reason": "drift share 0.42 (limit 0.30)",
                },
            )
        notify_of_state(database, settings_of(notify_urls=hook.url, energy_demand_now=at))

    check(PRESENT, drifted=False, trigger="age")  # old, not wrong
    assert hook.titles == []
    check(PRESENT + DAY, drifted=True)
    check(PRESENT + 2 * DAY, drifted=False, trigger="performance")
    assert hook.titles == ["NY: drift found"]
    assert "Drift share 0.42 (limit 0.30)." in hook.received[0]["message"]
    check(PRESENT + 3 * DAY, drifted=False)
    assert hook.titles == ["NY: drift found", "NY: no drift any more"]


def test_a_promotion_and_its_rollback_are_reported_and_older_ones_are_no_news(database, settings_of, hook):
    def promoted(at: datetime, version: str) -> None:
        with database.transaction() as connection:
            number = decisions.begin_retraining(connection, "NY", at, "drift", "drift share 0.42")
            decisions.note_version(connection, number, version, "run")
            decisions.end_retraining(
                connection, number, at, "promoted", verdict={"reason": "better: 4.0 % against 5.9 %"}
            )

    promoted(PRESENT - 3 * DAY, "2")
    promoted(PRESENT - HOUR, "3")
    notify_of_state(database, settings_of(notify_urls=hook.url))
    assert hook.titles == ["NY: model version 3 serves"]
    assert "Better: 4.0 % against 5.9 %." in hook.received[0]["message"]
    with database.transaction() as connection:
        decisions.note_rollback(connection, "NY", "3", "manual", PRESENT)
    notify_of_state(database, settings_of(notify_urls=hook.url))
    assert hook.titles[1:] == ["NY: model version 3 was rolled back"]
    assert "By hand." in hook.received[1]["message"]


def test_an_event_that_a_job_brings_is_reported_once_and_ends_nothing(database, settings_of, hook, eia):
    settings = settings_of(notify_urls=hook.url)
    eia(PRESENT, "HTTP 503")
    notify_of_state(database, settings)
    notify(database, settings, [PEAK])
    notify(database, settings, [PEAK])
    assert hook.titles == [AWAY, "NY: peak day expected on Thu 13 Mar 2025"]


def test_a_kind_that_is_switched_off_is_not_reported_nor_its_end(database, settings_of, hook, eia):
    without = settings_of(notify_urls=hook.url, notify_kinds="forecast,drift")
    eia(PRESENT, "HTTP 503")
    notify_of_state(database, without)
    notify(database, without, [PEAK])
    assert hook.titles == []
    notify_of_state(database, settings_of(notify_urls=hook.url))
    notify_of_state(database, without)
    assert hook.titles == [AWAY]


def test_each_url_gets_a_message_once_and_only_the_one_that_failed_is_tried_again(
    database, settings_of, hook, other_hook, eia, rows
):
    urls = f"{hook.url}, {other_hook.url}"
    other_hook.status = 500
    eia(PRESENT, "HTTP 503")
    notify_of_state(database, settings_of(notify_urls=urls))
    assert (hook.titles, other_hook.titles, rows()) == ([AWAY], [], [(AWAY, "waiting")])
    found = status(settings_of(notify_urls=urls), PRESENT)["notifications"]
    assert (found["waiting"], found["problem"]) == (1, None)
    assert [(each["notifier"], each["failed"], each["last_error"]) for each in found["notifiers"]] == [
        ("json", False, None),
        ("json 2", True, "the service answered HTTP 500"),
    ]
    with database.transaction() as connection:
        seen = watched(connection, NEW_YORK, "ecmwf_ifs", PRESENT)
    assert seen.notifiers == (NotifierRun("json", PRESENT, False), NotifierRun("json 2", None, True))
    assert seen.messages_waiting == 1
    other_hook.status = 200
    notify_of_state(database, settings_of(notify_urls=urls, energy_demand_now=PRESENT + HOUR))
    assert (hook.titles, other_hook.titles, rows()) == ([AWAY], [AWAY], [(AWAY, "sent")])


def test_an_end_goes_to_all_when_one_had_the_message(database, settings_of, hook, other_hook, eia):
    urls = f"{hook.url}, {other_hook.url}"
    other_hook.status = 500
    eia(PRESENT, "HTTP 503")
    notify_of_state(database, settings_of(notify_urls=urls))
    other_hook.status = 200
    eia(PRESENT + HOUR)
    notify_of_state(database, settings_of(notify_urls=urls, energy_demand_now=PRESENT + HOUR))
    assert (hook.titles, other_hook.titles) == ([AWAY, BACK], [AWAY, BACK])


def test_a_message_that_cannot_be_delivered_expires_after_its_time(database, settings_of, hook, eia, rows):
    hook.status = 500
    eia(PRESENT, "HTTP 503")
    log_forecast(database)
    for later in (0, 25, 7 * 24 + 1):
        notify_of_state(database, settings_of(notify_urls=hook.url, energy_demand_now=PRESENT + later * HOUR))
        if later == 25:
            assert dict(rows())["NY: forecast for Thu 13 Mar 2025"] == "expired"
            assert dict(rows())[AWAY] == "waiting"
    assert dict(rows())[AWAY] == "expired"
    with database.transaction() as connection:
        found = read_state(connection, settings_of(notify_urls=hook.url), PRESENT + 2 * DAY)
    assert (found["waiting"], found["expired"]) == (0, 2)


def test_a_notifier_that_is_taken_out_is_forgotten(database, settings_of, hook, other_hook, eia):
    other_hook.status = 500
    eia(PRESENT, "HTTP 503")
    notify_of_state(database, settings_of(notify_urls=f"{hook.url}, {other_hook.url}"))
    notify_of_state(database, settings_of(notify_urls=hook.url))
    with database.transaction() as connection:
        seen = watched(connection, NEW_YORK, "ecmwf_ifs", PRESENT)
    assert (seen.notifiers, seen.messages_waiting) == ((NotifierRun("json", PRESENT, False),), 0)


def test_a_service_that_hangs_or_is_away_stops_no_job(database, settings_of, hook, eia, caplog):
    hook.hangs = True
    eia(PRESENT, "HTTP 503")
    settings = settings_of(notify_urls=f"{hook.url} json://user:{SECRET}@127.0.0.1:9/{SECRET}")
    notify_of_state(database, settings, limit_seconds=0.5)
    assert "NY: NOTIFY_URLS: json: no answer within 0.5 s" in caplog.text
    assert SECRET not in caplog.text
    hook.hangs = False
    assert run_exclusively(database, settings, Job.DRIFT_CHECK, PRESENT, lambda _: "done") == "done"
    assert hook.titles == [AWAY]


def test_the_job_s_lock_is_free_while_messages_are_sent(database, settings_of, hook, eia):
    eia(PRESENT, "HTTP 503")
    settings = settings_of(notify_urls=hook.url)
    free = []

    def look(*_: object) -> None:
        with job_lock(database, Job.FORECAST, "NY"):
            free.append(True)

    hook.received = type("Received", (list,), {"append": look})()
    run_exclusively(database, settings, Job.FORECAST, PRESENT, lambda _: None)
    assert free == [True]


def test_a_run_that_did_nothing_because_another_runs_reports_nothing(database, settings_of, hook, eia):
    eia(PRESENT, "HTTP 503")
    settings = settings_of(notify_urls=hook.url)
    with job_lock(database, Job.FORECAST, "NY"), pytest.raises(JobRunningError):
        run_exclusively(database, settings, Job.FORECAST, PRESENT, lambda _: None)
    assert hook.titles == []


def test_where_the_database_is_away_the_job_s_own_failure_is_what_is_seen(
    database, settings_of, hook, caplog
):
    away = settings_of(notify_urls=hook.url)
    database.engine.dispose()
    broken = type(database)(sa.create_engine("postgresql+psycopg://u@127.0.0.1:9/d"), "127.0.0.1:9/d")
    with pytest.raises(UserError, match="EIA is away"), notifying(broken, away):
        fail("EIA is away")
    assert "NY: messages could not be sent: cannot use the database 127.0.0.1:9/d" in caplog.text
    with pytest.raises(DatabaseUnavailableError):
        run_exclusively(broken, away, Job.FORECAST, PRESENT, lambda _: None)


def test_jobs_that_end_at_once_send_each_message_once(database, settings_of, hook, eia):
    eia(PRESENT, "HTTP 503")
    log_forecast(database)
    settings = settings_of(notify_urls=hook.url)
    with ThreadPoolExecutor(4) as jobs:
        list(jobs.map(lambda _: notify_of_state(database, settings), range(8)))
    assert sorted(hook.titles) == [AWAY, "NY: forecast for Thu 13 Mar 2025"]


def test_regions_have_messages_and_causes_of_their_own(database, settings_of, hook, eia):
    both = settings_of(notify_urls=hook.url, eia_regions="NY,PJM")
    eia(PRESENT, "HTTP 503")
    eia(PRESENT, "HTTP 503", respondent="PJM")
    for code in ("NY", "PJM", "NY"):
        notify_of_state(database, both.for_region(code))
    assert hook.titles == [AWAY, "PJM: EIA cannot be read"]


def fail(reason: str) -> None:
    raise UserError(reason)


def test_an_alerted_day_is_reported_with_the_morning_s_forecast_and_one_that_is_not_is_not(
    database, settings_of, hook
):
    hours = [
        {"period": PRESENT + number * HOUR, PREDICTED: 28_000.0 + number, "probability": 0.04}
        for number in range(24)
    ]
    hours[17]["probability"] = 0.5
    peak = DayPeak(
        day=date(2025, 3, 13),
        issued_at=PRESENT,
        model_version="1",
        quality="champion",
        quantiles={0.1: 29_000.0, 0.5: 30_000.0, 0.9: 31_000.0},
        hours=hours,
        so_far_mwh=27_000.0,
        day_mwh=28_000.0,
        hour_mwh=29_500.0,
        to_come=0.9,
        so_far_probability=0.99,
        day_probability=0.95,
        hour_probability=0.81,
        needed_probability=0.2,
        alerts_before=0,
        alert=False,
        made_at=PRESENT,
    )
    settings = settings_of(notify_urls=hook.url)
    with database.transaction() as connection:
        store_peak(connection, "NY", peak)
    notify_of_state(database, settings)
    assert hook.titles == []
    with database.transaction() as connection:
        later = PRESENT - HOUR / 60
        connection.execute(sa.text("DELETE FROM peak_forecast"))
        store_peak(connection, "NY", replace(peak, alert=True, made_at=later))
    for _ in range(2):
        notify_of_state(database, settings)
    assert hook.titles == ["NY: peak day expected on Thu 13 Mar 2025"]
    assert "30,000 MW" in hook.received[0]["message"]
    assert "81%" in hook.received[0]["message"]
