"""The days on which a source of data was at fault, and the errors of the weather forecast by day. Pure.

A day is at fault where fewer than `FEWEST_HOURS_OF_DAY` of its hours have what the source should have given.
A source that never gave anything is not at fault.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from energy_demand.columns import ANSWERS, OWN_ANSWERS
from energy_demand.data.weather_path import COLUMN, MAIN
from energy_demand.model.forecast import LATE_HOURS
from energy_demand.timeaxis import (
    FEWEST_HOURS_OF_DAY,
    HOUR,
    day_ahead_issue,
    local_day,
    local_days,
    utc_index,
)

if TYPE_CHECKING:
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from energy_demand.arrays import Booleans
    from energy_demand.data.record import Record

WEATHER_RUNS, OBSERVATIONS, DEMAND, FALLBACK = "weather runs", "observed weather", "demand", "fallback"
SOURCES = (WEATHER_RUNS, OBSERVATIONS, DEMAND, FALLBACK)
# The sources that residuals given the observed weather, and the columns of the drift check, are based on.
OBSERVED = (OBSERVATIONS, DEMAND)
_FAULTS = {
    WEATHER_RUNS: "weather runs were missing or old",
    OBSERVATIONS: "observed weather of a site was missing",
    DEMAND: "demand was late, missing or in doubt",
    FALLBACK: "a fallback answered",
}
FIRST_LEAD, LAST_LEAD = 16, 39  # of the local day after an issue at 09:00


def faulty_days(record: Record, start: datetime, *, runs: bool) -> pd.DataFrame:
    """Whether each source was at fault on each local day after `start`, from what is stored.

    Args:
        record: may reach beyond the present; a day depends only on its own hours and on those before.
        start: days from here on.
        runs: whether forecasts use the recorded weather runs.

    Returns:
        Columns `SOURCES`, by local day (naive midnight): demand and observations of the day itself, and the
        weather runs known when the day was forecast.
    """
    periods, zone = record.periods, record.region.zone
    late = periods > pd.Timestamp(start)
    days = local_days(periods[late], zone)
    believed = pd.Series(~np.isnan(record.seen_mwh[late])).groupby(days).sum()
    missing = _without_observations(record, periods[late])
    observed = pd.Series(~missing).groupby(days).sum()
    found = pd.DataFrame(
        {
            WEATHER_RUNS: False,
            OBSERVATIONS: observed < FEWEST_HOURS_OF_DAY,
            DEMAND: believed < FEWEST_HOURS_OF_DAY,
            FALLBACK: False,
        }
    )
    if runs and len(record.issued.issued_at):
        issues = _issues(pd.DatetimeIndex(found.index), zone)
        began = issues > record.issued.issued_at[0]
        found[WEATHER_RUNS] = began & ~record.issued.fresh(issues)
    return found


def faulty_answers(forecasts: pd.DataFrame, zone: ZoneInfo) -> pd.DataFrame:
    """The same by what the scheduled forecasts say of themselves.

    Args:
        forecasts: `timestamp`, `quality`, and `demand_age_hours`, the age of the newest demand at the issue.
        zone: of the days.
    """
    days = local_days(utc_index(forecasts["timestamp"]), zone)
    answered = forecasts["quality"]
    table = pd.DataFrame(
        {
            WEATHER_RUNS: answered == ANSWERS[1],
            OBSERVATIONS: False,
            DEMAND: forecasts["demand_age_hours"] > LATE_HOURS,
            FALLBACK: ~answered.isin(OWN_ANSWERS),
        }
    )
    return pd.DataFrame(table.groupby(days).mean() >= 0.5)


def together(*tables: pd.DataFrame) -> pd.DataFrame:
    """A day is at fault where one of the tables says so."""
    return pd.DataFrame(pd.concat(tables).groupby(level=0).max().astype(bool).sort_index())


def inputs_at_fault(faults: pd.DataFrame) -> pd.Series:
    """Whether the forecast of each day lacked something.

    It is based on weather runs, and on demand and observations up to the morning before: of two days.
    """
    at_issue = faults[list(OBSERVED)].any(axis=1)
    known = pd.DatetimeIndex(faults.index)
    found = faults[[WEATHER_RUNS, FALLBACK, DEMAND]].any(axis=1)
    for back in (1, 2):
        before = at_issue.reindex(known - pd.Timedelta(days=back), fill_value=False)
        found = found | before.to_numpy()
    return found


def fault_lines(faults: pd.DataFrame, sources: tuple[str, ...] = SOURCES) -> tuple[str, ...]:
    """One phrase for each source that was at fault on one of the days."""
    return tuple(
        f"{_FAULTS[source]} on {count} of {len(faults)} days"
        for source in sources
        if (count := int(faults[source].sum()))
    )


def daily_weather_errors(record: Record, start: datetime, now: datetime) -> pd.DataFrame:
    """Day-ahead temperature errors of the main site, by whole local day after `start` and before `now`.

    Returns:
        `bias` (mean of forecast minus observed) and `mae`, °C; NaN where no fresh run was known at 09:00 of
        the day before, or too few hours were observed.
    """
    zone = record.region.zone
    days = pd.date_range(local_day(start, zone) + timedelta(days=1), local_day(now, zone) - timedelta(days=1))
    empty = pd.DataFrame({"bias": np.nan, "mae": np.nan}, index=days)
    if len(record.issued.issued_at) == 0 or len(days) == 0:
        return empty
    issues = _issues(days, zone)
    column = COLUMN[MAIN]
    forecast = record.issued.around(issues, 0, LAST_LEAD)[:, FIRST_LEAD:, column]
    leads = np.arange(FIRST_LEAD, LAST_LEAD + 1)
    positions = np.asarray((issues - record.periods[0]) // pd.Timedelta(HOUR))[:, None] + leads
    inside = (positions >= 0) & (positions < len(record.periods))
    values = record.observed.column(MAIN)[np.clip(positions, 0, len(record.periods) - 1)]
    error = forecast - np.where(inside, values, np.nan)
    usable = record.issued.fresh(issues) & ((~np.isnan(error)).sum(axis=1) >= FEWEST_HOURS_OF_DAY)
    table = pd.DataFrame(error, index=days)
    found = pd.DataFrame({"bias": table.mean(axis=1), "mae": table.abs().mean(axis=1)})
    found.loc[~usable] = np.nan
    return found


def _issues(days: pd.DatetimeIndex, zone: ZoneInfo) -> pd.DatetimeIndex:
    return utc_index(pd.DatetimeIndex([day_ahead_issue(day.date(), zone) for day in days]))


def _without_observations(record: Record, periods: pd.DatetimeIndex) -> Booleans:
    """Hours without a temperature of a site that had one before."""
    at = utc_index(record.weather["timestamp"])
    chosen = record.weather[at >= periods[0]] if len(periods) else record.weather.iloc[:0]
    temperatures = chosen.assign(at=utc_index(chosen["timestamp"])).pivot_table(
        index="at", columns="site", values="temperature_2m", aggfunc="last"
    )
    known = temperatures.reindex(periods).notna()
    return np.asarray((known.cummax() & ~known).any(axis=1), dtype=bool)
