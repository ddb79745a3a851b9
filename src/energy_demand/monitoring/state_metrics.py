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

from energy_demand.by_region import by_region
from energy_demand.database.engine import Database, open_database
from energy_demand.database.watched import watched
from energy_demand.errors import UserError
from energy_demand.monitoring.weather_models import model_states

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    import sqlalchemy as sa
    from prometheus_client.metrics_core import Metric

    from energy_demand.config import Settings
    from energy_demand.database.watched import Watched
    from energy_demand.monitoring.weather_models import ModelState

CACHE_SECONDS = 10.0  # scrapes closer together than this share one query
MODELS_SECONDS = 600.0  # weather models run every six hours
STATEMENT_SECONDS = 3.0

_log = logging.getLogger(__name__)


class StateCollector:
    """Queries the database at a scrape, for each region; an unknown value is left out, not 0."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._guard = threading.Lock()
        self._database: Database | None = None
        found = by_region(settings, settings.regions, _Watcher)
        self._watchers, self._unusable = found.done, list(found.failed)
        self._is_up = False
        self._queried_at = float("-inf")

    def describe(self) -> Iterable[Metric]:
        """Nothing, because registration must not need a database."""
        return []

    def collect(self) -> Iterable[Metric]:
        """The stored metrics of each region, whether the database answers, and each region's local hour."""
        with self._guard:
            if time.monotonic() - self._queried_at > CACHE_SECONDS:
                self._is_up = self._query()
                self._queried_at = time.monotonic()
            families = Families()
            for code in self._settings.regions:
                families.gauge(
                    "region_usable",
                    "1 if the region's settings can be used; 0: it is unknown, or its entry has a fault.",
                    float(code not in self._unusable),
                    region=code,
                )
            for watcher in self._watchers.values():
                watcher.add_to(families, stored=self._is_up)
            up = GaugeMetricFamily(
                "database_up", "1 if the database can be reached.", value=float(self._is_up)
            )
            return [up, *families.all()]

    def close(self) -> None:
        """Close the connections."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def _query(self) -> bool:
        """Read what is stored of every region; False where the database cannot be read."""
        try:
            if self._database is None:
                self._database = open_database(
                    self._settings, migrate_now=False, statement_seconds=STATEMENT_SECONDS
                )
            for watcher in self._watchers.values():
                with self._database.transaction() as connection:
                    watcher.read(connection)
            # Slow, so those of one region at a scrape: of the one whose turn was longest ago.
            last = min(self._watchers.values(), key=lambda watcher: watcher.models_at)
            with self._database.transaction() as connection:
                last.read_models(connection)
        except (UserError, ProgrammingError) as error:  # ProgrammingError: no tables yet
            _log.warning("database metrics are not exported: %s", error)
            self.close()
            return False
        return True


class Families:
    """Metrics by name, each with a sample for each region."""

    def __init__(self) -> None:
        self._families: dict[str, GaugeMetricFamily | CounterMetricFamily] = {}

    def gauge(self, name: str, text: str, value: float | None, **labels: str) -> None:
        """A sample; nothing where the value is unknown."""
        if value is not None:
            family = self._families.setdefault(name, GaugeMetricFamily(name, text, labels=list(labels)))
            family.add_metric(list(labels.values()), float(value))

    def counter(self, name: str, text: str, value: float, **labels: str) -> None:
        """A sample of a counter."""
        family = self._families.setdefault(name, CounterMetricFamily(name, text, labels=list(labels)))
        family.add_metric(list(labels.values()), value)

    def all(self) -> list[Metric]:
        """All metrics, in the order of their first samples."""
        return list(self._families.values())


class _Watcher:
    """What is stored of one region, as last read."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._code = settings.eia_region
        self._stored: Watched | None = None
        self._models: list[ModelState] = []
        self.models_at = float("-inf")

    def read(self, connection: sa.Connection) -> None:
        """Read everything but the weather models."""
        settings = self._settings
        self._stored = watched(
            connection,
            settings.region,
            settings.weather_models[0].name,
            settings.present(),
            settings.operator_forecast,
        )

    def read_models(self, connection: sa.Connection) -> None:
        """Read how the weather models do, unless that was done lately."""
        if time.monotonic() - self.models_at > MODELS_SECONDS:
            self._models = model_states(connection, self._settings, self._settings.present())
            self.models_at = time.monotonic()

    def add_to(self, families: Families, *, stored: bool) -> None:
        """Add the region's local hour and, if the database could be read, all that is stored."""
        now = self._settings.present()
        local = now.astimezone(self._settings.region.zone)
        families.gauge(
            "region_local_hour",
            "The region's local time of day in hours, e.g. 9.5 at 09:30.",
            local.hour + local.minute / 60,
            region=self._code,
        )
        if stored and self._stored is not None:
            _add_stored(families, self._code, self._stored, now)
            _add_models(families, self._code, self._models, now)


