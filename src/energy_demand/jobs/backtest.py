"""The backtest job: stored record → walk-forward → scores, and a file of hours."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from energy_demand.columns import OPERATOR, SYSTEM
from energy_demand.config import NEW_YORK_RESPONDENTS
from energy_demand.data.record_store import load_record
from energy_demand.database import operator_forecasts, repository
from energy_demand.evaluation.backtest import record_with, walk_forward
from energy_demand.evaluation.beside_operator import with_issued_operator
from energy_demand.evaluation.day_combination import with_operator_days
from energy_demand.evaluation.distribution_scores import (
    Distributions,
    day_scores,
    distribution_scores,
    kinds_of_days,
    with_actual,
)
from energy_demand.evaluation.losses import Loss, without_operator
from energy_demand.evaluation.report import (
    OperatorForecast,
    daily_totals,
    operator_comparison,
    summary,
    with_operator_forecast,
)
from energy_demand.evaluation.schedule import Fit, Predict, Protocol, by_fit, schedule
from energy_demand.jobs.fan_out.resumable import Storage, run_parts
from energy_demand.jobs.fan_out.workers import THIS_PROCESS
from energy_demand.jobs.past_days import check_past_days, vintages_read
from energy_demand.outputs import write_output
from energy_demand.timeaxis import HOUR, local_day

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date, datetime
    from pathlib import Path

    from energy_demand.config import Settings
    from energy_demand.data.record import Record
    from energy_demand.database.engine import Database
    from energy_demand.jobs.fan_out.workers import Workers
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
    workers: Workers = THIS_PROCESS,
) -> Backtest:
    """Walk forward through the local days `start` to `end`, both included.

    Forecasts see demand as it was known at their issue as far as that is stored; scores use the newest
    values. Each fit with its forecasts is a part of its own, done by `workers`; finished parts are kept in
    the home folder until the whole backtest is.

    Raises:
        PastDaysError: the days cannot be scored, or have too little before them; nothing was fitted.
        NoDemandError: nothing is stored.
        TooFewRowsError: a fit has too little to learn from.
        WorkersError: the workers were lost; what they had finished is kept.
    """
    began = time.perf_counter()
    weather = weather or protocol.weather
    record = load_record(database, settings, now, with_vintages=True)
    check_past_days(record, start, end, weather)
    zone = record.region.zone
    events = list(schedule(protocol, start, end, zone, refit_days))
    days = (end - start).days + 1
    issues = [event.issued_at for event in events if isinstance(event, Predict)]

    seen = record_with(loss, record, events)
    questions = {
        number: Question(part, number, protocol, weather, recipe, loss)
        for number, part in enumerate(by_fit(events))
    }
    forecasts = len(issues)
    walked = run_parts(
        walk,
        seen,
        questions,
        workers=workers,
        folder=settings.home / "backtests",
        storage=STORAGE,
        steps=lambda question: sum(isinstance(event, Predict) for event in question.events),
        progress=lambda done: progress("days", done * days // forecasts, days),
    )
    parts = list(walked.found.values())
    hours = pd.concat([part.hours for part in parts], ignore_index=True)
    of_days = pd.concat([part.days for part in parts], ignore_index=True)
    operator = load_operator_forecast(database, settings, record, now)
    truth = pd.Series(record.truth_mwh, index=record.periods)
    scored = with_operator_forecast(hours, operator, truth, zone, protocol.availability)
    totals = daily_totals(scored, operator, zone)
    postings, figures = load_postings(database, record, now), day_figures(operator, record)
    if loss is Loss.OPERATOR:
        postings = without_operator(postings, issues[0], hours["period"].min())
        figures = figures[figures.index < start]
    scored = with_issued_operator(
        scored,
        postings,
        truth,
        zone,
        protocol.availability,
        lambda periods: protocol.issues(periods, zone),
    )
    scored = with_operator_days(scored, figures, truth, zone, protocol.availability)
    seconds = time.perf_counter() - began
    body = {
        "protocol": protocol.value,
        "start": start.isoformat(),
        "end": end.isoformat(),
        "weather": weather,
        "publication_delay_hours": protocol.availability.delay_hours,
        "vintages": vintages_read(database, settings, record, issues[0], issues[-1]),
        "loss": loss.value,
        "fits": len(parts),
        "resumed_fits": walked.resumed,
        "seconds_per_fit": round(sum(part.fit_seconds for part in parts) / len(parts), 1),
        **summary(scored, totals, zone),
        "distribution": {
            **distribution_scores(scored, zone, kinds_of_days(record, pd.DatetimeIndex(scored["period"]))),
            "days": day_scores(with_actual(of_days, scored.set_index("period")["actual_mwh"])),
        },
        "operator_forecast": operator_comparison(scored, zone, totals),
        "seconds": round(seconds, 1),
    }
    walked.kept.forget()
    return Backtest(body, scored)


@dataclass(frozen=True)
class Question:
    """One fit of a backtest and the forecasts from it: what a worker is asked.

    Attributes:
        events: the fit and its forecasts.
        fits_before: of the backtest.
        protocol: when forecasts are issued.
        weather: that they use.
        recipe: of the fit; the served one by default.
        loss: data that the forecasts lack.
    """

    events: list[Fit | Predict]
    fits_before: int
    protocol: Protocol
    weather: Weather
    recipe: Recipe | None
    loss: Loss


@dataclass(frozen=True)
class Part:
    """The answer to a question.

    Attributes:
        hours: `walk_forward`'s columns and those of `QUANTILES`.
        days: of `Distributions.days`.
        fit_seconds: that the fit took.
    """

    hours: pd.DataFrame
    days: pd.DataFrame
    fit_seconds: float


def walk(record: Record, question: Question, tell: Callable[[object], None]) -> Part:
    """Fit, and forecast; `tell` is called before each forecast."""
    began, fitted = time.perf_counter(), 0.0

    def event(each: Fit | Predict) -> None:
        nonlocal fitted
        if isinstance(each, Predict):
            fitted = fitted or time.perf_counter()
            tell(each)

    distributions = Distributions()
    hours = walk_forward(
        record,
        question.events,
        fits_before=question.fits_before,
        protocol=question.protocol,
        weather=question.weather,
        recipe=question.recipe,
        loss=question.loss,
        progress=event,
        observe=distributions,
    )
    hours = pd.concat([hours, distributions.hours()], axis=1)
    return Part(hours, distributions.days(), fitted - began)


STORAGE = Storage[Part](
    write=lambda part: ({"hours": part.hours, "days": part.days}, {"fit_seconds": part.fit_seconds}),
    read=lambda frames, body: Part(frames["hours"], frames["days"], body["fit_seconds"]),
)


def load_postings(database: Database, record: Record, now: datetime) -> pd.DataFrame:
    """The operator's forecast of the system over the whole record, posting by posting."""
    first, last = record.periods[0].to_pydatetime(), record.periods[-1].to_pydatetime()
    if record.region.respondent not in NEW_YORK_RESPONDENTS:  # the operator is New York's
        last = first - HOUR
    with database.transaction() as connection:
        return operator_forecasts.read_postings(connection, OPERATOR, SYSTEM, first, last, now)


def day_figures(operator: OperatorForecast, record: Record) -> pd.Series:
    """The operator's forecast of the energy of each local day; empty where no hour of posting is known."""
    known = record.region.respondent in NEW_YORK_RESPONDENTS and "DF" in operator.daily
    nothing = pd.Series(dtype=float, index=pd.Index([], dtype=object))
    return operator.daily["DF"].dropna() if known else nothing


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
