"""The judgement of a promotion by the champion before it."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from energy_demand.evaluation.rollback import USUAL_DEVIATION, gain_deviation, judge_promotion
from energy_demand.evaluation.sequential import LEAST_DEVIATION

FIRST = date(2025, 6, 2)


def hours(champion, previous, days: int) -> pd.DataFrame:
    """Whole days with these percent errors, one for all hours or one per hour."""
    actual = np.full(24 * days, 17_000.0)
    return pd.DataFrame(
        {
            "day": np.repeat([FIRST + timedelta(days=number) for number in range(days)], 24),
            "actual_mwh": actual,
            "champion_mwh": actual * (1 + np.broadcast_to(champion, 24 * days) / 100),
            "previous_mwh": actual * (1 + np.broadcast_to(previous, 24 * days) / 100),
        }
    )


@pytest.mark.parametrize(
    ("champion", "days", "undone"),
    [
        pytest.param(4.0, 1, True, id="twice the error, a day"),
        pytest.param(2.2, 3, False, id="ten percent wider, three days"),
        pytest.param(2.2, 8, True, id="ten percent wider, eight days"),
        pytest.param(2.0, 28, False, id="as good, to the end"),
        pytest.param(1.5, 28, False, id="better"),
    ],
)
def test_a_promotion_is_undone_once_the_champion_before_is_proven_better(champion, days, undone):
    found = judge_promotion(hours(champion, 2.0, days))
    assert found.roll_back is undone
    assert found.days == days
    assert found.gain_percent == pytest.approx(100 * (champion / 2.0 - 1))
    assert found.reason.startswith(
        f"the champion before is {'' if undone else 'not proven '}better: MAPE 2.00 %"
    )


def test_without_a_day_nothing_is_undone():
    for rows in (hours(9.0, 1.0, 1).iloc[:11], hours(9.0, 1.0, 1).assign(actual_mwh=np.nan)):
        found = judge_promotion(rows)
        assert (found.roll_back, found.days, found.statistic) == (False, 0, None)
        assert found.reason.endswith("no day to compare yet")


def test_a_pair_that_differs_much_needs_more_days():
    rows = hours(2.5, 2.0, 2)
    assert judge_promotion(rows, 0.05).roll_back
    assert not judge_promotion(rows, 0.2).roll_back


def test_the_deviation_is_that_of_the_days_of_the_contest():
    ratio = np.exp(np.tile([0.1, -0.1], 14))
    rows = hours(2.0, 2.0 * np.repeat(ratio, 24), 28).rename(columns={"previous_mwh": "challenger_mwh"})
    assert gain_deviation(rows) == pytest.approx(0.1)
    assert gain_deviation(rows[rows["day"] < FIRST + timedelta(days=13)]) == USUAL_DEVIATION
    alike = hours(2.0, 2.0, 28).rename(columns={"previous_mwh": "challenger_mwh"})
    assert gain_deviation(alike) == LEAST_DEVIATION
