"""The operator's forecast from a real sandbox into a real database: posting by posting, nothing lost."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import httpx
import pandas as pd
import pytest
import sqlalchemy as sa

from energy_demand.data.ingestion import ingest as ingestion
from energy_demand.data.ingestion.ingest import backfill_span, trailing_span
from energy_demand.data.ingestion.ingestion_run import (
    EmptyAnswerError,
    IngestInterruptedError,
    IngestionRun,
    Report,
)
from energy_demand.data.ingestion.operator_forecasts import SOURCE, ingest_operator
from energy_demand.data.operator_client import OperatorClient
from energy_demand.database import operator_forecasts, state
from energy_demand.sandbox.app import create_app
from energy_demand.sandbox.server import serving
from energy_demand.sandbox.worlds.recorded import RecordedWorld
from energy_demand.sandbox.worlds.synthetic import SyntheticWorld
from support import PRESENT, SHARED_DATA, make_settings

FOLDER = "/public/csv/isolf/"
FIRST, LAST = date(2025, 2, 20), date(2025, 3, 11)


class Clock:
    """The present of a sandbox, which a test moves."""

    def __init__(self) -> None:
        self.now = PRESENT

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def sandbox(clock, processes):
    with serving(create_app(SyntheticWorld(seed=1), now=clock)) as address:
        yield address


@pytest.fixture
def upstream(sandbox, clock):
    clock.now = PRESENT
    httpx.delete(f"{sandbox}/sandbox/faults")
    return sandbox


@pytest.fixture
def at(settings, upstream):
    given = dict(make_settings(sandbox_url=upstream, operator_forecast="nyiso", http_attempts=1))
    return settings.model_copy(
        update=given
        | {"database_url": settings.database_url, "energy_demand_home": settings.energy_demand_home}
    )


def run(database, settings, now=PRESENT, *, history=False) -> Report:
    span = backfill_span(settings, FIRST, LAST, now) if history else trailing_span(database, settings, now, 5)
    work = IngestionRun(database, settings, span, now, lambda *_: None, Report())
    with OperatorClient(settings) as client:
        ingest_operator(work, client)
    return work.report


def rows(database) -> pd.DataFrame:
    with database.transaction() as connection:
        found = connection.execute(
            sa.text(
                "SELECT zone, period, lead_days, issued_at, forecast_mwh, known_at FROM operator_forecast"
            )
        ).all()
    return pd.DataFrame(
        found, columns=["zone", "period", "lead_days", "issued_at", "forecast_mwh", "known_at"]
    )


def source(database) -> dict:
    with database.transaction() as connection:
        return next(row for row in state.source_states(connection) if row["source"] == SOURCE)


def fault(upstream: str, kind: str, **more) -> None:
    httpx.post(f"{upstream}/sandbox/faults", json={"kind": kind, "path": FOLDER} | more).raise_for_status()


def test_history_is_every_file_of_the_days_and_of_the_day_after_known_when_posted(database, at):
    report = run(database, at, history=True)
    stored = rows(database)
    system = stored[(stored["zone"] == "NYISO") & (stored["lead_days"] == 1)]
    days = (system["period"] - timedelta(hours=1)).dt.tz_convert("America/New_York").dt.date
    assert sorted(days.unique()) == [FIRST + timedelta(days=number) for number in range(21)]
    assert report.operator.new == len(stored)
    assert (stored["known_at"] == stored["issued_at"]).all()
    local = stored["issued_at"].dt.tz_convert("America/New_York")
    assert set(local.dt.strftime("%H:%M")) == {"07:45"}
    assert source(database)["missing_hours"] == 0


def test_the_same_history_again_changes_nothing(database, at):
    run(database, at, history=True)
    before = rows(database)
    report = run(database, at, PRESENT + timedelta(hours=3), history=True)
    assert (report.operator.new, report.operator.revised) == (0, 0)
    pd.testing.assert_frame_equal(rows(database), before)


def test_live_files_are_known_when_they_were_read_and_issued_when_posted(database, at):
    run(database, at)
    stored = rows(database)
    assert (stored["known_at"] == pd.Timestamp(PRESENT)).all()
    newest = stored[stored["issued_at"] == stored["issued_at"].max()]
    assert newest["issued_at"].iloc[0] == datetime(2025, 3, 12, 11, 5, tzinfo=UTC)
    assert newest["period"].min() == datetime(2025, 3, 13, 5, tzinfo=UTC)
    assert source(database)["newest"] == datetime(2025, 3, 12, 11, 5, tzinfo=UTC)


def test_a_history_over_what_was_read_live_adds_nothing_to_those_files(database, at):
    run(database, at)
    live = rows(database)
    run(database, at, history=True)
    stored = rows(database).merge(live, on=["zone", "period", "lead_days"])
    assert len(stored) == len(live)
    assert (stored["issued_at_x"] == stored["issued_at_y"]).all()


def test_a_later_posting_is_a_vintage_of_its_own_and_replaces_none(database, at, upstream):
    run(database, at)
    before = rows(database)
    later = PRESENT + timedelta(hours=2)
    with database.transaction() as connection:
        connection.execute(
            sa.text("UPDATE operator_forecast SET forecast_mwh = forecast_mwh + 100 WHERE zone = 'NYISO'")
        )
    report = run(database, at, later)
    stored = rows(database)
    assert report.operator.new == 0
    assert report.operator.revised == len(stored) - len(before) > 0
    again = stored[stored["issued_at"] == pd.Timestamp(later)]
    assert set(again["zone"]) == {"NYISO"}
    assert (again["known_at"] == pd.Timestamp(later)).all()
    with database.transaction() as connection:
        span = (datetime(2025, 3, 13, 5, tzinfo=UTC), datetime(2025, 3, 13, 5, tzinfo=UTC))
        as_known = operator_forecasts.read_postings(connection, "nyiso", "NYISO", *span, PRESENT)
        now = operator_forecasts.read_postings(connection, "nyiso", "NYISO", *span, later)
    assert now["forecast_mwh"].iloc[-1] == as_known["forecast_mwh"].iloc[-1] - 100
    assert run(database, at, later + timedelta(hours=1)).operator.revised == 0


def test_a_file_that_is_late_is_missing_until_it_comes(database, at, upstream):
    fault(upstream, "file_missing", path=f"{FOLDER}20250313", times=0)
    run(database, at)
    assert source(database)["missing_hours"] == 0  # two hours have not passed
    run(database, at, PRESENT + timedelta(hours=1))
    assert source(database)["missing_hours"] == 24
    httpx.delete(f"{upstream}/sandbox/faults")
    run(database, at, PRESENT + timedelta(hours=2))
    assert source(database)["missing_hours"] == 0


@pytest.mark.parametrize("kind", ["http_503", "page_under_200", "truncated", "half_day", "system_missing"])
def test_a_file_that_cannot_be_read_takes_no_other_with_it_and_comes_later(database, at, upstream, kind):
    fault(upstream, kind, path=f"{FOLDER}20250311", times=0)
    with pytest.raises(IngestInterruptedError, match="20250311isolf.csv"):
        run(database, at)
    days = set(rows(database).query("lead_days == 1")["issued_at"].dt.date)
    assert len(days) > 3
    assert date(2025, 3, 10) not in days
    assert source(database)["last_error_at"] == PRESENT
    httpx.delete(f"{upstream}/sandbox/faults")
    run(database, at, PRESENT + timedelta(hours=1))
    assert date(2025, 3, 10) in set(rows(database).query("lead_days == 1")["issued_at"].dt.date)


def test_broken_lines_are_set_apart_with_their_file_and_the_others_are_stored(database, at, upstream):
    fault(upstream, "garbage_lines", path=f"{FOLDER}20250313")
    report = run(database, at)
    with database.transaction() as connection:
        apart = state.quarantined(connection)
    assert [row["reason"] for row in apart] == ["UNPARSABLE_PERIOD", "NOT_A_NUMBER", "NEGATIVE", "ABSURD"]
    assert {row["payload"]["file"] for row in apart} == {"20250313isolf.csv"}
    assert report.quarantined == 4
    system = rows(database).query("zone == 'NYISO' and lead_days == 1")
    assert (system["issued_at"] == datetime(2025, 3, 12, 11, 5, tzinfo=UTC)).sum() == 20


def test_columns_with_the_wrong_names_are_noticed_by_their_sum(database, at, upstream):
    fault(upstream, "columns_shifted", times=0)
    with pytest.raises(EmptyAnswerError, match="none of them can be used"):
        run(database, at)
    with database.transaction() as connection:
        assert {row["reason"] for row in state.quarantined(connection)} == {"ZONES_DISAGREE"}
    assert rows(database).empty


def test_an_hour_twice_and_a_zone_away_leave_the_rest(database, at, upstream):
    fault(upstream, "hour_twice", path=f"{FOLDER}20250313")
    fault(upstream, "zone_missing", path=f"{FOLDER}20250312")
    run(database, at)
    first = rows(database).query("lead_days == 1")
    newest = first[first["issued_at"] == datetime(2025, 3, 12, 11, 5, tzinfo=UTC)]
    before = first[first["issued_at"] == datetime(2025, 3, 11, 11, 5, tzinfo=UTC)]
    assert len(newest) == 24 * 12
    assert "NORTH" not in set(before["zone"])
    assert len(before) == 24 * 11


def test_a_file_older_than_the_daily_ones_comes_from_the_archive_once_a_day(database, at):
    run(database, at)
    with database.transaction() as connection:
        connection.execute(sa.text("DELETE FROM operator_forecast"))
    span = trailing_span(database, at, PRESENT, 12)
    work = IngestionRun(database, at, span, PRESENT, lambda *_: None, Report())
    with OperatorClient(at) as client:
        ingest_operator(work, client)
    days = (rows(database)["period"] - timedelta(hours=1)).dt.tz_convert("America/New_York").dt.date
    assert min(days) == date(2025, 2, 28)
    assert source(database)["missing_hours"] == 0


@pytest.mark.parametrize("switched_on", [False, True], ids=["off", "on"])
def test_nothing_is_asked_until_it_is_switched_on(database, at, monkeypatch, switched_on):
    for name in ("ingest_demand", "ingest_daily", "ingest_observed", "ingest_issued"):
        monkeypatch.setattr(ingestion, name, lambda *_, **__: None)
    settings = at if switched_on else at.model_copy(update={"operator_forecast": None})
    span = trailing_span(database, settings, PRESENT, 2)
    report = ingestion.ingest(database, settings, span, PRESENT, lambda *_: None)
    assert (SOURCE in report.read) == switched_on
    assert rows(database).empty != switched_on


@pytest.mark.shared_data
def test_the_recorded_files_are_stored_as_they_are_in_the_record(database, settings, processes):
    now = datetime(2025, 7, 31, 13, tzinfo=UTC)
    with serving(create_app(RecordedWorld(SHARED_DATA), now=now)) as address:
        given = make_settings(sandbox_url=address, operator_forecast="nyiso", energy_demand_now=now)
        settings = given.model_copy(update={"database_url": settings.database_url})
        span = backfill_span(settings, date(2019, 11, 1), date(2019, 11, 30), now)
        work = IngestionRun(database, settings, span, now, lambda *_: None, Report())
        with OperatorClient(settings) as client:
            ingest_operator(work, client)
    record = pd.read_parquet(SHARED_DATA / "ny_operator_forecast_as_issued.parquet")
    posted = record[record["issued_at"].between("2019-10-31T00:00Z", "2019-12-01T00:00Z")]
    long = posted.drop(columns="posted_on_time").melt(
        ["issued_at", "period", "lead_days"], var_name="zone", value_name="recorded_mwh"
    )
    both = long.merge(rows(database), on=["period", "lead_days", "zone"], how="outer", indicator=True)
    assert (both["_merge"] == "both").all()
    assert (both["recorded_mwh"] == both["forecast_mwh"]).all()
