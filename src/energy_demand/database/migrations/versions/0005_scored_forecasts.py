"""Score scheduled forecasts in one place: the exporter, the dashboard and Grafana read this function.

A view with two parameters, which PostgreSQL plans as it would the query written out: the region's time
zone, and the time as of which demand and forecasts are known. The defaults are for Grafana: New York,
everything that is known.
"""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# Demand of an hour that screening doubts is missing, and so are the errors. Errors are predicted − actual.
# Each table is joined by its whole key, so that a query that asks for none of its columns does not read it.
SCORED_FORECASTS = """
CREATE FUNCTION scored_forecasts(
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
    FROM prediction_log p
    LEFT JOIN demand_flag f ON f.respondent = p.respondent AND f.period = p."timestamp"
    LEFT JOIN raw_demand d
        ON d.respondent = p.respondent AND d.period = p."timestamp" AND d.series = 'D'
        AND d.known_at <= as_of AND f.period IS NULL
    LEFT JOIN raw_demand o
        ON o.respondent = p.respondent AND o.period = p."timestamp" AND o.series = 'DF'
        AND o.known_at <= as_of
    WHERE p.source = 'scheduled' AND p.prediction_made_at <= as_of
        AND extract(hour FROM p.issued_at AT TIME ZONE zone) = 9;
END
"""


def upgrade() -> None:
    """Add the function."""
    op.execute(SCORED_FORECASTS)


def downgrade() -> None:
    """Drop it."""
    op.execute("DROP FUNCTION scored_forecasts")
