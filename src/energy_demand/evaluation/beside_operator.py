"""Our forecast beside the grid operator's, and the combination of the two. Pure.

Backtests, live scores and forecasts use the same function, `with_issued_operator`. It never changes ours
alone. Each hour uses what was known at the issue of its forecast: postings and errors alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from energy_demand.data.issued_operator import late_before, posting_at_issue
from energy_demand.evaluation.combination import combined
from energy_demand.evaluation.operator_forecast import corrected_hourly, sound
from energy_demand.timeaxis import HOUR, day_ahead_issue, local_days, utc_index, utc_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from energy_demand.timeaxis import Availability

OURS = "predicted_mwh"
ISSUED, ISSUED_CORRECTED = "operator_issued_mwh", "operator_issued_corrected_mwh"
COMBINATION, OUR_WEIGHT, POSTED_AT = "combination_mwh", "our_weight", "operator_posted_at"
ADDED = (ISSUED, ISSUED_CORRECTED, POSTED_AT, COMBINATION, OUR_WEIGHT)
# What a forecast learns from: four half-lives of the weight, so 6 % of its past is left out.
LEARNT_DAYS = 240


def with_issued_operator(
    hours: pd.DataFrame,
    postings: pd.DataFrame,
    truth: pd.Series,
    zone: ZoneInfo,
    availability: Availability,
    issue_of: Callable[[pd.DatetimeIndex], pd.DatetimeIndex],
) -> pd.DataFrame:
    """Forecast hours with the operator's forecast from its own postings, as known at each issue.

    It touches no other column: of our forecast nothing changes, nor which hours are scored elsewhere.

    Args:
        hours: `period`, `issued_at`, `actual_mwh` and `predicted_mwh`, as of `walk_forward`.
        postings: `period`, `issued_at`, `forecast_mwh`, from well before the window; may be empty.
        truth: MWh by period, from as far back.
        zone: of the local hours.
        availability: the publication delay of demand.
        issue_of: when our forecast of each period is issued.

    Returns:
        With `operator_issued_mwh`, `operator_issued_corrected_mwh` and `operator_posted_at`, NaN and NaT
        where nothing was posted by then; and with `combination_mwh` of the corrected one and ours and
        `our_weight` in it: ours and 1 where nothing was posted by then, NaN where nothing was ever.
    """
    periods = utc_index(pd.DatetimeIndex(postings["period"].unique())).sort_values()
    if periods.empty:
        never = pd.Series(pd.NaT, index=hours.index, dtype="datetime64[us, UTC]")
        return hours.assign(**dict.fromkeys(ADDED, np.nan)).assign(**{POSTED_AT: never})
    issues = issue_of(periods)
    targets = pd.DataFrame({"period": periods, "issued_at": issues})
    known = posting_at_issue(postings, targets).set_index(periods)
    published = known["forecast_mwh"].where(known["forecast_mwh"] > 0)
    corrected = corrected_hourly(published, truth.reindex(periods), zone, availability, issues)
    wanted = pd.DatetimeIndex(hours["period"])
    found = hours.assign(
        **{
            ISSUED: published.reindex(wanted).to_numpy(dtype=float),
            ISSUED_CORRECTED: corrected.reindex(wanted).to_numpy(dtype=float),
            POSTED_AT: known["posted_at"].reindex(wanted).array,
        }
    )
    # An outage of the publication, or a wrong value of demand, teaches nothing.
    believed = found["actual_mwh"].where(sound(found[ISSUED], found["actual_mwh"]))
    mixed = combined(found.assign(actual_mwh=believed), OURS, ISSUED_CORRECTED, zone, availability)
    return found.assign(**{COMBINATION: mixed["combined_mwh"], OUR_WEIGHT: mixed["weight"]})


@dataclass(frozen=True)
class KnownOperator:
    """What is stored of the operator's forecast and of our own, to combine a new forecast from.

    Attributes:
        postings: `period`, `issued_at`, `forecast_mwh`.
        logged: our day-ahead forecasts as they were logged: `period`, `issued_at`, `predicted_mwh`.
        truth: MWh by period.
    """

    postings: pd.DataFrame
    logged: pd.DataFrame
    truth: pd.Series

    def at(self, issued_at: datetime, availability: Availability) -> KnownOperator:
        """What of it was known at an issue."""
        postings, logged = (
            frame[np.asarray(utc_index(frame["issued_at"]) <= pd.Timestamp(issued_at))]
            for frame in (self.postings, self.logged)
        )
        newest = pd.Timestamp(availability.newest_known(issued_at))
        return KnownOperator(postings, logged, self.truth[self.truth.index <= newest])


@dataclass(frozen=True)
class BesideOperator:
    """A forecast beside the operator's.

    Attributes:
        hours: `period`, and the columns that `with_issued_operator` adds; NaN and NaT where no posting was
            known in time.
        learnt_hours: hours of our logged forecasts that the weight is learnt from; 0: it is the default.
    """

    hours: pd.DataFrame
    learnt_hours: int

    @property
    def covered(self) -> pd.Series:
        """Whether each hour has the operator's forecast."""
        return self.hours[ISSUED].notna()

    @property
    def posted_at(self) -> datetime | None:
        """When the newest posting was posted that is used; None where none is."""
        newest = self.hours[POSTED_AT].max()
        return None if pd.isna(newest) else newest.to_pydatetime()

    def add_to(self, body: dict[str, Any], name: str) -> dict[str, Any]:
        """The JSON of the forecast with that of the operator's beside it; nothing of ours is changed.

        Args:
            body: of `Forecast.to_json`.
            name: whose forecast it is.
        """
        warned = {**body, "warnings": [*body["warnings"], *self.warnings()]}
        if self.posted_at is None:
            return warned
        hours = [
            {**hour, "operator": _hour_json(row)} if there else hour
            for hour, row, there in zip(
                body["hours"], self.hours.to_dict("records"), self.covered, strict=True
            )
        ]
        about = {"name": name, "posted_at": utc_text(self.posted_at), "learnt_hours": self.learnt_hours}
        return {**warned, "hours": hours, "operator": about}

    def warnings(self) -> list[str]:
        """What is missing, a sentence each."""
        missing = int((~self.covered).sum())
        if not missing:
            return []
        hours = f"{missing} of {len(self.hours)} hours"
        return [f"the grid operator's newest forecast of {hours} is not stored; they have no combination"]


