"""Opening, migrating and stamping the database."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from energy_demand.database.engine import (
    DatabaseUnavailableError,
    DataKindMismatchError,
    _alembic_config,
    migrate,
    newest_revision,
    open_database,
    stamp,
)
from energy_demand.database.engine import database_url as database_url_of
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


def test_the_newest_version_read_from_file_names_is_the_head_of_the_migrations():
    assert newest_revision() == ScriptDirectory.from_config(_alembic_config()).get_current_head()


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


SECRET = "canary-word"


@pytest.mark.parametrize(
    "rest",
    [
        f"u:p@{SECRET}@host/db",
        f"u:p@x/{SECRET}@host/db",
        f"u:p@x?{SECRET}=y@host/db",
        f"u:p@x:{SECRET}@host/db",
        f"u:p@x#{SECRET}@host/db",
        f"u:p@@{SECRET}@host/db",
        f"u:{SECRET}@host:54x/db",
        f"u:{SECRET}@[::1/db",
    ],
)
def test_no_part_of_a_password_is_shown_when_an_address_is_refused(rest):
    with pytest.raises(
        DatabaseUnavailableError, match="DATABASE_URL is not a valid URL.*%40 for @"
    ) as caught:
        database_url_of(make_settings(database_url=f"postgresql://{rest}"))
    assert SECRET not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("password", "written"),
    [("p@ss/w?rd#", "p%40ss%2Fw%3Frd%23"), ("p/ss", "p/ss"), ("100%", "100%25"), ("a#b", "a#b"), ("ü", "ü")],
)
def test_a_password_reaches_the_server_as_it_is(password, written):
    url = database_url_of(make_settings(database_url=f"postgresql://u:{written}@host/db"))
    assert (url.username, url.password, url.host, url.database) == ("u", password, "host", "db")


@pytest.mark.parametrize(
    ("query", "named"),
    [
        (f"nonsense={SECRET}", "nonsense"),
        ("sslmode", "sslmode"),
        ("sslmode=", "sslmode"),
        ("connect_timeout=soon", "connect_timeout"),
        ("sslmode=require&SSLMODE=disable", "SSLMODE"),
    ],
)
def test_an_option_of_the_address_that_would_be_dropped_is_refused_by_name(query, named):
    with pytest.raises(DatabaseUnavailableError, match=f"DATABASE_URL: '{named}' is not a conn") as caught:
        database_url_of(make_settings(database_url=f"postgresql://u@host/db?{query}"))
    assert SECRET not in str(caught.value)


def test_hosts_and_ports_that_do_not_fit_together_are_one_line():
    settings = make_settings(database_url="postgresql://u@/db?host=one&host=two&port=6432")
    with pytest.raises(DatabaseUnavailableError, match="DATABASE_URL: its hosts and ports do not fit"):
        open_database(settings)


def test_what_the_address_asks_for_is_kept_beside_what_we_need(database_url):
    query = "connect_timeout=7&application_name=mine&options=-c%20work_mem%3D7MB%20-c%20timezone%3DAsia/Tokyo"
    settings = make_settings(database_url=f"{database_url}?{query}")
    database = open_database(settings, migrate_now=False, read_only=True, statement_seconds=5)
    with database.transaction() as connection:
        found = {
            name: connection.scalar(sa.text(f"SHOW {name}"))
            for name in (
                "work_mem",
                "application_name",
                "timezone",
                "default_transaction_read_only",
                "statement_timeout",
            )
        }
        given = connection.connection.driver_connection.info.get_parameters()
    database.close()
    assert found == {
        "work_mem": "7MB",
        "application_name": "mine",
        "timezone": "UTC",  # ours counts: every time is stored in UTC
        "default_transaction_read_only": "on",
        "statement_timeout": "5s",
    }
    assert given["connect_timeout"] == "7"


@pytest.mark.parametrize(
    ("address", "label"),
    [
        ("postgresql://u:p@host/db", "host:5432/db"),
        ("postgresql:///db?host=/run/postgresql&user=u&password=p", "/run/postgresql:5432/db"),
        ("postgresql://u@/db?host=one:6432&host=two:6433", "one:6432,two:6433/db"),
        ("postgresql://u@/db?host=one,two&port=6432,6433", "one,two:6432,6433/db"),
        ("postgresql:///?dbname=db&host=host", "host:5432/db"),
    ],
)
def test_the_label_says_where_the_address_leads(address, label):
    database = open_database(make_settings(database_url=address), migrate_now=False)
    assert database.label == label
    database.close()


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
