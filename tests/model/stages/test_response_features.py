"""The adaptive regression's columns: by hand, across clock changes, and the property that nothing leaks.

Over 400 lines, because every group of columns has its own formulas to check by hand.
"""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from energy_demand.data.irradiance import clear_sky
from energy_demand.data.weather_path import (
    CLOUD,
    HUMIDITY,
    MAIN,
    MAIN_CLOUD,
    MAIN_RADIATION,
    PATH_COLUMNS,
    RADIATION,
    REST,
    REST_RADIATION,
    WIND,
    WeatherPath,
)
from energy_demand.model.stages import response_features as module
from energy_demand.model.stages.response_features import (
    AIR,
    BY_DAY,
    CALENDAR_GROUPS,
    CLOUDS,
    FAST,
    GROUPS,
    LAG_HOURS,
    LEVEL,
    MIDDLE,
    MOISTURE,
    PLACES,
    SEASON,
    SLOW,
    SPECIAL_DAY,
    SUN,
    WEEKDAY,
    Responses,
    dew_point,
    response_features,
    smoothed,
)
from energy_demand.model.stages.special_days import SPECIAL_DAYS
from energy_demand.region import NEW_YORK, Region, Site, centre
from energy_demand.timeaxis import HOUR, day_periods, days_periods, hourly

if TYPE_CHECKING:
    import pandas as pd

START = datetime(2024, 6, 1, tzinfo=UTC)
WEEK = 7 * 24
MILD = {MAIN: 15.0, REST: 15.0, HUMIDITY: 60.0, CLOUD: 50.0, WIND: 10.0, MAIN_CLOUD: 50.0}
MILD |= dict.fromkeys(RADIATION, 200.0)
LOWEST = np.array([-20.0, -25.0, 15.0, 0.0, 0.0, 0.0, 0.0, 0.0])  # of random weather, by `PATH_COLUMNS`
HIGHEST = np.array([38.0, 36.0, 100.0, 100.0, 50.0, 100.0, 1000.0, 1000.0])


def steady(periods: pd.DatetimeIndex, **weather: float) -> WeatherPath:
    """The same weather in every hour."""
    row = [(MILD | weather)[name] for name in PATH_COLUMNS]
    return WeatherPath(periods, np.tile(row, (len(periods), 1)))


def week(start: datetime = START, **weather: float) -> WeatherPath:
    return steady(hourly(start, start + (WEEK - 1) * HOUR), **weather)


def random_path(seed: int, hours: int = WEEK, unknown: float = 0.0) -> WeatherPath:
    """Random weather, of which a share is unknown."""
    random = np.random.default_rng(seed)
    values = random.uniform(LOWEST, HIGHEST, (hours, len(PATH_COLUMNS)))
    values[random.random(values.shape) < unknown] = np.nan
    return WeatherPath(hourly(START, START + (hours - 1) * HOUR), values)


def changed(path: WeatherPath, name: str, values: object, hours: object = slice(None)) -> WeatherPath:
    """The path with other values of one column."""
    other = path.values.copy()
    other[hours, PATH_COLUMNS.index(name)] = values
    return WeatherPath(path.periods, other)


def column(responses: Responses, name: str) -> np.ndarray:
    return responses.values[:, responses.names.index(name)]


def of(path: WeatherPath, name: str) -> np.ndarray:
    """One column of a path."""
    return column(response_features(path, NEW_YORK), name)


def last_of(path: WeatherPath, name: str) -> float:
    return float(of(path, name)[-1])


def members(responses: Responses, *groups: str) -> np.ndarray:
    """The positions of some groups' columns."""
    return np.array([n for n, group in enumerate(responses.groups) if group in groups])


def of_day(day: date) -> Responses:
    """The hours of one local day, with ten days before them."""
    path = steady(days_periods(day - timedelta(days=10), day, NEW_YORK.zone))
    return response_features(path, NEW_YORK, last=len(day_periods(day, NEW_YORK.zone)))


# The frame.


def test_the_names_are_unique_and_each_has_one_group():
    responses = response_features(week(), NEW_YORK)
    assert len(set(responses.names)) == len(responses.names) == len(responses.groups)
    assert responses.values.shape == (WEEK, len(responses.names))
    assert set(responses.groups) == set(GROUPS)
    assert len(set(GROUPS)) == len(GROUPS)


