"""What may be asked of an export, without a database: times, days, limits, cursors, and what is refused."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energy_demand.exports.columns import EXPORTS, FORECASTS, SCORES
from energy_demand.exports.questions import (
    MOST_DAYS,
    MOST_PAGE_ROWS,
    PARAMETERS,
    USUAL_DAYS,
    QuestionError,
    parse_question,
)
from energy_demand.region import NEW_YORK
from energy_demand.timeaxis import HOUR, day_periods
from support import PRESENT

if TYPE_CHECKING:
    from energy_demand.exports.questions import Question

DAY = timedelta(days=1)


def ask(export: str = FORECASTS, **parameters: str | list[str]) -> Question:
    values = {name: [each] if isinstance(each, str) else each for name, each in parameters.items()}
    return parse_question(export, values, NEW_YORK, PRESENT)


def test_without_parameters_the_last_year_through_the_last_hour_of_a_forecast_is_asked():
    question = ask()
    assert (question.first, question.last) == (
        PRESENT + 48 * HOUR - USUAL_DAYS * DAY,
        PRESENT + 48 * HOUR,
    )
    assert (question.known, question.as_of, question.limit) == (PRESENT, None, None)
    assert ask(SCORES).last == PRESENT


@pytest.mark.parametrize(
    ("day", "hours"),
    [
        pytest.param("2025-11-02", 25, id="a day of 25 hours"),
        pytest.param("2025-03-09", 23, id="a day of 23 hours"),
        pytest.param("2025-07-01", 24, id="a usual day"),
    ],
)
def test_a_bare_date_is_the_local_day_from_its_first_hour_to_its_last(day, hours):
    question = ask(period_from=day, period_to=day)
    periods = day_periods(date.fromisoformat(day), NEW_YORK.zone)
    assert (question.first, question.last) == (periods[0], periods[-1])
    assert (question.last - question.first) / HOUR + 1 == hours


def test_a_bare_date_of_issue_is_a_whole_local_day():
    question = ask(issued_from="2025-03-09", issued_to="2025-03-09")
    assert question.issued_from == datetime(2025, 3, 9, 5, tzinfo=UTC)
    assert question.issued_to == datetime(2025, 3, 10, 4, tzinfo=UTC) - timedelta(microseconds=1)
    assert (question.first, question.last) == (question.issued_from, question.issued_to + 48 * HOUR)


@pytest.mark.parametrize(
    "text", ["2025-02-01T12:00", "2025-02-01T12:00Z", "2025-02-01T07:00-05:00", "2025-02-01T12"]
)
def test_a_time_with_and_without_an_offset_is_utc(text):
    noon = datetime(2025, 2, 1, 12, tzinfo=UTC)
    question = ask(period_from=text, as_of=text)
    assert (question.first, question.as_of, question.known) == (noon, noon, noon)


def test_what_is_known_is_never_later_than_the_present():
    assert ask(as_of="2026-01-01T00:00Z").known == PRESENT


def test_the_day_ahead_series_is_issued_by_the_end_of_the_scheduled_hour_or_of_the_minute_given():
    assert ask(days_ahead="1").issued_by == time(9, 59, 59, 999_999)
    assert ask(days_ahead="1", issued_by="09:00").issued_by == time(9, 0, 59, 999_999)
    assert ask().issued_by is None


REFUSED = {
    "an unknown name": ({"perod_from": "2025-01-01"}, "perod_from", "unknown parameter"),
    "a parameter of another export": ({"by": "day"}, "by", "unknown parameter"),
    "twice": ({"limit": ["1", "2"]}, "limit", "more than once"),
    "no time": ({"period_from": "yesterday"}, "period_from", "not a valid time"),
    "no day": ({"period_to": "2025-02-30"}, "period_to", "not a valid time"),
    "a plus that became a blank": ({"as_of": "2025-02-01T12:00 00:00"}, "as_of", "not a valid time"),
    "a year before electricity": ({"period_from": "0001-01-01"}, "period_from", "in the years"),
    "the last year": ({"period_to": "9999-12-31"}, "period_to", "in the years"),
    "a time of the last year": ({"issued_to": "9999-12-31T23:59:59Z"}, "issued_to", "in the years"),
    "the end first": (
        {"period_from": "2025-02-02", "period_to": "2025-02-01"},
        "period_from",
        "is after period_to",
    ),
    "issued to the end first": (
        {"issued_from": "2025-02-02", "issued_to": "2025-02-01"},
        "issued_from",
        "is after issued_to",
    ),
    "too many days": ({"period_from": "2001-01-01"}, "period_from", f"at most {MOST_DAYS:,}"),
    "too many days of issues": ({"issued_from": "2001-01-01"}, "issued_from", f"at most {MOST_DAYS:,}"),
    "two days ahead": ({"days_ahead": "2"}, "days_ahead", "must be 1"),
    "issued_by alone": ({"issued_by": "09:00"}, "issued_by", "only for days_ahead"),
    "no clock": ({"days_ahead": "1", "issued_by": "24:00"}, "issued_by", "00:00 to 23:59"),
    "an unknown quality": ({"quality": ["champion", "best"]}, "quality", "must be one of champion,"),
    "an empty version": ({"version": ""}, "version", "printable"),
    "no rows": ({"limit": "0"}, "limit", f"1 to {MOST_PAGE_ROWS:,}"),
    "too many rows": ({"limit": f"{MOST_PAGE_ROWS + 1}"}, "limit", "leave it out for all rows"),
    "half a row": ({"limit": "1.5"}, "limit", "whole number"),
    "digits of another script": ({"limit": "١"}, "limit", "whole number"),
    "no cursor": ({"cursor": "not a cursor"}, "cursor", "is not one that this question"),
    "a long cursor": ({"cursor": "a" * 1000}, "cursor", "is not one that this question"),
    "JSON of another kind": ({"cursor": "e30"}, "cursor", "is not one that this question"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_with_the_name_of_the_parameter(case):
    parameters, field, message = REFUSED[case]
    with pytest.raises(QuestionError, match=message) as refused:
        ask(**parameters)
    assert refused.value.field == field


def test_hours_after_all_that_can_be_forecast_are_an_empty_answer_and_no_error():
    question = ask(period_from="2025-06-01T00:00Z")
    assert question.first == question.last == datetime(2025, 6, 1, tzinfo=UTC)


KEYS = {
    "forecasts": (FORECASTS, {}, (PRESENT, PRESENT - DAY + timedelta(microseconds=7), 12)),
    "the day-ahead series": (FORECASTS, {"days_ahead": "1"}, (PRESENT,)),
    "demand": ("demand", {}, (PRESENT,)),
    "scores by day": (SCORES, {}, (date(2025, 3, 9),)),
    "scores by version": (SCORES, {"by": "version"}, ("7",)),
    "scores by quality": (SCORES, {"by": "quality"}, ("last_week",)),
}


@pytest.mark.parametrize("case", KEYS)
def test_a_cursor_brings_its_key_back_and_serves_its_own_question_alone(case):
    export, parameters, key = KEYS[case]
    cursor = ask(export, **parameters).cursor(key)
    assert ask(export, **parameters, cursor=cursor).after == key
    assert ask(export, **parameters, cursor=cursor, limit="7").after == key
    with pytest.raises(QuestionError, match="is not one that this question"):
        ask(export, **parameters, cursor=cursor, period_from="2025-01-01")


@given(
    st.sampled_from(EXPORTS),
    st.dictionaries(st.sampled_from(list(PARAMETERS)), st.lists(st.text(), min_size=1)),
)
def test_any_text_is_a_question_or_refused_in_one_line(export, parameters):
    try:
        question = parse_question(export, parameters, NEW_YORK, PRESENT)
    except QuestionError as refused:
        found = (refused.field in PARAMETERS, "\n" in str(refused))
    else:
        found = (question.first <= question.last, False)
    assert found == (True, False)


@given(
    st.datetimes(datetime(2000, 1, 2), datetime(2099, 12, 30)).map(lambda each: each.replace(tzinfo=UTC)),  # noqa: DTZ001
    st.integers(0, MOST_DAYS * 24),
)
def test_times_within_the_span_are_taken_as_they_are(first, hours):
    last = min(first + hours * HOUR, datetime(2099, 12, 31, tzinfo=UTC))
    question = ask(period_from=first.isoformat(), period_to=last.isoformat())
    assert (question.first, question.last) == (first, last)
