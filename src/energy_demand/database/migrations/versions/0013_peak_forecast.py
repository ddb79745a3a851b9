"""Keep what the scheduled forecast says of its day's peak, and whether that day was alerted."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

OPTIONAL = (
    "so_far_mwh",
    "day_mwh",
    "hour_mwh",
    "so_far_probability",
    "day_probability",
    "hour_probability",
)


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "peak_forecast",
        sa.Column("respondent", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("issued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("model_version", sa.Text(), nullable=False),
        sa.Column("quality", sa.Text(), nullable=False),
        sa.Column("peak_quantiles", JSONB(), nullable=False),
        sa.Column("hours", JSONB(), nullable=False),
        *(sa.Column(name, sa.Double(), nullable=True) for name in OPTIONAL),
        sa.Column("to_come", sa.Double(), nullable=False),
        sa.Column("needed_probability", sa.Double(), nullable=False),
        sa.Column("alerts_before", sa.Integer(), nullable=False),
        sa.Column("alert", sa.Boolean(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("respondent", "day", "issued_at", name="pk_peak_forecast"),
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("peak_forecast")
