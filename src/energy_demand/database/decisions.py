"""The stored drift checks and retrainings, with their decisions and outcomes.

Functions take a connection and so join the caller's transaction. Rows are added and finished, never deleted.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from energy_demand.database.storable import storable
from energy_demand.database.tables import drift_log, retraining_log

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

# Outcomes after which a cooldown runs: a model was trained and judged.
JUDGED = ("promoted", "not_promoted")


def plain(value: Any) -> Any:
    """Nested values as JSONB takes them: dates and times as ISO text, NaN as null."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, date):  # a datetime is a date too
        return value.isoformat()
    if isinstance(value, float) and value != value:  # noqa: PLR0124
        return None
    return value


def insert_check(connection: sa.Connection, row: Mapping[str, Any]) -> int:
    """Store a drift check (the columns of `drift_log`); return its id."""
    return int(connection.scalar(sa.insert(drift_log).values(**row).returning(drift_log.c.id)) or 0)


def last_check(connection: sa.Connection, respondent: str, now: datetime) -> dict[str, Any] | None:
    """The newest check by `now`, every column, or None."""
    query = (
        sa.select(drift_log)
        .where(drift_log.c.respondent == respondent, drift_log.c.check_timestamp <= now)
        .order_by(drift_log.c.check_timestamp.desc(), drift_log.c.id.desc())
        .limit(1)
    )
    found = connection.execute(query).mappings().one_or_none()
    return None if found is None else dict(found)


def begin_retraining(
    connection: sa.Connection, respondent: str, started_at: datetime, trigger: str, reason: str
) -> int:
    """Record the start of a retraining; return its id."""
    query = (
        sa.insert(retraining_log)
        .values(
            respondent=respondent, started_at=started_at, trigger=trigger, reason=reason, outcome="running"
        )
        .returning(retraining_log.c.id)
    )
    return int(connection.scalar(query) or 0)


def note_version(connection: sa.Connection, number: int, version: str, run_id: str) -> None:
    """Record the model version that a retraining registered."""
    connection.execute(
        sa.update(retraining_log)
        .where(retraining_log.c.id == number)
        .values(model_version=version, run_id=run_id)
    )


def end_retraining(
    connection: sa.Connection,
    number: int,
    finished_at: datetime,
    outcome: str,
    *,
    verdict: Mapping[str, Any] | None = None,
    error: str | None = None,
) -> None:
    """Record the outcome of a retraining."""
    connection.execute(
        sa.update(retraining_log)
        .where(retraining_log.c.id == number)
        .values(finished_at=finished_at, outcome=outcome, verdict=verdict, error=storable(error))
    )


def unfinished_retrainings(connection: sa.Connection, respondent: str) -> list[dict[str, Any]]:
    """Retrainings that began and did not end: running, or killed if the job lock is free."""
    query = sa.select(retraining_log).where(
        retraining_log.c.respondent == respondent, retraining_log.c.outcome == "running"
    )
    return [dict(row) for row in connection.execute(query).mappings()]


def last_retraining(connection: sa.Connection, respondent: str, now: datetime) -> datetime | None:
    """When the newest retraining that trained and judged a model began, or None."""
    found: datetime | None = connection.scalar(
        sa.select(sa.func.max(retraining_log.c.started_at)).where(
            retraining_log.c.respondent == respondent,
            retraining_log.c.started_at <= now,
            retraining_log.c.outcome.in_(JUDGED),
        )
    )
    return found


def retrainings(
    connection: sa.Connection, respondent: str, now: datetime, limit: int
) -> list[dict[str, Any]]:
    """The newest retrainings by `now`, newest first."""
    query = (
        sa.select(retraining_log)
        .where(retraining_log.c.respondent == respondent, retraining_log.c.started_at <= now)
        .order_by(retraining_log.c.started_at.desc(), retraining_log.c.id.desc())
        .limit(limit)
    )
    return [dict(row) for row in connection.execute(query).mappings()]
