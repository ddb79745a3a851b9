"""Rows of the grid operator's own forecast: what was issued, posting by posting.

As everywhere in this room, functions take a connection and so join the caller's transaction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from energy_demand.database import bulk
from energy_demand.database.repository import Written
from energy_demand.database.tables import operator_forecast

if TYPE_CHECKING:
    from datetime import date, datetime

    import pandas as pd

COLUMNS = tuple(column.name for column in operator_forecast.columns)
_KEY = ("operator", "zone", "period", "lead_days")
_SAME = " AND ".join(f"o.{name} = i.{name}" for name in _KEY)
_HOURS_OF_A_DAY = 23  # at least


def store_postings(connection: sa.Connection, frame: pd.DataFrame) -> Written:
    """Store rows of `COLUMNS`; what is stored already is never changed, and storing again adds nothing.

    A value that differs from the newest stored one of its hour and lead is a further posting. Where the file
    gives no later time for it than the stored one has, it counts as issued and known when it was read.
    """
    if frame.empty:
        return Written()
    bulk.copy_in(connection, operator_forecast, frame.loc[:, list(COLUMNS)])
    again = "n.issued_at >= i.issued_at"
    noticed = "greatest(i.ingested_at, n.issued_at + interval '1 second')"
    row = connection.execute(
        sa.text(
            f"""
            WITH fresh AS (
                SELECT i.operator, i.zone, i.period, i.lead_days,
                    CASE WHEN {again} THEN {noticed} ELSE i.issued_at END AS issued_at, i.forecast_mwh,
                    CASE WHEN {again} THEN {noticed} ELSE i.known_at END AS known_at, i.ingested_at,
                    n.issued_at IS NOT NULL AS revised
                FROM incoming i LEFT JOIN LATERAL (
                    SELECT o.issued_at, o.forecast_mwh FROM operator_forecast o WHERE {_SAME}
                    ORDER BY o.issued_at DESC LIMIT 1
                ) n ON true
                WHERE n.forecast_mwh IS DISTINCT FROM i.forecast_mwh
            ), stored AS (
                INSERT INTO operator_forecast ({", ".join(COLUMNS)})
                SELECT {", ".join(COLUMNS)} FROM fresh ON CONFLICT DO NOTHING
            )
            SELECT count(*) FILTER (WHERE NOT revised), count(*) FILTER (WHERE revised) FROM fresh
            """  # noqa: S608
        )
    ).one()
    return Written(*row)


def stored_days(
    connection: sa.Connection, operator: str, zone: str, timezone: str, first: date, last: date
) -> set[date]:
    """The local days in [first, last] whose own file is stored whole for `zone`."""
    query = sa.text(
        "SELECT day FROM (SELECT ((period - interval '1 hour') AT TIME ZONE :timezone)::date AS day, period "
        "FROM operator_forecast WHERE operator = :operator AND zone = :zone AND lead_days = 1 "
        "AND period BETWEEN CAST(:first AS date) AND CAST(:last AS date) + 2) AS hours "
        "WHERE day BETWEEN :first AND :last GROUP BY day HAVING count(DISTINCT period) >= :hours"
    )
    values = {
        "operator": operator,
        "zone": zone,
        "timezone": timezone,
        "first": first,
        "last": last,
        "hours": _HOURS_OF_A_DAY,
    }
    return set(connection.scalars(query, values))


def read_postings(
    connection: sa.Connection, operator: str, zone: str, start: datetime, end: datetime, as_of: datetime
) -> pd.DataFrame:
    """Every forecast of the hours in [start, end] known at `as_of`: period, issued_at, forecast_mwh.

    In the order of their issue.
    """
    return bulk.copy_out(
        connection,
        """
        SELECT period, issued_at, forecast_mwh FROM operator_forecast
        WHERE operator = %(operator)s AND zone = %(zone)s AND period BETWEEN %(start)s AND %(end)s
          AND known_at <= %(as_of)s
        ORDER BY issued_at, period, lead_days DESC
        """,
        {"operator": operator, "zone": zone, "start": start, "end": end, "as_of": as_of},
        {"period": "timestamp", "issued_at": "timestamp", "forecast_mwh": "number"},
    )
