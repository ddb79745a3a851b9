"""Moves old predictions from the database to Parquet files, one a day; deletes only rows that a file has."""

from __future__ import annotations

import logging
import os
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

import pandas as pd
import sqlalchemy as sa

from energy_demand import locks
from energy_demand.database import predictions

if TYPE_CHECKING:
    from pathlib import Path

    from energy_demand.database.engine import Database

KEY = ["request_id", "row_number", "timestamp"]

_log = logging.getLogger(__name__)


def archive_predictions(database: Database, folder: Path, before: datetime) -> int:
    """Move the predictions of whole UTC days before `before` to `folder/prediction_log_DAY.parquet`.

    A day is written, then deleted; after a kill in between, the next run finds its rows in both places and
    the file keeps each row once.

    Returns:
        The number of rows moved.

    Raises:
        DatabaseUnavailableError: the connection was lost; finished days stay moved.
        OSError: a file cannot be written; its day stays in the database.
    """
    midnight = datetime.combine(before.astimezone(UTC).date(), time(0), tzinfo=UTC)
    with database.transaction() as connection:
        days = predictions.old_prediction_days(connection, midnight)
    moved = 0
    for day in days:
        with database.transaction() as connection:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(locks.PREDICTION_ARCHIVE)))
            moved += _move(connection, folder, day)
    if moved:
        _log.info("%d predictions made before %s moved to %s", moved, midnight.date(), folder)
    return moved


def _move(connection: sa.Connection, folder: Path, day: date) -> int:
    start = datetime.combine(day, time(0), tzinfo=UTC)
    rows = predictions.read_predictions(connection, start, start + timedelta(days=1))
    if rows.empty:  # another process has moved them
        return 0
    file = folder / f"prediction_log_{day}.parquet"
    folder.mkdir(parents=True, exist_ok=True)
    kept = rows
    if file.exists():
        kept = pd.concat([pd.read_parquet(file), rows]).drop_duplicates(KEY, keep="last")
    unfinished = file.with_suffix(f".{os.getpid()}.tmp")
    try:
        kept.to_parquet(unfinished, index=False)
        unfinished.replace(file)
    finally:
        unfinished.unlink(missing_ok=True)
    return predictions.delete_predictions(connection, [int(each) for each in rows["id"]])
