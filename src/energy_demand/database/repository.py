"""Every row that is written or read goes through here: SQL lives in this room and nowhere else.

Functions take a connection and so join the caller's transaction: data and watermark change together or
not at all. Writing the same data twice changes nothing. No data is ever deleted.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import pandas as pd
import sqlalchemy as sa

from energy_demand.columns import FEATURE_COLUMNS, WEATHER_VARIABLES
from energy_demand.database import bulk
from energy_demand.database.tables import (
    demand_flag,
    features,
    raw_demand,
    raw_demand_daily,
    raw_demand_daily_revision,
    raw_demand_revision,
    raw_weather,
    raw_weather_revision,
    weather_forecast,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime

# A longer gap at either end of a range is the end of the record, not a gap.
OUTSIDE_THE_RECORD = timedelta(days=14)

DEMAND_COLUMNS = ("respondent", "series", "period", "value", "known_at", "ingested_at", "origin")


@dataclass(frozen=True)
class Written:
    """What a write did."""

    new: int = 0
    revised: int = 0

    def __add__(self, other: Written) -> Written:
        return Written(self.new + other.new, self.revised + other.revised)


def upsert_demand(connection: sa.Connection, frame: pd.DataFrame, now: datetime) -> Written:
    """Store hourly demand (`DEMAND_COLUMNS`); a changed value becomes current, the earlier one stays.

    `known_at` of the frame counts for hours that are new; a revised value is known from `now` on.
    """
    return _upsert(connection, raw_demand, raw_demand_revision, frame, now, values=("value",))


def upsert_daily(connection: sa.Connection, frame: pd.DataFrame, now: datetime) -> Written:
    """Store daily totals: respondent, series, timezone, day, value, known_at, ingested_at."""
    return _upsert(connection, raw_demand_daily, raw_demand_daily_revision, frame, now, values=("value",))


def upsert_weather(connection: sa.Connection, frame: pd.DataFrame, now: datetime) -> Written:
    """Store observed weather; the archive replaces what the forecast API filled in, never the reverse.

    `frame`: site, timestamp, the twelve variables, source, known_at, ingested_at.
    """
    return _upsert(
        connection,
        raw_weather,
        raw_weather_revision,
        frame,
        now,
        values=(*WEATHER_VARIABLES, "source"),
        only="i.source = 'archive' OR o.source <> 'archive'",
    )


def upsert_features(connection: sa.Connection, frame: pd.DataFrame) -> Written:
    """Store feature rows: respondent, timestamp, lead_hours, demand_mwh, the columns, created_at."""
    return _upsert(
        connection, features, None, frame, None, values=("lead_hours", "demand_mwh", *FEATURE_COLUMNS)
    )


def upsert_flags(connection: sa.Connection, frame: pd.DataFrame) -> Written:
    """Store flagged hours: respondent, period, flag, served_mwh, imputed_mwh, flagged_at."""
    return _upsert(connection, demand_flag, None, frame, None, values=("flag", "served_mwh", "imputed_mwh"))


def delete_flags(connection: sa.Connection, respondent: str, start: datetime, end: datetime) -> None:
    """Delete the flags of a range that is screened again; the raw values are not touched."""
    connection.execute(
        sa.delete(demand_flag).where(
            demand_flag.c.respondent == respondent, demand_flag.c.period.between(start, end)
        )
    )


def insert_forecasts(connection: sa.Connection, frame: pd.DataFrame) -> Written:
    """Store weather forecasts as issued: site, issued_at, timestamp, variables, known_at, ingested_at.

    A forecast is a record of what was issued: a stored forecast is never changed.
    """
    if frame.empty:
        return Written()
    columns = ("site", "issued_at", "timestamp", *WEATHER_VARIABLES, "known_at", "ingested_at")
    bulk.copy_in(connection, weather_forecast, frame.loc[:, list(columns)])
    return Written(_insert_incoming(connection, weather_forecast, columns))


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
    names = ", ".join(WEATHER_VARIABLES)
    return bulk.copy_out(
        connection,
        f"""
        SELECT DISTINCT ON (site, timestamp) site, timestamp, {names} FROM (
            SELECT site, timestamp, known_at, {names} FROM raw_weather
            WHERE site = ANY(%(sites)s) AND timestamp BETWEEN %(start)s AND %(end)s
              AND known_at <= %(as_of)s
            UNION ALL
            SELECT site, timestamp, known_at, {names} FROM raw_weather_revision
            WHERE site = ANY(%(sites)s) AND timestamp BETWEEN %(start)s AND %(end)s
              AND known_at <= %(as_of)s AND superseded_at > %(as_of)s
        ) AS known ORDER BY site, timestamp, known_at DESC
        """,  # noqa: S608
        {"sites": list(sites), "start": start, "end": end, "as_of": as_of},
        {"site": "text", "timestamp": "timestamp", **dict.fromkeys(WEATHER_VARIABLES, "number")},
    )


def read_weather_runs(
    connection: sa.Connection, sites: Sequence[str], start: datetime, end: datetime, as_of: datetime
) -> pd.DataFrame:
    """Every forecast issued in [start, end] and known at `as_of`, whole runs in the order of their issue.

    Columns: site, timestamp, issued_at, the twelve variables.
    """
    names = ", ".join(WEATHER_VARIABLES)
    return bulk.copy_out(
        connection,
        f"""
        SELECT site, timestamp, issued_at, {names} FROM weather_forecast
        WHERE site = ANY(%(sites)s) AND issued_at BETWEEN %(start)s AND %(end)s
          AND known_at <= %(as_of)s
        ORDER BY issued_at, site, timestamp
        """,  # noqa: S608
        {"sites": list(sites), "start": start, "end": end, "as_of": as_of},
        {
            "site": "text",
            "timestamp": "timestamp",
            "issued_at": "timestamp",
            **dict.fromkeys(WEATHER_VARIABLES, "number"),
        },
    )


def read_daily(
    connection: sa.Connection, respondent: str, zone: str, start: date, end: date, as_of: datetime
) -> pd.DataFrame:
    """Totals of the local days in [start, end] with the value current at `as_of`: series, day, value."""
    query = sa.text(
        """
        SELECT DISTINCT ON (series, day) series, day, value FROM (
            SELECT series, day, value, known_at FROM raw_demand_daily
            WHERE respondent = :respondent AND timezone = :zone AND day BETWEEN :start AND :end
              AND known_at <= :as_of
            UNION ALL
            SELECT series, day, value, known_at FROM raw_demand_daily_revision
            WHERE respondent = :respondent AND timezone = :zone AND day BETWEEN :start AND :end
              AND known_at <= :as_of AND superseded_at > :as_of
        ) AS known ORDER BY series, day, known_at DESC
        """
    )
    values = {"respondent": respondent, "zone": zone, "start": start, "end": end, "as_of": as_of}
    rows = connection.execute(query, values).all()
    return pd.DataFrame(rows, columns=["series", "day", "value"])


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


def _upsert(
    connection: sa.Connection,
    table: sa.Table,
    revisions: sa.Table | None,
    frame: pd.DataFrame,
    now: datetime | None,
    *,
    values: Sequence[str],
    only: str = "true",
) -> Written:
    """Insert new rows and replace rows whose `values` differ, where `only` holds (o: old, i: incoming).

    With `revisions`, the old row is kept there and the new one is known from `now` on.
    """
    if frame.empty:
        return Written()
    columns = [column.name for column in table.columns if column.name in frame.columns]
    keys = [column.name for column in table.primary_key.columns]
    bulk.copy_in(connection, table, frame.loc[:, columns])
    matched = " AND ".join(f'o."{key}" = i."{key}"' for key in keys)
    changed = (
        f"{matched} AND ({only}) AND "
        f"({bulk.moved(values, 'o')}, 0) IS DISTINCT FROM ({bulk.moved(values, 'i')}, 0)"
    )
    if revisions is not None:
        names = ", ".join(f'"{name}"' for name in columns)
        connection.execute(
            sa.text(
                f"INSERT INTO {revisions.name} ({names}, superseded_at) "  # noqa: S608
                f"SELECT {bulk.moved(columns, 'o')}, :now FROM {table.name} o JOIN incoming i ON {changed} "
                "ON CONFLICT DO NOTHING"
            ),
            {"now": now},
        )
    replaced = [f'"{name}" = i."{name}"' for name in columns if name not in {*keys, "known_at"}]
    if revisions is not None:
        replaced.append("known_at = :now")
    revised = connection.execute(
        sa.text(f"UPDATE {table.name} o SET {', '.join(replaced)} FROM incoming i WHERE {changed}"),  # noqa: S608
        {"now": now} if revisions is not None else {},
    ).rowcount
    return Written(_insert_incoming(connection, table, columns), revised)


def _insert_incoming(connection: sa.Connection, table: sa.Table, columns: Sequence[str]) -> int:
    names = ", ".join(f'"{name}"' for name in columns)
    return connection.execute(
        sa.text(
            f"INSERT INTO {table.name} ({names}) SELECT {bulk.moved(columns, 'i')} "  # noqa: S608
            "FROM incoming i ON CONFLICT DO NOTHING"
        )
    ).rowcount


def missing_periods(
    connection: sa.Connection, respondent: str, series: str, start: datetime, end: datetime
) -> list[datetime]:
    """The hours in [start, end] without a value.

    A series that begins long after `start` has no record before that, and one that ends long before `end`
    is no longer published: those hours are not missing.
    """
    query = sa.text(
        "WITH known AS (SELECT period FROM raw_demand WHERE respondent = :respondent AND series = :series "
        "AND period BETWEEN :start AND :end), span AS (SELECT min(period) AS first, max(period) AS last "
        "FROM known) SELECT hour FROM span, generate_series("
        "CASE WHEN first - :start > :record THEN first ELSE :start END, "
        "CASE WHEN :end - last > :record THEN last ELSE :end END, CAST('1 hour' AS interval)) hour "
        "WHERE NOT EXISTS (SELECT 1 FROM known WHERE period = hour) ORDER BY hour"
    ).bindparams(
        sa.bindparam("start", type_=sa.DateTime(timezone=True)),
        sa.bindparam("end", type_=sa.DateTime(timezone=True)),
        sa.bindparam("record", type_=sa.Interval),
    )
    values = {
        "respondent": respondent,
        "series": series,
        "start": start,
        "end": end,
        "record": OUTSIDE_THE_RECORD,
    }
    return list(connection.scalars(query, values))
