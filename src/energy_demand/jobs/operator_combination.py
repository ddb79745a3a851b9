"""A forecast beside the grid operator's and combined with it, where the setting is on.

Ours alone is made without it and stays as it is. What breaks here costs the combination, never the forecast.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pandas as pd

from energy_demand.columns import OPERATOR, OWN_ANSWERS, SYSTEM
from energy_demand.database import operator_forecasts, predictions, repository
from energy_demand.evaluation.beside_operator import (
    ISSUED,
    LEARNT_DAYS,
    OURS,
    BesideOperator,
    KnownOperator,
    beside_operator,
    logged_issues,
    with_issued_operator,
)
from energy_demand.evaluation.report import operator_comparison
from energy_demand.timeaxis import local_midnight, utc_index

if TYPE_CHECKING:
    from datetime import date, datetime

    import sqlalchemy as sa

    from energy_demand.config import Settings
    from energy_demand.database.engine import Database
    from energy_demand.model.forecast import Forecast
    from energy_demand.region import Region
    from energy_demand.timeaxis import Availability

UNREADABLE = "the grid operator's forecast could not be read; these hours have no combination with it"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CombinedForecast:
    """Our forecast, and what stands beside it.

    Attributes:
        ours: ours alone.
        operator: beside the operator's; None where the setting is off or nothing could be read.
        unreadable: the setting is on and nothing could be read.
    """

    ours: Forecast
    operator: BesideOperator | None = None
    unreadable: bool = False

    def warnings(self) -> list[str]:
        """What a reader must know before trusting it, a sentence each."""
        beside = [] if self.operator is None else self.operator.warnings()
        return [*self.ours.warnings(), *beside, *([UNREADABLE] if self.unreadable else [])]

    def to_json(self, *, explain: bool = False, quantiles: bool = False) -> dict[str, Any]:
        """The body that `forecast --json` and `GET /forecast` give."""
        body = self.ours.to_json(explain=explain, quantiles=quantiles)
        if self.operator is not None:
            return self.operator.add_to(body, OPERATOR)
        return {**body, "warnings": self.warnings()}


def combine(database: Database | None, settings: Settings, forecast: Forecast) -> CombinedForecast:
    """The forecast with the operator's beside it as known at its issue; without, where that cannot be had.

    Args:
        database: None where it is away.
        settings: whose region and whether the operator's forecast is wanted.
        forecast: ours alone.
    """
    if settings.operator_forecast is None:
        return CombinedForecast(forecast)
    if database is None:
        return CombinedForecast(forecast, unreadable=True)
    try:
        region, issued_at = settings.region, forecast.issued_at
        end = forecast.hours["period"].iloc[-1].to_pydatetime()
        with database.transaction() as connection:
            stored = read_known(connection, region, issued_at, end, forecast.quality)
        beside = beside_operator(forecast.hours, issued_at, stored, region.zone, settings.availability)
    except Exception as error:  # noqa: BLE001  (ours alone is there, whatever breaks the combination)
        _log.warning("no combination with the operator's forecast: %s", error, exc_info=error)
        return CombinedForecast(forecast, unreadable=True)
    return CombinedForecast(forecast, beside)


def read_known(
    connection: sa.Connection, region: Region, issued_at: datetime, end: datetime, quality: str
) -> KnownOperator:
    """What was known at an issue of the operator's forecasts of the hours until `end`, and of our own.

    A fallback's forecast, by its `quality`, learns nothing from the champion's errors: they are not its own.
    """
    start = issued_at - timedelta(days=LEARNT_DAYS)
    respondent, zone = region.respondent, region.zone.key
    postings = operator_forecasts.read_postings(connection, OPERATOR, SYSTEM, start, end, issued_at)
    truth = repository.read_truth(connection, respondent, start, issued_at, issued_at)
    logged = predictions.read_points(connection, respondent, zone, start, issued_at)
    own = logged["quality"].isin(OWN_ANSWERS if quality in OWN_ANSWERS else ())
    ours = logged.loc[own, ["timestamp", "issued_at", "predicted_demand"]]
    return KnownOperator(
        postings,
        ours.rename(columns={"timestamp": "period", "predicted_demand": OURS}),
        pd.Series(truth["value"].to_numpy(dtype=float), index=utc_index(truth["period"])),
    )


def live_scores(
    connection: sa.Connection,
    region: Region,
    availability: Availability,
    first: date,
    last: date,
    now: datetime,
) -> dict[str, Any] | None:
    """Scores of our logged forecasts of local days, the operator's, and the combination, on the same hours.

    As `operator_forecast` of `backtest --json`, each hour with what was known at its issue. Fallbacks do not
    count.

    Args:
        connection: to the database.
        region: whose.
        availability: the publication delay of demand.
        first: the first local day.
        last: the last one, included.
        now: postings and demand that became known later are not read.

    Returns:
        None where no hour has demand, a forecast of ours and one of the operator's.
    """
    respondent, zone = region.respondent, region.zone
    begin = local_midnight(first, zone)
    end = min(local_midnight(last + timedelta(days=1), zone), now)
    start = begin - timedelta(days=LEARNT_DAYS)
    postings = operator_forecasts.read_postings(connection, OPERATOR, SYSTEM, start, end, now)
    truth = repository.read_truth(connection, respondent, start, end, now)
    logged = predictions.read_points(connection, respondent, zone.key, start, now)
    logged = logged[logged["quality"].isin(OWN_ANSWERS) & (logged["timestamp"] <= end)]
    if postings.empty or logged.empty:
        return None
    actual = pd.Series(truth["value"].to_numpy(dtype=float), index=utc_index(truth["period"]))
    periods = utc_index(logged["timestamp"])
    hours = pd.DataFrame(
        {
            "period": periods,
            "issued_at": utc_index(logged["issued_at"]),
            OURS: logged["predicted_demand"].to_numpy(dtype=float),
            "actual_mwh": actual.reindex(periods).to_numpy(dtype=float),
        }
    )

    def issue_of(wanted: pd.DatetimeIndex) -> pd.DatetimeIndex:
        return logged_issues(wanted, hours["period"], hours["issued_at"], zone)

    scored = with_issued_operator(hours, postings, actual, zone, availability, issue_of)
    shown = scored[scored["period"] > pd.Timestamp(begin)]
    if shown[ISSUED].isna().all():
        return None
    return operator_comparison(shown.reset_index(drop=True), zone)
