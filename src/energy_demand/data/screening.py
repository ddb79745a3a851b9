"""Finds the hours of demand that cannot be true, and estimates their values.

Pure: frames in, frames out. Causal by default: the result for an hour depends only on the hours up to it,
because the cleaned value may serve a forecast issued right after it, and a backtest that knew more would
use the future. Two-sided screening is for training data only.

The heuristics follow Ruggles et al. 2020 (doi 10.1038/s41597-020-0483-x), with one measure instead of
several: the distance of an hour from its expectation, given the last good hour and the same local hours one
day, one week and two weeks before. Flagged hours are replaced in the past that later hours are compared
with, so that one bad value does not make its successors suspect. One algorithm, told in one file.
"""

from __future__ import annotations

import math
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from energy_demand.columns import TARGET_COLUMN
from energy_demand.region import NEW_YORK, Region
from energy_demand.timeaxis import HOUR, utc_index

if TYPE_CHECKING:
    from energy_demand.arrays import Booleans, Floats, Positions


# All errors are in natural logarithms of demand (0.05 is about 5 %). "Measured" means: New York's record,
# 2015-07 to 2023-12, known defects left out.

# Days whose same hour gives the shape, with weights: the measured least squares fit of the hourly change is
# 0.30, 0.40, 0.30; the round weights here are as good. A week back counts most: it is the same weekday.
NEIGHBOUR_DAYS = ((1, 0.25), (7, 0.5), (14, 0.25))
FULL_WEIGHT = 0.7  # a day and a week together give the shape as well as all three, within a tenth
# The distance of demand from its shape fades: measured autocorrelation 0.98 after 2 h, 0.88 after 6 h,
# 0.79 after 12 h, 0.67 after 24 h.
FADING_PER_HOUR = 0.98
# One hour after a good hour, 0.05 % of the measured hours have a larger error than this. This share, and the
# weights above among equally good ones, were chosen with the whole record in view, 2024-11-23T22 included:
# that hour's error is 0.0541, so close that finding it proves little.
SPIKE_TOLERANCE = 0.0537
# Steep ramps announce themselves: 0.7 of an hour's surprise is repeated by the next (measured, lag 1). What
# that explains down to half the tolerance is not a spike.
MOMENTUM, MOMENTUM_SHARE = 0.7, 0.5
# After h hours without a good one the tolerance is this times h**0.7; the measured 99.9 % points are 0.047
# (1 h), 0.084 (2 h), 0.114 (3 h), 0.172 (6 h), 0.22 (12 h), 0.26 (24 h).
TOLERANCE_GROWTH = 0.7
# 0.1 % of the measured hours are further than this from the shape alone, whatever the hours before.
DEVIATION_TOLERANCE = 0.35
# Without the week before (only the day before, or nothing), the measured 99.9 % points are 0.084 and 0.123.
DAY_ONLY_FACTOR, NO_SHAPE_FACTOR = 2.0, 3.0
# Both sides must agree, so each may be stricter: 0.3 % of the measured hours have a larger error.
TWO_SIDED_TOLERANCE = 0.04
# An hour this close to the interpolation between its good neighbours was a steep but true ramp.
TWO_SIDED_MARGIN = 0.03
# In 74,500 measured hours no three neighbours are identical (pairs are: 0.08 %).
IDENTICAL_HOURS = 3
# A level that has lasted for six hours is taken for real: wrong levels in this record last one or two hours,
# and a forecast during load shedding must not wait longer. Training data can wait: a day.
PERSISTENCE_HOURS, TWO_SIDED_PERSISTENCE_HOURS = 6, 24
# A small departure (about 12 %) that lasts one more hour is weather: fronts and holiday mornings do that a
# few times a year, and the record has no wrong level that small.
SMALL_DEPARTURE, SMALL_PERSISTENCE_HOURS = 0.12, 1
# The level before a step that was taken for real is remembered this long: the return is then not a new jump.
STEP_MEMORY_HOURS = 168
# A departure of the newest hours may last or return: with fewer later hours than this it is not decided yet.
EDGE_HOURS = TWO_SIDED_PERSISTENCE_HOURS
# A verdict depends on the hours around it: neighbours two weeks away, steps remembered for a week. From this
# far on either side a window gives the verdict of the whole record: measured on New York's record with faults
# added, where 2.5 % of the hours were flagged, at most 6 days were needed before and 13 after.
SETTLED_DAYS = 28
# Longer gaps stay gaps: from then on the shape would consist of imputed hours only.
MAX_IMPUTED_HOURS = 168

