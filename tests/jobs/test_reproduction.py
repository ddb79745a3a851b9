"""A logged forecast is made again bit for bit, whatever was stored since; else what is gone is named."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa
from short import TRAINED_AT

from energy_demand.code_identity import code_identity
from energy_demand.database import predictions
from energy_demand.jobs.forecast import asked_hours, forecast_stored, run_forecast
from energy_demand.jobs.reproduction import NotLoggedError, reproduce
from energy_demand.serving.model_holder import ServedModel
from energy_demand.serving.predictions import Answerer
from energy_demand.serving.schemas import EXAMPLE, Batch, FeatureRow
from support import PRESENT

MADE_AT = PRESENT + timedelta(minutes=1)
REQUEST = "the forecast of the test"
HOUR = PRESENT.replace(minute=0) + timedelta(hours=3)


def execute(database, statement: str, **values: object) -> None:
    with database.transaction() as connection:
        assert connection.execute(sa.text(statement), values).rowcount


@pytest.fixture
def make(settings, database, registry):
    """Log a forecast of the next hours, issued in the present and made a minute later; data is older."""
    for table in ("raw_demand", "raw_weather", "weather_forecast"):
        execute(database, f"UPDATE {table} SET ingested_at = ingested_at - interval '2 hours'")

    def run(**changed: object):
        return run_forecast(
            database, registry, settings, PRESENT, MADE_AT, hours=24, request_id=REQUEST, **changed
        )

    return run


@pytest.fixture
def again(settings, database, registry):
    def run(**what: object):
        return reproduce(database, registry, settings, **what or {"request_id": REQUEST})

    return run


def revise(database, moment: datetime) -> None:
    """At `moment` an ingestion stores half of yesterday's demand and weather anew, and takes nothing back."""
    for table, key in (("raw_demand", "period"), ("raw_weather", "timestamp")):
        value = "value" if table == "raw_demand" else "temperature_2m"
        since = PRESENT - timedelta(days=1)
        execute(
            database,
            f"INSERT INTO {table}_revision SELECT r.*, :moment FROM {table} r WHERE {key} > :since",
            moment=moment,
            since=since,
        )
        execute(
            database,
            f"UPDATE {table} SET {value} = {value} * 0.99, known_at = :moment, ingested_at = :moment "
            f"WHERE {key} > :since",
            moment=moment,
            since=since,
        )


def late_hours(database, moment: datetime) -> None:
    """Rows that count as known before, but are stored at `moment`."""
    for table, key in (
        ("raw_demand", "period"),
        ("raw_weather", "timestamp"),
        ("weather_forecast", "issued_at"),
    ):
        execute(
            database,
            f"UPDATE {table} SET ingested_at = :moment WHERE {key} > :since AND known_at <= :known",
            moment=moment,
            since=PRESENT - timedelta(hours=30),
            known=PRESENT,
        )


def test_every_part_is_the_same_and_so_is_every_bit(make, again):
    make()
    result = again()
    assert result.agrees, result
    assert set(result.parts.values()) == {"same"}
    assert set(result.parts) == {
        *("version", "code", "settings", "demand", "observed_weather", "weather_forecasts", "state")
    }
    assert (result.rows, result.largest_difference_mwh, result.reason) == (24, 0.0, None)


def test_an_hour_names_the_forecast_that_counts_for_it(make, again, database):
    make()
    execute(
        database,
        "INSERT INTO prediction_log (respondent, timestamp, issued_at, lead_hours, predicted_demand, "
        "model_version, quality, source, request_id, prediction_made_at, features_json) SELECT respondent, "
        "timestamp, issued_at, lead_hours, 1, model_version, 'base_booster', 'scheduled', 'of a caller', "
        "prediction_made_at, '{}' FROM prediction_log",
    )
    assert again(period=HOUR).request_id == REQUEST


@pytest.mark.parametrize("later", [timedelta(minutes=1), timedelta(days=3)])
def test_what_was_stored_since_does_not_matter(make, again, database, later):
    make()
    revise(database, MADE_AT + later)
    assert again().agrees


