"""What was forecast of each day's peak, and which days were alerted.

Functions take a connection and so join the caller's transaction. Of several issues for a day the newest one
counts, as the scheduled forecast replaces only a worse one.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from energy_demand.database.tables import peak_forecast

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


def insert_peak(connection: sa.Connection, row: Mapping[str, Any]) -> None:
    """Store a row; one of the same region, day and issue stays as it was."""
    connection.execute(insert(peak_forecast).values(**row).on_conflict_do_nothing())


def read_peak(connection: sa.Connection, respondent: str, day: date, now: datetime) -> dict[str, Any] | None:
    """The row of a day that counts, as known at `now`; None if there is none."""
    rows = _rows(connection, respondent, day, day, now)
    return rows[0] if rows else None


def read_year(connection: sa.Connection, respondent: str, year: int, now: datetime) -> list[dict[str, Any]]:
    """The rows that count of a year's days, in their order, as known at `now`."""
    return _rows(connection, respondent, date(year, 1, 1), date(year, 12, 31), now)


def read_alerts(connection: sa.Connection, respondent: str, year: int, now: datetime) -> list[date]:
    """The days of a year that are alerted, in order, as known at `now`."""
    rows = peak_forecast.c
    newest = (
        sa.select(rows.day, rows.alert)
        .where(*_known(respondent, date(year, 1, 1), date(year, 12, 31), now))
        .distinct(rows.day)
        .order_by(rows.day, rows.issued_at.desc())
        .subquery()
    )
    return list(connection.scalars(sa.select(newest.c.day).where(newest.c.alert).order_by(newest.c.day)))


def _rows(
    connection: sa.Connection, respondent: str, first: date, last: date, now: datetime
) -> list[dict[str, Any]]:
    rows = peak_forecast.c
    query = (
        sa.select(peak_forecast)
        .where(*_known(respondent, first, last, now))
        .distinct(rows.day)
        .order_by(rows.day, rows.issued_at.desc())
    )
    return [dict(row) for row in connection.execute(query).mappings()]


def _known(respondent: str, first: date, last: date, now: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    rows = peak_forecast.c
    return (
        rows.respondent == respondent,
        rows.day.between(first, last),
        rows.issued_at <= now,
        rows.made_at <= now,
    )
