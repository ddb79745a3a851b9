"""Sequential tests of two models on their daily errors: one is better, or more days are needed. Pure.

The gain of a day is the logarithm of the ratio of both models' mean absolute percentage errors, so that a
difficult day weighs no more than an easy one and 0.03 means 3 % better. Both tests may be asked every day
without more false answers than their error rate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from energy_demand.model.expected_errors import SIGMA_PER_MAD

if TYPE_CHECKING:
    from energy_demand.arrays import Floats

# Daily errors of two refits of one recipe differ by 5 to 9 % (standard deviation; benchmarks/contest.py).
LEAST_DEVIATION = 0.04
# Two models whose gains vary by less than 0.1 % are one model for every purpose.
LEAST_VARIANCE = 0.001**2
# One look in two thousand goes over it by chance.
LARGEST_BOUNDARY = 3.29
# Gains further out than this many robust standard deviations count as that far: one day decides nothing.
WINSORISED_AT = 3.0


@dataclass(frozen=True)
class Look:
    """One look at the days so far.

    Attributes:
        days: how many.
        statistic: standardised gain; None with too few days.
        boundary: the statistic that proves it.
    """

    days: int
    statistic: float | None
    boundary: float

    @property
    def proven(self) -> bool:
        """Whether the second model is proven better."""
        return self.statistic is not None and self.statistic >= self.boundary


def daily_gains(first: Floats, second: Floats) -> Floats:
    """By how much the second model was better on each day: log of the ratio of both daily errors.

    Args:
        first: daily errors of one model, any positive scale.
        second: those of the other on the same days.
    """
    least = np.finfo(float).tiny
    return np.log(np.maximum(first, least) / np.maximum(second, least))


def group_sequential(gains: Floats, *, planned: int, fewest: int, error_rate: float) -> Look:
    """Whether the mean gain is above zero, by the newest of up to daily looks at a planned number of days.

    The studentised mean, its variance corrected for the correlation of neighbouring days (see
    `studentised`), against O'Brien and Fleming's boundary (1979): c / √(share of the planned days), with
    2 (1 - Φ(c)) = `error_rate` by the reflection principle, so that looking every day is paid for (Lan and
    DeMets 1983). Early it is capped at `LARGEST_BOUNDARY` (Haybittle 1971, Peto 1976): what is gross need not
    wait, and so improbable a look costs next to nothing.

    Args:
        gains: of the days so far, in order.
        planned: days after which there is no further look; of more days the newest count.
        fewest: with fewer days nothing is proven.
        error_rate: probability of proving a gain where there is none.
    """
    from scipy import stats  # noqa: PLC0415  (half a second that only a contest needs)

    gains = winsorised(gains[-planned:])
    days = len(gains)
    boundary = float(stats.norm.isf(error_rate / 2)) / math.sqrt(max(days, 1) / planned)
    boundary = min(boundary, LARGEST_BOUNDARY)
    return Look(days, studentised(gains) if days >= fewest else None, boundary)


def studentised(gains: Floats, lag: int = 1) -> float | None:
    """The mean in standard errors, as a normal deviate (Diebold and Mariano 1995).

    Corrected for few days as by Harvey, Leybourne and Newbold (1997): Bartlett's weights for the variance,
    Student's distribution for the quantile.

    Args:
        gains: one per day.
        lag: days over which gains are correlated; day-ahead forecasts overlap by one.

    Returns:
        None where there are too few days or all gains are zero.
    """
    from scipy import stats  # noqa: PLC0415

    size = len(gains)
    if size < 3 or not np.abs(gains).max() > 0:
        return None
    centred = gains - gains.mean()
    variance = float(centred @ centred) / size
    for step in range(1, lag + 1):
        # Bartlett's weights keep the variance positive.
        variance += 2 * (1 - step / (lag + 1)) * float(centred[step:] @ centred[:-step]) / size
    variance = max(variance, LEAST_VARIANCE)
    horizon = lag + 1
    correction = (size + 1 - 2 * horizon + horizon * (horizon - 1) / size) / size
    student = float(gains.mean()) / math.sqrt(variance / size) * math.sqrt(correction)
    # The deviate of the smaller tail, which is exact far out too.
    return math.copysign(float(stats.norm.isf(stats.t.sf(abs(student), df=size - 1))), student)


def winsorised(gains: Floats) -> Floats:
    """Gains with those that are far from the median drawn in to `WINSORISED_AT` robust deviations."""
    if len(gains) < 3:
        return gains
    centre = float(np.median(gains))
    deviation = SIGMA_PER_MAD * float(np.median(np.abs(gains - centre)))
    spread = WINSORISED_AT * max(deviation, LEAST_DEVIATION)
    return np.clip(gains, centre - spread, centre + spread)


def always_valid(gains: Floats, *, deviation: float, effect: float, error_rate: float) -> Look:
    """Whether the mean gain is above zero, from the first day on and for as long as one likes.

    The mixture sequential probability ratio test (Robbins 1970; Johari, Koomen, Pekelis and Walsh 2022) of a
    normal mean with known deviation: proven once the likelihood ratio, averaged over half-normal gains of
    the size `effect`, reaches 1 / `error_rate`. As a boundary of the standardised mean after n days, with
    r = n effect² / deviation²: √((1 + 1/r) (2 ln(1 / (2 error_rate)) + ln(1 + r))).

    Args:
        gains: of the days so far, in order.
        deviation: standard deviation of a day's gain where both models are equal.
        effect: the size of gain that is looked for.
        error_rate: probability of ever proving a gain where there is none.
    """
    days = len(gains)
    ratio = max(days, 1) * effect**2 / deviation**2
    boundary = math.sqrt((1 + 1 / ratio) * (2 * math.log(0.5 / error_rate) + math.log1p(ratio)))
    statistic = float(gains.mean()) * math.sqrt(days) / deviation if days else None
    return Look(days, statistic, boundary)
