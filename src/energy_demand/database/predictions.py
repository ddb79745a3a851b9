"""The prediction log in the database: forecasts, and the demand that was then observed.

Functions take a connection and so join the caller's transaction. Writing the same data twice changes
nothing; rows are deleted only after they were moved to files.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from energy_demand import locks
from energy_demand.columns import ANSWERS, OWN_ANSWERS
from energy_demand.database.tables import prediction_log, raw_demand

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date, datetime

SHADOW = "shadow"  # the source of forecasts that nobody is shown

_SCORED = (
    *(
        sa.column(name, prediction_log.c[name].type)
        for name in ("id", "respondent", "timestamp", "issued_at", "lead_hours", "model_version", "quality")
    ),
    *(
        sa.column(name, sa.Double)
        for name in (
            *(
                "predicted",
                "lower_80",
                "upper_80",
                "lower_95",
                "upper_95",
                "demand_lag_24h",
                "demand_lag_168h",
            ),
            *("actual", "error", "percentage_error", "operator"),
        )
    ),
)


def scored_forecasts(zone: str, now: datetime) -> sa.TableValuedAlias:
    """The forecasts that models are judged by: scheduled in the hour of 09:00 of `zone`, as known at `now`.

    The database's function of that name (migration 0007), which Grafana reads too. `actual` is missing where
    demand is unknown or not truth (`truth_flag`), and so are `error` (predicted − actual, MWh) and
    `percentage_error`; the latter also where demand is zero. `operator` is the grid operator's hourly
    forecast; the lags are the naive forecasts known at issue. An hour has one row: of several such forecasts
    the one of the best step of the fallback ladder, of those the newest.
    """
    return sa.func.scored_forecasts(zone, now).table_valued(*_SCORED, name="scored")


def insert_predictions(connection: sa.Connection, rows: Sequence[Mapping[str, Any]]) -> int:
    """Log predictions; one that is already logged (same request id, row and hour) is skipped.

    Times are ISO text. Returns the number of new rows.
    """
    return insert_prediction_lines(connection, [json.dumps(row).encode() for row in rows])


def insert_prediction_lines(connection: sa.Connection, lines: Sequence[bytes]) -> int:
    """The same for rows that are JSON objects already, one a line."""
    if not lines:
        return 0
    columns = [column for column in prediction_log.columns if column.name not in {"id", "actual_demand"}]
    names = ", ".join(f'"{column.name}"' for column in columns)
    typed = ", ".join(f'"{column.name}" {column.type.compile(connection.dialect)}' for column in columns)
    values = ", ".join(
        'COALESCE("row_number", 0)' if column.name == "row_number" else f'"{column.name}"'
        for column in columns
    )
    return connection.execute(
        sa.text(
            f"INSERT INTO prediction_log ({names}) SELECT {values} "  # noqa: S608
            f"FROM jsonb_to_recordset(CAST(:batch AS jsonb)) AS given ({typed}) "
            # In one order for all, so that two who log the same rows do not wait for each other for ever.
            "ORDER BY request_id, row_number, timestamp ON CONFLICT DO NOTHING"
        ),
        {"batch": (b"[" + b",".join(lines) + b"]").decode()},
    ).rowcount


def old_prediction_days(connection: sa.Connection, before: datetime) -> list[date]:
    """The UTC days before the one of `before` on which predictions were made, oldest first."""
    day = sa.func.date(sa.func.timezone("UTC", prediction_log.c.prediction_made_at))
    query = sa.select(day).where(prediction_log.c.prediction_made_at < before).distinct().order_by(day)
    return list(connection.scalars(query))


def read_predictions(connection: sa.Connection, start: datetime, end: datetime) -> pd.DataFrame:
    """Logged predictions made in [start, end), every column, by id; features as JSON text."""
    columns = [
        sa.cast(column, sa.Text).label(column.name) if isinstance(column.type, JSONB) else column
        for column in prediction_log.columns
    ]
    made_at = prediction_log.c.prediction_made_at
    query = sa.select(*columns).where(made_at >= start, made_at < end).order_by(prediction_log.c.id)
    names = [column.name for column in prediction_log.columns]
    return pd.DataFrame(connection.execute(query).all(), columns=names)


def delete_predictions(connection: sa.Connection, ids: Sequence[int]) -> int:
    """Delete logged predictions that are kept elsewhere."""
    # One array: PostgreSQL takes no more than 65,535 parameters.
    given = sa.cast(list(ids), sa.ARRAY(sa.BigInteger))
    return connection.execute(sa.delete(prediction_log).where(prediction_log.c.id == sa.any_(given))).rowcount


def fill_actuals(connection: sa.Connection, respondent: str, since: datetime, now: datetime) -> int:
    """Store the demand known at `now` with the predictions of hours after `since`; return the rows changed.

    Includes late and revised values, and those that the upstream took back; an hour in `truth_flag` gets no
    value.
    """
    return connection.execute(
        sa.text(
            # Demand is looked up once for each hour, of which there are many predictions.
            "UPDATE prediction_log p SET actual_demand = k.value FROM ("
            "SELECT q.timestamp, CASE WHEN f.period IS NULL THEN d.value END AS value FROM ("
            "SELECT DISTINCT timestamp FROM prediction_log "
            "WHERE respondent = :respondent AND timestamp > :since AND timestamp <= :now) q "
            "LEFT JOIN raw_demand d ON d.respondent = :respondent AND d.series = 'D' "
            "AND d.period = q.timestamp AND d.known_at <= :now "
            "LEFT JOIN truth_flag f ON f.respondent = :respondent AND f.period = q.timestamp) k "
            "WHERE p.respondent = :respondent AND p.timestamp > :since AND p.timestamp <= :now "
            "AND p.timestamp = k.timestamp AND p.actual_demand IS DISTINCT FROM k.value"
        ),
        {"respondent": respondent, "since": since, "now": now},
    ).rowcount


def read_scheduled(
    connection: sa.Connection, respondent: str, zone: str, start: datetime, now: datetime
) -> pd.DataFrame:
    """Forecasts of the hours after `start` that were scheduled in the hour of 09:00, as known at `now`.

    Columns: timestamp, issued_at, lead_hours, predicted_demand, the bounds, actual_demand, model_version,
    quality, and the naive forecasts known at issue, `demand_lag_24h` and `demand_lag_168h` (NaN: not known),
    by timestamp.
    """
    rows = scored_forecasts(zone, now).c
    columns = [
        rows.timestamp,
        rows.issued_at,
        rows.lead_hours,
        rows.predicted.label("predicted_demand"),
        rows.lower_80,
        rows.upper_80,
        rows.lower_95,
        rows.upper_95,
        rows.actual.label("actual_demand"),
        rows.model_version,
        rows.quality,
        rows.demand_lag_24h,
        rows.demand_lag_168h,
    ]
    query = (
        sa.select(*columns)
        .where(rows.respondent == respondent, rows.timestamp > start)
        .order_by(rows.timestamp)
    )
    frame = pd.DataFrame(connection.execute(query).all(), columns=[column.name for column in columns])
    others = {"timestamp", "issued_at", "model_version", "quality"}
    return frame.astype({name: float for name in frame.columns if name not in others})


def read_day_ahead(
    connection: sa.Connection, respondent: str, zone: str, periods: Sequence[datetime], now: datetime
) -> dict[datetime, float]:
    """MWh that the scheduled forecast gave each of these hours; one without such a forecast has no entry."""
    rows = scored_forecasts(zone, now).c
    query = sa.select(rows.timestamp, rows.predicted).where(
        rows.respondent == respondent, rows.timestamp.in_(periods)
    )
    return dict(connection.execute(query).tuples().all())


def read_points(
    connection: sa.Connection, respondent: str, zone: str, start: datetime, now: datetime
) -> pd.DataFrame:
    """Of the forecasts of `read_scheduled`: timestamp, issued_at, predicted_demand, quality, by timestamp.

    For them no demand is looked up.
    """
    rows = scored_forecasts(zone, now).c
    columns = [rows.timestamp, rows.issued_at, rows.predicted.label("predicted_demand"), rows.quality]
    query = (
        sa.select(*columns)
        .where(rows.respondent == respondent, rows.timestamp > start)
        .order_by(rows.timestamp)
    )
    frame = pd.DataFrame(connection.execute(query).all(), columns=[column.name for column in columns])
    return frame.astype({"predicted_demand": float})


def read_demand_ages(
    connection: sa.Connection, respondent: str, zone: str, start: datetime, now: datetime
) -> pd.Series:
    """Age of the newest demand at the issue of the forecasts of `read_scheduled`, hours, by timestamp.

    NaN where it is not logged (a fallback's forecast).
    """
    rows = scored_forecasts(zone, now).c
    age = sa.cast(prediction_log.c.features_json["demand_age_hours"].astext, sa.Double)
    query = (
        sa.select(rows.timestamp, age)
        .select_from(rows.id.table.join(prediction_log, prediction_log.c.id == rows.id))
        .where(rows.respondent == respondent, rows.timestamp > start)
        .order_by(rows.timestamp)
    )
    frame = pd.DataFrame(connection.execute(query).all(), columns=["timestamp", "age"])
    return pd.Series(frame["age"].to_numpy(dtype=float), index=frame["timestamp"])


def read_shadow(
    connection: sa.Connection,
    respondent: str,
    zone: str,
    version: str,
    champion: str | None,
    since: datetime,
    now: datetime,
) -> pd.DataFrame:
    """What `version` in the shadow and the champion itself forecast at the same time, as known at `now`.

    The database's function `shadow_forecasts` (migration 0008), of forecasts issued at `since` or later; an
    hour that a fallback or another version answered has no row. Columns: timestamp, issued_at, shadow,
    served, actual (MWh; NaN: not known), by timestamp.
    """
    texts = ("respondent", "shadow_version", "served_version", "served_quality")
    numbers = ("shadow", "served", "actual")
    found = sa.func.shadow_forecasts(zone, now).table_valued(
        *(sa.column(name, sa.Text) for name in texts),
        *(sa.column(name, sa.DateTime(timezone=True)) for name in ("timestamp", "issued_at")),
        *(sa.column(name, sa.Double) for name in numbers),
        name="shadow_forecast",
    )
    rows = found.c
    columns = [rows[name] for name in ("timestamp", "issued_at", *numbers)]
    query = (
        sa.select(*columns)
        .where(
            rows.respondent == respondent,
            rows.timestamp > since,
            rows.issued_at >= since,
            rows.shadow_version == version,
            rows.served_version == champion,
            rows.served_quality.in_(OWN_ANSWERS),
        )
        .order_by(rows.timestamp)
    )
    frame = pd.DataFrame(connection.execute(query).all(), columns=[column.name for column in columns])
    return frame.astype(dict.fromkeys(numbers, float))


@dataclass(frozen=True)
class Logged:
    """What is logged of a day's scheduled forecast.

    Attributes:
        quality: the step of the fallback ladder that answered; the last one, if several did.
        unknown_features: features without a value, over all hours.
        issued_at: of the newest hour.
        newest_demand: the newest hour of demand that was known then.
    """

    quality: str
    unknown_features: int
    issued_at: datetime
    newest_demand: datetime | None


def read_logged_day(
    connection: sa.Connection, respondent: str, zone: str, start: datetime, end: datetime, now: datetime
) -> Logged | None:
    """The scheduled forecast of the hours after `start` to `end` that counts; None if none is logged."""
    rows = scored_forecasts(zone, now).c
    feature = sa.func.jsonb_each_text(prediction_log.c.features_json).table_valued("key", "value").lateral()
    unknown = sa.select(sa.func.count()).select_from(feature).where(feature.c.value.is_(None))
    query = (
        sa.select(rows.quality, rows.issued_at, unknown.scalar_subquery())
        .select_from(rows.id.table.join(prediction_log, prediction_log.c.id == rows.id))
        .where(rows.respondent == respondent, rows.timestamp > start, rows.timestamp <= end)
    )
    found = connection.execute(query).all()
    if not found:
        return None
    issued_at = max(row[1] for row in found)
    demand = raw_demand.c
    newest = (
        sa.select(demand.period)
        .where(demand.respondent == respondent, demand.series == "D", demand.known_at <= issued_at)
        .order_by(demand.period.desc())
        .limit(1)
    )
    return Logged(
        quality=max((row[0] for row in found), key=step_number),
        unknown_features=sum(row[2] for row in found),
        issued_at=issued_at,
        newest_demand=connection.scalar(newest),
    )


def lock_scheduled(connection: sa.Connection) -> None:
    """Wait until no other scheduled forecast is being logged; held until the transaction ends."""
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(locks.SCHEDULED_FORECAST)))


def step_number(quality: str) -> int:
    """0 for the best step of the fallback ladder, more for the others, most for one that is unknown."""
    return ANSWERS.index(quality) if quality in ANSWERS else len(ANSWERS)


def ladder_step(quality: sa.ColumnElement[str]) -> sa.ColumnElement[int]:
    """The same order in SQL."""
    return sa.func.coalesce(sa.func.array_position(sa.cast(list(ANSWERS), sa.ARRAY(sa.Text)), quality), 99)


def read_request(connection: sa.Connection, respondent: str, request_id: str) -> list[dict[str, Any]]:
    """All rows of one request of a region, every column, by row number and hour; empty if none is logged."""
    stored = prediction_log.c
    query = (
        sa.select(prediction_log)
        .where(stored.request_id == request_id, stored.respondent == respondent)
        .order_by(stored.row_number, stored.timestamp)
    )
    return [dict(row) for row in connection.execute(query).mappings()]


def request_of_hour(connection: sa.Connection, respondent: str, period: datetime) -> str | None:
    """The request that forecast an hour: a scheduled one before others, then the best step, then the newest.

    Neither rows that a caller brought nor what nobody was shown count; None if there is none.
    """
    stored = prediction_log.c
    query = (
        sa.select(stored.request_id)
        .where(
            stored.respondent == respondent,
            stored.timestamp == period,
            stored.source != SHADOW,
            # Rows that a caller brought to `/predict` have the booster's columns and no digests.
            sa.or_(stored.provenance.is_not(None), stored.quality.in_(OWN_ANSWERS)),
        )
        .order_by(stored.source != "scheduled", ladder_step(stored.quality), stored.prediction_made_at.desc())
        .limit(1)
    )
    found: str | None = connection.scalar(query)
    return found


def is_logged(connection: sa.Connection, request_id: str) -> bool:
    """Whether any prediction of a request is in the log."""
    return bool(connection.scalar(sa.select(sa.exists().where(prediction_log.c.request_id == request_id))))
