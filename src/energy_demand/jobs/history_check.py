"""What is wrong with the stored history as a whole, in words: clocks that are off, weather never observed.

Nothing is changed: forecasts use the data as stored, and `backfill` prints these warnings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from energy_demand.columns import WEATHER_VARIABLES
from energy_demand.data.clocks import demand_clock, forecast_clock
from energy_demand.data.screening import screen
from energy_demand.database import repository, weather
from energy_demand.timeaxis import utc_index

if TYPE_CHECKING:
    from datetime import datetime

    from energy_demand.config import Settings
    from energy_demand.database.engine import Database

# What the model uses of the twelve.
USED = ("temperature_2m", "relative_humidity_2m", "cloud_cover", "wind_speed_10m", "shortwave_radiation")


def history_warnings(database: Database, settings: Settings, now: datetime) -> list[str]:
    """A sentence for each fault of the history that is stored of the region, as known at `now`."""
    region = settings.region
    with database.transaction() as connection:
        span = repository.demand_span(connection, region.respondent, "D", now)
        if span is None:
            return []
        served, published = (
            repository.read_demand(connection, region.respondent, name, *span, now) for name in ("D", "DF")
        )
        lacking = weather.lacking_variables(connection, [site.name for site in region.sites], *span)
    screened = screen(served.rename(columns={"value": "demand_mwh"}), region=region)
    believed = screened["served_mwh"].where(screened["flag"].isna()).to_numpy(dtype=float)
    demand = pd.Series(believed, index=utc_index(screened["period"]))
    forecast = pd.Series(published["value"].to_numpy(dtype=float), index=utc_index(published["period"]))
    faults = [*demand_clock(demand, region.zone), *forecast_clock(forecast, demand, region.zone)]
    return [*map(str, faults), *_lacking(lacking)]


def _lacking(lacking: dict[str, frozenset[str]]) -> list[str]:
    """Which of the variables that the model uses no site or some sites never have.

    Args:
        lacking: by site.
    """
    nowhere = frozenset.intersection(*lacking.values()) if lacking else frozenset()
    sentences = []
    if never := [name for name in WEATHER_VARIABLES if name in nowhere and name in USED]:
        sentences.append(
            f"no site has any observed {', '.join(never)}; the model does without, and errs more for it"
        )
    for site, names in lacking.items():
        if some := [name for name in WEATHER_VARIABLES if name in names - nowhere and name in USED]:
            sentences.append(f"site {site} has no observed {', '.join(some)}; the other sites count for it")
    return sentences
