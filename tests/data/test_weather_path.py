"""The weather path: sites weighted, short holes bridged from the past only, paths cut and joined."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from energy_demand.data.weather_path import (
    CLOUD,
    HUMIDITY,
    LONGEST_GAP_HOURS,
    MAIN,
    MAIN_CLOUD,
    MAIN_RADIATION,
    PATH_COLUMNS,
    RADIATION,
    REST,
    REST_RADIATION,
    WIND,
    WeatherPath,
    weather_path,
)
from energy_demand.region import NEW_YORK, NEW_YORK_CITY, UPSTATE_SITES, Region
from energy_demand.timeaxis import HOUR, hourly

START = datetime(2024, 6, 1, tzinfo=UTC)
CITY = NEW_YORK_CITY.name
NAMES = [site.name for site in NEW_YORK.sites]
WEIGHTS = np.array([0.65, 0.12, 0.13, 0.10])
CITY_ALONE = Region("NYC", ZoneInfo("America/New_York"), "US", (NEW_YORK_CITY,))
VARIABLE_OF_COLUMN = {
    HUMIDITY: "relative_humidity_2m",
    CLOUD: "cloud_cover",
    WIND: "wind_speed_10m",
}
OF_MAIN_SITE = {CLOUD: [MAIN_CLOUD]}  # columns beside the weighted one


def at(hour: int) -> pd.Timestamp:
    """The moment `hour` hours after the start."""
    return pd.Timestamp(START + hour * HOUR)


def hours(number: int, first: int = 0) -> pd.DatetimeIndex:
    return hourly(START + first * HOUR, START + (first + number - 1) * HOUR)


def one_hour(**values: list[float]) -> pd.DataFrame:
    """One hour of weather at the four sites."""
    return pd.DataFrame({"timestamp": [at(0)] * 4, "site": NAMES, **values})


def value(frame: pd.DataFrame, column: str, region: Region = NEW_YORK) -> float:
    """A column of the first hour."""
    return float(weather_path(frame, hours(1), region).column(column)[0])


def of_city(temperatures: list[float], number: int | None = None) -> np.ndarray:
    """The city's temperatures as its path tells them; NaN: the hour has a row without a value."""
    frame = pd.DataFrame(
        {"timestamp": hours(len(temperatures)), "site": CITY, "temperature_2m": temperatures}
    )
    return weather_path(frame, hours(number or len(temperatures)), CITY_ALONE).column(MAIN)


def numbered(number: int, first: int = 0) -> WeatherPath:
    """A path whose values tell their hour and their column."""
    values = 10.0 * np.arange(first, first + number)[:, None] + np.arange(len(PATH_COLUMNS))[None, :]
    return WeatherPath(hours(number, first), values)


# Sites.


def test_the_main_sites_temperature_is_its_own():
    assert value(one_hour(temperature_2m=[1.0, 20.0, 30.0, 40.0]), MAIN) == 1.0


def test_the_rest_is_the_weighted_mean_of_the_other_sites():
    expected = (0.12 * 20 + 0.13 * 30 + 0.10 * 40) / 0.35
    assert value(one_hour(temperature_2m=[1.0, 20.0, 30.0, 40.0]), REST) == pytest.approx(expected)


def test_the_main_site_is_the_first_one_and_not_the_largest():
    turned = Region("NY", NEW_YORK.zone, "US", (UPSTATE_SITES[0], NEW_YORK_CITY))
    frame = one_hour(temperature_2m=[1.0, 20.0, 30.0, 40.0])
    assert (value(frame, MAIN, turned), value(frame, REST, turned)) == (20.0, pytest.approx(1.0))


def test_the_rest_of_a_region_of_one_site_is_its_main_site():
    path = weather_path(one_hour(temperature_2m=[7.0, 20.0, 30.0, 40.0]), hours(3), CITY_ALONE)
    np.testing.assert_array_equal(path.column(MAIN), [7.0, 7.0, 7.0])
    np.testing.assert_array_equal(path.column(REST), path.column(MAIN))


@pytest.mark.parametrize(("column", "variable"), VARIABLE_OF_COLUMN.items(), ids=VARIABLE_OF_COLUMN)
def test_every_other_variable_is_weighted_over_all_sites(column, variable):
    values = [1.0, 20.0, 30.0, 40.0]
    found = weather_path(one_hour(**{variable: values}), hours(1), NEW_YORK)
    assert found.column(column)[0] == pytest.approx(np.dot(WEIGHTS, values))
    own = [PATH_COLUMNS.index(name) for name in [column, *OF_MAIN_SITE.get(column, [])]]
    assert np.isnan(np.delete(found.values[0], own)).all()


