"""Screening: each heuristic on a small made-up record, what causality forbids, and the real defects."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from energy_demand.data.screening import (
    MAX_IMPUTED_HOURS,
    OUTPUT_COLUMNS,
    PERSISTENCE_HOURS,
    Flag,
    screen,
)
from smooth_demand import AT, START, WEEKS, record, with_values
from support import SHARED_DATA


def flags(screened: pd.DataFrame) -> dict[int, str]:
    found = screened["flag"].dropna()
    return dict(zip(found.index, found, strict=True))


@pytest.mark.parametrize("two_sided", [False, True], ids=["causal", "two-sided"])
def test_a_clean_record_comes_back_as_served(two_sided):
    frame = record()
    screened = screen(frame, two_sided=two_sided)
    assert tuple(screened.columns) == OUTPUT_COLUMNS
    assert flags(screened) == {}
    assert not screened["imputed"].any()
    assert screened["demand_mwh"].tolist() == frame["demand_mwh"].tolist()


@pytest.mark.parametrize("two_sided", [False, True], ids=["causal", "two-sided"])
@pytest.mark.parametrize(
    ("factors", "expected"),
    [
        pytest.param([0], ["ZERO_OR_MISSING"], id="one zero hour"),
        pytest.param([0, 0], ["ZERO_OR_MISSING"] * 2, id="two zero hours"),
        pytest.param([np.nan] * 24, ["ZERO_OR_MISSING"] * 24, id="a day without values"),
        pytest.param([-1], ["ZERO_OR_MISSING"], id="a negative hour"),
        pytest.param([np.inf], ["ZERO_OR_MISSING"], id="an infinite hour"),
        pytest.param([1.2], ["SPIKE"], id="a spike up"),
        pytest.param([0.9], ["SPIKE"], id="a small spike down"),
        pytest.param([0.7] * 4, ["SPIKE"] + ["LEVEL_JUMP"] * 3, id="a wrong level of four hours"),
        pytest.param([np.nan] * 3 + [1.5], ["ZERO_OR_MISSING"] * 3 + ["DEVIATION"], id="a spike after a gap"),
    ],
)
def test_a_defect_is_flagged_in_its_hours_alone_and_imputed_near_the_truth(factors, expected, two_sided):
    truth = record()
    screened = screen(with_values(truth, AT, *factors), two_sided=two_sided)
    assert flags(screened) == {AT + hour: flag for hour, flag in enumerate(expected)}
    assert screened["imputed"].sum() == len(factors)
    np.testing.assert_allclose(screened["demand_mwh"], truth["demand_mwh"], rtol=0.04)


def test_a_frozen_value_is_known_from_its_third_hour_on():
    frame = record()
    frame.loc[AT : AT + 4, "demand_mwh"] = frame.loc[AT, "demand_mwh"]
    found = flags(screen(frame))
    assert {hour for hour, flag in found.items() if flag == "IDENTICAL_RUN"} == {AT + 2, AT + 3, AT + 4}
    assert min(found) > AT


def test_two_sided_every_hour_of_a_frozen_run_is_flagged():
    frame = record()
    frame.loc[AT : AT + 2, "demand_mwh"] = frame.loc[AT, "demand_mwh"]
    assert flags(screen(frame, two_sided=True)) == dict.fromkeys(range(AT, AT + 3), "IDENTICAL_RUN")


def test_two_equal_hours_are_no_frozen_run():
    frame = record()
    frame.loc[AT + 5, "demand_mwh"] = frame.loc[AT + 4, "demand_mwh"]
    assert "IDENTICAL_RUN" not in flags(screen(frame)).values()


def test_a_step_that_stays_is_accepted_after_six_hours_and_so_is_its_end():
    """Its edge stands out once more a day later, when the day before holds a step that is not repeated."""
    found = flags(screen(with_values(record(), AT, *[0.6] * 60)))
    assert set(found) == {*range(AT, AT + PERSISTENCE_HOURS), AT + 24}


def test_a_small_departure_that_holds_for_an_hour_more_is_weather():
    assert set(flags(screen(with_values(record(), AT, *[0.92] * 30)))) <= {AT, AT + 30}


def test_two_sided_a_step_that_stays_for_good_is_no_defect():
    frame = record()
    assert flags(screen(with_values(frame, AT, *[0.6] * (len(frame) - AT)), two_sided=True)) == {}


def test_a_spike_raises_no_alarm_a_day_a_week_or_two_weeks_later():
    found = flags(screen(with_values(record(), AT, 1.9)))
    assert set(found) == {AT}


def test_rows_in_any_order_with_gaps_give_one_row_per_hour():
    frame = record()
    gaps = frame.drop(index=[AT, AT + 1]).sample(frac=1, random_state=3)
    screened = screen(gaps)
    assert screened["period"].tolist() == frame["period"].tolist()
    assert flags(screened) == {AT: "ZERO_OR_MISSING", AT + 1: "ZERO_OR_MISSING"}
    assert screened["served_mwh"].isna().sum() == 2


@pytest.mark.parametrize("two_sided", [False, True], ids=["causal", "two-sided"])
def test_a_gap_that_is_too_long_is_not_filled_to_its_end(two_sided):
    frame = record()
    screened = screen(frame.drop(index=range(AT, AT + MAX_IMPUTED_HOURS + 10)), two_sided=two_sided)
    assert screened["demand_mwh"].isna().any()
    assert (screened["imputed"] == (screened["flag"].notna() & screened["demand_mwh"].notna())).all()
    assert set(flags(screened)) == set(range(AT, AT + MAX_IMPUTED_HOURS + 10))


@pytest.mark.parametrize("two_sided", [False, True], ids=["causal", "two-sided"])
@pytest.mark.parametrize(
    "values",
    [[], [np.nan], [0.0], [17_000.0], [np.nan, 0.0, 17_000.0]],
    ids=lambda values: f"values {values}",
)
def test_records_of_hardly_any_hours_are_screened_too(values, two_sided):
    period = pd.date_range(START, periods=len(values), freq="h")
    screened = screen(pd.DataFrame({"period": period, "demand_mwh": values}, dtype=None), two_sided=two_sided)
    assert len(screened) == len(values)
    assert screened["flag"].isna().sum() == sum(value > 0 for value in values)


def test_a_missing_column_is_named():
    with pytest.raises(ValueError, match="demand lacks the column demand_mwh"):
        screen(record()[["period"]])


def test_a_period_between_two_hours_is_refused():
    frame = record()
    with pytest.raises(ValueError, match="not a full hour"):
        screen(frame.assign(period=frame["period"] + pd.Timedelta(minutes=5)))


def test_the_clocks_going_forward_raise_no_alarm_in_a_record_of_local_days():
    """Demand that follows the wall clock: elapsed hours would compare wrong ones for two weeks."""
    frame = record(168 * 14)
    local = frame["period"].dt.tz_convert("America/New_York")
    ramp = np.where(local.dt.hour >= 7, 1.15, 0.9) + np.linspace(0, 0.01, len(frame))
    found = flags(screen(frame.assign(demand_mwh=17_000 * ramp)))
    assert [hour for hour in found if hour >= 24] == []  # the first day has no other to compare with


def test_every_flag_is_written_as_its_name():
    assert [flag.value for flag in Flag] == [flag.name for flag in Flag]


odd_values = st.one_of(
    st.just(float("nan")), st.just(0.0), st.floats(-5.0, 60_000.0, allow_nan=False), st.just(17_000.0)
)


@settings(max_examples=60, deadline=None)
@given(
    cut=st.integers(24 * 16, 24 * 24),
    before=st.dictionaries(st.integers(0, 80), odd_values, max_size=8),
    later=st.dictionaries(st.integers(1, 100), odd_values, max_size=12),
    dropped=st.sets(st.integers(1, 100), max_size=12),
    added=st.integers(0, 48),
)
def test_no_later_value_changes_what_is_said_of_an_hour(cut, before, later, dropped, added):
    """A value imputed with the help of later hours would leak the future into a forecast's features."""
    size = 24 * 29
    frame = record(size + added)
    for back, value in before.items():
        frame.loc[cut - back, "demand_mwh"] = value
    changed = frame.copy()
    for ahead, value in later.items():
        changed.loc[cut + ahead, "demand_mwh"] = value
    changed = changed.drop(index=[cut + ahead for ahead in dropped])
    expected = screen(frame.iloc[: cut + 1])
    pd.testing.assert_frame_equal(screen(frame).iloc[: cut + 1], expected)
    pd.testing.assert_frame_equal(screen(changed).iloc[: cut + 1], expected)


