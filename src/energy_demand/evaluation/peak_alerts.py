"""Replays alerts of peak days: how many of a year's ten highest hours they hold. Pure.

A day is judged by the demand known when its forecast was issued; the truth only scores.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pandas as pd

from energy_demand.model.distribution import PROBABILITIES, QUANTILES
from energy_demand.model.peaks import HIGHEST, AlertRule, Chances, standings
from energy_demand.timeaxis import local_days, utc_index

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date
    from zoneinfo import ZoneInfo

    from energy_demand.timeaxis import Availability


def chances_of_days(
    days: pd.DataFrame, demand: pd.Series, zone: ZoneInfo, availability: Availability
) -> pd.DataFrame:
    """The chances of each forecast day by what was known at its issue.

    Args:
        days: `issued_at`, `first` (the day's first period), and the quantiles of its peak in `QUANTILES`.
        demand: MWh by period, as a forecast sees it; may go on after the issues.
        zone: of the local days.
        availability: the publication delay of demand.

    Returns:
        A row for each day, in order: `day`, the fields of `Chances` and of `Standings`.
    """
    rows = []
    for row in days.sort_values("issued_at").to_dict("records"):
        day = local_days(pd.DatetimeIndex([row["first"]]), zone)[0].date()
        known = standings(demand.loc[: availability.newest_known(row["issued_at"])], day, zone)
        chances = Chances.of({p: row[q] for p, q in zip(PROBABILITIES, QUANTILES, strict=True)}, known)
        rows.append({"day": day, **asdict(chances), **asdict(known)})
    return pd.DataFrame(rows)


def alerted_days(chances: pd.DataFrame, rule: AlertRule) -> list[date]:
    """The days of `chances_of_days` that the rule alerts, in order; each year starts with none."""
    alerted: list[date] = []
    for row in chances.to_dict("records"):
        used = sum(day.year == row["day"].year for day in alerted)
        if row["hour_probability"] >= rule.needed(used, row["to_come"]):
            alerted.append(row["day"])
    return alerted


def score_years(
    alerted: Iterable[date], truth: pd.Series, years: Iterable[int], zone: ZoneInfo
) -> dict[str, Any]:
    """How the alerts of some years did.

    Args:
        alerted: days.
        truth: MWh by period; NaN where it is not truth.
        years: that are scored.
        zone: of the local days.

    Returns:
        By year and in the mean of the years: `alerted_days`; `hours` and `days`, how many of the ten highest
        of the year lay in alerted days.
    """
    known = truth.dropna()
    of_period = local_days(utc_index(pd.DatetimeIndex(known.index)), zone)
    chosen = {pd.Timestamp(day) for day in alerted}
    table = {}
    for year in years:
        of_year = known[of_period.year == year].sort_values(ascending=False, kind="stable")
        days = local_days(utc_index(pd.DatetimeIndex(of_year.index)), zone)
        table[year] = {
            "alerted_days": sum(day.year == year for day in chosen),
            "hours": int(days[:HIGHEST].isin(list(chosen)).sum()),
            "days": int(days.unique()[:HIGHEST].isin(list(chosen)).sum()),
        }
    frame = pd.DataFrame(table).T
    return {"years": {str(year): row for year, row in table.items()}, "mean": frame.mean().round(2).to_dict()}
