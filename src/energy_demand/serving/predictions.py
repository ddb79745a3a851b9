"""Predicts feature rows with the base booster, and logs each prediction.

A single row is predicted on the event loop's thread, in microseconds; a batch in its own thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import orjson

from energy_demand.data.feature_engineering import local_calendar
from energy_demand.model.base.booster import BOOSTER_COLUMNS
from energy_demand.model.forecast import BASE_BOOSTER
from energy_demand.serving.http.answers import BadFieldError
from energy_demand.serving.schemas import FeatureRow, Interval, Prediction
from energy_demand.timeaxis import HOUR, floor_hour

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from energy_demand.config import Settings
    from energy_demand.serving.model_holder import ServedModel
    from energy_demand.serving.prediction_log import Lines, PredictionLog
    from energy_demand.serving.schemas import Batch

NUMBERS = tuple(Interval.model_fields)
CALENDAR = ("hour_of_day", "day_of_week", "month", "is_holiday")


class Answerer:
    """Predicts rows with a given model.

    Args:
        settings: whose region and present count.
        log: where each answer goes.
        clock: when an answer was made.
    """

    def __init__(self, settings: Settings, log: PredictionLog, clock: Callable[[], datetime]) -> None:
        self._region = settings.region
        self._present = settings.present
        self._log = log
        self._clock = clock

    def one(self, model: ServedModel, row: FeatureRow, request_id: str) -> Prediction:
        """The answer to one row; for the event loop's thread.

        Raises:
            BadFieldError: the calendar columns contradict the timestamp.
        """
        self._check_calendar(row, "")
        values = row.values()
        numbers = model.one(values)
        timestamp = self._timestamp(row)
        self._log.add([self._line(model.version, request_id, 0, timestamp, numbers, values, self._clock())])
        predicted, lower_80, upper_80, lower_95, upper_95 = numbers
        return Prediction(
            timestamp=timestamp,
            lead_hours=row.lead_hours,
            predicted_demand_mwh=round(predicted, 1),
            lower_80=round(lower_80, 1),
            upper_80=round(upper_80, 1),
            lower_95=round(lower_95, 1),
            upper_95=round(upper_95, 1),
            model_version=model.version,
            request_id=request_id,
        )

    def many(self, model: ServedModel, batch: Batch, request_id: str) -> tuple[bytes, Lines]:
        """The answers to a batch; for the batch thread.

        Returns:
            The JSON of `Predictions`, and a function that makes the log rows after the response is sent.

        Raises:
            BadFieldError: a row's calendar columns contradict its timestamp.
        """
        rows = batch.rows
        for number, row in enumerate(rows):
            self._check_calendar(row, f"rows.{number}.")
        values = [row.values() for row in rows]
        answers = model.many(np.array(values, dtype=float))
        timestamps = [self._timestamp(row) for row in rows]
        made_at, version = self._clock(), model.version

        def lines() -> list[bytes]:
            return [
                self._line(version, request_id, number, timestamp, numbers, used, made_at)
                for number, (timestamp, numbers, used) in enumerate(
                    zip(timestamps, answers.tolist(), values, strict=True)
                )
            ]

        hours = zip(timestamps, rows, answers.round(1).tolist(), strict=True)
        predictions = [
            {"timestamp": timestamp, "lead_hours": row.lead_hours, **dict(zip(NUMBERS, rounded, strict=True))}
            for timestamp, row, rounded in hours
        ]
        body = {
            "model_version": version,
            "quality": BASE_BOOSTER,
            "request_id": request_id,
            "predictions": predictions,
        }
        return orjson.dumps(body, option=orjson.OPT_UTC_Z), lines

    def _timestamp(self, row: FeatureRow) -> datetime:
        return row.timestamp or floor_hour(self._present()) + row.lead_hours * HOUR

    def _check_calendar(self, row: FeatureRow, prefix: str) -> None:
        if row.timestamp is None:
            return
        calendar = local_calendar(row.timestamp, self._region.zone, self._region.country)
        for name in CALENDAR:
            given = getattr(row, name)
            if given != calendar[name]:
                raise BadFieldError(
                    f"{prefix}{name}", f"contradicts timestamp, which gives {calendar[name]}; got {given}"
                )

    def _line(
        self,
        version: str,
        request_id: str,
        number: int,
        timestamp: datetime,
        numbers: Sequence[float],
        values: Sequence[float],
        made_at: datetime,
    ) -> bytes:
        """A row of `prediction_log` as JSON."""
        predicted, lower_80, upper_80, lower_95, upper_95 = numbers
        lead = int(values[-1])
        return orjson.dumps(
            {
                "respondent": self._region.respondent,
                "timestamp": timestamp,
                "issued_at": timestamp - lead * HOUR,
                "lead_hours": lead,
                "predicted_demand": predicted,
                "lower_80": lower_80,
                "upper_80": upper_80,
                "lower_95": lower_95,
                "upper_95": upper_95,
                "model_version": version,
                "quality": BASE_BOOSTER,
                "source": "request",
                "request_id": request_id,
                "row_number": number,
                "features_json": dict(zip(BOOSTER_COLUMNS, values, strict=True)),
                "prediction_made_at": made_at,
            }
        )
