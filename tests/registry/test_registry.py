"""Versions in a real MLflow store: which is the champion, which was before it, loaded whole or not."""

from __future__ import annotations

import contextlib
import json
import shutil
from typing import TYPE_CHECKING

import mlflow
import pytest

from energy_demand.config import MLFLOW_EXPERIMENT_NAME, MODEL_NAME
from energy_demand.errors import UserError
from energy_demand.evaluation.promotion import FIRST, Decision, SliceScore, Verdict
from energy_demand.registry.champion_alias import PREVIOUS_TAG
from energy_demand.registry.manifest import MANIFEST_FILE, ModelRefusedError
from energy_demand.registry.mlflow_store import RegistryUnavailableError
from energy_demand.registry.registry import (
    ROLLED_BACK_TAG,
    VERDICT_FILE,
    NoChampionError,
    NoRollbackError,
    NoVersionError,
    Registry,
    Version,
)
from energy_demand.registry.run_history import run_history
from energy_demand.registry.serialization import to_texts
from support import PRESENT, make_settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from energy_demand.registry.champion import Champion

# MLflow looks for git.
pytestmark = pytest.mark.usefixtures("processes")

REFUSED = Verdict(Decision.REFUSED, "worse")


@pytest.fixture
def registry(tmp_path) -> Registry:
    return Registry(make_settings(energy_demand_home=tmp_path))


@pytest.fixture
def register(registry, trained):
    """Registers `judged` or `forecaster` as the next version."""

    def add(fit: str = "judged", mape: float = 2.5) -> Version:
        model = getattr(trained, fit)
        return registry.register(model, params={}, metrics={"test_mape": mape}, started_at=PRESENT)

    return add


@pytest.fixture
def damage(tmp_path):
    """Changes a stored file of a version, counted from 1 in the order they were registered."""

    def change(version: int) -> None:
        files = sorted(tmp_path.rglob(MANIFEST_FILE), key=lambda file: file.stat().st_mtime_ns)
        stage = files[version - 1].with_name("adaptive_regression.json")
        stage.write_text(stage.read_text().replace("1", "2", 1))

    return change


def test_before_the_first_promotion_there_is_no_champion(registry, register):
    assert registry.champion_version() is None
    register()
    assert registry.champion_version() is None
    with pytest.raises(NoChampionError, match="run `energy-demand train` first"):
        registry.champion()


def test_the_champion_is_the_version_promoted_last(registry, register):
    first, second = register(), register()
    registry.apply_verdict(first.run_id, FIRST)
    assert registry.champion_version() == "1"
    registry.apply_verdict(second.run_id, FIRST)
    assert registry.champion_version() == "2"


def test_a_challenger_that_lost_leaves_the_champion(registry, register):
    first, second = register(), register()
    registry.apply_verdict(first.run_id, FIRST)
    assert not registry.apply_verdict(second.run_id, REFUSED)
    assert (registry.champion_version(), registry.champion().previous) == ("1", None)


def test_a_version_comes_back_whole_whether_it_serves_or_not(registry, register, trained):
    register("judged", mape=2.5)
    second = register("forecaster", mape=1.5)
    registry.apply_verdict(second.run_id, FIRST)
    for version, model, mape in (("1", trained.judged, 2.5), ("2", trained.forecaster, 1.5)):
        loaded = registry.load(version)
        assert (loaded.version, loaded.metrics["test_mape"]) == (version, mape)
        assert (
            to_texts(loaded.forecaster)["adaptive_regression.json"]
            == to_texts(model)["adaptive_regression.json"]
        )
    assert registry.champion().run_id == second.run_id


def test_the_previous_champion_is_the_one_that_served_until_the_promotion(registry, register, trained):
    runs = [register(), register("forecaster"), register()]
    registry.apply_verdict(runs[0].run_id, FIRST)
    registry.apply_verdict(runs[1].run_id, REFUSED)
    registry.apply_verdict(runs[2].run_id, FIRST)
    champion = registry.champion()
    before = registry.previous(champion)
    assert (champion.version, champion.previous, before.version) == ("3", "1", "1")
    assert before.run_id == runs[0].run_id
    assert before.forecaster.trained_through == trained.judged.trained_through


def test_the_first_champion_has_none_before_it(registry, register):
    registry.apply_verdict(register().run_id, FIRST)
    champion = registry.champion()
    assert champion.previous is None
    assert registry.previous(champion) is None


