"""The upstreams and the database on a bad day: ingestion ends with the right rows, or says what is wrong."""

from __future__ import annotations

import itertools
import json
import logging
import os
import re
import subprocess
import sys
import threading
import time
from contextlib import closing
from datetime import date
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa

from contents import contents
from energy_demand.data import eia_client
from energy_demand.data.ingestion.ingest import backfill_span, ingest
from energy_demand.database import repository
from energy_demand.database.embedded import EmbeddedServer
from energy_demand.database.engine import DatabaseUnavailableError, open_database
from energy_demand.database.tables import metadata
from support import PRESENT, make_settings

COMMAND = Path(sys.executable).with_name("energy-demand")
FIRST, LAST = date(2025, 3, 3), date(2025, 3, 12)
HOURLY = "/eia/v2/electricity/rto/region-data"
ROWS_A_PAGE = 120  # the span has four pages
FOR_EVER = 9_999


@pytest.fixture(autouse=True)
def _several_pages(monkeypatch):
    monkeypatch.setattr(eia_client, "PAGE_ROWS", ROWS_A_PAGE)


class Sandbox:
    """A running sandbox that can be told to fail."""

    def __init__(self, address: str) -> None:
        self.address = address

    def strike(self, kind: str, path: str, times: int = 1, **more: object) -> None:
        fault = {"kind": kind, "path": path, "times": times, **more}
        httpx.post(f"{self.address}/sandbox/faults", json=fault).raise_for_status()

    def waiting(self) -> int:
        """How many faults have not struck as often as they were to."""
        answer = httpx.post(f"{self.address}/sandbox/faults", json={"kind": "slow", "path": "/nowhere"})
        return answer.raise_for_status().json()["waiting"] - 1


@pytest.fixture
def sandbox(synthetic_upstream):
    yield Sandbox(synthetic_upstream)
    httpx.delete(f"{synthetic_upstream}/sandbox/faults").raise_for_status()


@pytest.fixture(scope="module")
def settings(tmp_path_factory, new_database_url, synthetic_upstream):
    return at(synthetic_upstream, tmp_path_factory.mktemp("home"), new_database_url())


@pytest.fixture(scope="module")
def opened_once(settings):
    with closing(open_database(settings)) as database:
        yield database


@pytest.fixture
def database(opened_once):
    """The database of `settings`, emptied: a new one for each test takes longer than the test."""
    with opened_once.transaction() as connection:
        connection.execute(sa.text(f"TRUNCATE {', '.join(table.name for table in metadata.sorted_tables)}"))
    return opened_once


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, new_database_url, synthetic_upstream):
    """What one run without any fault leaves, features aside."""
    address = new_database_url()
    settings = at(synthetic_upstream, tmp_path_factory.mktemp("undisturbed"), address)
    with closing(open_database(settings)) as database:
        backfill(database, settings)
    stored = contents(address)
    assert len(stored["raw_demand"]) > 3 * ROWS_A_PAGE
    assert len(stored["weather_forecast"]) > 2_000
    return stored


def at(sandbox: str, home: Path, database_url: str, **given: object):
    return make_settings(sandbox_url=sandbox, energy_demand_home=home, database_url=database_url, **given)


def backfill(database, settings, progress=lambda _step, _done, _total: None):
    return ingest(database, settings, backfill_span(settings, FIRST, LAST, PRESENT), PRESENT, progress)


def stored_in(settings) -> dict[str, list[str]]:
    return contents(settings.database_url.get_secret_value())


def demand(stored, series: str) -> list[dict[str, object]]:
    return [row for row in map(json.loads, stored["raw_demand"]) if row["series"] == series]


def values(stored) -> dict[str, list[str]]:
    """All that is stored as data: what was set apart is not."""
    return {name: rows for name, rows in stored.items() if name != "quarantine"}


