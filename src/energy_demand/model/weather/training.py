"""Fits an outlook: the climate, the boosters that fill gaps, and the corrections of runs. Pure.

What fills gaps learns from observed years with a forecast's errors and losses mixed in; corrections learn
from recorded runs and the weather observed afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from energy_demand.boosting import lgb
from energy_demand.data.weather_path import MAIN, REST
from energy_demand.model.weather.climate import fit_climate
from energy_demand.model.weather.issues import (
    COLUMN,
    CORRECTED,
    LEADS,
    SAID_AFTER,
    SAID_BEFORE,
    SEEN_HOURS,
    Issues,
    no_runs,
    windows,
)
from energy_demand.model.weather.outlook import Outlook
from energy_demand.timeaxis import HOUR

if TYPE_CHECKING:
    from collections.abc import Mapping
    from zoneinfo import ZoneInfo

    from energy_demand.arrays import Booleans
    from energy_demand.data.issued_weather import IssuedWeather
    from energy_demand.data.record import Record
    from energy_demand.data.weather_path import WeatherPath
    from energy_demand.model.weather.climate import Climate


@dataclass(frozen=True)
class OutlookRecipe:
    """How the boosters of an outlook are fitted; found on as-issued days of 2023-10 … 2024-07.

    Attributes:
        guess: LightGBM's parameters for what no run says.
        guess_trees: their number.
        correction: parameters for what runs get wrong.
        correction_trees: their number.
        issue_step: every how many hours an observed year gives a training issue.
        noise: standard deviation (°C) of the errors put on the observed path, a day ahead.
        fewest_runs: with fewer recorded runs nothing is corrected.
        loss_share: share of training issues each kind of loss is put on.
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
    loss_share: float = 0.15


def fit_guesses(
    observed: WeatherPath, issued: IssuedWeather, zone: ZoneInfo, recipe: OutlookRecipe | None = None
) -> Outlook:
    """An outlook that guesses what is missing and corrects nothing yet.

    Args:
        observed: as measured, holes left in.
        issued: recorded runs; only when they begin matters.
        zone: of the clock.
        recipe: how.

    Raises:
        ValueError: no temperature of the main site was observed.
    """
    recipe = recipe or OutlookRecipe()
    climate = fit_climate(observed, zone)
    issues = _simulated(observed, _training_moments(observed, issued, recipe), zone, recipe)
    guesses = {name: _fit_guess(name, issues, observed, climate, recipe) for name in (MAIN, REST)}
    return Outlook(climate, guesses, {}, zone)


def fit_corrections(
    guessing: Outlook,
    record: Record,
    recipe: OutlookRecipe,
    before: pd.Timestamp,
    runs: Booleans | None = None,
) -> Outlook:
    """The outlook with corrections learnt from recorded runs and what came of them.

    Args:
        guessing: what fills holes.
        record: with runs and observed weather.
        recipe: how.
        before: hours after it are not looked at.
        runs: which of the recorded runs may be learnt from; all by default.

    Returns:
        `guessing` itself, where there are too few runs.
    """
    observed = record.observed.until(before, len(record.periods))
    issued_at = record.issued.issued_at
    usable = np.ones(len(issued_at), dtype=bool) if runs is None else runs
    usable = usable & (issued_at + pd.Timedelta(HOUR) <= observed.periods[-1])
    usable &= issued_at >= observed.periods[0] + pd.Timedelta(SEEN_HOURS * HOUR)
    if usable.sum() < recipe.fewest_runs:
        return guessing
    moments = issued_at[usable]
    issues = Issues(
        moments.floor("h"),
        windows(observed, moments.floor("h"), SEEN_HOURS, 0),
        record.issued.around(moments, SAID_BEFORE, SAID_AFTER),
        guessing.zone,
    )
    came = windows(observed, issues.moments, 0, len(LEADS))[:, 1:]
    features = issues.correction_features()
    corrections: dict[str, lgb.Booster] = {}

    for name in CORRECTED:
        missed = came[..., COLUMN[name]] - issues.said_ahead[..., COLUMN[name]]
        known = ~np.isnan(missed)
        if known.sum() > recipe.fewest_runs * len(LEADS) / 2:
            data = lgb.Dataset(features[known], label=missed[known])
            corrections[name] = lgb.train(dict(recipe.correction), data, recipe.correction_trees)
    return replace(guessing, corrections=corrections)