def test_no_name_is_used_twice_so_each_group_has_all_of_its_columns():
    lags = sum(1 + (heating is not None) for _, heating in LAG_HOURS.values())
    assert Counter(response_features(week(), NEW_YORK).groups) == {
        LEVEL: 1,
        SEASON: 2 * module.HARMONICS,
        WEEKDAY: 6,
        SPECIAL_DAY: len(SPECIAL_DAYS),
        FAST: 1 + len(module.FAST_KNOTS),
        MIDDLE: 1 + len(module.MIDDLE_KNOTS),
        SLOW: 1 + len(module.SLOW_KNOTS),
        PLACES: 2 + sum(len(knots) for knots in module.PLACE_KNOTS.values()) + lags + 2,
        BY_DAY: 2,
        MOISTURE: 7,
        AIR: 6,
        CLOUDS: 6,
        SUN: 9,
    }


def test_the_columns_do_not_depend_on_the_weather_or_on_the_days():
    one, other = response_features(random_path(1, unknown=0.5), NEW_YORK), of_day(date(2024, 12, 25))
    assert (one.names, one.groups) == (other.names, other.groups)


@pytest.mark.parametrize("last", [0, 1, 24, WEEK])
def test_the_last_hours_are_the_last_rows_of_the_whole(last):
    path = random_path(1)
    whole, some = response_features(path, NEW_YORK), response_features(path, NEW_YORK, last=last)
    np.testing.assert_array_equal(some.values, whole.values[WEEK - last :])
    assert some.values.shape[0] == last
    assert some.periods.equals(path.periods[WEEK - last :])
    assert some.hours.tolist() == whole.hours[WEEK - last :].tolist()
    assert some.months.tolist() == whole.months[WEEK - last :].tolist()
    assert (some.names, some.groups) == (whole.names, whole.groups)


def test_rows_are_chosen_by_their_positions():
    whole = response_features(random_path(1), NEW_YORK)
    chosen = np.array([50, 3, 90])
    some = whole.rows(chosen)
    np.testing.assert_array_equal(some.values, whole.values[chosen])
    assert some.periods.tolist() == [whole.periods[n] for n in chosen]
    assert some.hours.tolist() == [whole.hours[n] for n in chosen]
    assert some.months.tolist() == [whole.months[n] for n in chosen]
    assert (some.names, some.groups) == (whole.names, whole.groups)


def test_a_path_without_hours_has_no_rows():
    responses = response_features(steady(week().periods[:0]), NEW_YORK)
    assert responses.values.shape == (0, len(response_features(week(), NEW_YORK).names))


def test_known_weather_gives_known_columns_once_the_lags_are_over():
    responses = response_features(random_path(2), NEW_YORK)
    assert np.isfinite(responses.values[module.SLOW_LAG_HOURS :]).all()


# Nothing leaks.


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    hour=st.integers(0, WEEK - 1),
    unknown=st.sampled_from([0.0, 0.3]),
    unknown_after=st.sampled_from([0.0, 0.3, 1.0]),
)
@example(seed=1, hour=0, unknown=0.0, unknown_after=0.0)
@example(seed=1, hour=WEEK - 2, unknown=0.0, unknown_after=1.0)
def test_no_weather_after_an_hour_changes_a_row_up_to_it(seed, hour, unknown, unknown_after):
    path = random_path(seed, unknown=unknown)
    values = path.values.copy()
    values[hour + 1 :] = random_path(seed + 1, unknown=unknown_after).values[hour + 1 :]
    other = response_features(WeatherPath(path.periods, values), NEW_YORK)
    np.testing.assert_array_equal(
        other.values[: hour + 1], response_features(path, NEW_YORK).values[: hour + 1]
    )


@pytest.mark.parametrize("hours", [72, 73, 100])
def test_a_path_that_ends_earlier_has_the_same_rows(hours):
    path = random_path(4)
    short = response_features(WeatherPath(path.periods[:hours], path.values[:hours]), NEW_YORK)
    np.testing.assert_allclose(
        short.values, response_features(path, NEW_YORK).values[:hours], rtol=0, atol=1e-9
    )


