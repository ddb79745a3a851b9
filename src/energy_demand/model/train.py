"""Trains the whole forecaster from a record: outlook, three stages, intervals, base booster. Pure.

The adaptive regression runs through history once and forecasts each hour before it learns it; the later
stages and the intervals are fitted on those out-of-sample forecasts. The judged fit must know nothing of the
holdout; the served fit includes it.
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
    split,
    train_model,
    training_targets,
    usable_rows,
)
from energy_demand.model.distribution import Dependence, ErrorDistribution, group_of
from energy_demand.model.forecaster import Forecaster
from energy_demand.model.stages.adaptive_regression import RegressionRecipe
from energy_demand.model.stages.error_stage import ErrorStage
from energy_demand.model.stages.prequential import (
    STEP_DAYS,
    Prequential,
    day_ahead_issues,
    predict_prequentially,
)
from energy_demand.model.stages.residual_stage import ResidualRecipe, ResidualStage
from energy_demand.model.stages.response_features import response_features, warmth
from energy_demand.model.weather.training import OutlookRecipe, fit_corrections, fit_guesses
from energy_demand.parallel import side_by_side
from energy_demand.timeaxis import Availability

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Literal

    from energy_demand.data.record import Record
    from energy_demand.model.base.booster import BaseBooster
    from energy_demand.model.stages.adaptive_regression import AdaptiveRegression

    Weather = Literal["as_issued", "observed"]
    # A forecaster that lacks its base booster alone.
    Completed = Callable[[BaseBooster], Forecaster]

__all__ = ["Recipe", "TooFewRowsError", "Trained", "base_rows", "fit", "train_model"]


# What corrections learnt from few days of runs do not know yet. On as-issued days of 2023-12 … 2024-03 the
# intervals had to be 1.31 and 1.25 times as wide after 60 and 120 days of runs; on 2024-04 … 2024-07, which
# did not choose this, 1.18 and 1.14 times after 180 and 240.
LEARNING_DAYS = 24.0
FEWEST_HOURS_BEFORE = 90 * 24  # with fewer hours before the calibration, no residual stage is fitted for it


@dataclass(frozen=True)
class Recipe:
    """How a forecaster is fitted. The same recipe is used for serving, backtests and retraining.

    Attributes:
        base: of the base booster.
        outlook: of the weather.
        regression: of the first stage.
        residual: of the third stage.
        error_ridge: penalty of the second stage.
        warm_up_days: first days, used by the adaptive regression alone; at most a third of the record.
        calibration_days: newest days whose errors set the intervals.
        fewest_issues: with fewer recorded weather runs the intervals are fitted on observed weather.
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
    """The result of a fit.

    Attributes:
        forecaster: fitted on the whole record; this one is served.
        judged: fitted without the holdout; this one is scored. None with `judge=False`.
        holdout_from: the last hour before the holdout.
        rows: feature rows of the base booster; empty where a fitted base booster was passed in.
        base_metrics: its scores on the holdout, see `train_model`; empty likewise.
    """

    forecaster: Forecaster
    judged: Forecaster | None
    holdout_from: pd.Timestamp
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
    """Fit a forecaster on a whole record.

    Args:
        record: with `truth_mwh`; cut it with `cut_at` first where it knows too much.
        recipe: how to fit.
        availability: the publication delay of demand.
        weather: what the intervals are for. `as_issued` uses the errors of recorded weather runs where there
            are enough of them.
        judge: also fit without the holdout.
        base: a fitted base booster to reuse; a new one is fitted without it. For replays, which do not use
            the base booster.
        progress: called with the name of each step.

    Raises:
        TooFewRowsError: the record is too short, or has no weather.
    """
    recipe = recipe or Recipe()
    known = np.flatnonzero(~np.isnan(record.demand_mwh))
    if len(known) == 0 or np.isnan(record.observed.column("main_temperature")).all():
        raise TooFewRowsError("a forecaster needs hours of demand and of observed weather to learn from")
    end = int(known[-1]) + 1
    holdout_from = holdout_start(record.periods[0], record.periods[end - 1], recipe.base)
    rows = pd.DataFrame()
    progress("base booster")
    if base is None:
        rows = base_rows(record, recipe.base, availability)
        split(usable_rows(rows), recipe.base, holdout_from)  # too few rows are known at once
    cut = record.position(holdout_from) + 1 if judge else end

    def boosters() -> tuple[BaseBooster, BaseBooster, dict[str, float]]:
        if base:
            return base, base, {}
        trained = fit_base(rows, recipe.base, holdout_from)
        return trained.served, trained.judged, trained.metrics

    def others() -> tuple[Completed, Completed | None]:
        return _fit_stages(record, recipe, availability, weather, cut, end, progress)

    (served_base, judged_base, base_metrics), (served, judged) = side_by_side(boosters, others)
    return Trained(
        forecaster=served(served_base),
        judged=judged(judged_base) if judged else None,
        holdout_from=holdout_from,
        rows=rows,
        base_metrics=base_metrics,
    )


