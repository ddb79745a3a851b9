"""The model itself: three stages on an outlook of the weather. Pure.

`advance` takes in the hours that became known, `forecast` says what comes next. What leaves a stage out is
a forecaster with that stage set to None, so that a backtest can tell what each one gives.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from energy_demand.model.distribution import MEDIAN, JointDistribution, central_interval, group_of
from energy_demand.model.intervals import LEVELS
from energy_demand.model.stages import response_features as groups
from energy_demand.model.stages.adaptive_regression import PERCENT
from energy_demand.model.stages.error_stage import error_features
from energy_demand.model.stages.residual_stage import residual_features
from energy_demand.model.stages.response_features import (
    MEMORY_HOURS,
    Responses,
    response_features,
    warmth,
)
from energy_demand.model.weather.horizon import Horizon, weather_horizon
from energy_demand.timeaxis import HOUR, Availability, lead_hours

if TYPE_CHECKING:
    from datetime import datetime

    from energy_demand.arrays import Floats, Integers
    from energy_demand.boosting import lgb
    from energy_demand.data.record import Record
    from energy_demand.model.base.booster import BaseBooster
    from energy_demand.model.distribution import ErrorDistribution
    from energy_demand.model.expected_errors import ExpectedErrors
    from energy_demand.model.stages.adaptive_regression import AdaptiveRegression
    from energy_demand.model.stages.error_stage import ErrorStage
    from energy_demand.model.stages.residual_stage import ResidualStage
    from energy_demand.model.weather.outlook import Outlook


PREDICTED = "predicted_demand_mwh"
BOUNDS = ("lower_80", "upper_80", "lower_95", "upper_95")
# What an explanation tells apart; MWh that add up, with `typical`, to the forecast.
PARTS = {
    "calendar": groups.CALENDAR_GROUPS,
    "temperature": groups.TEMPERATURE_GROUPS,
    "humidity_and_wind": groups.OTHER_WEATHER_GROUPS,
    "solar": groups.SOLAR_GROUPS,
}
TYPICAL, RECENT_ERROR, TREES, ROOFTOP = "typical", "recent_error", "trees", "rooftop_solar"
EXPLANATION = (TYPICAL, *PARTS, RECENT_ERROR, TREES, ROOFTOP)
# Under which sky a forecast is repeated, to tell what the sun may do: cloud cover in percent.
SKIES = {"cloudless_mwh": 0.0, "overcast_mwh": 100.0}
GROSS_MWH, ROOFTOP_MWH = "gross_load_mwh", "rooftop_solar_mwh"
SUN = (GROSS_MWH, ROOFTOP_MWH, *SKIES)


@dataclass(frozen=True)
class StageForecasts:
    """What the three stages predict for some hours, percent of log gross load.

    Attributes:
        horizon: the target hours.
        issued_at: when the forecast is made.
        regression: of the first stage.
        correction: what the second stage adds.
        trees: what the third stage adds.
    """

    horizon: Horizon
    issued_at: datetime
    regression: Floats
    correction: Floats
    trees: Floats

    @property
    def total(self) -> Floats:
        """Log demand, percent."""
        return self.regression + self.correction + self.trees


@dataclass(frozen=True)
class Forecaster:
    """Forecasts MWh up to 48 hours ahead.

    Attributes:
        base: the base booster with its own intervals, for callers with nothing but the twenty columns.
        outlook: completes and corrects the weather.
        regression: the first stage, fitted through `regression.through`.
        errors: the second stage, or None to leave it out.
        residual: the third stage, or None to leave it out.
        distribution: of its errors on held-out hours.
        expected_errors: of its adaptive regression on the days before, each forecast out of sample.
        respondent: the region it was trained for.
        trained_through: the newest period that its stages were fitted on.
        publication_delay_hours: the delay that it was trained with.
        sites: names of the weather sites it was trained on, the main site first; empty for a model that was
            stored before they were kept.
    """

    base: BaseBooster
    outlook: Outlook
    regression: AdaptiveRegression
    errors: ErrorStage | None
    residual: ResidualStage | None
    distribution: ErrorDistribution
    expected_errors: ExpectedErrors
    respondent: str
    trained_through: datetime
    publication_delay_hours: int
    sites: tuple[str, ...] = ()

    @property
    def booster(self) -> lgb.Booster:
        """The base booster."""
        return self.base.booster

    @property
    def availability(self) -> Availability:
        """When an hour of demand is known."""
        return Availability(self.publication_delay_hours)

    @property
    def needs_from(self) -> pd.Timestamp:
        """The first hour of weather that `advance` needs."""
        return self.regression.through - pd.Timedelta(MEMORY_HOURS * HOUR)

    def advance(self, record: Record) -> Forecaster:
        """This forecaster after the hours of demand that a record knows beyond `regression.through`.

        The version stays the same: only the state of the adaptive regression moves.
        """
        known = np.flatnonzero(~np.isnan(record.seen_mwh))
        newest = record.periods[known[-1]] if len(known) else self.regression.through
        hours = int((newest - self.regression.through) // pd.Timedelta(HOUR))
        if hours <= 0:
            return self
        path = self.outlook.completed(record.observed.until(newest, hours + MEMORY_HOURS))
        demand = record.seen_mwh[: known[-1] + 1][-hours:]
        if len(demand) < hours or len(path.periods) < hours:
            raise ValueError(
                f"the record begins after {self.regression.through}, where the model's state ends"
            )
        return self.after(response_features(path, record.region, last=hours), demand)

    def after(self, responses: Responses, demand: Floats) -> Forecaster:
        """This forecaster after hours whose responses are at hand."""
        return replace(self, regression=self.regression.advance(responses, demand)[0])

    def horizon(self, record: Record, issued_at: datetime) -> Horizon:
        """The 48 hours after the hour of issue, with the weather as forecast at the issue."""
        return weather_horizon(record, self.outlook, pd.Timestamp(issued_at))

    def forecast(self, horizon: Horizon, issued_at: datetime) -> pd.DataFrame:
        """Point forecast and intervals of each hour; see `hours_of`."""
        return self.hours_of(self.stages(horizon, issued_at))

    def stages(self, horizon: Horizon, issued_at: datetime) -> StageForecasts:
        """What each stage predicts; forecast and explanation are made from it.

        Args:
            horizon: the target hours, all after `issued_at`.
            issued_at: when the forecast is made; nothing later is in this forecaster's state.
        """
        regression, correction, trees = self._stages(horizon.responses, issued_at)
        return StageForecasts(horizon, issued_at, regression, correction, trees)

    def hours_of(self, stages: StageForecasts) -> pd.DataFrame:
        """Point forecast and intervals of each hour.

        Returns:
            `period`, `lead_hours`, `predicted_demand_mwh` and the bounds (MWh).
        """
        return self.hours_from(stages, self.quantiles(stages))

    def hours_from(self, stages: StageForecasts, quantiles: Floats) -> pd.DataFrame:
        """What `hours_of` returns, from quantiles (MWh), hours × `PROBABILITIES`."""
        bounds = {
            f"{side}_{level}": bound
            for level in LEVELS
            for side, bound in zip(("lower", "upper"), central_interval(quantiles, level), strict=True)
        }
        return pd.DataFrame(
            {
                "period": stages.horizon.responses.periods,
                "lead_hours": _leads(stages),
                PREDICTED: quantiles[:, MEDIAN],
                **bounds,
            }
        )

    def quantiles(self, stages: StageForecasts) -> Floats:
        """MWh, hours × `PROBABILITIES`; the median is the point forecast."""
        return self._demand(stages, self._percent_errors(stages).T).T

    def gross_quantiles(self, stages: StageForecasts) -> Floats:
        """MWh of gross load, hours × `PROBABILITIES`."""
        return np.asarray(np.exp((stages.total + self._percent_errors(stages).T) / PERCENT).T)

    def joint_distribution(self, stages: StageForecasts) -> JointDistribution:
        """Of these hours, their energy and their peak (MWh)."""
        percent = self._percent_errors(stages)
        paths = self._demand(stages, self.distribution.paths(percent))
        return JointDistribution.of(self._demand(stages, percent.T).T, paths)

    def _percent_errors(self, stages: StageForecasts) -> Floats:
        """Hours × `PROBABILITIES`, percent of log gross load around the forecast."""
        hours = stages.horizon.responses
        spread = stages.horizon.spread(self.regression, stages.regression)
        return self.distribution.percent(spread, _leads(stages), group_of(hours.months, warmth(hours)))

    def _demand(self, stages: StageForecasts, percent_errors: Floats) -> Floats:
        """MWh from errors (percent) × hours."""
        gross = np.exp((stages.total + percent_errors) / PERCENT)
        return np.asarray(gross - stages.horizon.responses.rooftop_mwh)

    def explain(self, stages: StageForecasts) -> pd.DataFrame:
        """What each part adds to the forecast of each hour, MWh.

        Parts are additive in log gross load; `typical` is the load that the coefficients count from, and the
        difference between it and the forecast is shared out in proportion to the parts.

        Returns:
            `period` and the columns of `EXPLANATION`, which add up to the forecast.
        """
        responses = stages.horizon.responses
        each = self.regression.contributions(responses)
        of_group = np.array(self.regression.groups)
        parts = {name: each[:, np.isin(of_group, chosen)].sum(axis=1) for name, chosen in PARTS.items()}
        parts |= {RECENT_ERROR: stages.correction, TREES: stages.trees}
        typical = np.exp(self.regression.reference / PERCENT)
        total = stages.total - self.regression.reference
        predicted = typical * np.exp(total / PERCENT)
        small = np.abs(total) < 1e-9
        per_percent = np.where(small, typical / PERCENT, (predicted - typical) / np.where(small, 1.0, total))
        shares = {name: values * per_percent for name, values in parts.items()}
        columns = {TYPICAL: np.full(len(total), typical), **shares, ROOFTOP: 0.0 - responses.rooftop_mwh}
        return pd.DataFrame({"period": responses.periods, **{name: columns[name] for name in EXPLANATION}})

    def filter_weights(self, stages: StageForecasts) -> pd.DataFrame:
        """How much each filter of the adaptive regression is believed at each hour.

        Returns:
            `period`, and a column for each filter by its pace; each row sums to one.
        """
        hours = stages.horizon.responses
        weights = self.regression.weights[hours.hours]
        names = [f"pace_{pace:g}" for pace in self.regression.recipe.paces]
        return pd.DataFrame({"period": hours.periods, **dict(zip(names, weights.T, strict=True))})

    def sun(self, stages: StageForecasts, record: Record) -> pd.DataFrame:
        """What the sun takes off the load, and may take off it under another sky.

        Args:
            stages: of the forecast.
            record: that the forecast was made from.

        Returns:
            `period` and `SUN` (MWh): the load with what panels behind the meter generate, their generation,
            and the forecast under a sky without and full of clouds, all other weather the same.
        """
        hours = stages.horizon.responses
        rooftop = hours.rooftop_mwh
        predicted = self.hours_of(stages)[PREDICTED].to_numpy()
        columns = {GROSS_MWH: predicted + rooftop, ROOFTOP_MWH: rooftop}
        for name, cover in SKIES.items():
            whole = weather_horizon(record, self.outlook, pd.Timestamp(stages.issued_at), cover)
            first = int((hours.periods[0] - whole.responses.periods[0]) // pd.Timedelta(HOUR))
            horizon = whole.rows(slice(first, first + len(hours.periods)))
            columns[name] = self.forecast(horizon, stages.issued_at)[PREDICTED].to_numpy()
        return pd.DataFrame({"period": hours.periods, **columns})

    def _stages(self, responses: Responses, issued_at: datetime) -> tuple[Floats, Floats, Floats]:
        """Percent of log gross load: the forecast of the regression, and what the other stages add."""
        regression = self.regression.predict(responses)
        nothing = np.zeros(len(regression))
        newest = min(self.regression.through, pd.Timestamp(self.availability.newest_known(issued_at)))
        late = int((self.regression.through - newest) // pd.Timedelta(HOUR))
        known = len(self.regression.innovations) - 1 - late
        distances = np.asarray((responses.periods - newest) // pd.Timedelta(HOUR), dtype=np.int64)
        if self.errors is None:
            return regression, nothing, nothing
        if known < 0:  # an issue long before the state's own time; nothing of it is remembered
            errors = np.zeros((len(regression), self.errors.coefficients.shape[1]))
        else:
            errors = error_features(
                self.regression.innovations, np.full(len(regression), known), known + distances
            )
        correction = self.errors.correction(errors, distances)
        if self.residual is None:
            return regression, correction, nothing
        rows = residual_features(responses, regression, correction, errors, distances)
        return regression, correction, self.residual.correction(rows)


def _leads(stages: StageForecasts) -> Integers:
    issued_at = pd.Timestamp(stages.issued_at).to_pydatetime()
    return np.asarray(lead_hours(stages.horizon.responses.periods, issued_at), dtype=np.int64)
