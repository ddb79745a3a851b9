"""The recorded world: a folder of files as the real upstreams served them, zeros and gaps left in.

Nothing is repaired or filled here. The one derived column is a forecast's `precipitation`, which
Open-Meteo defines as the sum of rain, showers and snow water and which the record keeps in parts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from energy_demand.sandbox.errors import SandboxDataError
from energy_demand.sandbox.worlds.derived_models import SPAN_HOURS, DerivedModels
from energy_demand.sandbox.worlds.models import RUN_HOURS, model_of
from energy_demand.sandbox.worlds.operator_files import RecordedOperator
from energy_demand.sandbox.worlds.world import (
    BLEND,
    IFS,
    OPERATOR_ZONES,
    SECONDS_PER_HOUR,
    SITES,
    VARIABLES,
    BoolArray,
    FloatArray,
    IntArray,
    Place,
    nearest_site,
    new_york,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

DEMAND_FILE = "ny_demand_hourly.parquet"
DAILY_FILE = "ny_demand_daily_eastern.csv"
OBSERVED_FILE = "ny_weather_observed_hourly.parquet"
FORECAST_FILE = "nyc_weather_forecasts_as_issued.parquet"
OPERATOR_FILE = "ny_operator_forecast_as_issued.parquet"
FORECAST_SITE = "new_york_city"
# The record has the forecasts of one weather model, which goes by these names. Others are derived from it.
FORECAST_MODELS = frozenset({BLEND, IFS})
# Radiation was recorded at one point inland, which stands for every site but the city. A folder may lack it.
RADIATION_FILE, RADIATION = "ny_radiation_observed_hourly.parquet", "shortwave_radiation"

HOURLY_COLUMNS = {"D": "demand_mwh", "DF": "day_ahead_forecast_mwh"}
_DAILY_COLUMNS = {**HOURLY_COLUMNS, "NG": "net_generation_mwh", "TI": "total_interchange_mwh"}
_SNOW_WATER_MM_PER_CM = 10 / 7  # Open-Meteo: 7 cm of snow are 10 mm of water


class RecordedSeries:
    """Series kept densely from the first to the last recorded step; NaN is an absent row."""

    def __init__(self, steps: IntArray, columns: dict[str, FloatArray]) -> None:
        self.names = tuple(columns)
        self.first = int(steps.min())
        self.last = int(steps.max())
        self._dense = {name: _dense(steps, values, self.first, self.last) for name, values in columns.items()}

    def present(self, name: str, steps: IntArray) -> BoolArray:
        """Which of `steps` the record has."""
        inside = (steps >= self.first) & (steps <= self.last)
        found: BoolArray = inside & ~np.isnan(self._at(name, steps))
        return found

    def values(self, name: str, steps: IntArray) -> FloatArray:
        """The recorded values at `steps`, MWh."""
        return self._at(name, steps)

    def _at(self, name: str, steps: IntArray) -> FloatArray:
        return self._dense[name][np.clip(steps, self.first, self.last) - self.first]


class RecordedWeather:
    """Observations by site, and forecasts of New York City as they were issued."""

    def __init__(
        self, observed: pd.DataFrame, forecasts: pd.DataFrame, radiation: pd.DataFrame | None = None
    ) -> None:
        self._observed = {
            str(site): WeatherTable(
                rows
                if radiation is None or site == FORECAST_SITE
                else rows.merge(radiation[["time", RADIATION]], on="time", how="left")
            )
            for site, rows in observed.groupby("site", observed=True)
        }
        ordered = forecasts.sort_values(["issued_at", "time"], ignore_index=True)
        issued = _seconds(ordered["issued_at"])
        self._issues, starts = np.unique(issued, return_index=True)
        self._bounds = np.append(starts, len(ordered))
        self._forecast = WeatherTable(ordered)
        self._derived = DerivedModels(
            lambda hours: self.observed(SITES[FORECAST_SITE], VARIABLES, hours), self._newest_recorded
        )

    def variables_observed(self, place: Place) -> frozenset[str]:
        """The columns of the known site near `place`; none elsewhere."""
        table = self._observed.get(nearest_site(place) or "")
        return frozenset() if table is None else table.variables

    def variables_forecast(self, place: Place, model: str = IFS) -> frozenset[str]:
        """The columns of the recorded forecasts; none for places other than New York City."""
        if nearest_site(place) != FORECAST_SITE:
            return frozenset()
        if model in FORECAST_MODELS:
            return self._forecast.variables
        return (self._forecast.variables | self.variables_observed(place)) - model_of(model).lacks

    def observed(self, place: Place, variables: Sequence[str], hours: IntArray) -> FloatArray:
        """What was measured at the known site near `place`; NaN elsewhere."""
        table = self._observed.get(nearest_site(place) or "")
        return _nothing(variables, hours) if table is None else table.take(slice(None), variables, hours)

    def has_run(self, model: str, run: int) -> bool:
        """Whether the model ran at this hour number; of the recorded one only issues are known, not runs."""
        return model in FORECAST_MODELS or (model_of(model).has_run(run) and run >= self._derived_from)

    def newest_issue(self, *, after: float, by: float, model: str = IFS) -> int | None:
        """The newest recording with after < issued_at ≤ by (seconds since 1970), or run that is derived."""
        if model not in FORECAST_MODELS:
            # Without observations there is nothing to derive a run from.
            by = min(by, float(self._issues[-1]) + (RUN_HOURS - 1) * SECONDS_PER_HOUR)
            run = model_of(model).newest_run(after=after, by=by)
            return run if run is not None and run >= self._derived_from else None
        index = int(np.searchsorted(self._issues, by, side="right")) - 1
        return index if index >= 0 and self._issues[index] > after else None

    def forecast(
        self, issue: int, place: Place, variables: Sequence[str], hours: IntArray, model: str = IFS
    ) -> FloatArray:
        """The values of recording or derived run `issue`; NaN for places other than New York City."""
        found = _nothing(variables, hours)
        if nearest_site(place) != FORECAST_SITE:
            return found
        if model in FORECAST_MODELS:
            return self._forecast.take(slice(self._bounds[issue], self._bounds[issue + 1]), variables, hours)
        inside = (hours >= issue) & (hours < issue + SPAN_HOURS)
        lines = [VARIABLES.index(name) for name in variables]
        found[:, inside] = self._derived.run(model, issue)[lines][:, hours[inside] - issue]
        return found

    @property
    def _derived_from(self) -> int:
        """The hour number of the first run that can be derived: observations of the city begin then."""
        table = self._observed.get(FORECAST_SITE)
        first = self._issues[0] // SECONDS_PER_HOUR if table is None else table.first
        return int(first)

    def _newest_recorded(self, by: float, hours: IntArray) -> FloatArray:
        """`VARIABLES` × hours of the recording that a run published at `by` is derived from."""
        issue = self.newest_issue(after=by - RUN_HOURS * SECONDS_PER_HOUR, by=by)
        if issue is None:
            return _nothing(VARIABLES, hours)
        return self.forecast(issue, SITES[FORECAST_SITE], VARIABLES, hours)


class RecordedWorld:
    """A folder of recorded files served as both upstreams.

    Args:
        data_dir: The folder: `ny_demand_hourly.parquet`, `ny_demand_daily_eastern.csv`,
            `ny_weather_observed_hourly.parquet` and `nyc_weather_forecasts_as_issued.parquet`; optionally
            `ny_operator_forecast_as_issued.parquet`, and for the radiation of the sites upstate
            `ny_radiation_observed_hourly.parquet`.

    Raises:
        SandboxDataError: A file is missing or cannot be read; the message names it.
    """

    kind: Literal["recorded"] = "recorded"

    def __init__(self, data_dir: Path) -> None:
        hourly = read_file(data_dir / DEMAND_FILE, {"period", *HOURLY_COLUMNS.values()})
        daily = read_file(data_dir / DAILY_FILE, {"date_eastern", *_DAILY_COLUMNS.values()})
        observed = read_file(data_dir / OBSERVED_FILE, {"site", "time"})
        forecasts = read_file(data_dir / FORECAST_FILE, {"issued_at", "time", "rain", "showers", "snowfall"})
        water = forecasts["rain"] + forecasts["showers"] + forecasts["snowfall"] * _SNOW_WATER_MM_PER_CM
        days = pd.to_datetime(daily["date_eastern"]).to_numpy().astype("datetime64[D]").astype(np.int64)
        self.hourly = RecordedSeries(hours_of(hourly["period"]), columns_of(hourly, HOURLY_COLUMNS))
        self.daily = RecordedSeries(days, columns_of(daily, _DAILY_COLUMNS))
        file = data_dir / RADIATION_FILE
        radiation = read_file(file, {"time", RADIATION}) if file.is_file() else None
        self.weather = RecordedWeather(observed, forecasts.assign(precipitation=water), radiation)
        self.grids = new_york(self.hourly, self.daily)
        self.operator = _operator(data_dir / OPERATOR_FILE)


class WeatherTable:
    """Rows of weather: their hours, and one float column for each variable the record has."""

    def __init__(self, rows: pd.DataFrame) -> None:
        self._hours = hours_of(rows["time"])
        # Two decimals undo what single precision added to the published figures.
        self._columns = {
            name: np.round(rows[name].to_numpy(np.float64), 2) for name in VARIABLES if name in rows
        }

    @property
    def first(self) -> int:
        """The first hour."""
        return int(self._hours.min())

    @property
    def variables(self) -> frozenset[str]:
        """The variables the record has."""
        return frozenset(self._columns)

    @property
    def variables_known(self) -> frozenset[str]:
        """Those of them with a value in any hour."""
        return frozenset(name for name, values in self._columns.items() if not np.isnan(values).all())

    def take(self, rows: slice, variables: Sequence[str], hours: IntArray) -> FloatArray:
        """The values of `variables` at `hours` (consecutive) out of `rows`."""
        found = _nothing(variables, hours)
        if hours.size == 0:
            return found
        position = self._hours[rows] - hours[0]
        wanted = (position >= 0) & (position < hours.size)
        for line, name in enumerate(variables):
            if name in self._columns:
                found[line, position[wanted]] = self._columns[name][rows][wanted]
        return found


def read_file(path: Path, needed: set[str]) -> pd.DataFrame:
    """A recorded file.

    Raises:
        SandboxDataError: It is missing, cannot be read, or lacks a needed column or any row.
    """
    if not path.is_file():
        raise SandboxDataError(path, "no such file in the recorded data folder")
    try:
        frame = pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise SandboxDataError(path, f"cannot be read ({error})") from error
    missing = sorted(needed - set(frame.columns))
    if missing or frame.empty:
        raise SandboxDataError(path, f"lacks columns {', '.join(missing)}" if missing else "has no rows")
    return frame


def _operator(path: Path) -> RecordedOperator | None:
    if not path.exists():
        return None
    zones = {name.upper() for name in OPERATOR_ZONES}
    return RecordedOperator(read_file(path, {"issued_at", "period", "posted_on_time", *zones}))


def columns_of(frame: pd.DataFrame, names: dict[str, str]) -> dict[str, FloatArray]:
    """The values of each series."""
    return {series: frame[column].to_numpy(np.float64) for series, column in names.items()}


def _seconds(times: pd.Series[pd.Timestamp]) -> IntArray:
    return pd.DatetimeIndex(times).as_unit("s").asi8


def hours_of(times: pd.Series[pd.Timestamp]) -> IntArray:
    """The number of each hour."""
    return _seconds(times) // SECONDS_PER_HOUR


def _dense(steps: IntArray, values: FloatArray, first: int, last: int) -> FloatArray:
    dense = np.full(last - first + 1, np.nan)
    dense[steps - first] = values
    return dense


def _nothing(variables: Sequence[str], hours: IntArray) -> FloatArray:
    return np.full((len(variables), hours.size), np.nan)
