"""Whether a challenger may serve. Pure: forecasts of the same hours in, verdict out.

Both are compared day by day on hours that neither was fitted on. A challenger that was asked for because
something is wrong must prove that it helps: better by a margin, or significantly (Diebold and Mariano 1995,
corrected for few days by Harvey, Leybourne and Newbold 1997). A refit because of age needs only not to be
worse. Neither serves where a kind of hour that people count on gets materially worse. The first model needs
no rival; where there are too few days, nothing is proven and the champion stays.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from energy_demand.model.metrics import Scores, scores

if TYPE_CHECKING:
    from energy_demand.arrays import Floats


CONTEST_DAYS = 14
# A refit because of age needs only not to be worse.
WORSE_BY_PERCENT = 1.0
BETTER_BY_PERCENT = 2.0
SIGNIFICANT = 0.05
ABSURD_PERCENT = 100.0  # a model that errs by more serves nobody, whatever the champion is like
# A slice with fewer days is chance.
SLICE_DAYS = 5
SLICE_WORSE_BY_PERCENT = 5.0
PEAK_HOURS = 4  # of a day, those with the most demand
HOT_DAY_CELSIUS = 30.0  # warmest hour
FEWEST_HOURS = 12  # of a day, to count it


@dataclass(frozen=True)
class SliceScore:
    """Both models on one kind of hour."""

    days: int
    challenger_mape: float
    champion_mape: float
    worse: bool


@dataclass(frozen=True)
class Verdict:
    """What was decided, why, and on which scores.

    Attributes:
        promoted: whether the challenger may serve.
        reason: in one line.
        challenger: its scores.
        champion: its scores on the same hours.
        days: how many were compared.
        p_value: of the test that the challenger is not better; None where it cannot be made.
        slices: `peak_hours`, `weekends`, `hot_days`, those of at least `SLICE_DAYS` days.
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
        refit: it was asked for by hand or because of age, not because something is wrong.
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
        ours, theirs = (
            scores(hours["actual_mwh"], hours[f"{side}_mwh"]) for side in ("challenger", "champion")
        )
    if not ours["mape"] < ABSURD_PERCENT:
        return Verdict(promoted=False, reason=f"implausible forecasts: MAPE {ours['mape']:.3g} %", days=days)
    better = 100 * (1 - ours["mape"] / theirs["mape"]) if theirs["mape"] > 0 else 0.0
    p_value = diebold_mariano(_daily_losses(hours, "champion") - _daily_losses(hours, "challenger"))
    slices = _slices(hours)
    worse = [name.replace("_", " ") for name, each in slices.items() if each.worse]
    comparison = (
        f"MAPE {ours['mape']:.2f} % against {theirs['mape']:.2f} % on {ours['n']} hours of {days} days"
        + ("" if p_value is None else f", p = {p_value:.3f}")
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
        challenger=ours,
        champion=theirs,
        days=days,
        p_value=p_value,
        slices=slices,
    )


def first(tested: pd.DataFrame) -> Verdict:
    """The verdict on the first model, which needs no rival, but has to forecast something like demand.

    Args:
        tested: `actual_mwh` and `predicted_mwh` of its test days; may be empty.
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
    """One-sided p-value that the mean of daily gains in loss is not above zero.

    Args:
        gains: champion's loss minus challenger's, one a day.
        lag: days over which gains are correlated; day-ahead forecasts overlap by one.

    Returns:
        None where the days are too few or all alike.
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
    whole = per_day.index[per_day >= FEWEST_HOURS].sort_values()
    return hours[hours["day"].isin(whole[-CONTEST_DAYS:])]


def _off(hours: pd.DataFrame, side: str) -> pd.Series:
    return 100 * (hours[f"{side}_mwh"] - hours["actual_mwh"]).abs() / hours["actual_mwh"]


def _daily_losses(hours: pd.DataFrame, side: str) -> Floats:
    return _off(hours, side).groupby(hours["day"]).mean().to_numpy(dtype=float)


def _slices(hours: pd.DataFrame) -> dict[str, SliceScore]:
    rank = hours.groupby("day")["actual_mwh"].rank(ascending=False, method="first")
    weekday = pd.to_datetime(hours["day"]).dt.dayofweek
    chosen = {"peak_hours": rank <= PEAK_HOURS, "weekends": weekday >= 5}
    if "temperature" in hours:
        warmest = hours.groupby("day")["temperature"].transform("max")
        chosen["hot_days"] = warmest >= HOT_DAY_CELSIUS
    found = {}
    for name, rows in chosen.items():
        part = hours[rows]
        days = int(part["day"].nunique())
        if days < SLICE_DAYS:
            continue
        ours, theirs = (float(_off(part, side).mean()) for side in ("challenger", "champion"))
        worse = ours > theirs * (1 + SLICE_WORSE_BY_PERCENT / 100)
        found[name] = SliceScore(days, ours, theirs, bool(worse))
    return found
