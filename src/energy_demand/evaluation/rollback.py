"""The judgement of a promotion: the champion before it goes on in the shadow, and may come back. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from energy_demand.evaluation.promotion import FEWEST_DAYS, daily_losses, newest_days
from energy_demand.evaluation.sequential import LEAST_DEVIATION, always_valid, daily_gains, winsorised

if TYPE_CHECKING:
    import pandas as pd

# A loss of this size is to be found in days; a smaller one takes longer.
EFFECT = 0.10
# Probability of undoing a promotion of an equal model.
ERROR_RATE = 0.02
# Of the daily gains of two refits, where fewer than `FEWEST_DAYS` are known.
USUAL_DEVIATION = 0.08


@dataclass(frozen=True)
class Probation:
    """The judgement.

    Attributes:
        roll_back: whether the champion before is proven better.
        reason: in one line.
        days: how many were compared.
        gain_percent: by how much the champion before is better, the mean of the days.
        statistic: the standardised gain; None without days.
        boundary: the statistic that proves it.
    """

    roll_back: bool
    reason: str
    days: int
    gain_percent: float
    statistic: float | None
    boundary: float


def gain_deviation(contest: pd.DataFrame) -> float:
    """The standard deviation of the daily gains before a promotion, from the hours of its contest.

    Args:
        contest: as for `promotion.judge`.
    """
    hours = newest_days(contest.dropna(subset=["actual_mwh", "challenger_mwh", "champion_mwh"]))
    gains = daily_gains(daily_losses(hours, "champion"), daily_losses(hours, "challenger"))
    if len(gains) < FEWEST_DAYS:
        return USUAL_DEVIATION
    return max(float(winsorised(gains).std()), LEAST_DEVIATION)


def judge_promotion(hours: pd.DataFrame, deviation: float = USUAL_DEVIATION) -> Probation:
    """Whether the champion before a promotion is proven better since.

    Args:
        hours: since the promotion: `day` (local), `actual_mwh`, `champion_mwh`, `previous_mwh`.
        deviation: of `gain_deviation`.
    """
    known = newest_days(hours.dropna(subset=["actual_mwh", "champion_mwh", "previous_mwh"]))
    losses = {side: daily_losses(known, side) for side in ("champion", "previous")}
    gains = daily_gains(losses["champion"], losses["previous"])
    look = always_valid(winsorised(gains), deviation=deviation, effect=EFFECT, error_rate=ERROR_RATE)
    better = look.proven and bool(losses["previous"].mean() < losses["champion"].mean())
    compared = "no day to compare yet"
    if look.statistic is not None:
        before, now = (float(losses[side].mean()) for side in ("previous", "champion"))
        compared = (
            f"MAPE {before:.2f} % against {now:.2f} % on {look.days} days, "
            f"z = {look.statistic:.2f} of {look.boundary:.2f}"
        )
    return Probation(
        better,
        f"the champion before is {'' if better else 'not proven '}better: {compared}",
        look.days,
        100 * float(np.expm1(gains.mean())) if look.days else 0.0,
        look.statistic,
        look.boundary,
    )
