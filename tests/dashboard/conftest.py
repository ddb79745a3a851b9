"""A database and a registry as they are after some weeks of work, and the dashboard on both."""

from __future__ import annotations

import os
import shutil
from datetime import date, timedelta
from typing import TYPE_CHECKING

import pandas as pd
import pytest
import sqlalchemy as sa
import streamlit as st
from dashboards import Dashboard

from energy_demand.code_identity import code_identity
from energy_demand.data.ingestion.ingest import backfill_span
from energy_demand.database import predictions
from energy_demand.database.engine import opened
from energy_demand.database.tables import drift_log, retraining_log
from energy_demand.evaluation.promotion import FIRST, Decision, Verdict
from energy_demand.jobs.forecast import forecast_stored
from energy_demand.jobs.ingestion import run_ingestion
from energy_demand.jobs.peaks import day_peak, store_peak
from energy_demand.jobs.shadow import plain_verdict, stored_contest
from energy_demand.monitoring.drift_detection import WATCHED, generate_drift_html_report
from energy_demand.registry.registry import Registry
from energy_demand.timeaxis import day_ahead_issue, day_periods
from support import PRESENT, make_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from energy_demand.config import Settings
    from energy_demand.database.engine import Database

DAY = timedelta(days=1)
FIRST_DAY, LAST_DAY = date(2025, 2, 12), date(2025, 3, 13)  # of the scheduled forecasts; the last is tomorrow
BETTER = Verdict(Decision.REFUSED, "not proven better than the champion: MAPE 2.50 % against 2.48 %")


@pytest.fixture(scope="session")
def shown(new_database_url, synthetic_upstream, trained, tmp_path_factory) -> Settings:
    """Ten weeks of data, two runs, a month of scheduled forecasts, two weeks of checks, six retrainings.

    Version 2 is in the shadow as a challenger, and has forecast there for a week. Of version 1 a promotion is
    stored; as the first champion it has none before it. The promotion of version 9 was undone.
    """
    settings = make_settings(
        energy_demand_home=tmp_path_factory.mktemp("shown"),
        database_url=new_database_url(),
        sandbox_url=synthetic_upstream,
    )
    registry = Registry(settings)
    for forecaster, verdict in ((trained.judged, FIRST), (trained.forecaster, BETTER)):
        version = registry.register(
            forecaster,
            params={"respondent": "NY", "window_end": forecaster.trained_through.isoformat(), "rows": 5000},
            metrics={"test_mape": 2.5, "test_mae": 400.0, "test_coverage_80": 81.0},
            started_at=PRESENT,
        )
        registry.apply_verdict(version.run_id, verdict)
    with opened(settings) as database:
        span = backfill_span(settings, date(2025, 1, 2), date(2025, 3, 12), PRESENT)
        run_ingestion(database, settings, span, PRESENT, lambda *_: None)
        _forecasts(database, registry, settings)
        with database.transaction() as connection:
            connection.execute(sa.insert(drift_log), [_check(days) for days in range(14)])
            connection.execute(sa.insert(retraining_log), [_retraining(days) for days in (30, 20, 10)])
            for each in (_undone(40), _promoted(8), _challenger(7)):
                connection.execute(sa.insert(retraining_log).values(**each))
    return settings


def _forecasts(database: Database, registry: Registry, settings: Settings) -> None:
    champion, zone = registry.champion(), settings.region.zone
    day = FIRST_DAY
    with database.transaction() as connection:
        while day <= LAST_DAY:
            issued = day_ahead_issue(day, zone)
            made = forecast_stored(database, settings, issued, day_periods(day, zone), champion)
            rows = made.log_rows("scheduled", f"scheduled NY {day}", issued, "NY", code_identity())
            predictions.insert_predictions(connection, rows)
            store_peak(connection, "NY", day_peak(connection, settings.region, made, day, issued))
            if issued > PRESENT - 7 * DAY:
                shadow = {"source": "shadow", "model_version": "2", "request_id": f"shadow NY {day}"}
                predictions.insert_predictions(
                    connection,
                    [{**row, **shadow, "predicted_demand": 1.01 * row["predicted_demand"]} for row in rows],
                )
            day += timedelta(days=1)


