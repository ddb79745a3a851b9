"""A forecast of consecutive hours as it is given: its JSON, its warnings, its rows of the log. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from energy_demand.columns import FEATURE_COLUMNS, LEAD
from energy_demand.data.weather_path import PATH_COLUMNS
from energy_demand.model.distribution import PROBABILITIES
from energy_demand.model.forecaster import BOUNDS, EXPLANATION, PREDICTED, ROOFTOP_MWH, SUN
from energy_demand.model.metrics import expected_percent_error
from energy_demand.timeaxis import HOUR, utc_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    import pandas as pd

    from energy_demand.arrays import Floats
    from energy_demand.model.distribution import JointDistribution
    from energy_demand.model.scenarios.answer import ScenarioForecast
    from energy_demand.model.scenarios.changes import Scenario

HOUR_COLUMNS = (PREDICTED, *BOUNDS)
# The naive forecasts of an hour: logged with every forecast, because scores compare with them.
NAIVE_COLUMNS = ("demand_lag_24h", "demand_lag_168h")
DEMAND_AGE = "demand_age_hours"
BASE_INPUTS = (*FEATURE_COLUMNS, LEAD)
FORECASTER_INPUTS = (*PATH_COLUMNS, ROOFTOP_MWH, DEMAND_AGE, *NAIVE_COLUMNS, LEAD)
LAST_WEEK_INPUTS = (*NAIVE_COLUMNS, LEAD)

# What answered, best first; the rungs of the ladder, and the champion where it lacked some weather.
CHAMPION = "champion"
WITHOUT_WEATHER = "champion_without_weather"
PREVIOUS = "previous_champion"
BASE_BOOSTER = "base_booster"
LAST_WEEK = "last_week"
NO_MODEL = "none"
# Later than this the newest demand is worth a word.
LATE_HOURS = 6
WHAT_ANSWERED = {
    WITHOUT_WEATHER: "some hours have no weather forecast; these hours are less accurate",
    PREVIOUS: "fallback: forecast by the previous champion, because the champion failed",
    BASE_BOOSTER: "fallback: forecast by the base booster, because the full forecaster failed or had too "
    "few weather forecasts",
    LAST_WEEK: "fallback: same hour last week, because no model could forecast",
}


@dataclass(frozen=True)
class Forecast:
    """A forecast of consecutive hours.

    Attributes:
        issued_at: everything known by then was used, nothing later.
        model_version: the registered version that made it; `none` where no model did.
        state_through: the newest hour of demand that was known.
        quality: which model answered, from `CHAMPION` to `LAST_WEEK`.
        in_sample: the model was trained on hours after `issued_at`: no honest forecast.
        doubted_hours: hours of demand after `state_through` that were served and cannot be true.
        lacking: what the weather forecast does not have for most of the hours, though it is observed.
        hours: `period`, `lead_hours`, `predicted_demand_mwh` and the interval bounds (MWh).
        base_rows: makes the base feature rows of the same hours.
        make_inputs: makes what the hours were forecast from: `BASE_INPUTS`, `FORECASTER_INPUTS` or
            `LAST_WEEK_INPUTS`, by who answered.
        explain: makes the explanation; None where no forecaster made the forecast.
        make_sun: makes what the sun does to the forecast; None likewise.
        make_weights: makes the weights of the adaptive regression's filters; None likewise.
        make_distribution: makes the distribution of hours, energy and peak; None likewise.
        make_scenario: makes the same hours' forecast under a scenario; None likewise.
        make_provenance: makes the digests of what it was made from; None in a forecast that is not logged.
    """

    issued_at: datetime
    model_version: str
    state_through: datetime
    quality: str
    in_sample: bool
    hours: pd.DataFrame
    base_rows: Callable[[], pd.DataFrame]
    make_inputs: Callable[[], pd.DataFrame]
    explain: Callable[[], pd.DataFrame] | None = None
    make_sun: Callable[[], pd.DataFrame] | None = None
    make_weights: Callable[[], pd.DataFrame] | None = None
    make_distribution: Callable[[], JointDistribution] | None = None
    make_provenance: Callable[[], dict[str, str]] | None = None
    make_scenario: Callable[[Scenario], ScenarioForecast] | None = None
    doubted_hours: int = 0
    lacking: tuple[str, ...] = ()

    @cached_property
    def rows(self) -> pd.DataFrame:
        """The base feature rows of the same hours."""
        return self.base_rows()

    @cached_property
    def inputs(self) -> pd.DataFrame:
        """What each hour was forecast from, and its naive forecasts."""
        return self.make_inputs()

    @cached_property
    def explanation(self) -> pd.DataFrame | None:
        """`period` and what each part adds to its forecast (MWh); None where no forecaster made it."""
        return None if self.explain is None else self.explain()

    @cached_property
    def sun(self) -> pd.DataFrame | None:
        """`period` and the columns of `SUN` (MWh); None where no forecaster made the forecast."""
        return None if self.make_sun is None else self.make_sun()

    @cached_property
    def filter_weights(self) -> pd.DataFrame | None:
        """`period` and how much each filter of the adaptive regression is believed; None likewise."""
        return None if self.make_weights is None else self.make_weights()

    @cached_property
    def distribution(self) -> JointDistribution | None:
        """Of these hours, their energy and their peak (MWh); None where no forecaster made the forecast."""
        return None if self.make_distribution is None else self.make_distribution()

    @cached_property
    def provenance(self) -> dict[str, str] | None:
        """Digests of what it was made from, see `model.provenance`; None where nobody can tell."""
        return None if self.make_provenance is None else self.make_provenance()

    def __getstate__(self) -> dict[str, Any]:
        """What a cache keeps: frames in place of the functions that make them."""
        made = {
            "rows": self.rows,
            "inputs": self.inputs,
            "explanation": self.explanation,
            "sun": self.sun,
            "filter_weights": self.filter_weights,
            "distribution": self.distribution,
            "provenance": self.provenance,
        }
        makers = ("base_rows", "make_inputs", "explain", "make_sun", "make_weights", "make_distribution")
        return {**self.__dict__, **made, **dict.fromkeys((*makers, "make_provenance", "make_scenario"))}

    @property
    def demand_age_hours(self) -> float:
        """How old the newest demand that was known is, at the hour of issue."""
        return (self.issued_at - self.state_through) / HOUR

    @property
    def peak(self) -> dict[str, Any]:
        """The hour with the highest demand: `period`, its MWh and its interval."""
        highest = int(self.hours["predicted_demand_mwh"].to_numpy().argmax())
        return _hour_json(self.hours.iloc[highest].to_dict())

    @property
    def expected_error_percent(self) -> float:
        """The mean absolute error of these hours that their intervals let one expect, percent."""
        return expected_percent_error(*(self.hours[name] for name in (PREDICTED, "lower_80", "upper_80")))

    def to_json(self, *, explain: bool = False, quantiles: bool = False) -> dict[str, Any]:
        """The body that `forecast --json` and `GET /forecast` give.

        With `explain`, each hour says what calendar, temperature, sun and so on add to it, what panels
        behind the meter take off it and what it would be under another sky (MWh), and how much each filter of
        the adaptive regression is believed. With `quantiles`, each hour has those of `PROBABILITIES` and the
        probability of being the peak, and the body those of the energy and the peak of all hours. Nothing of
        it where no forecaster made the forecast.
        """
        body: dict[str, Any] = {
            "issued_at": utc_text(self.issued_at),
            "model_version": self.model_version,
            "state_through": utc_text(self.state_through),
            "demand_age_hours": round(self.demand_age_hours, 2),
            "quality": self.quality,
            "warnings": self.warnings(),
            "expected_error_percent": round(self.expected_error_percent, 2),
            "peak": self.peak,
            "hours": [_hour_json(row) for row in self.hours.to_dict("records")],
        }
        if explain and self.explanation is not None:
            for hour, parts in zip(body["hours"], self.explanation.to_dict("records"), strict=True):
                hour["explanation"] = {name: round(float(parts[name]), 1) for name in EXPLANATION}
        if explain and self.sun is not None:
            for hour, of_sun in zip(body["hours"], self.sun.to_dict("records"), strict=True):
                hour["sun"] = {name: round(float(of_sun[name]), 1) for name in SUN}
        if explain and self.filter_weights is not None:
            for hour, weights in zip(body["hours"], self.filter_weights.to_dict("records"), strict=True):
                hour["filter_weights"] = {
                    name: round(float(weights[name]), 3) for name in list(weights) if name != "period"
                }
        if quantiles and self.distribution is not None:
            joint = self.distribution
            body["energy_quantiles"], body["peak_quantiles"] = map(
                _by_probability, (joint.energy, joint.peak)
            )
            for hour, of_hour, peak in zip(body["hours"], joint.hours, joint.peak_hour, strict=True):
                hour |= {"quantiles": _by_probability(of_hour), "peak_probability": round(float(peak), 3)}
        return {**body, "in_sample": True} if self.in_sample else body

    def warnings(self) -> list[str]:
        """What a reader must know before trusting it, a sentence each."""
        warnings = []
        if self.in_sample:
            warnings.append(
                f"model version {self.model_version} was trained on hours after {utc_text(self.issued_at)}: "
                "this is not an out-of-sample forecast"
            )
        if self.quality in WHAT_ANSWERED:
            warnings.append(WHAT_ANSWERED[self.quality])
        if self.demand_age_hours > LATE_HOURS:
            warnings.append(f"the newest known demand is {self.demand_age_hours:.0f} hours old")
        if self.doubted_hours:
            warnings.append(
                f"{self.doubted_hours} later hours of demand cannot be true (zeros, jumps or frozen "
                "values) and were not used"
            )
        if self.lacking:
            warnings.append(
                f"the weather forecast has no {' and no '.join(self.lacking)} for most of these hours; the "
                "forecast is less accurate"
            )
        return warnings

    def log_rows(
        self, source: str, request_id: str, made_at: datetime, respondent: str, code: Mapping[str, str]
    ) -> list[dict[str, Any]]:
        """The rows of `prediction_log`, each hour with `inputs` as its `features_json`.

        The first row has the `provenance` of all, with `code`: what computed it, see `code_identity`.
        """
        inputs = self.inputs.astype(object)
        used = inputs.where(inputs.notna(), None).to_dict("records")
        rows = [
            {
                "respondent": respondent,
                "timestamp": utc_text(hour["period"]),
                "issued_at": self.issued_at.isoformat(),
                "lead_hours": int(hour[LEAD]),
                "predicted_demand": float(hour["predicted_demand_mwh"]),
                **{name: float(hour[name]) for name in HOUR_COLUMNS[1:]},
                "model_version": self.model_version,
                "quality": self.quality,
                "source": source,
                "request_id": request_id,
                "features_json": row,
                "prediction_made_at": made_at.isoformat(),
            }
            for hour, row in zip(self.hours.to_dict("records"), used, strict=True)
        ]
        if self.provenance is not None:
            rows[0]["provenance"] = {**self.provenance, **code}
        return rows


def _by_probability(quantiles: Floats) -> dict[str, float]:
    return {f"{at:g}": round(float(mwh), 1) for at, mwh in zip(PROBABILITIES, quantiles, strict=True)}


def _hour_json(row: dict[Any, Any]) -> dict[str, Any]:
    return {
        "period": utc_text(row["period"]),
        "lead_hours": int(row[LEAD]),
        **{name: round(float(row[name]), 1) for name in HOUR_COLUMNS},
    }
