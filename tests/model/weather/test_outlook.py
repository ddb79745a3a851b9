"""The outlook: it fills what is missing, corrects what is wrong, and never looks past the issue."""

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
    return fit_guesses(
        record.observed.until(pd.Timestamp(CUT), 10_000), record.issued, record.region.zone, RECIPE
    )


@pytest.fixture(scope="module")
def outlook(guessing, record) -> Outlook:
    return fit_corrections(guessing, record, RECIPE, pd.Timestamp(CUT))


def off(outlook: Outlook, record, name: str, issued=None) -> float:
    """Root mean square error of a column a day ahead, over the issues after the cut."""
    missed = []
    for issue in ISSUES:
        moment = pd.Timestamp(issue)
        path, _ = outlook.horizon(record.observed, record.issued if issued is None else issued, moment)
        came = record.observed.values[record.position(moment) + 1 :][: len(path.periods)]
        missed.append((path.values - came)[15:39, COLUMN[name]])
    return float(np.sqrt(np.mean(np.square(missed))))


def test_it_reaches_48_hours_from_the_hour_of_issue(outlook, record):
    path, _ = outlook.horizon(
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


def test_what_is_learnt_does_not_depend_on_what_came_after_it(guessing, outlook, record):
    altered = altered_after(record, CUT)
    again = fit_corrections(guessing, altered, RECIPE, pd.Timestamp(CUT))
    for name, booster in outlook.corrections.items():
        assert again.corrections[name].model_to_string() == booster.model_to_string()


def test_a_constant_error_of_the_runs_is_corrected(guessing, record):
    wrong = record.forecasts.copy()
    wrong["temperature_2m"] += 3.0
    biased = make_record(record.demand, record.weather, wrong, record.region, record.periods[-1])
    corrected = fit_corrections(guessing, biased, RECIPE, pd.Timestamp(CUT))
    assert off(guessing, biased, MAIN) > 2.8
    assert off(corrected, biased, MAIN) < 0.75 * off(guessing, biased, MAIN)


def test_sites_that_follow_the_main_site_are_guessed_from_its_run(record):
    weather = record.weather.copy()
    main = weather.loc[weather["site"] == "new_york_city", "temperature_2m"].to_numpy()
    for site in ("albany", "buffalo", "syracuse"):
        weather.loc[weather["site"] == site, "temperature_2m"] = main - 4.0
    alike = make_record(record.demand, weather, record.forecasts, record.region, record.periods[-1])
    past = alike.observed.until(pd.Timestamp(CUT), 10_000)
    outlook = fit_guesses(past, alike.issued, alike.region.zone, RECIPE)
    nothing = synthetic_record(days=60, runs=False).issued
    assert outlook.climate.slope == pytest.approx(1.0, abs=0.02)
    assert off(outlook, alike, REST) < 0.8 * off(outlook, alike, REST, nothing)


def test_without_any_run_temperatures_are_guessed_from_what_was_seen(outlook, record):
    nothing = synthetic_record(days=60, runs=False).issued
    with_runs, without = off(outlook, record, MAIN), off(outlook, record, MAIN, nothing)
    climate_alone = np.nanstd(record.observed.column(MAIN)[-24 * 40 :])
    assert with_runs < without < climate_alone


def test_too_few_runs_correct_nothing(guessing, record):
    few = np.arange(len(record.issued.issued_at)) < 10
    assert fit_corrections(guessing, record, RECIPE, pd.Timestamp(CUT), few) is guessing


def test_holes_of_the_past_are_filled_and_what_was_measured_stays(outlook, record):
    values = record.observed.values.copy()
    hole = slice(2000, 2060)
    values[hole, COLUMN[REST]] = np.nan
    values[2030:2040, COLUMN[MAIN]] = np.nan
    path = outlook.completed(WeatherPath(record.periods, values))
    np.testing.assert_array_equal(path.values[:2000], record.observed.values[:2000])
    assert not np.isnan(path.values[:, [COLUMN[MAIN], COLUMN[REST]]]).any()
    assert np.abs(path.values[hole] - record.observed.values[hole])[:, COLUMN[REST]].mean() < 6


def test_a_hole_is_not_filled_from_what_came_after_it(outlook, record):
    values = record.observed.values.copy()
    values[2000:2030, COLUMN[REST]] = np.nan
    later = values.copy()
    later[2031:] += 5.0
    one, other = (outlook.completed(WeatherPath(record.periods, each)) for each in (values, later))
    np.testing.assert_array_equal(one.values[:2030], other.values[:2030])


def test_a_record_without_weather_is_refused(record):
    nothing = WeatherPath(record.periods, np.full_like(record.observed.values, np.nan))
    with pytest.raises(ValueError, match="no temperature of the main site"):
        fit_guesses(nothing, record.issued, record.region.zone, OutlookRecipe())


def test_a_region_of_one_site_needs_no_guess_of_others(record):
    alone = record.weather[record.weather["site"] == "new_york_city"]
    region = replace(record.region, sites=record.region.sites[:1])
    single = make_record(record.demand, alone, record.forecasts, region, record.periods[-1])
    outlook = fit_guesses(single.observed, single.issued, region.zone, RECIPE)
    path, _ = outlook.horizon(single.observed, single.issued, pd.Timestamp(ISSUES[0]))
    np.testing.assert_allclose(path.column(MAIN), path.column(REST))
