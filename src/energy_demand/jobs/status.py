"""The status job: what is stored and which model serves. Only reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from energy_demand.database import decisions, state
from energy_demand.registry.registry import Registry

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
        check = decisions.last_check(connection, settings.region.respondent, now)
        retrainings = decisions.retrainings(connection, settings.region.respondent, now, 1)
    registry = Registry(settings)
    return {
        "now": now,
        "data": database.kind(),
        "respondent": settings.region.respondent,
        "demand": demand,
        "weather": weather,
        "sources": sources,
        "champion": registry.champion_summary(),
        "last_drift_check": None if check is None else _checked(check),
        "last_retraining": _retrained(retrainings[0]) if retrainings else None,
        "database": database.label,
        "mlflow": registry.label,
    }


def _checked(check: dict[str, Any]) -> dict[str, Any]:
    return {
        "at": check["check_timestamp"],
        "drifted": check["dataset_drift_detected"],
        "drift_share": check["drift_share"],
        "retrain": check["triggered_retrain"],
        "reason": check["reason"],
    }


def _retrained(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "at": row["started_at"],
        "trigger": row["trigger"],
        "outcome": row["outcome"],
        "version": row["model_version"],
        "reason": row["error"] or (row["verdict"] or {}).get("reason") or row["reason"],
    }
