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
    from zoneinfo import ZoneInfo

HALF_LIFE_DAYS = 14.0
# A published value with a larger relative error is an outage of the publication, not a forecast.
LARGEST_ERROR = 0.5


def sound(published: pd.Series, actual: pd.Series) -> pd.Series:
    """Whether each published value is a forecast at all: known, above 0, with an error of at most half."""
    relative_error = (published - actual).abs() / actual
    return published.notna() & (published > 0) & ~(relative_error > LARGEST_ERROR)


def corrected_hourly(
    published: pd.Series,
    actual: pd.Series,
    zone: ZoneInfo,
    availability: Availability,
    issued_at: pd.DatetimeIndex | None = None,
) -> pd.Series:
    """The operator's forecast plus the weighted mean of its past errors at the same local hour.

    Only errors known at the issue count; their weight halves every 14 days.

    Args:
        published: MWh by period (UTC, hour ending).
        actual: MWh by the same periods; NaN where unknown or not truth.
        zone: of the local hours.
        availability: the publication delay of demand.
        issued_at: when the forecast of each period is issued; None: at 09:00 on the day before.
    """
    local = (pd.DatetimeIndex(published.index) - pd.Timedelta(HOUR)).tz_convert(zone)
    error = (actual - published).where(sound(published, actual))
    days = np.array(local.date)
    table = pd.DataFrame({"error": error.to_numpy(), "day": days, "hour": local.hour})
    by_day = table.groupby(["day", "hour"])["error"].mean().unstack("hour")  # noqa: PD010
    calendar = [day.date() for day in pd.date_range(days[0], days[-1], freq="D")]
    grid = by_day.reindex(index=calendar, columns=range(24))
    means = _weighted_means(grid)
    if issued_at is None:
        issues = {day: day_ahead_issue(day, zone) for day in set(days)}
        issued_at = pd.DatetimeIndex([issues[day] for day in days])
    # The row of the newest error known at each issue: of that day, or of the day before for later hours.
    codes, issues_made = pd.factorize(issued_at)
    starts = [availability.newest_known(issue.to_pydatetime()) - HOUR for issue in issues_made]
    newest_day = np.array([(local_day(start, zone) - days[0]).days for start in starts])
    newest_hour = np.array([start.astimezone(zone).hour for start in starts])
    rows = newest_day[codes] - (local.hour.to_numpy() > newest_hour[codes])
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
