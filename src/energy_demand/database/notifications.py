"""Stored messages to people, how their notifiers do, and the stored facts that messages are about.

Functions take a connection and so join the caller's transaction.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from energy_demand import locks
from energy_demand.database.state import is_failing
from energy_demand.database.storable import storable
from energy_demand.database.tables import (
    job_run,
    notification,
    notifier_state,
    prediction_log,
    retraining_log,
)
from energy_demand.timeaxis import MAX_LEAD_HOURS, local_midnight

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date, datetime
    from zoneinfo import ZoneInfo

WAITING, SENT, EXPIRED, WITHDRAWN = "waiting", "sent", "expired", "withdrawn"
# A notifier counts as failed for so long after its last error, and messages as lost after they expired.
REPORTED = timedelta(days=2)


def lock(connection: sa.Connection, respondent: str) -> None:
    """Wait until no other process stores messages of the region; held until the transaction ends."""
    key = sa.func.pg_advisory_xact_lock(locks.NOTIFICATIONS, sa.func.hashtext(respondent))
    connection.execute(sa.select(key))


def known_keys(connection: sa.Connection, respondent: str, keys: Iterable[str]) -> set[str]:
    """Those of `keys` that a stored message is about, whatever became of it."""
    rows = notification.c
    return set(
        connection.scalars(
            sa.select(rows.dedup_key).where(rows.respondent == respondent, rows.dedup_key.in_(list(keys)))
        )
    )


def ongoing(connection: sa.Connection, respondent: str) -> list[dict[str, Any]]:
    """The messages about something that goes on, every column, oldest first."""
    return _rows(connection, notification.c.respondent == respondent, notification.c.ended_at.is_(None))


def add(connection: sa.Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Store messages that wait to be sent: the columns but id, reached, outcome."""
    texts = ("dedup_key", "title", "body", "recovery")
    if rows:
        clean = [{**row, **{name: storable(row[name]) for name in texts}} for row in rows]
        connection.execute(sa.insert(notification), clean)


def end(connection: sa.Connection, number: int, now: datetime, *, withdraw: bool) -> None:
    """Note that what a message is about is over; with `withdraw` it is no longer sent."""
    outcome = sa.case((notification.c.outcome == WAITING, WITHDRAWN), else_=notification.c.outcome)
    values: dict[str, Any] = {"ended_at": now} | ({"outcome": outcome} if withdraw else {})
    connection.execute(sa.update(notification).where(notification.c.id == number).values(values))


def take_waiting(connection: sa.Connection, respondent: str) -> list[dict[str, Any]]:
    """The messages that wait and that no other process is sending, oldest first; its own until the end."""
    return _rows(
        connection,
        notification.c.respondent == respondent,
        notification.c.outcome == WAITING,
        for_update=True,
    )


def note_outcome(connection: sa.Connection, number: int, reached: Sequence[str], outcome: str) -> None:
    """Note which notifiers have a message, and what became of it."""
    connection.execute(
        sa.update(notification)
        .where(notification.c.id == number)
        .values(reached=list(reached), outcome=outcome)
    )


def note_notifier(
    connection: sa.Connection, respondent: str, notifier: str, now: datetime, error: str | None
) -> None:
    """Note that a notifier took a message, or why it did not."""
    done = {"last_success_at": now} if error is None else {"last_error_at": now, "last_error": error}
    row = insert(notifier_state).values(respondent=respondent, notifier=notifier, **done)
    connection.execute(row.on_conflict_do_update(index_elements=["respondent", "notifier"], set_=done))


def keep_notifiers(connection: sa.Connection, respondent: str, names: Iterable[str]) -> None:
    """Forget the notifiers of a region that are none of `names` any more."""
    states = notifier_state.c
    gone = states.respondent == respondent, states.notifier.not_in(list(names))
    connection.execute(sa.delete(notifier_state).where(*gone))


