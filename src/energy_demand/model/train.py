"""Trains the whole forecaster from a record: outlook, three stages, intervals, base booster. Pure.

The adaptive regression runs through history once and forecasts each hour before it sees it; the later stages
and the intervals learn from those out-of-sample forecasts. The judged fit ends before the holdout; the served
fit includes it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from energy_demand.data.feature_engineering import build_features
from energy_demand.model.base.training import (
    BaseRecipe,
    TooFewRowsError,
    fit_base,
    holdout_start,
    lose_weather,
    train_model,
    training_targets,
)
from energy_demand.model.forecaster import Forecaster
from energy_demand.model.intervals import ScaledIntervals
from energy_demand.model.stages.adaptive_regression import RegressionRecipe
from energy_demand.model.stages.error_stage import ErrorStage
from energy_demand.model.stages.prequential import Prequential, day_ahead_issues, predict_prequentially
from energy_demand.model.stages.residual_stage import ResidualRecipe, ResidualStage
from energy_demand.model.stages.response_features import response_features
from energy_demand.model.weather.training import OutlookRecipe, fit_corrections, fit_guesses
from energy_demand.timeaxis import Availability

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Literal

    from energy_demand.data.record import Record
    from energy_demand.model.base.booster import BaseBooster
    from energy_demand.model.stages.adaptive_regression import AdaptiveRegression

    Weather = Literal["as_issued", "observed"]

__all__ = ["Recipe", "TooFewRowsError", "Trained", "base_rows", "fit", "train_model"]


FEWEST_HOURS_BEFORE = 90 * 24  # of calibration, for a residual stage of their own


@dataclass(frozen=True)
class Recipe:
    """How a forecaster is made. The same recipe is served, tested and refitted.

    Attributes:
        base: of the base booster.
        outlook: of the weather.
        regression: of the first stage.
        residual: of the third stage.
        error_ridge: penalty of the second stage.
        warm_up_days: days at the beginning that only the adaptive regression learns from; at most a third.
        calibration_days: newest days whose errors set the intervals.
        fewest_issues: with fewer recorded runs the intervals come from observed weather.
    """

    base: BaseRecipe = field(default_factory=BaseRecipe)
    outlook: OutlookRecipe = field(default_factory=OutlookRecipe)
    regression: RegressionRecipe = field(default_factory=RegressionRecipe)
    residual: ResidualRecipe = field(default_factory=ResidualRecipe)
    error_ridge: float = 1000.0
    warm_up_days: int = 500
    calibration_days: int = 365
    fewest_issues: int = 30


@dataclass(frozen=True)
class Trained:
    """What a fit gives.

    Attributes:
        forecaster: fitted on the whole record; this one is served.
        judged: fitted without the test part, or None where none was asked for; this one is scored.
        test_from: the last hour before the test part.
        rows: feature rows of the base booster; none where it was taken over.
        base_metrics: its scores on the test part, see `train_model`; likewise.
    """

    forecaster: Forecaster
    judged: Forecaster | None
    test_from: pd.Timestamp
    rows: pd.DataFrame
    base_metrics: dict[str, float]


def fit(
    record: Record,
    recipe: Recipe | None = None,
    *,
    availability: Availability = Availability(1),  # noqa: B008  (frozen)
    weather: Weather = "as_issued",
    judge: bool = True,
    base: BaseBooster | None = None,
    progress: Callable[[str], None] = lambda step: None,  # noqa: ARG005
) -> Trained:
    """Fit a forecaster on everything that a record knows.

    Args:
        record: with `truth_mwh`; cut it with `known_at` first where it knows too much.
        recipe: how.
        availability: the publication delay of demand.
        weather: what the intervals are for. `as_issued` takes the errors of recorded runs where there are
            enough of them.
        judge: fit without the test part as well.
        base: a base booster to take over; fitted where there is none. For replays, which ask it nothing.
        progress: told what is done.

    Raises:
        TooFewRowsError: the record is too short, or holds no weather.
    """
    recipe = recipe or Recipe()
    known = np.flatnonzero(~np.isnan(record.demand_mwh))
    if len(known) == 0 or np.isnan(record.observed.column("main_temperature")).all():
        raise TooFewRowsError("a forecaster needs hours of demand and of observed weather to learn from")
    end = int(known[-1]) + 1
    test_from = holdout_start(record.periods[0], record.periods[end - 1], recipe.base)
    rows, judged_base, base_metrics = pd.DataFrame(), base, {}
    if base is None:
        progress("base booster")
        rows = base_rows(record, recipe.base, availability)
        trained_base = fit_base(rows, recipe.base, test_from)
        base, judged_base, base_metrics = trained_base.served, trained_base.judged, trained_base.metrics
    cut = record.position(test_from) + 1 if judge else end
    progress("weather")
    before = record.observed.until(record.periods[cut - 1], cut)
    guessing = fit_guesses(before, record.issued, record.region.zone, recipe.outlook)
    path = guessing.completed(record.observed)
    responses = response_features(path, record.region).rows(slice(0, end))
    progress("adaptive regression")
    days = recipe.calibration_days if weather == "as_issued" else 0
    issues = day_ahead_issues(record, end, days)
    said = predict_prequentially(
        record, responses, recipe.regression, cut, availability, guessing, recipe.outlook, issues
    )
    progress("error and residual stage")

    def forecaster(until: int, regression: AdaptiveRegression, base_model: BaseBooster) -> Forecaster:
        learnt = said.until(until)
        errors = ErrorStage.fit(learnt.errors, learnt.missed(recipe.warm_up_days), recipe.error_ridge)
        return Forecaster(
            base=base_model,
            outlook=fit_corrections(guessing, record, recipe.outlook, record.periods[until - 1]),
            regression=regression,
            errors=errors,
            residual=ResidualStage.fit(*learnt.residual_rows(errors, recipe.warm_up_days), recipe.residual),
            intervals=_calibrated(learnt, errors, recipe, availability),
            expected_errors=learnt.expected_errors(regression, record.region.zone),
            respondent=record.region.respondent,
            trained_through=record.periods[until - 1].to_pydatetime(),
            publication_delay_hours=availability.delay_hours,
        )

    return Trained(
        forecaster=forecaster(end, said.at_end, base),
        judged=forecaster(cut, said.at_cut, judged_base or base) if judge else None,
        test_from=test_from,
        rows=rows,
        base_metrics=base_metrics,
    )


def _calibrated(
    said: Prequential, errors: ErrorStage, recipe: Recipe, availability: Availability
) -> ScaledIntervals:
    """Intervals from the newest days, which the residual stage that is tried on them has not seen."""
    tried = said.newest(recipe.calibration_days, recipe.fewest_issues)
    rows, missed = said.left_over(tried, errors)
    earlier = said.until(int(tried.target.min()))
    if len(earlier.truth) >= FEWEST_HOURS_BEFORE:
        before = earlier.residual_rows(errors, recipe.warm_up_days)
        missed = missed - ResidualStage.fit(*before, _coarser(recipe.residual)).correction(rows)
    leads = np.maximum(tried.target - tried.known - availability.delay_hours, 1)
    return ScaledIntervals.fit(missed, tried.spread, leads, tried.responses.months)


def _coarser(recipe: ResidualRecipe) -> ResidualRecipe:
    """A quarter of the trees at four times the rate: nearly as good, and only the intervals see it."""
    rate = 4 * recipe.parameters["learning_rate"]
    trees = max(recipe.trees // 4, 1)
    return replace(recipe, trees=trees, parameters={**recipe.parameters, "learning_rate": rate})


def base_rows(record: Record, recipe: BaseRecipe, availability: Availability) -> pd.DataFrame:
    """Training rows of the base booster: every known hour at a few leads, some with weather lost."""
    periods = record.periods[~np.isnan(record.truth_mwh)]
    targets = training_targets(periods, recipe)
    main = record.weather[record.weather["site"] == record.region.sites[0].name]
    alone = np.random.default_rng(2).random(len(targets)) < recipe.loss_share
    parts = [
        build_features(
            record.demand,
            weather,
            targets=targets[chosen],
            region=record.region,
            availability=availability,
        )
        for weather, chosen in ((record.weather, ~alone), (main, alone))
    ]
    rows = lose_weather(pd.concat(parts), recipe.loss_share)
    warm = rows["demand_lag_168h"].notna() & rows["demand_rolling_std_24h"].notna()
    return rows[warm].sort_values(["timestamp", "issued_at"], ignore_index=True)
