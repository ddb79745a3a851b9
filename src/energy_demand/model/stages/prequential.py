"""What the adaptive regression said of each hour before it saw it: the material of the later stages. Pure.

Forecasts of observed weather come with every hour; forecasts of the weather as it was foreseen are replayed
for recorded runs, with corrections that were not learnt from the days they are tried on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from energy_demand.model.expected_errors import ExpectedErrors, expected_errors
from energy_demand.model.stages.adaptive_regression import PERCENT, AdaptiveRegression
from energy_demand.model.stages.error_stage import ErrorStage, error_features
from energy_demand.model.stages.residual_stage import residual_features
from energy_demand.model.stages.response_features import MEMORY_HOURS, Responses, joined
from energy_demand.model.weather.horizon import Horizon, weather_horizon
from energy_demand.model.weather.issues import LEADS
from energy_demand.model.weather.training import fit_corrections
from energy_demand.timeaxis import ISSUE_HOUR_LOCAL, Availability, day_ahead_issue, local_day, utc_index

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from energy_demand.arrays import Booleans, Floats, Positions
    from energy_demand.data.record import Record
    from energy_demand.model.stages.adaptive_regression import RegressionRecipe
    from energy_demand.model.weather.outlook import Outlook
    from energy_demand.model.weather.training import OutlookRecipe


FURTHEST_TRAINED = 49  # hours from the newest known hour: lead 48 and one hour of delay
FOLD_DAYS = 15  # blocks that take turns when corrections of the weather are held out
STEP_DAYS = 2  # between replayed issues: neighbouring days err alike
DAY = 24


@dataclass(frozen=True)
class OutOfSample:
    """Forecasts of the adaptive regression to be compared with what came, one row per hour that was forecast.

    Attributes:
        known: position of the newest hour that was known.
        target: position of the hour that is forecast.
        responses: of that hour, as they were foreseen.
        regression: percent of log demand.
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
    """Every hour of a record as the adaptive regression foresaw it.

    Attributes:
        responses: of every hour.
        truth: log demand to learn from, percent; NaN where it is not known.
        errors: one-day-ahead errors against demand as it was known, percent.
        ages: ages × hours, percent of log demand.
        spread: hours, percent.
        at_cut: the stage before the part that is held out.
        at_end: the stage after everything.
        replayed: what recorded runs gave.
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

    def missed(self, warm_up_days: int) -> Floats:
        """Ages × hours: truth minus what was said, percent; NaN while the coefficients were still raw."""
        wrong = self.truth[None, :] - self.ages
        wrong[:, : self._first(warm_up_days)] = np.nan
        return wrong

    def expected_errors(self, regression: AdaptiveRegression, zone: ZoneInfo) -> ExpectedErrors:
        """What was missed on the newest days, each foreseen; `regression` tells which hours are noisy."""
        missed = self.truth[None, :] - self.ages
        # At 09:00 the first hours of tomorrow are still forecast by yesterday's coefficients.
        early = self.responses.hours <= ISSUE_HOUR_LOCAL - 2
        ahead = np.where(early, missed[0], missed[1])
        return expected_errors(self.responses.periods, missed[0], ahead, regression.variance, zone)

    def residual_rows(self, errors: ErrorStage, warm_up_days: int) -> tuple[Floats, Floats]:
        """Rows of `residual_features`, two per hour at distances that take turns, and what is left there."""
        hours = np.arange(max(self._first(warm_up_days), FURTHEST_TRAINED), len(self.truth))
        turn = 5 * hours + hours // DAY
        half = FURTHEST_TRAINED // 2
        distances = np.concatenate([turn % FURTHEST_TRAINED, (turn + half) % FURTHEST_TRAINED]) + 1
        target = np.concatenate([hours, hours])
        return self.left_over(self._of_observed(target, distances), errors)

    def left_over(self, tried: OutOfSample, errors: ErrorStage) -> tuple[Floats, Floats]:
        """Rows of `residual_features`, and what the first two stages miss there (percent)."""
        distances = tried.target - tried.known
        features = error_features(self.errors, tried.known, tried.target)
        correction = errors.correction(features, distances)
        rows = residual_features(tried.responses, tried.regression, correction, features, distances)
        return rows, self.truth[tried.target] - tried.regression - correction

    def newest(self, days: int, fewest_issues: int) -> OutOfSample:
        """Forecasts of the newest days: replayed runs where there are enough, else of observed weather."""
        if len(self.replayed.known) >= fewest_issues * len(LEADS):
            return self.replayed
        first = max(len(self.truth) - days * DAY, len(self.truth) // 2, FURTHEST_TRAINED)
        target = np.repeat(np.arange(first, len(self.truth)), 4)
        distances = np.tile(np.arange(4), len(target) // 4) * 12 + target % 12 + 1
        return self._of_observed(target, distances)

    def _of_observed(self, target: Positions, distances: Positions) -> OutOfSample:
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
) -> Prequential:
    """Run the adaptive regression through a record, stopping to forecast at each of `issues`.

    Args:
        record: with `truth_mwh`.
        responses: of its hours, from observed weather.
        recipe: of the stage.
        cut: hours before the part that is held out.
        availability: the publication delay of demand.
        guessing: an outlook without corrections.
        outlook_recipe: of the corrections.
        issues: when recorded runs are tried; may be empty.
    """
    end = len(responses.periods)
    demand = record.demand_mwh[:end]
    known = [record.position(availability.newest_known(moment)) for moment in issues]
    ahead = _foreseen(record, issues, guessing, outlook_recipe, record.periods[cut - 1])
    at_stop = dict(zip(known, ahead, strict=True))
    stage = AdaptiveRegression.start(responses.rows(slice(0, cut)), demand[:cut], recipe)
    at_cut, before, foretold, tried = stage, 0, [], []
    for stop in sorted({cut, end, *(each + 1 for each in known)}):
        stage, said = stage.advance(responses.rows(slice(before, stop)), demand[before:stop])
        foretold.append(said)
        before = stop
        if stop == cut:
            at_cut = stage
        if stop - 1 in at_stop:
            hours = at_stop[stop - 1]
            periods = hours.responses.periods
            target = record.position(periods[0]) + np.arange(len(periods))
            inside = target < end
            predicted = stage.predict(hours.responses)
            tried.append(
                OutOfSample(
                    np.full(len(target), stop - 1),
                    target,
                    hours.responses,
                    predicted,
                    hours.spread(stage, predicted),
                ).rows(inside)
            )
    ages = np.concatenate([said.log_demand for said in foretold], axis=1)
    return Prequential(
        responses=responses,
        truth=PERCENT * np.log(record.truth_mwh[:end]),
        errors=PERCENT * np.log(demand) - ages[0],
        ages=ages,
        spread=np.concatenate([said.spread for said in foretold]),
        at_cut=at_cut,
        at_end=stage,
        replayed=_joined(tried, responses),
    )


def day_ahead_issues(record: Record, end: int, days: int) -> pd.DatetimeIndex:
    """Moments of day-ahead issue in the newest `days` that had a fresh run to go by, every other day."""
    zone = record.region.zone
    last = local_day(record.periods[end - 1].to_pydatetime(), zone)
    moments = utc_index(
        pd.DatetimeIndex(
            [day_ahead_issue(last - timedelta(days=back), zone) for back in range(days, -1, -STEP_DAYS)]
        )
    )
    first = record.periods[min(MEMORY_HOURS, end - 1)]
    moments = moments[(moments > first) & (moments < record.periods[end - 1])]
    return moments[record.issued.fresh(moments)]


def _foreseen(
    record: Record,
    issues: pd.DatetimeIndex,
    guessing: Outlook,
    recipe: OutlookRecipe,
    before: pd.Timestamp,
) -> list[Horizon]:
    """The leads of each issue as they were foreseen, with corrections learnt on other blocks of days."""
    if len(issues) == 0:
        return []
    folds = [
        fit_corrections(guessing, record, recipe, before, runs=_block(record.issued.issued_at) != fold)
        for fold in (0, 1)
    ]
    return [
        weather_horizon(record, folds[fold], moment)
        for moment, fold in zip(issues, _block(issues), strict=True)
    ]


def _block(moments: pd.DatetimeIndex) -> Positions:
    days = (moments - pd.Timestamp(0, tz="UTC")) // pd.Timedelta(days=FOLD_DAYS)
    return np.asarray(days, dtype=np.int64) % 2


def _joined(tried: list[OutOfSample], like: Responses) -> OutOfSample:
    if not tried:
        nothing = np.empty(0, dtype=np.int64)
        return OutOfSample(nothing, nothing, like.rows(nothing), np.empty(0), np.empty(0))
    return OutOfSample(
        np.concatenate([each.known for each in tried]),
        np.concatenate([each.target for each in tried]),
        joined([each.responses for each in tried]),
        np.concatenate([each.regression for each in tried]),
        np.concatenate([each.spread for each in tried]),
    )
