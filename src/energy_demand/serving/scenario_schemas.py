"""What callers send of a scenario, and what they get of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime  # noqa: TC003  (pydantic reads it)
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from energy_demand.model.scenarios.changes import (
    CLOUD,
    HUMIDITY,
    QUANTITIES,
    SOLAR,
    TEMPERATURE,
    WIND,
    Scenario,
    SiteHour,
    read_scenario,
)
from energy_demand.serving.schemas import FullHour, Interval

MOST_ROWS = 2_000
QUANTITY_OF = {
    "temperature": TEMPERATURE,
    "humidity": HUMIDITY,
    "cloud_cover": CLOUD,
    "wind_speed": WIND,
    "solar_radiation": SOLAR,
}
TEXT_EXAMPLES: Any = {
    "warmer": {"summary": "3 °C warmer under a clear sky", "value": "temperature+3,cloud=0"},
    "holiday": {"summary": "A public holiday", "value": "day=holiday"},
}
QUESTION_EXAMPLE: dict[str, Any] = {
    "scenario": "day=workday",
    "weather": [
        {"period": "2025-07-31T18:00:00Z", "site": "new_york_city", "temperature": 35.5, "cloud_cover": 10},
        {"period": "2025-07-31T19:00:00Z", "temperature": 34.0},
    ],
}
PARTS_EXAMPLE = {"temperature": 1412.6, "cloud": -73.1}


class SiteWeather(BaseModel):
    """Weather of your own for an hour; what is left out keeps the forecast's value."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    period: FullHour = Field(description="End of the hour, with UTC offset.")
    site: str | None = Field(
        None, max_length=64, description="A weather site of the region; default: all of them."
    )
    temperature: float | None = Field(None, ge=-60, le=60, description="Temperature, °C.")
    humidity: float | None = Field(None, ge=0, le=100, description="Relative humidity, %.")
    cloud_cover: float | None = Field(None, ge=0, le=100, description="Cloud cover, %.")
    wind_speed: float | None = Field(None, ge=0, le=200, description="Wind speed at 10 m, km/h.")
    solar_radiation: float | None = Field(
        None, ge=0, le=1600, description="Mean solar radiation of the hour, W/m²; default: by the clouds."
    )

    @model_validator(mode="after")
    def _has_weather(self) -> Self:
        if not self.values():
            raise ValueError(f"has no weather; give {', '.join(QUANTITY_OF)}")
        return self

    def values(self) -> dict[str, float]:
        """What is given, by the quantity of a scenario."""
        given = {quantity: getattr(self, name) for name, quantity in QUANTITY_OF.items()}
        return {quantity: float(value) for quantity, value in given.items() if value is not None}


class ScenarioQuestion(BaseModel):
    """A scenario: weather of your own, and changes on top of it."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [QUESTION_EXAMPLE]})

    scenario: str | None = Field(None, description="As the parameter of GET /forecast; on top of `weather`.")
    weather: list[SiteWeather] = Field(default=[], max_length=MOST_ROWS)

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if self.scenario is None and not self.weather:
            raise ValueError("give scenario, weather, or both")
        return self

    def scenario_of(self, country: str) -> Scenario:
        """The scenario in a country.

        Raises:
            ScenarioError: its text cannot be used.
        """
        changes = Scenario() if self.scenario is None else read_scenario(self.scenario, country)
        own = tuple(SiteHour(each.period, each.site, each.values()) for each in self.weather)
        return replace(changes, own=own)


class ScenarioHour(Interval):
    """An hour under the scenario; intervals keep the percent errors of the forecast."""

    period: datetime = Field(description="End of the hour, UTC.")
    lead_hours: int
    difference_mwh: float = Field(description="Scenario minus forecast, MWh.")


class ScenarioHourParts(ScenarioHour):
    """Likewise, with what each quantity adds."""

    parts: dict[str, float] = Field(
        description=f"Of the changed ones of {', '.join(QUANTITIES)}, MWh (Shapley's value); they add up to "
        "the difference.",
        examples=[PARTS_EXAMPLE],
    )


class ScenarioEnergy(BaseModel):
    """All hours together, MWh."""

    forecast_mwh: float
    scenario_mwh: float
    difference_mwh: float
    parts: dict[str, float] = Field(examples=[PARTS_EXAMPLE])


class ScenarioAnswer(BaseModel):
    """The forecast's hours under a scenario."""

    changes: str = Field(description="The changes as they were read.", examples=["temperature+3,cloud=0"])
    own_weather_rows: int = Field(ge=0, description="Rows of your own weather that were used.")
    energy: ScenarioEnergy
    peak: ScenarioHour
    hours: list[ScenarioHourParts]
