"""The ceiling of `benchmarks/serving.py`: the service's schemas in and out, and no computation."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import FastAPI

from energy_demand.serving.schemas import FeatureRow, Prediction

ANSWER = Prediction(
    timestamp=datetime(2025, 7, 31, 20, tzinfo=UTC),
    lead_hours=24,
    predicted_demand_mwh=26306.9,
    lower_80=24926.0,
    upper_80=27687.9,
    lower_95=24038.4,
    upper_95=28575.4,
    model_version="1",
    request_id="25a8336ed8c5457ea68d796872dc7633",
)


def create_app() -> FastAPI:
    """One route."""
    app = FastAPI()

    @app.post("/predict")
    async def predict(row: FeatureRow) -> Prediction:  # noqa: ARG001
        return ANSWER

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {}

    return app
