"""Scenarios: a forecast as it is, beside the one under other weather or on another kind of day.

Nothing here is logged: a scenario is no forecast, and must never count as one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from energy_demand.jobs.forecast import asked_hours, forecast_by_champion
from energy_demand.jobs.operator_combination import combine
from energy_demand.model.predict import NoForecastError

if TYPE_CHECKING:
    from datetime import date, datetime

    from energy_demand.config import Settings
    from energy_demand.database.engine import Database
    from energy_demand.jobs.operator_combination import CombinedForecast
    from energy_demand.model.scenarios.answer import ScenarioForecast
    from energy_demand.model.scenarios.changes import Scenario
    from energy_demand.registry.registry import Registry


@dataclass(frozen=True)
class BesideScenario:
    """A forecast, and the same hours under a scenario."""

    forecast: CombinedForecast
    scenario: ScenarioForecast

    def to_json(self, *, explain: bool = False, quantiles: bool = False) -> dict[str, Any]:
        """The body of the forecast with that of the scenario in it."""
        body = self.forecast.to_json(explain=explain, quantiles=quantiles)
        return {**body, "scenario": self.scenario.to_json()}


def beside(forecast: CombinedForecast, scenario: Scenario) -> BesideScenario:
    """The forecast beside the scenario.

    Raises:
        ScenarioError: weather of one's own is of other hours or sites.
        NoForecastError: a fallback without a response to weather made the forecast.
    """
    if forecast.ours.make_scenario is None:
        raise NoForecastError(
            f"a scenario needs the whole forecaster, and {forecast.ours.quality} made this forecast; the "
            "forecast without a scenario says why"
        )
    return BesideScenario(forecast, forecast.ours.make_scenario(scenario))


def run_scenario(
    database: Database,
    registry: Registry,
    settings: Settings,
    issued_at: datetime,
    scenario: Scenario,
    *,
    hours: int | None = None,
    day: date | str | None = None,
) -> BesideScenario:
    """The forecast of `run_forecast` beside a scenario; neither is logged.

    Raises:
        ForecastError: the hours cannot be forecast.
        NoChampionError: no model serves yet.
        ModelRefusedError: the champion's files are damaged.
        ScenarioError: weather of one's own is of other hours or sites.
    """
    periods = asked_hours(settings, issued_at, hours=hours, day=day)
    forecast = forecast_by_champion(database, registry, settings, issued_at, periods)
    return beside(combine(database, settings, forecast), scenario)