def test_after_a_way_back_the_previous_champion_is_the_one_that_was_left(registry, register):
    runs = [register(), register()]
    for run in (*runs, runs[0]):
        registry.apply_verdict(run.run_id, FIRST)
    champion = registry.champion()
    assert (champion.version, registry.previous(champion).version) == ("1", "2")


def test_a_damaged_version_is_refused_by_name_and_the_others_load(registry, register, damage, tmp_path):
    runs = [register(), register()]
    for run in runs:
        registry.apply_verdict(run.run_id, FIRST)
    damage(1)
    champion = registry.champion()
    with pytest.raises(
        ModelRefusedError, match="version 1 of energy-demand-lgbm: adaptive_regression.json does not"
    ):
        registry.previous(champion)
    damage(2)
    with pytest.raises(ModelRefusedError, match="version 2"):
        registry.load("2")
    assert registry.champion().version == "2", "the copy on this machine is whole"
    shutil.rmtree(tmp_path / "models")
    with pytest.raises(ModelRefusedError, match="version 2"):
        registry.champion()
    assert registry.champion_version() == "2"


def test_a_version_that_does_not_exist_is_refused_by_name(registry, register):
    register()
    said = "version 99 of energy-demand-lgbm is not in the registry; old versions are pruned"
    with pytest.raises(NoVersionError, match=said):
        registry.load("99")