OUTPUT_COLUMNS = ("period", TARGET_COLUMN, "served_mwh", "flag", "imputed")


class Flag(StrEnum):
    """Why an hour is not believed."""

    ZERO_OR_MISSING = "ZERO_OR_MISSING"
    """No value, no finite value, or one that is not positive: an outage of the reporting, not of the grid."""
    IDENTICAL_RUN = "IDENTICAL_RUN"
    """At least the third hour in a row with the very same value (two-sided: every hour of the run)."""
    SPIKE = "SPIKE"
    """A single hour far from the value expected after the good hour before it (or a jump's first hour)."""
    LEVEL_JUMP = "LEVEL_JUMP"
    """The hour before was flagged too, and the level has not returned."""
    DEVIATION = "DEVIATION"
    """The first value after a gap, too far from the same hours of the neighbouring days and weeks."""


def screen(demand: pd.DataFrame, *, two_sided: bool = False, region: Region = NEW_YORK) -> pd.DataFrame:
    """Flag the hours that cannot be true and impute them.

    Causal imputation: the weighted mean of the same local hour 1, 7 and 14 days before (cleaned), times the
    ratio of the last good hour to its own such mean, the ratio fading to one by 2 % an hour; for at most
    `MAX_IMPUTED_HOURS`. Two-sided: the same mean over the days on both sides, the ratio interpolated
    between the good hours before and after.

    What causality costs: the first hours of a true step are flagged until it has lasted for
    `PERSISTENCE_HOURS` (one hour more if small; an erratic level longer; its edge perhaps once more a day or
    a week later); a frozen value is known from
    its third hour on only; the very first value is believed if it is positive.

    Args:
        demand: `period` (UTC, hour ending; naive is read as UTC) and `demand_mwh` as served; NaN, gaps and
            any order are allowed. Of several rows for one period the last counts.
        two_sided: use later hours too. For cleaning training data only, never for what serves a forecast.
        region: its time zone defines which hours are the same hour of the day.

    Returns:
        One row per hour from the first to the last period: `period`; `demand_mwh` (as served where good,
        imputed where flagged and possible, else NaN); `served_mwh`; `flag` (the name of a `Flag`, or None);
        `imputed`.

    Raises:
        ValueError: a column is missing, or a period is not a full hour.
    """
    periods, served = _hourly_grid(demand)
    logs = _logs(served)
    offsets = _utc_offsets(periods, region)
    judged = _two_sided(served, logs, offsets) if two_sided else _causal(served, logs, offsets)
    flags, guesses = judged
    flagged = np.array([flag is not None for flag in flags], dtype=bool)
    values = np.where(flagged, np.exp(guesses), served)
    columns = {
        "period": periods,
        TARGET_COLUMN: values,
        "served_mwh": served,
        "flag": pd.Series([flag and flag.value for flag in flags], dtype=object),
        "imputed": flagged & ~np.isnan(values),
    }
    return pd.DataFrame({name: columns[name] for name in OUTPUT_COLUMNS})


def truth_flags(causal: pd.DataFrame, two_sided: pd.DataFrame) -> pd.Series:
    """Why each hour is not truth, to score or to train on; None where it is.

    The two-sided verdict. The causal flags do not decide, as they also hit the first hours of a true step,
    and a score without those would look too good. Only among the newest hours, until `EDGE_HOURS` sound ones
    follow, a causal flag counts too: nothing later can confirm or refute such an hour yet.

    Args:
        causal: of `screen`.
        two_sided: of `screen(two_sided=True)`, from the same demand.
    """
    served = two_sided["served_mwh"].to_numpy(dtype=float)
    sound = ~zero_or_missing(served) & ~whole_identical_run(served)
    later = sound[::-1].cumsum()[::-1] - sound
    undecided = two_sided["flag"].isna() & (later < EDGE_HOURS)
    return two_sided["flag"].mask(undecided, causal["flag"])


def zero_or_missing(served: Floats) -> Booleans:
    """Hours without a finite, positive value."""
    return ~(np.isfinite(served) & (served > 0))


def run_lengths(served: Floats) -> Positions:
    """How many hours up to and with each one have had its very value (1: it is new)."""
    positions = np.arange(len(served))
    new = np.ones(len(served), dtype=bool)
    new[1:] = served[1:] != served[:-1]
    return positions - np.maximum.accumulate(np.where(new, positions, 0)) + 1


