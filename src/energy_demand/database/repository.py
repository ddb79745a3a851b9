"""Every row that is written or read goes through here: SQL lives in this room and nowhere else.

Functions take a connection and so join the caller's transaction: data and watermark change together or
not at all. Writing the same data twice changes nothing. What is superseded stays on record.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from energy_demand.columns import FEATURE_COLUMNS
from energy_demand.database import bulk
from energy_demand.database.daily_totals import OUTSIDE_THE_RECORD
from energy_demand.database.tables import (
    demand_flag,
    features,
    raw_demand,
    raw_demand_daily,
    raw_demand_daily_revision,
    raw_demand_revision,
    truth_flag,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import date, datetime, timedelta


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
    return upsert(connection, raw_demand, raw_demand_revision, frame, now, values=("value",))


def upsert_daily(connection: sa.Connection, frame: pd.DataFrame, now: datetime) -> Written:
    """Store daily totals: respondent, series, timezone, day, value, known_at, ingested_at."""
    return upsert(connection, raw_demand_daily, raw_demand_daily_revision, frame, now, values=("value",))


def upsert_features(connection: sa.Connection, frame: pd.DataFrame) -> Written:
    """Store feature rows: respondent, timestamp, lead_hours, demand_mwh, the columns, created_at."""
    return upsert(
        connection, features, None, frame, None, values=("lead_hours", "demand_mwh", *FEATURE_COLUMNS)
    )


def upsert_flags(connection: sa.Connection, frame: pd.DataFrame) -> Written:
    """Store flagged hours: respondent, period, flag, served_mwh, imputed_mwh, flagged_at."""
    return upsert(connection, demand_flag, None, frame, None, values=("flag", "served_mwh", "imputed_mwh"))


def delete_flags(connection: sa.Connection, respondent: str, start: datetime, end: datetime) -> None:
    """Delete the flags of a range that is screened again; the raw values are not touched."""
    connection.execute(
        sa.delete(demand_flag).where(
            demand_flag.c.respondent == respondent, demand_flag.c.period.between(start, end)
        )
    )


def replace_truth_flags(
    connection: sa.Connection, respondent: str, start: datetime, end: datetime, frame: pd.DataFrame
) -> None:
    """Make `frame` (respondent, period, flag, flagged_at) the hours of [start, end] that are not truth."""
    stored = truth_flag.c
    kept = list(frame["period"])
    connection.execute(
        sa.delete(truth_flag).where(
            stored.respondent == respondent,
            stored.period.between(start, end),
            stored.period != sa.all_(sa.cast(kept, sa.ARRAY(sa.DateTime(timezone=True)))),
        )
    )
    upsert(connection, truth_flag, None, frame, None, values=("flag",))


def read_demand(
    connection: sa.Connection,
    respondent: str,
    series: str,
    start: datetime,
    end: datetime,
    as_of: datetime,
    stored_by: datetime | None = None,
) -> pd.DataFrame:
    """Hours in [start, end] with the value current at `as_of`: period, value, sorted by period.

    With `stored_by` without what was stored later, though it counts as known before.
    """
    stored = bulk.only_stored_by(stored_by)
    return bulk.copy_out(
        connection,
        f"""
        SELECT DISTINCT ON (period) period, value FROM (
            SELECT period, value, known_at FROM raw_demand
            WHERE respondent = %(respondent)s AND series = %(series)s
              AND period BETWEEN %(start)s AND %(end)s AND known_at <= %(as_of)s {stored}
            UNION ALL
            SELECT period, value, known_at FROM raw_demand_revision
            WHERE respondent = %(respondent)s AND series = %(series)s
              AND period BETWEEN %(start)s AND %(end)s
              AND known_at <= %(as_of)s AND superseded_at > %(still)s {stored}
        ) AS known ORDER BY period, known_at DESC
        """,  # noqa: S608
        {
            "respondent": respondent,
            "series": series,
            "start": start,
            "end": end,
            "as_of": as_of,
            **bulk.stored(as_of, stored_by),
        },
        {"period": "timestamp", "value": "number"},
    )


def read_truth(
    connection: sa.Connection, respondent: str, start: datetime, end: datetime, as_of: datetime
) -> pd.DataFrame:
    """Demand of the hours in [start, end] to score against, as known at `as_of`: period, value.

    An hour that was flagged by then is no truth and has no row.
    """
    demand = read_demand(connection, respondent, "D", start, end, as_of)
    stored = truth_flag.c
    query = sa.select(stored.period).where(
        stored.respondent == respondent, stored.period.between(start, end), stored.flagged_at <= as_of
    )
    return demand[~demand["period"].isin(list(connection.scalars(query)))]


def read_vintages(
    connection: sa.Connection, respondent: str, series: str, start: datetime, end: datetime, as_of: datetime
) -> pd.DataFrame:
    """All values that revised hours in [start, end] had by `as_of`: one row for each value.

    Returns:
        `period`, `value`, `stored_at` (from when it was known in fact), `superseded_at` (NaT: current).
    """
    return bulk.copy_out(
        connection,
        """
        SELECT period, value, greatest(known_at, ingested_at) AS stored_at,
               CASE WHEN superseded_at <= %(as_of)s THEN superseded_at END AS superseded_at
        FROM (
            SELECT period, value, known_at, ingested_at, superseded_at FROM raw_demand_revision
            WHERE respondent = %(respondent)s AND series = %(series)s
              AND period BETWEEN %(start)s AND %(end)s
            UNION ALL
            SELECT d.period, d.value, d.known_at, d.ingested_at, NULL FROM raw_demand AS d
            WHERE d.respondent = %(respondent)s AND d.series = %(series)s
              AND d.period BETWEEN %(start)s AND %(end)s
              AND EXISTS (
                SELECT FROM raw_demand_revision AS r
                WHERE r.respondent = d.respondent AND r.series = d.series AND r.period = d.period)
        ) AS vintage
        WHERE known_at <= %(as_of)s ORDER BY period, superseded_at
        """,
        {"respondent": respondent, "series": series, "start": start, "end": end, "as_of": as_of},
        {"period": "timestamp", "value": "number", "stored_at": "timestamp", "superseded_at": "timestamp"},
    )


def hours_stored_late(
    connection: sa.Connection,
    respondent: str,
    series: str,
    start: datetime,
    end: datetime,
    within: timedelta,
) -> int:
    """How many hours in [start, end] had no value stored `within` their end: what they were first is unknown.

    Hours without any value do not count.
    """
    query = sa.text(
        """
        SELECT count(*) FROM (
            SELECT period FROM (
                SELECT period, ingested_at FROM raw_demand
                WHERE respondent = :respondent AND series = :series AND period BETWEEN :start AND :end
                UNION ALL
                SELECT period, ingested_at FROM raw_demand_revision
                WHERE respondent = :respondent AND series = :series AND period BETWEEN :start AND :end
            ) AS vintage GROUP BY period HAVING min(ingested_at) > period + :within
        ) AS late
        """
    )
    values = {"respondent": respondent, "series": series, "start": start, "end": end, "within": within}
    return int(connection.scalar(query, values) or 0)


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


def storing_times(
    connection: sa.Connection, respondent: str, sites: Sequence[str], before: datetime, within: timedelta
) -> list[datetime]:
    """When rows of the hours `within` which `before` lies were stored, newest first, none after `before`."""
    query = sa.text(
        """
        SELECT DISTINCT ingested_at FROM (
            SELECT ingested_at FROM raw_demand
            WHERE respondent = :respondent AND period BETWEEN :since AND :before
            UNION ALL SELECT ingested_at FROM raw_demand_revision
            WHERE respondent = :respondent AND period BETWEEN :since AND :before
            UNION ALL SELECT ingested_at FROM raw_weather
            WHERE site = ANY(:sites) AND timestamp BETWEEN :since AND :before
            UNION ALL SELECT ingested_at FROM weather_forecast
            WHERE site = ANY(:sites) AND timestamp >= :since AND issued_at BETWEEN :since AND :before
        ) AS stored WHERE ingested_at <= :before ORDER BY ingested_at DESC
        """
    )
    values = {"respondent": respondent, "sites": list(sites), "since": before - within, "before": before}
    return list(connection.scalars(query, values))


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


def upsert(
    connection: sa.Connection,
    table: sa.Table,
    revisions: sa.Table | None,
    frame: pd.DataFrame,
    now: datetime | None,
    *,
    values: Sequence[str],
    merge: str | None = None,
) -> Written:
    """Insert new rows and replace rows whose `values` differ.

    With `revisions`, the old row is kept there and the new one is known from `now` on. `merge` is a statement
    that first puts into the table `incoming` what stays of the stored rows.
    """
    if frame.empty:
        return Written()
    columns = [column.name for column in table.columns if column.name in frame.columns]
    keys = [column.name for column in table.primary_key.columns]
    bulk.copy_in(connection, table, frame.loc[:, columns])
    if merge is not None:
        connection.exec_driver_sql(merge)
    matched = " AND ".join(f'o."{key}" = i."{key}"' for key in keys)
    changed = f"{matched} AND ({bulk.moved(values, 'o')}, 0) IS DISTINCT FROM ({bulk.moved(values, 'i')}, 0)"
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


def stored_periods(
    connection: sa.Connection, respondent: str, start: datetime, end: datetime
) -> set[tuple[str, datetime]]:
    """The (series, period) in [start, end] that have a value."""
    query = sa.select(raw_demand.c.series, raw_demand.c.period).where(
        raw_demand.c.respondent == respondent, raw_demand.c.period.between(start, end)
    )
    return {(row.series, row.period) for row in connection.execute(query)}


def oldest_unsettled(
    connection: sa.Connection, respondent: str, since: datetime, changed_since: datetime
) -> datetime | None:
    """The first hour from `since` on that changed after `changed_since`, or was taken back and is away."""
    earlier = raw_demand_revision.c
    here = sa.exists().where(
        raw_demand.c.respondent == earlier.respondent,
        raw_demand.c.series == earlier.series,
        raw_demand.c.period == earlier.period,
    )
    query = sa.select(sa.func.min(earlier.period)).where(
        earlier.respondent == respondent,
        earlier.period >= since,
        sa.or_(earlier.superseded_at > changed_since, ~here),
    )
    first: datetime | None = connection.scalar(query)
    return first


def withdraw_demand(
    connection: sa.Connection, respondent: str, hours: Collection[tuple[str, datetime]], now: datetime
) -> int:
    """Take hours (series, period) out of truth, superseded at `now`; return how many had a value."""
    if not hours:
        return 0
    chosen = sa.and_(
        raw_demand.c.respondent == respondent,
        sa.tuple_(raw_demand.c.series, raw_demand.c.period).in_(list(hours)),
    )
    names = [column.name for column in raw_demand.columns]
    connection.execute(
        insert(raw_demand_revision)
        .from_select(
            [*names, "superseded_at"],
            sa.select(*raw_demand.columns, sa.literal(now, sa.DateTime(timezone=True))).where(chosen),
        )
        .on_conflict_do_nothing()
    )
    return connection.execute(sa.delete(raw_demand).where(chosen)).rowcount


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
