"""Which scheduled forecasts are judged, and their errors: one definition for dashboard, API and shell.

Model quality is that of forecasts that were scheduled in the hour of 09:00 local time, one for each hour
(`scored_forecasts`); an hour in `truth_flag` is not truth. These functions build queries and send none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from energy_demand.columns import OWN_ANSWERS
from energy_demand.database.predictions import scored_forecasts

if TYPE_CHECKING:
    from datetime import datetime

HOUR = sa.literal_column("interval '1 hour'", sa.Interval)
# Of `scored_forecasts`; what most questions need.
JUDGED = (
    *("timestamp", "issued_at", "lead_hours", "model_version", "quality", "predicted"),
    *("lower_80", "upper_80", "lower_95", "upper_95", "actual", "error", "percentage_error"),
)


@dataclass(frozen=True)
class Judged:
    """Which forecasts are judged.

    Attributes:
        respondent: the region.
        zone: of its days and hours.
        start: hours after this time,
        end: through this one.
        now: what was known by then.
        leads: least and most.
        version: of the model; None: any.
        own: only what the whole forecaster answered, without fallbacks.
    """

    respondent: str
    zone: str
    start: datetime
    end: datetime
    now: datetime
    leads: tuple[int, int]
    version: str | None = None
    own: bool = False


def chosen(rows: sa.FromClause, which: Judged) -> tuple[sa.ColumnElement[bool], ...]:
    """The conditions on rows of `scored_forecasts`, but for version and quality."""
    return (
        rows.c.respondent == which.respondent,
        rows.c.timestamp > which.start,
        rows.c.timestamp <= which.end,
        rows.c.lead_hours.between(*which.leads),
    )


def judged(which: Judged, *more: str) -> sa.CTE:
    """The chosen forecasts with their errors, and with `more` columns of `scored_forecasts`."""
    rows = scored_forecasts(which.zone, which.now)
    query = sa.select(*(rows.c[name] for name in (*JUDGED, *more))).where(*chosen(rows, which))
    if which.version is not None:
        query = query.where(rows.c.model_version == which.version)
    if which.own:
        query = query.where(rows.c.quality.in_(OWN_ANSWERS))
    return query.cte("judged")


def error_columns(rows: sa.CTE) -> list[sa.Label[Any]]:
    """Error columns over the known hours of whatever rows are grouped by; as `evaluate.scores` has them."""
    error, percentage = rows.c.error, rows.c.percentage_error
    known = rows.c.actual.is_not(None)

    def inside(level: int) -> sa.Label[Any]:
        within = rows.c.actual.between(rows.c[f"lower_{level}"], rows.c[f"upper_{level}"])
        share = sa.func.avg(sa.cast(sa.cast(within, sa.Integer), sa.Double))
        return (100 * share.filter(known)).label(f"coverage_{level}")

    return [
        sa.func.count().filter(known).label("known"),
        sa.func.avg(sa.func.abs(error)).label("mae"),
        sa.func.sqrt(sa.func.avg(error * error)).label("rmse"),
        sa.func.avg(sa.func.abs(percentage)).label("mape"),
        sa.func.avg(percentage).label("bias"),
        inside(80),
        inside(95),
    ]


def local_start(timestamp: sa.ColumnElement[Any], zone: str) -> sa.ColumnElement[Any]:
    """Local wall clock at the hour's start."""
    return sa.func.timezone(zone, timestamp - HOUR)