def quarantine(stored) -> list[dict[str, object]]:
    return list(map(json.loads, stored["quarantine"]))


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        pytest.param("/eia", {"kind": "http_403", "times": 2}, id="EIA throttles with 403"),
        pytest.param("/eia", {"kind": "http_429", "times": 2}, id="EIA throttles with 429"),
        pytest.param("/archive", {"kind": "too_many_at_once", "times": 2}, id="the archive throttles"),
        pytest.param("/single-runs", {"kind": "too_many_at_once", "times": 2}, id="the forecasts throttle"),
        pytest.param("/eia", {"kind": "html_502", "times": 3}, id="a gateway answers for EIA in HTML"),
        pytest.param("/forecast", {"kind": "html_502", "times": 3}, id="one answers for the recent weather"),
        pytest.param("/eia", {"kind": "truncated", "times": 2}, id="EIA's body is cut in the middle"),
        pytest.param("/single-runs", {"kind": "truncated", "times": 2}, id="a forecast is cut in the middle"),
        pytest.param("/archive", {"kind": "error_under_200"}, id="the archive's error under 200"),
        pytest.param("/forecast", {"kind": "error_under_200"}, id="the recent weather's error under 200"),
        pytest.param("/single-runs", {"kind": "error_under_200"}, id="the forecasts' error under 200"),
        pytest.param(HOURLY, {"kind": "mixed_series"}, id="a page mixes the series"),
        pytest.param(HOURLY, {"kind": "wrong_region"}, id="a page has rows of another respondent"),
        pytest.param(HOURLY, {"kind": "overlap", "times": 2}, id="a page overlaps the one before"),
        pytest.param(HOURLY, {"kind": "garbage_rows"}, id="a page has rows without sense"),
        pytest.param(HOURLY, {"kind": "nulls"}, id="values are null at first"),
        pytest.param(HOURLY, {"kind": "missing_rows"}, id="rows are left out at first"),
        pytest.param(
            HOURLY, {"kind": "missing_rows", "every": 999}, id="the first hour of all is left out at first"
        ),
        pytest.param(
            HOURLY, {"kind": "missing_rows", "every": 31}, id="rows of both series are left out at first"
        ),
    ],
)
def test_a_fault_that_passes_leaves_the_rows_of_an_undisturbed_run(
    sandbox, settings, database, undisturbed, path, fault
):
    sandbox.strike(path=path, **fault)
    report = backfill(database, settings)
    assert sandbox.waiting() == 0
    assert report.missing_hours == 0
    assert stored_in(settings) == undisturbed


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        pytest.param(HOURLY, "overlap", id="every page overlaps the one before"),
        pytest.param(HOURLY, "total_too_large", id="the total is larger than what comes"),
        pytest.param("/eia", "numbers", id="values are JSON numbers"),
        pytest.param("/eia", "warnings_top", id="warnings at the top"),
        pytest.param("/eia", "warnings_inside", id="warnings inside the response"),
        pytest.param("/", "sites_reordered", id="sites in another order than asked"),
    ],
)
def test_an_oddity_that_lasts_changes_no_row(sandbox, settings, database, undisturbed, path, kind):
    sandbox.strike(kind, path, FOR_EVER)
    report = backfill(database, settings)
    assert (report.missing_hours, report.quarantined) == (0, 0)
    assert stored_in(settings) == undisturbed


@pytest.mark.parametrize(
    ("kind", "times"),
    [
        # The second page comes twice with rows of the first, then the pages go on as if it had not.
        pytest.param("overlap", 3, id="a page overlaps, also when it is asked for again"),
        # The first page comes twice with four series, the next ones are counted in two.
        pytest.param("mixed_series", 2, id="a page mixes the series, also when it is asked for again"),
        pytest.param("wrong_region", 2, id="rows of another respondent come in between"),
    ],
)
def test_rows_that_a_shifted_page_skips_are_fetched_after_all(
    sandbox, settings, database, undisturbed, kind, times
):
    sandbox.strike(kind, HOURLY, times)
    report = backfill(database, settings)
    assert sandbox.waiting() == 0
    assert report.missing_hours == 0
    assert values(stored_in(settings)) == values(undisturbed)


