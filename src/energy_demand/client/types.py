# ruff: noqa
"""Types of the service's answers and questions; written by clients/python/write_types.py."""

from __future__ import annotations

from typing import Annotated, Literal
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from datetime import date


class FieldProblem(BaseModel):
    """
    One invalid field.
    """

    field: Annotated[str, Field(examples=["temperature", "rows.3.humidity"])]
    message: str


class Health(BaseModel):
    """
    The process is alive.
    """

    status: Literal["healthy"] = "healthy"
    model_loaded: Annotated[bool, Field(description="Whether a model serves; /ready is 503 while none does.")]
    problem: Annotated[
        str | None,
        Field(description="Absent if the newest champion is loaded; GET /model and the log have the reason."),
    ] = None


class Highest(BaseModel):
    """
    One of the year's highest: an hour, or the highest hour of a day.
    """

    day: date
    period: Annotated[AwareDatetime, Field(description="End of the hour, UTC.")]
    demand_mwh: float
    predicted_demand_mwh: Annotated[
        float | None,
        Field(description="What was forecast for it at 09:00 of the day before; null where nothing was."),
    ]
    hour_probability: Annotated[
        float | None, Field(description="What the day's forecast gave; null where none is stored.")
    ]
    alert: Annotated[bool | None, Field(description="Whether the day was alerted; null likewise.")]


class ModelAnswer(BaseModel):
    """
    The model that serves in the answering process.
    """

    name: str
    version: str
    run_id: str
    previous_version: Annotated[
        str | None, Field(description="The previous champion, which is the first fallback.")
    ]
    trained_through: AwareDatetime
    respondent: str
    features: list[str]
    metrics: Annotated[dict[str, float], Field(description="Metrics measured in training.")]
    loaded_at: AwareDatetime
    problem: Annotated[str | None, Field(description="Why the newest champion is not loaded; null if it is.")]


class OperatorAnswer(BaseModel):
    """
    Of the grid operator's forecast that `hours` are combined with.
    """

    name: Annotated[Literal["nyiso"], Field(description="Whose forecast it is.")]
    posted_at: Annotated[AwareDatetime, Field(description="When the newest posting that is used was posted.")]
    learnt_hours: Annotated[
        int,
        Field(
            description="Hours with known demand of our logged forecasts that the weights are learnt from; 0: both count the same.",
            ge=0,
        ),
    ]


class OperatorHour(BaseModel):
    """
    The grid operator's forecast of the hour, and the combination with ours.
    """

    published_mwh: Annotated[float, Field(description="As published by the operator, MWh.")]
    corrected_mwh: Annotated[
        float, Field(description="Plus the weighted mean of its past errors at that clock hour, MWh.")
    ]
    our_weight: Annotated[
        float,
        Field(
            description="Our weight in the combination; the corrected operator forecast has the rest.",
            ge=0.0,
            le=1.0,
        ),
    ]
    combination_mwh: Annotated[float, Field(description="Weighted geometric mean of the two, MWh.")]


class PeakHour(BaseModel):
    """
    An hour of the day.
    """

    period: Annotated[AwareDatetime, Field(description="End of the hour, UTC.")]
    predicted_demand_mwh: float
    probability: Annotated[
        float | None, Field(description="That it is the day's highest hour; null where a fallback answered.")
    ]


class PredictedHour(BaseModel):
    """
    The prediction for one row of a batch.
    """

    timestamp: Annotated[AwareDatetime, Field(description="End of the hour, UTC.")]
    lead_hours: int
    predicted_demand_mwh: float
    lower_80: float
    upper_80: float
    lower_95: float
    upper_95: float


class Prediction(BaseModel):
    """
    The prediction for one row.
    """

    timestamp: Annotated[AwareDatetime, Field(description="End of the hour, UTC.")]
    lead_hours: int
    predicted_demand_mwh: float
    lower_80: float
    upper_80: float
    lower_95: float
    upper_95: float
    model_version: Annotated[str, Field(examples=["7"])]
    quality: Literal["base_booster"] = "base_booster"
    request_id: str


