"""Conformal intervals: the quantile by hand, nominal coverage, and bounds that never cross."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from energy_demand.model.intervals import FEWEST_RESIDUALS, SHAPE, ConformalIntervals
from energy_demand.model.metrics import coverage

BOUNDS = ["lower_80", "upper_80", "lower_95", "upper_95"]


def fit(residuals, leads=1, hours=0) -> ConformalIntervals:
    """Intervals from these relative errors around a prediction of 100."""
    residuals = np.asarray(residuals, dtype=float)
    same = np.ones(len(residuals), dtype=np.int64)
    return ConformalIntervals.fit(
        100.0 * (1 + residuals), np.full(len(residuals), 100.0), same * leads, same * hours
    )


def bounds(intervals: ConformalIntervals, predicted=1000.0, lead=1, hour=0) -> list[float]:
    found = intervals.bounds(np.array([predicted]), np.array([lead]), np.array([hour]))
    assert list(found) == BOUNDS
    return [float(found[name][0]) for name in BOUNDS]


def test_the_half_width_is_the_conformal_quantile_of_the_relative_errors():
    # Of 99 errors 0.1 … 9.9 %, the 80th smallest is 8.0 % and the 95th 9.5 %.
    intervals = fit(np.random.default_rng(1).permutation(np.arange(1, 100)) / 1000)
    assert bounds(intervals) == pytest.approx([920.0, 1080.0, 905.0, 1095.0])


def test_errors_above_and_below_count_alike():
    errors = np.arange(1, 100) / 1000
    signs = np.where(np.arange(99) % 2, 1, -1)
    assert bounds(fit(errors * signs)) == pytest.approx(bounds(fit(errors)))


def test_the_rank_is_rounded_up():
    # Of 10 errors the quantile of 80 % has the rank ⌈8.8⌉ = 9; that of 95 % is cut to the largest.
    intervals = fit(np.arange(1, 11) / 100)
    assert bounds(intervals) == pytest.approx([910.0, 1090.0, 900.0, 1100.0])


def test_a_single_error_is_the_width_of_every_interval():
    assert bounds(fit([0.05]), lead=40, hour=20) == pytest.approx([950.0, 1050.0, 950.0, 1050.0])


def test_the_width_grows_with_the_prediction():
    intervals = fit(np.arange(1, 100) / 1000)
    assert bounds(intervals, 2000.0) == pytest.approx([2 * edge for edge in bounds(intervals, 1000.0)])


def two_cells(count: int) -> ConformalIntervals:
    """`count` errors of 10 % at lead 6 and hour 2, and a thousand of 1 % elsewhere."""
    leads = np.repeat([6, 30], [count, 1000])
    hours = np.repeat([2, 12], [count, 1000])
    actual = np.repeat([110.0, 101.0], [count, 1000])
    return ConformalIntervals.fit(actual, np.full(len(leads), 100.0), leads, hours)


@pytest.mark.parametrize(
    ("lead", "hour", "half"),
    [
        pytest.param(1, 0, 100.0, id="the first lead and hour of the cell"),
        pytest.param(6, 2, 100.0, id="the last lead and hour of the cell"),
        pytest.param(7, 2, 10.0, id="a lead later"),
        pytest.param(6, 3, 10.0, id="an hour later"),
        pytest.param(48, 23, 10.0, id="far away"),
    ],
)
def test_each_lead_and_time_of_day_has_its_own_width(lead, hour, half):
    lower, upper, *_ = bounds(two_cells(FEWEST_RESIDUALS), lead=lead, hour=hour)
    assert (lower, upper) == pytest.approx((1000 - half, 1000 + half))


def test_a_cell_with_few_errors_takes_the_width_of_all():
    lower, upper, *_ = bounds(two_cells(FEWEST_RESIDUALS - 1), lead=6, hour=2)
    assert (lower, upper) == pytest.approx((990.0, 1010.0))


def test_no_held_out_hours_are_refused():
    with pytest.raises(ValueError, match="held-out hours"):
        fit([])


@pytest.mark.parametrize("level", [80, 95])
def test_hours_of_the_same_kind_have_nominal_coverage(level):
    random = np.random.default_rng(5)

    def hours(count: int) -> tuple[np.ndarray, ...]:
        predicted = random.uniform(10_000, 30_000, count)
        lead, hour = random.integers(1, 49, count), random.integers(0, 24, count)
        spread = 0.01 + 0.0005 * lead + 0.002 * (hour > 15)
        return predicted * (1 + spread * random.standard_t(4, count)), predicted, lead, hour

    intervals = ConformalIntervals.fit(*hours(20_000))
    actual, predicted, lead, hour = hours(20_000)
    found = intervals.bounds(predicted, lead, hour)
    assert coverage(actual, found[f"lower_{level}"], found[f"upper_{level}"]) == pytest.approx(level, abs=1.5)
    late = (lead > 36) & (hour > 15)
    coverage_late = coverage(actual[late], found[f"lower_{level}"][late], found[f"upper_{level}"][late])
    assert coverage_late == pytest.approx(level, abs=4)


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(-0.99, 5.0), st.integers(1, 48), st.integers(0, 23)), min_size=1, max_size=120
    ),
    st.floats(0.1, 50_000),
)
def test_the_bounds_never_cross(errors, predicted):
    relative, leads, hours = (np.array(column) for column in zip(*errors, strict=True))
    intervals = ConformalIntervals.fit(100 * (1 + relative), np.full(len(leads), 100.0), leads, hours)
    every = np.array([(lead, hour) for lead in range(1, 49) for hour in range(24)])
    found = intervals.bounds(np.full(len(every), predicted), every[:, 0], every[:, 1])
    assert (found["lower_95"] <= found["lower_80"]).all()
    assert (found["lower_80"] <= predicted).all()
    assert (predicted <= found["upper_80"]).all()
    assert (found["upper_80"] <= found["upper_95"]).all()


def test_the_tables_survive_json():
    intervals = two_cells(50)
    again = ConformalIntervals.from_dict(json.loads(json.dumps(intervals.to_dict())))
    for lead, hour in ((1, 0), (24, 12), (48, 23)):
        assert bounds(again, lead=lead, hour=hour) == bounds(intervals, lead=lead, hour=hour)


def table(value: float) -> list[list[float]]:
    return np.full(SHAPE, value).tolist()


@pytest.mark.parametrize(
    "tables",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"80": table(0.1)}, id="a level is missing"),
        pytest.param({"80": table(0.1), "95": table(0.2)[1:]}, id="a row is missing"),
        pytest.param({"80": table(0.1), "95": [0.2, 0.3]}, id="one dimension"),
        pytest.param({"80": table(0.1), "95": [["wide"] * SHAPE[1]] * SHAPE[0]}, id="words"),
        pytest.param({"80": table(0.1), "95": table(np.nan)}, id="a width that is not a number"),
        pytest.param({"80": table(-0.1), "95": table(0.2)}, id="a negative width"),
        pytest.param({"80": table(0.3), "95": table(0.2)}, id="80 % wider than 95 %"),
    ],
)
def test_invalid_tables_are_refused(tables):
    with pytest.raises(ValueError, match=r"interval tables|could not convert"):
        ConformalIntervals.from_dict(tables)


def test_the_half_widths_at_one_hour_are_those_of_the_bounds_for_every_lead_and_hour():
    of_cells = np.arange(1.0, 1 + np.prod(SHAPE)).reshape(SHAPE) / 100  # no two alike
    intervals = ConformalIntervals({80: of_cells, 95: of_cells + 1})
    every = np.array([(lead, hour) for lead in range(1, 49) for hour in range(24)])
    found = intervals.bounds(np.ones(len(every)), every[:, 0], every[:, 1])
    pairs = [intervals.half_widths_at(lead, hour) for lead, hour in every.tolist()]
    assert [1 + narrow for narrow, _ in pairs] == found["upper_80"].tolist()
    assert [1 + wide for _, wide in pairs] == found["upper_95"].tolist()
    assert len(set(pairs)) == np.prod(SHAPE)
