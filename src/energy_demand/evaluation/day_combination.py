"""Our hourly forecast combined with the energy that the grid operator forecasts for whole days. Pure.

The operator's figure of a day has no shape. So our hours are moved toward its energy in proportion to the
width of their intervals: the conditional mean of hours given their total, for normal errors that go together
within a day. A width counts against the mean of past days, so a day that is less certain than usual moves
further. Hours moved like that are combined with ours as any hourly forecast is (`combination`), by quarters
of the day; the combined energy of a day never goes beyond the operator's.

Nothing that became known after an issue reaches it, and it changes no forecast of ours.
"""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from energy_demand.evaluation.beside_operator import COMBINATION, ISSUED, OUR_WEIGHT, OURS
from energy_demand.evaluation.combination import combined
from energy_demand.evaluation.operator_forecast import sound
from energy_demand.timeaxis import day_periods, local_day, local_days, utc_index

if TYPE_CHECKING:
    from datetime import date
    from zoneinfo import ZoneInfo

    from energy_demand.timeaxis import Availability

# Of the operator's log error; the best of 14, 21, 30 and 45 days on 2020-07 … 2024-07, by 0.002 points.
HALF_LIFE_DAYS = 21.0
# A figure as far from ours, or from demand, is an outage of the publication. From 2019 to 2024-07 the figures
# were at most 9 % from demand, and on 2023-12 … 2024-07 at most 9 % from ours, but for outages.
LARGEST_GAP = 0.15
# The operator posts its forecast from 07:05 to 07:45 local time on the day before.
POSTED_BY = time(7, 45)
# Of the mean width of the intervals; as the weight's, and as good as 30 days on 2023-12 … 2024-07.
WIDTH_HALF_LIFE_DAYS = 60.0
LOWER, UPPER = "lower_80", "upper_80"
DAY, DAY_CORRECTED = "operator_day_mwh", "operator_day_corrected_mwh"


def with_operator_days(
    hours: pd.DataFrame, figures: pd.Series, truth: pd.Series, zone: ZoneInfo, availability: Availability
) -> pd.DataFrame:
    """Forecast hours combined with the operator's energy of their days, as known at each issue.

    Hours of which the operator posted a forecast keep their combination. Days whose hours were not all
    forecast in one issue, after the figure was posted, have no figure.

    Args:
        hours: of `with_issued_operator`, with `lower_80` and `upper_80`.
        figures: the operator's energy (MWh) by local day, from well before the window.
        truth: demand (MWh) by period, from as far back; a day with a missing hour teaches nothing.
        zone: of the local days.
        availability: the publication delay of demand.

    Returns:
        With `operator_day_mwh` and `operator_day_corrected_mwh`, of the whole day in each of its hours, NaN
        where there is none. Where any is there, the hours without a posting have `combination_mwh` and
        `our_weight` by day: ours and 1 where the figure is missing or an outage.
    """
    local = local_days(pd.DatetimeIndex(utc_index(hours["period"])), zone)
    days = pd.Series(local, index=hours.index)
    issues = _issues(hours, days, zone)
    usable = figures[figures > 0].astype(float)
    usable.index = pd.DatetimeIndex(usable.index)
    published = usable.reindex(pd.DatetimeIndex(issues.index))
    corrected = published * _correction(usable, truth, issues, zone, availability)
    found = hours.assign(**{DAY: days.map(published), DAY_CORRECTED: days.map(corrected)})
    if published.isna().all():
        return found

    gap = corrected / hours[OURS].groupby(days).sum().reindex(corrected.index) - 1.0
    gap = gap.where(gap.abs() <= LARGEST_GAP)
    theirs = hours[OURS] * (1.0 + days.map(gap) * _relative_width(hours, days))
    theirs = theirs.where(theirs > 0)
    believed = hours["actual_mwh"].where(sound(theirs, hours["actual_mwh"]))
    moved = hours.assign(actual_mwh=believed, theirs_mwh=theirs)
    mixed = combined(moved, OURS, "theirs_mwh", zone, availability)
    combination = _within(mixed["combined_mwh"], hours[OURS], days, gap)
    posted = hours[ISSUED].notna()
    return found.assign(
        **{
            COMBINATION: hours[COMBINATION].where(posted, combination),
            OUR_WEIGHT: hours[OUR_WEIGHT].where(posted, mixed["weight"]),
        }
    )


