"""The verdict on a challenger: promoted, refused, or not decided yet. Pure.

Champion and challenger are compared day by day on hours that neither was fitted on; see `sequential` for the
test. A challenger trained because something is wrong must be proven better. A routine refit, by age or by
hand, must be proven to be less than `WORSE_BY_PERCENT` worse. Until then, and until `PLANNED_DAYS`, the
challenger goes on in the shadow. None is promoted that is materially worse on peak hours, weekends or hot
days, or worse than the best champion of the last year: a chain of refits must not drift. The first model has
no rival.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from energy_demand.evaluation.sequential import Look, daily_gains, group_sequential, winsorised
from energy_demand.limits import HOLDOUT_DAYS, SHADOW_DAYS
from energy_demand.model.metrics import Scores, scores
from energy_demand.timeaxis import FEWEST_HOURS_OF_DAY

if TYPE_CHECKING:
    from energy_demand.arrays import Floats


# Days that neither model has seen: with fewer nothing is decided, and after so many everything is.
FEWEST_DAYS = 14
PLANNED_DAYS = HOLDOUT_DAYS + SHADOW_DAYS
# Probability of promoting a challenger that is no better. Nominal: benchmarks/contest.py measures it.
ERROR_RATE = 0.025
# A routine refit may be worse by less than this, and no challenger by more than the best of the year.
WORSE_BY_PERCENT = 2.0
ABSURD_PERCENT = 100.0  # MAPE; a model with a larger one is never promoted
# A slice with fewer days is not compared.
SLICE_DAYS = 5
SLICE_WORSE_BY_PERCENT = 5.0
PEAK_HOURS = 4  # of each day, the hours with the most demand
HOT_DAY_CELSIUS = 30.0  # in the warmest hour


class Decision(StrEnum):
    """What becomes of a challenger."""

    PROMOTED = "promoted"
    REFUSED = "refused"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class SliceScore:
    """Both models on one kind of hour."""

    days: int
    challenger_mape: float
    champion_mape: float
    worse: bool


@dataclass(frozen=True)
class Verdict:
    """The decision on a challenger, its reason, and the scores.

    Attributes:
        decision: of which `UNDECIDED` means that more days are needed.
        reason: in one line.
        challenger: its scores.
        champion: its scores on the same hours.
        days: how many were compared.
        gain_percent: by how much the challenger is better, the mean of the days.
        statistic: the standardised gain; None where it cannot be tested.
        boundary: the statistic that proves the challenger.
        slices: `peak_hours`, `weekends`, `hot_days`; only slices of at least `SLICE_DAYS` days.
    """

    decision: Decision
    reason: str
    challenger: Scores | None = None
    champion: Scores | None = None
    days: int = 0
    gain_percent: float | None = None
    statistic: float | None = None
    boundary: float | None = None
    slices: dict[str, SliceScore] = field(default_factory=dict)

    @property
    def promoted(self) -> bool:
        """Whether the challenger may serve."""
        return self.decision is Decision.PROMOTED

    @property
    def decided(self) -> bool:
        """Whether no more days are needed."""
        return self.decision is not Decision.UNDECIDED


FIRST = Verdict(Decision.PROMOTED, "first model, promoted without a contest")


def judge(contest: pd.DataFrame, *, refit: bool = True, last_look: bool = False) -> Verdict:
    """The verdict on a challenger.

    Args:
        contest: hours that neither model was fitted on: `day` (local), `actual_mwh`, `challenger_mwh`,
            `champion_mwh`, and optionally `best_mwh` (of the best champion of the last year) and
            `temperature` (°C). The newest `PLANNED_DAYS` days count.
        refit: a routine refit, by hand or by age; False if something is wrong with the champion.
        last_look: no more days will come, so that what is not proven is refused.
    """
    hours = newest_days(contest.dropna(subset=["actual_mwh", "challenger_mwh", "champion_mwh"]))
    days = int(hours["day"].nunique())
    last_look = last_look or days >= PLANNED_DAYS
    if days < FEWEST_DAYS:
        return Verdict(
            Decision.REFUSED if last_look else Decision.UNDECIDED,
            f"only {days} days that neither model was trained on; at least {FEWEST_DAYS} are needed",
            days=days,
        )
    with np.errstate(over="ignore", invalid="ignore"):
        challenger, champion = (
            scores(hours["actual_mwh"], hours[f"{side}_mwh"]) for side in ("challenger", "champion")
        )
    if not challenger["mape"] < ABSURD_PERCENT:
        reason = f"implausible forecasts: MAPE {challenger['mape']:.3g} %"
        return Verdict(Decision.REFUSED, reason, days=days)
    gains = daily_gains(daily_losses(hours, "champion"), daily_losses(hours, "challenger"))
    allowed = math.log1p(WORSE_BY_PERCENT / 100) if refit else 0.0
    look = _look(gains + allowed)
    # The test weighs days alike; the error of all hours must not say the opposite.
    proven = look.proven and challenger["mape"] <= champion["mape"] * math.exp(allowed)
    slices = _slices(hours)
    weak = [name.replace("_", " ") for name, score in slices.items() if score.worse]
    behind = _behind_the_best(hours)
    if proven and weak:
        decision, reason = Decision.REFUSED, f"materially worse than the champion on {' and '.join(weak)}"
    elif proven and behind > WORSE_BY_PERCENT:
        decision = Decision.REFUSED
        reason = f"{behind:.1f} % worse than the best champion of the last year"
    elif proven:
        decision = Decision.PROMOTED
        reason = f"{'not worse' if refit else 'better'} than the champion"
    elif _look(-gains - allowed).proven:
        decision, reason = Decision.REFUSED, "worse than the champion"
    else:
        decision = Decision.REFUSED if last_look else Decision.UNDECIDED
        reason = f"not proven to be {'no worse' if refit else 'better'} than the champion"
    tested = "" if look.statistic is None else f", z = {look.statistic:.2f} of {look.boundary:.2f}"
    return Verdict(
        decision,
        f"{reason}: MAPE {challenger['mape']:.2f} % against {champion['mape']:.2f} % "
        f"on {challenger['n']} hours of {days} days{tested}",
        challenger=challenger,
        champion=champion,
        days=days,
        gain_percent=100 * float(np.expm1(gains.mean())),
        statistic=look.statistic,
        boundary=look.boundary,
        slices=slices,
    )


def first(tested: pd.DataFrame) -> Verdict:
    """The verdict on the first model, which has no rival, but has to forecast plausible demand.

    Args:
        tested: `actual_mwh` and `predicted_mwh` of its holdout days; may be empty.
    """
    known = tested.dropna(subset=["actual_mwh"])
    if known.empty:
        return FIRST
    with np.errstate(over="ignore"):
        mape = float((100 * (known["predicted_mwh"] / known["actual_mwh"] - 1).abs()).mean())
    if mape < ABSURD_PERCENT:
        return FIRST
    return Verdict(Decision.REFUSED, f"implausible forecasts: MAPE {mape:.3g} %")


def newest_days(hours: pd.DataFrame) -> pd.DataFrame:
    """The rows of the newest `PLANNED_DAYS` local days that have enough hours."""
    per_day = hours["day"].value_counts()
    whole = per_day.index[per_day >= FEWEST_HOURS_OF_DAY].sort_values()
    return hours[hours["day"].isin(whole[-PLANNED_DAYS:])]


def _look(gains: Floats) -> Look:
    return group_sequential(gains, planned=PLANNED_DAYS, fewest=FEWEST_DAYS, error_rate=ERROR_RATE)


def _behind_the_best(hours: pd.DataFrame) -> float:
    """By how much (percent) the challenger is worse than the best champion of the year; 0 where unknown."""
    known = hours.dropna(subset=["best_mwh"]) if "best_mwh" in hours else hours.iloc[:0]
    if known["day"].nunique() < FEWEST_DAYS:
        return 0.0
    gains = daily_gains(daily_losses(known, "best"), daily_losses(known, "challenger"))
    return -100 * float(np.expm1(winsorised(gains).mean()))


def _percent_errors(hours: pd.DataFrame, side: str) -> pd.Series:
    return 100 * (hours[f"{side}_mwh"] - hours["actual_mwh"]).abs() / hours["actual_mwh"]


def daily_losses(hours: pd.DataFrame, side: str) -> Floats:
    """Mean absolute percentage error of `side` by day, in order of the days.

    Args:
        hours: `day`, `actual_mwh` and the column `{side}_mwh`.
        side: whose forecast.
    """
    return _percent_errors(hours, side).groupby(hours["day"]).mean().to_numpy(dtype=float)


def _slices(hours: pd.DataFrame) -> dict[str, SliceScore]:
    rank = hours.groupby("day")["actual_mwh"].rank(ascending=False, method="first")
    weekday = pd.to_datetime(hours["day"]).dt.dayofweek
    chosen = {"peak_hours": rank <= PEAK_HOURS, "weekends": weekday >= 5}
    if "temperature" in hours:
        warmest = hours.groupby("day")["temperature"].transform("max")
        chosen["hot_days"] = warmest >= HOT_DAY_CELSIUS
    scored = {}
    for name, rows in chosen.items():
        part = hours[rows]
        days = int(part["day"].nunique())
        if days < SLICE_DAYS:
            continue
        challenger, champion = (
            float(_percent_errors(part, side).mean()) for side in ("challenger", "champion")
        )
        worse = challenger > champion * (1 + SLICE_WORSE_BY_PERCENT / 100)
        scored[name] = SliceScore(days, challenger, champion, bool(worse))
    return scored
