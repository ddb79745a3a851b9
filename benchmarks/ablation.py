"""Ablation: the error of the forecaster without one of its parts, on validation years alone.

Two tables in one JSON object. `regression`: the adaptive regression alone, without a group of columns or a
pace, 2022-08-01 … 2024-07-31, observed weather. `stages`: the forecaster with stages or weather corrections
left out, `day-ahead`, 2023-12-01 … 2024-07-31 (recorded forecasts begin in 2023-10), observed and as issued,
four fits. MAPE in percent. Nothing after 2024-07-31 is read. Reads the database of the settings, which must
be backfilled.

    .venv/bin/python benchmarks/ablation.py
"""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from answers import answer_alone
from energy_demand.config import load_settings
from energy_demand.data.record_store import load_record
from energy_demand.database.engine import opened
from energy_demand.evaluation.backtest import walk_forward
from energy_demand.evaluation.schedule import Predict, Protocol, schedule
from energy_demand.model.metrics import scores
from energy_demand.model.stages import response_features as groups
from energy_demand.model.stages.adaptive_regression import AdaptiveRegression, RegressionRecipe
from energy_demand.model.stages.response_features import Responses, response_features
from energy_demand.model.train import fit
from energy_demand.model.weather.training import fit_guesses
from energy_demand.timeaxis import days_periods

if TYPE_CHECKING:
    from collections.abc import Callable

    from energy_demand.data.record import Record
    from energy_demand.model.forecaster import Forecaster

END = datetime(2024, 8, 1, 5, tzinfo=UTC)
REGRESSION_WINDOW = (date(2022, 8, 1), date(2024, 7, 31))
BLOCKS = (date(2023, 12, 1), date(2024, 2, 1), date(2024, 4, 1), date(2024, 6, 1), date(2024, 8, 1))
GROUPS_LEFT_OUT = {
    "without special days": [groups.SPECIAL_DAY],
    "without humidity": [groups.MOISTURE],
    "without wind": [groups.AIR],
    "without cloud and radiation": [groups.CLOUDS, groups.SUN],
    "without lags and sites apart": [groups.PLACES],
    "without half-day smoothing": [groups.MIDDLE],
    "without three-day smoothing": [groups.SLOW],
    "without weekend responses": [groups.BY_DAY],
}
STAGES: dict[str, Callable[[Forecaster], Forecaster]] = {
    "all": lambda model: model,
    "without the trees": lambda model: replace(model, residual=None),
    "without error stage and trees": lambda model: replace(model, errors=None, residual=None),
    "without corrections of the weather": lambda model: replace(
        model, outlook=replace(model.outlook, corrections={})
    ),
}


def regression_table(record: Record) -> dict[str, dict[str, float]]:
    """MAPE of the adaptive regression, coefficients one day old and as at 09:00 the day before."""
    outlook = fit_guesses(record.observed, record.issued, record.region)
    whole = response_features(outlook.completed(record.observed), record.region)
    rows = whole.periods.isin(days_periods(*REGRESSION_WINDOW, record.region.zone)) & ~np.isnan(
        record.truth_mwh
    )

    def mape(responses: Responses, recipe: RegressionRecipe | None = None) -> dict[str, float]:
        stage = AdaptiveRegression.start(responses, record.demand_mwh, recipe)
        forecast = stage.advance(responses, record.demand_mwh)[1].log_load
        day_ahead = np.where(responses.hours <= 7, forecast[0], forecast[1])
        return {
            name: mape_of(record.truth_mwh[rows], (np.exp(values / 100) - responses.rooftop_mwh)[rows])
            for name, values in (("one day old", forecast[0]), ("day-ahead", day_ahead))
        }

    table = {"all": mape(whole)}
    for name, left_out in GROUPS_LEFT_OUT.items():
        kept = ~np.isin(whole.groups, left_out)
        table[name] = mape(
            replace(
                whole,
                names=tuple(np.array(whole.names)[kept]),
                groups=tuple(np.array(whole.groups)[kept]),
                values=whole.values[:, kept],
            )
        )
    for name, paces in (
        ("the quick filter alone", (10.0,)),
        ("the slow filter alone", (0.1,)),
        ("one filter at pace 1", (1.0,)),
    ):
        table[name] = mape(whole, replace(RegressionRecipe(), paces=paces))
    return table


def stages_table(record: Record) -> dict[str, dict[str, float]]:
    """MAPE of the forecaster without some of its parts, and of the base booster."""
    parts: dict[tuple[str, str], list[pd.DataFrame]] = {}
    for first, after in itertools.pairwise(BLOCKS):
        last = after - timedelta(days=1)
        events = [
            event
            for event in schedule(Protocol.DAY_AHEAD, first, last, record.region.zone)
            if isinstance(event, Predict)
        ]
        known = record.cut_at(events[0].issued_at, Protocol.DAY_AHEAD.availability)
        model = fit(known, judge=False).forecaster
        for name, refine in STAGES.items():
            for weather in ("observed", "as_issued"):
                hours = walk_forward(
                    record, iter(events), protocol=Protocol.DAY_AHEAD, weather=weather, model=refine(model)
                )
                parts.setdefault((name, weather), []).append(hours)
    table: dict[str, dict[str, float]] = {}
    for (name, weather), blocks in parts.items():
        hours = pd.concat(blocks)
        table.setdefault(name, {})[weather] = mape_of(hours["actual_mwh"], hours["predicted_mwh"])
        if name == "all":
            table.setdefault("the base booster", {})[weather] = mape_of(
                hours["actual_mwh"], hours["base_mwh"]
            )
    return table


def mape_of(actual: object, predicted: object) -> float:
    """MAPE, three decimals."""
    return round(scores(actual, predicted)["mape"], 3)  # type: ignore[arg-type]


def main() -> None:
    """Print both tables."""
    with answer_alone():
        settings = load_settings()
        with opened(settings) as database:
            record = load_record(database, settings, END)
        tables = {"regression": regression_table(record), "stages": stages_table(record)}
    print(json.dumps(tables, indent=1))


if __name__ == "__main__":
    main()
