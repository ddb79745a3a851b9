"""A record: every hour on the axis, and cut to what was known at a moment."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from energy_demand.data.issued_weather import issued_weather
from energy_demand.data.record import Record, make_record
from energy_demand.data.weather_path import MAIN
from energy_demand.region import NEW_YORK, NEW_YORK_CITY
from energy_demand.timeaxis import HOUR, Availability, hourly

START = datetime(2024, 6, 1, tzinfo=UTC)
HOURS = 24  # of demand; weather has more
LAST = HOURS - 1


def at(hour: float) -> datetime:
    """The moment `hour` hours after the start."""
    return START + hour * HOUR


def demand(without: tuple[int, ...] = ()) -> pd.DataFrame:
    """Hour `n` after the start has demand 10000 + n and truth 20000 + n, unless it is left out."""
    hours = np.array([hour for hour in range(HOURS) if hour not in without])
    return pd.DataFrame(
        {
            "period": pd.DatetimeIndex([at(int(hour)) for hour in hours]),
            "demand_mwh": 10_000.0 + hours,
            "truth_mwh": 20_000.0 + hours,
        }
    )


def weather() -> pd.DataFrame:
    """Hour `n` after the start is `n` °C at every site."""
    frames = [
        pd.DataFrame(
            {
                "timestamp": hourly(at(-3), at(HOURS + 9)),
                "site": site.name,
                "temperature_2m": np.arange(-3.0, HOURS + 10),
            }
        )
        for site in NEW_YORK.sites
    ]
    return pd.concat(frames, ignore_index=True)


def forecasts() -> pd.DataFrame:
    """Runs at 0, 6, 12 and 18 hours after the start, each for two days; their temperature is 100 + issue."""
    frames = [
        pd.DataFrame(
            {
                "issued_at": at(issue),
                "timestamp": hourly(at(issue), at(issue + 48)),
                "site": NEW_YORK_CITY.name,
                "temperature_2m": 100.0 + issue,
            }
        )
        for issue in (0, 6, 12, 18)
    ]
    return pd.concat(frames, ignore_index=True)


def record(without: tuple[int, ...] = (), end: float = LAST) -> Record:
    return make_record(demand(without), weather(), forecasts(), NEW_YORK, at(end))


def known_hours(values: np.ndarray) -> list[int]:
    """Which of the hours are known."""
    return np.flatnonzero(~np.isnan(values)).tolist()


# Making one.


def test_every_hour_is_on_the_axis_and_a_missing_one_is_not_known():
    made = record(without=(3, 4, 10))
    assert made.periods.equals(hourly(at(0), at(LAST)))
    assert pd.DatetimeIndex(made.demand["period"]).equals(made.periods)
    expected = np.where(np.isin(np.arange(HOURS), [3, 4, 10]), np.nan, np.arange(HOURS))
    np.testing.assert_array_equal(made.demand_mwh, 10_000 + expected)
    np.testing.assert_array_equal(made.truth_mwh, 20_000 + expected)


def test_hours_up_to_the_end_are_on_the_axis_though_they_have_no_demand_yet():
    made = record(end=LAST + 4.5)
    assert made.periods.equals(hourly(at(0), at(LAST + 4)))
    assert known_hours(made.demand_mwh) == list(range(HOURS))
    assert made.observed.column(MAIN).tolist() == [float(hour) for hour in range(HOURS + 4)]


def test_a_record_begins_with_its_first_hour_of_demand():
    assert record(without=(0, 1)).periods[0] == at(2)


def test_a_demand_that_is_null_is_not_known():
    frame = demand()
    frame.loc[5, "demand_mwh"] = None
    made = make_record(frame, weather(), forecasts(), NEW_YORK, at(LAST))
    assert known_hours(made.demand_mwh) == [hour for hour in range(HOURS) if hour != 5]
    assert known_hours(made.truth_mwh) == list(range(HOURS))


def test_the_demand_may_come_in_any_order():
    mixed = demand(without=(7,)).sample(frac=1.0, random_state=1)
    made = make_record(mixed, weather(), forecasts(), NEW_YORK, at(LAST))
    pd.testing.assert_frame_equal(made.demand, record(without=(7,)).demand)


def test_a_record_to_forecast_from_needs_no_truth():
    made = make_record(demand()[["period", "demand_mwh"]], weather(), forecasts(), NEW_YORK, at(LAST))
    assert list(made.demand) == ["period", "demand_mwh", "seen_mwh"]
    assert made.demand_mwh[5] == 10_005.0


def test_an_hour_that_screening_imputed_was_not_seen_however_often_the_record_is_made():
    frame = demand()
    frame["imputed"] = [hour in (5, 6) for hour in range(len(frame))]
    made = make_record(frame, weather(), forecasts(), NEW_YORK, at(LAST))
    again = make_record(made.demand, made.weather, made.forecasts, made.region, at(LAST))
    for each in (made, again):
        assert each.demand_mwh[5] == 10_005.0
        assert np.flatnonzero(np.isnan(each.seen_mwh)).tolist() == [5, 6]


def test_the_weather_path_has_the_hours_of_the_demand():
    made = record()
    assert made.observed.periods.equals(made.periods)
    assert made.observed.column(MAIN).tolist() == [float(hour) for hour in range(HOURS)]


def test_the_runs_are_those_of_the_forecasts():
    made = record()
    assert made.issued.issued_at.tolist() == [at(hour) for hour in (0, 6, 12, 18)]
    around = made.issued.around(pd.DatetimeIndex([at(13)]), 0, 1)
    assert around[0, :, 0].tolist() == [112.0, 112.0]


@pytest.mark.parametrize("as_of", [0, 9, 17, LAST])
def test_the_runs_of_other_models_are_cut_like_those_of_the_first(as_of):
    other = issued_weather(forecasts(), NEW_YORK)
    made = make_record(
        demand(), weather(), forecasts(), NEW_YORK, at(LAST), other_runs={"gfs_seamless": other}
    )
    cut = made.cut_at(at(as_of), Availability(1))
    assert list(cut.other_runs) == ["gfs_seamless"]
    runs = cut.other_runs["gfs_seamless"]
    assert runs.issued_at.equals(cut.issued.issued_at)
    assert (runs.issued_at <= pd.Timestamp(at(as_of))).all()
    np.testing.assert_array_equal(runs.values, cut.issued.values)
    assert made.up_to(at(as_of), Availability(1)).other_runs["gfs_seamless"].issued_at.equals(runs.issued_at)


def test_a_record_of_one_model_has_no_other_runs():
    made = make_record(demand(), weather(), forecasts(), NEW_YORK, at(LAST))
    assert made.other_runs == made.cut_at(at(10), Availability(1)).other_runs == {}


def test_a_record_may_have_no_forecasts():
    made = make_record(demand(), weather(), forecasts().iloc[:0], NEW_YORK, at(LAST))
    assert len(made.issued.issued_at) == 0
    assert len(made.cut_at(at(10), Availability(1)).issued.issued_at) == 0


def test_a_record_may_have_no_weather():
    made = make_record(demand(), weather().iloc[:0], forecasts(), NEW_YORK, at(LAST))
    assert made.observed.periods.equals(made.periods)
    assert np.isnan(made.observed.values).all()


def test_the_position_of_an_hour_is_its_row():
    made = record(without=(3,))
    assert made.demand["period"].iloc[made.position(at(9))] == at(9)
    assert made.position(at(9)) == 9


@pytest.mark.parametrize("end", [0, LAST])
def test_a_record_without_an_hour_of_demand_is_refused(end):
    with pytest.raises(ValueError, match="hours of demand"):
        make_record(demand().iloc[:0], weather(), forecasts(), NEW_YORK, at(end))


def test_making_a_record_leaves_the_frames_as_they_were():
    frames = demand(without=(3,)), weather(), forecasts()
    before = [frame.copy(deep=True) for frame in frames]
    make_record(*frames, NEW_YORK, at(LAST)).cut_at(at(9), Availability(1))
    for frame, copy in zip(frames, before, strict=True):
        pd.testing.assert_frame_equal(frame, copy)


# What was known.


@pytest.mark.parametrize(
    ("as_of", "delay", "newest"),
    [
        pytest.param(12, 1, 11, id="an hour's delay"),
        pytest.param(12, 0, 12, id="no delay"),
        pytest.param(12, 3, 9, id="a long delay"),
        pytest.param(12.5, 1, 11, id="within an hour"),
        pytest.param(12.5, 0, 12, id="within an hour without delay"),
    ],
)
def test_demand_is_hidden_until_it_is_published(as_of, delay, newest):
    known = record().cut_at(at(as_of), Availability(delay))
    assert known.periods.equals(hourly(at(0), at(12)))
    assert pd.DatetimeIndex(known.demand["period"]).equals(known.periods)
    assert known_hours(known.demand_mwh) == list(range(newest + 1))
    assert known_hours(known.truth_mwh) == list(range(newest + 1))
    assert known.demand_mwh[newest] == 10_000.0 + newest


def test_the_moment_may_be_in_any_time_zone():
    local = at(12).astimezone(NEW_YORK.zone)
    known = record().cut_at(local, Availability(1))
    pd.testing.assert_frame_equal(known.demand, record().cut_at(at(12), Availability(1)).demand)
    assert known_hours(known.demand_mwh) == list(range(12))


@pytest.mark.parametrize("delay", [0, 1])
@pytest.mark.parametrize("as_of", [12, 12.5])
def test_weather_is_known_at_its_time_and_not_before(as_of, delay):
    known = record().cut_at(at(as_of), Availability(delay))
    assert known.weather["timestamp"].max() == at(12)
    assert len(known.weather) == (12 + 3 + 1) * 4
    assert known.observed.periods.equals(known.periods)
    assert known.observed.column(MAIN).tolist() == [float(hour) for hour in range(13)]


@pytest.mark.parametrize(
    ("as_of", "issues"),
    [
        pytest.param(12, [0, 6, 12], id="at the moment of an issue"),
        pytest.param(11.9, [0, 6], id="shortly before"),
        pytest.param(17, [0, 6, 12], id="hours after"),
    ],
)
def test_a_forecast_is_known_once_it_is_issued(as_of, issues):
    known = record().cut_at(at(as_of), Availability(1))
    assert known.issued.issued_at.tolist() == [at(issue) for issue in issues]
    assert sorted(known.forecasts["issued_at"].unique()) == [at(issue) for issue in issues]
    assert known.issued.values[:, 24, 0].tolist() == [100.0 + issue for issue in issues]
    assert known.forecasts["timestamp"].max() == at(issues[-1] + 48)


@pytest.mark.parametrize("delay", [0, 1])
@pytest.mark.parametrize("as_of", [0, 5.5, 12, LAST])
def test_a_record_cut_to_a_moment_is_the_one_that_would_have_been_made_then(as_of, delay):
    availability = Availability(delay)
    cut = record(without=(2, 3)).cut_at(at(as_of), availability)
    early_demand = demand(without=(2, 3))
    early_demand = early_demand[early_demand["period"] <= at(as_of)]
    unpublished = early_demand["period"] + delay * HOUR > at(as_of)
    early_demand.loc[unpublished, ["demand_mwh", "truth_mwh"]] = np.nan
    early_weather = weather()[lambda frame: frame["timestamp"] <= at(as_of)]
    early_forecasts = forecasts()[lambda frame: frame["issued_at"] <= at(as_of)]
    made = make_record(early_demand, early_weather, early_forecasts, NEW_YORK, at(as_of))
    pd.testing.assert_frame_equal(cut.demand, made.demand)
    pd.testing.assert_frame_equal(cut.weather, made.weather)
    pd.testing.assert_frame_equal(cut.forecasts, made.forecasts)
    assert cut.periods.equals(made.periods)
    assert cut.issued.issued_at.equals(made.issued.issued_at)
    np.testing.assert_array_equal(cut.observed.values, made.observed.values)
    np.testing.assert_array_equal(cut.issued.values, made.issued.values)
    assert cut.region == NEW_YORK


def test_a_moment_after_the_last_hour_hides_nothing():
    known = record().cut_at(at(HOURS + 100), Availability(1))
    pd.testing.assert_frame_equal(known.demand, record().demand)
    np.testing.assert_array_equal(known.observed.values, record().observed.values)


def test_cutting_leaves_the_record_as_it_was():
    whole, untouched = record(), record()
    known = whole.cut_at(at(12), Availability(3))
    known.demand.loc[:, "demand_mwh"] = -1.0
    pd.testing.assert_frame_equal(whole.demand, untouched.demand)
    pd.testing.assert_frame_equal(whole.weather, untouched.weather)
    pd.testing.assert_frame_equal(whole.forecasts, untouched.forecasts)
    assert whole.periods.equals(untouched.periods)
    assert whole.issued.issued_at.equals(untouched.issued.issued_at)
    np.testing.assert_array_equal(whole.observed.values, untouched.observed.values)
