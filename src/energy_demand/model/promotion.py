"""Whether a challenger may serve. Pure: scores in, verdict out.

The first model needs no rival. Later ones are compared with the champion on the same hours, none of
which either was fitted on; where there are too few such hours, nothing is proven and the champion stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from energy_demand.columns import TARGET
from energy_demand.model.evaluate import Scores, scores

if TYPE_CHECKING:
    import pandas as pd

    from energy_demand.model.forecaster import Forecaster

CONTEST_DAYS = 14
# A refit because of age needs only not to be worse.
WORSE_BY_PERCENT = 1.0


@dataclass(frozen=True)
class Verdict:
    """What was decided, why, and on which scores."""

    promoted: bool
    reason: str
    challenger: Scores | None = None
    champion: Scores | None = None


def judge(champion: Forecaster | None, challenger: Forecaster, rows: pd.DataFrame) -> Verdict:
    """The verdict on a challenger.

    Args:
        champion: the model that serves, or None.
        challenger: the fit that is scored; it has not seen `rows`.
        rows: feature rows; those that the champion was fitted on are left out.
    """
    if champion is None:
        return Verdict(promoted=True, reason="the first model needs no rival")
    rows = rows[(rows["timestamp"] > champion.trained_through) & rows[TARGET].notna()]
    days = rows["timestamp"].dt.floor("D").nunique()
    if days < CONTEST_DAYS:
        return Verdict(
            promoted=False,
            reason=f"only {days} days that neither model was fitted on, {CONTEST_DAYS} are needed",
        )
    actual = rows[TARGET]
    ours, theirs = (scores(actual, model.predict_point(rows)) for model in (challenger, champion))
    limit = theirs["mape"] * (1 + WORSE_BY_PERCENT / 100)
    promoted = ours["mape"] <= limit
    comparison = (
        f"MAPE {ours['mape']:.2f} % against {theirs['mape']:.2f} % on {ours['n']} rows of {days} days"
    )
    reason = f"not worse than the champion: {comparison}" if promoted else f"worse: {comparison}"
    return Verdict(promoted=promoted, reason=reason, challenger=ours, champion=theirs)
