"""The trial of a forecaster before it serves: whole ones pass, broken ones say what is broken."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from energy_demand.model.predict import ForecastError
from energy_demand.model.trial import NEW_HOURS, RUN_HOURS, trial_record, try_out
from energy_demand.region import NEW_YORK
from records import with_other_responses

OTHER = replace(NEW_YORK, respondent="PJM")
FEWER_SITES = replace(NEW_YORK, sites=NEW_YORK.sites[:2])
MOST_SECONDS = 2.0  # of processor time; 0.2 on a free machine


def test_a_whole_forecaster_passes_and_the_trial_is_quick(trained):
    for model in (trained.forecaster, trained.judged):
        try_out(model, NEW_YORK)
    started = time.process_time()
    try_out(trained.forecaster, NEW_YORK)
    assert time.process_time() - started < MOST_SECONDS


def test_the_trial_continues_the_state_and_asks_for_guessed_weather_too(forecaster):
    record, issued_at = trial_record(forecaster, NEW_YORK)
    assert issued_at == forecaster.regression.through + timedelta(hours=NEW_HOURS + 1)
    assert forecaster.advance(record).regression.through == forecaster.regression.through + timedelta(
        hours=NEW_HOURS
    )
    has_run = forecaster.horizon(record, issued_at).has_run
    assert has_run[:RUN_HOURS].all()
    assert not has_run[RUN_HOURS:].any()


@pytest.mark.parametrize("factor", [0.0, 0.5, 2.0, np.nan])
def test_a_forecaster_whose_demand_is_not_plausible_fails(factor, forecaster):
    regression = forecaster.regression
    filters = tuple(
        replace(state, coefficients=state.coefficients + (factor - 1) * 300.0) for state in regression.filters
    )
    broken = replace(forecaster, regression=replace(regression, filters=filters))
    with pytest.raises(ForecastError, match="the whole forecaster predicts .* trial hours"):
        try_out(broken, NEW_YORK)


def test_a_forecaster_of_other_columns_fails(forecaster):
    with pytest.raises(ValueError, match="do not have the columns"):
        try_out(with_other_responses(forecaster), NEW_YORK)


@pytest.mark.parametrize(
    ("region", "said"),
    [
        (OTHER, "trained for NY, not for PJM"),
        (FEWER_SITES, "buffalo, syracuse, not of new_york_city, albany;"),
    ],
    ids=["another region", "other sites"],
)
def test_a_forecaster_of_another_place_fails(region, said, forecaster):
    with pytest.raises(ForecastError, match=said):
        try_out(forecaster, region)
