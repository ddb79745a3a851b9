"""Our hours combined with the operator's energy of whole days: right values, from what was known in time."""

from __future__ import annotations

from datetime import date, timedelta
from functools import cache

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from energy_demand.evaluation.beside_operator import (
    COMBINATION,
    ISSUED,
    OUR_WEIGHT,
    with_issued_operator,
)
from energy_demand.evaluation.day_combination import DAY, DAY_CORRECTED, with_operator_days
from energy_demand.evaluation.report import OperatorForecast, daily_totals, operator_comparison
from energy_demand.evaluation.schedule import Protocol
from energy_demand.region import NEW_YORK
from energy_demand.timeaxis import Availability, days_periods, local_days

ZONE, DELAY = NEW_YORK.zone, Availability(1)
FIRST, LAST = date(2024, 2, 10), date(2024, 5, 19)  # the clocks go forward on 10 March
BEFORE = date(2023, 12, 20)  # the figures begin
CHANGED = [COMBINATION, OUR_WEIGHT, DAY, DAY_CORRECTED]
NO_POSTINGS = pd.DataFrame({"period": [], "issued_at": [], "forecast_mwh": []})


def no_posting(hours: pd.DataFrame) -> pd.DataFrame:
    return with_issued_operator(hours, NO_POSTINGS, pd.Series(dtype=float), ZONE, DELAY, lambda each: each)


@cache
def demand() -> pd.Series:
    periods = days_periods(BEFORE, LAST, ZONE)
    return pd.Series(17_000 * np.exp(0.1 * np.sin(np.arange(len(periods)) / 4)), index=periods)


def energy(series: pd.Series) -> pd.Series:
    sums = series.groupby(local_days(pd.DatetimeIndex(series.index), ZONE)).sum()
    return sums.set_axis(sums.index.date)


def forecasts(percent: float, first: date = FIRST, last: date = LAST, seed: int = 1) -> pd.DataFrame:
    """Day-ahead forecasts whose log errors have this standard deviation by day, the same in all its hours."""
    periods = days_periods(first, last, ZONE)
    number = pd.factorize(local_days(periods, ZONE))[0]
    error = np.random.default_rng(seed).normal(0, percent / 100, number[-1] + 1)[number]
    actual = demand().reindex(periods).to_numpy()
    ours = actual * np.exp(error)
    return no_posting(
        pd.DataFrame(
            {
                "period": periods,
                "issued_at": Protocol.DAY_AHEAD.issues(periods, ZONE),
                "actual_mwh": actual,
                "predicted_mwh": ours,
                "lower_80": ours * 0.97,
                "upper_80": ours * 1.03,
            }
        )
    )


def totals(percent: float, bias: float = -0.03, seed: int = 2) -> pd.Series:
    """The operator's energy of each day, with a bias and independent errors of this standard deviation."""
    actual = energy(demand())
    return actual * np.exp(bias + np.random.default_rng(seed).normal(0, percent / 100, len(actual)))


def run(hours: pd.DataFrame, figures: pd.Series, truth: pd.Series | None = None) -> pd.DataFrame:
    return with_operator_days(hours, figures, demand() if truth is None else truth, ZONE, DELAY)


def of_day(hours: pd.DataFrame, day: date) -> pd.Series:
    return pd.Series(local_days(pd.DatetimeIndex(hours["period"]), ZONE) == pd.Timestamp(day))


def by_day(hours: pd.DataFrame, column: str) -> pd.Series:
    return hours.groupby(local_days(pd.DatetimeIndex(hours["period"]), ZONE))[column].sum()


def day_mape(hours: pd.DataFrame, column: str) -> float:
    return float(100 * (by_day(hours, column) / by_day(hours, "actual_mwh") - 1).abs().mean())


@pytest.mark.parametrize(
    ("ours", "theirs", "weight"),
    [(3.0, 1.0, 0.1), (1.0, 3.0, 0.9), (2.0, 2.0, 0.5)],
    ids=["the operator is better", "ours is better", "both are alike"],
)
def test_the_better_forecast_of_the_day_gets_the_weight(ours, theirs, weight):
    hours = run(forecasts(ours), totals(theirs))
    late = hours.iloc[24 * 40 :]
    assert late[OUR_WEIGHT].mean() == pytest.approx(weight, abs=0.12)
    alone = min(day_mape(late, "predicted_mwh"), 100 * np.sqrt(2 / np.pi) * theirs / 100)
    assert day_mape(late, COMBINATION) < 1.05 * alone


