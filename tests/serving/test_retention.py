"""Old predictions leave the database for files, and are never in neither."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta, timezone

import pandas as pd
import pytest
import sqlalchemy as sa
from pandas.testing import assert_frame_equal

from energy_demand.database import predictions
from energy_demand.database.engine import DatabaseUnavailableError, open_database
from energy_demand.serving.retention import archive_predictions
from logged import HOUR, fill_up, row, small_disk
from support import make_settings

MIDNIGHT = datetime(2025, 3, 10, tzinfo=UTC)
INSTANT = timedelta(microseconds=1)
MIDNIGHT_BEFORE = (MIDNIGHT - 24 * HOUR).isoformat()
# PostgreSQL goes away between the file and the deletion of the rows made from `hour` on.
FAIL = """
CREATE FUNCTION go_away() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'gone' USING ERRCODE = 'admin_shutdown'; END $$;
CREATE TRIGGER going BEFORE DELETE ON prediction_log FOR EACH ROW
WHEN (OLD.prediction_made_at >= '{hour}') EXECUTE FUNCTION go_away();
"""


@pytest.fixture(scope="module")
def settings(tmp_path_factory, new_database_url):
    return make_settings(energy_demand_home=tmp_path_factory.mktemp("home"), database_url=new_database_url())


@pytest.fixture(scope="module")
def opened_once(settings):
    with closing(open_database(settings)) as database:
        yield database


@pytest.fixture
def database(opened_once):
    """The database of `settings`, emptied: a new one for each test takes longer than the test."""
    empty(opened_once)
    return opened_once


def empty(database) -> None:
    with database.transaction() as connection:
        connection.exec_driver_sql("TRUNCATE prediction_log RESTART IDENTITY")


@contextmanager
def going_away(database, hour: datetime):
    """While this lasts, deleting what was made from `hour` on loses the connection, as far as one can see."""
    with database.transaction() as connection:
        connection.exec_driver_sql(FAIL.format(hour=hour))
    try:
        yield
    finally:
        with database.transaction() as connection:
            connection.exec_driver_sql("DROP FUNCTION go_away CASCADE")


def log_at(database, *moments: datetime, first: int = 0, **given) -> None:
    """Log a row for each moment at which it was made."""
    rows = [
        row(first + number, prediction_made_at=made.isoformat(), **given)
        for number, made in enumerate(moments)
    ]
    with database.transaction() as connection:
        assert predictions.insert_predictions(connection, rows) == len(rows)


def in_database(database) -> pd.DataFrame:
    with database.transaction() as connection:
        return predictions.read_predictions(connection, MIDNIGHT - 1000 * HOUR, MIDNIGHT + 1000 * HOUR)


def in_files(folder) -> pd.DataFrame:
    """All that is archived, by request."""
    files = [pd.read_parquet(file) for file in sorted(folder.glob("*.parquet"))]
    return pd.concat(files).sort_values("request_id", ignore_index=True) if files else pd.DataFrame()


def request_ids(frame: pd.DataFrame) -> list[str]:
    return sorted(frame["request_id"]) if len(frame) else []


def names(folder) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "archive"


@pytest.mark.parametrize(
    "before",
    [
        pytest.param(MIDNIGHT, id="at midnight"),
        pytest.param(MIDNIGHT + 24 * HOUR - INSTANT, id="at the end of the day"),
        pytest.param(
            (MIDNIGHT + HOUR).astimezone(timezone(-4 * HOUR)), id="on the evening before, elsewhere"
        ),
    ],
)
def test_whole_utc_days_before_the_limit_move(database, folder, before):
    kept, moved = MIDNIGHT, [MIDNIGHT - 49 * HOUR, MIDNIGHT - 24 * HOUR, MIDNIGHT - INSTANT]
    log_at(database, kept, *moved)
    assert archive_predictions(database, folder, before) == 3
    assert request_ids(in_database(database)) == ["request-0"]
    assert request_ids(in_files(folder)) == ["request-1", "request-2", "request-3"]
    assert names(folder) == ["prediction_log_2025-03-07.parquet", "prediction_log_2025-03-09.parquet"]
    assert len(pd.read_parquet(folder / "prediction_log_2025-03-09.parquet")) == 2


def test_values_are_the_same_in_the_file(database, folder):
    log_at(database, MIDNIGHT - HOUR, MIDNIGHT - 2 * HOUR)
    log_at(database, MIDNIGHT - 3 * HOUR, first=2, lower_80=None, features_json=None, row_number=3)
    before = in_database(database)
    archive_predictions(database, folder, MIDNIGHT)
    assert_frame_equal(in_files(folder), before, check_dtype=False)


def test_a_second_run_moves_nothing(database, folder):
    log_at(database, MIDNIGHT - HOUR)
    assert archive_predictions(database, folder, MIDNIGHT) == 1
    assert archive_predictions(database, folder, MIDNIGHT) == 0
    assert request_ids(in_files(folder)) == ["request-0"]


@pytest.mark.parametrize(
    ("early", "late"),
    [
        pytest.param({}, {}, id="and are alike"),
        pytest.param({"lower_80": None}, {}, id="and have intervals that the earlier lack"),
        pytest.param({}, {"lower_80": None}, id="and lack intervals that the earlier have"),
        pytest.param({"features_json": None}, {}, id="and have features that the earlier lack"),
    ],
)
def test_rows_of_an_archived_day_that_come_late_join_its_file(database, folder, early, late):
    log_at(database, MIDNIGHT - HOUR, **early)
    archive_predictions(database, folder, MIDNIGHT)
    log_at(database, MIDNIGHT - 2 * HOUR, first=1, **late)
    expected = row(1, **late)["lower_80"]
    assert archive_predictions(database, folder, MIDNIGHT) == 1
    found = in_files(folder).set_index("request_id")
    assert sorted(found.index) == ["request-0", "request-1"]
    value = found.loc["request-1", "lower_80"]
    assert pd.isna(value) if expected is None else value == expected


def test_what_is_in_file_and_database_after_a_kill_is_kept_once(database, folder):
    log_at(database, MIDNIGHT - 2 * HOUR, MIDNIGHT - HOUR)
    before = in_database(database)
    with (
        going_away(database, MIDNIGHT - 2 * HOUR),
        pytest.raises(DatabaseUnavailableError, match="gone"),
    ):
        archive_predictions(database, folder, MIDNIGHT)
    assert_frame_equal(in_database(database), before)
    assert request_ids(in_files(folder)) == ["request-0", "request-1"]
    log_at(database, MIDNIGHT - 3 * HOUR, first=2)
    assert archive_predictions(database, folder, MIDNIGHT) == 3
    assert request_ids(in_files(folder)) == ["request-0", "request-1", "request-2"]
    assert in_database(database).empty


def test_days_that_are_done_stay_done_if_a_later_one_fails(database, folder):
    log_at(database, MIDNIGHT - 30 * HOUR, MIDNIGHT - HOUR)
    with going_away(database, MIDNIGHT - 2 * HOUR), pytest.raises(DatabaseUnavailableError):
        archive_predictions(database, folder, MIDNIGHT)
    assert request_ids(in_database(database)) == ["request-1"]
    assert "prediction_log_2025-03-08.parquet" in names(folder)


def test_two_at_once_move_each_row_once(settings, database, folder):
    log_at(database, *(MIDNIGHT - hours * HOUR for hours in range(1, 24 * 4)))
    together = threading.Barrier(2)

    def run(_: int) -> int:
        with closing(open_database(settings)) as own:
            together.wait()
            return archive_predictions(own, folder, MIDNIGHT)

    with ThreadPoolExecutor() as pool:
        moved = list(pool.map(run, range(2)))
    assert sum(moved) == 95
    assert in_database(database).empty
    assert in_files(folder)["id"].is_unique
    assert len(in_files(folder)) == 95
    assert len(names(folder)) == 4


def test_a_folder_that_cannot_be_written_leaves_the_rows(database, folder):
    log_at(database, MIDNIGHT - HOUR)
    folder.write_text("a file where the folder should be")
    with pytest.raises(OSError, match="archive"):
        archive_predictions(database, folder, MIDNIGHT)
    assert request_ids(in_database(database)) == ["request-0"]


def test_a_full_disk_leaves_the_rows_and_the_earlier_file(database, tmp_path):
    log_at(database, MIDNIGHT - HOUR)
    with small_disk(tmp_path / "disk") as disk:
        archive_predictions(database, disk, MIDNIGHT)
        filler = fill_up(disk)
        log_at(database, MIDNIGHT - 2 * HOUR, first=1)
        with pytest.raises(OSError, match="No space left"):
            archive_predictions(database, disk, MIDNIGHT)
        filler.unlink()
        assert names(disk) == ["prediction_log_2025-03-09.parquet"]
        assert request_ids(in_files(disk)) == ["request-0"]
        assert request_ids(in_database(database)) == ["request-1"]


def test_a_busy_day_moves_as_well(database, folder):
    with database.transaction() as connection:
        # As if a row a second had come, and a bit more.
        names = ", ".join(f'"{name}"' for name in row() if name not in {"row_number", "features_json"})
        predictions.insert_predictions(connection, [row(0, prediction_made_at=MIDNIGHT_BEFORE)])
        connection.execute(
            sa.text(
                f"INSERT INTO prediction_log ({names}, row_number) "
                f"SELECT {names}, number FROM prediction_log, generate_series(1, 69999) number"
            )
        )
    assert archive_predictions(database, folder, MIDNIGHT) == 70_000
    assert in_database(database).empty
    assert len(in_files(folder)) == 70_000


def test_rows_of_a_database_that_was_begun_anew_join_the_file_beside_the_earlier(database, folder):
    log_at(database, MIDNIGHT - HOUR)
    archive_predictions(database, folder, MIDNIGHT)
    empty(database)
    log_at(database, MIDNIGHT - 2 * HOUR, first=1)
    archive_predictions(database, folder, MIDNIGHT)
    assert request_ids(in_files(folder)) == ["request-0", "request-1"]
