"""What the database is asked, against the same sums made by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa

from dashboard import queries
from energy_demand.database import predictions
from energy_demand.database.engine import opened
from energy_demand.database.judged import Judged
from energy_demand.database.tables import prediction_log, raw_demand, truth_flag
from energy_demand.model.metrics import coverage, scores
from energy_demand.timeaxis import HOUR
from logged import row
from support import PRESENT

ZONE = "America/New_York"
WHICH = Judged("NY", ZONE, PRESENT - timedelta(days=40), PRESENT + timedelta(days=2), PRESENT, (16, 40))
FORECAST_HOURS = 719  # thirty days, one of them with 23 hours


@pytest.fixture
def connection(shown):
    with opened(shown) as database, database.transaction() as opened_connection:
        yield opened_connection


def scored(connection, which: Judged) -> dict:
    return queries.over_all(queries.days(connection, which))


@pytest.fixture
def judged(connection) -> pd.DataFrame:
    """The rows that the monitor judges, with the demand that came."""
    rows = pd.DataFrame(connection.execute(sa.select(prediction_log)).mappings())
    nine = rows["issued_at"].dt.tz_convert(ZONE).dt.hour == 9
    rows = rows[(rows["source"] == "scheduled") & nine & (rows["timestamp"] > WHICH.start)]
    rows = rows.sort_values("timestamp", ignore_index=True)
    lags = {name: [each.get(name) for each in rows["features_json"]] for name in queries.NAIVE.values()}
    rows = rows.assign(**lags)
    demand = queries.demand(connection, "NY", WHICH.start, PRESENT).set_index("timestamp")["actual"]
    actual = demand.reindex(rows["timestamp"]).to_numpy()
    return rows.assign(actual=actual, local=(rows["timestamp"] - HOUR).dt.tz_convert(ZONE))


def test_scores_are_those_of_evaluate(connection, judged):
    found = scored(connection, WHICH)
    known = judged.dropna(subset=["actual"])
    wanted = scores(known["actual"], known["predicted_demand"])
    assert found["known"] == wanted["n"] > 600
    for name, other in (("mae", "mae"), ("rmse", "rmse"), ("mape", "mape"), ("bias", "bias_percent")):
        assert found[name] == pytest.approx(wanted[other])
    for level in (80, 95):
        bounds = (known[f"{side}_{level}"].to_numpy() for side in ("lower", "upper"))
        assert found[f"coverage_{level}"] == pytest.approx(coverage(known["actual"].to_numpy(), *bounds))
    both = known.dropna(subset=["demand_lag_24h", "demand_lag_168h"])
    assert found["naive_known"] == len(both)
    for name, column in queries.NAIVE.items():
        assert found[f"{name}_mape"] == pytest.approx(scores(both["actual"], both[column])["mape"])


def test_hours_are_the_rows_that_the_monitor_judges(connection, judged):
    found = queries.hours(connection, WHICH)
    assert len(found) == len(judged) == FORECAST_HOURS
    np.testing.assert_allclose(found["predicted"], judged["predicted_demand"])
    np.testing.assert_allclose(found["actual"], judged["actual"])
    assert (found["lead_hours"].between(16, 40)).all()


def test_days_weekdays_leads_and_bins_add_up_to_the_whole(connection, judged):
    known = int(judged["actual"].notna().sum())
    days = queries.days(connection, WHICH)
    assert (days["hours"].sum(), days["known"].sum()) == (FORECAST_HOURS, known)
    assert days.set_index("day")["hours"][pd.Timestamp("2025-03-09").date()] == 23
    grid = queries.errors_by_hour_and_weekday(connection, WHICH)
    assert grid["known"].sum() == known
    chosen = judged[(judged["local"].dt.dayofweek == 2) & (judged["local"].dt.hour == 17)]
    chosen = chosen.dropna(subset=["actual"])
    cell = grid[(grid["weekday"] == 3) & (grid["hour"] == 17)].iloc[0]
    assert cell["mape"] == pytest.approx(scores(chosen["actual"], chosen["predicted_demand"])["mape"])
    leads = queries.errors_by_lead(connection, WHICH)
    assert leads["known"].sum() == known
    bins = queries.error_histogram(connection, WHICH, 100.0)
    assert bins["n"].sum() == known
    error = (judged["predicted_demand"] - judged["actual"]).dropna()
    assert (
        dict(zip(bins["low"], bins["n"], strict=True))
        == (np.floor(error / 100) * 100).value_counts().to_dict()
    )


def test_filters_choose(connection):
    assert (
        queries.versions(connection, WHICH)
        == queries.versions(connection, replace(WHICH, version="2"))
        == ["1"]
    )
    assert queries.hours(connection, replace(WHICH, version="2")).empty
    fewer = queries.hours(connection, replace(WHICH, leads=(16, 20)))
    assert set(fewer["lead_hours"]) == set(range(16, 21))
    early = replace(WHICH, now=PRESENT - timedelta(days=10))
    known = queries.hours(connection, early).dropna(subset=["actual"])
    assert known["timestamp"].max() == early.now - HOUR, "an hour is known an hour after its end"


def test_another_region_has_nothing(connection):
    other = replace(WHICH, respondent="CAL")
    assert queries.hours(connection, other).empty
    assert queries.counts(connection, "CAL", [], PRESENT)["demand_rows"] == 0
    assert queries.judged_span(connection, "CAL", ZONE, PRESENT) is None


@pytest.fixture
def one_hour(database):
    """An hour with demand of 16,000 MWh; gives its end and logs forecasts of it."""
    period = PRESENT - 2 * HOUR
    with database.transaction() as opened_connection:
        known = {"known_at": period + HOUR, "ingested_at": PRESENT, "origin": "NY"}
        opened_connection.execute(
            sa.insert(raw_demand).values(respondent="NY", series="D", period=period, value=16_000.0, **known)
        )

    def log(number: int, **given: object) -> None:
        issued = given.pop("issued_at", PRESENT - timedelta(days=1))
        made = row(
            number,
            timestamp=period.isoformat(),
            issued_at=issued.isoformat(),
            prediction_made_at=issued.isoformat(),
            lead_hours=int((period - issued) / HOUR),
            **given,
        )
        with database.transaction() as opened_connection:
            predictions.insert_predictions(opened_connection, [made])

    return log


def predicted(database, **changed: object) -> list[float]:
    with database.transaction() as opened_connection:
        return queries.hours(opened_connection, replace(WHICH, **changed))["predicted"].tolist()


def test_only_forecasts_that_were_scheduled_at_nine_count(database, one_hour):
    one_hour(1, source="request")
    one_hour(2, source="backfill")
    one_hour(3, source="scheduled", issued_at=PRESENT - timedelta(days=1) + HOUR)
    assert predicted(database) == []
    one_hour(4, source="scheduled", issued_at=PRESENT - timedelta(days=1) + 59 * HOUR / 60)
    assert predicted(database, leads=(1, 48)) == [15_004.5]


def test_of_several_forecasts_of_an_hour_the_newest_counts_everywhere(database, one_hour):
    one_hour(1, source="scheduled", issued_at=PRESENT - timedelta(days=2))
    one_hour(2, source="scheduled", issued_at=PRESENT - timedelta(days=1))
    assert predicted(database, leads=(1, 48)) == [15_002.5]
    with database.transaction() as opened_connection:
        by_lead = queries.errors_by_lead(opened_connection, replace(WHICH, leads=(1, 48)))
    assert by_lead["lead_hours"].tolist() == [22]
    assert by_lead["mae"].tolist() == [997.5]


def test_each_step_of_the_ladder_has_its_own_errors_and_the_champion_s_can_be_had_alone(connection, judged):
    half = judged["timestamp"].iloc[len(judged) // 2]
    fallback = prediction_log.c.timestamp > half
    connection.execute(sa.update(prediction_log).where(fallback).values(quality="base_booster"))
    found = queries.errors_by_quality(connection, WHICH).set_index("quality")
    assert list(found.index) == ["champion", "base_booster"]
    assert found["hours"].sum() == len(judged)
    own = judged[judged["timestamp"] <= half].dropna(subset=["actual"])
    wanted = scores(own["actual"], own["predicted_demand"])
    assert found.loc["champion", "mape"] == pytest.approx(wanted["mape"])
    alone = scored(connection, replace(WHICH, own=True))
    assert (alone["known"], alone["mae"]) == (wanted["n"], pytest.approx(wanted["mae"]))
    connection.rollback()


def test_the_operator_is_scored_on_the_hours_that_it_published(database, one_hour):
    one_hour(1, source="scheduled")
    which = replace(WHICH, leads=(1, 48))
    period = PRESENT - 2 * HOUR
    published = {"respondent": "NY", "series": "DF", "origin": "NY", "ingested_at": PRESENT}
    with database.transaction() as opened_connection:
        assert scored(opened_connection, which)["operator_known"] == 0
        opened_connection.execute(
            sa.insert(raw_demand).values(
                period=period, value=16_160.0, known_at=period - 24 * HOUR, **published
            )
        )
        found = scored(opened_connection, which)
    assert (found["operator_known"], found["operator_mape"]) == (1, pytest.approx(1.0))
    assert found["operator_own_mape"] == pytest.approx(100 * 998.5 / 16_000)


def test_an_hour_that_screening_doubts_is_no_truth(database, one_hour):
    one_hour(1, source="scheduled")
    with database.transaction() as opened_connection:
        assert scored(opened_connection, replace(WHICH, leads=(1, 48)))["known"] == 1
        opened_connection.execute(
            sa.insert(truth_flag).values(
                respondent="NY", period=PRESENT - 2 * HOUR, flag="SPIKE", flagged_at=PRESENT
            )
        )
        found = scored(opened_connection, replace(WHICH, leads=(1, 48)))
    assert (found["known"], found["mae"], found["coverage_80"]) == (0, None, None)


def test_a_forecast_covers_the_whole_day_or_is_none(connection, shown):
    start = pd.Timestamp("2025-03-13", tz=ZONE)
    given = ("NY", start.to_pydatetime(), (start + timedelta(days=1)).to_pydatetime(), 24)
    found = queries.newest_forecast(connection, *given, PRESENT)
    assert len(found) == 24
    assert set(found["source"]) == {"scheduled"}
    assert queries.newest_forecast(connection, *given, PRESENT - HOUR).empty
    connection.execute(sa.delete(prediction_log).where(prediction_log.c.id == int(found["id"].iloc[3])))
    assert queries.newest_forecast(connection, *given, PRESENT).empty
    connection.rollback()


def test_a_day_of_features_that_a_caller_brought_is_no_forecast(connection):
    start = pd.Timestamp("2025-03-15", tz=ZONE)
    given = ("NY", start.to_pydatetime(), (start + timedelta(days=1)).to_pydatetime(), 24)

    def brought(**more: object) -> list[dict]:
        hours = pd.date_range(start + HOUR, periods=24, freq="h").tz_convert("UTC")
        return [
            row(timestamp=hour.isoformat(), **{name: value(number) for name, value in more.items()})
            for number, hour in enumerate(hours)
        ]

    batch = brought(request_id=lambda _: "batch", row_number=lambda number: number)
    predictions.insert_predictions(connection, batch)
    assert queries.newest_forecast(connection, *given, PRESENT).empty
    predictions.insert_predictions(connection, brought(request_id=lambda _: "forecast"))
    assert len(queries.newest_forecast(connection, *given, PRESENT)) == 24
    connection.rollback()


def test_checks_and_features_are_those_of_the_span(connection):
    since = PRESENT - timedelta(days=5)
    checks = queries.checks(connection, "NY", since, PRESENT)
    assert len(checks) == 5
    assert checks["drift_share"].iloc[-1] == 0.5
    found = queries.feature_scores(connection, "NY", ZONE, since, PRESENT)
    assert len(found) == 5 * 15
    newest = found[found["day"] == found["day"].max()]
    assert set(newest["score"]) == {0.9}
    assert newest["drifted"].all()


def test_forecasts_in_the_shadow_are_shown_to_nobody(connection):
    everything = connection.scalar(sa.select(sa.func.count()).select_from(prediction_log))
    assert everything > FORECAST_HOURS
    assert queries.counts(connection, "NY", ["albany"], PRESENT)["predictions"] == FORECAST_HOURS
    tomorrow = PRESENT + 15 * HOUR  # midnight in New York
    shown = queries.newest_forecast(connection, "NY", tomorrow, tomorrow + 24 * HOUR, 24, PRESENT)
    assert set(shown["source"]) == {"scheduled"}
    # Also where nothing else is logged of the day.
    connection.execute(sa.delete(prediction_log).where(prediction_log.c.source == "scheduled"))
    assert queries.newest_forecast(connection, "NY", tomorrow, tomorrow + 24 * HOUR, 24, PRESENT).empty
    connection.rollback()


def test_a_shadow_is_compared_on_the_hours_that_the_champion_itself_forecast(connection):
    since = PRESENT - timedelta(days=7)
    ask = ("NY", ZONE, "2", "1", since, PRESENT)
    hours = queries.shadow_hours(connection, *ask)
    assert len(hours) == 8 * 24 - 1, "one day has 23 hours"
    np.testing.assert_allclose(hours["challenger_mwh"], 1.01 * hours["champion_mwh"])
    assert (hours.groupby("day").size() <= 24).all()
    known = hours.dropna(subset=["actual_mwh"])
    assert known["period"].max() <= pd.Timestamp(PRESENT - HOUR)
    assert queries.shadow_hours(connection, "NY", ZONE, "2", "3", since, PRESENT).empty
    assert queries.shadow_hours(connection, "NY", ZONE, "3", "1", since, PRESENT).empty
    later = queries.shadow_hours(connection, "NY", ZONE, "2", "1", PRESENT - timedelta(days=3), PRESENT)
    assert len(later) == 4 * 24, "what was issued before does not count"
    fallback = prediction_log.c.source == "scheduled"
    connection.execute(sa.update(prediction_log).where(fallback).values(quality="previous_champion"))
    assert queries.shadow_hours(connection, *ask).empty
    connection.rollback()