def notifier_states(connection: sa.Connection, respondent: str, now: datetime) -> list[dict[str, Any]]:
    """Each notifier by name: last success, last error with its reason, and whether it counts as failed."""
    states = notifier_state.c
    rows = connection.execute(
        sa.select(states.notifier, states.last_success_at, states.last_error_at, states.last_error)
        .where(states.respondent == respondent)
        .order_by(states.notifier)
    ).mappings()
    return [{**row, "failed": is_failing(row) and row["last_error_at"] > now - REPORTED} for row in rows]


def counts(connection: sa.Connection, respondent: str, now: datetime) -> dict[str, int]:
    """How many messages are `waiting`, and how many `expired` that were made within a week."""
    rows = notification.c
    lost = sa.and_(rows.outcome == EXPIRED, rows.created_at > now - timedelta(days=7))
    query = sa.select(sa.func.count().filter(rows.outcome == WAITING), sa.func.count().filter(lost)).where(
        rows.respondent == respondent
    )
    waiting, expired = connection.execute(query).one()
    return {"waiting": waiting, "expired": expired}


def forecast_hours(
    connection: sa.Connection, respondent: str, day: date, zone: ZoneInfo, now: datetime
) -> list[dict[str, Any]]:
    """The hours of a local day as the scheduled job logged them, the newest forecast of each hour.

    Columns: timestamp, predicted_demand, lower_80, upper_80 (MWh), quality; by timestamp.
    """
    logged = prediction_log.c
    start, end_ = local_midnight(day, zone), local_midnight(day + timedelta(days=1), zone)
    columns = (logged.timestamp, logged.predicted_demand, logged.lower_80, logged.upper_80, logged.quality)
    of_the_day = sa.select(*columns, logged.issued_at, logged.id).where(
        logged.respondent == respondent,
        logged.timestamp > start,
        logged.timestamp <= end_,
        logged.issued_at <= now,
    )
    # Two index searches, where one query with OR would read every forecast of the day.
    hours = sa.union(
        of_the_day.where(
            logged.source == "scheduled", logged.issued_at >= start - timedelta(hours=MAX_LEAD_HOURS)
        ),
        of_the_day.where(logged.request_id == f"scheduled {respondent} {day}"),
    ).subquery()
    newest = (
        sa.select(*(hours.c[column.name] for column in columns))
        .distinct(hours.c.timestamp)
        .order_by(hours.c.timestamp, hours.c.issued_at.desc(), hours.c.id.desc())
    )
    return [dict(row) for row in connection.execute(newest).mappings()]


def failed_jobs(connection: sa.Connection, respondent: str) -> list[dict[str, Any]]:
    """The jobs whose newest finished run failed: job, last_started_at, last_error."""
    runs = job_run.c
    query = sa.select(runs.job, runs.last_started_at, runs.last_error).where(
        runs.respondent == respondent, runs.last_error.is_not(None)
    )
    return [dict(row) for row in connection.execute(query.order_by(runs.job)).mappings()]


def champion_changes(
    connection: sa.Connection, respondent: str, since: datetime, now: datetime
) -> list[dict[str, Any]]:
    """The retrainings that were promoted or rolled back after `since`, without the contests' hours."""
    rows = retraining_log.c
    promoted = sa.and_(rows.outcome == "promoted", rows.decided_at > since, rows.decided_at <= now)
    undone = sa.and_(rows.rolled_back_at > since, rows.rolled_back_at <= now)
    columns = [column for column in retraining_log.columns if column.name != "contest"]
    query = (
        sa.select(*columns).where(rows.respondent == respondent, sa.or_(promoted, undone)).order_by(rows.id)
    )
    return [dict(row) for row in connection.execute(query).mappings()]


def _rows(
    connection: sa.Connection, *conditions: sa.ColumnElement[bool], for_update: bool = False
) -> list[dict[str, Any]]:
    query = sa.select(notification).where(*conditions).order_by(notification.c.id)
    if for_update:
        query = query.with_for_update(skip_locked=True)
    return [dict(row) for row in connection.execute(query).mappings()]
