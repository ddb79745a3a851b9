"""Every query that the product makes, as a call of the function that makes it; for `storage.py`.

A query that looks at a window of one region (`window`) is what somebody waits for. One that reads a whole
record (`history`) is a training's, a replay's or a summary. A test fails where a public function of the
database package or of the dashboard's queries is not called here.
"""

from __future__ import annotations

import inspect
import json
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import sqlalchemy as sa

from dashboard import queries as pages
from energy_demand.columns import FEATURE_COLUMNS, OPERATOR, SYSTEM, WEATHER_VARIABLES
from energy_demand.data import record_store
from energy_demand.database import (
    daily_totals,
    decisions,
    engine,
    exports,
    job_runs,
    notifications,
    operator_forecasts,
    peaks,
    predictions,
    repository,
    state,
    watched,
    weather,
)
from energy_demand.database.job_runs import Job
from energy_demand.database.tables import (
    demand_flag,
    features,
    operator_forecast,
    prediction_log,
    quarantine,
    raw_demand,
    raw_demand_daily,
    raw_weather,
    retraining_log,
    weather_forecast,
)
from energy_demand.doctor import stores
from energy_demand.jobs.operator_combination import live_scores, read_known
from energy_demand.monitoring.weather_models import model_states, running_states
from energy_demand.timeaxis import day_periods, local_day, local_midnight

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

    from energy_demand.config import Settings
    from energy_demand.database.engine import Database
    from energy_demand.region import Region

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
DATABASE_MODULES = (
    daily_totals, decisions, engine, exports, job_runs, notifications, operator_forecasts, peaks, predictions,
    repository, state, watched, weather,
)  # fmt: skip
# What the functions on the list are made of.
PARTS = {"repository.upsert"}
GRAFANA = Path(__file__).parents[1] / "infra/grafana/dashboards/energy-demand.json"
WHOLE = " (whole record)"
SHOWN = (7, 30, 90)  # days of a page: a week, the pages' default, a season


@dataclass(frozen=True)
class Asked:
    """One question: the region, when, about how many days; `run` numbers the questions of a query."""

    database: Database
    settings: Settings
    now: datetime
    days: int
    number: int

    @property
    def region(self) -> Region:
        """The region."""
        return self.settings.region

    @property
    def code(self) -> str:
        """Its respondent."""
        return self.region.respondent

    @property
    def zone(self) -> str:
        """The name of its time zone."""
        return self.region.zone.key

    @property
    def sites(self) -> list[str]:
        """The names of its sites."""
        return [site.name for site in self.region.sites]

    @property
    def model(self) -> str:
        """The weather model that is used."""
        return self.settings.weather_models[0].name

    @property
    def start(self) -> datetime:
        """The beginning of the days asked about."""
        return self.now - self.days * DAY

    @property
    def judged(self) -> pages.Judged:
        """The forecasts that a page of the dashboard is about."""
        return pages.Judged(self.code, self.zone, self.start, self.now, self.now, (16, 40))


@dataclass(frozen=True)
class Query:
    """A query: its name is that of the function, `by` who makes it, `about` what it looks at.

    `prepare` gives `run` what it needs and is not measured; what a query writes is taken back.
    """

    name: str
    by: str
    run: Callable[[sa.Connection, Asked, Any], Any]
    about: str = "window"
    prepare: Callable[[sa.Connection, Asked], Any] = lambda _connection, _asked: None


def functions() -> set[str]:
    """The public functions that take a connection: the database package's and the dashboard's."""
    return {name for module in (*DATABASE_MODULES, pages) for name in _of(module)}


def _of(module: ModuleType) -> Iterator[str]:
    for name, function in inspect.getmembers(module, inspect.isfunction):
        own = function.__module__ == module.__name__ and not name.startswith("_")
        if own and next(iter(inspect.signature(function).parameters), None) == "connection":
            full = f"{_short(module)}.{name}"
            if full not in PARTS:
                yield full


def _short(module: ModuleType) -> str:
    return "dashboard" if module is pages else module.__name__.rpartition(".")[2]


def every_query() -> list[Query]:
    """All of them."""
    found = [*_ingestion(), *_forecasting(), *_checks(), *_status(), *_metrics(), *_dashboard(), *_doctor()]
    found += [*_exports(), *_notifications()]
    return [*found, *_grafana(), *_history()]


