"""EIA's API through its client: pages, spans, keys and faults, over real HTTP."""

from __future__ import annotations

import json
import logging
from collections import Counter
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfo

import httpx
import numpy as np
import pandas as pd
import pytest

from energy_demand import config
from energy_demand.config import Settings
from energy_demand.data.eia_client import EIAClient, EIADialect, daily_timezone, names_on_record
from energy_demand.errors import UserError
from energy_demand.http import UpstreamError
from energy_demand.region_catalogue import entries
from energy_demand.sandbox.app import create_app
from energy_demand.sandbox.server import serving
from energy_demand.sandbox.worlds.synthetic import SyntheticWorld

PRESENT = datetime(2025, 3, 12, 13, tzinfo=UTC)
NO_KEY = "EIA_API_KEY not set. Register at https://www.eia.gov/opendata/"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def settings(**given: object) -> Settings:
    return Settings(_env_file=None, **{"http_backoff_seconds": 0.0, "energy_demand_now": PRESENT, **given})


class Watched:
    """An application whose requests are counted and kept."""

    def __init__(self, app) -> None:
        self._app = app
        self.asked: list[list[tuple[str, str]]] = []
        self.headers: list[dict[str, str]] = []

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] == "http" and not scope["path"].startswith("/sandbox"):
            self.asked.append(parse_qsl(scope["query_string"].decode()))
            self.headers.append({name.decode(): value.decode() for name, value in scope["headers"]})
        await self._app(scope, receive, send)


class Pages:
    """A server that gives these JSON bodies in turn, the last one for ever."""

    def __init__(self) -> None:
        self.bodies: list[object] = []

    async def __call__(self, scope, receive, send) -> None:
        body = self.bodies.pop(0) if len(self.bodies) > 1 else self.bodies[0]
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(body).encode()})


@pytest.fixture(scope="module")
def running(processes):
    """The synthetic sandbox, watched."""
    watched = Watched(create_app(SyntheticWorld(seed=1), now=PRESENT))
    with serving(watched) as url:
        yield watched, url


@pytest.fixture
def sandbox(running):
    watched, url = running
    watched.asked.clear()
    watched.headers.clear()
    yield watched, url
    httpx.delete(f"{url}/sandbox/faults")


@pytest.fixture
def client(sandbox):
    with EIAClient(settings(sandbox_url=sandbox[1])) as client:
        yield client


@pytest.fixture(scope="module")
def scripted(processes):
    pages = Pages()
    with serving(pages) as url:
        yield pages, url


@pytest.fixture
def answered(scripted):
    """A client that gets these bodies from EIA."""
    pages, url = scripted
    clients = []

    def answered(*bodies) -> EIAClient:
        pages.bodies = list(bodies)
        clients.append(EIAClient(settings(eia_base_url=f"{url}/v2", eia_api_key="k", sandbox_url=url)))
        return clients[-1]

    yield answered
    for client in clients:
        client.close()


def row(period: str, value: object, respondent: str = "NY") -> dict[str, object]:
    return {"period": period, "respondent": respondent, "type": "D", "value": value}


def page(*rows: dict[str, object], total: object | None = None, **more: object) -> dict[str, object]:
    return {"response": {"total": str(len(rows)) if total is None else total, "data": list(rows), **more}}


# The key.


def test_without_a_key_the_client_is_not_built_and_says_where_to_get_one():
    with pytest.raises(ValueError, match="EIA_API_KEY") as caught:
        EIAClient(settings())
    assert str(caught.value) == NO_KEY
    assert isinstance(caught.value, UserError)


def test_without_settings_the_environment_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(config, "project_root", lambda: tmp_path)
    with pytest.raises(ValueError, match="EIA_API_KEY"):
        EIAClient()
    monkeypatch.setenv("EIA_API_KEY", "k")
    EIAClient().close()


def test_with_a_sandbox_no_key_is_needed_and_none_is_sent(sandbox, client):
    client.fetch_demand("2024-12-01T00", "2024-12-01T01")
    assert "x-api-key" not in sandbox[0].headers[0]


