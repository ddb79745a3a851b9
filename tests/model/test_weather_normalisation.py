"""Weather-normalised demand: usual weather changes nothing, heat is taken out, growth is left in."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from energy_demand.columns import TARGET_COLUMN
from energy_demand.data.weather_path import COLUMN, MAIN, REST, WeatherPath
from energy_demand.model.stages.adaptive_regression import PERCENT
from energy_demand.model.stages.response_features import response_features
from energy_demand.model.weather_normalisation import (
    DEMAND,
    MOST_YEARS,
    NORMALISED,
    NormalisedDemand,
    TooFewYearsError,
    normalised,
    usual_weather,
)
from energy_demand.region import NEW_YORK
from energy_demand.timeaxis import days_periods
from records import START, synthetic_record

YEARS = 4
HOT = (date(2027, 7, 1), date(2027, 8, 31))
TEMPERATURES = [COLUMN[MAIN], COLUMN[REST]]


def with_demand(record, demand_mwh):
    demand = record.demand.assign(**{TARGET_COLUMN: demand_mwh, "truth_mwh": demand_mwh})
    return replace(record, demand=demand)


def responding(record, forecaster, growth: float = 0.0):
    """The record with the demand that the model gives to its weather, growing by a share a year."""
    responses = response_features(forecaster.outlook.completed(record.observed), record.region)
    demand = np.exp(forecaster.regression.slowest.predict(responses) / PERCENT)
    years = np.arange(len(demand)) / (365.25 * 24)
    return with_demand(record, demand * (1.0 + growth) ** years - responses.rooftop_mwh)


def with_observed(record, values):
    return replace(record, observed=WeatherPath(record.observed.periods, values))


def days(first: date, last: date):
    return days_periods(first, last, NEW_YORK.zone)


@pytest.fixture(scope="module")
def world():
    """The synthetic world for some years, without weather runs; its weather repeats nowhere."""
    return synthetic_record(days=int(YEARS * 365.25) + 31, runs=False)


@pytest.fixture(scope="module")
def hot(world, forecaster):
    """Likewise, with a summer 4 °C hotter, and demand as the regression responds to it."""
    values = world.observed.values.copy()
    first, *_, last = days(*HOT)
    values[world.position(first) : world.position(last) + 1, TEMPERATURES] += 4.0
    return responding(with_observed(world, values), forecaster)


def test_in_weather_that_is_the_same_every_day_demand_stays_as_it_came(world, forecaster):
    day = world.observed.values[24 * 40 : 24 * 41]
    same = with_observed(world, np.resize(day, world.observed.values.shape))
    found = normalised(forecaster, same, days(date(2026, 3, 1), date(2026, 3, 31)))
    assert len(found.days) == 31
    np.testing.assert_allclose(found.days[NORMALISED], found.days[DEMAND], rtol=2e-4)


def test_a_hotter_summer_is_normalised_downwards_and_no_change_is_left(hot, forecaster):
    found = normalised(forecaster, hot, days(date(2024, 8, 1), HOT[1]))
    july = found.by("M").set_index("period").loc["2027-07"]
    assert july[DEMAND] > 1.05 * july[NORMALISED]
    assert july["demand_change"] > 5.0
    assert july["normalised_change"] == pytest.approx(0.0, abs=1.5)
    assert found.years == YEARS


def test_growth_is_left_in_and_the_weather_is_taken_out(world, forecaster):
    # A region without panels: their growth is a change of demand too.
    world = replace(world, region=replace(NEW_YORK, respondent="NYISO"))
    assert world.region.rooftop_solar is None
    periods = days(date(2025, 1, 1), date(2027, 12, 31))
    for growth in (0.0, 0.03):
        years = normalised(forecaster, responding(world, forecaster, growth), periods).by("Y")
        np.testing.assert_allclose(years["normalised_change"].iloc[1:], PERCENT * growth, atol=0.1)


def test_of_demand_that_the_model_never_saw_most_of_the_weather_is_taken_out_too(world, forecaster):
    found = normalised(forecaster, world, days(date(2024, 8, 1), date(2028, 6, 30)))
    months = found.by("M").dropna()
    assert months["normalised_change"].std() < 0.6 * months["demand_change"].std()
    # The weather of all these years is the usual one, so it takes nothing from their sum.
    assert found.days[NORMALISED].sum() == pytest.approx(found.days[DEMAND].sum(), rel=0.01)


def test_demand_is_averaged_and_not_the_weather(hot, forecaster):
    """The demand of the years' cases, computed one by one with the rows that forecasts are made from."""
    periods = days(date(2026, 7, 15), date(2026, 7, 15))
    at = hot.position(periods[0])
    path = forecaster.outlook.completed(hot.observed)
    observed = ~np.isnan(path.column(MAIN))
    observed[: 30 * 24] = False
    usual = usual_weather(observed)
    cases = []
    for year in range(-3, 4):
        for shift in (-6, -4, -2, 0, 2, 4, 6):
            first = at - 24 * (round(365.25 * year) + shift)
            if first < 720 or first + 24 > len(observed) or not usual.hours[first : first + 24].all():
                continue
            moved = WeatherPath(path.periods[at - 720 : at + 24], path.values[first - 720 : first + 24])
            responses = response_features(moved, hot.region, last=24)
            cases.append(
                np.exp(forecaster.regression.slowest.predict(responses) / PERCENT) - responses.rooftop_mwh
            )
    assert len(cases) == YEARS * 7
    (found,) = normalised(forecaster, hot, periods).days[NORMALISED]
    assert found == pytest.approx(np.sum(np.mean(cases, axis=0)), rel=2e-4)