def _frame(connection: sa.Connection, table: sa.Table, *where: sa.ColumnElement[bool]) -> pd.DataFrame:
    rows = connection.execute(sa.select(table).where(*where))
    return pd.DataFrame(rows.all(), columns=list(rows.keys()))


def _revised(frame: pd.DataFrame, column: str, *, later: str | None = None) -> pd.DataFrame:
    """The stored rows as an upstream serves them again: every fiftieth changed, `later` hours new."""
    served = frame.copy()
    served.loc[served.index[::50], column] += 1
    if later is None:
        return served
    new = frame.sort_values(later).tail(6).copy()
    new[later] = new[later] + 60 * DAY
    return pd.concat([served, new], ignore_index=True)


def _ingestion() -> list[Query]:  # noqa: C901  (a list)
    demand, daily, observed, runs = raw_demand.c, raw_demand_daily.c, raw_weather.c, weather_forecast.c

    def demand_rows(connection: sa.Connection, asked: Asked) -> pd.DataFrame:
        last = demand.period.between(asked.now - 14 * DAY, asked.now)
        rows = _frame(connection, raw_demand, demand.respondent == asked.code, last)
        return _revised(rows, "value", later="period")

    def daily_rows(connection: sa.Connection, asked: Asked) -> pd.DataFrame:
        last = daily.day > (asked.now - 31 * DAY).date()
        return _revised(_frame(connection, raw_demand_daily, daily.respondent == asked.code, last), "value")

    def weather_rows(connection: sa.Connection, asked: Asked) -> pd.DataFrame:
        last = observed.timestamp.between(asked.now - 10 * DAY, asked.now)
        rows = _frame(connection, raw_weather, observed.site.in_(asked.sites), last)
        return _revised(rows, WEATHER_VARIABLES[0], later="timestamp")

    def run_rows(connection: sa.Connection, asked: Asked) -> pd.DataFrame:
        newest = connection.scalar(
            sa.select(sa.func.max(runs.issued_at)).where(
                runs.model == asked.model, runs.site == asked.sites[0], runs.issued_at <= asked.now
            )
        )
        rows = _frame(
            connection,
            weather_forecast,
            runs.model == asked.model,
            runs.site.in_(asked.sites),
            runs.issued_at == newest,
        )
        return rows.assign(issued_at=rows["issued_at"] + HOUR)

    def feature_rows(connection: sa.Connection, asked: Asked) -> pd.DataFrame:
        last = features.c.timestamp.between(asked.now - 15 * DAY, asked.now)
        rows = _frame(connection, features, features.c.respondent == asked.code, last)
        return _revised(rows, FEATURE_COLUMNS[0], later="timestamp")

    def flag_rows(connection: sa.Connection, asked: Asked) -> pd.DataFrame:
        last = demand_flag.c.period > asked.now - 60 * DAY
        return _frame(connection, demand_flag, demand_flag.c.respondent == asked.code, last)

    def posted(connection: sa.Connection, asked: Asked) -> pd.DataFrame:
        last = operator_forecast.c.period.between(asked.now - 3 * DAY, asked.now)
        return _revised(_frame(connection, operator_forecast, last), "forecast_mwh")

    def truth(connection: sa.Connection, asked: Asked, _: None) -> None:
        flags = pd.DataFrame({"period": pd.date_range(asked.now - 5 * DAY, periods=5, freq="h")})
        flags = flags.assign(respondent=asked.code, flag="zero", flagged_at=asked.now)
        repository.replace_truth_flags(connection, asked.code, asked.now - 42 * DAY, asked.now, flags)

    def run_row(asked: Asked) -> dict[str, object]:
        at = {"run_at": asked.now, "issued_at": asked.now, "asked_at": asked.now}
        words = {"status": "complete", "missing_values": 0, "lacking": "", "reason": None}
        return {"model": asked.model, "respondent": asked.code, **at, **words}

    def broken(asked: Asked) -> dict[str, Any]:
        row = {"source": "eia", "subject": asked.code, "reason": "negative demand", "seen_at": asked.now}
        return {**row, "payload": {"period": str(asked.now), "value": -1}}

    def ids(connection: sa.Connection, asked: Asked) -> list[int]:
        rows = sa.select(quarantine.c.id).where(quarantine.c.subject == asked.code).limit(5)
        return list(connection.scalars(rows))

    def served(connection: sa.Connection, asked: Asked, _: None) -> None:
        repository.withdraw_demand(
            connection, asked.code, {("D", asked.now - n * HOUR) for n in range(3, 9)}, asked.now
        )

    fourteen = 14 * DAY
    calls: dict[str, Callable[[sa.Connection, Asked, Any], Any]] = {
        "state.lock_ingestion": lambda c, _a, _: state.lock_ingestion(c),
        "state.get_watermark": lambda c, a, _: state.get_watermark(c, "eia", a.code),
        "state.advance_watermark": lambda c, a, _: state.advance_watermark(
            c, "eia", a.code, a.now + DAY, a.now
        ),
        "state.forget_watermark": lambda c, a, _: state.forget_watermark(c, state.TRUTH, a.code),
        "state.record_success": lambda c, a, _: state.record_success(c, "eia", a.code, a.now, a.now, 0),
        "state.last_success": lambda c, a, _: state.last_success(c, "eia", a.code),
        "state.record_error": lambda c, a, _: state.record_error(c, "eia", a.code, a.now, "503"),
        "state.insert_quarantine": lambda c, a, _: state.insert_quarantine(c, [broken(a)]),
        "state.quarantined": lambda c, _a, _: state.quarantined(c),
        "engine.stamp": lambda c, a, _: engine.stamp(c, "synthetic", a.now),
        "repository.demand_span": lambda c, a, _: repository.demand_span(c, a.code, "D", a.now),
        "repository.storing_times": lambda c, a, _: repository.storing_times(
            c, a.code, [site.name for site in a.region.sites], a.now, 2 * DAY
        ),
        "repository.oldest_unsettled": lambda c, a, _: repository.oldest_unsettled(
            c, a.code, a.now - 60 * DAY, a.now - fourteen
        ),
        "repository.stored_periods": lambda c, a, _: repository.stored_periods(
            c, a.code, a.now - fourteen, a.now
        ),
        "repository.missing_periods": lambda c, a, _: repository.missing_periods(
            c, a.code, "D", a.now - fourteen, a.now
        ),
        "repository.withdraw_demand": served,
        "repository.delete_flags": lambda c, a, _: repository.delete_flags(
            c, a.code, a.now - fourteen, a.now
        ),
        "repository.replace_truth_flags": truth,
        "daily_totals.missing_totals": lambda c, a, _: daily_totals.missing_totals(c, a.settings, a.now),
        "daily_totals.missing_days": lambda c, a, _: daily_totals.missing_days(
            c, a.code, a.zone, daily_totals.SERIES, (a.now - 31 * DAY).date(), a.now.date()
        ),
        "weather.missing_hours": lambda c, a, _: weather.missing_hours(c, a.sites, a.now - 31 * DAY, a.now),
        "weather.run_states": lambda c, a, _: weather.run_states(c, a.code, a.model, a.now - 31 * DAY, a.now),
        "weather.record_runs": lambda c, a, _: weather.record_runs(c, [run_row(a)]),
        "operator_forecasts.stored_days": lambda c, a, _: operator_forecasts.stored_days(
            c, OPERATOR, SYSTEM, a.zone, (a.now - fourteen).date(), a.now.date()
        ),
        "job_runs.record_start": lambda c, a, _: job_runs.record_start(c, Job.INGESTION, a.code, a.now),
        "job_runs.record_end": lambda c, a, _: job_runs.record_end(c, Job.INGESTION, a.code, a.now),
        "job_runs.last_success": lambda c, a, _: job_runs.last_success(c, Job.INGESTION, a.code),
    }
    return [
        *(Query(name, "ingestion", call) for name, call in calls.items()),
        Query(
            "repository.upsert_demand",
            "ingestion",
            lambda c, a, rows: repository.upsert_demand(c, rows, a.now),
            prepare=demand_rows,
        ),
        Query(
            "repository.upsert_daily",
            "ingestion",
            lambda c, a, rows: repository.upsert_daily(c, rows, a.now),
            prepare=daily_rows,
        ),
        Query(
            "repository.upsert_features",
            "ingestion",
            lambda c, _a, rows: repository.upsert_features(c, rows),
            prepare=feature_rows,
        ),
        Query(
            "repository.upsert_flags",
            "ingestion",
            lambda c, _a, rows: repository.upsert_flags(c, rows),
            prepare=flag_rows,
        ),
        Query(
            "weather.upsert_weather",
            "ingestion",
            lambda c, a, rows: weather.upsert_weather(c, rows, a.now),
            prepare=weather_rows,
        ),
        Query(
            "weather.upsert_runs",
            "ingestion",
            lambda c, _a, rows: weather.upsert_runs(c, rows),
            prepare=run_rows,
        ),
        Query(
            "operator_forecasts.store_postings",
            "ingestion",
            lambda c, _a, rows: operator_forecasts.store_postings(c, rows),
            prepare=posted,
        ),
        Query(
            "state.mark_released",
            "ingestion",
            lambda c, a, found: state.mark_released(c, found, a.now),
            prepare=ids,
        ),
    ]