def test_the_weather_of_an_hour_changes_every_weather_group_in_that_hour():
    path = random_path(3)
    noon = int(
        np.flatnonzero(response_features(path, NEW_YORK).hours == 13)[-1]
    )  # of a Friday, so the columns by day stay 0
    values = path.values.copy()
    values[noon] = [30.0, 5.0, 90.0, 100.0, 40.0, 100.0, 100.0, 100.0]
    values[noon - 3 : noon, :2] = 25.0
    other = response_features(WeatherPath(path.periods, values), NEW_YORK)
    differ = (other.values != response_features(path, NEW_YORK).values)[noon]
    moved = {group for group, moved in zip(other.groups, differ, strict=True) if moved}
    assert moved == set(GROUPS) - set(CALENDAR_GROUPS) - {BY_DAY}


def test_weather_older_than_the_memory_has_no_effect():
    hours = module.MEMORY_HOURS + 24
    path, other = random_path(5, hours), random_path(6, hours).values.copy()
    other[24:] = path.values[24:]
    before = response_features(path, NEW_YORK, last=1).values
    after = response_features(WeatherPath(path.periods, other), NEW_YORK, last=1).values
    np.testing.assert_allclose(after, before, rtol=0, atol=0.06)  # a thousandth of the range of °C


# The calendar.


def test_the_clock_skips_an_hour_in_spring():
    responses = of_day(date(2024, 3, 10))
    assert responses.hours.tolist() == [0, 1, *range(3, 24)]
    assert set(responses.months) == {3}


def test_the_clock_repeats_an_hour_in_autumn():
    responses = of_day(date(2024, 11, 3))
    assert responses.hours.tolist() == [0, 1, 1, *range(2, 24)]
    assert set(responses.months) == {11}


@pytest.mark.parametrize("day", [date(2024, 3, 10), date(2024, 11, 3)])
def test_a_day_of_a_clock_change_is_a_sunday_from_its_first_hour_to_its_last(day):
    responses, before = of_day(day), of_day(day - timedelta(days=1))
    assert set(column(responses, "sunday")) == {1.0}
    assert set(column(responses, "saturday")) == {0.0}
    assert set(column(before, "saturday")) == {1.0}
    assert set(column(before, "sunday")) == {0.0}


@pytest.mark.parametrize(
    ("last_of_month", "offset"),
    [pytest.param(date(2024, 3, 31), 4, id="in summer"), pytest.param(date(2024, 11, 30), 5, id="in winter")],
)
def test_a_month_begins_at_local_midnight_and_the_hour_before_is_the_old_months(last_of_month, offset):
    following = last_of_month + timedelta(days=1)
    midnight = datetime(following.year, following.month, 1, offset, tzinfo=UTC)
    responses = response_features(week(midnight - 100 * HOUR), NEW_YORK)
    around = np.flatnonzero((responses.periods == midnight) | (responses.periods == midnight + HOUR))
    assert responses.months[around].tolist() == [last_of_month.month, following.month]
    assert responses.hours[around].tolist() == [23, 0]


@pytest.mark.parametrize(
    ("day", "name"),
    [
        pytest.param(date(2024, 8, 12), "monday", id="Monday"),
        pytest.param(date(2024, 8, 13), None, id="Tuesday"),
        pytest.param(date(2024, 8, 14), None, id="Wednesday"),
        pytest.param(date(2024, 8, 15), None, id="Thursday"),
        pytest.param(date(2024, 8, 16), "friday", id="Friday"),
        pytest.param(date(2024, 8, 17), "saturday", id="Saturday"),
        pytest.param(date(2024, 8, 18), "sunday", id="Sunday"),
    ],
)
def test_each_weekday_has_its_columns(day, name):
    responses = of_day(day)
    for other in ("monday", "friday", "saturday", "sunday"):
        assert set(column(responses, other)) == {float(other == name)}
    weekend = float(name in {"saturday", "sunday"})
    np.testing.assert_array_equal(
        column(responses, "weekend_sin"), weekend * column(responses, "season_sin_1")
    )
    np.testing.assert_array_equal(
        column(responses, "weekend_cos"), weekend * column(responses, "season_cos_1")
    )


def test_a_holiday_has_the_hours_of_its_local_day():
    path = week(datetime(2024, 7, 1, tzinfo=UTC))
    expected = path.periods.isin(day_periods(date(2024, 7, 4), NEW_YORK.zone))
    assert expected.sum() == 24
    np.testing.assert_array_equal(of(path, "independence_day"), expected.astype(float))