@pytest.mark.parametrize(
    "ask",
    [
        pytest.param(Registry.champion_version, id="for the champion's version"),
        pytest.param(Registry.champion, id="for the champion"),
        pytest.param(lambda registry: registry.load("1"), id="for a version"),
    ],
)
def test_a_store_that_cannot_be_reached_is_one_clear_line(ask, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    nowhere = "http://somebody:secret-word@127.0.0.1:9"
    registry = Registry(make_settings(energy_demand_home=tmp_path, mlflow_tracking_uri=nowhere))
    with pytest.raises(RegistryUnavailableError, match="MLFLOW_TRACKING_URI") as caught:
        ask(registry)
    assert isinstance(caught.value, UserError)
    assert "\n" not in str(caught.value)
    assert "secret-word" not in str(caught.value)


def test_a_repeated_promotion_does_not_forget_the_champion_before(registry, trained):
    first, second = (
        registry.register(trained.forecaster, params={}, metrics={}, started_at=PRESENT) for _ in range(2)
    )
    for version in (first, second, second):
        registry.apply_verdict(version.run_id, FIRST)
    assert registry.champion().previous == first.version


def test_a_damaged_store_is_an_error_of_the_registry(tmp_path):
    settings = make_settings(energy_demand_home=tmp_path)
    registry = Registry(settings)
    (tmp_path / "mlflow" / "mlflow.db").write_text("no database " * 100)
    with pytest.raises(RegistryUnavailableError, match="the champion is unchanged"):
        registry.champion_version()


@pytest.fixture(scope="module")
def three_champions(trained, tmp_path_factory) -> Path:
    """A store with three champions one after the other; version 3 serves. Only copied."""
    home = tmp_path_factory.mktemp("three")
    store = Registry(make_settings(energy_demand_home=home))
    for _ in range(3):
        added = store.register(trained.judged, params={}, metrics={}, started_at=PRESENT)
        store.apply_verdict(added.run_id, FIRST)
    return home


@pytest.fixture
def champions(three_champions, tmp_path) -> Registry:
    """The same three in a store of the test's own."""
    shutil.copytree(three_champions / "mlflow", tmp_path / "mlflow")
    return Registry(make_settings(energy_demand_home=tmp_path))


def tags(registry, version: str) -> dict[str, str]:
    with registry._store.client() as client:
        return client.get_model_version(MODEL_NAME, version).tags


def test_the_verdict_is_stored_with_the_version_and_its_run(registry, register):
    scored = {"mape": 2.25, "mae": 350.0, "rmse": 420.0, "bias_percent": 0.5, "n": 336}
    verdict = Verdict(
        Decision.REFUSED,
        "worse than the champion",
        challenger=scored,
        champion={**scored, "mape": 1.75},
        days=14,
        statistic=-0.75,
        slices={"weekends": SliceScore(5, 2.5, 2.0, worse=True)},
    )
    added = register()
    assert registry.apply_verdict(added.run_id, verdict) is False
    stored = tags(registry, added.version)
    assert (stored["promoted"], stored["verdict"]) == ("false", "worse than the champion")
    with registry._store.client() as client:
        measured = client.get_run(added.run_id).data.metrics
    assert (measured["contest_challenger_mape"], measured["contest_champion_mape"]) == (2.25, 1.75)
    whole = json.loads(mlflow.artifacts.load_text(f"runs:/{added.run_id}/{VERDICT_FILE}"))
    assert whole["champion"]["mape"] == 1.75
    assert whole["slices"]["weekends"]["worse"] is True
    assert (whole["days"], whole["statistic"], whole["decision"]) == (14, -0.75, "refused")


def test_a_run_without_a_version_cannot_be_promoted(registry, register):
    register()
    with pytest.raises(LookupError, match="no registered version"):
        registry.apply_verdict("0" * 32, FIRST)


def test_a_rollback_lets_the_champion_before_serve_and_goes_back_step_by_step(champions):
    assert champions.rollback() == ("2", "3")
    assert champions.champion().version == "2"
    assert tags(champions, "3")[ROLLED_BACK_TAG] == "to 2"
    assert champions.rollback() == ("1", "2")
    with pytest.raises(NoRollbackError, match="version 1 is the first champion"):
        champions.rollback()
    assert champions.champion_version() == "1"


class KilledError(BaseException):
    """What `kill -9` is to a test: nothing of the program runs after it."""


WRITES = (
    "set_model_version_tag",
    "delete_model_version_tag",
    "set_registered_model_alias",
    "log_metric",
    "log_dict",
)


@pytest.fixture
def kill_at(monkeypatch):
    """Kills the next change of the store right before its write of this number; says if there was one."""

    def arm(number: int) -> Callable[[], bool]:
        left = [number]
        for name in WRITES:
            write = getattr(mlflow.MlflowClient, name)

            def counted(*given, write=write, **named):
                left[0] -= 1
                if left[0] == 0:
                    raise KilledError
                return write(*given, **named)

            monkeypatch.setattr(mlflow.MlflowClient, name, counted)
        return lambda: left[0] <= 0

    yield arm
    monkeypatch.undo()


@pytest.fixture(scope="module")
def three_versions(trained, tmp_path_factory) -> tuple[Path, list[str]]:
    """A store with three versions, of which the first serves, and their runs. Only copied."""
    home = tmp_path_factory.mktemp("three-versions")
    store = Registry(make_settings(energy_demand_home=home))
    params = {"respondent": "NY"}
    runs = [
        store.register(trained.judged, params=params, metrics={}, started_at=PRESENT).run_id for _ in range(3)
    ]
    store.apply_verdict(runs[0], FIRST)
    return home, runs


def claims(registry, tmp_path) -> dict[str, tuple[bool, bool | None, str | None]]:
    """What the history says of each version: serves, promoted, rolled back."""
    runs = run_history(make_settings(energy_demand_home=tmp_path), 10)
    return {run.version: (run.serves, run.promoted, run.rolled_back) for run in runs if run.version}


@pytest.mark.parametrize("number", range(1, 10))
def test_a_promotion_that_is_killed_at_any_step_leaves_one_truth(
    number, three_versions, kill_at, monkeypatch, tmp_path
):
    home, runs = three_versions
    shutil.copytree(home / "mlflow", tmp_path / "mlflow")
    registry = Registry(make_settings(energy_demand_home=tmp_path))
    killed = kill_at(number)
    with contextlib.suppress(KilledError):
        registry.apply_verdict(runs[1], FIRST)
    monkeypatch.undo()
    serves = registry.champion_version()
    said = claims(registry, tmp_path)
    assert [version for version, (is_served, *_) in said.items() if is_served] == [serves]
    assert said[serves] == (True, True, None)
    if serves == "1":
        assert killed()
        assert "promoted" not in tags(registry, "2"), "it never served"
        assert not said["2"][1]
    # The next change of the champion adds what was left out.
    for run in runs[1:]:
        registry.apply_verdict(run, FIRST)
    assert claims(registry, tmp_path) == {
        "1": (False, True, None),
        "2": (False, True, None),
        "3": (True, True, None),
    }
    with registry._store.client() as client:
        assert client.get_model_version(MODEL_NAME, "3").tags[PREVIOUS_TAG] == "2"


@pytest.mark.parametrize("number", range(1, 4))
def test_a_rollback_that_is_killed_at_any_step_leaves_one_truth(number, champions, kill_at, monkeypatch):
    champions.rollback("1")
    kill_at(number)
    with contextlib.suppress(KilledError):
        champions.rollback("3")
    monkeypatch.undo()
    serves = champions.champion_version()
    assert (serves == "1") is (number == 1)
    if serves == "1":
        assert ROLLED_BACK_TAG not in tags(champions, "1"), "it serves"
    champions.rollback("2")
    assert ROLLED_BACK_TAG not in tags(champions, "2")
    assert tags(champions, serves)[ROLLED_BACK_TAG] == "to 2"
    assert tags(champions, serves)["promoted"] == "true"


def test_a_version_that_serves_again_is_not_rolled_back(champions):
    champions.rollback("1")
    assert tags(champions, "3")[ROLLED_BACK_TAG] == "to 1"
    champions.promote("3")
    assert ROLLED_BACK_TAG not in tags(champions, "3")
    assert champions.champion().previous == "1"
    champions.rollback("2")
    champions.rollback("3")
    assert ROLLED_BACK_TAG not in tags(champions, "3")
    assert tags(champions, "2")[ROLLED_BACK_TAG] == "to 3"


def test_of_two_rollbacks_at_once_one_wins_and_the_other_says_that_it_changed_nothing(
    champions, monkeypatch, tmp_path
):
    other = Registry(make_settings(energy_demand_home=tmp_path))
    load = champions.load

    def slowly(version: str) -> Champion:
        assert other.rollback() == ("2", "3")
        return load(version)

    monkeypatch.setattr(champions, "load", slowly)
    with pytest.raises(
        NoRollbackError,
        match="another rollback or promotion was quicker: version 2 serves in place of version 3; this "
        "rollback changed nothing",
    ):
        champions.rollback("1")
    assert champions.champion_version() == "2"
    assert tags(champions, "3")[ROLLED_BACK_TAG] == "to 2"


def test_a_verdict_on_the_version_that_serves_takes_nothing_from_it(champions, tmp_path):
    with champions._store.client() as client:
        run = client.get_model_version(MODEL_NAME, "3").run_id
    champions.apply_verdict(run, REFUSED)
    assert champions.champion_version() == "3"
    assert tags(champions, "3")["promoted"] == "true"


def test_a_champion_of_other_sites_is_refused_by_name(registry, register, tmp_path):
    registry.apply_verdict(register().run_id, FIRST)
    registry.champion()
    elsewhere = Registry(make_settings(energy_demand_home=tmp_path, weather_further_sites=()))
    for ask in (elsewhere.champion, lambda: elsewhere.load("1")):
        with pytest.raises(ModelRefusedError, match="version 1 .*`sites` has the unknown albany, buffalo"):
            ask()


def test_a_rollback_goes_to_any_version_that_is_named_and_back(champions):
    assert champions.rollback("1") == ("1", "3")
    assert champions.rollback("3") == ("3", "1")
    assert (champions.champion().version, champions.champion().previous) == ("3", "2")


def test_a_rollback_that_leads_nowhere_is_refused_with_the_reason(champions):
    for to, said in (
        ("3", "version 3 already serves"),
        ("9", "version 9 does not exist; version 3 keeps serving. Available: 1, 2, 3"),
        ("latest", "version latest does not exist"),
    ):
        with pytest.raises(NoRollbackError, match=said) as caught:
            champions.rollback(to)
        assert isinstance(caught.value, UserError)
    assert champions.champion_version() == "3"


def test_a_rollback_to_a_damaged_version_is_refused_and_the_champion_stays(registry, register, damage):
    for _ in range(2):
        registry.apply_verdict(register().run_id, FIRST)
    damage(1)
    for to in (None, "1"):
        with pytest.raises(ModelRefusedError, match="version 1"):
            registry.rollback(to)
    assert registry.champion_version() == "2"
    assert ROLLED_BACK_TAG not in tags(registry, "2")


def test_before_the_first_promotion_there_is_nothing_to_roll_back(registry):
    with pytest.raises(NoChampionError, match="run `energy-demand train` first"):
        registry.rollback()


def test_pruning_keeps_the_newest_and_the_champion_and_the_one_before_it(registry, register):
    runs = [register() for _ in range(6)]
    registry.apply_verdict(runs[0].run_id, FIRST)
    registry.apply_verdict(runs[2].run_id, FIRST)
    assert registry.prune(2) == ["2", "4"]
    assert registry.prune(2) == []
    champion = registry.champion()
    assert (champion.version, registry.previous(champion).version) == ("3", "1")
    assert [registry.load(version).version for version in ("5", "6")] == ["5", "6"]
    with pytest.raises(NoVersionError, match="version 2 "):
        registry.load("2")
    with registry._store.client() as client:
        assert client.get_run(runs[1].run_id).data.metrics["test_mape"] == 2.5


def test_pruning_with_few_versions_or_none_does_nothing(registry, register):
    assert registry.prune(2) == []
    register()
    register()
    assert registry.prune(2) == []


def test_a_pruned_version_cannot_be_rolled_back_to(champions):
    assert champions.prune(2) == ["1"]
    assert champions.rollback() == ("2", "3")
    with pytest.raises(
        NoRollbackError, match="version 1 does not exist; version 2 keeps serving. Available: 2, 3"
    ):
        champions.rollback()


def test_a_pruned_version_takes_its_files_along(champions):
    with champions._store.client() as client:
        (experiment,) = client.search_experiments(filter_string=f"name = '{MLFLOW_EXPERIMENT_NAME}'")
        before = client.search_logged_models([experiment.experiment_id])
        assert champions.prune(2) == ["1"]
        kept = client.search_logged_models([experiment.experiment_id])
        held = {version.source for version in champions._versions(client)}
    assert (len(before), len(kept)) == (3, 2)
    assert {f"models:/{model.model_id}" for model in kept} == held


def test_the_copy_on_this_machine_is_what_the_registry_holds_byte_for_byte(registry, register, tmp_path):
    version = register("forecaster")
    registry.apply_verdict(version.run_id, FIRST)
    champion = registry.champion()
    (file,) = tmp_path.rglob("models/*.json")
    assert json.loads(file.read_text())["texts"] == dict(registry.load("1").texts) == dict(champion.texts)
    again = registry.champion()
    assert dict(again.texts) == dict(champion.texts)


def test_a_copy_of_another_registry_s_version_of_that_number_is_not_taken(registry, register, tmp_path):
    version = register("forecaster")
    registry.apply_verdict(version.run_id, FIRST)
    registry.champion()
    (file,) = tmp_path.rglob("models/*.json")
    file.write_text(file.read_text().replace(version.run_id, "0" * 32))
    champion = registry.champion()
    assert champion.run_id == version.run_id
    assert json.loads(file.read_text())["run_id"] == version.run_id


def test_a_damaged_copy_gives_way_to_the_registry_and_is_replaced(registry, register, tmp_path):
    registry.apply_verdict(register("forecaster").run_id, FIRST)
    whole = registry.champion()
    (file,) = tmp_path.rglob("models/*.json")
    file.write_text(file.read_text().replace("tree_sizes", "tree_sices", 1))
    assert dict(registry.champion().texts) == dict(whole.texts)
    assert json.loads(file.read_text())["texts"] == dict(whole.texts)


def test_the_summary_of_the_champion_is_the_same_with_and_without_a_copy(registry, register, tmp_path):
    assert registry.champion_summary() is None
    registry.apply_verdict(register("forecaster", mape=1.5).run_id, FIRST)
    first = registry.champion_summary()
    assert first == registry.champion_summary()
    assert (first["version"], first["mape"]) == ("1", 1.5)
    assert first["trained_through"] == registry.load("1").forecaster.trained_through


def test_a_region_without_a_model_is_told_of_the_one_under_the_former_name(registry, register, tmp_path):
    registry.apply_verdict(register().run_id, FIRST)
    alone = Registry(make_settings(energy_demand_home=tmp_path, eia_region="PJM"))
    with pytest.raises(NoChampionError, match=r"^no model of PJM serves yet; .* is New York's name\)$"):
        alone.champion()
    several = make_settings(energy_demand_home=tmp_path, eia_regions=("NY", "PJM"))
    assert Registry(several).champion_version() == "1"
    with pytest.raises(
        NoChampionError, match=r"^no model of PJM serves yet; run `energy-demand train` first$"
    ):
        Registry(several.for_region("PJM")).champion()
