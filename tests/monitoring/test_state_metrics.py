"""Metrics of the database: known values are reported, unknown ones are left out."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta

import pytest
import sqlalchemy as sa
from prometheus_client import CollectorRegistry

from energy_demand.database import decisions, job_runs, predictions
from energy_demand.database.job_runs import Job
from energy_demand.database.tables import drift_log, raw_demand, retraining_log, truth_flag
from energy_demand.jobs.peaks import store_peak
from energy_demand.monitoring import state_metrics
from energy_demand.monitoring.state_metrics import StateCollector
from logged import HOUR, away, row
from peak_days import peak
from support import PRESENT, make_settings

AWAY = {"database_up": 0.0, "region_usable": 1.0, "region_local_hour": 9.0}
EMPTY = {
    "database_up": 1.0,
    "region_usable": 1.0,
    "region_local_hour": 9.0,
    "retrain_triggered_total": 0.0,
    "forecast_tomorrow_hours": 0.0,
    "promotion_rolled_back": 0.0,
    "feature_rows": 0.0,
    "peak_alerts": 0.0,
    "notifications_waiting": 0.0,
}


@pytest.fixture(autouse=True)
def _every_scrape_looks(monkeypatch):
    monkeypatch.setattr(state_metrics, "CACHE_SECONDS", -1.0)


@pytest.fixture
def scrape(settings):
    """Gives name → value, as Prometheus would see them; a name with one more label is `name{value}`."""
    registry = CollectorRegistry()

    def scraped() -> dict[str, float]:
        samples = [each for metric in registry.collect() for each in metric.samples]
        assert {each.labels.get("region") for each in samples if each.name != "database_up"} <= {"NY"}
        values = {}
        for each in samples:
            labels = [value for name, value in each.labels.items() if name != "region"]
            values[f"{each.name}{{{labels[0]}}}" if labels else each.name] = each.value
        return values

    with closing(StateCollector(settings)) as collector:
        registry.register(collector)
        yield scraped


def store(database, table: sa.Table, **values: object) -> None:
    with database.transaction() as connection:
        connection.execute(sa.insert(table).values(**values))


def demand(database, hours_ago: int, value: float = 16_000.0) -> None:
    period = PRESENT - hours_ago * HOUR
    known = {"known_at": period + HOUR, "ingested_at": PRESENT}
    store(database, raw_demand, respondent="NY", series="D", period=period, value=value, origin="NY", **known)


def check(
    database, hours_ago: int, share: float, *, drifted: bool, retrain: bool = False, **details: object
) -> None:
    store(
        database,
        drift_log,
        respondent="NY",
        check_timestamp=PRESENT - hours_ago * HOUR,
        dataset_drift_detected=drifted,
        drift_share=share,
        n_drifted_features=3,
        n_total_features=10,
        drift_details=details,
        triggered_retrain=retrain,
        reason="a test",
    )


def test_an_empty_database_gives_only_known_metrics(scrape, database):
    assert scrape() == EMPTY


@pytest.mark.parametrize("database_url", ["without tables"], indirect=True)
def test_a_database_without_tables_gives_only_whether_it_is_up(scrape):
    assert scrape().keys() == AWAY.keys()


def test_freshness_is_the_age_of_the_newest_valid_hour(scrape, database):
    for hours_ago in (4, 3, 2):
        demand(database, hours_ago)
    demand(database, 0)  # known in an hour
    assert scrape() == {**EMPTY, "data_freshness_hours": 2.0}
    doubted = PRESENT - 2 * HOUR
    store(database, truth_flag, respondent="NY", period=doubted, flag="SPIKE", flagged_at=PRESENT)
    assert scrape() == {**EMPTY, "data_freshness_hours": 3.0}


def test_drift_is_that_of_the_last_check_and_retrainings_are_counted(scrape, database):
    check(database, 3, 0.8, drifted=True, retrain=True)
    check(database, 2, 0.7, drifted=True, retrain=True, champion_test_mae=400.0)
    found = scrape()
    assert (found["drift_share"], found["drift_detected"], found["champion_test_mae_mwh"]) == (
        0.7,
        1.0,
        400.0,
    )
    check(database, 1, 0.0, drifted=False, champion_test_mae=None)
    assert scrape() == {
        **EMPTY,
        "retrain_triggered_total": 2.0,
        "drift_share": 0.0,
        "drift_detected": 0.0,
        "last_drift_check_timestamp_seconds": (PRESENT - HOUR).timestamp(),
    }


def test_errors_of_scheduled_forecasts_are_reported(scrape, database):
    demand(database, 2, 16_000.0)
    moments = {"timestamp": (PRESENT - 2 * HOUR).isoformat(), "issued_at": (PRESENT - 24 * HOUR).isoformat()}
    rows = row(**moments, predicted_demand=16_400.0, source="scheduled", quality="champion")
    fallback = row(1, **moments, predicted_demand=17_600.0, source="scheduled")
    fallback["timestamp"] = (PRESENT - 3 * HOUR).isoformat()
    demand(database, 3, 16_000.0)
    with database.transaction() as connection:
        predictions.insert_predictions(connection, [rows, fallback])
    found = scrape()
    assert (found["model_mae_mwh"], found["model_mape_percent"]) == (400.0, 2.5)
    assert found["champion_answered_share"] == 0.5
    assert (found["forecast_mae_mwh{base_booster}"], found["forecast_mae_mwh{champion}"]) == (1_600.0, 400.0)
    assert found["forecast_mape_percent{base_booster}"] == 10.0


def test_forecast_hours_of_tomorrow_are_reported(scrape, database):
    rows = [row(number, timestamp=(PRESENT + (16 + number) * HOUR).isoformat()) for number in range(24)]
    with database.transaction() as connection:
        predictions.insert_predictions(connection, rows)
    assert scrape()["forecast_tomorrow_hours"] == 0.0, "somebody asked for them"
    with database.transaction() as connection:
        late = [{**each, "request_id": "scheduled NY 2025-03-13"} for each in rows]
        predictions.insert_predictions(connection, late)
    assert scrape()["forecast_tomorrow_hours"] == 24.0


def test_outcomes_of_flows_and_of_the_last_retraining_are_reported(scrape, database):
    began = PRESENT - HOUR
    with database.transaction() as connection:
        job_runs.record_start(connection, Job.DRIFT_CHECK, "NY", began)
        job_runs.record_end(connection, Job.DRIFT_CHECK, "NY", began)
        job_runs.record_start(connection, Job.RETRAIN, "NY", began)
        job_runs.record_end(connection, Job.RETRAIN, "NY", began, "MLflow is away")
    assert scrape() == {
        **EMPTY,
        "flow_failed{drift-check}": 0.0,
        "flow_failed{retrain}": 1.0,
        "flow_last_success_timestamp_seconds{drift-check}": began.timestamp(),
        "retraining_failed": 1.0,
    }
    with database.transaction() as connection:
        number = decisions.begin_retraining(connection, "NY", PRESENT, "age", "a test")
        decisions.end_retraining(connection, number, PRESENT, "promoted")
        job_runs.record_end(connection, Job.RETRAIN, "NY", PRESENT)
    assert scrape()["retraining_failed"] == 0.0


def test_tomorrow_s_peak_is_reported_once_it_is_forecast(scrape, database):
    tomorrow = PRESENT.date() + timedelta(days=1)
    with database.transaction() as connection:
        store_peak(connection, "NY", peak(PRESENT.date(), alert=True))
        store_peak(connection, "PJM", peak(tomorrow, alert=True))
    assert scrape() == {**EMPTY, "peak_alerts": 1.0}
    with database.transaction() as connection:
        store_peak(connection, "NY", peak(tomorrow, alert=True))
    found = {"peak_alerts": 2.0, "peak_alert_tomorrow": 1.0, "peak_probability_tomorrow": 0.7}
    assert scrape() == {**EMPTY, **found}


def test_the_challenger_its_forecasts_and_a_rollback_are_reported(scrape, database):
    began = PRESENT - 60 * HOUR
    retraining = {"respondent": "NY", "trigger": "drift", "reason": "a test", "started_at": began}
    store(
        database,
        retraining_log,
        **retraining,
        outcome="shadow",
        model_version="3",
        finished_at=began,
        verdict={"days": 20, "gain_percent": 2.5},
    )
    scheduled = {"source": "scheduled", "quality": "champion", "timestamp": PRESENT.isoformat()}
    with database.transaction() as connection:
        predictions.insert_predictions(connection, [row(1, **scheduled)])
    found = scrape()
    assert (found["challenger_shadow_days"], found["challenger_gain_percent"]) == (2.5, 2.5)
    assert found["shadow_forecast_lag_hours{challenger}"] == 60.0
    assert found["promotion_rolled_back"] == 0.0
    store(
        database,
        retraining_log,
        **retraining,
        outcome="promoted",
        model_version="2",
        rolled_back_at=PRESENT - HOUR,
        rollback_reason="worse",
    )
    assert scrape()["promotion_rolled_back"] == 1.0


def test_an_unreachable_database_is_reported_until_it_is_back(scrape, database, database_url):
    check(database, 1, 0.5, drifted=False)
    before = scrape()
    assert before["drift_share"] == 0.5
    with away(database_url):
        assert scrape() == AWAY
        assert scrape() == AWAY
    assert scrape() == before


def test_a_database_that_never_existed_is_reported():
    settings = make_settings(database_url="postgresql://nobody@127.0.0.1:9/nothing")
    with closing(StateCollector(settings)) as collector:
        assert {each.name: each.samples[0].value for each in collector.collect()} == AWAY


def test_a_database_that_does_not_answer_does_not_block_the_scrape(scrape, database, monkeypatch):
    monkeypatch.setattr(state_metrics, "STATEMENT_SECONDS", 0.2)
    with database.transaction() as connection:
        # The lock ends by itself, so that a scrape that waits for it fails the test and does not hang it.
        connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = '5s'")
        connection.exec_driver_sql("LOCK TABLE raw_demand")
        assert scrape() == AWAY
    assert scrape() == EMPTY


def test_scrapes_close_together_share_one_query(settings, database, monkeypatch):
    monkeypatch.setattr(state_metrics, "CACHE_SECONDS", 10.0)
    demand(database, 2)
    with closing(StateCollector(settings)) as collector:
        first = {metric.name for metric in collector.collect()}
        check(database, 1, 0.5, drifted=False)
        assert {metric.name for metric in collector.collect()} == first
        monkeypatch.setattr(state_metrics, "CACHE_SECONDS", 0.0)
        assert {metric.name for metric in collector.collect()} == {
            *first,
            "drift_share",
            "drift_detected",
            "last_drift_check_timestamp_seconds",
        }


def test_each_region_has_its_own_samples_and_one_that_is_unknown_is_not_usable(settings, database):
    period = PRESENT - 5 * HOUR
    known = {"known_at": period + HOUR, "ingested_at": PRESENT}
    demand(database, 2)
    store(
        database, raw_demand, respondent="ERCO", series="D", period=period, value=1.0, origin="ERCO", **known
    )
    several = settings.model_copy(update={"eia_regions": ("NY", "ERCO", "XYZ")})
    registry = CollectorRegistry()
    with closing(StateCollector(several)) as collector:
        registry.register(collector)
        assert [
            registry.get_sample_value("data_freshness_hours", {"region": code}) for code in several.regions
        ] == [2.0, 5.0, None]
        assert [registry.get_sample_value("region_usable", {"region": code}) for code in several.regions] == [
            1.0,
            1.0,
            0.0,
        ]
        assert [
            registry.get_sample_value("region_local_hour", {"region": code}) for code in several.regions
        ] == [9.0, 8.0, None]