def test_a_usual_day_has_no_special_day_column_and_a_holiday_has_its_own():
    ordinary, holiday = of_day(date(2024, 8, 14)), of_day(date(2024, 11, 28))
    assert not ordinary.values[:, members(ordinary, SPECIAL_DAY)].any()
    special = holiday.values[:, members(holiday, SPECIAL_DAY)]
    assert (special.sum(axis=1) == 1.0).all()
    assert set(column(holiday, "thanksgiving")) == {1.0}


def test_the_season_goes_by_the_day_of_the_local_year():
    responses = of_day(date(2024, 2, 9))  # the 40th
    for order in range(1, module.HARMONICS + 1):
        angle = order * 2 * np.pi * 40 / 365.25
        np.testing.assert_allclose(column(responses, f"season_sin_{order}"), np.sin(angle))
        np.testing.assert_allclose(column(responses, f"season_cos_{order}"), np.cos(angle))


def test_the_level_is_one_in_every_hour():
    assert set(of(random_path(1, unknown=0.5), "level")) == {1.0}


# Temperature.


@pytest.mark.parametrize("temperature", [-20.0, -4.0, 3.5, 10.9, 17.0, 21.7, 26.0, 40.0])
def test_a_hinge_is_zero_below_its_knot_and_rises_by_one_per_degree_above(temperature):
    responses = response_features(week(main_temperature=temperature, rest_temperature=temperature), NEW_YORK)
    knots = 0
    for position in members(responses, FAST, MIDDLE, SLOW, PLACES):
        name = responses.names[position]
        if found := re.fullmatch(r".*_over_(-?\d+)", name):
            knots += 1
            expected = max(temperature - float(found[1]), 0.0)
            np.testing.assert_allclose(responses.values[:, position], expected, rtol=0, atol=1e-9)
            if temperature < float(found[1]):
                assert not responses.values[:, position].any()
    assert knots == 12 + 8 + 6 + 4 + 4


def test_the_temperature_is_weighted_by_population_and_the_places_are_kept_apart():
    path = week(main_temperature=30.0, rest_temperature=10.0)
    for name in ("fast", "middle", "slow"):
        assert last_of(path, name) == pytest.approx(0.65 * 30 + 0.35 * 10)
    assert last_of(path, "main_temperature") == pytest.approx(30.0)
    assert last_of(path, "rest_temperature") == pytest.approx(10.0)
    assert last_of(path, "main_temperature_over_26") == pytest.approx(4.0)
    assert last_of(path, "rest_temperature_over_14") == 0.0


@pytest.mark.parametrize(
    ("name", "half_life"), [("fast", 1.5), ("main_temperature", 1.5), ("middle", 12.0), ("slow", 72.0)]
)
def test_each_temperature_follows_at_its_own_pace(name, half_life):
    path = steady(hourly(START, START + 1500 * HOUR), main_temperature=0.0, rest_temperature=0.0)
    step = changed(changed(path, MAIN, 1.0, slice(1000, None)), REST, 1.0, slice(1000, None))
    two_half_lives = 1000 + int(2 * half_life) - 1
    assert of(step, name)[999] == 0.0
    assert of(step, name)[two_half_lives] == pytest.approx(0.75, abs=1e-3)


@pytest.mark.parametrize("hours", LAG_HOURS)
def test_a_lag_shows_the_fast_temperature_of_so_many_hours_before(hours):
    responses = response_features(random_path(7), NEW_YORK)
    before = column(responses, "fast")[: WEEK - hours]
    cooling_from, heating_from = LAG_HOURS[hours]
    cooling = column(responses, f"cooling_{hours}h_before")
    assert np.isnan(cooling[:hours]).all()
    np.testing.assert_array_equal(cooling[hours:], np.maximum(before - cooling_from, 0.0))
    assert cooling[hours:].any()
    if heating_from is not None:
        heating = column(responses, f"heating_{hours}h_before")
        assert np.isnan(heating[:hours]).all()
        np.testing.assert_array_equal(heating[hours:], np.maximum(heating_from - before, 0.0))
        assert heating[hours:].any()


