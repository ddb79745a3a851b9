"""The contest for champion: proven not worse on the same fresh hours, or the champion stays."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from energy_demand.columns import TARGET
from energy_demand.model.forecaster import Forecaster
from energy_demand.model.promotion import CONTEST_DAYS, judge
from energy_demand.timeaxis import hourly

THROUGH = datetime(2025, 6, 30, 23, tzinfo=UTC)


@dataclass(frozen=True)
class Off(Forecaster):
    """A forecaster that is always off by the same percentage (`before`: another one up to THROUGH)."""

    percent: float = 0.0
    before: float | None = None

    def predict_point(self, rows: pd.DataFrame) -> np.ndarray:
        known = rows["timestamp"] <= THROUGH
        percent = np.where(known, self.percent if self.before is None else self.before, self.percent)
        return (rows[TARGET] * (1 + percent / 100)).to_numpy()


def off(percent: float, *, before: float | None = None, through: datetime = THROUGH) -> Off:
    return Off(None, None, "NY", through, 1, percent, before)


def fresh(days: int, *, old_days: int = 0) -> pd.DataFrame:
    """Rows of whole UTC days after the champion's data, and of `old_days` before its end."""
    first = THROUGH + timedelta(hours=1) - timedelta(days=old_days)
    periods = hourly(first, THROUGH + timedelta(days=days))
    values = 15_000.0 + 1_000 * np.sin(np.arange(len(periods)))
    return pd.DataFrame({"timestamp": periods, TARGET: values})


def test_the_first_model_needs_no_rival_and_no_rows():
    verdict = judge(None, off(50.0), fresh(0))
    assert verdict.promoted
    assert verdict.reason == "the first model needs no rival"
    assert (verdict.challenger, verdict.champion) == (None, None)


def test_too_few_days_prove_nothing_and_the_champion_stays():
    verdict = judge(off(9.0), off(1.0), fresh(CONTEST_DAYS - 1))
    assert not verdict.promoted
    assert "only 13 days" in verdict.reason
    assert "14 are needed" in verdict.reason
    assert (verdict.challenger, verdict.champion) == (None, None)


def test_no_rows_prove_nothing_either():
    assert not judge(off(9.0), off(1.0), fresh(0)).promoted


@pytest.mark.parametrize(
    ("challenger", "promoted"),
    [
        pytest.param(2.0, True, id="better"),
        pytest.param(4.0, True, id="equal"),
        pytest.param(4.039, True, id="worse by less than one percent"),
        pytest.param(4.041, False, id="worse by more than one percent"),
        pytest.param(-4.041, False, id="as much too low"),
        pytest.param(8.0, False, id="twice as bad"),
    ],
)
def test_a_challenger_serves_unless_it_is_worse_by_one_percent(challenger, promoted):
    verdict = judge(off(4.0), off(challenger), fresh(CONTEST_DAYS))
    assert verdict.promoted is promoted
    assert verdict.challenger["mape"] == pytest.approx(abs(challenger))
    assert verdict.champion["mape"] == pytest.approx(4.0)


def test_the_reason_tells_both_scores_and_on_how_much_they_stand():
    verdict = judge(off(4.0), off(8.0), fresh(CONTEST_DAYS))
    assert verdict.reason == "worse: MAPE 8.00 % against 4.00 % on 336 rows of 14 days"
    better = judge(off(4.0), off(2.0), fresh(20))
    assert better.reason == "not worse than the champion: MAPE 2.00 % against 4.00 % on 480 rows of 20 days"


def test_hours_that_the_champion_was_fitted_on_do_not_count():
    rows = fresh(CONTEST_DAYS, old_days=30)
    verdict = judge(off(4.0, before=0.0), off(2.0, before=50.0), rows)
    assert verdict.promoted
    assert verdict.champion["n"] == verdict.challenger["n"] == CONTEST_DAYS * 24
    assert verdict.champion["mape"] == pytest.approx(4.0)


def test_old_hours_do_not_make_up_for_missing_fresh_days():
    assert not judge(off(9.0), off(1.0), fresh(CONTEST_DAYS - 1, old_days=30)).promoted


def test_the_hour_of_the_champions_end_is_the_last_that_does_not_count():
    rows = fresh(CONTEST_DAYS)
    later = off(4.0, through=rows["timestamp"].iloc[0].to_pydatetime())
    assert judge(later, off(4.0), rows).champion["n"] == len(rows) - 1


def test_hours_without_demand_do_not_count():
    rows = fresh(CONTEST_DAYS)
    rows.loc[:4, TARGET] = np.nan
    assert judge(off(4.0), off(2.0), rows).champion["n"] == len(rows) - 5
    rows.loc[rows["timestamp"] < THROUGH + timedelta(days=1, hours=1), TARGET] = np.nan
    assert "only 13 days" in judge(off(4.0), off(2.0), rows).reason