@pytest.mark.parametrize(
    ("day", "length"),
    [(date(2024, 3, 10), 23), (date(2024, 3, 12), 24), (date(2024, 11, 3), 25)],
    ids=["23 hours", "24 hours", "25 hours"],
)
def test_a_day_of_any_length_moves_by_the_ratio_of_the_energies(day, length):
    periods = days_periods(day, day, ZONE)
    issues = Protocol.DAY_AHEAD.issues(periods, ZONE)
    hours = pd.DataFrame({"period": periods, "issued_at": issues, "actual_mwh": 1_000.0})
    hours = no_posting(hours.assign(predicted_mwh=1_000.0, lower_80=960.0, upper_80=1_040.0))
    found = run(hours, pd.Series({day: length * 1_050.0}), pd.Series(1_000.0, index=periods))
    assert len(found) == length
    assert (found[OUR_WEIGHT] == 0.5).all()  # nothing is known yet
    np.testing.assert_allclose(found[COMBINATION], 1_000.0 * np.sqrt(1.05))


def test_hours_with_wider_intervals_move_further():
    day = date(2024, 3, 12)
    periods = days_periods(day, day, ZONE)
    wide = np.arange(24) >= 12
    hours = pd.DataFrame(
        {"period": periods, "issued_at": Protocol.DAY_AHEAD.issues(periods, ZONE), "actual_mwh": 1_000.0}
    ).assign(
        predicted_mwh=1_000.0,
        lower_80=np.where(wide, 940.0, 980.0),
        upper_80=np.where(wide, 1_060.0, 1_020.0),
    )
    found = run(no_posting(hours), pd.Series({day: 24 * 1_040.0}), pd.Series(1_000.0, index=periods))
    # Widths of 40 and 120 with a mean of 80: half and one and a half of 4 %.
    np.testing.assert_allclose(found[COMBINATION][~wide], 1_000.0 * np.sqrt(1.02))
    np.testing.assert_allclose(found[COMBINATION][wide], 1_000.0 * np.sqrt(1.06))


def test_a_day_less_certain_than_usual_moves_further_but_never_beyond_the_operator_s_energy():
    hours = forecasts(3.0)
    day = LAST - timedelta(days=3)
    far, unsure = of_day(hours, day), hours.copy()
    for bound in ("lower_80", "upper_80"):
        apart = hours[bound] - hours["predicted_mwh"]
        unsure[bound] = hours["predicted_mwh"] + apart * np.where(far, 3.0, 1.0)
    usual, further = (run(each, totals(1.0)) for each in (hours, unsure))
    ours, operator = hours.loc[far, "predicted_mwh"].sum(), usual.loc[far, DAY_CORRECTED].iloc[0]
    near, beyond = (each.loc[far, COMBINATION].sum() for each in (usual, further))
    assert abs(near - ours) < abs(beyond - ours)
    assert beyond == pytest.approx(operator)


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 1000), percent=st.floats(0.5, 4.0))
def test_the_energy_of_each_day_is_between_ours_and_the_operator_s(seed, percent):
    hours = forecasts(2.0, last=date(2024, 3, 20), seed=seed)
    stretch = np.exp(np.random.default_rng(seed).normal(0, 0.7, len(hours)))
    hours["lower_80"] = hours["predicted_mwh"] * (1 - 0.03 * stretch)
    found = run(hours, totals(percent, seed=seed + 1))
    days = local_days(pd.DatetimeIndex(found["period"]), ZONE)
    operator = found.groupby(days)[DAY_CORRECTED].first()
    ends = pd.concat([by_day(found, "predicted_mwh"), operator], axis=1)
    combined = by_day(found, COMBINATION)
    assert (combined >= ends.min(axis=1) - 1).all()
    assert (combined <= ends.max(axis=1) + 1).all()


