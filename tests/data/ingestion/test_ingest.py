"""Ingestion from a real sandbox into a real database."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta

import httpx
import pandas as pd
import pytest
import sqlalchemy as sa

from energy_demand.data.feature_store import refresh_features
from energy_demand.data.history import load_with_truth
from energy_demand.data.ingestion.ingest import (
    NoDataError,
    RangeError,
    backfill_span,
    ingest,
    trailing_span,
)
from energy_demand.database import state
from energy_demand.database.engine import DataKindMismatchError, open_database, stamp
from energy_demand.sandbox.app import create_app
from energy_demand.sandbox.server import serving
from energy_demand.sandbox.worlds.synthetic import Disturbance, SyntheticWorld
from support import PRESENT, make_settings

TABLES = (
    "raw_demand",
    "raw_demand_revision",
    "raw_demand_daily",
    "raw_demand_daily_revision",
    "raw_weather",
    "raw_weather_revision",
    "weather_forecast",
    "demand_flag",
    "truth_flag",
    "quarantine",
    "watermark",
    "weather_run",
    "features",
)
FIRST, LAST = date(2025, 2, 1), date(2025, 3, 12)


def silent(step: str, done: int, total: int) -> None:
    pass


@pytest.fixture
def at_sandbox(settings, synthetic_upstream):
    return settings.model_copy(
        update=dict(make_settings(sandbox_url=synthetic_upstream))
        | {
            "database_url": settings.database_url,
            "energy_demand_home": settings.energy_demand_home,
        }
    )


def contents(database) -> dict[str, list[tuple]]:
    """Every row of every table but the moments at which it was written."""
    with database.transaction() as connection:
        return {
            table: sorted(
                connection.execute(
                    sa.text(
                        "SELECT (to_jsonb(t) - 'ingested_at' - 'updated_at' - 'created_at' "
                        "- 'asked_at')::text "
                        f"FROM {table} t"
                    )
                ).scalars()
            )
            for table in TABLES
        }


def run(database, settings, *, now: datetime = PRESENT, span=None):
    span = span or backfill_span(settings, FIRST, LAST, now)
    report = ingest(database, settings, span, now, silent)
    refresh_features(database, settings, span.start, span.end, now)
    return report


def test_a_backfill_stores_every_published_hour_and_nothing_later(database, at_sandbox):
    report = run(database, at_sandbox)
    span = backfill_span(at_sandbox, FIRST, LAST, PRESENT)
    hours = int((span.end - span.start) / timedelta(hours=1)) + 1
    assert span.end == PRESENT - timedelta(hours=1)
    assert report.demand.new == 2 * hours  # D and DF
    assert report.weather.new >= 4 * hours - 4
    with database.transaction() as connection:
        newest = (
            connection.execute(
                sa.text(
                    "SELECT max(known_at) FROM raw_demand UNION ALL SELECT max(known_at) FROM raw_weather "
                    "UNION ALL SELECT max(known_at) FROM weather_forecast"
                )
            )
            .scalars()
            .all()
        )
    assert max(newest) <= PRESENT


def test_running_the_same_ingestion_twice_leaves_the_same_rows(database, at_sandbox):
    run(database, at_sandbox)
    before = contents(database)
    report = run(database, at_sandbox)
    assert contents(database) == before
    assert (report.demand.new, report.demand.revised, report.weather.new, report.forecasts.new) == (
        0,
        0,
        0,
        0,
    )
    assert len(before["features"]) > 500


def test_pieces_in_any_order_leave_the_rows_of_one_whole_run(database, at_sandbox, server, tmp_path):
    for first, last in ((date(2025, 2, 20), LAST), (FIRST, date(2025, 2, 25)), (FIRST, LAST)):
        run(database, at_sandbox, span=backfill_span(at_sandbox, first, last, PRESENT))
    in_pieces = contents(database)
    with database.transaction() as connection:
        for table in TABLES:
            connection.execute(sa.text(f"DELETE FROM {table}"))
    run(database, at_sandbox)
    assert contents(database) == in_pieces


def test_history_counts_as_known_when_it_was_published_and_a_new_hour_from_now_on(database, at_sandbox):
    earlier = PRESENT - timedelta(hours=5)
    run(database, at_sandbox, now=earlier)
    span = trailing_span(database, at_sandbox, PRESENT)
    assert span.start == earlier - timedelta(hours=1, days=14)
    run(database, at_sandbox, span=span)
    with database.transaction() as connection:
        rows = connection.execute(
            sa.text("SELECT period, known_at FROM raw_demand WHERE series = 'D' ORDER BY period DESC LIMIT 7")
        ).all()
    delay = [(row.known_at - row.period) / timedelta(hours=1) for row in rows]
    assert delay == [1, 2, 3, 4, 5, 1, 1]


def test_the_gap_behind_the_late_archive_is_filled_and_later_replaced(database, at_sandbox):
    def sources():
        with database.transaction() as connection:
            return dict(
                connection.execute(
                    sa.text("SELECT source, count(*) FROM raw_weather WHERE site = 'albany' GROUP BY source")
                ).all()
            )

    run(database, at_sandbox)
    late = sources()["forecast_api"]
    assert late == pytest.approx(5 * 24, abs=24)
    with serving(create_app(SyntheticWorld(seed=1), now=PRESENT, archive_delay_days=0)) as address:
        prompt = at_sandbox.model_copy(update={"open_meteo_historical_url": f"{address}/archive/v1/archive"})
        run(database, prompt)
    assert "forecast_api" not in sources()


def test_a_revised_value_is_picked_up_and_the_earlier_one_stays(database, at_sandbox):
    run(database, at_sandbox)
    step = Disturbance.parse("level-step@2025-03-10T00:00Z")
    with serving(create_app(SyntheticWorld(1, [step]), now=PRESENT)) as address:
        revised = at_sandbox.model_copy(update={"eia_base_url": f"{address}/eia/v2/"})
        report = run(database, revised, span=trailing_span(database, revised, PRESENT))
    hours = int((PRESENT - datetime(2025, 3, 10, tzinfo=UTC)) / timedelta(hours=1))
    assert report.demand.revised == pytest.approx(2 * hours, abs=2)
    assert len(contents(database)["raw_demand_revision"]) == report.demand.revised


@pytest.mark.parametrize(
    ("fault", "path", "failed"),
    [
        pytest.param({"kind": "http_500", "times": 99}, "/eia", ["eia", "eia_daily"], id="EIA is broken"),
        pytest.param(
            {"kind": "html_502", "times": 99},
            "/archive",
            ["open_meteo_archive"],
            id="the weather archive is broken",
        ),
        pytest.param(
            {"kind": "html_502", "times": 99},
            "/single-runs",
            ["open_meteo_single_runs"],
            id="the forecasts are broken",
        ),
    ],
)
def test_a_source_that_fails_stops_no_other_and_the_next_run_ends_right(
    database, at_sandbox, fault, path, failed
):
    sandbox = at_sandbox.sandbox_url
    httpx.post(f"{sandbox}/sandbox/faults", json={**fault, "path": path}).raise_for_status()
    try:
        report = run(database, at_sandbox)
    finally:
        httpx.delete(f"{sandbox}/sandbox/faults").raise_for_status()
    assert list(report.failures) == failed
    for reason in report.failures.values():
        assert "2025-0" in reason
        assert "Run the same command again" in reason
        assert "\n" not in reason
    stored = {
        "eia": report.demand.new,
        "open_meteo_archive": report.weather.new,
        "open_meteo_single_runs": report.forecasts.new,
    }
    assert {source for source, rows in stored.items() if rows == 0} == set(failed) & set(stored)
    run(database, at_sandbox)
    after_failure = contents(database)
    with database.transaction() as connection:
        for table in TABLES:
            connection.execute(sa.text(f"DELETE FROM {table}"))
    run(database, at_sandbox)
    assert contents(database) == after_failure


def test_a_region_that_eia_does_not_have_stores_nothing(database, at_sandbox):
    nowhere = at_sandbox.model_copy(update={"eia_region": "XX"})
    with pytest.raises(NoDataError, match="respondent XX"):
        run(database, nowhere)
    assert all(rows == [] for rows in contents(database).values())


def test_data_of_another_kind_is_refused_and_nothing_is_stored(database, at_sandbox):
    with database.transaction() as connection:
        stamp(connection, "live", PRESENT)
    with pytest.raises(DataKindMismatchError):
        run(database, at_sandbox)
    assert all(rows == [] for rows in contents(database).values())


@pytest.mark.parametrize(
    ("first", "last", "said"),
    [
        pytest.param(LAST, FIRST, "is before start", id="the end before the start"),
        pytest.param(date(2025, 4, 1), date(2025, 4, 2), "was published", id="wholly in the future"),
    ],
)
def test_a_range_that_makes_no_sense_is_refused(first, last, said):
    with pytest.raises(RangeError, match=said):
        backfill_span(make_settings(), first, last, PRESENT)


def test_broken_rows_go_to_quarantine_and_the_good_ones_of_the_page_are_stored(database, at_sandbox):
    with serving(_with(create_app(SyntheticWorld(seed=1), now=PRESENT), _negative)) as address:
        broken = at_sandbox.model_copy(update={"eia_base_url": f"{address}/eia/v2/"})
        report = run(database, broken)
    assert report.quarantined == 1
    with database.transaction() as connection:
        row = connection.execute(sa.text("SELECT reason, payload FROM quarantine")).one()
        stored = connection.scalar(sa.text("SELECT count(*) FROM raw_demand WHERE series = 'D'"))
    assert (row.reason, row.payload["value"]) == ("NEGATIVE", "-5")
    assert row.payload["period"] == "2025-02-10T12"
    span = backfill_span(at_sandbox, FIRST, LAST, PRESENT)
    assert stored == (span.end - span.start) / timedelta(hours=1)  # one hour of all is missing


def _with(app, change):
    """The sandbox's answers, changed on the way."""

    async def tampering(scope, receive, send):
        parts = []

        async def collect(message):
            if message["type"] == "http.response.start":
                message["headers"] = [(k, v) for k, v in message["headers"] if k != b"content-length"]
                await send(message)
                return
            parts.append(message.get("body", b""))
            if not message.get("more_body"):
                await send({"type": "http.response.body", "body": change(b"".join(parts))})

        await app(scope, receive, collect)

    return tampering


