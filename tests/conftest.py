"""What most tests need: a real PostgreSQL, a real sandbox over HTTP, settings that point at both."""

from __future__ import annotations

import itertools
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from energy_demand.config import Settings
from energy_demand.database.embedded import EmbeddedServer
from energy_demand.database.engine import Database, open_database
from energy_demand.model.train import Trained, fit
from energy_demand.sandbox.app import create_app
from energy_demand.sandbox.server import serving
from energy_demand.sandbox.worlds.synthetic import SyntheticWorld
from lanes import (  # noqa: F401  (fixtures and hooks)
    _lane,
    fits,
    longest_files_first,
    mark_lanes,
    processes,
    pytest_addoption,
    pytest_runtest_logreport,
    pytest_runtest_protocol,
    pytest_terminal_summary,
)
from records import QUICK, synthetic_record
from support import PRESENT, SHARED_DATA, make_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from energy_demand.data.record import Record
    from energy_demand.model.forecaster import Forecaster

# Read when LightGBM is loaded. The fits of tests are small: more threads would only wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    mark_lanes(items)
    longest_files_first(items)
    if SHARED_DATA.is_dir():
        return
    absent = pytest.mark.skip(reason="the recorded data is absent (no folder shared/data beside the project)")
    for item in items:
        if "shared_data" in item.keywords:
            item.add_marker(absent)


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's own environment must not reach a test."""

    for name in list(os.environ):
        if name.upper() in {field.upper() for field in Settings.model_fields}:
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _main_stays_main() -> Iterator[None]:
    """Streamlit's AppTest puts a script of its own in place of `__main__`, and processes start from that."""
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main


@pytest.fixture(scope="session")
def open_folder():
    """A folder that every account may enter: PostgreSQL's account must, and pytest's own are closed."""
    folder = Path(tempfile.mkdtemp(prefix="energy-demand-tests-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def server(open_folder: Path, processes):
    """One embedded PostgreSQL for the session."""
    server = EmbeddedServer(open_folder / "server")
    server.start()
    # Nothing of it outlives the session, and to write dozens of databases out at its end takes minutes.
    engine = sa.create_engine(server.url(), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql("ALTER SYSTEM SET fsync = off")
        connection.exec_driver_sql("SELECT pg_reload_conf()")
    engine.dispose()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def create_database(server: EmbeddedServer):
    """Makes a database, empty or a copy of another one, and gives its address."""
    numbers = itertools.count(1)
    admin = sa.create_engine(server.url(), isolation_level="AUTOCOMMIT")

    def create(template: str = "template1") -> str:
        name = f"test_{next(numbers)}"
        with admin.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name} TEMPLATE {template}")
        return server.url(name)

    yield create
    admin.dispose()


@pytest.fixture(scope="session")
def new_database_url(create_database):
    """Makes a database with all tables and no rows, and gives its address."""
    template = create_database()  # migrated once: a copy takes a tenth of the time
    open_database(make_settings(database_url=template)).close()
    return lambda: create_database(sa.make_url(template).database)


@pytest.fixture
def database_url(request, new_database_url, create_database) -> str:
    """The address of a database of the test's own; a parameter asks for one without tables."""
    return create_database() if hasattr(request, "param") else new_database_url()


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    """Settings with a database of the test's own and no upstream; a test adds its `sandbox_url`."""
    return make_settings(energy_demand_home=tmp_path / "home", database_url=database_url)


@pytest.fixture
def database(settings: Settings):
    """The opened, migrated database of `settings`."""
    database: Database = open_database(settings)
    yield database
    database.close()


@pytest.fixture(scope="session")
def synthetic_upstream(processes):
    """The address of a sandbox with undisturbed synthetic data, whose present is `PRESENT`."""
    with serving(create_app(SyntheticWorld(seed=1), now=PRESENT)) as address:
        yield address


@pytest.fixture(scope="session")
def record() -> Record:
    return synthetic_record()


@pytest.fixture(scope="session")
def trained(record, fits) -> Trained:
    return fit(record, QUICK)


@pytest.fixture(scope="session")
def forecaster(trained) -> Forecaster:
    return trained.forecaster
