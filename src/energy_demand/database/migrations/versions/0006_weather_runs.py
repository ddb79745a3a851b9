"""Keep the weather model of each forecast, and what became of each run that was asked for.

Forecasts stored before are those of the server's blend, published six hours after their run.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the model to the key of forecasts, and the table of runs."""
    op.add_column(
        "weather_forecast", sa.Column("model", sa.Text(), nullable=False, server_default="best_match")
    )
    op.alter_column("weather_forecast", "model", server_default=None)
    op.drop_constraint("pk_weather_forecast", "weather_forecast")
    op.create_primary_key(
        "pk_weather_forecast", "weather_forecast", ["model", "site", "issued_at", "timestamp"]
    )
    op.create_table(
        "weather_run",
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("run_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("issued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("missing_values", sa.Integer(), nullable=False),
        sa.Column("lacking", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("model", "run_at", name="pk_weather_run"),
        sa.CheckConstraint(
            "status IN ('complete', 'incomplete', 'missing', 'failed')", name="ck_weather_run_status"
        ),
    )
    op.execute(
        "INSERT INTO weather_run SELECT model, issued_at - interval '6 hours', issued_at, 'complete', 0, '', "
        "NULL, max(ingested_at) FROM weather_forecast GROUP BY model, issued_at"
    )


def downgrade() -> None:
    """Drop both; of a time that several models forecast, one stays."""
    op.drop_table("weather_run")
    op.execute(
        "DELETE FROM weather_forecast a USING weather_forecast b WHERE a.site = b.site "
        "AND a.issued_at = b.issued_at AND a.timestamp = b.timestamp AND a.model > b.model"
    )
    op.drop_constraint("pk_weather_forecast", "weather_forecast")
    op.create_primary_key("pk_weather_forecast", "weather_forecast", ["site", "issued_at", "timestamp"])
    op.drop_column("weather_forecast", "model")