def test_the_key_is_sent_where_there_is_one(sandbox):
    with EIAClient(settings(sandbox_url=sandbox[1], eia_api_key="the-key")) as client:
        client.fetch_demand("2024-12-01T00", "2024-12-01T01")
    assert sandbox[0].headers[0]["x-api-key"] == "the-key"
    assert "the-key" not in str(sandbox[0].asked)  # an address is written down by proxies and servers


# What is asked, and what comes back.


def test_a_request_says_all_that_eia_needs(sandbox, client):
    client.fetch_rows(at("2024-12-01T00"), at("2024-12-01T05"), ("D", "DF"))
    assert [sorted(asked) for asked in sandbox[0].asked] == [
        sorted(
            [
                ("frequency", "hourly"),
                ("data[0]", "value"),
                ("facets[respondent][]", "NY"),
                ("facets[type][]", "D"),
                ("facets[type][]", "DF"),
                ("start", "2024-12-01T00"),
                ("end", "2024-12-01T05"),
                ("sort[0][column]", "period"),
                ("sort[0][direction]", "asc"),
                ("sort[1][column]", "type"),
                ("sort[1][direction]", "asc"),
                ("offset", "0"),
                ("length", "5000"),
            ]
        )
    ]


def test_demand_is_a_frame_of_numbers_hour_by_hour_the_end_included(client):
    frame = client.fetch_demand("2024-12-01T00", "2024-12-01T05")
    assert list(frame.columns) == ["period", "respondent", "series", "demand_mwh"]
    assert list(frame["period"]) == list(pd.date_range("2024-12-01T00", "2024-12-01T05", freq="h", tz="UTC"))
    assert str(frame["period"].dtype) == "datetime64[us, UTC]"
    assert frame["demand_mwh"].dtype == np.float64
    assert set(frame["respondent"]) == {"NY"}
    assert set(frame["series"]) == {"D"}


