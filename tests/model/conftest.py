"""One synthetic record and one quick fit of it, for all tests of the model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from energy_demand.model.train import Trained, fit
from records import QUICK, synthetic_record

if TYPE_CHECKING:
    from energy_demand.data.record import Record
    from energy_demand.model.forecaster import Forecaster


@pytest.fixture(scope="session")
def record() -> Record:
    return synthetic_record()


@pytest.fixture(scope="session")
def trained(record) -> Trained:
    return fit(record, QUICK)


@pytest.fixture(scope="session")
def forecaster(trained) -> Forecaster:
    return trained.forecaster
