"""Earlier values of demand: what was served at a past time of hours that were revised since. Pure.

The publication delay says *when* an hour arrives, vintages say *which* of its values a past time saw: the
newest that was known by then, or the first one where none was stored so early. A value that became known
later never reaches an earlier time. Screening is repeated around the hours that differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from energy_demand.columns import TARGET_COLUMN
from energy_demand.data.screening import SETTLED_DAYS, screen, truth_flags
from energy_demand.timeaxis import utc_index

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from energy_demand.arrays import Booleans, Floats, Positions
    from energy_demand.region import Region

# From this far on either side a window gives the verdict of the whole record.
SETTLED_HOURS = 24 * SETTLED_DAYS


@dataclass(frozen=True)
class Vintages:
    """Demand as served, with the values that were superseded.

    Attributes:
        served: by position on the record's axis, the newest value (MWh); NaN: none.
        positions: of each earlier value.
        until: when each was superseded, ascending.
        values: the earlier values, MWh; NaN where an hour had been taken back.
    """

    served: Floats
    positions: Positions
    until: pd.DatetimeIndex
    values: Floats

    def served_at(self, as_of: datetime) -> Floats:
        """The value of each hour at `as_of`: of several that were superseded later, the earliest."""
        served = self.served.copy()
        first = int(self.until.searchsorted(pd.Timestamp(as_of), side="right"))
        # Of repeated positions the last one assigned stays.
        served[self.positions[first:][::-1]] = self.values[first:][::-1]
        return served

    def cut_at(self, as_of: datetime, size: int) -> Vintages:
        """The vintages as known at `as_of`, of the first `size` hours."""
        known = (self.until <= pd.Timestamp(as_of)) & (self.positions < size)
        return Vintages(
            self.served_at(as_of)[:size], self.positions[known], self.until[known], self.values[known]
        )

    def first(self, size: int) -> Vintages:
        """All vintages of the first `size` hours."""
        inside = self.positions < size
        return Vintages(self.served[:size], self.positions[inside], self.until[inside], self.values[inside])


def vintages_of(periods: pd.DatetimeIndex, served: Floats, stored: pd.DataFrame) -> Vintages | None:
    """The vintages of an hourly axis; None where no hour was revised.

    Args:
        periods: every hour.
        served: the newest value of each.
        stored: all vintages of the revised hours: `period`, `value`, `stored_at` (when it was known in
            fact), `superseded_at` (NaT: it is the newest). An hour that was taken back has no newest one.
    """
    at = utc_index(stored["period"])
    rows = stored.assign(period=at)[at.isin(periods)].sort_values(["period", "superseded_at"])
    gone = rows[rows["superseded_at"].notna()]
    if gone.empty:
        return None
    # An hour that was withdrawn and served again had no value in between.
    same = rows["period"].eq(rows["period"].shift(-1))
    back = rows["stored_at"].shift(-1).where(same)
    away = rows.assign(superseded_at=back, value=np.nan)[back > rows["superseded_at"]]
    earlier = pd.concat([gone, away], ignore_index=True).sort_values("superseded_at", kind="stable")
    return Vintages(
        served=served,
        positions=periods.get_indexer(utc_index(earlier["period"])).astype(np.int64),
        until=utc_index(earlier["superseded_at"]),
        values=earlier["value"].to_numpy(dtype=float),
    )


class DemandAsKnown:
    """Screened demand at one time after another.

    Invariant: after `at(t)`, `demand_mwh` and `seen_mwh` of the hours up to `t` follow from values that were
    known at `t`. The hours after `t` are not for use.
    """

    def __init__(
        self,
        periods: pd.DatetimeIndex,
        vintages: Vintages,
        demand_mwh: Floats,
        seen_mwh: Floats,
        region: Region,
    ) -> None:
        self._periods, self._vintages, self._region = periods, vintages, region
        self._served = vintages.served
        self.demand_mwh, self.seen_mwh = demand_mwh.copy(), seen_mwh.copy()

    def at(self, as_of: datetime) -> int | None:
        """Move to `as_of`; return the first position whose screened value changed, None if none did."""
        served = self._vintages.served_at(as_of)
        first = None
        for window, inside in _windows(differing(self._served, served), len(served), before=0):
            hours = _hours(self._periods, served, window)
            screened = screen(hours, region=self._region).iloc[inside.start - window.start :]
            demand = screened[TARGET_COLUMN].to_numpy(dtype=float)
            seen = np.where(screened["imputed"].to_numpy(dtype=bool), np.nan, demand)
            here = slice(inside.start, inside.start + len(demand))
            changed = differing(self.demand_mwh[here], demand) | differing(self.seen_mwh[here], seen)
            self.demand_mwh[here], self.seen_mwh[here] = demand, seen
            if first is None and changed.any():
                first = here.start + int(np.flatnonzero(changed)[0])
        self._served = served
        return first


def truth_as_known(
    periods: pd.DatetimeIndex, vintages: Vintages, truth_mwh: Floats, as_of: datetime, region: Region
) -> Floats:
    """Truth of the hours up to `as_of` as a training at that time would have had it.

    `periods` and `truth_mwh` are the hours known then. Hours far from any difference keep today's verdict.
    """
    size = len(periods)
    served, truth = vintages.served_at(as_of)[:size], truth_mwh.copy()
    differs = differing(vintages.served[:size], served)
    for window, inside in _windows(differs, size, before=SETTLED_HOURS):
        hours = _hours(periods, served, window)
        causal = screen(hours, region=region)
        sound = truth_flags(causal, screen(hours, two_sided=True, region=region)).isna().to_numpy()
        screened = np.where(sound, causal["served_mwh"].to_numpy(dtype=float), np.nan)
        part = slice(inside.start - window.start, inside.stop - window.start)
        truth[inside] = screened[part]
    return truth


def differing(one: Floats, other: Floats) -> Booleans:
    """Where two arrays differ; NaN equals NaN."""
    return np.asarray((one != other) & ~(np.isnan(one) & np.isnan(other)))


def _windows(differs: Booleans, size: int, *, before: int) -> Iterator[tuple[slice, slice]]:
    """For each stretch of differences: the hours to screen, and those among them whose verdict may change.

    A causal verdict (`before` is 0) depends on earlier hours only, a two-sided one on later hours too.
    """
    positions = np.flatnonzero(differs)
    if not len(positions):
        return
    apart = np.flatnonzero(np.diff(positions) > 4 * SETTLED_HOURS)
    starts = positions[np.concatenate([[0], apart + 1])]
    ends = positions[np.concatenate([apart, [len(positions) - 1]])]
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        inside = slice(max(start - before, 0), min(end + SETTLED_HOURS + 1, size))
        yield slice(max(inside.start - SETTLED_HOURS, 0), min(inside.stop + before, size)), inside


def _hours(periods: pd.DatetimeIndex, served: Floats, window: slice) -> pd.DataFrame:
    return pd.DataFrame({"period": periods[window], TARGET_COLUMN: served[window]})
