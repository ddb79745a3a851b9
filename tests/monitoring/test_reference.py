"""The reference file: complete and of one champion, or treated as missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from energy_demand.monitoring import reference as module
from energy_demand.monitoring.drift_detection import run_drift_check, wasserstein_scores
from energy_demand.monitoring.reference import Reference, read_reference, write_reference
from energy_demand.monitoring.watched_rows import reference_rows


def reference(version: str = "7", size: int = 48) -> Reference:
    random = np.random.default_rng(1)
    rows = pd.DataFrame(
        {
            "timestamp": pd.date_range("2025-01-01", periods=size, freq="h", tz="UTC", unit="us"),
            "temperature": random.normal(size=size),
            "humidity": np.where(random.random(size) < 0.3, np.nan, 50.0),
            "source_temperature": pd.Categorical(np.where(np.arange(size) < 9, "1 site", "4 sites")),
        }
    )
    return Reference(version, "2025-01-03T00:00:00+00:00", rows)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("reference") / "reference.parquet"
    write_reference(path, reference())
    return path.read_bytes()


def test_what_was_written_is_read_again(tmp_path):
    path = tmp_path / "new" / "folder" / "reference.parquet"
    write_reference(path, reference())
    found = read_reference(path)
    assert (found.version, found.trained_through) == ("7", "2025-01-03T00:00:00+00:00")
    pd.testing.assert_frame_equal(found.rows, reference().rows)
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_the_rows_of_a_champion_survive_and_do_not_drift_from_themselves(tmp_path, record, trained):
    rows = reference_rows(record, trained.judged)
    path = tmp_path / "reference.parquet"
    write_reference(path, Reference("1", trained.judged.trained_through.isoformat(), rows))
    found = read_reference(path).rows
    pd.testing.assert_frame_equal(found, rows)
    assert run_drift_check(found, rows, scorer=wasserstein_scores)[:2] == (False, 0.0)


def test_a_new_reference_takes_the_place_of_the_old_one(tmp_path):
    path = tmp_path / "reference.parquet"
    write_reference(path, reference("7"))
    write_reference(path, reference("8", size=30))
    found = read_reference(path)
    assert (found.version, len(found.rows)) == ("8", 30)


def test_where_there_is_no_file_there_is_no_reference(tmp_path):
    assert read_reference(tmp_path / "reference.parquet") is None
    assert read_reference(tmp_path / "no folder" / "reference.parquet") is None
    assert read_reference(tmp_path) is None


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_a_truncated_file_reads_as_none(whole, tmp_path_factory, data):
    path = Path(tmp_path_factory.getbasetemp()) / "cut.parquet"
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    assert read_reference(path) is None


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"no table", id="text"),
        pytest.param(b"PAR1" + bytes(400) + b"PAR1", id="zeros between the marks"),
    ],
)
def test_a_file_that_is_not_a_table_reads_as_none(tmp_path, content):
    path = tmp_path / "reference.parquet"
    path.write_bytes(content)
    assert read_reference(path) is None


@pytest.mark.parametrize("lacking", ["champion", "trained_through"])
def test_a_table_without_its_champion_reads_as_none(tmp_path, lacking):
    path = tmp_path / "reference.parquet"
    named = {"champion": "7", "trained_through": "2025-01-03T00:00:00+00:00"}
    del named[lacking]
    table = pa.table({"temperature": [1.0, 2.0]})
    pq.write_table(table.replace_schema_metadata(named), path)
    assert read_reference(path) is None


def test_a_write_that_fails_half_way_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "reference.parquet"
    write_reference(path, reference("7"))

    def full(table: pa.Table, where: Path) -> None:
        Path(where).write_bytes(b"PAR1 half a")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.pq, "write_table", full)
    with pytest.raises(OSError, match="No space"):
        write_reference(path, reference("8"))
    assert read_reference(path).version == "7"


def test_a_folder_that_cannot_be_made_is_an_os_error(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError):  # noqa: PT011
        write_reference(tmp_path / "file" / "reference.parquet", reference())
