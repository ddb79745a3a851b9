"""A forecast from Python and from the job are the same; only the job logs it."""

from __future__ import annotations

import pandas as pd
import sqlalchemy as sa

import energy_demand
from energy_demand.database.tables import prediction_log
from energy_demand.evaluation.promotion import FIRST, Decision, Verdict
from energy_demand.jobs.forecast import run_forecast
from energy_demand.registry.registry import get_champion_model, promote_to_champion


def logged(database) -> int:
    with database.transaction() as connection:
        return connection.scalar(sa.select(sa.func.count()).select_from(prediction_log))


def test_a_forecast_from_python_is_that_of_the_job_and_is_not_logged(settings, database, registry):
    before = logged(database)
    forecast = energy_demand.forecast(day="tomorrow", settings=settings)
    assert (forecast.model_version, len(forecast.hours)) == ("1", 24)
    assert logged(database) == before
    now = settings.present()
    by_job = run_forecast(database, registry, settings, now, now, day="tomorrow")
    pd.testing.assert_frame_equal(forecast.hours, by_job.hours, check_exact=True)
    assert logged(database) == before + 24


def test_the_contract_s_functions_promote_a_version_and_give_its_model(settings, registry):
    second = registry.load("2")
    refused = Verdict(Decision.REFUSED, "worse than the champion")
    assert promote_to_champion(second.run_id, refused, settings) is False
    assert get_champion_model(settings).trained_through == registry.load("1").forecaster.trained_through
    assert registry.champion_version() == "1"
    assert promote_to_champion(second.run_id, FIRST, settings) is True
    assert registry.champion_version() == "2"
    pd.testing.assert_series_equal(
        pd.Series(get_champion_model(settings).regression.innovations),
        pd.Series(second.forecaster.regression.innovations),
    )
