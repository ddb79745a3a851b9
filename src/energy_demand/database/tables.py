"""The tables, as SQLAlchemy sees them. Alembic's migrations create them; a test holds the two together.

All times are `timestamptz` in UTC, all energies MWh. `known_at` is the time a value could first be
used; it is written once, with the value.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from energy_demand.columns import CALENDAR_COLUMNS, FEATURE_COLUMNS, WEATHER_VARIABLES

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _moment(name: str, *, optional: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=optional)


def _text(name: str, *, optional: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.Text, nullable=optional)


def _number(name: str, *, optional: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.Double, nullable=optional)


def _weather_columns() -> list[sa.Column[Any]]:
    return [_number(name, optional=True) for name in WEATHER_VARIABLES]


def _feature_column(name: str) -> sa.Column[Any]:
    kind = sa.SmallInteger if name in CALENDAR_COLUMNS else sa.Double
    return sa.Column(name, kind, nullable=True)


# One row, once written never changed: live, recorded and synthetic data must not mix.
database_stamp = sa.Table(
    "database_stamp",
    metadata,
    sa.Column("only_row", sa.Boolean, primary_key=True, server_default=sa.true()),
    _text("kind"),
    _moment("stamped_at"),
    sa.CheckConstraint("only_row", name="only_row"),
    sa.CheckConstraint("kind IN ('live', 'recorded', 'synthetic')", name="kind"),
)


def _superseded(table: sa.Table) -> sa.Table:
    """The table of a raw table's earlier values, so that "what was known at T" can be asked."""
    keys = [column.name for column in table.primary_key.columns]
    return sa.Table(
        f"{table.name}_revision",
        table.metadata,
        *(sa.Column(column.name, column.type, nullable=column.nullable) for column in table.columns),
        _moment("superseded_at"),
        sa.PrimaryKeyConstraint(*keys, "known_at"),
    )


# The current value of each hour. `origin` is the respondent that EIA gave it under. The key carries what is
# read with it: rows are stored in the order of their arrival, a region's among those of all others.
raw_demand = sa.Table(
    "raw_demand",
    metadata,
    _text("respondent"),
    _text("series"),
    _moment("period"),
    _number("value"),
    _moment("known_at"),
    _moment("ingested_at"),
    _text("origin"),
    sa.PrimaryKeyConstraint("respondent", "series", "period", postgresql_include=["value", "known_at"]),
)

raw_demand_revision = _superseded(raw_demand)

# Totals of local days; the only published `DF` after mid-2020.
raw_demand_daily = sa.Table(
    "raw_demand_daily",
    metadata,
    _text("respondent"),
    _text("series"),
    _text("timezone"),
    sa.Column("day", sa.Date, nullable=False),
    _number("value"),
    _moment("known_at"),
    _moment("ingested_at"),
    sa.PrimaryKeyConstraint("respondent", "series", "timezone", "day"),
)
raw_demand_daily_revision = _superseded(raw_demand_daily)

# What was observed. `source` is `archive`, `forecast_api` until the archive arrives, or `mixed` where the
# archive has some of the variables only. The key carries what is read with it, as that of `raw_demand`.
raw_weather = sa.Table(
    "raw_weather",
    metadata,
    _text("site"),
    _moment("timestamp"),
    *_weather_columns(),
    _text("source"),
    _moment("known_at"),
    _moment("ingested_at"),
    sa.PrimaryKeyConstraint("site", "timestamp", postgresql_include=[*WEATHER_VARIABLES, "known_at"]),
)
raw_weather_revision = _superseded(raw_weather)
sa.Index(None, raw_weather_revision.c.site, raw_weather_revision.c.superseded_at)

# Hours whose served value cannot be demand, as the causal screening saw them; the raw value stays.
demand_flag = sa.Table(
    "demand_flag",
    metadata,
    _text("respondent"),
    _moment("period"),
    _text("flag"),
    _number("served_mwh", optional=True),
    _number("imputed_mwh", optional=True),
    _moment("flagged_at"),
    sa.PrimaryKeyConstraint("respondent", "period"),
)

# Hours that are not truth to score against, as two-sided screening sees them now. Apart from `demand_flag`,
# which holds what a forecast must not use: the causal flags also hit the first hours of a true step.
truth_flag = sa.Table(
    "truth_flag",
    metadata,
    _text("respondent"),
    _moment("period"),
    _text("flag"),
    _moment("flagged_at"),
    sa.PrimaryKeyConstraint("respondent", "period"),
)

