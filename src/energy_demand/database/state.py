"""The state of the stored data: watermarks, sources, quarantine, and the summaries of `status`.

Functions take a connection and so join the caller's transaction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from energy_demand import locks
from energy_demand.columns import WEATHER_VARIABLES
from energy_demand.database.storable import storable
from energy_demand.database.tables import quarantine, source_state, watermark, weather_run

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

# The watermark of a record that was screened whole.
TRUTH = "truth"


def lock_ingestion(connection: sa.Connection) -> None:
    """Wait until no other ingestion is writing; held until the transaction ends."""
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(locks.INGESTION_ROWS)))


def insert_quarantine(connection: sa.Connection, rows: Sequence[dict[str, Any]]) -> int:
    """Store rows that broke the contract (source, subject, reason, payload, seen_at); return the new ones."""
    if not rows:
        return 0
    statement = insert(quarantine).on_conflict_do_nothing().returning(quarantine.c.id)
    return len(
        connection.execute(statement, [{**row, "payload": storable(row["payload"])} for row in rows]).all()
    )


def get_watermark(connection: sa.Connection, source: str, subject: str) -> datetime | None:
    """Through which hour `source` was ingested for `subject`, or None."""
    return connection.scalar(
        sa.select(watermark.c.newest).where(watermark.c.source == source, watermark.c.subject == subject)
    )


def advance_watermark(
    connection: sa.Connection, source: str, subject: str, newest: datetime, now: datetime
) -> None:
    """Move the watermark forward; one that is further already stays."""
    row = insert(watermark).values(source=source, subject=subject, newest=newest, updated_at=now)
    connection.execute(
        row.on_conflict_do_update(
            index_elements=["source", "subject"],
            set_={"newest": row.excluded.newest, "updated_at": row.excluded.updated_at},
            where=watermark.c.newest < row.excluded.newest,
        )
    )


def forget_watermark(connection: sa.Connection, source: str, subject: str) -> None:
    """Drop a watermark, so that the work it stands for is done again from the beginning."""
    connection.execute(
        sa.delete(watermark).where(watermark.c.source == source, watermark.c.subject == subject)
    )


def demand_summary(connection: sa.Connection, respondent: str, as_of: datetime) -> dict[str, Any]:
    """Rows, first, last, missing hours and revisions of the demand series known at `as_of`."""
    row = connection.execute(
        sa.text(
            "SELECT count(*) AS rows, min(period) AS first, max(period) AS last, "
            "coalesce(extract(epoch FROM max(period) - min(period)) / 3600 + 1 - count(*), 0)::bigint "
            "AS missing_hours, (SELECT count(*) FROM raw_demand_revision WHERE respondent = :respondent "
            "AND series = 'D') AS revised, (SELECT count(*) FROM quarantine WHERE subject = :respondent "
            "AND released_at IS NULL) AS quarantined, (SELECT count(*) FROM demand_flag "
            "WHERE respondent = :respondent AND period <= :as_of) AS flagged FROM raw_demand "
            "WHERE respondent = :respondent AND series = 'D' AND known_at <= :as_of"
        ),
        {"respondent": respondent, "as_of": as_of},
    )
    return dict(row.mappings().one())


def weather_summary(
    connection: sa.Connection, sites: Sequence[str], as_of: datetime
) -> dict[str, dict[str, Any]]:
    """By site: rows, first and last hour observed, and the newest forecast known at `as_of`.

    `lacking` are the variables that no observed hour has.
    """
    counts = ", ".join(f'count("{name}") AS "{name}"' for name in WEATHER_VARIABLES)
    # Issue by issue: one search of the index for each, where a count would read all hours of all runs.
    first_issue = (
        "SELECT min(f.issued_at) FROM weather_forecast f WHERE f.model = {0}.model AND f.site = {0}.site "
        "AND f.known_at <= :as_of"
    )
    rows = connection.execute(
        sa.text(
            "WITH RECURSIVE listed AS (SELECT unnest(CAST(:sites AS text[])) AS site), "  # noqa: S608
            "used (model) AS (SELECT min(model) FROM weather_forecast UNION ALL "
            "SELECT (SELECT min(f.model) FROM weather_forecast f WHERE f.model > used.model) "
            "FROM used WHERE used.model IS NOT NULL), "
            "of_site AS (SELECT model, site FROM used CROSS JOIN listed WHERE model IS NOT NULL), "
            f"issue (model, site, issued_at) AS (SELECT model, site, ({first_issue.format('of_site')}) "
            f"FROM of_site UNION ALL SELECT model, site, ({first_issue.format('issue')} "
            "AND f.issued_at > issue.issued_at) FROM issue WHERE issue.issued_at IS NOT NULL), "
            "f AS (SELECT site, count(DISTINCT issued_at) AS forecasts, max(issued_at) AS newest_forecast "
            "FROM issue WHERE issued_at IS NOT NULL GROUP BY site), "
            "w AS (SELECT site AS observed_site, count(*) AS rows, "
            f"min(timestamp) AS first, max(timestamp) AS last, {counts} "
            "FROM raw_weather WHERE site = ANY(:sites) AND known_at <= :as_of GROUP BY site) "
            "SELECT coalesce(w.observed_site, f.site) AS site, w.*, f.forecasts, f.newest_forecast "
            "FROM w FULL JOIN f ON f.site = w.observed_site ORDER BY 1"
        ),
        {"as_of": as_of, "sites": list(sites)},
    )
    shown = ("rows", "first", "last", "forecasts", "newest_forecast")
    return {
        row["site"]: {name: row[name] for name in shown}
        | {"lacking": [name for name in WEATHER_VARIABLES if row["rows"] and not row[name]]}
        for row in rows.mappings()
    }


def operator_summary(
    connection: sa.Connection, operator: str, zone: str, as_of: datetime
) -> dict[str, Any] | None:
    """Postings, hours and newest issue of the forecasts known at `as_of`; None without any."""
    row = connection.execute(
        sa.text(
            "SELECT count(DISTINCT issued_at) AS postings, min(period) AS first, max(period) AS last, "
            "max(issued_at) AS newest_issue FROM operator_forecast "
            "WHERE operator = :operator AND zone = :zone AND known_at <= :as_of"
        ),
        {"operator": operator, "zone": zone, "as_of": as_of},
    )
    found = dict(row.mappings().one())
    return found if found["postings"] else None


def run_counts(connection: sa.Connection, respondent: str, since: datetime) -> dict[str, int]:
    """How many runs of a region issued after `since` are `complete`, `incomplete`, `missing`, `failed`.

    `lacking` are those that are complete but for variables that they have nowhere.
    """
    lacks = sa.and_(weather_run.c.status == "complete", weather_run.c.lacking != "")
    status = sa.case((lacks, "lacking"), else_=weather_run.c.status)
    of_region = weather_run.c.respondent == respondent, weather_run.c.issued_at > since
    query = sa.select(status, sa.func.count()).where(*of_region).group_by(status)
    return dict(connection.execute(query).tuples().all())


def record_success(
    connection: sa.Connection,
    source: str,
    subject: str,
    now: datetime,
    newest: datetime | None,
    missing_hours: int | None = None,
) -> None:
    """Note that a source was read to its end: its newest hour, and how many are missing."""
    row = insert(source_state).values(
        source=source, subject=subject, last_success_at=now, newest=newest, missing_hours=missing_hours
    )
    connection.execute(
        row.on_conflict_do_update(
            index_elements=["source", "subject"],
            set_={
                "last_success_at": row.excluded.last_success_at,
                "newest": sa.func.coalesce(row.excluded.newest, source_state.c.newest),
                "missing_hours": row.excluded.missing_hours,
            },
        )
    )


def last_success(connection: sa.Connection, source: str, subject: str) -> datetime | None:
    """When a source was last read to its end, or None."""
    return connection.scalar(
        sa.select(source_state.c.last_success_at).where(
            source_state.c.source == source, source_state.c.subject == subject
        )
    )


def record_error(connection: sa.Connection, source: str, subject: str, now: datetime, error: str) -> None:
    """Note why a source could not be read; what was noted of its last success stays."""
    error = str(storable(error))
    row = insert(source_state).values(source=source, subject=subject, last_error_at=now, last_error=error)
    connection.execute(
        row.on_conflict_do_update(
            index_elements=["source", "subject"],
            set_={"last_error_at": row.excluded.last_error_at, "last_error": row.excluded.last_error},
        )
    )


def is_failing(row: Mapping[str, Any] | sa.RowMapping) -> bool:
    """Whether the last attempt failed: `last_error_at` is later than `last_success_at`, or there is none."""
    failed, done = row["last_error_at"], row["last_success_at"]
    return failed is not None and (done is None or failed > done)


def source_states(connection: sa.Connection, subject: str | None = None) -> list[dict[str, Any]]:
    """Every source with its newest hour, missing hours, last success and error; of one region, or all."""
    query = sa.select(source_state).order_by(source_state.c.source, source_state.c.subject)
    if subject is not None:
        query = query.where(source_state.c.subject == subject)
    return [dict(row) for row in connection.execute(query).mappings()]


def quarantined(connection: sa.Connection, ids: Sequence[int] | None = None) -> list[dict[str, Any]]:
    """The rows in quarantine that were not released, or those with these ids; oldest first."""
    query = sa.select(quarantine).where(quarantine.c.released_at.is_(None)).order_by(quarantine.c.id)
    if ids is not None:
        query = query.where(quarantine.c.id.in_(ids))
    return [dict(row) for row in connection.execute(query).mappings()]


def mark_released(connection: sa.Connection, ids: Sequence[int], now: datetime) -> None:
    """Note that rows left the quarantine; they stay on record."""
    connection.execute(sa.update(quarantine).where(quarantine.c.id.in_(ids)).values(released_at=now))


def run_span(
    connection: sa.Connection, model: str, site: str, as_of: datetime
) -> tuple[datetime | None, datetime | None]:
    """When the oldest and the newest run of a model known at `as_of` were issued; None without any."""
    row = connection.execute(
        sa.text(
            "SELECT min(issued_at) AS first, max(issued_at) AS newest FROM weather_forecast "
            "WHERE model = :model AND site = :site AND issued_at <= :as_of AND known_at <= :as_of"
        ),
        {"model": model, "site": site, "as_of": as_of},
    ).one()
    return row.first, row.newest
