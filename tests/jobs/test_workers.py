"""Parts of a job on a Dask cluster: the same results, and the messages of a lost or unfit cluster."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from parts import added, counted, failing, killed_always, killed_once, slow_but_first

from dask_clusters import scheduler_at, wait_for_worker
from energy_demand.jobs.fan_out import workers
from energy_demand.jobs.fan_out.kept_parts import code_digest
from energy_demand.jobs.fan_out.workers import THIS_PROCESS, WorkersError, silent, workers_of
from energy_demand.jobs.past_days import PastDaysError
from processes import free_port

pytestmark = pytest.mark.usefixtures("processes")

HERE = Path(__file__).parent
TASKS = {1: 1, 2: 2, 3: 3}


@pytest.fixture(scope="module")
def local():
    with workers_of(2) as two:
        yield two


def results(each, function, shared, tasks=TASKS) -> dict[int, int]:
    return dict(each.each(function, shared, tasks, silent))


def test_a_cluster_gives_what_this_process_gives(local):
    assert results(local, added, 100) == results(THIS_PROCESS, added, 100) == {1: 101, 2: 102, 3: 103}
    assert results(local, added, 100, {}) == results(THIS_PROCESS, added, 100, {}) == {}


def test_what_all_parts_read_may_be_large_without_a_warning(local):
    assert results(local, counted, os.urandom(11_000_000), {1: 1}) == {1: 11_000_001}


def test_this_process_tells_each_step():
    steps: list[object] = []
    dict(THIS_PROCESS.each(added, 0, TASKS, steps.append))
    assert steps == [1, 2, 3]


def test_a_killed_worker_changes_nothing(local, tmp_path):
    marker = tmp_path / "killed"
    assert results(local, killed_once, marker) == {1: 10, 2: 20, 3: 30}
    assert marker.exists()


def test_a_part_that_ends_every_worker_is_one_line():
    with (
        workers_of(2) as own,
        pytest.raises(
            WorkersError, match="the same part ended several workers.*0 of 3 parts are finished and kept"
        ),
    ):
        results(own, killed_always, 0)


def test_an_error_of_a_part_is_that_of_the_part(local):
    with pytest.raises(PastDaysError, match=r"part \d has no days"):
        results(local, failing, 0)


def test_a_lost_scheduler_is_one_line_that_says_what_is_kept(tmp_path):
    port = free_port()
    with scheduler_at(port, imports=HERE) as scheduler:
        wait_for_worker(port)
        with workers_of(address=f"tcp://127.0.0.1:{port}") as far:
            parts = far.each(slow_but_first, tmp_path / "asked", TASKS, silent)
            number, result = next(parts)
            assert number == result
            scheduler.kill()
            with pytest.raises(
                WorkersError, match="scheduler was lost; 1 of 3 parts are finished and kept; give"
            ):
                next(parts)


def test_a_scheduler_that_is_not_there_is_one_line(monkeypatch):
    monkeypatch.setattr(workers, "CONNECT_SECONDS", 1)
    with (
        pytest.raises(WorkersError, match="no scheduler answers; start one with"),
        workers_of(address=f"tcp://127.0.0.1:{free_port()}"),
    ):
        pass


def test_an_address_that_is_none_is_one_line():
    with (
        pytest.raises(WorkersError, match="Dask at nonsense://x: no scheduler answers"),
        workers_of(address="nonsense://x"),
    ):
        pass


def test_a_scheduler_without_a_worker_is_one_line():
    port = free_port()
    with (
        scheduler_at(port, worker=False),
        pytest.raises(WorkersError, match="has no worker; start one with"),
        workers_of(address=f"tcp://127.0.0.1:{port}"),
    ):
        pass


@pytest.mark.parametrize(
    ("scheduler", "of_workers", "message"),
    [
        pytest.param("here", ["here", "other"], "version of energy-demand is at worker 2;", id="a worker"),
        pytest.param("here", ["a", "b"], "is at worker 1 and 1 more; install this one", id="two workers"),
        pytest.param("other", ["here"], "is at the scheduler; install", id="the scheduler"),
        pytest.param(ImportError("energy_demand"), ["here"], "is not installed there", id="not installed"),
    ],
)
def test_other_code_on_the_cluster_is_refused(scheduler, of_workers, message):
    def digest(found):
        return code_digest() if found == "here" else found

    class Client:
        def run_on_scheduler(self, _function):
            if isinstance(scheduler, ImportError):
                raise scheduler
            return digest(scheduler)

        def run(self, _function):
            return {f"worker {number}": digest(each) for number, each in enumerate(of_workers, start=1)}

    with pytest.raises(WorkersError, match=message):
        workers._check(Client(), "Dask at x")
