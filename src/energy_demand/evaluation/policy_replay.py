"""A retraining policy over past days, under a simulated clock. Pure: a record in, what happened out.

Each day has two moments: at 09:00 the forecast of the next day is issued, at midnight the newest days are
checked and it is decided whether to retrain. Both see what was known then and nothing else. Checks,
decision and contest are those that run every day.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import pandas as pd

from energy_demand.evaluation.backtest import Predict, Walk
from energy_demand.evaluation.contest import contest, day_ahead, holdout_error, unseen_days
from energy_demand.model.metrics import coverage, scores
from energy_demand.model.train import Recipe, fit
from energy_demand.monitoring.concept_drift import daily_residuals, run_charts
from energy_demand.monitoring.drift_detection import run_drift_check, wasserstein_scores
from energy_demand.monitoring.performance_monitor import JUDGED_DAYS, Comparison, compare
from energy_demand.monitoring.retraining_policy import Evidence, Policy, Trigger, decide, signals
from energy_demand.monitoring.watched_rows import REFERENCE_DAYS, rows_between, watched_rows, window_of
from energy_demand.timeaxis import (
    day_ahead_issue,
    day_periods,
    local_day,
    local_midnight,
    utc_index,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from energy_demand.data.record import Record
    from energy_demand.evaluation.injection import Injection
    from energy_demand.model.base.booster import BaseBooster
    from energy_demand.model.forecaster import Forecaster
    from energy_demand.model.train import Trained, Weather
    from energy_demand.timeaxis import Availability


class ReplayPolicy(StrEnum):
    """What is kept up to date, and when a model is trained anew."""

    FROZEN = "frozen"
    NEVER = "never"
    WEEKLY = "weekly"
    MONTHLY = "monthly"
    TRIGGERED = "triggered"

    @property
    def every(self) -> timedelta | None:
        """Time between two fits that are made whatever was found, and serve without a contest."""
        return {ReplayPolicy.WEEKLY: timedelta(days=7), ReplayPolicy.MONTHLY: timedelta(days=30)}.get(self)


@dataclass(frozen=True)
class Event:
    """Something that happened: an alarm, or a retraining with its outcome."""

    at: datetime
    kind: str
    reason: str = ""


@dataclass
class Replay:
    """What a policy came to.

    Attributes:
        hours: one row per hour: `period`, `issued_at`, `lead_hours`, `actual_mwh`, `predicted_mwh`, bounds.
        alarms: signals when they began: `drift`, `concept`, `performance`.
        retrainings: fits after the first, `promoted` or `not promoted`.
        training_seconds: spent on them, contests included.
        checks: one row per day: `at`, `drift_share`, `decision`.
    """

    hours: pd.DataFrame = field(default_factory=pd.DataFrame)
    alarms: list[Event] = field(default_factory=list)
    retrainings: list[Event] = field(default_factory=list)
    training_seconds: float = 0.0
    checks: list[dict[str, Any]] = field(default_factory=list)

    @property
    def promotions(self) -> int:
        """How many retrainings gave a champion."""
        return sum(each.kind == "promoted" for each in self.retrainings)

    def summary(self, injection: Injection | None, begins: datetime | None) -> dict[str, Any]:
        """The figures of `replay --json` that come from the run itself; `begins`: when the change does."""
        known = self.hours[self.hours["actual_mwh"].notna()]
        scored = scores(known["actual_mwh"], known["predicted_mwh"])
        actual = known["actual_mwh"].to_numpy(dtype=float)
        after = [each.at for each in self.alarms if begins is not None and each.at > begins]
        delay = None
        if begins is not None and after:
            delay = round((min(after) - begins) / timedelta(days=1), 2)
        return {
            "mape": scored["mape"],
            "mae": scored["mae"],
            "bias_percent": scored["bias_percent"],
            "n_hours": scored["n"],
            "coverage_80": coverage(actual, *(known[f"{side}_80"].to_numpy() for side in ("lower", "upper"))),
            "coverage_95": coverage(actual, *(known[f"{side}_95"].to_numpy() for side in ("lower", "upper"))),
            "retrainings": len(self.retrainings),
            "promotions": self.promotions,
            "training_seconds": round(self.training_seconds, 1),
            "alarms": [{"at": each.at, "kind": each.kind} for each in self.alarms],
            "retrained": [
                {"at": each.at, "outcome": each.kind, "why": each.reason} for each in self.retrainings
            ],
            "inject": None if injection is None else {"kind": injection.kind.value, "at": injection.day},
            "detection_delay_days": delay,
        }


def replay(
    record: Record,
    policy: ReplayPolicy,
    first: date,
    last: date,
    *,
    availability: Availability,
    weather: Weather,
    recipe: Recipe | None = None,
    rules: Policy | None = None,
    progress: Callable[[date], None] = lambda day: None,  # noqa: ARG005
) -> Replay:
    """Run a policy over the local days `first` to `last`.

    The first model is fitted on what was known when the forecast of `first` was issued.

    Args:
        record: with `truth_mwh`, until after `last`; what was injected is in it.
        policy: which.
        first: first day that is forecast.
        last: last one.
        availability: the publication delay of demand.
        weather: `as_issued` or `observed`, of all forecasts.
        recipe: of the forecaster.
        rules: of the triggers.
        progress: told each day that is forecast.
    """
    run = _Run(record, policy, availability, weather, recipe or Recipe(), rules or Policy())
    zone = record.region.zone
    run.begin(day_ahead_issue(first, zone))
    for number in range((last - first).days + 1):
        day = first + timedelta(days=number)
        progress(day)
        run.forecast(day)
        if day < last:
            # Midnight between this day's issue and the next one's.
            run.check(local_midnight(day, zone))
    return run.result()


class _Run:
    """The state between the moments of a replay."""

    def __init__(
        self,
        record: Record,
        policy: ReplayPolicy,
        availability: Availability,
        weather: Weather,
        recipe: Recipe,
        rules: Policy,
    ) -> None:
        self._record, self._policy, self._availability = record, policy, availability
        self._weather, self._recipe, self._rules = weather, recipe, rules
        self._walk = Walk(record, availability, weather, recipe, refresh=policy is not ReplayPolicy.FROZEN)
        first, last = (record.periods[end].to_pydatetime() for end in (0, -1))
        self._watched = watched_rows(record, first, last)
        self._truth = pd.Series(record.truth_mwh, index=record.periods)
        self._done = Replay()
        self._made: list[pd.DataFrame] = []
        self._served_from = 0  # the champion's own forecasts begin here
        self._base: BaseBooster | None = None
        self._champion: Forecaster
        self._metrics: dict[str, float]
        self._surprises: pd.Series
        self._reference: pd.DataFrame
        self._fitted: datetime
        self._last_retraining: datetime | None = None
        self._active: set[tuple[str, date | None]] = set()

    def begin(self, moment: datetime) -> None:
        """The first model."""
        trained = self._fit(moment, judge_it=True)
        self._base = trained.forecaster.base
        _, tested = self._tested(trained, moment)
        self._serve(trained.forecaster, holdout_error(tested, self._record.region.zone))
        self._fitted = moment

    def forecast(self, day: date) -> None:
        """The day-ahead forecast of one day."""
        zone = self._record.region.zone
        issued_at = day_ahead_issue(day, zone)
        made = self._walk.predict(Predict(issued_at, day_periods(day, zone)))
        self._made.append(made.assign(issued_at=issued_at))

    def check(self, moment: datetime) -> None:
        """Look at what is known, note what alarms, and retrain where the policy says so."""
        evidence = self._evidence(moment)
        decision = decide(evidence, self._rules)
        self._note(evidence, moment)
        self._done.checks.append(
            {
                "at": moment,
                "drift_share": evidence.drift_share,
                "decision": decision.reason,
            }
        )
        every = self._policy.every
        if every is not None and moment - self._fitted >= every:
            self._retrain(moment, "scheduled by the policy", judged=False, refit=True)
        elif self._policy is ReplayPolicy.TRIGGERED and decision.retrain and decision.trigger is not None:
            self._retrain(
                moment, decision.reason, judged=True, refit=decision.trigger.needs_only_not_be_worse
            )

    def result(self) -> Replay:
        """What happened."""
        hours = pd.concat(self._made, ignore_index=True).rename(
            columns={"predicted_demand_mwh": "predicted_mwh"}
        )
        self._done.hours = hours.assign(actual_mwh=self._truth.reindex(utc_index(hours["period"])).to_numpy())
        return self._done

    def _evidence(self, moment: datetime) -> Evidence:
        newest = self._availability.newest_known(moment)
        window = window_of(self._watched, newest)
        _, share, details = run_drift_check(self._reference, window, scorer=wasserstein_scores)
        today = pd.Timestamp(local_day(moment, self._record.region.zone))
        charts = run_charts(self._surprises[self._surprises.index < today])
        return Evidence(
            now=moment,
            trained_through=self._champion.trained_through,
            last_retraining=self._last_retraining,
            drift_share=share if details["n_total_features"] else None,
            concept_alarm=charts.alarms[-1] if charts.alarms else None,
            comparison=self._comparison(newest),
            zone=self._record.region.zone,
        )

    def _comparison(self, newest: datetime) -> Comparison:
        own = self._made[self._served_from :][-(JUDGED_DAYS + 3) :]
        if not own:
            return Comparison(0)
        recent = pd.concat(own, ignore_index=True)
        periods = utc_index(recent["period"])
        actual = self._truth.reindex(periods).where(periods <= pd.Timestamp(newest))
        rows = recent.rename(columns={"period": "timestamp", "predicted_demand_mwh": "predicted_demand"})
        return compare(
            rows.assign(actual_demand=actual.to_numpy()),
            self._metrics,
            self._champion.expected_errors,
            self._record.region.zone,
        )

    def _note(self, evidence: Evidence, moment: datetime) -> None:
        """Alarms count when they begin; the charts', by the day on which they alarm. Age is none."""
        found = {
            (kind.value, evidence.concept_alarm if kind is Trigger.CONCEPT else None)
            for kind in signals(evidence, self._rules)
            if kind is not Trigger.AGE
        }
        self._done.alarms += [Event(moment, kind) for kind, _ in sorted(found - self._active, key=str)]
        self._active = found

    def _retrain(self, moment: datetime, why: str, *, judged: bool, refit: bool) -> None:
        began = time.perf_counter()
        self._last_retraining = self._fitted = moment
        trained = self._fit(moment, judge_it=judged)
        promoted, reason = True, why
        metrics = self._metrics
        if judged:
            challenger, tested = self._tested(trained, moment)
            known = self._record.cut_at(moment, self._availability)
            verdict = contest(tested, challenger, self._champion, known, refit=refit, weather=self._weather)
            promoted, reason = verdict.promoted, f"{why}; {verdict.reason}"
            metrics = holdout_error(tested, self._record.region.zone)
        if promoted:
            self._serve(trained.forecaster, metrics)
        self._done.retrainings.append(Event(moment, "promoted" if promoted else "not promoted", reason))
        self._done.training_seconds += time.perf_counter() - began

    def _fit(self, moment: datetime, *, judge_it: bool) -> Trained:
        known = self._record.cut_at(moment, self._availability)
        return fit(
            known,
            self._recipe,
            availability=self._availability,
            weather=self._weather,
            judge=judge_it,
            base=self._base,
        )

    def _tested(self, trained: Trained, moment: datetime) -> tuple[Forecaster, pd.DataFrame]:
        """The judged fit, and its forecasts of its test days."""
        judged = trained.judged
        if judged is None:
            raise AssertionError("asked to be judged")
        known = self._record.cut_at(moment, self._availability)
        return judged, day_ahead(judged, known, unseen_days(known, judged), self._weather)

    def _serve(self, model: Forecaster, metrics: dict[str, float]) -> None:
        self._champion = model
        self._served_from = len(self._made)
        self._metrics = metrics
        self._walk.serve(model)
        self._surprises = daily_residuals(model, self._record)
        last = model.trained_through
        self._reference = rows_between(self._watched, last - timedelta(days=REFERENCE_DAYS), last)
