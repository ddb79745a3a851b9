"""What callers send and get: ranges, units, examples. A bad value is refused with its field named."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
)
from pydantic_core import core_schema

from energy_demand.data.feature_engineering import BALANCE_TEMPERATURE
from energy_demand.timeaxis import MAX_LEAD_HOURS

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic_core import CoreSchema

MAX_BATCH_ROWS = 10_000
MOST_MWH = 1_000_000
FIRST_YEAR, LAST_YEAR = 2000, 2100
# Callers round: a derived value that is off by no more still agrees with its source.
RELATIVE_TOLERANCE, ABSOLUTE_TOLERANCE = 1e-3, 0.05

EXAMPLE: dict[str, float] = {
    "temperature": 29.4,
    "apparent_temperature": 31.2,
    "humidity": 58,
    "wind_speed": 11.5,
    "cloud_cover": 25,
    "solar_radiation": 640,
    "precipitation": 0,
    "hour_of_day": 15,
    "day_of_week": 2,
    "month": 7,
    "is_holiday": 0,
    "demand_lag_1h": 24710,
    "demand_lag_24h": 25230,
    "demand_lag_168h": 23980,
    "demand_rolling_mean_24h": 21160,
    "demand_rolling_std_24h": 2870,
    "lead_hours": 24,
}


def _full_hour(moment: datetime) -> datetime:
    if not FIRST_YEAR <= moment.year < LAST_YEAR:
        raise ValueError(f"must be in the years {FIRST_YEAR} to {LAST_YEAR - 1}")
    moment = moment.astimezone(UTC)
    if moment.minute or moment.second or moment.microsecond:  # as offsets of half an hour can make it
        raise ValueError("must be a full UTC hour, e.g. 2025-07-31T20:00:00Z")
    return moment


@dataclass(frozen=True)
class Whole:
    """A whole number; 15.0 is one, as tables write theirs, and neither true nor "15" is.

    Attributes:
        least: the smallest.
        most: the largest.
    """

    least: int
    most: int

    def __get_pydantic_core_schema__(self, _source: object, _handler: object) -> CoreSchema:
        whole = core_schema.int_schema(ge=self.least, le=self.most, strict=False)
        return core_schema.chain_schema([core_schema.float_schema(strict=True), whole])

    def __get_pydantic_json_schema__(self, schema: Any, handler: Callable[[Any], Any]) -> dict[str, Any]:
        described: dict[str, Any] = handler(schema["steps"][-1])
        return described


class YesOrNo:
    """true, false, 1 or 0; also 1.0 and 0.0. Kept as a number, as the model takes it."""

    def __get_pydantic_core_schema__(self, _source: object, _handler: object) -> CoreSchema:
        given = core_schema.union_schema(
            [core_schema.bool_schema(strict=True), core_schema.float_schema(strict=True)],
            custom_error_type="yes_or_no",
            custom_error_message="Input should be true, false, 0 or 1",
        )
        return core_schema.chain_schema([given, core_schema.int_schema(ge=0, le=1, strict=False)])

    def __get_pydantic_json_schema__(self, _schema: Any, _handler: Callable[[Any], Any]) -> dict[str, Any]:
        return {"anyOf": [{"type": "boolean"}, {"type": "integer", "minimum": 0, "maximum": 1}]}


FullHour = Annotated[AwareDatetime, AfterValidator(_full_hour)]
Mwh = Annotated[float, Field(gt=0, le=MOST_MWH)]
Flag = Annotated[int, YesOrNo()]

# Each derived column as its source column gives it.
DERIVED: dict[str, tuple[str, Callable[[float], float]]] = {
    "is_weekend": ("day_of_week", lambda day: float(day >= 5)),
    "temp_squared": ("temperature", lambda degrees: degrees * degrees),
    "cooling_degree_hours": ("temperature", lambda degrees: max(degrees - BALANCE_TEMPERATURE, 0.0)),
    "heating_degree_hours": ("temperature", lambda degrees: max(BALANCE_TEMPERATURE - degrees, 0.0)),
}


class FeatureRow(BaseModel):
    """The base columns of one target hour. Derived columns are optional, but must agree if given."""

    model_config = ConfigDict(
        extra="forbid", strict=True, allow_inf_nan=False, json_schema_extra={"examples": [dict(EXAMPLE)]}
    )

    temperature: float = Field(ge=-60, le=60, description="Temperature, °C.")
    apparent_temperature: float = Field(ge=-90, le=80, description="Apparent temperature, °C.")
    humidity: float = Field(ge=0, le=100, description="Relative humidity, %.")
    wind_speed: float = Field(ge=0, le=450, description="Wind speed at 10 m, km/h.")
    cloud_cover: float = Field(ge=0, le=100, description="Cloud cover, %.")
    solar_radiation: float = Field(ge=0, le=1600, description="Mean solar radiation of the hour, W/m².")
    precipitation: float = Field(ge=0, le=400, description="Precipitation in the hour, mm.")
    hour_of_day: Annotated[int, Whole(0, 23)] = Field(description="Local hour at the start of the hour.")
    day_of_week: Annotated[int, Whole(0, 6)] = Field(description="Local day of the week; 0 is Monday.")
    month: Annotated[int, Whole(1, 12)] = Field(description="Local month.")
    is_holiday: Flag = Field(description="true or 1 on a public holiday of the United States.")
    demand_lag_1h: Mwh = Field(description="Newest known demand, MWh.")
    demand_lag_24h: Mwh = Field(description="Demand of the same hour one day earlier, MWh.")
    demand_lag_168h: Mwh = Field(description="Demand of the same hour one week earlier, MWh.")
    demand_rolling_mean_24h: Mwh = Field(description="Mean demand of the newest 24 known hours, MWh.")
    demand_rolling_std_24h: float = Field(
        ge=0, le=MOST_MWH, description="Standard deviation of demand in the same 24 hours, MWh."
    )
    is_weekend: Flag | None = Field(None, description="Derived from day_of_week.")
    temp_squared: float | None = Field(None, description="Derived: temperature².")
    cooling_degree_hours: float | None = Field(None, description="Derived: °C above 18.3.")
    heating_degree_hours: float | None = Field(None, description="Derived: °C below 18.3.")
    lead_hours: Annotated[int, Whole(1, MAX_LEAD_HOURS)] = Field(24, description="Hours ahead.")
    timestamp: FullHour | None = Field(
        None,
        description="End of the predicted hour, with UTC offset; default: lead_hours from now. "
        "If given, the calendar columns must agree with it.",
    )

    @field_validator("is_weekend", *list(DERIVED)[1:])
    @classmethod
    def _agrees(cls, value: float | None, about: ValidationInfo) -> float | None:
        source, derive = DERIVED[str(about.field_name)]
        if value is None or source not in about.data:  # left out, or the source is refused by itself
            return value
        expected = derive(about.data[source])
        if not math.isclose(value, expected, rel_tol=RELATIVE_TOLERANCE, abs_tol=ABSOLUTE_TOLERANCE):
            raise ValueError(
                f"contradicts {source} {about.data[source]:g}, which gives {expected:g}; "
                "you may leave this field out"
            )
        return value

    def values(self) -> list[float]:
        """The columns in the order of the base booster, derived ones computed from their sources."""
        degrees = self.temperature
        return [
            degrees,
            self.apparent_temperature,
            self.humidity,
            self.wind_speed,
            self.cloud_cover,
            self.solar_radiation,
            self.precipitation,
            self.hour_of_day,
            self.day_of_week,
            self.month,
            float(self.day_of_week >= 5),
            self.is_holiday,
            self.demand_lag_1h,
            self.demand_lag_24h,
            self.demand_lag_168h,
            self.demand_rolling_mean_24h,
            self.demand_rolling_std_24h,
            degrees * degrees,
            max(degrees - BALANCE_TEMPERATURE, 0.0),
            max(BALANCE_TEMPERATURE - degrees, 0.0),
            self.lead_hours,
        ]


class Batch(BaseModel):
    """Rows to predict at once."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"rows": [dict(EXAMPLE)]}]})

    rows: list[FeatureRow] = Field(min_length=1, max_length=MAX_BATCH_ROWS)


