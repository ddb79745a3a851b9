"""An honest baseline: 24 ridge regressions, one per clock hour, with a correction of the error by lead.

No forecasting library. Each ridge explains the logarithm of demand by calendar, smoothed temperature in
pieces, humidity, wind and sun, with older years weighing less. A second, small ridge per clock hour predicts
its residual from the residuals known at the issue; as the issue hour is fixed, the clock hour is the lead.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from peer_protocol import DEMAND, run

HALF_LIFE_DAYS = 365.0
PENALTY, ERROR_PENALTY = 3.0, 30.0
KNOTS = (-10.0, -5.0, 0.0, 5.0, 10.0, 14.0, 17.0, 20.0, 23.0, 26.0, 29.0)  # °C
PIECEWISE = ("main_temperature", "temperature_3h", "temperature_24h", "temperature_72h")
CATEGORIES = ("hour_of_day", "month")  # the hour chooses the regression; the harmonics stand for the month
ERROR_DAYS = 365  # whose residuals teach the correction and the intervals
NEWEST_KNOWN_HOUR = 7  # the clock hour (its beginning) of the newest hour known at 09:00
QUANTILES = {"lower_95": 0.025, "lower_80": 0.1, "upper_80": 0.9, "upper_95": 0.975}


@dataclass(frozen=True)
class Ridge:
    """A ridge on standardised columns."""

    mean: np.ndarray
    scale: np.ndarray
    weights: np.ndarray
    level: float

    def predict(self, values: np.ndarray) -> np.ndarray:
        """One value per row."""
        return self.level + (values - self.mean) / self.scale @ self.weights


@dataclass(frozen=True)
class Model:
    """The regressions by clock hour, and quantiles of what they miss."""

    loads: dict[int, Ridge]
    errors: dict[int, Ridge]
    quantiles: dict[int, np.ndarray]


def ridge(values: np.ndarray, target: np.ndarray, weight: np.ndarray, penalty: float) -> Ridge:
    """The weighted ridge; constant columns get no weight."""
    share = weight / weight.sum()
    mean, level = share @ values, float(share @ target)
    scale = np.sqrt(share @ (values - mean) ** 2)
    scale[scale < 1e-9] = np.inf
    standard = (values - mean) / scale
    gram = standard.T * weight @ standard + penalty * np.eye(values.shape[1])
    return Ridge(mean, scale, np.linalg.solve(gram, standard.T * weight @ (target - level)), level)


def columns(frame: pd.DataFrame) -> np.ndarray:
    """What a ridge sees: the inputs, temperature in pieces, days of the week, and the sun by season."""
    plain = frame.drop(columns=[DEMAND, *CATEGORIES], errors="ignore")
    parts = [plain.to_numpy(float)]
    pieces = frame[list(PIECEWISE)].to_numpy(float)[:, :, None] - np.array(KNOTS)
    parts.append(np.clip(pieces, 0, None).reshape(len(frame), -1))
    weekday = frame["day_of_week"].to_numpy()
    parts.append((weekday[:, None] == np.arange(6)).astype(float))
    working = (frame["is_weekend"].to_numpy() == 0)[:, None]
    parts.append(working * frame[["heating", "cooling_24h"]].to_numpy(float))
    season = frame[["year_sin_1", "year_cos_1"]].to_numpy(float)
    parts.append(season * frame[["radiation"]].to_numpy(float))
    return np.concatenate(parts, axis=1)


def residuals(model: Model, history: pd.DataFrame) -> pd.Series:
    """Logarithm of demand less what the regressions say, by period."""
    explained = by_hour(model.loads, history.index, columns(history), history["hour_of_day"].to_numpy(int))
    return np.log(history[DEMAND]) - explained


def by_hour(
    regressions: dict[int, Ridge], index: pd.Index, values: np.ndarray, hours: np.ndarray
) -> pd.Series:
    """The value of each row by the regression of its clock hour."""
    result = np.zeros(len(index))
    for hour, regression in regressions.items():
        mine = hours == hour
        result[mine] = regression.predict(values[mine])
    return pd.Series(result, index)


def known_errors(errors: pd.Series, newest: pd.DatetimeIndex, target: pd.DatetimeIndex) -> np.ndarray:
    """What is known of the error at the issue: means of the last hours, and the same hour of days before."""
    total = np.concatenate([[0.0], np.cumsum(errors.to_numpy())])
    end = errors.index.get_indexer(newest) + 1
    means = [(total[end] - total[np.maximum(end - hours, 0)]) / hours for hours in (3, 12, 24, 72, 168)]
    lead = np.asarray((target - newest) / pd.Timedelta(hours=1), int)
    back = 24 * np.ceil(lead / 24).astype(int)
    position = end - 1 + lead
    values = errors.to_numpy()
    same = [values[np.maximum(position - back - 24 * days, 0)] for days in (0, 1, 2)]
    week = values[np.maximum(position - 168, 0)]
    return np.stack([*means, *same, week], axis=1)


def fit(history: pd.DataFrame) -> Model:
    """All regressions on everything known."""
    values, hours = columns(history), history["hour_of_day"].to_numpy(int)
    age = np.asarray((history.index[-1] - history.index) / pd.Timedelta(days=1), float)
    weight = 0.5 ** (age / HALF_LIFE_DAYS)
    target = np.log(history[DEMAND].to_numpy(float))
    loads = {
        hour: ridge(values[hours == hour], target[hours == hour], weight[hours == hour], PENALTY)
        for hour in range(24)
    }
    model = Model(loads, {}, {})
    errors = residuals(model, history)
    # The issue before each hour: the newest known hour of the day before.
    days_hours = hours[-24 * ERROR_DAYS :]
    target_hours = history.index[-24 * ERROR_DAYS :]
    newest = target_hours - pd.to_timedelta(days_hours + 24 - NEWEST_KNOWN_HOUR, unit="h")
    inside = errors.index.get_indexer(newest) >= 0
    target_hours, newest, days_hours = target_hours[inside], newest[inside], days_hours[inside]
    known = known_errors(errors, newest, target_hours)
    of_targets = errors.loc[target_hours].to_numpy()
    corrections, quantiles = {}, {}
    for hour in range(24):
        mine = days_hours == hour
        corrections[hour] = ridge(known[mine], of_targets[mine], np.ones(mine.sum()), ERROR_PENALTY)
        left = of_targets[mine] - corrections[hour].predict(known[mine])
        quantiles[hour] = np.quantile(left, list(QUANTILES.values()))
    return Model(loads, corrections, quantiles)


def forecast(model: Model, history: pd.DataFrame, horizon: pd.DataFrame) -> pd.DataFrame:
    """The horizon's demand and quantiles."""
    recent = residuals(model, history.iloc[-24 * 15 :])
    hours = horizon["hour_of_day"].to_numpy(int)
    explained = by_hour(model.loads, horizon.index, columns(horizon), hours)
    newest = pd.DatetimeIndex([history.index[-1]] * len(horizon))
    corrected = explained + by_hour(
        model.errors, horizon.index, known_errors(recent, newest, horizon.index), hours
    )
    result = pd.DataFrame({"predicted_mwh": np.exp(corrected)})
    spread = np.stack([model.quantiles[hour] for hour in hours])
    for position, name in enumerate(QUANTILES):
        result[name] = np.exp(corrected + spread[:, position])
    return result


if __name__ == "__main__":
    run(fit, forecast)
