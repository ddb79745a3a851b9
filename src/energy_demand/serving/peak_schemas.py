"""What `GET /peaks` gives: a day's probabilities and its year's highest days and hours, with units."""

from __future__ import annotations

from datetime import date, datetime  # noqa: TC003  (pydantic reads them)
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from energy_demand.model.peaks import HIGHEST
from energy_demand.serving.forecast_schemas import QUANTILES_EXAMPLE


class Span(BaseModel):
    """From the start of the first hour to the end of the last one."""

    start: datetime
    end: datetime


class PeakHour(BaseModel):
    """An hour of the day."""

    period: datetime = Field(description="End of the hour, UTC.")
    predicted_demand_mwh: float
    probability: float | None = Field(
        ge=0, le=1, description="That it is the day's highest hour; null where a fallback answered."
    )


class DayPeakAnswer(BaseModel):
    """What the day's forecast says of its peak."""

    day: date
    issued_at: datetime
    made_at: datetime = Field(description="When it was stored or, if it was made for this request, now.")
    model_version: str
    quality: str = Field(description="The step of the fallback ladder that answered.")
    alert: bool = Field(description="Whether the day is alerted as a peak day.")
    reason: str = Field(description="Why, a sentence.")
    so_far_probability: float | None = Field(
        ge=0, le=1, description="That the day is among the year's ten highest so far, by its highest hour."
    )
    day_probability: float | None = Field(
        ge=0, le=1, description="That its peak exceeds `day_mwh`, the tenth-highest day to expect in the end."
    )
    hour_probability: float | None = Field(
        ge=0,
        le=1,
        description="That its peak exceeds `hour_mwh`, the tenth-highest hour to expect in the end.",
    )
    needed_probability: float = Field(
        ge=0, le=1, description="That `hour_probability` has to reach for an alert."
    )
    alerts_before: int = Field(ge=0, description="Days of the year that were alerted before.")
    so_far_mwh: float | None = Field(description="The year's tenth-highest daily peak so far, MWh.")
    day_mwh: float | None = Field(
        description="Between it and the mean of the earlier years' tenth-highest, by `to_come`, MWh."
    )
    hour_mwh: float | None = Field(description="The same for hours, MWh.")
    to_come: float = Field(
        ge=0,
        le=1,
        description="Share of the earlier years' ten highest days that came on this date or later.",
    )
    likely: Span = Field(description="The hours that are the highest with a probability of 10 % or more.")
    peak_quantiles: dict[str, float] = Field(
        description="MWh of the highest hour by probability.", examples=[QUANTILES_EXAMPLE]
    )
    hours: list[PeakHour]


class Highest(BaseModel):
    """One of the year's highest: an hour, or the highest hour of a day."""

    day: date
    period: datetime = Field(description="End of the hour, UTC.")
    demand_mwh: float
    predicted_demand_mwh: float | None = Field(
        description="What was forecast for it at 09:00 of the day before; null where nothing was."
    )
    hour_probability: float | None = Field(
        ge=0, le=1, description="What the day's forecast gave; null where none is stored."
    )
    alert: bool | None = Field(description="Whether the day was alerted; null likewise.")


EXAMPLE: dict[str, Any] = {
    "region": "NY",
    "as_of": "2025-06-23T13:10:00Z",
    "day": "2025-06-24",
    "peak": {
        "day": "2025-06-24",
        "issued_at": "2025-06-23T13:00:04Z",
        "made_at": "2025-06-23T13:00:04Z",
        "model_version": "7",
        "quality": "champion",
        "alert": True,
        "reason": "2025-06-24 is alerted: it holds one of the ten highest hours of 2025 with a probability "
        "of 58%, and an alert needs 22%; expected peak 29.4 GW (80 % interval 27.9 to 31.2), most likely "
        "between 17:00 and 20:00, time of America/New_York",
        "so_far_probability": 0.9999,
        "day_probability": 0.9372,
        "hour_probability": 0.5784,
        "needed_probability": 0.2225,
        "alerts_before": 1,
        "so_far_mwh": 23214.0,
        "day_mwh": 27512.3,
        "hour_mwh": 29153.6,
        "to_come": 0.96,
        "likely": {"start": "2025-06-24T21:00:00Z", "end": "2025-06-25T00:00:00Z"},
        "peak_quantiles": QUANTILES_EXAMPLE,
        "hours": [{"period": "2025-06-24T22:00:00Z", "predicted_demand_mwh": 29377.2, "probability": 0.471}],
    },
    "year": 2025,
    "alert_days": 8,
    "alerted_days": ["2025-06-23", "2025-06-24"],
    "highest_days": [
        {
            "day": "2025-06-22",
            "period": "2025-06-22T23:00:00Z",
            "demand_mwh": 26842.0,
            "predicted_demand_mwh": 26510.4,
            "hour_probability": 0.0312,
            "alert": False,
        }
    ],
    "highest_hours": [
        {
            "day": "2025-06-22",
            "period": "2025-06-22T23:00:00Z",
            "demand_mwh": 26842.0,
            "predicted_demand_mwh": 26510.4,
            "hour_probability": 0.0312,
            "alert": False,
        }
    ],
}


class PeaksAnswer(BaseModel):
    """A day's probabilities, and its year so far."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    region: str
    as_of: datetime = Field(description="Nothing that became known later is in this answer.")
    day: date
    peak: DayPeakAnswer | None = Field(
        description="null for a day that has begun and of which no scheduled forecast is stored."
    )
    year: int
    alert_days: int = Field(description="Alert days that the rule spends in a year, in the mean.")
    alerted_days: list[date] = Field(description="Of the year, in order.")
    highest_days: list[Highest] = Field(
        max_length=HIGHEST, description="The year's ten highest days so far, highest first."
    )
    highest_hours: list[Highest] = Field(max_length=HIGHEST, description="Its ten highest hours, likewise.")
