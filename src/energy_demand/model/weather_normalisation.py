"""Weather-normalised demand: what demand would have been in usual weather. Pure.

Usual weather is not a mean of weather: the response of demand bends, so a mild mean day uses less than the
mean of a hot and a cold one. Each hour is therefore put into the weather that was observed at the same time
of other years, and the demand of all these cases is averaged (Hong, Wilson and Xie 2014, Long term
probabilistic load forecasting and normalization with hourly information, IEEE Transactions on Smart Grid 5,
456-462). Each year is also moved by some days to both sides, as PJM rotates its weather (Manual 19).

The same years of weather and the same response serve every day, so neither of them can look like growth. The
response is that of the slowest filter: the others follow the newest weeks, which say little of other years.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from energy_demand.data.irradiance import clear_sky
from energy_demand.data.weather_path import MAIN, REST, WeatherPath
from energy_demand.errors import UserError
from energy_demand.model.stages.adaptive_regression import PERCENT
from energy_demand.model.stages.estimated_weather import with_estimates
from energy_demand.model.stages.response_features import (
    MEMORY_HOURS,
    WATTS_PER_KILOWATT,
    YEAR_DAYS,
    season_of,
    weather_columns,
)
from energy_demand.model.stages.rooftop_solar import rooftop_generation
from energy_demand.region import centre
from energy_demand.timeaxis import HOUR, local_days

if TYPE_CHECKING:
    from datetime import date

    from energy_demand.arrays import Booleans, Floats, Integers
    from energy_demand.data.record import Record
    from energy_demand.model.forecaster import Forecaster

FEWEST_YEARS, MOST_YEARS = 3, 10  # of observed weather
SHIFT_DAYS = (-6, -4, -2, 0, 2, 4, 6)
DAY_HOURS = 24
AT_ONCE = 24  # cases side by side: with more they leave the cache
CHUNK_HOURS = 365 * DAY_HOURS
COMPARED_SHARE = 0.8  # of the days of a month or year: with fewer its change says little
DEMAND, NORMALISED, TEMPERATURE = "demand_mwh", "normalised_mwh", "temperature"


class TooFewYearsError(UserError, ValueError):
    """Too little weather is stored to say what is usual."""


@dataclass(frozen=True)
class NormalisedDemand:
    """Observed and weather-normalised demand of some local days.

    Attributes:
        days: `day` (naive midnight), `demand_mwh`, `normalised_mwh` and `temperature` (mean of the region,
            °C) of each day that all is known of.
        years: how many years of weather are the usual one.
        weather_from: local day of the first of them.
        weather_to: local day of the last of them.
        without_demand: days left out because demand of some hour is unknown or doubted.
        without_weather: days left out because weather was not observed in some hour, or in fewer than
            `FEWEST_YEARS` years at its time of the year.
    """

    days: pd.DataFrame
    years: int
    weather_from: date
    weather_to: date
    without_demand: int
    without_weather: int

    def by(self, unit: str) -> pd.DataFrame:
        """Energy by month (`M`) or year (`Y`), and its change against the one a year before.

        Changes compare the mean of a day, so that days left out and leap days do not count as change.

        Returns:
            `period`, `days`, `demand_mwh`, `normalised_mwh`, `temperature` (mean), and `demand_change` and
            `normalised_change` (percent; NaN where either has fewer than `COMPARED_SHARE` of its days).
        """
        periods = pd.PeriodIndex(self.days["day"], freq=unit)
        groups = self.days.groupby(periods)
        sums, counts = groups[[DEMAND, NORMALISED]].sum(), groups.size()
        at = pd.PeriodIndex(sums.index)
        whole = (at.end_time - at.start_time).days + 1
        mean = sums.div(counts, axis=0)[np.asarray(counts >= COMPARED_SHARE * whole)]
        before = mean.reindex(at - (12 if unit == "M" else 1)).set_axis(at)
        change = PERCENT * (mean.reindex(at) / before - 1.0)
        return pd.DataFrame(
            {
                "period": sums.index.astype(str),
                "days": counts.to_numpy(),
                **{name: sums[name].to_numpy() for name in sums},
                TEMPERATURE: groups[TEMPERATURE].mean().to_numpy(),
                "demand_change": change[DEMAND].to_numpy(),
                "normalised_change": change[NORMALISED].to_numpy(),
            }
        )


class Usual(NamedTuple):
    """The weather that counts as usual: hours of a record, and how many years they are."""

    hours: Booleans
    years: int


def normalised(forecaster: Forecaster, record: Record, periods: pd.DatetimeIndex) -> NormalisedDemand:
    """Demand of whole local days as it came, and in usual weather.

    Gross load takes the response of the adaptive regression; panels behind the meter generate what they
    would have in the same weather with the capacity of the time.

    Args:
        forecaster: its state brought up to the end of the record.
        record: with truth, demand and observed weather; its hours are all that is known.
        periods: of the days, consecutive.

    Raises:
        TooFewYearsError: fewer than `FEWEST_YEARS` years of weather are stored.
    """
    zone = record.region.zone
    observed = ~np.isnan(record.observed.column(MAIN)) | ~np.isnan(record.observed.column(REST))
    observed[: _first(observed) + MEMORY_HOURS] = False  # the response depends on the hours before
    usual = usual_weather(observed)
    positions = (periods - record.periods[0]) // pd.Timedelta(HOUR)
    inside = np.asarray((positions >= 0) & (positions < len(record.periods)))
    at = np.asarray(positions[inside], dtype=np.int64)
    path = forecaster.outlook.completed(record.observed)
    path = with_estimates(path, record.region, clear_sky(path.periods, *centre(record.region.sites)))
    hours = pd.DataFrame(np.nan, index=periods, columns=[DEMAND, NORMALISED, TEMPERATURE])
    hours.loc[inside, DEMAND] = record.truth_mwh[at]
    hours.loc[inside, TEMPERATURE] = _temperature(path, record)[at]
    cases = np.concatenate(
        [
            _usual_demand(forecaster, record, path, usual, at[first : first + CHUNK_HOURS])
            for first in range(0, len(at), CHUNK_HOURS)
        ]
        or [np.empty(0)]
    )
    hours.loc[inside, NORMALISED] = np.where(observed[at], cases, np.nan)
    of_day = hours.groupby(local_days(periods, zone))
    known = of_day.count() == of_day.size().to_numpy()[:, None]
    whole = known[DEMAND] & known[NORMALISED]
    sums = of_day.sum().assign(**{TEMPERATURE: of_day[TEMPERATURE].mean()})[whole]
    of_usual = local_days(record.periods[usual.hours], zone)
    return NormalisedDemand(
        sums.rename_axis("day").reset_index(),
        usual.years,
        of_usual[0].date(),
        of_usual[-1].date(),
        int((~known[DEMAND]).sum()),
        int((known[DEMAND] & ~known[NORMALISED]).sum()),
    )


def usual_weather(observed: Booleans) -> Usual:
    """The newest whole years of observed weather, at most `MOST_YEARS`.

    Args:
        observed: of each hour of a record, whether its weather was.

    Raises:
        TooFewYearsError: there are fewer than `FEWEST_YEARS`.
    """
    stored = float(observed.sum() / (YEAR_DAYS * DAY_HOURS))
    years = min(int(stored), MOST_YEARS)
    if years < FEWEST_YEARS:
        raise TooFewYearsError(
            f"{stored:.1f} years of observed weather are stored and usable, and usual weather needs at least "
            f"{FEWEST_YEARS}; run `energy-demand backfill --start` with an earlier day"
        )
    hours = observed.copy()
    newest = len(observed) - int(np.argmax(observed[::-1]))
    hours[: max(0, newest - round(years * YEAR_DAYS) * DAY_HOURS)] = False
    return Usual(hours, years)


def _usual_demand(
    forecaster: Forecaster, record: Record, path: WeatherPath, usual: Usual, at: Integers
) -> Floats:
    """Mean demand (MWh) of consecutive hours over the weather of all usual years; NaN where unknown."""
    region, regression, size = record.region, forecaster.regression.slowest, len(at)
    axis = np.arange(max(0, at[0] - MEMORY_HOURS), at[-1] + 1)
    periods = path.periods[axis]
    local = (periods - pd.Timedelta(HOUR)).tz_convert(region.zone)
    clock = local[-size:].hour.to_numpy(dtype=np.int64)
    weekend = (local.dayofweek >= 5).astype(float)[:, None]
    season = season_of(local.dayofyear.to_numpy(dtype=float))[:, None]
    clear = clear_sky(periods, *centre(region.sites))[:, None] / WATTS_PER_KILOWATT

    def respond(moved: Integers) -> tuple[Floats, Floats]:
        """Percent of log gross load, and rooftop generation (MWh): hours × cases."""
        from_hour = axis[:, None] - moved
        there = (from_hour >= 0) & (from_hour < len(path.periods))
        values = path.values[np.where(there, from_hour, 0)]
        values[~there] = np.nan
        stack = WeatherPath(periods, np.moveaxis(values, 2, 1))
        load = np.zeros((size, len(moved)))

        def add(_group: str, name: str, column: Floats) -> None:
            nonlocal load
            load += regression.effect(name, np.broadcast_to(column[-size:], load.shape), clock)

        weather_columns(add, stack, weekend, season, region, clear)
        return load, rooftop_generation(stack, region)[-size:]

    came, rooftop = respond(np.zeros(1, dtype=np.int64))
    gross = record.truth_mwh[at] + rooftop[:, 0]
    total, count = np.zeros(size), np.zeros(size)
    moves = _moves(usual, at)
    for first in range(0, len(moves), AT_ONCE):
        moved = moves[first : first + AT_ONCE]
        load, generated = respond(moved)
        known = _of(usual.hours, at[:, None] - moved)
        demand = gross[:, None] * np.exp((load - came) / PERCENT) - generated
        total += np.where(known, demand, 0.0).sum(axis=1)
        count += known.sum(axis=1)
    enough = count > (FEWEST_YEARS - 1) * len(SHIFT_DAYS)  # so they are of that many years
    return np.where(enough, total / np.maximum(count, 1.0), np.nan)


def _moves(usual: Usual, at: Integers) -> Integers:
    """By how many hours weather is moved to these hours from others of the same time of the year.

    Whole days of UTC: weather follows the sun, not the clock.
    """
    years = int(len(usual.hours) / (YEAR_DAYS * DAY_HOURS)) + 2
    moved = np.array(
        [
            (round(YEAR_DAYS * year) + shift) * DAY_HOURS
            for year in range(-years, years + 1)
            for shift in SHIFT_DAYS
        ]
    )
    return moved[[bool(_of(usual.hours, at - each).any()) for each in moved]]


def _of(hours: Booleans, at: Integers) -> Booleans:
    """The values at some positions; False outside."""
    inside = (at >= 0) & (at < len(hours))
    return np.asarray(inside & hours[np.where(inside, at, 0)])


def _first(hours: Booleans) -> int:
    return int(np.argmax(hours)) if hours.any() else len(hours)


def _temperature(path: WeatherPath, record: Record) -> Floats:
    sites = record.region.sites
    share = sites[0].weight / sum(site.weight for site in sites)
    return np.asarray(share * path.column(MAIN) + (1.0 - share) * path.column(REST))
