"""Policy replay: a retraining policy over past days, under a simulated clock. Pure: record in, events out.

Each day has two steps: at 09:00 the forecast of the next day is issued; at midnight the newest days are
checked and the policy decides whether to retrain. Neither may use anything that was not known then. Checks,
decision and contest are the same code as in daily operation.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import pandas as pd

from energy_demand.evaluation.backtest import Walk
from energy_demand.evaluation.contest import (
    Promotion,
    best_of_year,
    compared,
    contest,
    day_ahead,
    holdout_error,
    no_hours,
    unseen_days,
)
from energy_demand.evaluation.injection import STALE_DAYS, BadPromotion, Fault
from energy_demand.evaluation.promotion import Decision, judge
from energy_demand.evaluation.rollback import (
    USUAL_DEVIATION,
    gain_deviation,
    judge_promotion,
)
from energy_demand.evaluation.schedule import Predict
from energy_demand.limits import PROBATION_DAYS, SHADOW_DAYS
from energy_demand.model.forecast import CHAMPION
from energy_demand.model.metrics import coverage, scores
from energy_demand.model.train import Recipe, fit
from energy_demand.monitoring.circumstances import find_circumstances
from energy_demand.monitoring.concept_drift import daily_residuals, run_charts
from energy_demand.monitoring.drift_detection import run_drift_check, wasserstein_scores
from energy_demand.monitoring.performance_monitor import compare
from energy_demand.monitoring.retraining_policy import Evidence, Policy, Trigger, decide, signals
from energy_demand.monitoring.source_faults import daily_weather_errors, faulty_days
from energy_demand.monitoring.watched_rows import (
    REFERENCE_DAYS,
    WINDOW_DAYS,
    rows_between,
    watched_rows,
    window_of,
)
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


PROMOTED, SHADOW = "promoted", "in the shadow"


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
    """An alarm, or a promotion that was undone."""

    at: datetime
    kind: str
    reason: str = ""


@dataclass
class Retraining:
    """A fit after the first, and what became of it.

    Attributes:
        at: when it was fitted.
        outcome: `promoted`, `not promoted`, or `in the shadow` until it is decided.
        reason: of the retraining and of the verdict.
        decided_at: None in the shadow.
    """

    at: datetime
    outcome: str
    reason: str
    decided_at: datetime | None = None


@dataclass
class Replay:
    """The result of replaying a policy.

    Attributes:
        hours: one row per hour: `period`, `issued_at`, `lead_hours`, `actual_mwh`, `predicted_mwh`, bounds.
        alarms: when each signal began: `drift`, `concept`, `performance`.
        retrainings: fits after the first.
        rollbacks: promotions that were undone, each with the reason.
        training_seconds: spent on retrainings, contests included.
        checks: one row per day: `at`, `drift_share`, `decision`.
    """

    hours: pd.DataFrame = field(default_factory=pd.DataFrame)
    alarms: list[Event] = field(default_factory=list)
    retrainings: list[Retraining] = field(default_factory=list)
    rollbacks: list[Event] = field(default_factory=list)
    training_seconds: float = 0.0
    checks: list[dict[str, Any]] = field(default_factory=list)

    @property
    def promotions(self) -> int:
        """How many retrainings were promoted."""
        return sum(each.outcome == PROMOTED for each in self.retrainings)

    def summary(self, injection: Injection | BadPromotion | None, begins: datetime | None) -> dict[str, Any]:
        """The figures of `replay --json`; `begins` is when the injected change starts."""
        known = self.hours[self.hours["actual_mwh"].notna()]
        scored = scores(known["actual_mwh"], known["predicted_mwh"])
        actual = known["actual_mwh"].to_numpy(dtype=float)
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
                {"at": each.at, "outcome": each.outcome, "decided_at": each.decided_at, "why": each.reason}
                for each in self.retrainings
            ],
            "rollbacks": [{"at": event.at, "why": event.reason} for event in self.rollbacks],
            "inject": None if injection is None else {"kind": injection.name, "at": injection.day},
            "detection_delay_days": _days_until(self.alarms, begins),
            "rollback_delay_days": _days_until(self.rollbacks, begins),
        }


def _days_until(events: list[Event], begins: datetime | None) -> float | None:
    """Days from `begins` to the first later event."""
    after = [event.at for event in events if begins is not None and event.at > begins]
    return None if begins is None or not after else round((min(after) - begins) / timedelta(days=1), 2)


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
    bad_promotion: BadPromotion | None = None,
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
        bad_promotion: a faulty model that is promoted on the way.
        progress: called with each forecast day.
    """
    run = _Run(record, policy, availability, weather, recipe or Recipe(), rules or Policy())
    zone = record.region.zone
    spoiled = None if bad_promotion is None else local_midnight(bad_promotion.day, zone)
    run.begin(day_ahead_issue(first, zone))
    for number in range((last - first).days + 1):
        day = first + timedelta(days=number)
        progress(day)
        run.forecast(day)
        if day < last:
            # The midnight between the issue of this day's forecast and the next.
            now = local_midnight(day, zone)
            run.check(now)
            if bad_promotion is not None and now == spoiled:
                run.promote_faulty(bad_promotion, now)
    return run.result()


