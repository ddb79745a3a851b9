"""The status job: what is stored and which model serves, as far as either can be read. Only reads."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from energy_demand.columns import OPERATOR, SYSTEM
from energy_demand.config import NEW_YORK_RESPONDENTS
from energy_demand.database import decisions, peaks, state
from energy_demand.database.daily_totals import EIA_DAILY, missing_totals
from energy_demand.database.engine import opened
from energy_demand.errors import UserError
from energy_demand.jobs.contest_state import contest_state, read_shadows
from energy_demand.monitoring.stored_peaks import peak_of_tomorrow
from energy_demand.monitoring.weather_models import model_states, running_states
from energy_demand.notifications.state import read_state
from energy_demand.registry.mlflow_store import RegistryUnavailableError
from energy_demand.registry.registry import Registry
from energy_demand.timeaxis import local_day

if TYPE_CHECKING:
    from datetime import datetime

    import sqlalchemy as sa

    from energy_demand.config import Settings
    from energy_demand.database.engine import Database

# Of the weather models' runs, those of so long are counted.
RUNS_SHOWN = timedelta(days=14)
STORED = (
    "data",
    "demand",
    "weather",
    "operator",
    "sources",
    "weather_runs",
    "weather_models",
    "last_drift_check",
    "last_retraining",
    "contest",
    "peak",
    "notifications",
)


def status(settings: Settings, now: datetime) -> dict[str, Any]:
    """The body of `status --json`, as known at `now`.

    What cannot be read is None, and `problems` has the reason: by `database` for the data, by `mlflow` for
    the champion. One of them that is away hides nothing of the other.
    """
    problems: dict[str, str] = {}
    stored: dict[str, Any] = dict.fromkeys((*STORED, "database"))
    try:
        with opened(settings) as database:
            stored |= {"database": database.label} | _stored(database, settings, now)
            stored["contest"] = _contest(database, settings, now)
    except UserError as error:
        problems["database"] = str(error)
    champion, label = None, None
    try:
        registry = Registry(settings)
        label = registry.label
        champion = registry.champion_summary()
    except UserError as error:
        problems["mlflow"] = str(error)
    return {
        "now": now,
        "data": stored["data"],
        "respondent": settings.region.respondent,
        "demand": stored["demand"],
        "weather": stored["weather"],
        "operator": stored["operator"],
        "sources": stored["sources"],
        "weather_runs": stored["weather_runs"],
        "weather_models": stored["weather_models"],
        "champion": champion,
        "last_drift_check": stored["last_drift_check"],
        "last_retraining": stored["last_retraining"],
        "contest": stored["contest"],
        "peak": stored["peak"],
        "notifications": stored["notifications"],
        "database": stored["database"],
        "mlflow": label,
        "problems": problems,
    }


def _stored(database: Database, settings: Settings, now: datetime) -> dict[str, Any]:
    """`STORED`: what the database tells.

    Raises:
        DatabaseUnavailableError: the database cannot be used.
    """
    # A single model's errors are in the metrics and its change is an alert: here they would cost a second.
    states = model_states if len(settings.weather_models) > 1 else running_states
    respondent, sites = settings.region.respondent, [site.name for site in settings.region.sites]
    with database.transaction() as connection:
        check = decisions.last_check(connection, respondent, now)
        retrainings = decisions.retrainings(connection, respondent, now, 1)
        operator = None
        if respondent in NEW_YORK_RESPONDENTS:  # the operator is New York's
            operator = state.operator_summary(connection, OPERATOR, SYSTEM, now)
        return {
            "data": database.kind(),
            "demand": state.demand_summary(connection, respondent, now),
            "weather": state.weather_summary(connection, sites, now),
            "operator": operator,
            "sources": [
                source | {"missing_days": missing_totals(connection, settings, now)}
                if (source["source"], source["subject"]) == (EIA_DAILY, respondent)
                else source
                for source in state.source_states(connection, respondent)
            ],
            "weather_runs": state.run_counts(connection, respondent, now - RUNS_SHOWN),
            "weather_models": [each.to_json() for each in states(connection, settings, now)],
            "last_drift_check": None if check is None else _checked(check),
            "last_retraining": _retrained(retrainings[0]) if retrainings else None,
            "peak": _peak(connection, settings, now),
            "notifications": read_state(connection, settings, now),
        }


def _contest(database: Database, settings: Settings, now: datetime) -> dict[str, Any] | None:
    """The models in the shadow; None where MLflow cannot say which version serves."""
    try:
        return contest_state(read_shadows(database, Registry(settings), settings, now), now)
    except RegistryUnavailableError:  # in `problems` already
        return None


def _checked(check: dict[str, Any]) -> dict[str, Any]:
    return {
        "at": check["check_timestamp"],
        "drifted": check["dataset_drift_detected"],
        "drift_share": check["drift_share"],
        "retrain": check["triggered_retrain"],
        "reason": check["reason"],
    }


def _peak(connection: sa.Connection, settings: Settings, now: datetime) -> dict[str, Any]:
    """Whether tomorrow is alerted as a peak day, and the days of its year that are."""
    region = settings.region
    tomorrow = local_day(now, region.zone) + timedelta(days=1)
    peak = peak_of_tomorrow(connection, region, now)
    return {
        "day": tomorrow,
        "alert": None if peak is None else peak.alert,
        "reason": None if peak is None else peak.reason(region.zone),
        "alerted_days": peaks.read_alerts(connection, region.respondent, tomorrow.year, now),
    }


def _retrained(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "at": row["started_at"],
        "trigger": row["trigger"],
        "outcome": row["outcome"],
        "rolled_back_at": row["rolled_back_at"],
        "version": row["model_version"],
        "reason": decisions.outcome_reason(row),
    }