def test_the_heat_of_three_days_before_shows_as_a_daily_mean():
    path = random_path(7)
    temperature = 0.65 * path.column(MAIN) + 0.35 * path.column(REST) + 10.0
    warm = changed(changed(path, MAIN, temperature), REST, temperature)
    found = of(warm, "cooling_days_before")
    assert np.isnan(found[:72]).all()
    np.testing.assert_allclose(found[72:], np.maximum(smoothed(temperature, 24.0)[:-72] - 17.0, 0.0))
    assert found[72:].any()


def test_heating_and_cooling_count_from_their_own_temperatures():
    cold, hot = (week(main_temperature=each, rest_temperature=each) for each in (3.0, 27.0))
    assert last_of(cold, "heating_for_days") == pytest.approx(1.0 * 10.0)
    assert last_of(hot, "heating_for_days") == 0.0
    saturday = np.flatnonzero(of(hot, "saturday"))
    friday = np.flatnonzero(of(hot, "friday"))
    assert of(hot, "cooling_weekend")[saturday].tolist() == pytest.approx([1.0] * len(saturday))
    assert of(cold, "heating_weekend")[saturday].tolist() == pytest.approx([1.0] * len(saturday))
    assert not of(hot, "heating_weekend").any()
    assert not of(cold, "cooling_weekend").any()
    assert len(friday) == 24
    assert not of(hot, "cooling_weekend")[friday].any()
    assert not of(cold, "heating_weekend")[friday].any()


# Smoothing.


@pytest.mark.parametrize("half_life", [1.0, 3.0, 8.0, 12.0, 24.0, 72.0])
def test_after_a_step_the_remaining_distance_halves_with_every_half_life(half_life):
    values = np.concatenate([np.zeros(3000), np.ones(500)])
    remaining = 1.0 - smoothed(values, half_life)[3000:]
    hours = int(half_life)
    assert remaining[hours - 1] == pytest.approx(0.5, abs=1e-6)
    assert remaining[2 * hours - 1] == pytest.approx(0.25, abs=1e-6)
    assert remaining[3 * hours - 1] == pytest.approx(0.125, abs=1e-6)


def test_a_half_life_need_not_be_whole_hours():
    remaining = 1.0 - smoothed(np.concatenate([np.zeros(3000), np.ones(10)]), 1.5)[3000:]
    assert remaining[2] == pytest.approx(0.25, abs=1e-6)


def test_smoothing_begins_with_the_mean_of_the_available_hours():
    assert smoothed(np.array([4.0, 1.0]), 1.0).tolist() == pytest.approx([4.0, (0.5 * 4 + 1) / 1.5])
    assert smoothed(np.full(50, 7.0), 24.0).tolist() == pytest.approx([7.0] * 50)


def test_a_smoothed_column_of_unknown_values_is_unknown():
    assert np.isnan(smoothed(np.array([np.nan, np.nan, 3.0]), 3.0)).tolist() == [True, True, False]


# Moisture, air, clouds.


@pytest.mark.parametrize("temperature", [-20.0, 0.0, 15.0, 35.0])
def test_the_dew_point_of_saturated_air_is_its_temperature(temperature):
    assert dew_point(np.array([temperature]), np.array([100.0]))[0] == pytest.approx(temperature)


@pytest.mark.parametrize(
    ("temperature", "humidity", "expected"), [(20.0, 50.0, 9.26), (30.0, 70.0, 23.93), (0.0, 60.0, -6.8)]
)
def test_the_dew_point_is_that_of_the_tables(temperature, humidity, expected):
    found = dew_point(np.array([temperature]), np.array([humidity]))[0]
    assert found == pytest.approx(expected, abs=0.1)


def test_a_humidity_out_of_range_is_the_nearest_within():
    found = dew_point(np.full(4, 20.0), np.array([0.0, 1.0, 100.0, 130.0]))
    assert found[0] == found[1]
    assert found[2] == found[3] == pytest.approx(20.0)


