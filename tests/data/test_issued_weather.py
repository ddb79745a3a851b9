"""Issued weather: the newest run by a moment and never a later one, and its hours aligned to that moment."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from energy_demand.data.issued_weather import (
    HOURS_AFTER,
    HOURS_BEFORE,
    KEPT_WEIGHT,
    LAGGED_HOURS,
    LAGGED_RUNS,
    OF_HOURS,
    SPAN,
    IssuedWeather,
    issued_weather,
)
from energy_demand.data.record_store import OLDEST_RUN
from energy_demand.data.weather_path import CLOUD, HUMIDITY, MAIN, PATH_COLUMNS, REST
from energy_demand.region import NEW_YORK, NEW_YORK_CITY, Region
from energy_demand.timeaxis import HOUR, hourly

START = datetime(2024, 6, 1, tzinfo=UTC)
CITY_ALONE = Region("NYC", ZoneInfo("America/New_York"), "US", (NEW_YORK_CITY,))
NAMES = [site.name for site in NEW_YORK.sites]


def at(hour: float) -> pd.Timestamp:
    """The moment `hour` hours after the start."""
    return pd.Timestamp(START + hour * HOUR)


def moments(*hours: float) -> pd.DatetimeIndex:
    return pd.DatetimeIndex([at(hour) for hour in hours], dtype="datetime64[us, UTC]")


def run(issued: float, mark: float, first: int, last: int) -> pd.DataFrame:
    """A run of the city; the temperature of the hour `n` after the start is `mark` + n."""
    hours = np.arange(first, last + 1)
    return pd.DataFrame(
        {
            "issued_at": at(issued),
            "timestamp": hourly(START + first * HOUR, START + last * HOUR),
            "site": NEW_YORK_CITY.name,
            "temperature_2m": mark + hours,
        }
    )


def said(weather: IssuedWeather, moment: float, before: int, after: int) -> list[float]:
    """The temperatures of the hours around one moment."""
    return weather.around(moments(moment), before, after)[0, :, PATH_COLUMNS.index(MAIN)].tolist()


THREE_RUNS = issued_weather(
    pd.concat([run(6, 1000, 0, 60), run(0, 0, -5, 60), run(12, 2000, 12, 60)]), CITY_ALONE
)


# The newest run.


def test_the_runs_are_in_the_order_of_their_issue():
    assert THREE_RUNS.issued_at.tolist() == [at(0), at(6), at(12)]
    assert THREE_RUNS.values.shape == (3, SPAN, len(PATH_COLUMNS))
    assert THREE_RUNS.values[:, HOURS_BEFORE, 0].tolist() == [0.0, 1006.0, 2012.0]


def test_the_newest_run_is_the_last_that_was_issued_by_the_moment():
    assert THREE_RUNS.newest(moments(-1, 3, 7, 11, 13, 500)).tolist() == [-1, 0, 1, 1, 2, 2]


def test_a_run_issued_at_the_very_moment_counts():
    assert THREE_RUNS.newest(moments(0, 6, 12)).tolist() == [0, 1, 2]


def test_a_run_issued_a_minute_later_does_not_count():
    assert THREE_RUNS.newest(moments(6 - 1 / 60, 12 - 1 / 60)).tolist() == [0, 1]


def test_the_moments_may_come_in_any_order():
    assert THREE_RUNS.newest(moments(13, -1, 7, 3, 7)).tolist() == [2, -1, 1, 0, 1]


@settings(deadline=None, max_examples=50)
@given(
    issues=st.lists(st.integers(0, 300), min_size=1, max_size=8, unique=True),
    moment=st.integers(-5, 310),
    random=st.randoms(use_true_random=False),
)
def test_no_run_issued_later_says_anything_of_a_moment(issues, moment, random):
    frames = [run(issue / 4, 100.0 * n, -50, 100) for n, issue in enumerate(issues)]
    known = [frame for frame, issue in zip(frames, issues, strict=True) if issue <= moment]
    random.shuffle(frames)
    found = issued_weather(pd.concat(frames), CITY_ALONE).around(moments(moment / 4), 3, 3)
    if not known:
        assert np.isnan(found).all()
        return
    mark = 100.0 * issues.index(max(issue for issue in issues if issue <= moment))
    expected = mark + moment // 4 + np.arange(-3, 4)
    np.testing.assert_array_equal(found[0, :, 0], expected)
    np.testing.assert_array_equal(
        found, issued_weather(pd.concat(known), CITY_ALONE).around(moments(moment / 4), 3, 3)
    )


# The hours around a moment.


def test_the_hours_of_a_fresh_run_are_those_around_the_moment():
    assert said(THREE_RUNS, 6, 2, 3) == [1004.0, 1005.0, 1006.0, 1007.0, 1008.0, 1009.0]


def test_the_hours_of_an_older_run_are_still_those_around_the_moment():
    assert said(THREE_RUNS, 11, 2, 3) == [1009.0, 1010.0, 1011.0, 1012.0, 1013.0, 1014.0]
    assert said(THREE_RUNS, 40, 1, 1) == [2039.0, 2040.0, 2041.0]


def test_a_moment_within_an_hour_belongs_to_its_full_hour():
    assert said(THREE_RUNS, 11.75, 1, 1) == [1010.0, 1011.0, 1012.0]


def test_a_run_issued_within_an_hour_is_aligned_by_its_full_hour():
    weather = issued_weather(run(6.5, 1000, 0, 60), CITY_ALONE)
    assert said(weather, 6.5, 1, 1) == [1005.0, 1006.0, 1007.0]
    assert said(weather, 9, 1, 1) == [1008.0, 1009.0, 1010.0]
    assert np.isnan(said(weather, 6.25, 1, 1)).all()


def test_each_moment_has_its_own_run_and_hours():
    found = THREE_RUNS.around(moments(13, -1, 0, 7), 1, 1)[:, :, 0]
    np.testing.assert_array_equal(found, [[2012, 2013, 2014], [np.nan] * 3, [-1, 0, 1], [1006, 1007, 1008]])


def test_the_hours_a_run_does_not_tell_are_not_known_although_an_older_run_told_them():
    np.testing.assert_array_equal(said(THREE_RUNS, 12, 2, 1), [np.nan, np.nan, 2012, 2013])


def test_hours_further_from_the_issue_than_are_kept_are_not_known():
    weather = issued_weather(run(0, 1000, -40, 140), CITY_ALONE)
    found = np.array(said(weather, 0, 30, 130))
    expected = 1000.0 + np.arange(-30, 131)
    expected[: 30 - HOURS_BEFORE] = np.nan
    expected[30 + HOURS_AFTER + 1 :] = np.nan
    np.testing.assert_array_equal(found, expected)


def test_a_run_that_is_too_old_says_nothing():
    weather = issued_weather(run(0, 1000, -24, 120), CITY_ALONE)
    np.testing.assert_array_equal(said(weather, 119, 0, 3), [1119, 1120, np.nan, np.nan])
    assert np.isnan(said(weather, 500, 3, 3)).all()


def test_a_hole_in_a_run_stays_one():
    weather = issued_weather(run(0, 1000, -5, 20).query("temperature_2m != 1004"), CITY_ALONE)
    np.testing.assert_array_equal(said(weather, 4, 1, 1), [1003, np.nan, 1005])


def test_a_moment_before_every_run_knows_nothing():
    found = THREE_RUNS.around(moments(-1, -100), 2, 3)
    assert found.shape == (2, 6, len(PATH_COLUMNS))
    assert np.isnan(found).all()


def test_no_moments_have_no_hours():
    assert THREE_RUNS.around(moments(), 2, 3).shape == (0, 6, len(PATH_COLUMNS))


# Sites and variables.


def test_the_sites_are_weighted_as_on_a_path():
    frame = pd.DataFrame(
        {
            "issued_at": at(0),
            "timestamp": at(1),
            "site": NAMES,
            "temperature_2m": [1.0, 20.0, 30.0, 40.0],
            "relative_humidity_2m": [50.0, 60.0, np.nan, 80.0],
        }
    )
    found = issued_weather(frame, NEW_YORK).around(moments(1), 0, 0)[0, 0]
    by_name = dict(zip(PATH_COLUMNS, found, strict=True))
    assert by_name[MAIN] == 1.0
    assert by_name[REST] == pytest.approx((0.12 * 20 + 0.13 * 30 + 0.10 * 40) / 0.35)
    assert by_name[HUMIDITY] == pytest.approx((0.65 * 50 + 0.12 * 60 + 0.10 * 80) / 0.87)
    assert np.isnan(by_name[CLOUD])


def test_the_rest_of_a_region_of_one_site_is_its_main_site():
    found = THREE_RUNS.around(moments(6), 2, 3)
    np.testing.assert_array_equal(
        found[:, :, PATH_COLUMNS.index(REST)], found[:, :, PATH_COLUMNS.index(MAIN)]
    )


def test_the_order_of_the_rows_does_not_matter():
    frame = pd.concat([run(6, 1000, 0, 60), run(0, 0, -5, 60), run(12, 2000, 12, 60)])
    mixed = issued_weather(frame.sample(frac=1.0, random_state=1), CITY_ALONE)
    assert mixed.issued_at.equals(THREE_RUNS.issued_at)
    np.testing.assert_array_equal(mixed.values, THREE_RUNS.values)


# Nothing issued.


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(pd.DataFrame(), id="without columns"),
        pytest.param(run(0, 0, 0, 5).iloc[:0], id="without rows"),
    ],
)
def test_an_empty_frame_has_no_runs_and_tells_nothing(frame):
    weather = issued_weather(frame, NEW_YORK)
    assert weather.values.shape == (0, SPAN, len(PATH_COLUMNS))
    assert len(weather.issued_at) == 0
    assert weather.newest(moments(0, 5)).tolist() == [-1, -1]
    found = weather.around(moments(0, 5), 2, 3)
    assert found.shape == (2, 6, len(PATH_COLUMNS))
    assert np.isnan(found).all()


# What a newer run does not have.


def half(issued: float, mark: float, last: int) -> pd.DataFrame:
    """A run that is null after an hour."""
    frame = run(issued, mark, int(issued), 60)
    frame.loc[frame["timestamp"] > at(last), "temperature_2m"] = np.nan
    return frame


def test_a_half_run_is_filled_by_the_run_before_it_and_by_none_older_than_a_day():
    weather = issued_weather(pd.concat([run(0, 0, 0, 60), half(12, 2000, 14)]), CITY_ALONE)
    assert said(weather, 12, 0, 4) == [2012.0, 2013.0, 2014.0, 15.0, 16.0]
    assert said(weather, 24, 0, 2)[1:] == [25.0, 26.0]
    assert np.isnan(said(weather, 25, 0, 2)[1:]).all()  # the whole run is older than a day


def test_an_older_run_says_nothing_of_hours_that_have_passed():
    weather = issued_weather(pd.concat([run(0, 0, 0, 60), run(12, 2000, 12, 60)]), CITY_ALONE)
    assert np.isnan(said(weather, 14, 4, 0)[:2]).all()


def test_variables_are_filled_one_by_one():
    older = run(0, 0, 0, 60).assign(cloud_cover=40.0)
    weather = issued_weather(pd.concat([older, run(6, 1000, 6, 60)]), CITY_ALONE)
    found = weather.around(moments(6), 0, 2)[0, 1:]
    assert found[:, PATH_COLUMNS.index(MAIN)].tolist() == [1007.0, 1008.0]
    assert found[:, PATH_COLUMNS.index(CLOUD)].tolist() == [40.0, 40.0]


# The mean of the newest runs.


def lagged(weather: IssuedWeather, moment: float, after: int) -> tuple[list[float], list[float]]:
    """Mean and spread of the temperatures of the hours after one moment."""
    mean, spread = weather.lagged(moments(moment), after)
    position = PATH_COLUMNS.index(MAIN)
    return mean[0, :, position].tolist(), spread[0, :, position].tolist()


def test_the_mean_weighs_each_run_by_its_age_and_the_spread_is_its_deviation():
    weights = np.array([KEPT_WEIGHT ** (age / OF_HOURS) for age in (13, 7, 1)])
    said_of_hour = np.array([15.0, 1015.0, 2015.0])
    mean = np.average(said_of_hour, weights=weights)
    spread = np.sqrt(np.average((said_of_hour - mean) ** 2, weights=weights))
    found, deviation = lagged(THREE_RUNS, 13, 2)
    assert (found[1], deviation[1]) == (pytest.approx(mean), pytest.approx(spread))


def test_of_a_single_run_the_mean_is_the_run_and_there_is_no_spread():
    found, deviation = lagged(THREE_RUNS, 3, 2)
    assert found == [4.0, 5.0]
    assert np.isnan(deviation).all()


def test_an_hour_that_one_run_alone_has_is_of_that_run():
    weather = issued_weather(pd.concat([run(0, 0, 0, 30), run(6, 1000, 0, 20)]), CITY_ALONE)
    found, deviation = lagged(weather, 6, 20)
    assert found[15:] == pytest.approx([22.0, 23.0, 24.0, 25.0, 26.0])
    assert np.isnan(deviation[15:]).all()
    assert np.isfinite(deviation[:14]).all()


def test_without_a_run_nothing_is_known():
    found, deviation = lagged(THREE_RUNS, -1, 3)
    assert np.isnan(found).all()
    assert np.isnan(deviation).all()
    assert THREE_RUNS.lagged(moments(), 3)[0].shape == (0, 3, len(PATH_COLUMNS))


def test_runs_older_than_three_days_and_more_than_twelve_do_not_count():
    many = [run(6 * number, 100.0 * number, 6 * number, 6 * number + 110) for number in range(15)]
    newest_twelve = issued_weather(pd.concat(many[3:]), CITY_ALONE)
    assert lagged(issued_weather(pd.concat(many), CITY_ALONE), 84, 5) == lagged(newest_twelve, 84, 5)
    assert LAGGED_RUNS == 12
    later = LAGGED_HOURS + 1
    alone = issued_weather(pd.concat([run(later, 0, later, later + 20)]), CITY_ALONE)
    both = issued_weather(pd.concat([run(0, 500, 0, 110), run(later, 0, later, later + 20)]), CITY_ALONE)
    assert lagged(both, later, 5)[0] == lagged(alone, later, 5)[0]


def test_a_forecast_loads_every_run_that_the_mean_takes_in():
    assert OLDEST_RUN / HOUR >= LAGGED_HOURS


@settings(max_examples=40, deadline=None)
@given(moment=st.integers(0, 40), mark=st.floats(-1e3, 1e3))
def test_a_run_issued_after_a_moment_changes_nothing(moment, mark):
    known = [run(0, 0, 0, 90), run(6, 10, 0, 90), run(12, 20, 0, 90)]
    later = run(moment + 0.5, mark, 0, 100)
    before = [each for each in known if each["issued_at"].iloc[0] <= at(moment)]
    one = issued_weather(pd.concat(before), CITY_ALONE).lagged(moments(moment), 24)
    two = issued_weather(pd.concat([*before, later]), CITY_ALONE).lagged(moments(moment), 24)
    np.testing.assert_array_equal(one, two)
