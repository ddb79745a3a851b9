"""The rows of a drift check: the newest window, and the training rows that it is compared with. Pure."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pandas as pd

from energy_demand.data.feature_engineering import build_features
from energy_demand.monitoring.drift_detection import WATCHED
from energy_demand.monitoring.weather_sources import weather_sources
from energy_demand.timeaxis import HOUR, utc_index

if TYPE_CHECKING:
    from datetime import datetime

    from energy_demand.data.record import Record
    from energy_demand.model.forecaster import Forecaster

REFERENCE_DAYS = 3 * 365
WINDOW_DAYS = 28
LEAD_HOURS = 24


def watched_rows(record: Record, first: datetime, last: datetime) -> pd.DataFrame:
    """The watched columns of every hour after `first` up to `last`, at the 24 h lead.

    Weather is as observed. Columns: `timestamp`, those of `drift_detection.WATCHED`, and `source_X`.
    """
    hours = record.periods
    periods = hours[(hours > pd.Timestamp(first)) & (hours <= pd.Timestamp(last))]
    rows = build_features(
        record.demand,
        record.weather,
        targets=pd.DataFrame({"period": periods, "issued_at": periods - LEAD_HOURS * HOUR}),
        region=record.region,
    )
    sources = weather_sources(record.weather, periods, record.region)
    return pd.concat([rows[["timestamp", *WATCHED]].reset_index(drop=True), sources], axis=1)


def reference_rows(record: Record, model: Forecaster) -> pd.DataFrame:
    """Rows of the newest `REFERENCE_DAYS` that a model was trained on."""
    last = model.trained_through
    return watched_rows(record, last - timedelta(days=REFERENCE_DAYS), last)


def window_of(rows: pd.DataFrame, last: datetime) -> pd.DataFrame:
    """The newest `WINDOW_DAYS` of rows up to `last`."""
    return rows_between(rows, last - timedelta(days=WINDOW_DAYS), last)


def rows_between(rows: pd.DataFrame, first: datetime, last: datetime) -> pd.DataFrame:
    """The rows after `first` up to `last`."""
    at = utc_index(rows["timestamp"])
    return rows[(at > pd.Timestamp(first)) & (at <= pd.Timestamp(last))]