def _prediction_rows(asked: Asked) -> list[dict[str, Any]]:
    known = {
        "respondent": asked.code,
        "issued_at": asked.now.isoformat(),
        "predicted_demand": 15000.0,
        "model_version": "7",
        "quality": "champion",
        "source": "request",
        "request_id": f"benchmark {asked.code} {asked.number}",
        "features_json": dict.fromkeys(FEATURE_COLUMNS, 1.0),
        "prediction_made_at": asked.now.isoformat(),
    }
    return [
        {**known, "lead_hours": lead, "timestamp": (asked.now + lead * HOUR).isoformat()}
        for lead in range(1, 49)
    ]


def _peak_row(asked: Asked) -> dict[str, Any]:
    return {
        "respondent": asked.code,
        "day": local_day(asked.now, asked.region.zone) + DAY,
        "issued_at": asked.now,
        "model_version": "7",
        "quality": "champion",
        "peak_quantiles": {"0.5": 15000.0},
        "hours": [],
        "to_come": 0.5,
        "needed_probability": 0.2,
        "alerts_before": 0,
        "alert": False,
        "made_at": asked.now,
    }


def _forecasting() -> list[Query]:
    """What the service and the jobs that forecast do."""

    def lines(asked: Asked) -> list[bytes]:
        return [json.dumps(row).encode() for row in _prediction_rows(asked)]

    def ids(connection: sa.Connection, asked: Asked) -> list[int]:
        logged = prediction_log.c
        chosen = sa.select(logged.id).where(
            logged.respondent == asked.code, logged.timestamp > asked.now - 3 * DAY
        )
        return list(connection.scalars(chosen))

    def tomorrow(asked: Asked) -> tuple[datetime, datetime]:
        periods = day_periods(local_day(asked.now, asked.region.zone) + DAY, asked.region.zone)
        return periods[0].to_pydatetime() - HOUR, periods[-1].to_pydatetime()

    def old_days(connection: sa.Connection, _asked: Asked, _: None) -> object:
        """With a retention of a year, as the daily run finds them: those of one day."""
        oldest = connection.scalar(sa.select(sa.func.min(prediction_log.c.prediction_made_at)))
        return predictions.old_prediction_days(connection, oldest + DAY)

    calls: dict[str, Callable[[sa.Connection, Asked, Any], Any]] = {
        "record_store.load_recent": lambda _c, a, _: record_store.load_recent(
            a.database, a.settings, a.now - 56 * DAY, a.now
        ),
        "operator_combination.read_known": lambda c, a, _: read_known(
            c, a.region, a.now, a.now + 39 * HOUR, "champion"
        ),
        "predictions.insert_predictions": lambda c, a, _: predictions.insert_predictions(
            c, _prediction_rows(a)
        ),
        "predictions.insert_prediction_lines": lambda c, a, _: predictions.insert_prediction_lines(
            c, lines(a)
        ),
        "predictions.read_request": lambda c, a, _: predictions.read_request(
            c, a.code, f"scheduled {a.code} {local_day(a.now, a.region.zone) + DAY}"
        ),
        "predictions.request_of_hour": lambda c, a, _: predictions.request_of_hour(c, a.code, a.now),
        "peaks.insert_peak": lambda c, a, _: peaks.insert_peak(c, _peak_row(a)),
        "peaks.read_peak": lambda c, a, _: peaks.read_peak(
            c, a.code, local_day(a.now, a.region.zone) + DAY, a.now
        ),
        "peaks.read_year": lambda c, a, _: peaks.read_year(c, a.code, a.now.year, a.now),
        "peaks.read_alerts": lambda c, a, _: peaks.read_alerts(c, a.code, a.now.year, a.now),
        "predictions.read_day_ahead": lambda c, a, _: predictions.read_day_ahead(
            c, a.code, a.zone, [a.now - number * DAY for number in range(20)], a.now
        ),
        "predictions.lock_scheduled": lambda c, _a, _: predictions.lock_scheduled(c),
        "predictions.is_logged": lambda c, a, _: predictions.is_logged(
            c, f"scheduled {a.code} {local_day(a.now, a.region.zone) + DAY}"
        ),
        "predictions.read_logged_day": lambda c, a, _: predictions.read_logged_day(
            c, a.code, a.zone, *tomorrow(a), a.now
        ),
        "predictions.old_prediction_days": old_days,
        "weather.read_weather": lambda c, a, _: weather.read_weather(c, a.sites, a.start, a.now, a.now),
        "weather.read_weather_runs": lambda c, a, _: weather.read_weather_runs(
            c, a.model, a.sites, a.now - record_store.OLDEST_RUN, a.now, a.now
        ),
        "repository.read_demand": lambda c, a, _: repository.read_demand(
            c, a.code, "D", a.start, a.now, a.now
        ),
        "repository.read_truth": lambda c, a, _: repository.read_truth(c, a.code, a.start, a.now, a.now),
        "operator_forecasts.read_postings": lambda c, a, _: operator_forecasts.read_postings(
            c, OPERATOR, SYSTEM, a.start, a.now, a.now
        ),
    }
    return [
        *(Query(name, "service", call) for name, call in calls.items()),
        Query(
            "predictions.delete_predictions",
            "service",
            lambda c, _a, chosen: predictions.delete_predictions(c, chosen),
            prepare=ids,
        ),
        # A day of all regions, which the service moves to a file once a day.
        Query(
            "predictions.read_predictions",
            "service",
            lambda c, a, _: predictions.read_predictions(c, a.now, a.now + DAY),
            about="history",
        ),
    ]


