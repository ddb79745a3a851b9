"""The rows of a drift check: at the 24 h lead, with observed weather and its source."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd

from energy_demand.monitoring.drift_detection import SOURCE, WATCHED
from energy_demand.monitoring.watched_rows import (
    REFERENCE_DAYS,
    WINDOW_DAYS,
    reference_rows,
    rows_between,
    watched_rows,
    window_of,
)
from energy_demand.timeaxis import hourly
from records import START, altered_after

DAY = timedelta(days=1)


def test_every_hour_after_the_first_up_to_the_last_has_a_row(record):
    first, last = START + 100 * DAY, START + 120 * DAY
    rows = watched_rows(record, first, last)
    assert rows["timestamp"].tolist() == hourly(first + timedelta(hours=1), last).tolist()
    assert set(WATCHED) < set(rows.columns)
    assert rows.columns.is_unique
    assert rows.notna().all(axis=None)


def test_the_rows_are_those_of_a_forecast_a_day_ahead(record):
    rows = watched_rows(record, START + 100 * DAY, START + 120 * DAY)
    demand = pd.Series(record.demand_mwh, index=record.periods)
    at = rows["timestamp"]
    # The delay of publication is an hour.
    np.testing.assert_array_equal(rows["demand_lag_1h"], demand[at - timedelta(hours=25)])
    np.testing.assert_array_equal(rows["demand_lag_168h"], demand[at - timedelta(hours=168)])
    np.testing.assert_array_equal(rows["temp_squared"], rows["temperature"] ** 2)


def test_later_data_changes_no_row(record):
    moment = START + 120 * DAY
    straight = watched_rows(record, START + 100 * DAY, moment)
    altered = watched_rows(altered_after(record, moment), START + 100 * DAY, moment)
    pd.testing.assert_frame_equal(altered, straight)


def test_the_reference_ends_where_the_champion_was_trained(record, trained):
    rows = reference_rows(record, trained.judged)
    assert rows["timestamp"].iloc[-1] == trained.judged.trained_through < record.periods[-1]
    assert rows["timestamp"].iloc[0] == record.periods[0]  # the record is shorter than a reference may be
    assert REFERENCE_DAYS >= 3 * 365


def test_the_window_is_the_newest_whole_days_without_the_hour_before(record):
    rows = watched_rows(record, START, record.periods[-1])
    last = START + 200 * DAY
    window = window_of(rows, last)
    assert (
        window["timestamp"].tolist() == hourly(last - WINDOW_DAYS * DAY + timedelta(hours=1), last).tolist()
    )
    halves = [rows_between(rows, last - WINDOW_DAYS * DAY, last - DAY), rows_between(rows, last - DAY, last)]
    pd.testing.assert_frame_equal(pd.concat(halves), window)


def test_the_source_of_each_weather_column_is_given(record):
    rows = watched_rows(record, START + 100 * DAY, START + 101 * DAY)
    weather = [name for name in WATCHED if not name.startswith("demand_")]
    assert {name for name in rows if name.startswith(SOURCE)} == {SOURCE + name for name in weather}
    assert set(rows[SOURCE + "temperature"].astype(str)) == {"4 sites"}