def test_clouds_and_radiation_are_kept_for_the_main_site_and_radiation_for_the_others():
    path = weather_path(
        one_hour(cloud_cover=[1.0, 20.0, 30.0, 40.0], shortwave_radiation=[100.0, 200.0, 300.0, np.nan]),
        hours(1),
        NEW_YORK,
    )
    found = {name: float(path.column(name)[0]) for name in (MAIN_CLOUD, *RADIATION)}
    others = (0.12 * 200 + 0.13 * 300) / 0.25
    assert found == {MAIN_CLOUD: 1.0, MAIN_RADIATION: 100.0, REST_RADIATION: pytest.approx(others)}
    alone = weather_path(one_hour(shortwave_radiation=[100.0, 0.0, 0.0, 0.0]), hours(1), CITY_ALONE)
    assert alone.column(REST_RADIATION).tolist() == [100.0]


def test_radiation_is_not_carried_over_a_hole_because_the_sun_moves_on():
    frame = pd.DataFrame(
        {
            "timestamp": hours(3),
            "site": CITY,
            "shortwave_radiation": [500.0, np.nan, 100.0],
            "cloud_cover": 9.0,
        }
    )
    path = weather_path(frame, hours(3), CITY_ALONE)
    np.testing.assert_array_equal(path.column(MAIN_RADIATION), [500.0, np.nan, 100.0])


@pytest.mark.parametrize(
    "known",
    [
        pytest.param([0], id="only the city"),
        pytest.param([1, 3], id="two of the upstate sites"),
        pytest.param([0, 1, 2], id="all but one"),
    ],
)
@pytest.mark.parametrize("way", ["is null", "has no row"])
def test_the_weights_are_shared_among_the_sites_that_have_a_value_where_another(way, known):
    values = np.array([1.0, 20.0, 30.0, 40.0])
    frame = one_hour(cloud_cover=[each if n in known else np.nan for n, each in enumerate(values)])
    if way == "has no row":
        frame = frame.iloc[known]
    expected = np.average(values[known], weights=WEIGHTS[known])
    assert value(frame, CLOUD) == pytest.approx(expected)


def test_the_rest_is_known_by_the_sites_that_have_a_value():
    frame = one_hour(temperature_2m=[1.0, 20.0, np.nan, 40.0])
    assert value(frame, REST) == pytest.approx((0.12 * 20 + 0.10 * 40) / 0.22)


def test_neither_the_main_site_nor_the_rest_stands_in_for_the_other():
    assert np.isnan(value(one_hour(temperature_2m=[np.nan, 20.0, 30.0, 40.0]), MAIN))
    assert np.isnan(value(one_hour(temperature_2m=[1.0, np.nan, np.nan, np.nan]), REST))


def test_a_site_that_is_not_the_regions_counts_for_nothing():
    other = pd.DataFrame({"timestamp": [at(0)], "site": ["boston"], "cloud_cover": [99.0]})
    assert value(pd.concat([one_hour(cloud_cover=[10.0] * 4), other]), CLOUD) == pytest.approx(10.0)


def test_rows_may_come_in_any_order_and_outside_of_the_hours():
    frame = pd.DataFrame(
        {
            "timestamp": [at(2), at(0), at(9), at(1), at(-1)],
            "site": CITY,
            "temperature_2m": [12.0, 10.0, 19.0, 11.0, 9.0],
        }
    )
    assert weather_path(frame, hours(3), CITY_ALONE).column(MAIN).tolist() == [10.0, 11.0, 12.0]


def test_missing_variables_are_not_known():
    path = weather_path(one_hour(temperature_2m=[1.0] * 4), hours(2), NEW_YORK)
    assert path.values.shape == (2, len(PATH_COLUMNS))
    for column in (*VARIABLE_OF_COLUMN, MAIN_CLOUD, *RADIATION):
        assert np.isnan(path.column(column)).all()


def test_no_weather_gives_hours_of_which_nothing_is_known():
    nothing = one_hour(temperature_2m=[1.0] * 4).iloc[:0]
    path = weather_path(nothing, hours(5), NEW_YORK)
    assert path.periods.equals(hours(5))
    assert np.isnan(path.values).all()