def _exports() -> list[Query]:
    """What the exports of the service and the shell ask; with an `as_of` they read revisions too."""

    def which(asked: Asked, as_of: datetime | None = None) -> exports.LoggedForecasts:
        return exports.LoggedForecasts(asked.code, asked.start, asked.now, as_of or asked.now, as_of)

    def issue_days(asked: Asked) -> list[exports.IssueDay]:
        days = [local_day(asked.now, asked.region.zone) - number * DAY for number in range(60)]
        midnights = [local_midnight(day, asked.region.zone) for day in days]
        return [
            exports.IssueDay(start, start + DAY, start - DAY, start - DAY + 10 * HOUR) for start in midnights
        ]

    def score(connection: sa.Connection, asked: Asked, by: str) -> object:
        judged = exports.judged_by(asked.code, asked.zone, asked.start, asked.now, asked.now, None)
        return exports.read_scores(connection, judged, by, ())

    calls: dict[str, Callable[[sa.Connection, Asked, Any], Any]] = {
        "exports.read_forecasts": lambda c, a, _: exports.read_forecasts(c, which(a), None, 2_000),
        "exports.read_forecasts (page)": lambda c, a, _: exports.read_forecasts(
            c, which(a, a.now - DAY), (a.now - 3 * DAY, a.now - 4 * DAY, 1), 2_000
        ),
        "exports.read_day_ahead": lambda c, a, _: exports.read_day_ahead(c, which(a), issue_days(a)),
        "exports.exceeds": lambda c, a, _: exports.exceeds(c, which(a), 2),
        "exports.read_hours": lambda c, a, _: exports.read_hours(c, a.code, a.start, a.now, a.now, None),
        "exports.read_hours (as of)": lambda c, a, _: exports.read_hours(
            c, a.code, a.start, a.now, a.now - DAY, a.now - DAY
        ),
        "exports.read_scores": lambda c, a, _: score(c, a, "day"),
        "exports.read_scores (by quality)": lambda c, a, _: score(c, a, "quality"),
    }
    return [Query(name, "exports", call) for name, call in calls.items()]


