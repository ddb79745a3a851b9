"""Logged forecasts, demand and scores in batches of Arrow, for exports; each batch goes on after a key.

Functions take a connection and only read. Demand to score against is what everything else counts as known and
as truth: `raw_demand` without the hours in `truth_flag`. With an `as_of` both are as they were then, earlier
values of revised hours included. Forecasts of models in the shadow were shown to nobody and are not exported.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from energy_demand.columns import OWN_ANSWERS
from energy_demand.database import bulk
from energy_demand.database.judged import Judged, error_columns, judged, local_start
from energy_demand.database.predictions import SHADOW, ladder_step
from energy_demand.timeaxis import MAX_LEAD_HOURS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime

    import pyarrow as pa

MICROSECOND = timedelta(microseconds=1)
FORECAST_COLUMNS = {
    "period": "timestamp",
    "issued_at": "timestamp",
    "lead_hours": "integer",
    "predicted": "number",
    "lower_80": "number",
    "upper_80": "number",
    "lower_95": "number",
    "upper_95": "number",
    "model_version": "text",
    "quality": "text",
    "source": "text",
    "made_at": "timestamp",
    "id": "key",
}
DEMAND_COLUMNS = {
    "period": "timestamp",
    "value": "number",
    "actual": "number",
    "known_at": "timestamp",
    "screening_flag": "text",
    "imputed": "number",
    "truth_flag": "text",
}
_LOGGED = """
    p."timestamp" AS period, p.issued_at, p.lead_hours, p.predicted_demand AS predicted,
    p.lower_80, p.upper_80, p.lower_95, p.upper_95, p.model_version, p.quality, p.source,
    p.prediction_made_at AS made_at, p.id
