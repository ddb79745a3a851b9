"""The training job: stored record → fit → registered version → contest → verdict.

A command or a flow runs it; every step is a function of another package.
"""

from __future__ import annotations

import logging
import time
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from energy_demand.config import FORECAST_HORIZON_HOURS
from energy_demand.data.record_store import load_record
from energy_demand.database import decisions
from energy_demand.errors import UserError
from energy_demand.evaluation.contest import (
    Promotion,
    best_of_year,
    contest,
    day_ahead,
    holdout_error,
    unseen_days,
    weather_of,
)
from energy_demand.evaluation.promotion import Verdict, first, judge
from energy_demand.model.base.training import data_hash
from energy_demand.model.intervals import LEVELS
from energy_demand.model.metrics import coverage, headline, scores
from energy_demand.model.train import Recipe, Trained, fit
from energy_demand.registry.champion import NoChampionError
from energy_demand.registry.manifest import ModelRefusedError
from energy_demand.registry.registry import promote_to_champion

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from energy_demand.config import Settings
    from energy_demand.data.record import Record
    from energy_demand.database.engine import Database
    from energy_demand.model.forecaster import Forecaster
    from energy_demand.registry.registry import Registry, Version

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingOutcome:
    """The result of a training; `contest` has the hours that both models were judged on."""

    version: Version
    verdict: Verdict
    metrics: dict[str, float]
    rows: int
    first: datetime
    trained_through: datetime
    seconds: float
    contest: pd.DataFrame = field(default_factory=pd.DataFrame)

    def to_json(self) -> dict[str, Any]:
        """The body of `train --json`."""
        return {
            "version": asdict(self.version),
            "verdict": {**asdict(self.verdict), "promoted": self.verdict.promoted},
            "metrics": self.metrics,
            "rows": self.rows,
            "first": self.first,
            "trained_through": self.trained_through,
            "seconds": self.seconds,
        }


def run_training(
    database: Database,
    registry: Registry,
    settings: Settings,
    now: datetime,
    *,
    recipe: Recipe | None = None,
    refit: bool = True,
    check_lock: Callable[[], None] = lambda: None,
    registered: Callable[[Version], None] = lambda version: None,  # noqa: ARG005
    progress: Callable[[str], None] = lambda step: None,  # noqa: ARG005
) -> TrainingOutcome:
    """Train on everything known at `now`, register the model, and promote it if the verdict allows.

    With `refit` (a routine retraining, by age or by hand) the model only has to be no worse than the
    champion; without, because something is wrong, it must be better. A verdict that is not decided leaves the
    version registered, for the shadow. `registered` is called with the version before any
    promotion. `check_lock` is called before a version is registered and before it is promoted, and raises if
    another training may be running.

    Raises:
        NoDemandError: nothing is stored.
        TooFewRowsError: there is not enough data to train on.
        RegistryUnavailableError: MLflow failed; the champion is unchanged.
    """
    recipe = recipe or Recipe()
    started = time.perf_counter()
    progress("reading")
    record = load_record(database, settings, now)
    registry.champion_version()  # without MLflow nothing that is trained here could be kept
    trained = fit(record, recipe, availability=settings.availability, progress=progress)
    progress("judging")
    respondent = settings.region.respondent
    chain = promotions_of(database.run(lambda connection: decisions.promotions(connection, respondent)))
    holdout, hours, verdict = _contest(registry, trained, record, best_of_year(chain, now), refit=refit)
    progress("registering")
    first = trained.rows["timestamp"].iloc[0].to_pydatetime()
    metrics = {
        **_holdout_metrics(holdout, record.region.zone),
        **{f"base_{name}": value for name, value in trained.base_metrics.items()},
    }
    check_lock()
    version = registry.register(
        trained.forecaster,
        params=_params(settings, recipe, trained),
        metrics=metrics,
        started_at=now,
    )
    registered(version)
    check_lock()
    promote_to_champion(version.run_id, verdict, registry=registry)
    return TrainingOutcome(
        version=version,
        verdict=verdict,
        metrics=metrics,
        rows=len(trained.rows),
        first=first,
        trained_through=trained.forecaster.trained_through,
        seconds=time.perf_counter() - started,
        contest=hours,
    )


