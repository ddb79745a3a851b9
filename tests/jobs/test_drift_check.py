"""The drift check: its findings and decision are always stored, and the reference is the champion's."""

from __future__ import annotations

from datetime import timedelta

import pandas as pd
import pytest
import sqlalchemy as sa
from children import run_and_kill, run_job
from short import TESTED

from energy_demand.config import CHAMPION_ALIAS, MODEL_NAME
from energy_demand.database import decisions, predictions
from energy_demand.database.job_runs import Job
from energy_demand.database.tables import drift_log
from energy_demand.jobs.drift_check import champion_reference, run_check
from energy_demand.monitoring.diagnosis import Cause
from energy_demand.monitoring.reference import Reference, read_reference, write_reference
from energy_demand.monitoring.retraining_policy import Trigger
from energy_demand.region import NEW_YORK
from energy_demand.registry.champion import NoChampionError
from energy_demand.timeaxis import day_ahead_issue, local_day
from logged import HOUR, row
from support import PRESENT

ZONE = NEW_YORK.zone


@pytest.fixture
def checks(database):
    """Reads the log of checks."""

    def read() -> list[sa.Row]:
        with database.transaction() as connection:
            return list(connection.execute(sa.select(drift_log).order_by(drift_log.c.id)))

    return read


@pytest.fixture
def forecast(database):
    """Logs scheduled forecasts of the last days by version 1, too high by this factor."""

    def log(days: int, factor: float, quality: str = "champion") -> None:
        stored = sa.text("SELECT period, value FROM raw_demand WHERE series = 'D' AND period > :since")
        since = PRESENT - timedelta(days=days)
        rows = []
        with database.transaction() as connection:
            for number, hour in enumerate(connection.execute(stored, {"since": since}).all()):
                issued = day_ahead_issue(local_day(hour.period - HOUR, ZONE), ZONE).isoformat()
                moments = {"issued_at": issued, "prediction_made_at": issued}
                at, forecast = hour.period.isoformat(), hour.value * factor
                values = {"timestamp": at, "predicted_demand": forecast, "model_version": "1", **moments}
                rows.append(row(number, source="scheduled", quality=quality, **values))
            predictions.insert_predictions(connection, rows)

    return log


def test_a_check_without_a_trigger_is_stored_with_its_reason_and_writes_the_report(
    database, settings, registry, checks, forecast
):
    forecast(10, 1.01)
    found = run_check(database, registry, settings, PRESENT)
    (stored,) = checks()
    assert not found.decision.retrain
    assert (stored.triggered_retrain, stored.reason) == (False, found.decision.reason)
    assert stored.reason.startswith("no trigger: drift share ")
    assert (stored.respondent, stored.check_timestamp) == ("NY", PRESENT)
    details = stored.drift_details
    assert (details["champion"], details["trigger"]) == ("1", None)
    assert details["champion_test_mae"] == TESTED["test_mae"]
    assert details["window"]["end"] == (PRESENT - HOUR).isoformat()
    assert stored.n_total_features == len(
        [each for each in details["per_feature"].values() if each["status"] == "compared"]
    )
    assert details["performance"]["7d"]["mape"] == pytest.approx(1.0)
    assert details["comparison"]["days"] >= 7
    assert "<html" in settings.drift_report_path.read_text()[:500]
    assert found.report == str(settings.drift_report_path)
    assert found.to_json()["reason"] == stored.reason


def test_during_the_cooldown_a_check_stores_its_findings_and_waits(
    database, settings, registry, checks, forecast
):
    forecast(10, 1.2)
    with database.transaction() as connection:
        began = PRESENT - timedelta(days=3)
        number = decisions.begin_retraining(connection, "NY", began, "performance", "errors")
        decisions.end_retraining(connection, number, began, "not_promoted")
    assert not run_check(database, registry, settings, PRESENT).decision.retrain
    (stored,) = checks()
    assert (stored.triggered_retrain, stored.drift_details["trigger"]) == (False, "performance")
    assert stored.reason.startswith("MAE of the last ")
    assert stored.reason.endswith("; in cooldown until 2025-03-25T13:00Z")


