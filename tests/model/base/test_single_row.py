"""The fast path for one row: the booster's own numbers, one instance per thread, no memory leak."""

from __future__ import annotations

import resource
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import TYPE_CHECKING

import numpy as np
import pytest

from energy_demand.boosting import lgb
from energy_demand.model.base.booster import BOOSTER_COLUMNS
from energy_demand.model.base.single_row import SingleRow

if TYPE_CHECKING:
    import numpy.typing as npt

COLUMNS = 21


def rows(count: int, seed: int) -> npt.NDArray[np.float64]:
    """Random rows; a fifth of the values are missing, some are zero, some huge."""
    random = np.random.default_rng(seed)
    values = random.normal(size=(count, COLUMNS))
    kind = random.random(values.shape)
    values[kind < 0.2] = np.nan
    values[(kind > 0.2) & (kind < 0.25)] = 0.0
    values[kind > 0.98] *= 1e12
    return values


def boosted(trees: int) -> lgb.Booster:
    """A booster fitted on rows with missing values."""
    fitted = rows(2000, seed=1)
    demand = 15_000 + 2_000 * np.nan_to_num(np.clip(fitted[:, 0], -3, 3)) + 500 * np.isnan(fitted[:, 1])
    return lgb.train({"verbose": -1, "seed": 1, "num_threads": 1}, lgb.Dataset(fitted, demand), trees)


@pytest.fixture(scope="module")
def booster() -> lgb.Booster:
    return boosted(trees=40)


@pytest.fixture(scope="module")
def text(booster) -> str:
    return booster.model_to_string()


def test_each_row_has_the_number_that_the_booster_gives_it(booster, text):
    predict, values = SingleRow(text, COLUMNS), rows(1000, seed=2)
    expected = booster.predict(values)
    assert [predict(row) for row in values.tolist()] == expected.tolist()
    assert len(set(expected.tolist())) > 500


def test_a_trained_base_booster_gives_the_same_as_its_own_forecasts(trained):
    base, some = trained.forecaster.base, trained.rows.iloc[::50]
    predict = SingleRow(base.booster.model_to_string(), len(BOOSTER_COLUMNS))
    values = some[list(BOOSTER_COLUMNS)].astype(float).to_numpy().tolist()
    assert [predict(row) for row in values] == base.predict_point(some).tolist()


def test_a_row_does_not_affect_the_next_one(booster, text):
    predict, (first, second) = SingleRow(text, COLUMNS), rows(2, seed=3).tolist()
    alone = predict(first)
    predict(second)
    assert predict(first) == alone
    assert predict([np.nan] * COLUMNS) == booster.predict(np.full((1, COLUMNS), np.nan))[0]


def test_every_thread_with_its_own_instance_gets_its_own_numbers(booster, text):
    threads = 4
    start = Barrier(threads)

    def answers(seed: int) -> bool:
        values = rows(1500, seed).tolist()
        start.wait()
        predict = SingleRow(text, COLUMNS)
        return [predict(row) for row in values] == expected[seed]

    expected = {seed: booster.predict(rows(1500, seed)).tolist() for seed in range(10, 10 + threads)}
    with ThreadPoolExecutor(threads) as pool:
        assert all(pool.map(answers, expected))


def resident_megabytes() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


@pytest.mark.parametrize(
    ("trees", "count"),
    [
        pytest.param(40, 300, id="boosters, 100 kB each"),
        pytest.param(1, 15_000, id="what is set up beside a booster, 2 kB each"),
    ],
)
def test_memory_is_released_after_the_last_use(trees, count):
    small = boosted(trees).model_to_string()

    def make_and_drop(times: int) -> None:
        for _ in range(times):
            SingleRow(small, COLUMNS)([0.0] * COLUMNS)

    make_and_drop(50)
    before = resident_megabytes()
    make_and_drop(count)
    assert resident_megabytes() - before < 5


# A truncated text is not among these: LightGBM itself crashes on it (checksums catch it earlier).
@pytest.mark.parametrize("nonsense", ["", "nonsense", "tree\nversion=v4\n", "é"])
def test_a_text_that_is_not_a_booster_is_refused(nonsense):
    with pytest.raises(ValueError, match="LightGBM: "):
        SingleRow(nonsense, COLUMNS)


@pytest.mark.parametrize("columns", [COLUMNS - 1, COLUMNS + 1])
def test_a_booster_of_other_columns_is_refused(columns, text):
    with pytest.raises(ValueError, match="number of features"):
        SingleRow(text, columns)


@pytest.mark.parametrize("values", [COLUMNS - 1, COLUMNS + 1])
def test_a_row_that_is_too_short_or_too_long_is_refused(values, text):
    with pytest.raises(ValueError, match="size"):
        SingleRow(text, COLUMNS)([0.0] * values)
