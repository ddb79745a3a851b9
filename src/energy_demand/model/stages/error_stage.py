"""The second stage: corrects the adaptive regression by its recent errors. Pure.

One small ridge regression for each distance between the target and the newest known hour. It sees only
errors known at the issue time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from energy_demand.arrays import Floats, Positions


FURTHEST = 72  # hours from the newest known hour to a target; the last regression serves all beyond
MEAN_HOURS = (1, 3, 6, 12, 24, 72, 168)
DAYS_BACK = 4
NAMES = (
    *(f"error_mean_{hours}h" for hours in MEAN_HOURS),
    *(f"error_same_hour_{days}" for days in range(DAYS_BACK)),
    "error_same_hour_week",
    "error_hour_after",
    "error_two_hours_before",
)
LARGEST = 15.0  # percent; larger errors are a sign of broken data, not of demand


@dataclass(frozen=True)
class ErrorStage:
    """Coefficients by distance.

    Attributes:
        coefficients: `FURTHEST` × `NAMES`; the first row is for the hour after the newest known one.
    """

    coefficients: Floats

    @classmethod
    def fit(cls, errors: Floats, residuals: Floats, ridge: float) -> ErrorStage:
        """Fit on history.

        Args:
            errors: innovations of the adaptive regression, percent, one per hour; NaN where unknown.
            residuals: ages × hours, of coefficients one, two and three days old, percent.
            ridge: penalty on the squared coefficients.
        """
        size = errors.shape[0]
        rows = []
        for distance in range(1, FURTHEST + 1):
            target = np.arange(distance, size)
            features = error_features(errors, target - distance, target)
            residual = residuals[-(-distance // 24) - 1, distance:]
            usable = ~np.isnan(residual)
            x, y = features[usable], np.clip(residual[usable], -LARGEST, LARGEST)
            rows.append(np.linalg.solve(x.T @ x + ridge * np.eye(len(NAMES)), x.T @ y))
        return cls(np.array(rows))

    def correction(self, features: Floats, distances: Positions) -> Floats:
        """Percent to add to log gross load, for rows of `error_features`."""
        row = np.clip(distances, 1, FURTHEST) - 1
        return np.asarray((features * self.coefficients[row]).sum(axis=1))

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, as plain lists."""
        return {"names": list(NAMES), "coefficients": self.coefficients.tolist()}

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> ErrorStage:
        """The inverse of `to_dict`.

        Raises:
            ValueError: it was fitted on other features.
        """
        coefficients = np.array(stored["coefficients"], dtype=float)
        if stored["names"] != list(NAMES) or coefficients.shape != (FURTHEST, len(NAMES)):
            raise ValueError("the error stage was fitted on other features")
        return cls(coefficients)


def error_features(errors: Floats, known: Positions, target: Positions) -> Floats:
    """Rows × `NAMES`, from the errors known at each row; an unknown error counts as zero.

    Args:
        errors: percent, one per hour.
        known: position of the newest hour that each row may use.
        target: position of the hour that is forecast, after `known`.
    """
    past = np.clip(np.nan_to_num(errors), -LARGEST, LARGEST)
    total = np.concatenate([[0.0], np.cumsum(past)])

    def mean(hours: int) -> Floats:
        first = np.maximum(known + 1 - hours, 0)
        return np.asarray((total[known + 1] - total[first]) / hours)

    def at(position: Positions) -> Floats:
        inside = (position >= 0) & (position <= known)
        return np.where(inside, past[np.clip(position, 0, len(past) - 1)], 0.0)

    day = target - 24 * -(-(target - known) // 24)  # the same hour on the newest day on which it is known
    week = target - 168 * -(-(target - known) // 168)
    after = np.where(day + 1 <= known, day + 1, day - 1)
    columns = [mean(hours) for hours in MEAN_HOURS]
    columns += [at(day - 24 * back) for back in range(DAYS_BACK)]
    columns += [at(week), at(after), at(day - 2)]
    return np.stack(columns, axis=1)