class Predictions(BaseModel):
    """
    The predictions for a batch, in the order of its rows.
    """

    model_version: Annotated[str, Field(examples=["7"])]
    quality: Literal["base_booster"] = "base_booster"
    request_id: str
    predictions: list[PredictedHour]


class Problem(BaseModel):
    """
    An error: a one-line reason, and each invalid field.
    """

    detail: str
    request_id: str
    errors: Annotated[list[FieldProblem], Field(validate_default=True)] = []


class Ready(BaseModel):
    """
    A model serves the default region.
    """

    status: Literal["ready"] = "ready"
    model_version: str
    regions: Annotated[
        dict[str, str] | None,
        Field(
            description="The version that serves each other region, or none; absent where there is one region."
        ),
    ] = None


class ReloadAnswer(BaseModel):
    """
    The result of a reload in the answering process.
    """

    status: Annotated[
        Literal["reloaded", "unchanged"], Field(description="unchanged: the champion served already.")
    ]
    version: str
    replaced: Annotated[
        str | None, Field(description="The replaced version; null if none or the same one served.")
    ]


class ScenarioEnergy(BaseModel):
    """
    All hours together, MWh.
    """

    forecast_mwh: float
    scenario_mwh: float
    difference_mwh: float
    parts: Annotated[dict[str, float], Field(examples=[{"cloud": -73.1, "temperature": 1412.6}])]


class ScenarioHour(BaseModel):
    """
    An hour under the scenario; intervals keep the percent errors of the forecast.
    """

    predicted_demand_mwh: float
    lower_80: float
    upper_80: float
    lower_95: float
    upper_95: float
    period: Annotated[AwareDatetime, Field(description="End of the hour, UTC.")]
    lead_hours: int
    difference_mwh: Annotated[float, Field(description="Scenario minus forecast, MWh.")]


class ScenarioHourParts(BaseModel):
    """
    Likewise, with what each quantity adds.
    """

    predicted_demand_mwh: float
    lower_80: float
    upper_80: float
    lower_95: float
    upper_95: float
    period: Annotated[AwareDatetime, Field(description="End of the hour, UTC.")]
    lead_hours: int
    difference_mwh: Annotated[float, Field(description="Scenario minus forecast, MWh.")]
    parts: Annotated[
        dict[str, float],
        Field(
            description="Of the changed ones of temperature, humidity, cloud, wind, solar, day, MWh (Shapley's value); they add up to the difference.",
            examples=[{"cloud": -73.1, "temperature": 1412.6}],
        ),
    ]


class Span(BaseModel):
    """
    From the start of the first hour to the end of the last one.
    """

    start: AwareDatetime
    end: AwareDatetime


