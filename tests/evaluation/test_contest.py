"""Champion and challenger on the same days, which neither was trained on."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from energy_demand.data.weather_path import MAIN
from energy_demand.evaluation.backtest import COLUMNS
from energy_demand.evaluation.contest import (
    Promotion,
    best_of_year,
    compared,
    day_ahead,
    unseen_days,
    weather_of,
)
from energy_demand.evaluation.contest import holdout_error as error_of_test  # else pytest takes it for a test
from energy_demand.evaluation.promotion import Decision, judge
from energy_demand.region import NEW_YORK
from energy_demand.timeaxis import (
    HOUR,
    Availability,
    day_ahead_issue,
    day_periods,
    days_periods,
    local_midnight,
)
from records import altered_after

ZONE = NEW_YORK.zone
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def judged(trained):
    return trained.judged


@pytest.fixture(scope="module")
def forecast(judged, record) -> pd.DataFrame:
    return day_ahead(judged, record, unseen_days(record, judged))


def trained_through(model, newest: datetime):
    return replace(model, trained_through=newest)


def test_unseen_days_begin_with_the_first_forecast_after_training(judged, record):
    # Trained through the evening of the 1st; the forecast of the 2nd was issued that morning.
    assert unseen_days(record, judged)[0] == date(2025, 2, 3)
    morning = day_ahead_issue(date(2025, 2, 13), ZONE)
    assert unseen_days(record, trained_through(judged, morning))[0] == date(2025, 2, 13)
    assert unseen_days(record, trained_through(judged, morning + HOUR))[0] == date(2025, 2, 14)
    assert unseen_days(record, judged, trained_through(judged, morning))[0] == date(2025, 2, 13)


def test_unseen_days_end_with_the_last_whole_one(judged, record):
    midnight = local_midnight(date(2025, 2, 20), ZONE)
    for moment, last in ((midnight, date(2025, 2, 19)), (midnight - HOUR, date(2025, 2, 18))):
        known = record.cut_at(moment, Availability(0))
        assert unseen_days(known, judged)[-1] == last


@settings(deadline=None)
@given(st.integers(0, 24 * 15), st.integers(0, 24 * 15))
def test_no_unseen_day_was_known_to_any_model_and_all_its_hours_are_there(record, judged, one, other):
    ends = [datetime(2025, 2, 9, tzinfo=UTC) + each * HOUR for each in (one, other)]
    days = unseen_days(record, *(trained_through(judged, end) for end in ends))
    for day in days:
        assert day_ahead_issue(day, ZONE) >= max(ends)
        assert day_periods(day, ZONE)[-1] <= record.periods[-1]
    if days:
        assert day_ahead_issue(days[0] - DAY, ZONE) < max(ends)
        assert day_periods(days[-1] + DAY, ZONE)[-1] > record.periods[-1]


def test_a_model_trained_on_everything_leaves_no_days(record, forecaster, judged):
    assert unseen_days(record, forecaster) == []
    assert unseen_days(record, judged, forecaster) == []
    assert day_ahead(forecaster, record, []).columns.tolist() == list(COLUMNS)
    assert day_ahead(forecaster, record, []).empty


def test_every_hour_of_the_unseen_days_is_forecast_from_the_morning_before(forecast, judged, record):
    days = unseen_days(record, judged)
    assert forecast["period"].tolist() == days_periods(days[0], days[-1], ZONE).tolist()
    assert set(forecast["issued_at"].dt.tz_convert(ZONE).dt.hour) == {9}
    assert forecast["lead_hours"].agg(["min", "max"]).tolist() == [16, 39]
    assert forecast[["actual_mwh", "predicted_mwh"]].notna().all(axis=None)


def test_later_data_changes_no_forecast(forecast, judged, record):
    day = date(2025, 2, 18)
    issue = day_ahead_issue(day, ZONE)
    altered = day_ahead(judged, altered_after(record, issue), unseen_days(record, judged))
    early = forecast["issued_at"] <= issue
    columns = ["period", "predicted_mwh", "lower_80", "upper_95"]
    pd.testing.assert_frame_equal(altered.loc[early, columns], forecast.loc[early, columns])
    assert not np.allclose(altered.loc[~early, "predicted_mwh"], forecast.loc[~early, "predicted_mwh"])


def test_the_weather_is_as_issued_where_most_days_have_a_run(record):
    days = [date(2025, 2, 1) + number * DAY for number in range(10)]
    assert weather_of(record, days) == "as_issued"
    nothing = replace(record.issued, issued_at=record.issued.issued_at[:0], values=record.issued.values[:0])
    assert weather_of(replace(record, issued=nothing), days) == "observed"
    # Runs began in August.
    assert weather_of(record, [date(2024, 7, 20) + number * DAY for number in range(10)]) == "observed"


def test_both_are_compared_on_the_hours_that_both_forecast(forecast, record):
    rival = forecast.assign(predicted_mwh=forecast["predicted_mwh"] + 100.0, actual_mwh=1.0).sample(
        frac=0.5, random_state=1
    )
    both = compared(forecast, rival, record)
    assert len(both) == len(rival)
    assert set(both["period"]) == set(rival["period"])
    np.testing.assert_allclose(both["champion_mwh"] - both["challenger_mwh"], 100.0)
    truth = pd.Series(record.truth_mwh, index=record.periods)
    np.testing.assert_array_equal(both["actual_mwh"], truth[both["period"]])


def test_compared_hours_have_their_local_day_and_the_observed_temperature(forecast, record):
    both = compared(forecast, forecast, record)
    midnight = both[both["period"] == pd.Timestamp("2025-02-15T05:00Z")].iloc[0]
    assert midnight["day"] == date(2025, 2, 14)
    assert both.groupby("day").size().eq(24).all()
    at = record.position(midnight["period"])
    assert midnight["temperature"] == record.observed.column(MAIN)[at]
    assert both["temperature"].notna().all()


@pytest.mark.parametrize("empty", ["challenger", "champion", "both"])
def test_without_forecasts_of_one_side_there_is_nothing_to_compare(forecast, record, empty):
    sides = [
        forecast.iloc[:0] if empty in {side, "both"} else forecast for side in ("challenger", "champion")
    ]
    both = compared(*sides, record)
    assert both.empty
    assert not judge(both).promoted


def test_the_best_champion_of_the_year_is_that_of_the_highest_sum_of_gains():
    now = datetime(2025, 3, 1, tzinfo=UTC)

    def chain(*gains: float, days: int = 80) -> list[Promotion]:
        return [
            Promotion(str(number + 1), now - timedelta(days=days * (len(gains) - number)), gain)
            for number, gain in enumerate(gains)
        ]

    assert best_of_year([], now) is None
    assert best_of_year(chain(0.0), now) == "1"
    # Each a percent worse than the one before: the first is the best.
    assert best_of_year(chain(0.0, -1.0, -1.0, -1.0), now) == "1"
    assert best_of_year(chain(0.0, -1.0, 2.0, -1.5), now) == "3"
    # One that was replaced more than a year ago does not count, the one that served a year ago does.
    assert best_of_year(chain(0.0, -5.0, 1.0, -1.0, days=150), now) == "3"
    assert best_of_year(chain(0.0, -5.0, -1.0, -1.0, days=150), now) == "2"


def test_a_model_is_not_worse_than_itself(forecast, record):
    verdict = judge(compared(forecast, forecast, record))
    assert verdict.promoted
    assert verdict.challenger == verdict.champion
    assert verdict.days == len(set(compared(forecast, forecast, record)["day"]))
    assert judge(compared(forecast, forecast, record), refit=False).decision is Decision.UNDECIDED


def two_days() -> pd.DataFrame:
    """Two local days, the first with an error of 1 %, the second of 3 %."""
    periods = days_periods(date(2025, 3, 8), date(2025, 3, 9), ZONE)  # the second has 23 hours
    ratio = np.where(np.arange(len(periods)) < 24, 1.01, 0.97)
    return pd.DataFrame({"period": periods, "actual_mwh": 100.0, "predicted_mwh": 100.0 * ratio})


def test_the_holdout_error_is_that_of_all_hours_and_names_its_local_days():
    assert error_of_test(two_days(), ZONE) == {
        "test_mape": pytest.approx((24 * 1.0 + 23 * 3.0) / 47),
        "test_first_day": 20250308.0,
        "test_last_day": 20250309.0,
    }


def test_hours_without_truth_give_no_holdout_error():
    rows = two_days()
    rows.loc[24:, "actual_mwh"] = np.nan
    assert error_of_test(rows, ZONE)["test_mape"] == pytest.approx(1.0)
    assert error_of_test(rows, ZONE)["test_last_day"] == 20250308.0
    assert error_of_test(rows.assign(predicted_mwh=np.nan), ZONE) == {}
    assert error_of_test(rows.iloc[:0], ZONE) == {}


def test_the_state_of_a_frozen_model_is_refreshed_every_day(forecast, judged, record):
    """A forecast of the last day is the one that a model in service would have hours."""
    day = forecast["issued_at"].iloc[-1]
    known = record.cut_at(day.to_pydatetime(), Availability(1))
    served = judged.advance(known)
    hours = served.forecast(served.horizon(known, day.to_pydatetime()), day.to_pydatetime())
    last = forecast[forecast["issued_at"] == day]
    served_hours = hours.set_index("period").loc[last["period"], "predicted_demand_mwh"]
    np.testing.assert_allclose(last["predicted_mwh"], served_hours, rtol=1e-4)
