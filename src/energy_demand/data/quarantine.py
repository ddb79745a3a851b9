"""Releases rows from quarantine: the user accepts a value that broke the data contract."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from energy_demand.data.eia_client import SERIES
from energy_demand.data.ingestion.demand import EIA
from energy_demand.data.quality import PERIOD_FORMAT
from energy_demand.database import repository, state
from energy_demand.errors import UserError
from energy_demand.timeaxis import utc_index

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    import sqlalchemy as sa

    from energy_demand.database.engine import Database


class ReleaseError(UserError, ValueError):
    """A row cannot be released from quarantine; nothing was released."""


def release(database: Database, ids: Sequence[int], now: datetime) -> int:
    """Store the values of these rows as demand known from `now` on; return how many were released.

    All or none: the rows stay on record, marked as released.

    Raises:
        ReleaseError: an id is not in quarantine, or its row has no readable period, series or number.
    """

    def work(connection: sa.Connection) -> int:
        rows = state.quarantined(connection, ids)
        unknown = sorted(set(ids) - {row["id"] for row in rows})
        if unknown:
            raise ReleaseError(f"not in quarantine: {', '.join(map(str, unknown))}; nothing was released")
        frame = pd.DataFrame([_demand(row, now) for row in rows])
        state.lock_ingestion(connection)
        repository.upsert_demand(connection, frame, now)
        state.mark_released(connection, ids, now)
        for respondent in set(frame["respondent"]):  # any hour: the next ingestion screens the whole record
            state.forget_watermark(connection, state.TRUTH, respondent)
        return len(rows)

    return database.run(work)


def _demand(row: dict[str, Any], now: datetime) -> dict[str, Any]:
    payload = row["payload"]
    period = pd.to_datetime(str(payload.get("period")), format=PERIOD_FORMAT, errors="coerce", utc=True)
    value = pd.to_numeric(str(payload.get("value")), errors="coerce")
    if row["source"] != EIA or payload.get("type") not in SERIES or pd.isna(period) or pd.isna(value):
        raise ReleaseError(
            f"row {row['id']} has no readable period, series or number ({row['reason']}), so it cannot be "
            "stored; nothing was released"
        )
    return {
        "respondent": row["subject"],
        "series": payload["type"],
        "period": utc_index(pd.DatetimeIndex([period]))[0],
        "value": float(value),
        "known_at": now,
        "ingested_at": now,
        "origin": str(payload.get("respondent")),
    }
