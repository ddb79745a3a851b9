"""Random faults over days of the daily jobs: what `benchmarks/fault_schedules.py` does, shorter."""

from __future__ import annotations

import pytest

from energy_demand.sandbox.faults import nyiso
from energy_demand.sandbox.faults.queue import KINDS
from fault_schedules import PATHS, Simulation, drawn, measured

DAYS, EVERY_HOURS = 4, 12
SEEDS = [7, 11]


def test_every_kind_of_fault_can_be_drawn():
    kinds = {fault.asked["kind"] for seed in range(200) for fault in drawn(seed, 14, 6).faults}
    of_the_operator = set(nyiso.KINDS)  # whose files are not asked for until they are switched on
    assert kinds == set(PATHS) == set(KINDS) - of_the_operator


def test_the_last_two_days_of_a_schedule_are_without_faults():
    for seed in range(50):
        schedule = drawn(seed, 14, 6)
        assert all(schedule.at(number) == [] for number in range(49, 57))


@pytest.mark.usefixtures("fits")
def test_after_random_faults_all_is_stored_as_without_them_and_every_fault_was_visible(server, open_folder):
    with Simulation(open_folder / "fault-schedules", server, DAYS, EVERY_HOURS).running() as simulated:
        figures = measured(simulated, SEEDS, DAYS, EVERY_HOURS)
    assert figures["problems"] == {}, f"seeds {figures['failing_seeds']} of {SEEDS}"
    assert figures["jobs_with_failed_source"]
