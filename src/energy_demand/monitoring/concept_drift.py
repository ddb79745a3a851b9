"""Whether demand still follows from weather and calendar as the champion learnt it. Pure.

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
from energy_demand.model.stages.adaptive_regression import PERCENT
from energy_demand.model.stages.response_features import MEMORY_HOURS, response_features
from energy_demand.timeaxis import HOUR

if TYPE_CHECKING:
    from datetime import date

    from energy_demand.data.record import Record
    from energy_demand.model.forecaster import Forecaster


class Chart(NamedTuple):
    """One CUSUM chart, in standard deviations of a day.

    Attributes:
        allowance: of each day, that is not added up (k).
        limit: of the sum, above which it alarms (h).
        clip: furthest that one day counts.
    """

    allowance: float
    limit: float
    clip: float


CHARTS = {"quick": Chart(1.5, 5.0, 4.0), "slow": Chart(0.2, 13.0, 2.5)}


@dataclass(frozen=True)
class ConceptDrift:
    """What the charts say of the days since the champion was trained.

    Attributes:
        alarms: days on which a chart passed its limit; the charts begin anew after each.
        height: of the highest sum now, as a share of its limit.
        chart: which one that is.
        direction: `more` or `less` demand than foreseen.
        days: days that were counted.
    """

    alarms: tuple[date, ...]
    height: float
    chart: str
    direction: str
    days: int


def daily_residuals(model: Forecaster, record: Record) -> pd.Series:
    """By how much demand exceeded the champion's forecast on each local day since it was trained.

    The adaptive regression learns each day after forecasting it, as it does when it serves. The record must
    hold the hours from the model's state on.

    Returns:
        By local day, in standard deviations of the model's ordinary days; NaN where too little is known.
    """
    start = model.regression.through
    hours = int((record.periods[-1] - start) // pd.Timedelta(HOUR))
    truth = record.truth_mwh[-hours:] if hours > 0 else np.empty(0)
    if hours <= 0 or np.isnan(truth).all():
        return pd.Series(dtype=float)
    path = model.outlook.completed(record.observed.until(record.periods[-1], hours + MEMORY_HOURS))
    responses = response_features(path, record.region, last=hours)
    _, foretold = model.regression.advance(responses, record.demand_mwh[-hours:])
    missed = PERCENT * np.log(truth) - foretold.log_demand[0]
    # At midnight the last hours of the day before are not published yet: no day is judged by them.
    known = np.arange(24) < 24 - model.publication_delay_hours
    weights = np.where(known, model.expected_errors.weights, 0.0)
    missed = np.where(weights[responses.hours] > 0, missed, np.nan)
    levels = daily_levels(responses.periods, missed, weights, record.region.zone)
    return levels / model.expected_errors.sigma


def run_charts(residuals: pd.Series, charts: dict[str, Chart] | None = None) -> ConceptDrift:
    """Add the days up.

    Args:
        residuals: of `daily_residuals`.
        charts: how; `CHARTS` by default.
    """
    charts = CHARTS if charts is None else charts
    sums = {(name, sign): 0.0 for name in charts for sign in (1.0, -1.0)}
    alarms: list[date] = []
    known = residuals.dropna()
    for day, surprise in known.items():
        for (name, sign), held in sums.items():
            chart = charts[name]
            clipped = float(np.clip(surprise, -chart.clip, chart.clip))
            sums[name, sign] = max(0.0, held + sign * clipped - chart.allowance)
        if any(held > charts[name].limit for (name, _), held in sums.items()):
            alarms.append(pd.Timestamp(str(day)).date())
            sums = dict.fromkeys(sums, 0.0)
    heights = {key: held / charts[key[0]].limit for key, held in sums.items()}
    chart_name, direction = max(heights, key=lambda key: heights[key])
    return ConceptDrift(
        alarms=tuple(alarms),
        height=heights[chart_name, direction],
        chart=chart_name,
        direction="more" if direction > 0 else "less",
        days=len(known),
    )
