from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest

from energy_demand.sandbox import faults
from energy_demand.sandbox.faults.queue import KINDS

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "sandbox.md"
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
        pytest.param("http_503", 503, "overloaded", id="overloaded"),
        pytest.param("nul_502", 502, "\x00", id="a gateway's HTML with NUL bytes"),
        pytest.param("redirected", 302, "", id="sent elsewhere"),
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
        pytest.param('{"kind": "nulls", "start": "yesterday"}', id="an hour that is none"),
        pytest.param('{"kind": "nulls", "end": 5}', id="a number for an hour"),
        pytest.param('{"kind": "slow", "query": 5}', id="a number for a text"),
        pytest.param('{"kind": "meteor"}', id="an unknown kind"),
        pytest.param('{"kind": "slow", "times": -1}', id="fewer than no times"),
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


RUN = {**SITES, "run": "2025-03-01T06:00", "forecast_days": "2", "models": "ecmwf_ifs"}
RUN = {name: value for name, value in RUN.items() if name not in {"start_date", "end_date"}}
RUN["hourly"] = "temperature_2m,precipitation,rain,snowfall,shortwave_radiation"
SINGLE = "/single-runs/v1/forecast"
UNAVAILABLE = "modelRunUnavailable(model: ecmwf_ifs, run: 2025-03-01T06:00Z)"


@pytest.mark.parametrize(
    ("kind", "status", "reason"),
    [
        pytest.param(
            "run_missing_400",
            400,
            "The requested model run is not available. Model: ecmwf_ifs, run: 2025-03-01T06:00Z",
            id="a run is missing",
        ),
        pytest.param(
            "minutely_limit",
            429,
            "Minutely API request limit exceeded. Please try again in one minute.",
            id="the limit of a minute",
        ),
        pytest.param(
            "hourly_limit",
            429,
            "Hourly API request limit exceeded. Please try again in the next hour.",
            id="the limit of an hour",
        ),
        pytest.param(
            "daily_limit",
            429,
            "Daily API request limit exceeded. Please try again tomorrow.",
            id="the limit of a day",
        ),
        pytest.param("too_many_at_once", 429, "Too many concurrent requests", id="too many at once"),
        pytest.param("invalid_key", 400, "The supplied API key is invalid.", id="a wrong key"),
        pytest.param(
            "other_400",
            400,
            "Data corrupted at path ''. "
            "Cannot initialize ForecastVariable from invalid String value temperature_3m.",
            id="another mistake",
        ),
        pytest.param("http_503", 503, "The service is overloaded", id="overloaded"),
    ],
)
def test_open_meteo_can_refuse_for(client, kind, status, reason):
    queue(client, kind=kind)
    struck = client.get(SINGLE, params=RUN)
    assert (struck.status_code, struck.json()) == (status, {"error": True, "reason": reason})
    assert "retry-after" not in struck.headers
    assert client.get(SINGLE, params=RUN).status_code == 200


def test_eia_refuses_in_its_own_words(client):
    queue(client, kind="invalid_key", path="/eia")
    queue(client, kind="other_400", path="/eia")
    queue(client, kind="http_503", path="/eia")
    key, other, down = (client.get(EIA, params=PAGE) for _ in range(3))
    assert (key.status_code, key.json()["error"]["code"]) == (403, "API_KEY_INVALID")
    assert (other.status_code, other.json()["code"]) == (400, 400)
    assert (down.status_code, down.headers["content-type"]) == (503, "text/html; charset=utf-8")


def test_a_missing_run_can_be_a_line_of_text(client):
    queue(client, kind="run_missing_text")
    struck = client.get(SINGLE, params=RUN)
    assert struck.status_code == 200
    assert struck.text == f"Unexpected error while streaming data: {UNAVAILABLE}"


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        pytest.param("run_missing_midway", UNAVAILABLE, id="by a run that is missing"),
        pytest.param("stream_timeout", "timeoutReached", id="by a time that is over"),
    ],
)
def test_an_answer_can_be_broken_off(client, kind, problem):
    whole = client.get(SINGLE, params=RUN).text
    queue(client, kind=kind)
    struck = client.get(SINGLE, params=RUN)
    assert struck.status_code == 200
    begun, _, rest = struck.text.partition("Unexpected error while streaming data: ")
    assert rest == problem
    assert begun.startswith('[{"latitude":40.6875')
    assert len(begun) == pytest.approx(len(whole) / 2, abs=30)


def hourly_of(answer):
    return [site["hourly"] for site in answer]


def null_columns(hourly):
    return {name for name, values in hourly.items() if set(values) == {None}}


ALL = {"temperature_2m", "precipitation", "rain", "snowfall", "shortwave_radiation"}