def test_a_constant_bias_is_removed_and_half_of_an_error_s_weight_is_gone_after_21_days():
    hours = forecasts(2.0)
    biased = run(hours, totals(0.0))
    expected = energy(demand()).reindex(local_days(pd.DatetimeIndex(hours["period"]), ZONE).date)
    np.testing.assert_allclose(biased[DAY_CORRECTED], expected)
    exact = totals(0.0, bias=0.0)
    once = exact.copy()
    once[BEFORE] *= 0.9
    found = run(hours, once)
    days = (LAST - BEFORE).days - 1  # errors of the days through the one before the issue's day
    weights = 0.5 ** (np.arange(days) / 21)
    factor = np.exp(-np.log(0.9) * weights[-1] / weights.sum())
    assert found[DAY_CORRECTED].iloc[-1] == pytest.approx(exact.iloc[-1] * factor)


@pytest.mark.parametrize("share", [0.0, 0.04, 0.8, 1.3], ids=["zero", "one hour", "a fifth lost", "too high"])
def test_an_outage_of_the_figure_is_ignored_and_teaches_nothing(share):
    hours, figures = forecasts(2.0), totals(1.0)
    day = date(2024, 4, 2)
    broken = figures.copy()
    broken[day] *= share
    found, without = run(hours, broken), run(hours, figures.drop(day))
    at = of_day(hours, day)
    np.testing.assert_allclose(found.loc[at, COMBINATION], hours.loc[at, "predicted_mwh"], rtol=1e-12)
    assert (found.loc[at, OUR_WEIGHT] == 1.0).all()
    columns = [COMBINATION, OUR_WEIGHT]
    pd.testing.assert_frame_equal(found[columns], without[columns])


def test_a_day_with_a_missing_hour_of_demand_teaches_no_bias():
    hours, truth = forecasts(2.0), demand()
    day = date(2024, 2, 20)
    at = local_days(pd.DatetimeIndex(truth.index), ZONE) == pd.Timestamp(day)
    gap = truth.copy()
    gap.iloc[np.flatnonzero(at)[5]] = np.nan
    skipped = run(hours, totals(1.0).drop(day), truth)[DAY_CORRECTED]
    found = run(hours, totals(1.0), gap)[DAY_CORRECTED]
    others = ~of_day(hours, day)
    pd.testing.assert_series_equal(found[others], skipped[others])


@settings(max_examples=12, deadline=None)
@given(cut=st.integers(3, 40), seed=st.integers(0, 1000))
def test_nothing_that_becomes_known_after_an_issue_changes_it(cut, seed):
    hours, figures, truth = forecasts(2.0, last=date(2024, 3, 31)), totals(1.0), demand()
    day = FIRST + timedelta(days=cut)  # its forecast is issued on the day before
    issue = hours.loc[of_day(hours, day), "issued_at"].iloc[0]
    random = np.random.default_rng(seed)
    known = pd.Timestamp(DELAY.newest_known(issue.to_pydatetime()))
    later = hours["period"] > known
    own = hours["issued_at"] > issue
    altered = hours.copy()
    for name, rows in (("actual_mwh", later), ("predicted_mwh", own), ("upper_80", own)):
        altered[name] = hours[name].where(~rows, hours[name] * np.exp(random.normal(0, 0.1, len(hours))))
    other_truth = truth.where(truth.index <= known, truth * np.exp(random.normal(0, 0.1, len(truth))))
    other_figures = figures.where(figures.index <= day, figures * np.exp(random.normal(0, 0.1, len(figures))))
    found, again = run(hours, figures, truth), run(altered, other_figures, other_truth)
    pd.testing.assert_frame_equal(found.loc[~own, CHANGED], again.loc[~own, CHANGED])
    assert not found[CHANGED].equals(again[CHANGED])


def test_the_newest_day_known_at_the_issue_does_count():
    hours, truth = forecasts(2.0), demand()
    day = date(2024, 3, 12)  # two days after a day of 23 hours
    for back, counts in ((1, False), (2, True)):
        at = local_days(pd.DatetimeIndex(truth.index), ZONE) == pd.Timestamp(day - timedelta(days=back))
        altered = run(hours, totals(1.0), truth.where(~at, truth * 1.05))
        same = run(hours, totals(1.0))[DAY_CORRECTED].eq(altered[DAY_CORRECTED])
        assert same[of_day(hours, day)].all() != counts


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 1000), scale=st.floats(0.0, 3.0))
def test_nothing_of_the_operator_touches_ours(seed, scale):
    hours = forecasts(2.0, last=date(2024, 3, 1))
    found = run(hours, totals(5.0, seed=seed) * scale)
    untouched = [name for name in hours if name not in CHANGED]
    pd.testing.assert_frame_equal(found[untouched], hours[untouched])


