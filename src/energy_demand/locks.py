"""The keys of every advisory lock in the application's database, so that no two are the same by accident."""

from __future__ import annotations

MIGRATION = 727_100_401
INGESTION_ROWS = 727_100_402
PREDICTION_ARCHIVE = 727_100_403
SCHEDULED_FORECAST = 727_100_404
NOTIFICATIONS = 727_100_421  # with the region's hash as the second key
# Jobs, each with the region's hash as the second key.
INGESTION_JOB = 727_100_411
DRIFT_CHECK_JOB = 727_100_412
RETRAIN_JOB = 727_100_413
FORECAST_JOB = 727_100_414
