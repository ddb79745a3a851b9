"""The hours that a forecast is asked for, with how unsure their weather is. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from energy_demand.data.issued_weather import WEIGHED_DAYS
from energy_demand.data.weather_path import COLUMN, MAIN, REST, WeatherPath
from energy_demand.model.stages.response_features import MEMORY_HOURS, Responses, responses_of
from energy_demand.model.weather.issues import LEADS, issues_at

if TYPE_CHECKING:
    from energy_demand.arrays import Booleans, Floats, Integers
    from energy_demand.data.record import Record
    from energy_demand.model.stages.adaptive_regression import AdaptiveRegression
    from energy_demand.model.weather.outlook import Outlook
    from energy_demand.model.weather.past_errors import PastErrors
    from energy_demand.region import Region


# °C of uncertainty of forecast temperatures, for the width of an interval. On as-issued days of 2023-12 …
# 2024-07, quantiles learnt in the cold half and tried in the warm one, and the reverse, covered best so.
DOUBT = 0.6
# Squared errors of the temperature a day ahead were 1.58 + 0.32 spread² (°C²) of the runs on 2024-03 … 07,
# here in units of their mean; a single run has no spread.
CERTAIN_PART, SPREAD_PART = 0.78, 0.16
# Without a run the guessed temperature is two to three times as far off.
DOUBT_WITHOUT_RUN = 1.5
# Hours of observed weather that weigh several weather models: their issues, and what each of those looks at.
WEIGHED_HOURS = 24 * (WEIGHED_DAYS + 3)


@dataclass(frozen=True)
class Horizon:
    """Target hours.

    Attributes:
        responses: of the expected weather.
        warmer: of the same hours one degree warmer; None where the weather is certain.
        has_run: whether a weather forecast was known for each hour; None where the weather is certain.
        weather: the expected weather that `responses` are made of; None where the weather is certain.
        doubt: °C of uncertainty of the temperature; None where the weather is certain.
    """

    responses: Responses
    warmer: Responses | None = None
    has_run: Booleans | None = None
    weather: WeatherPath | None = None
    doubt: Floats | None = None

    def rows(self, chosen: slice | Integers) -> Horizon:
        """Some of the hours."""
        if self.warmer is None or self.has_run is None or self.doubt is None:
            return Horizon(self.responses.rows(chosen))
        weather = self.weather and WeatherPath(self.weather.periods[chosen], self.weather.values[chosen])
        return Horizon(
            self.responses.rows(chosen),
            self.warmer.rows(chosen),
            self.has_run[chosen],
            weather,
            self.doubt[chosen],
        )

    def spread(self, regression: AdaptiveRegression, predicted: Floats) -> Floats:
        """Percent: recent errors at each clock hour, and what uncertain weather adds to them.

        Args:
            regression: the first stage.
            predicted: what it predicts for these hours, percent of log gross load.
        """
        recent = regression.spread(self.responses.hours)
        if self.warmer is None or self.doubt is None:
            return recent
        per_degree = regression.predict(self.warmer) - predicted
        return np.asarray(np.sqrt(recent**2 + (self.doubt * per_degree) ** 2))


def weather_horizon(
    record: Record,
    outlook: Outlook,
    issued_at: pd.Timestamp,
    cover: float | None = None,
    past_errors: PastErrors | None = None,
) -> Horizon:
    """The 48 hours after the hour of issue, with the weather as forecast at `issued_at`.

    With `cover`, their sky has that cloud cover (percent) in place of the forecast one. `past_errors` of
    several weather models are computed where they are not given.
    """
    hour = issued_at.floor("h")
    past = outlook.completed(record.observed.until(hour, MEMORY_HOURS))
    several = bool(record.other_runs) and past_errors is None
    known = outlook.completed(record.observed.until(hour, WEIGHED_HOURS)) if several else past
    path, has_run, spread = outlook.horizon(known, record.issued, issued_at, record.other_runs, past_errors)
    if cover is not None:
        path = outlook.under_clouds(path, cover)
    return _horizon(past, path, has_run, spread, record.region)


def weather_horizons(
    record: Record, outlook: Outlook, issues: pd.DatetimeIndex, observed: WeatherPath
) -> list[Horizon]:
    """`weather_horizon` of many issues at once, for a record with one weather model.

    `observed` is the record's observed weather with its gaps filled by the outlook.
    """
    at = issues_at(issues, observed, record.issued, outlook.zone)
    expected, has_run, spread = outlook.of_one_model(at)
    return [
        _horizon(
            observed.until(hour, MEMORY_HOURS),
            WeatherPath(hour + pd.to_timedelta(LEADS, unit="h"), expected[number]),
            has_run[number],
            spread[number],
            record.region,
        )
        for number, hour in enumerate(at.hours)
    ]


def _horizon(
    past: WeatherPath, path: WeatherPath, has_run: Booleans, spread: Floats, region: Region
) -> Horizon:
    """The hours of `path`, which follows `past`."""
    warm = path.values.copy()
    warm[:, [COLUMN[MAIN], COLUMN[REST]]] += 1.0
    paths = [past.then(each) for each in (path, WeatherPath(path.periods, warm))]
    responses, warmer = responses_of(paths, region, last=len(path.periods))
    return Horizon(responses, warmer, has_run, path, doubt_of(spread, has_run))


def weather_of(horizon: Horizon) -> WeatherPath:
    """The expected weather.

    Raises:
        ValueError: it is certain; then it is not kept.
    """
    if horizon.weather is None:
        raise ValueError("a horizon of certain weather is for backtests alone")
    return horizon.weather


def doubt_of(spread: Floats, has_run: Booleans) -> Floats:
    """°C of uncertainty of each hour's temperature, from the spread of the runs (°C; NaN: a single run)."""
    with_run = np.where(np.isnan(spread), DOUBT, DOUBT * np.sqrt(CERTAIN_PART + SPREAD_PART * spread**2))
    return np.where(has_run, with_run, DOUBT_WITHOUT_RUN)
