"""Opening, migrating and stamping the database."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from energy_demand.database.engine import (
    DatabaseUnavailableError,
    DataKindMismatchError,
    migrate,
    open_database,
    stamp,
)
from energy_demand.database.tables import metadata
from support import PRESENT, make_settings


@pytest.fixture
def database_url(create_database) -> str:
    """Without tables."""
    return create_database()


def test_migrations_create_exactly_the_tables_that_the_program_knows(database):
    with database.transaction() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), metadata)
    assert differences == []


def test_opening_again_migrates_nothing(settings):
    first = open_database(settings, migrate_now=False)
    assert migrate(first) is True
    assert migrate(first) is False
    first.close()


def test_two_processes_may_migrate_at_once(settings):
    databases = [open_database(settings, migrate_now=False) for _ in range(3)]
    with ThreadPoolExecutor() as pool:
        done = list(pool.map(migrate, databases))
    assert sorted(done) == [False, False, True]
    for database in databases:
        database.close()


def test_tables_newer_than_the_program_are_refused_and_left_alone(database):
    with database.transaction() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(DatabaseUnavailableError, match="version 9999.*does not know"):
        migrate(database)
    with database.transaction() as connection:
        assert connection.scalar(sa.text("SELECT version_num FROM alembic_version")) == "9999"


def test_an_unreachable_database_is_one_clear_line():
    settings = make_settings(database_url="postgresql://somebody:secret-word@127.0.0.1:9/nothing")
    with pytest.raises(DatabaseUnavailableError) as caught:
        open_database(settings)
    message = str(caught.value)
    assert "127.0.0.1:9/nothing" in message
    assert "DATABASE_URL" in message
    assert "secret-word" not in message
    assert "\n" not in message


@pytest.mark.parametrize("url", ["sqlite:///x.db", "no address at all"])
def test_an_address_that_is_not_postgresql_is_refused(url):
    with pytest.raises(DatabaseUnavailableError, match="DATABASE_URL"):
        open_database(make_settings(database_url=url))


def test_the_first_write_decides_the_kind_of_data(database):
    assert database.kind() is None
    with database.transaction() as connection:
        stamp(connection, "recorded", PRESENT)
        stamp(connection, "recorded", PRESENT)
    assert database.kind() == "recorded"
    with (
        pytest.raises(DataKindMismatchError, match="has recorded data.*synthetic"),
        database.transaction() as connection,
    ):
        stamp(connection, "synthetic", PRESENT)
    assert database.kind() == "recorded"
