"""Two registered models, a database with demand and weather, and servers on both."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from servers import Server, fill

from energy_demand.evaluation.promotion import FIRST
from energy_demand.registry.registry import Registry
from support import PRESENT, make_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def filled_database_url(new_database_url, synthetic_upstream, tmp_path_factory) -> str:
    """A database with the demand and weather of the synthetic world's last ten weeks."""
    url = new_database_url()
    fill(url, synthetic_upstream, tmp_path_factory.mktemp("filled"))
    return url


@pytest.fixture(scope="session")
def registered(trained, tmp_path_factory, processes) -> Path:
    """An MLflow store with versions 1 (trained through 2025-02-02, promoted) and 2 (2025-02-26)."""
    home = tmp_path_factory.mktemp("registered")
    registry = Registry(make_settings(energy_demand_home=home))
    for number, forecaster in enumerate((trained.judged, trained.forecaster)):
        version = registry.register(forecaster, params={}, metrics={"test_mape": 2.5}, started_at=PRESENT)
        if number == 0:
            registry.apply_verdict(version.run_id, FIRST)
    return home


@pytest.fixture
def home(registered, tmp_path) -> Path:
    """A home of the test's own with the registered models; version 1 is the champion."""
    shutil.copytree(registered / "mlflow", tmp_path / "home" / "mlflow")
    return tmp_path / "home"


@pytest.fixture
def promote(home) -> Callable[[int], None]:
    """Makes a version the champion."""

    def make_champion(version: int) -> None:
        registry = Registry(make_settings(energy_demand_home=home))
        registry.promote(str(version))

    return make_champion


@pytest.fixture
def serve(home, filled_database_url) -> Iterator[Callable[..., Server]]:
    """Starts servers on `home`, with the filled database unless told otherwise, and ends them."""
    servers: list[Server] = []

    def start(*, ready: bool = True, database_url: str = filled_database_url, **settings: object) -> Server:
        servers.append(Server(home, database_url, **settings))
        return servers[-1].start(ready=ready)

    yield start
    for server in servers:
        if server.process is not None:
            server.stop()
        server.client.close()


@pytest.fixture(scope="module")
def service(registered, filled_database_url, tmp_path_factory) -> Iterator[Server]:
    """One server for all tests of a file that only ask."""
    home = tmp_path_factory.mktemp("shared") / "home"
    shutil.copytree(registered / "mlflow", home / "mlflow")
    started = Server(home, filled_database_url).start()
    yield started
    started.stop()
    started.client.close()


@pytest.fixture
def logged(filled_database_url) -> Iterator[Callable[[str], list[sa.Row]]]:
    """Reads the prediction log by request id, or with `%` by its beginning."""
    engine = sa.create_engine(filled_database_url)

    def rows(request_id: str) -> list[sa.Row]:
        with engine.connect() as connection:
            query = "SELECT * FROM prediction_log WHERE request_id LIKE :id ORDER BY row_number, timestamp"
            return list(connection.execute(sa.text(query), {"id": request_id}))

    yield rows
    engine.dispose()