"""
_PERIOD = 'p."timestamp"'
_BETWEEN = "{0} BETWEEN %(first)s AND %(last)s"


@dataclass(frozen=True)
class LoggedForecasts:
    """Which rows of the log are exported.

    Attributes:
        respondent: the region.
        first: the first hour,
        last: and the last one, both included.
        known: the present, or `as_of`: what was issued or known later does not exist.
        as_of: only what was logged by then; None: whenever it was.
        issued_from: issued at this time or later,
        issued_to: and by this time.
        qualities: steps of the fallback ladder; empty: every one.
        version: of the model; None: every one.
    """

    respondent: str
    first: datetime
    last: datetime
    known: datetime
    as_of: datetime | None = None
    issued_from: datetime | None = None
    issued_to: datetime | None = None
    qualities: tuple[str, ...] = ()
    version: str | None = None

    def conditions(self) -> str:
        """On the table `prediction_log p`, but for its hours."""
        asked = [
            f"p.respondent = %(respondent)s AND p.source <> '{SHADOW}' AND p.issued_at <= %(known)s",
            "p.prediction_made_at <= %(as_of)s" if self.as_of is not None else None,
            "p.issued_at >= %(issued_from)s" if self.issued_from is not None else None,
            "p.issued_at <= %(issued_to)s" if self.issued_to is not None else None,
            "p.quality = ANY(%(qualities)s)" if self.qualities else None,
            "p.model_version = %(version)s" if self.version is not None else None,
        ]
        return " AND ".join(filter(None, asked))

    def values(self) -> dict[str, Any]:
        """What the conditions are bound to."""
        return {**vars(self), "qualities": list(self.qualities)}


@dataclass(frozen=True)
class IssueDay:
    """A local day of the day-ahead series: its hours end after `start` and by `end`."""

    start: datetime
    end: datetime
    issued_from: datetime
    issued_to: datetime


def read_forecasts(
    connection: sa.Connection,
    which: LoggedForecasts,
    after: tuple[datetime, datetime, int] | None,
    most: int,
) -> pa.RecordBatch:
    """The next `most` forecasts after a key (period, issued_at, id), in its order: `FORECAST_COLUMNS`."""
    beyond = (
        "" if after is None else 'AND (p."timestamp", p.issued_at, p.id) > (%(first)s, %(issued)s, %(id)s)'
    )
    rows = (
        f"SELECT {_LOGGED} FROM prediction_log p WHERE {which.conditions()} "  # noqa: S608
        f'AND {_BETWEEN.format(_PERIOD)} {beyond} ORDER BY p."timestamp", p.issued_at, p.id LIMIT %(most)s'
    )
    values = {**which.values(), "most": most}
    if after is not None:
        values |= {"first": after[0], "issued": after[1], "id": after[2]}
    return bulk.batch_out(connection, rows, values, FORECAST_COLUMNS)


def read_day_ahead(
    connection: sa.Connection, which: LoggedForecasts, days: Sequence[IssueDay]
) -> pa.RecordBatch:
    """The day-ahead series of some local days, by period: `FORECAST_COLUMNS`.

    A day has the last forecast of all its hours that was issued in its span; a prediction from a caller's own
    features is no such forecast.
    """
    # Materialized: with the statistics of a table that was empty a moment ago, the planner would look for the
    # last forecast of a day once for each row of the log.
    rows = (
        "WITH last AS MATERIALIZED (SELECT d.starts, d.ends, found.* FROM unnest("  # noqa: S608
        "%(starts)s::timestamptz[], %(ends)s::timestamptz[], "
        "%(issue_starts)s::timestamptz[], %(issue_ends)s::timestamptz[]) "
        "AS d (starts, ends, issue_starts, issue_ends) CROSS JOIN LATERAL ("
        f"SELECT p.request_id, p.issued_at FROM prediction_log p WHERE {which.conditions()} "
        f"AND {_PERIOD} > d.starts AND {_PERIOD} <= d.ends "
        "AND p.issued_at BETWEEN d.issue_starts AND d.issue_ends "
        "GROUP BY p.request_id, p.issued_at HAVING max(p.row_number) = 0 "
        "AND count(*) = extract(epoch FROM d.ends - d.starts) / 3600 "
        "ORDER BY p.issued_at DESC, max(p.id) DESC LIMIT 1) AS found) "
        f"SELECT {_LOGGED} FROM last JOIN prediction_log p ON p.respondent = %(respondent)s "
        "AND p.request_id = last.request_id AND p.issued_at = last.issued_at "
        f"AND {_PERIOD} > last.starts AND {_PERIOD} <= last.ends WHERE {_BETWEEN.format(_PERIOD)} "
        f"ORDER BY {_PERIOD}"
    )
    values = {
        **which.values(),
        "starts": [day.start for day in days],
        "ends": [day.end for day in days],
        "issue_starts": [day.issued_from for day in days],
        "issue_ends": [day.issued_to for day in days],
    }
    return bulk.batch_out(connection, rows, values, FORECAST_COLUMNS)


def exceeds(connection: sa.Connection, which: LoggedForecasts, most: int) -> bool:
    """Whether `read_forecasts` has more than `most` rows; counts only where the planner is in doubt."""
    rows = f"SELECT FROM prediction_log p WHERE {which.conditions()} AND {_BETWEEN.format(_PERIOD)}"
    (plan,) = bulk.one_row(connection, f"EXPLAIN (FORMAT JSON) {rows}", which.values())
    if plan[0]["Plan"]["Plan Rows"] < most / 2:
        return False
    query = f"SELECT count(*) FROM ({rows} LIMIT %(most)s) AS rows"  # noqa: S608
    (count,) = bulk.one_row(connection, query, {**which.values(), "most": most + 1})
    return int(count) > most


def read_hours(
    connection: sa.Connection,
    respondent: str,
    first: datetime,
    last: datetime,
    known: datetime,
    as_of: datetime | None,
) -> pa.RecordBatch:
    """The hours in [first, last] with demand as served and its flags: `DEMAND_COLUMNS`, by period.

    An hour without a value has a row where it is flagged as missing. `as_of`: as it was then; None: the
    values that are current, if they were known by `known`, and today's flags.
    """
    within = f"respondent = %(respondent)s AND {_BETWEEN.format('period')}"
    flagged = "" if as_of is None else " AND flagged_at <= %(as_of)s"
    current = f"SELECT * FROM raw_demand WHERE {within} AND series = 'D' AND known_at <= %(known)s"  # noqa: S608
    earlier = (
        ""
        if as_of is None
        else "UNION ALL (SELECT DISTINCT ON (period) period, value, known_at FROM raw_demand_revision "  # noqa: S608
        f"WHERE {within} AND series = 'D' AND known_at <= %(as_of)s AND superseded_at > %(as_of)s "
        "AND NOT EXISTS (SELECT FROM raw_demand c WHERE c.respondent = raw_demand_revision.respondent "
        "AND c.series = 'D' AND c.period = raw_demand_revision.period AND c.known_at <= %(as_of)s) "
        "ORDER BY period, known_at DESC)"
    )
    query = (
        f"WITH demand AS (SELECT period, value, known_at FROM ({current}) AS now {earlier}), "  # noqa: S608
        f"screened AS (SELECT period, flag, imputed_mwh FROM demand_flag WHERE {within}{flagged}), "
        f"doubted AS (SELECT period, flag FROM truth_flag WHERE {within}{flagged}) "
        "SELECT period, demand.value, CASE WHEN doubted.period IS NULL THEN demand.value END AS actual, "
        "demand.known_at, screened.flag AS screening_flag, screened.imputed_mwh AS imputed, "
        "doubted.flag AS truth_flag FROM demand FULL JOIN screened USING (period) "
        "LEFT JOIN doubted USING (period) ORDER BY period"
    )
    values = {"respondent": respondent, "first": first, "last": last, "known": known, "as_of": as_of}
    return bulk.batch_out(connection, query, values, DEMAND_COLUMNS)


def read_scores(
    connection: sa.Connection,
    which: Judged,
    by: str,
    qualities: Sequence[str],
) -> list[tuple[str | date | float | None, ...]]:
    """Errors of scheduled forecasts by `day`, `version` or `quality`, in that order.

    Of each: the key, hours, known hours, MAE, RMSE (MWh), MAPE, bias, and the coverage of the two intervals
    (percent). Without `qualities`, by day and by version only the champion's own answers count.
    """
    rows = judged(which)
    counted = qualities or (() if by == "quality" else OWN_ANSWERS)
    keys: dict[str, sa.ColumnElement[Any]] = {
        "day": sa.cast(local_start(rows.c.timestamp, which.zone), sa.Date),
        "version": rows.c.model_version,
        "quality": rows.c.quality,
    }
    key = keys[by]
    query = sa.select(key, sa.func.count(), *error_columns(rows)).group_by(key)
    if counted:
        query = query.where(rows.c.quality.in_(counted))
    query = query.order_by(ladder_step(rows.c.quality), key) if by == "quality" else query.order_by(key)
    return [tuple(row) for row in connection.execute(query)]


def judged_by(
    respondent: str, zone: str, first: datetime, last: datetime, known: datetime, version: str | None
) -> Judged:
    """The scheduled forecasts of the hours in [first, last], whatever their lead."""
    return Judged(respondent, zone, first - MICROSECOND, last, known, (0, MAX_LEAD_HOURS), version)