@pytest.mark.parametrize(
    ("kind", "gone"),
    [
        pytest.param("temperature_only", ALL - {"temperature_2m"}, id="temperature alone"),
        pytest.param("rain_alone", {"temperature_2m", "shortwave_radiation"}, id="rain alone"),
        pytest.param("undefined_variable", {"shortwave_radiation"}, id="all but one variable"),
    ],
)
def test_values_can_be(client, kind, gone):
    struck, whole = struck_and_whole(client, SINGLE, RUN, kind=kind)
    for site, true in zip(struck, whole, strict=True):
        assert null_columns(site["hourly"]) == gone
        assert not null_columns(true["hourly"])
        for name in ALL - gone:
            assert site["hourly"][name] == true["hourly"][name]
        undefined = {name for name, unit in site["hourly_units"].items() if unit == "undefined"}
        assert undefined == (gone if kind == "undefined_variable" else set())


def test_the_undefined_variable_can_be_named_and_has_many_columns_for_many_models(client):
    two = {**RUN, "models": "ecmwf_ifs,gfs_seamless"}
    struck, _ = struck_and_whole(client, SINGLE, two, kind="undefined_variable", variable="rain")
    assert null_columns(struck[0]["hourly"]) == {"rain_ecmwf_ifs", "rain_gfs_seamless"}


def test_values_can_be_null_in_some_hours_alone(client):
    window = {"start": "2025-03-02T00:00", "end": "2025-03-02T05:00Z"}
    struck, whole = struck_and_whole(client, SINGLE, RUN, kind="temperature_only", **window)
    for site, true in zip(hourly_of(struck), hourly_of(whole), strict=True):
        gone = [time for time, value in zip(site["time"], site["rain"], strict=True) if value is None]
        assert gone == [f"2025-03-02T0{hour}:00" for hour in range(6)]
        assert site["temperature_2m"] == true["temperature_2m"]


def test_a_half_run_ends_after_twelve_hours_or_has_a_hole(client):
    struck, whole = struck_and_whole(client, SINGLE, RUN, kind="half_run")
    for site, true in zip(hourly_of(struck), hourly_of(whole), strict=True):
        for name in ALL:
            assert site[name] == [*true[name][:12], *[None] * 36]
    hole = {"start": "2025-03-01T08", "end": "2025-03-01T09"}
    struck, _ = struck_and_whole(client, SINGLE, RUN, kind="half_run", **hole)
    assert [value is None for value in struck[0]["hourly"]["rain"]] == [
        *[False] * 2,
        *[True] * 2,
        *[False] * 44,
    ]


def test_temperatures_can_come_in_fahrenheit(client):
    struck, whole = struck_and_whole(client, SINGLE, RUN, kind="wrong_units")
    assert struck[0]["hourly_units"]["temperature_2m"] == "°F"
    assert struck[0]["hourly_units"]["precipitation"] == "mm"
    warm, true = (answer[0]["hourly"]["temperature_2m"] for answer in (struck, whole))
    assert warm == pytest.approx([32 + 1.8 * value for value in true], abs=0.06)


def test_eia_can_take_hours_back(client):
    window = {"start": "2025-01-01T05", "end": "2025-01-01T07"}
    struck, whole = struck_and_whole(client, kind="taken_back", **window)
    assert column(struck, "value") == [
        None if row["period"][-2:] in {"05", "06", "07"} else row["value"] for row in rows(whole)
    ]


def test_every_nth_row_is_counted_from_the_first_hour(client):
    struck, whole = struck_and_whole(client, kind="zeros", every=3, start="2025-01-01T02")
    expected = column(whole, "value")
    expected[2::3] = ["0"] * len(expected[2::3])
    assert column(struck, "value") == expected


def test_a_fault_can_wait_for_a_query(client):
    queue(client, kind="run_missing_400", query="run=2025-03-01T06:00", times=2)
    other = {**RUN, "run": "2025-03-01T12:00"}
    asked = [other, RUN, other, RUN, RUN]
    assert [client.get(SINGLE, params=params).status_code for params in asked] == [200, 400, 200, 400, 200]


def test_a_fault_can_strike_until_it_is_cleared(client):
    queue(client, kind="http_503", times=0, path="/archive")
    assert [client.get(WEATHER, params=QUERY).status_code for _ in range(5)] == [503] * 5
    assert client.delete("/sandbox/faults").json() == {"waiting": 0}
    assert client.get(WEATHER, params=QUERY).status_code == 200


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(DOCUMENT.read_text("utf-8"), id="the document"),
        pytest.param(faults.__doc__, id="the module"),
    ],
)
def test_every_kind_is_described_in(text):
    assert set(KINDS) <= set(re.findall(r"`(\w+)`", text))
