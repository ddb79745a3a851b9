"""Radiation where none was measured: learnt from measured hours, a formula of the clouds elsewhere."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from energy_demand.data.irradiance import clear_sky, under_clouds
from energy_demand.data.weather_path import (
    CLOUD,
    HUMIDITY,
    MAIN_CLOUD,
    MAIN_RADIATION,
    PATH_COLUMNS,
    RADIATION,
    REST_RADIATION,
    WeatherPath,
)
from energy_demand.model.weather.climate import naive
from energy_demand.model.weather.radiation import (
    ABOVE_CLEAR,
    RadiationRecipe,
    fit_radiation,
    radiation_columns,
    radiation_feature_names,
)
from energy_demand.region import NEW_YORK, centre
from energy_demand.timeaxis import hourly

START = pd.Timestamp("2023-01-01T05:00Z")
HOURS = 600 * 24
TRAINED = START + pd.Timedelta(days=400)
QUICK = replace(RadiationRecipe(), trees=80)
OTHERS = NEW_YORK.sites[1:]


def at(name: str) -> int:
    return PATH_COLUMNS.index(name)


def haze(values: np.ndarray, clear: np.ndarray) -> np.ndarray:
    """Radiation that depends on humidity, which the formula of clouds does not know."""
    clouds = under_clouds(clear, values[:, at(CLOUD)] / 100)
    return clouds * (1.2 - 0.8 * values[:, at(HUMIDITY)] / 100)


@pytest.fixture(scope="module")
def measured() -> WeatherPath:
    """A path on which radiation upstate was measured in every hour, and none at the main site."""
    random = np.random.default_rng(4)
    periods = hourly(START, START + pd.Timedelta(hours=HOURS - 1))
    values = random.uniform(0.0, 100.0, (HOURS, len(PATH_COLUMNS)))
    values[:, at(MAIN_RADIATION)] = np.nan
    values[:, at(REST_RADIATION)] = haze(values, clear_sky(periods, *centre(OTHERS)))
    return WeatherPath(periods, values)


def without_radiation(path: WeatherPath) -> WeatherPath:
    values = path.values.copy()
    values[:, [at(name) for name in RADIATION]] = np.nan
    return WeatherPath(path.periods, values)


@pytest.fixture(scope="module")
def guess(measured):
    return fit_radiation(measured, TRAINED, NEW_YORK, QUICK)


def test_what_is_learnt_is_nearer_than_the_formula_on_days_that_were_not_learnt(measured, guess):
    later = measured.until(measured.periods[-1], 150 * 24)
    found = guess.completed(without_radiation(later)).column(REST_RADIATION)
    clear = clear_sky(later.periods, *centre(OTHERS))
    formula = under_clouds(clear, later.column(CLOUD) / 100)
    truth, day = later.column(REST_RADIATION), clear > 0
    assert np.abs(found - truth)[day].mean() < 0.5 * np.abs(formula - truth)[day].mean()


def test_a_site_that_was_never_measured_goes_by_the_formula_of_its_own_clouds(measured, guess):
    assert set(guess.boosters) == {REST_RADIATION}
    clear = clear_sky(measured.periods, *centre(NEW_YORK.sites[:1]))
    expected = under_clouds(clear, measured.column(MAIN_CLOUD) / 100)
    np.testing.assert_allclose(guess.completed(measured).column(MAIN_RADIATION), expected, atol=1e-9)


def test_measured_values_are_kept_and_zero_is_one(measured, guess):
    dark = WeatherPath(measured.periods, measured.values.copy())
    dark.values[:, at(REST_RADIATION)] = 0.0
    np.testing.assert_array_equal(guess.completed(dark).column(REST_RADIATION), 0.0)
    np.testing.assert_array_equal(
        guess.completed(measured).column(REST_RADIATION), measured.column(REST_RADIATION)
    )


def test_nights_are_dark_and_no_hour_is_much_brighter_than_a_clear_sky(measured, guess):
    filled = guess.completed(without_radiation(measured))
    for name, sites in ((MAIN_RADIATION, NEW_YORK.sites[:1]), (REST_RADIATION, OTHERS)):
        clear = clear_sky(measured.periods, *centre(sites))
        found = filled.column(name)
        assert not found[clear == 0].any()
        assert (found >= 0).all()
        assert (found <= ABOVE_CLEAR * clear + 1e-9).all()


@settings(max_examples=20, deadline=None)
@given(st.integers(30, 300), st.integers(0, 2**32 - 1))
def test_no_later_hour_changes_the_guess(measured, guess, cut, seed):
    path = without_radiation(measured.until(measured.periods[400], 401))
    other = WeatherPath(path.periods, path.values.copy())
    other.values[cut:] = np.random.default_rng(seed).uniform(0.0, 100.0, other.values[cut:].shape)
    other.values[cut:, [at(name) for name in RADIATION]] = np.nan
    one, two = guess.completed(path).values[:cut], guess.completed(other).values[:cut]
    np.testing.assert_array_equal(one, two)


def test_many_issues_at_once_are_filled_as_each_alone(measured, guess):
    # The sun of pvlib differs by a millionth with the span that it is asked for.
    path = without_radiation(measured)
    starts = [0, 37, 1000]
    windows = np.stack([path.values[start : start + 81] for start in starts])
    times = naive(path.periods)
    together = guess.filled(windows, np.stack([times[start : start + 81] for start in starts]))
    for start, window, filled in zip(starts, windows, together, strict=True):
        alone = guess.filled(window, times[start : start + 81])
        np.testing.assert_allclose(filled, alone, rtol=1e-5, atol=1e-5, err_msg=str(start))


def test_with_too_few_measured_hours_the_formula_is_used(measured):
    few = fit_radiation(measured, START + pd.Timedelta(days=100), NEW_YORK, QUICK)
    assert few.boosters == {}
    path = without_radiation(measured)
    clear = clear_sky(path.periods, *centre(OTHERS))
    expected = under_clouds(clear, path.column(CLOUD) / 100)
    np.testing.assert_allclose(few.completed(path).column(REST_RADIATION), expected, atol=1e-9)


def test_unknown_clouds_leave_a_gap_by_the_formula_and_none_by_what_was_learnt(measured, guess):
    path = without_radiation(measured)
    path.values[:, [at(CLOUD), at(MAIN_CLOUD)]] = np.nan
    filled = guess.completed(path)
    assert not np.isnan(filled.column(REST_RADIATION)).any()
    day = clear_sky(path.periods, *centre(NEW_YORK.sites[:1])) > 0
    assert np.isnan(filled.column(MAIN_RADIATION)[day]).all()


def test_the_features_have_names_that_do_not_depend_on_the_weather(measured):
    clock = np.zeros(HOURS)
    assert tuple(radiation_columns(measured.values, clock, clock, clock)) == radiation_feature_names()
