"""All that a database holds, to be compared with what another one holds."""

from __future__ import annotations

import sqlalchemy as sa

from energy_demand.database.tables import metadata

# When something was written, numbers given by the database, and how the sources fared on the way.
MOMENTS_OF_WRITING = ["id", "ingested_at", "updated_at", "created_at", "seen_at", "flagged_at", "stamped_at"]
NOT_DATA = {"source_state"}


def contents(address: str) -> dict[str, list[str]]:
    """Every row of every table, as JSON text without the moments of writing, sorted."""
    engine = sa.create_engine(address, poolclass=sa.NullPool)
    with engine.connect() as connection:
        return {
            table.name: sorted(
                connection.scalars(
                    sa.text(f"SELECT (to_jsonb(t) - CAST(:moments AS text[]))::text FROM {table.name} t"),
                    {"moments": MOMENTS_OF_WRITING},
                )
            )
            for table in metadata.sorted_tables
            if table.name not in NOT_DATA
        }
