"""What a scheduled forecast might have said of a day's peak."""

from __future__ import annotations

from typing import TYPE_CHECKING

from energy_demand.model.day_peak import PREDICTED, DayPeak
from energy_demand.region import NEW_YORK
from energy_demand.timeaxis import day_ahead_issue, day_periods

if TYPE_CHECKING:
    from datetime import date

ZONE = NEW_YORK.zone


def peak(day: date, *, alert: bool) -> DayPeak:
    """What might have been said of a day."""
    issued = day_ahead_issue(day, ZONE)
    return DayPeak(
        day=day,
        issued_at=issued,
        model_version="1",
        quality="champion",
        quantiles={0.1: 23_000.0, 0.5: 24_000.0, 0.9: 25_000.0},
        hours=[
            {
                "period": period.to_pydatetime(),
                PREDICTED: 20_000.0,
                "probability": 0.5 if at in {17, 18} else 0.0,
            }
            for at, period in enumerate(day_periods(day, ZONE))
        ],
        so_far_mwh=22_000.0,
        day_mwh=23_000.0,
        hour_mwh=23_500.0,
        to_come=0.5,
        so_far_probability=0.9,
        day_probability=0.8,
        hour_probability=0.7,
        needed_probability=0.2,
        alerts_before=0,
        alert=alert,
        made_at=issued,
    )
