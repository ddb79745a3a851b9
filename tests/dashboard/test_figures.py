"""The plots: what they draw, and on which clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from dashboard import drawing, figures, year_figures
from dashboard.widgets import as_csv
from energy_demand.registry.run_history import RunSummary

ZONE = "America/New_York"


def hours(count: int, first: str = "2025-03-08T06:00Z") -> pd.DataFrame:
    at = pd.date_range(first, periods=count, freq="h")
    values = np.linspace(15_000, 16_000, count)
    bounds = {f"{side}_{level}": values for side in ("lower", "upper") for level in (80, 95)}
    return pd.DataFrame({"timestamp": at, "predicted": values, "actual": values - 10, **bounds})


def trace(figure, name: str):
    (found,) = (each for each in figure.data if each.name == name)
    return found


def test_an_hour_stands_at_its_local_start_and_tells_its_end_in_utc():
    figure = figures.actual_against_predicted(hours(2), ZONE)
    line = trace(figure, "forecast")
    assert pd.DatetimeIndex(line.x).tolist() == [
        pd.Timestamp("2025-03-08 00:00"),
        pd.Timestamp("2025-03-08 01:00"),
    ]
    assert list(line.customdata) == ["08 Mar 06:00", "08 Mar 07:00"]


def test_the_hour_that_comes_twice_is_drawn_twice():
    twice = drawing.local_starts(pd.date_range("2025-11-02T05:00Z", periods=4, freq="h"), ZONE)
    assert [f"{start:%H:%M}" for start in twice] == ["00:00", "01:00", "01:00", "02:00"]


def test_no_line_bridges_hours_that_are_missing():
    rows = hours(10).drop(index=[4, 5])
    line = trace(figures.actual_against_predicted(rows, ZONE), "forecast")
    assert np.flatnonzero(np.isnan(np.asarray(line.y, dtype=float))).tolist() == [4, 5]


def test_the_combination_is_drawn_beside_the_forecast_where_there_is_one():
    rows = hours(24)
    none = rows.iloc[:0].assign(actual=[], predicted=[])
    alone = figures.forecast_curve(rows, none, none, ZONE)
    both = figures.forecast_curve(rows.assign(combination=15_500.0), none, none, ZONE)
    name = "combined with the grid operator's"
    assert name not in {each.name for each in alone.data}
    assert set(trace(both, name).y) == {15_500.0}


def test_the_operator_forecast_is_drawn_where_there_is_one():
    rows = hours(5)
    names = {each.name for each in figures.actual_against_predicted(rows.assign(operator=np.nan), ZONE).data}
    assert "operator forecast" not in names
    assert trace(figures.actual_against_predicted(rows.assign(operator=15_500.0), ZONE), "operator forecast")


def test_the_rolling_error_weighs_days_by_their_hours_and_looks_back_seven():
    days = pd.DataFrame(
        {
            "day": [datetime(2025, 3, 1, tzinfo=UTC).date() + timedelta(days=n) for n in (0, 1, 2, 9)],
            "known": [24, 12, 0, 24],
            "mae": [100.0, 400.0, np.nan, 50.0],
        }
    )
    week = trace(figures.rolling_error(days), "7 days")
    assert week.y[1] == pytest.approx((24 * 100 + 12 * 400) / 36)
    assert week.y[3] == 50.0


def test_an_explanation_adds_up():
    figure = figures.explained({"typical": 15_000.0, "temperature": 900.0, "trees": -50.0}, "typical")
    (waterfall,) = figure.data
    assert list(waterfall.y) == ["typical", "temperature", "trees", "forecast"]
    assert list(waterfall.measure) == ["absolute", "relative", "relative", "total"]
    low, high = figure.layout.xaxis.range
    assert low < 15_000 < 15_900 < high


def test_features_over_time_are_in_thresholds_and_in_order():
    day = datetime(2025, 3, 1, tzinfo=UTC).date()
    scores = pd.DataFrame(
        {"day": [day, day], "feature": ["b", "a"], "score": [0.3, 1.2], "drifted": [False, True]}
    )
    (heat,) = figures.features_over_time(scores, ["a", "b", "c"], 0.6).data
    assert list(heat.y) == ["a", "b", "c"]
    assert heat.z[0][0] == 2.0
    assert heat.z[1][0] == 0.5
    assert np.isnan(heat.z[2][0]), "what was not compared is left empty"


def test_runs_stand_at_the_hour_they_were_trained_through():
    at = datetime(2025, 3, 1, 12, tzinfo=UTC)
    run = RunSummary("r", "train", at + timedelta(days=400), at, "FINISHED", {"test_mape": 2.5}, version="1")
    bare = RunSummary("s", "train", at, None, "FAILED")
    (dots,) = figures.runs_over_time([run, bare], "test_mape", ZONE).data
    assert pd.DatetimeIndex(dots.x).tolist() == [pd.Timestamp("2025-03-01 07:00")]


def test_csv_has_the_hour_in_utc_and_on_the_local_clock():
    text = as_csv(hours(1)[["timestamp", "predicted"]], ZONE)
    assert text.splitlines() == [
        "period_utc,start_local,predicted",
        "2025-03-08T06:00:00Z,2025-03-08T00:00:00-05:00,15000",
    ]


@pytest.mark.parametrize(("since", "lines"), [("2025-03-03T05:00Z", 1), ("2025-03-01T05:00Z", 0)])
def test_a_race_has_a_line_for_each_model_and_marks_where_the_shadow_begins(since, lines):
    days = pd.DataFrame(
        {
            "day": pd.date_range("2025-03-01", periods=5).date,
            "champion": [2.0, 3.0, 2.0, 2.5, 2.0],
            "challenger": [1.0, 2.0, 3.0, 1.5, 1.0],
        }
    )
    names = {"champion": "version 1, serves", "challenger": "version 2, challenger"}
    figure = figures.daily_race(days, names, pd.Timestamp(since).to_pydatetime(), ZONE)
    assert list(trace(figure, "version 2, challenger").y) == [1.0, 2.0, 3.0, 1.5, 1.0]
    assert list(trace(figure, "version 1, serves").y) == [2.0, 3.0, 2.0, 2.5, 2.0]
    assert len(figure.layout.shapes) == lines
    gap = figures.daily_race(days.drop(index=[2]), names, pd.Timestamp(since).to_pydatetime(), ZONE)
    assert np.flatnonzero(np.isnan(trace(gap, "version 1, serves").y.astype(float))).tolist() == [2]


def test_probabilities_of_hours_stand_at_their_local_starts():
    given = pd.DataFrame({"period": hours(2)["timestamp"], "probability": [0.25, 0.75]})
    (bars,) = year_figures.hour_probabilities(given, ZONE).data
    assert pd.Timestamp(bars.x[0]) == pd.Timestamp("2025-03-08 00:00")
    assert (list(bars.y), bars.customdata[1]) == ([0.25, 0.75], "2025-03-08 07:00 UTC")


def test_the_highest_days_are_drawn_with_the_forecasts_that_are_known():
    given = pd.DataFrame(
        {
            "day": [datetime(2025, 7, 29, tzinfo=UTC).date(), datetime(2025, 6, 24, tzinfo=UTC).date()],
            "demand_mwh": [31_000.0, 30_000.0],
            "predicted_demand_mwh": [None, 29_000.0],
        }
    )
    figure = year_figures.highest_days(given)
    assert list(trace(figure, "demand").x) == ["29 Jul", "24 Jun"]
    assert np.isnan(trace(figure, "forecast the day before").y[0])
    low, high = figure.layout.yaxis.range
    assert low < 29_000 < 31_000 < high
