"""The monitored figures of a respondent in one query: values that flows in any process stored.

Metrics come only from stored rows; an unknown value is None, never 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import sqlalchemy as sa

from energy_demand.columns import OWN_ANSWERS, SYSTEM
from energy_demand.database import notifications, peaks
from energy_demand.database.decisions import BY_HAND
from energy_demand.database.job_runs import Job
from energy_demand.database.predictions import SHADOW, scored_forecasts
from energy_demand.database.state import is_failing
from energy_demand.database.tables import (
    drift_log,
    features,
    job_run,
    operator_forecast,
    prediction_log,
    raw_demand,
    raw_weather,
    retraining_log,
    source_state,
    truth_flag,
    weather_run,
)
from energy_demand.limits import PROBATION_DAYS
from energy_demand.timeaxis import HOUR, MAX_LEAD_HOURS, local_day, local_midnight

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime
    from zoneinfo import ZoneInfo

    from energy_demand.region import Region

# Current model quality is measured on the scheduled forecasts of this span.
WATCHED_SPAN = timedelta(days=7)
# So long a rollback is reported, that somebody looks why the contest was wrong.
ROLLBACK_SPAN = timedelta(days=7)
# The names of the flows in Prefect.
FLOWS = {
    Job.INGESTION.name: "data-ingestion",
    Job.FORECAST.name: "forecast",
    Job.DRIFT_CHECK.name: "drift-check",
    Job.RETRAIN.name: "retrain",
}


@dataclass(frozen=True)
class LastCheck:
    """The newest drift check; `champion_mae` is the champion's holdout MAE in MWh, if known."""

    checked_at: datetime
    drift_share: float
    drifted: bool
    champion_mae: float | None


@dataclass(frozen=True)
class FlowRun:
    """Whether the newest finished run of a flow failed, and when the newest successful run began."""

    flow: str
    last_success: datetime | None
    failed: bool


@dataclass(frozen=True)
class SourceRun:
    """A source of data: when it was last read to its end, and whether it failed since."""

    source: str
    last_success: datetime | None
    failed: bool


@dataclass(frozen=True)
class NotifierRun:
    """A URL of NOTIFY_URLS by its name: when it last took a message, and whether it failed since."""

    notifier: str
    last_success: datetime | None
    failed: bool


@dataclass(frozen=True)
class StepErrors:
    """Errors of the hours of the last week that one step of the fallback ladder answered.

    `mae` in MWh, `mape` in percent of demand; None where no hour can be scored.
    """

    quality: str
    hours: int
    mae: float | None
    mape: float | None


@dataclass(frozen=True)
class Challenger:
    """The challenger in the shadow; `gain_percent` over the champion is that of the newest verdict."""

    version: str
    trained_at: datetime
    gain_percent: float | None


@dataclass(frozen=True)
class ShadowLag:
    """How many hours a shadow's newest forecast is behind the newest scheduled one; 0: it forecasts too."""

    role: str
    hours: float


@dataclass(frozen=True)
class WatchedPeak:
    """Whether a day is alerted, and the probability of one of the year's ten highest hours, if known."""

    alert: bool
    probability: float | None


@dataclass(frozen=True)
class Watched:
    """The monitored figures of a respondent.

    Attributes:
        newest: the newest hour of demand that screening does not flag.
        observed: the newest hour for which every site has an observed temperature.
        forecast: when the newest stored weather forecast was issued.
        operator: when the newest stored forecast of the grid operator was issued; None: it is not stored.
        champion_share: share of the last week's scheduled hours that the champion answered.
        sources: the sources of data, and whether the last attempt of each failed.
        check: the newest drift check.
        retrainings: the number of checks that asked for a retraining.
        mae: mean absolute error of what the champions themselves forecast at 09:00 for the hours of the last
            week (MWh); fallbacks do not count.
        mape: the same in percent of demand.
        by_step: the errors of every step of the fallback ladder that answered.
        tomorrow_hours: hours of the local tomorrow that the morning's forecast covers, even if it was late.
        retraining_failed: whether the newest finished retraining failed; None: there was none.
        challenger: the challenger in the shadow.
        rolled_back: whether a promotion was undone by itself within `ROLLBACK_SPAN`.
        shadows: the models that are to forecast in the shadow: `challenger`, and `previous_champion` while
            the promotion after it can be undone.
        flows: the flows that have run.
        feature_rows: stored rows of features.
        peak: what the scheduled forecast said of tomorrow's peak; None before it is stored.
        peak_alerts: days of tomorrow's year that are alerted.
        notifiers: the services that messages are sent to, and whether the last attempt of each failed.
        messages_waiting: messages that were not delivered yet.
    """

    newest: datetime | None
    observed: datetime | None
    forecast: datetime | None
    operator: datetime | None
    champion_share: float | None
    sources: tuple[SourceRun, ...]
    check: LastCheck | None
    retrainings: int
    mae: float | None
    mape: float | None
    by_step: tuple[StepErrors, ...]
    tomorrow_hours: int
    retraining_failed: bool | None
    challenger: Challenger | None
    rolled_back: bool
    shadows: tuple[ShadowLag, ...]
    flows: tuple[FlowRun, ...]
    feature_rows: int
    peak: WatchedPeak | None
    peak_alerts: int
    notifiers: tuple[NotifierRun, ...]
    messages_waiting: int


