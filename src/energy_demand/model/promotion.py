"""Whether a challenger may serve. Pure: forecasts of the same hours in, verdict out.

The first model needs no rival. Later ones are compared with the champion on the same hours, none of
which either was fitted on; where there are too few such hours, nothing is proven and the champion stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from energy_demand.model.evaluate import Scores, scores

if TYPE_CHECKING:
    import pandas as pd

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


FIRST = Verdict(promoted=True, reason="the first model needs no rival")


def judge(contest: pd.DataFrame) -> Verdict:
    """The verdict on a challenger.

    Args:
        contest: hours that neither model was fitted on: `period`, `actual_mwh`, `challenger_mwh`,
            `champion_mwh`.
    """
    hours = contest.dropna()
    days = hours["period"].dt.floor("D").nunique()
    if days < CONTEST_DAYS:
        return Verdict(
            promoted=False,
            reason=f"only {days} days that neither model was fitted on, {CONTEST_DAYS} are needed",
        )
    ours, theirs = (scores(hours["actual_mwh"], hours[f"{side}_mwh"]) for side in ("challenger", "champion"))
    limit = theirs["mape"] * (1 + WORSE_BY_PERCENT / 100)
    promoted = ours["mape"] <= limit
    comparison = (
        f"MAPE {ours['mape']:.2f} % against {theirs['mape']:.2f} % on {ours['n']} hours of {days} days"
    )
    reason = f"not worse than the champion: {comparison}" if promoted else f"worse: {comparison}"
    return Verdict(promoted=promoted, reason=reason, challenger=ours, champion=theirs)
