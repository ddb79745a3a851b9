"""The grid operator's forecast as a yardstick, as published and with its bias removed. Pure.

Never an input of a model. The correction must only use errors that were known when the forecast it is
compared with was issued.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from energy_demand.timeaxis import HOUR, Availability, day_ahead_issue, local_day

if TYPE_CHECKING:
    from datetime import date
    from zoneinfo import ZoneInfo

HALF_LIFE_DAYS = 14.0
# A published value with a larger relative error is an outage of the publication, not a forecast.
LARGEST_ERROR = 0.5


def sound(published: pd.Series, actual: pd.Series) -> pd.Series:
    """Whether each published value is a forecast at all: known, above 0, with an error of at most half."""
    relative_error = (published - actual).abs() / actual
    return published.notna() & (published > 0) & ~(relative_error > LARGEST_ERROR)


def corrected_hourly(
    published: pd.Series, actual: pd.Series, zone: ZoneInfo, availability: Availability
) -> pd.Series:
    """`DF` plus the weighted mean of its past errors at the same local hour.

    Only errors known at 09:00 on the day before count; their weight halves every 14 days.

    Args:
        published: MWh by period (UTC, hour ending).
        actual: MWh by the same periods; NaN where unknown or not truth.
        zone: of the local hours.
        availability: the publication delay of demand.
    """
    local = (pd.DatetimeIndex(published.index) - pd.Timedelta(HOUR)).tz_convert(zone)
    error = (actual - published).where(sound(published, actual))
    days = np.array(local.date)
    table = pd.DataFrame({"error": error.to_numpy(), "day": days, "hour": local.hour})
    by_day = table.groupby(["day", "hour"])["error"].mean().unstack("hour")  # noqa: PD010
    calendar = [day.date() for day in pd.date_range(days[0], days[-1], freq="D")]
    grid = by_day.reindex(index=calendar, columns=range(24))
    means = _weighted_means(grid)
    days_back = {day: _days_back(day, zone, availability) for day in set(days)}
    rows = np.array(
        [(day - days[0]).days - days_back[day][hour] for day, hour in zip(days, local.hour, strict=True)]
    )
    shift = np.where(rows >= 0, means[np.maximum(rows, 0), local.hour], 0.0)
    return published.astype(float) + shift


def corrected_daily(published: pd.Series, actual: pd.Series) -> pd.Series:
    """`DF` of each day plus the weighted mean of its errors on days through D−2.

    Args:
        published: MWh by local day, one row per calendar day.
        actual: MWh by the same days.
    """
    error = (actual - published).where(sound(published, actual))
    means = _weighted_means(error.to_frame())[:, 0]
    return published + pd.Series(means, index=published.index).shift(2, fill_value=0.0)


def _weighted_means(errors: pd.DataFrame) -> np.ndarray:
    """Exponentially weighted mean of each column through each day, 0 before the first error."""
    means = errors.ewm(halflife=HALF_LIFE_DAYS, ignore_na=False).mean()
    return means.ffill().fillna(0.0).to_numpy()


def _days_back(day: date, zone: ZoneInfo, availability: Availability) -> dict[int, int]:
    """For each local hour of a day, how many days back its newest known error is."""
    newest = availability.newest_known(day_ahead_issue(day, zone)) - HOUR  # start of the hour
    known_day, known_hour = local_day(newest, zone), newest.astimezone(zone).hour
    base = (day - known_day).days
    return {hour: base if hour <= known_hour else base + 1 for hour in range(24)}
