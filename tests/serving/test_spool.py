"""Lines that wait on disk: each comes back whole, in order and once, whatever dies or fills up meanwhile."""

from __future__ import annotations

import errno
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from threading import Barrier

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from energy_demand.serving.spool import Spool, SpoolFullError
from logged import fill_up, small_disk

MUCH = 1 << 20
WRITER = """
import sys, time
from pathlib import Path
from energy_demand.serving.spool import Spool
spool = Spool(Path(sys.argv[1]), 1 << 20)
spool.append([b"one", b"two"])
spool.waiting()
spool.append([b"three"])
print("written", flush=True)
time.sleep(60)
"""
# Each file may have 10,000 bytes; says how many appends went through.
LIMITED = """
import resource, sys
from pathlib import Path
from energy_demand.serving.spool import Spool
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
spool = Spool(Path(sys.argv[1]), 1 << 20)
for number in range(5):
    try:
        spool.append([b"%d-%d-" % (number, part) + b"x" * 1_500 for part in range(2)])
        print(number, flush=True)
    except OSError as error:
        assert error.errno == 27, error
"""


@pytest.fixture
def new_spool(tmp_path):
    """Makes the spool of one more process."""
    with ExitStack() as opened:
        yield lambda max_bytes=MUCH: opened.enter_context(closing(Spool(tmp_path, max_bytes)))


def take(spool: Spool, most: int | None = None) -> list[bytes]:
    """The lines of the oldest files, all of them unless told otherwise, which are then forgotten."""
    taken: list[bytes] = []
    for file in spool.waiting()[:most]:
        try:
            taken += spool.lines(file)
        except FileNotFoundError:  # another one took it
            continue
        spool.done(file)
    return taken


def left_behind(folder: Path, *files: list[bytes]) -> None:
    """A folder of which the process has ended, with these files."""
    spool = Spool(folder, MUCH)
    for lines in files:
        spool.append(lines)
        spool.waiting()
    spool.close()


