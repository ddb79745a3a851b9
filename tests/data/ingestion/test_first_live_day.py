"""What the real upstreams do on the first live day, and what must be stored all the same."""

from __future__ import annotations

import json
from contextlib import contextmanager
from datetime import date, datetime, timedelta

import httpx
import pytest
import sqlalchemy as sa

from energy_demand.columns import WEATHER_VARIABLES
from energy_demand.data.ingestion.ingest import backfill_span, ingest, looking_back, trailing_span
from energy_demand.data.weather_client import RUN_DAYS
from energy_demand.database import state
from energy_demand.jobs.ingestion import run_ingestion
from energy_demand.jobs.status import status
from energy_demand.sandbox.app import create_app
from energy_demand.sandbox.server import serving
from energy_demand.sandbox.worlds.synthetic import SyntheticWorld
from energy_demand.timeaxis import spans_text
from support import PRESENT, make_settings

FIRST, LAST = date(2025, 2, 20), date(2025, 3, 12)
HOUR = timedelta(hours=1)
RUN_HOURS = 24 * RUN_DAYS


class Upstream:
    """A sandbox whose present can be moved, and its address."""

    def __init__(self, settings) -> None:
        self._given = {
            "database_url": settings.database_url,
            "energy_demand_home": settings.energy_demand_home,
            "http_attempts": 2,
        }
        self.address = ""
        self.moments: list[datetime] = []

    @property
    def settings(self):
        return make_settings(sandbox_url=self.address, **self._given)

    def fail(self, **fault: object) -> None:
        httpx.post(f"{self.address}/sandbox/faults", json={"times": 9999, **fault}).raise_for_status()

    def mend(self) -> None:
        httpx.delete(f"{self.address}/sandbox/faults").raise_for_status()


@pytest.fixture
def upstream(settings, processes):
    """How the upstreams are at a moment: `with upstream(now) as at: ...`."""

    @contextmanager
    def at(now: datetime):
        found = Upstream(settings)
        with serving(create_app(SyntheticWorld(seed=1), now=now)) as address:
            found.address = address
            yield found

    return at


def silent(step: str, done: int, total: int) -> None:
    pass


def backfilled(database, settings, now: datetime = PRESENT):
    return ingest(database, settings, backfill_span(settings, FIRST, LAST, now), now, silent)


def daily(database, settings, now: datetime):
    return run_ingestion(database, settings, trailing_span(database, settings, now), now, silent).report


def one(database, query: str, **values: object):
    with database.transaction() as connection:
        return connection.execute(sa.text(query), values).one()


def number(database, query: str, **values: object) -> int:
    return one(database, query, **values)[0]


def test_weather_is_stored_daily_while_eia_is_away_for_three_days(database, upstream):
    with upstream(PRESENT) as at:
        backfilled(database, at.settings)
    for days in (1, 2, 3):
        now = PRESENT + timedelta(days=days)
        with upstream(now) as at:
            at.fail(kind="http_503", path="/eia")
            report = daily(database, at.settings, now)
        assert list(report.failures) == ["eia", "eia_daily"]
        newest = one(database, "SELECT max(timestamp), max(known_at) FROM raw_weather WHERE site = 'albany'")
        assert newest[0] >= now - 3 * HOUR
        issued = one(database, "SELECT max(issued_at) FROM weather_forecast")[0]
        assert now - issued <= 7 * HOUR
    # Back again, it is read to where it stands; nothing of the three days is missing.
    with upstream(now) as at:
        assert daily(database, at.settings, now).failures == {}
    assert (
        number(
            database,
            "SELECT count(*) FROM raw_demand WHERE series = 'D' AND period > :since",
            since=PRESENT - HOUR,
        )
        == 72
    )


def test_weather_that_was_away_for_longer_than_demand_looks_back_is_read_from_its_own_newest_hour(
    database, upstream
):
    with upstream(PRESENT) as at:
        backfilled(database, at.settings)
    for days in (15, 30, 45):
        now = PRESENT + timedelta(days=days)
        with upstream(now) as at:
            at.fail(kind="http_503", path="/archive")
            assert list(daily(database, at.settings, now).failures) == ["open_meteo_archive"]
    with upstream(now) as at:
        daily(database, at.settings, now)
    hours = number(
        database,
        "SELECT count(*) FROM raw_weather WHERE site = 'albany' AND temperature_2m IS NOT NULL "
        "AND timestamp > :since AND timestamp <= :until",
        since=PRESENT,
        until=now - 3 * HOUR,
    )
    assert hours == 45 * 24 - 3


