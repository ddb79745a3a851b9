"""Fits an outlook: the climate, the boosters that fill gaps, and the corrections of weather runs. Pure.

The gap-filling boosters learn from observed years with simulated forecast errors and losses; the corrections
learn from recorded runs and the weather observed afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from energy_demand.boosting import lgb, train
from energy_demand.data.weather_path import COLUMN, MAIN, REST
from energy_demand.model.weather.climate import fit_climate
from energy_demand.model.weather.issues import (
    CORRECTED,
    LEADS,
    OBSERVED_HOURS,
    RUN_HOURS_AFTER,
    RUN_HOURS_BEFORE,
    Issues,
    issues_at,
    no_runs,
    simulated_issues,
    windows,
)
from energy_demand.model.weather.outlook import Outlook
from energy_demand.model.weather.past_errors import FIRST
from energy_demand.model.weather.radiation import RadiationRecipe, fit_radiation
from energy_demand.parallel import side_by_side
from energy_demand.timeaxis import HOUR

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from zoneinfo import ZoneInfo

    from energy_demand.arrays import Booleans
    from energy_demand.data.issued_weather import IssuedWeather
    from energy_demand.data.record import Record
    from energy_demand.data.weather_path import WeatherPath
    from energy_demand.model.weather.climate import Climate
    from energy_demand.region import Region


@dataclass(frozen=True)
class OutlookRecipe:
    """How the boosters of an outlook are fitted; found on as-issued days of 2023-10 … 2024-07.

    Attributes:
        guess: LightGBM's parameters of the gap-filling boosters.
        guess_trees: their number of trees.
        correction: parameters of the boosters that correct weather runs.
        correction_trees: their number of trees.
        issue_step: hours between the training issues of observed years.
        noise: standard deviation (°C) of the simulated forecast errors a day ahead.
        fewest_runs: with fewer recorded weather runs nothing is corrected.
        most_runs: with more than about twice so many, only some of them are learnt from.
        loss_share: share of the training issues that each kind of loss is simulated on.
        radiation: of the boosters that fill gaps in radiation.
    """

    guess: Mapping[str, Any] = field(
        default_factory=lambda: {
            "objective": "l2",
            "num_leaves": 31,
            "learning_rate": 0.07,
            "min_data_in_leaf": 200,
            "feature_fraction": 0.5,
            "bagging_fraction": 0.5,
            "bagging_freq": 1,
            "lambda_l2": 5.0,
            "seed": 1,
            "deterministic": True,
            "force_row_wise": True,
            "verbose": -1,
        }
    )
    guess_trees: int = 300
    correction: Mapping[str, Any] = field(
        default_factory=lambda: {
            "objective": "l2",
            "num_leaves": 15,
            "learning_rate": 0.05,
            "min_data_in_leaf": 150,
            "feature_fraction": 0.4,
            "bagging_fraction": 0.5,
            "bagging_freq": 1,
            "lambda_l2": 20.0,
            "seed": 1,
            "deterministic": True,
            "force_row_wise": True,
            "verbose": -1,
        }
    )
    correction_trees: int = 150
    issue_step: int = 13
    noise: float = 1.5
    fewest_runs: int = 28
    most_runs: int = 500
    loss_share: float = 0.15
    radiation: RadiationRecipe = field(default_factory=RadiationRecipe)


def fit_guesses(
    observed: WeatherPath, issued: IssuedWeather, region: Region, recipe: OutlookRecipe | None = None
) -> Outlook:
    """An outlook that fills gaps and corrects nothing yet.

    Args:
        observed: as measured, with its gaps.
        issued: recorded weather runs; only the first issue time matters.
        region: whose weather it is.
        recipe: how to fit.

    Raises:
        ValueError: there is no observed temperature of the main site.
    """
    recipe = recipe or OutlookRecipe()
    zone = region.zone
    climate = fit_climate(observed, zone)
    hours = _training_hours(observed, issued, recipe)
    issues = _simulated(observed, hours, zone, recipe)
    guesses = side_by_side(
        *(partial(_fit_guess, name, issues, observed, climate, recipe) for name in (MAIN, REST))
    )
    radiation = fit_radiation(observed, hours[-1], region, recipe.radiation)
    return Outlook(climate, dict(zip((MAIN, REST), guesses, strict=True)), {}, radiation, zone)


def fit_corrections(
    guessing: Outlook,
    record: Record,
    recipe: OutlookRecipe,
    before: pd.Timestamp,
    runs: Callable[[pd.DatetimeIndex], Booleans] | None = None,
) -> Outlook:
    """The outlook with corrections learnt from recorded weather runs and the weather observed afterwards.

    Args:
        guessing: the outlook that fills gaps.
        record: with weather runs and observed weather.
        recipe: how to fit.
        before: hours after it are not used.
        runs: which of the runs to learn from, by the time of their issue; all by default.

    Returns:
        `guessing` itself where there are too few runs of every model.
    """
    models = {FIRST: record.issued, **record.other_runs}
    found = {
        name: _corrections(guessing, record.observed, issued, recipe, before, runs)
        for name, issued in models.items()
    }
    corrections = found.pop(FIRST)
    others = {name: boosters for name, boosters in found.items() if boosters}
    return replace(guessing, corrections=corrections, others=others) if corrections or others else guessing


def _corrections(
    guessing: Outlook,
    path: WeatherPath,
    issued: IssuedWeather,
    recipe: OutlookRecipe,
    before: pd.Timestamp,
    runs: Callable[[pd.DatetimeIndex], Booleans] | None,
) -> dict[str, lgb.Booster]:
    """The boosters of one weather model by column; empty where there are too few runs."""
    issued_at = issued.issued_at
    if len(issued_at) == 0:
        return {}
    span = (before - issued_at[0]) // pd.Timedelta(HOUR) + OBSERVED_HOURS + 1
    observed = guessing.radiation.completed(path.until(before, int(max(span, 1))))
    usable = np.ones(len(issued_at), dtype=bool) if runs is None else runs(issued_at)
    usable = usable & (issued_at + pd.Timedelta(HOUR) <= observed.periods[-1])
    usable &= issued_at >= observed.periods[0] + pd.Timedelta(OBSERVED_HOURS * HOUR)
    if usable.sum() < recipe.fewest_runs:
        return {}
    chosen = issued_at[usable]
    # Neighbouring runs say nearly the same; an odd stride meets the runs of every hour of the day.
    stride = 2 * (len(chosen) // (2 * recipe.most_runs)) + 1
    chosen = chosen[::-stride][::-1]
    issues = issues_at(chosen, observed, issued, guessing.zone)
    issues = guessing.with_radiation(issues)
    actual = windows(observed, issues.hours, 0, len(LEADS))[:, 1:]
    features = issues.correction_features()
    learnt_from: dict[str, lgb.Dataset] = {}
    for name in CORRECTED:
        errors = actual[..., COLUMN[name]] - issues.forecast_at_leads[..., COLUMN[name]]
        known = ~np.isnan(errors)
        if known.sum() > recipe.fewest_runs * len(LEADS) / 2:
            learnt_from[name] = lgb.Dataset(features[known], label=errors[known])
    boosters = side_by_side(
        *(partial(train, recipe.correction, data, recipe.correction_trees) for data in learnt_from.values())
    )
    return dict(zip(learnt_from, boosters, strict=True))


def _training_hours(observed: WeatherPath, issued: IssuedWeather, recipe: OutlookRecipe) -> pd.DatetimeIndex:
    """Hours of issue in the observed years; only before the first recorded run where that leaves two years.

    A booster fitted on the recorded days would look better on them than it is.
    """
    last = observed.periods[-1] - pd.Timedelta(RUN_HOURS_AFTER * HOUR)
    first = observed.periods[0] + pd.Timedelta(OBSERVED_HOURS * HOUR)
    rest = ~np.isnan(observed.column(REST))
    if rest.any():
        first = max(first, observed.periods[int(np.argmax(rest))])
    if len(issued.issued_at):
        before = issued.issued_at[0] - pd.Timedelta(RUN_HOURS_AFTER * HOUR)
        if before - first > pd.Timedelta(days=730):
            last = min(last, before)
    return pd.date_range(first.floor("h"), last.floor("h"), freq=f"{recipe.issue_step}h")


def _simulated(
    observed: WeatherPath, hours: pd.DatetimeIndex, zone: ZoneInfo, recipe: OutlookRecipe
) -> Issues:
    """Issues whose weather run is the observed path with errors; some lose the run or past observations."""
    random = np.random.default_rng(1)
    past = windows(observed, hours, OBSERVED_HOURS, 0)
    future = windows(observed, hours, 0, RUN_HOURS_AFTER)[:, 1:]
    forecast = no_runs(len(hours))
    error, level = np.zeros(len(hours)), random.normal(0.0, 0.6, len(hours))
    for lead in range(1, RUN_HOURS_AFTER + 1):
        error = 0.85 * error + random.normal(0.0, 0.53, len(hours)) * min(1.0, 0.5 + lead / 40)
        simulated = recipe.noise * (error + level * min(1.0, 0.4 + lead / 30))
        forecast[:, RUN_HOURS_BEFORE + lead, COLUMN[MAIN]] = future[:, lead - 1, COLUMN[MAIN]] + simulated
    lost = random.random(len(hours))
    past[lost < recipe.loss_share, :, COLUMN[REST]] = np.nan
    past[lost > 1.0 - recipe.loss_share] = np.nan
    shortened = random.random(len(hours)) < recipe.loss_share
    # Some runs end early, down to a single hour.
    length = random.integers(1, RUN_HOURS_AFTER, len(hours))
    cut = shortened[:, None] & (np.arange(forecast.shape[1])[None, :] > RUN_HOURS_BEFORE + length[:, None])
    forecast[cut] = np.nan
    return simulated_issues(hours, past, forecast, zone)


def _fit_guess(
    name: str, issues: Issues, observed: WeatherPath, climate: Climate, recipe: OutlookRecipe
) -> lgb.Booster:
    main = issues.forecast_at_leads[..., COLUMN[MAIN]]
    features, base = issues.guess_features(name, main, climate)
    actual = windows(observed, issues.hours, 0, len(LEADS))[:, 1:, COLUMN[name]]
    residuals = actual - base
    usable = ~np.isnan(residuals)
    if name == REST:
        usable &= ~np.isnan(main)
    usable[:, ::2] = False  # every other lead is enough
    usable[:, 0] = ~np.isnan(residuals[:, 0])  # the first lead also fills gaps in observed weather
    if not usable.any():  # no other site was ever observed: the base alone is used
        usable = np.zeros_like(usable)
        usable[:, 0] = True
        residuals = np.nan_to_num(residuals)
    data = lgb.Dataset(features[usable], label=residuals[usable])
    return train(recipe.guess, data, recipe.guess_trees)
