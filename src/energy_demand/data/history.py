"""Stored rows as frames, as of a given time: the only module that turns tables into feature inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from energy_demand.columns import TARGET_COLUMN
from energy_demand.data.screening import screen, truth_flags
from energy_demand.database import repository
from energy_demand.database.weather import read_weather

if TYPE_CHECKING:
    from datetime import datetime

    import pandas as pd

    from energy_demand.database.engine import Database
    from energy_demand.region import Region


@dataclass(frozen=True)
class History:
    """What was known of a region at `as_of`.

    Attributes:
        demand: every hour from the first to the last: `period` (UTC, hour ending); `demand_mwh`, screened
            causally, as a forecast sees it; `served_mwh`, `flag`, `imputed`; and, in what is loaded to train
            or to score, `truth_mwh`.
        weather: `timestamp`, `site`, the twelve variables of observed hours.
        as_of: the frames contain nothing that became known later.
    """

    demand: pd.DataFrame
    weather: pd.DataFrame
    as_of: datetime


def load_with_truth(
    database: Database, region: Region, start: datetime, end: datetime, as_of: datetime
) -> History:
    """Demand and observed weather of the hours from `start` to `end`, as known at `as_of`.

    `truth_mwh` is the served value, NaN in hours that `truth_flags` doubts: those are not truth to train on
    or score against. `data/truth.py` stores the same verdicts for everything else that scores.
    """
    with database.transaction() as connection:
        demand = repository.read_demand(connection, region.respondent, "D", start, end, as_of)
        weather = read_weather(connection, _names(region), start, end, as_of)
    screened = screen(_named(demand), region=region)
    sound = truth_flags(screened, screen(_named(demand), two_sided=True, region=region)).isna()
    return History(screened.assign(truth_mwh=screened["served_mwh"].where(sound)), weather, as_of)


def load_as_of(
    database: Database,
    region: Region,
    start: datetime,
    issued_at: datetime,
    *,
    demand_stored_by: datetime | None = None,
    weather_stored_by: datetime | None = None,
) -> History:
    """Demand and observed weather from `start` on, as known at `issued_at`; without what was stored later."""
    with database.transaction() as connection:
        demand = repository.read_demand(
            connection, region.respondent, "D", start, issued_at, issued_at, demand_stored_by
        )
        weather = read_weather(connection, _names(region), start, issued_at, issued_at, weather_stored_by)
    return History(screen(_named(demand), region=region), weather, issued_at)


def _named(demand: pd.DataFrame) -> pd.DataFrame:
    return demand.rename(columns={"value": TARGET_COLUMN})


def _names(region: Region) -> list[str]:
    return [site.name for site in region.sites]
