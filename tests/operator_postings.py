"""Postings of the operator's forecast of the system, and logged day-ahead forecasts, put into a database."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import pandas as pd

from energy_demand.columns import OPERATOR, SYSTEM
from energy_demand.data.issued_operator import usually_posted_by
from energy_demand.database import operator_forecasts, predictions
from energy_demand.region import NEW_YORK
from energy_demand.timeaxis import day_ahead_issue, day_periods

if TYPE_CHECKING:
    from energy_demand.database.engine import Database

ZONE = NEW_YORK.zone


def store_files(database: Database, first: date, last: date, forecast_mwh: float = 17_000.0) -> None:
    """The files of days, each posted at 07:45 on the day before its first, with three days of one value."""
    rows = []
    for number in range((last - first).days + 1):
        day = first + timedelta(days=number)
        posted = pd.Timestamp(usually_posted_by(day))
        for lead in (1, 2, 3):
            periods = day_periods(day + timedelta(days=lead - 1), ZONE)
            rows.append(
                pd.DataFrame(
                    {
                        "operator": OPERATOR,
                        "zone": SYSTEM,
                        "period": periods,
                        "lead_days": lead,
                        "issued_at": posted,
                        "forecast_mwh": forecast_mwh + 10.0 * lead,
                        "known_at": posted,
                        "ingested_at": posted,
                    }
                )
            )
    with database.transaction() as connection:
        operator_forecasts.store_postings(connection, pd.concat(rows, ignore_index=True))


def log_days(database: Database, first: date, last: date, predicted_mwh: float = 16_500.0) -> None:
    """Scheduled forecasts of days, as the morning's job logs them."""
    rows = []
    for number in range((last - first).days + 1):
        day = first + timedelta(days=number)
        issued_at = day_ahead_issue(day, ZONE)
        rows += [
            {
                "respondent": "NY",
                "timestamp": period.isoformat(),
                "issued_at": issued_at.isoformat(),
                "lead_hours": int((period - pd.Timestamp(issued_at)) // pd.Timedelta(hours=1)),
                "predicted_demand": predicted_mwh,
                **dict.fromkeys(("lower_80", "upper_80", "lower_95", "upper_95"), predicted_mwh),
                "model_version": "1",
                "quality": "champion",
                "source": "scheduled",
                "request_id": f"scheduled NY {day}",
                "features_json": {},
                "prediction_made_at": issued_at.isoformat(),
            }
            for period in day_periods(day, ZONE)
        ]
    with database.transaction() as connection:
        predictions.insert_predictions(connection, rows)