def beside_operator(
    forecast: pd.DataFrame,
    issued_at: datetime,
    stored: KnownOperator,
    zone: ZoneInfo,
    availability: Availability,
) -> BesideOperator:
    """The hours of a forecast beside the operator's and combined with it, from what was known at its issue.

    The weight is learnt from the errors of our logged day-ahead forecasts and the operator's on the same
    hours, as in a backtest; without logged forecasts both count the same. A posting that is older than the
    one usually known at that time of the day counts as missing.

    Args:
        forecast: `period` and `predicted_demand_mwh`.
        issued_at: of the forecast.
        stored: it may contain what became known later.
        zone: of the local hours.
        availability: the publication delay of demand.
    """
    known = stored.at(issued_at, availability)
    asked = utc_index(forecast["period"])
    issue = pd.Timestamp(issued_at)
    past = known.logged[~utc_index(known.logged["period"]).isin(asked)]
    new_mwh = forecast["predicted_demand_mwh"].to_numpy(dtype=float)
    hours = pd.DataFrame(
        {
            "period": utc_index(pd.DatetimeIndex(utc_index(past["period"]).append(asked))),
            "issued_at": utc_index(past["issued_at"]).append(pd.DatetimeIndex([issue] * len(asked))),
            OURS: np.concatenate([past[OURS].to_numpy(dtype=float), new_mwh]),
        }
    )
    hours["actual_mwh"] = known.truth.reindex(hours["period"]).to_numpy(dtype=float)

    def issue_of(periods: pd.DatetimeIndex) -> pd.DatetimeIndex:
        return _issues(periods, asked, issue, zone)

    found = with_issued_operator(hours, known.postings, known.truth, zone, availability, issue_of)
    learnt = int(found[["actual_mwh", ISSUED]].notna().all(axis=1).sum())
    new = found.iloc[len(past) :].reset_index(drop=True)
    days = (new["period"] - pd.Timedelta(HOUR)).dt.tz_convert(zone).dt.date
    late = {day: pd.Timestamp(late_before(issued_at, day)) for day in days.unique()}
    in_time = new[POSTED_AT] >= days.map(late)
    return BesideOperator(
        pd.DataFrame({"period": new["period"], **{name: new[name].where(in_time) for name in ADDED}}), learnt
    )


def _hour_json(row: dict[Any, Any]) -> dict[str, float]:
    return {
        "published_mwh": round(float(row[ISSUED]), 1),
        "corrected_mwh": round(float(row[ISSUED_CORRECTED]), 1),
        "our_weight": round(float(row[OUR_WEIGHT]), 3),
        "combination_mwh": round(float(row[COMBINATION]), 1),
    }


def logged_issues(
    periods: pd.DatetimeIndex, logged: pd.Series, issued_at: pd.Series, zone: ZoneInfo
) -> pd.DatetimeIndex:
    """When our forecast of each period was issued: as logged, else at 09:00 on the day before.

    Args:
        periods: UTC.
        logged: the periods of logged forecasts.
        issued_at: of each of these.
        zone: of the local days.
    """
    known = pd.Series(utc_index(issued_at), index=utc_index(logged))
    usual = _issues(periods, periods[:0], pd.Timestamp.max.tz_localize("UTC"), zone)
    return utc_index(known.reindex(periods).fillna(pd.Series(usual, index=periods)))


def _issues(
    periods: pd.DatetimeIndex, asked: pd.DatetimeIndex, issue: pd.Timestamp, zone: ZoneInfo
) -> pd.DatetimeIndex:
    """09:00 on the day before, as our logged forecasts; the issue itself for the asked hours."""
    numbers, days = pd.factorize(local_days(periods, zone))
    of_day = [min(pd.Timestamp(day_ahead_issue(day.date(), zone)), issue) for day in days]
    issues = utc_index(pd.DatetimeIndex(of_day))[numbers]
    return issues.where(~periods.isin(asked), issue)