def identical_run(served: Floats) -> Booleans:
    """Hours that are at least the third in a row with one value: known from the past alone."""
    return ~zero_or_missing(served) & (run_lengths(served) >= IDENTICAL_HOURS)


def whole_identical_run(served: Floats) -> Booleans:
    """Every hour of a run of three or more identical values: the first two are known only afterwards."""
    backward = run_lengths(served[::-1])[::-1]
    length = run_lengths(served) + backward - 1
    return ~zero_or_missing(served) & (length >= IDENTICAL_HOURS)


def tolerance(hours: int, weight: float, single_hour: float = SPIKE_TOLERANCE) -> float:
    """The allowed distance of an hour from its expectation, `hours` after the last good one.

    Args:
        hours: since the last good hour.
        weight: of the neighbouring days that gave the shape; 0: there were none.
        single_hour: the tolerance one hour after a good one.
    """
    factor = 1.0 if weight > FULL_WEIGHT else DAY_ONLY_FACTOR if weight > 0 else NO_SHAPE_FACTOR
    if hours == 1:
        return factor * single_hour
    return min(factor * single_hour * math.pow(hours, TOLERANCE_GROWTH), DEVIATION_TOLERANCE)


def name_of_departure(hours_since_good: int, *, hour_before_was_off: bool) -> Flag:
    """Which heuristic an hour that is out of tolerance falls under."""
    if hours_since_good == 1:
        return Flag.SPIKE
    return Flag.LEVEL_JUMP if hour_before_was_off else Flag.DEVIATION


