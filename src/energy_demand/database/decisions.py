"""The stored drift checks and retrainings, with their decisions and outcomes.

Functions take a connection and so join the caller's transaction. Rows are added and finished, never deleted.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from energy_demand.database.storable import storable
from energy_demand.database.tables import drift_log, retraining_log

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

# Outcomes after which a cooldown runs: a model was trained and judged.
JUDGED = ("promoted", "not_promoted", "shadow")
# Outcomes after which nothing more comes.
DECIDED = ("promoted", "not_promoted")
# The `rollback_reason` of a rollback that a person asked for.
BY_HAND = "by hand"
# In words, where they are not the outcome itself.
IN_WORDS = {"not_promoted": "not promoted", "shadow": "in the shadow"}


def outcome_in_words(row: Mapping[str, Any]) -> str:
    """The outcome of a retraining for people: `rolled back` where its promotion was undone since."""
    if row["rolled_back_at"] is not None:
        return "rolled back"
    return IN_WORDS.get(row["outcome"], str(row["outcome"]))


def outcome_reason(row: Mapping[str, Any]) -> str:
    """Why a retraining has its outcome, in one line."""
    undone = row["rollback_reason"] if row["rolled_back_at"] is not None else None
    return str(undone or row["error"] or (row["verdict"] or {}).get("reason") or row["reason"])


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
    contest: Mapping[str, Any] | None = None,
    error: str | None = None,
) -> None:
    """Record the outcome of a retraining; `shadow` leaves its challenger undecided."""
    connection.execute(
        sa.update(retraining_log)
        .where(retraining_log.c.id == number)
        .values(
            finished_at=finished_at,
            outcome=outcome,
            verdict=verdict,
            contest=contest,
            error=storable(error),
            decided_at=finished_at if outcome in DECIDED else None,
        )
    )


def challenger(connection: sa.Connection, respondent: str) -> dict[str, Any] | None:
    """The retraining whose challenger is in the shadow, every column, or None."""
    return _newest(
        connection, retraining_log.c.respondent == respondent, retraining_log.c.outcome == "shadow"
    )


def promotion(connection: sa.Connection, respondent: str, version: str) -> dict[str, Any] | None:
    """The retraining that promoted a version, every column, or None."""
    return _newest(
        connection,
        retraining_log.c.respondent == respondent,
        retraining_log.c.outcome == "promoted",
        retraining_log.c.model_version == version,
    )


def unfinished_rollback(connection: sa.Connection, respondent: str) -> dict[str, Any] | None:
    """A promotion that a killed run had begun to undo, every column, or None."""
    return _newest(
        connection,
        retraining_log.c.respondent == respondent,
        retraining_log.c.rollback_reason.is_not(None),
        retraining_log.c.rolled_back_at.is_(None),
    )


def promotions(connection: sa.Connection, respondent: str) -> list[dict[str, Any]]:
    """The retrainings that were promoted and not rolled back, in order of their decision."""
    log = retraining_log.c
    query = (
        sa.select(log.model_version, log.decided_at, log.verdict)
        .where(log.respondent == respondent, log.outcome == "promoted", log.rolled_back_at.is_(None))
        .order_by(log.decided_at, log.id)
    )
    return [dict(row) for row in connection.execute(query).mappings()]


def note_verdict(connection: sa.Connection, number: int, verdict: Mapping[str, Any]) -> None:
    """Store the newest verdict on a challenger; it is decided by `decide_challenger`."""
    connection.execute(sa.update(retraining_log).where(retraining_log.c.id == number).values(verdict=verdict))


def decide_challenger(connection: sa.Connection, number: int, outcome: str, decided_at: datetime) -> None:
    """Record that a challenger was promoted or not."""
    connection.execute(
        sa.update(retraining_log)
        .where(retraining_log.c.id == number, retraining_log.c.outcome == "shadow")
        .values(outcome=outcome, decided_at=decided_at)
    )


def supersede(
    connection: sa.Connection, respondent: str, number: int, version: str, decided_at: datetime
) -> None:
    """End the contests of challengers in the shadow, because retraining `number` trained another one."""
    log = retraining_log.c
    connection.execute(
        sa.update(retraining_log)
        .where(log.respondent == respondent, log.outcome == "shadow", log.id != number)
        .values(
            outcome="not_promoted",
            decided_at=decided_at,
            verdict=log.verdict.op("||")(
                sa.cast({"reason": f"superseded by version {version}, trained later"}, JSONB)
            ),
        )
    )


def begin_rollback(connection: sa.Connection, number: int, reason: str) -> None:
    """Record why a promotion is being undone, before it is."""
    connection.execute(
        sa.update(retraining_log).where(retraining_log.c.id == number).values(rollback_reason=reason)
    )


def end_rollback(connection: sa.Connection, number: int, rolled_back_at: datetime) -> None:
    """Record that a promotion was undone."""
    connection.execute(
        sa.update(retraining_log).where(retraining_log.c.id == number).values(rolled_back_at=rolled_back_at)
    )


def note_rollback(
    connection: sa.Connection, respondent: str, version: str, trigger: str, rolled_back_at: datetime
) -> None:
    """Record that a person rolled back from `version`.

    On the row of its promotion, as for a rollback by itself. Where there is none that is not rolled back yet,
    because `train` promoted it or it served again by hand, on a row of its own, which starts no cooldown.
    """
    row = promotion(connection, respondent, version)
    if row is not None and row["rolled_back_at"] is None:
        begin_rollback(connection, row["id"], BY_HAND)
        end_rollback(connection, row["id"], rolled_back_at)
        return
    connection.execute(
        sa.insert(retraining_log).values(
            respondent=respondent,
            started_at=rolled_back_at,
            finished_at=rolled_back_at,
            trigger=trigger,
            reason=BY_HAND,
            outcome="skipped",
            model_version=version,
            rolled_back_at=rolled_back_at,
            rollback_reason=BY_HAND,
        )
    )


def _newest(connection: sa.Connection, *conditions: sa.ColumnElement[bool]) -> dict[str, Any] | None:
    query = sa.select(retraining_log).where(*conditions).order_by(retraining_log.c.id.desc()).limit(1)
    found = connection.execute(query).mappings().one_or_none()
    return None if found is None else dict(found)


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
    """The newest retrainings by `now`, newest first; without the hours of their contests."""
    columns = [column for column in retraining_log.columns if column.name != "contest"]
    query = (
        sa.select(*columns)
        .where(retraining_log.c.respondent == respondent, retraining_log.c.started_at <= now)
        .order_by(retraining_log.c.started_at.desc(), retraining_log.c.id.desc())
        .limit(limit)
    )
    return [dict(row) for row in connection.execute(query).mappings()]
