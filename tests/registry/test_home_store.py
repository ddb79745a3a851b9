"""A home that is copied, moved or oddly named: its store reads and writes its own files alone."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import mlflow
import pytest
import sqlalchemy as sa

from energy_demand.config import MLFLOW_EXPERIMENT_NAME
from energy_demand.evaluation.promotion import FIRST
from energy_demand.registry.home_store import follow_home, sqlite_address, sqlite_file
from energy_demand.registry.manifest import ModelRefusedError
from energy_demand.registry.mlflow_store import MlflowStore, RegistryUnavailableError
from energy_demand.registry.registry import Registry
from energy_demand.registry.serialization import to_texts
from support import PRESENT, make_settings

if TYPE_CHECKING:
    from pathlib import Path

# MLflow looks for git.
pytestmark = pytest.mark.usefixtures("processes")

ODD_NAMES = ["plain", "a b?c#ü", "50 % off", "a%20b", "?", "a&mode=ro"]


def registry_in(home: Path) -> Registry:
    return Registry(make_settings(energy_demand_home=home))


def files_of(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(file.relative_to(folder)): (file.stat().st_mtime_ns, file.read_bytes())
        for file in folder.rglob("*")
        if file.is_file()
    }


def paths_in(home: Path) -> list[str]:
    """Every path that the store of `home` names."""
    with closing(sqlite3.connect(home / "mlflow" / "mlflow.db")) as store:
        return [
            str(row[0])
            for table, column in (
                ("experiments", "artifact_location"),
                ("runs", "artifact_uri"),
                ("logged_models", "artifact_location"),
                ("model_versions", "source"),
                ("model_versions", "storage_location"),
            )
            for row in store.execute(f"SELECT {column} FROM {table} WHERE {column} IS NOT NULL")
        ]


@pytest.fixture(scope="module")
def two_versions(trained, tmp_path_factory) -> Path:
    """A home with two versions, of which the second serves. Only copied."""
    home = tmp_path_factory.mktemp("two")
    registry = registry_in(home)
    for model in (trained.judged, trained.forecaster):
        version = registry.register(model, params={}, metrics={"test_mape": 2.5}, started_at=PRESENT)
        registry.apply_verdict(version.run_id, FIRST)
    return home


@pytest.fixture
def original(two_versions, tmp_path) -> Path:
    """The same in a home of the test's own."""
    home = tmp_path / "original"
    shutil.copytree(two_versions, home)
    assert follow_home(home / "mlflow")
    return home