def _negative(body: bytes) -> bytes:

    answer = json.loads(body)
    for row in answer.get("response", {}).get("data", []):
        if row["period"] == "2025-02-10T12" and row["type"] == "D":
            row["value"] = "-5"
    return json.dumps(answer).encode()


def test_opened_twice_the_database_is_the_same(settings, at_sandbox, database):
    run(database, at_sandbox)
    again = open_database(settings)
    assert contents(again) == contents(database)
    again.close()


def test_features_of_the_database_are_those_of_the_builder(database, at_sandbox):
    run(database, at_sandbox)
    with database.transaction() as connection:
        stored = pd.DataFrame(
            connection.execute(sa.text("SELECT * FROM features ORDER BY timestamp")).mappings()
        )
    assert stored["lead_hours"].eq(24).all()
    assert stored["timestamp"].is_unique
    # The lag at the 24 h lead, delay 1, is the screened demand of the hour 25 h before the target.
    span = backfill_span(at_sandbox, FIRST, LAST, PRESENT)
    screened = load_with_truth(database, at_sandbox.region, span.start, span.end, PRESENT).demand
    seen = screened.set_index("period")["demand_mwh"]
    lag = stored.set_index("timestamp")["demand_lag_1h"]
    assert lag.tolist() == seen.reindex(lag.index - pd.Timedelta(hours=25)).tolist()


