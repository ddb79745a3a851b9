"""The operator forecast with its bias removed: by hand, and only from errors known at 09:00."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from energy_demand.evaluation.beside_operator import (
    COMBINATION,
    ISSUED,
    ISSUED_CORRECTED,
    OUR_WEIGHT,
    POSTED_AT,
    with_issued_operator,
)
from energy_demand.evaluation.day_combination import with_operator_days
from energy_demand.evaluation.losses import without_operator
from energy_demand.evaluation.operator_forecast import corrected_daily, corrected_hourly, sound
from energy_demand.evaluation.report import operator_comparison
from energy_demand.evaluation.schedule import Protocol
from energy_demand.region import NEW_YORK
from energy_demand.timeaxis import Availability, day_ahead_issue, day_periods, days_periods

ZONE = NEW_YORK.zone
DELAY = Availability(1)


def series(first: date, last: date, value: float) -> pd.Series:
    periods = days_periods(first, last, ZONE)
    return pd.Series(np.full(len(periods), value), index=periods)


def test_a_constant_bias_is_removed_once_it_is_known():
    first, last = date(2024, 1, 1), date(2024, 1, 20)
    actual = series(first, last, 1000.0)
    corrected = corrected_hourly(actual - 30.0, actual, ZONE, DELAY)
    assert corrected.iloc[:24].eq(970.0).all()  # nothing known yet
    np.testing.assert_allclose(corrected.iloc[72:], 1000.0)


@pytest.mark.parametrize("day", [date(2024, 3, 12), date(2024, 11, 5)], ids=["after spring", "after autumn"])
def test_only_errors_known_at_nine_the_day_before_count(day):
    first = day - timedelta(days=20)
    actual = series(first, day, 1000.0)
    issue = pd.Timestamp(DELAY.newest_known(day_ahead_issue(day, ZONE)))
    altered = actual.where(actual.index <= issue, 1300.0)
    published = actual - 30.0
    before, after = (corrected_hourly(published, each, ZONE, DELAY) for each in (actual, altered))
    hours = day_periods(day, ZONE)
    np.testing.assert_array_equal(before[hours], after[hours])
    # And the newest hour that is known does count.
    earlier = actual.where(actual.index != issue, 1300.0)
    assert not corrected_hourly(published, earlier, ZONE, DELAY)[hours].equals(before[hours])


def test_the_weight_of_an_error_halves_every_fourteen_days():
    first = date(2024, 1, 1)
    actual = series(first, first + timedelta(days=60), 1000.0)
    published = actual.copy()
    day = (published.index - pd.Timedelta(hours=1)).tz_convert(ZONE).date
    published[day == first] = 900.0
    corrected = corrected_hourly(published, actual, ZONE, DELAY)
    noon = corrected[(corrected.index - pd.Timedelta(hours=1)).tz_convert(ZONE).hour == 12]
    decay = 0.5 ** (1 / 14)
    at = 30
    weights = decay ** np.arange(at - 1)  # errors of days 0 … at − 2
    assert noon.iloc[at] == pytest.approx(1000.0 + 100.0 * weights[-1] / weights.sum())


def test_outages_are_not_forecasts_and_do_not_enter_the_bias():
    first, last = date(2024, 1, 1), date(2024, 1, 20)
    actual = series(first, last, 1000.0)
    published = actual - 30.0
    published.iloc[200:210] = 0.0
    published.iloc[220] = 400.0
    usable = sound(published, actual)
    assert usable.sum() == len(usable) - 11
    corrected = corrected_hourly(published, actual, ZONE, DELAY)
    np.testing.assert_allclose(corrected[72:][usable[72:]], 1000.0)


def test_a_missing_value_is_not_a_forecast():
    assert not sound(pd.Series([np.nan]), pd.Series([1000.0])).any()
    assert sound(pd.Series([900.0]), pd.Series([np.nan])).all()  # nothing says that it is an outage


def test_daily_totals_use_errors_through_two_days_before():
    days = pd.Index([date(2024, 1, 1) + timedelta(days=number) for number in range(10)])
    actual = pd.Series(1000.0, index=days)
    published = pd.Series(970.0, index=days)
    published.iloc[5] = 500.0 + 1  # a large error on the sixth day
    corrected = corrected_daily(published, actual)
    assert corrected.iloc[:2].eq(970.0).all()
    np.testing.assert_allclose(corrected.iloc[2:5], 1000.0)
    assert corrected.iloc[6] == pytest.approx(1000.0)
    assert corrected.iloc[7] > 1000.0


def _hours(protocol: Protocol, first: date, last: date) -> pd.DataFrame:
    periods = days_periods(first, last, ZONE)
    hours = pd.DataFrame({"period": periods, "issued_at": protocol.issues(periods, ZONE)})
    return hours.assign(actual_mwh=1000.0, predicted_mwh=990.0)


def _postings(first: date, days: int, forecast_mwh: float = 900.0) -> pd.DataFrame:
    """Files of three days each, posted at 07:45 on the day before their first."""
    files = []
    for number in range(days):
        day = first + timedelta(days=number)
        periods = days_periods(day, day + timedelta(days=2), ZONE)
        posted = pd.Timestamp(day_ahead_issue(day, ZONE)) - pd.Timedelta(minutes=75)
        files.append(pd.DataFrame({"period": periods, "issued_at": posted, "forecast_mwh": forecast_mwh}))
    return pd.concat(files, ignore_index=True)


def _compared(protocol: Protocol, postings: pd.DataFrame, truth_mwh: float = 1000.0) -> pd.DataFrame:
    hours = _hours(protocol, date(2024, 3, 1), date(2024, 3, 20))
    truth = pd.Series(truth_mwh, index=days_periods(date(2024, 1, 20), date(2024, 3, 20), ZONE))
    return with_issued_operator(
        hours, postings, truth, ZONE, protocol.availability, lambda periods: protocol.issues(periods, ZONE)
    )


@pytest.mark.parametrize("protocol", list(Protocol))
def test_the_operator_is_scored_as_published_and_corrected_on_our_hours(protocol):
    hours = _compared(protocol, _postings(date(2024, 1, 20), 70))
    scored = operator_comparison(hours, ZONE)
    assert scored["n_hours"] == 20 * 24 - 1  # the clocks go forward on 10 March
    assert scored["n_days"] == 20
    assert scored["hourly"]["published"]["mape"] == pytest.approx(10.0)
    assert scored["daily"]["published"]["mape"] == pytest.approx(10.0)
    assert scored["hourly"]["corrected"]["mape"] == pytest.approx(0.0)
    assert scored["hourly"]["model"]["mape"] == pytest.approx(1.0)
    # It learns that the corrected operator is never wrong here.
    assert 0.0 < scored["hourly"]["combination"]["mape"] < 0.5


@pytest.mark.parametrize("protocol", list(Protocol))
def test_a_posting_after_the_issues_changes_neither_forecast(protocol):
    postings = _postings(date(2024, 1, 20), 70)
    hours = _compared(protocol, postings)
    newest = postings["issued_at"] > hours["issued_at"].max()
    late = postings.assign(issued_at=postings["period"], forecast_mwh=5_000.0)
    changed = postings.assign(forecast_mwh=postings["forecast_mwh"].mask(newest, 7_000.0))
    assert newest.any()
    pd.testing.assert_frame_equal(_compared(protocol, pd.concat([changed, late])), hours)


def test_our_forecast_and_its_hours_are_the_same_with_and_without_the_operator():
    alone = _compared(Protocol.DAY_AHEAD, _postings(date(2024, 1, 20), 70).iloc[:0])
    beside = _compared(Protocol.DAY_AHEAD, _postings(date(2024, 1, 20), 70))
    added = [ISSUED, ISSUED_CORRECTED, POSTED_AT, COMBINATION, OUR_WEIGHT]
    pd.testing.assert_frame_equal(alone.drop(columns=added), beside.drop(columns=added))
    assert operator_comparison(alone, ZONE) is None
    bounds = {"lower_80": 960.0, "upper_80": 1_020.0}
    days = pd.Series(23_500.0, index=pd.date_range("2024-01-20", "2024-03-20").date)
    truth = pd.Series(1_000.0, index=days_periods(date(2024, 1, 20), date(2024, 3, 20), ZONE))
    by_day = with_operator_days(alone.assign(**bounds), days, truth, ZONE, DELAY)
    assert (by_day[COMBINATION] != by_day["predicted_mwh"]).all()
    pd.testing.assert_frame_equal(by_day[alone.columns.drop(added)], alone.drop(columns=added))


def test_hours_without_a_posting_are_scored_for_neither():
    scored = operator_comparison(_compared(Protocol.DAY_AHEAD, _postings(date(2024, 1, 20), 46)), ZONE)
    assert scored["n_days"] == 7
    assert scored["n_hours"] == 7 * 24


def test_with_the_operator_gone_the_combination_is_ours_and_scored_on_all_hours():
    protocol = Protocol.DAY_AHEAD
    hours = _hours(protocol, date(2024, 3, 1), date(2024, 3, 20))
    postings = without_operator(
        _postings(date(2024, 1, 20), 70), hours["issued_at"].min(), hours["period"].min()
    )
    assert len(postings) > 24 * 30
    assert (postings["period"] < hours["period"].min()).all()
    truth = pd.Series(1000.0, index=days_periods(date(2024, 1, 20), date(2024, 3, 20), ZONE))
    scored = with_issued_operator(
        hours, postings, truth, ZONE, DELAY, lambda periods: protocol.issues(periods, ZONE)
    )
    np.testing.assert_allclose(scored[COMBINATION], hours["predicted_mwh"], rtol=1e-12)
    assert (scored[OUR_WEIGHT] == 1.0).all()
    body = operator_comparison(scored, ZONE)
    assert body["n_hours"] == len(hours)
    assert body["hourly"]["published"] is body["hourly"]["corrected"] is None
    assert body["hourly"]["combination"]["mape"] == pytest.approx(body["hourly"]["model"]["mape"])
