"""Tries a forecaster on a small synthetic record before it serves: does every stage answer? Pure.

The record continues the model's own state by a few hours of usual demand and weather, so that a model of any
region and season can answer it. It must never be used to judge how good a forecast is.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from energy_demand.columns import TARGET_COLUMN
from energy_demand.data.record import Record, make_record
from energy_demand.data.weather_path import MAIN, REST
from energy_demand.model.forecast import HOUR_COLUMNS, Forecast
from energy_demand.model.forecaster import EXPLANATION
from energy_demand.model.predict import ForecastError, Question, by_base_booster, by_forecaster
from energy_demand.model.stages.adaptive_regression import PERCENT
from energy_demand.model.weather.climate import climate_basis, clock, naive
from energy_demand.timeaxis import HOUR, MAX_LEAD_HOURS, horizon_periods, hourly

if TYPE_CHECKING:
    from datetime import datetime

    from energy_demand.model.forecaster import Forecaster
    from energy_demand.region import Region

NEW_HOURS = 6  # of demand that the model's state has not seen
RUN_HOURS = 36  # of the weather run; the hours after it are guessed
DAILY_SWING = 0.2  # of the typical demand
# Far wider than demand ever moves: the trial finds what is broken, and must not refuse what is unusual.
LEAST_OF_TYPICAL, MOST_OF_TYPICAL = 0.2, 5.0
HUMIDITY_PERCENT, CLOUD_PERCENT, WIND_KMH = 65.0, 50.0, 12.0


def try_out(model: Forecaster, region: Region) -> None:
    """Ask the whole forecaster, its explanation and its base booster for 48 hours.

    Raises:
        ForecastError: the model is another region's, or an answer is no plausible demand.
        Exception: whatever a broken stage raises.
    """
    record, issued_at = trial_record(model, region)
    question = Question(issued_at, horizon_periods(issued_at, MAX_LEAD_HOURS), model.availability)
    typical = _typical(model)
    whole = by_forecaster(record, model, "trial", question)
    for name, forecast in (
        ("whole forecaster", whole),
        ("base booster", by_base_booster(record, model, "trial", question)),
    ):
        _check_plausible(name, forecast, typical)
    if whole.explanation is None or not np.isfinite(whole.explanation[list(EXPLANATION)].to_numpy()).all():
        raise ForecastError("the forecast of the trial hours cannot be explained")


def trial_record(model: Forecaster, region: Region) -> tuple[Record, datetime]:
    """Usual demand and weather up to `NEW_HOURS` hours after the model's state, and when to issue."""
    newest = model.regression.through + pd.Timedelta(NEW_HOURS * HOUR)
    issued_at = newest.to_pydatetime() + timedelta(hours=model.publication_delay_hours)
    periods = hourly(model.needs_from.to_pydatetime(), issued_at)
    ahead = hourly(issued_at + HOUR, issued_at + RUN_HOURS * HOUR)
    demand = pd.DataFrame({"period": periods, TARGET_COLUMN: _usual_demand(periods, model)})
    return (
        make_record(
            demand[periods <= newest],
            _usual_weather(periods, model, region),
            _usual_weather(ahead, model, region).assign(issued_at=pd.Timestamp(issued_at)),
            region,
            issued_at,
        ),
        issued_at,
    )


def _typical(model: Forecaster) -> float:
    return float(np.exp(model.regression.reference / PERCENT))


def _usual_demand(periods: pd.DatetimeIndex, model: Forecaster) -> pd.Series:
    hour, _ = clock(naive(periods - pd.Timedelta(HOUR)), model.outlook.zone)
    swing = -np.cos(2.0 * np.pi * (hour - 4.0) / 24.0)  # lowest at 4 o'clock
    return pd.Series(_typical(model) * (1.0 + DAILY_SWING * swing))


def _usual_weather(periods: pd.DatetimeIndex, model: Forecaster, region: Region) -> pd.DataFrame:
    """Rows of each site, with the temperature of the model's climate."""
    basis = climate_basis(*clock(naive(periods - pd.Timedelta(HOUR)), model.outlook.zone))
    climate = model.outlook.climate.coefficients
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "timestamp": periods,
                    "site": site.name,
                    "temperature_2m": basis @ climate[MAIN if number == 0 else REST],
                    "relative_humidity_2m": HUMIDITY_PERCENT,
                    "cloud_cover": CLOUD_PERCENT,
                    "wind_speed_10m": WIND_KMH,
                }
            )
            for number, site in enumerate(region.sites)
        ],
        ignore_index=True,
    )


def _check_plausible(name: str, forecast: Forecast, typical: float) -> None:
    values = forecast.hours[list(HOUR_COLUMNS)].to_numpy(dtype=float)
    lowest, highest = LEAST_OF_TYPICAL * typical, MOST_OF_TYPICAL * typical
    point = values[:, 0]
    if not np.isfinite(values).all():
        raise ForecastError(f"the {name} predicts no number for trial hours of usual weather")
    if (point < lowest).any() or (point > highest).any():
        raise ForecastError(
            f"the {name} predicts {point.min():,.0f} to {point.max():,.0f} MWh for trial hours of "
            f"usual weather; plausible is {lowest:,.0f} to {highest:,.0f}"
        )