def test_daily_totals_of_past_days_come_with_the_hours_and_agree_with_them(database, at_sandbox):
    report = run(database, at_sandbox)
    days = (LAST - FIRST).days  # the last day is not over yet
    assert report.daily.new == 2 * days
    with database.transaction() as connection:
        total = connection.execute(
            sa.text(
                "SELECT d.value AS daily, sum(h.value) AS hours, count(*) AS n, min(d.known_at) AS known_at "
                "FROM raw_demand_daily d JOIN raw_demand h ON h.series = 'D' AND h.respondent = d.respondent "
                "AND h.period > '2025-03-09T05:00Z' AND h.period <= '2025-03-10T04:00Z' "
                "WHERE d.series = 'D' AND d.day = '2025-03-09' GROUP BY d.value"
            )
        ).one()
    assert total.n == 23  # the clocks went forward
    assert total.daily == pytest.approx(total.hours, abs=1)
    assert total.known_at == datetime(2025, 3, 10, 5, tzinfo=UTC)


def test_each_source_is_noted_with_its_newest_hour_and_what_is_missing(database, at_sandbox):
    run(database, at_sandbox)
    with database.transaction() as connection:
        found = {row["source"]: row for row in state.source_states(connection)}
    assert set(found) == {"eia", "eia_daily", "open_meteo_archive", "open_meteo_single_runs"}
    assert found["eia"]["newest"] == PRESENT - timedelta(hours=1)
    assert found["eia"]["missing_hours"] == 0
    assert all(row["last_error"] is None for row in found.values())


def test_the_last_error_of_a_source_is_noted_where_monitoring_reads_it(database, at_sandbox):
    sandbox = at_sandbox.sandbox_url
    httpx.post(f"{sandbox}/sandbox/faults", json={"kind": "html_502", "times": 99, "path": "/archive"})
    try:
        run(database, at_sandbox)
    finally:
        httpx.delete(f"{sandbox}/sandbox/faults").raise_for_status()
    with database.transaction() as connection:
        found = {row["source"]: row for row in state.source_states(connection)}
    assert "HTTP 502" in found["open_meteo_archive"]["last_error"]
    assert found["open_meteo_archive"]["last_error_at"] == PRESENT
    assert found["eia"]["last_success_at"] == PRESENT


def test_weather_that_cannot_be_is_set_apart_and_the_rest_is_stored(database, at_sandbox):
    with serving(_with(create_app(SyntheticWorld(seed=1), now=PRESENT), _freezing_hell)) as address:
        broken = at_sandbox.model_copy(update={"open_meteo_historical_url": f"{address}/archive/v1/archive"})
        report = run(database, broken)
    assert report.quarantined == 1
    with database.transaction() as connection:
        row = connection.execute(sa.text("SELECT source, reason, payload FROM quarantine")).one()
    assert (row.source, row.reason) == ("open_meteo_archive", "OUT_OF_RANGE")
    assert row.payload["temperature_2m"] == -300
    assert row.payload["site"] == "new_york_city"


def _freezing_hell(body: bytes) -> bytes:
    answer = json.loads(body)
    answer[0]["hourly"]["temperature_2m"][30] = -300
    return json.dumps(answer).encode()
