from __future__ import annotations

import json
import time

import pytest

EIA = "/eia/v2/electricity/rto/region-data/data/"
WEATHER = "/archive/v1/archive"
QUERY = {"latitude": "40.7", "longitude": "-74", "start_date": "2024-01-01", "end_date": "2024-01-01"}


@pytest.fixture
def client(synthetic):
    yield synthetic
    synthetic.delete("/sandbox/faults")


def queue(client, **fault):
    assert client.post("/sandbox/faults", json=fault).status_code == 201


@pytest.mark.usefixtures("processes")
@pytest.mark.parametrize(
    ("kind", "status", "marker"),
    [
        pytest.param("http_403", 403, "OVER_RATE_LIMIT", id="throttled with 403"),
        pytest.param("http_429", 429, "limit exceeded", id="throttled with 429"),
        pytest.param("http_500", 500, '"code":404', id="a 404 body under 500"),
        pytest.param("html_502", 502, "<html>", id="a gateway's HTML"),
        pytest.param("error_under_200", 200, "overloaded", id="an error under 200"),
    ],
)
def test_a_fault_strikes_as_often_as_asked_and_then_no_more(client, kind, status, marker):
    queue(client, kind=kind, times=2, path="/archive")
    for _ in range(2):
        struck = client.get(WEATHER, params=QUERY)
        assert (struck.status_code, marker in struck.text) == (status, True)
        assert struck.headers["x-sandbox-data"] == "synthetic"
    healthy = client.get(WEATHER, params=QUERY)
    assert healthy.status_code == 200
    assert "elevation" in healthy.json()


def test_a_slow_answer_is_late_but_right(client):
    queue(client, kind="slow", seconds=0.2)
    began = time.perf_counter()
    assert "elevation" in client.get(WEATHER, params=QUERY).json()
    assert time.perf_counter() - began >= 0.2


def test_a_truncated_answer_is_half_the_body_under_200(client):
    whole = client.get(EIA, params={"length": "10"}).content
    queue(client, kind="truncated")
    half = client.get(EIA, params={"length": "10"})
    assert half.status_code == 200
    assert whole.startswith(half.content)
    assert len(half.content) == len(whole) // 2
    with pytest.raises(json.JSONDecodeError):
        half.json()


def test_a_fault_strikes_its_own_path_only(client):
    queue(client, kind="html_502", path="/eia")
    assert client.get(WEATHER, params=QUERY).status_code == 200
    assert client.get(EIA).status_code == 502


def test_the_sandbox_itself_never_fails(client):
    queue(client, kind="html_502", times=5, path="/")
    assert client.get("/").status_code == 200
    assert client.post("/sandbox/faults", json={"kind": "slow"}).status_code == 201