@dataclass
class _Served:
    """A model that forecasts every day, its state refreshed, as champion or in the shadow.

    Attributes:
        version: the number of its fit.
        model: as it was fitted.
        walk: forecasts by it.
        metrics: of `holdout_error`.
        fault: what is wrong with it.
        forecasts: its days since it was a shadow, in order.
    """

    version: str
    model: Forecaster
    walk: Walk
    metrics: dict[str, float]
    fault: BadPromotion | None = None
    forecasts: list[pd.DataFrame] = field(default_factory=list)


@dataclass
class _Challenger:
    """A challenger in the shadow, with the hours of its contest before."""

    served: _Served
    contest: pd.DataFrame
    refit: bool
    retraining: Retraining


@dataclass
class _Previous:
    """The champion before, in the shadow after a promotion."""

    served: _Served
    since: datetime
    deviation: float


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
        first, last = (record.periods[end].to_pydatetime() for end in (0, -1))
        self._watched = watched_rows(record, first, last)
        self._truth = pd.Series(record.truth_mwh, index=record.periods)
        issued = weather == "as_issued"
        self._faults = faulty_days(record, first, runs=issued)
        self._weather_errors = daily_weather_errors(record, first if issued else last, last)
        self._done = Replay()
        self._forecasts: list[pd.DataFrame] = []
        self._served_from = 0  # position of the champion's first forecast
        self._base: BaseBooster | None = None
        self._champion: _Served
        self._challenger: _Challenger | None = None
        self._previous: _Previous | None = None
        self._models: dict[str, Forecaster] = {}
        self._promotions: list[Promotion] = []
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
        metrics = holdout_error(tested, self._record.region.zone)
        self._serve(self._served(trained.forecaster, metrics), now, 0.0)
        self._fitted = now

    def forecast(self, day: date) -> None:
        """The day-ahead forecast of one day, by the champion and those in the shadow."""
        zone = self._record.region.zone
        event = Predict(day_ahead_issue(day, zone), day_periods(day, zone))
        self._forecasts.append(self._predict(self._champion, event))
        for shadow in (self._challenger, self._previous):
            if shadow is not None:
                shadow.served.forecasts.append(self._predict(shadow.served, event))

    def check(self, now: datetime) -> None:
        """Judge the shadows, check the known data, record alarms, and retrain if the policy says so."""
        self._judge_promotion(now)
        self._judge_challenger(now)
        evidence = self._evidence(now)
        decision = decide(evidence, self._rules)
        self._record_alarms(evidence, now)
        self._done.checks.append(
            {
                "at": now,
                "drift_share": evidence.drift_share,
                "decision": decision.reason,
                "cause": None if decision.cause is None else decision.cause.value,
            }
        )
        every = self._policy.every
        if every is not None and now - self._fitted >= every:
            self._retrain_by_calendar(now)
        elif self._policy is ReplayPolicy.TRIGGERED and decision.retrain and decision.trigger is not None:
            self._retrain(now, decision.reason, refit=decision.trigger.is_routine)

    def promote_faulty(self, bad: BadPromotion, now: datetime) -> None:
        """Let a faulty refit serve, without a contest."""
        stale = timedelta(days=STALE_DAYS if bad.fault is Fault.STALE else 0)
        trained = self._fit(now - stale, judge_it=False)
        served = replace(self._served(trained.forecaster, self._champion.metrics, late=stale), fault=bad)
        self._challenger = None
        self._promote(served, now, 0.0, USUAL_DEVIATION)

    def result(self) -> Replay:
        """The forecasts, alarms, retrainings and checks."""
        hours = pd.concat(self._forecasts, ignore_index=True).rename(
            columns={"predicted_demand_mwh": "predicted_mwh"}
        )
        self._done.hours = hours.assign(actual_mwh=self._truth.reindex(utc_index(hours["period"])).to_numpy())
        return self._done

    def _predict(self, served: _Served, event: Predict) -> pd.DataFrame:
        hours = served.walk.predict(event).assign(issued_at=event.issued_at)
        return hours if served.fault is None else served.fault.spoil(hours, self._truth)

    def _evidence(self, now: datetime) -> Evidence:
        newest = self._availability.newest_known(now)
        window = window_of(self._watched, newest)
        _, share, details = run_drift_check(self._reference, window, scorer=wasserstein_scores)
        today = pd.Timestamp(local_day(now, self._record.region.zone))
        residuals = self._residuals[self._residuals.index < today]
        charts = run_charts(residuals)
        drift_share = share if details["n_total_features"] else None
        forecasts = self._scored(newest)
        champion, zone = self._champion, self._record.region.zone
        circumstances = find_circumstances(
            today=local_day(now, zone),
            faults=self._faults,
            weather_errors=self._weather_errors,
            residuals=residuals,
            forecasts=forecasts,
            metrics=champion.metrics,
            expected_errors=champion.model.expected_errors,
            reference=self._reference,
            window=window,
            drift_share=drift_share,
            drift_details=details,
            zone=zone,
        )
        return Evidence(
            now=now,
            trained_through=self._champion.model.trained_through,
            last_retraining=self._last_retraining,
            challenger_since=None if self._challenger is None else self._challenger.retraining.at,
            drift_share=drift_share,
            concept_alarm=charts.alarms[-1] if charts.alarms else None,
            comparison=compare(forecasts, champion.metrics, champion.model.expected_errors, zone),
            zone=zone,
            circumstances=circumstances,
        )

    def _scored(self, newest: datetime) -> pd.DataFrame:
        """The champion's own forecasts of the newest days, as for `performance_monitor.compare`."""
        own = self._forecasts[self._served_from :][-WINDOW_DAYS:]
        names = {"period": "timestamp", "predicted_mwh": "predicted_demand", "actual_mwh": "actual_demand"}
        if not own:
            return pd.DataFrame(columns=[*names.values(), "quality"])
        return self._known(own, newest).rename(columns=names).assign(quality=CHAMPION)

    def _known(self, forecasts: list[pd.DataFrame], newest: datetime) -> pd.DataFrame:
        """Forecasts with the truth that was known; `period`, `predicted_mwh`, `actual_mwh` and others."""
        hours = pd.concat(forecasts, ignore_index=True)
        periods = utc_index(hours["period"])
        actual = self._truth.reindex(periods).where(periods <= pd.Timestamp(newest))
        return hours.rename(columns={"predicted_demand_mwh": "predicted_mwh"}).assign(
            actual_mwh=actual.to_numpy()
        )

    def _side_by_side(self, shadow: _Served, now: datetime) -> pd.DataFrame:
        """The hours that a shadow and the champion have forecast, in the columns of `compared`."""
        if not shadow.forecasts:
            return no_hours()
        newest = self._availability.newest_known(now)
        of_champion = self._forecasts[-len(shadow.forecasts) :]
        return compared(self._known(shadow.forecasts, newest), self._known(of_champion, newest), self._record)

    def _record_alarms(self, evidence: Evidence, now: datetime) -> None:
        """Add signals that began; those of the charts by the day of their alarm. Age is not an alarm."""
        alarms = {
            (kind.value, evidence.concept_alarm if kind is Trigger.CONCEPT else None)
            for kind in signals(evidence, self._rules)
            if kind is not Trigger.AGE
        }
        self._done.alarms += [Event(now, kind) for kind, _ in sorted(alarms - self._active_alarms, key=str)]
        self._active_alarms = alarms

    def _retrain_by_calendar(self, now: datetime) -> None:
        began = time.perf_counter()
        self._fitted = now
        trained = self._fit(now, judge_it=False)
        self._serve(self._served(trained.forecaster, self._champion.metrics), now, 0.0)
        self._done.retrainings.append(Retraining(now, PROMOTED, "scheduled by the policy", now))
        self._done.training_seconds += time.perf_counter() - began

    def _retrain(self, now: datetime, why: str, *, refit: bool) -> None:
        """Fit a challenger, and judge it on the days that neither model has seen."""
        began = time.perf_counter()
        self._last_retraining = self._fitted = now
        trained = self._fit(now, judge_it=True)
        judged, tested = self._holdout_forecasts(trained, now)
        known = self._record.cut_at(now, self._availability)
        best = best_of_year(self._promotions, now)
        hours = contest(
            tested,
            judged,
            self._champion.model,
            known,
            weather=self._weather,
            best=None if best in {None, self._champion.version} else self._models[str(best)],
        )
        served = self._served(trained.forecaster, holdout_error(tested, self._record.region.zone))
        retraining = Retraining(now, SHADOW, why)
        self._done.retrainings.append(retraining)
        self._challenger = _Challenger(served, hours, refit, retraining)
        self._judge_challenger(now)
        self._done.training_seconds += time.perf_counter() - began

    def _judge_challenger(self, now: datetime) -> None:
        """Promote or refuse the challenger, or let it go on in the shadow."""
        if self._challenger is None:
            return
        challenger = self._challenger
        live = self._side_by_side(challenger.served, now)
        hours = pd.concat(
            [part for part in (challenger.contest, live) if not part.empty] or [live], ignore_index=True
        )
        over = now - challenger.retraining.at >= timedelta(days=SHADOW_DAYS)
        verdict = judge(hours, refit=challenger.refit, last_look=over)
        if verdict.decision is Decision.UNDECIDED:
            return
        self._challenger = None
        challenger.retraining.outcome = PROMOTED if verdict.promoted else "not promoted"
        challenger.retraining.reason += f"; {verdict.reason}"
        challenger.retraining.decided_at = now
        if verdict.promoted:
            self._promote(challenger.served, now, verdict.gain_percent or 0.0, gain_deviation(hours))

    def _judge_promotion(self, now: datetime) -> None:
        """Let the champion before serve again, if it is proven better."""
        if self._previous is None:
            return
        previous = self._previous
        hours = self._side_by_side(previous.served, now)
        if not hours.empty:
            probation = judge_promotion(
                hours.rename(columns={"challenger_mwh": "previous_mwh"}), previous.deviation
            )
            if probation.roll_back:
                self._previous, self._challenger = None, None
                self._done.rollbacks.append(Event(now, "rollback", probation.reason))
                self._serve(previous.served, now, probation.gain_percent)
                return
        if now - previous.since >= timedelta(days=PROBATION_DAYS):
            self._previous = None

    def _promote(self, served: _Served, now: datetime, gain_percent: float, deviation: float) -> None:
        before = replace(self._champion, forecasts=[])
        self._serve(served, now, gain_percent)
        self._previous = _Previous(before, now, deviation)

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

    def _served(
        self, model: Forecaster, metrics: dict[str, float], late: timedelta = timedelta(0)
    ) -> _Served:
        walk = Walk(
            self._record,
            self._availability,
            self._weather,
            self._recipe,
            refresh=self._policy is not ReplayPolicy.FROZEN,
            late=late,
        )
        walk.serve(model)
        version = str(len(self._models) + 1)
        self._models[version] = model
        return _Served(version, model, walk, metrics)

    def _serve(self, served: _Served, now: datetime, gain_percent: float) -> None:
        self._champion = served
        self._promotions.append(Promotion(served.version, now, gain_percent))
        self._served_from = len(self._forecasts)
        self._residuals = daily_residuals(served.model, self._record)
        last = served.model.trained_through
        self._reference = rows_between(self._watched, last - timedelta(days=REFERENCE_DAYS), last)