def test_moist_air_counts_above_its_knots_and_with_heat():
    moist = week(main_temperature=25.0, rest_temperature=25.0, humidity=100.0)
    assert last_of(moist, "dew_point_over_10") == pytest.approx(15.0)
    assert last_of(moist, "dew_point_over_10_hot") == pytest.approx(15.0)  # hot is (25 − 15) / 10
    assert last_of(moist, "dew_point_over_18_hot") == pytest.approx(7.0)
    assert last_of(moist, "dew_point_day_hot") == pytest.approx(13.0)
    assert last_of(moist, "humidity") == pytest.approx(3.0)
    cool = week(main_temperature=9.0, rest_temperature=9.0, humidity=100.0)
    for name in ("dew_point_over_10", "dew_point_over_10_hot", "dew_point_over_18_hot", "dew_point_day_hot"):
        assert last_of(cool, name) == 0.0


def test_wind_counts_with_cold_and_with_heat():
    cold = week(main_temperature=3.0, rest_temperature=3.0, wind_speed=20.0)
    expected = {"wind": 20, "wind_cold": 22, "wind_hot": 0, "wind_steady": 20, "wind_steady_heating": 20}
    for name, value in (expected | {"wind_squared": 4}).items():
        assert last_of(cold, name) == pytest.approx(value)
    hot = week(main_temperature=25.0, rest_temperature=25.0, wind_speed=20.0)
    assert (last_of(hot, "wind_cold"), last_of(hot, "wind_steady_heating")) == (0.0, 0.0)
    assert last_of(hot, "wind_hot") == pytest.approx(20.0)


@pytest.mark.parametrize(
    ("cover", "share"), [(-5.0, 0.0), (0.0, 0.0), (50.0, 0.5), (100.0, 1.0), (130.0, 1.0)]
)
def test_clouds_are_a_share_between_nothing_and_all(cover, share):
    path = week(cloud_cover=cover)
    assert last_of(path, "cloud") == share
    assert last_of(path, "cloud_squared") == share**2
    assert last_of(path, "cloud_smoothed") == pytest.approx(share)
    assert last_of(path, "cloud_half_day") == pytest.approx(share)


# The sun.


def test_the_clear_sky_is_dark_at_night_and_bright_at_noon():
    day = day_periods(date(2024, 6, 21), NEW_YORK.zone)
    clear = clear_sky(day, *centre(NEW_YORK.sites))
    assert not clear[[0, 1, 2, 3, 21, 22, 23]].any()
    assert (clear[6:20] > 0).all()
    assert 850 < clear.max() < 1100
    assert np.argmax(clear) in {12, 13}


def test_a_winter_noon_is_less_bright():
    day = day_periods(date(2024, 12, 21), NEW_YORK.zone)
    assert 300 < clear_sky(day, *centre(NEW_YORK.sites)).max() < 550


def test_the_clear_sky_is_that_of_the_middle_of_the_hour_at_the_sites_centre():
    day = hourly(datetime(2024, 3, 20, 6, tzinfo=UTC), datetime(2024, 3, 21, 5, tzinfo=UTC))
    weighted = float(np.average(np.arange(24) + 6 - 0.5, weights=clear_sky(day, *centre(NEW_YORK.sites))))
    longitude = 0.65 * 74.006 + 0.12 * 73.7562 + 0.13 * 78.8784 + 0.10 * 76.1474
    assert weighted == pytest.approx(12 + longitude / 15 + 7.5 / 60, abs=0.02)  # solar noon on that day


def test_the_sites_centre_is_weighted_by_population():
    latitude, longitude = (
        sum(site.weight * getattr(site, name) for site in NEW_YORK.sites)
        for name in ("latitude", "longitude")
    )
    middle = Site(name="centre", latitude=latitude, longitude=longitude, weight=1.0)
    alone = Region("NY", NEW_YORK.zone, "US", (middle,))
    day = day_periods(date(2024, 12, 21), NEW_YORK.zone)
    np.testing.assert_allclose(
        clear_sky(day, *centre(NEW_YORK.sites)), clear_sky(day, *centre(alone.sites)), atol=1e-6
    )


def test_no_hours_have_no_sun():
    assert clear_sky(week().periods[:0], *centre(NEW_YORK.sites)).shape == (0,)


@pytest.mark.parametrize(("cover", "share"), [(0.0, 1.0), (50.0, 1 - 0.75 * 0.5**3.4), (100.0, 0.25)])
def test_the_clouds_let_a_share_of_the_clear_sky_through(cover, share):
    path = week(cloud_cover=cover)
    clear = clear_sky(path.periods, *centre(NEW_YORK.sites)) / 1000
    assert clear.max() > 0.8
    np.testing.assert_allclose(of(path, "sun_through_cloud"), share * clear)
    np.testing.assert_array_equal(of(path, "clear_sky"), clear)


