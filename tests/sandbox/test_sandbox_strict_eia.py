"""EIA's bad sides: late and revised hours, hours taken back, pages that overlap, files of yesterday."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from energy_demand.sandbox.app import create_app
from energy_demand.sandbox.eia.publication import Publication
from energy_demand.sandbox.strictness import Strictness
from energy_demand.sandbox.worlds.world import hour_number, moment_of_hour

HOURLY = "/eia/v2/electricity/rto/region-data/data/"
FOLDER = "/eia/sixMonthFiles/EIA930_BALANCE_"
NOW = datetime(2025, 3, 20, 14, 30, tzinfo=UTC)
DEMAND = {
    "data[0]": "value",
    "facets[respondent][]": "NY",
    "facets[type][]": "D",
    "sort[0][column]": "period",
    "sort[1][column]": "type",
}
YEAR = np.arange(hour_number(datetime(2024, 1, 1, tzinfo=UTC)), hour_number(datetime(2025, 1, 1, tzinfo=UTC)))


@pytest.fixture
def at(in_process, synthetic_world):
    """Makes a client of a sandbox that is strict in the named parts, at a time."""
    return lambda now=NOW, **parts: in_process(
        create_app(synthetic_world, now=now, strict=Strictness.none(**parts))
    )


def rows(client, **params):
    answer = client.get(HOURLY, params=DEMAND | params)
    assert answer.status_code == 200, answer.text
    return answer.json()["response"]["data"]


def test_an_hour_appears_one_to_two_hours_after_its_end_and_stays():
    publication = Publication(1)
    lags = np.array([publication.lag_hours(int(hour)) for hour in YEAR[:500]])
    assert ((lags >= 1) & (lags < 2)).all()
    assert lags.std() > 0.2
    for hour, lag in zip(YEAR[:50].tolist(), lags.tolist(), strict=False):
        appears = moment_of_hour(hour) + timedelta(hours=lag)
        assert publication.newest(appears + timedelta(seconds=1)) == hour
        assert publication.newest(appears - timedelta(seconds=1)) == hour - 1


def test_the_newest_hour_served_is_the_newest_that_has_appeared(at):
    publication = Publication(1)
    newest = set()
    for minutes in range(0, 120, 10):
        now = NOW + timedelta(minutes=minutes)
        served = rows(at(now, publication=True), start="2025-03-20T06")[-1]["period"]
        expected = f"{moment_of_hour(publication.newest(now)):%Y-%m-%dT%H}"
        assert served == expected
        newest.add(served)
    assert newest >= {"2025-03-20T13", "2025-03-20T14"}
    assert newest <= {"2025-03-20T12", "2025-03-20T13", "2025-03-20T14", "2025-03-20T15"}


def seen_at_age(hours_old):
    """A year's demand of 16,000 MWh, each hour as it is so many hours after its end; NaN is taken back."""
    return Publication(1).of_age(np.full(YEAR.size, 16_000.0), YEAR, np.full(YEAR.size, float(hours_old)))


def test_a_few_percent_are_first_one_percent_off_most_for_three_days_and_none_for_thirty():
    def errors(hours_old):
        seen = seen_at_age(hours_old)
        return np.abs(seen[~np.isnan(seen)] / 16_000.0 - 1)

    first = errors(2.5)
    young = (first > 0).mean()
    assert 0.03 < young < 0.05
    assert first[first > 0].min() == pytest.approx(0.005)
    assert first.max() == pytest.approx(0.025)
    assert 0.006 < first[first > 0].mean() < 0.015
    assert 0 < (errors(73) > 0).mean() < 0.25 * young
    assert (errors(720.5) > 0).mean() == 0


def test_a_few_hours_are_taken_back_after_they_were_served_and_come_again():
    away = np.stack([np.isnan(seen_at_age(age)) for age in range(2, 100)])
    taken = away[:, away.any(axis=0)]
    assert 0.003 < taken.shape[1] / YEAR.size < 0.007
    assert not taken[:3].any()  # younger than five hours
    assert not taken[61:].any()
    assert ((taken.sum(axis=0) >= 3) & (taken.sum(axis=0) <= 12)).all()
    assert (np.diff(taken.astype(int), axis=0) == 1).sum(axis=0).tolist() == [1] * taken.shape[1]  # once each


