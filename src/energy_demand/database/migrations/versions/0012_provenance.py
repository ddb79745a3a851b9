"""Keep with a logged forecast digests of what it was made from, so that it can be made again and compared."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; what was logged before has none."""
    op.add_column("prediction_log", sa.Column("provenance", JSONB(), nullable=True))


def downgrade() -> None:
    """Drop it."""
    op.drop_column("prediction_log", "provenance")