def _contest(
    registry: Registry, trained: Trained, record: Record, best_version: str | None, *, refit: bool
) -> tuple[pd.DataFrame, pd.DataFrame, Verdict]:
    """The judged fit's forecasts of its holdout days, the hours of the contest, and the verdict."""
    judged = trained.judged
    if judged is None:
        raise ValueError("a model without a holdout fit cannot be promoted")
    days = unseen_days(record, judged)
    weather = weather_of(record, days)  # one for all models
    holdout = day_ahead(judged, record, days, weather)
    try:
        champion = registry.champion()
    except NoChampionError:
        return holdout, pd.DataFrame(), first(holdout)
    except ModelRefusedError as error:
        # The damaged champion cannot serve either, and its error message says to train.
        verdict = first(holdout)
        reason = f"{verdict.reason}; the champion cannot be loaded: {error}"
        return holdout, pd.DataFrame(), replace(verdict, reason=reason)
    best = None if best_version in {None, champion.version} else _loaded(registry, str(best_version))
    hours = contest(holdout, judged, champion.forecaster, record, weather=weather, best=best)
    return holdout, hours, judge(hours, refit=refit)


def _loaded(registry: Registry, version: str) -> Forecaster | None:
    """The forecaster of a version; None where it cannot be loaded any more."""
    try:
        return registry.load(version).forecaster
    except UserError as error:
        _log.warning("the best champion of the last year, version %s, is not compared: %s", version, error)
        return None


def promotions_of(rows: Sequence[dict[str, Any]]) -> list[Promotion]:
    """The chain of champions, from the rows of `decisions.promotions`."""
    return [
        Promotion(row["model_version"], row["decided_at"], (row["verdict"] or {}).get("gain_percent") or 0.0)
        for row in rows
    ]


def _holdout_metrics(holdout: pd.DataFrame, zone: ZoneInfo) -> dict[str, float]:
    """Scores of the day-ahead forecasts and of both naive ones on the same hours; `test_n` 0 without any."""
    known = holdout[holdout["actual_mwh"].notna()]
    if known.empty:
        return {"test_n": 0.0}
    metrics = holdout_error(known, zone) | headline(known["actual_mwh"], known["predicted_mwh"])
    for name, column in (
        ("test", "predicted_mwh"),
        ("test_base", "base_mwh"),
        ("test_seasonal_naive_24", "seasonal_naive_24_mwh"),
        ("test_seasonal_naive_168", "seasonal_naive_168_mwh"),
    ):
        by_name = scores(known["actual_mwh"], known[column])
        metrics |= {f"{name}_{key}": float(value) for key, value in by_name.items()}  # type: ignore[arg-type]
    actual = known["actual_mwh"].to_numpy()
    for level in LEVELS:
        lower, upper = known[f"lower_{level}"].to_numpy(), known[f"upper_{level}"].to_numpy()
        metrics[f"test_coverage_{level}"] = coverage(actual, lower, upper)
    return metrics


def _params(settings: Settings, recipe: Recipe, trained: Trained) -> dict[str, Any]:
    rows = trained.rows
    return {
        "respondent": settings.region.respondent,
        "sites": ",".join(site.name for site in settings.region.sites),
        "publication_delay_hours": settings.publication_delay_hours,
        "horizon_hours": FORECAST_HORIZON_HOURS,
        "window_start": rows["timestamp"].iloc[0].isoformat(),
        "window_end": rows["timestamp"].iloc[-1].isoformat(),
        "rows": len(rows),
        "data_hash": data_hash(rows),
        **_flat("", recipe),
    }


def _flat(prefix: str, settings: Any) -> dict[str, Any]:
    """Nested recipes as MLflow parameters: `regression.outlier`, `base.parameters.num_leaves`."""
    named = (
        {item.name: getattr(settings, item.name) for item in fields(settings)}
        if is_dataclass(settings)
        else dict(settings)
    )
    flat: dict[str, Any] = {}
    for name, value in named.items():
        nested = is_dataclass(value) or isinstance(value, dict)
        flat |= _flat(f"{prefix}{name}.", value) if nested else {f"{prefix}{name}": value}
    return flat