def _check(days_ago: int) -> dict[str, object]:
    drifted = days_ago < 2
    found = {
        name: {
            "group": "temperature",
            "status": "compared",
            "drifted": drifted,
            "score": 0.9 if drifted else 0.1,
            "shift": 1.0,
        }
        for name in WATCHED
    }
    return {
        "respondent": "NY",
        "check_timestamp": PRESENT - timedelta(days=days_ago, hours=9),
        "dataset_drift_detected": drifted,
        "drift_share": 0.5 if drifted else 0.05,
        "n_drifted_features": 7 if drifted else 0,
        "n_total_features": 15,
        "drift_details": {
            "per_feature": found,
            "champion": "1",
            "source_changes": [],
            "cause": "changed_response" if drifted else None,
        },
        "triggered_retrain": days_ago == 1,
        "reason": "drift share 0.50, above 0.30" if drifted else "no trigger",
    }


def _retraining(days_ago: int) -> dict[str, object]:
    began = PRESENT - timedelta(days=days_ago)
    return {
        "respondent": "NY",
        "started_at": began,
        "finished_at": began + timedelta(minutes=3),
        "trigger": "drift",
        "reason": "drift share 0.50 over 0.30",
        "outcome": "failed" if days_ago == 10 else "not_promoted",
        "model_version": None if days_ago == 10 else "2",
        "verdict": None if days_ago == 10 else {"reason": BETTER.reason},
        "error": "MLflow was away" if days_ago == 10 else None,
    }


def _contest(days: int, champion: str) -> dict[str, object]:
    """The hours of a contest that ended ten days ago: 1 % of error against 2 %."""
    ends = pd.date_range(end=PRESENT - 10 * DAY, periods=24 * days, freq="h")
    actual = pd.Series(17_000.0, index=range(len(ends)))
    hours = {"challenger_mwh": actual * 1.01, "champion_mwh": actual * 1.02, "actual_mwh": actual}
    return stored_contest(pd.DataFrame({"period": ends, **hours}), champion, refit=False)


def _challenger(days_ago: int) -> dict[str, object]:
    verdict = Verdict(
        Decision.UNDECIDED,
        "not proven to be better than the champion: MAPE 2.50 % against 2.60 % on 450 hours of 19 days, "
        "z = 1.25 of 3.50",
        days=19,
        gain_percent=3.5,
        statistic=1.25,
        boundary=3.5,
    )
    changes = {"outcome": "shadow", "verdict": plain_verdict(verdict), "contest": _contest(13, "1")}
    return {**_retraining(days_ago), **changes}


def _promoted(days_ago: int) -> dict[str, object]:
    at = PRESENT - days_ago * DAY
    promoted = {"outcome": "promoted", "model_version": "1", "decided_at": at, "contest": _contest(14, "2")}
    return {**_retraining(days_ago), **promoted}


def _undone(days_ago: int) -> dict[str, object]:
    at = PRESENT - days_ago * DAY
    undone = {
        "outcome": "promoted",
        "model_version": "9",
        "decided_at": at,
        "rolled_back_at": at + 4 * DAY,
        "rollback_reason": "the champion before is better: MAPE 2.50 % against 5.00 %",
    }
    return {**_retraining(days_ago), **undone}


@pytest.fixture(scope="session")
def watched_promotion(shown, tmp_path_factory) -> Settings:
    """The same where version 2 served before version 1."""
    home = tmp_path_factory.mktemp("watched") / "home"
    shutil.copytree(shown.home, home)
    settings = shown.model_copy(update={"energy_demand_home": home})
    registry = Registry(settings)
    registry.promote("2")
    registry.promote("1")
    return settings


@pytest.fixture(scope="session")
def reported(shown) -> Settings:
    """The same with an Evidently page."""
    import numpy as np  # noqa: PLC0415

    rng = np.random.default_rng(1)
    rows = pd.DataFrame({name: rng.normal(size=200) for name in WATCHED})
    generate_drift_html_report(rows, rows, shown.drift_report_path)
    return shown


@pytest.fixture
def environment(monkeypatch) -> Callable[[Settings], None]:
    """Lets the dashboard of this process see some settings; nothing that it held before."""

    def use(settings: Settings) -> None:
        for name, value in Dashboard.variables(settings).items():
            monkeypatch.setenv(name, value)
        st.cache_data.clear()
        st.cache_resource.clear()

    yield use
    st.cache_data.clear()
    st.cache_resource.clear()


@pytest.fixture(scope="module")
def served(reported) -> Iterator[Dashboard]:
    """The dashboard as a process, as a user starts it."""
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    with Dashboard(reported) as dashboard:
        yield dashboard