def watched(
    connection: sa.Connection, region: Region, model: str, now: datetime, operator: str | None = None
) -> Watched:
    """The monitored figures of a region, with the runs of a weather model, as known at `now`.

    `operator` is whose forecast is stored beside ours; None: nobody's is.
    """
    respondent, zone = region.respondent, region.zone
    sites = [site.name for site in region.sites]
    asked = sa.select(sa.func.count()).where(
        drift_log.c.respondent == respondent, drift_log.c.triggered_retrain
    )
    rows = sa.select(sa.func.count()).where(features.c.respondent == respondent)
    mae, mape, by_step = _errors(connection, respondent, zone, now)
    runs = _runs(connection, respondent)
    challenger = _challenger(connection, respondent, now)
    tomorrow = local_day(now, zone) + timedelta(days=1)
    return Watched(
        newest=_newest_demand(connection, respondent, now),
        observed=_newest_observed(connection, sites, now),
        forecast=_newest_forecast(connection, respondent, model, now),
        operator=None if operator is None else _newest_operator(connection, operator, now),
        champion_share=champion_share(connection, respondent, zone.key, now),
        sources=_sources(connection, respondent),
        check=_last_check(connection, respondent, now),
        retrainings=connection.scalar(asked) or 0,
        mae=mae,
        mape=mape,
        by_step=by_step,
        tomorrow_hours=_tomorrow_hours(connection, respondent, zone, now),
        retraining_failed=_retraining_failed(connection, respondent, runs),
        challenger=challenger,
        rolled_back=_rolled_back(connection, respondent, now),
        shadows=_shadows(connection, respondent, challenger, now),
        flows=runs,
        feature_rows=connection.scalar(rows) or 0,
        peak=_peak(connection, respondent, tomorrow, now),
        peak_alerts=len(peaks.read_alerts(connection, respondent, tomorrow.year, now)),
        notifiers=tuple(
            NotifierRun(each["notifier"], each["last_success_at"], each["failed"])
            for each in notifications.notifier_states(connection, respondent, now)
        ),
        messages_waiting=notifications.counts(connection, respondent, now)["waiting"],
    )


def _peak(connection: sa.Connection, respondent: str, day: date, now: datetime) -> WatchedPeak | None:
    row = peaks.read_peak(connection, respondent, day, now)
    return None if row is None else WatchedPeak(row["alert"], row["hour_probability"])


def _doubted() -> sa.Exists:
    flags, demand = truth_flag.c, raw_demand.c
    return sa.exists().where(flags.respondent == demand.respondent, flags.period == demand.period)


def _newest_demand(connection: sa.Connection, respondent: str, now: datetime) -> datetime | None:
    demand = raw_demand.c
    found: datetime | None = connection.scalar(
        sa.select(demand.period)
        .where(demand.respondent == respondent, demand.series == "D", demand.known_at <= now, ~_doubted())
        .order_by(demand.period.desc())
        .limit(1)
    )
    return found


def _newest_observed(connection: sa.Connection, sites: Sequence[str], now: datetime) -> datetime | None:
    weather = raw_weather.c
    newest = [
        connection.scalar(
            sa.select(weather.timestamp)
            .where(weather.site == site, weather.timestamp <= now, weather.temperature_2m.is_not(None))
            .order_by(weather.timestamp.desc())
            .limit(1)
        )
        for site in sites
    ]
    known = [moment for moment in newest if moment is not None]
    return min(known) if len(known) == len(sites) else None


