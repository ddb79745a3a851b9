"""Search for the pace of the adaptive regression on validation years.

Coordinate search: each round tries changes of one variance of `RegressionRecipe` side by side, and keeps the
best one if the score falls. The result does not depend on the number of workers.

The score is MAPE on 2022-08-01 … 2024-07-31 with observed weather, 0.4 × `rolling-24h` + 0.6 × `day-ahead`,
of the adaptive regression alone; nothing after that window is read. Reads the database of the settings, which
must be backfilled.

    .venv/bin/python benchmarks/tuning.py --rounds 20 --workers 2
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import numpy as np

from answers import answer_alone
from energy_demand.config import load_settings
from energy_demand.data.record_store import load_record
from energy_demand.database.engine import opened
from energy_demand.jobs.fan_out.workers import silent, workers_of
from energy_demand.model.stages.adaptive_regression import AdaptiveRegression, RegressionRecipe
from energy_demand.model.stages.response_features import response_features
from energy_demand.model.weather.training import fit_guesses
from energy_demand.timeaxis import days_periods

if TYPE_CHECKING:
    from collections.abc import Callable

    from energy_demand.arrays import Booleans, Floats
    from energy_demand.jobs.fan_out.workers import Workers
    from energy_demand.model.stages.response_features import Responses

FIRST, LAST = date(2022, 8, 1), date(2024, 7, 31)
END = datetime(2024, 8, 1, 4, tzinfo=UTC)
FACTORS = (0.1, 0.3, 3.0, 10.0)
IN_A_ROUND = 8
SMALLEST_GAIN = 2e-4  # points of MAPE
NEWEST_AT_ISSUE = 7  # the newest clock hour of the same day that is known at 09:00


@dataclass(frozen=True)
class Window:
    """What a recipe is scored on.

    Attributes:
        responses: of the record.
        demand: MWh by hour of `responses`, NaN where not known.
        truth: likewise, to score against.
        rows: the hours of the validation window.
    """

    responses: Responses
    demand: Floats
    truth: Floats
    rows: Booleans


def window() -> Window:
    """The validation window, from the database of the settings."""
    settings = load_settings()
    with opened(settings) as database:
        record = load_record(database, settings, END)
    outlook = fit_guesses(record.observed, record.issued, record.region)
    responses = response_features(outlook.completed(record.observed), record.region)
    days = days_periods(FIRST, LAST, record.region.zone)
    rows = responses.periods.isin(days) & ~np.isnan(record.truth_mwh)
    return Window(responses, record.demand_mwh, record.truth_mwh, rows)


def score(on: Window, recipe: RegressionRecipe, _tell: Callable[[object], None] = silent) -> float:
    """MAPE of the adaptive regression of a recipe."""
    stage = AdaptiveRegression.start(on.responses, on.demand, recipe)
    forecast = stage.advance(on.responses, on.demand)[1].log_load
    # At 09:00 the early hours of the day before are known, the later ones are two days old.
    day_ahead = np.where(on.responses.hours <= NEWEST_AT_ISSUE, forecast[0], forecast[1])
    rolling, of_day_ahead = (
        100 * np.mean(np.abs(np.exp(values[on.rows] / 100) / on.truth[on.rows] - 1))
        for values in (forecast[0], day_ahead)
    )
    return float(0.4 * rolling + 0.6 * of_day_ahead)


def search(on: Window, workers: Workers, rounds: int, seed: int) -> tuple[RegressionRecipe, float, int]:
    """The best recipe found, its score, and the number of recipes tried."""
    random = np.random.default_rng(seed)
    best = RegressionRecipe()
    lowest = score(on, best)
    print(f"{lowest:.4f} to begin with", flush=True)
    for _ in range(rounds):
        changes = [_change(random, best) for _ in range(IN_A_ROUND)]
        recipes = {number: recipe for number, (recipe, _) in enumerate(changes)}
        scores = dict(workers.each(score, on, recipes, silent))
        number = min(scores, key=lambda each: (scores[each], each))
        if scores[number] < lowest - SMALLEST_GAIN:
            (best, change), lowest = changes[number], scores[number]
            print(f"{lowest:.4f} {change}", flush=True)
    return best, lowest, 1 + rounds * IN_A_ROUND


def _change(random: np.random.Generator, best: RegressionRecipe) -> tuple[RegressionRecipe, str]:
    name = str(random.choice(["walk", "walk", "prior"]))
    table = dict(getattr(best, name))
    group = str(random.choice(sorted(table)))
    table[group] *= float(random.choice(FACTORS))
    return replace(best, **{name: table}), f"{name}[{group}] = {table[group]:.1e}"


def main() -> None:
    """Search and print the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, help="processes of this machine")
    parser.add_argument("--dask", help="address of a Dask scheduler")
    arguments = parser.parse_args()
    with answer_alone(), workers_of(arguments.workers, arguments.dask) as workers:
        began = time.perf_counter()
        best, lowest, tried = search(window(), workers, arguments.rounds, arguments.seed)
        seconds = round(time.perf_counter() - began, 1)
        result = {"score": lowest, "tried": tried, "seconds": seconds, "recipe": asdict(best)}
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
