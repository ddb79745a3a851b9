"""Keep what became of a weather run by region: each region asks for the run at sites of its own.

The runs that were asked for before are those of the one region whose demand is stored.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the respondent to the table and its key."""
    op.add_column("weather_run", sa.Column("respondent", sa.Text(), nullable=True))
    op.execute(
        "UPDATE weather_run SET respondent = coalesce((SELECT respondent FROM raw_demand "
        "GROUP BY respondent ORDER BY max(ingested_at) DESC LIMIT 1), 'NY')"
    )
    op.alter_column("weather_run", "respondent", nullable=False)
    op.drop_constraint("pk_weather_run", "weather_run")
    op.create_primary_key("pk_weather_run", "weather_run", ["model", "run_at", "respondent"])


def downgrade() -> None:
    """Take it away; of several regions the one that asked last stays."""
    op.execute(
        "DELETE FROM weather_run a USING weather_run b WHERE a.model = b.model AND a.run_at = b.run_at "
        "AND (a.asked_at, a.respondent) < (b.asked_at, b.respondent)"
    )
    op.drop_constraint("pk_weather_run", "weather_run")
    op.create_primary_key("pk_weather_run", "weather_run", ["model", "run_at"])
    op.drop_column("weather_run", "respondent")
