"""The outlook: it fills gaps, corrects forecasts, and never uses weather observed after the issue."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from energy_demand.data.record import make_record
from energy_demand.data.weather_path import MAIN, PATH_COLUMNS, REST, WeatherPath
from energy_demand.model.weather.training import OutlookRecipe, fit_corrections, fit_guesses
from records import QUICK, START, altered_after, synthetic_record

if TYPE_CHECKING:
    from energy_demand.model.weather.outlook import Outlook

COLUMN = {name: position for position, name in enumerate(PATH_COLUMNS)}
RECIPE = replace(QUICK.outlook, guess_trees=150, correction_trees=100)
CUT = START + timedelta(days=200)
ISSUES = [CUT + timedelta(days=day, hours=13) for day in range(1, 30)]


@pytest.fixture(scope="module")
def guessing(record) -> Outlook:
    return fit_guesses(record.observed.until(pd.Timestamp(CUT), 10_000), record.issued, record.region, RECIPE)


@pytest.fixture(scope="module")
def outlook(guessing, record) -> Outlook:
    return fit_corrections(guessing, record, RECIPE, pd.Timestamp(CUT))


def rmse(outlook: Outlook, record, name: str, issued=None) -> float:
    """Root mean square error of a column a day ahead, over the issues after the cut."""
    errors = []
    for issue in ISSUES:
        issued_at = pd.Timestamp(issue)
        path, *_ = outlook.horizon(record.observed, record.issued if issued is None else issued, issued_at)
        observed = record.observed.values[record.position(issued_at) + 1 :][: len(path.periods)]
        errors.append((path.values - observed)[15:39, COLUMN[name]])
    return float(np.sqrt(np.mean(np.square(errors))))


def test_it_reaches_48_hours_from_the_hour_of_issue(outlook, record):
    path, *_ = outlook.horizon(
        record.observed, record.issued, pd.Timestamp(ISSUES[0]) + pd.Timedelta(minutes=20)
    )
    assert path.periods[0] == pd.Timestamp(ISSUES[0]) + pd.Timedelta(hours=1)
    assert len(path.periods) == 48
    assert not np.isnan(path.values[:, [COLUMN[MAIN], COLUMN[REST]]]).any()


def test_nothing_after_the_issue_changes_it(outlook, record):
    for issue in ISSUES[:5]:
        altered = altered_after(record, issue)
        one, other = (each_path(outlook, each, issue) for each in (record, altered))
        np.testing.assert_array_equal(one, other)


def each_path(outlook: Outlook, record, issue) -> np.ndarray:
    return outlook.horizon(record.observed, record.issued, pd.Timestamp(issue))[0].values


def test_corrections_do_not_depend_on_later_hours(guessing, outlook, record):
    altered = altered_after(record, CUT)
    again = fit_corrections(guessing, altered, RECIPE, pd.Timestamp(CUT))
    for name, booster in outlook.corrections.items():
        assert again.corrections[name].model_to_string() == booster.model_to_string()


def test_a_constant_error_of_the_weather_runs_is_corrected(guessing, record):
    shifted = record.forecasts.copy()
    shifted["temperature_2m"] += 3.0
    biased = make_record(record.demand, record.weather, shifted, record.region, record.periods[-1])
    corrected = fit_corrections(guessing, biased, RECIPE, pd.Timestamp(CUT))
    assert rmse(guessing, biased, MAIN) > 2.8
    assert rmse(corrected, biased, MAIN) < 0.75 * rmse(guessing, biased, MAIN)


def test_sites_that_follow_the_main_site_are_estimated_from_its_run(record):
    weather = record.weather.copy()
    main = weather.loc[weather["site"] == "new_york_city", "temperature_2m"].to_numpy()
    for site in ("albany", "buffalo", "syracuse"):
        weather.loc[weather["site"] == site, "temperature_2m"] = main - 4.0
    alike = make_record(record.demand, weather, record.forecasts, record.region, record.periods[-1])
    past = alike.observed.until(pd.Timestamp(CUT), 10_000)
    outlook = fit_guesses(past, alike.issued, alike.region, RECIPE)
    no_runs = synthetic_record(days=60, runs=False).issued
    assert outlook.climate.slope == pytest.approx(1.0, abs=0.03)  # less than a year draws it a little
    assert rmse(outlook, alike, REST) < 0.8 * rmse(outlook, alike, REST, no_runs)


def test_without_a_weather_run_temperatures_are_estimated_from_observations(outlook, record):
    no_runs = synthetic_record(days=60, runs=False).issued
    with_runs, without = rmse(outlook, record, MAIN), rmse(outlook, record, MAIN, no_runs)
    climate_alone = np.nanstd(record.observed.column(MAIN)[-24 * 40 :])
    assert with_runs < without < climate_alone


def test_too_few_weather_runs_correct_nothing(guessing, record):
    corrected = fit_corrections(
        guessing, record, RECIPE, pd.Timestamp(CUT), lambda issued_at: np.arange(len(issued_at)) < 10
    )
    assert corrected is guessing


def test_gaps_in_the_past_are_filled_and_measured_values_stay(outlook, record):
    values = record.observed.values.copy()
    gap = slice(2000, 2060)
    values[gap, COLUMN[REST]] = np.nan
    values[2030:2040, COLUMN[MAIN]] = np.nan
    path = outlook.completed(WeatherPath(record.periods, values))
    np.testing.assert_array_equal(path.values[:2000], record.observed.values[:2000])
    assert not np.isnan(path.values[:, [COLUMN[MAIN], COLUMN[REST]]]).any()
    assert np.abs(path.values[gap] - record.observed.values[gap])[:, COLUMN[REST]].mean() < 6


def test_a_gap_is_not_filled_from_later_hours(outlook, record):
    values = record.observed.values.copy()
    values[2000:2030, COLUMN[REST]] = np.nan
    later = values.copy()
    later[2031:] += 5.0
    one, other = (outlook.completed(WeatherPath(record.periods, each)) for each in (values, later))
    np.testing.assert_array_equal(one.values[:2030], other.values[:2030])


def test_a_record_without_weather_is_refused(record):
    nothing = WeatherPath(record.periods, np.full_like(record.observed.values, np.nan))
    with pytest.raises(ValueError, match="no observed temperature of the main site"):
        fit_guesses(nothing, record.issued, record.region, OutlookRecipe())


def test_a_region_with_one_site_needs_no_estimate_of_others(record):
    alone = record.weather[record.weather["site"] == "new_york_city"]
    region = replace(record.region, sites=record.region.sites[:1])
    single = make_record(record.demand, alone, record.forecasts, region, record.periods[-1])
    outlook = fit_guesses(single.observed, single.issued, region, RECIPE)
    path, *_ = outlook.horizon(single.observed, single.issued, pd.Timestamp(ISSUES[0]))
    np.testing.assert_allclose(path.column(MAIN), path.column(REST))