class Hour(BaseModel):
    """The predicted hour."""

    timestamp: datetime = Field(description="End of the hour, UTC.")
    lead_hours: int


class Interval(BaseModel):
    """A prediction with its intervals, MWh."""

    predicted_demand_mwh: float
    lower_80: float
    upper_80: float
    lower_95: float
    upper_95: float


class Answer(BaseModel):
    """The model version and quality of the answer, and its request id."""

    model_version: str = Field(examples=["7"])
    quality: Literal["base_booster"] = "base_booster"
    request_id: str


class PredictedHour(Interval, Hour):
    """The prediction for one row of a batch."""


class Prediction(Answer, PredictedHour):
    """The prediction for one row."""


class Predictions(Answer):
    """The predictions for a batch, in the order of its rows."""

    predictions: list[PredictedHour]


class ModelAnswer(BaseModel):
    """The model that serves in the answering process."""

    name: str
    version: str
    run_id: str
    previous_version: str | None = Field(description="The previous champion, which is the first fallback.")
    trained_through: datetime
    respondent: str
    features: list[str]
    metrics: dict[str, float] = Field(description="Metrics measured in training.")
    loaded_at: datetime
    problem: str | None = Field(description="Why the newest champion is not loaded; null if it is.")


class ReloadAnswer(BaseModel):
    """The result of a reload in the answering process."""

    status: Literal["reloaded", "unchanged"] = Field(description="unchanged: the champion served already.")
    version: str
    replaced: str | None = Field(description="The replaced version; null if none or the same one served.")


class Health(BaseModel):
    """The process is alive."""

    status: Literal["healthy"] = "healthy"
    model_loaded: bool = Field(description="Whether a model serves; /ready is 503 while none does.")
    problem: str | None = Field(
        None, description="Absent if the newest champion is loaded; GET /model and the log have the reason."
    )


class Ready(BaseModel):
    """A model serves the default region."""

    status: Literal["ready"] = "ready"
    model_version: str
    regions: dict[str, str] | None = Field(
        None,
        description="The version that serves each other region, or none; absent where there is one region.",
    )


class FieldProblem(BaseModel):
    """One invalid field."""

    field: str = Field(examples=["temperature", "rows.3.humidity"])
    message: str


class Problem(BaseModel):
    """An error: a one-line reason, and each invalid field."""

    detail: str
    request_id: str
    errors: list[FieldProblem] = []


def problem_body(detail: str, request_id: str, errors: list[dict[str, str]] | None = None) -> dict[str, Any]:
    """A `Problem` as JSON carries it."""
    body: dict[str, Any] = {"detail": detail, "request_id": request_id}
    return {**body, "errors": errors} if errors else body
