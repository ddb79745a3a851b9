"""The drift check: stored rows and the champion → data drift, concept drift, performance, and a decision.

It never retrains. The decision and its reason are stored, also when no retraining is needed.
"""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pandas as pd

from energy_demand.data.record_store import load_record
from energy_demand.database import decisions, predictions
from energy_demand.errors import UserError
from energy_demand.limits import mae_limit_mwh
from energy_demand.monitoring.circumstances import find_circumstances
from energy_demand.monitoring.concept_drift import daily_residuals, run_charts
from energy_demand.monitoring.diagnosis import USUAL_DAYS
from energy_demand.monitoring.drift_detection import generate_drift_html_report, run_drift_check
from energy_demand.monitoring.performance_monitor import JUDGED_DAYS, WINDOWS_DAYS, compare, performance
from energy_demand.monitoring.reference import Reference, read_reference, write_reference
from energy_demand.monitoring.retraining_policy import Decision, Evidence, Policy, decide
from energy_demand.monitoring.source_faults import (
    daily_weather_errors,
    faulty_answers,
    faulty_days,
    together,
)
from energy_demand.monitoring.watched_rows import WINDOW_DAYS as DRIFT_WINDOW_DAYS
from energy_demand.monitoring.watched_rows import reference_rows, watched_rows
from energy_demand.timeaxis import local_day

