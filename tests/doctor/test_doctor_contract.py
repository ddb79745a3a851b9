"""What the doctor calls a problem, a doubt or a refusal in an answer; and what it lets pass."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import pytest

from energy_demand.columns import SYSTEM, WEATHER_VARIABLES
from energy_demand.data import weather_client
from energy_demand.data.operator_client import ZONES
from energy_demand.doctor.contract import (
    GRID_DEGREES,
    compare_eia,
    compare_file,
    compare_operator,
    compare_weather,
)
from energy_demand.doctor.refusals import Refused, refusal
from energy_demand.region import NEW_YORK

EXAMPLES = Path(__file__).with_name("recorded")
MIDNIGHT = datetime(2025, 3, 12, tzinfo=UTC)


def example(name: str):
    return json.loads((EXAMPLES / name).read_text())


def eia(body, frequency="hourly"):
    return compare_eia(body, frequency=frequency, respondent="NY", series=("D", "DF"))


def weather(body, **given):
    asked = {"sites": NEW_YORK.sites, "first": MIDNIGHT, "hours": 48, **given}
    return compare_weather(body, **asked)


def test_an_hourly_page_as_it_should_be():
    found = eia(example("eia-hourly.json"))
    assert (found.problems, found.doubts) == ([], [])
    assert found.newest == datetime(2025, 3, 12, 12, tzinfo=UTC)
    assert found.rows == 25


def test_a_daily_page_as_it_should_be():
    found = eia(example("eia-daily.json"), "daily")
    assert (found.problems, found.doubts) == ([], [])
    assert found.newest == datetime(2025, 3, 11, tzinfo=UTC)


def rows(body):
    return body["response"]["data"]


EIA_CHANGES = {
    "no response": (lambda body: body.pop("response"), "no list response.data"),
    "no rows": (lambda body: rows(body).clear(), "no rows"),
    "no total": (lambda body: body["response"].pop("total"), "response.total is None"),
    "another frequency": (lambda body: body["response"].update(frequency="daily"), "response.frequency"),
    "another unit": (lambda body: rows(body)[3].update({"value-units": "MW"}), "the unit is 'MW'"),
    "no unit": (lambda body: rows(body)[3].pop("value-units"), "lacks value-units"),
    "another region": (lambda body: rows(body)[0].update(respondent="PJM"), "of 'PJM'"),
    "another series": (lambda body: rows(body)[0].update(type="NG"), "of type 'NG'"),
    "words for a value": (lambda body: rows(body)[0].update(value="n/a"), "not a number"),
    "a truth value": (lambda body: rows(body)[0].update(value=True), "not a number"),
    "another time": (lambda body: rows(body)[0].update(period="2025-03-12T01:00Z"), "a period is written"),
    "a day that is none": (lambda body: rows(body)[0].update(period="2025-13-41T25"), "a period is written"),
    "no order": (lambda body: rows(body).reverse(), "not sorted"),
    "no demand": (lambda body: body["response"].update(data=rows(body)[1:2]), "no rows of type D"),
    "a row that is none": (lambda body: rows(body).append(None), "not an object"),
}


@pytest.mark.parametrize("name", EIA_CHANGES)
def test_a_page_that_a_client_cannot_use(name):
    change, told = EIA_CHANGES[name]
    body = example("eia-hourly.json")
    change(body)
    found = eia(body)
    assert any(told in problem for problem in found.problems), found.problems


def test_what_a_client_does_not_need_may_be_there():
    body = example("eia-hourly.json")
    body["warnings"] = [{"warning": "slow"}]
    rows(body)[0]["quality"] = "final"
    assert eia(body).problems == []
    places = example("open-meteo-forecast.json")
    places[0]["hourly"]["uv_index"] = [1.0] * 48
    places[0]["model"] = "x"
    assert weather(places).problems == []


def test_numbers_and_nulls_of_demand_are_understood():
    body = example("eia-hourly.json")
    rows(body)[0].update(value=17000)
    rows(body)[2].update(value=None)
    found = eia(body)
    assert found.problems == []
    assert found.doubts == ["1 of 12 values of demand are null"]


def test_weather_as_it_should_be():
    found = weather(example("open-meteo-forecast.json"))
    assert (found.problems, found.doubts) == ([], [])
    assert found.newest == MIDNIGHT + timedelta(hours=47)
    run = weather(example("open-meteo-single-run.json"), hours=49, skip_first=True)
    assert (run.problems, run.doubts) == ([], [])
    later = MIDNIGHT + timedelta(hours=6)  # of a run at 06, should its days be counted from midnight
    assert (
        weather(example("open-meteo-single-run.json"), first=later, hours=49, skip_first=True).problems == []
    )
    first = MIDNIGHT - timedelta(days=10)
    old = weather(example("open-meteo-archive.json"), first=first, hours=240, may_end_early=True)
    assert (old.problems, old.doubts) == ([], [])
    assert old.newest == first + timedelta(hours=6 * 24 - 1)


def hourly(name, values):
    return lambda places: places[1]["hourly"].update({name: values})


WEATHER_CHANGES = {
    "a site less": (lambda places: places.pop(), "3 places for 4 sites"),
    "a site elsewhere": (lambda places: places[2].update(latitude=62.0), "the place of"),
    "Fahrenheit": (lambda places: places[0]["hourly_units"].update(temperature_2m="°F"), "in '°F', not '°C'"),
    "miles": (lambda places: places[0]["hourly_units"].update(wind_speed_10m="mp/h"), "not 'km/h'"),
    "no unit": (lambda places: places[0]["hourly_units"].pop("rain"), "rain is in None"),
    "a variable that the model lacks": (
        lambda places: places[0]["hourly_units"].update(shortwave_radiation="undefined"),
        "shortwave_radiation has no values",
    ),
    "a variable less": (lambda places: places[3]["hourly"].pop("rain"), "variables rain are missing"),
    "local time": (lambda places: places[0].update(utc_offset_seconds=-14400), "from GMT"),
    "text": (hourly("rain", ["0"] * 48), "not numbers"),
    "truth values": (hourly("rain", [True] * 48), "not numbers"),
    "too few values": (hourly("rain", [0.0] * 47), "not one value for each hour"),
    "no list": (hourly("rain", None), "not one value for each hour"),
    "other hours": (
        lambda places: places[0]["hourly"].update(time=places[0]["hourly"]["time"][1:]),
        "lacks 1 of the 48 hours",
    ),
    "hours with a hole": (
        lambda places: places[0]["hourly"]["time"].pop(5),
        "not a list of consecutive hours",
    ),
    "another form of time": (
        lambda places: places[0]["hourly"].update(time=list(range(48))),
        "not a list of consecutive hours",
    ),
    "no hourly": (lambda places: places[0].pop("hourly"), "no hourly and hourly_units"),
    "a place that is none": (lambda places: places.__setitem__(0, None), "not an object"),
}


@pytest.mark.parametrize("name", WEATHER_CHANGES)
def test_weather_that_a_client_cannot_use(name):
    change, told = WEATHER_CHANGES[name]
    places = example("open-meteo-forecast.json")
    change(places)
    found = weather(places)
    assert any(told in problem for problem in found.problems), found.problems


def nulled(places, names, start=0, stop=48):
    for place in places:
        for name in names:
            place["hourly"][name][start:stop] = [None] * (stop - start)


DOUBTS = {
    "a half run": (
        lambda places: nulled(places, WEATHER_VARIABLES, 12),
        "every variable without values after 12",
    ),
    "rain alone": (
        lambda places: nulled(places, ["temperature_2m"], 30),
        "temperature_2m without values after 30",
    ),
    "a hole": (lambda places: nulled(places, ["rain"], 5, 7), "rain with nulls between values"),
    "an empty column": (lambda places: nulled(places, ["rain"]), "rain without any value"),
    "another order": (lambda places: places.reverse(), "not in the order"),
}


@pytest.mark.parametrize("name", DOUBTS)
def test_weather_that_a_client_copes_with(name):
    change, told = DOUBTS[name]
    places = example("open-meteo-forecast.json")
    change(places)
    found = weather(places)
    assert found.problems == []
    assert any(told in doubt for doubt in found.doubts), found.doubts


def test_the_grid_is_that_of_the_client():
    assert weather_client.GRID_DEGREES == GRID_DEGREES


def test_one_site_is_answered_without_a_list():
    (first, *_) = example("open-meteo-forecast.json")
    assert weather(first, sites=NEW_YORK.sites[:1]).problems == []


FILE = (EXAMPLES / "eia-six-month-file.csv").read_bytes()


def test_the_beginning_of_a_file():
    found = compare_file(FILE, "NYIS")
    assert (found.problems, found.rows) == ([], 30)
    cut = compare_file(FILE[:-40], "NYIS")
    assert (cut.problems, cut.rows) == ([], 29)
    marked = compare_file(b"\xef\xbb\xbf" + FILE, "NYIS")
    assert marked.problems == []


FILES = {
    "nothing": (b"", "empty"),
    "a header": (FILE.splitlines(keepends=True)[0], "no rows"),
    "a column less": (FILE.replace(b'"Demand (MW)"', b'"Load (MW)"'), "lacks the columns Demand (MW)"),
    "another time": (FILE.replace(b":00:00 AM", b":00 AM"), "a time is written"),
    "words": (FILE.replace(b'"2,', b'"x,'), "not a number"),
    "a short row": (FILE.replace(b",MIDW\n", b"\n", 1), "18 of 19 columns"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_cannot_be_read(name):
    body, told = FILES[name]
    found = compare_file(body, "NYIS")
    assert any(told in problem for problem in found.problems), found.problems


def test_a_whole_file_has_to_have_the_authority():
    assert compare_file(FILE, "NYIS", complete=True).problems == ["the file has no rows of NYIS"]
    assert compare_file(FILE, "AECI", complete=True).problems == []


UNAVAILABLE = "modelRunUnavailable(model: ecmwf_ifs, run: 2026-06-01T00:00Z)"
REFUSALS = {
    "a refused key": (
        403,
        {"error": {"code": "API_KEY_INVALID", "message": "An invalid api_key"}},
        Refused.KEY,
    ),
    "a paid key": (400, {"error": True, "reason": "The supplied API key is invalid."}, Refused.KEY),
    "a door": (403, "Forbidden", Refused.KEY),
    "EIA's limit": (403, {"error": {"code": "OVER_RATE_LIMIT", "message": "rate limit"}}, Refused.LIMIT),
    "a limit": (
        429,
        {"error": True, "reason": "Minutely API request limit exceeded. Please try again in one minute."},
        Refused.LIMIT,
    ),
    "a day's limit under 400": (
        400,
        {"error": True, "reason": "Daily API request limit exceeded."},
        Refused.LIMIT,
    ),
    "too many at once": (429, {"error": True, "reason": "Too many concurrent requests"}, Refused.LIMIT),
    "a missing run": (
        400,
        {"error": True, "reason": "The requested model run is not available. Model: ecmwf_ifs, run: x"},
        Refused.MISSING_RUN,
    ),
    "a missing run as text": (
        200,
        f"Unexpected error while streaming data: {UNAVAILABLE}",
        Refused.MISSING_RUN,
    ),
    "a missing run midway": (
        200,
        f'[{{"hourly":{{"rain":[0.1,Unexpected error while streaming data: {UNAVAILABLE}',
        Refused.MISSING_RUN,
    ),
    "a timeout midway": (
        200,
        '[{"hourly":{"rain":[0.1,Unexpected error while streaming data: timeoutReached',
        Refused.BROKEN,
    ),
    "half a body": (200, '{"response": {"data": [', Refused.BROKEN),
    "an empty body": (200, "", Refused.BROKEN),
    "a page": (200, "<html><title>Sign in</title></html>", Refused.PAGE),
    "a page with a form": (200, "<!DOCTYPE html><html></html>", Refused.PAGE),
    "a gateway": (502, "<html>502 Bad Gateway</html>\0\0", Refused.BUSY),
    "words of a cache": (525, "error code: 525", Refused.BUSY),
    "overloaded under 200": (200, {"error": True, "reason": "The service is overloaded"}, Refused.BUSY),
    "a route that is gone": (500, {"error": "Not found.", "code": 404}, Refused.NOT_FOUND),
    "a file that is gone": (404, "<html>404</html>", Refused.NOT_FOUND),
    "elsewhere": (302, "", Refused.MOVED),
    "a wrong parameter": (400, {"error": True, "reason": "Parameter 'run' must not be set"}, Refused.REQUEST),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_is_understood(name):
    status, body, kind = REFUSALS[name]
    found = refusal(status, (body if isinstance(body, str) else json.dumps(body)).encode())
    assert found is not None
    assert found.kind is kind
    assert "\0" not in found.text


def test_data_is_no_refusal():
    for name in ("eia-hourly.json", "open-meteo-forecast.json"):
        assert refusal(200, (EXAMPLES / name).read_bytes()) is None
    assert refusal(200, FILE, table=True) is None
    assert refusal(206, FILE, table=True) is None
    assert refusal(200, b"<html>", table=True).kind is Refused.PAGE


DAY = date(2025, 3, 13)


def operator_file(change=lambda rows: rows, day: date = DAY) -> bytes:
    """Two days of 17,000 MW in equal zones."""
    parts = [name for name in ZONES if name != SYSTEM]
    rows = [["Time Stamp", *parts, SYSTEM]]
    for hour in range(48):
        stamp = datetime.combine(day, time(0)) + timedelta(hours=hour)
        rows.append([f"{stamp:%m/%d/%Y %H:%M}", *["1550"] * len(parts), str(1550 * len(parts))])
    return "\n".join(",".join(row) for row in change(rows)).encode()


def scaled(factor: float):
    return lambda rows: [
        rows[0],
        *([row[0], *(f"{factor * float(cell):.2f}" for cell in row[1:])] for row in rows[1:]),
    ]


OPERATOR_CHANGES = {
    "no system": (lambda rows: [row[:-1] for row in rows], "lacks the columns NYISO"),
    "no time": (lambda rows: [row[1:] for row in rows], "lacks the columns TIME STAMP"),
    "another unit": (scaled(0.001), "cannot be MW"),
    "zones that do not add up": (
        lambda rows: [rows[0], *([*row[:-1], "30000"] for row in rows[1:])],
        "add up to 57%",
    ),
    "another form of time": (
        lambda rows: [rows[0], *([row[0].replace("/", "-"), *row[1:]] for row in rows[1:])],
        "a time is written like '03-13-2025 00:00'",
    ),
    "another day": (lambda rows: [rows[0], *rows[25:]], "begins at 03/14/2025 00:00"),
    "a word for a number": (lambda rows: [*rows[:-1], [*rows[-1][:-1], "n/a"]], "'n/a', not a number"),
    "a cut row": (lambda rows: [*rows[:-1], rows[-1][:3]], "a row has 3 of 13 columns"),
    "a header alone": (lambda rows: rows[:1], "no rows"),
    "nothing": (lambda rows: [], "empty"),
}


@pytest.mark.parametrize("name", OPERATOR_CHANGES)
def test_a_file_of_the_operator_that_a_client_cannot_use_is_a_problem(name):
    change, words = OPERATOR_CHANGES[name]
    found = compare_operator(operator_file(change), DAY, ZONES, SYSTEM)
    assert len(found.problems) == 1
    assert words in found.problems[0]


def test_a_file_of_the_operator_as_it_should_be():
    found = compare_operator(operator_file(), DAY, ZONES, SYSTEM)
    assert (found.problems, found.doubts, found.rows) == ([], [], 48)
    fewer = compare_operator(
        operator_file(lambda rows: [[*row[:1], *row[2:]] for row in rows]), DAY, ZONES, SYSTEM
    )
    assert (fewer.problems, fewer.doubts) == ([], ["the file lacks the zones CAPITL"])
