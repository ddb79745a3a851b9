"""The verdict on a challenger: proven on the same unseen hours, or the champion stays."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from energy_demand.evaluation.promotion import (
    CONTEST_DAYS,
    FIRST,
    HOT_DAY_CELSIUS,
    PEAK_HOURS,
    SLICE_DAYS,
    diebold_mariano,
    first,
    judge,
)
from energy_demand.timeaxis import FEWEST_HOURS_OF_DAY

MONDAY = date(2025, 7, 7)


def contest(challenger, champion, days: int = CONTEST_DAYS, first: date = MONDAY) -> pd.DataFrame:
    """Whole days with these percent errors: one for all hours, or one per hour."""
    count = 24 * days
    hour = np.tile(np.arange(24), days)
    actual = 17_000.0 + 200.0 * hour  # the last hours of a day are its peak
    return pd.DataFrame(
        {
            "day": np.repeat([first + timedelta(days=number) for number in range(days)], 24),
            "actual_mwh": actual,
            "challenger_mwh": actual * (1 + np.broadcast_to(challenger, count) / 100),
            "champion_mwh": actual * (1 + np.broadcast_to(champion, count) / 100),
        }
    )


def hours_of(rows: pd.DataFrame) -> np.ndarray:
    return np.arange(len(rows)) % 24


def test_the_first_model_has_no_rival():
    assert FIRST.promoted
    assert FIRST.champion is None


def first_tested(*factors: float) -> pd.DataFrame:
    """Holdout hours with these ratios of forecast to demand."""
    return pd.DataFrame({"actual_mwh": 17_000.0, "predicted_mwh": 17_000.0 * np.array(factors)})


def test_a_first_model_that_forecasts_demand_may_serve():
    assert first(first_tested(0.2, 1.9)) == FIRST
    assert first(first_tested(1.0).iloc[:0]) == FIRST
    unknown = first_tested(1.0, 9.0).assign(actual_mwh=[17_000.0, np.nan])
    assert first(unknown) == FIRST


@pytest.mark.parametrize("factor", [3.0, -1.0, 1e100, np.inf])
def test_implausible_forecasts_are_never_promoted(factor):
    refused = first(first_tested(1.0, factor * 1.01))
    assert not refused.promoted
    assert refused.reason.startswith("implausible forecasts")
    # Not even in the place of a champion that is as bad.
    rows = contest(1.0, 2.0)
    absurd = rows["actual_mwh"] * factor * 1.01
    for champion in (rows["champion_mwh"], absurd * 2):
        verdict = judge(rows.assign(challenger_mwh=absurd, champion_mwh=champion))
        assert not verdict.promoted
        assert verdict.reason.startswith("implausible forecasts")


@pytest.mark.parametrize(
    ("challenger", "champion", "promoted", "reason"),
    [
        pytest.param(1.0, 2.0, True, "better than the champion", id="better"),
        pytest.param(2.0, 2.0, True, "not worse than the champion", id="as good"),
        pytest.param(2.015, 2.0, True, "not worse than the champion", id="worse by less than a percent"),
        pytest.param(2.03, 2.0, False, "worse than the champion", id="worse by more than that"),
        pytest.param(-3.0, 2.0, False, "worse than the champion", id="worse in the other direction"),
    ],
)
def test_a_refit_that_is_not_worse_may_serve(challenger, champion, promoted, reason):
    verdict = judge(contest(challenger, champion))
    assert verdict.promoted is promoted
    assert verdict.challenger["mape"] == pytest.approx(abs(challenger))
    assert verdict.champion["mape"] == pytest.approx(abs(champion))
    assert verdict.days == CONTEST_DAYS
    assert verdict.reason.startswith(f"{reason}: MAPE {abs(challenger):.2f} % against {champion:.2f} %")


@pytest.mark.parametrize(
    ("challenger", "promoted"),
    [
        pytest.param(1.95, True, id="better by more than two percent"),
        pytest.param(1.97, False, id="better by less"),
        pytest.param(2.0, False, id="as good"),
        pytest.param(2.015, False, id="a little worse"),
    ],
)
def test_a_challenger_trained_because_something_is_wrong_must_be_better(challenger, promoted):
    verdict = judge(contest(challenger, 2.0), refit=False)
    assert verdict.promoted is promoted
    assert verdict.p_value is None  # days that are all alike prove nothing by themselves


def small_gains(seed: int = 1) -> pd.DataFrame:
    """A gain of a percent, each day a little different."""
    gains = np.random.default_rng(seed).normal(0.02, 0.01, CONTEST_DAYS)
    return contest(2.0 - np.repeat(gains, 24), 2.0)


def test_a_small_steady_gain_is_significant():
    verdict = judge(small_gains(), refit=False)
    gain = 1 - verdict.challenger["mape"] / verdict.champion["mape"]
    assert 0.005 < gain < 0.02
    assert verdict.p_value < 0.05
    assert verdict.promoted
    assert verdict.reason.startswith("better than the champion")
    assert f"p = {verdict.p_value:.3f}" in verdict.reason


def test_the_same_gain_with_much_noise_is_not_significant():
    noise = np.random.default_rng(1).normal(0.0, 0.6, CONTEST_DAYS)
    noise -= noise.mean()
    verdict = judge(contest(1.98 + np.repeat(noise, 24), 2.0), refit=False)
    assert verdict.p_value > 0.05
    assert not verdict.promoted
    assert verdict.reason.startswith("not proven better than the champion")


def test_a_loss_is_never_significant():
    rows = small_gains().rename(columns={"challenger_mwh": "champion_mwh", "champion_mwh": "challenger_mwh"})
    verdict = judge(rows, refit=False)
    assert verdict.p_value > 0.95
    assert not verdict.promoted


def test_too_few_days_prove_nothing():
    for refit in (True, False):
        verdict = judge(contest(0.1, 5.0, days=CONTEST_DAYS - 1), refit=refit)
        assert not verdict.promoted
        assert (verdict.challenger, verdict.days) == (None, CONTEST_DAYS - 1)
        assert verdict.reason == (
            f"only {CONTEST_DAYS - 1} days that neither model was trained on; {CONTEST_DAYS} are needed"
        )
        assert judge(contest(0.1, 5.0, days=CONTEST_DAYS), refit=refit).promoted


def test_no_hours_at_all_prove_nothing():
    assert not judge(contest(1.0, 2.0).iloc[:0]).promoted


def test_a_day_with_few_hours_does_not_count():
    rows = contest(1.0, 2.0)
    assert not judge(rows.drop(index=range(24 - FEWEST_HOURS_OF_DAY + 1))).promoted
    assert judge(rows.drop(index=range(24 - FEWEST_HOURS_OF_DAY))).promoted


def test_only_the_newest_days_count():
    old = contest(50.0, 2.0, days=30, first=MONDAY - timedelta(days=30))
    verdict = judge(pd.concat([contest(1.0, 2.0), old], ignore_index=True))
    assert verdict.challenger["mape"] == pytest.approx(1.0)
    assert verdict.challenger["n"] == CONTEST_DAYS * 24


def test_hours_that_one_model_did_not_forecast_count_for_neither():
    rows = contest(1.0, 2.0)
    rows.loc[::6, "challenger_mwh"] = np.nan
    rows.loc[1::6, "champion_mwh"] = np.nan
    rows.loc[2::6, "actual_mwh"] = np.nan
    verdict = judge(rows)
    assert verdict.challenger["n"] == verdict.champion["n"] == len(rows) // 2


def test_peak_hours_that_get_worse_block_a_better_challenger():
    rows = contest(1.0, 2.0)
    peak = hours_of(rows) >= 24 - PEAK_HOURS
    blocked = judge(rows.assign(challenger_mwh=rows["actual_mwh"] * np.where(peak, 1.0212, 1.01)))
    assert not blocked.promoted
    assert blocked.challenger["mape"] < blocked.champion["mape"]
    assert blocked.reason.startswith("materially worse than the champion on peak hours: ")
    found = blocked.slices["peak_hours"]
    assert (found.days, found.worse) == (CONTEST_DAYS, True)
    assert (found.challenger_mape, found.champion_mape) == (pytest.approx(2.12), pytest.approx(2.0))
    within = judge(rows.assign(challenger_mwh=rows["actual_mwh"] * np.where(peak, 1.0209, 1.01)))
    assert within.promoted
    assert not within.slices["peak_hours"].worse


def test_three_of_four_peak_hours_are_not_all_of_them():
    rows = contest(1.0, 2.0)
    hours = hours_of(rows)
    before = rows.assign(challenger_mwh=rows["actual_mwh"] * np.where(hours == 19, 1.2, 1.01))
    assert judge(before).slices["peak_hours"].challenger_mape == pytest.approx(1.0)
    first = rows.assign(challenger_mwh=rows["actual_mwh"] * np.where(hours == 20, 1.05, 1.01))
    assert judge(first).slices["peak_hours"].challenger_mape == pytest.approx(2.0)


def test_weekends_need_five_days_to_count():
    two = contest(1.0, 2.0)  # four days of weekends
    worse = np.where(pd.to_datetime(two["day"]).dt.dayofweek >= 5, 1.04, 1.005)
    few = judge(two.assign(challenger_mwh=two["actual_mwh"] * worse))
    assert "weekends" not in few.slices
    assert few.promoted
    # With days missing in between, fourteen days hold more weekends: here eight of their days.
    days = [MONDAY + timedelta(days=number) for number in range(28) if number % 7 > 2]
    rows = contest(1.0, 2.0, days=len(days)).assign(day=np.repeat(days, 24))
    weekend = pd.to_datetime(rows["day"]).dt.dayofweek >= 5
    many = judge(rows.assign(challenger_mwh=rows["actual_mwh"] * np.where(weekend, 1.03, 1.005)))
    assert many.slices["weekends"].days == 8
    assert many.challenger["mape"] < many.champion["mape"]
    assert not many.promoted
    assert many.reason.startswith("materially worse than the champion on weekends: ")


def with_heat(hot_days: int, warmest: float = HOT_DAY_CELSIUS) -> pd.DataFrame:
    """Better but on the first days, which are hot for one hour each."""
    rows = contest(1.0, 2.0)
    number = np.arange(len(rows)) // 24
    hot = number < hot_days
    return rows.assign(
        challenger_mwh=rows["actual_mwh"] * np.where(hot, 1.022, 1.005),
        temperature=np.where(hot & (hours_of(rows) == 15), warmest, 20.0),
    )


def test_hot_days_need_five_days_to_count():
    few = judge(with_heat(SLICE_DAYS - 1))
    assert "hot_days" not in few.slices
    assert few.promoted
    many = judge(with_heat(SLICE_DAYS))
    assert many.slices["hot_days"].days == SLICE_DAYS
    assert not many.promoted
    assert "materially worse than the champion on hot days" in many.reason
    assert many.challenger["mape"] < many.champion["mape"]


def test_a_day_is_hot_by_its_warmest_hour():
    assert judge(with_heat(SLICE_DAYS, HOT_DAY_CELSIUS - 0.1)).promoted
    assert "hot_days" not in judge(with_heat(SLICE_DAYS, HOT_DAY_CELSIUS - 0.1)).slices


def test_an_unknown_temperature_is_not_a_hot_day():
    rows = with_heat(SLICE_DAYS)
    assert "hot_days" not in judge(rows.assign(temperature=np.nan)).slices
    some = rows.assign(temperature=rows["temperature"].where(hours_of(rows) > 10))
    assert judge(some).slices["hot_days"].days == SLICE_DAYS


def test_every_slice_that_gets_worse_is_named():
    rows = with_heat(SLICE_DAYS)
    worse = (np.arange(len(rows)) < 24 * SLICE_DAYS) | (hours_of(rows) >= 24 - PEAK_HOURS)
    verdict = judge(rows.assign(challenger_mwh=rows["actual_mwh"] * np.where(worse, 1.03, 1.005)))
    assert verdict.challenger["mape"] < verdict.champion["mape"]
    assert verdict.reason.startswith("materially worse than the champion on peak hours and hot days: ")


@settings(deadline=None, max_examples=40)
@given(st.floats(0.2, 6.0), st.floats(0.2, 6.0), st.integers(CONTEST_DAYS, 30))
def test_a_proof_is_never_easier_than_a_refit(challenger, champion, days):
    rows = contest(challenger, champion, days)
    refit, proof = judge(rows), judge(rows, refit=False)
    assert refit.promoted or not proof.promoted
    assert refit.promoted is (challenger <= champion * 1.01) or challenger == pytest.approx(champion * 1.01)
    assert proof.promoted is (challenger <= champion * 0.98) or challenger == pytest.approx(champion * 0.98)


def by_hand(gains: list[float]) -> float:
    """The p-value from the published formulas, written out; h = 2, Bartlett's weight ½ at lag one."""
    count = len(gains)
    mean = sum(gains) / count
    centred = [gain - mean for gain in gains]
    gamma_0 = sum(value * value for value in centred) / count
    gamma_1 = sum(later * earlier for earlier, later in pairwise(centred)) / count
    statistic = mean / ((gamma_0 + 2 * 0.5 * gamma_1) / count) ** 0.5
    h = 2
    statistic *= ((count + 1 - 2 * h + h * (h - 1) / count) / count) ** 0.5
    return float(1 - special.stdtr(count - 1, statistic))


