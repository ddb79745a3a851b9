"""The history of trainings in MLflow, for people: runs with their metrics, versions with their verdicts.

Only reads.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from energy_demand.config import CHAMPION_ALIAS, MLFLOW_EXPERIMENT_NAME
from energy_demand.registry.champion_alias import PREVIOUS_TAG
from energy_demand.registry.mlflow_store import MlflowStore
from energy_demand.registry.registry import PROMOTED_TAG, ROLLED_BACK_TAG, VERDICT_TAG
from energy_demand.timeaxis import parse_moment

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow.entities.model_registry import ModelVersion

    from energy_demand.config import Settings

RESPONDENT = "respondent"


@dataclass(frozen=True)
class RunSummary:
    """One training run.

    Attributes:
        run_id: MLflow's.
        name: `train-` and its start, by the clock that was passed in.
        started_at: real start time, UTC.
        trained_through: the newest hour that it was trained on; None if unknown.
        status: MLflow's, such as `FINISHED`.
        metrics: by name.
        params: by name.
        version: registered from it, or None.
        verdict: on that version, in one line; empty without one.
        promoted: whether it was promoted; None without a verdict.
        serves: whether it is the champion.
        previous: the champion that it replaced.
        rolled_back: `to N` if it was rolled back and does not serve again.
    """

    run_id: str
    name: str
    started_at: datetime
    trained_through: datetime | None
    status: str
    metrics: Mapping[str, float] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    version: str | None = None
    verdict: str = ""
    promoted: bool | None = None
    serves: bool = False
    previous: str | None = None
    rolled_back: str | None = None


def run_history(settings: Settings, limit: int) -> list[RunSummary]:
    """The newest `limit` runs of the region, newest first, with the versions that are still registered.

    Raises:
        RegistryUnavailableError: MLflow cannot be reached.
    """
    with MlflowStore(settings).client() as client:
        experiment = client.get_experiment_by_name(MLFLOW_EXPERIMENT_NAME)
        if experiment is None:
            return []
        runs = client.search_runs(
            [experiment.experiment_id],
            filter_string=f"params.{RESPONDENT} = '{settings.region.respondent}'",
            max_results=limit,
            order_by=["attributes.start_time DESC"],
        )
        versions: dict[str, ModelVersion] = {
            str(version.run_id): version
            for version in client.search_model_versions(f"name = '{settings.model_name}'", max_results=1000)
        }
        models = client.search_registered_models(f"name = '{settings.model_name}'")
        champion = str(models[0].aliases.get(CHAMPION_ALIAS)) if models else None
    history = []
    for run in runs:
        version = versions.get(run.info.run_id)
        tags = {} if version is None else version.tags
        # The alias is the truth: a change of the champion that was killed leaves tags that lag behind it.
        serves = version is not None and str(version.version) == champion
        history.append(
            RunSummary(
                run_id=run.info.run_id,
                name=run.info.run_name or run.info.run_id,
                started_at=datetime.fromtimestamp(run.info.start_time / 1000, UTC),
                trained_through=_parsed(run.data.params.get("window_end")),
                status=run.info.status,
                metrics=dict(run.data.metrics),
                params=dict(run.data.params),
                version=None if version is None else str(version.version),
                verdict=tags.get(VERDICT_TAG, ""),
                promoted=serves or (tags[PROMOTED_TAG] == "true" if PROMOTED_TAG in tags else None),
                serves=serves,
                previous=tags.get(PREVIOUS_TAG),
                rolled_back=None if serves else tags.get(ROLLED_BACK_TAG),
            )
        )
    return history


def _parsed(text: str | None) -> datetime | None:
    return None if text is None else parse_moment(text)