def test_the_values_are_the_sandboxs_own(sandbox, client):
    frame = client.fetch_demand("2024-12-01T00", "2024-12-01T23")
    hours = np.arange(24) + int(at("2024-12-01T00").timestamp() // 3600)
    assert frame["demand_mwh"].tolist() == SyntheticWorld(seed=1).hourly.values("D", hours).tolist()


@pytest.mark.parametrize(
    ("start", "end"),
    [
        pytest.param("2024-12-01T00", "2024-12-01T05", id="texts without a zone"),
        pytest.param("2024-12-01T00:00Z", "2024-12-01T05:00Z", id="texts with Z"),
        pytest.param(datetime(2024, 12, 1), datetime(2024, 12, 1, 5), id="naive datetimes"),  # noqa: DTZ001
        pytest.param(at("2024-12-01T00"), at("2024-12-01T05"), id="UTC datetimes"),
        pytest.param(
            datetime(2024, 11, 30, 19, tzinfo=ZoneInfo("America/New_York")),
            datetime(2024, 12, 1, tzinfo=ZoneInfo("America/New_York")),
            id="New York datetimes",
        ),
    ],
)
def test_the_same_hours_can_be_asked_for_in_many_ways(start, end, client):
    frame = client.fetch_demand(start, end)
    assert (frame["period"].iloc[0], frame["period"].iloc[-1], len(frame)) == (
        at("2024-12-01T00"),
        at("2024-12-01T05"),
        6,
    )


def test_a_start_that_cannot_be_read_is_named(client):
    with pytest.raises(ValueError, match="'last week' is not a valid time"):
        client.fetch_demand("last week", "2024-12-01T05")


def test_more_rows_than_one_page_holds_come_page_by_page_and_each_once(sandbox, client):
    frame = client.fetch_demand("2023-01-01T00", "2024-06-30T23")
    assert [dict(asked)["offset"] for asked in sandbox[0].asked] == ["0", "5000", "10000"]
    assert len(frame) == 13_128
    assert (frame["period"].diff().dropna() == timedelta(hours=1)).all()


def test_exactly_one_page_needs_no_second_request(sandbox, client):
    start = at("2024-01-01T00")
    frame = client.fetch_demand(start, start + timedelta(hours=4999))
    assert (len(frame), len(sandbox[0].asked)) == (5000, 1)


def test_an_end_before_the_start_asks_for_nothing(sandbox, client):
    frame = client.fetch_demand("2024-12-01T05", "2024-12-01T04")
    assert list(frame.columns) == ["period", "respondent", "series", "demand_mwh"]
    assert str(frame["period"].dtype) == "datetime64[us, UTC]"
    assert (len(frame), frame["demand_mwh"].dtype) == (0, np.float64)
    assert sandbox[0].asked == []


def test_hours_that_are_not_there_yet_are_an_empty_frame(client):
    frame = client.fetch_demand("2025-06-01T00", "2025-06-02T00")
    assert (len(frame), frame["demand_mwh"].dtype) == (0, np.float64)
    assert str(frame["period"].dtype) == "datetime64[us, UTC]"


# Before 2019 the grid is on record as NYIS.


def test_the_hours_before_2019_new_york_time_come_from_the_balancing_authority(sandbox, client):
    rows = client.fetch_rows(at("2019-01-01T02"), at("2019-01-01T08"), ("D",))
    assert [(row["period"], row["respondent"]) for row in rows] == [
        ("2019-01-01T02", "NYIS"),
        ("2019-01-01T03", "NYIS"),
        ("2019-01-01T04", "NYIS"),
        ("2019-01-01T05", "NYIS"),  # 23:00 to midnight in New York
        ("2019-01-01T06", "NY"),
        ("2019-01-01T07", "NY"),
        ("2019-01-01T08", "NY"),
    ]
    assert len(sandbox[0].asked) == 2


@pytest.mark.parametrize(
    ("start", "end", "respondents"),
    [
        pytest.param("2018-12-31T00", "2019-01-01T05", ["NYIS"], id="only before"),
        pytest.param("2019-01-01T05", "2019-01-01T05", ["NYIS"], id="the last hour before"),
        pytest.param("2019-01-01T06", "2019-01-01T06", ["NY"], id="the first hour after"),
    ],
)
def test_a_span_on_one_side_of_2019_asks_one_respondent(start, end, respondents, sandbox, client):
    client.fetch_demand(start, end)
    assert [dict(asked)["facets[respondent][]"] for asked in sandbox[0].asked] == respondents


def test_demand_over_the_change_of_names_is_one_series_under_one_name(client):
    frame = client.fetch_demand("2018-12-31T00", "2019-01-02T00")
    assert (len(frame), set(frame["respondent"])) == (49, {"NY"})


def test_another_respondent_has_no_predecessor(sandbox):
    with EIAClient(settings(sandbox_url=sandbox[1], eia_region="NYIS")) as client:
        client.fetch_demand("2018-12-31T00", "2019-01-02T00")
    assert [dict(asked)["facets[respondent][]"] for asked in sandbox[0].asked] == ["NYIS"]
    assert (names_on_record("NY"), names_on_record("CAL")) == (["NY", "NYIS"], ["CAL"])


# What is new.


def test_an_increment_begins_after_the_last_hour_and_ends_at_the_present(client):
    frame = client.fetch_incremental("2025-03-12T09")
    assert list(frame["period"].dt.hour) == [10, 11, 12, 13]
    assert frame["period"].iloc[-1] == PRESENT


@pytest.mark.parametrize("last", [PRESENT, PRESENT + timedelta(hours=3)], ids=["now", "ahead"])
def test_an_increment_after_the_present_is_empty_and_asks_for_nothing(last, sandbox, client):
    assert client.fetch_incremental(last).empty
    assert sandbox[0].asked == []


# Odd answers.


def test_pages_that_overlap_or_are_out_of_order_give_each_hour_once_the_later_row_winning(answered):
    first = page(row("2024-05-01T02", "2"), row("2024-05-01T01", "1"), total="4")
    second = page(row("2024-05-01T02", "22"), row("2024-05-01T03", "3"), total="4")
    frame = answered(first, second).fetch_demand("2024-05-01T01", "2024-05-01T03")
    assert frame["period"].dt.hour.tolist() == [1, 2, 3]
    assert frame["demand_mwh"].tolist() == [1.0, 22.0, 3.0]


@pytest.mark.parametrize("value", [None, "", "n/a"], ids=["null", "empty", "text"])
def test_a_value_that_is_no_number_is_nan_and_its_neighbours_stay(value, answered):
    answer = page(row("2024-05-01T01", value), row("2024-05-01T02", "15000"), row("2024-05-01T03", "0"))
    frame = answered(answer).fetch_demand("2024-05-01T01", "2024-05-01T03")
    assert np.isnan(frame["demand_mwh"].iloc[0])
    assert frame["demand_mwh"].tolist()[1:] == [15000.0, 0.0]


def test_rows_come_back_as_eia_wrote_them(answered):
    rows = [row("2024-05-01T01", "15000") | {"value-units": "megawatthours"}, row("2024-05-01T02", None)]
    assert answered(page(*rows)).fetch_rows(at("2024-05-01T01"), at("2024-05-01T02"), ("D",)) == rows


def test_fewer_rows_than_announced_end_the_asking_with_a_warning(answered, caplog):
    client = answered(page(row("2024-05-01T01", "1"), total="3"), page(total="3"))
    with caplog.at_level(logging.WARNING):
        assert len(client.fetch_demand("2024-05-01T01", "2024-05-01T03")) == 1
    assert "announced 3 rows for NY but returned 1" in caplog.text


@pytest.mark.parametrize("place", ["top", "inside"])
def test_a_warning_of_eia_is_logged_wherever_it_stands(place, answered, caplog):
    warnings = [{"warning": "incomplete return", "description": "only 5000 rows"}]
    answer = page(row("2024-05-01T01", "1"), **({"warnings": warnings} if place == "inside" else {}))
    if place == "top":
        answer["warnings"] = warnings
    with caplog.at_level(logging.INFO, logger="energy_demand"):
        assert len(answered(answer).fetch_demand("2024-05-01T01", "2024-05-01T01")) == 1
    assert "incomplete return" in caplog.text


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({}, id="nothing"),
        pytest.param([], id="a list"),
        pytest.param({"response": None}, id="no response"),
        pytest.param({"response": {"total": "1"}}, id="no data"),
        pytest.param(
            {"response": {"total": "1", "data": {"period": "2024-05-01T01"}}}, id="data that are no list"
        ),
        pytest.param({"response": {"total": "1", "data": ["2024-05-01T01"]}}, id="rows that are no mappings"),
        pytest.param({"response": {"data": [row("2024-05-01T01", "1")]}}, id="no total"),
        pytest.param(page(total="many"), id="a total that is no number"),
    ],
)
def test_an_answer_of_another_shape_is_an_error_that_says_what_was_asked(body, answered):
    with pytest.raises(UpstreamError, match="has no response") as caught:
        answered(body).fetch_demand("2024-05-01T01", "2024-05-01T03")
    asked = caught.value.asked
    assert "/v2/electricity/rto/region-data/data/" in asked
    assert "facets[respondent][]=NY" in asked
    assert "start=2024-05-01T01" in asked