class FeatureRow(BaseModel):
    """
    The base columns of one target hour. Derived columns are optional, but must agree if given.
    """

    model_config = ConfigDict(
        extra="forbid",
    )
    temperature: Annotated[float, Field(description="Temperature, °C.", ge=-60.0, le=60.0)]
    apparent_temperature: Annotated[float, Field(description="Apparent temperature, °C.", ge=-90.0, le=80.0)]
    humidity: Annotated[float, Field(description="Relative humidity, %.", ge=0.0, le=100.0)]
    wind_speed: Annotated[float, Field(description="Wind speed at 10 m, km/h.", ge=0.0, le=450.0)]
    cloud_cover: Annotated[float, Field(description="Cloud cover, %.", ge=0.0, le=100.0)]
    solar_radiation: Annotated[
        float, Field(description="Mean solar radiation of the hour, W/m².", ge=0.0, le=1600.0)
    ]
    precipitation: Annotated[float, Field(description="Precipitation in the hour, mm.", ge=0.0, le=400.0)]
    hour_of_day: Annotated[int, Field(description="Local hour at the start of the hour.", ge=0, le=23)]
    day_of_week: Annotated[int, Field(description="Local day of the week; 0 is Monday.", ge=0, le=6)]
    month: Annotated[int, Field(description="Local month.", ge=1, le=12)]
    is_holiday: Annotated[
        bool | int, Field(description="true or 1 on a public holiday of the United States.")
    ]
    demand_lag_1h: Annotated[float, Field(description="Newest known demand, MWh.", gt=0.0, le=1000000.0)]
    demand_lag_24h: Annotated[
        float, Field(description="Demand of the same hour one day earlier, MWh.", gt=0.0, le=1000000.0)
    ]
    demand_lag_168h: Annotated[
        float, Field(description="Demand of the same hour one week earlier, MWh.", gt=0.0, le=1000000.0)
    ]
    demand_rolling_mean_24h: Annotated[
        float, Field(description="Mean demand of the newest 24 known hours, MWh.", gt=0.0, le=1000000.0)
    ]
    demand_rolling_std_24h: Annotated[
        float,
        Field(description="Standard deviation of demand in the same 24 hours, MWh.", ge=0.0, le=1000000.0),
    ]
    is_weekend: Annotated[bool | int | None, Field(description="Derived from day_of_week.")] = None
    temp_squared: Annotated[float | None, Field(description="Derived: temperature².")] = None
    cooling_degree_hours: Annotated[float | None, Field(description="Derived: °C above 18.3.")] = None
    heating_degree_hours: Annotated[float | None, Field(description="Derived: °C below 18.3.")] = None
    lead_hours: Annotated[int, Field(description="Hours ahead.", ge=1, le=48)] = 24
    timestamp: Annotated[
        AwareDatetime | None,
        Field(
            description="End of the predicted hour, with UTC offset; default: lead_hours from now. If given, the calendar columns must agree with it."
        ),
    ] = None


class Batch(BaseModel):
    """
    Rows to predict at once.
    """

    model_config = ConfigDict(
        extra="forbid",
    )
    rows: Annotated[list[FeatureRow], Field(max_length=10000, min_length=1)]


class SiteWeather(BaseModel):
    """
    Weather of your own for an hour; what is left out keeps the forecast's value.
    """

    model_config = ConfigDict(
        extra="forbid",
    )
    period: Annotated[AwareDatetime, Field(description="End of the hour, with UTC offset.")]
    site: Annotated[str | None, Field(description="A weather site of the region; default: all of them.")] = (
        None
    )
    temperature: Annotated[float | None, Field(description="Temperature, °C.")] = None
    humidity: Annotated[float | None, Field(description="Relative humidity, %.")] = None
    cloud_cover: Annotated[float | None, Field(description="Cloud cover, %.")] = None
    wind_speed: Annotated[float | None, Field(description="Wind speed at 10 m, km/h.")] = None
    solar_radiation: Annotated[
        float | None, Field(description="Mean solar radiation of the hour, W/m²; default: by the clouds.")
    ] = None


class ScenarioQuestion(BaseModel):
    """
    A scenario: weather of your own, and changes on top of it.
    """

    model_config = ConfigDict(
        extra="forbid",
    )
    scenario: Annotated[
        str | None, Field(description="As the parameter of GET /forecast; on top of `weather`.")
    ] = None
    weather: Annotated[list[SiteWeather], Field(max_length=2000, validate_default=True)] = []


class ForecastRow(BaseModel):
    region: Annotated[str, Field(description="Code of the region.")]
    period: Annotated[AwareDatetime, Field(description="End of the hour, UTC.")]
    issued_at: Annotated[AwareDatetime, Field(description="When the forecast was issued, UTC.")]
    lead_hours: Annotated[int, Field(description="Hours from the issue to the end of the hour, rounded up.")]
    predicted_demand_mwh: Annotated[float, Field(description="The forecast, MWh.")]
    lower_80: Annotated[float | None, Field(description="Lower bound of the 80 % interval, MWh.")]
    upper_80: Annotated[float | None, Field(description="Upper bound of the 80 % interval, MWh.")]
    lower_95: Annotated[float | None, Field(description="Lower bound of the 95 % interval, MWh.")]
    upper_95: Annotated[float | None, Field(description="Upper bound of the 95 % interval, MWh.")]
    actual_mwh: Annotated[
        float | None, Field(description="Demand, MWh; missing while it is unknown and where it is not truth.")
    ]
    error_mwh: Annotated[float | None, Field(description="predicted_demand_mwh − actual_mwh.")]
    error_percent: Annotated[
        float | None, Field(description="The error in percent of actual_mwh; missing where that is 0.")
    ]
    model_version: Annotated[str, Field(description="The model's registered version.")]
    quality: Annotated[
        str, Field(description="The step of the fallback ladder that answered, `champion` being the best.")
    ]
    source: Annotated[
        str, Field(description="`scheduled` (the morning job), `request` (a caller's) or `backfill`.")
    ]
    made_at: Annotated[AwareDatetime, Field(description="When the forecast was logged, UTC.")]


