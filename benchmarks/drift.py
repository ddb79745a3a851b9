"""False alarms of the drift checks and their delay in detecting injected changes, on the stored years.

One JSON object. `data`: share of weeks of 2021–2024 with a check over the drift share, by threshold of a
column, season-matched (as in operation) and naive (the last seven days against all training data), over all
weeks and over typical ones (weekly error of the adaptive regression within two robust standard deviations of
the year before). `concept`: days until the charts alarm after an injected +5 % step and a +5 % ramp over 60
days, for two grids of 24 placements, and alarms a year without an injection. Champions are at most 90 days
old.

    .venv/bin/python benchmarks/drift.py
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from answers import answer_alone
from energy_demand.config import load_settings
from energy_demand.data.record_store import load_record
from energy_demand.database.engine import opened
from energy_demand.limits import DRIFT_SHARE_THRESHOLD
from energy_demand.model.expected_errors import ExpectedErrors, daily_levels, expected_errors
from energy_demand.model.stages.adaptive_regression import PERCENT, AdaptiveRegression
from energy_demand.model.stages.response_features import response_features
from energy_demand.model.weather.training import fit_guesses
from energy_demand.monitoring.concept_drift import run_charts
from energy_demand.monitoring.drift_detection import (
    THRESHOLD,
    WATCHED,
    run_drift_check,
    wasserstein_scores,
)
from energy_demand.monitoring.watched_rows import REFERENCE_DAYS, rows_between, watched_rows, window_of

if TYPE_CHECKING:
    from energy_demand.data.record import Record

FIRST, LAST = pd.Timestamp("2021-01-01"), pd.Timestamp("2024-12-31")
END = datetime(2025, 1, 1, 6, tzinfo=UTC)
CHAMPION_DAYS = 90
THRESHOLDS = (0.3, 0.4, 0.5, 0.55, THRESHOLD, 0.65, 0.7, 0.8, 1.0)
GRIDS = {"tuned on": "2021-01-15", "not tuned on": "2021-02-14"}
PLACEMENTS, EVERY_DAYS = 24, 58
WATCHED_DAYS, TRAINED_BEFORE_DAYS = 90, 45
STEP, RAMP, RAMP_DAYS = 1.05, 0.05, 60
PERCENTILES = (10, 25, 50, 75, 90)


def midnight(day: pd.Timestamp, zone: Any) -> pd.Timestamp:
    """When a local day begins, in UTC."""
    return day.tz_localize(zone).tz_convert("UTC")


def data_table(record: Record, error: pd.Series) -> dict[str, Any]:
    """Alarms by threshold; scores are computed once for all thresholds."""
    zone = record.region.zone
    rows = watched_rows(record, record.periods[0].to_pydatetime(), record.periods[-1].to_pydatetime())
    days = pd.date_range(FIRST, LAST, freq="D")
    shares: dict[str, dict[float, list[float]]] = {
        name: {threshold: [] for threshold in THRESHOLDS} for name in ("season-matched", "naive")
    }
    for number, day in enumerate(days):
        now = midnight(day, zone)
        trained = midnight(days[number - number % CHAMPION_DAYS], zone) - pd.Timedelta(hours=1)
        reference = rows_between(rows, trained - pd.Timedelta(days=REFERENCE_DAYS), trained)
        week = rows_between(rows, now - pd.Timedelta(days=7), now)
        everything = rows_between(rows, rows["timestamp"].iloc[0], trained)
        compared = {
            "season-matched": (reference, window_of(rows, now - pd.Timedelta(hours=1))),
            # Without timestamps no season is matched, and without sources all hours are compared.
            "naive": (everything[list(WATCHED)], week[list(WATCHED)]),
        }
        for name, (then, current) in compared.items():
            found = run_drift_check(then, current, scorer=wasserstein_scores)[2]["per_feature"]
            for threshold in THRESHOLDS:
                shares[name][threshold].append(_share(found, threshold))
    weeks = pd.PeriodIndex(days, freq="W")
    by_week = error.groupby(pd.PeriodIndex(error.index, freq="W")).mean()
    middle, spread = (
        getattr(by_week.rolling(52, min_periods=26), name)().shift(1) for name in ("median", "std")
    )
    typical = (by_week <= middle + 2 * spread).reindex(weeks.unique())
    table: dict[str, Any] = {"weeks": len(typical), "ordinary_weeks": int(typical.sum())}
    for name, by_threshold in shares.items():
        table[name] = {}
        for threshold, values in by_threshold.items():
            alarmed = pd.Series(values, index=weeks).groupby(level=0).max() > DRIFT_SHARE_THRESHOLD
            table[name][str(threshold)] = {
                "weeks_percent": round(100 * float(alarmed.mean()), 1),
                "ordinary_weeks_percent": round(100 * float(alarmed[typical].mean()), 1),
                "days_percent": round(100 * float(np.mean(np.array(values) > DRIFT_SHARE_THRESHOLD)), 1),
            }
    return table


def _share(found: dict[str, dict[str, Any]], threshold: float) -> float:
    groups: dict[str, list[bool]] = {}
    for each in found.values():
        if each["score"] is not None:
            groups.setdefault(each["group"], []).append(each["score"] >= threshold)
    return float(np.mean([np.mean(drifted) for drifted in groups.values()])) if groups else 0.0


class Line:
    """The adaptive regression along a record, stopped where a champion is trained."""

    def __init__(self, record: Record) -> None:
        self.record = record
        path = fit_guesses(record.observed, record.issued, record.region).completed(record.observed)
        self.responses = response_features(path, record.region)
        self.truth = PERCENT * np.log(record.truth_mwh)
        start = AdaptiveRegression.start(self.responses, record.demand_mwh)
        _, forecast = start.advance(self.responses, record.demand_mwh)
        self.errors = self.truth - forecast.log_load[:2]
        self._stage, self._position = start, 0

    def trained(self, day: pd.Timestamp) -> tuple[int, AdaptiveRegression, ExpectedErrors]:
        """Position, stage and expected errors of a champion trained at midnight; call with days in order."""
        stop = int(self.record.periods.searchsorted(midnight(day, self.record.region.zone))) + 1
        part = slice(self._position, stop)
        self._stage, _ = self._stage.advance(self.responses.rows(part), self.record.demand_mwh[part])
        self._position = stop
        known = expected_errors(
            self.record.periods[:stop],
            self.errors[0, :stop],
            self.errors[1, :stop],
            self._stage.variance,
            self.record.region.zone,
        )
        return stop, self._stage, known

    def residuals(
        self,
        start: int,
        stage: AdaptiveRegression,
        known: ExpectedErrors,
        days: int,
        factor: np.ndarray[Any, Any],
    ) -> pd.Series:
        """As `daily_residuals`, of demand times a factor."""
        part = slice(start, min(start + 24 * days, len(self.truth)))
        factor = factor[: part.stop - part.start]
        _, forecast = stage.advance(self.responses.rows(part), self.record.demand_mwh[part] * factor)
        residuals = self.truth[part] + PERCENT * np.log(factor) - forecast.log_load[0]
        weights = np.where(np.arange(24) < 23, known.weights, 0.0)
        residuals = np.where(weights[self.responses.hours[part]] > 0, residuals, np.nan)
        return (
            daily_levels(self.record.periods[part], residuals, weights, self.record.region.zone) / known.sigma
        )


def concept_table(record: Record) -> dict[str, Any]:
    """Delays by placement, and alarms a year."""
    line = Line(record)
    quiet, alarms = [], 0
    for day in pd.date_range(FIRST, LAST, freq=f"{CHAMPION_DAYS}D"):
        length = min(CHAMPION_DAYS, (LAST - day).days + 1)
        series = line.residuals(*line.trained(day), length, np.ones(24 * length))
        found = run_charts(series).alarms
        alarms += len(found)
        quiet += [each.isoformat() for each in found]
    years = ((LAST - FIRST).days + 1) / 365.25
    table: dict[str, Any] = {"alarms_a_year": round(alarms / years, 2), "alarms": quiet}
    for name, first in GRIDS.items():
        line = Line(record)
        delays: dict[str, list[int | None]] = {"step": [], "ramp": []}
        for day in pd.date_range(first, periods=PLACEMENTS, freq=f"{EVERY_DAYS}D"):
            trained = line.trained(day - pd.Timedelta(days=TRAINED_BEFORE_DAYS))
            before, days = 24 * TRAINED_BEFORE_DAYS, TRAINED_BEFORE_DAYS + WATCHED_DAYS
            into = np.clip(np.arange(24 * days) - before, 0, None)
            for kind, factor in (
                ("step", np.where(np.arange(24 * days) >= before, STEP, 1.0)),
                ("ramp", 1.0 + RAMP * np.clip(into / (24 * RAMP_DAYS), 0, 1)),
            ):
                found = run_charts(line.residuals(*trained, days, factor)).alarms
                after = [(pd.Timestamp(each) - day).days + 1 for each in found if pd.Timestamp(each) >= day]
                delays[kind].append(min(after) if after else None)
        table[name] = {kind: _spread(values) for kind, values in delays.items()}
    return table


def _spread(values: list[int | None]) -> dict[str, Any]:
    """The distribution of delays; an undetected change counts as later than all."""
    days = np.array([np.inf if each is None else each for each in values])
    percentiles = np.percentile(days, PERCENTILES)
    return {
        "days": values,
        **{
            f"p{name}": None if not np.isfinite(value) else round(float(value), 1)
            for name, value in zip(PERCENTILES, percentiles, strict=True)
        },
        "not_found": int(np.isinf(days).sum()),
    }


def main() -> None:
    """Print both tables."""
    with answer_alone():
        tables = both_tables()
    print(json.dumps(tables, indent=1))


def both_tables() -> dict[str, Any]:
    """Both tables, of the stored record."""
    settings = load_settings()
    with opened(settings) as database:
        record = load_record(database, settings, END)
    line = Line(record)
    percent_error = pd.Series(100 * np.abs(np.expm1(line.errors[1] / 100)), index=record.periods)
    local = (record.periods - pd.Timedelta(hours=1)).tz_convert(record.region.zone)
    error = percent_error.groupby(local.tz_localize(None).normalize()).mean()
    return {"data": data_table(record, error), "concept": concept_table(record)}


if __name__ == "__main__":
    main()