@pytest.mark.parametrize(
    ("kind", "reason", "column", "wrong"),
    [
        pytest.param("mixed_series", "WRONG_SERIES", "type", {"NG", "TI"}, id="of another series"),
        pytest.param("wrong_region", "WRONG_RESPONDENT", "respondent", {"PJM"}, id="of another respondent"),
    ],
)
def test_rows_that_never_belong_are_set_apart_and_the_good_ones_of_the_page_stored(
    sandbox, settings, database, undisturbed, kind, reason, column, wrong
):
    sandbox.strike(kind, "/eia", FOR_EVER)
    report = backfill(database, settings)
    stored = stored_in(settings)
    apart = quarantine(stored)
    assert {row["reason"] for row in apart} == {reason}
    assert {row["payload"][column] for row in apart} == wrong
    assert {row["source"] for row in apart} == {"eia", "eia_daily"}
    assert report.quarantined == len(apart)
    assert values(stored) == values(undisturbed)


def test_rows_without_sense_are_set_apart_each_with_its_reason_and_their_hours_reported(
    sandbox, settings, database, undisturbed
):
    sandbox.strike("garbage_rows", HOURLY, FOR_EVER, every=24)
    report = backfill(database, settings)
    stored = stored_in(settings)
    apart = quarantine(stored)
    assert {
        row["reason"]: row["payload"]["value"] for row in apart if row["reason"] != "UNPARSABLE_PERIOD"
    } == {
        "NOT_A_NUMBER": "abc",
        "NEGATIVE": "-5",
        "ABSURD": "99999999999",
    }
    assert "2025-13-41T25" in {row["payload"]["period"] for row in apart}
    assert report.quarantined == len(apart)
    assert set(stored["raw_demand"]) < set(undisturbed["raw_demand"])
    assert report.missing_hours == len(demand(undisturbed, "D")) - len(demand(stored, "D"))


def test_null_is_a_missing_hour_and_no_broken_row(sandbox, settings, database, undisturbed):
    sandbox.strike("nulls", HOURLY, FOR_EVER, every=24)
    report = backfill(database, settings)
    stored = stored_in(settings)
    assert quarantine(stored) == []
    assert set(stored["raw_demand"]) < set(undisturbed["raw_demand"])
    assert report.missing_hours == len(demand(undisturbed, "D")) - len(demand(stored, "D"))
    assert report.missing_hours >= 12


