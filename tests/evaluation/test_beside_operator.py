"""A forecast beside the operator's: as in a backtest, from what was known at the issue, ours left alone."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from energy_demand.data.issued_operator import late_before
from energy_demand.evaluation.beside_operator import (
    COMBINATION,
    ISSUED,
    ISSUED_CORRECTED,
    OUR_WEIGHT,
    POSTED_AT,
    KnownOperator,
    beside_operator,
    with_issued_operator,
)
from energy_demand.evaluation.combination import FIRST_WEIGHT
from energy_demand.evaluation.schedule import Protocol
from energy_demand.region import NEW_YORK
from energy_demand.timeaxis import Availability, day_ahead_issue, day_periods, days_periods, horizon_periods

ZONE, DELAY = NEW_YORK.zone, Availability(1)
FIRST, LAST = date(2024, 1, 20), date(2024, 3, 14)  # the clocks go forward on 10 March
ISSUE = day_ahead_issue(LAST, ZONE)
BODY = {"warnings": ["a warning"], "peak": {"period": "p"}, "hours": [], "quality": "champion"}


def postings(first: date = FIRST, last: date = LAST, seed: int = 1) -> pd.DataFrame:
    """Files of three days each, posted at 07:45 on the day before their first."""
    random = np.random.default_rng(seed)
    files = []
    for number in range((last - first).days + 1):
        day = first + timedelta(days=number)
        periods = days_periods(day, day + timedelta(days=2), ZONE)
        posted = pd.Timestamp(day_ahead_issue(day, ZONE)) - pd.Timedelta(minutes=75)
        forecast = 17_600 * np.exp(random.normal(0, 0.02, len(periods)))
        files.append(pd.DataFrame({"period": periods, "issued_at": posted, "forecast_mwh": forecast}))
    return pd.concat(files, ignore_index=True)


def truth() -> pd.Series:
    periods = days_periods(FIRST, LAST + timedelta(days=2), ZONE)
    waves = np.sin(np.arange(len(periods)) / 4)
    return pd.Series(17_000 * np.exp(0.1 * waves), index=periods)


def ours(first: date = date(2024, 2, 1), last: date = LAST) -> pd.DataFrame:
    """Day-ahead forecasts, as a backtest has them and as they are logged."""
    periods = days_periods(first, last, ZONE)
    error = np.random.default_rng(2).normal(0, 0.025, len(periods))
    actual = truth().reindex(periods).to_numpy()
    issues = Protocol.DAY_AHEAD.issues(periods, ZONE)
    return pd.DataFrame({"period": periods, "issued_at": issues, "predicted_mwh": actual * np.exp(error)})


def stored() -> KnownOperator:
    return KnownOperator(postings(), ours(last=LAST - timedelta(days=1)), truth())


def asked(periods: pd.DatetimeIndex) -> pd.DataFrame:
    return pd.DataFrame({"period": periods, "predicted_demand_mwh": 16_800.0})


def answer(known: KnownOperator, issued_at: datetime = ISSUE, periods: pd.DatetimeIndex | None = None):
    periods = horizon_periods(issued_at, 48) if periods is None else periods
    return beside_operator(asked(periods), issued_at, known, ZONE, DELAY)


def test_a_forecast_is_combined_as_the_backtest_combines_the_same_hours():
    hours = ours()
    actual = truth()
    backtest = with_issued_operator(
        hours.assign(actual_mwh=actual.reindex(hours["period"]).to_numpy()),
        postings(),
        actual,
        ZONE,
        DELAY,
        lambda periods: Protocol.DAY_AHEAD.issues(periods, ZONE),
    )
    new = hours["issued_at"] == pd.Timestamp(ISSUE)
    forecast = hours[new].rename(columns={"predicted_mwh": "predicted_demand_mwh"})
    live = beside_operator(forecast, ISSUE, stored(), ZONE, DELAY)
    columns = [ISSUED, ISSUED_CORRECTED, POSTED_AT, COMBINATION, OUR_WEIGHT]
    pd.testing.assert_frame_equal(
        live.hours[columns], backtest.loc[new, columns].reset_index(drop=True), rtol=1e-9
    )
    assert (live.hours[OUR_WEIGHT] != FIRST_WEIGHT).all()
    # From the first logged forecast through 08:00 on the day of the issue.
    assert live.learnt_hours == len(days_periods(date(2024, 2, 1), LAST - timedelta(days=2), ZONE)) + 8


def test_without_logged_forecasts_both_count_the_same():
    none = stored().logged.iloc[:0]
    live = answer(KnownOperator(postings(), none, truth()))
    assert (live.hours[OUR_WEIGHT] == FIRST_WEIGHT).all()
    assert live.learnt_hours == 0
    expected = np.sqrt(16_800.0 * live.hours[ISSUED_CORRECTED])
    np.testing.assert_allclose(live.hours[COMBINATION], expected)


@settings(max_examples=20, deadline=None)
@given(hours_back=st.integers(0, 24 * 10), seed=st.integers(0, 1000))
def test_nothing_that_becomes_known_after_the_issue_changes_it(hours_back, seed):
    issued_at = ISSUE - timedelta(hours=hours_back)
    random, known = np.random.default_rng(seed), stored()
    late_posting = known.postings["issued_at"] > issued_at
    late_log = known.logged["issued_at"] > issued_at
    unknown = known.truth.index > pd.Timestamp(DELAY.newest_known(issued_at))

    def other(values: pd.Series, where: object) -> pd.Series:
        return values.where(~np.asarray(where), values * np.exp(random.normal(0, 0.2, len(values))))

    more = known.postings.assign(issued_at=pd.Timestamp(issued_at) + timedelta(seconds=1), forecast_mwh=9e3)
    altered = KnownOperator(
        pd.concat(
            [known.postings.assign(forecast_mwh=other(known.postings["forecast_mwh"], late_posting)), more]
        ),
        known.logged.assign(predicted_mwh=other(known.logged["predicted_mwh"], late_log)),
        other(known.truth, unknown),
    )
    before, after = answer(known, issued_at), answer(altered, issued_at)
    pd.testing.assert_frame_equal(before.hours, after.hours)
    assert before.learnt_hours == after.learnt_hours
    assert before.covered.all()


def test_the_hours_of_today_have_the_file_of_today_and_that_is_not_late():
    live = answer(stored())
    assert live.covered.all()
    assert live.warnings() == []
    assert live.hours[POSTED_AT].nunique() == 2
    assert live.posted_at == day_ahead_issue(LAST, ZONE) - timedelta(minutes=75)


@pytest.mark.parametrize(
    ("minutes_after_nine", "missing"),
    [
        pytest.param(0, 33, id="at nine, tomorrow's file is late"),
        pytest.param(-80, 0, id="at 07:40, it is not late yet"),
    ],
)
def test_hours_whose_newest_posting_is_late_are_left_alone(minutes_after_nine, missing):
    known = stored()
    issued_at = ISSUE + timedelta(minutes=minutes_after_nine)
    posted_yesterday = known.postings["issued_at"] < pd.Timestamp(ISSUE - timedelta(hours=12))
    live = answer(KnownOperator(known.postings[posted_yesterday], known.logged, known.truth), issued_at)
    assert (~live.covered).sum() == missing
    assert len(live.warnings()) == (missing > 0)
    assert (
        live.hours.loc[~live.covered, [ISSUED_CORRECTED, COMBINATION, OUR_WEIGHT, POSTED_AT]]
        .isna()
        .all(axis=None)
    )
    assert not missing or f"{missing} of 48 hours" in live.warnings()[0]


@pytest.mark.parametrize(
    ("local", "day", "posted"),
    [
        pytest.param("2024-03-09T09:00", "2024-03-10", "2024-03-09T12:05", id="tomorrow after the posting"),
        pytest.param("2024-03-09T09:00", "2024-03-11", "2024-03-09T12:05", id="the day after, too"),
        pytest.param("2024-03-09T09:00", "2024-03-09", "2024-03-08T12:05", id="today"),
        pytest.param("2024-03-09T07:44", "2024-03-10", "2024-03-08T12:05", id="tomorrow before the posting"),
        pytest.param("2024-03-10T09:00", "2024-03-11", "2024-03-10T11:05", id="on a day of 23 hours"),
        pytest.param("2024-11-03T09:00", "2024-11-04", "2024-11-03T12:05", id="on a day of 25 hours"),
    ],
)
def test_the_newest_posting_usually_known_is_that_of_the_day_or_the_newest_before(local, day, posted):
    issued_at = datetime.fromisoformat(local).replace(tzinfo=ZONE).astimezone(UTC)
    expected = datetime.fromisoformat(posted).replace(tzinfo=UTC)
    assert late_before(issued_at, date.fromisoformat(day)) == expected


def test_an_outage_of_the_publication_is_no_forecast_and_teaches_nothing():
    known = stored()
    zero = known.postings.assign(
        forecast_mwh=known.postings["forecast_mwh"].mask(known.postings.index % 7 == 0, 0.0)
    )
    live = answer(KnownOperator(zero, known.logged, known.truth.mask(known.truth.index.hour == 3, 0.0)))
    there = live.hours[live.covered]
    assert 0 < len(there) < 48
    assert np.isfinite(there[[ISSUED_CORRECTED, COMBINATION, OUR_WEIGHT]].to_numpy(dtype=float)).all()
    assert there[COMBINATION].between(14_000, 21_000).all()


def body(periods: pd.DatetimeIndex) -> dict:
    return {
        **BODY,
        "hours": [{"period": str(period), "predicted_demand_mwh": 16_800.0} for period in periods],
    }


def without_operator(found: dict) -> dict:
    alone = {name: value for name, value in found.items() if name != "operator"}
    alone["hours"] = [
        {name: value for name, value in hour.items() if name != "operator"} for hour in found["hours"]
    ]
    return alone | {"warnings": found["warnings"][: len(BODY["warnings"])]}


@settings(max_examples=25, deadline=None)
@given(hours=st.integers(1, 48), back=st.integers(0, 24 * 6), kept=st.floats(0, 1), seed=st.integers(0, 99))
def test_ours_is_byte_for_byte_the_same_whatever_is_posted(hours, back, kept, seed):
    issued_at = ISSUE - timedelta(hours=back)
    periods = horizon_periods(issued_at, hours)
    known = stored()
    some = np.random.default_rng(seed).random(len(known.postings)) < kept
    live = answer(KnownOperator(known.postings[some], known.logged, known.truth), issued_at, periods)
    alone = body(periods)
    bytes_alone = json.dumps(alone)
    found = live.add_to(alone, "nyiso")
    assert json.dumps(without_operator(found)) == bytes_alone == json.dumps(alone)
    covered = [hour for hour in found["hours"] if "operator" in hour]
    assert len(covered) == live.covered.sum()
    assert ("operator" in found) == bool(covered)
    assert (len(found["warnings"]) > len(BODY["warnings"])) == (len(covered) < hours)
    for hour in covered:
        beside = hour["operator"]
        ends = sorted([16_800.0, beside["corrected_mwh"]])
        assert ends[0] - 0.1 <= beside["combination_mwh"] <= ends[1] + 0.1
        assert 0 <= beside["our_weight"] <= 1


def test_a_day_of_25_hours_is_combined_whole():
    day = date(2024, 11, 3)
    first, issued_at = date(2024, 10, 1), day_ahead_issue(day, ZONE)
    actual = pd.Series(17_000.0, index=days_periods(first, day, ZONE))
    none = stored().logged.iloc[:0]
    live = answer(KnownOperator(postings(first, day), none, actual), issued_at, day_periods(day, ZONE))
    assert live.covered.sum() == 25