def test_a_run_that_always_fails_is_left_out_and_counted(database, upstream):
    with upstream(PRESENT) as at:
        at.fail(kind="http_500", path="/single-runs", query="run=2025-03-05T06")
        report = backfilled(database, at.settings)
    assert (report.failures, report.runs_failed) == ({}, 1)
    assert number(database, "SELECT count(DISTINCT issued_at) FROM weather_forecast") >= 21
    row = one(database, "SELECT run_at, reason FROM weather_run WHERE status = 'failed'")
    assert f"{row.run_at:%Y-%m-%dT%H}" == "2025-03-05T06"
    assert "500" in row.reason
    # The run before it stands in for it, and it is asked for again.
    before = "SELECT count(*) FROM weather_run WHERE run_at = '2025-03-05T00:00Z' AND status = 'complete'"
    assert number(database, before) == 1
    with upstream(PRESENT) as at:
        report = backfilled(database, at.settings)
    assert (report.runs_failed, report.forecasts.new) == (0, 4 * RUN_HOURS)


def test_half_a_run_becomes_whole_and_meanwhile_the_one_before_it_is_there(database, upstream):
    half = "run=2025-03-12T06"
    with upstream(PRESENT) as at:
        at.fail(kind="half_run", path="/single-runs", query=half)
        backfilled(database, at.settings)
    states = dict(_runs(database))
    assert states["2025-03-12T06"] == "incomplete"
    assert states["2025-03-12T00"] == "complete"
    hours = "SELECT count(temperature_2m) FROM weather_forecast WHERE issued_at = '2025-03-12T12:30Z'"
    assert number(database, hours) == 4 * 12
    later = PRESENT + HOUR
    with upstream(later) as at:
        daily(database, at.settings, later)
    assert dict(_runs(database))["2025-03-12T06"] == "complete"
    assert number(database, hours) == 4 * RUN_HOURS


def _runs(database) -> list[tuple[str, str]]:
    with database.transaction() as connection:
        rows = connection.execute(sa.text("SELECT run_at, status FROM weather_run")).all()
    return [(f"{row.run_at:%Y-%m-%dT%H}", row.status) for row in rows]


def test_an_archive_with_rain_alone_loses_nothing_that_was_known(database, upstream):
    with upstream(PRESENT) as at:
        backfilled(database, at.settings)
    known = " AND ".join(f"{name} IS NOT NULL" for name in WEATHER_VARIABLES)
    whole = f"SELECT count(*) FROM raw_weather WHERE timestamp >= '2025-02-20' AND {known}"
    before = number(database, whole)
    with upstream(PRESENT) as at:
        start, end = PRESENT - timedelta(hours=200), PRESENT - timedelta(hours=100)
        at.fail(kind="rain_alone", path="/archive", start=start.isoformat(), end=end.isoformat())
        daily(database, at.settings, PRESENT)
    assert number(database, whole) == before


def test_a_value_that_eia_takes_back_is_out_of_truth_and_what_was_known_stays_on_record(database, upstream):
    hour = "2025-03-10T15"
    with upstream(PRESENT) as at:
        backfilled(database, at.settings)
        at.fail(kind="taken_back", path="/eia", start=f"{hour}:00Z", end=f"{hour}:00Z")
        report = daily(database, at.settings, PRESENT + HOUR)
    assert report.withdrawn == 2  # D and DF
    current = "SELECT count(*) FROM raw_demand WHERE period = :hour"
    at_hour = datetime.fromisoformat(f"{hour}:00+00:00")
    assert number(database, current, hour=at_hour) == 0
    kept = one(
        database,
        "SELECT count(*), max(superseded_at) FROM raw_demand_revision WHERE period = :hour",
        hour=at_hour,
    )
    assert tuple(kept) == (2, PRESENT + HOUR)
    with upstream(PRESENT + 2 * HOUR) as at:  # it comes back
        daily(database, at.settings, PRESENT + 2 * HOUR)
    assert number(database, current, hour=at_hour) == 2


def test_a_prediction_loses_the_actual_value_that_was_taken_back(database, upstream):
    at_hour = datetime.fromisoformat("2025-03-10T15:00+00:00")
    with upstream(PRESENT) as at:
        backfilled(database, at.settings)
    with database.transaction() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO prediction_log (respondent, timestamp, issued_at, lead_hours, predicted_demand, "
                "model_version, quality, source, request_id, prediction_made_at) VALUES ('NY', :hour, "
                ":hour - interval '20 hours', 20, 18000, '1', 'champion', 'scheduled', 'a', :hour)"
            ),
            {"hour": at_hour},
        )
    with upstream(PRESENT + HOUR) as at:
        daily(database, at.settings, PRESENT + HOUR)
    actual = "SELECT actual_demand FROM prediction_log"
    assert one(database, actual)[0] > 0
    with upstream(PRESENT + 2 * HOUR) as at:
        at.fail(kind="taken_back", path="/eia", start="2025-03-10T15:00Z", end="2025-03-10T15:00Z")
        daily(database, at.settings, PRESENT + 2 * HOUR)
    assert one(database, actual)[0] is None