# Holes.


@pytest.mark.parametrize("gap", range(1, LONGEST_GAP_HOURS + 1))
def test_a_short_hole_takes_the_hour_before_it(gap):
    found = of_city([10.0, 11.0, *[np.nan] * gap, 30.0])
    assert found.tolist() == [10.0, 11.0, *[11.0] * gap, 30.0]


def test_a_long_hole_is_bridged_for_six_hours_and_then_not_known():
    found = of_city([10.0, *[np.nan] * 9, 30.0])
    np.testing.assert_array_equal(found, [10.0, *[10.0] * 6, *[np.nan] * 3, 30.0])


def test_hours_after_the_last_observed_are_bridged_for_six_hours_alike():
    np.testing.assert_array_equal(of_city([10.0, 11.0], 10), [10.0, 11.0, *[11.0] * 6, *[np.nan] * 2])


def test_a_hole_is_never_filled_from_later_hours():
    np.testing.assert_array_equal(of_city([np.nan, np.nan, 10.0]), [np.nan, np.nan, 10.0])


def test_what_comes_after_a_hole_changes_nothing_before():
    temperatures = [10.0, np.nan, np.nan, 12.0, *[np.nan] * 8, 13.0]
    whole = of_city(temperatures)
    for end in range(1, len(temperatures)):
        np.testing.assert_array_equal(of_city(temperatures[:end]), whole[:end])


def test_each_column_has_holes_of_its_own():
    frame = pd.DataFrame(
        {
            "timestamp": hours(3),
            "site": CITY,
            "temperature_2m": [10.0, np.nan, 12.0],
            "cloud_cover": [1.0, 2.0, np.nan],
        }
    )
    path = weather_path(frame, hours(3), CITY_ALONE)
    assert path.column(MAIN).tolist() == [10.0, 10.0, 12.0]
    assert path.column(CLOUD).tolist() == [1.0, 2.0, 2.0]


# Cutting and joining.


@pytest.mark.parametrize("name", PATH_COLUMNS)
def test_a_column_is_found_by_its_name(name):
    expected = [PATH_COLUMNS.index(name) + 10.0 * hour for hour in range(3)]
    assert numbered(3).column(name).tolist() == expected


def test_the_position_of_an_hour_counts_from_the_first():
    path = numbered(5)
    assert [path.position(at(hour)) for hour in (0, 1, 4)] == [0, 1, 4]
    assert path.position(at(-2)) == -2
    assert path.position(at(7)) == 7


def test_a_moment_within_an_hour_has_the_position_of_the_full_hour_before():
    assert numbered(5).position(at(2) + pd.Timedelta(minutes=59)) == 2


def test_until_ends_with_the_hour_that_is_asked_for():
    found = numbered(10).until(at(6), 3)
    assert found.periods.equals(hours(3, first=4))
    np.testing.assert_array_equal(found.values, numbered(3, first=4).values)


def test_until_has_fewer_hours_where_the_path_begins_later():
    found = numbered(10).until(at(2), 8)
    assert found.periods.equals(hours(3))
    np.testing.assert_array_equal(found.values, numbered(3).values)


def test_a_path_goes_on_with_the_one_that_begins_right_after_it():
    joined = numbered(3).then(numbered(4, first=3))
    assert joined.periods.equals(hours(7))
    np.testing.assert_array_equal(joined.values, numbered(7).values)


def test_an_empty_path_goes_on_with_any():
    empty = WeatherPath(hours(1)[:0], np.empty((0, len(PATH_COLUMNS))))
    joined = empty.then(numbered(2, first=5))
    assert joined.periods.equals(hours(2, first=5))
    np.testing.assert_array_equal(joined.values, numbered(2, first=5).values)


@pytest.mark.parametrize(
    "first", [pytest.param(4, id="a gap"), pytest.param(2, id="an overlap"), pytest.param(0, id="the same")]
)
def test_a_path_does_not_go_on_with_one_that_begins_at_another_hour(first):
    with pytest.raises(ValueError, match="does not follow"):
        numbered(3).then(numbered(4, first=first))


def test_cutting_and_joining_leave_the_path_as_it_was():
    path = numbered(6)
    path.until(at(3), 2).then(numbered(2, first=4))
    assert path.periods.equals(hours(6))
    np.testing.assert_array_equal(path.values, numbered(6).values)
