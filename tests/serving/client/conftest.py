"""One service for everything in here, whose log has a day's scheduled forecasts."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from servers import Server, fill

from energy_demand.database import predictions
from energy_demand.database.engine import open_database
from logged_days import USUAL_DAY, forecasts
from support import make_settings

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="package")
def asked(registered, new_database_url, synthetic_upstream, tmp_path_factory) -> Iterator[Server]:
    home, url = tmp_path_factory.mktemp("asked") / "home", new_database_url()
    shutil.copytree(registered / "mlflow", home / "mlflow")
    fill(url, synthetic_upstream, home)
    database = open_database(make_settings(database_url=url))
    with database.transaction() as connection:
        predictions.insert_predictions(connection, forecasts(USUAL_DAY))
    database.close()
    started = Server(home, url).start()
    yield started
    started.stop()
    started.client.close()


@pytest.fixture(scope="package")
def address(asked) -> str:
    return f"http://127.0.0.1:{asked.port}"


@pytest.fixture
def asked_settings(asked):
    """Settings of the same home and database as the service's."""
    return make_settings(energy_demand_home=asked.home, database_url=asked.settings["DATABASE_URL"])
