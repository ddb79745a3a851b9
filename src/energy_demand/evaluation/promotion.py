"""The verdict on a challenger. Pure: forecasts of the same hours in, verdict out.

Both models are compared day by day on hours that neither was fitted on. A challenger trained because
something is wrong must be better by a margin, or significantly better (Diebold and Mariano 1995, corrected
for few days by Harvey, Leybourne and Newbold 1997). A routine refit, by age or by hand, only has to be no
worse. No challenger is promoted that is materially worse on peak hours, weekends or hot days. The first model
has no rival; with too few days the champion stays.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from energy_demand.model.metrics import Scores, scores
from energy_demand.timeaxis import FEWEST_HOURS_OF_DAY

if TYPE_CHECKING:
    from energy_demand.arrays import Floats


CONTEST_DAYS = 14
# A routine refit may be worse by at most this.
WORSE_BY_PERCENT = 1.0
BETTER_BY_PERCENT = 2.0
SIGNIFICANT = 0.05
ABSURD_PERCENT = 100.0  # MAPE; a model with a larger one is never promoted
# A slice with fewer days is not compared.
SLICE_DAYS = 5
SLICE_WORSE_BY_PERCENT = 5.0
PEAK_HOURS = 4  # of each day, the hours with the most demand
HOT_DAY_CELSIUS = 30.0  # in the warmest hour


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
        promoted: whether the challenger may serve.
        reason: in one line.
        challenger: its scores.
        champion: its scores on the same hours.
        days: how many were compared.
        p_value: of the null hypothesis that the challenger is not better; None where it cannot be tested.
        slices: `peak_hours`, `weekends`, `hot_days`; only slices of at least `SLICE_DAYS` days.
    """

    promoted: bool
    reason: str
    challenger: Scores | None = None
    champion: Scores | None = None
    days: int = 0
    p_value: float | None = None
    slices: dict[str, SliceScore] = field(default_factory=dict)


FIRST = Verdict(promoted=True, reason="first model, promoted without a contest")


def judge(contest: pd.DataFrame, *, refit: bool = True) -> Verdict:
    """The verdict on a challenger.

    Args:
        contest: hours that neither model was fitted on: `day` (local), `actual_mwh`, `challenger_mwh`,
            `champion_mwh`, and optionally `temperature` (°C). The newest `CONTEST_DAYS` days count.
        refit: a routine refit, by hand or by age; False if something is wrong with the champion.
    """
    hours = _newest_days(contest.dropna(subset=["actual_mwh", "challenger_mwh", "champion_mwh"]))
    days = int(hours["day"].nunique())
    if days < CONTEST_DAYS:
        return Verdict(
            promoted=False,
            reason=f"only {days} days that neither model was trained on; {CONTEST_DAYS} are needed",
            days=days,
        )
    with np.errstate(over="ignore", invalid="ignore"):
        challenger, champion = (
            scores(hours["actual_mwh"], hours[f"{side}_mwh"]) for side in ("challenger", "champion")
        )
    if not challenger["mape"] < ABSURD_PERCENT:
        return Verdict(
            promoted=False, reason=f"implausible forecasts: MAPE {challenger['mape']:.3g} %", days=days
        )
    better = 100 * (1 - challenger["mape"] / champion["mape"]) if champion["mape"] > 0 else 0.0
    p_value = diebold_mariano(_daily_losses(hours, "champion") - _daily_losses(hours, "challenger"))
    slices = _slices(hours)
    worse = [name.replace("_", " ") for name, score in slices.items() if score.worse]
    comparison = (
        f"MAPE {challenger['mape']:.2f} % against {champion['mape']:.2f} % "
        f"on {challenger['n']} hours of {days} days" + ("" if p_value is None else f", p = {p_value:.3f}")
    )
    significant = p_value is not None and p_value < SIGNIFICANT
    enough = better >= -WORSE_BY_PERCENT if refit else better >= BETTER_BY_PERCENT or significant
    if not enough:
        reason = "worse than the champion" if better < 0 else "not proven better than the champion"
    elif worse:
        reason = f"materially worse than the champion on {' and '.join(worse)}"
    elif better >= BETTER_BY_PERCENT or significant:
        reason = "better than the champion"
    else:
        reason = "not worse than the champion"
    return Verdict(
        promoted=enough and not worse,
        reason=f"{reason}: {comparison}",
        challenger=challenger,
        champion=champion,
        days=days,
        p_value=p_value,
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
    return Verdict(promoted=False, reason=f"implausible forecasts: MAPE {mape:.3g} %")


def diebold_mariano(gains: Floats, lag: int = 1) -> float | None:
    """One-sided p-value of the null hypothesis that the mean daily gain is not above zero.

    Args:
        gains: the champion's loss minus the challenger's, one per day.
        lag: days over which gains are correlated; day-ahead forecasts overlap by one.

    Returns:
        None where there are too few days or all gains are equal.
    """
    from scipy import stats  # noqa: PLC0415  (half a second that only a contest needs)

    size = len(gains)
    centred = gains - gains.mean() if size else gains
    if size < 3 or float(np.abs(centred).max()) < 1e-12:
        return None
    variance = float(centred @ centred) / size
    for step in range(1, lag + 1):
        # Bartlett's weights keep the variance positive.
        variance += 2 * (1 - step / (lag + 1)) * float(centred[step:] @ centred[:-step]) / size
    horizon = lag + 1
    correction = (size + 1 - 2 * horizon + horizon * (horizon - 1) / size) / size
    statistic = float(gains.mean()) / np.sqrt(variance / size) * np.sqrt(correction)
    return float(stats.t.sf(statistic, df=size - 1))


def _newest_days(hours: pd.DataFrame) -> pd.DataFrame:
    per_day = hours["day"].value_counts()
    whole = per_day.index[per_day >= FEWEST_HOURS_OF_DAY].sort_values()
    return hours[hours["day"].isin(whole[-CONTEST_DAYS:])]


def _percent_errors(hours: pd.DataFrame, side: str) -> pd.Series:
    return 100 * (hours[f"{side}_mwh"] - hours["actual_mwh"]).abs() / hours["actual_mwh"]


def _daily_losses(hours: pd.DataFrame, side: str) -> Floats:
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
