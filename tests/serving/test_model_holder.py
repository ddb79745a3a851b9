"""Which model serves: load, verify, warm, swap; and what served last, without the registry."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from energy_demand.region import NEW_YORK
from energy_demand.registry.champion import Champion, NoChampionError
from energy_demand.registry.local_cache import ChampionCache
from energy_demand.registry.manifest import ModelRefusedError
from energy_demand.registry.mlflow_store import RegistryUnavailableError
from energy_demand.registry.registry import Registry
from energy_demand.serving.model_holder import (
    LOOKS_UNTIL_RETRY,
    ModelHolder,
    ReloadInProgressError,
    ServedModel,
)
from energy_demand.serving.schemas import EXAMPLE, FeatureRow
from energy_demand.serving.service import Service
from records import with_other_responses
from support import make_settings

VALUES = FeatureRow.model_validate(EXAMPLE).values()


def now() -> datetime:
    return datetime(2025, 3, 12, 13, tzinfo=UTC)


class WatchedRegistry(Registry):
    """The real registry, which can go away, be slow, or give damaged files; counts its loads."""

    def __init__(self, settings) -> None:
        super().__init__(settings)
        self.loads: list[str] = []
        self.away = False
        self.damaged: set[str] = set()
        self.loading, self.go_on = threading.Event(), threading.Event()
        self.go_on.set()

    def champion_version(self) -> str | None:
        if self.away:
            raise RegistryUnavailableError("MLflow is away")
        return super().champion_version()

    def load(self, version: str) -> Champion:
        self.loads.append(version)
        self.loading.set()
        assert self.go_on.wait(20)
        if version in self.damaged:
            raise ModelRefusedError(f"version {version} is damaged")
        return super().load(version)


@pytest.fixture
def registry(home) -> WatchedRegistry:
    return WatchedRegistry(make_settings(energy_demand_home=home))


@pytest.fixture
def holder(registry, home) -> ModelHolder:
    return ModelHolder(registry, ChampionCache(home / "models"), now, NEW_YORK)


def test_a_look_loads_the_champion_once_and_follows_the_alias(holder, registry, promote):
    assert holder.look()
    assert holder.version == "1"
    assert not holder.look()
    assert registry.loads == ["1"]
    promote(2)
    assert holder.look()
    assert holder.version == "2"
    assert holder.served.previous.version == "1"
    assert registry.loads == ["1", "2"]  # the one before was at hand


def test_the_previous_champion_is_loaded_at_a_start(registry, home, promote):
    promote(2)
    holder = ModelHolder(registry, ChampionCache(home / "models"), now, NEW_YORK)
    holder.look()
    assert (holder.version, holder.served.previous.version) == ("2", "1")


def test_a_previous_champion_that_is_damaged_keeps_no_model_out(registry, home, promote):
    promote(2)
    registry.damaged = {"1"}
    holder = ModelHolder(registry, ChampionCache(home / "models"), now, NEW_YORK)
    assert holder.look()
    assert (holder.version, holder.served.previous) == ("2", None)


def test_both_paths_answer_what_the_booster_does(holder):
    holder.look()
    base = holder.served.champion.forecaster.base
    expected = base.booster.predict(np.array([VALUES]))[0]
    one, many = holder.served.one(VALUES), holder.served.many(np.array([VALUES, VALUES]))
    assert one[0] == pytest.approx(expected, rel=1e-12)
    assert many.tolist() == [pytest.approx(one)] * 2
    assert one[3] < one[1] < one[0] < one[2] < one[4]


def test_a_reload_says_what_it_replaced(holder, promote):
    assert holder.reload()[1] is None
    assert holder.reload()[1] is None
    promote(2)
    served, replaced = holder.reload()
    assert (served.version, replaced) == ("2", "1")


def test_without_a_champion_a_reload_says_what_to_do_and_a_look_is_quiet(tmp_path):
    registry = Registry(make_settings(energy_demand_home=tmp_path))
    holder = ModelHolder(registry, ChampionCache(tmp_path / "models"), now, NEW_YORK)
    with pytest.raises(NoChampionError, match="energy-demand train"):
        holder.reload()
    assert not holder.look()
    assert holder.served is None


def test_a_damaged_champion_leaves_the_old_one_and_is_tried_again_only_after_a_while(
    holder, registry, promote
):
    holder.look()
    old = holder.served
    registry.damaged = {"2"}
    promote(2)
    registry.loads.clear()
    for _ in range(LOOKS_UNTIL_RETRY):
        assert not holder.look()
    assert holder.served is old
    assert registry.loads == ["2"]
    assert holder.problem == "version 2 is damaged; version 1 keeps serving"
    registry.damaged = set()
    holder.look()
    assert holder.look()
    assert (holder.version, holder.problem) == ("2", None)


def test_a_model_that_answers_no_demand_is_refused_before_it_serves(holder, monkeypatch):
    monkeypatch.setattr(ServedModel, "many", lambda _self, values: np.full((len(values), 5), np.nan))
    with pytest.raises(ModelRefusedError, match="predicts .* MWh for the example row; no model serves"):
        holder.reload()
    assert holder.served is None


def test_the_old_model_serves_until_the_new_one_has_answered_and_a_second_reload_is_refused(
    holder, registry, promote
):
    holder.look()
    promote(2)
    registry.loading.clear()
    registry.go_on.clear()
    reload = threading.Thread(target=holder.reload)
    reload.start()
    try:
        assert registry.loading.wait(20)
        assert holder.version == "1"
        with pytest.raises(ReloadInProgressError):
            holder.reload()
        assert not holder.look()
    finally:
        registry.go_on.set()
        reload.join()
    assert holder.version == "2"


def test_while_the_registry_is_away_the_model_serves_on(holder, registry):
    holder.look()
    registry.away = True
    assert not holder.look()
    assert (holder.version, holder.problem) == ("1", "MLflow is away")
    with pytest.raises(RegistryUnavailableError):
        holder.reload()
    registry.away = False
    holder.look()
    assert holder.problem is None


def test_a_start_without_the_registry_serves_what_served_last(holder, registry, home, promote):
    promote(2)
    holder.look()
    registry.away = True
    again = ModelHolder(registry, ChampionCache(home / "models"), now, NEW_YORK)
    assert again.look()
    assert (again.version, again.problem) == ("2", "MLflow is away")
    assert again.served.one(VALUES) == holder.served.one(VALUES)
    assert again.served.previous is None
    registry.away = False
    again.look()
    assert again.served.previous.version == "1"


def test_only_the_newest_two_models_are_kept(holder, home, promote, registry):
    for version in (1, 2):
        promote(version)
        holder.look()
    second = holder.served.champion
    third = replace(second, version="3", run_id="run", metrics={}, previous="2")
    ChampionCache(home / "models").keep(third)
    assert sorted(file.name for file in (home / "models").iterdir()) == ["2.json", "3.json"]
    assert next(ChampionCache(home / "models").whole()).version == "3"


def test_a_kept_model_that_is_damaged_gives_way_to_the_one_before(holder, home, promote):
    holder.look()
    promote(2)
    holder.look()
    damaged = home / "models" / "2.json"
    damaged.write_text(damaged.read_text().replace("tree_sizes", "tree_sices", 1))
    assert next(ChampionCache(home / "models").whole()).version == "1"


def test_a_model_that_cannot_be_kept_serves_all_the_same(registry, home):
    home.joinpath("models").write_text("a file where the folder should be")
    holder = ModelHolder(registry, ChampionCache(home / "models"), now, NEW_YORK)
    assert holder.look()
    assert holder.version == "1"


def test_of_two_reloads_at_once_one_is_told_that_the_other_is_under_way(registry, home, promote):
    service = Service(
        make_settings(energy_demand_home=home, database_url="postgresql://nobody@127.0.0.1:9/no")
    )
    service.models = ModelHolder(registry, ChampionCache(home / "models"), now, NEW_YORK)
    registry.go_on.clear()

    async def both() -> list[object]:
        first = asyncio.create_task(service.reload())
        await asyncio.to_thread(registry.loading.wait, 20)
        second = asyncio.create_task(service.reload())
        await asyncio.wait([second])
        registry.go_on.set()
        return await asyncio.gather(first, second, return_exceptions=True)

    first, second = asyncio.run(both())
    assert first[0].version == "1"
    assert isinstance(second, ReloadInProgressError)


def test_a_forecaster_that_cannot_forecast_is_refused_though_its_base_booster_answers(
    holder, registry, promote, monkeypatch
):
    holder.look()
    promote(2)
    load = registry.load

    def broken(version: str) -> Champion:
        champion = load(version)
        return replace(champion, forecaster=with_other_responses(champion.forecaster))

    monkeypatch.setattr(registry, "load", broken)
    assert not holder.look()
    assert holder.version == "1"
    assert holder.problem == (
        "version 2 cannot forecast trial hours (ValueError: these rows do not have the columns that the "
        "stage was fitted on); run `energy-demand train`; version 1 keeps serving"
    )


@pytest.fixture
def other_columns(home, trained) -> str:
    """A version stored by code with another column of the adaptive regression; it is the champion."""
    store = Registry(make_settings(energy_demand_home=home))
    model = with_other_responses(trained.forecaster)
    version = store.register(model, params={}, metrics={}, started_at=now()).version
    store.promote(version)
    return version


def refused(version: str) -> str:
    return (
        f"version {version} of energy-demand-lgbm: the model does not fit this version: its list `responses` "
        "lacks rest_radiation_season_cos and has the unknown moonlight; run `energy-demand train`"
    )


def test_a_champion_of_other_columns_is_refused_by_a_look_and_a_reload_and_the_old_model_serves_on(
    holder, registry, home, trained, request
):
    holder.look()
    version = request.getfixturevalue("other_columns")
    assert not holder.look()
    assert (holder.version, holder.problem) == ("1", f"{refused(version)}; version 1 keeps serving")
    with pytest.raises(ModelRefusedError) as caught:
        holder.reload()
    assert str(caught.value) == holder.problem
    assert holder.served.one(VALUES)[0] > 0


def test_a_start_on_a_champion_of_other_columns_serves_no_model_and_says_why(holder, other_columns):
    assert not holder.look()
    assert (holder.served, holder.problem) == (None, f"{refused(other_columns)}; no model serves")


def test_a_start_on_damaged_files_serves_what_served_last_and_the_problem_stays(
    holder, registry, home, promote
):
    holder.look()
    promote(2)
    registry.damaged = {"2"}
    again = ModelHolder(registry, ChampionCache(home / "models"), now, NEW_YORK)
    assert again.look()
    assert (again.version, again.problem) == (
        "1",
        "version 2 is damaged; this machine's copy of version 1 keeps serving",
    )
    registry.loads.clear()
    for _ in range(LOOKS_UNTIL_RETRY):
        assert not again.look()
    assert registry.loads == []
    assert not again.look()
    assert registry.loads == ["2"]
    assert "version 2 is damaged" in again.problem


def test_a_copy_of_the_damaged_champion_itself_serves_and_gives_way_when_the_files_are_mended(
    holder, registry, home, promote
):
    promote(2)
    holder.look()
    registry.damaged = {"2"}
    again = ModelHolder(registry, ChampionCache(home / "models"), now, NEW_YORK)
    assert again.look()
    assert again.problem == "version 2 is damaged; this machine's copy of version 2 keeps serving"
    assert again.served.previous.version == "1"
    copy = again.served
    for _ in range(LOOKS_UNTIL_RETRY + 1):
        again.look()
    assert again.served is copy
    assert again.problem is not None
    registry.damaged = set()
    again.reload()
    assert (again.version, again.problem) == ("2", None)
    assert again.served is not copy


def test_a_reload_at_a_start_on_damaged_files_lets_the_copy_serve_and_fails_all_the_same(
    holder, registry, home, promote
):
    holder.look()
    promote(2)
    registry.damaged = {"2"}
    again = ModelHolder(registry, ChampionCache(home / "models"), now, NEW_YORK)
    with pytest.raises(ModelRefusedError, match="this machine's copy of version 1 keeps serving"):
        again.reload()
    assert again.version == "1"


def test_a_copy_that_cannot_forecast_gives_way_to_the_one_before_and_none_is_parsed_at_every_look(
    holder, registry, home, promote, monkeypatch
):
    holder.look()
    promote(2)
    holder.look()
    registry.away = True
    tried: list[str] = []
    warm = ServedModel.warm

    def picky(model: ServedModel, region) -> None:
        tried.append(model.version)
        if model.version in unfit:
            raise ModelRefusedError("it cannot")
        warm(model, region)

    monkeypatch.setattr(ServedModel, "warm", picky)
    unfit = {"1", "2"}
    again = ModelHolder(registry, ChampionCache(home / "models"), now, NEW_YORK)
    for _ in range(LOOKS_UNTIL_RETRY):
        assert not again.look()
    assert tried == ["2", "1"]
    unfit = {"2"}
    again = ModelHolder(registry, ChampionCache(home / "models"), now, NEW_YORK)
    assert again.look()
    assert again.version == "1"


def test_a_problem_is_in_the_metric_and_none_is_none(registry, home, promote):
    service = Service(
        make_settings(energy_demand_home=home, database_url="postgresql://nobody@127.0.0.1:9/no")
    )
    service.models = ModelHolder(registry, ChampionCache(home / "models"), now, NEW_YORK)
    service._follow_alias()
    assert service.metrics.registry.get_sample_value("model_problem", {"region": "NY"}) == 0
    promote(2)
    registry.damaged = {"2"}
    service._follow_alias()
    assert service.metrics.registry.get_sample_value("model_problem", {"region": "NY"}) == 1