def test_diebold_mariano_of_four_days_by_hand():
    # Mean 2.5; deviations −1.5, −0.5, 0.5, 1.5: γ₀ = 1.25, γ₁ = (0.75 − 0.25 + 0.75) / 4 = 0.3125,
    # so the variance of the mean is 1.5625 / 4 and the statistic 2.5 / 0.625 = 4; corrected by
    # √((4 + 1 − 4 + 0.5) / 4) = √0.375. Student's t with 3 degrees of freedom at 2.4495: 0.0459.
    assert diebold_mariano(np.array([1.0, 2.0, 3.0, 4.0])) == pytest.approx(0.0459, abs=2e-4)


@settings(deadline=None)
@given(st.lists(st.floats(-5, 5), min_size=3, max_size=40))
def test_diebold_mariano_is_the_published_formula(gains):
    found = diebold_mariano(np.array(gains))
    if np.ptp(gains) < 1e-3:
        return
    assert found == pytest.approx(by_hand(gains), abs=1e-9)
    assert found + diebold_mariano(-np.array(gains)) == pytest.approx(1.0)


@pytest.mark.parametrize("gains", [[], [1.0], [1.0, 2.0], [0.3] * 14], ids=["none", "one", "two", "alike"])
def test_too_few_or_equal_days_cannot_be_tested(gains):
    assert diebold_mariano(np.array(gains)) is None


def test_a_challenger_without_a_gain_is_seldom_significant():
    random = np.random.default_rng(1)
    days = random.normal(size=(2000, CONTEST_DAYS + 1))
    overlapping = days[:, 1:] + 0.5 * days[:, :-1]  # day-ahead errors of neighbours go together
    rejected = [diebold_mariano(each) < 0.05 for each in overlapping]
    assert np.mean(rejected) < 0.1
