"""Two forecasts of the same hours combined, with a weight learnt from the errors known at each issue. Pure.

The weight minimises the discounted squared log error of the combination so far (Bates and Granger 1969, with
the discount of Newbold and Granger 1974), for each quarter of the day by itself, and is drawn to one half
while little is known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from energy_demand.timeaxis import HOUR, utc_index

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from energy_demand.arrays import Floats, Integers
    from energy_demand.timeaxis import Availability

HALF_LIFE_DAYS = 60.0
# As if both had been seen for so many hours of a quarter of the day to be equally good, 2 % apart.
PRIOR_HOURS, PRIOR_PERCENT = 60.0, 2.0
HOURS_OF_BLOCK = 6
PERCENT = 100.0
FIRST_WEIGHT = 0.5


def combined(
    hours: pd.DataFrame, ours: str, theirs: str, zone: ZoneInfo, availability: Availability
) -> pd.DataFrame:
    """The combination of two columns of a backtest, each hour with what was known at its issue.

    Args:
        hours: `period` and `issued_at` (UTC), `actual_mwh` (NaN where not known), and both columns (MWh).
        ours: the column that stands alone where the other has no value.
        theirs: the other column, NaN where there is none.
        zone: of the clock hours.
        availability: the publication delay of demand.

    Returns:
        `combined_mwh` and `weight` (0 to 1, of `ours`) by the index of `hours`.
    """
    mine, other, actual = (
        PERCENT * np.log(hours[name].to_numpy(dtype=float)) for name in (ours, theirs, "actual_mwh")
    )
    weight = _weights(hours, mine - actual, other - actual, zone, availability)
    both = np.where(np.isnan(other), mine, weight * mine + (1.0 - weight) * other)
    weight = np.where(np.isnan(other), 1.0, weight)
    return pd.DataFrame({"combined_mwh": np.exp(both / PERCENT), "weight": weight}, index=hours.index)


def _weights(
    hours: pd.DataFrame, mine: Floats, other: Floats, zone: ZoneInfo, availability: Availability
) -> Floats:
    """The weight of `mine` for each hour, from the errors (percent) of the hours known at its issue."""
    periods, issues = utc_index(hours["period"]), utc_index(hours["issued_at"])
    begin = periods.min()
    at = np.asarray((periods - begin) / pd.Timedelta(days=1), dtype=float)
    known_through = issues - pd.Timedelta(availability.delay_hours * HOUR)
    until = np.asarray((known_through - begin) / pd.Timedelta(days=1), dtype=float)
    block = _blocks(periods, zone)
    known = ~np.isnan(mine) & ~np.isnan(other)
    apart = np.where(known, mine - other, 0.0)
    against = np.where(known, -other * apart, 0.0)
    weights = np.full(len(hours), FIRST_WEIGHT)
    prior = PRIOR_HOURS * PRIOR_PERCENT**2
    for number in range(24 // HOURS_OF_BLOCK):
        rows = np.flatnonzero(block == number)
        order = rows[np.argsort(at[rows], kind="stable")]
        # Sums that grow with time instead of being discounted: the common factor cancels but for the prior.
        growth = 2.0 ** (at[order] / HALF_LIFE_DAYS)
        squares = np.concatenate([[0.0], np.cumsum(growth * apart[order] ** 2)])
        products = np.concatenate([[0.0], np.cumsum(growth * against[order])])
        seen = np.searchsorted(at[order], until[rows] + 1e-9, side="right")
        drawn = prior * 2.0 ** (np.maximum(until[rows], 0.0) / HALF_LIFE_DAYS)
        weights[rows] = (products[seen] + FIRST_WEIGHT * drawn) / (squares[seen] + drawn)
    return np.asarray(np.clip(weights, 0.0, 1.0))


def _blocks(periods: pd.DatetimeIndex, zone: ZoneInfo) -> Integers:
    starts = (periods - pd.Timedelta(HOUR)).tz_convert(zone)
    return np.asarray(starts.hour // HOURS_OF_BLOCK, dtype=np.int64)
