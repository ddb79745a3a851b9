"""What `GET /forecast` gives: a forecast of consecutive hours, with units and examples."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003  (pydantic reads it)
from typing import Literal

from pydantic import BaseModel, Field

from energy_demand.serving.scenario_schemas import ScenarioAnswer  # noqa: TC001  (likewise)
from energy_demand.serving.schemas import Interval

# As the body of a forecast has them where the operator's forecast is switched on.
OPERATOR_HOUR: dict[str, float] = {
    "published_mwh": 17210.0,
    "corrected_mwh": 17388.4,
    "our_weight": 0.46,
    "combination_mwh": 17415.9,
}
OPERATOR_ANSWER: dict[str, str | int] = {
    "name": "nyiso",
    "posted_at": "2025-03-12T11:45:00Z",
    "learnt_hours": 2160,
}

# The first, the middle and the last of 23.
QUANTILES_EXAMPLE = {"0.01": 20950.4, "0.5": 22310.0, "0.99": 23757.8}


class Period(BaseModel):
    """The forecast hour."""

    period: datetime = Field(description="End of the hour, UTC.")
    lead_hours: int


class OperatorHour(BaseModel):
    """The grid operator's forecast of the hour, and the combination with ours."""

    published_mwh: float = Field(description="As published by the operator, MWh.")
    corrected_mwh: float = Field(
        description="Plus the weighted mean of its past errors at that clock hour, MWh."
    )
    our_weight: float = Field(
        ge=0, le=1, description="Our weight in the combination; the corrected operator forecast has the rest."
    )
    combination_mwh: float = Field(description="Weighted geometric mean of the two, MWh.")


class ForecastHour(Interval, Period):
    """One hour of a forecast."""

    quantiles: dict[str, float] | None = Field(
        None,
        description="MWh by probability, from 0.01 to 0.99; with quantiles=true, where a whole forecaster "
        "answered.",
        examples=[QUANTILES_EXAMPLE],
    )
    peak_probability: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Probability that it is the highest of these hours; with quantiles=true.",
    )

    explanation: dict[str, float] | None = Field(
        None,
        description="Contributions of calendar, temperature, sun and other parts, MWh; with explain=true.",
    )
    filter_weights: dict[str, float] | None = Field(
        None,
        description="How much each filter of the adaptive regression is believed at this clock hour, by its "
        "pace; with explain=true.",
        examples=[{"pace_10": 0.38, "pace_0.1": 0.62}],
    )
    sun: dict[str, float] | None = Field(
        None,
        description="Load with the generation of rooftop solar, that generation, and the forecast under a "
        "cloudless and under an overcast sky, MWh; with explain=true.",
    )
    operator: OperatorHour | None = Field(
        None,
        description="The grid operator's forecast and the combination with ours; absent where "
        "OPERATOR_FORECAST is not set, or no posting of the hour was known in time.",
        examples=[OPERATOR_HOUR],
    )


class OperatorAnswer(BaseModel):
    """Of the grid operator's forecast that `hours` are combined with."""

    name: Literal["nyiso"] = Field(description="Whose forecast it is.")
    posted_at: datetime = Field(description="When the newest posting that is used was posted.")
    learnt_hours: int = Field(
        ge=0,
        description="Hours with known demand of our logged forecasts that the weights are learnt from; 0: "
        "both count the same.",
    )


class ForecastAnswer(BaseModel):
    """A forecast of consecutive hours."""

    energy_quantiles: dict[str, float] | None = Field(
        None,
        description="MWh of all hours together, by probability; with quantiles=true.",
        examples=[QUANTILES_EXAMPLE],
    )
    peak_quantiles: dict[str, float] | None = Field(
        None, description="MWh of the highest hour, by probability; with quantiles=true."
    )

    issued_at: datetime
    model_version: str = Field(description="Registered version; `none` if no model could forecast.")
    state_through: datetime = Field(description="End of the newest known hour of demand.")
    demand_age_hours: float = Field(description="Age of the newest known demand at the issue time, hours.")
    quality: Literal["champion", "champion_without_weather", "previous_champion", "base_booster", "last_week"]
    warnings: list[str] = Field(description="What to know before trusting it, a sentence each.")
    expected_error_percent: float = Field(
        description="Mean absolute error to expect of these hours, percent, by the width of their intervals."
    )
    peak: ForecastHour
    hours: list[ForecastHour]
    operator: OperatorAnswer | None = Field(
        None,
        description="The grid operator's forecast that is used; absent where no hour has one.",
        examples=[OPERATOR_ANSWER],
    )
    scenario: ScenarioAnswer | None = Field(
        None, description="The same hours under the scenario that was asked for."
    )
    in_sample: Literal[True] | None = Field(
        None,
        description="The model was trained on hours after the issue time: not an out-of-sample forecast.",
    )
