"""The backtest job: the same bytes wherever its fits are made; finished fits are kept when it is cut off."""

from __future__ import annotations

import multiprocessing
import os
import signal
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import pytest
from pandas.testing import assert_frame_equal

from energy_demand.database.engine import opened
from energy_demand.evaluation.beside_operator import COMBINATION, OUR_WEIGHT
from energy_demand.evaluation.day_combination import DAY, DAY_CORRECTED
from energy_demand.evaluation.losses import Loss
from energy_demand.evaluation.schedule import Protocol
from energy_demand.jobs.backtest import Backtest, run_backtest
from energy_demand.jobs.fan_out.kept_parts import digest_of
from energy_demand.jobs.fan_out.workers import THIS_PROCESS, workers_of
from records import QUICK
from support import PRESENT

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("fits", "processes")

MEASURED = ("seconds", "seconds_per_fit")


def backtest(settings, each=THIS_PROCESS, start=date(2025, 2, 26), end=date(2025, 3, 7), **more) -> Backtest:
    with opened(settings) as database:
        return run_backtest(
            database,
            settings,
            PRESENT,
            protocol=Protocol.DAY_AHEAD,
            weather=None,
            start=start,
            end=end,
            refit_days=4,
            recipe=QUICK,
            workers=each,
            **more,
        )


@pytest.fixture(scope="module")
def whole(filled) -> Backtest:
    return backtest(filled)


def assert_same(one: Backtest, other: Backtest, **different) -> None:
    assert_frame_equal(one.hours, other.hours, check_exact=True)
    expected = {name: value for name, value in other.body.items() if name not in MEASURED}
    assert {name: value for name, value in one.body.items() if name not in MEASURED} == expected | different


def folders(settings) -> list[Path]:
    root = settings.home / "backtests"
    return list(root.iterdir()) if root.exists() else []


def test_two_workers_give_the_same_bytes_as_this_process(filled, whole):
    assert (whole.body["fits"], whole.body["resumed_fits"]) == (3, 0)
    with workers_of(2) as two:
        assert_same(backtest(filled, two), whole)
    assert folders(filled) == []


def test_daily_totals_of_the_operator_alone_are_combined_with_ours_by_day(whole):
    body, hours = whole.body["operator_forecast"], whole.hours
    assert (body["figures"], body["n_hours"], body["n_days"]) == ("daily", whole.body["n_hours"], 10)
    assert body["hourly"]["model"] == whole.body["model"]
    assert body["hourly"]["published"] is body["hourly"]["corrected"] is None
    assert body["daily"]["model"]["mape"] == pytest.approx(whole.body["daily"]["model"]["mape"])
    assert body["daily"]["published"]["mape"] == pytest.approx(whole.body["daily"]["operator"]["mape"])
    known = hours[hours["actual_mwh"].notna()]
    mape = 100 * (known[COMBINATION] / known["actual_mwh"] - 1).abs().mean()
    assert body["hourly"]["combination"]["mape"] == pytest.approx(mape)
    day = (hours["period"] - np.timedelta64(1, "h")).dt.tz_convert("America/New_York").dt.date
    ours, combined = (hours.groupby(day)[name].sum() for name in ("predicted_mwh", COMBINATION))
    operator = hours.groupby(day)[DAY_CORRECTED].first()
    assert ((combined - ours) * (operator - ours) > 0).all()  # toward the operator
    assert ((combined - ours).abs() < (operator - ours).abs() + 1).all()
    assert body["daily"]["combination"]["n"] == 10


def test_without_the_operator_s_totals_ours_is_the_same_to_the_byte(filled, whole):
    gone = backtest(filled, loss=Loss.OPERATOR)
    added = [COMBINATION, OUR_WEIGHT, DAY, DAY_CORRECTED]
    assert_frame_equal(gone.hours.drop(columns=added), whole.hours.drop(columns=added), check_exact=True)
    assert gone.hours[DAY].isna().all()
    assert whole.hours[DAY].notna().all()
    assert gone.body["operator_forecast"] is None
    for name in ("model", "coverage_80", "distribution", "expected_error"):
        assert gone.body[name] == whole.body[name]


class CutOff:
    """This process, until it has finished some parts."""

    def __init__(self, after: int) -> None:
        self._left = after

    def each(self, function, shared, tasks, tell):
        for found in THIS_PROCESS.each(function, shared, tasks, tell):
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            self._left -= 1
            yield found


def cut_off(settings, after: int) -> None:
    """A backtest in a process that is killed when so many parts are finished."""
    process = multiprocessing.get_context("spawn").Process(target=backtest, args=(settings, CutOff(after)))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL


def test_a_backtest_that_was_killed_goes_on_from_its_finished_fits(filled, whole):
    cut_off(filled, after=2)
    (folder,) = folders(filled)
    assert sorted(path.name for path in folder.iterdir()) == ["0000", "0001"]
    (folder / "0001" / "hours.parquet").write_bytes(b"half")  # a part that is not whole is made again
    days: list[int] = []
    again = backtest(filled, progress=lambda _step, done, _total: days.append(done))
    assert_same(again, whole, resumed_fits=1)
    assert (days[0], days[-1]) == (4, 10)  # kept parts count from the start
    assert folders(filled) == []


def test_parts_of_another_question_are_not_taken(filled, whole):
    cut_off(filled, after=1)
    other = backtest(filled, start=date(2025, 2, 27), end=date(2025, 2, 28))
    assert other.body["resumed_fits"] == 0
    assert_same(backtest(filled), whole, resumed_fits=1)


def test_a_digest_is_of_the_contents(record):
    again = replace(record, demand=record.demand.copy(), weather=record.weather.copy())
    again.issued.fresh(record.periods[:1])  # what an object caches is no part of it
    assert digest_of(again, [1]) == digest_of(record, [1])
    revised = record.demand.assign(
        demand_mwh=record.demand["demand_mwh"].where(record.demand.index != 5, 1.0)
    )
    assert digest_of(replace(record, demand=revised), [1]) != digest_of(record, [1])
    assert digest_of(record, [1]) != digest_of(record, [2]) != digest_of(record, [[2]])
    with pytest.raises(TypeError, match="no digest of a object"):
        digest_of(object())
