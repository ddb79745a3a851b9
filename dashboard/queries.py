"""The dashboard's database queries, aggregated in SQL so that they return only what is drawn.

Functions take a connection and only read. Model quality is that of forecasts that were scheduled in the hour
of 09:00 local time, one for each hour (`scored_forecasts`); an hour in `truth_flag` is not truth. Forecasts
of models in the shadow are no predictions to anybody: only `shadow_hours` reads them.
One file, because the queries share their filters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from energy_demand.columns import FEATURE_COLUMNS, LEAD, TARGET_COLUMN
from energy_demand.database.judged import Judged, chosen, error_columns, judged, local_start
from energy_demand.database.predictions import SHADOW, ladder_step, read_shadow, scored_forecasts
from energy_demand.database.tables import (
    database_stamp,
    drift_log,
    features,
    prediction_log,
    raw_demand,
    raw_weather,
    truth_flag,
)
from energy_demand.model.forecaster import ROOFTOP_MWH

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

NAIVE = {"seasonal_naive_24": "demand_lag_24h", "seasonal_naive_168": "demand_lag_168h"}


def kind(connection: sa.Connection) -> str | None:
    """`live`, `recorded` or `synthetic`, or None before the first write."""
    return connection.scalar(sa.select(database_stamp.c.kind))


def counts(connection: sa.Connection, respondent: str, sites: Sequence[str], now: datetime) -> dict[str, Any]:
    """`demand_rows`, `newest_demand` (screening does not doubt it), `predictions`, `weather_rows`.

    Forecasts of models in the shadow do not count as predictions. Weather is that of the sites.
    """
    demand = raw_demand.c
    known = (demand.respondent == respondent, demand.series == "D", demand.known_at <= now)
    newest = (
        sa.select(demand.period)
        .where(*known, ~_flagged(demand.period, respondent))
        .order_by(demand.period.desc())
        .limit(1)
    )
    return {
        "demand_rows": connection.scalar(sa.select(sa.func.count()).select_from(raw_demand).where(*known)),
        "newest_demand": connection.scalar(newest),
        "predictions": connection.scalar(
            sa.select(sa.func.count()).where(
                prediction_log.c.respondent == respondent,
                prediction_log.c.prediction_made_at <= now,
                prediction_log.c.source != SHADOW,
            )
        ),
        "weather_rows": connection.scalar(
            sa.select(sa.func.count()).where(raw_weather.c.site.in_(sites), raw_weather.c.known_at <= now)
        ),
    }


def newest_forecast(
    connection: sa.Connection, respondent: str, start: datetime, end: datetime, hours: int, now: datetime
) -> pd.DataFrame:
    """The logged forecast of all `hours` after `start` through `end`, by hour; empty if there is none.

    Of several, the one of the best step of the fallback ladder; of those, the newest.

    Columns: id, timestamp, issued_at, lead_hours, predicted_demand, the bounds, model_version, quality,
    source, rooftop (MWh of rooftop solar; null where a fallback answered). Predictions from a caller's own
    features do not count, even for a whole day, nor do forecasts of models in the shadow.
    """
    logged = prediction_log.c
    within = (
        logged.respondent == respondent,
        logged.timestamp > start,
        logged.timestamp <= end,
        logged.prediction_made_at <= now,
        logged.source != SHADOW,
    )
    whole = (
        sa.select(logged.request_id)
        .where(*within)
        .group_by(logged.request_id)
        .having(
            sa.func.count(logged.timestamp.distinct()) == hours,
            sa.func.count() == hours,
            sa.func.max(logged.row_number) == 0,  # a batch numbers its rows
        )
        .order_by(
            sa.func.max(ladder_step(logged.quality)),
            sa.func.max(logged.issued_at).desc(),
            sa.func.max(logged.id).desc(),
        )
        .limit(1)
        .scalar_subquery()
    )
    columns = [
        logged.id,
        logged.timestamp,
        logged.issued_at,
        logged.lead_hours,
        logged.predicted_demand,
        logged.lower_80,
        logged.upper_80,
        logged.lower_95,
        logged.upper_95,
        logged.model_version,
        logged.quality,
        logged.source,
        logged.features_json[ROOFTOP_MWH].as_float().label("rooftop"),
    ]
    query = sa.select(*columns).where(*within, logged.request_id == whole).order_by(logged.timestamp)
    return _frame(connection, query)


def demand(connection: sa.Connection, respondent: str, start: datetime, now: datetime) -> pd.DataFrame:
    """`timestamp` and `actual` of the hours after `start` that are known at `now` and truth."""
    demand_rows = raw_demand.c
    query = (
        sa.select(demand_rows.period.label("timestamp"), demand_rows.value.label("actual"))
        .where(
            demand_rows.respondent == respondent,
            demand_rows.series == "D",
            demand_rows.period > start,
            demand_rows.known_at <= now,
            ~_flagged(demand_rows.period, respondent),
        )
        .order_by(demand_rows.period)
    )
    return _frame(connection, query)


def judged_span(
    connection: sa.Connection, respondent: str, zone: str, now: datetime
) -> tuple[datetime, datetime] | None:
    """First and last hour of scheduled forecasts made by `now`, or None."""
    rows = scored_forecasts(zone, now).c
    hour = sa.select(rows.timestamp).where(rows.respondent == respondent).limit(1)
    first, last = (
        connection.scalar(hour.order_by(order)) for order in (rows.timestamp, rows.timestamp.desc())
    )
    return None if first is None or last is None else (first, last)


def versions(connection: sa.Connection, which: Judged) -> list[str]:
    """The models that made the scheduled forecasts of these hours, whatever `which.version`; newest first."""
    rows = scored_forecasts(which.zone, which.now)
    query = (
        sa.select(rows.c.model_version)
        .where(*chosen(rows, which))
        .group_by(rows.c.model_version)
        .order_by(sa.func.max(rows.c.issued_at).desc())
    )
    return list(connection.scalars(query))


def hours(connection: sa.Connection, which: Judged) -> pd.DataFrame:
    """Each hour with its forecast.

    Columns: timestamp, issued_at, lead_hours, predicted, the bounds, actual, operator (its hourly forecast;
    NaN: none is published), model_version.
    """
    rows = judged(which, "operator")
    query = sa.select(
        rows.c.timestamp,
        rows.c.issued_at,
        rows.c.lead_hours,
        rows.c.predicted,
        rows.c.lower_80,
        rows.c.upper_80,
        rows.c.lower_95,
        rows.c.upper_95,
        rows.c.actual,
        rows.c.operator,
        rows.c.model_version,
    ).order_by(rows.c.timestamp)
    return _frame(connection, query)


def days(connection: sa.Connection, which: Judged) -> pd.DataFrame:
    """Each local day.

    Columns: day, hours (forecast), means of predicted, actual and the bounds; of the known hours: known (how
    many), mae, rmse (MWh), mape, bias, coverage_80, coverage_95 (percent). Of those for which both naive
    forecasts are logged: naive_known, seasonal_naive_24_mape, seasonal_naive_168_mape, and the model's own
    there, naive_own_mape; likewise operator_known, operator_mape, operator_own_mape where the operator
    published a forecast.
    """
    rows = judged(which, *NAIVE.values(), "operator")
    columns = rows.c
    day = sa.cast(local_start(columns.timestamp, which.zone), sa.Date).label("day")
    both = sa.and_(*(columns[name].is_not(None) for name in NAIVE.values()), columns.actual.is_not(None))
    published = sa.and_(columns.operator > 0, columns.actual.is_not(None))

    def mape(name: str, where: sa.ColumnElement[bool], label: str) -> sa.Label[Any]:
        off = sa.func.abs(columns[name] - columns.actual) / sa.func.nullif(columns.actual, 0)
        return (100 * sa.func.avg(off).filter(where)).label(label)

    query = sa.select(
        day,
        sa.func.count().label("hours"),
        *(
            sa.func.avg(columns[name]).label(name)
            for name in ("predicted", "actual", "lower_80", "upper_80", "lower_95", "upper_95")
        ),
        *error_columns(rows),
        sa.func.count().filter(both).label("naive_known"),
        *(mape(column, both, f"{name}_mape") for name, column in NAIVE.items()),
        mape("predicted", both, "naive_own_mape"),
        sa.func.count().filter(published).label("operator_known"),
        mape("operator", published, "operator_mape"),
        mape("predicted", published, "operator_own_mape"),
    )
    return _frame(connection, query.group_by(day).order_by(day))


def over_all(days: pd.DataFrame) -> dict[str, float | None]:
    """The error columns of `days` over all their hours; None where no hour can be judged.

    Args:
        days: of `days`.
    """
    days = days.assign(square=days["rmse"] ** 2)

    def mean(name: str, weight: str) -> float | None:
        counted = days[days[weight] > 0]
        total = counted[weight].sum()
        return None if total == 0 else float((counted[name] * counted[weight]).sum() / total)

    found: dict[str, float | None] = {
        name: mean(name, "known") for name in ("mae", "mape", "bias", "coverage_80", "coverage_95")
    }
    square = mean("square", "known")
    found["rmse"] = None if square is None else square**0.5
    for name in (*(f"{each}_mape" for each in NAIVE), "naive_own_mape"):
        found[name] = mean(name, "naive_known")
    for name in ("operator_mape", "operator_own_mape"):
        found[name] = mean(name, "operator_known")
    for name in ("known", "naive_known", "operator_known"):
        found[name] = int(days[name].sum())
    return found


def error_histogram(connection: sa.Connection, which: Judged, width: float) -> pd.DataFrame:
    """`low` (MWh) and `n` of each bin of `width` that has errors, predicted − actual."""
    rows = judged(which)
    bin_number = sa.func.floor(rows.c.error / width, type_=sa.Double)
    low = (bin_number * width).label("low")
    query = (
        sa.select(low, sa.func.count().label("n"))
        .where(rows.c.actual.is_not(None))
        .group_by(low)
        .order_by(low)
    )
    return _frame(connection, query)


def errors_by_hour_and_weekday(connection: sa.Connection, which: Judged) -> pd.DataFrame:
    """`weekday` (1 Monday … 7 Sunday), `hour` (local, of its start), with the error columns of `days`."""
    rows = judged(which)
    local = local_start(rows.c.timestamp, which.zone)
    weekday = sa.cast(sa.extract("isodow", local), sa.Integer).label("weekday")
    hour = sa.cast(sa.extract("hour", local), sa.Integer).label("hour")
    query = sa.select(weekday, hour, *error_columns(rows)).group_by(weekday, hour).order_by(weekday, hour)
    return _frame(connection, query)


def errors_by_lead(connection: sa.Connection, which: Judged) -> pd.DataFrame:
    """`lead_hours`, with the error columns of `days`."""
    rows = judged(which)
    lead = rows.c.lead_hours.label("lead_hours")
    return _frame(connection, sa.select(lead, *error_columns(rows)).group_by(lead).order_by(lead))


def errors_by_quality(connection: sa.Connection, which: Judged) -> pd.DataFrame:
    """`quality` from the best step of the fallback ladder on, `hours` forecast, and the errors of `days`."""
    rows = judged(which)
    query = sa.select(rows.c.quality, sa.func.count().label("hours"), *error_columns(rows))
    return _frame(connection, query.group_by(rows.c.quality).order_by(ladder_step(rows.c.quality)))


def checks(connection: sa.Connection, respondent: str, since: datetime, now: datetime) -> pd.DataFrame:
    """The checks after `since`, oldest first.

    Columns: check_timestamp, drift_share, n_drifted_features, n_total_features, dataset_drift_detected,
    triggered_retrain, reason, champion.
    """
    check = drift_log.c
    query = (
        sa.select(
            check.check_timestamp,
            check.drift_share,
            check.n_drifted_features,
            check.n_total_features,
            check.dataset_drift_detected,
            check.triggered_retrain,
            check.reason,
            check.drift_details["champion"].astext.label("champion"),
        )
        .where(check.respondent == respondent, check.check_timestamp > since, check.check_timestamp <= now)
        .order_by(check.check_timestamp, check.id)
    )
    return _frame(connection, query)


def feature_scores(
    connection: sa.Connection, respondent: str, zone: str, since: datetime, now: datetime
) -> pd.DataFrame:
    """Each day's newest check: day, feature, score (standard deviations; NaN: not compared), drifted."""
    check = drift_log.c
    day = sa.cast(sa.func.timezone(zone, check.check_timestamp), sa.Date).label("day")
    newest = (
        sa.select(day, check.drift_details["per_feature"].label("per_feature"))
        .where(check.respondent == respondent, check.check_timestamp > since, check.check_timestamp <= now)
        .distinct(day)
        .order_by(day, check.check_timestamp.desc(), check.id.desc())
        .subquery()
    )
    each = sa.func.jsonb_each(newest.c.per_feature).table_valued("key", sa.column("value", JSONB)).lateral()
    query = (
        sa.select(
            newest.c.day,
            each.c.key.label("feature"),
            sa.cast(each.c.value["score"].astext, sa.Double).label("score"),
            sa.cast(each.c.value["drifted"].astext, sa.Boolean).label("drifted"),
        )
        .select_from(newest.join(each, sa.true()))
        .order_by(newest.c.day)
    )
    return _frame(connection, query)


