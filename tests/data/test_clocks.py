"""Months that are labelled early or late, in demand and in the operator's forecast."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from energy_demand.data.clocks import ClockFault, demand_clock, forecast_clock
from energy_demand.data.quality import ABSURD_MWH
from energy_demand.region import NEW_YORK
from energy_demand.region_catalogue import region_of
from support import SHARED_DATA

ZONE = NEW_YORK.zone
REGIONS = SHARED_DATA / "regions"
PERIODS = pd.date_range("2015-01-01T06:00", "2019-01-01T05:00", freq="h", tz="UTC", name="period")


def made_demand() -> pd.Series:
    """Four years with a morning and an evening peak by the local clock, growth and noise."""
    local = (PERIODS - pd.Timedelta(hours=1)).tz_convert(ZONE)
    hour = local.hour.to_numpy(dtype=float)
    season = np.cos(2 * np.pi * local.dayofyear.to_numpy() / 365.25)
    peaks = np.exp(-((hour - 8) ** 2) / 8) + (1.2 + 0.3 * season) * np.exp(-((hour - 18) ** 2) / 10)
    weekend = (local.dayofweek.to_numpy() >= 5).astype(float)
    noise = np.random.default_rng(5).normal(0, 0.01, len(PERIODS))
    growth = np.linspace(0, 0.06, len(PERIODS))
    return pd.Series(20_000 * np.exp(0.25 * peaks * (1 - 0.4 * weekend) + growth + noise), index=PERIODS)


def moved(series: pd.Series, first: str, last: str, hours: int) -> pd.Series:
    """The series with the values of these months labelled `hours` later."""
    month = (series.index - pd.Timedelta(hours=1)).tz_convert(ZONE).strftime("%Y-%m")
    return series.where((month < first) | (month > last), series.shift(hours))


DEMAND = made_demand()


def test_demand_with_the_right_clock_is_not_reported():
    assert demand_clock(DEMAND, ZONE) == []


@pytest.mark.parametrize(("late", "hours"), [(1, -1), (-1, 1), (2, -2)])
def test_months_that_are_off_are_reported_as_one_span_with_the_hours_that_mend_them(late, hours):
    faults = demand_clock(moved(DEMAND, "2017-04", "2017-09", late), ZONE)
    assert faults == [ClockFault("D", "2017-04", "2017-09", hours)]


def test_a_whole_year_in_standard_time_is_off_in_its_summer():
    """A region that does not put its clocks forward reports its summer an hour late."""
    start, end = pd.Timestamp("2016-03-13", tz=ZONE), pd.Timestamp("2016-11-06", tz=ZONE)
    late = DEMAND.where(~((start <= PERIODS) & (end > PERIODS)), DEMAND.shift(1))
    (fault,) = demand_clock(late, ZONE)
    assert (fault.series, fault.hours) == ("D", -1)
    assert (fault.first, fault.last) in {("2016-03", "2016-10"), ("2016-04", "2016-10")}


def test_growth_a_level_step_and_frozen_hours_are_no_fault_of_the_clock():
    stepped = DEMAND.where(pd.Timestamp("2017-06-01", tz="UTC") > PERIODS, 1.3 * DEMAND)
    stepped[1000:1096] = np.nan
    assert demand_clock(stepped, ZONE) == []


def test_two_years_that_differ_are_not_enough_to_say_which_one_is_off():
    two_years = moved(DEMAND[pd.Timestamp("2017-01-01", tz="UTC") > PERIODS], "2016-05", "2016-08", 1)
    assert demand_clock(two_years, ZONE) == []


def test_a_short_month_is_left_out():
    assert demand_clock(DEMAND[: 24 * 8], ZONE) == []
    assert demand_clock(DEMAND[:0], ZONE) == []


def made_forecast() -> pd.Series:
    noise = np.random.default_rng(6).normal(0, 0.01, len(PERIODS))
    return DEMAND * np.exp(noise + 0.02)


def test_a_biased_forecast_with_the_right_clock_is_not_reported():
    assert forecast_clock(made_forecast(), DEMAND, ZONE) == []


def test_a_forecast_that_is_labelled_an_hour_early_is_reported_from_its_first_month_on():
    early = moved(made_forecast(), "2018-02", "2018-12", -1)
    assert forecast_clock(early, DEMAND, ZONE) == [ClockFault("DF", "2018-02", "2018-12", 1)]


def test_outages_of_the_forecast_are_no_fault_of_its_clock():
    forecast = made_forecast()
    forecast[::3] = 0.0
    forecast[1::5] *= 0.36
    assert forecast_clock(forecast, DEMAND, ZONE) == []
    assert forecast_clock(forecast[:0], DEMAND, ZONE) == []


def test_a_fault_says_that_nothing_was_moved():
    assert str(ClockFault("DF", "2019-02", "2020-06", 1)) == (
        "the operator's forecast of 2019-02 to 2020-06 seems to be labelled 1 hour early; "
        "it is kept as served"
    )
    assert str(ClockFault("D", "2017-04", "2017-04", -2)) == (
        "demand of 2017-04 seems to be labelled 2 hours late; it is kept as served"
    )


@pytest.mark.shared_data
@pytest.mark.parametrize("code", ["ISNE", "PJM", "ERCO", "SWPP"])
def test_of_the_recorded_regions_only_the_forecast_of_pjm_is_off(code):
    file = REGIONS / code / "demand_hourly.parquet"
    if not file.is_file():
        pytest.skip(
            f"the recorded region {code} is absent (no folder shared/data/regions beside the project)"
        )
    recorded = pd.read_parquet(file).set_index("period")
    demand = recorded["demand_mwh"].where(recorded["demand_mwh"] <= ABSURD_MWH)
    zone = region_of(code).zone
    assert demand_clock(demand, zone) == []
    found = forecast_clock(recorded["day_ahead_forecast_mwh"], demand, zone)
    assert found == ([ClockFault("DF", "2019-02", "2020-06", 1)] if code == "PJM" else [])
