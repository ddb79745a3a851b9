"""Policy replay: a retraining policy over past days, under a simulated clock. Pure: record in, events out.

Each day has two steps: at 09:00 the forecast of the next day is issued; at midnight the newest days are
checked and the policy decides whether to retrain. Neither may use anything that was not known then. Checks,
decision and contest are the same code as in daily operation.
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
from energy_demand.model.predict import CHAMPION
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
    """What is updated every day, and when a model is retrained."""

    FROZEN = "frozen"
    NEVER = "never"
    WEEKLY = "weekly"
    MONTHLY = "monthly"
    TRIGGERED = "triggered"

    @property
    def every(self) -> timedelta | None:
        """Time between scheduled fits, which serve without a contest; None without a schedule."""
        return {ReplayPolicy.WEEKLY: timedelta(days=7), ReplayPolicy.MONTHLY: timedelta(days=30)}.get(self)


@dataclass(frozen=True)
class Event:
    """An alarm, or a retraining with its outcome."""

    at: datetime
    kind: str
    reason: str = ""


@dataclass
class Replay:
    """The result of replaying a policy.

    Attributes:
        hours: one row per hour: `period`, `issued_at`, `lead_hours`, `actual_mwh`, `predicted_mwh`, bounds.
        alarms: when each signal began: `drift`, `concept`, `performance`.
        retrainings: fits after the first, `promoted` or `not promoted`.
        training_seconds: spent on retrainings, contests included.
        checks: one row per day: `at`, `drift_share`, `decision`.
    """

    hours: pd.DataFrame = field(default_factory=pd.DataFrame)
    alarms: list[Event] = field(default_factory=list)
    retrainings: list[Event] = field(default_factory=list)
    training_seconds: float = 0.0
    checks: list[dict[str, Any]] = field(default_factory=list)

    @property
    def promotions(self) -> int:
        """How many retrainings were promoted."""
        return sum(event.kind == "promoted" for event in self.retrainings)

    def summary(self, injection: Injection | None, begins: datetime | None) -> dict[str, Any]:
        """The figures of `replay --json`; `begins` is when the injected change starts."""
        known = self.hours[self.hours["actual_mwh"].notna()]
        scored = scores(known["actual_mwh"], known["predicted_mwh"])
        actual = known["actual_mwh"].to_numpy(dtype=float)
        after = [event.at for event in self.alarms if begins is not None and event.at > begins]
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
            "alarms": [{"at": event.at, "kind": event.kind} for event in self.alarms],
            "retrained": [
                {"at": event.at, "outcome": event.kind, "why": event.reason} for event in self.retrainings
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

    The first model is fitted on what was known at the issue time of the forecast of `first`.

    Args:
        record: with `truth_mwh`, until after `last`; injections are already in it.
        policy: to replay.
        first: first forecast day.
        last: last forecast day.
        availability: the publication delay of demand.
        weather: `as_issued` or `observed`, of all forecasts.
        recipe: of the forecaster.
        rules: of the triggers.
        progress: called with each forecast day.
    """
    run = _Run(record, policy, availability, weather, recipe or Recipe(), rules or Policy())
    zone = record.region.zone
    run.begin(day_ahead_issue(first, zone))
    for number in range((last - first).days + 1):
        day = first + timedelta(days=number)
        progress(day)
        run.forecast(day)
        if day < last:
            # The midnight between the issue of this day's forecast and the next.
            run.check(local_midnight(day, zone))
    return run.result()