def test_a_day_does_not_depend_on_the_days_that_are_asked_with_it(hot, forecaster):
    alone = normalised(forecaster, hot, days(date(2026, 1, 20), date(2026, 1, 20))).days
    among = normalised(forecaster, hot, days(date(2025, 6, 1), date(2026, 8, 1))).days
    among = among[among["day"] == pd.Timestamp(2026, 1, 20)]
    np.testing.assert_allclose(alone[NORMALISED], among[NORMALISED], rtol=2e-4)


def test_days_of_which_something_is_unknown_are_left_out_and_counted(world, forecaster):
    demand, values = world.demand_mwh.copy(), world.observed.values.copy()
    hours = days(date(2026, 2, 1), date(2026, 2, 10))
    demand[world.position(hours[5])] = np.nan
    values[world.position(hours[30]) : world.position(hours[30]) + 2, TEMPERATURES] = np.nan
    found = normalised(forecaster, with_observed(with_demand(world, demand), values), hours)
    assert (found.without_demand, found.without_weather) == (1, 1)
    assert found.days["day"].dt.day.tolist() == [3, 4, 5, 6, 7, 8, 9, 10]
    before = normalised(forecaster, world, days(START.date() - timedelta(days=9), START.date()))
    assert (before.without_demand, before.without_weather) == (9, 1)
    at_first = normalised(forecaster, world, days(date(2024, 7, 2), date(2024, 7, 3)))
    assert (len(at_first.days), at_first.without_weather) == (0, 2)


def test_usual_weather_is_that_of_whole_years_and_of_three_at_least():
    hours = np.ones(round(12.5 * 8766), dtype=bool)
    usual = usual_weather(hours)
    assert (usual.years, int(usual.hours.sum())) == (MOST_YEARS, round(MOST_YEARS * 365.25) * 24)
    with pytest.raises(TooFewYearsError, match=r"^2\.9 years of observed weather are stored"):
        usual_weather(hours[: round(2.9 * 8766)])
    with pytest.raises(TooFewYearsError, match=r"^0\.0 years"):
        usual_weather(~hours)


def test_a_month_with_few_days_has_no_change():
    frame = pd.DataFrame({"day": pd.date_range("2023-01-01", "2024-02-29")})
    frame = frame.assign(demand_mwh=2.0, normalised_mwh=1.0, temperature=5.0)
    frame.loc[frame["day"].dt.year == 2024, DEMAND] = 3.0
    frame = frame[(frame["day"] < "2024-01-20") | (frame["day"] >= "2024-02-01")]
    found = NormalisedDemand(frame, 3, date(2021, 1, 1), date(2023, 12, 31), 0, 0).by("M").set_index("period")
    assert np.isnan(found.loc["2024-01", "demand_change"])
    assert found.loc["2024-02", "demand_change"] == pytest.approx(50.0)  # 29 days against 28
    assert found.loc["2024-02", "normalised_change"] == pytest.approx(0.0)
