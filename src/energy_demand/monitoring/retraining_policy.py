"""The retraining policy. Pure: evidence in, a decision with its reason out.

The first trigger that applies is named: forecast error first, then concept drift, then data drift, then age.
Its cause is diagnosed; where a retraining cannot help against that cause, the next trigger is considered.
During the cooldown after a retraining only a person can start another one, because a new champion needs days
of forecasts before it can be compared.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from energy_demand.limits import DRIFT_SHARE_THRESHOLD, PERFORMANCE_MAE_THRESHOLD
from energy_demand.monitoring.diagnosis import Cause, Circumstances, Diagnosis, Symptoms, diagnose
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
        circumstances: of sources, weather and residuals, to diagnose the triggers.
    """

    now: datetime
    trained_through: datetime | None
    last_retraining: datetime | None = None
    challenger_since: datetime | None = None
    drift_share: float | None = None
    concept_alarm: date | None = None
    comparison: Comparison | None = None
    zone: tzinfo = UTC
    circumstances: Circumstances = field(default_factory=Circumstances)


@dataclass(frozen=True)
class Decision:
    """Whether to retrain, the trigger, the reason in one line, and the cause of the trigger.

    Without a trigger the cause is that of a check that could not judge the champion, or None.
    """

    retrain: bool
    trigger: Trigger | None
    reason: str
    cause: Cause | None = None


def decide(evidence: Evidence, policy: Policy | None = None) -> Decision:
    """The decision and its reason."""
    policy = policy or Policy()
    if evidence.trained_through is None:
        reason = "no model serves yet; run `energy-demand train` to train the first one"
        return Decision(retrain=False, trigger=None, reason=reason)
    found = signals(evidence, policy)
    if not found:
        diagnosis = diagnose(_symptoms(None, evidence, policy))
        reason = f"{_no_trigger(evidence, policy)}{_caused(diagnosis)}"
        return Decision(
            retrain=False, trigger=None, reason=reason, cause=None if diagnosis is None else diagnosis.cause
        )
    trigger, diagnosis = _diagnosed(found, evidence, policy)
    cause, reason = diagnosis.cause, f"{found[trigger]}{_caused(diagnosis)}"
    if not diagnosis.may_retrain:
        return Decision(retrain=False, trigger=trigger, reason=f"{reason}; no retraining", cause=cause)
    if evidence.challenger_since is not None:
        since = f"{evidence.challenger_since:%Y-%m-%dT%H:%MZ}"
        reason = f"{reason}; a challenger is in the shadow since {since}, and is decided on first"
        return Decision(retrain=False, trigger=trigger, reason=reason, cause=cause)
    if evidence.last_retraining is not None:
        cooldown_end = evidence.last_retraining + policy.cooldown
        if evidence.now < cooldown_end:
            reason = f"{reason}; in cooldown until {cooldown_end:%Y-%m-%dT%H:%MZ}"
            return Decision(retrain=False, trigger=trigger, reason=reason, cause=cause)
    return Decision(retrain=True, trigger=trigger, reason=reason, cause=cause)


def _diagnosed(found: dict[Trigger, str], evidence: Evidence, policy: Policy) -> tuple[Trigger, Diagnosis]:
    """The first trigger whose cause may retrain, or else the first one."""
    diagnoses = {
        trigger: diagnosis
        for trigger in found
        if (diagnosis := diagnose(_symptoms(trigger, evidence, policy))) is not None
    }
    answerable = (each for each in diagnoses.items() if each[1].may_retrain)
    return next(answerable, next(iter(diagnoses.items())))


def _symptoms(trigger: Trigger | None, evidence: Evidence, policy: Policy) -> Symptoms:
    """The triggers that apply, also on the days without a fault and without columns of a changed provider."""
    known = evidence.circumstances
    sound = replace(
        evidence,
        comparison=known.sound_comparison,
        concept_alarm=known.sound_alarm,
        drift_share=known.sound_share,
    )
    unchanged = replace(evidence, drift_share=known.unchanged_share)
    present, on_sound_days, without_change = (
        frozenset(each.value for each in signals(which, policy)) for which in (evidence, sound, unchanged)
    )
    name = None if trigger is None else trigger.value
    return Symptoms(name, present, on_sound_days, without_change, known)


def _caused(diagnosis: Diagnosis | None) -> str:
    """The cause as a phrase of the reason; empty for a routine retraining."""
    if diagnosis is None or diagnosis.cause is Cause.ROUTINE:
        return ""
    return f"; cause: {diagnosis.cause} ({diagnosis.reason})"


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