class ForecastRows(BaseModel):
    next: Annotated[str | None, Field(description="Cursor to the next page; null: the last one.")]
    rows: list[ForecastRow]


class DemandRow(BaseModel):
    region: Annotated[str, Field(description="Code of the region.")]
    period: Annotated[AwareDatetime, Field(description="End of the hour, UTC.")]
    demand_mwh: Annotated[float | None, Field(description="Demand as the upstream serves it, MWh.")]
    actual_mwh: Annotated[
        float | None, Field(description="Demand, MWh; missing while it is unknown and where it is not truth.")
    ]
    known_at: Annotated[AwareDatetime | None, Field(description="When this value was first known, UTC.")]
    screening_flag: Annotated[
        str | None, Field(description="Why forecasts must not use the value, by earlier hours alone.")
    ]
    imputed_mwh: Annotated[float | None, Field(description="What forecasts use in its place, MWh.")]
    truth_flag: Annotated[
        str | None, Field(description="Why the value is not truth to score against, by hours on both sides.")
    ]


class DemandRows(BaseModel):
    next: Annotated[str | None, Field(description="Cursor to the next page; null: the last one.")]
    rows: list[DemandRow]


class DayScore(BaseModel):
    region: Annotated[str, Field(description="Code of the region.")]
    day: Annotated[date, Field(description="The day, in the region's time zone.")]
    hours: Annotated[int, Field(description="Hours with a forecast.")]
    known: Annotated[int, Field(description="Hours whose demand is known; every error is over these.")]
    mae_mwh: Annotated[float | None, Field(description="Mean absolute error, MWh.")]
    rmse_mwh: Annotated[float | None, Field(description="Root mean square error, MWh.")]
    mape: Annotated[float | None, Field(description="Mean absolute error in percent of demand.")]
    bias_percent: Annotated[float | None, Field(description="Mean error in percent of demand.")]
    coverage_80: Annotated[float | None, Field(description="Percent of hours within the 80 % interval.")]
    coverage_95: Annotated[float | None, Field(description="Percent of hours within the 95 % interval.")]


class VersionScore(BaseModel):
    region: Annotated[str, Field(description="Code of the region.")]
    model_version: Annotated[str, Field(description="The model's registered version.")]
    hours: Annotated[int, Field(description="Hours with a forecast.")]
    known: Annotated[int, Field(description="Hours whose demand is known; every error is over these.")]
    mae_mwh: Annotated[float | None, Field(description="Mean absolute error, MWh.")]
    rmse_mwh: Annotated[float | None, Field(description="Root mean square error, MWh.")]
    mape: Annotated[float | None, Field(description="Mean absolute error in percent of demand.")]
    bias_percent: Annotated[float | None, Field(description="Mean error in percent of demand.")]
    coverage_80: Annotated[float | None, Field(description="Percent of hours within the 80 % interval.")]
    coverage_95: Annotated[float | None, Field(description="Percent of hours within the 95 % interval.")]


