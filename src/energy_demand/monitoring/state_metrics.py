"""Metrics of jobs in other processes, read from the database at each scrape.

Only reads. Metrics come only from stored rows; an unknown value is left out, never 0.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from sqlalchemy.exc import ProgrammingError

from energy_demand.database.engine import Database, open_database
from energy_demand.database.watched import watched
from energy_demand.errors import UserError
from energy_demand.monitoring.weather_models import model_states

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from prometheus_client.metrics_core import Metric

    from energy_demand.config import Settings
    from energy_demand.database.watched import Watched
    from energy_demand.monitoring.weather_models import ModelState

CACHE_SECONDS = 10.0  # scrapes closer together than this share one query
MODELS_SECONDS = 600.0  # weather models run every six hours
STATEMENT_SECONDS = 3.0

_log = logging.getLogger(__name__)


class StateCollector:
    """Queries the database at a scrape; an unknown value is left out, not 0."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._guard = threading.Lock()
        self._database: Database | None = None
        self._cached: Watched | None = None
        self._queried_at = float("-inf")
        self._models: list[ModelState] = []
        self._models_at = float("-inf")

    def describe(self) -> Iterable[Metric]:
        """Nothing, because registration must not need a database."""
        return []

    def collect(self) -> Iterable[Metric]:
        """The stored metrics, whether the database answers, and the local hour."""
        with self._guard:
            if time.monotonic() - self._queried_at > CACHE_SECONDS:
                self._cached = self._query()
                self._queried_at = time.monotonic()
            now = self._settings.present()
            local = now.astimezone(self._settings.region.zone)
            metrics = [
                _gauge("database_up", "1 if the database can be reached.", float(self._cached is not None)),
                _gauge(
                    "region_local_hour",
                    "The region's local time of day in hours, e.g. 9.5 at 09:30.",
                    local.hour + local.minute / 60,
                ),
            ]
            if self._cached is None:
                return metrics
            return [*metrics, *_stored(self._cached, now), *_of_models(self._models, now)]

    def close(self) -> None:
        """Close the connections."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def _query(self) -> Watched | None:
        region = self._settings.region
        try:
            if self._database is None:
                self._database = open_database(
                    self._settings, migrate_now=False, statement_seconds=STATEMENT_SECONDS
                )
            with self._database.transaction() as connection:
                model = self._settings.weather_models[0].name
                operator, now = self._settings.operator_forecast, self._settings.present()
                stored = watched(connection, region, model, now, operator)
                if time.monotonic() - self._models_at > MODELS_SECONDS:
                    self._models = model_states(connection, self._settings, now)
                    self._models_at = time.monotonic()
                return stored
        except (UserError, ProgrammingError) as error:  # ProgrammingError: no tables yet
            _log.warning("database metrics are not exported: %s", error)
            self.close()
            return None


def _stored(stored: Watched, now: datetime) -> list[Metric]:
    """The metrics of stored rows; unknown values are left out."""

    def age(moment: datetime | None) -> float | None:
        return None if moment is None else (now - moment).total_seconds() / 3600

    gauges: list[tuple[str, str, float | None]] = [
        ("data_freshness_hours", "Hours since the newest valid hour of demand.", age(stored.newest)),
        (
            "weather_observed_age_hours",
            "Hours since the newest hour of observed weather at every site.",
            age(stored.observed),
        ),
        (
            "weather_forecast_age_hours",
            "Hours since the newest stored weather forecast was issued.",
            age(stored.forecast),
        ),
        (
            "operator_forecast_age_hours",
            "Hours since the grid operator's newest stored forecast was issued, where it is switched on.",
            age(stored.operator),
        ),
        (
            "champion_answered_share",
            "Share of the last week's scheduled hours that the champion answered.",
            stored.champion_share,
        ),
        ("model_mae_mwh", "MAE of the champion's own scheduled forecasts, last week, MWh.", stored.mae),
        (
            "model_mape_percent",
            "MAPE of the champion's own scheduled forecasts, last week, percent.",
            stored.mape,
        ),
        (
            "forecast_tomorrow_hours",
            "Hours of tomorrow (local) that the scheduled forecast covers.",
            stored.tomorrow_hours,
        ),
        ("retraining_failed", "1 if the last finished retraining failed.", stored.retraining_failed),
        (
            "promotion_rolled_back",
            "1 if a promotion was undone by itself in the last 7 days.",
            stored.rolled_back,
        ),
        ("feature_rows", "Stored feature rows.", stored.feature_rows),
    ]
    if stored.challenger is not None:
        trained_hours_ago = age(stored.challenger.trained_at)
        gauges += [
            (
                "challenger_shadow_days",
                "Days since the challenger in the shadow was trained.",
                None if trained_hours_ago is None else trained_hours_ago / 24,
            ),
            (
                "challenger_gain_percent",
                "By how much the challenger is better than the champion, mean of the days, percent.",
                stored.challenger.gain_percent,
            ),
        ]
    if stored.check is not None:
        gauges += [
            ("drift_share", "Drift share of the last drift check.", stored.check.drift_share),
            ("drift_detected", "1 if the last drift check found drift.", stored.check.drifted),
            (
                "last_drift_check_timestamp_seconds",
                "Time of the last drift check.",
                stored.check.checked_at.timestamp(),
            ),
            (
                "champion_test_mae_mwh",
                "The champion's holdout MAE, as stored by the last drift check, MWh.",
                stored.check.champion_mae,
            ),
        ]
    return [
        CounterMetricFamily(
            "retrain_triggered", "Drift checks that triggered a retraining.", value=stored.retrainings
        ),
        *(_gauge(name, text, float(value)) for name, text, value in gauges if value is not None),
        *_by_step(stored),
        _shadow_lags(stored),
        *_last_runs(
            "flow",
            [(run.flow, run.last_success, run.failed) for run in stored.flows],
            "Start time of the flow's newest successful run.",
        ),
        *_last_runs(
            "source",
            [(run.source, run.last_success, run.failed) for run in stored.sources],
            "When the source was last read to its end.",
        ),
    ]


def _of_models(models: list[ModelState], now: datetime) -> list[Metric]:
    """How each listed weather model does."""
    ages = GaugeMetricFamily(
        "weather_model_age_hours", "Hours since the model's newest stored run was issued.", labels=["model"]
    )
    changed = GaugeMetricFamily(
        "weather_model_changed",
        "1 if the model's errors changed in the last six weeks: another level or spread.",
        labels=["model"],
    )
    errors = GaugeMetricFamily(
        "weather_model_error_celsius",
        "Mean error of the model's newest temperatures at the main site, last week, °C.",
        labels=["model"],
    )
    for model in models:
        if model.newest_run is None:
            continue
        ages.add_metric([model.model], (now - model.newest_run).total_seconds() / 3600)
        changed.add_metric([model.model], float(model.state == "changed"))
        if model.mean_error is not None:
            errors.add_metric([model.model], model.mean_error)
    return [ages, changed, errors]


def _by_step(stored: Watched) -> list[Metric]:
    """The errors of the last week by the step of the fallback ladder that answered."""
    metrics: list[Metric] = []
    for name, text, field in (
        ("forecast_mae_mwh", "MAE of the last week's scheduled forecasts, by what answered, MWh.", "mae"),
        (
            "forecast_mape_percent",
            "MAPE of the last week's scheduled forecasts, by what answered, percent.",
            "mape",
        ),
    ):
        family = GaugeMetricFamily(name, text, labels=["quality"])
        for step in stored.by_step:
            value = getattr(step, field)
            if value is not None:
                family.add_metric([step.quality], value)
        metrics.append(family)
    return metrics


def _shadow_lags(stored: Watched) -> Metric:
    """How far each model in the shadow is behind the scheduled forecast."""
    family = GaugeMetricFamily(
        "shadow_forecast_lag_hours",
        "Hours from the shadow's newest forecast to the newest scheduled one, by the shadow's role.",
        labels=["role"],
    )
    for shadow in stored.shadows:
        family.add_metric([shadow.role], shadow.hours)
    return family


def _last_runs(what: str, runs: Iterable[tuple[str, datetime | None, bool]], success: str) -> list[Metric]:
    """Of each flow or source, whether its last run failed and when it last succeeded."""
    failures = GaugeMetricFamily(
        f"{what}_failed", f"1 if the {what}'s last finished run failed.", labels=[what]
    )
    successes = GaugeMetricFamily(f"{what}_last_success_timestamp_seconds", success, labels=[what])
    for name, last_success, failed in runs:
        failures.add_metric([name], float(failed))
        if last_success is not None:
            successes.add_metric([name], last_success.timestamp())
    return [failures, successes]


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)
