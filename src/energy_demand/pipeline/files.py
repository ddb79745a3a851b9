"""The files between the stages: where they lie below the working directory, and how they are read back.

Nothing in them tells when or where they were made: the same input gives the same bytes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pandas as pd
import pyarrow as pa

from energy_demand.columns import WEATHER_VARIABLES
from energy_demand.data.record import Record, make_record
from energy_demand.errors import UserError
from energy_demand.region import Region, Site
from energy_demand.timeaxis import utc_index

if TYPE_CHECKING:
    from datetime import datetime

PARAMS = Path("params.yaml")
RAW = Path("data/raw")
ABOUT = RAW / "about.json"
SERVED_DEMAND = RAW / "demand.parquet"
DAILY = RAW / "daily.parquet"
WEATHER = RAW / "weather.parquet"
WEATHER_FORECASTS = RAW / "weather_forecasts.parquet"
PROCESSED = Path("data/processed")
SCREENED_DEMAND = PROCESSED / "demand.parquet"
FEATURES = PROCESSED / "features.parquet"
FORECASTER = PROCESSED / "forecaster"
BACKTEST = PROCESSED / "backtest.parquet"
PLOTS = PROCESSED / "plots"
REFERENCE = Path("data/reference/reference_features.parquet")
METRICS = Path("metrics.json")

FORECAST_COLUMNS = ("issued_at", "timestamp", "site", *WEATHER_VARIABLES)


class StageInputError(UserError, RuntimeError):
    """A file of an earlier stage is not there, or is not what that stage writes."""


@dataclass(frozen=True)
class About:
    """What was ingested.

    Attributes:
        kind: `live`, `recorded` or `synthetic`.
        region: whose.
        set_apart: rows that broke the data contract and are in no file, by kind of row.
    """

    kind: str
    region: Region
    set_apart: dict[str, int]


def write_frame(path: Path, frame: pd.DataFrame) -> None:
    """Write a frame as Parquet, without its index."""
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.to_parquet(path, index=False)


def read_frame(path: Path) -> pd.DataFrame:
    """The frame of an earlier stage.

    Raises:
        StageInputError: there is none.
    """
    try:
        return pd.read_parquet(path)
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(path, error) from None


def write_json(path: Path, body: dict[str, Any]) -> None:
    """Write JSON for people and DVC: indented, in the order given, NaN refused."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(body, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def write_about(about: About) -> None:
    """Write what was ingested."""
    region = about.region
    body = {
        "kind": about.kind,
        "respondent": region.respondent,
        "zone": region.zone.key,
        "country": region.country,
        "sites": [site.model_dump() for site in region.sites],
        "set_apart": about.set_apart,
    }
    write_json(ABOUT, body)


def read_about() -> About:
    """What was ingested.

    Raises:
        StageInputError: nothing was.
    """
    try:
        read = json.loads(ABOUT.read_text(encoding="utf-8"))
        sites = tuple(Site(**site) for site in read["sites"])
        region = Region(read["respondent"], ZoneInfo(read["zone"]), read["country"], sites)
        return About(read["kind"], region, read["set_apart"])
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise _unreadable(ABOUT, error) from None


def read_record(region: Region) -> Record:
    """The record that the stages after `features` learn from and score against.

    Raises:
        StageInputError: `ingest` or `features` has not run.
    """
    demand = read_frame(SCREENED_DEMAND)
    return record_of(demand, region, utc_index(demand["period"]).max().to_pydatetime())


def record_of(demand: pd.DataFrame, region: Region, end: datetime) -> Record:
    """Screened demand and the ingested weather as a record up to `end`.

    Raises:
        StageInputError: `ingest` has not run.
    """
    return make_record(demand, read_frame(WEATHER), read_frame(WEATHER_FORECASTS), region, end)


def read_forecaster_texts() -> dict[str, str]:
    """The files of the trained forecaster by name.

    Raises:
        StageInputError: there are none.
    """
    try:
        return {path.name: path.read_text(encoding="utf-8") for path in sorted(FORECASTER.iterdir())}
    except (OSError, ValueError) as error:
        raise _unreadable(FORECASTER, error) from None


def _unreadable(path: Path, error: Exception) -> StageInputError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
    return StageInputError(f"{path} cannot be read ({reason}); run `dvc repro`, which runs earlier stages")
