"""Every row that is written or read goes through here: SQL lives in this room and nowhere else.

Functions take a connection and so join the caller's transaction: data and watermark change together or
not at all. Writing the same data twice changes nothing; nothing is ever deleted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from energy_demand.columns import BASE_COLUMNS, WEATHER_VARIABLES
from energy_demand.database import bulk
from energy_demand.database.tables import (
    features,
    prediction_log,
    quarantine,
    raw_demand,
    raw_weather,
    watermark,
    weather_forecast,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    import pandas as pd

DEMAND_COLUMNS = ("respondent", "series", "period", "value", "known_at", "ingested_at", "origin")
# Any number; one per kind of write, so that two ingestions take turns instead of colliding.
INGEST_LOCK = 727_100_402


@dataclass(frozen=True)
class Written:
    """What a write did."""

    new: int = 0
    revised: int = 0

    def __add__(self, other: Written) -> Written:
        return Written(self.new + other.new, self.revised + other.revised)


def lock_ingestion(connection: sa.Connection) -> None:
    """Wait until no other ingestion is writing; held until the transaction ends."""
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(INGEST_LOCK)))


def upsert_demand(connection: sa.Connection, frame: pd.DataFrame, now: datetime) -> Written:
    """Store demand values (`DEMAND_COLUMNS`); a changed one becomes current, the earlier one stays.

    `known_at` of the frame counts for hours that are new; a revised value is known from `now` on.
    """
    if frame.empty:
        return Written()
    bulk.copy_in(connection, raw_demand, frame.loc[:, list(DEMAND_COLUMNS)])
    same_hour = "d.respondent = i.respondent AND d.series = i.series AND d.period = i.period"
    changed = f"{same_hour} AND d.value IS DISTINCT FROM i.value"
    connection.execute(
        sa.text(
            f"INSERT INTO raw_demand_revision SELECT {bulk.moved(DEMAND_COLUMNS, 'd')}, "  # noqa: S608
            f":now FROM raw_demand d JOIN incoming i ON {changed} ON CONFLICT DO NOTHING"
        ),
        {"now": now},
    )
    revised = connection.execute(
        sa.text(
            "UPDATE raw_demand d SET value = i.value, origin = i.origin, ingested_at = i.ingested_at, "  # noqa: S608
            f"known_at = :now FROM incoming i WHERE {changed}"
        ),
        {"now": now},
    ).rowcount
    return Written(_insert_incoming(connection, raw_demand, DEMAND_COLUMNS), revised)


def upsert_weather(connection: sa.Connection, frame: pd.DataFrame) -> Written:
    """Store observed weather; the archive replaces what the forecast API filled in, never the reverse.

    `frame`: site, timestamp, the twelve variables, source, known_at, ingested_at.
    """
    if frame.empty:
        return Written()
    columns = ("site", "timestamp", *WEATHER_VARIABLES, "source", "known_at", "ingested_at")
    bulk.copy_in(connection, raw_weather, frame.loc[:, list(columns)])
    replaced = ", ".join(f'"{name}" = i."{name}"' for name in (*WEATHER_VARIABLES, "source", "ingested_at"))
    old, new = bulk.moved(WEATHER_VARIABLES, "w"), bulk.moved(WEATHER_VARIABLES, "i")
    revised = connection.execute(
        sa.text(
            f"UPDATE raw_weather w SET {replaced} FROM incoming i "  # noqa: S608
            "WHERE w.site = i.site AND w.timestamp = i.timestamp "
            "AND (i.source = 'archive' OR w.source <> 'archive') "
            f"AND (({old}) IS DISTINCT FROM ({new}) OR w.source <> i.source)"
        )
    ).rowcount
    return Written(_insert_incoming(connection, raw_weather, columns), revised)


def insert_forecasts(connection: sa.Connection, frame: pd.DataFrame) -> Written:
    """Store weather forecasts as issued: site, issued_at, timestamp, variables, known_at, ingested_at.

    A forecast is a record of what was said: one that is stored already is never changed.
    """
    if frame.empty:
        return Written()
    columns = ("site", "issued_at", "timestamp", *WEATHER_VARIABLES, "known_at", "ingested_at")
    bulk.copy_in(connection, weather_forecast, frame.loc[:, list(columns)])
    return Written(_insert_incoming(connection, weather_forecast, columns))


def insert_quarantine(connection: sa.Connection, rows: Sequence[dict[str, Any]]) -> int:
    """Store rows that broke the contract (source, subject, reason, payload, seen_at); how many are new."""
    if not rows:
        return 0
    statement = insert(quarantine).on_conflict_do_nothing().returning(quarantine.c.id)
    return len(connection.execute(statement, list(rows)).all())


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


def issued_forecasts(
    connection: sa.Connection, start: datetime, end: datetime, sites: Sequence[str]
) -> set[datetime]:
    """The issue times in [start, end] of which anything is stored for these sites."""
    query = (
        sa.select(weather_forecast.c.issued_at)
        .where(weather_forecast.c.issued_at.between(start, end), weather_forecast.c.site.in_(sites))
        .distinct()
    )
    return set(connection.scalars(query))


def read_demand(
    connection: sa.Connection,
    respondent: str,
    series: str,
    start: datetime,
    end: datetime,
    as_of: datetime,
) -> pd.DataFrame:
    """Hours in [start, end] with the value current at `as_of`: period, value, sorted by period."""
    return bulk.copy_out(
        connection,
        """
        SELECT DISTINCT ON (period) period, value FROM (
            SELECT period, value, known_at FROM raw_demand
            WHERE respondent = %(respondent)s AND series = %(series)s
              AND period BETWEEN %(start)s AND %(end)s AND known_at <= %(as_of)s
            UNION ALL
            SELECT period, value, known_at FROM raw_demand_revision
            WHERE respondent = %(respondent)s AND series = %(series)s
              AND period BETWEEN %(start)s AND %(end)s
              AND known_at <= %(as_of)s AND superseded_at > %(as_of)s
        ) AS known ORDER BY period, known_at DESC
        """,
        {"respondent": respondent, "series": series, "start": start, "end": end, "as_of": as_of},
        {"period": "timestamp", "value": "number"},
    )


def read_weather(
    connection: sa.Connection, sites: Sequence[str], start: datetime, end: datetime, as_of: datetime
) -> pd.DataFrame:
    """Observed weather in [start, end] known at `as_of`: site, timestamp, the twelve variables."""
    names = bulk.moved(WEATHER_VARIABLES, "raw_weather")
    return bulk.copy_out(
        connection,
        f"""
        SELECT site, timestamp, {names} FROM raw_weather
        WHERE site = ANY(%(sites)s) AND timestamp BETWEEN %(start)s AND %(end)s AND known_at <= %(as_of)s
        ORDER BY site, timestamp
        """,  # noqa: S608
        {"sites": list(sites), "start": start, "end": end, "as_of": as_of},
        {"site": "text", "timestamp": "timestamp", **dict.fromkeys(WEATHER_VARIABLES, "number")},
    )


def read_forecasts(
    connection: sa.Connection, sites: Sequence[str], start: datetime, end: datetime, as_of: datetime
) -> pd.DataFrame:
    """For each site and hour in [start, end] the newest forecast known at `as_of`.

    Columns: site, timestamp, issued_at, the twelve variables.
    """
    names = bulk.moved(WEATHER_VARIABLES, "weather_forecast")
    return bulk.copy_out(
        connection,
        f"""
        SELECT DISTINCT ON (site, timestamp) site, timestamp, issued_at, {names} FROM weather_forecast
        WHERE site = ANY(%(sites)s) AND timestamp BETWEEN %(start)s AND %(end)s
          AND known_at <= %(as_of)s AND issued_at <= %(as_of)s
        ORDER BY site, timestamp, issued_at DESC
        """,  # noqa: S608
        {"sites": list(sites), "start": start, "end": end, "as_of": as_of},
        {
            "site": "text",
            "timestamp": "timestamp",
            "issued_at": "timestamp",
            **dict.fromkeys(WEATHER_VARIABLES, "number"),
        },
    )


def upsert_features(connection: sa.Connection, frame: pd.DataFrame) -> Written:
    """Store feature rows: respondent, timestamp, lead_hours, demand_mwh, the columns, created_at."""
    if frame.empty:
        return Written()
    values = ("lead_hours", "demand_mwh", *BASE_COLUMNS)
    columns = ("respondent", "timestamp", *values, "created_at")
    bulk.copy_in(connection, features, frame.loc[:, list(columns)])
    replaced = ", ".join(f'"{name}" = i."{name}"' for name in (*values, "created_at"))
    revised = connection.execute(
        sa.text(
            f"UPDATE features f SET {replaced} FROM incoming i "  # noqa: S608
            "WHERE f.respondent = i.respondent AND f.timestamp = i.timestamp "
            f"AND ({bulk.moved(values, 'f')}) IS DISTINCT FROM ({bulk.moved(values, 'i')})"
        )
    ).rowcount
    return Written(_insert_incoming(connection, features, columns), revised)


def has_features(connection: sa.Connection, respondent: str) -> bool:
    """Whether any feature row of the respondent is stored."""
    return bool(connection.scalar(sa.select(sa.exists().where(features.c.respondent == respondent))))


def insert_predictions(connection: sa.Connection, rows: Sequence[dict[str, Any]]) -> int:
    """Log predictions; an answer that is logged already (same request id and hour) is not logged again."""
    if not rows:
        return 0
    statement = insert(prediction_log).on_conflict_do_nothing().returning(prediction_log.c.id)
    return len(connection.execute(statement, list(rows)).all())


def demand_summary(connection: sa.Connection, respondent: str, as_of: datetime) -> dict[str, Any]:
    """Rows, first, last, missing hours and revisions of the demand series known at `as_of`."""
    row = connection.execute(
        sa.text(
            "SELECT count(*) AS rows, min(period) AS first, max(period) AS last, "
            "coalesce(extract(epoch FROM max(period) - min(period)) / 3600 + 1 - count(*), 0)::bigint "
            "AS missing_hours, (SELECT count(*) FROM raw_demand_revision WHERE respondent = :respondent "
            "AND series = 'D') AS revised, (SELECT count(*) FROM quarantine WHERE subject = :respondent "
            "AND released_at IS NULL) AS quarantined FROM raw_demand "
            "WHERE respondent = :respondent AND series = 'D' AND known_at <= :as_of"
        ),
        {"respondent": respondent, "as_of": as_of},
    )
    return dict(row.mappings().one())


def weather_summary(connection: sa.Connection, as_of: datetime) -> dict[str, dict[str, Any]]:
    """By site: rows, first and last hour observed, and the newest forecast known at `as_of`."""
    rows = connection.execute(
        sa.text(
            "SELECT coalesce(w.site, f.site) AS site, w.rows, w.first, w.last, f.forecasts, "
            "f.newest_forecast FROM (SELECT site, count(*) AS rows, min(timestamp) AS first, "
            "max(timestamp) AS last "
            "FROM raw_weather WHERE known_at <= :as_of GROUP BY site) w FULL JOIN "
            "(SELECT site, count(DISTINCT issued_at) AS forecasts, max(issued_at) AS newest_forecast "
            "FROM weather_forecast WHERE known_at <= :as_of GROUP BY site) f ON f.site = w.site ORDER BY 1"
        ),
        {"as_of": as_of},
    )
    return {row.pop("site"): row for row in map(dict, rows.mappings())}


def demand_span(
    connection: sa.Connection, respondent: str, series: str, as_of: datetime
) -> tuple[datetime, datetime] | None:
    """First and last hour known at `as_of`, or None."""
    first, last = connection.execute(
        sa.select(sa.func.min(raw_demand.c.period), sa.func.max(raw_demand.c.period)).where(
            raw_demand.c.respondent == respondent,
            raw_demand.c.series == series,
            raw_demand.c.known_at <= as_of,
        )
    ).one()
    return None if first is None else (first, last)


def _insert_incoming(connection: sa.Connection, table: sa.Table, columns: Sequence[str]) -> int:
    names = ", ".join(f'"{name}"' for name in columns)
    return connection.execute(
        sa.text(
            f"INSERT INTO {table.name} ({names}) SELECT {bulk.moved(columns, 'i')} "  # noqa: S608
            "FROM incoming i ON CONFLICT DO NOTHING"
        )
    ).rowcount
