"""Keeps models in MLflow: runs with what was measured, registered versions, the champion by alias.

A version holds the base booster as an MLflow model and, beside it in `forecaster/`, the whole forecaster
as text and JSON. Versions are added and the alias moves; the oldest are pruned, their runs stay.
"""

from __future__ import annotations

import logging
import tempfile
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version as version_of
from pathlib import Path
from typing import TYPE_CHECKING, Any

from energy_demand.config import (
    CHAMPION_ALIAS,
    MLFLOW_EXPERIMENT_NAME,
    MODEL_NAME,
    Settings,
    load_settings,
)
from energy_demand.errors import UserError
from energy_demand.registry.champion import Champion, NoChampionError
from energy_demand.registry.champion_alias import PREVIOUS_TAG, AliasUnknownError, ChampionAlias, read_alias
from energy_demand.registry.local_cache import ChampionCache
from energy_demand.registry.manifest import ModelRefusedError
from energy_demand.registry.mlflow_store import MlflowStore
from energy_demand.timeaxis import parse_moment

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import datetime

    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

    from energy_demand.evaluation.promotion import Verdict
    from energy_demand.model.forecaster import Forecaster

LOGGED_MODEL = "models:/"
FORECASTER_FOLDER = "forecaster"
MODEL_PACKAGES = ("lightgbm", "numpy")
PROMOTED_TAG = "promoted"
VERDICT_TAG = "verdict"
ROLLED_BACK_TAG = "rolled_back"
VERDICT_FILE = "verdict.json"
NOT_THERE = {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}
DELETED = "deleted"  # MLflow's word; the name of such an experiment stays taken

_log = logging.getLogger(__name__)


class NoVersionError(UserError, LookupError):
    """A version is not in the registry."""


class NoRollbackError(UserError, LookupError):
    """There is no version to go back to; the champion is what it was."""


@dataclass(frozen=True)
class Version:
    """A registered version."""

    version: str
    run_id: str


