"""The year's peaks: what a forecast says of a day's, stored with the scheduled one, and the year so far.

A decision uses the demand known at the issue and the alerts given by then, nothing later.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from energy_demand.database import peaks, predictions, repository
from energy_demand.model.day_peak import DayPeak, by_probability
from energy_demand.model.forecaster import PREDICTED
from energy_demand.model.peaks import (
    ALERT_RULE,
    EARLIER_YEARS,
    Chances,
    PeakForecast,
    highest,
    standings,
)
from energy_demand.monitoring.stored_peaks import stored_peak, stored_year
from energy_demand.timeaxis import HOUR, local_day, local_midnight, utc_index

if TYPE_CHECKING:
    from datetime import datetime

    import sqlalchemy as sa

    from energy_demand.model.forecast import Forecast
    from energy_demand.region import Region


def day_peak(
    connection: sa.Connection, region: Region, forecast: Forecast, day: date, made_at: datetime
) -> DayPeak:
    """What a forecast of all hours of a local day says of its peak, and whether the day is to be alerted."""
    peak = PeakForecast.of(forecast)
    first = date(day.year - EARLIER_YEARS, 1, 1)
    known = standings(_demand(connection, region, first, forecast.issued_at), day, region.zone)
    chances = Chances.of(peak.quantiles, known)
    alerted = peaks.read_alerts(connection, region.respondent, day.year, forecast.issued_at)
    before = sum(each < day for each in alerted)
    needed = ALERT_RULE.needed(before, known.to_come)
    probability = chances.hour_probability
    return DayPeak(
        day=day,
        issued_at=forecast.issued_at,
        model_version=forecast.model_version,
        quality=forecast.quality,
        quantiles={at: round(mwh, 1) for at, mwh in peak.quantiles.items()},
        hours=[
            {
                "period": hour["period"].to_pydatetime(),
                PREDICTED: round(hour[PREDICTED], 1),
                "probability": None if np.isnan(hour["probability"]) else round(hour["probability"], 3),
            }
            for hour in peak.hours.to_dict("records")
        ],
        **asdict(known),
        **asdict(chances),
        needed_probability=needed,
        alerts_before=before,
        alert=probability is not None and probability >= needed,
        made_at=made_at,
    )


def store_peak(connection: sa.Connection, respondent: str, peak: DayPeak) -> None:
    """Store it; one of the same day and issue stays as it was."""
    row = {name: value for name, value in vars(peak).items() if name not in {"quantiles", "hours"}}
    hours = [{**hour, "period": hour["period"].isoformat()} for hour in peak.hours]
    peaks.insert_peak(
        connection,
        {**row, "respondent": respondent, "peak_quantiles": by_probability(peak.quantiles), "hours": hours},
    )


def peaks_body(
    connection: sa.Connection, region: Region, now: datetime, day: date, forecast: Forecast | None = None
) -> dict[str, Any]:
    """The body of `peaks --json` and `GET /peaks`: a day's probabilities, and its year so far.

    Args:
        connection: to the stored data.
        region: whose.
        now: nothing that became known later is read.
        day: local; its year is shown.
        forecast: of the day, for one of which no scheduled forecast is stored.
    """
    peak = stored_peak(connection, region, day, now)
    if peak is None and forecast is not None:
        peak = day_peak(connection, region, forecast, day, now)
    zone, respondent = region.zone, region.respondent
    of_day = {each.day: each for each in stored_year(connection, region, day.year, now)}
    is_over = day.year < local_day(now, zone).year
    end = local_midnight(date(day.year + 1, 1, 1), zone) if is_over else now
    days, hours = highest(_demand(connection, region, date(day.year, 1, 1), end, as_of=now), zone)
    periods = [each.to_pydatetime() for each in {*days["period"], *hours["period"]}]
    given = predictions.read_day_ahead(connection, respondent, zone.key, periods, now)

    def shown(row: dict[Any, Any]) -> dict[str, Any]:
        of_row, period = of_day.get(row["day"].date()), row["period"].to_pydatetime()
        return {
            "day": row["day"].date(),
            "period": period,
            "demand_mwh": round(row["demand_mwh"], 1),
            "predicted_demand_mwh": None if period not in given else round(given[period], 1),
            "hour_probability": None if of_row is None else of_row.to_json(zone)["hour_probability"],
            "alert": None if of_row is None else of_row.alert,
        }

    return {
        "region": respondent,
        "as_of": now,
        "day": day,
        "peak": None if peak is None else peak.to_json(zone),
        "year": day.year,
        "alert_days": ALERT_RULE.alert_days,
        "alerted_days": [each.day for each in of_day.values() if each.alert],
        "highest_days": [shown(row) for row in days.to_dict("records")],
        "highest_hours": [shown(row) for row in hours.to_dict("records")],
    }


def _demand(
    connection: sa.Connection, region: Region, first: date, end: datetime, *, as_of: datetime | None = None
) -> pd.Series:
    """Demand by period from a local day on, as known at `as_of`; hours that are not truth are left out."""
    start = local_midnight(first, region.zone) + HOUR
    rows = repository.read_truth(connection, region.respondent, start, end, as_of or end)
    return pd.Series(rows["value"].to_numpy(dtype=float), index=utc_index(rows["period"]))