def _issues(hours: pd.DataFrame, days: pd.Series, zone: ZoneInfo) -> pd.Series:
    """The issue of each whole day that was forecast in one, once the operator had posted its figure."""
    found = {}
    for day, rows in hours.groupby(days):
        of_day, issues = pd.Timestamp(str(day)).date(), rows["issued_at"].unique()
        if len(issues) != 1 or rows["period"].nunique() != len(day_periods(of_day, zone)):
            continue
        if pd.Timestamp(issues[0]) >= _posted_by(of_day, zone):
            found[day] = pd.Timestamp(issues[0])
    return pd.Series(found, index=pd.DatetimeIndex(list(found)), dtype=object)


def _posted_by(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day - timedelta(days=1), POSTED_BY, tzinfo=zone)


def _correction(
    figures: pd.Series, truth: pd.Series, issues: pd.Series, zone: ZoneInfo, availability: Availability
) -> pd.Series:
    """What the figures were too low by, as a factor, on the whole days known at each issue; 1 before any.

    The weighted geometric mean, by target day.
    """
    if figures.empty or issues.empty:
        return pd.Series(1.0, index=issues.index)
    calendar = pd.date_range(figures.index.min(), figures.index.max(), freq="D")
    demand = _whole_days(truth, zone).reindex(calendar)
    error = pd.Series(np.log(demand / figures.reindex(calendar)), index=calendar)
    error = error.where(error.abs() <= LARGEST_GAP)
    means = error.ewm(halflife=HALF_LIFE_DAYS, ignore_na=False).mean().ffill()
    # The newest hour known at an issue ends in a day that is not over, unless it is its midnight.
    known = [local_day(availability.newest_known(issue.to_pydatetime()), zone) for issue in issues]
    newest = pd.DatetimeIndex(known) - pd.Timedelta(days=1)
    of_issues = means.reindex(newest, method="ffill").fillna(0.0).to_numpy(dtype=float)
    return pd.Series(np.exp(of_issues), index=issues.index)


def _whole_days(truth: pd.Series, zone: ZoneInfo) -> pd.Series:
    """The energy of each local day none of whose hours is missing."""
    known = truth.dropna()
    sums = known.groupby(local_days(pd.DatetimeIndex(known.index), zone)).agg(["sum", "size"])
    lengths = np.array([len(day_periods(day.date(), zone)) for day in sums.index])
    return pd.Series(sums["sum"].where(sums["size"] == lengths), dtype=float)


def _relative_width(hours: pd.DataFrame, days: pd.Series) -> pd.Series:
    """The relative width of each hour's interval, against the mean of the days up to its own."""
    ours = hours[OURS]
    width = (hours[UPPER] - hours[LOWER]).clip(lower=0.0)
    of_days = width.groupby(days).sum() / ours.groupby(days).sum()
    usual = days.map(of_days.ewm(halflife=WIDTH_HALF_LIFE_DAYS).mean())
    return (width / ours / usual).where(usual > 0, 1.0)


def _within(combination: pd.Series, ours: pd.Series, days: pd.Series, gap: pd.Series) -> pd.Series:
    """The combination, with less of a shift on days whose energy would go beyond the operator's."""
    shift = combination.groupby(days).sum() / ours.groupby(days).sum() - 1.0
    share = (gap.reindex(shift.index) / shift).where(shift != 0.0)
    kept = share.where(share < 1.0, 1.0).clip(lower=0.0)
    return ours + (combination - ours) * days.map(kept)
