"""Experts and their mixture, year by year: is the mixture ever much worse than the best of them?

Two tables in one JSON object, MAPE in percent of calendar years (2024 to 31 July), observed weather, with
coefficients as old as in a day-ahead forecast. `hours`: the adaptive regression with one filter of each pace,
with the mean of its filters, and with their mixture as it serves; `worse_than_best` is the mixture's distance
from the best of the others. `energy`: the day's energy as the sum of the hours, by a regression of its own on
the daily means of the same columns, and by geometric mixtures of the two. Nothing after 2024-07-31 is read.
Reads the database of the settings, which must be backfilled.

    .venv/bin/python benchmarks/experts.py --json
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pandas as pd

from answers import answer_alone
from energy_demand.config import load_settings
from energy_demand.data.record_store import load_record
from energy_demand.database.engine import opened
from energy_demand.model.metrics import scores
from energy_demand.model.stages.adaptive_regression import PERCENT, AdaptiveRegression, RegressionRecipe
from energy_demand.model.stages.response_features import Responses, response_features
from energy_demand.model.weather.training import fit_guesses
from energy_demand.timeaxis import ISSUE_HOUR_LOCAL, local_days

END = datetime(2024, 8, 1, 5, tzinfo=UTC)
YEARS = range(2020, 2025)
PACES = (30.0, 10.0, 3.0, 1.0, 0.3, 0.1, 0.03)
OWN_WEIGHTS = (0.2, 0.35, 0.5)


def day_ahead(responses: Responses, demand: np.ndarray, recipe: RegressionRecipe) -> np.ndarray:
    """Log gross load (percent) of each hour, with coefficients as old as at 09:00 on the day before."""
    forecast = AdaptiveRegression.start(responses, demand, recipe).advance(responses, demand)[1].log_load
    return np.where(responses.hours <= ISSUE_HOUR_LOCAL - 2, forecast[0], forecast[1])


def by_year(actual: np.ndarray, predicted: np.ndarray, years: np.ndarray) -> dict[str, float]:
    """MAPE of each year."""
    return {
        str(year): round(scores(actual[years == year], predicted[years == year])["mape"], 3) for year in YEARS
    }


def daily(responses: Responses, days: pd.DatetimeIndex) -> Responses:
    """One row a day with the mean of each column, as if it were a clock hour of consecutive hours."""
    first = np.flatnonzero(~days.duplicated())
    means = pd.DataFrame(responses.values).groupby(np.asarray(days)).mean().to_numpy()
    rows = responses.rows(first)
    consecutive = pd.date_range(rows.periods[0], periods=len(first), freq="h")
    same_clock = np.zeros(len(first), dtype=np.int64)
    rooftop = pd.Series(responses.rooftop_mwh).groupby(np.asarray(days)).sum().to_numpy()
    return replace(rows, periods=consecutive, hours=same_clock, values=means, rooftop_mwh=rooftop)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object (the only form)")
    parser.parse_args()
    with answer_alone():
        settings = load_settings()
        with opened(settings) as database:
            record = load_record(database, settings, END)
        outlook = fit_guesses(record.observed, record.issued, record.region)
        responses = response_features(outlook.completed(record.observed), record.region)
        days = local_days(record.periods, record.region.zone)
        truth, rooftop, seen = record.truth_mwh, responses.rooftop_mwh, record.seen_mwh
        recipe = RegressionRecipe()
        recipes = {f"pace {pace:g}": replace(recipe, paces=(pace,)) for pace in PACES}
        recipes |= {"mean of the filters": replace(recipe, regret_rate=0.0), "mixture": recipe}
        hours, forecasts = {}, {}
        for name, each in recipes.items():
            forecasts[name] = np.exp(day_ahead(responses, seen, each) / PERCENT) - rooftop
            hours[name] = by_year(truth, forecasts[name], days.year.to_numpy())
        best = {
            year: min(hours[name][year] for name in recipes if name != "mixture") for year in map(str, YEARS)
        }
        hours["worse_than_best"] = {year: round(hours["mixture"][year] - best[year], 3) for year in best}

        def total(values: np.ndarray) -> np.ndarray:
            return (
                pd.Series(values).groupby(np.asarray(days)).agg(lambda day: day.sum(skipna=False)).to_numpy()
            )

        of_days = daily(responses, days)
        own = (
            AdaptiveRegression.start(of_days, total(seen), recipe)
            .advance(of_days, total(seen))[1]
            .log_load[1]
        )
        own_mwh = np.exp(own / PERCENT) - of_days.rooftop_mwh
        summed, years = total(forecasts["mixture"]), days[~days.duplicated()].year.to_numpy()
        energy = {
            "sum of the hours": by_year(total(truth), summed, years),
            "a model of its own": by_year(total(truth), own_mwh, years),
        }
        for weight in OWN_WEIGHTS:
            mixed = summed ** (1.0 - weight) * own_mwh**weight
            energy[f"{weight:g} of its own"] = by_year(total(truth), mixed, years)
    print(json.dumps({"hours": hours, "energy": energy}, indent=1))


if __name__ == "__main__":
    main()
