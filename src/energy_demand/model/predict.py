"""One forecast of consecutive hours, by any rung of the ladder: what was known → hours with intervals. Pure.

`ladder` says which rung is asked when. Each rung here answers whole or raises.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from energy_demand.columns import LEAD
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
from energy_demand.model.forecast import (
    BASE_BOOSTER,
    BASE_INPUTS,
    CHAMPION,
    DEMAND_AGE,
    FORECASTER_INPUTS,
    HOUR_COLUMNS,
    LAST_WEEK,
    LAST_WEEK_INPUTS,
    NAIVE_COLUMNS,
    NO_MODEL,
    WITHOUT_WEATHER,
    Forecast,
)
from energy_demand.model.forecaster import PREDICTED, ROOFTOP_MWH
from energy_demand.model.intervals import ConformalIntervals
from energy_demand.model.provenance import provenance
from energy_demand.model.scenarios.answer import forecast_scenario, weather_before
from energy_demand.model.weather.horizon import weather_of
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
    from datetime import date, datetime
    from zoneinfo import ZoneInfo

    from energy_demand.arrays import Booleans, Floats
    from energy_demand.data.record import Record
    from energy_demand.model.base.booster import BaseBooster
    from energy_demand.model.forecaster import Forecaster
    from energy_demand.model.weather.horizon import Horizon
    from energy_demand.timeaxis import Availability

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
# Hours by which demand of the same hour differs from week to week, to tell how sure last week is.
WEEK_HOURS = 168


class ForecastError(UserError, ValueError):
    """A forecast that cannot be made; the message says why and what to do."""


class NoForecastError(ForecastError):
    """Nobody could forecast hours that can be asked for."""


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
    whole = refreshed.horizon(known, issued_at)
    first = int((periods[0] - whole.responses.periods[0]) // pd.Timedelta(HOUR))
    horizon = whole.rows(slice(first, first + len(periods)))
    has_run = np.ones(len(periods), dtype=bool) if horizon.has_run is None else horizon.has_run
    if has_run.mean() < LEAST_WEATHER:
        raise ForecastError(
            f"only {has_run.sum()} of {len(periods)} hours have a weather forecast; "
            "run `energy-demand ingest`"
        )
    stages = refreshed.stages(horizon, issued_at)
    past = cache(lambda: weather_before(refreshed, known, issued_at))  # once for all scenarios
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
        make_provenance=lambda: provenance(known, question, refreshed.regression),
        make_scenario=lambda scenario: forecast_scenario(
            refreshed, known, past(), weather_of(whole), stages, scenario
        ),
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
        make_provenance=lambda: provenance(known, question),
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
        make_provenance=lambda: provenance(known, question),
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
    weather = weather_of(horizon)
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
