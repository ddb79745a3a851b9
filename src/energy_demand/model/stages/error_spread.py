"""How large recent errors are at each clock hour: a running variance, and a break on top of it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from energy_demand.arrays import Floats, Integers
    from energy_demand.model.stages.adaptive_regression import RegressionRecipe

# Root mean squares of the newest errors, in units of their spread, over so many hours: all but 5 % of such
# spans of 2022-08 … 2024-07 were below. From there on the spread widens with them, so that a break shows in
# the intervals within days, while the running variance takes months; in those years it changed no score.
STRAINED = ((3 * 24, 1.6), (14 * 24, 1.4))
REMEMBERED_SCORES = 14 * 24
LEAST_KNOWN = 0.5  # of these hours
LARGEST_SCORE = 5.0


def running_spread(
    before: Floats,
    scores: Floats,
    innovations: Floats,
    hours: Integers,
    batches: list[slice],
    recipe: RegressionRecipe,
) -> tuple[Floats, Floats, Floats]:
    """Go through consecutive hours, oldest first.

    Args:
        before: variance by clock hour, percent².
        scores: the last `REMEMBERED_SCORES` errors in units of their spread; NaN where unknown.
        innovations: the errors, percent; NaN where unknown.
        hours: the clock hour of each.
        batches: runs of consecutive hours without a repeated clock hour, in order.
        recipe: how fast the variance follows.

    Returns:
        The variance by clock hour and the newest scores after these hours, and the spread (percent) before
        each hour.
    """
    variance, spread = before.copy(), np.empty(len(innovations))
    known = len(scores)
    scores = np.concatenate([scores, np.empty(len(innovations))])
    for batch in batches:
        clock = hours[batch]
        current = variance[clock]
        seen = known + batch.start
        spread[batch] = strain(scores[seen - REMEMBERED_SCORES : seen]) * np.sqrt(current)
        scores[seen : seen + len(clock)] = innovations[batch] / np.sqrt(current)
        squared = np.minimum(innovations[batch] ** 2, current * recipe.outlier**2)
        variance[clock] = np.where(
            np.isnan(squared), current, current + recipe.forgetting * (squared - current)
        )
    return variance, scores[-REMEMBERED_SCORES:], spread


def strain(scores: Floats) -> float:
    """By how much the newest errors widen the spread: 1 unless they are unusually large, see `STRAINED`."""
    squared = np.minimum(scores**2, LARGEST_SCORE**2)
    widest = 1.0
    for hours, usual in STRAINED:
        newest = squared[-hours:]
        known = newest[~np.isnan(newest)]
        if len(known) >= LEAST_KNOWN * hours:
            widest = max(widest, float(np.sqrt(known.mean())) / usual)
    return widest
