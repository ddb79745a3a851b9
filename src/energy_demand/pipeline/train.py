"""Stage `train`: feature rows and record → the forecaster as text, and the drift reference.

It must learn only from what was known at the issue time of the first forecast of the test days.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd

from energy_demand.model.base.training import BaseRecipe, fit_base
from energy_demand.model.stages.residual_stage import ResidualRecipe
from energy_demand.model.train import Recipe, fit
from energy_demand.model.weather.training import OutlookRecipe
from energy_demand.monitoring.reference import Reference, write_reference
from energy_demand.monitoring.watched_rows import reference_rows
from energy_demand.pipeline import files
from energy_demand.pipeline.window import test_window
from energy_demand.registry.serialization import to_texts
from energy_demand.timeaxis import utc_index

if TYPE_CHECKING:
    from energy_demand.pipeline.params import Forecast, Train

# Champions have numbers, so the service never takes this reference for a champion's.
REFERENCE_OF = "pipeline"


def run(forecast: Forecast, train: Train) -> str:
    """Fit and store a forecaster; returns a summary in one line.

    Raises:
        StageInputError: an earlier stage has not run.
        WindowError: no weather forecast is on record by the test days.
        TooFewRowsError: the record is too short.
    """
    record = files.read_record(files.read_about().region)
    rows = files.read_frame(files.FEATURES)
    window = test_window(record, forecast)
    availability = window.protocol.availability
    known = record.cut_at(window.cut, availability)
    rows = rows[utc_index(rows["timestamp"]) <= pd.Timestamp(window.trained_through)]
    recipe = recipe_of(train)
    base = fit_base(rows, recipe.base).served
    trained = fit(
        known, recipe, availability=availability, weather=forecast.weather, judge=False, base=base
    ).forecaster
    files.FORECASTER.mkdir(parents=True, exist_ok=True)
    for name, text in to_texts(trained).items():
        (files.FORECASTER / name).write_text(text, encoding="utf-8")
    through = trained.trained_through.isoformat()
    write_reference(files.REFERENCE, Reference(REFERENCE_OF, through, reference_rows(known, trained)))
    return f"trained through {through} on {len(rows)} feature rows; tested from {window.first} on"


def recipe_of(train: Train) -> Recipe:
    """The served recipe with these parameters; the seed is used for all trees."""
    base, outlook, residual = BaseRecipe(), OutlookRecipe(), ResidualRecipe()
    seed = {"seed": train.seed}
    return Recipe(
        base=replace(base, max_trees=train.base_trees, parameters={**base.parameters, **seed}),
        outlook=replace(
            outlook,
            guess={**outlook.guess, **seed},
            guess_trees=train.guess_trees,
            correction={**outlook.correction, **seed},
            correction_trees=train.correction_trees,
        ),
        residual=replace(residual, trees=train.residual_trees, parameters={**residual.parameters, **seed}),
        warm_up_days=train.warm_up_days,
        calibration_days=train.calibration_days,
    )
