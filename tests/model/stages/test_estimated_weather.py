"""Humidity, clouds and sun from temperature: where a record has nothing else, never from later hours."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from energy_demand.data.irradiance import clear_sky, under_clouds
from energy_demand.data.weather_path import (
    CLOUD,
    COLUMN,
    HUMIDITY,
    MAIN,
    MAIN_CLOUD,
    MAIN_RADIATION,
    PATH_COLUMNS,
    REST,
    REST_RADIATION,
    WIND,
    WeatherPath,
)
from energy_demand.model.stages.estimated_weather import clouds_of, humidity_of, with_estimates
from energy_demand.model.stages.response_features import MEMORY_HOURS, dew_point, response_features
from energy_demand.region import NEW_YORK, centre

HOURS = 24 * 60
PERIODS = pd.date_range("2018-05-01T05:00", periods=HOURS, freq="h", tz="UTC")
CLEAR = clear_sky(PERIODS, *centre(NEW_YORK.sites))


def temperatures() -> np.ndarray:
    """Sixty days of the same warm day, but for noise."""
    hour = np.arange(HOURS) % 24
    return 18 + 6 * np.sin(2 * np.pi * (hour - 9) / 24) + np.random.default_rng(2).normal(0, 0.3, HOURS)


def path_of(**columns: np.ndarray | float) -> WeatherPath:
    values = np.full((HOURS, len(PATH_COLUMNS)), np.nan)
    for name, given in {MAIN: temperatures(), REST: temperatures(), **columns}.items():
        values[:, COLUMN[name]] = given
    return WeatherPath(PERIODS, values)


def test_a_path_with_humidity_and_clouds_stays_the_very_same():
    path = path_of(**{HUMIDITY: 60.0, CLOUD: 40.0})
    assert with_estimates(path, NEW_YORK, CLEAR) is path


@pytest.mark.parametrize("name", [HUMIDITY, CLOUD, WIND])
@pytest.mark.parametrize("hours", [1, HOURS])
def test_a_path_with_anything_beside_temperature_in_any_hour_stays_the_very_same(name, hours):
    known = np.full(HOURS, np.nan)
    known[:hours] = 40.0
    path = path_of(**{name: known})
    assert with_estimates(path, NEW_YORK, CLEAR) is path


def test_measured_radiation_stays_and_wind_is_never_made_up():
    radiation = np.where(CLEAR > 0, 0.6 * CLEAR, 0.0)
    found = with_estimates(path_of(**{MAIN_RADIATION: radiation}), NEW_YORK, CLEAR)
    np.testing.assert_array_equal(found.column(MAIN_RADIATION), radiation)
    assert not np.isnan(found.column(REST_RADIATION)).all()
    assert np.isnan(found.column(WIND)).all()
    # Nights are zero where a model fills gaps; that alone is no measurement.
    nights = np.where(CLEAR > 0, np.nan, 0.0)
    found = with_estimates(path_of(**{MAIN_RADIATION: nights}), NEW_YORK, CLEAR)
    assert np.isfinite(found.column(MAIN_RADIATION)[CLEAR > 0][-100:]).all()


def test_the_dew_point_is_the_lowest_temperature_of_the_last_day():
    temperature = temperatures()
    found = dew_point(temperature, humidity_of(pd.Series(temperature)))
    lowest = pd.Series(temperature).rolling(24).min().to_numpy()
    np.testing.assert_allclose(found[24:], lowest[24:], atol=1e-6)


def test_air_that_warms_less_than_usual_means_clouds_and_more_than_usual_a_clear_sky():
    temperature = temperatures()
    cover = clouds_of(pd.Series(temperature))
    assert np.nanmean(cover[24 * 20 :]) == pytest.approx(50.0, abs=3.0)
    noon = 24 * 50 + 14
    for warmth, cloudier in ((-4.0, True), (4.0, False)):
        changed = temperature.copy()
        changed[noon - 3 : noon + 1] += warmth * np.array([0.25, 0.5, 0.75, 1.0])
        off = clouds_of(pd.Series(changed))[noon] - cover[noon]
        assert off > 10 if cloudier else off < -10
    assert np.nanmin(cover) >= 0.0
    assert np.nanmax(cover) <= 100.0


def test_the_sun_shines_through_the_estimated_clouds():
    found = with_estimates(path_of(), NEW_YORK, CLEAR)
    expected = under_clouds(CLEAR, found.column(CLOUD) / 100.0)
    for name in (MAIN_RADIATION, REST_RADIATION):
        np.testing.assert_array_equal(found.column(name), expected)
    np.testing.assert_array_equal(found.column(MAIN_CLOUD), found.column(CLOUD))


def test_no_later_hour_changes_an_estimate():
    plain, altered = path_of(), path_of()
    cut = 24 * 40 + 7
    altered.values[cut:, [COLUMN[MAIN], COLUMN[REST]]] += 9.0
    before, after = (with_estimates(each, NEW_YORK, CLEAR).values for each in (plain, altered))
    np.testing.assert_array_equal(before[:cut], after[:cut])
    assert not np.array_equal(before[cut:], after[cut:], equal_nan=True)


def test_an_hour_has_the_same_estimates_wherever_its_path_begins():
    whole = with_estimates(path_of(), NEW_YORK, CLEAR).values
    first = HOURS - MEMORY_HOURS
    late = WeatherPath(PERIODS[first:], path_of().values[first:])
    found = with_estimates(late, NEW_YORK, CLEAR[first:]).values
    np.testing.assert_allclose(found[-240:], whole[-240:], rtol=1e-9)


def test_columns_of_a_record_with_temperature_alone_are_known_and_those_of_wind_are_not():
    rows = response_features(path_of(), NEW_YORK, last=48)
    known = dict(zip(rows.names, ~np.isnan(rows.values).any(axis=0), strict=True))
    assert known["dew_point_over_10"]
    assert known["cloud"]
    assert known["main_radiation"]
    assert not known["wind"]
