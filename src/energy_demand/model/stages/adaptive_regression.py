"""The first stage: gross load explained by calendar and weather, one Kalman filter per clock hour. Pure.

log(demand + rooftop generation) = coefficients · responses + noise. The coefficients follow random walks,
each group of columns at its own pace, and a Kalman filter tracks them (Durbin and Koopman, Time Series
Analysis by State Space Methods, ch. 4). No lag of demand is a column: the past enters through the filter's
state only.

A fast and a slow filter are mixed by `aggregation`, which learns at each clock hour whom to believe.
`advance` is the daily update: it learns the newly known hours and returns a new state, while the model
version stays the same.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from energy_demand.model.stages import response_features as groups
from energy_demand.model.stages.aggregation import aggregate, weights_of
from energy_demand.model.stages.error_spread import REMEMBERED_SCORES, running_spread, strain
from energy_demand.model.stages.usual_scales import USUAL_SCALES
from energy_demand.timeaxis import HOUR

if TYPE_CHECKING:
    from collections.abc import Mapping

    from energy_demand.arrays import Booleans, Floats, Integers
    from energy_demand.model.stages.response_features import Responses


CLOCK_HOURS = 24
AGES = 3  # coefficients are one, two or three days old in a forecast of up to 72 hours
PERCENT = 100.0  # log gross load is kept in percent
FIRST_VARIANCE = 9.0  # percent², before the first innovation
REMEMBERED_HOURS = 15 * 24  # of innovations kept for the error stage
# A column known for fewer hours has not seen every season, and the recipe was found on records that have.
YEAR_HOURS = 365 * 24
LEAST_OF_USUAL = 0.5
PRIOR_WITHIN_YEAR = 0.9  # at most so much for weather columns there; years wear the recipe's priors off


@dataclass(frozen=True)
class RegressionRecipe:
    """How fast the coefficients may change, in units of the noise variance.

    Found on 2022-08 … 2024-07 by `benchmarks/tuning.py --minutes 12` on 2026-11-24: 174 recipes tried, score
    1.4177; see docs/accuracy.md.

    Attributes:
        walk: variance added per day to a coefficient of each group (columns have unit variance).
        prior: variance of a coefficient before any data.
        paces: factors on `walk`, one per filter.
        outlier: innovations are clipped at this many standard deviations, so that one bad hour moves little.
        forgetting: weight of the newest day in the running variance of the innovations, and of the filters'
            regrets.
        regret_rate: how fast the filters' regrets become weights; 0 averages them. With 0.05 this
            stage alone, observed weather, is better than with 0 in each year of 2018 … 2023, by 0.05 points
            in 2018 and 2020 and by 0.00 to 0.01 in the others; 0.2 and more followed noise.
    """

    walk: Mapping[str, float] = field(
        default_factory=lambda: {
            groups.LEVEL: 3e-2,
            groups.SEASON: 8.1e-6,
            groups.SPECIAL_DAY: 2.7e-5,
            groups.WEEKDAY: 1.5e-6,
            groups.FAST: 5e-7,
            groups.MIDDLE: 1.5e-6,
            groups.SLOW: 1.5e-5,
            groups.PLACES: 5e-5,
            groups.BY_DAY: 5e-6,
            groups.MOISTURE: 4.5e-5,
            groups.AIR: 1.5e-4,
            groups.CLOUDS: 1.5e-4,
            groups.SUN: 1.5e-4,
        }
    )
    prior: Mapping[str, float] = field(
        default_factory=lambda: {
            groups.LEVEL: 10.0,
            groups.SEASON: 0.03,
            groups.SPECIAL_DAY: 6.0,
            groups.WEEKDAY: 0.03,
            groups.FAST: 0.9,
            groups.MIDDLE: 900.0,
            groups.SLOW: 0.9,
            groups.PLACES: 3.0,
            groups.BY_DAY: 3.0,
            groups.MOISTURE: 0.09,
            groups.AIR: 3.0,
            groups.CLOUDS: 3.0,
            groups.SUN: 2.7,
        }
    )
    paces: tuple[float, ...] = (10.0, 0.1)
    outlier: float = 5.0
    forgetting: float = 0.01
    regret_rate: float = 0.05


@dataclass(frozen=True)
class PrequentialForecast:
    """The stage's forecast of each hour, made before the hour was learnt.

    Attributes:
        log_load: ages × hours, percent of log gross load, with coefficients one, two and three days old.
        spread: by hour, the standard deviation of recent errors at that clock hour, percent.
    """

    log_load: Floats
    spread: Floats


@dataclass(frozen=True)
class Filter:
    """The state of one filter.

    Attributes:
        coefficients: clock hour × column.
        covariance: clock hour × column × column, in units of the noise variance.
        noise: by clock hour, running variance of its innovations, percent².
        walk: by column, variance added per day.
    """

    coefficients: Floats
    covariance: Floats
    noise: Floats
    walk: Floats


@dataclass(frozen=True)
class AdaptiveRegression:
    """The fitted filters and their state.

    Attributes:
        names: of the columns it needs, in order.
        groups: of these columns.
        centre: subtracted from each column.
        scale: each column is divided by it.
        reference: log gross load (percent) from which the coefficients are measured.
        filters: their forecasts are mixed by `weights`.
        through: the newest period that the filters have processed.
        innovations: the last `REMEMBERED_HOURS` one-day-ahead errors (percent), up to `through`; NaN
            where demand is unknown.
        variance: by clock hour, running variance of the innovations, percent².
        scores: the last `REMEMBERED_SCORES` innovations in units of their spread; NaN where unknown.
        regrets: clock hour × filter, see `aggregation`.
        recipe: how it adapts.
    """

    names: tuple[str, ...]
    groups: tuple[str, ...]
    centre: Floats
    scale: Floats
    reference: float
    filters: tuple[Filter, ...]
    through: pd.Timestamp
    innovations: Floats
    variance: Floats
    scores: Floats
    regrets: Floats
    recipe: RegressionRecipe

    @property
    def weights(self) -> Floats:
        """Clock hour × filter: how much each filter's forecast counts."""
        return weights_of(self.regrets, self.recipe.regret_rate)

    @property
    def slowest(self) -> AdaptiveRegression:
        """To predict with its slowest filter alone, whose coefficients are those of years, not of weeks."""
        at = int(np.argmin(self.recipe.paces))
        return replace(self, filters=(self.filters[at],), regrets=self.regrets[:, [at]])

    @classmethod
    def start(
        cls, responses: Responses, demand: Floats, recipe: RegressionRecipe | None = None
    ) -> AdaptiveRegression:
        """An untrained stage whose state ends right before the first of these hours.

        Args:
            responses: the hours that define centre and scale of the columns.
            demand: MWh of the same hours; NaN where unknown.
            recipe: how it adapts.

        Raises:
            ValueError: no demand is known, or the lengths differ.
        """
        recipe = recipe or RegressionRecipe()
        if len(demand) != len(responses.periods):
            raise ValueError(f"{len(demand)} hours of demand for {len(responses.periods)} rows")
        known = ~np.isnan(demand)
        if not known.any():
            raise ValueError("no hour of demand is known")
        centre, scale = _standard(responses, known)
        prior = np.array([recipe.prior[group] for group in responses.groups])
        scale, prior = _within_year(responses, known, scale, prior)
        size = len(responses.names)
        walk = np.array([recipe.walk[group] for group in responses.groups])
        return cls(
            names=responses.names,
            groups=responses.groups,
            centre=centre,
            scale=scale,
            reference=PERCENT * float(np.log(np.mean(gross_load(responses, demand)[known]))),
            filters=tuple(
                Filter(
                    coefficients=np.zeros((CLOCK_HOURS, size)),
                    covariance=np.repeat(np.diag(prior)[None], CLOCK_HOURS, axis=0),
                    noise=np.full(CLOCK_HOURS, FIRST_VARIANCE),
                    walk=pace * walk,
                )
                for pace in recipe.paces
            ),
            through=responses.periods[0] - pd.Timedelta(HOUR),
            innovations=np.full(REMEMBERED_HOURS, np.nan),
            variance=np.full(CLOCK_HOURS, FIRST_VARIANCE),
            scores=np.full(REMEMBERED_SCORES, np.nan),
            regrets=np.zeros((CLOCK_HOURS, len(recipe.paces))),
            recipe=recipe,
        )

    def advance(self, responses: Responses, demand: Floats) -> tuple[AdaptiveRegression, PrequentialForecast]:
        """Learn the hours right after `through`, oldest first.

        Returns:
            The new stage, and the forecast of each hour made before the hour was learnt.

        Raises:
            ValueError: the hours do not follow `through`, or the columns differ.
        """
        size = len(responses.periods)
        if len(demand) != size:
            raise ValueError(f"{len(demand)} hours of demand for {size} rows")
        if size == 0:
            return self, PrequentialForecast(np.empty((AGES, 0)), np.empty(0))
        if responses.periods[0] - self.through != pd.Timedelta(HOUR):
            raise ValueError(f"the hour after {self.through} is needed, got {responses.periods[0]}")
        rows = self._standardised(responses)
        target = PERCENT * np.log(gross_load(responses, demand)) - self.reference
        batches = _batches(responses.hours)

        def run(state: Filter) -> tuple[Filter, Floats]:
            return _run(state, rows, target, responses.hours, batches, self.recipe)

        # The filters are independent, and NumPy releases the interpreter lock.
        with ThreadPoolExecutor(len(self.filters)) as pool:
            runs = list(pool.map(run, self.filters))
        regrets, predicted = aggregate(
            self.regrets,
            np.array([ages for _, ages in runs]),
            target,
            responses.hours,
            batches,
            self.recipe.regret_rate,
            self.recipe.forgetting,
        )
        innovations = target - predicted[0]
        variance, scores, spread = running_spread(
            self.variance, self.scores, innovations, responses.hours, batches, self.recipe
        )
        stage = replace(
            self,
            filters=tuple(state for state, _ in runs),
            through=responses.periods[-1],
            innovations=np.concatenate([self.innovations, innovations])[-REMEMBERED_HOURS:],
            variance=variance,
            scores=scores,
            regrets=regrets,
        )
        return stage, PrequentialForecast(predicted + self.reference, spread)

    def predict(self, responses: Responses) -> Floats:
        """Log gross load (percent) of each row, with the current coefficients."""
        return np.asarray(self.contributions(responses).sum(axis=1) + self.reference)

    def contributions(self, responses: Responses) -> Floats:
        """Rows × columns: what each column adds to `reference`, percent of log gross load."""
        rows = self._standardised(responses)
        return np.asarray(rows * self._mixed()[responses.hours])

    def predict_rows(self, names: tuple[str, ...], rows: Floats, hours: Integers) -> Floats:
        """Log gross load (percent) of several cases of the same hours: hours × cases.

        Args:
            names: of the columns.
            rows: hours × cases × columns.
            hours: local clock hour of each hour.
        """
        if names != self.names:
            raise ValueError("these rows do not have the columns that the stage was fitted on")
        standard = np.nan_to_num((rows - self.centre) / self.scale)
        return np.asarray(np.einsum("hpc,hc->hp", standard, self._mixed()[hours]) + self.reference)

    def effect(self, name: str, values: Floats, hours: Integers) -> Floats:
        """What one column adds to log gross load (percent) in several cases of the same hours: hours × cases.

        Args:
            name: of the column.
            values: hours × cases.
            hours: local clock hour of each hour.
        """
        at = self.names.index(name)
        standard = np.nan_to_num((values - self.centre[at]) / self.scale[at])
        return np.asarray(standard * self._mixed()[hours, at, None])

    def _mixed(self) -> Floats:
        """Clock hour × column: the coefficients of all filters by their weights."""
        each = np.array([each.coefficients for each in self.filters])
        return np.asarray(np.einsum("hk,khc->hc", self.weights, each))

    def spread(self, hours: Integers) -> Floats:
        """Standard deviation of recent one-day-ahead errors at each clock hour, percent; wider in a break."""
        return np.asarray(strain(self.scores) * np.sqrt(self.variance)[hours])

    def _standardised(self, responses: Responses) -> Floats:
        if responses.names != self.names:
            raise ValueError("these rows do not have the columns that the stage was fitted on")
        # Unknown values count as average.
        return np.nan_to_num((responses.values - self.centre) / self.scale)


