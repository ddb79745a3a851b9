"""Weather models that stop, begin or change are named, from stored runs and observed weather alone."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from energy_demand.columns import WEATHER_VARIABLES
from energy_demand.data import record_store
from energy_demand.database import weather
from energy_demand.jobs.status import status
from energy_demand.model.weather.past_errors import past_hours
from energy_demand.monitoring import state_metrics
from energy_demand.monitoring.state_metrics import StateCollector
from energy_demand.monitoring.weather_models import model_states, state_of
from energy_demand.region import NEW_YORK
from energy_demand.timeaxis import hourly
from support import PRESENT

DAYS = 47
RUNS = range(-DAYS * 24, 1, 6)  # hours from the present at which a run is issued
CHANGED_DAYS = 9


def observed_at(timestamps: pd.DatetimeIndex) -> np.ndarray:
    return 10.0 + 6.0 * np.sin(2 * np.pi * timestamps.hour.to_numpy() / 24.0)


def rows(timestamps: pd.DatetimeIndex, temperature: np.ndarray, **columns: object) -> pd.DataFrame:
    others = dict.fromkeys(WEATHER_VARIABLES, 1.0)
    frame = pd.DataFrame({**others, **columns, "timestamp": timestamps, "site": "new_york_city"})
    return frame.assign(temperature_2m=temperature, ingested_at=PRESENT)


def store_observed(database) -> None:
    timestamps = hourly(PRESENT - timedelta(days=DAYS + 1), PRESENT)
    frame = rows(timestamps, observed_at(timestamps), source="archive", known_at=timestamps)
    with database.transaction() as connection:
        weather.upsert_weather(connection, frame, PRESENT)


def store_runs(database, model: str, first: int = -DAYS * 24, last: int = 0, shift: float = 0.0) -> None:
    """Runs with errors of half a degree, and of `shift` more in the last `CHANGED_DAYS`."""
    random, frames = np.random.default_rng(len(model)), []
    for hour in RUNS:
        if not first <= hour <= last:
            continue
        issued_at = PRESENT + timedelta(hours=hour)
        timestamps = hourly(issued_at, issued_at + timedelta(hours=8))
        error = random.normal(0.0, 0.5) + (shift if hour > -24 * CHANGED_DAYS else 0.0)
        frames.append(
            rows(
                timestamps,
                observed_at(timestamps) + error,
                model=model,
                issued_at=issued_at,
                known_at=issued_at,
            )
        )
    with database.transaction() as connection:
        weather.upsert_runs(connection, pd.concat(frames, ignore_index=True))


@pytest.fixture
def listed(settings):
    models = ("steady_model", "ended", "late", "moved", "never")
    return settings.model_copy(update={"open_meteo_models": models})


@pytest.fixture
def stored(database):
    store_observed(database)
    store_runs(database, "steady_model")
    store_runs(database, "ended", last=-50)
    store_runs(database, "late", first=-60)
    store_runs(database, "moved", shift=2.0)
    return database


def test_what_became_of_each_model_is_named(stored, listed):
    with stored.transaction() as connection:
        found = {each.model: each for each in model_states(connection, listed, PRESENT)}
    states = {model: each.state for model, each in found.items()}
    assert states == {
        "steady_model": "steady",
        "ended": "stopped",
        "late": "started",
        "moved": "changed",
        "never": "waiting",
    }
    assert found["ended"].since == PRESENT - timedelta(hours=54)
    assert found["late"].since == PRESENT - timedelta(hours=60)
    assert abs(found["moved"].since - (PRESENT - timedelta(days=CHANGED_DAYS))) <= timedelta(days=2)
    assert found["moved"].mean_error == pytest.approx(2.0, abs=0.3)
    assert found["steady_model"].mean_error == pytest.approx(0.0, abs=0.3)
    assert found["moved"].words.startswith("changed: temperatures +")
    assert found["never"].newest_run is None


def test_what_was_not_known_then_names_nothing(stored, listed):
    before = PRESENT - timedelta(days=CHANGED_DAYS + 1)
    with stored.transaction() as connection:
        found = {each.model: each.state for each in model_states(connection, listed, before)}
    assert found == dict.fromkeys(("steady_model", "ended", "moved"), "steady") | dict.fromkeys(
        ("late", "never"), "waiting"
    )


def test_a_record_reads_the_runs_of_every_model_but_the_first_by_name(stored, listed):
    as_of = PRESENT - timedelta(days=1)
    with stored.transaction() as connection:
        found = record_store._other_runs(connection, listed, PRESENT - timedelta(days=5), as_of)
    assert list(found) == list(listed.open_meteo_models[1:])
    assert {model: len(runs.issued_at) for model, runs in found.items()} == {
        "ended": 12,
        "late": 7,
        "moved": 17,
        "never": 0,
    }
    assert found["moved"].issued_at[-1] == pd.Timestamp(as_of)


def test_status_names_them(stored, listed):
    models = status(listed, PRESENT)["weather_models"]
    assert [each["model"] for each in models] == list(listed.open_meteo_models)
    assert [each["state"] for each in models] == ["steady", "stopped", "started", "changed", "waiting"]


def test_metrics_have_a_label_for_the_model(stored, listed, monkeypatch):
    monkeypatch.setattr(state_metrics, "CACHE_SECONDS", -1.0)
    collector = StateCollector(listed)
    try:
        samples = {
            (each.name, each.labels["model"]): each.value
            for metric in collector.collect()
            for each in metric.samples
            if "model" in each.labels
        }
    finally:
        collector.close()
    assert samples["weather_model_age_hours", "ended"] == 54.0
    changed = {model: value for (name, model), value in samples.items() if name == "weather_model_changed"}
    assert changed == {"steady_model": 0.0, "ended": 0.0, "late": 0.0, "moved": 1.0}
    assert samples["weather_model_error_celsius", "moved"] == pytest.approx(2.0, abs=0.3)


HOURS = past_hours(pd.Timestamp(PRESENT) - pd.Timedelta(days=45), pd.Timestamp(PRESENT), NEW_YORK.zone)


@pytest.mark.parametrize(
    ("first", "newest", "state"),
    [
        pytest.param(None, None, "waiting", id="no run at all"),
        pytest.param(400.0, 35.0, "steady", id="a day and a half without a run"),
        pytest.param(400.0, 37.0, "stopped", id="longer"),
        pytest.param(13 * 24.0, 5.0, "started", id="a first run within two weeks"),
        pytest.param(15 * 24.0, 5.0, "steady", id="and before"),
    ],
)
def test_a_state_is_that_of_its_runs(first, newest, state):
    moments = [None if age is None else PRESENT - timedelta(hours=age) for age in (first, newest)]
    found = state_of("m", *moments, PRESENT, HOURS, np.zeros(len(HOURS)))
    assert (found.state, found.model) == (state, "m")
