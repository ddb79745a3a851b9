"""The files between the stages: their paths below the working directory, and how they are written and read.

They must not contain times or paths of a run: the same input gives the same bytes.
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
from energy_demand.outputs import check_output
from energy_demand.region import Region, Site
from energy_demand.timeaxis import utc_index

if TYPE_CHECKING:
    from collections.abc import Iterable
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
    """A file of an earlier stage is missing or unreadable."""


@dataclass(frozen=True)
class About:
    """What was ingested.

    Attributes:
        kind: `live`, `recorded` or `synthetic`.
        region: of the data.
        set_apart: number of rejected rows, which broke the data contract, by kind of row.
    """

    kind: str
    region: Region
    set_apart: dict[str, int]


def check_outputs(paths: Iterable[Path]) -> None:
    """Refuse a stage whose files could not be written, before it works for minutes.

    Raises:
        OutputError: naming the first that cannot.
    """
    for path in paths:
        there = next(each for each in path.parents if each.exists())
        # A probe: the folders below are made when there is something to write.
        check_output(path if there == path.parent else there / f".{path.name}.probe")


def write_frame(path: Path, frame: pd.DataFrame) -> None:
    """Write a frame as Parquet, without its index."""
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.to_parquet(path, index=False)


def read_frame(path: Path) -> pd.DataFrame:
    """The frame of an earlier stage.

    Raises:
        StageInputError: it is missing or unreadable.
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
        StageInputError: `ingest` has not run.
    """
    try:
        stored = json.loads(ABOUT.read_text(encoding="utf-8"))
        sites = tuple(Site(**site) for site in stored["sites"])
        region = Region(stored["respondent"], ZoneInfo(stored["zone"]), stored["country"], sites)
        return About(stored["kind"], region, stored["set_apart"])
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise _unreadable(ABOUT, error) from None


def read_record(region: Region) -> Record:
    """The record that later stages train on and score against.

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
        StageInputError: they are missing or unreadable.
    """
    try:
        return {path.name: path.read_text(encoding="utf-8") for path in sorted(FORECASTER.iterdir())}
    except (OSError, ValueError) as error:
        raise _unreadable(FORECASTER, error) from None


def _unreadable(path: Path, error: Exception) -> StageInputError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
    return StageInputError(f"{path} cannot be read ({reason}); run `dvc repro`, which runs earlier stages")