def _newest_forecast(
    connection: sa.Connection, respondent: str, model: str, now: datetime
) -> datetime | None:
    runs = weather_run.c
    found: datetime | None = connection.scalar(
        sa.select(runs.issued_at)
        .where(
            runs.respondent == respondent,
            runs.model == model,
            runs.status.in_(("complete", "incomplete")),
            runs.issued_at <= now,
        )
        .order_by(runs.issued_at.desc())
        .limit(1)
    )
    return found


def _newest_operator(connection: sa.Connection, operator: str, now: datetime) -> datetime | None:
    rows = operator_forecast.c
    found: datetime | None = connection.scalar(
        sa.select(sa.func.max(rows.issued_at)).where(
            rows.operator == operator, rows.zone == SYSTEM, rows.known_at <= now
        )
    )
    return found


def champion_share(connection: sa.Connection, respondent: str, zone: str, now: datetime) -> float | None:
    """Share of the last week's scheduled hours that the champion itself answered; None without any."""
    rows = scored_forecasts(zone, now).c
    by_champion = sa.case((rows.quality.in_(OWN_ANSWERS), 1.0), else_=0.0)
    found: float | None = connection.scalar(
        sa.select(sa.func.avg(by_champion)).where(
            rows.respondent == respondent, rows.timestamp > now - WATCHED_SPAN, rows.timestamp <= now
        )
    )
    return found


def _sources(connection: sa.Connection, respondent: str) -> tuple[SourceRun, ...]:
    states = source_state.c
    rows = connection.execute(
        sa.select(states.source, states.last_success_at, states.last_error_at)
        .where(states.subject == respondent)
        .order_by(states.source)
    ).mappings()
    return tuple(SourceRun(row["source"], row["last_success_at"], is_failing(row)) for row in rows)


def _last_check(connection: sa.Connection, respondent: str, now: datetime) -> LastCheck | None:
    checks = drift_log.c
    found = connection.execute(
        sa.select(
            checks.check_timestamp,
            checks.drift_share,
            checks.dataset_drift_detected,
            sa.cast(checks.drift_details["champion_test_mae"].astext, sa.Double),
        )
        .where(checks.respondent == respondent, checks.check_timestamp <= now)
        .order_by(checks.check_timestamp.desc(), checks.id.desc())
        .limit(1)
    ).one_or_none()
    return None if found is None else LastCheck(*found)


def _errors(
    connection: sa.Connection, respondent: str, zone: ZoneInfo, now: datetime
) -> tuple[float | None, float | None, tuple[StepErrors, ...]]:
    """MAE and MAPE of the champion's own forecasts, and those of every step of the fallback ladder."""
    rows = scored_forecasts(zone.key, now).c
    errors = sa.func.avg(sa.func.abs(rows.error)), sa.func.avg(sa.func.abs(rows.percentage_error))
    of_the_week = (
        rows.respondent == respondent,
        rows.timestamp > now - WATCHED_SPAN,
        rows.timestamp <= now,  # later hours have no demand yet
    )
    own = sa.select(*errors).where(*of_the_week, rows.quality.in_(OWN_ANSWERS))
    by_step = sa.select(rows.quality, sa.func.count(rows.error), *errors).where(*of_the_week)
    mae, mape = connection.execute(own).one()
    found = connection.execute(by_step.group_by(rows.quality).order_by(rows.quality))
    return mae, mape, tuple(StepErrors(*row) for row in found)


def _tomorrow_hours(connection: sa.Connection, respondent: str, zone: ZoneInfo, now: datetime) -> int:
    logged = prediction_log.c
    day = local_day(now, zone) + timedelta(days=1)
    start, end = local_midnight(day, zone), local_midnight(day + timedelta(days=1), zone)
    of_the_day = sa.select(logged.timestamp).where(
        logged.respondent == respondent, logged.timestamp > start, logged.timestamp <= end
    )
    # Two index searches, where one query with OR would read every forecast for tomorrow.
    hours = sa.union(
        of_the_day.where(
            logged.source == "scheduled", logged.issued_at >= start - timedelta(hours=MAX_LEAD_HOURS)
        ),
        of_the_day.where(logged.request_id == f"scheduled {respondent} {day}"),
    ).subquery()
    return connection.scalar(sa.select(sa.func.count()).select_from(hours)) or 0


