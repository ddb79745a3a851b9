"""Score against one truth, and count one forecast per hour.

`truth_flag` holds the hours that two-sided screening doubts. A table of its own beside `demand_flag`: missing
hours have no row in `raw_demand` that a column could stand in, values there are the upstream's and are
replaced by whole rows, and few hours are flagged. Until the next ingestion has screened the whole record, the
flags that counted so far still do.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

# Of several scheduled forecasts of an hour the best step of the fallback ladder counts, then the newest.
BEST_FORECAST = """
        AND NOT EXISTS (
            SELECT FROM prediction_log b
            WHERE b.source = 'scheduled' AND b.respondent = p.respondent AND b."timestamp" = p."timestamp"
                AND b.prediction_made_at <= as_of AND extract(hour FROM b.issued_at AT TIME ZONE zone) = 9
                AND (coalesce(array_position(steps.ladder, p.quality), 99), b.issued_at, b.id)
                    > (coalesce(array_position(steps.ladder, b.quality), 99), p.issued_at, p.id)
        )"""
LADDER = """
    CROSS JOIN (
        SELECT ARRAY[
            'champion', 'champion_without_weather', 'previous_champion', 'base_booster', 'last_week'
        ] AS ladder
    ) steps"""
# Demand of an hour that is not truth is missing, and so are the errors. Errors are predicted − actual.
# Each table is joined by its whole key, so that a query that asks for none of its columns does not read it.
SCORED_FORECASTS = """
CREATE OR REPLACE FUNCTION scored_forecasts(
    zone text DEFAULT 'America/New_York', as_of timestamptz DEFAULT 'infinity'
) RETURNS TABLE (
    id bigint, respondent text, "timestamp" timestamptz, issued_at timestamptz, lead_hours smallint,
    model_version text, quality text, predicted double precision,
    lower_80 double precision, upper_80 double precision,
    lower_95 double precision, upper_95 double precision,
    demand_lag_24h double precision, demand_lag_168h double precision,
    actual double precision, error double precision, percentage_error double precision,
    operator double precision
) LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT
        p.id, p.respondent, p."timestamp", p.issued_at, p.lead_hours,
        p.model_version, p.quality, p.predicted_demand,
        p.lower_80, p.upper_80, p.lower_95, p.upper_95,
        (p.features_json ->> 'demand_lag_24h')::double precision,
        (p.features_json ->> 'demand_lag_168h')::double precision,
        d.value, p.predicted_demand - d.value, 100 * (p.predicted_demand - d.value) / nullif(d.value, 0),
        o.value
    FROM prediction_log p{ladder}
    LEFT JOIN {flags} f ON f.respondent = p.respondent AND f.period = p."timestamp"
    LEFT JOIN raw_demand d
        ON d.respondent = p.respondent AND d.period = p."timestamp" AND d.series = 'D'
        AND d.known_at <= as_of AND f.period IS NULL
    LEFT JOIN raw_demand o
        ON o.respondent = p.respondent AND o.period = p."timestamp" AND o.series = 'DF'
        AND o.known_at <= as_of
    WHERE p.source = 'scheduled' AND p.prediction_made_at <= as_of
        AND extract(hour FROM p.issued_at AT TIME ZONE zone) = 9{best};
END
"""


def upgrade() -> None:
    """Add the table and an index of scheduled forecasts, and let the function use both."""
    op.create_table(
        "truth_flag",
        sa.Column("respondent", sa.Text(), nullable=False),
        sa.Column("period", sa.DateTime(timezone=True), nullable=False),
        sa.Column("flag", sa.Text(), nullable=False),
        sa.Column("flagged_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("respondent", "period", name="pk_truth_flag"),
    )
    op.execute("INSERT INTO truth_flag SELECT respondent, period, flag, flagged_at FROM demand_flag")
    op.create_index(
        "ix_prediction_log_scheduled",
        "prediction_log",
        ["respondent", "timestamp"],
        postgresql_where=sa.text("source = 'scheduled'"),
    )
    op.execute(SCORED_FORECASTS.format(flags="truth_flag", ladder=LADDER, best=BEST_FORECAST))


def downgrade() -> None:
    """Go back to the causal flags; the next upgrade screens the whole record again."""
    op.execute(SCORED_FORECASTS.format(flags="demand_flag", ladder="", best=""))
    op.drop_index("ix_prediction_log_scheduled", "prediction_log")
    op.drop_table("truth_flag")
    op.execute("DELETE FROM watermark WHERE source = 'truth'")
