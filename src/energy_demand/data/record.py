"""What is known of a region on one hourly axis: demand, observed weather, forecasts as issued. Pure.

Training, backtests and serving all start from a record; `cut_at` cuts it to what was known at a time.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from energy_demand.columns import TARGET_COLUMN
from energy_demand.data.issued_weather import IssuedWeather, issued_weather
from energy_demand.data.vintages import DemandAsKnown, truth_as_known, vintages_of
from energy_demand.data.weather_path import WeatherPath, weather_path
from energy_demand.timeaxis import Availability, hourly, utc_index

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from energy_demand.arrays import Floats
    from energy_demand.data.vintages import Vintages
    from energy_demand.region import Region


@dataclass(frozen=True)
class Record:
    """A region's hours.

    Attributes:
        region: whose.
        demand: `period` (every hour), `demand_mwh` (screened causally) and, where it is loaded to train or
            to score, `truth_mwh`; `seen_mwh` without the hours that screening imputed; NaN: not known.
        weather: rows of observed weather: `timestamp`, `site`, Open-Meteo's variables.
        forecasts: rows of weather forecasts, with `issued_at`.
        observed: the weather path of the same hours as `demand`.
        issued: the runs in `forecasts`, of the first weather model.
        vintages: earlier values of demand that was revised, for backtests; `demand` has the newest values.
        other_runs: the runs of the other weather models by name; empty where one model is listed.
    """

    region: Region
    demand: pd.DataFrame
    weather: pd.DataFrame
    forecasts: pd.DataFrame
    observed: WeatherPath
    issued: IssuedWeather
    vintages: Vintages | None = None
    other_runs: Mapping[str, IssuedWeather] = field(default_factory=dict)

    @property
    def periods(self) -> pd.DatetimeIndex:
        """UTC, hour ending, every hour."""
        return self.observed.periods

    @property
    def demand_mwh(self) -> Floats:
        """Demand as a forecast sees it."""
        return self.demand[TARGET_COLUMN].to_numpy(dtype=float)

    @property
    def seen_mwh(self) -> Floats:
        """Demand that was served and believed: what the state of a model learns from."""
        return self.demand["seen_mwh"].to_numpy(dtype=float)

    @property
    def truth_mwh(self) -> Floats:
        """Demand to train on and to score against."""
        return self.demand["truth_mwh"].to_numpy(dtype=float)

    def position(self, period: datetime) -> int:
        """Index of an hour."""
        return self.observed.position(pd.Timestamp(period))

    def cut_at(self, as_of: datetime, availability: Availability) -> Record:
        """The record as known at a time.

        Demand is known once its publication delay has passed, observed weather at its time, a forecast
        when it was issued. Hours after `as_of` are gone. With `vintages`, hours that were revised later have
        the value of `as_of`, screened with the values of that time.
        """
        cut = pd.Timestamp(as_of)
        demand = self._demand_at(cut, availability)
        size = len(demand)
        return Record(
            region=self.region,
            demand=demand,
            weather=self.weather[utc_index(self.weather["timestamp"]) <= cut],
            forecasts=self.forecasts[utc_index(self.forecasts["issued_at"]) <= cut],
            observed=WeatherPath(self.observed.periods[:size], self.observed.values[:size]),
            issued=self.issued.until(cut),
            vintages=None if self.vintages is None else self.vintages.cut_at(as_of, size),
            other_runs={model: runs.until(cut) for model, runs in self.other_runs.items()},
        )

    def demand_as_known(self) -> DemandAsKnown | None:
        """Demand at past times, in any order of them; None without vintages: then no hour was revised."""
        if self.vintages is None:
            return None
        return DemandAsKnown(self.periods, self.vintages, self.demand_mwh, self.seen_mwh, self.region)

    def up_to(self, end: datetime, availability: Availability) -> Record:
        """The record without what is known after `end`; values that were revised since stay the newest."""
        if self.vintages is None:
            return self.cut_at(end, availability)
        cut = replace(self, vintages=None).cut_at(end, availability)
        return replace(cut, vintages=self.vintages.first(len(cut.periods)))

    def _demand_at(self, cut: pd.Timestamp, availability: Availability) -> pd.DataFrame:
        """Demand of the hours up to `cut`, NaN where it was not known."""
        demand = self.demand[utc_index(self.demand["period"]) <= cut].copy()
        unknown = utc_index(demand["period"]) > pd.Timestamp(availability.newest_known(cut.to_pydatetime()))
        demand.loc[unknown, [column for column in demand if column != "period"]] = np.nan
        known = self.demand_as_known()
        if known is None or self.vintages is None:
            return demand
        known.at(cut)
        size = int((~unknown).sum())
        values = {TARGET_COLUMN: known.demand_mwh, "seen_mwh": known.seen_mwh}
        if "truth_mwh" in demand:
            periods, truth = self.periods[:size], self.truth_mwh[:size]
            values["truth_mwh"] = truth_as_known(periods, self.vintages, truth, cut, self.region)
        for name, column in values.items():
            demand.loc[~unknown, name] = column[:size]
        return demand


def make_record(
    demand_df: pd.DataFrame,
    weather_df: pd.DataFrame,
    forecasts_df: pd.DataFrame,
    region: Region,
    end: datetime,
    vintages_df: pd.DataFrame | None = None,
    other_runs: Mapping[str, IssuedWeather] | None = None,
) -> Record:
    """A record of the hours from the first of demand to `end`.

    Args:
        demand_df: `period`, `demand_mwh`, and optionally `truth_mwh` and `imputed` or `seen_mwh`.
        weather_df: observed weather by `timestamp` and `site`.
        forecasts_df: forecasts by `issued_at`, `timestamp` and `site`; may be empty.
        region: whose.
        end: the last hour.
        vintages_df: all vintages of the hours that were revised, see `vintages_of`; `demand_df` then needs
            `served_mwh`.
        other_runs: the runs of the other weather models by name.

    Raises:
        ValueError: there are no hours of demand.
    """
    if demand_df.empty:
        raise ValueError("a record needs hours of demand")
    at = utc_index(demand_df["period"])
    periods = hourly(at.min(), max(at.max(), pd.Timestamp(end).floor("h")))
    columns = [column for column in (TARGET_COLUMN, "truth_mwh") if column in demand_df]
    seen = demand_df[TARGET_COLUMN].astype(float)
    if "imputed" in demand_df:
        seen = seen.mask(demand_df["imputed"].astype(bool))
    elif "seen_mwh" in demand_df:  # rebuilt from the hours of another record
        seen = seen.where(demand_df["seen_mwh"].notna())
    given = demand_df[columns].astype(float).assign(seen_mwh=seen)
    demand = given.set_index(at).reindex(periods)
    vintages = None
    if vintages_df is not None and len(vintages_df):
        served = demand_df["served_mwh"].astype(float).set_axis(at).reindex(periods)
        vintages = vintages_of(periods, np.asarray(served, dtype=np.float64), vintages_df)
    return Record(
        region=region,
        demand=demand.rename_axis("period").reset_index(),
        weather=weather_df,
        forecasts=forecasts_df,
        observed=weather_path(weather_df, periods, region),
        issued=issued_weather(forecasts_df, region),
        vintages=vintages,
        other_runs=dict(other_runs or {}),
    )