def test_a_400_that_is_no_missing_run_is_a_failed_source(database, upstream):
    with upstream(PRESENT) as at:
        at.fail(kind="other_400", path="/single-runs")
        report = backfilled(database, at.settings)
    assert list(report.failures) == ["open_meteo_single_runs"]
    assert "HTTP 400" in report.failures["open_meteo_single_runs"]
    row = one(
        database,
        "SELECT last_error, last_success_at FROM source_state WHERE source = 'open_meteo_single_runs'",
    )
    assert "HTTP 400" in row.last_error
    assert row.last_success_at is None


@pytest.mark.parametrize("path", ["/eia", "/archive", "/single-runs"])
def test_a_page_with_nul_bytes_costs_nothing_but_its_own_source(database, upstream, path):
    with upstream(PRESENT) as at:
        at.fail(kind="nul_502", path=path)
        report = backfilled(database, at.settings)
    assert report.failures
    assert all("HTTP 502" in reason and reason.isprintable() for reason in report.failures.values())


def test_rows_that_all_break_the_contract_are_a_failure(database, upstream):
    with upstream(PRESENT) as at:
        at.fail(kind="garbage_rows", path="/eia", every=1)
        report = backfilled(database, at.settings)
    assert "none of them can be used" in report.failures["eia"]
    with database.transaction() as connection:
        found = {row["source"]: row for row in state.source_states(connection)}
    assert found["eia"]["last_success_at"] is None


def test_the_trailing_weeks_are_read_as_long_as_eia_corrects_them_once_a_day(database, upstream):
    with upstream(PRESENT) as at:
        settings = at.settings
        ingest(database, settings, backfill_span(settings, date(2025, 1, 1), LAST, PRESENT), PRESENT, silent)
        # The backfill read them all; a day later it is time again.
        for now, long in ((PRESENT + HOUR, False), (PRESENT + 25 * HOUR, True), (PRESENT + 26 * HOUR, False)):
            span = looking_back(database, settings, trailing_span(database, settings, now), now)
            assert (span.end - span.start >= timedelta(days=31)) is long, now
            daily(database, settings, now)


def test_a_missing_run_of_history_is_not_asked_for_at_every_ingestion(database, upstream):
    with upstream(PRESENT) as at:
        at.fail(kind="run_missing_text", path="/single-runs", query="run=2025-03-01T06")
        assert backfilled(database, at.settings).runs_missing == 1
        assert backfilled(database, at.settings).runs_missing == 0
        assert daily(database, at.settings, PRESENT + HOUR).runs_missing == 0
    with upstream(PRESENT + timedelta(days=1)) as at:
        report = daily(database, at.settings, PRESENT + timedelta(days=1))
    assert dict(_runs(database))["2025-03-01T06"] == "complete"
    assert report.runs_missing == 0


def test_a_search_does_not_end_because_one_cycle_of_the_day_is_never_there(database, upstream):
    with upstream(PRESENT) as at:
        for hour in ("06", "18"):
            for day in range(1, 32):
                for month in ("02", "03"):
                    at.fail(
                        kind="run_missing_400",
                        path="/single-runs",
                        query=f"run=2025-{month}-{day:02d}T{hour}",
                    )
        backfilled(database, at.settings)
    stored = {run for run, status in _runs(database) if status == "complete"}
    assert {f"2025-03-{day:02d}T00" for day in range(1, 13)} <= stored


def test_every_run_of_two_days_is_stored_whatever_the_hours_of_the_jobs(database, upstream):
    with upstream(PRESENT) as at:
        backfilled(database, at.settings)
        # At 07 UTC the run of 00 is not out, and at 13 UTC it is not the newest any more.
        daily(database, at.settings, PRESENT)
    first = PRESENT - timedelta(days=2)
    states = dict(_runs(database))
    starts = [first + timedelta(hours=hours) for hours in range(5, 42, 6)]
    assert {states.get(f"{start:%Y-%m-%dT%H}") for start in starts} == {"complete"}