def _training_moments(
    observed: WeatherPath, issued: IssuedWeather, recipe: OutlookRecipe
) -> pd.DatetimeIndex:
    """Issues of observed years; those before the first recorded run, where two years are left.

    A guess that had seen the recorded days would look better on them than it is.
    """
    last = observed.periods[-1] - pd.Timedelta(SAID_AFTER * HOUR)
    first = observed.periods[0] + pd.Timedelta(SEEN_HOURS * HOUR)
    rest = ~np.isnan(observed.column(REST))
    if rest.any():
        first = max(first, observed.periods[int(np.argmax(rest))])
    if len(issued.issued_at):
        before = issued.issued_at[0] - pd.Timedelta(SAID_AFTER * HOUR)
        if before - first > pd.Timedelta(days=730):
            last = min(last, before)
    return pd.date_range(first.floor("h"), last.floor("h"), freq=f"{recipe.issue_step}h")


def _simulated(
    observed: WeatherPath, moments: pd.DatetimeIndex, zone: ZoneInfo, recipe: OutlookRecipe
) -> Issues:
    """Issues whose run is the observed path with errors; some lose the run, or what was seen."""
    random = np.random.default_rng(1)
    seen = windows(observed, moments, SEEN_HOURS, 0)
    ahead = windows(observed, moments, 0, SAID_AFTER)[:, 1:]
    said = no_runs(len(moments))
    error, level = np.zeros(len(moments)), random.normal(0.0, 0.6, len(moments))
    for lead in range(1, SAID_AFTER + 1):
        error = 0.85 * error + random.normal(0.0, 0.53, len(moments)) * min(1.0, 0.5 + lead / 40)
        wrong = recipe.noise * (error + level * min(1.0, 0.4 + lead / 30))
        said[:, SAID_BEFORE + lead, COLUMN[MAIN]] = ahead[:, lead - 1, COLUMN[MAIN]] + wrong
    lost = random.random(len(moments))
    seen[lost < recipe.loss_share, :, COLUMN[REST]] = np.nan
    seen[lost > 1.0 - recipe.loss_share] = np.nan
    blind = random.random(len(moments)) < recipe.loss_share
    # A run that ends early, down to one that only speaks of the next hour.
    length = random.integers(1, SAID_AFTER, len(moments))
    cut = blind[:, None] & (np.arange(said.shape[1])[None, :] > SAID_BEFORE + length[:, None])
    said[cut] = np.nan
    return Issues(moments, seen, said, zone)


def _fit_guess(
    name: str, issues: Issues, observed: WeatherPath, climate: Climate, recipe: OutlookRecipe
) -> lgb.Booster:
    main = issues.said_ahead[..., COLUMN[MAIN]]
    features, base = issues.guess_features(name, main, climate)
    came = windows(observed, issues.moments, 0, len(LEADS))[:, 1:, COLUMN[name]]
    missed = came - base
    usable = ~np.isnan(missed)
    if name == REST:
        usable &= ~np.isnan(main)
    usable[:, ::2] = False  # every other lead tells enough
    usable[:, 0] = ~np.isnan(missed[:, 0])  # the first one also fills holes of the past
    if not usable.any():  # no other site was ever observed: the base alone will do
        usable = np.zeros_like(usable)
        usable[:, 0] = True
        missed = np.nan_to_num(missed)
    data = lgb.Dataset(features[usable], label=missed[usable])
    return lgb.train(dict(recipe.guess), data, recipe.guess_trees)
