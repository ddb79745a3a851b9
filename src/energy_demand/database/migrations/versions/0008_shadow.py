"""Let models forecast in the shadow, and keep what a retraining came to until it is decided and undone.

Shadow forecasts are rows of `prediction_log` that no score of the served forecasts reads; a function holds
them beside the forecast that counts for the same hour and issue.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

SHADOW_FORECASTS = """
CREATE FUNCTION shadow_forecasts(
    zone text DEFAULT 'America/New_York', as_of timestamptz DEFAULT 'infinity'
) RETURNS TABLE (
    respondent text, "timestamp" timestamptz, issued_at timestamptz,
    shadow_version text, shadow double precision,
    served_version text, served_quality text, served double precision, actual double precision
) LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT
        s.respondent, s."timestamp", s.issued_at, s.model_version, s.predicted_demand,
        c.model_version, c.quality, c.predicted, c.actual
    FROM scored_forecasts(zone, as_of) c
    JOIN prediction_log s
        ON s.source = 'shadow' AND s.respondent = c.respondent AND s."timestamp" = c."timestamp"
        AND s.issued_at = c.issued_at AND s.prediction_made_at <= as_of;
END
"""
SOURCES = "source IN ('scheduled', 'request', 'backfill'{more})"
OUTCOMES = "outcome IN ('running', 'promoted', 'not_promoted', 'skipped', 'failed'{more})"


def _check(table: str, name: str, rule: str) -> None:
    constraint = op.f(f"ck_{table}_ck_{table}_{name}")  # as the naming convention made it
    op.drop_constraint(constraint, table)
    op.create_check_constraint(constraint, table, rule)


def upgrade() -> None:
    """Add columns, the index and the function, and widen both checks."""
    for column in (
        sa.Column("contest", JSONB(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("rolled_back_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("rollback_reason", sa.Text(), nullable=True),
    ):
        op.add_column("retraining_log", column)
    op.execute(
        "UPDATE retraining_log SET decided_at = finished_at WHERE outcome IN ('promoted', 'not_promoted')"
    )
    _check("prediction_log", "source", SOURCES.format(more=", 'shadow'"))
    _check("retraining_log", "outcome", OUTCOMES.format(more=", 'shadow'"))
    op.create_index(
        "ix_prediction_log_shadow",
        "prediction_log",
        ["respondent", "timestamp"],
        postgresql_where=sa.text("source = 'shadow'"),
    )
    op.execute(SHADOW_FORECASTS)


def downgrade() -> None:
    """Take it back; shadow forecasts are deleted, and open contests end without a promotion."""
    op.execute("DROP FUNCTION shadow_forecasts")
    op.drop_index("ix_prediction_log_shadow", "prediction_log")
    op.execute("DELETE FROM prediction_log WHERE source = 'shadow'")
    op.execute("UPDATE retraining_log SET outcome = 'not_promoted' WHERE outcome = 'shadow'")
    _check("prediction_log", "source", SOURCES.format(more=""))
    _check("retraining_log", "outcome", OUTCOMES.format(more=""))
    for name in ("rollback_reason", "rolled_back_at", "decided_at", "contest"):
        op.drop_column("retraining_log", name)
