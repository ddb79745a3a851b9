"""Forecasts from the database, or from what was last read of it while it is away. For one thread."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from cachetools import TTLCache

from energy_demand.data.record import make_record
from energy_demand.data.record_store import load_recent
from energy_demand.database.embedded import EmbeddedServerError
from energy_demand.database.engine import DatabaseUnavailableError, open_database
from energy_demand.jobs.fallback_ladder import best_available
from energy_demand.jobs.forecast import asked_hours
from energy_demand.jobs.operator_combination import CombinedForecast, combine
from energy_demand.jobs.scenarios import BesideScenario, beside
from energy_demand.model.predict import Question

if TYPE_CHECKING:
    from datetime import date, datetime

    from energy_demand.config import Settings
    from energy_demand.data.record import Record
    from energy_demand.database.engine import Database
    from energy_demand.model.scenarios.changes import Scenario
    from energy_demand.serving.model_holder import ServedModel

# A query that takes longer is given up: the thread is needed for the next request.
STATEMENT_SECONDS = 5.0
# Scenarios are asked one after the other: so long and so many forecasts serve for several of them.
SCENARIO_SECONDS, SCENARIO_FORECASTS = 60.0, 4

_log = logging.getLogger(__name__)


class Forecasts:
    """Makes forecasts for one thread, and remembers what it last read."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._database: Database | None = None
        self._last: tuple[datetime, Record] | None = None
        self._for_scenarios: TTLCache[tuple[object, ...], CombinedForecast] = TTLCache(
            SCENARIO_FORECASTS, SCENARIO_SECONDS
        )

    def make(
        self,
        model: ServedModel | None,
        issued_at: datetime,
        *,
        hours: int | None = None,
        day: date | str | None = None,
    ) -> CombinedForecast:
        """The best forecast there is, by the ladder, beside the operator's where that is switched on.

        Raises:
            ForecastError: the hours cannot be forecast at `issued_at`, or no rung could answer.
            DatabaseUnavailableError: the database is away, and nothing was read of it before.
        """
        periods = asked_hours(self._settings, issued_at, hours=hours, day=day)
        forecast = best_available(
            lambda start: self._known(start, issued_at),
            Question(issued_at, periods, self._settings.availability),
            None if model is None else model.champion,
            lambda: None if model is None else model.previous,
        )
        return combine(self._database, self._settings, forecast)

    def beside_scenario(
        self,
        model: ServedModel | None,
        issued_at: datetime,
        scenario: Scenario,
        *,
        hours: int | None = None,
        day: date | str | None = None,
    ) -> BesideScenario:
        """The forecast, at most a minute old, beside a scenario.

        Raises:
            ForecastError: likewise.
            ScenarioError: weather of one's own is of other hours or sites.
            DatabaseUnavailableError: likewise.
        """
        periods = asked_hours(self._settings, issued_at, hours=hours, day=day)
        asked = (None if model is None else model.version, periods[0], len(periods))
        forecast = self._for_scenarios.get(asked)
        if forecast is None:
            forecast = self.make(model, issued_at, hours=hours, day=day)
            self._for_scenarios[asked] = forecast
        return beside(forecast, scenario)

    def close(self) -> None:
        """Give the connections back."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def _known(self, start: datetime, issued_at: datetime) -> Record:
        try:
            if self._database is None:
                self._database = open_database(self._settings, statement_seconds=STATEMENT_SECONDS)
            record = load_recent(self._database, self._settings, start, issued_at)
        except (DatabaseUnavailableError, EmbeddedServerError) as error:
            # An embedded database may come back at another address: opened again next time.
            self.close()
            if self._last is None or self._last[0] > start:
                raise
            _log.warning("forecasting from the data of the last successful read: %s", error)
            last = self._last[1]
            return make_record(
                last.demand,
                last.weather,
                last.forecasts,
                last.region,
                issued_at,
                other_runs=last.other_runs,
            )
        self._last = start, record
        return record
