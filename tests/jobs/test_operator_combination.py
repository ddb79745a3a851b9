"""The combination from a real database: ours untouched, late postings left out, nothing of it in the way."""

from __future__ import annotations

import json
from datetime import date, timedelta

import pytest
import sqlalchemy as sa

from energy_demand.database.engine import DatabaseUnavailableError
from energy_demand.jobs import operator_combination
from energy_demand.jobs.forecast import asked_hours, forecast_stored
from energy_demand.jobs.operator_combination import UNREADABLE, combine, live_scores
from energy_demand.terminal.forecasts import print_forecast
from operator_postings import log_days, store_files
from support import PRESENT

FIRST, TODAY = date(2025, 1, 20), date(2025, 3, 12)
TOMORROW = TODAY + timedelta(days=1)


@pytest.fixture
def switched_on(settings):
    return settings.model_copy(update={"operator_forecast": "nyiso"})


@pytest.fixture
def forecast(settings, database, registry):
    periods = asked_hours(settings, PRESENT, hours=48)
    return forecast_stored(database, settings, PRESENT, periods, registry.champion())


def without_operator(body: dict) -> str:
    hours = [{name: value for name, value in hour.items() if name != "operator"} for hour in body["hours"]]
    return json.dumps({name: value for name, value in body.items() if name != "operator"} | {"hours": hours})


def test_each_hour_has_the_operator_s_forecast_our_weight_and_the_combination(
    database, switched_on, forecast
):
    store_files(database, FIRST, TOMORROW)
    log_days(database, FIRST + timedelta(days=10), TODAY)
    body = combine(database, switched_on, forecast).to_json()
    assert body["operator"]["name"] == "nyiso"
    assert body["operator"]["posted_at"] == "2025-03-12T11:45:00Z"
    assert body["operator"]["learnt_hours"] > 24 * 38
    assert body["warnings"] == forecast.warnings()
    for hour in body["hours"]:
        beside = hour["operator"]
        assert beside["published_mwh"] in {17_010.0, 17_020.0}
        assert beside["corrected_mwh"] != beside["published_mwh"]
        between = sorted([hour["predicted_demand_mwh"], beside["corrected_mwh"]])
        assert between[0] - 0.1 <= beside["combination_mwh"] <= between[1] + 0.1
        assert 0 <= beside["our_weight"] <= 1
    assert without_operator(body) == json.dumps(forecast.to_json())


def test_with_the_setting_off_the_answer_is_ours_alone(database, settings, forecast):
    store_files(database, FIRST, TOMORROW)
    assert json.dumps(combine(database, settings, forecast).to_json()) == json.dumps(forecast.to_json())


def test_without_a_posting_the_answer_is_ours_alone_with_a_warning(database, switched_on, forecast):
    combined = combine(database, switched_on, forecast)
    body, alone = combined.to_json(), forecast.to_json()
    assert body["warnings"] == [*alone["warnings"], *combined.operator.warnings()]
    assert "48 of 48 hours" in body["warnings"][-1]
    assert {**body, "warnings": alone["warnings"]} == alone


def test_a_late_posting_leaves_tomorrow_alone_and_today_combined(database, switched_on, forecast):
    store_files(database, FIRST, TODAY)
    body = combine(database, switched_on, forecast).to_json()
    assert ["operator" in hour for hour in body["hours"]] == [True] * 15 + [False] * 33
    assert "33 of 48 hours" in body["warnings"][-1]
    assert body["operator"]["posted_at"] == "2025-03-11T11:45:00Z"


def test_what_is_posted_or_logged_later_changes_nothing(database, switched_on, forecast):
    store_files(database, FIRST, TOMORROW)
    before = combine(database, switched_on, forecast).to_json()
    store_files(database, TOMORROW + timedelta(days=1), TOMORROW + timedelta(days=4), 9_000.0)
    log_days(database, TOMORROW, TOMORROW + timedelta(days=1), 9_000.0)
    with database.transaction() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO operator_forecast SELECT operator, zone, period, lead_days, :later, 9000, "
                ":later, :later FROM operator_forecast WHERE lead_days = 1 AND period > :now"
            ),
            {"later": PRESENT + timedelta(seconds=1), "now": PRESENT},
        )
    assert combine(database, switched_on, forecast).to_json() == before


def test_a_flagged_hour_teaches_nothing(database, switched_on, forecast):
    store_files(database, FIRST, TOMORROW)
    log_days(database, FIRST + timedelta(days=10), TODAY)
    before = combine(database, switched_on, forecast).to_json()["operator"]["learnt_hours"]
    with database.transaction() as connection:
        connection.execute(
            sa.text("INSERT INTO truth_flag VALUES ('NY', :period, 'spike', :at) ON CONFLICT DO NOTHING"),
            {"period": PRESENT - timedelta(days=9), "at": PRESENT - timedelta(days=8)},
        )
    assert combine(database, switched_on, forecast).to_json()["operator"]["learnt_hours"] == before - 1


def test_what_breaks_the_combination_leaves_ours_with_a_warning(
    database, switched_on, forecast, monkeypatch, caplog
):
    store_files(database, FIRST, TOMORROW)

    def broken(*_: object) -> None:
        raise DatabaseUnavailableError("the connection was lost")

    monkeypatch.setattr(operator_combination.operator_forecasts, "read_postings", broken)
    body, alone = combine(database, switched_on, forecast).to_json(), forecast.to_json()
    assert body == {**alone, "warnings": [*alone["warnings"], UNREADABLE]}
    assert "the connection was lost" in caplog.text
    assert combine(None, switched_on, forecast).warnings() == [*forecast.warnings(), UNREADABLE]


def test_a_person_sees_the_combination_when_it_was_posted_and_what_the_weights_are_from(
    database, switched_on, forecast, tmp_path, capsys
):
    store_files(database, FIRST, TODAY)
    zone = switched_on.region.zone
    alone = tmp_path / "alone.png"
    print_forecast(forecast, zone, alone)
    printed_alone = capsys.readouterr().out.replace("alone.png", "")
    both = tmp_path / "both.png"
    print_forecast(forecast, zone, both, operator=combine(database, switched_on, forecast).operator)
    printed = capsys.readouterr().out.replace("both.png", "")
    assert "our weight" in printed
    assert "forecast was posted on Tue 11 Mar at 07:45 local time; equal weights" in printed
    assert printed.count("–\n") >= 33
    assert "our weight" not in printed_alone
    assert all(line in printed for line in printed_alone.splitlines())
    assert both.read_bytes() != alone.read_bytes()


def test_live_scores_are_of_the_same_hours_and_later_values_count_for_nothing(database, switched_on):
    region, delay = switched_on.region, switched_on.availability

    def scores(first: date, last: date) -> dict | None:
        with database.transaction() as connection:
            return live_scores(connection, region, delay, first, last, PRESENT)

    shown = date(2025, 3, 3), date(2025, 3, 9)
    log_days(database, FIRST, TODAY)
    assert scores(*shown) is None
    store_files(database, FIRST, date(2025, 3, 8))
    body = scores(*shown)
    # The files of the 7th and the 8th are the newest with the two days after them.
    assert body["n_hours"] == 6 * 24 + 23
    assert {each["n"] for each in body["hourly"].values()} == {body["n_hours"]}
    assert set(body["hourly"]) == {"model", "published", "corrected", "combination"}
    assert body["hourly"]["corrected"]["mape"] < body["hourly"]["published"]["mape"]
    assert body["hourly"]["combination"]["mape"] < body["hourly"]["model"]["mape"]
    assert scores(date(2025, 3, 14), date(2025, 3, 20)) is None
