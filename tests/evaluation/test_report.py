"""The report of a backtest: all yardsticks on the same hours and days."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import pytest

from energy_demand.evaluation.report import OperatorForecast, daily_totals, summary, with_operator_forecast
from energy_demand.region import NEW_YORK
from energy_demand.timeaxis import Availability, days_periods

ZONE = NEW_YORK.zone
FIRST, LAST = date(2024, 3, 5), date(2024, 3, 14)
NO_OPERATOR = OperatorForecast(pd.Series(dtype=float, index=pd.DatetimeIndex([], tz="UTC")), pd.DataFrame())


def hours() -> pd.DataFrame:
    periods = days_periods(FIRST, LAST, ZONE)
    size = len(periods)
    actual = 15_000 + 1_000 * np.sin(np.arange(size))
    return pd.DataFrame(
        {
            "period": periods,
            "issued_at": periods - pd.Timedelta(hours=24),
            "lead_hours": 24,
            "actual_mwh": actual,
            "predicted_mwh": actual * 1.02,
            "lower_80": actual * 0.99,
            "upper_80": actual * 1.05,
            "lower_95": actual * 0.97,
            "upper_95": actual * 1.07,
            "base_mwh": actual * 0.97,
            "seasonal_naive_24_mwh": actual * 1.05,
            "seasonal_naive_168_mwh": actual * 0.9,
            "model_version": "fit 1",
        }
    )


def operator(rows: pd.DataFrame) -> OperatorForecast:
    day = (rows["period"] - pd.Timedelta(hours=1)).dt.tz_convert(ZONE).dt.date
    total = rows.groupby(day)["actual_mwh"].sum()
    return OperatorForecast(
        pd.Series(rows["actual_mwh"].to_numpy() * 0.975, index=pd.DatetimeIndex(rows["period"])),
        pd.DataFrame({"D": total, "DF": total * 0.975}),
    )


def scored(rows: pd.DataFrame, yardstick: OperatorForecast) -> dict:
    truth = pd.Series(rows["actual_mwh"].to_numpy(), index=pd.DatetimeIndex(rows["period"]))
    beside = with_operator_forecast(rows, yardstick, truth, ZONE, Availability(1))
    return summary(beside, daily_totals(beside, yardstick, ZONE), ZONE)


def test_every_score_is_the_constructed_one():
    body = scored(hours(), operator(hours()))
    assert body["model"]["mape"] == pytest.approx(2.0)
    assert body["model"]["bias_percent"] == pytest.approx(2.0)
    assert body["base_booster"]["mape"] == pytest.approx(3.0)
    assert body["seasonal_naive_24"]["mape"] == pytest.approx(5.0)
    assert body["seasonal_naive_168"]["mape"] == pytest.approx(10.0)
    assert body["operator"]["mape"] == pytest.approx(2.5)
    assert body["operator_bias_corrected"]["mape"] < 1.0
    assert body["daily"]["model"]["mape"] == pytest.approx(2.0)
    assert body["daily"]["operator"]["mape"] == pytest.approx(2.5)
    assert body["daily"]["model"]["n"] == 10
    assert body["coverage_80"] == body["coverage_95"] == 100.0
    assert body["width_80_percent"] == pytest.approx(6 / 1.02)
    # √(2/π) / 1.2816 of the half-width of 3 % on 1.02; every day alike, so there are no ranks.
    assert body["expected_error"] == {
        "rank_correlation": None,
        "expected_mape": pytest.approx(0.6226 * 3 / 1.02, rel=1e-3),
        "mape": pytest.approx(2.0),
        "days_far_over": 0,
        "days": 10,
    }
    assert body["peak_hour_mape"] == pytest.approx(2.0)


def test_a_day_far_over_its_expected_error_is_told_from_one_that_was_expected_to_be_hard():
    rows = hours()
    day = (rows["period"] - pd.Timedelta(hours=1)).dt.tz_convert(ZONE).dt.date
    number = pd.factorize(day)[0]
    wide = rows["actual_mwh"] * (0.02 + 0.01 * number)  # every day harder than the one before
    error = 0.5 * wide * np.where(number == 3, 5.0, 1.0)  # and one that nobody expected
    body = scored(
        rows.assign(
            predicted_mwh=rows["actual_mwh"] + error,
            lower_80=rows["actual_mwh"] + error - wide,
            upper_80=rows["actual_mwh"] + error + wide,
        ),
        NO_OPERATOR,
    )["expected_error"]
    assert body["days_far_over"] == 1
    assert 0.5 < body["rank_correlation"] < 1


def test_without_an_operator_forecast_its_scores_are_null_and_the_rest_stays():
    body = scored(hours(), NO_OPERATOR)
    assert body["operator"] is None
    assert body["operator_bias_corrected"] is None
    assert body["daily"]["operator"] is None
    assert body["daily"]["model"]["n"] == 10
    assert body["n_hours"] == len(hours())


def test_an_hour_in_which_the_operator_had_an_outage_counts_for_nobody():
    rows = hours()
    published = operator(rows)
    published.hourly.iloc[[30, 31]] = [0.0, 5_000.0]
    body = scored(rows, published)
    assert {body[name]["n"] for name in ("model", "operator", "seasonal_naive_24")} == {len(rows) - 2}


def test_a_day_on_which_the_operator_had_an_outage_counts_for_nobody():
    rows = hours()
    published = operator(rows)
    published.daily.loc[date(2024, 3, 7), "DF"] *= 0.05
    daily = scored(rows, published)["daily"]
    assert daily["model"]["n"] == daily["operator"]["n"] == 9


def test_an_imputed_hour_is_not_scored():
    rows = hours()
    rows.loc[40, "actual_mwh"] = np.nan
    body = scored(rows, NO_OPERATOR)
    assert body["n_hours"] == len(rows) - 1
    assert body["daily"]["model"]["n"] == 9  # its day has no sum, and nobody published one


def test_the_published_total_of_a_day_is_its_truth():
    rows = hours()
    rows.loc[40, "actual_mwh"] = np.nan
    assert scored(rows, operator(hours()))["daily"]["model"]["n"] == 10


def test_an_incomplete_day_has_no_total():
    rows = hours().iloc[10:]
    assert scored(rows, NO_OPERATOR)["daily"]["model"]["n"] == 9


def test_the_23_hour_day_is_whole():
    day = date(2024, 3, 10)
    rows = hours()
    local = (rows["period"] - pd.Timedelta(hours=1)).dt.tz_convert(ZONE).dt.date
    assert (local == day).sum() == 23
    assert scored(rows[local == day], NO_OPERATOR)["daily"]["model"]["n"] == 1


def test_nothing_to_score_is_refused():
    with pytest.raises(ValueError, match="no hour of the window"):
        scored(hours().assign(actual_mwh=np.nan), NO_OPERATOR)


def test_coverage_counts_the_hours_inside():
    rows = hours()
    rows.loc[: len(rows) // 2 - 1, "upper_80"] = rows["actual_mwh"] - 1
    assert scored(rows, NO_OPERATOR)["coverage_80"] == pytest.approx(50.0, abs=0.5)
