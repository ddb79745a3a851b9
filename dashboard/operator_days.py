"""Our daily energy beside the grid operator's, for the pages that compare them."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pandas as pd

from dashboard import store
from energy_demand.database import repository
from energy_demand.evaluation.operator_forecast import corrected_daily, sound
from energy_demand.timeaxis import day_periods, local_day

if TYPE_CHECKING:
    from energy_demand.database.judged import Judged

FORECASTS = ["model", "operator", "operator_corrected"]
LEARNING_DAYS = 120  # before the first day, for the bias correction of the operator forecast


def operator_days(which: Judged, days: pd.DataFrame) -> pd.DataFrame:
    """`day`, `actual`, `model`, `operator`, `operator_corrected` (MWh) of the days that all of them have."""
    columns = ["day", "actual", *FORECASTS]
    zone = store.settings().region.zone
    first, last = days["day"].iloc[0], days["day"].iloc[-1]
    begin = first - timedelta(days=LEARNING_DAYS)
    daily = store.read(
        repository.read_daily, which.respondent, which.zone, begin, last, which.now
    ).pivot_table(index="day", columns="series", values="value")
    if not {"D", "DF"} <= set(daily.columns):
        return pd.DataFrame(columns=columns)
    calendar = [each.date() for each in pd.date_range(begin, last, freq="D")]
    daily = daily.reindex(calendar)
    today = local_day(which.now, zone)
    whole = [
        day < today and count == len(day_periods(day, zone))
        for day, count in zip(days["day"], days["hours"], strict=True)
    ]
    model = days[whole].set_index("day")
    table = pd.DataFrame(
        {
            "actual": daily["D"],
            "model": (model["predicted"] * model["hours"]).reindex(calendar),
            "operator": daily["DF"],
            "operator_corrected": corrected_daily(daily["DF"], daily["D"]),
        }
    )
    table = table[sound(table["operator"], table["actual"])].dropna()
    return table.rename_axis("day").reset_index()[columns]


def daily_mape(compared: pd.DataFrame) -> pd.Series:
    """The mean absolute percentage error of each of `FORECASTS` on the days of `operator_days`."""
    return (
        compared[FORECASTS].sub(compared["actual"], axis=0).abs().div(compared["actual"], axis=0).mean() * 100
    )