@pytest.mark.parametrize("name", RADIATION)
def test_the_radiation_of_a_place_counts_by_itself_and_with_heat(name):
    cold = week(main_temperature=4.0, rest_temperature=4.0, **{name: 500.0})
    hot = week(main_temperature=25.0, rest_temperature=25.0, **{name: 500.0})
    assert set(of(hot, name)) == {0.5}
    assert last_of(cold, f"{name}_hot") == 0.0
    assert last_of(hot, f"{name}_hot") == pytest.approx(0.5)
    assert last_of(hot, f"{name}_smoothed") == pytest.approx(0.5)
    other = next(each for each in RADIATION if each != name)
    assert set(of(hot, other)) == {0.2}


def test_the_radiation_of_the_other_sites_counts_by_season():
    path = week(datetime(2024, 6, 20, tzinfo=UTC), rest_radiation=500.0)
    assert last_of(path, "rest_radiation_season_cos") == pytest.approx(-0.5, abs=0.01)
    assert last_of(path, "rest_radiation_season_sin") == pytest.approx(0.0, abs=0.1)


# Unknown values.


def test_unknown_weather_leaves_nothing_but_the_calendar_and_the_clear_sky():
    path = week(**dict.fromkeys(PATH_COLUMNS, np.nan))
    found, known = response_features(path, NEW_YORK), response_features(week(), NEW_YORK)
    kept = [*members(found, *CALENDAR_GROUPS), found.names.index("clear_sky")]
    np.testing.assert_array_equal(found.values[:, kept], known.values[:, kept])
    assert np.isfinite(found.values[:, kept]).all()
    assert np.isnan(np.delete(found.values, kept, axis=1)).all()


@pytest.mark.parametrize(
    ("variable", "wholly", "partly"),
    [
        pytest.param(HUMIDITY, {MOISTURE}, set(), id="humidity"),
        pytest.param(WIND, {AIR}, set(), id="wind"),
        pytest.param(CLOUD, {CLOUDS}, set(), id="clouds"),
        pytest.param(MAIN, {FAST, MIDDLE, SLOW, BY_DAY}, {PLACES, MOISTURE, AIR, SUN}, id="the main site"),
        pytest.param(REST, {FAST, MIDDLE, SLOW, BY_DAY}, {PLACES, MOISTURE, AIR, SUN}, id="the rest"),
        pytest.param(MAIN_RADIATION, set(), {SUN}, id="radiation at the main site"),
        pytest.param(REST_RADIATION, set(), {SUN}, id="radiation elsewhere"),
    ],
)
def test_an_unknown_variable_is_unknown_in_its_own_columns_and_spoils_no_others(variable, wholly, partly):
    path = week()
    found = response_features(changed(path, variable, np.nan), NEW_YORK)
    rows = slice(module.SLOW_LAG_HOURS, None)
    for group in GROUPS:
        unknown = np.isnan(found.values[rows][:, members(found, group)])
        assert unknown.all() == (group in wholly), group
        assert unknown.any() == (group in wholly | partly), group


def test_a_single_unknown_hour_is_unknown_in_the_columns_of_that_hour_and_in_no_other_hour():
    path = random_path(8)
    hole = WeatherPath(path.periods, path.values.copy())
    hole.values[100] = np.nan
    found = response_features(hole, NEW_YORK)
    of_the_hour = ["humidity", "humidity_sun", "humidity_squared_sun", "wind", "wind_cold", "wind_hot"]
    of_the_hour += ["wind_squared", "cloud", "cloud_squared", "sun_through_cloud"]
    of_the_hour += [each for name in RADIATION for each in (name, f"{name}_hot")]
    for name in of_the_hour:
        assert np.isnan(column(found, name)[100]), name
    assert np.isfinite(found.values[module.SLOW_LAG_HOURS : 100]).all()
    assert np.isfinite(found.values[101:]).all()
    whole = response_features(path, NEW_YORK)
    calendar = members(found, *CALENDAR_GROUPS)
    np.testing.assert_array_equal(found.values[:, calendar], whole.values[:, calendar])
    np.testing.assert_array_equal(found.values[:100], whole.values[:100])