def test_a_period_that_cannot_be_read_is_an_error_of_the_upstream(answered):
    with pytest.raises(UpstreamError, match="2024-05"):
        answered(page(row("1 May 2024", "1"))).fetch_demand("2024-05-01T01", "2024-05-01T03")


# Faults.


@pytest.mark.parametrize("kind", ["http_403", "http_429", "html_502", "truncated"])
def test_a_passing_fault_is_overcome(kind, sandbox, client):
    httpx.post(f"{sandbox[1]}/sandbox/faults", json={"kind": kind, "times": 2})
    assert len(client.fetch_demand("2024-12-01T00", "2024-12-01T05")) == 6
    assert len(sandbox[0].asked) == 3


def test_a_fault_in_the_middle_of_the_pages_repeats_that_page_only(sandbox, client):
    kept = client._http.get_json

    def failing_second(url, params):
        if dict(params)["offset"] == "5000":
            httpx.post(f"{sandbox[1]}/sandbox/faults", json={"kind": "html_502"})
        return kept(url, params)

    client._http.get_json = failing_second
    assert len(client.fetch_demand("2024-01-01T00", "2024-12-01T00")) == 8041
    assert Counter(dict(asked)["offset"] for asked in sandbox[0].asked) == {"0": 1, "5000": 2}


