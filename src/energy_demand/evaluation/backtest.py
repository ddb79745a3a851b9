"""Walk-forward backtests: an ordered stream of fit and predict events over a record. Pure.

A fit uses only what was known at its event; a prediction comes from the newest fit, with its state advanced
to what was known at the issue time. Nothing later may reach either: demand that was revised later is seen as
it was then, where its earlier values are in the record, and scores use its newest value. The recipe is the
one used for serving.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from energy_demand.columns import TARGET_COLUMN
from energy_demand.data.feature_engineering import DemandHistory, build_features
from energy_demand.evaluation.losses import Loss, with_provider_change
from energy_demand.evaluation.schedule import Fit, Predict, Protocol
from energy_demand.model.baselines import seasonal_naive_24, seasonal_naive_168
from energy_demand.model.forecaster import PREDICTED
from energy_demand.model.stages.adaptive_regression import REMEMBERED_HOURS
from energy_demand.model.stages.response_features import MEMORY_HOURS, Responses, response_features
from energy_demand.model.train import Recipe, fit
from energy_demand.model.weather.horizon import Horizon
from energy_demand.timeaxis import (
    HOUR,
    Availability,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from energy_demand.data.record import Record
    from energy_demand.model.forecaster import Forecaster, StageForecasts
    from energy_demand.model.train import Weather

    Observer = Callable[[Forecaster, StageForecasts], None]

COLUMNS = (
    "period",
    "issued_at",
    "lead_hours",
    "actual_mwh",
    "predicted_mwh",
    "lower_80",
    "upper_80",
    "lower_95",
    "upper_95",
    "base_mwh",
    "seasonal_naive_24_mwh",
    "seasonal_naive_168_mwh",
    "model_version",
)
# Where demand was revised: states of a model to go back to, one for each day; a revision of an older hour
# learns again from the fit. And the hours of demand before an issue that lags are looked up in.
KEPT_STATES = 40
LAG_HOURS = 366 * 24


def record_with(loss: Loss, record: Record, events: Iterable[Fit | Predict]) -> Record:
    """The record that the events of a backtest see under a loss that changes the record itself.

    Raises:
        ValueError: there is no forecast event.
    """
    issues = [event.issued_at for event in events if isinstance(event, Predict)]
    if not issues:
        raise ValueError("the backtest has no forecast event")
    return with_provider_change(record, issues[len(issues) // 2]) if loss is Loss.PROVIDER_CHANGE else record


def walk_forward(
    record: Record,
    events: Iterable[Fit | Predict],
    *,
    protocol: Protocol,
    weather: Weather,
    availability: Availability | None = None,
    recipe: Recipe | None = None,
    loss: Loss = Loss.NOTHING,
    model: Forecaster | None = None,
    fits_before: int = 0,
    refine: Callable[[Forecaster], Forecaster] = lambda model: model,
    progress: Callable[[Fit | Predict], None] = lambda event: None,  # noqa: ARG005
    observe: Observer = lambda model, stages: None,  # noqa: ARG005
) -> pd.DataFrame:
    """Run the events.

    Args:
        record: with `truth_mwh`; it may contain more than any event may use. With a loss that changes the
            record itself, that of `record_with`.
        events: of `schedule`, or one part of `by_fit`.
        protocol: of the events.
        availability: the publication delay of demand; the protocol's by default.
        weather: `observed`: observed weather up to the target hour; `as_issued`: weather as forecast at the
            issue time.
        recipe: of the forecaster.
        loss: data that the forecasts lack.
        model: used before the first fit; with it, `events` may have no fit.
        fits_before: number of fits in earlier parts, for `model_version`.
        refine: changes each fitted forecaster, for ablations.
        progress: called with each event.
        observe: called with each forecast's model and stages, in order of the rows.

    Returns:
        One row per hour: `period`, `issued_at`, `lead_hours`, `actual_mwh` (NaN where there is no truth),
        `predicted_mwh`, the bounds, `base_mwh` (the base booster), `seasonal_naive_24_mwh`,
        `seasonal_naive_168_mwh`, `model_version` (`fit N`).

    Raises:
        ValueError: there is no forecast event, the record ends before an event, or weather runs are lost
            where weather is observed.
    """
    run = Walk(
        record,
        availability or protocol.availability,
        weather,
        recipe or Recipe(),
        loss,
        fits_before=fits_before,
    )
    if model is not None:
        run.serve(model)
    for event in events:
        progress(event)
        if isinstance(event, Fit):
            run.fit(event, refine)
        else:
            run.predict(event, observe)
    return run.result()


class Walk:
    """The state between events, for callers that choose the next event on the way.

    With `refresh` off the model is not updated: its coefficients stay as trained, and it does not know its
    recent errors. Demand arrives `late` in addition to its publication delay and to the loss.
    """

    def __init__(
        self,
        record: Record,
        availability: Availability,
        weather: Weather,
        recipe: Recipe | None = None,
        loss: Loss = Loss.NOTHING,
        *,
        refresh: bool = True,
        late: timedelta = timedelta(0),
        fits_before: int = 0,
    ) -> None:
        if loss.needs_runs and weather != "as_issued":
            raise ValueError(f"a loss of {loss.value} needs weather as issued")
        self._record = record
        self._available = loss.of_sites(record)
        self._delay = availability
        self._late = late + timedelta(hours=loss.demand_late_hours)
        self._weather = weather
        self._recipe = recipe or Recipe()
        self._loss = loss
        self._refresh = refresh
        self._model: Forecaster
        self._known = record.demand_as_known()
        self._history: DemandHistory | None = None  # of `_known`, until it changes
        self._states: list[Forecaster] = []  # earlier states of the model, oldest first, the served one first
        self._past: Responses
        self._target_responses: Responses
        self._versions = fits_before
        self._pending: list[pd.DataFrame] = []
        self._lags: list[pd.DataFrame] = []  # demand columns of the pending hours, as known at their issue
        self._done: list[pd.DataFrame] = []

    def fit(self, event: Fit, refine: Callable[[Forecaster], Forecaster]) -> None:
        """Fit a new forecaster, after completing the pending rows with the old base booster."""
        self._settle()
        known = self._record.cut_at(event.as_of - self._late, self._delay)
        fitted = fit(known, self._recipe, availability=self._delay, weather=self._weather, judge=False)
        self._versions += 1
        self.serve(refine(fitted.forecaster))

    def serve(self, model: Forecaster) -> None:
        """Forecast with this model from now on."""
        self._model = model
        self._states = [model]
        start = self._model.regression.through
        self._past = self._responses(self._record, start)
        self._target_responses = (
            self._past if self._available is self._record else self._responses(self._available, start)
        )

    def predict(
        self,
        event: Predict,
        observe: Observer = lambda model, stages: None,  # noqa: ARG005
    ) -> pd.DataFrame:
        """The forecast of the event's hours: `period`, `lead_hours`, the point forecast, its bounds."""
        newest = pd.Timestamp(self._delay.newest_known(event.issued_at - self._late))
        self._see_revisions(event.issued_at - self._late)
        self._advance(newest)
        if self._weather == "observed" and self._loss is not Loss.WEATHER:
            rows = _slice(self._target_responses.periods, event.periods)
            horizon = Horizon(self._target_responses.rows(rows))
        else:
            available = self._loss.at_issue(self._available, event.issued_at)
            whole = self._model.horizon(available, event.issued_at)
            horizon = whole.rows(_slice(whole.responses.periods, event.periods))
        stages = self._model.stages(horizon, event.issued_at)
        observe(self._model, stages)
        hours = self._model.hours_of(stages)
        self._pending.append(hours.assign(issued_at=event.issued_at))
        self._note_lags(event)
        return hours

    def result(self) -> pd.DataFrame:
        """All forecast hours, in the columns of `COLUMNS`."""
        self._settle()
        if not self._done:
            raise ValueError("the backtest has no forecast event")
        return pd.concat(self._done, ignore_index=True)

    def _advance(self, newest: pd.Timestamp) -> None:
        hours = int((newest - self._model.regression.through) // pd.Timedelta(HOUR))
        if hours <= 0:
            return
        if not self._refresh:
            unknown = np.full(REMEMBERED_HOURS, np.nan)
            regression = replace(self._model.regression, through=newest, innovations=unknown)
            self._model = replace(self._model, regression=regression)
            return
        first = self._record.position(self._model.regression.through) + 1
        seen = self._record.seen_mwh if self._known is None else self._known.seen_mwh
        demand = seen[first : first + hours]
        periods = self._record.periods[first : first + hours]
        self._model = self._model.after(self._past.rows(_slice(self._past.periods, periods)), demand)
        if self._known is not None:
            self._keep_state()

    def _see_revisions(self, as_of: datetime) -> None:
        """Take demand as known at `as_of`; learn again from the first learnt hour that differs."""
        first = None if self._known is None else self._known.at(as_of)
        if first is None:
            return
        self._history = None
        changed = self._record.periods[first]
        if changed > self._model.regression.through:
            return
        while len(self._states) > 1 and self._states[-1].regression.through >= changed:
            self._states.pop()
        self._model = self._states[-1]

    def _keep_state(self) -> None:
        """Remember the model's state, one for each day of the newest weeks."""
        if self._model.regression.through - self._states[-1].regression.through < pd.Timedelta(days=1):
            return
        self._states.append(self._model)
        if len(self._states) > KEPT_STATES:
            del self._states[1]

    def _note_lags(self, event: Predict) -> None:
        """Keep the demand columns of the feature rows, from demand as known at the issue."""
        if self._known is None:
            return
        if self._history is None:
            demand = self._record.demand[["period"]].assign(**{TARGET_COLUMN: self._known.demand_mwh})
            end = self._record.position(pd.Timestamp(event.periods[-1])) + 1
            self._history = DemandHistory(demand.iloc[max(end - LAG_HOURS, 0) :])
        issues = pd.DatetimeIndex([event.issued_at] * len(event.periods))
        delay = Availability(self._delay.delay_hours + self._late // HOUR)
        self._lags.append(pd.DataFrame(self._history.features(event.periods, issues, delay)))

    def _responses(self, record: Record, start: pd.Timestamp) -> Responses:
        """Responses of the hours after `start`, from observed weather."""
        end = record.periods[-1]
        hours = int((end - start) // pd.Timedelta(HOUR))
        path = self._model.outlook.completed(record.observed.until(end, hours + MEMORY_HOURS))
        return response_features(path, record.region, last=hours)

    def _settle(self) -> None:
        """Add truth, baselines and the base booster's forecast to the pending hours, all at once."""
        if not self._pending:
            return
        hours = pd.concat(self._pending, ignore_index=True)
        self._pending = []
        late_hours = self._late // HOUR
        weather = self._available.weather if self._weather == "observed" else self._available.forecasts
        rows = build_features(
            self._record.demand,
            self._loss.of_rows(weather),
            targets=hours[["period", "issued_at"]],
            region=self._record.region,
            availability=Availability(self._delay.delay_hours + late_hours),
        )
        if self._lags:
            lags = pd.concat(self._lags, ignore_index=True)
            rows[list(lags.columns)] = lags.to_numpy()
            self._lags = []
        self._done.append(
            hours.assign(
                actual_mwh=rows[TARGET_COLUMN].to_numpy(),
                base_mwh=self._model.base.predict_point(rows),
                seasonal_naive_24_mwh=seasonal_naive_24(rows),
                seasonal_naive_168_mwh=seasonal_naive_168(rows),
                model_version=f"fit {self._versions}",
            ).rename(columns={PREDICTED: "predicted_mwh"})[list(COLUMNS)]
        )


def _slice(available: pd.DatetimeIndex, periods: pd.DatetimeIndex) -> slice:
    """The position of consecutive periods among the available hours.

    Raises:
        ValueError: some of them are missing.
    """
    first = int((periods[0] - available[0]) // pd.Timedelta(HOUR))
    if first < 0 or first + len(periods) > len(available):
        raise ValueError(f"no weather for {periods[0]} to {periods[-1]}; the record ends too early")
    return slice(first, first + len(periods))