def test_faults_can_be_cleared(client):
    queue(client, kind="html_502", times=5)
    client.delete("/sandbox/faults")
    assert client.get(EIA).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        pytest.param('{"kind": "meteor"}', id="an unknown kind"),
        pytest.param('{"kind": "slow", "times": 0}', id="no times"),
        pytest.param('{"kind": "nulls", "every": 0}', id="every row and none"),
        pytest.param('{"kind": "overlap", "rows": "many"}', id="no number of rows"),
        pytest.param('{"kind": "slow", "colour": "red"}', id="an unknown field"),
        pytest.param("[]", id="not an object"),
        pytest.param("{", id="not JSON"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(client, body):
    assert client.post("/sandbox/faults", content=body).status_code == 400


PAGE = {
    "data[0]": "value",
    "facets[respondent][]": "NY",
    "facets[type][]": "D",
    "start": "2025-01-01T00",
    "end": "2025-01-01T23",
    "length": "10",
}
SITES = {**QUERY, "latitude": "40.7,42.9,43", "longitude": "-74,-78.9,-76.1", "hourly": "temperature_2m"}


def struck_and_whole(client, address=EIA, params=PAGE, **fault):
    """The answer under a fault and the one without, both read as JSON."""
    queue(client, path=address[:4], **fault)
    struck, whole = (client.get(address, params=params) for _ in range(2))
    assert (struck.status_code, struck.headers["content-type"]) == (200, whole.headers["content-type"])
    assert struck.headers["x-sandbox-data"] == "synthetic"
    return struck.json(), whole.json()


def rows(answer):
    return answer["response"]["data"]


def column(answer, name):
    return [row[name] for row in rows(answer)]


def test_an_overlapping_page_starts_some_rows_early(client):
    struck, whole = struck_and_whole(client, kind="overlap", rows=4, params={**PAGE, "offset": "10"})
    assert column(whole, "period")[0] == "2025-01-01T10"
    assert column(struck, "period")[0] == "2025-01-01T06"
    assert rows(struck)[4:] == rows(whole)[:6]


def test_no_page_starts_before_the_first_row(client):
    struck, whole = struck_and_whole(client, kind="overlap", rows=4, params={**PAGE, "offset": "1"})
    assert rows(struck)[1:] == rows(whole)[:9]


def test_a_total_can_be_larger_than_what_comes(client):
    struck, whole = struck_and_whole(client, kind="total_too_large", rows=7)
    assert (struck["response"]["total"], whole["response"]["total"]) == ("31", "24")
    assert rows(struck) == rows(whole)


def test_without_its_type_facet_a_page_mixes_the_series(client):
    struck, whole = struck_and_whole(client, kind="mixed_series")
    assert set(column(whole, "type")) == {"D"}
    assert set(column(struck, "type")) == {"D", "DF", "NG", "TI"}
    assert set(column(struck, "respondent")) == {"NY"}


def test_values_can_be_json_numbers(client):
    struck, whole = struck_and_whole(client, kind="numbers")
    assert all(type(value) is int for value in column(struck, "value"))
    assert [str(value) for value in column(struck, "value")] == column(whole, "value")


@pytest.mark.parametrize(
    ("kind", "value"),
    [pytest.param("nulls", None, id="null"), pytest.param("zeros", "0", id="a zero")],
)
def test_every_nth_value_can_be(client, kind, value):
    struck, whole = struck_and_whole(client, kind=kind, every=3)
    expected = column(whole, "value")
    expected[::3] = [value] * 4
    assert column(struck, "value") == expected
    assert column(struck, "period") == column(whole, "period")


def test_every_nth_row_can_be_left_out_and_the_total_does_not_tell(client):
    struck, whole = struck_and_whole(client, kind="missing_rows", every=3)
    assert rows(struck) == [row for number, row in enumerate(rows(whole)) if number % 3]
    assert struck["response"]["total"] == whole["response"]["total"]


def test_rows_of_another_respondent_can_be_mixed_in(client):
    struck, whole = struck_and_whole(client, kind="wrong_region", every=5)
    foreign = [row for row in rows(struck) if row["respondent"] == "PJM"]
    assert [row["period"] for row in foreign] == ["2025-01-01T00", "2025-01-01T05"]
    assert [row for row in rows(struck) if row["respondent"] == "NY"] == rows(whole)


def test_garbage_takes_the_place_of_every_nth_row_in_four_ways_by_turns(client):
    struck, whole = struck_and_whole(client, kind="garbage_rows", every=2)
    assert rows(struck)[1::2] == rows(whole)[1::2]
    period, word, negative, absurd, again = rows(struck)[::2]
    assert (period["period"], again["period"]) == ("2025-13-41T25", "2025-13-41T25")
    assert (word["value"], negative["value"], absurd["value"]) == ("abc", "-5", "99999999999")


@pytest.mark.parametrize(
    ("kind", "place"),
    [
        pytest.param("warnings_top", lambda body: body, id="at the top"),
        pytest.param("warnings_inside", lambda body: body["response"], id="inside the response"),
    ],
)
def test_warnings_can_stand(client, kind, place):
    struck, whole = struck_and_whole(client, kind=kind, params={**PAGE, "length": "24"})
    assert place(struck).pop("warnings")[0]["warning"] == "slow query"
    assert struck == whole


@pytest.mark.parametrize(
    ("kind", "shown"),
    [
        pytest.param("sites_reordered", [43.0, 42.875, 40.6875], id="in another order"),
        pytest.param("site_missing", [40.6875, 42.875], id="without the last"),
        pytest.param("site_elsewhere", [40.6875, 42.875, 63.0], id="with the last one elsewhere"),
    ],
)
def test_sites_can_come(client, kind, shown):
    struck, whole = struck_and_whole(client, WEATHER, SITES, kind=kind)
    assert [site["latitude"] for site in struck] == shown
    by_latitude = {site["latitude"]: site["hourly"] for site in whole}
    assert all(by_latitude.get(site["latitude"], site["hourly"]) == site["hourly"] for site in struck)


@pytest.mark.parametrize(
    ("address", "params", "kind"),
    [
        pytest.param(WEATHER, SITES, "garbage_rows", id="a fault of rows in a list of sites"),
        pytest.param(WEATHER, QUERY, "sites_reordered", id="a fault of lists in a single site"),
        pytest.param(EIA, PAGE, "site_missing", id="a fault of lists in a page"),
        pytest.param(EIA, {**PAGE, "length": "0"}, "nulls", id="a fault of rows in an empty page"),
        pytest.param(EIA, {"length": "3"}, "numbers", id="a fault of values in rows without them"),
    ],
)
def test_a_fault_that_finds_nothing_to_spoil_spoils_nothing(client, address, params, kind):
    struck, whole = struck_and_whole(client, address, params, kind=kind)
    for site in (*struck, *whole) if isinstance(struck, list) else (struck, whole):
        site.pop("generationtime_ms", None)
    assert struck == whole


def test_a_refusal_passes_a_fault_of_rows_as_it_is(client):
    queue(client, kind="garbage_rows", path="/eia")
    refused = client.get(EIA, params={"frequency": "weekly"})
    assert (refused.status_code, refused.json()["code"]) == (400, 400)
