"""What drift is measured against: the champion's training rows of the last years, kept in a file.

The file belongs to one champion and is written when that one is promoted. Where it belongs to another, or is
gone, it is made again from the stored record, as it was known when the champion was trained.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from energy_demand.config import FORECAST_HORIZON_HOURS
from energy_demand.data.feature_engineering import build_features
from energy_demand.monitoring.drift_detection import WATCHED
from energy_demand.monitoring.weather_sources import weather_sources
from energy_demand.timeaxis import HOUR, utc_index

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from energy_demand.data.record import Record
    from energy_demand.model.forecaster import Forecaster

REFERENCE_DAYS = 3 * 365
WINDOW_DAYS = 28


@dataclass(frozen=True)
class Reference:
    """Rows of `watched_rows` and the champion they belong to."""

    version: str
    trained_through: str
    rows: pd.DataFrame


def watched_rows(record: Record, first: datetime, last: datetime) -> pd.DataFrame:
    """The columns that can drift, of every hour after `first` up to `last`, at the 24 h lead.

    Weather is as it came. Columns: `timestamp`, those of `drift_detection.WATCHED`, and `source_X`.
    """
    held = record.periods
    periods = held[(held > pd.Timestamp(first)) & (held <= pd.Timestamp(last))]
    rows = build_features(
        record.demand,
        record.weather,
        targets=pd.DataFrame({"period": periods, "issued_at": periods - FORECAST_HORIZON_HOURS * HOUR}),
        region=record.region,
    )
    sources = weather_sources(record.weather, periods, record.region)
    return pd.concat([rows[["timestamp", *WATCHED]].reset_index(drop=True), sources], axis=1)


def reference_rows(record: Record, model: Forecaster) -> pd.DataFrame:
    """The newest `REFERENCE_DAYS` that a model was trained on."""
    last = model.trained_through
    return watched_rows(record, last - timedelta(days=REFERENCE_DAYS), last)


def window_of(rows: pd.DataFrame, last: datetime) -> pd.DataFrame:
    """The newest `WINDOW_DAYS` of rows up to `last`."""
    return rows_between(rows, last - timedelta(days=WINDOW_DAYS), last)


def rows_between(rows: pd.DataFrame, first: datetime, last: datetime) -> pd.DataFrame:
    """The rows after `first` up to `last`."""
    at = utc_index(rows["timestamp"])
    return rows[(at > pd.Timestamp(first)) & (at <= pd.Timestamp(last))]


def write_reference(path: Path, reference: Reference) -> None:
    """Write it whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pandas(reference.rows, preserve_index=False)
    named = {"champion": reference.version, "trained_through": reference.trained_through}
    part = path.with_name(path.name + ".part")
    pq.write_table(table.replace_schema_metadata({**(table.schema.metadata or {}), **named}), part)
    part.replace(path)


def read_reference(path: Path) -> Reference | None:
    """The reference, or None where there is none that can be read."""
    try:
        table = pq.read_table(path)
        named = table.schema.metadata or {}
        return Reference(named[b"champion"].decode(), named[b"trained_through"].decode(), table.to_pandas())
    except (OSError, KeyError, pa.ArrowInvalid):
        return None
