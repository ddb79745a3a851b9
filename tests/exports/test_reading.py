"""Exports of a real database: against what was put into it, and against scores, dashboard and history."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import pandas as pd
import pytest
import sqlalchemy as sa

from dashboard import queries
from energy_demand.columns import OWN_ANSWERS
from energy_demand.database import exports
from energy_demand.database.engine import open_database
from energy_demand.database.judged import Judged
from energy_demand.database.predictions import fill_actuals
from energy_demand.database.repository import read_demand, read_truth
from energy_demand.database.watched import watched
from energy_demand.exports import reading
from energy_demand.exports.questions import QuestionError, parse_question
from energy_demand.exports.reading import open_export
from energy_demand.region import NEW_YORK
from energy_demand.timeaxis import HOUR, local_midnight
from logged_days import (
    CALLER,
    DAYS,
    DOUBTED,
    FALLBACK_DAY,
    FLAGGED_AT,
    LONG_DAY,
    MORNING,
    NOON,
    REVISED,
    REVISED_AT,
    SHORT_DAY,
    USUAL_DAY,
    WITHDRAWN,
    ZERO,
    ZONE,
    demand_of,
    fill,
    issued,
    periods,
)
from support import PRESENT, make_settings

if TYPE_CHECKING:
    from energy_demand.database.engine import Database

SPECIAL = dict(enumerate(periods(USUAL_DAY)[:4]))


@pytest.fixture(scope="module")
def filled(new_database_url):
    database = open_database(make_settings(database_url=new_database_url()))
    fill(database)
    yield database
    database.close()


def rows(database: Database, export: str, **parameters: str | list[str]) -> pd.DataFrame:
    """The whole answer to a question."""
    return page(database, export, **parameters)[0]


def page(database: Database, export: str, **parameters: str | list[str]) -> tuple[pd.DataFrame, str | None]:
    values = {name: [each] if isinstance(each, str) else each for name, each in parameters.items()}
    answer = open_export(database, parse_question(export, values, NEW_YORK, PRESENT))
    frames = [batch.to_pandas() for batch in answer.batches]
    return pd.concat(frames, ignore_index=True), answer.next_cursor


def texts(moment) -> str:
    return moment.isoformat()


def test_every_row_of_the_log_but_those_of_the_shadow_is_there_in_order(filled):
    found = rows(filled, "forecasts")
    hours = sum(len(periods(day)) for day in DAYS)
    assert len(found) == 3 * hours + len(DAYS)  # morning, noon and the batch; and one of a caller
    assert found[["period", "issued_at"]].apply(tuple, axis=1).is_monotonic_increasing
    assert set(found["source"]) == {"scheduled", "request"}
    assert "8" not in set(found["model_version"])
    assert set(found["region"]) == {"NY"}


def test_actual_values_and_errors_are_those_that_models_are_scored_by(filled):
    found = rows(filled, "forecasts", issued_by="09:00", days_ahead="1").set_index("period")
    with filled.transaction() as connection:
        which = Judged("NY", ZONE.key, PRESENT - timedelta(days=366), PRESENT, PRESENT, (0, 48))
        judged = queries.hours(connection, which).set_index("timestamp")
    assert list(found.index) == list(judged.index)
    for shown, name in (("actual_mwh", "actual"), ("predicted_demand_mwh", "predicted")):
        pd.testing.assert_series_equal(found[shown], judged[name], check_names=False, check_index_type=False)
    known = found["actual_mwh"].dropna()
    error = found["predicted_demand_mwh"] - found["actual_mwh"]
    pd.testing.assert_series_equal(found["error_mwh"], error, check_names=False)
    expected = (100 * error / found["actual_mwh"])[found["actual_mwh"] > 0]
    pd.testing.assert_series_equal(found["error_percent"].dropna(), expected.dropna(), check_names=False)
    assert pd.isna(found.loc[SPECIAL[DOUBTED], "actual_mwh"]), "an hour that is flagged is not truth"
    assert pd.isna(found.loc[SPECIAL[ZERO], "error_percent"])
    assert found.loc[SPECIAL[ZERO], "error_mwh"] == found.loc[SPECIAL[ZERO], "predicted_demand_mwh"]
    assert len(known) == len(found) - 2


def test_actual_values_are_what_the_daily_check_stores_beside_the_predictions(filled):
    with filled.transaction() as connection:
        fill_actuals(connection, "NY", PRESENT - timedelta(days=366), PRESENT)
        query = (
            "SELECT actual_demand FROM prediction_log WHERE source <> 'shadow' "
            "ORDER BY timestamp, issued_at, id"
        )
        stored = list(connection.scalars(sa.text(query)))
    found = rows(filled, "forecasts")["actual_mwh"]
    assert [None if pd.isna(value) else value for value in found] == stored


@pytest.mark.parametrize(
    ("day", "hours"),
    [(LONG_DAY, 25), (SHORT_DAY, 23), (USUAL_DAY, 24)],
    ids=["25 hours", "23 hours", "24 hours"],
)
def test_a_day_of_the_day_ahead_series_has_all_its_hours_of_the_morning_s_forecast(filled, day, hours):
    found = rows(filled, "forecasts", days_ahead="1", period_from=str(day), period_to=str(day))
    assert list(found["period"]) == periods(day)
    assert len(found) == hours
    assert set(found["issued_at"]) == {issued(day)}
    assert set(found["source"]) == {"scheduled"}


def test_by_a_later_hour_the_last_forecast_of_the_whole_day_counts_and_no_caller_s_own(filled):
    by_noon = rows(filled, "forecasts", days_ahead="1", issued_by="12:00")
    assert set((by_noon["predicted_demand_mwh"] - by_noon["period"].map(demand_of)).round()) == {NOON}
    assert rows(filled, "forecasts", days_ahead="1", issued_by="08:59").empty
    half_past = rows(filled, "forecasts", days_ahead="1", issued_by="09:30")
    assert set((half_past["predicted_demand_mwh"] - half_past["period"].map(demand_of)).round()) == {MORNING}


def test_the_series_of_a_part_of_a_day_is_a_part_of_the_forecast_of_the_whole_day(filled):
    first, last = periods(USUAL_DAY)[5], periods(USUAL_DAY)[7]
    found = rows(filled, "forecasts", days_ahead="1", period_from=texts(first), period_to=texts(last))
    assert list(found["period"]) == periods(USUAL_DAY)[5:8]


def test_filters_choose_rows(filled):
    everything = rows(filled, "forecasts")
    late = everything["issued_at"] >= issued(SHORT_DAY, noon=True)
    asked = {"issued_from": texts(issued(SHORT_DAY, noon=True))}
    assert len(rows(filled, "forecasts", **asked)) == late.sum()
    by = everything["issued_at"] <= issued(SHORT_DAY)
    assert (
        len(rows(filled, "forecasts", issued_to=texts(issued(SHORT_DAY)), period_from="2024-10-01"))
        == by.sum()
    )
    caller = rows(filled, "forecasts", version="6")
    assert set((caller["predicted_demand_mwh"] - caller["period"].map(demand_of)).round()) == {CALLER}
    fallback = rows(filled, "forecasts", quality=["last_week", "base_booster"])
    assert set(fallback["quality"]) == {"last_week", "base_booster"}
    only = rows(filled, "forecasts", days_ahead="1", quality="champion")
    # Of the fallback day the last forecast of this quality by 09:59 does not exist.
    assert len(only) == sum(len(periods(day)) for day in DAYS if day != FALLBACK_DAY)
    assert rows(filled, "forecasts", version="99").empty
    assert list(rows(filled, "forecasts", version="99").columns) == list(everything.columns)


def test_another_region_has_nothing_of_this_one(filled):
    which = exports.LoggedForecasts("PJM", PRESENT - timedelta(days=366), PRESENT, PRESENT)
    with filled.transaction() as connection:
        assert exports.read_forecasts(connection, which, None, 10).num_rows == 0
        assert not exports.exceeds(connection, which, 0)


def test_as_of_an_earlier_time_only_what_was_logged_and_known_by_then_is_there(filled):
    as_of = issued(USUAL_DAY) + timedelta(seconds=1)  # issued, and logged a second later
    found = rows(filled, "forecasts", as_of=texts(as_of))
    assert found["made_at"].max() < as_of
    assert USUAL_DAY not in {each.astimezone(ZONE).date() for each in found["period"] - HOUR}
    known = rows(filled, "forecasts", as_of=texts(as_of + timedelta(seconds=1)))
    assert len(known) == len(found) + 24 + 1  # the morning's forecast and the caller's row
    assert (found.dropna(subset=["actual_mwh"])["period"] + HOUR <= as_of).all()


@pytest.mark.parametrize(
    "as_of", [PRESENT, REVISED_AT, REVISED_AT - HOUR, FLAGGED_AT - HOUR, FLAGGED_AT - timedelta(days=2)]
)
def test_demand_as_of_a_time_is_what_history_knew_then(filled, as_of):
    found = rows(filled, "demand", as_of=texts(as_of), period_from="2024-10-01").set_index("period")
    span = ("NY", PRESENT - timedelta(days=366), PRESENT, as_of)
    with filled.transaction() as connection:
        served = read_demand(connection, span[0], "D", *span[1:]).set_index("period")["value"]
        truth = read_truth(connection, *span).set_index("period")["value"]
    assert found["demand_mwh"].dropna().to_dict() == served.to_dict()
    assert found["actual_mwh"].dropna().to_dict() == truth.to_dict()
    forecasts = rows(filled, "forecasts", as_of=texts(as_of), period_from="2024-10-01").set_index("period")
    assert forecasts["actual_mwh"].dropna().to_dict() == {
        period: value for period, value in truth.items() if period in set(forecasts.index)
    }


def test_demand_has_its_flags_and_a_row_where_only_a_flag_is(filled):
    found = rows(filled, "demand").set_index("period")
    doubted, withdrawn = found.loc[SPECIAL[DOUBTED]], found.loc[SPECIAL[WITHDRAWN]]
    assert (doubted["screening_flag"], doubted["truth_flag"]) == ("SPIKE", "SPIKE")
    assert (doubted["demand_mwh"], doubted["imputed_mwh"]) == (demand_of(SPECIAL[DOUBTED]), 15_555.0)
    assert pd.isna(doubted["actual_mwh"])
    assert (withdrawn["screening_flag"], withdrawn["imputed_mwh"]) == ("MISSING", 15_777.0)
    assert pd.isna(withdrawn["demand_mwh"])
    assert pd.isna(withdrawn["known_at"])
    assert found.loc[SPECIAL[REVISED], "known_at"] == REVISED_AT
    assert list(found.index) == [period for day in DAYS for period in periods(day)]


@pytest.mark.parametrize(
    ("export", "parameters"),
    [
        ("forecasts", {}),
        ("forecasts", {"days_ahead": "1"}),
        ("demand", {}),
        ("scores", {}),
        ("scores", {"by": "version"}),
        ("scores", {"by": "quality"}),
    ],
)
@pytest.mark.parametrize("limit", [1, 7, 50_000])
def test_pages_together_are_the_whole_answer(filled, export, parameters, limit, monkeypatch):
    monkeypatch.setattr(reading, "FIRST_ROWS", 5)
    monkeypatch.setattr(reading, "BATCH_ROWS", 11)
    # A page of one row is asked for where there are few rows.
    parameters = {**parameters, "period_from": str(FALLBACK_DAY if limit == 1 else SHORT_DAY)}
    whole = rows(filled, export, **parameters)
    found, cursor = page(filled, export, **parameters, limit=str(limit))
    frames = [found]
    while cursor is not None:
        assert len(frames[-1]) == limit
        found, cursor = page(filled, export, **parameters, limit=str(limit), cursor=cursor)
        assert len(found)
        frames.append(found)
    pd.testing.assert_frame_equal(pd.concat(frames, ignore_index=True), whole)


def test_scores_by_day_are_those_of_the_dashboard(filled):
    found = rows(filled, "scores", period_from="2024-10-01")
    with filled.transaction() as connection:
        which = Judged("NY", ZONE.key, PRESENT - timedelta(days=366), PRESENT, PRESENT, (0, 48), own=True)
        shown = queries.days(connection, which)
    assert list(found["day"]) == list(shown["day"]) == [LONG_DAY, SHORT_DAY, USUAL_DAY]
    assert list(found["hours"]) == [25, 23, 24]
    for name, column in (
        ("known", "known"),
        ("mae_mwh", "mae"),
        ("rmse_mwh", "rmse"),
        ("mape", "mape"),
        ("bias_percent", "bias"),
        ("coverage_80", "coverage_80"),
        ("coverage_95", "coverage_95"),
    ):
        assert list(found[name]) == pytest.approx(list(shown[column])), name


def test_scores_of_the_week_are_the_metrics_that_prometheus_scrapes(filled):
    week = {"period_from": texts(PRESENT - timedelta(days=7) + HOUR), "period_to": texts(PRESENT)}
    (version,) = rows(filled, "scores", by="version", **week).itertuples()
    by_quality = rows(filled, "scores", by="quality", **week)
    with filled.transaction() as connection:
        figures = watched(connection, NEW_YORK, "ecmwf_ifs", PRESENT)
    assert (version.mae_mwh, version.mape) == pytest.approx((figures.mae, figures.mape))
    assert [(each.quality, each.known, pytest.approx(each.mae_mwh)) for each in by_quality.itertuples()] == [
        (step.quality, step.hours, step.mae) for step in figures.by_step
    ]
    assert set(by_quality["quality"]) - set(OWN_ANSWERS) == {"last_week"}


def test_scores_are_errors_of_the_day_ahead_series(filled):
    series = rows(filled, "forecasts", days_ahead="1", period_from="2024-10-01")
    day = (series["period"] - HOUR).dt.tz_convert(ZONE.key).dt.date
    mae = series["error_mwh"].abs().groupby(day).mean()
    found = rows(filled, "scores", quality=["champion", "last_week"], period_from="2024-10-01")
    assert list(found["mae_mwh"]) == pytest.approx(list(mae))
    assert list(found["day"]) == list(DAYS)


def test_more_rows_than_an_answer_may_have_are_refused_before_the_first(filled):
    question = parse_question("forecasts", {}, NEW_YORK, PRESENT)
    whole = len(rows(filled, "forecasts"))
    with filled.transaction() as connection:
        connection.exec_driver_sql("ANALYZE prediction_log")  # the planner says whether to count
    assert open_export(filled, question, most_rows=whole) is not None
    with pytest.raises(QuestionError, match=f"more than {whole - 1} rows match; ask for fewer days"):
        open_export(filled, question, most_rows=whole - 1)


def test_a_statement_that_takes_too_long_is_the_question_s_fault(filled):
    with (
        pytest.raises(QuestionError, match="takes longer than 10 s to find; ask for fewer days"),
        reading._in_time(filled) as connection,
    ):
        connection.exec_driver_sql("SET LOCAL statement_timeout = '20ms'")
        connection.exec_driver_sql("SELECT pg_sleep(5)")
    with (
        pytest.raises(QuestionError, match="ask for fewer days"),
        reading._in_time(filled) as connection,
    ):
        cursor = connection.connection.cursor()
        cursor.execute("SET LOCAL statement_timeout = '20ms'")
        cursor.execute("SELECT pg_sleep(5)")


def test_between_batches_no_connection_is_used_and_rows_logged_meanwhile_come_once(filled, monkeypatch):
    monkeypatch.setattr(reading, "FIRST_ROWS", 3)
    monkeypatch.setattr(reading, "BATCH_ROWS", 10)
    answer = open_export(filled, parse_question("forecasts", {}, NEW_YORK, PRESENT))
    seen = [next(answer.batches), next(answer.batches)]
    assert filled.engine.pool.checkedout() == 0
    seen += list(answer.batches)
    assert sum(batch.num_rows for batch in seen) == len(rows(filled, "forecasts"))


def test_an_empty_database_has_columns_and_no_rows(database):
    for export in ("forecasts", "demand", "scores"):
        found = rows(database, export)
        assert found.empty
        assert found.columns[0] == "region"
    assert rows(database, "forecasts", days_ahead="1", period_from="2025-01-01").empty


def test_a_day_that_begins_at_another_offset_is_found_by_its_local_midnight(filled):
    start = local_midnight(date(2025, 3, 9), ZONE)
    found = rows(filled, "demand", period_from="2025-03-09", period_to="2025-03-09")
    assert (found["period"].min(), found["period"].max()) == (start + HOUR, start + 23 * HOUR)
