"""The verdict on a challenger: proven on the same unseen hours, or the champion stays."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from energy_demand.evaluation.promotion import (
    FEWEST_DAYS,
    FIRST,
    HOT_DAY_CELSIUS,
    PEAK_HOURS,
    PLANNED_DAYS,
    SLICE_DAYS,
    WORSE_BY_PERCENT,
    Decision,
    first,
    judge,
)
from energy_demand.timeaxis import FEWEST_HOURS_OF_DAY

MONDAY = date(2025, 7, 7)


def contest(challenger, champion, days: int = FEWEST_DAYS, first: date = MONDAY) -> pd.DataFrame:
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
    ("challenger", "champion", "decision", "reason"),
    [
        pytest.param(1.0, 2.0, Decision.PROMOTED, "not worse than the champion", id="better"),
        pytest.param(2.0, 2.0, Decision.PROMOTED, "not worse than the champion", id="as good"),
        pytest.param(2.03, 2.0, Decision.PROMOTED, "not worse than the champion", id="a little worse"),
        pytest.param(2.05, 2.0, Decision.REFUSED, "worse than the champion", id="worse by more than that"),
        pytest.param(-3.0, 2.0, Decision.REFUSED, "worse than the champion", id="in the other direction"),
    ],
)
def test_a_refit_that_is_not_worse_may_serve(challenger, champion, decision, reason):
    verdict = judge(contest(challenger, champion))
    assert verdict.decision is decision
    assert verdict.promoted is (decision is Decision.PROMOTED)
    assert verdict.challenger["mape"] == pytest.approx(abs(challenger))
    assert verdict.champion["mape"] == pytest.approx(abs(champion))
    assert verdict.days == FEWEST_DAYS
    assert verdict.gain_percent == pytest.approx(100 * (champion / abs(challenger) - 1))
    assert verdict.reason.startswith(f"{reason}: MAPE {abs(challenger):.2f} % against {champion:.2f} %")


@pytest.mark.parametrize(
    ("challenger", "decision"),
    [
        pytest.param(1.95, Decision.PROMOTED, id="better every day"),
        pytest.param(2.0, Decision.UNDECIDED, id="as good"),
        pytest.param(2.015, Decision.REFUSED, id="a little worse every day"),
    ],
)
def test_a_challenger_trained_because_something_is_wrong_must_be_better(challenger, decision):
    assert judge(contest(challenger, 2.0), refit=False).decision is decision


def noisy(gain: float, deviation: float, days: int, seed: int = 1) -> pd.DataFrame:
    """Days on which the challenger is better by `gain` in the mean, exactly, and differs by `deviation`."""
    noise = np.random.default_rng(seed).normal(0.0, deviation, days)
    ratio = np.exp(-(gain + noise - noise.mean()))
    return contest(2.0 * np.repeat(ratio, 24), 2.0, days=days)


def test_a_small_steady_gain_is_proven_and_with_much_noise_more_days_are_needed():
    steady = judge(noisy(0.02, 0.01, 28), refit=False)
    assert steady.promoted
    assert steady.statistic > steady.boundary
    assert steady.reason.startswith("better than the champion")
    assert f"z = {steady.statistic:.2f} of {steady.boundary:.2f}" in steady.reason
    doubtful = judge(noisy(0.02, 0.08, 28), refit=False)
    assert doubtful.decision is Decision.UNDECIDED
    assert doubtful.reason.startswith("not proven to be better than the champion")


def test_what_is_not_proven_when_no_more_days_come_is_refused():
    rows = noisy(0.02, 0.08, 28)
    assert judge(rows, refit=False).decision is Decision.UNDECIDED
    assert judge(rows, refit=False, last_look=True).decision is Decision.REFUSED
    planned = judge(noisy(0.005, 0.08, PLANNED_DAYS), refit=False)
    assert planned.decision is Decision.REFUSED
    assert planned.reason.startswith("not proven to be better than the champion")


def test_a_challenger_that_is_proven_worse_is_refused_at_once():
    verdict = judge(noisy(-0.2, 0.08, 28), refit=False)
    assert verdict.decision is Decision.REFUSED
    assert verdict.reason.startswith("worse than the champion")


def test_better_on_most_days_is_not_enough_if_the_error_of_all_hours_is_larger():
    rows = contest(1.9, 2.0, days=28)
    bad = np.arange(len(rows)) >= 24 * 27  # on the last day
    rows = rows.assign(challenger_mwh=rows["actual_mwh"] * np.where(bad, 1.2, 1.019))
    verdict = judge(rows, refit=False)
    assert verdict.statistic > verdict.boundary
    assert verdict.decision is Decision.UNDECIDED


def test_too_few_days_decide_nothing_until_no_more_come():
    for refit in (True, False):
        rows = contest(0.1, 5.0, days=FEWEST_DAYS - 1)
        verdict = judge(rows, refit=refit)
        assert verdict.decision is Decision.UNDECIDED
        assert (verdict.challenger, verdict.days) == (None, FEWEST_DAYS - 1)
        assert verdict.reason == (
            f"only {FEWEST_DAYS - 1} days that neither model was trained on; "
            f"at least {FEWEST_DAYS} are needed"
        )
        assert judge(rows, refit=refit, last_look=True).decision is Decision.REFUSED
        assert judge(contest(0.1, 5.0), refit=refit).promoted


def test_a_chain_of_refits_does_not_drift():
    """Each is as good as the champion before, and together they are worse than the best of the year."""
    rows = contest(2.0, 2.0, days=28)
    best = rows["actual_mwh"] * (1 + 2.0 / (1 + 1.5 * WORSE_BY_PERCENT / 100) / 100)
    assert judge(rows).promoted
    verdict = judge(rows.assign(best_mwh=best))
    assert verdict.decision is Decision.REFUSED
    assert verdict.reason.startswith("2.9 % worse than the best champion of the last year: ")
    few = best.where(np.arange(len(rows)) < 24 * (FEWEST_DAYS - 1))
    assert judge(rows.assign(best_mwh=few)).promoted
    near = rows["actual_mwh"] * (1 + 1.99 / 100)
    assert judge(rows.assign(best_mwh=near)).promoted


def test_no_hours_at_all_prove_nothing():
    assert not judge(contest(1.0, 2.0).iloc[:0]).promoted


def test_a_day_with_few_hours_does_not_count():
    rows = contest(1.0, 2.0)
    assert not judge(rows.drop(index=range(24 - FEWEST_HOURS_OF_DAY + 1))).promoted
    assert judge(rows.drop(index=range(24 - FEWEST_HOURS_OF_DAY))).promoted


def test_only_the_newest_days_count():
    old = contest(50.0, 2.0, days=30, first=MONDAY - timedelta(days=30))
    verdict = judge(pd.concat([contest(1.0, 2.0, days=PLANNED_DAYS), old], ignore_index=True))
    assert verdict.challenger["mape"] == pytest.approx(1.0)
    assert verdict.challenger["n"] == PLANNED_DAYS * 24


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
    assert (found.days, found.worse) == (FEWEST_DAYS, True)
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
    rows = contest(1.0, 2.0, days=28)
    weekend = pd.to_datetime(rows["day"]).dt.dayofweek >= 5
    many = judge(rows.assign(challenger_mwh=rows["actual_mwh"] * np.where(weekend, 1.0212, 1.016)))
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
@given(st.floats(0.2, 6.0), st.floats(0.2, 6.0), st.integers(FEWEST_DAYS, 30))
def test_a_proof_is_never_easier_than_a_refit(challenger, champion, days):
    rows = contest(challenger, champion, days)
    refit, proof = judge(rows), judge(rows, refit=False)
    assert refit.promoted or not proof.promoted
    assert not refit.promoted or challenger <= champion * (1 + WORSE_BY_PERCENT / 100) * (1 + 1e-9)
    assert not proof.promoted or challenger < champion
    if challenger <= 0.95 * champion:
        assert proof.promoted
