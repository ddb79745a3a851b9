"""Tell the rows of one request apart in the prediction log, and find old ones quickly."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TABLE = "prediction_log"


def upgrade() -> None:
    """Add the number of the row; it joins the key."""
    op.add_column(TABLE, sa.Column("row_number", sa.Integer(), server_default=sa.text("0"), nullable=False))
    op.drop_constraint("uq_prediction_log_request_id_timestamp", TABLE, type_="unique")
    op.create_unique_constraint(
        "uq_prediction_log_request_id_row_number_timestamp", TABLE, ["request_id", "row_number", "timestamp"]
    )
    op.create_index("ix_prediction_log_prediction_made_at", TABLE, ["prediction_made_at"])


def downgrade() -> None:
    """Drop it; of rows that differ in nothing else the first one stays."""
    op.drop_index("ix_prediction_log_prediction_made_at", TABLE)
    op.drop_constraint("uq_prediction_log_request_id_row_number_timestamp", TABLE, type_="unique")
    op.execute(
        f"DELETE FROM {TABLE} a USING {TABLE} b "  # noqa: S608
        "WHERE a.request_id = b.request_id AND a.timestamp = b.timestamp AND a.row_number > b.row_number"
    )
    op.create_unique_constraint("uq_prediction_log_request_id_timestamp", TABLE, ["request_id", "timestamp"])
    op.drop_column(TABLE, "row_number")
