"""The forecast under a scenario: its curve, its difference from the forecast, its JSON. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from energy_demand.model.distribution import MEDIAN
from energy_demand.model.forecaster import BOUNDS, PREDICTED
from energy_demand.model.scenarios.response import respond
from energy_demand.model.stages.adaptive_regression import PERCENT
from energy_demand.model.stages.response_features import MEMORY_HOURS
from energy_demand.timeaxis import utc_text

if TYPE_CHECKING:
    from datetime import datetime

    from energy_demand.arrays import Floats, Integers
    from energy_demand.data.record import Record
    from energy_demand.data.weather_path import WeatherPath
    from energy_demand.model.forecaster import Forecaster, StageForecasts
    from energy_demand.model.scenarios.changes import Scenario

TENTHS = 10  # of MWh, as answers have them
DIFFERENCE = "difference_mwh"


@dataclass(frozen=True)
class ScenarioForecast:
    """Demand under a scenario.

    Attributes:
        scenario: what is changed.
        forecast: `period`, `lead_hours`, point forecast and bounds as they are (MWh).
        hours: likewise under the scenario.
        parts: `period`, and of each changed quantity what it adds to the point forecast, MWh.
    """

    scenario: Scenario
    forecast: pd.DataFrame
    hours: pd.DataFrame
    parts: pd.DataFrame

    @property
    def difference(self) -> Floats:
        """Scenario minus forecast, MWh."""
        return np.asarray(self.hours[PREDICTED].to_numpy() - self.forecast[PREDICTED].to_numpy())

    def to_json(self) -> dict[str, Any]:
        """The scenario's part of the body; rounded parts add up to the rounded difference in each hour."""
        names = list(self.scenario.quantities)
        point = self.hours[PREDICTED].to_numpy()
        before, after = tenths(self.forecast[PREDICTED].to_numpy()), tenths(point)
        parts = apportioned(self.parts[names].to_numpy(), after - before)
        hours = [
            {
                "period": utc_text(hour["period"]),
                "lead_hours": int(hour["lead_hours"]),
                **{name: round(float(hour[name]), 1) for name in (PREDICTED, *BOUNDS)},
                DIFFERENCE: difference / TENTHS,
                "parts": dict(zip(names, (row / TENTHS).tolist(), strict=True)),
            }
            for hour, difference, row in zip(
                self.hours.to_dict("records"), (after - before).tolist(), parts, strict=True
            )
        ]
        return {
            "changes": self.scenario.text,
            "own_weather_rows": len(self.scenario.own),
            "energy": {
                "forecast_mwh": int(before.sum()) / TENTHS,
                "scenario_mwh": int(after.sum()) / TENTHS,
                DIFFERENCE: int((after - before).sum()) / TENTHS,
                "parts": dict(zip(names, (parts.sum(axis=0) / TENTHS).tolist(), strict=True)),
            },
            "peak": {name: value for name, value in hours[int(point.argmax())].items() if name != "parts"},
            "hours": hours,
        }


def weather_before(forecaster: Forecaster, record: Record, issued_at: datetime) -> WeatherPath:
    """The observed weather up to the hour of issue that a forecast depends on, its gaps filled."""
    hour = pd.Timestamp(issued_at).floor("h")
    return forecaster.outlook.completed(record.observed.until(hour, MEMORY_HOURS))


def forecast_scenario(
    forecaster: Forecaster,
    record: Record,
    past: WeatherPath,
    ahead: WeatherPath,
    stages: StageForecasts,
    scenario: Scenario,
) -> ScenarioForecast:
    """The forecast of some hours under a scenario, which changes these hours alone.

    Intervals keep the percent errors of the forecast: they say nothing of how likely the scenario is.

    Args:
        forecaster: its state brought up to the issue.
        record: that the forecast was made from.
        past: see `weather_before`.
        ahead: the weather of every hour after the issue, as forecast at the issue.
        stages: of the forecast.
        scenario: what changes.

    Raises:
        ScenarioError: weather of one's own is of other hours or sites.
    """
    gross = forecaster.gross_quantiles(stages)
    response = respond(forecaster, record, past, ahead, stages, gross[:, MEDIAN], scenario)
    changed = gross * np.exp(response.effect / PERCENT)[:, None] - response.rooftop_mwh[:, None]
    periods = stages.horizon.responses.periods
    return ScenarioForecast(
        scenario,
        forecaster.hours_of(stages),
        forecaster.hours_from(stages, changed),
        pd.DataFrame({"period": periods, **response.parts}),
    )


def tenths(values: Floats) -> Integers:
    """In tenths, rounded as the answers are."""
    return np.array([round(round(float(value), 1) * TENTHS) for value in values], dtype=np.int64)


def apportioned(parts: Floats, totals: Integers) -> Integers:
    """Parts in whole tenths whose sum in each row is the total: the largest remainders take what is left.

    >>> apportioned(np.array([[0.14, 0.14, 0.14]]), np.array([4]))
    array([[2, 1, 1]])
    """
    scaled = parts * TENTHS
    whole = np.floor(scaled).astype(np.int64)
    left = totals - whole.sum(axis=1)
    size = parts.shape[1]
    if size == 0:
        return whole
    order = np.argsort(np.argsort(whole - scaled, axis=1, kind="stable"), axis=1, kind="stable")
    extra, rest = np.divmod(left, size)
    return np.asarray(whole + extra[:, None] + (order < rest[:, None]))