def test_a_404_body_under_500_is_not_asked_again(sandbox, client):
    httpx.post(f"{sandbox[1]}/sandbox/faults", json={"kind": "http_500"})
    with pytest.raises(UpstreamError, match=r"EIA: HTTP 500: Not found\. \(code 404\)"):
        client.fetch_demand("2024-12-01T00", "2024-12-01T05")
    assert len(sandbox[0].asked) == 1


def test_a_request_that_eia_does_not_understand_is_not_asked_again(sandbox):
    with (
        EIAClient(settings(sandbox_url=sandbox[1], eia_base_url=f"{sandbox[1]}/eia/v1/")) as client,
        pytest.raises(UpstreamError, match="Not found"),
    ):
        client.fetch_demand("2024-12-01T00", "2024-12-01T05")
    assert len(sandbox[0].asked) == 1


@pytest.mark.parametrize(
    ("status", "body", "retry"),
    [
        pytest.param(403, {"error": {"code": "API_KEY_INVALID", "message": "no"}}, False, id="a wrong key"),
        pytest.param(403, {"error": {"code": "API_KEY_MISSING", "message": "no"}}, False, id="no key"),
        pytest.param(403, {"error": {"code": "OVER_RATE_LIMIT"}}, True, id="throttled under 403"),
        pytest.param(429, {"error": {"code": "OVER_RATE_LIMIT"}}, True, id="throttled under 429"),
        pytest.param(403, None, True, id="a 403 without JSON"),
        pytest.param(429, None, True, id="a 429 without JSON"),
        pytest.param(400, {"error": "Invalid facet", "code": 400}, False, id="a wrong facet"),
        pytest.param(404, {"error": "Not found.", "code": 404}, False, id="a missing route"),
        pytest.param(500, {"error": "Not found.", "code": 404}, False, id="a missing route under 500"),
        pytest.param(500, {"error": "Internal error", "code": 500}, True, id="a server error"),
        pytest.param(503, {"error": "Try later"}, True, id="an error without a code"),
        pytest.param(200, {"error": "Try later", "code": 503}, True, id="a server error under 200"),
        pytest.param(400, {"error": "odd", "code": "E17"}, False, id="a code that is no number"),
    ],
)
def test_eias_faults_are_told_apart(status, body, retry):
    fault = EIADialect().fault(status, body)
    assert fault is not None
    assert fault.retry is retry


@pytest.mark.parametrize("body", [None, [], {}, {"response": {}}], ids=["no JSON", "a list", "empty", "rows"])
def test_an_answer_without_an_error_has_no_fault(body):
    assert EIADialect().fault(200, body) is None


def test_the_kind_of_data_is_told(client):
    client.fetch_demand("2024-12-01T00", "2024-12-01T01")
    assert client.data_kind == "synthetic"


@pytest.mark.parametrize(
    ("zone", "name"),
    [
        ("America/New_York", "Eastern"),
        ("America/Chicago", "Central"),
        ("America/Denver", "Mountain"),
        ("America/Phoenix", "Arizona"),
        ("America/Los_Angeles", "Pacific"),
        ("Pacific/Honolulu", None),
    ],
)
def test_daily_totals_are_asked_for_in_the_regions_own_zone(zone, name):
    assert daily_timezone(ZoneInfo(zone)) == name


def test_every_zone_of_the_catalogue_has_daily_totals():
    assert all(daily_timezone(ZoneInfo(entry.zone)) for entry in entries().values())
