"""What is stored and what serves, in one look."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from energy_demand.database import state
from energy_demand.model.registry import NoChampionError, Registry

if TYPE_CHECKING:
    from datetime import datetime

    from energy_demand.config import Settings
    from energy_demand.database.engine import Database


def status(database: Database, settings: Settings, now: datetime) -> dict[str, Any]:
    """The body of `status --json`, as known at `now`.

    Raises:
        DatabaseUnavailableError: the database cannot be used.
        RegistryUnavailableError: MLflow cannot be reached.
    """
    with database.transaction() as connection:
        demand = state.demand_summary(connection, settings.region.respondent, now)
        weather = state.weather_summary(connection, now)
        sources = state.source_states(connection)
    registry = Registry(settings)
    return {
        "now": now,
        "data": database.kind(),
        "respondent": settings.region.respondent,
        "demand": demand,
        "weather": weather,
        "sources": sources,
        "champion": _champion(registry),
        "last_drift_check": None,
        "database": database.label,
        "mlflow": registry.label,
    }


def _champion(registry: Registry) -> dict[str, Any] | None:
    try:
        champion = registry.champion()
    except NoChampionError:
        return None
    return {
        "version": champion.version,
        "run_id": champion.run_id,
        "trained_through": champion.forecaster.trained_through,
        "mape": champion.metrics.get("test_mape"),
    }