def shadow_hours(
    connection: sa.Connection,
    respondent: str,
    zone: str,
    version: str,
    champion: str | None,
    since: datetime,
    now: datetime,
) -> pd.DataFrame:
    """The hours since `since` that a model in the shadow and the champion itself forecast at the same time.

    Columns: period, day (local), actual_mwh (NaN: not known), challenger_mwh (of the shadow), champion_mwh.
    """
    rows = read_shadow(connection, respondent, zone, version, champion, since, now)
    ends = pd.to_datetime(rows["timestamp"], utc=True)
    return pd.DataFrame(
        {
            "period": ends,
            "day": (ends - pd.Timedelta(hours=1)).dt.tz_convert(zone).dt.date,
            "actual_mwh": rows["actual"],
            "challenger_mwh": rows["shadow"],
            "champion_mwh": rows["served"],
        }
    )


def newest_features(connection: sa.Connection, respondent: str, limit: int) -> pd.DataFrame:
    """The newest feature rows with known demand: timestamp, demand_mwh, the base columns, lead_hours."""
    names = ["timestamp", TARGET_COLUMN, *FEATURE_COLUMNS, LEAD]
    query = (
        sa.select(*(features.c[name] for name in names))
        .where(features.c.respondent == respondent, features.c[TARGET_COLUMN].is_not(None))
        .order_by(features.c.timestamp.desc())
        .limit(limit)
    )
    return _frame(connection, query)


def _flagged(period: sa.ColumnElement[Any], respondent: str) -> sa.ColumnElement[bool]:
    return sa.exists().where(truth_flag.c.respondent == respondent, truth_flag.c.period == period)


def _frame(connection: sa.Connection, query: sa.Select[Any]) -> pd.DataFrame:
    """The rows; numbers are floats also where all of them are missing."""
    found = connection.execute(query)
    numbers = {column.name: float for column in query.selected_columns if isinstance(column.type, sa.Numeric)}
    return pd.DataFrame(found.all(), columns=list(found.keys())).astype(numbers)