def test_hours_with_a_posting_keep_their_combination():
    hours = forecasts(2.0)
    posted = hours["period"] < pd.Timestamp("2024-03-01T05:00Z")
    hours = hours.assign(**{ISSUED: hours["actual_mwh"].where(posted), COMBINATION: 1.0, OUR_WEIGHT: 0.25})
    found = run(hours, totals(1.0))
    assert (found.loc[posted, COMBINATION] == 1.0).all()
    assert (found.loc[posted, OUR_WEIGHT] == 0.25).all()
    assert (found.loc[~posted, COMBINATION] > 10_000).all()


@pytest.mark.parametrize("hours_early", [0, 1, 2])
def test_a_figure_that_is_not_yet_posted_at_the_issue_is_not_used(hours_early):
    hours = forecasts(2.0, last=date(2024, 3, 20))
    early = hours.assign(issued_at=hours["issued_at"] - pd.Timedelta(hours=hours_early))
    found = run(early, totals(1.0))
    assert found[DAY].notna().all() == (hours_early < 2)  # 09:00, 08:00 and 07:00; posted by 07:45
    assert found[DAY].isna().all() == (hours_early == 2)


def test_days_that_were_not_forecast_in_one_issue_have_no_figure():
    hours = forecasts(2.0, last=date(2024, 3, 20))
    each = hours.assign(issued_at=Protocol.ROLLING_24H.issues(pd.DatetimeIndex(hours["period"]), ZONE))
    found = run(each, totals(1.0))
    assert found[[DAY, DAY_CORRECTED]].isna().all(axis=None)
    pd.testing.assert_frame_equal(found.drop(columns=[DAY, DAY_CORRECTED]), each)
    half = run(hours.iloc[5:].reset_index(drop=True), totals(1.0))
    assert half[DAY].isna().sum() == 24 - 5


def test_without_any_figure_nothing_changes():
    hours = forecasts(2.0, last=date(2024, 3, 20))
    found = run(hours, pd.Series(dtype=float, index=pd.Index([], dtype=object)))
    pd.testing.assert_frame_equal(found.drop(columns=[DAY, DAY_CORRECTED]), hours)


def test_the_report_has_ours_the_operator_and_the_combination():
    hours, figures = forecasts(2.0), totals(1.0, bias=-0.03)
    outage = date(2024, 4, 2)
    figures[outage] = 5_000.0
    operator = OperatorForecast(
        pd.Series(dtype=float, index=pd.DatetimeIndex([], tz="UTC")),
        pd.DataFrame({"D": energy(demand()), "DF": figures}),
    )
    found = run(hours, figures)
    body = operator_comparison(found, ZONE, daily_totals(found, operator, ZONE))
    assert body["figures"] == "daily"
    assert body["n_hours"] == len(hours)
    assert body["n_days"] == 99  # the day of the outage is scored by the hour alone
    assert body["hourly"]["published"] is body["hourly"]["corrected"] is None
    scored = found[~of_day(found, outage)]
    assert body["daily"]["model"]["mape"] == pytest.approx(day_mape(scored, "predicted_mwh"))
    assert body["daily"]["combination"]["mape"] == pytest.approx(day_mape(scored, COMBINATION))
    error = 100 * (figures / energy(demand()) - 1).drop(outage).loc[FIRST:]
    assert body["daily"]["published"]["mape"] == pytest.approx(error.abs().mean())
    for kind in ("hourly", "daily"):
        assert body[kind]["combination"]["mape"] < body[kind]["model"]["mape"]
    assert body["daily"]["combination"]["mape"] < body["daily"]["corrected"]["mape"]
    assert body["daily"]["corrected"]["mape"] < body["daily"]["published"]["mape"]
    assert found[ISSUED].isna().all()
