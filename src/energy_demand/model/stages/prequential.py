"""Prequential predictions: the adaptive regression's forecast of each hour before it learnt that hour. Pure.

The later stages and the intervals are fitted on them. Every hour has a forecast from observed weather; issues
with a recorded weather run also have one from the weather as forecast, whose corrections must never be learnt
from the days that they are applied to.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from energy_demand.data.issued_weather import WEIGHED_DAYS
from energy_demand.model.expected_errors import ExpectedErrors, expected_errors
from energy_demand.model.stages.adaptive_regression import PERCENT, AdaptiveRegression, gross_load
from energy_demand.model.stages.error_stage import ErrorStage, error_features
from energy_demand.model.stages.residual_stage import residual_features
from energy_demand.model.stages.response_features import MEMORY_HOURS, Responses, joined
from energy_demand.model.weather.horizon import WEIGHED_HOURS, Horizon, weather_horizon, weather_horizons
from energy_demand.model.weather.issues import LEADS
from energy_demand.model.weather.past_errors import FIRST, past_hours
from energy_demand.model.weather.training import fit_corrections
from energy_demand.parallel import side_by_side
from energy_demand.timeaxis import HOUR, ISSUE_HOUR_LOCAL, Availability, day_ahead_issue, local_day, utc_index

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from energy_demand.arrays import Booleans, Floats, Positions
    from energy_demand.data.record import Record
    from energy_demand.data.weather_path import WeatherPath
    from energy_demand.model.stages.adaptive_regression import RegressionRecipe
    from energy_demand.model.weather.outlook import Outlook
    from energy_demand.model.weather.past_errors import PastErrors
    from energy_demand.model.weather.training import OutlookRecipe


FURTHEST_TRAINED = 49  # hours from the newest known hour: lead 48 plus one hour of delay
FOLD_DAYS = 15  # length of the alternating blocks in which weather corrections are held out
STEP_DAYS = 2  # between replayed issues: errors of neighbouring days are alike
DAY = 24


@dataclass(frozen=True)
class OutOfSample:
    """Out-of-sample forecasts of the adaptive regression, one row per forecast hour.

    Attributes:
        known: position of the newest known hour.
        target: position of the forecast hour.
        responses: of the forecast hour, from the weather that the forecast used.
        regression: forecast, percent of log gross load.
        spread: percent.
    """

    known: Positions
    target: Positions
    responses: Responses
    regression: Floats
    spread: Floats

    def rows(self, chosen: Booleans) -> OutOfSample:
        """Some of the rows."""
        return OutOfSample(
            self.known[chosen],
            self.target[chosen],
            self.responses.rows(np.flatnonzero(chosen)),
            self.regression[chosen],
            self.spread[chosen],
        )


@dataclass(frozen=True)
class Prequential:
    """The adaptive regression's out-of-sample forecasts of every hour of a record.

    Attributes:
        responses: of every hour, from observed weather.
        truth: log gross load to learn from, percent; NaN where unknown.
        errors: one-day-ahead errors against demand as known at the time, percent.
        ages: forecasts, coefficient ages × hours, percent of log gross load.
        spread: by hour, percent.
        at_cut: the stage right before the holdout.
        at_end: the stage after all hours.
        replayed: forecasts from recorded weather runs.
    """

    responses: Responses
    truth: Floats
    errors: Floats
    ages: Floats
    spread: Floats
    at_cut: AdaptiveRegression
    at_end: AdaptiveRegression
    replayed: OutOfSample

    def until(self, end: int) -> Prequential:
        """Only the first `end` hours."""
        return replace(
            self,
            responses=self.responses.rows(slice(0, end)),
            truth=self.truth[:end],
            errors=self.errors[:end],
            ages=self.ages[:, :end],
            spread=self.spread[:end],
            replayed=self.replayed.rows(self.replayed.target < end),
        )

    def residuals(self, warm_up_days: int) -> Floats:
        """Ages × hours: truth minus forecast, percent; NaN during the warm-up of the coefficients."""
        residuals = self.truth[None, :] - self.ages
        residuals[:, : self._first(warm_up_days)] = np.nan
        return residuals

    def expected_errors(self, regression: AdaptiveRegression, zone: ZoneInfo) -> ExpectedErrors:
        """The errors of the newest days; the variance of `regression` sets the weights of the clock hours."""
        residuals = self.truth[None, :] - self.ages
        # At the hour of issue, tomorrow's early hours are forecast with coefficients only one day old.
        early = self.responses.hours <= ISSUE_HOUR_LOCAL - 2
        day_ahead = np.where(early, residuals[0], residuals[1])
        return expected_errors(self.responses.periods, residuals[0], day_ahead, regression.variance, zone)

    def residual_rows(self, errors: ErrorStage, warm_up_days: int) -> tuple[Floats, Floats]:
        """Training rows of the residual stage and their residuals, two per hour at varying distances."""
        hours = np.arange(max(self._first(warm_up_days), FURTHEST_TRAINED), len(self.truth))
        offset = 5 * hours + hours // DAY
        half = FURTHEST_TRAINED // 2
        distances = np.concatenate([offset % FURTHEST_TRAINED, (offset + half) % FURTHEST_TRAINED]) + 1
        target = np.concatenate([hours, hours])
        return self.residuals_of(self._from_observed(target, distances), errors)

    def residuals_of(self, forecasts: OutOfSample, errors: ErrorStage) -> tuple[Floats, Floats]:
        """Rows of `residual_features`, and the residuals of the first two stages there (percent)."""
        distances = forecasts.target - forecasts.known
        features = error_features(self.errors, forecasts.known, forecasts.target)
        correction = errors.correction(features, distances)
        rows = residual_features(forecasts.responses, forecasts.regression, correction, features, distances)
        return rows, self._truth_of(forecasts) - forecasts.regression - correction

    def _truth_of(self, forecasts: OutOfSample) -> Floats:
        """Log gross load that would have been right, given the generation that each forecast goes by."""
        observed, used = self.responses.rooftop_mwh[forecasts.target], forecasts.responses.rooftop_mwh
        gross = np.exp(self.truth[forecasts.target] / PERCENT)
        return np.asarray(PERCENT * np.log(gross - observed + used))

    def newest(self, days: int, fewest_issues: int) -> OutOfSample:
        """Forecasts of the newest days: from replayed weather runs if enough, else from observed weather."""
        if len(self.replayed.known) >= fewest_issues * len(LEADS):
            return self.replayed
        first = max(len(self.truth) - days * DAY, len(self.truth) // 2, FURTHEST_TRAINED)
        target = np.repeat(np.arange(first, len(self.truth)), 4)
        distances = np.tile(np.arange(4), len(target) // 4) * 12 + target % 12 + 1
        return self._from_observed(target, distances)

    def _from_observed(self, target: Positions, distances: Positions) -> OutOfSample:
        return OutOfSample(
            target - distances,
            target,
            self.responses.rows(target),
            self.ages[-(-distances // DAY) - 1, target],
            self.spread[target],
        )

    def _first(self, warm_up_days: int) -> int:
        return min(warm_up_days * DAY, len(self.truth) // 3)


def predict_prequentially(
    record: Record,
    responses: Responses,
    recipe: RegressionRecipe,
    cut: int,
    availability: Availability,
    guessing: Outlook,
    outlook_recipe: OutlookRecipe,
    issues: pd.DatetimeIndex,
    observed: WeatherPath,
) -> Prequential:
    """Run the adaptive regression through a record, with a forecast at each of `issues`.

    Args:
        record: with `truth_mwh`.
        responses: of its hours, from observed weather.
        recipe: of the stage.
        cut: number of hours before the holdout.
        availability: the publication delay of demand.
        guessing: an outlook without corrections.
        outlook_recipe: of the corrections.
        issues: issue times at which recorded weather runs are replayed; may be empty.
        observed: the weather of `responses`, with gaps filled.
    """
    end = len(responses.periods)
    demand = record.seen_mwh[:end]
    known = [record.position(availability.newest_known(issued_at)) for issued_at in issues]
    horizons = _horizons(record, issues, guessing, outlook_recipe, record.periods[cut - 1], observed)
    horizon_at = dict(zip(known, horizons, strict=True))
    stage = AdaptiveRegression.start(responses.rows(slice(0, cut)), demand[:cut], recipe)
    at_cut, start, forecasts, replayed = stage, 0, [], []
    for stop in sorted({cut, end, *(position + 1 for position in known)}):
        stage, forecast = stage.advance(responses.rows(slice(start, stop)), demand[start:stop])
        forecasts.append(forecast)
        start = stop
        if stop == cut:
            at_cut = stage
        if stop - 1 in horizon_at:
            horizon = horizon_at[stop - 1]
            periods = horizon.responses.periods
            target = record.position(periods[0]) + np.arange(len(periods))
            inside = target < end
            predicted = stage.predict(horizon.responses)
            replayed.append(
                OutOfSample(
                    np.full(len(target), stop - 1),
                    target,
                    horizon.responses,
                    predicted,
                    horizon.spread(stage, predicted),
                ).rows(inside)
            )
    ages = np.concatenate([forecast.log_load for forecast in forecasts], axis=1)
    return Prequential(
        responses=responses,
        truth=PERCENT * np.log(gross_load(responses, record.truth_mwh[:end])),
        errors=PERCENT * np.log(gross_load(responses, demand)) - ages[0],
        ages=ages,
        spread=np.concatenate([forecast.spread for forecast in forecasts]),
        at_cut=at_cut,
        at_end=stage,
        replayed=_joined(replayed, responses),
    )


def day_ahead_issues(record: Record, end: int, days: int) -> pd.DatetimeIndex:
    """Day-ahead issue times in the newest `days`, every other day, at which a fresh weather run was known."""
    zone = record.region.zone
    last = local_day(record.periods[end - 1].to_pydatetime(), zone)
    issues = utc_index(
        pd.DatetimeIndex(
            [day_ahead_issue(last - timedelta(days=back), zone) for back in range(days, -1, -STEP_DAYS)]
        )
    )
    first = record.periods[min(MEMORY_HOURS, end - 1)]
    issues = issues[(issues > first) & (issues < record.periods[end - 1])]
    return issues[record.issued.fresh(issues)]


def _horizons(
    record: Record,
    issues: pd.DatetimeIndex,
    guessing: Outlook,
    recipe: OutlookRecipe,
    before: pd.Timestamp,
    observed: WeatherPath,
) -> list[Horizon]:
    """The horizon of each issue as forecast then, with corrections learnt on other blocks of days."""
    if len(issues) == 0:
        return []

    def without(fold: int) -> Outlook:
        return fit_corrections(guessing, record, recipe, before, runs=lambda times: _block(times) != fold)

    fold_of, folds = _block(issues), (0, 1)
    found: dict[pd.Timestamp, Horizon] = {}
    for fold, outlook in zip(folds, side_by_side(*(partial(without, fold) for fold in folds)), strict=True):
        of_fold = issues[fold_of == fold]
        found |= zip(of_fold, _horizons_of(record, outlook, of_fold, observed), strict=True)
    return [found[issued_at] for issued_at in issues]


def _horizons_of(
    record: Record, outlook: Outlook, issues: pd.DatetimeIndex, observed: WeatherPath
) -> list[Horizon]:
    if len(issues) == 0:
        return []
    if not record.other_runs:
        return weather_horizons(record, outlook, issues, observed)
    past = _past_errors(record, outlook, issues)
    return [weather_horizon(record, outlook, issued_at, past_errors=past) for issued_at in issues]


def _past_errors(record: Record, outlook: Outlook, issues: pd.DatetimeIndex) -> PastErrors:
    """The errors of several weather models before the issues, all at once."""
    first = max(issues[0] - pd.Timedelta(days=WEIGHED_DAYS), record.periods[0])
    hours = past_hours(first, issues[-1], record.region.zone)
    span = int((issues[-1] - first) // pd.Timedelta(HOUR))
    observed = outlook.completed(record.observed.until(issues[-1].floor("h"), span + WEIGHED_HOURS))
    return outlook.past_errors(observed, {FIRST: record.issued, **record.other_runs}, hours)


def _block(times: pd.DatetimeIndex) -> Positions:
    days = (times - pd.Timestamp(0, tz="UTC")) // pd.Timedelta(days=FOLD_DAYS)
    return np.asarray(days, dtype=np.int64) % 2


def _joined(parts: list[OutOfSample], like: Responses) -> OutOfSample:
    if not parts:
        none = np.empty(0, dtype=np.int64)
        return OutOfSample(none, none, like.rows(none), np.empty(0), np.empty(0))
    return OutOfSample(
        np.concatenate([part.known for part in parts]),
        np.concatenate([part.target for part in parts]),
        joined([part.responses for part in parts]),
        np.concatenate([part.regression for part in parts]),
        np.concatenate([part.spread for part in parts]),
    )