def test_an_hour_taken_back_is_a_row_with_null(at):
    position = int(np.flatnonzero(np.isnan(seen_at_age(24)))[0])
    ended = moment_of_hour(int(YEAR[position]))
    period = f"{ended:%Y-%m-%dT%H}"
    asked = {"start": period, "end": period}

    def value(days, **parts):
        return rows(at(ended + timedelta(days=days), **parts), **asked)[0]["value"]

    assert value(1, publication=True) is None
    assert value(1).isdigit()
    assert value(5, publication=True).isdigit()
    assert value(31, publication=True) == value(31)


def test_only_demand_is_revised(at):
    asked = {"start": "2025-02-20T00", "end": "2025-03-20T00", "facets[type][]": "DF"}
    assert rows(at(publication=True), **asked) == rows(at(), **asked)


def test_values_older_than_thirty_days_are_final(at):
    asked = {"start": "2025-01-01T00", "end": "2025-02-18T00"}
    assert rows(at(publication=True), **asked) == rows(at(), **asked)
    young = {"start": "2025-02-18T00", "end": "2025-03-20T00"}
    assert rows(at(publication=True), **young) != rows(at(), **young)


BOTH = {"facets[type][]": ["D", "DF"], "start": "2025-01-01T00", "end": "2025-01-03T23"}


def keys(client, sort, length=25):
    """Period and type of every row, page by page of an odd length."""
    params = {name: value for name, value in DEMAND.items() if not name.startswith("sort")} | BOTH | sort
    return [
        (row["period"], row["type"])
        for offset in range(0, 144, length)
        for row in rows_of(client, params | {"offset": str(offset), "length": str(length)})
    ]


def rows_of(client, params):
    return client.get(HOURLY, params=params).json()["response"]["data"]


WHOLE = {"sort[0][column]": "period", "sort[1][column]": "type"}


@pytest.mark.parametrize(
    "sort",
    [
        pytest.param({"sort[0][column]": "period"}, id="by period alone"),
        pytest.param({"sort[0][column]": "period", "sort[0][direction]": "desc"}, id="by period descending"),
        pytest.param({}, id="not at all"),
    ],
)
def test_pages_that_are_not_sorted_by_the_whole_key_lose_and_repeat_rows(at, sort):
    found = keys(at(unstable_pages=True), sort)
    assert len(found) == 144
    assert 0 < len(set(found)) < 144
    periods = [period for period, _ in found]
    assert periods == sorted(periods, reverse="sort[0][direction]" in sort)
    assert found == keys(at(unstable_pages=True), sort)
    assert len(set(keys(at(), sort))) == 144


@pytest.mark.parametrize(
    ("directions", "first", "last"),
    [
        pytest.param(("asc", "asc"), ("2025-01-01T00", "D"), ("2025-01-03T23", "DF"), id="both ascending"),
        pytest.param(
            ("desc", "asc"), ("2025-01-03T23", "D"), ("2025-01-01T00", "DF"), id="period descending"
        ),
        pytest.param(("desc", "desc"), ("2025-01-03T23", "DF"), ("2025-01-01T00", "D"), id="both descending"),
    ],
)
def test_pages_sorted_by_the_whole_key_have_every_row_once(at, directions, first, last):
    sort = WHOLE | {f"sort[{number}][direction]": way for number, way in enumerate(directions)}
    found = keys(at(unstable_pages=True), sort)
    assert len(set(found)) == len(found) == 144
    assert (found[0], found[-1]) == (first, last)
    assert found == keys(at(), sort)


def test_one_series_of_one_respondent_is_stable_by_period_alone(at):
    client = at(unstable_pages=True)
    params = {**DEMAND, "start": "2025-01-01T00", "end": "2025-01-03T23", "length": "25"}
    del params["sort[1][column]"]
    periods = [
        row["period"]
        for offset in range(0, 72, 25)
        for row in rows_of(client, params | {"offset": str(offset)})
    ]
    assert len(set(periods)) == len(periods) == 72