def gross_load(responses: Responses, demand: Floats) -> Floats:
    """Demand (MWh) and what panels behind the meter took off it."""
    return demand + responses.rooftop_mwh


def _standard(responses: Responses, known: Booleans) -> tuple[Floats, Floats]:
    """Centre and scale of the columns; 0/1 columns and the level are not centred or scaled."""
    values = responses.values[known]
    filled = np.where(np.isnan(values), 0.0, values)
    count = np.maximum((~np.isnan(values)).sum(axis=0), 1)
    centre = filled.sum(axis=0) / count
    scale = np.sqrt(np.maximum((filled**2).sum(axis=0) / count - centre**2, 0.0))
    unscaled = np.isin(responses.groups, [groups.LEVEL, groups.SPECIAL_DAY])
    centre[unscaled | np.isin(responses.groups, [groups.WEEKDAY])] = 0.0
    scale[unscaled | (scale < 1e-9)] = 1.0
    return centre, scale


def _within_year(
    responses: Responses, known: Booleans, scale: Floats, prior: Floats
) -> tuple[Floats, Floats]:
    """Scale and prior where a weather column is not known in all seasons, or is estimated in most.

    The record is short, or the column is new in it. It is measured in the spread of whole years, not in the
    little that is known of it, and a coefficient that it hardly constrains stays near zero: the next season's
    forecasts are held to both. Estimated temperatures of sites that were not observed vary less than true
    ones, so no column is measured in less than half of its usual spread.
    """
    usual = np.array([USUAL_SCALES.get(name, 0.0) for name in responses.names])
    hours = (~np.isnan(responses.values[known])).sum(axis=0)
    new = ~np.isin(responses.groups, groups.CALENDAR_GROUPS) & (hours < YEAR_HOURS)
    return (
        np.maximum(scale, np.where(new, usual, LEAST_OF_USUAL * usual)),
        np.where(new, np.minimum(prior, PRIOR_WITHIN_YEAR), prior),
    )


