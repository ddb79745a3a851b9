"""Scores of the peers, on the hours that every one of them forecast. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from energy_demand.timeaxis import HOUR

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from energy_demand.arrays import Floats

POINT = "predicted_mwh"
# The bounds of the central intervals are quantiles; the point forecast counts as the median.
LEVELS = {"lower_95": 0.025, "lower_80": 0.1, POINT: 0.5, "upper_80": 0.9, "upper_95": 0.975}
BOUNDS = tuple(name for name in LEVELS if name != POINT)
NOON = range(9, 17)  # local clock hours, 9 to 16


def common_hours(forecasts: dict[str, pd.DataFrame], truth: pd.Series) -> pd.DatetimeIndex:
    """The hours whose demand is known and that every side forecast.

    Raises:
        ValueError: there is none.
    """
    hours = truth.dropna().index
    for frame in forecasts.values():
        hours = hours.intersection(frame[POINT].dropna().index)
    if len(hours) == 0:
        raise ValueError("no hour was forecast by every side")
    return pd.DatetimeIndex(hours).sort_values()


def scored(frame: pd.DataFrame, truth: pd.Series, hours: pd.DatetimeIndex, zone: ZoneInfo) -> dict[str, Any]:
    """Scores of one side on these hours.

    Args:
        frame: by period, `predicted_mwh` and, of a side that has intervals, their bounds (MWh).
        truth: MWh by period.
        hours: of `common_hours`.
        zone: of the local days.

    Returns:
        `mape`, `mape_noon` (clock hours 9 to 16), `mape_other`, `bias` (percent), `daily_mape` (energy of the
        local days none of whose hours is missing), `coverage_80`, `coverage_95`, `width_80` (percent),
        `pinball` (MWh, mean over five quantiles); None where the side has no intervals.
    """
    actual = truth.loc[hours].to_numpy(dtype=float)
    forecast = frame.loc[hours]
    point = forecast[POINT].to_numpy(dtype=float)
    local = (hours - HOUR).tz_convert(zone)
    percent = 100 * np.abs(point / actual - 1)
    noon = np.isin(local.hour, list(NOON))
    days = pd.DataFrame({"actual": actual, "forecast": point}).groupby(local.date)
    whole = days.sum()[(days.size() >= 23).to_numpy() & (days.size() == _day_lengths(days, zone)).to_numpy()]
    result: dict[str, Any] = {
        "mape": _rounded(percent.mean()),
        "mape_noon": _rounded(percent[noon].mean()),
        "mape_other": _rounded(percent[~noon].mean()),
        "bias": _rounded(100 * np.mean(point / actual - 1)),
        "daily_mape": _rounded((100 * (whole["forecast"] / whole["actual"] - 1).abs()).mean()),
        "days": len(whole),
    }
    return result | _interval_scores(forecast, actual)


def pinball(actual: Floats, quantile: Floats, level: float) -> float:
    """Mean pinball loss of one quantile, MWh.

    >>> pinball(np.array([10.0, 10.0]), np.array([8.0, 12.0]), 0.9)
    1.0
    """
    error = actual - quantile
    return float(np.mean(np.maximum(level * error, (level - 1) * error)))


def mean_of(frames: list[pd.DataFrame]) -> pd.DataFrame:
    """The plain mean of several sides' points; bounds, where all have them, are averaged likewise."""
    hours = frames[0].index
    for frame in frames[1:]:
        hours = hours.intersection(frame.index)
    names = [name for name in LEVELS if all(name in frame for frame in frames)]
    return sum((frame.loc[hours, names] for frame in frames[1:]), frames[0].loc[hours, names]) / len(frames)


def _interval_scores(forecast: pd.DataFrame, actual: Floats) -> dict[str, float | None]:
    names = ("coverage_80", "coverage_95", "width_80", "pinball")
    if not set(BOUNDS) <= set(forecast) or forecast[list(BOUNDS)].isna().any(axis=None):
        return dict.fromkeys(names)
    values = {name: forecast[name].to_numpy(dtype=float) for name in LEVELS}
    inside = {
        level: (actual >= values[f"lower_{level}"]) & (actual <= values[f"upper_{level}"])
        for level in (80, 95)
    }
    width = (values["upper_80"] - values["lower_80"]) / actual
    losses = [pinball(actual, values[name], level) for name, level in LEVELS.items()]
    found = (100 * inside[80].mean(), 100 * inside[95].mean(), 100 * width.mean(), np.mean(losses))
    return {name: _rounded(value, 2) for name, value in zip(names, found, strict=True)}


def _day_lengths(days: Any, zone: ZoneInfo) -> pd.Series:
    """Hours of each local day: 23 and 25 on the days of a clock change."""
    sizes = days.size()
    starts = [pd.Timestamp(day, tz=zone) for day in sizes.index]
    ends = [pd.Timestamp(day + pd.Timedelta(days=1), tz=zone) for day in sizes.index]
    lengths = [round((end - start) / pd.Timedelta(HOUR)) for start, end in zip(starts, ends, strict=True)]
    return pd.Series(lengths, index=sizes.index)


def _rounded(value: float, digits: int = 3) -> float:
    return round(float(value), digits)
