"""What the doctor says of database and MLflow: on a real PostgreSQL, and without changing anything."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import timedelta
from types import SimpleNamespace
from urllib.parse import quote

import pytest
import sqlalchemy as sa

from energy_demand.database.engine import open_database
from energy_demand.doctor import stores
from energy_demand.doctor.checks import State, run_checks
from energy_demand.doctor.privacy import Secrets
from energy_demand.registry.local_cache import ChampionCache
from energy_demand.registry.registry import Registry
from support import PRESENT, make_settings


def lines(settings, now=PRESENT, area="database"):
    checks = [each for each in stores.checks(settings, now) if each.name == area]
    return {each.finding.name: each.finding for each in run_checks(checks, Secrets(settings, {}).clean)}


def states(found):
    return {name: each.state for name, each in found.items()}


def test_a_new_database_is_usable_and_says_what_to_do_first(settings, database):
    found = lines(settings)
    assert found["database"].state is State.OK
    assert "PostgreSQL 18" in found["database"].found
    assert found["tables"].state is State.OK
    assert found["role"].state is State.OK
    assert found["quarantine"].state is State.OK
    for each in stores.NEWEST:
        assert found[each.name].state is State.WARNING
        assert "none yet" in found[each.name].found
        assert "energy-demand" in found[each.name].remedy


def execute(database, *statements):
    with database.transaction() as connection:
        for statement in statements:
            connection.execute(sa.text(statement), {"now": PRESENT})


def demand(age):
    return (
        "INSERT INTO raw_demand (respondent, series, period, value, known_at, ingested_at, origin) "
        f"VALUES ('NY', 'D', CAST(:now AS timestamptz) - interval '{age}', 17000, :now, :now, 'api')"
    )


@pytest.mark.parametrize(
    ("old", "state"), [("2 hours", State.OK), ("20 hours", State.WARNING), ("3 days", State.FAILURE)]
)
def test_the_age_of_demand(settings, database, old, state):
    execute(database, demand(old))
    found = lines(settings)["demand stored"]
    assert found.state is state
    assert bool(found.remedy) == (state is not State.OK)


@pytest.mark.parametrize(
    ("whole", "state"),
    [(0, State.NOT_CHECKED), (9, State.OK), (2, State.WARNING)],
    ids=["none", "most", "few"],
)
def test_the_newest_weather_runs(settings, database, whole, state):
    kinds = ["complete"] * whole + ["missing", "failed"] * bool(whole)
    for number, kind in enumerate(kinds, start=2):
        run = f"CAST(:now AS timestamptz) - interval '{6 * number} hours'"
        reason = "'HTTP 503 of the server'" if kind == "failed" else "NULL"
        values = f"'ecmwf_ifs', {run}, {run} + interval '7 hours', '{kind}', 0, '', {reason}, :now, 'NY'"
        execute(database, f"INSERT INTO weather_run VALUES ({values})")
    found = lines(settings)["weather runs"]
    assert found.state is state, found
    if state is State.WARNING:
        assert "1 failed, 1 missing" in found.found
        assert "HTTP 503 of the server" in found.found
        assert "OPEN_METEO_MODELS" in found.remedy


def test_quarantine_sources_and_jobs_that_failed(settings, database):
    execute(
        database,
        "INSERT INTO quarantine (source, subject, reason, payload, seen_at) "
        "VALUES ('eia', 'NY', 'negative', '{}', :now)",
        "INSERT INTO source_state (source, subject, last_error_at, last_error) "
        "VALUES ('eia', 'NY', :now, 'EIA: HTTP 503')",
        "INSERT INTO job_run (job, respondent, last_started_at, last_error) "
        "VALUES ('DRIFT_CHECK', 'NY', :now, 'too few hours')",
    )
    found = lines(settings)
    assert found["quarantine"].found == "1 rows"
    assert "EIA: HTTP 503" in found["source eia NY"].found
    assert found["job drift check"].found == "too few hours"
    assert {found[name].state for name in ("quarantine", "source eia NY", "job drift check")} == {
        State.WARNING
    }


def test_an_error_that_is_over_is_none(settings, database):
    execute(
        database,
        "INSERT INTO source_state (source, subject, last_success_at, last_error_at, last_error) "
        "VALUES ('eia', 'NY', :now, CAST(:now AS timestamptz) - interval '1 hour', 'EIA: HTTP 503')",
    )
    assert lines(settings)["sources"].state is State.OK


def test_a_database_without_tables_stays_so(tmp_path, create_database):
    settings = make_settings(database_url=create_database(), energy_demand_home=tmp_path / "home")
    found = lines(settings)
    assert states(found) == {
        "database": State.OK,
        "tables": State.WARNING,
        "data": State.NOT_CHECKED,
    }
    assert "db upgrade" in found["tables"].remedy
    bare = open_database(settings, migrate_now=False)
    with bare.transaction() as connection:
        assert sa.inspect(connection).get_table_names() == []
    bare.close()


@pytest.mark.parametrize(
    ("version", "told", "remedy"),
    [("0002", "behind", "db upgrade"), ("9999", "newer than this program", "Upgrade energy-demand")],
)
def test_tables_of_another_version(settings, database, version, told, remedy):
    execute(database, f"UPDATE alembic_version SET version_num = '{version}'")
    found = lines(settings)["tables"]
    assert found.state is State.FAILURE
    assert told in found.found
    assert remedy in found.remedy
    with database.transaction() as connection:
        assert connection.scalar(sa.text("SELECT version_num FROM alembic_version")) == version


def test_a_role_that_may_only_read(settings, database):
    execute(
        database,
        "DROP ROLE IF EXISTS doctor_reader",
        "CREATE ROLE doctor_reader LOGIN PASSWORD 'readerpw'",
        "GRANT SELECT ON ALL TABLES IN SCHEMA public TO doctor_reader",
    )
    url = sa.make_url(settings.database_url.get_secret_value()).set(
        username="doctor_reader", password="readerpw"
    )
    try:
        found = lines(make_settings(database_url=url.render_as_string(hide_password=False)))
    finally:
        execute(database, "DROP OWNED BY doctor_reader", "DROP ROLE doctor_reader")
    assert found["role"].state is State.FAILURE
    assert "doctor_reader may not write" in found["role"].found
    assert found["demand stored"].state is State.WARNING  # which it may read


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://u:hiddenpw@127.0.0.1:9/db",
        "mysql://u:hiddenpw@127.0.0.1/db",
        "postgresql://u:hiddenpw@127.0.0.1:port/db",
        "hiddenpw",
    ],
)
def test_a_database_that_cannot_be_reached(address, processes, tmp_path):
    found = lines(make_settings(database_url=address, energy_demand_home=tmp_path))
    assert states(found) == {"database": State.FAILURE, "data": State.NOT_CHECKED}
    assert "hiddenpw" not in str(found)
    assert found["database"].remedy


def test_no_embedded_database_is_made(tmp_path):
    found = lines(make_settings(energy_demand_home=tmp_path / "home"))
    assert states(found) == {"database": State.NOT_CHECKED}
    assert "energy-demand backfill" in found["database"].remedy
    assert list(tmp_path.iterdir()) == []


def test_an_embedded_database_is_not_started(server, tmp_path, monkeypatch):
    home = server.folder.parent
    found = lines(make_settings(energy_demand_home=home))
    assert found["database"].state is State.OK
    assert "PostgreSQL 18" in found["database"].found
    assert f"the embedded one in {home}" in found["database"].found
    assert str(server.data) in found["database disk"].found
    monkeypatch.setattr(type(server), "is_running", lambda _self: False)
    found = lines(make_settings(energy_demand_home=home))
    assert states(found) == {"database": State.WARNING}
    assert "energy-demand status" in found["database"].remedy


def test_a_machine_without_the_embedded_programs(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    found = lines(make_settings(energy_demand_home=tmp_path))
    assert found["database"].state is State.FAILURE
    assert "energy-demand[local]" in found["database"].found


def mlflow(settings, now=PRESENT):
    return lines(settings, now, "MLflow")


def test_no_store_is_made(tmp_path):
    found = mlflow(make_settings(energy_demand_home=tmp_path / "home"))
    assert states(found) == {"MLflow": State.NOT_CHECKED}
    assert "energy-demand train" in found["MLflow"].remedy
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def registered(tmp_path_factory, forecaster, processes):  # MLflow asks for the version of git
    """A home with a champion, and its copy."""
    settings = make_settings(energy_demand_home=tmp_path_factory.mktemp("home"))
    registry = Registry(settings)
    version = registry.register(forecaster, params={}, metrics={"test_mape": 2.0}, started_at=PRESENT)
    registry.promote(version.version)
    registry.champion()
    return settings, forecaster.trained_through


def test_a_champion_that_can_be_loaded(registered):
    settings, trained = registered
    before = {path: path.read_bytes() for path in settings.home.rglob("*") if path.is_file()}
    found = mlflow(settings, trained + timedelta(days=3))
    assert states(found) == {"MLflow": State.OK, "champion": State.OK}
    assert "version 1" in found["champion"].found
    assert {path: path.read_bytes() for path in settings.home.rglob("*") if path.is_file()} == before


def test_a_champion_that_is_old(registered):
    settings, trained = registered
    found = mlflow(settings, trained + timedelta(days=120))["champion"]
    assert found.state is State.WARNING
    assert "energy-demand drift" in found.remedy


def test_a_champion_whose_copy_is_damaged_or_not_there(registered, monkeypatch):
    settings, _ = registered
    (file,) = (settings.home / "models").glob("*.json")
    whole = file.read_bytes()
    try:
        file.write_bytes(whole.replace(b"num_leaves", b"num_lEaves"))
        found = mlflow(settings)["champion"]
        assert found.state is State.FAILURE
        assert str(file) in found.remedy
    finally:
        file.write_bytes(whole)
    monkeypatch.setattr(ChampionCache, "find", lambda *_: None)
    assert mlflow(settings)["champion"].state is State.NOT_CHECKED


def test_an_experiment_that_was_deleted(registered):
    settings, _ = registered
    file = settings.home / "mlflow" / "mlflow.db"

    def mark(stage):
        with closing(sqlite3.connect(file)) as connection, connection:
            connection.execute("UPDATE experiments SET lifecycle_stage = ?", [stage])

    mark("deleted")
    try:
        found = mlflow(settings)["MLflow"]
    finally:
        mark("active")
    assert found.state is State.FAILURE
    assert "deleted" in found.found
    assert "restore" in found.remedy


@pytest.mark.parametrize("name", ["plain", "a b?c#ü"])
def test_a_store_in_a_folder_of_any_name(tmp_path, name):
    file = tmp_path / name / "mlflow.db"
    file.parent.mkdir()
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("CREATE TABLE experiments (name, lifecycle_stage)")
        connection.execute("CREATE TABLE model_versions (name, version, run_id)")
        connection.execute("CREATE TABLE registered_model_aliases (name, version, alias)")
        connection.execute("INSERT INTO experiments VALUES ('energy-demand-forecast', 'active')")
    own = f"sqlite+pysqlite:///file:{quote(str(file))}?uri=true"
    for address in (own, f"sqlite:///{file}") if name == "plain" else (own,):
        found = mlflow(make_settings(energy_demand_home=tmp_path, mlflow_tracking_uri=address))
        assert states(found) == {"MLflow": State.OK, "champion": State.WARNING}


def test_a_store_by_its_address(registered, tmp_path):
    settings, _ = registered
    address = f"sqlite:///{settings.home / 'mlflow' / 'mlflow.db'}"
    there = make_settings(energy_demand_home=tmp_path, mlflow_tracking_uri=address)
    assert mlflow(there)["MLflow"].state is State.OK
    absent = make_settings(energy_demand_home=tmp_path, mlflow_tracking_uri=f"sqlite:///{tmp_path}/no.db")
    assert mlflow(absent)["MLflow"].state is State.FAILURE
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "address", ["http://me:mlflowpw@127.0.0.1:9", "postgresql://me:mlflowpw@127.0.0.1:9/mlflow"]
)
def test_an_mlflow_that_cannot_be_reached(address, processes, tmp_path):
    found = mlflow(make_settings(energy_demand_home=tmp_path, mlflow_tracking_uri=address))
    assert states(found) == {"MLflow": State.FAILURE}
    assert "mlflowpw" not in str(found)
    assert "MLFLOW_TRACKING_URI" in found["MLflow"].remedy


def test_a_postgresql_of_mlflow_that_is_empty(create_database, tmp_path):
    found = mlflow(make_settings(energy_demand_home=tmp_path, mlflow_tracking_uri=create_database()))
    assert states(found) == {"MLflow": State.WARNING, "champion": State.WARNING}


def test_the_connection_cannot_write(settings, database):
    """What the doctor opens is read-only, whatever a check would try."""
    seen = []

    def write(_connection):
        seen.append(_connection.scalar(sa.text("SHOW transaction_read_only")))
        return [SimpleNamespace(state=State.WARNING, remedy="")]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stores, "_tables", write)
        stores.checks(settings, PRESENT)[0].run()
    assert seen == ["on"]