def test_every_run_since_the_last_success_is_fetched_after_an_outage(database, upstream):
    with upstream(PRESENT) as at:
        backfilled(database, at.settings)
    now = PRESENT + timedelta(days=5)
    with upstream(now) as at:
        at.fail(kind="http_503", path="/single-runs")
        assert list(daily(database, at.settings, now).failures) == ["open_meteo_single_runs"]
        at.mend()
        daily(database, at.settings, now)
    complete = {start for start, status in _runs(database) if status == "complete"}
    starts = [PRESENT.replace(hour=0) + timedelta(hours=hours) for hours in range(0, 5 * 24 + 6, 6)]
    assert {f"{start:%Y-%m-%dT%H}" for start in starts} <= complete


def test_a_run_that_failed_is_asked_for_again_when_it_is_older_than_two_days(database, upstream):
    failing = "2025-03-12T00"
    with upstream(PRESENT) as at:
        backfilled(database, at.settings)
        at.fail(kind="http_500", path="/single-runs", query=f"run={failing}")
        daily(database, at.settings, PRESENT)
    later = PRESENT + timedelta(days=3)
    with upstream(later) as at:
        at.fail(kind="http_500", path="/single-runs", query=f"run={failing}")
        daily(database, at.settings, later)
        assert dict(_runs(database))[failing] == "failed"
        at.mend()
        daily(database, at.settings, later)
    assert dict(_runs(database))[failing] == "complete"


def test_a_variable_that_a_run_lost_comes_when_the_run_has_it_again(database, upstream):
    damaged = "2025-03-12T06"
    with upstream(PRESENT) as at:
        at.fail(
            kind="undefined_variable", path="/single-runs", query=f"run={damaged}", variable="cloud_cover"
        )
        backfilled(database, at.settings)
    lost = "SELECT count(*) - count(cloud_cover) FROM weather_forecast WHERE issued_at = '2025-03-12T12:30Z'"
    assert number(database, lost) == 4 * RUN_HOURS
    later = PRESENT + HOUR
    with upstream(later) as at:
        daily(database, at.settings, later)
    assert number(database, lost) == 0
    assert number(database, "SELECT count(*) FROM weather_run WHERE lacking <> ''") == 0


def test_a_variable_that_no_run_has_is_not_asked_for_again(database, upstream):
    with upstream(PRESENT) as at:
        at.fail(kind="undefined_variable", path="/single-runs", variable="cloud_cover")
        backfilled(database, at.settings)
    asked = "SELECT count(*) FROM weather_run WHERE asked_at > :then AND run_at < :then"
    with upstream(PRESENT + HOUR) as at:
        at.fail(kind="undefined_variable", path="/single-runs", variable="cloud_cover")
        daily(database, at.settings, PRESENT + HOUR)
    # Of the last two days the runs that no issue went by, and none twice.
    assert number(database, asked, then=PRESENT) <= 6
    assert number(database, "SELECT count(*) FROM weather_run WHERE lacking <> 'cloud_cover'") == 0


def test_observed_weather_that_is_not_all_there_is_counted(database, upstream):
    missing = "SELECT missing_hours FROM source_state WHERE source = 'open_meteo_archive'"
    with upstream(PRESENT) as at:
        backfilled(database, at.settings)
    assert number(database, missing) == 0
    later = PRESENT + 6 * HOUR
    with upstream(later) as at:
        at.fail(kind="rain_alone", path="/forecast")
        report = daily(database, at.settings, later)
        assert report.failures == {}
        assert number(database, missing) == 4 * 6  # of four sites
        at.mend()
        daily(database, at.settings, later)
    assert number(database, missing) == 0


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"kind": "taken_back"}, id="taken back"),
        pytest.param({"kind": "zeros", "every": 1}, id="zeros"),
    ],
)
def test_hours_that_a_fault_changed_come_again_though_they_left_the_days_of_corrections(
    database, upstream, fault
):
    begun = datetime.fromisoformat("2025-02-08T00:00+00:00")
    total = "SELECT sum(value) FROM raw_demand WHERE series = 'D' AND period BETWEEN :start AND :end"
    struck = PRESENT + timedelta(days=1)
    window = {"start": struck - 30 * 24 * HOUR - 18 * HOUR, "end": struck - 30 * 24 * HOUR}
    with upstream(PRESENT) as at:
        span = backfill_span(at.settings, begun.date(), LAST, PRESENT)
        ingest(database, at.settings, span, PRESENT, silent)
    whole = number(database, total, **window)
    with upstream(struck) as at:
        asked = {name: moment.isoformat() for name, moment in window.items()}
        at.fail(path="/eia", **asked, **fault)
        daily(database, at.settings, struck)
    assert (number(database, total, **window) or 0) < whole
    later = struck + timedelta(days=4)  # more than 31 days after those hours
    with upstream(later) as at:
        daily(database, at.settings, later)
    assert number(database, total, **window) == whole


