"""Generation behind the meter: capacity by published figures only, yield by radiation."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import pytest

from energy_demand.data.weather_path import MAIN_RADIATION, PATH_COLUMNS, REST_RADIATION, WeatherPath
from energy_demand.model.stages.response_features import response_features
from energy_demand.model.stages.rooftop_solar import PERFORMANCE, installed_mw, rooftop_generation
from energy_demand.region import NEW_YORK, NEW_YORK_SOLAR, Region, RooftopSolar
from energy_demand.timeaxis import hourly

DOUBLING = RooftopSolar(
    capacity_mw=((date(2020, 1, 1), 100.0), (date(2021, 1, 1), 200.0), (date(2022, 1, 1), 300.0)),
    published_after_days=75,
    main_share=0.4,
)


def at(*times: str) -> pd.DatetimeIndex:
    return pd.DatetimeIndex([pd.Timestamp(time, tz="UTC") for time in times])


def noon(**radiation: float) -> WeatherPath:
    values = np.full((1, len(PATH_COLUMNS)), np.nan)
    for name, value in radiation.items():
        values[0, PATH_COLUMNS.index(name)] = value
    return WeatherPath(at("2024-07-01T17:00"), values)


def test_the_newest_published_figure_counts_with_its_growth_continued():
    doubled, half_more = installed_mw(at("2022-01-01", "2022-12-31"), DOUBLING)
    assert doubled == pytest.approx(400.0, rel=0.01)  # 2022's figure is not out yet: 2021's growth goes on
    assert half_more == pytest.approx(300.0 * 1.5, rel=0.01)


def test_a_figure_is_not_known_before_it_is_published():
    later = RooftopSolar((*DOUBLING.capacity_mw[:2], (date(2022, 1, 1), 900.0)), 75, 0.4)
    before = hourly(pd.Timestamp("2020-06-01T00:00Z"), pd.Timestamp("2022-03-16T23:00Z"))
    np.testing.assert_array_equal(installed_mw(before, DOUBLING), installed_mw(before, later))
    after = at("2022-03-18")
    assert installed_mw(after, later)[0] > 2 * installed_mw(after, DOUBLING)[0]


def test_a_trend_is_not_followed_for_ever():
    two_years, ten_years = installed_mw(at("2024-01-01", "2032-01-01"), DOUBLING)
    assert ten_years == pytest.approx(two_years, rel=0.01)


def test_before_the_second_figure_the_first_growth_holds():
    assert installed_mw(at("2020-01-01", "2019-01-01"), DOUBLING) == pytest.approx([100.0, 50.0], rel=0.01)


def test_generation_is_capacity_by_radiation():
    path = noon(**{MAIN_RADIATION: 500.0, REST_RADIATION: 1000.0})
    capacity = installed_mw(path.periods, NEW_YORK_SOLAR)[0]
    share = NEW_YORK_SOLAR.main_share
    expected = capacity * PERFORMANCE * (share * 0.5 + (1 - share) * 1.0)
    assert rooftop_generation(path, NEW_YORK)[0] == pytest.approx(expected)
    assert 2000 < expected < 5000


def test_what_is_not_known_generates_nothing():
    assert rooftop_generation(noon(**{MAIN_RADIATION: 500.0}), NEW_YORK) == [0.0]
    elsewhere = Region("PJM", NEW_YORK.zone, "US", NEW_YORK.sites)
    assert elsewhere.rooftop_solar is None
    path = noon(**{MAIN_RADIATION: 500.0, REST_RADIATION: 1000.0})
    assert rooftop_generation(path, elsewhere) == [0.0]


def test_the_responses_carry_the_generation_of_their_hours():
    path = noon(**{MAIN_RADIATION: 500.0, REST_RADIATION: 1000.0})
    rows = response_features(path, NEW_YORK)
    np.testing.assert_array_equal(rows.rooftop_mwh, rooftop_generation(path, NEW_YORK))
    assert rows.rows(slice(0, 0)).rooftop_mwh.shape == (0,)
