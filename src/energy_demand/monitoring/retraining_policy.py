"""The retraining policy. Pure: evidence in, a decision with its reason out.

The first trigger that applies is named: forecast error first, then concept drift, then data drift, then age.
During the cooldown after a retraining only a person can start another one, because a new champion needs days
of forecasts before it can be compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from energy_demand.limits import DRIFT_SHARE_THRESHOLD, PERFORMANCE_MAE_THRESHOLD
from energy_demand.monitoring.performance_monitor import FEWEST_DAYS

if TYPE_CHECKING:
    from datetime import date, datetime, tzinfo

    from energy_demand.monitoring.performance_monitor import Comparison


class Trigger(StrEnum):
    """The reason for a retraining."""

    PERFORMANCE = "performance"
    CONCEPT = "concept"
    DRIFT = "drift"
    AGE = "age"
    MANUAL = "manual"

    @property
    def is_routine(self) -> bool:
        """Whether nothing is wrong with the champion, so that the challenger only has to be no worse."""
        return self in {Trigger.AGE, Trigger.MANUAL}


@dataclass(frozen=True)
class Policy:
    """The thresholds of the triggers. The defaults follow from docs/continuous-learning.md."""

    drift_share: float = DRIFT_SHARE_THRESHOLD
    mae_mwh: float = PERFORMANCE_MAE_THRESHOLD
    max_age: timedelta = timedelta(days=90)
    # A contest needs 14 whole days that the champion was not trained on.
    cooldown: timedelta = timedelta(days=16)

    @classmethod
    def of_days(cls, max_age: int, cooldown: int) -> Policy:
        """A policy with this maximum age and cooldown, in days, as the settings give them."""
        return cls(max_age=timedelta(days=max_age), cooldown=timedelta(days=cooldown))


@dataclass(frozen=True)
class Evidence:
    """Everything that a decision is based on.

    Attributes:
        now: time of the decision.
        trained_through: of the champion; None where no model serves.
        last_retraining: when the last one began, promoted or not; None if there was none.
        challenger_since: when the challenger in the shadow was trained; None without one.
        drift_share: of the data, None where it could not be compared.
        concept_alarm: the newest day on which a chart alarmed since the champion was trained.
        comparison: of the champion's own newest forecasts with its holdout error.
        zone: of the days.
    """

    now: datetime
    trained_through: datetime | None
    last_retraining: datetime | None = None
    challenger_since: datetime | None = None
    drift_share: float | None = None
    concept_alarm: date | None = None
    comparison: Comparison | None = None
    zone: tzinfo = UTC


@dataclass(frozen=True)
class Decision:
    """Whether to retrain, the trigger, and the reason in one line."""

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
        return Decision(retrain=False, trigger=None, reason=_no_trigger(evidence, policy))
    trigger, reason = next(iter(found.items()))
    if evidence.challenger_since is not None:
        since = f"{evidence.challenger_since:%Y-%m-%dT%H:%MZ}"
        reason = f"{reason}; a challenger is in the shadow since {since}, and is decided on first"
        return Decision(retrain=False, trigger=trigger, reason=reason)
    if evidence.last_retraining is not None:
        cooldown_end = evidence.last_retraining + policy.cooldown
        if evidence.now < cooldown_end:
            return Decision(
                retrain=False,
                trigger=trigger,
                reason=f"{reason}; in cooldown until {cooldown_end:%Y-%m-%dT%H:%MZ}",
            )
    return Decision(retrain=True, trigger=trigger, reason=reason)


def signals(evidence: Evidence, policy: Policy) -> dict[Trigger, str]:
    """Every trigger that applies, with its reason, in order of precedence."""
    found: dict[Trigger, str] = {}
    recent = evidence.comparison
    if recent is not None and recent.days < FEWEST_DAYS:
        recent = None  # one bad day is not a bad model
    if recent is not None and recent.mae is not None and recent.mae > policy.mae_mwh:
        found[Trigger.PERFORMANCE] = (
            f"MAE of the last {recent.days} days is {recent.mae:,.0f} MWh, above {policy.mae_mwh:,.0f} MWh"
        )
    elif recent is not None and recent.worse:
        found[Trigger.PERFORMANCE] = (
            f"MAPE of the last {recent.days} days is {recent.mape:.2f} %, {recent.ratio:.1f} × the "
            f"{recent.expected_mape:.2f} % expected from the champion's holdout (p = {recent.p_value:.3f})"
        )
    alarm = evidence.concept_alarm
    last = evidence.last_retraining  # it was trained on the days before it
    if alarm is not None and (last is None or alarm >= last.astimezone(evidence.zone).date()):
        found[Trigger.CONCEPT] = (
            f"concept drift since {alarm}: demand no longer follows weather and calendar as in training"
        )
    if evidence.drift_share is not None and evidence.drift_share > policy.drift_share:
        found[Trigger.DRIFT] = f"drift share {evidence.drift_share:.2f}, above {policy.drift_share:.2f}"
    age = _age(evidence)
    if age > policy.max_age:
        found[Trigger.AGE] = f"the champion is {age.days} days old, above {policy.max_age.days} days"
    return found


def _no_trigger(evidence: Evidence, policy: Policy) -> str:
    recent = evidence.comparison
    parts = [
        "drift share unknown"
        if evidence.drift_share is None
        else f"drift share {evidence.drift_share:.2f} (limit {policy.drift_share:.2f})",
        "no scheduled forecasts to score"
        if recent is None or recent.mape is None
        else f"MAPE {recent.mape:.2f} %"
        + ("" if recent.expected_mape is None else f" (expected {recent.expected_mape:.2f} %)"),
        f"champion {_age(evidence).days} days old (limit {policy.max_age.days})",
    ]
    return "no trigger: " + ", ".join(parts)


def _age(evidence: Evidence) -> timedelta:
    if evidence.trained_through is None:
        return timedelta(0)
    return evidence.now - evidence.trained_through
