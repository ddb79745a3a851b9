"""Weather-normalised demand of a database: years of weather, the champion, and the command."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta

import pandas as pd
import pytest
import sqlalchemy as sa

from energy_demand import cli
from energy_demand.database import repository, weather
from energy_demand.jobs.weather_normalisation import UnknownDaysError, body_of, weather_normalised
from energy_demand.model.weather_normalisation import TooFewYearsError
from energy_demand.timeaxis import day_periods
from records import synthetic_record
from support import PRESENT

FIRST = datetime(2021, 12, 1, tzinfo=UTC)
YEAR = (date(2024, 1, 1), date(2024, 12, 31))


@pytest.fixture
def years(database):
    """The stored weeks, and before them three years of the synthetic world's demand and weather."""
    record = synthetic_record(days=1060, runs=False, start=FIRST)
    known = {"ingested_at": PRESENT}
    demand = record.demand[["period"]].assign(
        respondent="NY",
        series="D",
        value=record.truth_mwh,
        origin="NY",
        known_at=record.demand["period"],
        **known,
    )
    rows = record.weather.assign(source="archive", known_at=record.weather["timestamp"], **known)
    with database.transaction() as connection:
        repository.upsert_demand(connection, demand, PRESENT - timedelta(days=100))
        weather.upsert_weather(connection, rows, PRESENT - timedelta(days=100))
    return database


@pytest.fixture
def forecaster(registry):
    return registry.champion().forecaster


def test_stored_days_are_normalised_and_what_is_unknown_is_counted(years, forecaster, settings):
    whole = weather_normalised(years, forecaster, settings, PRESENT, *YEAR)
    assert len(whole.days) > 350  # the others have an hour that is doubted
    assert len(whole.days) + whole.without_demand == 366
    gone = day_periods(whole.days["day"].iloc[100].date(), settings.region.zone)[12]
    with years.transaction() as connection:
        connection.execute(sa.text("DELETE FROM raw_demand WHERE period = :at"), {"at": gone})
    found = weather_normalised(years, forecaster, settings, PRESENT, *YEAR)
    assert len(found.days) == len(whole.days) - 1
    assert (found.without_demand, found.without_weather) == (whole.without_demand + 1, 0)
    assert found.years == 3
    body = json.loads(json.dumps(body_of(found, "NY"), default=str))
    assert [len(body[name]) for name in ("years", "months", "days")] == [1, 12, len(found.days)]
    assert body["months"][4]["demand_change"] is None
    assert body["days_without_demand"] == found.without_demand
    assert sum(each["normalised_mwh"] for each in body["months"]) == pytest.approx(
        body["years"][0]["normalised_mwh"], abs=1.0
    )


def test_days_after_the_present_and_before_the_record_are_refused(years, forecaster, settings):
    for first, last, reason in (
        (date(2025, 3, 12), date(2025, 4, 1), "2025-03-12 is not over yet"),
        (date(2020, 1, 1), date(2020, 1, 3), "3 lack demand of some hour"),
    ):
        with pytest.raises(UnknownDaysError, match=reason):
            weather_normalised(years, forecaster, settings, PRESENT, first, last)


def test_with_less_than_three_years_of_weather_it_says_how_many_there_are(database, forecaster, settings):
    with pytest.raises(TooFewYearsError, match=r"^0\.3 years of observed weather are stored"):
        weather_normalised(database, forecaster, settings, PRESENT, date(2025, 1, 1), date(2025, 2, 1))


def test_the_command_tells_it_as_text_and_as_one_json_object(years, settings, monkeypatch, capfd):
    monkeypatch.setenv("ENERGY_DEMAND_HOME", str(settings.home))
    monkeypatch.setenv("ENERGY_DEMAND_NOW", PRESENT.isoformat())
    monkeypatch.setenv("DATABASE_URL", settings.database_url.get_secret_value())

    def told(*more: str) -> str:
        window = ("--start", "2024-02-01", "--end", "2025-02-28")
        monkeypatch.setattr("sys.argv", ["energy-demand", "weather-normalised", *window, *more])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert not ended.value.code
        return capfd.readouterr().out

    (line,) = told("--json").splitlines()
    months = pd.DataFrame(json.loads(line)["months"]).set_index("month")
    february = months.loc["2025-02"]
    assert february["normalised_change"] is not None
    text = told()
    assert f"{february['normalised_mwh'] / 1000:,.1f}" in text
    assert "usual weather: 3 years" in text