if TYPE_CHECKING:
    from datetime import datetime

    from energy_demand.config import Settings
    from energy_demand.data.record import Record
    from energy_demand.database.engine import Database
    from energy_demand.registry.champion import Champion
    from energy_demand.registry.registry import Registry

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DriftOutcome:
    """Findings and decision of a check: `check` is the row of `drift_log`, `shadow` the judging before it."""

    decision: Decision
    check: dict[str, Any]
    report: str | None
    shadow: dict[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """The body of `drift --json`."""
        return {
            "retrain": self.decision.retrain,
            "trigger": None if self.decision.trigger is None else self.decision.trigger.value,
            "cause": None if self.decision.cause is None else self.decision.cause.value,
            "reason": self.decision.reason,
            "report": self.report,
            "shadow": self.shadow,
            **self.check,
        }


def run_check(database: Database, registry: Registry, settings: Settings, now: datetime) -> DriftOutcome:
    """Check the newest weeks, store the findings, and decide whether to retrain.

    Raises:
        NoChampionError: no model serves yet, so there is nothing to compare.
        NoDemandError: nothing is stored.
        RegistryUnavailableError: MLflow cannot be reached.
        ModelRefusedError: the champion's files are damaged.
    """
    champion = registry.champion()
    record = load_record(database, settings, now)
    respondent, zone = settings.region.respondent, settings.region.zone
    newest = settings.availability.newest_known(now)
    reference = champion_reference(database, settings, champion)
    window = watched_rows(record, newest - timedelta(days=DRIFT_WINDOW_DAYS), newest)
    drifted, share, details = run_drift_check(reference.rows, window)
    report = _report(settings, reference.rows, window)
    residuals = residuals_before_today(champion, record, now)
    concept = run_charts(residuals)
    since = now - timedelta(days=max(WINDOWS_DAYS) + 2)

    def read(connection: Any) -> tuple[pd.DataFrame, datetime | None, dict[str, Any] | None]:
        predictions.fill_actuals(connection, respondent, since, now)
        scheduled = predictions.read_scheduled(connection, respondent, zone.key, since, now)
        ages = predictions.read_demand_ages(connection, respondent, zone.key, since, now)
        scheduled = scheduled.assign(demand_age_hours=ages.reindex(scheduled["timestamp"]).to_numpy())
        last = decisions.last_retraining(connection, respondent, now)
        return scheduled, last, decisions.challenger(connection, respondent)

    forecasts, last_retraining, challenger = database.run(read)
    of_champion = forecasts[forecasts["model_version"] == champion.version]
    comparison = compare(of_champion, champion.metrics, champion.forecaster.expected_errors, zone)
    drift_share = share if details["n_total_features"] else None
    judged_from = min(champion.forecaster.trained_through, since)
    circumstances = find_circumstances(
        today=local_day(now, zone),
        faults=together(faulty_days(record, judged_from, runs=True), faulty_answers(forecasts, zone)),
        weather_errors=daily_weather_errors(record, now - timedelta(days=JUDGED_DAYS + USUAL_DAYS + 1), now),
        residuals=residuals,
        forecasts=of_champion,
        metrics=champion.metrics,
        expected_errors=champion.forecaster.expected_errors,
        reference=reference.rows,
        window=window,
        drift_share=drift_share,
        drift_details=details,
        zone=zone,
    )
    evidence = Evidence(
        now=now,
        trained_through=champion.forecaster.trained_through,
        last_retraining=last_retraining,
        challenger_since=None if challenger is None else challenger["started_at"],
        drift_share=drift_share,
        concept_alarm=concept.alarms[-1] if concept.alarms else None,
        comparison=comparison,
        zone=zone,
        circumstances=circumstances,
    )
    policy = Policy.of_days(settings.retrain_max_age_days, settings.retrain_cooldown_days)
    decision = decide(evidence, replace(policy, mae_mwh=mae_limit_mwh(settings.region.respondent)))
    check = {
        "respondent": respondent,
        "check_timestamp": now,
        "dataset_drift_detected": drifted,
        "drift_share": share,
        "n_drifted_features": details["n_drifted_features"],
        "n_total_features": details["n_total_features"],
        "drift_details": {
            **details,
            "champion": champion.version,
            "champion_test_mae": champion.metrics.get("test_mae"),
            "window": {"start": newest - timedelta(days=DRIFT_WINDOW_DAYS), "end": newest},
            "concept": asdict(concept),
            "comparison": asdict(comparison),
            "performance": performance(forecasts, now),
            "trigger": None if decision.trigger is None else decision.trigger.value,
            "cause": None if decision.cause is None else decision.cause.value,
            "circumstances": asdict(circumstances),
        },
        "triggered_retrain": decision.retrain,
        "reason": decision.reason,
    }
    check["drift_details"] = decisions.plain(check["drift_details"])
    database.run(lambda connection: decisions.insert_check(connection, check))
    return DriftOutcome(decision, check, report)


def residuals_before_today(champion: Champion, record: Record, now: datetime) -> pd.Series:
    """The champion's daily residuals of the whole days since it was trained."""
    residuals = daily_residuals(champion.forecaster, record)
    today = pd.Timestamp(local_day(now, record.region.zone))
    return residuals[residuals.index < today] if len(residuals) else residuals


def champion_reference(database: Database, settings: Settings, champion: Champion) -> Reference:
    """The champion's reference; rebuilt and written if the file is missing or another champion's."""
    stored = read_reference(settings.reference_path)
    model = champion.forecaster
    through = model.trained_through.isoformat()
    if stored is not None and (stored.version, stored.trained_through) == (champion.version, through):
        return stored
    known = load_record(
        database, settings, model.trained_through + timedelta(hours=model.publication_delay_hours)
    )
    reference = Reference(champion.version, through, reference_rows(known, model))
    try:
        write_reference(settings.reference_path, reference)
    except OSError as error:
        _log.warning(
            "cannot write %s (%s); every drift check will compute the drift reference again",
            settings.reference_path,
            error,
        )
    return reference


def refresh_reference(database: Database, registry: Registry, settings: Settings) -> None:
    """Write the reference of the current champion; if that fails, the next check rebuilds it."""
    try:
        champion_reference(database, settings, registry.champion())
    except UserError as error:
        _log.warning("the drift reference is not updated yet; the next drift check will do it: %s", error)


def _report(settings: Settings, reference: pd.DataFrame, window: pd.DataFrame) -> str | None:
    try:
        return generate_drift_html_report(reference, window, settings.drift_report_path)
    except OSError as error:
        _log.warning("cannot write %s: %s", settings.drift_report_path, error)
        return None