def _runs(connection: sa.Connection, respondent: str) -> tuple[FlowRun, ...]:
    runs = job_run.c
    query = sa.select(runs.job, runs.last_success_at, runs.last_error).where(runs.respondent == respondent)
    found = connection.execute(query.order_by(runs.job)).all()
    return tuple(
        FlowRun(FLOWS[row.job], row.last_success_at, row.last_error is not None)
        for row in found
        if row.job in FLOWS
    )


def _retraining_failed(connection: sa.Connection, respondent: str, runs: tuple[FlowRun, ...]) -> bool | None:
    retrainings = retraining_log.c
    # The row of a rollback by hand is no retraining; see `decisions.note_rollback`.
    trained = sa.or_(retrainings.outcome != "skipped", retrainings.rolled_back_at.is_(None))
    outcome = connection.scalar(
        sa.select(retrainings.outcome)
        .where(retrainings.respondent == respondent, retrainings.finished_at.is_not(None), trained)
        .order_by(retrainings.finished_at.desc(), retrainings.id.desc())
        .limit(1)
    )
    ended = [run for run in runs if run.flow == FLOWS[Job.RETRAIN.name] and (run.failed or run.last_success)]
    if outcome is None and not ended:
        return None
    # A retraining with too few rows also ends its flow with an error, but counts as skipped.
    return outcome == "failed" or (outcome != "skipped" and any(run.failed for run in ended))


def _challenger(connection: sa.Connection, respondent: str, now: datetime) -> Challenger | None:
    log = retraining_log.c
    found = connection.execute(
        sa.select(
            log.model_version,
            log.finished_at,
            sa.case(
                (log.verdict["days"].as_integer() > 0, log.verdict["gain_percent"].as_float()), else_=None
            ),
        )
        .where(log.respondent == respondent, log.outcome == "shadow", log.finished_at <= now)
        .order_by(log.id.desc())
        .limit(1)
    ).one_or_none()
    return None if found is None else Challenger(*found)


def _rolled_back(connection: sa.Connection, respondent: str, now: datetime) -> bool:
    log = retraining_log.c
    within = log.rolled_back_at > now - ROLLBACK_SPAN, log.rolled_back_at <= now
    by_itself = log.rollback_reason.is_distinct_from(BY_HAND)
    undone = sa.exists().where(log.respondent == respondent, by_itself, *within)
    return bool(connection.scalar(sa.select(undone)))


def _shadows(
    connection: sa.Connection, respondent: str, challenger: Challenger | None, now: datetime
) -> tuple[ShadowLag, ...]:
    """The lag of each model that is to forecast in the shadow; none before the first scheduled forecast."""
    logged, log = prediction_log.c, retraining_log.c

    def newest(since: datetime, *conditions: sa.ColumnElement[bool]) -> sa.Row[tuple[datetime, str]] | None:
        """Issue time and version of the newest such forecast of hours after `since`."""
        known = (logged.respondent == respondent, logged.timestamp > since, logged.prediction_made_at <= now)
        query = sa.select(logged.issued_at, logged.model_version).where(*known, *conditions)
        return connection.execute(
            query.order_by(logged.timestamp.desc(), logged.issued_at.desc()).limit(1)
        ).one_or_none()

    week = now - WATCHED_SPAN
    scheduled = newest(week, logged.source == "scheduled")
    if scheduled is None:
        return ()
    expected = [] if challenger is None else [("challenger", challenger.version, challenger.trained_at)]
    serves = newest(week, logged.source == "scheduled", logged.quality.in_(OWN_ANSWERS))
    if serves is not None:
        previous = log.contest["champion"].astext
        promotion = connection.execute(
            sa.select(previous, log.decided_at)
            .where(
                log.respondent == respondent,
                log.outcome == "promoted",
                log.model_version == serves.model_version,
                log.rolled_back_at.is_(None),
                log.decided_at > now - timedelta(days=PROBATION_DAYS),
                log.decided_at <= now,
                previous.is_not(None),
            )
            .order_by(log.id.desc())
            .limit(1)
        ).one_or_none()
        if promotion is not None:
            expected.append(("previous_champion", *promotion))
    lags = []
    for role, version, since in expected:
        forecast = newest(since, logged.source == SHADOW, logged.model_version == version)
        behind = scheduled.issued_at - (since if forecast is None else forecast.issued_at)
        lags.append(ShadowLag(role, max(0.0, behind / HOUR)))
    return tuple(lags)
