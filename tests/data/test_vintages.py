"""Vintages: the value of an hour at a past time, screened with what was known then."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from energy_demand.data.record import make_record
from energy_demand.data.screening import screen, truth_flags
from energy_demand.data.vintages import vintages_of
from energy_demand.region import NEW_YORK
from energy_demand.timeaxis import HOUR, Availability, hourly

START = datetime(2024, 6, 1, tzinfo=UTC)
HOURS = 70 * 24
PERIODS = hourly(START, START + (HOURS - 1) * HOUR)
SHAPE = 16_000 + 3_000 * np.sin(np.arange(HOURS) * 2 * np.pi / 24) + 7 * np.arange(HOURS) % 11
EMPTY = pd.DataFrame(columns=["site", "timestamp", "issued_at"])


def at(hour: float) -> datetime:
    """The time `hour` hours after the start."""
    return START + hour * HOUR


def vintage(hour: int, value: float, stored: float, until: float | None) -> dict[str, object]:
    """One value of an hour; `until` is None for the newest."""
    return {
        "period": pd.Timestamp(at(hour)),
        "value": value,
        "stored_at": pd.Timestamp(at(stored)),
        "superseded_at": pd.NaT if until is None else pd.Timestamp(at(until)),
    }


def stored(*rows: dict[str, object]) -> pd.DataFrame:
    return pd.DataFrame(rows)


def served_with(**changes: float) -> np.ndarray:
    """The newest values, some of them changed: `h100=5.0` is hour 100."""
    served = SHAPE.copy()
    for hour, value in changes.items():
        served[int(hour[1:])] = value
    return served


def record_of(served: np.ndarray, rows: pd.DataFrame | None, hours: int = HOURS):
    """As `load_record` makes it from these served values."""
    demand = pd.DataFrame({"period": PERIODS[:hours], "demand_mwh": served[:hours]})
    causal = screen(demand)
    sound = truth_flags(causal, screen(demand, two_sided=True)).isna()
    frame = causal.assign(truth_mwh=causal["served_mwh"].where(sound))
    weather = pd.DataFrame({"timestamp": PERIODS[:2], "site": "albany", "temperature_2m": 10.0})
    return make_record(frame, weather, EMPTY, NEW_YORK, at(hours - 1), rows)


def test_each_time_sees_the_newest_value_that_was_known_by_then():
    rows = stored(vintage(5, 1.0, 6, 10), vintage(5, 2.0, 10, 20), vintage(5, 3.0, 20, None))
    vintages = vintages_of(PERIODS, served_with(h5=3.0), rows)
    seen = {hour: vintages.served_at(at(hour))[5] for hour in (6, 9.9, 10, 19.9, 20, 500)}
    assert seen == {6: 1.0, 9.9: 1.0, 10: 2.0, 19.9: 2.0, 20: 3.0, 500: 3.0}


def test_before_its_first_value_was_stored_an_hour_has_that_value():
    vintages = vintages_of(PERIODS, SHAPE, stored(vintage(5, 1.0, 9, 10), vintage(5, SHAPE[5], 10, None)))
    assert vintages.served_at(at(6))[5] == 1.0


def test_an_hour_that_was_taken_back_has_no_value_until_it_comes_again():
    rows = stored(vintage(5, 1.0, 6, 10), vintage(5, 4.0, 30, None))
    vintages = vintages_of(PERIODS, served_with(h5=4.0), rows)
    seen = [vintages.served_at(at(hour))[5] for hour in (9, 10, 29, 30)]
    np.testing.assert_array_equal(seen, [1.0, np.nan, np.nan, 4.0])


def test_an_hour_that_was_taken_back_for_good_has_no_value_since():
    vintages = vintages_of(PERIODS, served_with(h5=np.nan), stored(vintage(5, 1.0, 6, 10)))
    np.testing.assert_array_equal([vintages.served_at(at(hour))[5] for hour in (9, 10)], [1.0, np.nan])


@pytest.mark.parametrize("rows", [None, stored(vintage(5, 1.0, 6, 10)).iloc[:0]], ids=["none", "no rows"])
def test_a_record_without_revised_hours_has_no_vintages(rows):
    record = record_of(SHAPE, rows)
    assert record.vintages is None
    assert record.demand_as_known() is None
    assert record.cut_at(at(100), Availability(1)).vintages is None


def revised_at_1010(value: float) -> pd.DataFrame:
    """Hour 1000 had this value until hour 1010."""
    return stored(vintage(1000, value, 1001, 1010), vintage(1000, SHAPE[1000], 1010, None))


def test_a_record_is_cut_to_the_values_of_that_time():
    wrong = 1.03 * SHAPE[1000]
    record = record_of(
        SHAPE, stored(vintage(1000, wrong, 1001, 1010), vintage(1000, SHAPE[1000], 1010, None))
    )
    before, after = (record.cut_at(at(hour), Availability(1)) for hour in (1009, 1010))
    for cut, value in ((before, wrong), (after, SHAPE[1000])):
        assert cut.seen_mwh[1000] == cut.demand_mwh[1000] == cut.truth_mwh[1000] == value
    assert record.truth_mwh[1000] == SHAPE[1000]
    assert before.vintages.served_at(at(1009))[1000] == wrong
    assert np.isnan(before.demand_mwh[1009])


def test_a_value_that_could_not_be_true_then_is_doubted_then_and_only_then():
    record = record_of(
        SHAPE, stored(vintage(1000, 90_000.0, 1001, 1010), vintage(1000, SHAPE[1000], 1010, None))
    )
    before, after = (record.cut_at(at(hour), Availability(1)) for hour in (1009, 1010))
    assert np.isnan(before.seen_mwh[1000])
    assert np.isnan(before.truth_mwh[1000])
    assert before.demand_mwh[1000] == pytest.approx(SHAPE[1000], rel=0.02)
    assert after.seen_mwh[1000] == after.truth_mwh[1000] == SHAPE[1000]


def test_a_record_up_to_an_hour_keeps_the_newest_values_and_their_vintages():
    rows = stored(vintage(1000, 17_000.0, 1001, 1300), vintage(1000, SHAPE[1000], 1300, None))
    record = record_of(SHAPE, rows).up_to(at(1100), Availability(1))
    assert len(record.periods) == 1101
    assert record.truth_mwh[1000] == SHAPE[1000]
    assert record.vintages.served_at(at(1100))[1000] == 17_000.0


def test_a_revision_that_is_not_known_yet_changes_nothing_in_a_cut_record():
    wrong = 1.03 * SHAPE[1000]
    once, again = (
        record_of(SHAPE, stored(vintage(1000, wrong, 1001, until), vintage(1000, SHAPE[1000], until, None)))
        for until in (1200, 1500)
    )
    cuts = [each.cut_at(at(1199), Availability(1)).demand for each in (once, again)]
    pd.testing.assert_frame_equal(*cuts)
    assert cuts[0]["demand_mwh"][1000] == wrong
    assert once.cut_at(at(1200), Availability(1)).demand["demand_mwh"][1000] == SHAPE[1000]


revisions = st.lists(
    st.tuples(
        st.integers(0, HOURS - 1),  # hour
        st.sampled_from([0.0, 0.9, 1.01, 1.3, np.nan]),  # times its newest value, before
        st.integers(2, 400),  # hours after the hour when it was revised
    ),
    min_size=1,
    max_size=12,
    unique_by=lambda one: one[0],
)


@settings(deadline=None, max_examples=25)
@given(revisions, st.lists(st.integers(24, HOURS - 1), min_size=1, max_size=3))
def test_demand_as_known_is_what_screening_then_would_have_given(revised, times):
    rows = [
        row
        for hour, factor, later in revised
        for row in (
            vintage(hour, factor * SHAPE[hour], hour + 1, hour + later),
            vintage(hour, SHAPE[hour], hour + later, None),
        )
    ]
    record = record_of(SHAPE, stored(*rows))
    known = record.demand_as_known()
    for time in times:
        served = SHAPE.copy()
        for hour, factor, later in revised:
            if hour + later > time:
                served[hour] = factor * SHAPE[hour]
        known.at(at(time))
        then = screen(pd.DataFrame({"period": PERIODS[: time + 1], "demand_mwh": served[: time + 1]}))
        missing = int((then["period"].iloc[0] - PERIODS[0]) / HOUR)
        assert missing == 0
        np.testing.assert_allclose(known.demand_mwh[: time + 1], then["demand_mwh"], rtol=1e-9)
        seen = then["demand_mwh"].mask(then["imputed"])
        np.testing.assert_allclose(known.seen_mwh[: time + 1], seen, rtol=1e-9)