@contextmanager
def writer(folder: Path):
    """A process that has appended three lines in two files and lives until it is killed."""
    with subprocess.Popen([sys.executable, "-c", WRITER, folder], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"written\n"
        try:
            yield process
        finally:
            process.kill()


def test_lines_come_back_whole_in_order_and_once(new_spool):
    spool = new_spool()
    lines = [b"one", "zwei £".encode(), b"", b"x" * 100_000, b'{"four": "\\n"}']
    for some in (lines[:2], lines[2:3], lines[3:]):
        spool.append(some)
    assert take(spool) == lines
    assert take(spool) == []
    assert spool.bytes() == 0


def test_files_come_back_in_the_order_in_which_they_were_written(new_spool):
    spool = new_spool()
    for number in range(12):
        spool.append([b"%d" % number])
        spool.waiting()
    assert take(spool) == [b"%d" % number for number in range(12)]


def test_a_line_that_comes_while_a_file_is_taken_waits_for_the_next_look(new_spool):
    spool = new_spool()
    spool.append([b"one"])
    (file,) = spool.waiting()
    spool.append([b"two"])
    assert spool.lines(file) == [b"one"]
    spool.done(file)
    assert take(spool) == [b"two"]


def test_a_line_that_comes_while_the_folders_are_listed_is_not_lost(new_spool, monkeypatch):
    spool = new_spool()
    folders, added = spool._folders, iter([b"two"])

    def listed():
        for line in added:  # by the thread that appends
            spool.append([line])
        return folders()

    spool.append([b"one"])
    monkeypatch.setattr(spool, "_folders", listed)
    assert take(spool) == [b"one"]
    spool.append([b"three"])
    assert take(spool) == [b"two", b"three"]


def test_what_is_not_done_is_given_again(new_spool):
    spool = new_spool()
    spool.append([b"one"])
    assert [spool.lines(file) for file in spool.waiting()] == [[b"one"]]
    assert take(spool) == [b"one"]


def test_what_would_pass_the_bound_is_refused_whole(new_spool):
    spool = new_spool(max_bytes=20)
    spool.append([b"123456789"])
    with pytest.raises(SpoolFullError, match="has reached its limit of 20 bytes"):
        spool.append([b"1234", b"12345"])
    assert spool.bytes() == 10
    spool.append([b"123", b"12345"])  # up to the bound
    assert take(spool) == [b"123456789", b"123", b"12345"]
    spool.append([b"x" * 19])  # there is room again


def test_the_bound_counts_what_other_processes_left(tmp_path, new_spool):
    left_behind(tmp_path, [b"123456789"])
    spool = new_spool(max_bytes=20)
    with pytest.raises(SpoolFullError):
        spool.append([b"12345678901"])
    assert take(spool) == [b"123456789"]
    spool.append([b"12345678901"])


@pytest.mark.usefixtures("processes")
def test_a_full_disk_takes_some_lines_whole_or_not_at_all(tmp_path):
    batches = [[b"%d-%d-" % (number, part) + b"x" * 3_000 for part in range(3)] for number in range(12)]
    taken, refusals = [], set()
    with small_disk(tmp_path / "disk") as disk, closing(Spool(disk / "spool", MUCH)) as spool:
        for batch in batches:
            try:
                spool.append(batch)
                taken += batch
            except OSError as error:
                refusals.add(error.errno)
        assert refusals == {errno.ENOSPC}
        assert taken
        assert take(spool) == taken
        spool.append(batches[-1])  # there is room again
        assert take(spool) == batches[-1]


@pytest.mark.usefixtures("processes")
def test_a_full_disk_is_asked_again_and_takes_the_same_lines_once_it_has_room(tmp_path):
    lines = [b"x" * 3_000, b"y" * 3_000]
    with small_disk(tmp_path / "disk") as disk, closing(Spool(disk / "spool", MUCH)) as spool:
        spool.append([b"before"])
        filler = fill_up(disk)
        for _ in range(3):
            with pytest.raises(OSError, match="No space left"):
                spool.append(lines)
        filler.unlink()
        spool.append(lines)
        assert take(spool) == [b"before", *lines]


@pytest.mark.usefixtures("processes")
def test_a_disk_that_takes_a_part_of_a_write_leaves_no_half_line(tmp_path, new_spool):
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, tmp_path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["0", "1", "2"]  # three times two lines fit, the fourth pair is cut
    assert [line[:4] for line in take(new_spool())] == [
        b"%d-%d-" % (number, part) for number in range(3) for part in range(2)
    ]


def test_a_folder_that_cannot_be_one_takes_nothing_and_holds_nothing(tmp_path, new_spool):
    (tmp_path / "spool").write_text("a file where the folder should be")
    spool = Spool(tmp_path / "spool", MUCH)
    with pytest.raises(OSError, match="spool"):
        spool.append([b"one"])
    assert (spool.waiting(), spool.bytes()) == ([], 0)
    spool.close()


@pytest.mark.usefixtures("processes")
def test_what_a_killed_process_left_is_taken_by_the_next_and_its_folder_goes(tmp_path, new_spool):
    with writer(tmp_path) as process:
        process.kill()
        process.wait()
        spool = new_spool()
        assert take(spool) == [b"one", b"two", b"three"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("processes")
def test_the_files_of_a_living_process_are_left_alone(tmp_path, new_spool):
    spool = new_spool()
    with writer(tmp_path):
        assert spool.waiting() == []
        assert spool.bytes() == len("one two three ")
    assert take(spool) == [b"one", b"two", b"three"]


@pytest.mark.usefixtures("processes")
def test_the_unfinished_last_line_of_a_killed_process_is_left_out(tmp_path, new_spool):
    with writer(tmp_path) as process:
        process.kill()
        process.wait()
    newest = max(tmp_path.rglob("*.jsonl"))
    with newest.open("ab") as file:
        file.write(b"four\nfiv")
    assert take(new_spool()) == [b"one", b"two", b"three", b"four"]


def test_two_that_take_at_once_get_every_line(tmp_path):
    left = [[b"%d" % number] for number in range(40)]
    for number in range(25):  # they meet in one of four
        folder, together = tmp_path / str(number), Barrier(2)
        left_behind(folder, *left[:20])
        left_behind(folder, *left[20:])

        def take_all(_: int, folder: Path = folder, together: Barrier = together) -> list[bytes]:
            with closing(Spool(folder, MUCH)) as spool:
                together.wait()
                return take(spool)

        with ThreadPoolExecutor() as pool:
            one, other = pool.map(take_all, range(2))
        # A line may be taken by both; the database keeps it once.
        assert {*one, *other} == {line for (line,) in left}
        assert list(folder.iterdir()) == []


def test_the_folder_of_a_process_that_ends_with_nothing_waiting_goes(tmp_path, new_spool):
    spool = new_spool()
    spool.append([b"one"])
    take(spool)
    spool.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("processes")
def test_the_folder_of_a_killed_process_goes_though_nothing_waits_in_it(tmp_path, new_spool):
    with writer(tmp_path) as process:
        process.kill()
        process.wait()
    for file in tmp_path.rglob("*.jsonl"):
        file.unlink()
    assert take(new_spool()) == []
    assert list(tmp_path.iterdir()) == []


def test_refused_lines_are_kept_beside_the_spool_and_are_not_given_again(tmp_path, new_spool):
    spool = new_spool()
    spool.append([b"good", b"bad"])
    (file,) = spool.waiting()
    spool.refuse(file, [b"bad"])
    spool.done(file)
    (kept,) = tmp_path.glob("*.refused")
    assert kept.read_bytes() == b"bad\n"
    assert spool.waiting() == []


WHO = st.integers(0, 1)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), WHO, st.integers(0, 4)),
        st.tuples(st.just("look"), WHO, st.none()),
        st.tuples(st.just("take"), WHO, st.integers(0, 3)),
        st.tuples(st.just("end"), WHO, st.none()),
    ),
    max_size=30,
)


@given(STEPS)
@settings(max_examples=60, deadline=None)
def test_whatever_two_processes_do_every_line_is_taken_once_and_in_order(steps):
    with tempfile.TemporaryDirectory() as name:
        folder, written, taken = Path(name), [], []
        spools = [Spool(folder, MUCH), Spool(folder, MUCH)]
        for step, who, number in steps:
            if step == "append":
                # Named after its writer, so that the order of each one's lines can be told.
                lines = [b"%d-%05d" % (who, len(written) + more) for more in range(number)]
                spools[who].append(lines)
                written += lines
            elif step == "look":
                spools[who].waiting()
            elif step == "take":
                taken += take(spools[who], number)
            else:
                spools[who].close()
                spools[who] = Spool(folder, MUCH)
        for spool in spools:
            spool.close()
        taken += take(Spool(folder, MUCH))
        assert sorted(taken) == sorted(written)
        assert list(folder.iterdir()) == []
