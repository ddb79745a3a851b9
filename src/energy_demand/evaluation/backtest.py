"""Walk-forward backtests: an ordered stream of fit and predict events over a record. Pure.

What is fitted at an event knows only what was known then; what is predicted comes from the newest fit, its
state advanced to what was known at the issue. The recipe is the one that is served.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from energy_demand.columns import TARGET_COLUMN
from energy_demand.data.feature_engineering import build_features
from energy_demand.data.issued_weather import IssuedWeather
from energy_demand.data.record import Record, make_record
from energy_demand.data.weather_path import WeatherPath
from energy_demand.model.baselines import seasonal_naive_24, seasonal_naive_168
from energy_demand.model.forecaster import PREDICTED
from energy_demand.model.stages.adaptive_regression import REMEMBERED_HOURS
from energy_demand.model.stages.response_features import MEMORY_HOURS, Responses, response_features
from energy_demand.model.train import Recipe, fit
from energy_demand.model.weather.horizon import Horizon
from energy_demand.timeaxis import HOUR, Availability, day_ahead_issue, day_periods, days_periods

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from zoneinfo import ZoneInfo

    from energy_demand.model.forecaster import Forecaster
    from energy_demand.model.train import Weather

REFIT_DAYS = 30
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
SEEN_LOST_HOURS = 72  # of observed weather, in a loss of all weather


class Protocol(StrEnum):
    """When the forecast of an hour is issued."""

    ROLLING_24H = "rolling-24h"
    DAY_AHEAD = "day-ahead"

    @property
    def availability(self) -> Availability:
        """The publication delay that goes with it."""
        return Availability(0 if self is Protocol.ROLLING_24H else 1)

    @property
    def weather(self) -> Weather:
        """The weather that goes with it unless asked otherwise."""
        return "observed" if self is Protocol.ROLLING_24H else "as_issued"


class Loss(StrEnum):
    """What the forecasts of a backtest go without; the fits do not."""

    NOTHING = "nothing"
    DEMAND_6H = "demand-6h"
    DEMAND_30H = "demand-30h"
    WEATHER = "weather"
    OTHER_SITES = "other-sites"

    @property
    def demand_late_hours(self) -> int:
        """How many hours of the newest demand have not arrived."""
        return {Loss.DEMAND_6H: 6, Loss.DEMAND_30H: 30}.get(self, 0)


@dataclass(frozen=True)
class Fit:
    """Fit on everything known at `as_of`."""

    as_of: datetime


@dataclass(frozen=True)
class Predict:
    """Forecast `periods` from everything known at `issued_at`."""

    issued_at: datetime
    periods: pd.DatetimeIndex


def schedule(
    protocol: Protocol, first: date, last: date, zone: ZoneInfo, refit_days: int = REFIT_DAYS
) -> Iterator[Fit | Predict]:
    """The events of a backtest of the local days `first` to `last`, in the order of time.

    A fit comes before the first forecast, and again whenever `refit_days` have passed since the last.
    """
    fitted: datetime | None = None
    for predict in _predictions(protocol, first, last, zone):
        if fitted is None or predict.issued_at - fitted >= timedelta(days=refit_days):
            fitted = predict.issued_at
            yield Fit(fitted)
        yield predict


def _predictions(protocol: Protocol, first: date, last: date, zone: ZoneInfo) -> Iterator[Predict]:
    if protocol is Protocol.DAY_AHEAD:
        for number in range((last - first).days + 1):
            day = first + timedelta(days=number)
            yield Predict(day_ahead_issue(day, zone), day_periods(day, zone))
    else:
        for period in days_periods(first, last, zone):
            yield Predict((period - 24 * HOUR).to_pydatetime(), pd.DatetimeIndex([period]))


def walk_forward(
    record: Record,
    events: Iterator[Fit | Predict],
    *,
    protocol: Protocol,
    weather: Weather,
    availability: Availability | None = None,
    recipe: Recipe | None = None,
    loss: Loss = Loss.NOTHING,
    model: Forecaster | None = None,
    refine: Callable[[Forecaster], Forecaster] = lambda model: model,
    progress: Callable[[Fit | Predict], None] = lambda event: None,  # noqa: ARG005
) -> pd.DataFrame:
    """Run the events.

    Args:
        record: with `truth_mwh`; it may know more than any event may see.
        events: of `schedule`.
        protocol: of the events.
        availability: the publication delay of demand; the protocol's by default.
        weather: `observed`: the weather of the hours up to the target is as it came; `as_issued`: as it
            was foreseen at the issue.
        recipe: of the forecaster.
        loss: what the forecasts go without.
        model: serves before the first fit; one that is never refitted needs no fits.
        refine: changes each fitted forecaster, for ablations.
        progress: told each event.

    Returns:
        One row per hour: `period`, `issued_at`, `lead_hours`, `actual_mwh` (NaN where there is no truth),
        `predicted_mwh`, the bounds, `base_mwh` (the base booster), `seasonal_naive_24_mwh`,
        `seasonal_naive_168_mwh`, `model_version` (`fit N`).

    Raises:
        ValueError: nothing was forecast, or the record ends before an event.
    """
    run = Walk(record, availability or protocol.availability, weather, recipe or Recipe(), loss)
    if model is not None:
        run.serve(model)
    for event in events:
        progress(event)
        if isinstance(event, Fit):
            run.fit(event, refine)
        else:
            run.predict(event)
    return run.result()


class Walk:
    """The state between events, for whoever decides on the way what happens next.

    With `refresh` off nothing of a model is kept up to date: its coefficients stay as they were trained, and
    what was missed lately is not known to it.
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
    ) -> None:
        self._record = record
        self._available = _without(record, loss)
        self._delay = availability
        self._late = timedelta(hours=loss.demand_late_hours)
        self._weather = weather
        self._recipe = recipe or Recipe()
        self._loss = loss
        self._refresh = refresh
        self._model: Forecaster
        self._past: Responses
        self._seen: Responses
        self._versions = 0
        self._pending: list[pd.DataFrame] = []
        self._done: list[pd.DataFrame] = []

    def fit(self, event: Fit, refine: Callable[[Forecaster], Forecaster]) -> None:
        """A new forecaster; the base booster's forecasts of the old one are made."""
        self._settle()
        known = self._record.cut_at(event.as_of - self._late, self._delay)
        fitted = fit(known, self._recipe, availability=self._delay, weather=self._weather, judge=False)
        self._versions += 1
        self.serve(refine(fitted.forecaster))

    def serve(self, model: Forecaster) -> None:
        """Forecast with this one from now on."""
        self._model = model
        start = self._model.regression.through
        self._past = self._responses(self._record, start)
        self._seen = (
            self._past if self._available is self._record else self._responses(self._available, start)
        )

    def predict(self, event: Predict) -> pd.DataFrame:
        """The forecast of the event's hours: `period`, `lead_hours`, the forecast, its bounds."""
        newest = pd.Timestamp(self._delay.newest_known(event.issued_at - self._late))
        self._advance(newest)
        if self._weather == "observed" and self._loss is not Loss.WEATHER:
            ahead = Horizon(self._seen.rows(_slice(self._seen.periods, event.periods)))
        else:
            foreseen = self._model.horizon(self._view(event.issued_at), event.issued_at)
            ahead = foreseen.rows(_slice(foreseen.responses.periods, event.periods))
        hours = self._model.forecast(ahead, event.issued_at)
        self._pending.append(hours.assign(issued_at=event.issued_at))
        return hours

    def result(self) -> pd.DataFrame:
        """All hours that were forecast."""
        self._settle()
        if not self._done:
            raise ValueError("no forecast was asked for")
        return pd.concat(self._done, ignore_index=True)

    def _advance(self, newest: pd.Timestamp) -> None:
        hours = int((newest - self._model.regression.through) // pd.Timedelta(HOUR))
        if hours <= 0:
            return
        if not self._refresh:
            nothing = np.full(REMEMBERED_HOURS, np.nan)
            regression = replace(self._model.regression, through=newest, innovations=nothing)
            self._model = replace(self._model, regression=regression)
            return
        first = self._record.position(self._model.regression.through) + 1
        demand = self._record.demand_mwh[first : first + hours]
        periods = self._record.periods[first : first + hours]
        self._model = self._model.after(self._past.rows(_slice(self._past.periods, periods)), demand)

    def _responses(self, record: Record, start: pd.Timestamp) -> Responses:
        """Responses of the hours after `start`, from observed weather."""
        end = record.periods[-1]
        hours = int((end - start) // pd.Timedelta(HOUR))
        path = self._model.outlook.completed(record.observed.until(end, hours + MEMORY_HOURS))
        return response_features(path, record.region, last=hours)

    def _view(self, issued_at: datetime) -> Record:
        """What an outlook may look at; it looks at nothing after the issue by itself."""
        if self._loss is not Loss.WEATHER:
            return self._available
        observed = self._available.observed
        last = observed.position(pd.Timestamp(issued_at))
        values = observed.values[: last + 1].copy()
        values[-SEEN_LOST_HOURS:] = np.nan
        path = WeatherPath(observed.periods[: last + 1], values)
        nothing = IssuedWeather(self._available.issued.issued_at[:0], self._available.issued.values[:0])
        return replace(self._available, observed=path, issued=nothing)

    def _settle(self) -> None:
        """Add to the pending hours what is made for many at once: truth, baselines, the base booster."""
        if not self._pending:
            return
        hours = pd.concat(self._pending, ignore_index=True)
        self._pending = []
        late = self._late // HOUR
        weather = self._available.weather if self._weather == "observed" else self._available.forecasts
        rows = build_features(
            self._record.demand,
            weather if self._loss is not Loss.WEATHER else weather.iloc[:0],
            targets=hours[["period", "issued_at"]],
            region=self._record.region,
            availability=Availability(self._delay.delay_hours + late),
        )
        self._done.append(
            hours.assign(
                actual_mwh=rows[TARGET_COLUMN].to_numpy(),
                base_mwh=self._model.base.predict_point(rows),
                seasonal_naive_24_mwh=seasonal_naive_24(rows),
                seasonal_naive_168_mwh=seasonal_naive_168(rows),
                model_version=f"fit {self._versions}",
            ).rename(columns={PREDICTED: "predicted_mwh"})[list(COLUMNS)]
        )


def _without(record: Record, loss: Loss) -> Record:
    """The record that forecasts may use."""
    if loss is not Loss.OTHER_SITES:
        return record
    main = record.region.sites[0].name
    return make_record(
        record.demand,
        record.weather[record.weather["site"] == main],
        record.forecasts[record.forecasts["site"] == main],
        record.region,
        record.periods[-1],
    )


def _slice(held: pd.DatetimeIndex, periods: pd.DatetimeIndex) -> slice:
    """Where consecutive periods are among the hours that are held.

    Raises:
        ValueError: they are not all there.
    """
    first = int((periods[0] - held[0]) // pd.Timedelta(HOUR))
    if first < 0 or first + len(periods) > len(held):
        raise ValueError(f"no weather for {periods[0]} to {periods[-1]}; the record ends too early")
    return slice(first, first + len(periods))
