"""The hours that a forecast is asked for, with how unsure their weather is. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from energy_demand.data.weather_path import MAIN, PATH_COLUMNS, REST, WeatherPath
from energy_demand.model.stages.response_features import MEMORY_HOURS, Responses, response_features

if TYPE_CHECKING:
    from energy_demand.arrays import Floats, Integers
    from energy_demand.data.record import Record
    from energy_demand.model.stages.adaptive_regression import AdaptiveRegression
    from energy_demand.model.weather.outlook import Outlook


# °C by which foreseen temperatures are unsure, in the width of an interval. On as-issued days of 2023-12 …
# 2024-07, quantiles learnt in the cold half and tried in the warm one, and the reverse, covered best so.
DOUBT = 0.6
# Without a run the guessed temperature is two to three times as far off.
DOUBT_WITHOUT_RUN = 1.5


@dataclass(frozen=True)
class Horizon:
    """Target hours.

    Attributes:
        responses: of the weather that is expected.
        warmer: of the same hours one degree warmer; None where the weather is certain.
        doubt: °C by which each hour's temperature is unsure.
    """

    responses: Responses
    warmer: Responses | None = None
    doubt: Floats | None = None

    def rows(self, chosen: slice | Integers) -> Horizon:
        """Some of the hours."""
        if self.warmer is None or self.doubt is None:
            return Horizon(self.responses.rows(chosen))
        return Horizon(self.responses.rows(chosen), self.warmer.rows(chosen), self.doubt[chosen])

    def spread(self, regression: AdaptiveRegression) -> Floats:
        """Percent: recent errors at each clock hour, and what doubtful weather adds to them."""
        recent = regression.spread(self.responses.hours)
        if self.warmer is None or self.doubt is None:
            return recent
        per_degree = regression.predict(self.warmer) - regression.predict(self.responses)
        return np.asarray(np.sqrt(recent**2 + (self.doubt * per_degree) ** 2))


def weather_horizon(record: Record, outlook: Outlook, issued_at: pd.Timestamp) -> Horizon:
    """The 48 hours after the hour of issue as they were foreseen at `issued_at`."""
    hour = issued_at.floor("h")
    past = outlook.completed(record.observed.until(hour, MEMORY_HOURS))
    path = outlook.horizon(past, record.issued, issued_at)
    warm = path.values.copy()
    warm[:, [PATH_COLUMNS.index(MAIN), PATH_COLUMNS.index(REST)]] += 1.0
    hours = len(path.periods)
    said = record.issued.around(pd.DatetimeIndex([issued_at]), 0, hours)[0, 1:, PATH_COLUMNS.index(MAIN)]
    return Horizon(
        response_features(past.then(path), record.region, last=hours),
        response_features(past.then(WeatherPath(path.periods, warm)), record.region, last=hours),
        np.where(np.isnan(said), DOUBT_WITHOUT_RUN, DOUBT),
    )
