"""The words of time, above all on the two days a year that have another length."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from energy_demand.errors import UserError
from energy_demand.timeaxis import (
    HOUR,
    Availability,
    TimeFormatError,
    day_ahead_issue,
    day_periods,
    days_periods,
    floor_hour,
    horizon_periods,
    hourly,
    lead_hours,
    local_day,
    local_midnight,
    parse_day,
    parse_moment,
    to_utc,
    utc_index,
)

NEW_YORK = ZoneInfo("America/New_York")
ORDINARY = date(2025, 1, 15)
SPRING = date(2025, 3, 9)
AUTUMN = date(2024, 11, 3)

moments = st.datetimes(datetime(2015, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
delays = st.integers(0, 48)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("day", "first", "last", "hours"),
    [
        pytest.param(ORDINARY, "2025-01-15T06", "2025-01-16T05", 24, id="an ordinary winter day"),
        pytest.param(date(2025, 7, 4), "2025-07-04T05", "2025-07-05T04", 24, id="an ordinary summer day"),
        pytest.param(SPRING, "2025-03-09T06", "2025-03-10T04", 23, id="the day the clock goes forward"),
        pytest.param(AUTUMN, "2024-11-03T05", "2024-11-04T05", 25, id="the day the clock goes back"),
    ],
)
def test_a_new_york_day_has_the_hours_that_end_within_it(day, first, last, hours):
    periods = day_periods(day, NEW_YORK)
    assert (periods[0], periods[-1], len(periods)) == (at(first), at(last), hours)
    assert (np.diff(periods) == np.timedelta64(1, "h")).all()
    assert {local_day(period - HOUR, NEW_YORK) for period in periods} == {day}


def test_days_follow_one_another_without_gap_or_overlap_over_both_clock_changes():
    first, last = date(2024, 11, 1), date(2025, 3, 31)
    whole = days_periods(first, last, NEW_YORK)
    one_by_one = [
        period
        for number in range((last - first).days + 1)
        for period in day_periods(first + timedelta(days=number), NEW_YORK)
    ]
    assert list(whole) == one_by_one
    assert len(whole) == 24 * 151


@pytest.mark.parametrize(
    ("day", "issued_at", "last_lead"),
    [
        pytest.param(ORDINARY, "2025-01-14T14", 39, id="an ordinary winter day"),
        pytest.param(date(2025, 7, 4), "2025-07-03T13", 39, id="an ordinary summer day"),
        pytest.param(SPRING, "2025-03-08T14", 38, id="the day the clock goes forward"),
        pytest.param(AUTUMN, "2024-11-02T13", 40, id="the day the clock goes back"),
        pytest.param(date(2025, 3, 10), "2025-03-09T13", 39, id="the day after the spring change"),
        pytest.param(date(2024, 11, 4), "2024-11-03T14", 39, id="the day after the autumn change"),
    ],
)
def test_the_day_ahead_forecast_is_issued_at_nine_and_leads_from_16_hours_on(day, issued_at, last_lead):
    issue = day_ahead_issue(day, NEW_YORK)
    assert issue == at(issued_at)
    assert lead_hours(day_periods(day, NEW_YORK), issue).tolist() == list(range(16, last_lead + 1))


@pytest.mark.parametrize(
    ("issued_at", "lead"),
    [
        pytest.param("2025-01-15T11:00", 1, id="exactly an hour before the end"),
        pytest.param("2025-01-15T11:59:59", 1, id="a second before the end"),
        pytest.param("2025-01-15T10:59:59", 2, id="a second more than an hour"),
        pytest.param("2025-01-15T12:00", 0, id="at the end"),
        pytest.param("2025-01-13T12:00", 48, id="two days"),
    ],
)
def test_a_lead_is_the_number_of_begun_hours(issued_at, lead):
    periods = pd.DatetimeIndex([at("2025-01-15T12")])
    assert lead_hours(periods, at(issued_at)).tolist() == [lead]
    assert lead_hours(periods, pd.DatetimeIndex([at(issued_at)])).tolist() == [lead]


def test_leads_are_whole_numbers_and_pair_each_period_with_its_own_issue_time():
    periods = hourly(at("2025-01-15T12"), at("2025-01-15T14"))
    leads = lead_hours(periods, pd.DatetimeIndex([at("2025-01-15T00")] * 2 + [at("2025-01-15T13:30")]))
    assert leads.tolist() == [12, 13, 1]
    assert leads.dtype == np.int64


@given(moments, st.integers(1, 48))
def test_the_horizon_has_the_leads_from_1_on(issued_at, hours):
    periods = horizon_periods(issued_at, hours)
    assert lead_hours(periods, issued_at).tolist() == list(range(1, hours + 1))
    assert periods[0] > issued_at


def test_a_forecast_issued_within_an_hour_begins_with_the_end_of_that_hour():
    assert list(horizon_periods(at("2025-01-15T09:30"), 2)) == [at("2025-01-15T10"), at("2025-01-15T11")]


@pytest.mark.parametrize("delay", [0, 1, 3])
def test_a_period_is_known_from_exactly_its_delay_on(delay):
    availability = Availability(delay)
    period = at("2025-01-15T12")
    known_at = availability.known_at(period)
    assert known_at == at("2025-01-15T12") + timedelta(hours=delay)
    assert availability.newest_known(known_at) == period
    assert availability.newest_known(known_at - timedelta(microseconds=1)) == period - HOUR


@given(moments, delays)
def test_the_newest_known_period_is_the_last_one_whose_delay_has_passed(issued_at, delay):
    availability = Availability(delay)
    newest = availability.newest_known(issued_at)
    assert newest == floor_hour(newest)
    assert availability.known_at(newest) <= issued_at < availability.known_at(newest + HOUR)


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param("2025-03-09T07:30", id="just after the clock went forward"),
        pytest.param("2024-11-03T06:30", id="in the hour that comes twice"),
        pytest.param("2025-07-01T12:00", id="in summer"),
    ],
)
def test_a_moment_in_local_time_means_the_same_as_in_utc(moment):
    utc = at(moment)
    local = utc.astimezone(NEW_YORK)
    availability = Availability(1)
    assert availability.newest_known(local).astimezone(UTC) == availability.newest_known(utc)
    assert availability.known_at(local).astimezone(UTC) == availability.known_at(utc)
    assert list(horizon_periods(local, 3)) == list(horizon_periods(utc, 3))


def test_a_negative_delay_is_refused():
    with pytest.raises(ValueError, match="-1"):
        Availability(-1)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        pytest.param("2025-07-31T13:00Z", "2025-07-31T13:00", id="with Z"),
        pytest.param("2024-12-01T00", "2024-12-01T00:00", id="an hour without a zone is UTC"),
        pytest.param("2025-07-31T09:00-04:00", "2025-07-31T13:00", id="with an offset"),
        pytest.param(" 2025-07-31 ", "2025-07-31T00:00", id="a bare day, with blanks"),
    ],
)
def test_a_moment_is_read_as_utc(text, moment):
    read = parse_moment(text)
    assert (read, read.tzinfo) == (at(moment), UTC)


@pytest.mark.parametrize(
    "text", ["yesterday", "2025-02-30T00", "2025-07-31T25", "", "0001-01-01T00:00+14:00"]
)
def test_what_is_no_moment_is_named_with_the_form_that_is_accepted(text):
    with pytest.raises(TimeFormatError, match="2025-07-31T13:00Z") as caught:
        parse_moment(text)
    assert repr(text) in str(caught.value)
    assert isinstance(caught.value, UserError)


def test_a_day_is_read():
    assert parse_day(" 2025-07-31 ") == date(2025, 7, 31)


@pytest.mark.parametrize("text", ["tomorrow", "2025-02-30", "31.07.2025", ""])
def test_what_is_no_day_is_named_with_the_form_that_is_accepted(text):
    with pytest.raises(TimeFormatError, match="expected e.g. 2025-07-31") as caught:
        parse_day(text)
    assert repr(text) in str(caught.value)


def test_local_midnight_and_local_day_are_each_others_inverse_at_the_edge():
    midnight = local_midnight(SPRING, NEW_YORK)
    assert midnight == at("2025-03-09T05")
    assert local_day(midnight, NEW_YORK) == SPRING
    assert local_day(midnight - timedelta(seconds=1), NEW_YORK) == SPRING - timedelta(days=1)


def test_a_naive_moment_is_read_as_utc_and_an_aware_one_is_converted():
    assert to_utc(datetime(2025, 7, 1, 9)) == at("2025-07-01T09")  # noqa: DTZ001
    converted = to_utc(datetime(2025, 7, 1, 9, tzinfo=NEW_YORK))
    assert (converted, converted.tzinfo) == (at("2025-07-01T13"), UTC)


@pytest.mark.parametrize(
    "values",
    [
        pytest.param(pd.DatetimeIndex(["2025-07-01T13"]), id="naive is UTC"),
        pytest.param(pd.DatetimeIndex(["2025-07-01T09:00-04:00"]), id="an offset is converted"),
        pytest.param(pd.Series(pd.DatetimeIndex(["2025-07-01T13Z"]).as_unit("ns")), id="nanoseconds"),
        pytest.param(pd.Series(["2025-07-01T13:00Z"]), id="text"),
    ],
)
def test_any_times_become_one_utc_index_in_one_resolution(values):
    index = utc_index(values)
    assert str(index.dtype) == "datetime64[us, UTC]"
    assert list(index) == [at("2025-07-01T13")]
