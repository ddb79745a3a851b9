"""How much of the year-on-year change of monthly energy the weather was, and whether any of it is left.

Reads the database of the settings, which must be backfilled, and the champion, whose response is used.

    .venv/bin/python benchmarks/normalisation.py --json

`correlations` are those of each month's demand with its degree days, both as deviations (demand in percent)
from the mean of the same calendar month of all years, and both without their linear trend over the years.
`changes` likewise are those of year-on-year changes of both. `left` is the percent of the raw demand's slope
on these degree days that normalised demand still has. Months that are not whole are left out.
"""

from __future__ import annotations

import argparse
import json
import sys
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from answers import answer_alone
from energy_demand.config import load_settings
from energy_demand.database.engine import opened
from energy_demand.jobs.weather_normalisation import weather_normalised
from energy_demand.model.weather_normalisation import DEMAND, NORMALISED, TEMPERATURE
from energy_demand.registry.registry import Registry
from energy_demand.timeaxis import parse_day

if TYPE_CHECKING:
    from energy_demand.model.weather_normalisation import NormalisedDemand

START, END = date(2016, 2, 1), date(2025, 7, 31)
BASE = 18.0  # °C, of degree days
# Calendar months in which degree days of a kind count.
SEASONS = {"heating": (11, 12, 1, 2, 3), "cooling": (6, 7, 8, 9)}
WHOLE = 0.8  # of the days of a month


def measure(found: NormalisedDemand) -> dict[str, Any]:
    """The figures of normalised days."""
    temperature = found.days[TEMPERATURE]
    days = found.days.assign(
        heating=np.maximum(BASE - temperature, 0.0), cooling=np.maximum(temperature - BASE, 0.0)
    )
    month = pd.PeriodIndex(days["day"], freq="M")
    groups = days.drop(columns="day").groupby(month)
    months = groups.mean()
    index = pd.PeriodIndex(months.index)
    months = months[np.asarray(groups.size() >= WHOLE * index.days_in_month)]
    index = pd.PeriodIndex(months.index)
    before = months.reindex(index - 12).set_axis(index)
    change = months - before
    percent = {name: 100.0 * change[name] / before[name] for name in (DEMAND, NORMALISED)}
    usual = months.groupby(index.month).transform("mean")
    deviation = months - usual
    relative = {name: 100.0 * deviation[name] / usual[name] for name in (DEMAND, NORMALISED)}
    years = {
        name: found.by("Y").set_index("period")[f"{name}_change"].dropna().round(2).to_dict()
        for name in ("demand", "normalised")
    }
    return {
        "months": len(months),
        "changes_compared": int(change[DEMAND].notna().sum()),
        "standard_deviation_of_changes_percent": {
            name: round(float(values.std()), 2) for name, values in percent.items()
        },
        "correlations": {
            f"{season} degree days": {
                name: _correlation(relative[name], deviation[season], index, chosen) for name in relative
            }
            for season, chosen in SEASONS.items()
        },
        "changes": {
            f"{season} degree days": {
                name: round(float(percent[name][index.month.isin(chosen)].corr(change[season])), 2)
                for name in percent
            }
            for season, chosen in SEASONS.items()
        },
        "left": {
            f"{season} degree days": _left(relative, deviation[season], index, chosen)
            for season, chosen in SEASONS.items()
        },
        "annual_changes_percent": years,
        "days": len(found.days),
        "days_without_demand": found.without_demand,
        "days_without_weather": found.without_weather,
        "usual_weather": {
            "years": found.years,
            "from": str(found.weather_from),
            "to": str(found.weather_to),
        },
    }


def _correlation(
    demand: pd.Series, degree_days: pd.Series, index: pd.PeriodIndex, chosen: tuple[int, ...]
) -> float:
    both = [_without_trend(values, index, chosen) for values in (demand, degree_days)]
    return round(float(np.corrcoef(*both)[0, 1]), 2)


def _left(
    demand: dict[str, pd.Series], degree_days: pd.Series, index: pd.PeriodIndex, chosen: tuple[int, ...]
) -> float:
    by = _without_trend(degree_days, index, chosen)
    slope = {name: by @ _without_trend(values, index, chosen) for name, values in demand.items()}
    return round(100.0 * float(slope[NORMALISED] / slope[DEMAND]), 1)


def _without_trend(values: pd.Series, index: pd.PeriodIndex, chosen: tuple[int, ...]) -> np.ndarray:
    mine = np.asarray(index.month.isin(chosen))
    years, of = np.asarray(index.year)[mine].astype(float), values.to_numpy()[mine]
    return of - np.polyval(np.polyfit(years, of, 1), years)


def main() -> None:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--start", type=parse_day, default=START)
    parser.add_argument("--end", type=parse_day, default=END)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    chosen = parser.parse_args()
    with answer_alone():
        settings = load_settings()
        with opened(settings) as database:
            forecaster = Registry(settings).champion().forecaster
            found = weather_normalised(
                database, forecaster, settings, settings.present(), chosen.start, chosen.end
            )
        figures = measure(found)
    print(json.dumps(figures, indent=None if chosen.json else 2))


if __name__ == "__main__":
    sys.exit(main())