class Scan:
    """One walk through the hours in their order.

    Invariant: `step(t)` reads served values and shapes at positions up to `t` only, and what it returned is
    never changed. `past` is the cleaned past (logarithms): it may be corrected backwards when an hour tells
    more about earlier ones, which changes the judgement of later hours but no verdict already given.
    """

    def __init__(
        self,
        logs: Floats,
        frozen: Booleans,
        neighbours: list[list[int]],
        *,
        single_hour: float,
        persistence: int,
    ) -> None:
        self._logs: list[float] = logs.tolist()
        self._frozen: list[bool] = frozen.tolist()
        self._neighbours = neighbours
        self._single_hour = single_hour
        self._persistence = persistence
        # One more NaN at the end: position −1, "there is no such hour", reads as unknown.
        self.past: list[float] = [math.nan] * (len(logs) + 1)
        self._good = self._good_before = -1  # the last good hour and the one before it
        self._surprise = 0.0  # how far that good hour lay from what was expected an hour before
        self._departed: list[int] = []  # the hours of the departure that is going on
        self._before_step = -1  # the last good hour before a step that was taken for real
        self._step_size = 0.0

    def run(self) -> tuple[list[Flag | None], Floats]:
        """Every hour's flag, and what was expected of it (logarithm; NaN: nothing could be)."""
        verdicts = [self.step(position) for position in range(len(self._logs))]
        flags = [flag for flag, _ in verdicts]
        return flags, np.array([expected for _, expected in verdicts], dtype=float)

    def step(self, now: int) -> tuple[Flag | None, float]:
        """The verdict on the hour at position `now`, and what was expected of it."""
        value = self._logs[now]
        if self._frozen[now]:
            self._disbelieve_hour_before(now)
        expected, weight = self._expected(now, self._good)
        if now - self._good > MAX_IMPUTED_HOURS:
            expected = math.nan
        flag = self._judge(now, value, expected, weight)
        if flag is None:
            self.past[now] = value
            self._review_departed(now)
            fresh = self._good == now - 1 and not math.isnan(expected)
            self._surprise = value - expected if fresh else 0.0
            self._good_before, self._good = self._good, now
        else:
            self.past[now] = expected
        return flag, expected

    def _judge(self, now: int, value: float, expected: float, weight: float) -> Flag | None:
        if math.isnan(value):
            return Flag.ZERO_OR_MISSING
        if self._frozen[now]:
            return Flag.IDENTICAL_RUN
        if math.isnan(expected):  # the first value, or the first after a very long gap
            return None
        hours = now - self._good
        error, allowed = value - expected, tolerance(hours, weight, self._single_hour)
        if abs(error) <= allowed or (hours == 1 and self._is_ramp(error, allowed)):
            return None
        if self._is_way_back(now, value) or self._has_persisted(now, value, error):
            return None
        hour_before_was_off = bool(self._departed) and self._departed[-1] == now - 1
        self._departed.append(now)
        return name_of_departure(hours, hour_before_was_off=hour_before_was_off)

    def _is_ramp(self, error: float, allowed: float) -> bool:
        """Whether the surprise of the hour before explains the error of this one."""
        return abs(error - MOMENTUM * self._surprise) <= MOMENTUM_SHARE * allowed

    def _is_way_back(self, now: int, value: float) -> bool:
        """Whether the value fits the level before a step that was taken for real, and so ends the step.

        The step's hours, true or not, are not a pattern for later days: in the past they are levelled.
        """
        before = self._before_step
        if before < 0 or now - before > STEP_MEMORY_HOURS:
            return False
        expected, weight = self._expected(now, before)
        allowed = tolerance(now - before, weight, self._single_hour)
        if abs(value - expected) > min(allowed, abs(self._step_size) / 2):
            return False
        for hour in range(before + 1, now):
            self.past[hour] = self._expected(hour, before)[0]
        self._before_step = -1
        return True

    def _has_persisted(self, now: int, value: float, error: float) -> bool:
        """Whether the departure has lasted long enough to be real."""
        if not self._departed:
            return False
        last = self._departed[-1]
        # Compared with the departed hour itself; doubled, as the shape of a changed day differs more.
        change, weight = self._change(now, last)
        if abs(value - self._logs[last] - change) > 2 * tolerance(now - last, weight, self._single_hour):
            self._departed.clear()  # another level: the count starts again
            return False
        small = abs(error) <= SMALL_DEPARTURE
        if len(self._departed) < (SMALL_PERSISTENCE_HOURS if small else self._persistence):
            return False
        if not small:
            self._before_step, self._step_size = self._good, error
        return True

    def _review_departed(self, now: int) -> None:
        """Review the departed hours in the past, now that a good hour follows them.

        One that fits the good hour was a steep ramp and not an error: the past keeps it as served, or each
        false alarm would make the shape of next week's same hour wrong and raise another one.
        """
        for hour in reversed(self._departed):
            change, weight = self._change(now, hour)
            if abs(self.past[now] - change - self._logs[hour]) <= tolerance(now - hour, weight):
                self.past[hour] = self._logs[hour]
        self._departed.clear()

    def _disbelieve_hour_before(self, now: int) -> None:
        """The second value of a frozen run passed as good; from the third on it is not an anchor any more."""
        if self._good == now - 1 and self._good_before >= 0:
            self._good, self._surprise = self._good_before, 0.0
            self.past[now - 1] = self._expected(now - 1, self._good)[0]

    def _expected(self, now: int, anchor: int) -> tuple[float, float]:
        """The shape at `now` at the anchor's level, and the weight of the days that gave the shape."""
        level = self.past[anchor]
        past, total, shape_now, shape_then = self.past, 0.0, 0.0, 0.0
        for (_, weight), places in zip(NEIGHBOUR_DAYS, self._neighbours, strict=True):
            here, there = past[places[now]], past[places[anchor]]
            if here == here and there == there:  # noqa: PLR0124  (the fast test for NaN)
                total += weight
                shape_now += weight * here
                shape_then += weight * there
        if total == 0.0:
            return level, 0.0
        fading = FADING_PER_HOUR ** (now - anchor)
        return shape_now / total + fading * (level - shape_then / total), total

    def _change(self, now: int, then: int) -> tuple[float, float]:
        """The change of the shape between two hours, and its weight."""
        past, total, change = self.past, 0.0, 0.0
        for (_, weight), places in zip(NEIGHBOUR_DAYS, self._neighbours, strict=True):
            difference = past[places[now]] - past[places[then]]
            if not math.isnan(difference):
                total += weight
                change += weight * difference
        return (change / total if total else 0.0), total


def _causal(served: Floats, logs: Floats, offsets: Positions) -> tuple[list[Flag | None], Floats]:
    neighbours = [_same_local_hour(offsets, -days).tolist() for days, _ in NEIGHBOUR_DAYS]
    scan = Scan(
        logs, identical_run(served), neighbours, single_hour=SPIKE_TOLERANCE, persistence=PERSISTENCE_HOURS
    )
    return scan.run()


