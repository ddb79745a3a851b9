"""A forecast from Python and from the job are the same; only the job logs it."""

from __future__ import annotations

import re
from datetime import timedelta

import pandas as pd
import pytest
import sqlalchemy as sa

import energy_demand
from energy_demand.data.record_store import NoDemandError
from energy_demand.database.tables import prediction_log
from energy_demand.errors import RegionError, UserError
from energy_demand.evaluation.promotion import FIRST, Decision, Verdict
from energy_demand.jobs.forecast import run_forecast
from energy_demand.jobs.operator_combination import combine
from energy_demand.model.predict import ForecastError
from energy_demand.registry.champion import NoChampionError
from energy_demand.registry.registry import get_champion_model, promote_to_champion
from energy_demand.timeaxis import TimeFormatError, local_day, utc_text


def logged(database) -> int:
    with database.transaction() as connection:
        return connection.scalar(sa.select(sa.func.count()).select_from(prediction_log))


def test_a_forecast_from_python_is_that_of_the_job_and_is_not_logged(settings, database, registry):
    before = logged(database)
    frame = energy_demand.forecast(day="tomorrow", settings=settings)
    assert (frame.attrs["model_version"], len(frame)) == ("1", 24)
    assert logged(database) == before
    now = settings.present()
    by_job = run_forecast(database, registry, settings, now, now, day="tomorrow")
    pd.testing.assert_frame_equal(frame, by_job.hours, rtol=0, atol=0.0501)
    assert {**frame.attrs, "hours": None} == {**combine(database, settings, by_job).to_json(), "hours": None}
    assert logged(database) == before + 24


def test_a_forecast_from_python_may_be_of_an_earlier_time(settings):
    earlier = settings.present() - timedelta(hours=30)
    as_of = energy_demand.forecast(hours=4, as_of=earlier.isoformat(), settings=settings)
    now = energy_demand.forecast(hours=4, now=earlier, settings=settings)
    pd.testing.assert_frame_equal(as_of, now)
    assert as_of.attrs == now.attrs
    assert as_of.attrs["issued_at"] == utc_text(earlier)
    tomorrow = local_day(settings.present(), settings.region.zone) + timedelta(days=1)
    by_text, by_date = (
        energy_demand.forecast(day=day, settings=settings) for day in (str(tomorrow), tomorrow)
    )
    pd.testing.assert_frame_equal(by_text, by_date)


@pytest.mark.parametrize(
    ("asked", "kind", "words"),
    [
        ({"hours": 49}, ForecastError, "between 1 and 48"),
        ({"hours": 3, "day": "tomorrow"}, ForecastError, "not both"),
        ({"day": "someday"}, TimeFormatError, "'someday' is not a valid date"),
        ({"as_of": "9999-01-01"}, ForecastError, "as_of 9999-01-01T00:00:00Z is in the future"),
        ({"now": "soon"}, TimeFormatError, "'soon' is not a valid time"),
        ({"as_of": "2020-01-01"}, NoDemandError, "run `energy-demand ingest` or `energy-demand backfill`"),
        ({"region": "PJM"}, RegionError, "PJM is not among the regions"),
    ],
    ids=lambda each: str(each) if isinstance(each, dict) else "",
)
def test_what_cannot_be_forecast_is_a_user_s_error(settings, asked, kind, words):
    with pytest.raises(kind, match=re.escape(words)) as refused:
        energy_demand.forecast(**asked, settings=settings)
    assert isinstance(refused.value, UserError)


def test_without_a_champion_the_error_says_what_to_run(settings, tmp_path):
    empty = settings.model_copy(update={"energy_demand_home": tmp_path / "empty"})
    with pytest.raises(NoChampionError, match="energy-demand train"):
        energy_demand.forecast(settings=empty)


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