def test_errors_of_a_fallback_are_reported_and_ask_for_nothing(
    database, settings, registry, checks, forecast
):
    """The champion's version stands with the base booster's answers too."""
    forecast(10, 1.2, "base_booster")
    found = run_check(database, registry, settings, PRESENT)
    (stored,) = checks()
    assert found.decision.trigger is not Trigger.PERFORMANCE
    assert stored.drift_details["comparison"]["days"] == 0
    by_quality = stored.drift_details["performance"]["7d"]["by_quality"]
    assert list(by_quality) == ["base_booster"]
    assert by_quality["base_booster"]["mape"] == pytest.approx(20.0)


def change(database, statement: str, days: int) -> None:
    """Change stored rows of the newest days."""
    with database.transaction() as connection:
        done = connection.execute(sa.text(statement), {"since": PRESENT - timedelta(days=days)})
        assert done.rowcount > 0


FALSE_RUNS = (
    "UPDATE weather_forecast SET temperature_2m = temperature_2m "
    "+ CASE WHEN extract(doy FROM timestamp)::int % 2 = 0 THEN 15 ELSE -15 END WHERE issued_at > :since"
)
OTHER_STATION = "UPDATE raw_weather SET temperature_2m = temperature_2m + 12 WHERE timestamp > :since"
MORE_DEMAND = "UPDATE raw_demand SET value = 1.1 * value WHERE series = 'D' AND period > :since"


def found_cause(found, stored) -> Cause | None:
    """The cause, as it stands everywhere."""
    cause = found.decision.cause
    assert (
        stored.drift_details["cause"] == found.to_json()["cause"] == (None if cause is None else cause.value)
    )
    assert stored.triggered_retrain is found.decision.retrain
    assert stored.reason == found.decision.reason
    return cause


def test_errors_of_days_without_weather_runs_are_a_source_s_fault(
    database, settings, registry, checks, forecast
):
    forecast(10, 1.2, "champion_without_weather")
    found = run_check(database, registry, settings, PRESENT)
    assert found_cause(found, *checks()) is Cause.SOURCE_FAULT
    assert (found.decision.retrain, found.decision.trigger) == (False, Trigger.PERFORMANCE)
    assert "cause: source_fault (weather runs were missing or old on " in found.decision.reason


def test_a_fallback_that_answers_most_days_is_a_source_s_fault_without_a_trigger(
    database, settings, registry, checks, forecast
):
    forecast(10, 1.2, "base_booster")
    found = run_check(database, registry, settings, PRESENT)
    assert found_cause(found, *checks()) is Cause.SOURCE_FAULT
    assert found.decision.trigger is None
    assert "a fallback answered on " in found.decision.reason


def test_observed_weather_that_parts_from_its_forecast_is_a_change_of_the_provider(
    database, settings, registry, checks, forecast
):
    forecast(10, 1.2)
    change(database, OTHER_STATION, 15)
    found = run_check(database, registry, settings, PRESENT)
    assert found_cause(found, *checks()) is Cause.PROVIDER_CHANGE
    assert not found.decision.retrain
    assert "forecast minus observed temperature changed by -" in found.decision.reason


def test_errors_that_follow_from_those_of_the_weather_forecast_are_unusual_weather(
    database, settings, registry, checks, forecast
):
    forecast(10, 1.2)
    change(database, FALSE_RUNS, 17)
    found = run_check(database, registry, settings, PRESENT)
    assert found_cause(found, *checks()) is Cause.UNUSUAL_WEATHER
    assert (found.decision.retrain, found.decision.trigger) == (False, Trigger.PERFORMANCE)
    assert "MAE of the temperature forecast is " in found.decision.reason


def test_demand_that_is_higher_in_the_same_weather_is_a_changed_response(
    database, settings, registry, checks
):
    change(database, MORE_DEMAND, 12)
    found = run_check(database, registry, settings, PRESENT)
    assert found_cause(found, *checks()) is Cause.CHANGED_RESPONSE
    assert (found.decision.retrain, found.decision.trigger) == (True, Trigger.CONCEPT)


