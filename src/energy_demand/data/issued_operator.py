"""The grid operator's forecast as it was known at an issue. Pure.

A yardstick beside the model's forecasts, never an input of them.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pandas as pd

from energy_demand.timeaxis import utc_index

NEW_YORK = ZoneInfo("America/New_York")
# When NYISO posts a file, on the day before its first day: never before, and at the latest on a usual day.
EARLIEST_POSTING, USUAL_POSTING = time(7, 5), time(7, 45)


def posted_after(day: date) -> datetime:
    """The earliest time (UTC) at which the file of `day` can be posted: 07:05 local on the day before."""
    return _on_the_day_before(day, EARLIEST_POSTING)


def usually_posted_by(day: date) -> datetime:
    """When the file of `day` is posted by on a usual day (UTC): 07:45 local on the day before."""
    return _on_the_day_before(day, USUAL_POSTING)


def late_before(issued_at: datetime, day: date) -> datetime:
    """A posting of hours of `day` from before this time (UTC) is not the newest usually known at `issued_at`.

    The newest file with those hours is that of the day itself, or before its posting that of an earlier day.
    """
    tomorrow = issued_at.astimezone(NEW_YORK).date() + timedelta(days=1)
    newest = tomorrow if usually_posted_by(tomorrow) <= issued_at else tomorrow - timedelta(days=1)
    return posted_after(min(newest, day))


def _on_the_day_before(day: date, clock: time) -> datetime:
    return datetime.combine(day - timedelta(days=1), clock, tzinfo=NEW_YORK).astimezone(UTC)


def known_at_issue(postings: pd.DataFrame, targets: pd.DataFrame) -> pd.Series:
    """The operator's forecast of each target hour as known at its issue; see `posting_at_issue`.

    Returns:
        MWh by the index of `targets`; NaN where no posting forecasts the hour by then.
    """
    return posting_at_issue(postings, targets)["forecast_mwh"].rename("operator_mwh")


def posting_at_issue(postings: pd.DataFrame, targets: pd.DataFrame) -> pd.DataFrame:
    """The newest posting of each target hour that was known at its issue.

    Args:
        postings: `period`, `issued_at`, `forecast_mwh`, in any order; of postings at the same time the last
            row counts.
        targets: `period` and `issued_at` (of our forecast), UTC.

    Returns:
        `forecast_mwh` and `posted_at` (UTC) by the index of `targets`; NaN and NaT where no posting
        forecasts the hour by then.
    """
    ours = pd.DataFrame(
        {
            "period": utc_index(targets["period"]),
            "at": utc_index(targets["issued_at"]),
            "row": range(len(targets)),
        }
    ).sort_values("at", kind="stable")
    posted_at = utc_index(postings["issued_at"])
    theirs = pd.DataFrame(
        {
            "period": utc_index(postings["period"]),
            "at": posted_at,
            "posted_at": posted_at,
            "forecast_mwh": postings["forecast_mwh"].to_numpy(dtype=float),
        }
    ).sort_values("at", kind="stable")
    found = pd.merge_asof(ours, theirs, on="at", by="period", direction="backward").sort_values("row")
    return found[["forecast_mwh", "posted_at"]].set_index(targets.index)
