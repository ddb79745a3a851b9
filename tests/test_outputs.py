"""Files that are written after long work: looked at before, and failing without losing it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from energy_demand.errors import UserError
from energy_demand.outputs import OutputError, check_output, write_output


def test_a_good_path_is_let_through_and_no_file_appears(tmp_path):
    check_output(tmp_path / "hours.parquet")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_stays_as_it_is(tmp_path):
    there = tmp_path / "hours.parquet"
    there.write_bytes(b"of last time")
    before = there.stat()
    check_output(there)
    assert (there.read_bytes(), there.stat().st_mtime_ns) == (b"of last time", before.st_mtime_ns)


def test_a_device_is_let_through():
    check_output(Path(os.devnull))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        pytest.param("", "is a folder; name a file in it", id="a folder"),
        pytest.param("no/such/hours.parquet", "does not exist; make it first", id="in no folder"),
        pytest.param("file/hours.parquet", "does not exist; make it first", id="below a file"),
        pytest.param("proc/hours.parquet", "cannot be written", id="in a closed folder"),
        pytest.param("proc/version", "cannot be written", id="a closed file"),
        pytest.param("x" * 300, "cannot be written", id="a name too long"),
    ],
)
def test_a_path_that_cannot_be_written_is_refused_in_one_line(tmp_path, name, said):
    (tmp_path / "file").write_text("")
    (tmp_path / "proc").symlink_to("/proc")
    with pytest.raises(OutputError, match=said) as caught:
        check_output(tmp_path / name)
    assert isinstance(caught.value, UserError)
    assert "\n" not in str(caught.value)


def test_what_fails_after_the_work_says_that_the_work_is_not_lost(tmp_path):
    def fail(path: Path) -> None:
        raise OSError(28, "No space left on device", str(path))

    with pytest.raises(OutputError) as caught:
        write_output(tmp_path / "hours.parquet", fail)
    told = f"{tmp_path / 'hours.parquet'} cannot be written (No space left on device)"
    assert str(caught.value) == f"{told}; what was computed is above"
