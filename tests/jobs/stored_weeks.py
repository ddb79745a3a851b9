"""Nineteen weeks of the synthetic world in a database per test, and a registry with two versions."""

from __future__ import annotations

import itertools
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from children import silent
from short import FIRST_DAY, LAST_DAY, SHORT, TESTED, TRAINED_AT, poisoned

from energy_demand.data.ingestion.ingest import backfill_span
from energy_demand.data.record_store import load_record
from energy_demand.database.engine import opened
from energy_demand.database.tables import retraining_log
from energy_demand.evaluation.promotion import FIRST
from energy_demand.jobs.ingestion import run_ingestion
from energy_demand.model.train import fit
from energy_demand.registry.registry import Registry
from support import PRESENT, make_settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from energy_demand.config import Settings


@pytest.fixture(scope="session")
def filled(new_database_url, synthetic_upstream, tmp_path_factory) -> Settings:
    """Settings of a filled database and of a home with two versions; both are only copied.

    Version 1 is the champion. Version 2 learnt from a last month that was 30 % too high.
    """
    settings = make_settings(
        energy_demand_home=tmp_path_factory.mktemp("filled"),
        database_url=new_database_url(),
        sandbox_url=synthetic_upstream,
    )
    registry = Registry(settings)
    with opened(settings) as database:
        span = backfill_span(settings, FIRST_DAY, LAST_DAY, PRESENT)
        run_ingestion(database, settings, span, PRESENT, silent)
        record = load_record(database, settings, TRAINED_AT)
    for learnt_from, metrics in ((record, TESTED), (poisoned(record), {})):
        fitted = fit(learnt_from, SHORT, judge=False).forecaster
        version = registry.register(fitted, params={}, metrics=metrics, started_at=TRAINED_AT)
        if learnt_from is record:
            registry.apply_verdict(version.run_id, FIRST)
    return settings


@pytest.fixture(scope="session")
def copied(server, filled):
    """A context manager with a copy of the filled database; yields its address."""
    numbers = itertools.count(1)
    original = sa.make_url(filled.database_url.get_secret_value()).database
    admin = sa.create_engine(server.url(), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)

    @contextmanager
    def copy() -> Iterator[str]:
        name = f"filled_{next(numbers)}"
        with admin.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name} TEMPLATE {original}")
            yield server.url(name)
            connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")

    return copy


@pytest.fixture
def database_url(copied) -> Iterator[str]:
    """The address of the test's own filled database."""
    with copied() as address:
        yield address


@pytest.fixture
def home(filled, tmp_path) -> Path:
    """A home of the test's own with the champion."""
    store = tmp_path / "home" / "mlflow"
    shutil.copytree(filled.home / "mlflow", store)
    return tmp_path / "home"


@pytest.fixture
def settings(home, database_url, synthetic_upstream) -> Settings:
    """Settings with a filled database and a home of the test's own, and the sandbox."""
    return make_settings(energy_demand_home=home, database_url=database_url, sandbox_url=synthetic_upstream)


@pytest.fixture
def registry(settings) -> Registry:
    return Registry(settings)


@pytest.fixture
def _worse_serves(registry):
    """Version 2 is the champion, so that a new model is certainly better."""
    registry.promote("2")


@pytest.fixture
def retrainings(database):
    """Reads the retraining log, oldest first."""

    def read() -> list[sa.Row]:
        with database.transaction() as connection:
            return list(connection.execute(sa.select(retraining_log).order_by(retraining_log.c.id)))

    return read
