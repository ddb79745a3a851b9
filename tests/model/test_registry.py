"""Versions in a real MLflow store: which is the champion, which was before it, loaded whole or not."""

from __future__ import annotations

import pytest

from energy_demand.errors import UserError
from energy_demand.model.promotion import FIRST, Verdict
from energy_demand.model.registry import NoChampionError, Registry, RegistryUnavailableError, Version
from energy_demand.model.storage import MANIFEST_FILE, ModelRefusedError, to_texts
from support import PRESENT, make_settings

REFUSED = Verdict(promoted=False, reason="worse")


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
        stage = files[version - 1].with_name("linear_stage.json")
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
    registry.promote(first.run_id, FIRST)
    assert registry.champion_version() == "1"
    registry.promote(second.run_id, FIRST)
    assert registry.champion_version() == "2"


def test_a_challenger_that_lost_leaves_the_champion(registry, register):
    first, second = register(), register()
    registry.promote(first.run_id, FIRST)
    assert not registry.promote(second.run_id, REFUSED)
    assert (registry.champion_version(), registry.champion().previous) == ("1", None)


def test_a_version_comes_back_whole_whether_it_serves_or_not(registry, register, trained):
    register("judged", mape=2.5)
    second = register("forecaster", mape=1.5)
    registry.promote(second.run_id, FIRST)
    for version, model, mape in (("1", trained.judged, 2.5), ("2", trained.forecaster, 1.5)):
        loaded = registry.load(version)
        assert (loaded.version, loaded.metrics["test_mape"]) == (version, mape)
        assert to_texts(loaded.forecaster)["linear_stage.json"] == to_texts(model)["linear_stage.json"]
    assert registry.champion().run_id == second.run_id


def test_the_previous_champion_is_the_one_that_served_until_the_promotion(registry, register, trained):
    runs = [register(), register("forecaster"), register()]
    registry.promote(runs[0].run_id, FIRST)
    registry.promote(runs[1].run_id, REFUSED)
    registry.promote(runs[2].run_id, FIRST)
    champion = registry.champion()
    before = registry.previous(champion)
    assert (champion.version, champion.previous, before.version) == ("3", "1", "1")
    assert before.run_id == runs[0].run_id
    assert before.forecaster.trained_through == trained.judged.trained_through


def test_the_first_champion_has_none_before_it(registry, register):
    registry.promote(register().run_id, FIRST)
    champion = registry.champion()
    assert champion.previous is None
    assert registry.previous(champion) is None


def test_after_a_way_back_the_previous_champion_is_the_one_that_was_left(registry, register):
    runs = [register(), register()]
    for run in (*runs, runs[0]):
        registry.promote(run.run_id, FIRST)
    champion = registry.champion()
    assert (champion.version, registry.previous(champion).version) == ("1", "2")


def test_a_damaged_version_is_refused_by_name_and_the_others_load(registry, register, damage):
    runs = [register(), register()]
    for run in runs:
        registry.promote(run.run_id, FIRST)
    damage(1)
    champion = registry.champion()
    with pytest.raises(
        ModelRefusedError, match="version 1 of energy-demand-lgbm: linear_stage.json does not"
    ):
        registry.previous(champion)
    damage(2)
    with pytest.raises(ModelRefusedError, match="version 2"):
        registry.champion()
    assert registry.champion_version() == "2"


def test_a_version_that_does_not_exist_is_refused_by_name(registry, register):
    register()
    with pytest.raises(RegistryUnavailableError, match="version=99") as caught:
        registry.load("99")
    assert "\n" not in str(caught.value)


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
        registry.promote(version.run_id, FIRST)
    assert registry.champion().previous == first.version


def test_a_damaged_store_is_an_error_of_the_registry(tmp_path):
    settings = make_settings(energy_demand_home=tmp_path)
    registry = Registry(settings)
    (tmp_path / "mlflow" / "mlflow.db").write_text("no database " * 100)
    with pytest.raises(RegistryUnavailableError, match="the champion is unchanged"):
        registry.champion_version()