def test_errors_that_nothing_else_explains_are_those_of_a_broken_model(
    database, settings, registry, checks, forecast
):
    forecast(10, 1.2)
    found = run_check(database, registry, settings, PRESENT)
    assert found_cause(found, *checks()) is Cause.BROKEN_MODEL
    assert (found.decision.retrain, found.decision.trigger) == (True, Trigger.PERFORMANCE)


def test_without_a_champion_there_is_nothing_to_check(database, settings, registry, checks):
    with registry._store.client() as client:
        client.delete_registered_model_alias(MODEL_NAME, CHAMPION_ALIAS)
    with pytest.raises(NoChampionError):
        run_check(database, registry, settings, PRESENT)
    assert checks() == []


@pytest.mark.slow
def test_a_check_that_was_killed_while_it_was_stored_is_repeated_once(database, settings, checks, forecast):
    forecast(10, 1.2)
    run_and_kill(Job.DRIFT_CHECK, settings, ("after", "energy_demand.database.decisions:insert_check"))
    assert checks() == []
    found = run_job(Job.DRIFT_CHECK, database, settings)
    (stored,) = checks()
    assert (found.decision.retrain, found.decision.trigger) == (True, Trigger.PERFORMANCE)
    assert (stored.triggered_retrain, stored.reason) == (True, found.decision.reason)


def test_a_check_that_was_killed_while_it_wrote_the_reference_leaves_no_partial_file(
    database, settings, registry
):
    run_and_kill(Job.DRIFT_CHECK, settings, ("after", "energy_demand.monitoring.reference:pq.write_table"))
    assert not settings.reference_path.exists()
    assert champion_reference(database, settings, registry.champion()).version == "1"
    assert read_reference(settings.reference_path).version == "1"


def test_the_reference_is_kept_while_it_is_the_champion_s(database, settings, registry):
    champion = registry.champion()
    written = champion_reference(database, settings, champion)
    written_at = settings.reference_path.stat().st_mtime_ns
    again = champion_reference(database, settings, champion)
    assert settings.reference_path.stat().st_mtime_ns == written_at
    pd.testing.assert_frame_equal(again.rows, written.rows)
    assert written.rows["timestamp"].max() == pd.Timestamp(champion.forecaster.trained_through)


@pytest.mark.parametrize("stored_file", ["another champion's", "another training's", "damaged"])
def test_a_reference_that_is_not_the_champion_s_is_rebuilt(database, settings, registry, stored_file):
    champion = registry.champion()
    right = champion_reference(database, settings, champion)
    if stored_file == "damaged":
        settings.reference_path.write_text("no table")
    else:
        version, through = (
            ("7", right.trained_through) if stored_file == "another champion's" else ("1", "2020")
        )
        write_reference(settings.reference_path, Reference(version, through, right.rows.iloc[:5]))
    again = champion_reference(database, settings, champion)
    pd.testing.assert_frame_equal(again.rows, right.rows)
    kept = read_reference(settings.reference_path)
    assert (kept.version, len(kept.rows)) == ("1", len(right.rows))


def test_after_a_rollback_the_reference_is_that_of_the_one_that_serves(database, settings, registry):
    registry.promote("2")
    assert champion_reference(database, settings, registry.champion()).version == "2"
    registry.rollback()
    assert champion_reference(database, settings, registry.champion()).version == "1"
    assert read_reference(settings.reference_path).version == "1"


def test_a_reference_contains_only_what_was_known_when_the_champion_was_trained(database, settings, registry):
    before = champion_reference(database, settings, registry.champion()).rows
    settings.reference_path.unlink()
    with database.transaction() as connection:
        later = {"at": PRESENT - timedelta(days=17)}
        connection.execute(sa.text("UPDATE raw_demand SET value = 2 * value WHERE known_at > :at"), later)
    after = champion_reference(database, settings, registry.champion()).rows
    pd.testing.assert_frame_equal(after, before)


def test_if_no_file_can_be_written_the_check_is_stored_all_the_same(database, settings, registry, checks):
    for path in (settings.reference_path, settings.drift_report_path):
        path.parent.parent.mkdir(parents=True, exist_ok=True)
        path.parent.write_text("in the way")
    found = run_check(database, registry, settings, PRESENT)
    assert found.report is None
    assert len(checks()) == 1