def test_two_sided_does_use_later_values():
    frame = with_values(record(), AT, 0)
    changed = with_values(frame, AT + 1, *[1.03] * 24)
    one, other = (screen(each, two_sided=True).loc[AT, "demand_mwh"] for each in (frame, changed))
    assert other > one


def test_ten_years_are_screened_in_seconds_and_eight_weeks_at_once():
    def best(hours: int) -> float:
        frame, took = record(hours), []
        for _ in range(3):
            started = time.process_time()
            screen(frame)
            took.append(time.process_time() - started)
        return min(took)

    assert best(88_000) < 3
    assert best(WEEKS * 168) < 0.03


REAL_DEFECTS = [
    "2015-10-04T16",
    "2017-04-26T21",
    "2017-07-10T23",
    "2019-04-18T04",
    "2021-11-07T05",
    "2021-11-07T06",
    "2024-01-18T00",
    "2024-10-09T21",
    "2024-10-09T22",
    "2024-11-23T22",
    "2025-01-15T23",
    "2025-01-16T00",
    "2025-05-06T06",
    "2025-05-06T14",
]
KNOWN_LATER = ["2025-05-06T04", "2025-05-06T05", "2025-05-06T12", "2025-05-06T13"]


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("two_sided", "defects", "allowed"),
    [
        pytest.param(False, REAL_DEFECTS, 0.001, id="causal"),
        pytest.param(True, REAL_DEFECTS + KNOWN_LATER, 0.0002, id="two-sided"),
    ],
)
def test_the_real_defects_are_found_with_few_false_alarms(two_sided, defects, allowed):
    real = pd.read_parquet(SHARED_DATA / "ny_demand_hourly.parquet")
    screened = screen(real[["period", "demand_mwh"]], two_sided=two_sided).set_index("period")
    truth = real.set_index("period")["nyiso_load_mwh"].reindex(screened.index)
    flagged = screened["flag"].notna()
    served = screened["served_mwh"]
    off = truth.notna() & ~((served / truth - 1).abs() < 0.01)
    wanted = pd.DatetimeIndex(defects).tz_localize("UTC")
    assert flagged[wanted].all(), wanted[~flagged[wanted]]
    assert flagged[off].all()
    good = truth.notna() & ~off & ~screened.index.isin(pd.DatetimeIndex(KNOWN_LATER + defects, tz="UTC"))
    assert flagged[good].mean() < allowed
