"""Keep the messages that are sent to people, and how the services that carry them do."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "notification",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("respondent", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("dedup_key", sa.Text(), nullable=False),
        sa.Column("urgent", sa.Boolean(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("recovery", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reached", JSONB(), server_default=sa.text("'[]'::jsonb"), nullable=False),
        sa.Column("outcome", sa.Text(), server_default="waiting", nullable=False),
        sa.CheckConstraint(
            "outcome IN ('waiting', 'sent', 'expired', 'withdrawn')", name="ck_notification_outcome"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_notification"),
    )
    op.create_index("ix_notification_respondent_dedup_key", "notification", ["respondent", "dedup_key"])
    op.create_index(
        "ix_notification_waiting",
        "notification",
        ["respondent"],
        postgresql_where=sa.text("outcome = 'waiting'"),
    )
    op.create_index(
        "ix_notification_open",
        "notification",
        ["respondent"],
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_table(
        "notifier_state",
        sa.Column("respondent", sa.Text(), nullable=False),
        sa.Column("notifier", sa.Text(), nullable=False),
        sa.Column("last_success_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_error_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("respondent", "notifier", name="pk_notifier_state"),
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("notifier_state")
    op.drop_table("notification")