# What was forecast, as issued. Never mixed with what was observed.
weather_forecast = sa.Table(
    "weather_forecast",
    metadata,
    _text("model"),
    _text("site"),
    _moment("issued_at"),
    _moment("timestamp"),
    *_weather_columns(),
    _moment("known_at"),
    _moment("ingested_at"),
    sa.PrimaryKeyConstraint("model", "site", "issued_at", "timestamp"),
    sa.Index(None, "timestamp", "issued_at"),
)

# What became of each run of a weather model that a region asked for. `lacking` names variables that the model
# does not have, `missing_values` counts nulls that a whole run has not.
weather_run = sa.Table(
    "weather_run",
    metadata,
    _text("model"),
    _moment("run_at"),
    _moment("issued_at"),
    _text("status"),
    sa.Column("missing_values", sa.Integer, nullable=False),
    _text("lacking"),
    _text("reason", optional=True),
    _moment("asked_at"),
    _text("respondent"),
    sa.PrimaryKeyConstraint("model", "run_at", "respondent"),
    sa.CheckConstraint("status IN ('complete', 'incomplete', 'missing', 'failed')", name="status"),
)

# The grid operator's own forecast, each posting as it was issued: a later one is rows of its own and replaces
# none. `lead_days` is 1 for the first day of a file.
operator_forecast = sa.Table(
    "operator_forecast",
    metadata,
    _text("operator"),
    _text("zone"),
    _moment("period"),
    sa.Column("lead_days", sa.SmallInteger, nullable=False),
    _moment("issued_at"),
    _number("forecast_mwh"),
    _moment("known_at"),
    _moment("ingested_at"),
    sa.PrimaryKeyConstraint(
        *("operator", "zone", "period", "lead_days", "issued_at"),
        postgresql_include=["forecast_mwh", "known_at"],
    ),
    sa.Index(None, "operator", "zone", "issued_at"),
)

# Rows that broke the data contract, with the reason; never silently away.
quarantine = sa.Table(
    "quarantine",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    _text("source"),
    _text("subject"),
    _text("reason"),
    sa.Column("payload", JSONB, nullable=False),
    _moment("seen_at"),
    _moment("released_at", optional=True),
    sa.Index("ix_quarantine_open", "subject", postgresql_where=sa.text("released_at IS NULL")),
    sa.Index("uq_quarantine_row", "source", "subject", "reason", sa.text("md5(payload::text)"), unique=True),
)

# The state of each source, for `status` and monitoring.
source_state = sa.Table(
    "source_state",
    metadata,
    _text("source"),
    _text("subject"),
    _moment("last_success_at", optional=True),
    _moment("last_error_at", optional=True),
    _text("last_error", optional=True),
    _moment("newest", optional=True),
    sa.Column("missing_hours", sa.Integer, nullable=True),
    sa.PrimaryKeyConstraint("source", "subject"),
)

# Through which hour a source is complete as far as it will be asked again only for revisions.
watermark = sa.Table(
    "watermark",
    metadata,
    _text("source"),
    _text("subject"),
    _moment("newest"),
    _moment("updated_at"),
    sa.PrimaryKeyConstraint("source", "subject"),
)

# One row per target hour at the 24 h lead.
features = sa.Table(
    "features",
    metadata,
    _text("respondent"),
    _moment("timestamp"),
    sa.Column("lead_hours", sa.SmallInteger, nullable=False),
    _number("demand_mwh", optional=True),
    *(_feature_column(name) for name in FEATURE_COLUMNS),
    _moment("created_at"),
    sa.PrimaryKeyConstraint("respondent", "timestamp"),
)

prediction_log = sa.Table(
    "prediction_log",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    _text("respondent"),
    _moment("timestamp"),
    _moment("issued_at"),
    sa.Column("lead_hours", sa.SmallInteger, nullable=False),
    _number("predicted_demand"),
    _number("lower_80", optional=True),
    _number("upper_80", optional=True),
    _number("lower_95", optional=True),
    _number("upper_95", optional=True),
    _number("actual_demand", optional=True),
    _text("model_version"),
    _text("quality"),
    _text("source"),
    _text("request_id"),
    sa.Column("features_json", JSONB, nullable=True),
    _moment("prediction_made_at"),
    sa.Column("row_number", sa.Integer, nullable=False, server_default=sa.text("0")),  # within the request
    sa.Column("provenance", JSONB, nullable=True),  # of all rows of a forecast, with the first one
    sa.UniqueConstraint("request_id", "row_number", "timestamp"),
    sa.CheckConstraint("source IN ('scheduled', 'request', 'backfill', 'shadow')", name="source"),
    sa.Index(None, "respondent", "timestamp", "lead_hours"),
    sa.Index(None, "prediction_made_at"),
    sa.Index(
        "ix_prediction_log_scheduled",
        "respondent",
        "timestamp",
        postgresql_where=sa.text("source = 'scheduled'"),
    ),
    sa.Index(
        "ix_prediction_log_shadow",
        "respondent",
        "timestamp",
        postgresql_where=sa.text("source = 'shadow'"),
    ),
)

