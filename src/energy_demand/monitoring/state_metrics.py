"""What flows in other processes found, as metrics: read from the database when Prometheus asks."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from sqlalchemy.exc import ProgrammingError

from energy_demand.database import state
from energy_demand.database.engine import Database, open_database
from energy_demand.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from prometheus_client.metrics_core import Metric

    from energy_demand.config import Settings
    from energy_demand.database.state import Watched

HELD_SECONDS = 10.0  # scrapes closer together than this share one look
STATEMENT_SECONDS = 3.0

_log = logging.getLogger(__name__)


class StateCollector:
    """Looks into the database at a scrape; what it does not know is left out, not zero."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._guard = threading.Lock()
        self._database: Database | None = None
        self._held: Watched | None = None
        self._looked = float("-inf")

    def describe(self) -> Iterable[Metric]:
        """Nothing: asked at registration, when no database is needed yet."""
        return []

    def collect(self) -> Iterable[Metric]:
        """The metrics of section 9 of the contract that are stored, and whether the database answers."""
        with self._guard:
            if time.monotonic() - self._looked > HELD_SECONDS:
                self._held = self._look()
                self._looked = time.monotonic()
            return self._metrics(self._held, self._settings.present())

    def close(self) -> None:
        """Give the connections back."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def _look(self) -> Watched | None:
        try:
            if self._database is None:
                self._database = open_database(
                    self._settings, migrate_now=False, statement_seconds=STATEMENT_SECONDS
                )
            with self._database.transaction() as connection:
                return state.watched(connection, self._settings.region.respondent, self._settings.present())
        except (UserError, ProgrammingError) as error:  # ProgrammingError: no tables yet
            _log.warning("metrics of the database are left out: %s", error)
            self.close()
            return None

    @staticmethod
    def _metrics(seen: Watched | None, now: datetime) -> list[Metric]:
        up = GaugeMetricFamily("database_up", "Whether the database answered.", value=float(seen is not None))
        if seen is None:
            return [up]
        metrics: list[Metric] = [
            up,
            CounterMetricFamily(
                "retrain_triggered", "Drift checks that asked for a retraining.", value=seen.retrainings
            ),
        ]
        gauges = {
            "data_freshness_hours": (
                "Hours since the newest valid hour of demand.",
                None if seen.newest is None else (now - seen.newest).total_seconds() / 3600,
            ),
            "drift_share": ("Share of features that drifted, of the last check.", seen.drift_share),
            "drift_detected": (
                "1 if the last check found drift.",
                None if seen.drifted is None else float(seen.drifted),
            ),
            "model_mae_mwh": ("Mean absolute error of a week's scheduled forecasts.", seen.mae),
            "model_mape_percent": ("Mean absolute error of the same, in percent of demand.", seen.mape),
        }
        metrics += [
            GaugeMetricFamily(name, text, value=value)
            for name, (text, value) in gauges.items()
            if value is not None
        ]
        return metrics