class _Run:
    """The state between the steps of a replay."""

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
        self._forecasts: list[pd.DataFrame] = []
        self._served_from = 0  # position of the champion's first forecast
        self._base: BaseBooster | None = None
        self._champion: Forecaster
        self._metrics: dict[str, float]
        self._residuals: pd.Series
        self._reference: pd.DataFrame
        self._fitted: datetime
        self._last_retraining: datetime | None = None
        self._active_alarms: set[tuple[str, date | None]] = set()

    def begin(self, now: datetime) -> None:
        """Fit the first model."""
        trained = self._fit(now, judge_it=True)
        self._base = trained.forecaster.base
        _, tested = self._holdout_forecasts(trained, now)
        self._serve(trained.forecaster, holdout_error(tested, self._record.region.zone))
        self._fitted = now

    def forecast(self, day: date) -> None:
        """The day-ahead forecast of one day."""
        zone = self._record.region.zone
        issued_at = day_ahead_issue(day, zone)
        hours = self._walk.predict(Predict(issued_at, day_periods(day, zone)))
        self._forecasts.append(hours.assign(issued_at=issued_at))

    def check(self, now: datetime) -> None:
        """Check the known data, record new alarms, and retrain if the policy says so."""
        evidence = self._evidence(now)
        decision = decide(evidence, self._rules)
        self._record_alarms(evidence, now)
        self._done.checks.append(
            {
                "at": now,
                "drift_share": evidence.drift_share,
                "decision": decision.reason,
            }
        )
        every = self._policy.every
        if every is not None and now - self._fitted >= every:
            self._retrain(now, "scheduled by the policy", judged=False, refit=True)
        elif self._policy is ReplayPolicy.TRIGGERED and decision.retrain and decision.trigger is not None:
            self._retrain(now, decision.reason, judged=True, refit=decision.trigger.is_routine)

    def result(self) -> Replay:
        """The forecasts, alarms, retrainings and checks."""
        hours = pd.concat(self._forecasts, ignore_index=True).rename(
            columns={"predicted_demand_mwh": "predicted_mwh"}
        )
        self._done.hours = hours.assign(actual_mwh=self._truth.reindex(utc_index(hours["period"])).to_numpy())
        return self._done

    def _evidence(self, now: datetime) -> Evidence:
        newest = self._availability.newest_known(now)
        window = window_of(self._watched, newest)
        _, share, details = run_drift_check(self._reference, window, scorer=wasserstein_scores)
        today = pd.Timestamp(local_day(now, self._record.region.zone))
        charts = run_charts(self._residuals[self._residuals.index < today])
        return Evidence(
            now=now,
            trained_through=self._champion.trained_through,
            last_retraining=self._last_retraining,
            drift_share=share if details["n_total_features"] else None,
            concept_alarm=charts.alarms[-1] if charts.alarms else None,
            comparison=self._comparison(newest),
            zone=self._record.region.zone,
        )

    def _comparison(self, newest: datetime) -> Comparison:
        own = self._forecasts[self._served_from :][-(JUDGED_DAYS + 3) :]
        if not own:
            return Comparison(0)
        recent = pd.concat(own, ignore_index=True)
        periods = utc_index(recent["period"])
        actual = self._truth.reindex(periods).where(periods <= pd.Timestamp(newest))
        rows = recent.rename(columns={"period": "timestamp", "predicted_demand_mwh": "predicted_demand"})
        return compare(
            rows.assign(actual_demand=actual.to_numpy(), quality=CHAMPION),
            self._metrics,
            self._champion.expected_errors,
            self._record.region.zone,
        )

    def _record_alarms(self, evidence: Evidence, now: datetime) -> None:
        """Add signals that began; those of the charts by the day of their alarm. Age is not an alarm."""
        alarms = {
            (kind.value, evidence.concept_alarm if kind is Trigger.CONCEPT else None)
            for kind in signals(evidence, self._rules)
            if kind is not Trigger.AGE
        }
        self._done.alarms += [Event(now, kind) for kind, _ in sorted(alarms - self._active_alarms, key=str)]
        self._active_alarms = alarms

    def _retrain(self, now: datetime, why: str, *, judged: bool, refit: bool) -> None:
        began = time.perf_counter()
        self._last_retraining = self._fitted = now
        trained = self._fit(now, judge_it=judged)
        promoted, reason = True, why
        metrics = self._metrics
        if judged:
            challenger, tested = self._holdout_forecasts(trained, now)
            known = self._record.cut_at(now, self._availability)
            verdict = contest(tested, challenger, self._champion, known, refit=refit, weather=self._weather)
            promoted, reason = verdict.promoted, f"{why}; {verdict.reason}"
            metrics = holdout_error(tested, self._record.region.zone)
        if promoted:
            self._serve(trained.forecaster, metrics)
        self._done.retrainings.append(Event(now, "promoted" if promoted else "not promoted", reason))
        self._done.training_seconds += time.perf_counter() - began

    def _fit(self, now: datetime, *, judge_it: bool) -> Trained:
        known = self._record.cut_at(now, self._availability)
        return fit(
            known,
            self._recipe,
            availability=self._availability,
            weather=self._weather,
            judge=judge_it,
            base=self._base,
        )

    def _holdout_forecasts(self, trained: Trained, now: datetime) -> tuple[Forecaster, pd.DataFrame]:
        """The judged fit, and its forecasts of its holdout days."""
        judged = trained.judged
        if judged is None:
            raise AssertionError("a fit with judge=True has a judged forecaster")
        known = self._record.cut_at(now, self._availability)
        return judged, day_ahead(judged, known, unseen_days(known, judged), self._weather)

    def _serve(self, model: Forecaster, metrics: dict[str, float]) -> None:
        self._champion = model
        self._served_from = len(self._forecasts)
        self._metrics = metrics
        self._walk.serve(model)
        self._residuals = daily_residuals(model, self._record)
        last = model.trained_through
        self._reference = rows_between(self._watched, last - timedelta(days=REFERENCE_DAYS), last)