def _batches(hours: Integers) -> list[slice]:
    """Runs of consecutive rows without a repeated clock hour: each run is filtered in one step."""
    cuts = [0]
    seen: set[int] = set()
    for position, hour in enumerate(hours.tolist()):
        if hour in seen or (hour == 0 and position > cuts[-1]):
            cuts.append(position)
            seen = set()
        seen.add(hour)
    return [slice(first, last) for first, last in zip(cuts, [*cuts[1:], len(hours)], strict=True)]


def _run(
    before: Filter,
    rows: Floats,
    target: Floats,
    hours: Integers,
    batches: list[slice],
    recipe: RegressionRecipe,
) -> tuple[Filter, Floats]:
    covariance, noise = before.covariance.copy(), before.noise.copy()
    history = np.repeat(before.coefficients[None], AGES, axis=0)  # newest first
    predicted = np.empty((AGES, len(rows)))
    diagonal = np.arange(rows.shape[1])
    for batch in batches:
        x, clock = rows[batch], hours[batch]
        # A whole day is the usual case: a slice gives views instead of copies.
        chosen = slice(None) if len(clock) == CLOCK_HOURS and clock[0] == 0 else clock
        ages = (history[:, chosen] * x).sum(axis=-1)
        predicted[:, batch] = ages
        p = covariance[chosen]
        p[:, diagonal, diagonal] += before.walk
        gain = np.matmul(p, x[:, :, None])[:, :, 0]
        uncertainty = (x * gain).sum(axis=1) + 1.0
        known = ~np.isnan(target[batch])
        deviation = np.sqrt(uncertainty * noise[chosen])
        innovation = np.where(known, target[batch] - ages[0], 0.0) / deviation
        innovation = np.clip(innovation, -recipe.outlier, recipe.outlier)
        gain_of_known = np.where(known[:, None], gain / uncertainty[:, None], 0.0)
        p -= gain_of_known[:, :, None] * gain[:, None, :]
        covariance[chosen] = p
        scale = noise[chosen]
        noise[chosen] = np.where(known, scale * (1.0 + recipe.forgetting * (innovation**2 - 1.0)), scale)
        updated = history[0, chosen] + gain_of_known * (innovation * deviation)[:, None]
        history[1:, chosen] = history[:-1, chosen].copy()
        history[0, chosen] = updated
    return Filter(history[0].copy(), covariance, noise, before.walk), predicted
