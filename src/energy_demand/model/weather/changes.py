"""Whether a weather model has changed, by its errors day by day. Pure.

The likeliest day of a shift splits a window of daily errors in two (Hawkins 1977, Testing a sequence of
observations for a shift in location); the two parts are compared by mean and by variance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from energy_demand.arrays import Floats

FEWEST_BEFORE = 10  # days that a change is judged against
FEWEST_AFTER = 2  # days until a shift can be found
FEWEST_AFTER_SPREAD = 7  # and until another spread can be
# Errors of neighbouring days correlate by 0.2 to 0.45: a mean of them is so much less sure than of others.
LESS_SURE = 2.0
# The spread of few days is drawn to that of a usual model, as if so many more days had it.
USUAL_SPREAD, USUAL_DAYS = 0.8, 5.0  # °C
# Standard errors. On 560 days of a recorded model and of three that were derived from it, in windows of 45
# days, 3.2 finds a shift of 2 °C within 5 days (median; within 11 in nine of ten cases), and without a shift
# it is reached 1.4 times a year. Errors that grow to 2.5 times their size are found in nine of ten cases
# within 24 days, half of those within 8.
LIMIT = 3.2
SPREAD_LIMIT = 2.8

Kind = Literal["level", "spread"]


@dataclass(frozen=True)
class Change:
    """A change of a model's errors.

    Attributes:
        day: position of the first day after it.
        kind: `level`: its temperatures moved; `spread`: its errors grew or shrank.
        size: mean error since then minus the mean before, °C; or standard deviation over that before.
    """

    day: int
    kind: Kind
    size: float


def change_in(errors: Floats) -> Change | None:
    """The clearest change in a series of daily mean errors, or None.

    Args:
        errors: °C, forecast minus observed, day by day; NaN where unknown.
    """
    days = np.flatnonzero(~np.isnan(errors))
    known = errors[days]
    split = np.arange(FEWEST_BEFORE, len(known) - FEWEST_AFTER + 1)
    if len(split) == 0:
        return None
    before, after = split.astype(float), (len(known) - split).astype(float)
    total, squares = np.cumsum(known), np.cumsum(known**2)
    mean_before, mean_after = total[split - 1] / before, (total[-1] - total[split - 1]) / after
    sum_before = squares[split - 1] - before * mean_before**2
    sum_after = squares[-1] - squares[split - 1] - after * mean_after**2
    variance = (sum_before + sum_after + USUAL_DAYS * USUAL_SPREAD**2) / (len(known) - 2 + USUAL_DAYS)
    shift = (mean_after - mean_before) / np.sqrt(variance * LESS_SURE * (1.0 / before + 1.0 / after))
    clearest = int(np.argmax(np.abs(shift)))
    if abs(shift[clearest]) > LIMIT:
        size = float(mean_after[clearest] - mean_before[clearest])
        return Change(int(days[split[clearest]]), "level", size)
    prior = USUAL_DAYS * USUAL_SPREAD**2
    ratio = ((sum_after + prior) / (after + USUAL_DAYS)) / ((sum_before + prior) / (before + USUAL_DAYS))
    grown = 0.5 * np.log(ratio) / np.sqrt(0.5 * LESS_SURE * (1.0 / before + 1.0 / after))
    grown[after < FEWEST_AFTER_SPREAD] = 0.0
    clearest = int(np.argmax(np.abs(grown)))
    if abs(grown[clearest]) > SPREAD_LIMIT:
        return Change(int(days[split[clearest]]), "spread", float(np.sqrt(ratio[clearest])))
    return None
