"""Let one region's rows be read without the pages of all others.

Rows are stored in the order in which they come, every region's beside one another. The keys of demand, of
observed weather and of the operator's forecast carry what is read with them, so that a window is read from
neighbouring pages of the index alone. Such reads need pages that are marked as visible to all: vacuum comes
after thousands of new rows, not after a fifth of the table. The other indexes are for questions whose answers
are few rows of a large table.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

WEATHER = (
    "temperature_2m, relative_humidity_2m, dew_point_2m, apparent_temperature, precipitation, rain, "
    "snowfall, cloud_cover, wind_speed_10m, wind_gusts_10m, surface_pressure, shortwave_radiation, known_at"
)
KEYS = {
    "raw_demand": ("respondent, series, period", "value, known_at"),
    "raw_weather": ('site, "timestamp"', WEATHER),
    "operator_forecast": ("operator, zone, period, lead_days, issued_at", "forecast_mwh, known_at"),
}
VISIBLE_SOON = "autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 20000"


def _replace_key(table: str, columns: str, more: str) -> None:
    """Replace a table's primary key, which builds an index of the whole table."""
    op.execute(
        f"ALTER TABLE {table} DROP CONSTRAINT pk_{table}, "
        f"ADD CONSTRAINT pk_{table} PRIMARY KEY ({columns}){more}"
    )


def upgrade() -> None:
    """Widen three keys and add three indexes."""
    for table, (columns, more) in KEYS.items():
        _replace_key(table, columns, f" INCLUDE ({more})")
        op.execute(f"ALTER TABLE {table} SET ({VISIBLE_SOON})")
    op.create_index(
        "ix_raw_weather_revision_site_superseded_at", "raw_weather_revision", ["site", "superseded_at"]
    )
    op.create_index(
        "ix_operator_forecast_operator_zone_issued_at", "operator_forecast", ["operator", "zone", "issued_at"]
    )
    op.create_index(
        "ix_quarantine_open", "quarantine", ["subject"], postgresql_where=sa.text("released_at IS NULL")
    )


def downgrade() -> None:
    """Take it back."""
    op.drop_index("ix_quarantine_open", "quarantine")
    op.drop_index("ix_operator_forecast_operator_zone_issued_at", "operator_forecast")
    op.drop_index("ix_raw_weather_revision_site_superseded_at", "raw_weather_revision")
    for table, (columns, _) in KEYS.items():
        op.execute(
            f"ALTER TABLE {table} RESET (autovacuum_vacuum_insert_scale_factor, "
            "autovacuum_vacuum_insert_threshold)"
        )
        _replace_key(table, columns, "")
