"""Every answer reaches the database once: past retries, outages, full disks and `kill -9`."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from servers import free_port, wait_until

from energy_demand.database.engine import open_database
from energy_demand.serving import prediction_log
from energy_demand.serving.prediction_log import JOURNAL_SECONDS, PredictionLog
from energy_demand.serving.spool import Spool
from logged import away, fill_up, ids, line, logged, small_disk
from support import make_settings

MUCH = 1 << 24
TESTS = Path(__file__).parents[1]
# Logs a row every 2 ms; says of each when it was taken.
STEADY = """
import sys, time
from pathlib import Path
from energy_demand.database.engine import open_database
from energy_demand.serving.prediction_log import PredictionLog
from energy_demand.serving.spool import Spool
from logged import line
from support import make_settings
settings = make_settings(database_url=sys.argv[2])
log = PredictionLog(Spool(Path(sys.argv[1]), 1 << 24), lambda: open_database(settings))
log.start()
for number in range(100_000):
    log.add([line(number)])
    print(number, time.monotonic(), flush=True)
    time.sleep(0.002)
"""


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch):
    monkeypatch.setattr(prediction_log, "SHIP_SECONDS", 0.05)
    monkeypatch.setattr(prediction_log, "LONGEST_PAUSE_SECONDS", 0.2)


@pytest.fixture(scope="module")
def migrated_url(new_database_url):
    url = new_database_url()
    open_database(make_settings(database_url=url)).close()
    return url


@pytest.fixture
def url(migrated_url) -> str:
    """The address of a database with an empty log, which nobody is connected to."""
    engine = sa.create_engine(migrated_url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql("TRUNCATE prediction_log")
    return migrated_url


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "spool"


@contextmanager
def logging_to(url: str, folder, max_bytes: int = MUCH, **more):
    """A log that has started, and is closed at the end."""
    settings = make_settings(database_url=url)
    log = PredictionLog(Spool(folder, max_bytes), lambda: open_database(settings), **more)
    log.start()
    try:
        yield log
    finally:
        log.close()


def nowhere() -> str:
    return f"postgresql://nobody@127.0.0.1:{free_port()}/nothing"


def left_in(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.exists() else []


def arrived(url: str, expected: list[str]) -> None:
    wait_until(lambda: len(logged(url)) >= len(expected), what=f"{len(expected)} rows")
    assert logged(url) == expected


def errors(caplog, word: str) -> int:
    """How many errors with this word were logged."""
    return sum(
        each.levelno >= logging.ERROR and word in each.getMessage() for each in caplog.get_records("call")
    )


def test_every_row_arrives_once(url, folder):
    with logging_to(url, folder) as log:
        for number in range(10):
            log.add([line(number)])
        log.add(lambda: [line(number) for number in range(10, 5_000)])
        arrived(url, ids(range(5_000)))
        wait_until(lambda: log.written == 5_000)
        assert log.spool_bytes() == 0
    assert (log.dropped, log.in_memory) == (0, 0)
    assert left_in(folder) == []


def test_a_retry_is_logged_once_and_other_rows_and_hours_of_its_request_as_well(url, folder):
    with logging_to(url, folder) as log:
        log.add([line(1), line(1), line(1, row_number=1)])
        arrived(url, ["request-1"] * 2)
        log.add([line(1, predicted_demand=1.0), line(1, timestamp="2025-03-20T00:00:00Z")])
    assert logged(url) == ["request-1"] * 3
    assert log.written == 3


def test_close_writes_everything_into_the_database(url, folder):
    with logging_to(url, folder) as log:
        log.add([line(number) for number in range(3_000)])
    assert logged(url) == ids(range(3_000))
    assert left_in(folder) == []


def test_what_the_database_does_not_take_waits_on_disk_for_the_next_start(url, folder):
    with logging_to(nowhere(), folder) as log:
        log.add([line(0), line(1)])
    assert log.spool_bytes() == len(line(0) + line(1)) + 2
    with logging_to(url, folder) as log:
        log.add([line(2)])
        arrived(url, ids(range(3)))
    assert left_in(folder) == []


def test_rows_wait_on_disk_while_the_database_is_away_and_then_arrive_once(url, folder, caplog):
    with logging_to(url, folder) as log:
        log.add([line(0)])
        arrived(url, ids(range(1)))
        with away(url):
            for number in range(1, 100):
                log.add([line(number)])
                time.sleep(0.01)
            wait_until(lambda: log.spool_bytes() >= sum(len(line(each)) + 1 for each in range(1, 100)))
        arrived(url, ids(range(100)))
        wait_until(lambda: "the database is available again" in caplog.text)
        assert log.spool_bytes() == 0
    assert (log.written, log.dropped) == (100, 0)
    assert errors(caplog, "predictions wait in") == 1


def test_a_database_that_never_was_there_is_found_once_it_is(url, folder):
    addresses = [nowhere(), nowhere(), url]

    def connect():
        address = addresses.pop(0) if len(addresses) > 1 else url
        return open_database(make_settings(database_url=address))

    log = PredictionLog(Spool(folder, MUCH), connect)
    log.start()
    with closing(log):
        log.add([line(0)])
        arrived(url, ids(range(1)))
    assert log.written == 1


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(line(1, source="hearsay"), id="breaks a check"),
        pytest.param(line(1, model_version=None), id="lacks a value that must be"),
        pytest.param(line(1, predicted_demand="much"), id="has a word for a number"),
        pytest.param(line(1, lead_hours=99_999), id="has a number out of range"),
        pytest.param(line(1, timestamp="soon"), id="has no time"),
        pytest.param(line(1, quality="a\0b"), id="has a character that PostgreSQL cannot keep"),
        pytest.param(line(1)[:-20], id="is cut"),
        pytest.param(b"17", id="is no object"),
        pytest.param(b"\0" * 50, id="is what a crash of the machine left"),
        pytest.param(
            b"\xff" + line(1),
            id="is no text",
        ),
    ],
)
def test_a_row_is_set_apart_and_the_rest_arrives_if_it(url, folder, caplog, bad):
    with logging_to(nowhere(), folder) as log:
        log.add([line(0), bad, line(2)])
    with logging_to(url, folder) as log:
        log.add([line(3)])
    assert logged(url) == ["request-0", "request-2", "request-3"]
    (kept,) = left_in(folder)
    assert kept.suffix == ".refused"
    assert kept.read_bytes() == bad + b"\n"
    assert errors(caplog, "the database refused 1 predictions") == 1


def test_a_row_that_cannot_be_made_takes_no_other_with_it(url, folder):
    def broken():
        raise ZeroDivisionError

    # While the journal waits at the spool; so all that comes after the first is written down together.
    with logging_to(url, folder) as log, log._spool._guard:
        log.add([line(0)])
        time.sleep(3 * JOURNAL_SECONDS)
        for more in ([line(1)], broken, [line(2)]):
            log.add(more)
    assert logged(url) == ids(range(3))


def test_with_a_full_disk_rows_reach_the_database_from_memory(url, tmp_path, caplog):
    with small_disk(tmp_path / "disk") as disk:
        fill_up(disk)
        with logging_to(url, disk / "spool") as log:
            for number in range(50):
                log.add([line(number)])
                time.sleep(0.01)
            arrived(url, ids(range(50)))
            wait_until(lambda: log.in_memory == 0)
    assert (log.written, log.dropped) == (50, 0)
    assert errors(caplog, "the spool cannot be written") == 1


def test_with_a_spool_that_is_full_rows_wait_in_memory_and_all_arrive(url, folder):
    with logging_to(url, folder, max_bytes=2_000) as log:
        with away(url):
            for number in range(30):
                log.add([line(number)])
                time.sleep(0.01)
            wait_until(lambda: log.in_memory + log.spool_bytes() // len(line(0)) >= 29)
            assert log.in_memory > 0
            assert log.spool_bytes() <= 2_000
        arrived(url, ids(range(30)))
    assert (log.written, log.dropped) == (30, 0)


def test_rows_in_memory_stay_there_while_a_database_that_was_open_is_away(url, tmp_path, caplog):
    tmp_path.joinpath("file").touch()
    with logging_to(url, tmp_path / "file") as log:
        log.add([line(0)])
        arrived(url, ids(range(1)))
        with away(url):
            log.add([line(number) for number in range(1, 20)])
            wait_until(lambda: errors(caplog, "predictions wait in") == 1)
            wait_until(lambda: log.in_memory == 19)
            time.sleep(1)  # it is tried again a few times
        arrived(url, ids(range(20)))
    assert (log.written, log.dropped) == (20, 0)


def lose_some(log: PredictionLog) -> None:
    """Three times 20 rows for a memory of 15."""
    for number in range(3):
        log.add([line(each) for each in range(20 * number, 20 * (number + 1))])
        wait_until(lambda number=number: log.dropped == 20 * (number + 1) - 15)


def test_with_disk_and_database_away_memory_is_bounded_and_what_is_dropped_is_counted(url, tmp_path):
    tmp_path.joinpath("file").touch()
    with logging_to(url, tmp_path / "file", most_in_memory=15) as log:
        with away(url):
            lose_some(log)
            wait_until(lambda: log.in_memory == 15)
        arrived(url, ids(range(45, 60)))  # the newest
    assert (log.written, log.dropped, log.in_memory) == (15, 45, 0)


def test_that_rows_are_dropped_is_said_once(url, tmp_path, caplog):
    tmp_path.joinpath("file").touch()
    with logging_to(url, tmp_path / "file", most_in_memory=15) as log, away(url):
        lose_some(log)
        assert errors(caplog, "dropped from the log") == 1


def test_close_writes_what_the_disk_refused_if_it_has_room_again(url, tmp_path):
    with small_disk(tmp_path / "disk") as disk:
        filler = fill_up(disk)
        with logging_to(nowhere(), disk / "spool") as log:
            log.add([line(0)])
            wait_until(lambda: log.in_memory == 1)
            filler.unlink()
        with logging_to(url, disk / "spool"):
            pass
    assert logged(url) == ids(range(1))


def test_a_refused_row_on_a_full_disk_does_not_hold_up_the_rest(url, tmp_path):
    with small_disk(tmp_path / "disk") as disk:
        with logging_to(nowhere(), disk / "spool") as log:
            log.add([line(0), line(1, source="hearsay")])
        filler = fill_up(disk)
        with logging_to(url, disk / "spool") as log:
            log.add([line(2)])
            wait_until(lambda: logged(url) == ["request-0", "request-2"], seconds=20)
        filler.unlink()


def test_two_logs_share_a_folder_and_every_row_of_both_arrives_once(url, folder):
    with logging_to(url, folder) as one, logging_to(url, folder) as other:
        with away(url):
            for number in range(0, 200, 2):
                one.add([line(number)])
                other.add([line(number + 1)])
                time.sleep(0.005)
        arrived(url, ids(range(200)))
    assert one.written == other.written == 100
    assert left_in(folder) == []


@pytest.mark.parametrize(
    ("reachable", "rows"),
    [
        pytest.param(True, 330, id="the database takes rows"),
        pytest.param(False, 430, id="the database is away"),
        pytest.param(False, 530, id="the database is away, a moment later"),
    ],
)
def test_kill_9_loses_at_most_what_was_logged_since_the_last_look_of_the_journal_while(
    url, folder, reachable, rows
):
    command = [sys.executable, "-c", STEADY, folder, url if reachable else nowhere()]
    environment = {"PYTHONPATH": str(TESTS)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        lines = [process.stdout.readline() for _ in range(rows)]
        process.kill()
        lines += process.stdout.readlines()
    assert process.returncode == -signal.SIGKILL
    taken = [float(each.split()[1]) for each in lines if each.endswith("\n")]
    with logging_to(url, folder):
        pass
    found = logged(url)
    assert found == ids(range(len(found)))  # what is lost is the newest, and nothing is there twice
    # One look later, the lines had to be on disk; a busy machine may be late.
    safe = sum(moment < taken[-1] - JOURNAL_SECONDS - 0.2 for moment in taken)
    assert 100 < safe <= len(found) <= len(taken) + 1
    assert left_in(folder) == []
