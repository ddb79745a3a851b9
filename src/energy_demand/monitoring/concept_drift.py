"""Concept drift: whether demand still follows from weather and calendar as the champion learnt it. Pure.

Each day gives one number: by how many standard deviations demand exceeded the forecast of the champion's
adaptive regression, given the observed weather. Two two-sided CUSUM charts (Page 1954) sum them since the
champion was trained: a fast one for steps, a slow one for gradual change. How they were set:
docs/monitoring.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from energy_demand.model.expected_errors import daily_levels
from energy_demand.model.stages.adaptive_regression import PERCENT, gross_load
from energy_demand.model.stages.response_features import MEMORY_HOURS, response_features
from energy_demand.timeaxis import HOUR

if TYPE_CHECKING:
    from datetime import date

    from energy_demand.data.record import Record
    from energy_demand.model.forecaster import Forecaster


class Chart(NamedTuple):
    """One CUSUM chart, in standard deviations of a day.

    Attributes:
        allowance: of each day, that is not added to the sum (k).
        limit: of the sum, above which the chart alarms (h).
        clip: most that one day counts.
    """

    allowance: float
    limit: float
    clip: float


CHARTS = {"quick": Chart(1.5, 5.0, 4.0), "slow": Chart(0.2, 13.0, 2.5)}


@dataclass(frozen=True)
class ConceptDrift:
    """The state of the charts over the days since the champion was trained.

    Attributes:
        alarms: days on which a chart passed its limit; all charts restart at zero after each.
        height: the highest current sum, as a share of its limit.
        chart: the chart with that sum.
        direction: `more` or `less` demand than forecast.
        days: number of known days.
    """

    alarms: tuple[date, ...]
    height: float
    chart: str
    direction: str
    days: int


def daily_residuals(model: Forecaster, record: Record) -> pd.Series:
    """By how much demand exceeded the champion's forecast on each local day since it was trained.

    The adaptive regression learns each day after forecasting it, as it does when it serves. The record must
    contain the hours after the model's state.

    Returns:
        By local day, in standard deviations of the expected errors; NaN where too few hours are known.
    """
    start = model.regression.through
    hours = int((record.periods[-1] - start) // pd.Timedelta(HOUR))
    truth = record.truth_mwh[-hours:] if hours > 0 else np.empty(0)
    if hours <= 0 or np.isnan(truth).all():
        return pd.Series(dtype=float)
    path = model.outlook.completed(record.observed.until(record.periods[-1], hours + MEMORY_HOURS))
    responses = response_features(path, record.region, last=hours)
    _, forecast = model.regression.advance(responses, record.demand_mwh[-hours:])
    residuals = PERCENT * np.log(gross_load(responses, truth)) - forecast.log_load[0]
    # At midnight the last hours of the day before are not published yet, so they never count.
    published = np.arange(24) < 24 - model.publication_delay_hours
    weights = np.where(published, model.expected_errors.weights, 0.0)
    residuals = np.where(weights[responses.hours] > 0, residuals, np.nan)
    levels = daily_levels(responses.periods, residuals, weights, record.region.zone)
    return levels / model.expected_errors.sigma


def run_charts(residuals: pd.Series, charts: dict[str, Chart] | None = None) -> ConceptDrift:
    """Run the CUSUM charts over the days.

    Args:
        residuals: of `daily_residuals`.
        charts: their parameters; `CHARTS` by default.
    """
    charts = CHARTS if charts is None else charts
    sums = {(name, sign): 0.0 for name in charts for sign in (1.0, -1.0)}
    alarms: list[date] = []
    known = residuals.dropna()
    for day, residual in known.items():
        for (name, sign), total in sums.items():
            chart = charts[name]
            clipped = float(np.clip(residual, -chart.clip, chart.clip))
            sums[name, sign] = max(0.0, total + sign * clipped - chart.allowance)
        if any(total > charts[name].limit for (name, _), total in sums.items()):
            alarms.append(pd.Timestamp(str(day)).date())
            sums = dict.fromkeys(sums, 0.0)
    heights = {key: total / charts[key[0]].limit for key, total in sums.items()}
    chart_name, direction = max(heights, key=lambda key: heights[key])
    return ConceptDrift(
        alarms=tuple(alarms),
        height=heights[chart_name, direction],
        chart=chart_name,
        direction="more" if direction > 0 else "less",
        days=len(known),
    )