def _notifications() -> list[Query]:
    """What the end of each job asks where messages are sent."""
    message = {
        "kind": "source", "dedup_key": "source EIA", "urgent": False, "title": "EIA cannot be read",
        "body": "HTTP 503", "recovery": "EIA can be read again", "ended_at": None,
    }  # fmt: skip
    calls: dict[str, Callable[[sa.Connection, Asked, Any], Any]] = {
        "notifications.lock": lambda c, a, _: notifications.lock(c, a.code),
        "notifications.add": lambda c, a, _: notifications.add(
            c, [{**message, "respondent": a.code, "created_at": a.now}]
        ),
        "notifications.known_keys": lambda c, a, _: notifications.known_keys(c, a.code, ["source EIA"]),
        "notifications.ongoing": lambda c, a, _: notifications.ongoing(c, a.code),
        "notifications.take_waiting": lambda c, a, _: notifications.take_waiting(c, a.code),
        "notifications.note_outcome": lambda c, _a, _: notifications.note_outcome(c, 1, ["slack"], "sent"),
        "notifications.end": lambda c, a, _: notifications.end(c, 1, a.now, withdraw=True),
        "notifications.note_notifier": lambda c, a, _: notifications.note_notifier(
            c, a.code, "slack", a.now, None
        ),
        "notifications.keep_notifiers": lambda c, a, _: notifications.keep_notifiers(c, a.code, ["slack"]),
        "notifications.notifier_states": lambda c, a, _: notifications.notifier_states(c, a.code, a.now),
        "notifications.counts": lambda c, a, _: notifications.counts(c, a.code, a.now),
        "notifications.forecast_hours": lambda c, a, _: notifications.forecast_hours(
            c, a.code, local_day(a.now, a.region.zone) + DAY, a.region.zone, a.now
        ),
        "notifications.failed_jobs": lambda c, a, _: notifications.failed_jobs(c, a.code),
        "notifications.champion_changes": lambda c, a, _: notifications.champion_changes(
            c, a.code, a.now - DAY, a.now
        ),
    }
    return [Query(name, "notifications", call) for name, call in calls.items()]


