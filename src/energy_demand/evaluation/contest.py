"""The contest: champion and challenger forecast the same days as if they served. Pure.

No day counts whose data either model was trained on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

import pandas as pd

from energy_demand.data.weather_path import MAIN
from energy_demand.evaluation.backtest import COLUMNS, walk_forward
from energy_demand.evaluation.schedule import Predict, Protocol, schedule
from energy_demand.timeaxis import HOUR, day_ahead_issue, local_day, local_days, utc_index

if TYPE_CHECKING:
    from collections.abc import Sequence
    from zoneinfo import ZoneInfo

    from energy_demand.data.record import Record
    from energy_demand.model.forecaster import Forecaster
    from energy_demand.model.train import Weather

HOUR_COLUMNS = ("actual_mwh", "challenger_mwh", "champion_mwh")
SHARE_WITH_RUNS = 0.8  # of the days; with fewer, weather as issued covers too little
YEAR = timedelta(days=365)


@dataclass(frozen=True)
class Promotion:
    """A version that became champion, and by how much it was better than the champion before, percent."""

    version: str
    at: datetime
    gain_percent: float


def unseen_days(record: Record, *models: Forecaster) -> list[date]:
    """Whole local days whose day-ahead forecast is issued after all of the models were trained."""
    zone = record.region.zone
    newest = max(model.trained_through for model in models)
    last = local_day(record.periods[-1].to_pydatetime(), zone)
    first = local_day(newest, zone)
    days = [first + timedelta(days=number) for number in range((last - first).days)]
    return [day for day in days if day_ahead_issue(day, zone) >= newest]


def compared(challenger: pd.DataFrame, champion: pd.DataFrame, record: Record) -> pd.DataFrame:
    """The hours that both forecast, with the columns that `judge` needs.

    Args:
        challenger: of `day_ahead`.
        champion: of `day_ahead`; its actual values are not used.
        record: for the observed temperature and the local days.
    """
    if challenger.empty or champion.empty:
        return no_hours()
    hours = challenger[["period", "actual_mwh", "predicted_mwh"]].rename(
        columns={"predicted_mwh": "challenger_mwh"}
    )
    champion_hours = champion[["period", "predicted_mwh"]].rename(columns={"predicted_mwh": "champion_mwh"})
    both = hours.merge(champion_hours, on="period")
    periods = utc_index(both["period"])
    temperature = pd.Series(record.observed.column(MAIN), index=record.periods)
    return both.assign(
        day=local_days(periods, record.region.zone).date,
        temperature=temperature.reindex(periods).to_numpy(),
    )


def no_hours() -> pd.DataFrame:
    """No hours, in the columns that `judge` needs."""
    return pd.DataFrame(columns=["period", *HOUR_COLUMNS, "day", "temperature"])


def contest(
    tested: pd.DataFrame,
    judged: Forecaster,
    champion: Forecaster,
    record: Record,
    *,
    weather: Weather,
    best: Forecaster | None = None,
) -> pd.DataFrame:
    """The days that neither model was trained on, forecast by both, as `judge` takes them.

    Args:
        tested: the judged fit's forecasts of its holdout days, of `day_ahead`.
        judged: the challenger's fit without the holdout.
        champion: the model that serves, as it was trained.
        record: everything known.
        weather: that `tested` was forecast with.
        best: the best champion of the last year, where that is another one.
    """
    days = unseen_days(record, judged, champion)
    hours = compared(tested, day_ahead(champion, record, days, weather), record)
    if best is None or hours.empty:
        return hours
    of_best = day_ahead(best, record, unseen_days(record, judged, champion, best), weather)
    return hours.merge(
        of_best[["period", "predicted_mwh"]].rename(columns={"predicted_mwh": "best_mwh"}),
        on="period",
        how="left",
    )


def best_of_year(promotions: Sequence[Promotion], now: datetime) -> str | None:
    """The version among the champions of the year before `now` that the chain of contests says is best.

    The gains of the promotions add up to how good each champion was relative to the first; the champion that
    served a year ago counts as well.

    Args:
        promotions: in order of time; their gains are against the champion before.
        now: of the contest.
    """
    began = now - YEAR
    before = [each for each in promotions if each.at <= began][-1:]
    level = 0.0
    levels: dict[str, float] = {}
    for each in [*before, *(each for each in promotions if began < each.at <= now)]:
        level += math.log1p(each.gain_percent / 100) if levels else 0.0
        levels[each.version] = level
    return max(levels, key=lambda version: levels[version]) if levels else None


def day_ahead(
    model: Forecaster, record: Record, days: list[date], weather: Weather | None = None
) -> pd.DataFrame:
    """The day-ahead forecasts of a frozen model, its state refreshed every day; `walk_forward`'s columns.

    By default the weather is as issued where most of the days have a weather run, otherwise observed.
    """
    if not days:
        return pd.DataFrame(columns=list(COLUMNS))
    zone = record.region.zone
    events = (
        event for event in schedule(Protocol.DAY_AHEAD, days[0], days[-1], zone) if isinstance(event, Predict)
    )
    return walk_forward(
        record,
        events,
        protocol=Protocol.DAY_AHEAD,
        weather=weather or weather_of(record, days),
        availability=model.availability,
        model=model,
    )


def weather_of(record: Record, days: list[date]) -> Weather:
    """`as_issued` where most of the days have a fresh weather run, else `observed`."""
    issues = utc_index(pd.DatetimeIndex([day_ahead_issue(day, record.region.zone) for day in days]))
    fresh = record.issued.fresh(issues).mean()
    return "as_issued" if fresh >= SHARE_WITH_RUNS else "observed"


def holdout_error(tested: pd.DataFrame, zone: ZoneInfo) -> dict[str, float]:
    """The error on the holdout days, which later days of a champion are compared with.

    Args:
        tested: forecasts of the holdout days, of `day_ahead`.
        zone: of the local days.

    Returns:
        `test_mape` (percent), `test_first_day`, `test_last_day` (as the number YYYYMMDD); empty where no hour
        can be scored.
    """
    known = tested.dropna(subset=["actual_mwh", "predicted_mwh"])
    if known.empty:
        return {}
    days = (utc_index(known["period"]) - pd.Timedelta(HOUR)).tz_convert(zone)
    percent_error = 100 * (known["predicted_mwh"] - known["actual_mwh"]).abs() / known["actual_mwh"]
    return {
        "test_mape": float(percent_error.mean()),
        "test_first_day": float(f"{days[0]:%Y%m%d}"),
        "test_last_day": float(f"{days[-1]:%Y%m%d}"),
    }