class Registry:
    """MLflow's tracking store and model registry at one address.

    Raises (every method):
        RegistryUnavailableError: MLflow cannot be reached.
    """

    def __init__(self, settings: Settings) -> None:
        self._store = MlflowStore(settings)
        self._cache = ChampionCache(settings.models_folder)
        self._home = settings.home
        self._name = settings.model_name
        self._region = settings.region.respondent
        self._is_alone = settings.eia_regions in {(), (settings.eia_region,)}
        self._sites = [site.name for site in settings.region.sites]
        self.uri, self.label = self._store.uri, self._store.label

    def register(
        self,
        forecaster: Forecaster,
        *,
        params: Mapping[str, Any],
        metrics: Mapping[str, float],
        started_at: datetime,
        figures: Mapping[str, Any] | None = None,
    ) -> Version:
        """Log a run with its parameters, metrics and figures, and register its model as a new version."""
        import mlflow.lightgbm  # noqa: PLC0415  (importing MLflow takes seconds)

        from energy_demand.registry.serialization import to_texts  # noqa: PLC0415

        with self._store.client() as client, self._scratch() as folder:
            experiment = self._experiment(client)
            name = f"train-{started_at:%Y%m%dT%H%MZ}"
            with mlflow.start_run(experiment_id=experiment, run_name=name) as run:
                mlflow.log_params(dict(params))
                mlflow.log_metrics(dict(metrics))
                for file_name, figure in (figures or {}).items():
                    mlflow.log_figure(figure, file_name)
                importance = _importance(forecaster)
                mlflow.log_dict(importance, "importance.json")
                info = mlflow.lightgbm.log_model(
                    forecaster.booster,
                    name="model",
                    pip_requirements=[f"{package}=={version_of(package)}" for package in MODEL_PACKAGES],
                )
                beside = Path(folder) / FORECASTER_FOLDER
                beside.mkdir()
                for file_name, text in to_texts(forecaster).items():
                    (beside / file_name).write_text(text)
                client.log_model_artifacts(info.model_id, folder)
                version = client.create_model_version(
                    self._registered(client),
                    f"{LOGGED_MODEL}{info.model_id}",
                    run.info.run_id,
                    model_id=info.model_id,  # a server refuses such a source without it
                )
            return Version(str(version.version), run.info.run_id)

    def champion(self) -> Champion:
        """The champion with its forecaster, verified; from this machine's copy where it has one.

        Raises:
            NoChampionError: none was promoted yet.
            ModelRefusedError: its files are damaged, or do not fit this version.
        """
        alias = self._alias()
        if alias is None:
            raise self.no_champion()
        cached = self._cache.find(alias.version, alias.run_id)
        if cached is not None:
            try:
                return self._of_these_sites(replace(cached, previous=alias.previous).load())
            except ModelRefusedError as error:
                _log.warning("the local copy of version %s cannot be used: %s", alias.version, error)
        champion = self.load(alias.version)
        self._cache.keep(champion)
        return champion

    def no_champion(self) -> NoChampionError:
        """The error for a region that no model serves yet; says so if there is one under the former name.

        Models of all regions were once registered under the name that is New York's, by homes of one region.
        """
        message = "no model serves yet; run `energy-demand train` first"
        if self._name != MODEL_NAME:
            message = f"no model of {self._region} serves yet; run `energy-demand train` first"
            if self._is_alone and self._named(MODEL_NAME) is not None:
                message += (
                    f" (models of {self._region} are registered as {self._name}; {MODEL_NAME}, which has a "
                    "champion, is New York's name)"
                )
        return NoChampionError(message)

    def champion_summary(self) -> dict[str, Any] | None:
        """`version`, `run_id`, `trained_through` and `mape` (of the holdout) of the champion; None: none.

        Reads this machine's copy where it has one, without parsing the model.
        """
        alias = self._alias()
        if alias is None:
            return None
        cached = self._cache.find(alias.version, alias.run_id)
        if cached is None:
            champion = self.load(alias.version)
            self._cache.keep(champion)
            trained_through, metrics = champion.forecaster.trained_through, champion.metrics
        else:
            trained_through, metrics = parse_moment(cached.trained_through), cached.metrics
        return {
            "version": alias.version,
            "run_id": alias.run_id,
            "trained_through": trained_through,
            "mape": metrics.get("test_mape"),
        }

    def champion_and_previous(self) -> tuple[str | None, str | None]:
        """Which version the alias names, and the champion before it; None where there is none."""
        alias = self._alias()
        return (None, None) if alias is None else (alias.version, alias.previous)

    def champion_version(self) -> str | None:
        """Which version the alias names; None before the first promotion."""
        alias = self._alias()
        return None if alias is None else alias.version

    def load(self, version: str) -> Champion:
        """A registered version with its forecaster, verified.

        Raises:
            NoVersionError: it was never registered, or was pruned.
            ModelRefusedError: its files are damaged, or do not fit this version.
        """
        from mlflow.exceptions import MlflowException  # noqa: PLC0415  (importing MLflow takes seconds)

        from energy_demand.registry.serialization import from_texts  # noqa: PLC0415  (imports LightGBM)

        with self._store.client() as client:
            try:
                found = client.get_model_version(self._name, version)
            except MlflowException as error:
                if error.error_code not in NOT_THERE:
                    raise
                raise NoVersionError(
                    f"version {version} of {self._name} is not in the registry; old versions are pruned"
                ) from None
            metrics = client.get_run(str(found.run_id)).data.metrics
            texts = self._texts(found)
            if not texts:
                raise ModelRefusedError(
                    f"version {version} of {self._name}: its files are not where MLflow keeps them; bring "
                    "them back from a backup, or run `energy-demand train`"
                )
            try:
                forecaster = from_texts(texts)
            except ModelRefusedError as error:
                raise ModelRefusedError(f"version {version} of {self._name}: {error}") from error
            previous = found.tags.get(PREVIOUS_TAG)
            champion = Champion(version, str(found.run_id), forecaster, dict(metrics), previous, texts)
            return self._of_these_sites(champion)

    def previous(self, champion: Champion) -> Champion | None:
        """The champion before this one, if there was one.

        Raises:
            ModelRefusedError: its files are damaged.
        """
        return None if champion.previous is None else self.load(champion.previous)

    def apply_verdict(self, run_id: str, verdict: Verdict) -> bool:
        """Store the verdict with the version of this run, and promote the version if the verdict says so.

        The alias moves before the version says that it was promoted, so that a run that is killed in between
        leaves no version that says so and never served. The next change of the champion adds what is missing.

        Returns:
            Whether it was promoted.

        Raises:
            LookupError: the run has no registered version.
        """
        with self._store.client() as client:
            found = client.search_model_versions(f"name = '{self._name}' and run_id = '{run_id}'")
            if not found:
                raise LookupError(f"run {run_id} has no registered version of {self._name}")
            version = str(found[0].version)
            client.set_model_version_tag(self._name, version, VERDICT_TAG, verdict.reason)
            self._tag_previous(client, version)
            for side, side_scores in (("challenger", verdict.challenger), ("champion", verdict.champion)):
                if side_scores is not None:
                    client.log_metric(run_id, f"contest_{side}_mape", side_scores["mape"])
            client.log_dict(run_id, asdict(verdict), VERDICT_FILE)
            if verdict.promoted:
                self._serve(client, version)
            elif verdict.decided and not self._serves(client, version):  # a repeated one takes nothing away
                client.set_model_version_tag(self._name, version, PROMOTED_TAG, "false")
        return verdict.promoted

    def promote(self, version: str) -> None:
        """Let a registered version serve; it remembers the champion before it."""
        with self._store.client() as client:
            self._tag_previous(client, version)
            self._serve(client, version)

    def rollback(self, to: str | None = None) -> tuple[str, str]:
        """Let the champion before this one serve again, or the version `to`.

        Returns:
            The version that serves now and the one that served.

        Raises:
            NoChampionError: none serves.
            NoRollbackError: there is none to go back to, it serves already, or another rollback or promotion
                was quicker.
            ModelRefusedError: its files are damaged; the champion is what it was.
        """
        champion = self.champion_version()
        if champion is None:
            raise self.no_champion()
        with self._store.client() as client:
            before = client.get_model_version(self._name, champion).tags.get(PREVIOUS_TAG)
            registered = {str(each.version) for each in self._versions(client)}
        wanted = to or before
        if wanted is None:
            raise NoRollbackError(f"version {champion} is the first champion; there is no earlier one")
        if wanted == champion:
            raise NoRollbackError(f"version {champion} already serves; nothing was changed")
        if wanted not in registered:
            kept = ", ".join(sorted(registered, key=int))
            raise NoRollbackError(
                f"version {wanted} does not exist; version {champion} keeps serving. Available: {kept}"
            )
        self.load(wanted)  # a damaged one must not serve
        with self._store.client() as client:
            serves = self._champion_version(client)  # loading took a while
            if serves is None or str(serves.version) != champion:
                now = "no version" if serves is None else f"version {serves.version}"
                raise NoRollbackError(
                    f"another rollback or promotion was quicker: {now} serves in place of "
                    f"version {champion}; this rollback changed nothing"
                )
            self._serve(client, wanted)
            client.set_model_version_tag(self._name, champion, ROLLED_BACK_TAG, f"to {wanted}")
        return wanted, champion

    def prune(self, keep: int, others: Collection[str] = ()) -> list[str]:
        """Delete all but the newest `keep` versions, never the champion, the one before it, or `others`.

        Their runs, with parameters and metrics, stay. Returns the versions that went.
        """
        with self._store.client() as client:
            champion = self._champion_version(client)
            needed: set[str | None] = set(others)
            if champion is not None:
                needed |= {str(champion.version), champion.tags.get(PREVIOUS_TAG)}
            versions = sorted(self._versions(client), key=lambda each: int(each.version))
            gone = [each for each in versions[:-keep] if str(each.version) not in needed]
            for each in gone:
                client.delete_model_version(self._name, str(each.version))
                # MLflow's database keeps no `model_id` with a version, but its source.
                source = each.source or ""
                if source.startswith(LOGGED_MODEL):
                    client.delete_logged_model(source.removeprefix(LOGGED_MODEL))
            return [str(each.version) for each in gone]

    def _of_these_sites(self, champion: Champion) -> Champion:
        from energy_demand.registry.feature_lists import check_sites  # noqa: PLC0415  (imports LightGBM)

        try:
            check_sites(champion.forecaster.sites, self._sites)
        except ModelRefusedError as error:
            raise ModelRefusedError(f"version {champion.version} of {self._name}: {error}") from error
        return champion

    def _serve(self, client: MlflowClient, version: str) -> None:
        """Move the alias, then write down that this version serves; first, what a killed change left out."""
        before = self._champion_version(client)
        if before is not None:
            self._tag_champion(client, before)
        client.set_registered_model_alias(self._name, CHAMPION_ALIAS, version)
        self._tag_champion(client, client.get_model_version(self._name, version))

    def _tag_champion(self, client: MlflowClient, champion: ModelVersion) -> None:
        """Let a version that serves say that it was promoted, and not that it was rolled back."""
        version = str(champion.version)
        if champion.tags.get(PROMOTED_TAG) != "true":
            client.set_model_version_tag(self._name, version, PROMOTED_TAG, "true")
        if ROLLED_BACK_TAG in champion.tags:
            client.delete_model_version_tag(self._name, version, ROLLED_BACK_TAG)

    def _serves(self, client: MlflowClient, version: str) -> bool:
        champion = self._champion_version(client)
        return champion is not None and str(champion.version) == version

    def _tag_previous(self, client: MlflowClient, version: str) -> None:
        before = self._champion_version(client)
        if before is not None and str(before.version) != version:  # a repeated promotion forgets none
            client.set_model_version_tag(self._name, version, PREVIOUS_TAG, str(before.version))

    def _versions(self, client: MlflowClient) -> list[ModelVersion]:
        return list(client.search_model_versions(f"name = '{self._name}'"))

    def _alias(self) -> ChampionAlias | None:
        return self._named(self._name)

    def _named(self, model: str) -> ChampionAlias | None:
        """The champion of a registered model."""
        with self._store.failures():
            try:
                return read_alias(self.uri, model)
            except AliasUnknownError:
                with self._store.client() as client:
                    found = _champion_of(client, model)
                    if found is None:
                        return None
                    return ChampionAlias(str(found.version), str(found.run_id), found.tags.get(PREVIOUS_TAG))

    def _scratch(self) -> tempfile.TemporaryDirectory[str]:
        """A folder in the home: the system's own for such files may be cleaned while a service runs."""
        self._home.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryDirectory(prefix=".registry-", dir=self._home)

    def _texts(self, version: ModelVersion) -> dict[str, str]:
        import mlflow  # noqa: PLC0415

        with self._scratch() as folder:
            uri = f"models:/{self._name}/{version.version}"
            path = Path(mlflow.artifacts.download_artifacts(uri, dst_path=folder)) / FORECASTER_FOLDER
            return {file.name: file.read_text() for file in path.glob("*")} if path.is_dir() else {}

    def _champion_version(self, client: MlflowClient) -> ModelVersion | None:
        return _champion_of(client, self._name)

    def _experiment(self, client: MlflowClient) -> str:
        found = client.get_experiment_by_name(MLFLOW_EXPERIMENT_NAME)
        if found is not None:
            if found.lifecycle_stage == DELETED:
                client.restore_experiment(found.experiment_id)
                _log.warning("experiment %s was deleted in MLflow; it was restored", MLFLOW_EXPERIMENT_NAME)
            return str(found.experiment_id)
        return str(
            client.create_experiment(MLFLOW_EXPERIMENT_NAME, artifact_location=self._store.artifact_location)
        )

    def _registered(self, client: MlflowClient) -> str:
        if not client.search_registered_models(f"name = '{self._name}'"):
            client.create_registered_model(self._name)
        return self._name