def _two_sided(served: Floats, logs: Floats, offsets: Positions) -> tuple[list[Flag | None], Floats]:
    """An hour is off when it looks so from the past and from the future.

    A true step looks so from one side at a time, since the far side of it is good in itself.
    """
    frozen = whole_identical_run(served)
    size = len(logs)
    before = [_same_local_hour(offsets, -days) for days, _ in NEIGHBOUR_DAYS]
    after = [_same_local_hour(offsets, days) for days, _ in NEIGHBOUR_DAYS]
    # The walk back in time is the same walk on mirrored positions.
    mirrored = [np.where(places < 0, -1, size - 1 - places)[::-1].tolist() for places in after]
    walk = partial(Scan, single_hour=TWO_SIDED_TOLERANCE, persistence=TWO_SIDED_PERSISTENCE_HOURS)
    forward = walk(logs, frozen, [places.tolist() for places in before]).run()[0]
    backward = walk(logs[::-1], frozen[::-1], mirrored).run()[0][::-1]
    flags = [one if other is not None else None for one, other in zip(forward, backward, strict=True)]
    between = _between(logs, flags, [*before, *after])
    departed = ~zero_or_missing(served) & ~frozen
    near = departed & (np.abs(logs - between) <= TWO_SIDED_MARGIN)
    flags = [None if true else flag for flag, true in zip(flags, near, strict=True)]
    return flags, _between(logs, flags, [*before, *after])


def _between(logs: Floats, flags: list[Flag | None], neighbours: list[Positions]) -> Floats:
    """The logarithms with every flagged hour interpolated."""
    flagged = np.array([flag is not None for flag in flags], dtype=bool)
    return _interpolated(np.where(flagged, np.nan, logs), neighbours)


def _interpolated(logs: Floats, neighbours: list[Positions]) -> Floats:
    """The gaps filled by the shape of the days on both sides, its ratio interpolated between good hours."""
    good = ~np.isnan(logs)
    if not good.any():
        return logs
    hours = np.arange(len(logs))
    weights = [weight for _, weight in NEIGHBOUR_DAYS] * 2
    total, shape = np.zeros(len(logs)), np.zeros(len(logs))
    for weight, places in zip(weights, neighbours, strict=True):
        there = np.where(places < 0, np.nan, logs[places])
        usable = ~np.isnan(there)
        total += weight * usable
        shape += weight * np.where(usable, there, 0.0)
    # Where no neighbour is good the shape is flat, at the mean of all.
    shape = np.where(total > 0, shape / np.where(total > 0, total, 1.0), logs[good].mean())
    ratio = np.interp(hours, hours[good], (logs - shape)[good])
    last = np.maximum.accumulate(np.where(good, hours, -1))
    following = np.minimum.accumulate(np.where(good, hours, len(logs))[::-1])[::-1]
    too_long = following - last - 1 > MAX_IMPUTED_HOURS
    return np.where(good, logs, np.where(too_long, np.nan, shape + ratio))


def _hourly_grid(demand: pd.DataFrame) -> tuple[pd.DatetimeIndex, Floats]:
    missing = [name for name in ("period", TARGET_COLUMN) if name not in demand.columns]
    if missing:
        raise ValueError(f"demand lacks the column {', '.join(missing)}; it has {', '.join(demand.columns)}")
    periods = utc_index(demand["period"])
    if len(periods) == 0:
        return periods, np.empty(0)
    if not (periods == periods.floor("h")).all():
        raise ValueError("demand has a period that is not a full hour; periods are hours ending at :00 UTC")
    start = periods.min()
    positions = np.asarray((periods - start) // pd.Timedelta(HOUR), dtype=np.int64)
    served = np.full(int(positions.max()) + 1, np.nan)
    served[positions] = demand[TARGET_COLUMN].to_numpy(dtype=float)
    return pd.date_range(start, periods=len(served), freq="h", unit="us", name="period"), served


def _logs(served: Floats) -> Floats:
    unusable = zero_or_missing(served)
    return np.where(unusable, np.nan, np.log(np.where(unusable, 1.0, served)))


def _utc_offsets(periods: pd.DatetimeIndex, region: Region) -> Positions:
    """The region's offset from UTC at each period, in hours."""
    local = periods.tz_convert(region.zone).tz_localize(None)
    return np.asarray((local - periods.tz_localize(None)) // pd.Timedelta(HOUR), dtype=np.int64)


def _same_local_hour(offsets: Positions, days: int) -> Positions:
    """The position of the same local hour so many days later (negative: earlier), −1 outside the grid."""
    size = len(offsets)
    elapsed = np.arange(size) + 24 * days
    inside = np.clip(elapsed, 0, max(size - 1, 0))
    places = elapsed + offsets - offsets[inside]
    return np.where((places < 0) | (places >= size), -1, places)
