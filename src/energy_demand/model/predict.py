"""One forecast of consecutive hours, by any rung of the ladder: what was known → hours with intervals. Pure.

`ladder` says which rung is asked when. Each rung here answers whole or raises.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from energy_demand.columns import FEATURE_COLUMNS, LEAD
from energy_demand.data.feature_engineering import DemandHistory, build_features
from energy_demand.data.weather_path import (
    CLOUD,
    COLUMN,
    HUMIDITY,
    MAIN,
    PATH_COLUMNS,
    RADIATION,
    REST,
    WIND,
)
from energy_demand.errors import UserError
from energy_demand.model.baselines import seasonal_naive_168
from energy_demand.model.distribution import PROBABILITIES
from energy_demand.model.forecaster import BOUNDS, EXPLANATION, PREDICTED, ROOFTOP_MWH, SUN
from energy_demand.model.intervals import ConformalIntervals
from energy_demand.model.metrics import expected_percent_error
from energy_demand.timeaxis import (
    HOUR,
    MAX_LEAD_HOURS,
    day_periods,
    horizon_periods,
    lead_hours,
    local_day,
    local_midnight,
    utc_index,
    utc_text,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date, datetime
    from zoneinfo import ZoneInfo

    from energy_demand.arrays import Booleans, Floats
    from energy_demand.data.record import Record
    from energy_demand.model.base.booster import BaseBooster
    from energy_demand.model.distribution import JointDistribution
    from energy_demand.model.forecaster import Forecaster
    from energy_demand.model.weather.horizon import Horizon
    from energy_demand.timeaxis import Availability

HOUR_COLUMNS = (PREDICTED, *BOUNDS)
# The naive forecasts of an hour: logged with every forecast, because scores compare with them.
NAIVE_COLUMNS = ("demand_lag_24h", "demand_lag_168h")
DEMAND_AGE = "demand_age_hours"
BASE_INPUTS = (*FEATURE_COLUMNS, LEAD)
FORECASTER_INPUTS = (*PATH_COLUMNS, ROOFTOP_MWH, DEMAND_AGE, *NAIVE_COLUMNS, LEAD)
LAST_WEEK_INPUTS = (*NAIVE_COLUMNS, LEAD)

# What answered, best first; the rungs of the ladder, and the champion where it lacked some weather.
CHAMPION = "champion"
WITHOUT_WEATHER = "champion_without_weather"
PREVIOUS = "previous_champion"
BASE_BOOSTER = "base_booster"
LAST_WEEK = "last_week"
NO_MODEL = "none"
# Weather forecasts for fewer of the hours than this, and the base booster is nearer than the forecaster.
LEAST_WEATHER = 0.5
# A forecast of the weather without one of these for more than half of the hours is worth a word.
LACKING_SHARE = 0.5
WEATHER_NAMES = {
    "temperature": (MAIN,),
    "humidity": (HUMIDITY,),
    "cloud cover": (CLOUD,),
    "wind": (WIND,),
    "solar radiation": RADIATION,
}
# Later than this the newest demand is worth a word.
LATE_HOURS = 6
# Hours by which demand of the same hour differs from week to week, to tell how sure last week is.
WEEK_HOURS = 168
WHAT_ANSWERED = {
    WITHOUT_WEATHER: "some hours have no weather forecast; these hours are less accurate",
    PREVIOUS: "fallback: forecast by the previous champion, because the champion failed",
    BASE_BOOSTER: "fallback: forecast by the base booster, because the full forecaster failed or had too "
    "few weather forecasts",
    LAST_WEEK: "fallback: same hour last week, because no model could forecast",
}


class ForecastError(UserError, ValueError):
    """A forecast that cannot be made; the message says why and what to do."""


class NoForecastError(ForecastError):
    """Nobody could forecast hours that can be asked for."""


@dataclass(frozen=True)
class Forecast:
    """A forecast of consecutive hours.

    Attributes:
        issued_at: everything known by then was used, nothing later.
        model_version: the registered version that made it; `none` where no model did.
        state_through: the newest hour of demand that was known.
        quality: which model answered, from `CHAMPION` to `LAST_WEEK`.
        in_sample: the model was trained on hours after `issued_at`: no honest forecast.
        doubted_hours: hours of demand after `state_through` that were served and cannot be true.
        lacking: what the weather forecast does not have for most of the hours, though it is observed.
        hours: `period`, `lead_hours`, `predicted_demand_mwh` and the interval bounds (MWh).
        base_rows: makes the base feature rows of the same hours.
        make_inputs: makes what the hours were forecast from: `BASE_INPUTS`, `FORECASTER_INPUTS` or
            `LAST_WEEK_INPUTS`, by who answered.
        explain: makes the explanation; None where no forecaster made the forecast.
        make_sun: makes what the sun does to the forecast; None likewise.
        make_weights: makes the weights of the adaptive regression's filters; None likewise.
        make_distribution: makes the distribution of hours, energy and peak; None likewise.
    """

    issued_at: datetime
    model_version: str
    state_through: datetime
    quality: str
    in_sample: bool
    hours: pd.DataFrame
    base_rows: Callable[[], pd.DataFrame]
    make_inputs: Callable[[], pd.DataFrame]
    explain: Callable[[], pd.DataFrame] | None = None
    make_sun: Callable[[], pd.DataFrame] | None = None
    make_weights: Callable[[], pd.DataFrame] | None = None
    make_distribution: Callable[[], JointDistribution] | None = None
    doubted_hours: int = 0
    lacking: tuple[str, ...] = ()

    @cached_property
    def rows(self) -> pd.DataFrame:
        """The base feature rows of the same hours."""
        return self.base_rows()

    @cached_property
    def inputs(self) -> pd.DataFrame:
        """What each hour was forecast from, and its naive forecasts."""
        return self.make_inputs()

    @cached_property
    def explanation(self) -> pd.DataFrame | None:
        """`period` and what each part adds to its forecast (MWh); None where no forecaster made it."""
        return None if self.explain is None else self.explain()

    @cached_property
    def sun(self) -> pd.DataFrame | None:
        """`period` and the columns of `SUN` (MWh); None where no forecaster made the forecast."""
        return None if self.make_sun is None else self.make_sun()

    @cached_property
    def filter_weights(self) -> pd.DataFrame | None:
        """`period` and how much each filter of the adaptive regression is believed; None likewise."""
        return None if self.make_weights is None else self.make_weights()

    @cached_property
    def distribution(self) -> JointDistribution | None:
        """Of these hours, their energy and their peak (MWh); None where no forecaster made the forecast."""
        return None if self.make_distribution is None else self.make_distribution()

    def __getstate__(self) -> dict[str, Any]:
        """What a cache keeps: frames in place of the functions that make them."""
        made = {
            "rows": self.rows,
            "inputs": self.inputs,
            "explanation": self.explanation,
            "sun": self.sun,
            "filter_weights": self.filter_weights,
            "distribution": self.distribution,
        }
        makers = ("base_rows", "make_inputs", "explain", "make_sun", "make_weights", "make_distribution")
        return {**self.__dict__, **made, **dict.fromkeys(makers)}

    @property
    def demand_age_hours(self) -> float:
        """How old the newest demand that was known is, at the hour of issue."""
        return (self.issued_at - self.state_through) / HOUR

    @property
    def peak(self) -> dict[str, Any]:
        """The hour with the highest demand: `period`, its MWh and its interval."""
        highest = int(self.hours["predicted_demand_mwh"].to_numpy().argmax())
        return _hour_json(self.hours.iloc[highest].to_dict())

    @property
    def expected_error_percent(self) -> float:
        """The mean absolute error of these hours that their intervals let one expect, percent."""
        return expected_percent_error(*(self.hours[name] for name in (PREDICTED, "lower_80", "upper_80")))

    def to_json(self, *, explain: bool = False, quantiles: bool = False) -> dict[str, Any]:
        """The body that `forecast --json` and `GET /forecast` give.

        With `explain`, each hour says what calendar, temperature, sun and so on add to it, what panels
        behind the meter take off it and what it would be under another sky (MWh), and how much each filter of
        the adaptive regression is believed. With `quantiles`, each hour has those of `PROBABILITIES` and the
        probability of being the peak, and the body those of the energy and the peak of all hours. Nothing of
        it where no forecaster made the forecast.
        """
        body: dict[str, Any] = {
            "issued_at": utc_text(self.issued_at),
            "model_version": self.model_version,
            "state_through": utc_text(self.state_through),
            "demand_age_hours": round(self.demand_age_hours, 2),
            "quality": self.quality,
            "warnings": self.warnings(),
            "expected_error_percent": round(self.expected_error_percent, 2),
            "peak": self.peak,
            "hours": [_hour_json(row) for row in self.hours.to_dict("records")],
        }
        if explain and self.explanation is not None:
            for hour, parts in zip(body["hours"], self.explanation.to_dict("records"), strict=True):
                hour["explanation"] = {name: round(float(parts[name]), 1) for name in EXPLANATION}
        if explain and self.sun is not None:
            for hour, of_sun in zip(body["hours"], self.sun.to_dict("records"), strict=True):
                hour["sun"] = {name: round(float(of_sun[name]), 1) for name in SUN}
        if explain and self.filter_weights is not None:
            for hour, weights in zip(body["hours"], self.filter_weights.to_dict("records"), strict=True):
                hour["filter_weights"] = {
                    name: round(float(weights[name]), 3) for name in list(weights) if name != "period"
                }
        if quantiles and self.distribution is not None:
            joint = self.distribution
            body["energy_quantiles"], body["peak_quantiles"] = map(
                _by_probability, (joint.energy, joint.peak)
            )
            for hour, of_hour, peak in zip(body["hours"], joint.hours, joint.peak_hour, strict=True):
                hour |= {"quantiles": _by_probability(of_hour), "peak_probability": round(float(peak), 3)}
        return {**body, "in_sample": True} if self.in_sample else body

    def warnings(self) -> list[str]:
        """What a reader must know before trusting it, a sentence each."""
        warnings = []
        if self.in_sample:
            warnings.append(
                f"model version {self.model_version} was trained on hours after {utc_text(self.issued_at)}: "
                "this is not an out-of-sample forecast"
            )
        if self.quality in WHAT_ANSWERED:
            warnings.append(WHAT_ANSWERED[self.quality])
        if self.demand_age_hours > LATE_HOURS:
            warnings.append(f"the newest known demand is {self.demand_age_hours:.0f} hours old")
        if self.doubted_hours:
            warnings.append(
                f"{self.doubted_hours} later hours of demand cannot be true (zeros, jumps or frozen "
                "values) and were not used"
            )
        if self.lacking:
            warnings.append(
                f"the weather forecast has no {' and no '.join(self.lacking)} for most of these hours; the "
                "forecast is less accurate"
            )
        return warnings

    def log_rows(
        self, source: str, request_id: str, made_at: datetime, respondent: str
    ) -> list[dict[str, Any]]:
        """The rows of `prediction_log`, each hour with `inputs` as its `features_json`."""
        inputs = self.inputs.astype(object)
        used = inputs.where(inputs.notna(), None).to_dict("records")
        return [
            {
                "respondent": respondent,
                "timestamp": utc_text(hour["period"]),
                "issued_at": self.issued_at.isoformat(),
                "lead_hours": int(hour[LEAD]),
                "predicted_demand": float(hour["predicted_demand_mwh"]),
                **{name: float(hour[name]) for name in HOUR_COLUMNS[1:]},
                "model_version": self.model_version,
                "quality": self.quality,
                "source": source,
                "request_id": request_id,
                "features_json": row,
                "prediction_made_at": made_at.isoformat(),
            }
            for hour, row in zip(self.hours.to_dict("records"), used, strict=True)
        ]


def next_hours(issued_at: datetime, hours: int) -> pd.DatetimeIndex:
    """The periods of a forecast for the next `hours` hours.

    Raises:
        ForecastError: not between 1 and 48.
    """
    if not 1 <= hours <= MAX_LEAD_HOURS:
        raise ForecastError(f"hours must be between 1 and {MAX_LEAD_HOURS}; got {hours}")
    return horizon_periods(issued_at, hours)


def hours_of_day(day: date, issued_at: datetime, zone: ZoneInfo) -> pd.DatetimeIndex:
    """All 23, 24 or 25 periods of a local day.

    Raises:
        ForecastError: the day has begun at `issued_at`, or ends more than 48 hours later.
    """
    # Days are compared first: one at the end of all calendars has hours that none can count.
    today, furthest = local_day(issued_at, zone), issued_at + MAX_LEAD_HOURS * HOUR
    if day < today or (day == today and local_midnight(day, zone) < issued_at):
        raise ForecastError(
            f"{day} has already begun at {utc_text(issued_at)}; choose a later day or an earlier issue time"
        )
    if day > local_day(furthest, zone) or day_periods(day, zone)[-1] > furthest:
        raise ForecastError(
            f"{day} ends more than {MAX_LEAD_HOURS} hours after {utc_text(issued_at)}, which is the longest "
            "lead; choose an earlier day"
        )
    return day_periods(day, zone)


@dataclass(frozen=True)
class Question:
    """What is asked: consecutive `periods` after `issued_at`, from demand of that availability."""

    issued_at: datetime
    periods: pd.DatetimeIndex
    availability: Availability


def by_forecaster(known: Record, model: Forecaster, version: str, question: Question) -> Forecast:
    """The whole forecaster's answer, from what was known at the hour of issue.

    Raises:
        ForecastError: weather is missing for most hours, the model is another region's, or its state ends
            before anything that is stored.
    """
    issued_at, periods = question.issued_at, question.periods
    _check_region(known, model)
    through = model.regression.through
    if known.periods[0] > through + pd.Timedelta(HOUR):
        raise ForecastError(
            f"the model's state ends at {utc_text(through)}, but no demand is stored from then to "
            f"{utc_text(known.periods[0])}; run `energy-demand backfill --start {through:%Y-%m-%d} --end …`"
        )
    refreshed = model.advance(known)
    horizon = refreshed.horizon(known, issued_at)
    first = int((periods[0] - horizon.responses.periods[0]) // pd.Timedelta(HOUR))
    horizon = horizon.rows(slice(first, first + len(periods)))
    has_run = np.ones(len(periods), dtype=bool) if horizon.has_run is None else horizon.has_run
    if has_run.mean() < LEAST_WEATHER:
        raise ForecastError(
            f"only {has_run.sum()} of {len(periods)} hours have a weather forecast; "
            "run `energy-demand ingest`"
        )
    stages = refreshed.stages(horizon, issued_at)
    return Forecast(
        issued_at=issued_at,
        model_version=version,
        state_through=newest_demand(known),
        doubted_hours=_doubted_hours(known),
        lacking=_lacking(known, question),
        quality=CHAMPION if has_run.all() else WITHOUT_WEATHER,
        in_sample=issued_at < model.trained_through,
        hours=refreshed.hours_of(stages),
        explain=lambda: refreshed.explain(stages),
        make_sun=lambda: refreshed.sun(stages, known),
        make_weights=lambda: refreshed.filter_weights(stages),
        make_distribution=lambda: refreshed.joint_distribution(stages),
        base_rows=lambda: _rows(known, question),
        make_inputs=lambda: _forecaster_inputs(known, horizon, question),
    )


def by_base_booster(known: Record, model: Forecaster, version: str, question: Question) -> Forecast:
    """The base booster's answer, with the weather that there is.

    Raises:
        ForecastError: the model is another region's.
    """
    _check_region(known, model)
    rows = _rows(known, question)
    return Forecast(
        issued_at=question.issued_at,
        model_version=version,
        state_through=newest_demand(known),
        doubted_hours=_doubted_hours(known),
        lacking=_lacking(known, question),
        quality=BASE_BOOSTER,
        in_sample=question.issued_at < model.trained_through,
        hours=_hours(question, rows, _of_base(model.base, rows)),
        base_rows=lambda: rows,
        make_inputs=lambda: rows[list(BASE_INPUTS)],
    )


def by_last_week(known: Record, question: Question) -> Forecast:
    """Same hour last week, with intervals from how much demand differed from week to week.

    Raises:
        ForecastError: demand of that week is not known.
    """
    rows = _rows(known, question)
    predicted = seasonal_naive_168(rows)
    demand = known.demand_mwh
    before, after = demand[:-WEEK_HOURS], demand[WEEK_HOURS:]
    both = ~np.isnan(before) & ~np.isnan(after)
    if np.isnan(predicted).any() or not both.any():
        raise ForecastError(
            "demand of the same hours last week is not stored; "
            "run `energy-demand ingest` or `energy-demand backfill`"
        )
    a_week = np.full(int(both.sum()), WEEK_HOURS)
    local = (known.periods[WEEK_HOURS:][both] - pd.Timedelta(HOUR)).tz_convert(known.region.zone)
    intervals = ConformalIntervals.fit(after[both], before[both], a_week, local.hour.to_numpy(np.int64))
    hours = rows["hour_of_day"].to_numpy(dtype=np.int64)
    bounds = intervals.bounds(predicted, np.full(len(rows), WEEK_HOURS), hours)
    return Forecast(
        issued_at=question.issued_at,
        model_version=NO_MODEL,
        state_through=newest_demand(known),
        doubted_hours=_doubted_hours(known),
        lacking=_lacking(known, question),
        quality=LAST_WEEK,
        in_sample=False,
        hours=_hours(question, rows, {PREDICTED: predicted, **bounds}),
        base_rows=lambda: rows,
        make_inputs=lambda: rows[list(LAST_WEEK_INPUTS)],
    )


def newest_demand(known: Record) -> datetime:
    """The newest hour of demand in a record that was served and believed.

    Raises:
        NoForecastError: it has none.
    """
    hours = np.flatnonzero(~np.isnan(known.seen_mwh))
    if not len(hours):
        raise NoForecastError("no demand is known; run `energy-demand ingest` or `energy-demand backfill`")
    newest: datetime = known.periods[hours[-1]].to_pydatetime()
    return newest


def _doubted_hours(known: Record) -> int:
    """How many hours after the newest believed one were served all the same."""
    believed = np.flatnonzero(~np.isnan(known.seen_mwh))
    later = known.demand_mwh[believed[-1] + 1 :]
    return int((~np.isnan(later)).sum())


def _lacking(known: Record, question: Question) -> tuple[str, ...]:
    """What the weather forecast does not have for most of the hours, of what is observed in the region."""
    issued_at = pd.DatetimeIndex([question.issued_at])
    ahead = known.issued.around(issued_at, 0, MAX_LEAD_HOURS)[0, 1:]
    for runs in known.other_runs.values():
        ahead = np.where(np.isnan(ahead), runs.around(issued_at, 0, MAX_LEAD_HOURS)[0, 1:], ahead)
    hours = np.asarray((question.periods - issued_at.floor("h")[0]) // pd.Timedelta(HOUR), dtype=np.int64)
    absent = np.isnan(ahead[hours - 1]).mean(axis=0) > LACKING_SHARE
    if absent.all():  # without any run `quality` says so
        return ()
    observed: Booleans = np.array(~np.isnan(known.observed.values).all(axis=0))
    observed[COLUMN[REST]] = False  # its guess from the main site is nearly as good
    served, known_there = (dict(zip(PATH_COLUMNS, each, strict=True)) for each in (~absent, observed))
    return tuple(
        word
        for word, names in WEATHER_NAMES.items()
        if any(known_there[name] for name in names) and not any(served[name] for name in names)
    )


def _check_region(known: Record, model: Forecaster) -> None:
    if model.respondent != known.region.respondent:
        raise ForecastError(
            f"the model was trained for {model.respondent}, not for {known.region.respondent}; "
            "run `energy-demand train` for this region"
        )
    sites = tuple(site.name for site in known.region.sites)
    if model.sites and model.sites != sites:
        raise ForecastError(
            f"the model was trained on the weather of {', '.join(model.sites)}, not of {', '.join(sites)}; "
            "run `energy-demand train` for these sites"
        )


def _forecaster_inputs(known: Record, horizon: Horizon, question: Question) -> pd.DataFrame:
    """The weather as forecast at the issue, after gaps and corrections, and how old the newest demand is."""
    weather = horizon.weather
    if weather is None:
        raise ValueError("a horizon of certain weather is for backtests alone")
    issues = _issues(question)
    lags = DemandHistory(known.demand).features(question.periods, issues, question.availability)
    columns = {
        **{name: weather.column(name) for name in PATH_COLUMNS},
        ROOFTOP_MWH: horizon.responses.rooftop_mwh,
        DEMAND_AGE: np.full(len(issues), (question.issued_at - newest_demand(known)) / HOUR),
        **{name: lags[name] for name in NAIVE_COLUMNS},
        LEAD: lead_hours(question.periods, issues),
    }
    return pd.DataFrame(columns)[list(FORECASTER_INPUTS)]


def _issues(question: Question) -> pd.DatetimeIndex:
    return utc_index(pd.DatetimeIndex([question.issued_at])).repeat(len(question.periods))


def _rows(known: Record, question: Question) -> pd.DataFrame:
    issues = _issues(question)
    return build_features(
        known.demand,
        known.forecasts,
        targets=pd.DataFrame({"period": question.periods, "issued_at": issues}),
        region=known.region,
        availability=question.availability,
    )


def _of_base(base: BaseBooster, rows: pd.DataFrame) -> dict[str, Floats]:
    answered = base.predict(rows)
    return {name: answered[name].to_numpy() for name in HOUR_COLUMNS}


def _hours(question: Question, rows: pd.DataFrame, columns: dict[str, Floats]) -> pd.DataFrame:
    return pd.DataFrame({"period": question.periods, LEAD: rows[LEAD].to_numpy(), **columns})


def _by_probability(quantiles: Floats) -> dict[str, float]:
    return {f"{at:g}": round(float(mwh), 1) for at, mwh in zip(PROBABILITIES, quantiles, strict=True)}


def _hour_json(row: dict[Any, Any]) -> dict[str, Any]:
    return {
        "period": utc_text(row["period"]),
        "lead_hours": int(row[LEAD]),
        **{name: round(float(row[name]), 1) for name in HOUR_COLUMNS},
    }