def _checks() -> list[Query]:
    """What the daily check, retrainings and contests do."""

    def number(connection: sa.Connection, asked: Asked) -> int:
        log = retraining_log.c
        found = connection.scalar(sa.select(sa.func.max(log.id)).where(log.respondent == asked.code))
        return int(found or 0)

    def check(connection: sa.Connection, asked: Asked) -> dict[str, Any]:
        row = decisions.last_check(connection, asked.code, asked.now) or {}
        return {name: value for name, value in row.items() if name != "id"}

    month = 32 * DAY
    calls: dict[str, Callable[[sa.Connection, Asked, Any], Any]] = {
        "predictions.fill_actuals": lambda c, a, _: predictions.fill_actuals(c, a.code, a.now - month, a.now),
        "predictions.read_scheduled": lambda c, a, _: predictions.read_scheduled(
            c, a.code, a.zone, a.now - month, a.now
        ),
        "predictions.read_points": lambda c, a, _: predictions.read_points(
            c, a.code, a.zone, a.now - 240 * DAY, a.now
        ),
        "predictions.read_demand_ages": lambda c, a, _: predictions.read_demand_ages(
            c, a.code, a.zone, a.now - month, a.now
        ),
        "predictions.read_shadow": lambda c, a, _: predictions.read_shadow(
            c, a.code, a.zone, "8", "7", a.now - 28 * DAY, a.now
        ),
        "decisions.last_check": lambda c, a, _: decisions.last_check(c, a.code, a.now),
        "decisions.last_retraining": lambda c, a, _: decisions.last_retraining(c, a.code, a.now),
        "decisions.challenger": lambda c, a, _: decisions.challenger(c, a.code),
        "decisions.promotion": lambda c, a, _: decisions.promotion(c, a.code, "7"),
        "decisions.promotions": lambda c, a, _: decisions.promotions(c, a.code),
        "decisions.unfinished_rollback": lambda c, a, _: decisions.unfinished_rollback(c, a.code),
        "decisions.unfinished_retrainings": lambda c, a, _: decisions.unfinished_retrainings(c, a.code),
        "decisions.retrainings": lambda c, a, _: decisions.retrainings(c, a.code, a.now, 50),
        "decisions.begin_retraining": lambda c, a, _: decisions.begin_retraining(
            c, a.code, a.now, "age", "90 days old"
        ),
        "decisions.note_rollback": lambda c, a, _: decisions.note_rollback(c, a.code, "7", "by hand", a.now),
    }
    of_a_retraining: dict[str, Callable[[sa.Connection, Asked, Any], Any]] = {
        "decisions.note_version": lambda c, _a, n: decisions.note_version(c, n, "9", "run"),
        "decisions.end_retraining": lambda c, a, n: decisions.end_retraining(c, n, a.now, "shadow"),
        "decisions.note_verdict": lambda c, _a, n: decisions.note_verdict(c, n, {"days": 20}),
        "decisions.decide_challenger": lambda c, a, n: decisions.decide_challenger(c, n, "promoted", a.now),
        "decisions.supersede": lambda c, a, n: decisions.supersede(c, a.code, n, "9", a.now),
        "decisions.begin_rollback": lambda c, _a, n: decisions.begin_rollback(c, n, "worse"),
        "decisions.end_rollback": lambda c, a, n: decisions.end_rollback(c, n, a.now),
    }
    return [
        *(Query(name, "checks", call) for name, call in calls.items()),
        *(Query(name, "checks", call, prepare=number) for name, call in of_a_retraining.items()),
        Query(
            "decisions.insert_check",
            "checks",
            lambda c, _a, row: decisions.insert_check(c, row),
            prepare=check,
        ),
    ]


