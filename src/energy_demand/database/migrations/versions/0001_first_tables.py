"""Create the first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create them."""
    op.create_table(
        "database_stamp",
        sa.Column("only_row", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("stamped_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("kind IN ('live', 'recorded', 'synthetic')", name="ck_database_stamp_kind"),
        sa.CheckConstraint("only_row", name="ck_database_stamp_only_row"),
        sa.PrimaryKeyConstraint("only_row", name="pk_database_stamp"),
    )
    op.create_table(
        "drift_log",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("respondent", sa.Text(), nullable=False),
        sa.Column("check_timestamp", sa.DateTime(timezone=True), nullable=False),
        sa.Column("dataset_drift_detected", sa.Boolean(), nullable=False),
        sa.Column("drift_share", sa.Double(), nullable=False),
        sa.Column("n_drifted_features", sa.Integer(), nullable=False),
        sa.Column("n_total_features", sa.Integer(), nullable=False),
        sa.Column("drift_details", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("triggered_retrain", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_drift_log"),
    )
    op.create_index(
        "ix_drift_log_respondent_check_timestamp",
        "drift_log",
        ["respondent", "check_timestamp"],
        unique=False,
    )
    op.create_table(
        "features",
        sa.Column("respondent", sa.Text(), nullable=False),
        sa.Column("timestamp", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lead_hours", sa.SmallInteger(), nullable=False),
        sa.Column("demand_mwh", sa.Double(), nullable=True),
        sa.Column("temperature", sa.Double(), nullable=True),
        sa.Column("apparent_temperature", sa.Double(), nullable=True),
        sa.Column("humidity", sa.Double(), nullable=True),
        sa.Column("wind_speed", sa.Double(), nullable=True),
        sa.Column("cloud_cover", sa.Double(), nullable=True),
        sa.Column("solar_radiation", sa.Double(), nullable=True),
        sa.Column("precipitation", sa.Double(), nullable=True),
        sa.Column("hour_of_day", sa.SmallInteger(), nullable=True),
        sa.Column("day_of_week", sa.SmallInteger(), nullable=True),
        sa.Column("month", sa.SmallInteger(), nullable=True),
        sa.Column("is_weekend", sa.SmallInteger(), nullable=True),
        sa.Column("is_holiday", sa.SmallInteger(), nullable=True),
        sa.Column("demand_lag_1h", sa.Double(), nullable=True),
        sa.Column("demand_lag_24h", sa.Double(), nullable=True),
        sa.Column("demand_lag_168h", sa.Double(), nullable=True),
        sa.Column("demand_rolling_mean_24h", sa.Double(), nullable=True),
        sa.Column("demand_rolling_std_24h", sa.Double(), nullable=True),
        sa.Column("temp_squared", sa.Double(), nullable=True),
        sa.Column("cooling_degree_hours", sa.Double(), nullable=True),
        sa.Column("heating_degree_hours", sa.Double(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("respondent", "timestamp", name="pk_features"),
    )
    op.create_table(
        "prediction_log",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("respondent", sa.Text(), nullable=False),
        sa.Column("timestamp", sa.DateTime(timezone=True), nullable=False),
        sa.Column("issued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lead_hours", sa.SmallInteger(), nullable=False),
        sa.Column("predicted_demand", sa.Double(), nullable=False),
        sa.Column("lower_80", sa.Double(), nullable=True),
        sa.Column("upper_80", sa.Double(), nullable=True),
        sa.Column("lower_95", sa.Double(), nullable=True),
        sa.Column("upper_95", sa.Double(), nullable=True),
        sa.Column("actual_demand", sa.Double(), nullable=True),
        sa.Column("model_version", sa.Text(), nullable=False),
        sa.Column("quality", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("features_json", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("prediction_made_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("source IN ('scheduled', 'request', 'backfill')", name="ck_prediction_log_source"),
        sa.PrimaryKeyConstraint("id", name="pk_prediction_log"),
        sa.UniqueConstraint("request_id", "timestamp", name="uq_prediction_log_request_id_timestamp"),
    )
    op.create_index(
        "ix_prediction_log_respondent_timestamp_lead_hours",
        "prediction_log",
        ["respondent", "timestamp", "lead_hours"],
        unique=False,
    )
    op.create_table(
        "quarantine",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("payload", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("released_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_quarantine"),
    )
    op.create_index(
        "uq_quarantine_row",
        "quarantine",
        ["source", "subject", "reason", sa.literal_column("md5(payload::text)")],
        unique=True,
    )
    op.create_table(
        "raw_demand",
        sa.Column("respondent", sa.Text(), nullable=False),
        sa.Column("series", sa.Text(), nullable=False),
        sa.Column("period", sa.DateTime(timezone=True), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("known_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ingested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("respondent", "series", "period", name="pk_raw_demand"),
    )
    op.create_table(
        "raw_demand_daily",
        sa.Column("respondent", sa.Text(), nullable=False),
        sa.Column("series", sa.Text(), nullable=False),
        sa.Column("timezone", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("known_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ingested_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("respondent", "series", "timezone", "day", name="pk_raw_demand_daily"),
    )
    op.create_table(
        "raw_demand_revision",
        sa.Column("respondent", sa.Text(), nullable=False),
        sa.Column("series", sa.Text(), nullable=False),
        sa.Column("period", sa.DateTime(timezone=True), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("known_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ingested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("superseded_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("respondent", "series", "period", "known_at", name="pk_raw_demand_revision"),
    )
    op.create_table(
        "raw_weather",
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("timestamp", sa.DateTime(timezone=True), nullable=False),
        sa.Column("temperature_2m", sa.Double(), nullable=True),
        sa.Column("relative_humidity_2m", sa.Double(), nullable=True),
        sa.Column("dew_point_2m", sa.Double(), nullable=True),
        sa.Column("apparent_temperature", sa.Double(), nullable=True),
        sa.Column("precipitation", sa.Double(), nullable=True),
        sa.Column("rain", sa.Double(), nullable=True),
        sa.Column("snowfall", sa.Double(), nullable=True),
        sa.Column("cloud_cover", sa.Double(), nullable=True),
        sa.Column("wind_speed_10m", sa.Double(), nullable=True),
        sa.Column("wind_gusts_10m", sa.Double(), nullable=True),
        sa.Column("surface_pressure", sa.Double(), nullable=True),
        sa.Column("shortwave_radiation", sa.Double(), nullable=True),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("known_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ingested_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("site", "timestamp", name="pk_raw_weather"),
    )
    op.create_table(
        "watermark",
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("newest", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("source", "subject", name="pk_watermark"),
    )
    op.create_table(
        "weather_forecast",
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("issued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("timestamp", sa.DateTime(timezone=True), nullable=False),
        sa.Column("temperature_2m", sa.Double(), nullable=True),
        sa.Column("relative_humidity_2m", sa.Double(), nullable=True),
        sa.Column("dew_point_2m", sa.Double(), nullable=True),
        sa.Column("apparent_temperature", sa.Double(), nullable=True),
        sa.Column("precipitation", sa.Double(), nullable=True),
        sa.Column("rain", sa.Double(), nullable=True),
        sa.Column("snowfall", sa.Double(), nullable=True),
        sa.Column("cloud_cover", sa.Double(), nullable=True),
        sa.Column("wind_speed_10m", sa.Double(), nullable=True),
        sa.Column("wind_gusts_10m", sa.Double(), nullable=True),
        sa.Column("surface_pressure", sa.Double(), nullable=True),
        sa.Column("shortwave_radiation", sa.Double(), nullable=True),
        sa.Column("known_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ingested_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("site", "issued_at", "timestamp", name="pk_weather_forecast"),
    )
    op.create_index(
        "ix_weather_forecast_timestamp_issued_at",
        "weather_forecast",
        ["timestamp", "issued_at"],
        unique=False,
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_index("ix_weather_forecast_timestamp_issued_at", table_name="weather_forecast")
    op.drop_table("weather_forecast")
    op.drop_table("watermark")
    op.drop_table("raw_weather")
    op.drop_table("raw_demand_revision")
    op.drop_table("raw_demand_daily")
    op.drop_table("raw_demand")
    op.drop_index("uq_quarantine_row", table_name="quarantine")
    op.drop_table("quarantine")
    op.drop_index("ix_prediction_log_respondent_timestamp_lead_hours", table_name="prediction_log")
    op.drop_table("prediction_log")
    op.drop_table("features")
    op.drop_index("ix_drift_log_respondent_check_timestamp", table_name="drift_log")
    op.drop_table("drift_log")
    op.drop_table("database_stamp")
