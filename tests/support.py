"""The present, the place of the recorded data, and settings from given values alone."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from energy_demand.config import Settings

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
PRESENT = datetime(2025, 3, 12, 13, tzinfo=UTC)  # 09:00 in New York, three days after the clock change


def make_settings(**given: object) -> Settings:
    """Settings from these values alone; retries without waiting."""
    defaults = {
        "http_backoff_seconds": 0.0,
        "energy_demand_now": PRESENT,
        "weather_runs_kept": 1,  # a quarter of the calls; what twelve are for is tested with twelve
        "mlflow_tracking_uri": None,  # MLflow leaves the last one in the environment
    }
    return Settings(_env_file=None, **{**defaults, **given})
