"""Rows of weather: what was observed, and what was forecast, run by run.

As everywhere in this room, functions take a connection and so join the caller's transaction. A known value is
never replaced by null.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from energy_demand.columns import WEATHER_VARIABLES
from energy_demand.database import bulk
from energy_demand.database.repository import Written, upsert
from energy_demand.database.tables import raw_weather, raw_weather_revision, weather_forecast, weather_run

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    import pandas as pd

ARCHIVE, FORECAST_API, MIXED = "archive", "forecast_api", "mixed"

# What the archive says goes before what the forecast API says, value by value; among the same, the newer.
_FIRST = f"CASE WHEN i.source = '{ARCHIVE}' OR o.source = '{FORECAST_API}' THEN"
_KEPT = " OR ".join(f'(i."{name}" IS NULL AND o."{name}" IS NOT NULL)' for name in WEATHER_VARIABLES)
_FILLED = " OR ".join(f'(o."{name}" IS NULL AND i."{name}" IS NOT NULL)' for name in WEATHER_VARIABLES)
_MERGED = ", ".join(
    f'"{name}" = {_FIRST} coalesce(i."{name}", o."{name}") ELSE coalesce(o."{name}", i."{name}") END'
    for name in WEATHER_VARIABLES
)
_SOURCE = (
    f"CASE WHEN i.source = '{ARCHIVE}' AND o.source <> '{ARCHIVE}' AND ({_KEPT}) THEN '{MIXED}' "
    f"WHEN i.source = '{FORECAST_API}' AND o.source = '{ARCHIVE}' AND ({_FILLED}) THEN '{MIXED}' "
    f"WHEN i.source = '{FORECAST_API}' THEN o.source ELSE i.source END"
)
MERGE_OBSERVED = (
    f"UPDATE incoming i SET {_MERGED}, source = {_SOURCE} "  # noqa: S608
    "FROM raw_weather o WHERE o.site = i.site AND o.timestamp = i.timestamp"
)


@dataclass(frozen=True)
class RunState:
    """What is known of a run: `complete`, `incomplete`, `missing` or `failed`, as of `asked_at`.

    `lacking` are the variables that it had nowhere.
    """

    status: str
    asked_at: datetime
    lacking: frozenset[str] = frozenset()


def upsert_weather(connection: sa.Connection, frame: pd.DataFrame, now: datetime) -> Written:
    """Store observed weather; the archive replaces what the forecast API filled in, never the reverse.

    Args:
        connection: in a transaction.
        frame: site, timestamp, the twelve variables, source, known_at, ingested_at.
        now: from when a changed row counts as known.
    """
    values = (*WEATHER_VARIABLES, "source")
    return upsert(
        connection, raw_weather, raw_weather_revision, frame, now, values=values, merge=MERGE_OBSERVED
    )


def upsert_runs(connection: sa.Connection, frame: pd.DataFrame) -> Written:
    """Store weather forecasts as issued: model, site, issued_at, timestamp, variables, known_at, ingested_at.

    A forecast is a record of what was issued: only what a run lacked is filled in, known from then on.
    """
    if frame.empty:
        return Written()
    columns = ("model", "site", "issued_at", "timestamp", *WEATHER_VARIABLES, "known_at", "ingested_at")
    bulk.copy_in(connection, weather_forecast, frame.loc[:, list(columns)])
    names = ", ".join(f'"{name}"' for name in columns)
    filled = ", ".join(f'"{name}" = coalesce(o."{name}", excluded."{name}")' for name in WEATHER_VARIABLES)
    lacked = " OR ".join(
        f'(o."{name}" IS NULL AND excluded."{name}" IS NOT NULL)' for name in WEATHER_VARIABLES
    )
    rows = connection.execute(
        sa.text(
            f"WITH stored AS (INSERT INTO weather_forecast AS o ({names}) "  # noqa: S608
            f"SELECT {bulk.moved(columns, 'i')} FROM incoming i "
            f"ON CONFLICT (model, site, issued_at, timestamp) DO UPDATE SET {filled}, "
            f"known_at = excluded.known_at WHERE {lacked} RETURNING (xmax = 0) AS new) "
            "SELECT count(*) FILTER (WHERE new), count(*) FILTER (WHERE NOT new) FROM stored"
        )
    ).one()
    return Written(*rows)


def record_runs(connection: sa.Connection, rows: Sequence[dict[str, object]]) -> None:
    """Note what became of runs that were asked for: the columns of `weather_run`."""
    if not rows:
        return
    statement = insert(weather_run)
    updated = {
        column.name: statement.excluded[column.name]
        for column in weather_run.columns
        if not column.primary_key and column.name != "issued_at"
    }
    key = [column.name for column in weather_run.primary_key]
    connection.execute(statement.on_conflict_do_update(index_elements=key, set_=updated), list(rows))


def run_states(
    connection: sa.Connection, respondent: str, model: str, start: datetime, end: datetime
) -> dict[datetime, RunState]:
    """The runs of a model that start in [start, end] and were asked for before for this region."""
    query = sa.select(weather_run).where(
        weather_run.c.respondent == respondent,
        weather_run.c.model == model,
        weather_run.c.run_at.between(start, end),
    )
    return {
        row.run_at: RunState(row.status, row.asked_at, frozenset(row.lacking.split(",")) - {""})
        for row in connection.execute(query)
    }


def missing_hours(connection: sa.Connection, sites: Sequence[str], start: datetime, end: datetime) -> int:
    """How many hours in [start, end], of all sites together, lack a value at least.

    A variable that a site has at no hour is none of it, and one that a site has from a later hour on counts
    from that hour. An hour without any value is missing in any case.
    """
    names = [f'"{name}"' for name in WEATHER_VARIABLES]
    values = ", ".join(f"w.{name}" for name in names)
    began = ", ".join(f"min(timestamp) FILTER (WHERE {name} IS NOT NULL) AS {name}" for name in names)
    there = " AND ".join(
        f"(w.{name} IS NOT NULL OR b.{name} IS NULL OR w.timestamp < b.{name})" for name in names
    )
    query = sa.text(
        "WITH w AS (SELECT * FROM raw_weather WHERE site = ANY(:sites) "  # noqa: S608
        f"AND timestamp BETWEEN :start AND :end), b AS (SELECT site, {began} FROM w GROUP BY site) "
        f"SELECT count(*) FROM w JOIN b USING (site) WHERE num_nonnulls({values}) > 0 AND {there}"
    )
    whole = connection.execute(query, {"sites": list(sites), "start": start, "end": end}).scalar_one()
    hours = int((end - start).total_seconds() // 3600) + 1
    return hours * len(sites) - int(whole)


def lacking_variables(
    connection: sa.Connection, sites: Sequence[str], start: datetime, end: datetime
) -> dict[str, frozenset[str]]:
    """By site, in the order of `sites`, the variables without a value in any hour of [start, end]."""
    counts = ", ".join(f'count("{name}") AS "{name}"' for name in WEATHER_VARIABLES)
    query = sa.text(
        f"SELECT site, {counts} FROM raw_weather "  # noqa: S608
        "WHERE site = ANY(:sites) AND timestamp BETWEEN :start AND :end GROUP BY site"
    )
    rows = connection.execute(query, {"sites": list(sites), "start": start, "end": end}).mappings()
    known = {row["site"]: frozenset(name for name in WEATHER_VARIABLES if row[name]) for row in rows}
    return {site: frozenset(WEATHER_VARIABLES) - known.get(site, frozenset()) for site in sites}


def read_weather(
    connection: sa.Connection,
    sites: Sequence[str],
    start: datetime,
    end: datetime,
    as_of: datetime,
    stored_by: datetime | None = None,
) -> pd.DataFrame:
    """Observed weather in [start, end] known at `as_of`: site, timestamp, the twelve variables.

    With `stored_by` without what was stored later, as in `read_demand`.
    """
    names, stored = ", ".join(WEATHER_VARIABLES), bulk.only_stored_by(stored_by)
    return bulk.copy_out(
        connection,
        f"""
        SELECT DISTINCT ON (site, timestamp) site, timestamp, {names} FROM (
            SELECT site, timestamp, known_at, {names} FROM raw_weather
            WHERE site = ANY(%(sites)s) AND timestamp BETWEEN %(start)s AND %(end)s
              AND known_at <= %(as_of)s {stored}
            UNION ALL
            SELECT site, timestamp, known_at, {names} FROM raw_weather_revision
            WHERE site = ANY(%(sites)s) AND timestamp BETWEEN %(start)s AND %(end)s
              AND known_at <= %(as_of)s AND superseded_at > %(still)s {stored}
        ) AS known ORDER BY site, timestamp, known_at DESC
        """,  # noqa: S608
        {"sites": list(sites), "start": start, "end": end, "as_of": as_of, **bulk.stored(as_of, stored_by)},
        {"site": "text", "timestamp": "timestamp", **dict.fromkeys(WEATHER_VARIABLES, "number")},
    )


def read_weather_runs(
    connection: sa.Connection,
    model: str,
    sites: Sequence[str],
    start: datetime,
    end: datetime,
    as_of: datetime,
    stored_by: datetime | None = None,
) -> pd.DataFrame:
    """Every forecast of a model issued in [start, end] and known at `as_of`, in the order of their issue.

    With `stored_by` without what was stored later. Columns: site, timestamp, issued_at, the twelve variables.
    """
    names, stored = ", ".join(WEATHER_VARIABLES), bulk.only_stored_by(stored_by)
    return bulk.copy_out(
        connection,
        f"""
        SELECT site, timestamp, issued_at, {names} FROM weather_forecast
        WHERE model = %(model)s AND site = ANY(%(sites)s) AND issued_at BETWEEN %(start)s AND %(end)s
          AND known_at <= %(as_of)s {stored}
        ORDER BY issued_at, site, timestamp
        """,  # noqa: S608
        {
            "model": model,
            "sites": list(sites),
            "start": start,
            "end": end,
            "as_of": as_of,
            **bulk.stored(as_of, stored_by),
        },
        {
            "site": "text",
            "timestamp": "timestamp",
            "issued_at": "timestamp",
            **dict.fromkeys(WEATHER_VARIABLES, "number"),
        },
    )


def read_first_hours(
    connection: sa.Connection, model: str, site: str, start: datetime, as_of: datetime
) -> pd.DataFrame:
    """Temperatures of the first 30 hours of the runs of a model issued from `start` on, known at `as_of`.

    Columns: site, timestamp, issued_at, temperature_2m.
    """
    return bulk.copy_out(
        connection,
        """
        SELECT site, timestamp, issued_at, temperature_2m FROM weather_forecast
        WHERE model = %(model)s AND site = %(site)s AND issued_at BETWEEN %(start)s AND %(as_of)s
          AND timestamp BETWEEN issued_at - interval '1 hour' AND issued_at + interval '30 hours'
          AND known_at <= %(as_of)s
        ORDER BY issued_at, timestamp
        """,
        {"model": model, "site": site, "start": start, "as_of": as_of},
        {
            "site": "text",
            "timestamp": "timestamp",
            "issued_at": "timestamp",
            "temperature_2m": "number",
        },
    )
