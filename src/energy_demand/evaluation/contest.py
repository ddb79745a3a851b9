"""The contest: champion and challenger forecast the same days as if they served. Pure.

No day counts whose data either model was trained on.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import pandas as pd

from energy_demand.data.weather_path import MAIN
from energy_demand.evaluation.backtest import COLUMNS, Predict, Protocol, schedule, walk_forward
from energy_demand.evaluation.promotion import judge
from energy_demand.timeaxis import HOUR, day_ahead_issue, local_day, utc_index

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from energy_demand.data.record import Record
    from energy_demand.evaluation.promotion import Verdict
    from energy_demand.model.forecaster import Forecaster
    from energy_demand.model.train import Weather

SHARE_WITH_RUNS = 0.8  # of the days; with fewer, weather as issued covers too little


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
        return pd.DataFrame(columns=["period", "actual_mwh", "challenger_mwh", "champion_mwh", "day"])
    hours = challenger[["period", "actual_mwh", "predicted_mwh"]].rename(
        columns={"predicted_mwh": "challenger_mwh"}
    )
    champion_hours = champion[["period", "predicted_mwh"]].rename(columns={"predicted_mwh": "champion_mwh"})
    both = hours.merge(champion_hours, on="period")
    periods = utc_index(both["period"])
    temperature = pd.Series(record.observed.column(MAIN), index=record.periods)
    return both.assign(
        day=(periods - pd.Timedelta(HOUR)).tz_convert(record.region.zone).date,
        temperature=temperature.reindex(periods).to_numpy(),
    )


def contest(
    tested: pd.DataFrame,
    judged: Forecaster,
    champion: Forecaster,
    record: Record,
    *,
    refit: bool,
    weather: Weather | None = None,
) -> Verdict:
    """The verdict on a challenger, from the days that neither model was trained on.

    Args:
        tested: the judged fit's forecasts of its holdout days, of `day_ahead`.
        judged: the challenger's fit without the holdout.
        champion: the model that serves, as it was trained.
        record: everything known.
        refit: as for `judge`.
        weather: as for `day_ahead`.
    """
    champion_hours = day_ahead(champion, record, unseen_days(record, judged, champion), weather)
    return judge(compared(tested, champion_hours, record), refit=refit)


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
