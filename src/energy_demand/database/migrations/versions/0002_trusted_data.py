"""Keep earlier values of weather and daily totals, flags of demand, and how each source stands."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create them."""
    op.create_table(
        "demand_flag",
        sa.Column("respondent", sa.Text(), nullable=False),
        sa.Column("period", sa.DateTime(timezone=True), nullable=False),
        sa.Column("flag", sa.Text(), nullable=False),
        sa.Column("served_mwh", sa.Double(), nullable=True),
        sa.Column("imputed_mwh", sa.Double(), nullable=True),
        sa.Column("flagged_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("respondent", "period", name="pk_demand_flag"),
    )
    op.create_table(
        "raw_demand_daily_revision",
        sa.Column("respondent", sa.Text(), nullable=False),
        sa.Column("series", sa.Text(), nullable=False),
        sa.Column("timezone", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("known_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ingested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("superseded_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint(
            "respondent", "series", "timezone", "day", "known_at", name="pk_raw_demand_daily_revision"
        ),
    )
    op.create_table(
        "raw_weather_revision",
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
        sa.Column("superseded_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("site", "timestamp", "known_at", name="pk_raw_weather_revision"),
    )
    op.create_table(
        "source_state",
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("last_success_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_error_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("newest", sa.DateTime(timezone=True), nullable=True),
        sa.Column("missing_hours", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("source", "subject", name="pk_source_state"),
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("source_state")
    op.drop_table("raw_weather_revision")
    op.drop_table("raw_demand_daily_revision")
    op.drop_table("demand_flag")
