"""Special days: each class on dates known from the calendar, and on no others."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from energy_demand.model.stages.special_days import SPECIAL_DAYS, special_day_columns


def classes_of(day: str, country: str = "US") -> set[str]:
    """The classes of one day."""
    columns = special_day_columns(pd.DatetimeIndex([day]), country)
    return {name for name, values in columns.items() if values[0]}


def days_of(name: str, first: str, last: str) -> list[str]:
    """The days of one class."""
    days = pd.date_range(first, last)
    return [str(day.date()) for day in days[special_day_columns(days, "US")[name] == 1.0]]


KNOWN = {
    "2024-01-01": {"new_year"},
    "2024-01-02": {"after_new_year"},
    "2024-01-15": {"martin_luther_king_day"},
    "2024-02-19": {"presidents_day"},
    "2024-05-25": {"memorial_weekend"},
    "2024-05-26": {"memorial_weekend"},
    "2024-05-27": {"memorial_day"},
    "2024-06-19": {"juneteenth"},
    "2024-07-03": {"before_independence_day"},
    "2024-07-04": {"independence_day"},
    "2024-08-31": {"labor_weekend"},
    "2024-09-01": {"labor_weekend"},
    "2024-09-02": {"labor_day"},
    "2024-10-14": {"columbus_day"},
    "2024-11-11": {"veterans_day"},
    "2024-11-27": {"thanksgiving_eve"},
    "2024-11-28": {"thanksgiving"},
    "2024-11-29": {"after_thanksgiving"},
    "2024-11-30": {"thanksgiving_weekend"},
    "2024-12-01": {"thanksgiving_weekend"},
    "2024-12-23": {"christmas_week"},
    "2024-12-24": {"christmas_eve"},
    "2024-12-25": {"christmas"},
    "2024-12-26": {"christmas_week"},
    "2024-12-30": {"christmas_week"},
    "2024-12-31": {"new_year_eve"},
    "2025-04-18": {"good_friday"},
    "2025-04-20": {"easter"},
    "2025-04-21": {"easter_monday"},
}


@pytest.mark.parametrize(("day", "classes"), KNOWN.items(), ids=KNOWN)
def test_a_known_day_is_of_its_class_and_of_no_other(day, classes):
    assert classes_of(day) == classes


@pytest.mark.parametrize(
    "day",
    [
        pytest.param("2024-08-14", id="a Wednesday in August"),
        pytest.param("2024-01-03", id="after the new year's second day"),
        pytest.param("2024-12-22", id="before the Christmas week"),
        pytest.param("2024-11-26", id="two days before Thanksgiving"),
        pytest.param("2024-12-02", id="the Monday after Thanksgiving"),
        pytest.param("2024-05-28", id="the day after Memorial Day"),
        pytest.param("2025-04-19", id="the Saturday between Good Friday and Easter"),
        pytest.param("2024-03-10", id="a Sunday"),
    ],
)
def test_a_usual_day_is_of_no_class(day):
    assert classes_of(day) == set()


# Holidays on weekends.


@pytest.mark.parametrize(
    ("day", "classes"),
    [
        pytest.param("2021-07-04", {"independence_day"}, id="the Sunday itself"),
        pytest.param("2021-07-05", {"observed", "after_independence_day"}, id="the Monday after a Sunday"),
        pytest.param(
            "2015-07-03", {"observed", "before_independence_day"}, id="the Friday before a Saturday"
        ),
        pytest.param("2021-06-18", {"observed"}, id="Juneteenth on a Saturday"),
        pytest.param("2021-06-19", {"juneteenth"}, id="that Saturday"),
        pytest.param("2021-12-31", {"observed", "new_year_eve"}, id="the next year's holiday"),
        pytest.param("2022-12-26", {"observed", "christmas_week"}, id="Christmas on a Sunday"),
    ],
)
def test_a_day_off_instead_is_observed_and_not_the_holiday_itself(day, classes):
    assert classes_of(day) == classes


def test_juneteenth_is_special_only_since_it_is_a_holiday():
    assert days_of("juneteenth", "2018-01-01", "2023-12-31") == ["2021-06-19", "2022-06-19", "2023-06-19"]


# Around July 4.


@pytest.mark.parametrize(
    ("day", "classes"),
    [
        pytest.param("2023-07-03", {"bridge", "before_independence_day"}, id="a Monday before a Tuesday"),
        pytest.param("2023-07-05", {"after_independence_day"}, id="the Wednesday after a Tuesday"),
        pytest.param("2024-07-05", {"bridge", "after_independence_day"}, id="a Friday after a Thursday"),
        pytest.param("2022-07-03", {"before_independence_day"}, id="a Sunday before a Monday"),
        pytest.param("2022-07-05", {"after_independence_day"}, id="a Tuesday after a Monday"),
        pytest.param("2018-07-03", {"before_independence_day"}, id="a Tuesday before a Wednesday"),
        pytest.param("2025-07-03", {"before_independence_day"}, id="a Thursday before a Friday"),
        pytest.param("2025-07-05", set(), id="a Saturday after a Friday"),
        pytest.param("2024-07-06", set(), id="the Saturday after a bridge"),
    ],
)
def test_a_bridge_day_is_between_july_4_and_a_weekend(day, classes):
    assert classes_of(day) == classes


def test_bridges_are_rare():
    assert days_of("bridge", "2017-01-01", "2024-12-31") == [
        "2017-07-03",
        "2019-07-05",
        "2023-07-03",
        "2024-07-05",
    ]


# The frame.


@pytest.mark.parametrize("name", SPECIAL_DAYS)
def test_every_class_occurs_within_a_span_of_years(name):
    days = pd.date_range("2017-01-01", "2025-12-31")
    values = special_day_columns(days, "US")[name]
    assert 1 <= values.sum() <= 7 * 9
    assert set(values) == {0.0, 1.0}


def test_the_columns_are_the_classes_in_their_order():
    assert tuple(special_day_columns(pd.DatetimeIndex(["2024-08-14"]), "US")) == SPECIAL_DAYS
    assert len(set(SPECIAL_DAYS)) == len(SPECIAL_DAYS)


def test_several_years_each_have_their_own_dates():
    assert days_of("thanksgiving", "2021-01-01", "2025-12-31") == [
        "2021-11-25",
        "2022-11-24",
        "2023-11-23",
        "2024-11-28",
        "2025-11-27",
    ]
    assert days_of("easter", "2022-01-01", "2025-12-31") == [
        "2022-04-17",
        "2023-04-09",
        "2024-03-31",
        "2025-04-20",
    ]


def test_years_without_any_day_between_the_others_do_not_matter():
    days = pd.DatetimeIndex(["2025-11-27", "2011-11-24", "2018-11-22", "2018-11-21"])
    assert special_day_columns(days, "US")["thanksgiving"].tolist() == [1.0, 1.0, 1.0, 0.0]


def test_the_days_may_come_in_any_order_and_more_than_once():
    days = pd.date_range("2022-06-01", "2024-02-01")
    order = np.random.default_rng(1).integers(0, len(days), 2 * len(days))
    in_order, mixed = special_day_columns(days, "US"), special_day_columns(days[order], "US")
    for name in SPECIAL_DAYS:
        np.testing.assert_array_equal(mixed[name], in_order[name][order])
    assert sum(values.sum() for values in mixed.values()) > 0


def test_no_days_give_every_column_without_rows():
    columns = special_day_columns(pd.DatetimeIndex([]), "US")
    assert tuple(columns) == SPECIAL_DAYS
    assert all(values.shape == (0,) for values in columns.values())


def test_easter_is_the_first_sunday_after_a_full_moon_that_is_not_before_march_21():
    for text in days_of("easter", "2000-01-01", "2039-12-31"):
        day = date.fromisoformat(text)
        assert day.weekday() == 6
        assert date(day.year, 3, 22) <= day <= date(day.year, 4, 25)
        assert classes_of(str(day - timedelta(days=2))) == {"good_friday"}


@pytest.mark.parametrize(
    "day", ["2024-05-27", "2024-05-26", "2024-09-02", "2024-11-27", "2024-11-28", "2024-12-01"]
)
def test_a_moving_holiday_that_a_country_lacks_is_a_usual_day_there(day):
    assert classes_of(day) != set()
    assert classes_of(day, "DE") == set()


def test_easter_is_a_special_day_in_every_country():
    assert classes_of("2025-04-20", "DE") == {"easter"}
    assert classes_of("2025-04-18", "DE") == {"good_friday"}