def test_types_can_be_sorted_first(at):
    found = keys(at(unstable_pages=True), {"sort[0][column]": "type", "sort[1][column]": "period"})
    assert [kind for _, kind in found] == ["D"] * 72 + ["DF"] * 72
    assert len(set(found)) == 144


def test_a_column_that_is_not_there_sorts_nothing(at):
    answer = at().get(HOURLY, params={**DEMAND, "sort[1][column]": "colour"})
    assert (answer.status_code, answer.json()["code"]) == (400, 400)


@pytest.mark.parametrize("where", ["header", "query"])
def test_eia_takes_its_key_from_header_or_query(in_process, synthetic_world, where):
    client = in_process(create_app(synthetic_world, now=NOW, require_key="right"))
    asked = {**DEMAND, "length": "1"}
    by = {"header": lambda key: {"headers": {"X-Api-Key": key}, "params": asked},
          "query": lambda key: {"params": {**asked, "api_key": key}}}[where]  # fmt: skip
    assert client.get(HOURLY, **by("right")).status_code == 200
    assert client.get(HOURLY, **by("wrong")).json()["error"]["code"] == "API_KEY_INVALID"
    assert ("right" in client.get(HOURLY, **by("right")).text) == (where == "query")


def file_rows(client, half):
    answer = client.get(f"{FOLDER}{half}.csv")
    assert answer.status_code == 200
    return [row for row in csv.DictReader(io.StringIO(answer.text)) if row["Balancing Authority"] == "NYIS"]


@pytest.mark.parametrize(
    ("now", "demand", "forecast"),
    [
        pytest.param("2025-03-20T14:40", "03/20/2025 4:00:00 AM", "03/21/2025 4:00:00 AM", id="rebuilt"),
        pytest.param("2025-03-20T14:39", "03/19/2025 4:00:00 AM", "03/20/2025 4:00:00 AM", id="not yet"),
        pytest.param("2025-01-15T23:00", "01/15/2025 5:00:00 AM", "01/16/2025 5:00:00 AM", id="in winter"),
    ],
)
def test_files_have_demand_of_yesterday_and_the_forecast_of_today(at, now, demand, forecast):
    client = at(datetime.fromisoformat(now).replace(tzinfo=UTC), six_month_files=True)
    found = file_rows(client, "2025_Jan_Jun")
    newest = {
        name: [row["UTC Time at End of Hour"] for row in found if row[name]][-1]
        for name in ("Demand (MW)", "Demand Forecast (MW)", "Net Generation (MW)", "Demand (MW) (Adjusted)")
    }
    assert newest.pop("Demand Forecast (MW)") == forecast
    assert set(newest.values()) == {demand}


def test_files_have_the_values_of_the_api_when_they_were_built(at):
    parts = {"six_month_files": True, "publication": True}
    found = file_rows(at(**parts), "2025_Jan_Jun")
    built = NOW.replace(day=19, hour=14, minute=40)
    window = {"start": "2025-01-01T06", "end": "2025-03-19T04"}
    served = rows(at(built, **parts), **window)
    assert [row["Demand (MW)"].replace(",", "") or None for row in found[: len(served)]] == [
        row["value"] for row in served
    ]
    assert found[len(served)]["Demand (MW)"] == ""


def test_a_file_that_is_not_there_is_a_redirect_or_a_page(at):
    client = at(six_month_files=True)
    answers = [client.get(f"{FOLDER}{year}_Jul_Dec.csv") for year in range(2025, 2040)]
    assert {answer.status_code for answer in answers} == {200, 302}
    assert {answer.headers["location"] for answer in answers if answer.status_code == 302} == {"/moved.html"}
    for answer in answers:
        if answer.status_code == 200:
            assert answer.headers["content-type"].startswith("text/html")
            assert "<html>" in answer.text
