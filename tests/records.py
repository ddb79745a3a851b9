"""Records of the synthetic world, and a recipe that is quick to fit."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from energy_demand.columns import TARGET_COLUMN, WEATHER_VARIABLES
from energy_demand.data.issued_weather import IssuedWeather, issued_weather
from energy_demand.data.record import Record, make_record
from energy_demand.model.base.training import BaseRecipe
from energy_demand.model.stages.residual_stage import ResidualRecipe
from energy_demand.model.train import Recipe
from energy_demand.model.weather.training import OutlookRecipe
from energy_demand.region import NEW_YORK
from energy_demand.sandbox.worlds.synthetic import SyntheticWorld
from energy_demand.sandbox.worlds.world import IFS, SITES
from energy_demand.timeaxis import hourly

if TYPE_CHECKING:
    from energy_demand.model.forecaster import Forecaster

START = datetime(2024, 7, 1, tzinfo=UTC)
DAYS = 240
QUICK = Recipe(
    base=BaseRecipe(max_trees=40, patience=10, test_days=28),
    outlook=OutlookRecipe(guess_trees=25, correction_trees=25, issue_step=17),
    residual=ResidualRecipe(trees=40),
    warm_up_days=60,
    calibration_days=90,
    fewest_issues=20,
)


def synthetic_record(
    world: SyntheticWorld | None = None, days: int = DAYS, *, runs: bool = True, start: datetime = START
) -> Record:
    """Demand, observed weather of all sites and daily runs of the main site, from `start` on."""
    world = world or SyntheticWorld(seed=1)
    end = start + timedelta(days=days)
    periods = hourly(start, end)
    hours = periods.as_unit("s").asi8 // 3600
    demand = pd.DataFrame({"period": periods, TARGET_COLUMN: world.hourly.values("D", hours).astype(float)})
    weather = pd.concat(
        [
            pd.DataFrame(
                dict(
                    zip(
                        WEATHER_VARIABLES,
                        world.weather.observed(place, WEATHER_VARIABLES, hours),
                        strict=True,
                    )
                )
            ).assign(timestamp=periods, site=name)
            for name, place in SITES.items()
        ],
        ignore_index=True,
    )
    forecasts = [_run(world, start + timedelta(days=day, hours=6)) for day in range(40, days)] if runs else []
    empty = pd.DataFrame(columns=["site", "timestamp", "issued_at", *WEATHER_VARIABLES])
    return make_record(
        demand.assign(truth_mwh=demand[TARGET_COLUMN]),
        weather,
        pd.concat(forecasts, ignore_index=True) if forecasts else empty,
        NEW_YORK,
        end,
    )


def runs_of(world: SyntheticWorld, model: str, days: int = DAYS, first: int = 40) -> IssuedWeather:
    """The runs of 06 and 18 UTC of a weather model, from day `first` on, as far as it has them."""
    starts = [START + timedelta(days=day, hours=hour) for day in range(first, days) for hour in (6, 18)]
    there = [start for start in starts if world.weather.has_run(model, int(start.timestamp()) // 3600)]
    rows = [_run(world, start, model) for start in there]
    return issued_weather(pd.concat(rows, ignore_index=True), NEW_YORK)


def _run(world: SyntheticWorld, initialised: datetime, model: str = IFS) -> pd.DataFrame:
    """The three-day weather run of this initialisation time; it is issued six hours later."""
    timestamps = hourly(initialised, initialised + timedelta(hours=72))
    hours = timestamps.as_unit("s").asi8 // 3600
    issue = int(initialised.timestamp()) // 3600
    forecast = world.weather.forecast(issue, SITES["new_york_city"], WEATHER_VARIABLES, hours, model)
    return pd.DataFrame(dict(zip(WEATHER_VARIABLES, forecast, strict=True))).assign(
        timestamp=timestamps, site="new_york_city", issued_at=pd.Timestamp(initialised + timedelta(hours=6))
    )


def with_other_responses(model: Forecaster) -> Forecaster:
    """The model as code would store it whose adaptive regression has another last column."""
    names = (*model.regression.names[:-1], "moonlight")
    return replace(model, regression=replace(model.regression, names=names))


def altered_after(record: Record, time: datetime) -> Record:
    """The record with different values for everything that becomes known after `time`."""
    at = pd.Timestamp(time)
    demand = record.demand.copy()
    later = demand["period"] > at - pd.Timedelta(hours=1)  # known an hour after their end
    demand.loc[later, [TARGET_COLUMN, "truth_mwh"]] *= 1.5
    weather = record.weather.copy()
    weather.loc[weather["timestamp"] > at, list(WEATHER_VARIABLES)] += 7.0
    forecasts = record.forecasts.copy()
    forecasts.loc[forecasts["issued_at"] > at, list(WEATHER_VARIABLES)] += 7.0
    others = {
        model: IssuedWeather(runs.issued_at, runs.values + 7.0 * (runs.issued_at > at)[:, None, None])
        for model, runs in record.other_runs.items()
    }
    return make_record(demand, weather, forecasts, record.region, record.periods[-1], other_runs=others)


def not_a_number(values: np.ndarray, where: np.ndarray) -> np.ndarray:
    """A copy with NaN at these positions."""
    changed = values.copy()
    changed[where] = np.nan
    return changed