# What each logged forecast of a whole local day says of its peak, as of its issue; the newest issue counts.
# `peak_quantiles` by probability. A threshold or probability is missing where it is unknown.
peak_forecast = sa.Table(
    "peak_forecast",
    metadata,
    _text("respondent"),
    sa.Column("day", sa.Date, nullable=False),
    _moment("issued_at"),
    _text("model_version"),
    _text("quality"),
    sa.Column("peak_quantiles", JSONB, nullable=False),
    sa.Column("hours", JSONB, nullable=False),
    *(
        _number(name, optional=True)
        for name in (
            *("so_far_mwh", "day_mwh", "hour_mwh"),
            *("so_far_probability", "day_probability", "hour_probability"),
        )
    ),
    _number("to_come"),
    _number("needed_probability"),
    sa.Column("alerts_before", sa.Integer, nullable=False),
    sa.Column("alert", sa.Boolean, nullable=False),
    _moment("made_at"),
    sa.PrimaryKeyConstraint("respondent", "day", "issued_at"),
)

drift_log = sa.Table(
    "drift_log",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    _text("respondent"),
    _moment("check_timestamp"),
    sa.Column("dataset_drift_detected", sa.Boolean, nullable=False),
    _number("drift_share"),
    sa.Column("n_drifted_features", sa.Integer, nullable=False),
    sa.Column("n_total_features", sa.Integer, nullable=False),
    sa.Column("drift_details", JSONB, nullable=False),
    sa.Column("triggered_retrain", sa.Boolean, nullable=False),
    _text("reason"),
    sa.Index(None, "respondent", "check_timestamp"),
)

# One row per retraining that began. `outcome` stays `running` where its process was killed, until the next
# retraining finds it, and `shadow` until the challenger is decided on. `contest` holds the hours of its
# contest before the shadow, `verdict` the newest one. A rollback is complete once `rolled_back_at` is there.
retraining_log = sa.Table(
    "retraining_log",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    _text("respondent"),
    _moment("started_at"),
    _moment("finished_at", optional=True),
    _text("trigger"),
    _text("reason"),
    _text("outcome"),
    _text("model_version", optional=True),
    _text("run_id", optional=True),
    sa.Column("verdict", JSONB, nullable=True),
    _text("error", optional=True),
    sa.Column("contest", JSONB, nullable=True),
    _moment("decided_at", optional=True),
    _moment("rolled_back_at", optional=True),
    _text("rollback_reason", optional=True),
    sa.CheckConstraint(
        "outcome IN ('running', 'promoted', 'not_promoted', 'skipped', 'failed', 'shadow')", name="outcome"
    ),
    sa.Index(None, "respondent", "started_at"),
)

# The newest run of each job, so that missed runs are caught up once.
job_run = sa.Table(
    "job_run",
    metadata,
    sa.Column("job", sa.Text, primary_key=True),
    sa.Column("respondent", sa.Text, primary_key=True),
    _moment("last_started_at"),
    _moment("last_success_at", optional=True),
    _text("last_error", optional=True),
)

# Messages to people. One with a `recovery` is about something that goes on until `ended_at`, and is not sent
# again meanwhile; others have happened once. `reached` are the notifiers that have it.
notification = sa.Table(
    "notification",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    _text("respondent"),
    _text("kind"),
    _text("dedup_key"),
    sa.Column("urgent", sa.Boolean, nullable=False),
    _text("title"),
    _text("body"),
    _text("recovery", optional=True),
    _moment("created_at"),
    _moment("ended_at", optional=True),
    sa.Column("reached", JSONB, nullable=False, server_default=sa.text("'[]'::jsonb")),
    sa.Column("outcome", sa.Text, nullable=False, server_default="waiting"),
    sa.CheckConstraint("outcome IN ('waiting', 'sent', 'expired', 'withdrawn')", name="outcome"),
    sa.Index(None, "respondent", "dedup_key"),
    sa.Index("ix_notification_waiting", "respondent", postgresql_where=sa.text("outcome = 'waiting'")),
    sa.Index("ix_notification_open", "respondent", postgresql_where=sa.text("ended_at IS NULL")),
)

# How each notifier (a URL of NOTIFY_URLS, by its name) last did, for `status` and monitoring.
notifier_state = sa.Table(
    "notifier_state",
    metadata,
    _text("respondent"),
    _text("notifier"),
    _moment("last_success_at", optional=True),
    _moment("last_error_at", optional=True),
    _text("last_error", optional=True),
    sa.PrimaryKeyConstraint("respondent", "notifier"),
)