def get_champion_model(settings: Settings | None = None) -> Forecaster:
    """The champion's whole forecaster.

    Raises:
        NoChampionError: none was promoted yet.
        ModelRefusedError: its files are damaged.
        RegistryUnavailableError: MLflow cannot be reached.
    """
    return Registry(settings or load_settings()).champion().forecaster


def promote_to_champion(
    run_id: str, verdict: Verdict, settings: Settings | None = None, *, registry: Registry | None = None
) -> bool:
    """Store the verdict with a run's version and let the version serve if the verdict says so.

    Returns:
        Whether it serves now.

    Raises:
        LookupError: the run has no registered version.
        RegistryUnavailableError: MLflow cannot be reached.
    """
    registry = registry or Registry(settings or load_settings())
    return registry.apply_verdict(run_id, verdict)


def _champion_of(client: MlflowClient, model: str) -> ModelVersion | None:
    from mlflow.exceptions import MlflowException  # noqa: PLC0415

    try:
        return client.get_model_version_by_alias(model, CHAMPION_ALIAS)
    except MlflowException as error:
        if error.error_code in NOT_THERE:
            return None
        raise


def _importance(forecaster: Forecaster) -> dict[str, dict[str, float]]:
    from energy_demand.model.base.booster import BOOSTER_COLUMNS  # noqa: PLC0415

    return {
        kind: dict(
            zip(
                BOOSTER_COLUMNS,
                map(float, forecaster.booster.feature_importance(importance_type=kind)),
                strict=True,
            )
        )
        for kind in ("gain", "split")
    }