def test_a_daily_total_that_is_not_there_is_counted(database, upstream):
    missing = "SELECT missing_hours FROM source_state WHERE source = 'eia_daily'"
    with upstream(PRESENT) as at:
        backfilled(database, at.settings)
        assert number(database, missing) == 0
        at.fail(kind="taken_back", path="/eia/v2/electricity/rto/daily", start="2025-03-05", end="2025-03-06")
        daily(database, at.settings, PRESENT)
    assert number(database, missing) == 2 * 24


MISSING_TOTALS = "SELECT missing_hours FROM source_state WHERE source = 'eia_daily'"
TOTALS = "/eia/v2/electricity/rto/daily"


@pytest.mark.parametrize(
    ("first", "last"),
    [
        pytest.param(date(2025, 3, 3), date(2025, 3, 3), id="before the days that the run requests"),
        pytest.param(date(2025, 3, 8), date(2025, 3, 18), id="all days that the run requests"),
    ],
)
def test_a_total_that_was_never_there_is_named_until_it_comes(database, upstream, caplog, first, last):
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    gone = {"kind": "taken_back", "path": TOTALS, "start": str(first), "end": str(last)}
    now = PRESENT + timedelta(days=7, hours=6)  # twelve hours after the end of 2025-03-18 are over

    def look_back(at) -> None:
        ingest(database, at.settings, trailing_span(database, at.settings, now, 3), now, silent)

    with upstream(now) as at:
        at.fail(**gone)
        ingest(database, at.settings, backfill_span(at.settings, FIRST, date(2025, 3, 19), now), now, silent)
        look_back(at)
        assert number(database, MISSING_TOTALS) == 24 * len(days)
        assert f"eia_daily has no daily totals of {spans_text(days)};" in caplog.text
        (source,) = [row for row in status(at.settings, now)["sources"] if row["source"] == "eia_daily"]
        assert (source["missing_hours"], source["missing_days"]) == (24 * len(days), days)
        at.mend()
        look_back(at)
    assert number(database, MISSING_TOTALS) == 0
    assert number(database, "SELECT count(*) FROM raw_demand_daily WHERE day = :day", day=first) == 2


def test_a_total_is_called_missing_for_31_days(database, upstream):
    with upstream(PRESENT) as at:
        at.fail(kind="taken_back", path=TOTALS, start="2025-02-23", end="2025-02-24")
        backfilled(database, at.settings)
        daily(database, at.settings, PRESENT)
        assert number(database, MISSING_TOTALS) == 2 * 24
    later = PRESENT + timedelta(days=13)  # 31 days after 2025-02-22
    with upstream(later + timedelta(days=1)) as at:
        at.fail(kind="taken_back", path=TOTALS, start="2025-02-23", end="2025-02-24")
        daily(database, at.settings, later + timedelta(days=1))
        assert number(database, MISSING_TOTALS) == 2 * 24
    with upstream(later + timedelta(days=3)) as at:
        daily(database, at.settings, later + timedelta(days=3))
        assert number(database, MISSING_TOTALS) == 0


def test_a_run_whose_rows_all_break_the_contract_is_not_complete(database, upstream):
    def out_of_range(app):
        async def tampering(scope, receive, send):
            if "2025-03-05T06" not in scope.get("query_string", b"").decode():
                await app(scope, receive, send)
                return
            parts = []

            async def collect(message):
                if message["type"] == "http.response.start":
                    message["headers"] = [each for each in message["headers"] if each[0] != b"content-length"]
                    await send(message)
                    return
                parts.append(message.get("body", b""))
                if not message.get("more_body"):
                    sites = json.loads(b"".join(parts))
                    for site in sites:
                        site["hourly"]["temperature_2m"] = [-300.0] * len(site["hourly"]["time"])
                    await send({"type": "http.response.body", "body": json.dumps(sites).encode()})

            await app(scope, receive, collect)

        return tampering

    tampered = out_of_range(create_app(SyntheticWorld(seed=1), now=PRESENT))
    with upstream(PRESENT) as at, serving(tampered) as address:
        runs = {"open_meteo_single_runs_url": f"{address}/single-runs/v1/forecast"}
        report = backfilled(database, at.settings.model_copy(update=runs))
        assert (report.failures, report.runs_failed) == ({}, 1)
        row = one(database, "SELECT run_at, reason FROM weather_run WHERE status = 'failed'")
        assert f"{row.run_at:%Y-%m-%dT%H}" == "2025-03-05T06"
        assert "data contract" in row.reason
        backfilled(database, at.settings)
    assert dict(_runs(database))["2025-03-05T06"] == "complete"