class QualityScore(BaseModel):
    region: Annotated[str, Field(description="Code of the region.")]
    quality: Annotated[
        str, Field(description="The step of the fallback ladder that answered, `champion` being the best.")
    ]
    hours: Annotated[int, Field(description="Hours with a forecast.")]
    known: Annotated[int, Field(description="Hours whose demand is known; every error is over these.")]
    mae_mwh: Annotated[float | None, Field(description="Mean absolute error, MWh.")]
    rmse_mwh: Annotated[float | None, Field(description="Root mean square error, MWh.")]
    mape: Annotated[float | None, Field(description="Mean absolute error in percent of demand.")]
    bias_percent: Annotated[float | None, Field(description="Mean error in percent of demand.")]
    coverage_80: Annotated[float | None, Field(description="Percent of hours within the 80 % interval.")]
    coverage_95: Annotated[float | None, Field(description="Percent of hours within the 95 % interval.")]


class ScoreRows(BaseModel):
    next: Annotated[str | None, Field(description="Cursor to the next page; null: the last one.")]
    rows: list[DayScore | VersionScore | QualityScore]


class DayPeakAnswer(BaseModel):
    """
    What the day's forecast says of its peak.
    """

    day: date
    issued_at: AwareDatetime
    made_at: Annotated[
        AwareDatetime, Field(description="When it was stored or, if it was made for this request, now.")
    ]
    model_version: str
    quality: Annotated[str, Field(description="The step of the fallback ladder that answered.")]
    alert: Annotated[bool, Field(description="Whether the day is alerted as a peak day.")]
    reason: Annotated[str, Field(description="Why, a sentence.")]
    so_far_probability: Annotated[
        float | None,
        Field(description="That the day is among the year's ten highest so far, by its highest hour."),
    ]
    day_probability: Annotated[
        float | None,
        Field(description="That its peak exceeds `day_mwh`, the tenth-highest day to expect in the end."),
    ]
    hour_probability: Annotated[
        float | None,
        Field(description="That its peak exceeds `hour_mwh`, the tenth-highest hour to expect in the end."),
    ]
    needed_probability: Annotated[
        float, Field(description="That `hour_probability` has to reach for an alert.", ge=0.0, le=1.0)
    ]
    alerts_before: Annotated[int, Field(description="Days of the year that were alerted before.", ge=0)]
    so_far_mwh: Annotated[float | None, Field(description="The year's tenth-highest daily peak so far, MWh.")]
    day_mwh: Annotated[
        float | None,
        Field(description="Between it and the mean of the earlier years' tenth-highest, by `to_come`, MWh."),
    ]
    hour_mwh: Annotated[float | None, Field(description="The same for hours, MWh.")]
    to_come: Annotated[
        float,
        Field(
            description="Share of the earlier years' ten highest days that came on this date or later.",
            ge=0.0,
            le=1.0,
        ),
    ]
    likely: Annotated[
        Span, Field(description="The hours that are the highest with a probability of 10 % or more.")
    ]
    peak_quantiles: Annotated[
        dict[str, float],
        Field(
            description="MWh of the highest hour by probability.",
            examples=[{"0.01": 20950.4, "0.5": 22310.0, "0.99": 23757.8}],
        ),
    ]
    hours: list[PeakHour]


class ForecastHour(BaseModel):
    """
    One hour of a forecast.
    """

    period: Annotated[AwareDatetime, Field(description="End of the hour, UTC.")]
    lead_hours: int
    predicted_demand_mwh: float
    lower_80: float
    upper_80: float
    lower_95: float
    upper_95: float
    quantiles: Annotated[
        dict[str, float] | None,
        Field(
            description="MWh by probability, from 0.01 to 0.99; with quantiles=true, where a whole forecaster answered.",
            examples=[{"0.01": 20950.4, "0.5": 22310.0, "0.99": 23757.8}],
        ),
    ] = None
    peak_probability: Annotated[
        float | None,
        Field(description="Probability that it is the highest of these hours; with quantiles=true."),
    ] = None
    explanation: Annotated[
        dict[str, float] | None,
        Field(
            description="Contributions of calendar, temperature, sun and other parts, MWh; with explain=true."
        ),
    ] = None
    filter_weights: Annotated[
        dict[str, float] | None,
        Field(
            description="How much each filter of the adaptive regression is believed at this clock hour, by its pace; with explain=true.",
            examples=[{"pace_0.1": 0.62, "pace_10": 0.38}],
        ),
    ] = None
    sun: Annotated[
        dict[str, float] | None,
        Field(
            description="Load with the generation of rooftop solar, that generation, and the forecast under a cloudless and under an overcast sky, MWh; with explain=true."
        ),
    ] = None
    operator: Annotated[
        OperatorHour | None,
        Field(
            description="The grid operator's forecast and the combination with ours; absent where OPERATOR_FORECAST is not set, or no posting of the hour was known in time.",
            examples=[
                {
                    "combination_mwh": 17415.9,
                    "corrected_mwh": 17388.4,
                    "our_weight": 0.46,
                    "published_mwh": 17210.0,
                }
            ],
        ),
    ] = None