def _add_stored(families: Families, region: str, stored: Watched, now: datetime) -> None:
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
        ("peak_alerts", "Days of tomorrow's year that are alerted as peak days.", stored.peak_alerts),
        ("notifications_waiting", "Messages to people that were not delivered yet.", stored.messages_waiting),
    ]
    if stored.peak is not None:
        gauges += [
            (
                "peak_alert_tomorrow",
                "1 if tomorrow (local) is alerted as a peak day by the scheduled forecast.",
                stored.peak.alert,
            ),
            (
                "peak_probability_tomorrow",
                "Probability that tomorrow holds one of the year's ten highest hours.",
                stored.peak.probability,
            ),
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
    families.counter(
        "retrain_triggered", "Drift checks that triggered a retraining.", stored.retrainings, region=region
    )
    for name, text, value in gauges:
        families.gauge(name, text, value, region=region)
    _add_labelled(families, region, stored)


def _add_labelled(families: Families, region: str, stored: Watched) -> None:
    """Those with a label beside the region: by what answered, shadow, flow, source, notifier."""
    for step in stored.by_step:
        families.gauge(
            "forecast_mae_mwh",
            "MAE of the last week's scheduled forecasts, by what answered, MWh.",
            step.mae,
            region=region,
            quality=step.quality,
        )
        families.gauge(
            "forecast_mape_percent",
            "MAPE of the last week's scheduled forecasts, by what answered, percent.",
            step.mape,
            region=region,
            quality=step.quality,
        )
    for shadow in stored.shadows:
        families.gauge(
            "shadow_forecast_lag_hours",
            "Hours from the shadow's newest forecast to the newest scheduled one, by the shadow's role.",
            shadow.hours,
            region=region,
            role=shadow.role,
        )
    for flow in stored.flows:
        _add_last_run(
            families,
            "flow",
            (flow.flow, flow.last_success, flow.failed),
            "Start time of the flow's newest successful run.",
            region,
        )
    for source in stored.sources:
        _add_last_run(
            families,
            "source",
            (source.source, source.last_success, source.failed),
            "When the source was last read to its end.",
            region,
        )
    for notifier in stored.notifiers:
        _add_last_run(
            families,
            "notifier",
            (notifier.notifier, notifier.last_success, notifier.failed),
            "When the notifier last took a message.",
            region,
        )


def _add_models(families: Families, region: str, models: list[ModelState], now: datetime) -> None:
    """How each listed weather model does."""
    for model in models:
        if model.newest_run is None:
            continue
        labels = {"region": region, "model": model.model}
        families.gauge(
            "weather_model_age_hours",
            "Hours since the model's newest stored run was issued.",
            (now - model.newest_run).total_seconds() / 3600,
            **labels,
        )
        families.gauge(
            "weather_model_changed",
            "1 if the model's errors changed in the last six weeks: another level or spread.",
            float(model.state == "changed"),
            **labels,
        )
        families.gauge(
            "weather_model_error_celsius",
            "Mean error of the model's newest temperatures at the main site, last week, °C.",
            model.mean_error,
            **labels,
        )


def _add_last_run(
    families: Families, what: str, run: tuple[str, datetime | None, bool], success: str, region: str
) -> None:
    """Of a flow, source or notifier, whether its last run failed and when it last succeeded."""
    name, last_success, failed = run
    labels = {"region": region, what: name}
    families.gauge(f"{what}_failed", f"1 if the {what}'s last finished run failed.", float(failed), **labels)
    at = None if last_success is None else last_success.timestamp()
    families.gauge(f"{what}_last_success_timestamp_seconds", success, at, **labels)
