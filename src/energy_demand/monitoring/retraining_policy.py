"""When to retrain. Pure: what was found in, a decision with its reason out.

The first trigger that applies is named, in the order of what it says about the model: its own error first,
then demand that no longer follows from weather, then data of another kind, then age. After a retraining none
but a person may ask again until the cooldown is over: a new champion needs days to show what it is worth.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from energy_demand.monitoring.drift_detection import DRIFT_SHARE_THRESHOLD

if TYPE_CHECKING:
    from datetime import date, datetime, tzinfo

    from energy_demand.monitoring.performance_monitor import Comparison

MAE_THRESHOLD_MWH = 1500.0


class Trigger(StrEnum):
    """What asked for a retraining."""

    PERFORMANCE = "performance"
    CONCEPT = "concept"
    DRIFT = "drift"
    AGE = "age"
    MANUAL = "manual"

    @property
    def needs_only_not_be_worse(self) -> bool:
        """Whether nothing is wrong with the champion, so that a refit need not prove that it helps."""
        return self in {Trigger.AGE, Trigger.MANUAL}


@dataclass(frozen=True)
class Policy:
    """How eager to be. The defaults follow from docs/continuous-learning.md."""

    drift_share: float = DRIFT_SHARE_THRESHOLD
    mae_mwh: float = MAE_THRESHOLD_MWH
    max_age: timedelta = timedelta(days=90)
    cooldown: timedelta = timedelta(days=16)  # a contest takes 14 whole days that a champion has not seen


@dataclass(frozen=True)
class Evidence:
    """What is known when a decision is made.

    Attributes:
        now: the moment of the decision.
        trained_through: of the champion; None where no model serves.
        last_retraining: when the last one began, promoted or not; None: never.
        drift_share: of the data, None where it could not be compared.
        concept_alarm: the newest day on which a chart alarmed since the champion was trained.
        comparison: of the newest forecasts with the champion's own error.
        zone: of the days.
    """

    now: datetime
    trained_through: datetime | None
    last_retraining: datetime | None = None
    drift_share: float | None = None
    concept_alarm: date | None = None
    comparison: Comparison | None = None
    zone: tzinfo = UTC


@dataclass(frozen=True)
class Decision:
    """Whether to retrain, what asked for it, and why, in one line."""

    retrain: bool
    trigger: Trigger | None
    reason: str


def decide(evidence: Evidence, policy: Policy | None = None) -> Decision:
    """The decision and its reason."""
    policy = policy or Policy()
    if evidence.trained_through is None:
        reason = "no model serves yet; run `energy-demand train` to train the first one"
        return Decision(retrain=False, trigger=None, reason=reason)
    found = signals(evidence, policy)
    if not found:
        return Decision(retrain=False, trigger=None, reason=_nothing(evidence, policy))
    trigger, reason = next(iter(found.items()))
    if evidence.last_retraining is not None:
        over = evidence.last_retraining + policy.cooldown
        if evidence.now < over:
            return Decision(
                retrain=False, trigger=trigger, reason=f"{reason}; in cooldown until {over:%Y-%m-%dT%H:%MZ}"
            )
    return Decision(retrain=True, trigger=trigger, reason=reason)


def signals(evidence: Evidence, policy: Policy) -> dict[Trigger, str]:
    """Every trigger that applies, with why; the one that counts first."""
    found: dict[Trigger, str] = {}
    made = evidence.comparison
    if made is not None and made.mae is not None and made.mae > policy.mae_mwh:
        found[Trigger.PERFORMANCE] = (
            f"MAE of the last {made.days} days is {made.mae:,.0f} MWh, above {policy.mae_mwh:,.0f} MWh"
        )
    elif made is not None and made.worse:
        found[Trigger.PERFORMANCE] = (
            f"MAPE of the last {made.days} days is {made.mape:.2f} %, {made.ratio:.1f} × the "
            f"{made.expected_mape:.2f} % expected from the champion's holdout (p = {made.p_value:.3f})"
        )
    alarm = evidence.concept_alarm
    answered = evidence.last_retraining  # which knew the days before it
    if alarm is not None and (answered is None or alarm >= answered.astimezone(evidence.zone).date()):
        found[Trigger.CONCEPT] = (
            f"concept drift since {alarm}: demand no longer follows weather and calendar as in training"
        )
    if evidence.drift_share is not None and evidence.drift_share > policy.drift_share:
        found[Trigger.DRIFT] = f"drift share {evidence.drift_share:.2f}, above {policy.drift_share:.2f}"
    age = _age(evidence)
    if age > policy.max_age:
        found[Trigger.AGE] = f"the champion is {age.days} days old, above {policy.max_age.days} days"
    return found


def _nothing(evidence: Evidence, policy: Policy) -> str:
    made = evidence.comparison
    parts = [
        "drift share unknown"
        if evidence.drift_share is None
        else f"drift share {evidence.drift_share:.2f} (limit {policy.drift_share:.2f})",
        "no scheduled forecasts to score"
        if made is None or made.mape is None
        else f"MAPE {made.mape:.2f} %"
        + ("" if made.expected_mape is None else f" (expected {made.expected_mape:.2f} %)"),
        f"champion {_age(evidence).days} days old (limit {policy.max_age.days})",
    ]
    return "no trigger: " + ", ".join(parts)


def _age(evidence: Evidence) -> timedelta:
    if evidence.trained_through is None:
        return timedelta(0)
    return evidence.now - evidence.trained_through
