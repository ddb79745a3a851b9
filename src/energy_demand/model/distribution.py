"""The distribution of a forecast: quantiles of each hour, and joint paths of consecutive hours. Pure.

Split conformal prediction (Lei et al. 2018, doi 10.1080/01621459.2017.1307116) of errors in units of their
expected spread (section 5.2 there), so that intervals widen where and when errors do.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from energy_demand.model.intervals import FEWEST_RESIDUALS, LAST_LEAD_OF_BUCKET, conformal_quantile

if TYPE_CHECKING:
    from energy_demand.arrays import Floats, Integers

# Central intervals, percent; with the median they make 23 quantiles.
CENTRAL_LEVELS = (10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 98)
_TAILS = np.array([(1.0 - level / 100.0) / 2.0 for level in CENTRAL_LEVELS])
PROBABILITIES = np.round(np.concatenate([_TAILS[::-1], [0.5], 1.0 - _TAILS]), 3)
MEDIAN = len(CENTRAL_LEVELS)  # its position
QUANTILES = tuple(f"quantile_{probability:g}" for probability in PROBABILITIES)

SEASON_OF_MONTH = np.array([0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 0])  # winter, spring, summer, autumn
HEAT = 4  # a group of its own beside the seasons
GROUPS = 5
# °C of temperature smoothed over half a day. Days of 30 °C and more of 2022-08 … 2024-07 (observed weather)
# were covered by 75.5 / 92.9 % with seasons alone, by 79.9 / 93.8 % so.
HEAT_FROM = 22.0
FEWEST_OF_GROUP = 500  # hours, about three weeks; fewer do not represent a group
SHAPE = (len(LAST_LEAD_OF_BUCKET) + 1, GROUPS)

PATHS = 1000
PATH_SEED = 20250731
LARGEST_SCORE = 5.0  # in units of the spread; one broken hour says nothing about neighbours
FURTHEST_LAG = 24
_SHARES, _HOURS = np.linspace(0.0, 0.8, 9), np.array([1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 18.0, 24.0])


def season_of(months: Integers) -> Integers:
    """0 winter … 3 autumn, for months 1–12."""
    return np.asarray(SEASON_OF_MONTH[months - 1])


def group_of(months: Integers, temperature: Floats) -> Integers:
    """Which column of the tables is an hour's: its season, or `HEAT`.

    Args:
        months: 1–12, local.
        temperature: smoothed over half a day, °C; NaN counts as not hot.
    """
    return np.where(np.nan_to_num(temperature, nan=-np.inf) >= HEAT_FROM, HEAT, season_of(months))


def central_interval(quantiles: Floats, level: int) -> tuple[Floats, Floats]:
    """The bounds of a level of `CENTRAL_LEVELS`, from values × `PROBABILITIES`."""
    at = CENTRAL_LEVELS.index(level) + 1
    return quantiles[:, MEDIAN - at], quantiles[:, MEDIAN + at]


@dataclass(frozen=True)
class Dependence:
    """How errors of neighbouring hours go together: correlation share + (1 − share) exp(−lag / hours).

    The exponential form of Pinson and Girard 2012 (doi 10.1016/j.apenergy.2011.11.004), and a share that all
    hours have in common.

    Attributes:
        share: of the variance that is common to all hours of a forecast.
        hours: after which the correlation of the rest has fallen to 1 / e.
    """

    share: float
    hours: float

    @classmethod
    def fit(cls, scores: Floats, known: Integers, target: Integers) -> Dependence:
        """The best of a grid, by least squares over lags of 1 to `FURTHEST_LAG` hours.

        Args:
            scores: signed errors in units of their spread; NaN where unknown.
            known: which forecast each is of.
            target: position of its hour.
        """
        issues, row = np.unique(known, return_inverse=True)
        column = target - known - 1
        table = np.full((len(issues), int(column.max()) + 1), np.nan)
        table[row, column] = np.clip(scores, -LARGEST_SCORE, LARGEST_SCORE)
        found: list[int] = []
        products: list[float] = []
        for lag in range(1, min(FURTHEST_LAG + 1, table.shape[1])):
            both = (table[:, lag:] * table[:, :-lag]).ravel()
            both = both[~np.isnan(both)]
            if len(both):
                found.append(lag)
                products.append(float(both.mean()))
        if not np.any(products):
            return cls(0.0, 1.0)
        variance = float(np.nanmean(table**2))
        lags, observed = np.array(found), np.array(products)
        falling = np.exp(-lags[None, :] / _HOURS[:, None])
        fitted = _SHARES[:, None, None] + (1.0 - _SHARES[:, None, None]) * falling[None]
        misfit = ((fitted - observed / variance) ** 2).sum(axis=-1)
        best_share, best_hours = np.unravel_index(int(misfit.argmin()), misfit.shape)
        return cls(float(_SHARES[best_share]), float(_HOURS[best_hours]))

    def normal_paths(self, hours: int) -> Floats:
        """`PATHS` × hours standard normal values with this correlation; the same at each call."""
        random = np.random.default_rng(PATH_SEED)
        half = PATHS // 2
        common, steps = random.standard_normal((half, 1)), random.standard_normal((half, hours))
        kept = np.exp(-1.0 / self.hours)
        rest = np.empty((half, hours))
        rest[:, 0] = steps[:, 0]
        for hour in range(1, hours):
            rest[:, hour] = kept * rest[:, hour - 1] + np.sqrt(1.0 - kept**2) * steps[:, hour]
        paths = np.sqrt(self.share) * common + np.sqrt(1.0 - self.share) * rest
        return np.concatenate([paths, -paths])  # each with its mirror image, which steadies the quantiles


@dataclass(frozen=True)
class ErrorDistribution:
    """Quantiles of |error| in units of its spread, by level: tables of lead bucket × group of hours.

    Attributes:
        quantiles: by central level.
        dependence: of neighbouring hours.
    """

    quantiles: dict[int, Floats]
    dependence: Dependence

    @classmethod
    def fit(
        cls, residuals: Floats, spread: Floats, leads: Integers, groups: Integers, dependence: Dependence
    ) -> ErrorDistribution:
        """Quantiles from held-out hours.

        Args:
            residuals: log actual − log predicted, percent; NaN is left out.
            spread: percent.
            leads: in hours.
            groups: see `group_of`.
            dependence: of neighbouring hours.

        Raises:
            ValueError: there are no residuals.
        """
        known = ~np.isnan(residuals)
        scores = np.abs(residuals[known]) / spread[known]
        if len(scores) == 0:
            raise ValueError("there are no held-out hours to fit intervals on")
        bucket, group = np.searchsorted(LAST_LEAD_OF_BUCKET, leads[known]), groups[known]
        tables = {level: np.full(SHAPE, conformal_quantile(scores, level)) for level in CENTRAL_LEVELS}
        for row, column in np.ndindex(*SHAPE):
            of_lead = bucket == row
            inside = of_lead & (group == column)
            chosen = scores[inside if inside.sum() >= FEWEST_OF_GROUP else of_lead]
            if len(chosen) >= FEWEST_RESIDUALS:
                for level in CENTRAL_LEVELS:
                    tables[level][row, column] = conformal_quantile(chosen, level)
        return cls(tables, dependence)

    def widened(self, factor: float) -> ErrorDistribution:
        """This distribution, so many times as wide."""
        tables = {level: factor * table for level, table in self.quantiles.items()}
        return ErrorDistribution(tables, self.dependence)

    def percent(self, spread: Floats, leads: Integers, groups: Integers) -> Floats:
        """Hours × `PROBABILITIES`: log actual − log predicted, percent."""
        cells = np.searchsorted(LAST_LEAD_OF_BUCKET, leads), groups
        half = np.stack([self.quantiles[level][cells] for level in CENTRAL_LEVELS], axis=-1) * spread[:, None]
        return np.concatenate([-half[:, ::-1], np.zeros((len(spread), 1)), half], axis=1)

    def paths(self, percent: Floats) -> Floats:
        """`PATHS` × hours: joint errors of consecutive hours whose quantiles are these (percent).

        Beyond the outermost probabilities an error grows in proportion to the normal quantile.
        """
        normal = self.dependence.normal_paths(len(percent))
        at = np.array([NormalDist().inv_cdf(probability) for probability in PROBABILITIES])
        errors = np.stack([np.interp(normal[:, hour], at, each) for hour, each in enumerate(percent)], axis=1)
        return np.asarray(errors * np.maximum(np.abs(normal) / at[-1], 1.0))

    def to_dict(self) -> dict[str, Any]:
        """The JSON form: the tables as plain lists."""
        return {
            "levels": {str(level): table.tolist() for level, table in self.quantiles.items()},
            "share": self.dependence.share,
            "hours": self.dependence.hours,
        }

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> ErrorDistribution:
        """The inverse of `to_dict`.

        Raises:
            ValueError: a level is missing, or a number is invalid.
        """
        tables = {level: np.array(stored["levels"].get(str(level)), dtype=float) for level in CENTRAL_LEVELS}
        if any(table.shape != SHAPE for table in tables.values()):
            raise ValueError(f"interval tables must have the shape {SHAPE}")
        rising = np.stack([np.zeros(SHAPE), *tables.values()])
        if not (np.isfinite(rising).all() and (np.diff(rising, axis=0) >= 0.0).all()):
            raise ValueError(
                "interval tables must be finite and not negative, and a wider level at least as wide"
            )
        dependence = Dependence(float(stored["share"]), float(stored["hours"]))
        if not (0.0 <= dependence.share <= 1.0 and 0.0 < dependence.hours < np.inf):
            raise ValueError("the dependence of neighbouring hours must be a share and a number of hours")
        return cls(tables, dependence)


@dataclass(frozen=True)
class JointDistribution:
    """The distribution of a forecast of consecutive hours.

    Attributes:
        hours: MWh, hours × `PROBABILITIES`.
        energy: MWh of all hours together, by `PROBABILITIES`.
        peak: MWh of the highest hour, by `PROBABILITIES`.
        peak_hour: by hour, the probability that it is the highest.
    """

    hours: Floats
    energy: Floats
    peak: Floats
    peak_hour: Floats

    @classmethod
    def of(cls, hours: Floats, paths: Floats) -> JointDistribution:
        """From the quantiles of each hour, and equally likely paths × hours with these quantiles (MWh)."""
        highest = np.bincount(paths.argmax(axis=1), minlength=len(hours)) / len(paths)
        energy, peak = (np.quantile(each, PROBABILITIES) for each in (paths.sum(axis=1), paths.max(axis=1)))
        return cls(hours, energy, peak, highest)