@pytest.mark.parametrize("began", [timedelta(seconds=20), timedelta(minutes=50)])
@pytest.mark.parametrize("store", [revise, late_hours])
def test_an_ingestion_that_began_before_the_forecast_and_ended_after_it_was_not_seen(
    make, again, database, began, store
):
    """Its rows bear the time of its start."""
    if store is late_hours:
        # The forecast finds nothing of the last hours, which arrive with the ingestion.
        hidden = (
            "UPDATE {} SET known_at = known_at + interval '1 year' WHERE {} > :since AND known_at <= :known"
        )
        shown = "UPDATE {} SET known_at = known_at - interval '1 year' WHERE known_at > :known"
        tables = {"raw_demand": "period", "raw_weather": "timestamp", "weather_forecast": "issued_at"}
        since = PRESENT - timedelta(hours=30)
        for table, key in tables.items():
            execute(database, hidden.format(table, key), since=since, known=PRESENT)
        make()
        for table in tables:
            execute(database, shown.format(table), known=PRESENT + timedelta(days=300))
    else:
        make()
    store(database, MADE_AT - began)
    result = again()
    assert result.agrees, result
    assert set(result.parts.values()) == {"same"}


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ("UPDATE raw_demand SET value = value + 1 WHERE period = :hour", "demand"),
        (
            "UPDATE raw_weather SET temperature_2m = temperature_2m + 1 WHERE timestamp = :hour",
            "observed weather",
        ),
        (
            "UPDATE weather_forecast SET temperature_2m = temperature_2m + 1 WHERE timestamp > :hour",
            "weather forecasts",
        ),
    ],
)
def test_data_that_was_changed_by_hand_is_named(make, again, database, change, part):
    make()
    execute(database, change, hour=PRESENT.replace(minute=0) - timedelta(hours=5))
    result = again()
    assert not result.agrees
    assert result.largest_difference_mwh > 0
    assert part in result.reason
    assert result.parts["version"] == result.parts["code"] == result.parts["settings"] == "same"


def test_other_code_is_named_and_so_are_other_settings(make, again, database, registry, settings):
    make()
    execute(
        database,
        "UPDATE prediction_log SET provenance = jsonb_set(provenance, '{sources}', '\"0\"') "
        "WHERE provenance IS NOT NULL",
    )
    assert again().parts["code"] == "differs"
    late = settings.model_copy(update={"publication_delay_hours": 2})
    result = reproduce(database, registry, late, request_id=REQUEST)
    assert result.parts["settings"] == "differs"


def test_a_version_that_was_pruned_is_named(make, again, registry):
    make()
    registry.promote("2")
    registry.promote("2")
    for version in ("3", "4", "5"):
        registry.register(registry.load("2").forecaster, params={}, metrics={}, started_at=TRAINED_AT)
        registry.promote(version)
    assert "1" in registry.prune(1)
    result = again()
    assert (result.agrees, result.largest_difference_mwh) == (False, None)
    assert result.parts["version"] == "missing"
    assert result.reason == "version 1 of energy-demand-lgbm is not in the registry; old versions are pruned"


@pytest.mark.parametrize("quality", ["base_booster", "last_week"])
def test_a_fallback_is_made_again_too(settings, database, registry, again, quality):
    execute(database, "DELETE FROM weather_forecast")
    if quality == "base_booster":
        run_forecast(database, registry, settings, PRESENT, MADE_AT, hours=24, request_id=REQUEST)
    else:
        forecast = forecast_stored(
            database, settings, PRESENT, asked_hours(settings, PRESENT, hours=24), None
        )
        rows = forecast.log_rows("request", REQUEST, MADE_AT, "NY", code_identity())
        with database.transaction() as connection:
            predictions.insert_predictions(connection, rows)
    late_hours_since = MADE_AT + timedelta(hours=1)
    revise(database, late_hours_since)
    result = again()
    assert (result.quality, result.agrees) == (quality, True), result


def test_rows_that_a_caller_brought_are_predicted_again(settings, database, registry, again):
    """Alone and in a batch; the log has their features."""
    lines: list[bytes] = []

    class Log:
        def add(self, more) -> None:
            lines.extend(more() if callable(more) else more)

    answerer, model = (
        Answerer(settings, Log(), lambda: MADE_AT),
        ServedModel(registry.champion(), None, MADE_AT),
    )
    answerer.one(model, FeatureRow.model_validate(EXAMPLE), "alone")
    _, more = answerer.many(
        model, Batch.model_validate({"rows": [EXAMPLE, {**EXAMPLE, "temperature": 31.0}]}), "two"
    )
    with database.transaction() as connection:
        predictions.insert_prediction_lines(connection, [*lines, *more()])
    for request, rows in (("alone", 1), ("two", 2)):
        result = again(request_id=request)
        assert (result.agrees, result.rows, result.parts["version"]) == (True, rows, "same"), result
    assert "demand" not in result.parts


def test_nothing_logged_is_an_error_that_says_where_to_look(again):
    with pytest.raises(
        NotLoggedError, match="for request 'the forecast of the test'; `energy-demand forecasts`"
    ):
        again()
    with pytest.raises(NotLoggedError, match="for the hour 2030-01-01T00:00:00Z"):
        again(period=datetime.fromisoformat("2030-01-01T00:00+00:00"))
