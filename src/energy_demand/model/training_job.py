"""The training job: stored history → features → fit → registered version → verdict.

A command or a flow runs it; the steps themselves are elsewhere.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from energy_demand.config import FORECAST_HORIZON_HOURS
from energy_demand.data.feature_engineering import build_features
from energy_demand.data.history import History, load_observed
from energy_demand.database import repository
from energy_demand.model.promotion import Verdict, judge
from energy_demand.model.registry import NoChampionError
from energy_demand.model.train import Recipe, TooFewRowsError, data_hash, fit, training_targets
from energy_demand.timeaxis import utc_index

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    import pandas as pd

    from energy_demand.config import Settings
    from energy_demand.database.engine import Database
    from energy_demand.model.forecaster import Forecaster
    from energy_demand.model.registry import Registry, Version


@dataclass(frozen=True)
class TrainingOutcome:
    """What a training did."""

    version: Version
    verdict: Verdict
    metrics: dict[str, float]
    rows: int
    first: datetime
    trained_through: datetime
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """The body of `train --json`."""
        return asdict(self)


def run_training(
    database: Database,
    registry: Registry,
    settings: Settings,
    now: datetime,
    *,
    recipe: Recipe | None = None,
    progress: Callable[[str], None] = lambda step: None,  # noqa: ARG005
) -> TrainingOutcome:
    """Train on all that is known at `now`, register the model, and let it serve if it may.

    Raises:
        TooFewRowsError: too little is stored.
        RegistryUnavailableError: MLflow failed; the champion is unchanged.
    """
    recipe = recipe or Recipe()
    started = time.perf_counter()
    progress("building features")
    rows = training_rows(whole_history(database, settings, now), settings, recipe)
    progress(f"fitting on {len(rows):,} rows")
    trained = fit(rows, recipe, settings.region.respondent, settings.publication_delay_hours)
    progress("registering")
    champion = _champion(registry)
    verdict = judge(champion, trained.judged, trained.test)
    first = rows["timestamp"].iloc[0].to_pydatetime()
    version = registry.register(
        trained.forecaster,
        params=_params(settings, recipe, rows),
        metrics=trained.metrics,
        started_at=now,
    )
    registry.promote(version.run_id, verdict)
    return TrainingOutcome(
        version=version,
        verdict=verdict,
        metrics=trained.metrics,
        rows=len(rows),
        first=first,
        trained_through=trained.forecaster.trained_through,
        seconds=time.perf_counter() - started,
    )


def whole_history(database: Database, settings: Settings, now: datetime) -> History:
    """All demand and observed weather known at `now`.

    Raises:
        TooFewRowsError: there is no demand.
    """
    with database.transaction() as connection:
        span = repository.demand_span(connection, settings.region.respondent, "D", now)
    if span is None:
        raise TooFewRowsError(
            f"{database.label} holds no demand of {settings.region.respondent} known at "
            f"{now:%Y-%m-%dT%H:%MZ}; run `energy-demand backfill` first"
        )
    return load_observed(database, settings.region, span[0], span[1], now)


def training_rows(history: History, settings: Settings, recipe: Recipe) -> pd.DataFrame:
    """Feature rows of every known hour at a few leads each; hours without a week of history left out."""
    periods = utc_index(history.demand.loc[history.demand["truth_mwh"].notna(), "period"])
    rows = build_features(
        history.demand,
        history.weather,
        targets=training_targets(periods, recipe),
        region=settings.region,
        availability=settings.availability,
    )
    warm = rows["demand_lag_168h"].notna() & rows["demand_rolling_std_24h"].notna()
    return rows[warm].reset_index(drop=True)


def _champion(registry: Registry) -> Forecaster | None:
    try:
        return registry.champion().forecaster
    except NoChampionError:
        return None


def _params(settings: Settings, recipe: Recipe, rows: pd.DataFrame) -> dict[str, Any]:
    return {
        "respondent": settings.region.respondent,
        "sites": ",".join(site.name for site in settings.region.sites),
        "publication_delay_hours": settings.publication_delay_hours,
        "horizon_hours": FORECAST_HORIZON_HOURS,
        "window_start": rows["timestamp"].iloc[0].isoformat(),
        "window_end": rows["timestamp"].iloc[-1].isoformat(),
        "rows": len(rows),
        "data_hash": data_hash(rows),
        "lead_stride": recipe.lead_stride,
        "test_share": recipe.test_share,
        "test_days": recipe.test_days,
        "validation_share": recipe.validation_share,
        "max_trees": recipe.max_trees,
        "patience": recipe.patience,
        **{f"lgb_{name}": value for name, value in recipe.parameters.items()},
    }
