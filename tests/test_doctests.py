"""The examples in docstrings of the pure packages are true."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import energy_demand.evaluation
import energy_demand.model

MODULES = [
    "energy_demand.arrays",
    "energy_demand.timeaxis",
    "energy_demand.data.irradiance",
    *(
        module.name
        for package in (energy_demand.model, energy_demand.evaluation)
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    ),
]


def examples_of(name: str) -> list[doctest.DocTest]:
    return [test for test in doctest.DocTestFinder().find(importlib.import_module(name)) if test.examples]


@pytest.mark.parametrize("name", [name for name in MODULES if examples_of(name)])
def test_the_examples_of_a_module_are_true(name):
    for test in examples_of(name):
        result = doctest.DocTestRunner(verbose=False).run(test)
        assert result.failed == 0, f"{test.name}: see the output above"


def test_there_are_examples():
    assert {"energy_demand.arrays", "energy_demand.timeaxis", "energy_demand.model.metrics"} <= {
        name for name in MODULES if examples_of(name)
    }