def test_hours_that_did_not_come_are_asked_for_once_more_and_no_oftener(
    sandbox, settings, database, undisturbed
):
    pages = -(-len(undisturbed["raw_demand"]) // ROWS_A_PAGE)
    sandbox.strike("nulls", HOURLY, 2 * pages, every=ROWS_A_PAGE)  # each page has a hole, each hole stays
    sandbox.strike("http_500", HOURLY)  # for a request too many
    report = backfill(database, settings)
    assert sandbox.waiting() == 1
    assert report.missing_hours == pages


def test_a_zero_is_stored_as_it_was_served(sandbox, settings, database, undisturbed):
    sandbox.strike("zeros", HOURLY, FOR_EVER, every=24)
    report = backfill(database, settings)
    stored = stored_in(settings)
    zeros = [row for row in demand(stored, "D") if row["value"] == 0]
    assert len(zeros) >= 12
    assert (report.missing_hours, report.quarantined) == (0, 0)
    assert len(stored["raw_demand"]) == len(undisturbed["raw_demand"])
    changed = set(undisturbed["raw_demand"]) - set(stored["raw_demand"])
    assert len(changed) == len(zeros)


@pytest.mark.parametrize("kind", ["warnings_top", "warnings_inside"])
def test_a_warning_of_eias_is_logged(sandbox, settings, database, caplog, kind):
    caplog.set_level(logging.INFO, "energy_demand")
    sandbox.strike(kind, HOURLY)
    backfill(database, settings)
    assert "slow query" in caplog.text


@pytest.mark.parametrize(
    ("path", "fault", "said"),
    [
        pytest.param(
            HOURLY, {"kind": "http_500"}, "EIA: HTTP 500: Not found.*code 404", id="a 404 body under 500"
        ),
        pytest.param("/eia", {"kind": "http_403"}, "EIA: HTTP 403: OVER_RATE_LIMIT", id="EIA throttles"),
        pytest.param(
            "/eia",
            {"kind": "truncated"},
            "EIA: HTTP 200: the response is not complete JSON",
            id="a body is cut",
        ),
        pytest.param("/archive", {"kind": "error_under_200"}, "is overloaded", id="an error under 200"),
        pytest.param("/forecast", {"kind": "error_under_200"}, "is overloaded", id="recent weather fails"),
        pytest.param("/single-runs", {"kind": "error_under_200"}, "is overloaded", id="forecasts fail"),
        pytest.param("/archive", {"kind": "site_missing"}, "3 places for 4 sites", id="a site is missing"),
        pytest.param("/archive", {"kind": "site_elsewhere"}, "no place near site", id="a strange site"),
        pytest.param("/single-runs", {"kind": "site_elsewhere"}, "no place near site", id="one forecast"),
    ],
)
def test_a_fault_that_lasts_is_told_with_source_range_and_what_was_kept_and_the_next_run_ends_right(
    sandbox, settings, database, undisturbed, path, fault, said
):
    sandbox.strike(path=path, times=FOR_EVER, **fault)
    told = "; ".join(backfill(database, settings).failures.values())
    assert re.search(said, told)
    assert "\n" not in told
    assert "2025-0" in told
    assert "stored" in told
    assert "Run the same command again" in told
    with database.transaction() as connection:
        noted = connection.scalars(sa.text("SELECT last_error FROM source_state")).all()
    assert any(re.search(said, error or "") for error in noted)
    httpx.delete(f"{sandbox.address}/sandbox/faults").raise_for_status()
    backfill(database, settings)
    assert stored_in(settings) == undisturbed


def test_asking_again_is_spared_where_it_cannot_help(sandbox, settings, database):
    sandbox.strike("http_500", HOURLY)  # a missing route: the second request would find it
    assert "Not found" in backfill(database, settings).failures["eia"]
    assert sandbox.waiting() == 0


def test_a_slow_answer_is_given_up_and_asked_for_again(sandbox, settings, database, undisturbed):
    impatient = settings.model_copy(update={"http_timeout_seconds": 0.5})
    sandbox.strike("slow", HOURLY, seconds=1.0)
    sandbox.strike("slow", "/single-runs", seconds=1.0)
    backfill(database, impatient)
    assert sandbox.waiting() == 0
    assert stored_in(settings) == undisturbed


def test_answers_that_stay_slow_are_an_error_in_the_end(sandbox, settings, database):
    impatient = settings.model_copy(update={"http_timeout_seconds": 0.5, "http_attempts": 2})
    sandbox.strike("slow", HOURLY, FOR_EVER, seconds=0.8)
    assert "no response within 0.5 s" in backfill(database, impatient).failures["eia"]


def shell(settings) -> dict[str, str]:
    """The environment in which a command works on the database and sandbox of `settings`."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(settings.home),
        "SANDBOX_URL": settings.sandbox_url,
        "ENERGY_DEMAND_HOME": str(settings.home),
        "ENERGY_DEMAND_NOW": PRESENT.isoformat(),
        "DATABASE_URL": settings.database_url.get_secret_value(),
        "WEATHER_RUNS_KEPT": str(settings.weather_runs_kept),
    }


BACKFILL = [COMMAND, "backfill", "--start", FIRST.isoformat(), "--end", LAST.isoformat(), "--json"]


@pytest.mark.usefixtures("database")
def test_the_commands_tell_how_many_hours_are_missing(sandbox, settings):
    sandbox.strike("nulls", HOURLY, FOR_EVER, every=24)
    done = subprocess.run(BACKFILL, env=shell(settings), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    missing = json.loads(done.stdout)["missing_hours"]
    assert missing >= 12
    assert [line for line in done.stderr.splitlines() if f"{missing} hours" in line]
    asked = subprocess.run(
        [COMMAND, "status", "--json"], env=shell(settings), capture_output=True, text=True, check=False
    )
    assert asked.returncode == 0, asked.stderr
    body = json.loads(asked.stdout)
    noted = {source["source"]: source["missing_hours"] for source in body["sources"]}
    assert noted["eia"] == missing
    assert body["demand"]["missing_hours"] == missing - 1  # it counts from the first hour that is there


def test_two_ingestions_at_once_leave_the_rows_of_one(sandbox, tmp_path, database_url, undisturbed):
    settings = at(sandbox.address, tmp_path, database_url)
    sandbox.strike("slow", "/", FOR_EVER, seconds=0.02)  # so that they meet
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    both = [subprocess.Popen(BACKFILL, env=shell(settings), **pipes) for _ in range(2)]
    told = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    stored = stored_in(settings)
    assert stored["features"]
    # What an ingestion job makes of the rows is not in the undisturbed ones.
    stored["watermark"] = [row for row in stored["watermark"] if '"source": "truth"' not in row]
    assert stored | {"features": [], "demand_flag": [], "truth_flag": []} == undisturbed
    new = [json.loads(out)["demand"]["new"] for out, _ in told]
    assert sum(new) == len(undisturbed["raw_demand"])


@pytest.fixture(scope="module")
def own_server(open_folder):
    """A PostgreSQL that only this module stops and starts."""
    server = EmbeddedServer(open_folder / "faults")
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def database_names():
    return (f"away_{number}" for number in itertools.count(1))


@pytest.fixture
def own_database(own_server, database_names):
    """The address of an empty database on the server that may go away."""
    name = next(database_names)
    admin = sa.create_engine(own_server.url(), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with admin.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    return own_server.url(name)


class Outage:
    """A progress report that stops the database at a step's first part; a thread starts it 5 s later."""

    def __init__(self, server: EmbeddedServer, step: str) -> None:
        self._server, self._step = server, step
        self._gone = threading.Event()
        self._thread = threading.Thread(target=self._pass, name="outage")

    def __call__(self, step: str, _done: int, _total: int) -> None:
        if step == self._step and not self._gone.is_set():
            self._thread.start()
            assert self._gone.wait(30)

    def end(self) -> bool:
        """Wait until the database is back; whether it was away."""
        if self._gone.is_set():
            self._thread.join(60)
        return self._gone.is_set()

    def _pass(self) -> None:
        self._server.stop()
        self._gone.set()
        time.sleep(5)
        self._server.start()


@pytest.mark.parametrize(
    "step",
    [
        pytest.param("demand", id="after the demand"),
        pytest.param("weather forecasts", id="among the forecasts"),
    ],
)
def test_a_run_waits_for_a_database_that_is_away_for_five_seconds(
    sandbox, tmp_path, own_server, own_database, undisturbed, step
):
    settings = at(sandbox.address, tmp_path, own_database)
    outage = Outage(own_server, step)
    with closing(open_database(settings)) as database:
        began = time.monotonic()
        try:
            report = backfill(database, settings, outage)
        finally:
            was_away = outage.end()
    assert was_away
    assert time.monotonic() - began > 5
    assert report.demand.new == len(undisturbed["raw_demand"])
    assert contents(own_database) == undisturbed


def test_a_database_that_stays_away_is_an_error_that_says_what_to_do(
    sandbox, tmp_path, own_server, own_database
):
    settings = at(sandbox.address, tmp_path, own_database)
    with closing(open_database(settings)) as database:
        own_server.stop()
        try:
            with pytest.raises(DatabaseUnavailableError, match="Check that the server runs") as caught:
                database.run(lambda connection: connection.scalar(sa.text("SELECT 1")), patience_seconds=0.5)
        finally:
            own_server.start()
        assert "\n" not in str(caught.value)
        assert database.run(lambda connection: connection.scalar(sa.text("SELECT 1"))) == 1


@pytest.mark.parametrize(
    "use",
    [
        pytest.param(lambda connection: connection.execute(sa.text("SELECT 1")), id="a statement"),
        pytest.param(
            lambda connection: repository.read_demand(connection, "NY", "D", PRESENT, PRESENT, PRESENT),
            id="a copy",
        ),
    ],
)
def test_a_connection_lost_in_the_middle_of_a_transaction_begins_it_again(database, use):
    attempts = []

    def work(connection):
        attempts.append(connection.scalar(sa.text("SELECT pg_backend_pid()")))
        connection.execute(
            sa.text("INSERT INTO watermark VALUES ('test', :pid, now(), now())"), {"pid": str(attempts[-1])}
        )
        if len(attempts) == 1:
            with database.engine.connect() as other:
                other.execute(sa.text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": attempts[0]})
        use(connection)
        return "done"

    assert database.run(work) == "done"
    with database.transaction() as connection:
        kept = connection.scalars(sa.text("SELECT subject FROM watermark")).all()
    assert len(attempts) == 2
    assert kept == [str(attempts[1])]
