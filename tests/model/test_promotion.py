"""The contest for champion: proven not worse on the same fresh hours, or the champion stays."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from energy_demand.model.promotion import CONTEST_DAYS, FIRST, judge
from energy_demand.timeaxis import hourly

START = datetime(2025, 7, 1, 1, tzinfo=UTC)


def contest(challenger: float, champion: float, days: int = 20) -> pd.DataFrame:
    """Whole days on which each is always off by so many percent."""
    periods = hourly(START, START + timedelta(hours=24 * days - 2))
    actual = 17_000 + 1_000 * np.sin(np.arange(len(periods)))
    return pd.DataFrame(
        {
            "period": periods,
            "actual_mwh": actual,
            "challenger_mwh": actual * (1 + challenger / 100),
            "champion_mwh": actual * (1 + champion / 100),
        }
    )


def test_the_first_model_needs_no_rival():
    assert FIRST.promoted
    assert FIRST.champion is None


@pytest.mark.parametrize(
    ("challenger", "champion", "promoted"),
    [
        pytest.param(1.0, 2.0, True, id="better"),
        pytest.param(2.0, 2.0, True, id="as good"),
        pytest.param(2.015, 2.0, True, id="worse by less than a percent of its error"),
        pytest.param(2.03, 2.0, False, id="worse by more than that"),
        pytest.param(-3.0, 2.0, False, id="worse in the other direction"),
    ],
)
def test_who_is_not_worse_may_serve(challenger, champion, promoted):
    verdict = judge(contest(challenger, champion))
    assert verdict.promoted is promoted
    assert verdict.challenger["mape"] == pytest.approx(abs(challenger))
    assert verdict.champion["mape"] == pytest.approx(abs(champion))
    assert ("not worse" in verdict.reason) is promoted


def test_too_few_days_prove_nothing():
    verdict = judge(contest(0.1, 5.0, days=CONTEST_DAYS - 1))
    assert not verdict.promoted
    assert (
        verdict.reason
        == f"only {CONTEST_DAYS - 1} days that neither model was fitted on, {CONTEST_DAYS} are needed"
    )
    assert judge(contest(0.1, 5.0, days=CONTEST_DAYS)).promoted


def test_hours_that_one_side_did_not_forecast_count_for_neither():
    rows = contest(1.0, 2.0)
    rows.loc[:99, "challenger_mwh"] = np.nan
    rows.loc[100:149, "actual_mwh"] = np.nan
    verdict = judge(rows)
    assert verdict.challenger["n"] == verdict.champion["n"] == len(rows) - 150


def test_no_hours_at_all_prove_nothing():
    assert not judge(contest(1.0, 2.0).iloc[:0]).promoted