def _status() -> list[Query]:
    calls: dict[str, Callable[[sa.Connection, Asked, Any], Any]] = {
        "state.demand_summary": lambda c, a, _: state.demand_summary(c, a.code, a.now),
        "state.operator_summary": lambda c, a, _: state.operator_summary(c, OPERATOR, SYSTEM, a.now),
        "state.run_counts": lambda c, a, _: state.run_counts(c, a.code, a.now - 14 * DAY),
        "state.source_states": lambda c, a, _: state.source_states(c, a.code),
        "weather_models.running_states": lambda c, a, _: running_states(c, a.settings, a.now),
    }
    return [
        *(Query(name, "status", call) for name, call in calls.items()),
        Query(
            "state.weather_summary",
            "status",
            lambda c, a, _: state.weather_summary(c, a.sites, a.now),
            about="history",
        ),
    ]


def _metrics() -> list[Query]:
    calls: dict[str, Callable[[sa.Connection, Asked, Any], Any]] = {
        "watched.watched": lambda c, a, _: watched.watched(c, a.region, a.model, a.now, OPERATOR),
        "watched.champion_share": lambda c, a, _: watched.champion_share(c, a.code, a.zone, a.now),
        "state.run_span": lambda c, a, _: state.run_span(c, a.model, a.sites[0], a.now),
        "weather.read_first_hours": lambda c, a, _: weather.read_first_hours(
            c, a.model, a.sites[0], a.now - 47 * DAY, a.now
        ),
        "weather_models.model_states": lambda c, a, _: model_states(c, a.settings, a.now),
    }
    return [Query(name, "metrics", call) for name, call in calls.items()]


def _dashboard() -> list[Query]:
    def newest(connection: sa.Connection, asked: Asked, _: None) -> object:
        periods = day_periods(local_day(asked.now, asked.region.zone) + DAY, asked.region.zone)
        start, end = periods[0].to_pydatetime() - HOUR, periods[-1].to_pydatetime()
        return pages.newest_forecast(connection, asked.code, start, end, len(periods), asked.now)

    def scores(connection: sa.Connection, asked: Asked, _: None) -> object:
        first, last = asked.start.date(), (asked.now - DAY).date()
        return live_scores(connection, asked.region, asked.settings.availability, first, last, asked.now)

    calls: dict[str, Callable[[sa.Connection, Asked, Any], Any]] = {
        "dashboard.kind": lambda c, _a, _: pages.kind(c),
        "dashboard.newest_forecast": newest,
        "dashboard.demand": lambda c, a, _: pages.demand(c, a.code, a.now - 2 * DAY, a.now),
        "dashboard.judged_span": lambda c, a, _: pages.judged_span(c, a.code, a.zone, a.now),
        "dashboard.versions": lambda c, a, _: pages.versions(c, a.judged),
        "dashboard.hours": lambda c, a, _: pages.hours(c, a.judged),
        "dashboard.days": lambda c, a, _: pages.days(c, a.judged),
        "dashboard.error_histogram": lambda c, a, _: pages.error_histogram(c, a.judged, 100.0),
        "dashboard.errors_by_hour_and_weekday": lambda c, a, _: pages.errors_by_hour_and_weekday(c, a.judged),
        "dashboard.errors_by_lead": lambda c, a, _: pages.errors_by_lead(c, a.judged),
        "dashboard.errors_by_quality": lambda c, a, _: pages.errors_by_quality(c, a.judged),
        "dashboard.checks": lambda c, a, _: pages.checks(c, a.code, a.start, a.now),
        "dashboard.feature_scores": lambda c, a, _: pages.feature_scores(c, a.code, a.zone, a.start, a.now),
        "dashboard.shadow_hours": lambda c, a, _: pages.shadow_hours(
            c, a.code, a.zone, "8", "7", a.now - 28 * DAY, a.now
        ),
        "dashboard.newest_features": lambda c, a, _: pages.newest_features(c, a.code, 168),
        "repository.read_daily": lambda c, a, _: repository.read_daily(
            c, a.code, a.zone, (a.start - 120 * DAY).date(), a.now.date(), a.now
        ),
        "operator_combination.live_scores": scores,
    }
    return [
        *(Query(name, "dashboard", call) for name, call in calls.items()),
        # Counts all rows of a region, for the line of numbers below the first page.
        Query(
            "dashboard.counts",
            "dashboard",
            lambda c, a, _: pages.counts(c, a.code, a.sites, a.now),
            about="history",
        ),
    ]


