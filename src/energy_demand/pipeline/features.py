"""Stage `features`: raw demand and weather → screened demand, and the feature rows of the base booster.

A row must use only what was known at its own issue time, so later data never changes it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from energy_demand.columns import TARGET_COLUMN
from energy_demand.data.screening import screen, truth_flags
from energy_demand.evaluation.schedule import Protocol
from energy_demand.model.base.training import BaseRecipe
from energy_demand.model.train import base_rows
from energy_demand.pipeline import files

if TYPE_CHECKING:
    from energy_demand.pipeline.params import Forecast


def run(forecast: Forecast) -> str:
    """Screen demand and build feature rows; returns a summary in one line.

    Raises:
        StageInputError: `ingest` has not run.
    """
    region = files.read_about().region
    served = files.read_frame(files.SERVED_DEMAND)
    hours = served.loc[served["series"] == "D"].rename(columns={"value": TARGET_COLUMN})
    screened = screen(hours, region=region)
    # As in `history.load_with_truth`.
    sound = truth_flags(screened, screen(hours, two_sided=True, region=region)).isna()
    demand = screened.assign(truth_mwh=screened["served_mwh"].where(sound))
    record = files.record_of(demand, region, demand["period"].max().to_pydatetime())
    rows = base_rows(record, BaseRecipe(), Protocol(forecast.protocol).availability)
    files.write_frame(files.SCREENED_DEMAND, demand)
    files.write_frame(files.FEATURES, rows)
    return f"{len(rows)} feature rows; {int(demand['imputed'].sum())} of {len(demand)} hours imputed"
