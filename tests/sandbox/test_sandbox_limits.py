"""Open-Meteo's call limits: what a call weighs, when an address is refused, when it may go on."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import httpx
import pytest

from energy_demand.sandbox.app import create_app
from energy_demand.sandbox.open_meteo.limits import CallCounts, Limits, weight
from energy_demand.sandbox.server import serving
from energy_demand.sandbox.strictness import Strictness

NOON = datetime(2025, 3, 20, 12, 0, 10, tzinfo=UTC)
HERE, THERE = "192.0.2.1", "192.0.2.2"
ARCHIVE = "/archive/v1/archive"
DAY = {"start_date": "2025-03-01", "end_date": "2025-03-01", "hourly": "temperature_2m"}
FOUR = {"latitude": "40.7,42.7,42.9,43", "longitude": "-74,-73.8,-78.9,-76.1"}
TWELVE = (
    "temperature_2m,relative_humidity_2m,dew_point_2m,apparent_temperature,precipitation,rain,snowfall,"
    "cloud_cover,wind_speed_10m,wind_gusts_10m,surface_pressure,shortwave_radiation"
)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        pytest.param({"sites": 4, "variables": 12, "days": 3}, 4.8, id="a single run of three days"),
        pytest.param({"sites": 4, "variables": 12, "days": 366}, 125.5, id="the archive of a leap year"),
        pytest.param({"sites": 4, "variables": 12, "days": 90}, 30.9, id="the archive of 90 days"),
        pytest.param({"sites": 1, "variables": 1, "days": 1}, 1.0, id="the smallest call"),
        pytest.param({"sites": 3, "variables": 5, "days": 14}, 3.0, id="never less than 1 a site"),
        pytest.param({"sites": 4, "variables": 12, "days": 3, "models": 5}, 24.0, id="five models"),
    ],
)
def test_a_call_weighs(asked, expected):
    assert weight(**asked) == pytest.approx(expected, abs=0.05)


@pytest.fixture
def wall():
    """A clock that a test turns."""
    return SimpleNamespace(now=NOON)


@pytest.fixture
def counts(wall):
    return CallCounts(Limits(), lambda: wall.now)


def call(counts, cost, address=HERE):
    """One call from beginning to end: the reason of a refusal, or None."""
    reason = counts.enter(address)
    if reason is None:
        counts.leave(address, cost)
    return reason


def test_an_address_is_refused_once_its_minute_is_used_up_and_goes_on_in_the_next(counts, wall):
    assert call(counts, 599.0) is None
    assert call(counts, 30.0) is None  # the call that exceeds the limit is still answered
    refused = call(counts, 1.0)
    assert refused == "Minutely API request limit exceeded. Please try again in one minute."
    wall.now += timedelta(seconds=49)
    assert call(counts, 1.0) == refused
    wall.now += timedelta(seconds=1)  # the clock's next minute, not sixty seconds later
    assert call(counts, 1.0) is None


def test_an_hour_holds_5000_and_ends_with_the_clocks_hour(counts, wall):
    for _ in range(9):
        assert call(counts, 560.0) is None
        wall.now += timedelta(minutes=1)
    expected = "Hourly API request limit exceeded. Please try again in the next hour."
    assert call(counts, 1.0) == expected
    wall.now = NOON.replace(minute=59, second=59)
    assert call(counts, 1.0) == expected
    wall.now += timedelta(seconds=1)
    assert call(counts, 1.0) is None


def test_a_day_holds_10000_and_ends_at_midnight_utc(counts, wall):
    for hour in (12, 13, 14):
        for minute in range(8):
            wall.now = NOON.replace(hour=hour, minute=minute)
            reason = call(counts, 590.0)
            if reason:
                break
    assert reason == "Daily API request limit exceeded. Please try again tomorrow."
    wall.now = NOON.replace(hour=23, minute=59, second=59)
    assert call(counts, 1.0) == reason
    wall.now += timedelta(seconds=1)
    assert call(counts, 1.0) is None


def test_each_address_has_limits_of_its_own(counts):
    call(counts, 600.0)
    assert call(counts, 1.0) is not None
    assert call(counts, 1.0, THERE) is None
    assert counts.spent(HERE) == {"minute": 600.0, "hour": 600.0, "day": 600.0}


def test_the_sixth_call_at_once_is_refused(counts):
    assert [counts.enter(HERE) for _ in range(5)] == [None] * 5
    assert counts.enter(HERE) == "Too many concurrent requests"
    assert counts.enter(THERE) is None
    counts.leave(HERE, 1.0)
    assert counts.enter(HERE) is None


def test_what_was_let_in_and_refused_is_counted(counts):
    for cost in (4.8, 600.0):
        call(counts, cost)
    call(counts, 1.0)
    assert (counts.calls, counts.weight, counts.refused) == (2, pytest.approx(604.8), 1)


@pytest.fixture
def app(synthetic_world, wall):
    strict = Strictness.none(limits=Limits())
    return create_app(
        synthetic_world, now=datetime(2025, 3, 20, 14, 30, tzinfo=UTC), strict=strict, wall=lambda: wall.now
    )


@pytest.fixture
def client(in_process, app):
    return in_process(app)


@pytest.mark.parametrize(
    ("path", "params", "cost"),
    [
        pytest.param(
            ARCHIVE,
            {**FOUR, "hourly": TWELVE, "start_date": "2024-01-01", "end_date": "2024-12-31"},
            125.5,
            id="an archive call of 366 days",
        ),
        pytest.param(
            "/single-runs/v1/forecast",
            {**FOUR, "hourly": TWELVE, "run": "2025-03-20T00:00", "forecast_days": "3"},
            4.8,
            id="a single run",
        ),
        pytest.param(
            "/forecast/v1/forecast",
            {**FOUR, "hourly": TWELVE, "past_days": "26", "forecast_days": "2"},
            9.6,
            id="a forecast with a past",
        ),
        pytest.param(
            "/forecast/v1/forecast",
            {**FOUR, "hourly": TWELVE, "models": "gfs_seamless,ecmwf_ifs", "forecast_days": "2"},
            9.6,
            id="two models at once",
        ),
        pytest.param(ARCHIVE, {**DAY, "latitude": "40.7"}, 1.0, id="a call that is refused as wrong"),
        pytest.param("/archive/v1/nowhere", {}, 1.0, id="a path that is not there"),
    ],
)
def test_a_request_costs(app, client, path, params, cost):
    client.get(path, params=params)
    assert app.state.limits.weight == pytest.approx(cost, abs=0.05)
    assert client.get("/sandbox/limits").json() == {
        "calls": 1,
        "weight": app.state.limits.weight,
        "refused": 0,
    }


def test_a_failure_costs_one(app, client):
    client.post("/sandbox/faults", json={"kind": "http_500", "path": "/archive"})
    assert client.get(ARCHIVE, params={**FOUR, **DAY}).status_code == 500
    assert app.state.limits.weight == 1.0


def test_a_refusal_is_a_429_without_a_time_to_wait(app, client, wall):
    app.state.limits.leave("127.0.0.1", 600.0)
    refused = client.get(ARCHIVE, params={**FOUR, **DAY})
    assert refused.status_code == 429
    assert refused.json() == {
        "error": True,
        "reason": "Minutely API request limit exceeded. Please try again in one minute.",
    }
    assert "retry-after" not in refused.headers
    assert refused.headers["x-sandbox-data"] == "synthetic"
    wall.now += timedelta(minutes=1)
    assert client.get(ARCHIVE, params={**FOUR, **DAY}).status_code == 200


def test_eia_and_customers_have_no_such_limits(app, client):
    app.state.limits.leave("127.0.0.1", 600.0)
    assert client.get("/eia/v2/electricity/rto/region-data/data/", params={"length": "1"}).status_code == 200
    paid = client.get(f"/customer-{ARCHIVE[1:]}", params={**FOUR, **DAY}, headers={"X-Api-Key": "paid"})
    assert paid.status_code == 200
    assert app.state.limits.calls == 0


@pytest.mark.usefixtures("processes")
def test_without_strictness_calls_are_counted_and_none_is_refused(synthetic):
    before = synthetic.get("/sandbox/limits").json()
    for _ in range(3):
        assert synthetic.get(ARCHIVE, params={**FOUR, **DAY}).status_code == 200
    after = synthetic.get("/sandbox/limits").json()
    assert (after["calls"] - before["calls"], after["weight"] - before["weight"]) == (3, 12.0)
    assert after["refused"] == before["refused"]


@pytest.mark.usefixtures("processes")
def test_slow_answers_hold_their_places(synthetic_world):
    app = create_app(synthetic_world, now=NOON, strict=Strictness.none(limits=Limits()))

    async def all_at_once(url: str) -> list[httpx.Response]:
        async with httpx.AsyncClient(base_url=url) as asking:
            slow = {"kind": "slow", "seconds": 0.5, "times": 0, "path": "/archive"}
            assert (await asking.post("/sandbox/faults", json=slow)).status_code == 201
            return await asyncio.gather(*(asking.get(ARCHIVE, params={**FOUR, **DAY}) for _ in range(7)))

    with serving(app) as url:
        answers = asyncio.run(all_at_once(url))
    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [429] * 2
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert refused.json() == {"error": True, "reason": "Too many concurrent requests"}