class PeaksAnswer(BaseModel):
    """
    A day's probabilities, and its year so far.
    """

    region: str
    as_of: Annotated[AwareDatetime, Field(description="Nothing that became known later is in this answer.")]
    day: date
    peak: Annotated[
        DayPeakAnswer | None,
        Field(description="null for a day that has begun and of which no scheduled forecast is stored."),
    ]
    year: int
    alert_days: Annotated[int, Field(description="Alert days that the rule spends in a year, in the mean.")]
    alerted_days: Annotated[list[date], Field(description="Of the year, in order.")]
    highest_days: Annotated[
        list[Highest], Field(description="The year's ten highest days so far, highest first.", max_length=10)
    ]
    highest_hours: Annotated[
        list[Highest], Field(description="Its ten highest hours, likewise.", max_length=10)
    ]


class ScenarioAnswer(BaseModel):
    """
    The forecast's hours under a scenario.
    """

    changes: Annotated[
        str, Field(description="The changes as they were read.", examples=["temperature+3,cloud=0"])
    ]
    own_weather_rows: Annotated[int, Field(description="Rows of your own weather that were used.", ge=0)]
    energy: ScenarioEnergy
    peak: ScenarioHour
    hours: list[ScenarioHourParts]


class ForecastAnswer(BaseModel):
    """
    A forecast of consecutive hours.
    """

    energy_quantiles: Annotated[
        dict[str, float] | None,
        Field(
            description="MWh of all hours together, by probability; with quantiles=true.",
            examples=[{"0.01": 20950.4, "0.5": 22310.0, "0.99": 23757.8}],
        ),
    ] = None
    peak_quantiles: Annotated[
        dict[str, float] | None,
        Field(description="MWh of the highest hour, by probability; with quantiles=true."),
    ] = None
    issued_at: AwareDatetime
    model_version: Annotated[str, Field(description="Registered version; `none` if no model could forecast.")]
    state_through: Annotated[AwareDatetime, Field(description="End of the newest known hour of demand.")]
    demand_age_hours: Annotated[
        float, Field(description="Age of the newest known demand at the issue time, hours.")
    ]
    quality: Literal["champion", "champion_without_weather", "previous_champion", "base_booster", "last_week"]
    warnings: Annotated[list[str], Field(description="What to know before trusting it, a sentence each.")]
    expected_error_percent: Annotated[
        float,
        Field(
            description="Mean absolute error to expect of these hours, percent, by the width of their intervals."
        ),
    ]
    peak: ForecastHour
    hours: list[ForecastHour]
    operator: Annotated[
        OperatorAnswer | None,
        Field(
            description="The grid operator's forecast that is used; absent where no hour has one.",
            examples=[{"learnt_hours": 2160, "name": "nyiso", "posted_at": "2025-03-12T11:45:00Z"}],
        ),
    ] = None
    scenario: Annotated[
        ScenarioAnswer | None, Field(description="The same hours under the scenario that was asked for.")
    ] = None
    in_sample: Annotated[
        Literal[True] | None,
        Field(
            description="The model was trained on hours after the issue time: not an out-of-sample forecast."
        ),
    ] = None
