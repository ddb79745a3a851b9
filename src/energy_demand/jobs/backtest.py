"""The backtest job: stored record → walk-forward → scores, and a file of hours."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from energy_demand.columns import OPERATOR, SYSTEM
from energy_demand.data.record_store import load_record
from energy_demand.database import operator_forecasts, repository
from energy_demand.evaluation.backtest import Fit, Predict, Protocol, schedule, walk_forward
from energy_demand.evaluation.beside_operator import with_issued_operator
from energy_demand.evaluation.distribution_scores import (
    Distributions,
    day_scores,
    distribution_scores,
    kinds_of_days,
)
from energy_demand.evaluation.losses import Loss, without_operator
from energy_demand.evaluation.report import (
    OperatorForecast,
    daily_totals,
    operator_comparison,
    summary,
    with_operator_forecast,
)
from energy_demand.jobs.past_days import check_past_days, vintages_read
from energy_demand.outputs import write_output
from energy_demand.timeaxis import local_day

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date, datetime
    from pathlib import Path

    from energy_demand.config import Settings
    from energy_demand.data.record import Record
    from energy_demand.database.engine import Database
    from energy_demand.model.train import Recipe, Weather


@dataclass(frozen=True)
class Backtest:
    """What a backtest gave.

    Attributes:
        body: of `backtest --json`.
        hours: one row per hour, `walk_forward`'s columns and the operator's.
    """

    body: dict[str, Any]
    hours: pd.DataFrame

    def write(self, path: Path) -> None:
        """Write the hours as Parquet.

        Raises:
            OutputError: the file cannot be written; the scores are not lost by that.
        """
        write_output(path, lambda path: self.hours.to_parquet(path, index=False))


def run_backtest(
    database: Database,
    settings: Settings,
    now: datetime,
    *,
    protocol: Protocol,
    weather: Weather | None,
    start: date,
    end: date,
    refit_days: int,
    loss: Loss = Loss.NOTHING,
    recipe: Recipe | None = None,
    progress: Callable[[str, int, int], None] = lambda *_: None,
) -> Backtest:
    """Walk forward through the local days `start` to `end`, both included.

    Forecasts see demand as it was known at their issue as far as that is stored; scores use the newest
    values.

    Raises:
        PastDaysError: the days cannot be scored, or have too little before them; nothing was fitted.
        NoDemandError: nothing is stored.
        TooFewRowsError: a fit has too little to learn from.
    """
    began = time.perf_counter()
    weather = weather or protocol.weather
    record = load_record(database, settings, now, with_vintages=True)
    check_past_days(record, start, end, weather)
    zone = record.region.zone
    events = list(schedule(protocol, start, end, zone, refit_days))
    days = (end - start).days + 1
    issues = [event.issued_at for event in events if isinstance(event, Predict)]

    fitting: list[float] = []

    def tell(event: Fit | Predict) -> None:
        # Told before each event, so the time of a fit has passed when the next one comes.
        if isinstance(event, Fit):
            fitting.append(-time.perf_counter())
        elif fitting and fitting[-1] < 0:
            fitting[-1] += time.perf_counter()
        if isinstance(event, Predict):
            done = (local_day(event.periods[0].to_pydatetime(), zone) - start).days
            progress("days", min(max(done, 0), days), days)

    distributions = Distributions()
    hours = walk_forward(
        record,
        iter(events),
        protocol=protocol,
        weather=weather,
        recipe=recipe,
        loss=loss,
        progress=tell,
        observe=distributions,
    )
    hours = pd.concat([hours, distributions.hours()], axis=1)
    progress("days", days, days)
    operator = load_operator_forecast(database, settings, record, now)
    truth = pd.Series(record.truth_mwh, index=record.periods)
    scored = with_operator_forecast(hours, operator, truth, zone, protocol.availability)
    totals = daily_totals(scored, operator, zone)
    postings = load_postings(database, record, now)
    if loss is Loss.OPERATOR:
        postings = without_operator(postings, issues[0], hours["period"].min())
    scored = with_issued_operator(
        scored,
        postings,
        truth,
        zone,
        protocol.availability,
        lambda periods: protocol.issues(periods, zone),
    )
    seconds = time.perf_counter() - began
    body = {
        "protocol": protocol.value,
        "start": start.isoformat(),
        "end": end.isoformat(),
        "weather": weather,
        "publication_delay_hours": protocol.availability.delay_hours,
        "vintages": vintages_read(database, settings, record, issues[0], issues[-1]),
        "loss": loss.value,
        "fits": len(fitting),
        "seconds_per_fit": round(sum(fitting) / len(fitting), 1),
        **summary(scored, totals, zone),
        "distribution": {
            **distribution_scores(scored, zone, kinds_of_days(record, pd.DatetimeIndex(scored["period"]))),
            "days": day_scores(distributions.days(scored.set_index("period")["actual_mwh"])),
        },
        "operator_forecast": operator_comparison(scored, zone),
        "seconds": round(seconds, 1),
    }
    return Backtest(body, scored)


def load_postings(database: Database, record: Record, now: datetime) -> pd.DataFrame:
    """The operator's forecast of the system over the whole record, posting by posting."""
    first, last = record.periods[0].to_pydatetime(), record.periods[-1].to_pydatetime()
    with database.transaction() as connection:
        return operator_forecasts.read_postings(connection, OPERATOR, SYSTEM, first, last, now)


def load_operator_forecast(
    database: Database, settings: Settings, record: Record, now: datetime
) -> OperatorForecast:
    """The operator's forecasts over the whole record."""
    respondent, zone = settings.region.respondent, settings.region.zone
    first, last = record.periods[0].to_pydatetime(), record.periods[-1].to_pydatetime()
    with database.transaction() as connection:
        published = repository.read_demand(connection, respondent, "DF", first, last, now)
        daily = repository.read_daily(
            connection, respondent, zone.key, local_day(first, zone), local_day(last, zone), now
        )
    return OperatorForecast.of(published, daily)