def _fit_stages(
    record: Record,
    recipe: Recipe,
    availability: Availability,
    weather: Weather,
    cut: int,
    end: int,
    progress: Callable[[str], None],
) -> tuple[Completed, Completed | None]:
    """All but the base booster: of the forecaster fitted on `end` hours and, if fewer, of that on `cut`."""
    progress("weather")
    before = record.observed.until(record.periods[cut - 1], cut)
    guessing = fit_guesses(before, record.issued, record.region, recipe.outlook)
    path = guessing.completed(record.observed)
    responses = response_features(path, record.region).rows(slice(0, end))
    progress("adaptive regression")
    days = recipe.calibration_days if weather == "as_issued" else 0
    issues = day_ahead_issues(record, end, days)
    predictions = predict_prequentially(
        record, responses, recipe.regression, cut, availability, guessing, recipe.outlook, issues, path
    )
    progress("error and residual stage")

    def stages(until: int, regression: AdaptiveRegression) -> Completed:
        known_then = predictions.until(until)
        errors = ErrorStage.fit(
            known_then.errors, known_then.residuals(recipe.warm_up_days), recipe.error_ridge
        )
        residual_rows = known_then.residual_rows(errors, recipe.warm_up_days)
        residual, distribution, outlook = side_by_side(
            lambda: ResidualStage.fit(*residual_rows, recipe.residual),
            lambda: _calibrated(known_then, errors, recipe, availability),
            lambda: fit_corrections(guessing, record, recipe.outlook, record.periods[until - 1]),
        )
        return lambda base: Forecaster(
            base=base,
            outlook=outlook,
            regression=regression,
            errors=errors,
            residual=residual,
            distribution=distribution,
            expected_errors=known_then.expected_errors(regression, record.region.zone),
            respondent=record.region.respondent,
            trained_through=record.periods[until - 1].to_pydatetime(),
            publication_delay_hours=availability.delay_hours,
            sites=tuple(site.name for site in record.region.sites),
        )

    if cut == end:
        return stages(end, predictions.at_end), None
    return side_by_side(lambda: stages(end, predictions.at_end), lambda: stages(cut, predictions.at_cut))


def _calibrated(
    predictions: Prequential, errors: ErrorStage, recipe: Recipe, availability: Availability
) -> ErrorDistribution:
    """The errors of the newest days, corrected by a residual stage that was not fitted on these days."""
    calibration = predictions.newest(recipe.calibration_days, recipe.fewest_issues)
    rows, residuals = predictions.residuals_of(calibration, errors)
    earlier = predictions.until(int(calibration.target.min()))
    if len(earlier.truth) >= FEWEST_HOURS_BEFORE:
        before = earlier.residual_rows(errors, recipe.warm_up_days)
        residuals = residuals - ResidualStage.fit(*before, _coarser(recipe.residual)).correction(rows)
    leads = np.maximum(calibration.target - calibration.known - availability.delay_hours, 1)
    hours = calibration.responses
    distribution = ErrorDistribution.fit(
        residuals,
        calibration.spread,
        leads,
        group_of(hours.months, warmth(hours)),
        Dependence.fit(residuals / calibration.spread, calibration.known, calibration.target),
    )
    if calibration is not predictions.replayed:
        return distribution
    issues = len(np.unique(calibration.known))
    return distribution.widened(1.0 + LEARNING_DAYS / (STEP_DAYS * issues))


def _coarser(recipe: ResidualRecipe) -> ResidualRecipe:
    """A quarter of the trees at four times the learning rate: nearly as good, and used for intervals only."""
    rate = 4 * recipe.parameters["learning_rate"]
    trees = max(recipe.trees // 4, 1)
    return replace(recipe, trees=trees, parameters={**recipe.parameters, "learning_rate": rate})


def base_rows(record: Record, recipe: BaseRecipe, availability: Availability) -> pd.DataFrame:
    """Training rows of the base booster: every known hour at a few leads, some without weather."""
    periods = record.periods[~np.isnan(record.truth_mwh)]
    targets = training_targets(periods, recipe)
    main = record.weather[record.weather["site"] == record.region.sites[0].name]
    main_only = np.random.default_rng(2).random(len(targets)) < recipe.loss_share
    parts = [
        build_features(
            record.demand,
            weather,
            targets=targets[chosen],
            region=record.region,
            availability=availability,
        )
        for weather, chosen in ((record.weather, ~main_only), (main, main_only))
    ]
    rows = lose_weather(pd.concat(parts), recipe.loss_share)
    warm = rows["demand_lag_168h"].notna() & rows["demand_rolling_std_24h"].notna()
    return rows[warm].sort_values(["timestamp", "issued_at"], ignore_index=True)