@pytest.mark.parametrize("name", ODD_NAMES)
def test_an_address_opens_the_file_in_a_folder_of_any_name(name, tmp_path):
    file = tmp_path / name / "mlflow.db"
    file.parent.mkdir()
    address = sqlite_address(file)
    engine = sa.create_engine(address, poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE hours (period TEXT)"))
    engine.dispose()
    assert file.is_file()
    assert sqlite_file(engine.url.database) == file
    assert list(tmp_path.iterdir()) == [file.parent]


def test_an_ordinary_path_has_the_ordinary_address(tmp_path):
    assert sqlite_address(tmp_path / "mlflow.db") == f"sqlite:///{tmp_path}/mlflow.db"


@pytest.mark.parametrize("original_is", ["there", "gone"])
def test_a_copied_home_loads_and_writes_its_own_files(original_is, original, trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = files_of(original)
    copy = tmp_path / "a b?c#ü"
    shutil.copytree(original, copy)
    shutil.rmtree(copy / "models", ignore_errors=True)
    if original_is == "gone":
        shutil.rmtree(original)
    registry = registry_in(copy)
    stage = "adaptive_regression.json"
    assert registry.load("1").texts[stage] == to_texts(trained.judged)[stage]
    assert registry.rollback() == ("1", "2")
    third = registry.register(trained.judged, params={}, metrics={}, started_at=PRESENT)
    assert registry.apply_verdict(third.run_id, FIRST)
    assert registry.champion_version() == "3"
    assert registry.champion().texts[stage] == to_texts(trained.judged)[stage]
    own = (copy / "mlflow" / "artifacts").as_uri()
    named = [path for path in paths_in(copy) if "/mlflow/artifacts" in path]
    assert named
    assert all(path == own or path.startswith(f"{own}/") for path in named)
    assert files_of(original) == ({} if original_is == "gone" else before)
    assert {each.name for each in tmp_path.iterdir()} <= {"original", copy.name}


def test_a_home_that_is_moved_on_and_back_is_as_before(original, tmp_path):
    paths = paths_in(original)
    for source, target in (("original", "elsewhere"), ("elsewhere", "third"), ("third", "original")):
        (tmp_path / source).rename(tmp_path / target)
        registry_in(tmp_path / target).load("1")
    assert paths_in(original) == paths


def test_a_store_that_stayed_is_not_written(original):
    before = (original / "mlflow" / "mlflow.db").stat().st_mtime_ns
    assert not follow_home(original / "mlflow")
    assert (original / "mlflow" / "mlflow.db").stat().st_mtime_ns == before


def test_files_outside_the_home_stay_where_they_are(original, tmp_path):
    with MlflowStore(make_settings(energy_demand_home=original)).client() as client:
        client.create_experiment("mine", artifact_location=(tmp_path / "data" / "mlflow").as_uri())
        # The original's path is the beginning of this one's, but not its folder.
        client.create_experiment(
            "near", artifact_location=(original / "mlflow" / "artifacts-of-mine").as_uri()
        )
    original.rename(tmp_path / "moved")
    with MlflowStore(make_settings(energy_demand_home=tmp_path / "moved")).client() as client:
        found = {each.name: each.artifact_location for each in client.search_experiments()}
    assert found["mine"] == (tmp_path / "data" / "mlflow").as_uri()
    assert found["near"] == (original / "mlflow" / "artifacts-of-mine").as_uri()
    assert found[MLFLOW_EXPERIMENT_NAME] == (tmp_path / "moved" / "mlflow" / "artifacts").as_uri()


def test_a_store_that_cannot_be_written_is_one_line_and_keeps_its_paths(original, tmp_path):
    paths = paths_in(original)
    original.rename(tmp_path / "moved")
    with closing(sqlite3.connect(tmp_path / "moved" / "mlflow" / "mlflow.db")) as store:
        store.execute(
            "CREATE TRIGGER closed BEFORE UPDATE ON logged_models BEGIN SELECT RAISE(FAIL, 'closed'); END"
        )
        store.commit()
    with pytest.raises(RegistryUnavailableError, match="closed; the champion is unchanged") as caught:
        registry_in(tmp_path / "moved").load("1")
    assert "\n" not in str(caught.value)
    assert paths_in(tmp_path / "moved") == paths  # all of them or none


def test_a_copy_without_its_files_is_refused_and_does_not_read_the_original_s(original, tmp_path):
    copy = tmp_path / "copy"
    (copy / "mlflow").mkdir(parents=True)
    shutil.copy(original / "mlflow" / "mlflow.db", copy / "mlflow")
    with pytest.raises(ModelRefusedError, match="version 1 .*not where MLflow keeps them; bring them back"):
        registry_in(copy).load("1")


def test_a_store_of_a_server_is_left_alone(original, tmp_path):
    address = f"sqlite:///{original}/mlflow/mlflow.db"
    paths = paths_in(original)
    settings = make_settings(energy_demand_home=tmp_path / "other", mlflow_tracking_uri=address)
    assert Registry(settings).load("1").version == "1"
    assert paths_in(original) == paths


@pytest.mark.parametrize("state", ["deleted", "active"])
def test_an_experiment_that_was_deleted_in_mlflow_s_pages_comes_back(state, original, trained):
    registry = registry_in(original)
    client = mlflow.MlflowClient(registry.uri, registry.uri)
    found = client.get_experiment_by_name(MLFLOW_EXPERIMENT_NAME)
    if state == "deleted":
        client.delete_experiment(found.experiment_id)
    version = registry.register(trained.judged, params={}, metrics={}, started_at=PRESENT)
    assert version.version == "3"
    assert client.get_experiment(found.experiment_id).lifecycle_stage == "active"
    assert len(client.search_runs([found.experiment_id])) == 3


def test_another_project_s_mlflow_settings_lead_nowhere(original, trained, tmp_path, monkeypatch):
    elsewhere = f"sqlite:///{tmp_path}/elsewhere.db"
    for name, value in {
        "MLFLOW_RUN_ID": "0" * 32,
        "MLFLOW_EXPERIMENT_ID": "77",
        "MLFLOW_EXPERIMENT_NAME": "another",
        "MLFLOW_REGISTRY_URI": elsewhere,
        "MLFLOW_ACTIVE_MODEL_ID": "m-1",
    }.items():
        monkeypatch.setenv(name, value)
    registry = registry_in(original)
    version = registry.register(trained.judged, params={}, metrics={}, started_at=PRESENT)
    assert registry.apply_verdict(version.run_id, FIRST)
    assert registry.champion_version() == version.version == "3"
    assert not (tmp_path / "elsewhere.db").exists()


def test_a_champion_loads_while_the_system_s_temporary_folder_is_gone(original, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "cleaned"))
    shutil.rmtree(original / "models", ignore_errors=True)
    assert registry_in(original).champion().version == "2"
    assert not list(original.glob(".registry-*"))


@pytest.mark.parametrize(
    "address",
    [
        "http://[::1",
        "http://u:canary-word@127.0.0.1:9",
        "http://u:p@canary-word@127.0.0.1:9",
        "http://127.0.0.1:99999",
        "postgresql://u:canary-word@127.0.0.1:1/mlflow",
        "postgres://u:canary-word@127.0.0.1:1/mlflow",
        "postgresql+psycopg://u:p@canary-word@host/mlflow",
        "postgresql://u:p@x/canary-word@host/mlflow",
        "postgresql://u:canary-word@host:54x/mlflow",
        "nowhere://canary",
        "mlruns",
    ],
)
def test_an_address_of_mlflow_that_leads_nowhere_is_one_line(address, tmp_path):
    settings = make_settings(energy_demand_home=tmp_path, mlflow_tracking_uri=address)
    with pytest.raises(RegistryUnavailableError, match="MLFLOW_TRACKING_URI") as caught:
        Registry(settings).champion_version()
    assert "canary-word" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_store_in_postgresql_needs_no_driver_in_its_address():
    for scheme in ("postgresql", "postgres", "postgresql+psycopg"):
        store = MlflowStore(make_settings(mlflow_tracking_uri=f"{scheme}://u:p@host/mlflow"))
        assert store.uri == "postgresql+psycopg://u:p@host/mlflow"