def _doctor() -> list[Query]:
    def look(text: str) -> Callable[[sa.Connection, Asked, Any], Any]:
        def run(connection: sa.Connection, asked: Asked, _: None) -> object:
            values = {"respondent": asked.code, "sites": asked.sites}
            given = {name: value for name, value in values.items() if f":{name}" in text}
            return connection.scalar(sa.text(text), given)

        return run

    found = [
        Query(f"doctor: {what.name}", "doctor", look(what.query))
        for what in (*stores.NEWEST, stores.OPERATOR_NEWEST)
    ]
    return [
        *found,
        Query("doctor: weather runs", "doctor", lambda c, a, _: stores._runs(a.settings, a.now, c)),  # noqa: SLF001
        Query("doctor: quarantine", "doctor", lambda c, _a, _: stores._quarantine(c)),  # noqa: SLF001
        Query("doctor: jobs", "doctor", lambda c, a, _: stores._jobs(a.settings, c)),  # noqa: SLF001
    ]


def _grafana() -> list[Query]:
    page = json.loads(GRAFANA.read_text())
    texts = {
        f"grafana: {panel['title']} {target['refId']}": target["rawSql"]
        for panel in page["panels"]
        for target in panel["targets"]
        if "rawSql" in target
    }
    texts |= {f"grafana: variable {each['name']}": each["query"] for each in page["templating"]["list"]}

    def look(text: str) -> Callable[[sa.Connection, Asked, Any], Any]:
        def run(connection: sa.Connection, asked: Asked, _: None) -> object:
            return connection.exec_driver_sql(_sent(text, asked)).all()

        return run

    return [Query(name, "grafana", look(text)) for name, text in texts.items()]


def _sent(text: str, asked: Asked) -> str:
    """A panel's query as Grafana sends it."""
    start, end = asked.start.isoformat(), asked.now.isoformat()
    sent = re.sub(r"\$__timeFilter\(([^()]+)\)", rf"\1 BETWEEN '{start}' AND '{end}'", text)
    sent = sent.replace("$__timeFrom()", f"'{start}'").replace("$__timeTo()", f"'{end}'")
    return sent.replace("${respondent:sqlstring}", f"'{asked.code}'")


def _history() -> list[Query]:
    """What a training, a replay or a first screening reads: the whole record of a region."""
    beginning = datetime(2010, 1, 1, tzinfo=datetime.now().astimezone().tzinfo)
    calls: dict[str, Callable[[sa.Connection, Asked, Any], Any]] = {
        "repository.read_demand": lambda c, a, _: repository.read_demand(
            c, a.code, "D", beginning, a.now, a.now
        ),
        "weather.read_weather": lambda c, a, _: weather.read_weather(c, a.sites, beginning, a.now, a.now),
        "weather.read_weather_runs": lambda c, a, _: weather.read_weather_runs(
            c, a.model, a.sites, beginning, a.now, a.now
        ),
        "weather.lacking_variables": lambda c, a, _: weather.lacking_variables(c, a.sites, beginning, a.now),
        "repository.read_vintages": lambda c, a, _: repository.read_vintages(
            c, a.code, "D", beginning, a.now, a.now
        ),
        "repository.hours_stored_late": lambda c, a, _: repository.hours_stored_late(
            c, a.code, "D", beginning, a.now, DAY
        ),
    }
    return [Query(name + WHOLE, "training", call, "history") for name, call in calls.items()]
