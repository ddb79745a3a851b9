"""The events that the rows stored by jobs of any process imply."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from energy_demand.database import decisions, notifications, state
from energy_demand.database.job_runs import Job
from energy_demand.database.predictions import step_number
from energy_demand.logs import redact
from energy_demand.monitoring.stored_peaks import peak_of_tomorrow
from energy_demand.notification_settings import Kind
from energy_demand.notifications.events import (
    DriftFound,
    ForecastReady,
    JobFailed,
    PeakExpected,
    Promoted,
    RolledBack,
    SourceAway,
)
from energy_demand.timeaxis import local_day

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    import sqlalchemy as sa

    from energy_demand.config import Settings
    from energy_demand.notifications.events import Event

# Whose a source is, by how its name begins.
UPSTREAMS = {"eia": "EIA", "open_meteo": "Open-Meteo", "nyiso": "NYISO"}
# Triggers of a check that say that something is wrong, not that the model is old.
WRONG = ("performance", "concept", "drift")
# A promotion or rollback longer ago is no news, e.g. where NOTIFY_URLS is set for the first time.
NEWS = timedelta(days=1)


def find_events(connection: sa.Connection, settings: Settings, now: datetime) -> list[Event]:
    """The events of the kinds in NOTIFY_KINDS, of one region, as known at `now`."""
    kinds = set(settings.notify_kinds)
    respondent = settings.region.respondent
    away = list(_sources(connection, respondent)) if kinds & {Kind.SOURCE, Kind.FAILURE} else []
    found: list[Event] = []
    if Kind.FORECAST in kinds:
        found += _forecast(connection, settings, now)
    if Kind.PEAK in kinds:
        found += _peak(connection, settings, now)
    if Kind.DRIFT in kinds:
        found += _drift(connection, respondent, now)
    if Kind.MODEL in kinds:
        found += _champion(connection, respondent, now)
    if Kind.SOURCE in kinds:
        found += away
    if Kind.FAILURE in kinds:
        found += _jobs(connection, respondent, without_ingestion=bool(away))
    return found


def _forecast(connection: sa.Connection, settings: Settings, now: datetime) -> Iterator[Event]:
    """Tomorrow's forecast, if it is logged."""
    zone = settings.region.zone
    day = local_day(now, zone) + timedelta(days=1)
    hours = notifications.forecast_hours(connection, settings.region.respondent, day, zone, now)
    if not hours:
        return
    peak = max(hours, key=lambda hour: float(hour["predicted_demand"]))
    yield ForecastReady(
        day=day,
        peak_period=peak["timestamp"],
        peak_mwh=peak["predicted_demand"],
        lower_mwh=peak["lower_80"],
        upper_mwh=peak["upper_80"],
        energy_mwh=sum(hour["predicted_demand"] for hour in hours),
        quality=max((hour["quality"] for hour in hours), key=step_number),
    )


def _peak(connection: sa.Connection, settings: Settings, now: datetime) -> Iterator[Event]:
    """Tomorrow, if it is alerted as a peak day."""
    peak = peak_of_tomorrow(connection, settings.region, now)
    if peak is None or not peak.alert:
        return
    yield PeakExpected(
        day=peak.day,
        peak_period=peak.likeliest,
        peak_mwh=peak.quantiles[0.5],
        lower_mwh=peak.quantiles[0.1],
        upper_mwh=peak.quantiles[0.9],
        reason=peak.reason(settings.region.zone),
        probability=peak.hour_probability,
    )


def _drift(connection: sa.Connection, respondent: str, now: datetime) -> Iterator[Event]:
    check = decisions.last_check(connection, respondent, now)
    if check is None:
        return
    if check["dataset_drift_detected"] or check["drift_details"].get("trigger") in WRONG:
        yield DriftFound(check["check_timestamp"], check["drift_share"], check["reason"])


def _champion(connection: sa.Connection, respondent: str, now: datetime) -> Iterator[Event]:
    since = now - NEWS
    for row in notifications.champion_changes(connection, respondent, since, now):
        version = str(row["model_version"])
        if row["outcome"] == "promoted" and since < row["decided_at"]:
            reason = (row["verdict"] or {}).get("reason") or row["reason"]
            yield Promoted(row["id"], version, row["decided_at"], reason)
        if row["rolled_back_at"] is not None:
            yield RolledBack(row["id"], version, row["rolled_back_at"], row["rollback_reason"] or "no reason")


def _sources(connection: sa.Connection, respondent: str) -> Iterator[Event]:
    """One event for each upstream, however many of its sources fail."""
    away: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for source in state.source_states(connection, respondent):
        if state.is_failing(source):
            name = source["source"]
            upstream = next((each for start, each in UPSTREAMS.items() if name.startswith(start)), name)
            away[upstream].append(source)
    for upstream, sources in away.items():
        ends = [source["last_success_at"] for source in sources]
        yield SourceAway(
            upstream=upstream,
            reasons={source["source"]: redact(source["last_error"] or "no reason") for source in sources},
            last_success=None if None in ends else min(ends),
        )


def _jobs(connection: sa.Connection, respondent: str, *, without_ingestion: bool) -> Iterator[Event]:
    """The jobs that failed; an ingestion whose sources are away is reported as those."""
    for row in notifications.failed_jobs(connection, respondent):
        if not (without_ingestion and row["job"] == Job.INGESTION.name):
            yield JobFailed(row["job"], row["last_started_at"], redact(row["last_error"]))
