"""Injections: demand and truth change alike from a day on, and nothing before it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from energy_demand.columns import TARGET_COLUMN
from energy_demand.data.weather_path import MAIN, PATH_COLUMNS
from energy_demand.evaluation.injection import RAMP_DAYS, Injection, Kind
from energy_demand.timeaxis import HOUR, Availability, local_midnight

DAY = date(2024, 9, 10)
FIRST, LAST = date(2024, 7, 2), date(2025, 2, 24)


def factors(record, kind: Kind, day: date = DAY) -> pd.Series:
    """The factor on demand in each hour."""
    changed = Injection(kind, day).into(record)
    return pd.Series(changed.demand_mwh / record.demand_mwh, index=record.periods)


def midnight(record, day: date = DAY) -> pd.Timestamp:
    return pd.Timestamp(local_midnight(day, record.region.zone))


@settings(deadline=None, max_examples=40)
@given(st.sampled_from(Kind), st.dates(FIRST, LAST))
def test_everything_before_the_day_is_left_as_it_was(record, kind, day):
    changed = Injection(kind, day).into(record)
    before = record.periods <= midnight(record, day)  # the hour that ends at midnight is before it
    pd.testing.assert_frame_equal(changed.demand[before], record.demand[before])
    assert not changed.demand[~before].equals(record.demand[~before])


@pytest.mark.parametrize("kind", list(Kind))
def test_demand_and_truth_change_alike_and_weather_not_at_all(record, kind):
    demand = record.demand.assign(truth_mwh=record.demand["truth_mwh"] * 1.01)
    changed = Injection(kind, DAY).into(replace(record, demand=demand))
    np.testing.assert_allclose(changed.truth_mwh, changed.demand_mwh * 1.01)
    assert changed.weather is record.weather
    assert changed.forecasts is record.forecasts
    assert changed.observed is record.observed
    assert changed.issued is record.issued


@pytest.mark.parametrize("kind", list(Kind))
def test_the_record_that_is_given_stays_as_it_was(record, kind):
    kept = record.demand.copy()
    Injection(kind, DAY).into(record)
    pd.testing.assert_frame_equal(record.demand, kept)


def test_a_step_is_whole_from_its_first_hour_on(record):
    found = factors(record, Kind.STEP)
    start = midnight(record)
    assert found[start] == 1.0
    np.testing.assert_allclose(found[start + HOUR :], 1.05)


def test_a_ramp_grows_evenly_for_sixty_days_and_then_stays(record):
    percent = 100 * (factors(record, Kind.RAMP) - 1)
    start = midnight(record)
    assert percent[start + RAMP_DAYS * timedelta(hours=12)] == pytest.approx(2.5)
    assert percent[start + HOUR] == pytest.approx(5.0 / (24 * RAMP_DAYS))
    end = start + timedelta(days=RAMP_DAYS)
    assert np.diff(percent[start:end]) == pytest.approx(5.0 / (24 * RAMP_DAYS))
    np.testing.assert_allclose(percent[end:], 5.0)


@pytest.mark.parametrize(
    ("celsius", "percent"),
    [
        pytest.param(28.3, 10.0, id="hot"),
        pytest.param(18.3, 0.0, id="balanced"),
        pytest.param(10.0, 0.0, id="cool"),
        pytest.param(-10.0, 10.0, id="freezing"),
        pytest.param(np.nan, 0.0, id="not known"),
    ],
)
def test_a_stronger_response_adds_to_demand_by_the_temperature(record, celsius, percent):
    values = record.observed.values.copy()
    values[:, PATH_COLUMNS.index(MAIN)] = celsius
    changed = replace(record.observed, values=values)
    found = factors(replace(record, observed=changed), Kind.WEATHER_RESPONSE)
    start = midnight(record)
    np.testing.assert_allclose(100 * (found[start + HOUR :] - 1), percent, atol=1e-9)


def test_a_stronger_response_follows_observed_weather(record):
    found = 100 * (factors(record, Kind.WEATHER_RESPONSE)[midnight(record) + HOUR :] - 1)
    temperature = pd.Series(record.observed.column(MAIN), index=record.periods)[found.index]
    mild = (temperature >= 10.0) & (temperature <= 18.3)
    assert mild.any()
    assert not mild.all()
    assert found[mild].abs().max() < 1e-9
    assert (found[~mild] > 0).all()


def test_unknown_demand_stays_unknown(record):
    demand = record.demand.copy()
    demand.loc[2000:2010, TARGET_COLUMN] = np.nan
    changed = Injection(Kind.STEP, DAY).into(replace(record, demand=demand))
    np.testing.assert_array_equal(np.isnan(changed.demand_mwh), np.isnan(demand[TARGET_COLUMN]))


def test_a_record_without_truth_is_changed_too(record):
    served = replace(record, demand=record.demand.drop(columns="truth_mwh"))
    changed = Injection(Kind.STEP, DAY).into(served)
    assert list(changed.demand) == ["period", TARGET_COLUMN, "seen_mwh"]
    np.testing.assert_allclose(changed.demand_mwh[-1], record.demand_mwh[-1] * 1.05)
    np.testing.assert_allclose(changed.seen_mwh[-1], record.seen_mwh[-1] * 1.05)


@pytest.mark.parametrize("kind", list(Kind))
def test_a_day_after_the_record_changes_nothing(record, kind):
    later = record.periods[-1].date() + timedelta(days=3)
    np.testing.assert_array_equal(factors(record, kind, later), 1.0)


@pytest.mark.parametrize("kind", list(Kind))
def test_cutting_and_changing_a_record_commute(record, kind):
    end = (midnight(record) + timedelta(days=30)).to_pydatetime()
    cut = record.cut_at(end, Availability(1))
    one = Injection(kind, DAY).into(cut).demand
    other = Injection(kind, DAY).into(record).cut_at(end, Availability(1)).demand
    pd.testing.assert_frame_equal(one, other)
