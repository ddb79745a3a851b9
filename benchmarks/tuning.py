"""Search for the pace of the adaptive regression on validation years, within a budget of time.

Coordinate search: one variance of `RegressionRecipe` at a time is tried at other sizes and kept if the score
falls. The score is MAPE on 2022-08-01 … 2024-07-31 with observed weather, 0.4 × `rolling-24h` + 0.6 ×
`day-ahead`, of the adaptive regression alone; nothing after that window is read. Reads the database of the
settings, which must be backfilled.

    .venv/bin/python benchmarks/tuning.py --minutes 15
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, replace
from datetime import UTC, date, datetime

import numpy as np

from answers import answer_alone
from energy_demand.config import load_settings
from energy_demand.data.record_store import load_record
from energy_demand.database.engine import opened
from energy_demand.model.stages.adaptive_regression import AdaptiveRegression, RegressionRecipe
from energy_demand.model.stages.response_features import response_features
from energy_demand.model.weather.training import fit_guesses
from energy_demand.timeaxis import days_periods

FIRST, LAST = date(2022, 8, 1), date(2024, 7, 31)
END = datetime(2024, 8, 1, 4, tzinfo=UTC)
FACTORS = (0.1, 0.3, 3.0, 10.0)
SMALLEST_GAIN = 2e-4  # points of MAPE
NEWEST_AT_ISSUE = 7  # the newest clock hour of the same day that is known at 09:00


class Score:
    """MAPE of the adaptive regression on the validation window."""

    def __init__(self) -> None:
        settings = load_settings()
        with opened(settings) as database:
            record = load_record(database, settings, END)
        outlook = fit_guesses(record.observed, record.issued, record.region)
        self._responses = response_features(outlook.completed(record.observed), record.region)
        self._demand, self._truth = record.demand_mwh, record.truth_mwh
        window = days_periods(FIRST, LAST, record.region.zone)
        self._rows = self._responses.periods.isin(window) & ~np.isnan(self._truth)

    def __call__(self, recipe: RegressionRecipe) -> float:
        """The score of a recipe."""
        stage = AdaptiveRegression.start(self._responses, self._demand, recipe)
        forecast = stage.advance(self._responses, self._demand)[1].log_load
        # At 09:00 the early hours of the day before are known, the later ones are two days old.
        day_ahead = np.where(self._responses.hours <= NEWEST_AT_ISSUE, forecast[0], forecast[1])
        rolling, of_day_ahead = (
            100 * np.mean(np.abs(np.exp(values[self._rows] / 100) / self._truth[self._rows] - 1))
            for values in (forecast[0], day_ahead)
        )
        return float(0.4 * rolling + 0.6 * of_day_ahead)


def search(minutes: float, seed: int) -> tuple[RegressionRecipe, float, int]:
    """The best recipe found, its score, and the number of recipes tried."""
    random = np.random.default_rng(seed)
    score = Score()
    best = RegressionRecipe()
    lowest, tried = score(best), 1
    print(f"{lowest:.4f} to begin with")
    deadline = time.monotonic() + 60 * minutes
    while time.monotonic() < deadline:
        name = str(random.choice(["walk", "walk", "prior"]))
        table = dict(getattr(best, name))
        group = str(random.choice(sorted(table)))
        table[group] *= float(random.choice(FACTORS))
        challenger = replace(best, **{name: table})
        tried += 1
        reached = score(challenger)
        if reached < lowest - SMALLEST_GAIN:
            best, lowest = challenger, reached
            print(f"{lowest:.4f} {name}[{group}] = {table[group]:.1e}", flush=True)
    return best, lowest, tried


def main() -> None:
    """Search and print the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with answer_alone():
        best, lowest, tried = search(arguments.minutes, arguments.seed)
    print(json.dumps({"score": lowest, "tried": tried, "recipe": asdict(best)}, indent=1))


if __name__ == "__main__":
    main()
