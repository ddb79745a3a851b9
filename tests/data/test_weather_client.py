"""Open-Meteo through its client: frames of all sites in GMT, runs as issued, faults, over real HTTP."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from urllib.parse import parse_qsl

import httpx
import numpy as np
import pandas as pd
import pytest

from energy_demand.call_limits import Timing
from energy_demand.columns import WEATHER_VARIABLES
from energy_demand.config import Settings
from energy_demand.data.quality import check_weather
from energy_demand.data.weather_client import RUN_DAYS, OpenMeteoDialect, WeatherClient
from energy_demand.http import UpstreamError
from energy_demand.sandbox.app import create_app
from energy_demand.sandbox.server import serving
from energy_demand.sandbox.worlds.synthetic import SyntheticWorld
from energy_demand.sandbox.worlds.world import SITES

PRESENT = datetime(2025, 3, 12, 13, tzinfo=UTC)
NAMES = ["new_york_city", "albany", "buffalo", "syracuse"]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def settings(**given: object) -> Settings:
    return Settings(_env_file=None, **{"http_backoff_seconds": 0.0, "energy_demand_now": PRESENT, **given})


class Watched:
    """An application whose requests are counted and kept."""

    def __init__(self, app) -> None:
        self._app = app
        self.asked: list[dict[str, str]] = []

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] == "http" and not scope["path"].startswith("/sandbox"):
            self.asked.append(dict(parse_qsl(scope["query_string"].decode())))
        await self._app(scope, receive, send)


class Body:
    """A server that gives one JSON body for ever."""

    body: object = None

    async def __call__(self, scope, receive, send) -> None:
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(self.body).encode()})


@pytest.fixture(scope="module")
def running(processes):
    watched = Watched(create_app(SyntheticWorld(seed=1), now=PRESENT))
    with serving(watched) as url:
        yield watched, url


@pytest.fixture
def sandbox(running):
    watched, url = running
    watched.asked.clear()
    yield watched, url
    httpx.delete(f"{url}/sandbox/faults")


@pytest.fixture
def client(sandbox):
    with WeatherClient(settings(sandbox_url=sandbox[1])) as client:
        yield client


@pytest.fixture(scope="module")
def scripted(processes):
    server = Body()
    with serving(server) as url:
        yield server, url


@pytest.fixture
def one_site(scripted):
    """A client for one site, and what it is answered."""
    server, url = scripted
    with WeatherClient(settings(sandbox_url=url, weather_further_sites=(), http_attempts=2)) as client:
        yield client, server


def answer(times: list[str], **hourly: object) -> dict[str, object]:
    return {"latitude": 40.7, "utc_offset_seconds": 0, "hourly": {"time": times, **hourly}}


def assert_hours_of_each_site(frame: pd.DataFrame, first: str, last: str) -> None:
    """Sorted by site and time, every hour once."""
    hours = list(pd.date_range(first, last, freq="h", tz="UTC"))
    assert list(frame["site"].unique()) == sorted(NAMES)
    for _, of_site in frame.groupby("site", sort=False):
        assert list(of_site["timestamp"]) == hours


def test_observed_weather_has_all_variables_of_all_sites_in_utc(client):
    frame = client.fetch_historical("2024-06-01", "2024-06-02")
    assert list(frame.columns) == ["timestamp", "site", *WEATHER_VARIABLES]
    assert str(frame["timestamp"].dtype) == "datetime64[us, UTC]"
    assert {str(frame[name].dtype) for name in WEATHER_VARIABLES} == {"float64"}
    assert_hours_of_each_site(frame, "2024-06-01T00", "2024-06-02T23")
    assert frame.notna().all(axis=None)


def test_each_site_gets_its_own_weather(client):
    frame = client.fetch_historical(date(2024, 6, 1), date(2024, 6, 1))
    hours = np.arange(24) + int(at("2024-06-01T00").timestamp() // 3600)
    weather = SyntheticWorld(seed=1).weather
    for site, place in SITES.items():
        served = frame.loc[frame["site"] == site, list(WEATHER_VARIABLES)].to_numpy().T
        assert np.allclose(served, weather.observed(place, WEATHER_VARIABLES, hours), atol=0.06), site


def test_one_call_asks_for_all_sites_in_gmt(sandbox, client):
    client.fetch_historical("2024-06-01", "2024-06-02")
    assert sandbox[0].asked == [
        {
            "latitude": "40.7128,42.6526,42.8864,43.0481",
            "longitude": "-74.006,-73.7562,-78.8784,-76.1474",
            "hourly": ",".join(WEATHER_VARIABLES),
            "timezone": "GMT",
            "start_date": "2024-06-01",
            "end_date": "2024-06-02",
        }
    ]


@pytest.mark.parametrize(
    ("first", "last", "spans"),
    [
        pytest.param("2023-01-01", "2023-03-31", [("2023-01-01", "2023-03-31")], id="90 days in one call"),
        pytest.param(
            "2023-01-01",
            "2023-04-01",
            [("2023-01-01", "2023-03-31"), ("2023-04-01", "2023-04-01")],
            id="91 days in two calls",
        ),
    ],
)
def test_a_long_span_is_asked_for_in_quarters(first, last, spans, sandbox):
    with WeatherClient(settings(sandbox_url=sandbox[1], weather_further_sites=())) as client:
        frame = client.fetch_historical(first, last)
    assert [(asked["start_date"], asked["end_date"]) for asked in sandbox[0].asked] == spans
    assert list(frame["timestamp"]) == list(pd.date_range(first, f"{last}T23", freq="h", tz="UTC"))


def test_hours_that_the_archive_does_not_have_yet_are_nan(client):
    frame = client.fetch_historical("2025-03-07", "2025-03-08")
    there = frame["timestamp"] <= PRESENT - timedelta(days=5)
    assert frame.loc[there, list(WEATHER_VARIABLES)].notna().all(axis=None)
    assert frame.loc[~there, list(WEATHER_VARIABLES)].isna().all(axis=None)
    assert 0 < there.sum() < len(frame)


@pytest.mark.parametrize("day", ["yesterday", "2024-06-31"])
def test_a_day_that_cannot_be_read_is_named(day, client):
    with pytest.raises(ValueError, match=f"'{day}' is not a valid date"):
        client.fetch_historical(day, "2024-06-30")


def test_a_day_out_of_range_is_the_upstreams_error(sandbox, client):
    with pytest.raises(UpstreamError, match="out of allowed range") as caught:
        client.fetch_historical("2030-01-01", "2030-01-02")
    assert (caught.value.status, len(sandbox[0].asked)) == (400, 1)
    assert "start_date=2030-01-01" in caught.value.asked


def test_the_forecast_covers_today_and_tomorrow_of_all_sites(client):
    frame = client.fetch_forecast()
    assert list(frame.columns) == ["timestamp", "site", *WEATHER_VARIABLES]
    assert_hours_of_each_site(frame, "2025-03-12T00", "2025-03-13T23")
    assert frame.notna().all(axis=None)


def test_the_forecast_can_begin_in_the_past(client):
    frame = client.fetch_forecast(forecast_days=1, past_days=7)
    assert_hours_of_each_site(frame, "2025-03-05T00", "2025-03-12T23")


def test_a_run_comes_with_the_time_it_was_published(client):
    found = client.fetch_run(at("2025-03-10T06"))
    assert (found.model, found.status, found.lacking) == ("ecmwf_ifs", "complete", ())
    frame = found.frame
    assert list(frame.columns) == ["issued_at", "timestamp", "site", *WEATHER_VARIABLES]
    assert set(frame["issued_at"]) == {at("2025-03-10T12:30")}
    assert {str(frame[name].dtype) for name in ("issued_at", "timestamp")} == {"datetime64[us, UTC]"}
    assert_hours_of_each_site(frame, "2025-03-10T06", "2025-03-15T05")


def test_the_publication_delay_is_a_setting(sandbox):
    with WeatherClient(settings(sandbox_url=sandbox[1], weather_publication_delay_hours=8)) as client:
        assert set(client.fetch_run(at("2025-03-10T06")).frame["issued_at"]) == {at("2025-03-10T14")}


@pytest.mark.parametrize(
    ("model", "asked"),
    [
        pytest.param("ecmwf_ifs", "ecmwf_ifs", id="a model is asked for by its name"),
        pytest.param("best_match", None, id="the blend is what no name asks for"),
    ],
)
def test_the_model_is_a_setting(sandbox, model, asked):
    with WeatherClient(settings(sandbox_url=sandbox[1], open_meteo_models=(model,))) as client:
        assert client.fetch_run(at("2025-03-10T06")).model == model
    assert sandbox[0].asked[0].get("models") == asked


def test_with_a_key_the_hosts_of_the_paid_plan_are_asked_and_the_key_is_a_header():
    given = settings(open_meteo_api_key="the-key")
    assert given.open_meteo_single_runs_url == "https://customer-single-runs-api.open-meteo.com/v1/forecast"
    assert given.open_meteo_forecast_url == "https://customer-api.open-meteo.com/v1/forecast"
    assert given.open_meteo_historical_url == "https://customer-archive-api.open-meteo.com/v1/archive"
    assert given.open_meteo_calls_per_minute is None


def test_a_paid_plan_works_and_its_key_stands_in_no_address(sandbox):
    with WeatherClient(settings(sandbox_url=sandbox[1], open_meteo_api_key="the-key")) as client:
        assert len(client.fetch_forecast(forecast_days=1)) == 4 * 24
    assert "the-key" not in str(sandbox[0].asked)


def test_a_run_as_issued_is_not_what_came_about(client):
    issued = client.fetch_run(at("2025-03-05T00")).frame.drop(columns="issued_at")
    observed = client.fetch_historical("2025-03-05", "2025-03-06")
    both = issued.merge(observed, on=["timestamp", "site"])
    assert (both["temperature_2m_x"] - both["temperature_2m_y"]).abs().mean() > 0.1


@pytest.mark.parametrize(
    "run",
    [
        pytest.param("2025-03-12T12", id="not published yet"),
        pytest.param("2025-03-12T18", id="in the future"),
    ],
)
def test_a_run_that_is_not_there_is_none(run, client):
    found = client.fetch_run(at(run))
    assert (found.frame, found.status) == (None, "missing")


def fail(sandbox, **fault: object) -> None:
    httpx.post(f"{sandbox[1]}/sandbox/faults", json=fault).raise_for_status()


@pytest.mark.parametrize("kind", ["run_missing_400", "run_missing_text", "run_missing_midway"])
def test_a_run_that_is_not_on_record_is_asked_for_once_whatever_its_shape(kind, sandbox, client):
    fail(sandbox, kind=kind)
    assert client.fetch_run(at("2025-03-10T06")).status == "missing"
    assert len(sandbox[0].asked) == 1


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        pytest.param("other_400", "HTTP 400", id="a request it does not understand"),
        pytest.param("invalid_key", "key is invalid", id="a key it does not know"),
    ],
)
def test_a_400_with_another_reason_is_an_error_and_not_a_missing_run(kind, reason, sandbox, client):
    fail(sandbox, kind=kind)
    with pytest.raises(UpstreamError, match=reason) as caught:
        client.fetch_run(at("2025-03-10T06"))
    assert (caught.value.status, len(sandbox[0].asked)) == (400, 1)


RUNS = [at("2025-03-10T06") - timedelta(hours=6 * number) for number in range(6)]


def test_a_run_that_fails_takes_no_other_with_it(sandbox):
    fail(sandbox, kind="http_503", times=99, query=f"run={RUNS[2]:%Y-%m-%dT%H}")
    with WeatherClient(settings(sandbox_url=sandbox[1], http_attempts=2)) as client:
        runs, ended_by = client.fetch_runs(RUNS)
    assert [found.status for found in runs] == ["complete"] * 2 + ["failed"] + ["complete"] * 3
    assert "HTTP 503" in str(runs[2].error)
    assert ended_by is None


def test_an_upstream_that_is_away_is_not_asked_for_every_run(sandbox):
    fail(sandbox, kind="http_503", times=999)
    with WeatherClient(settings(sandbox_url=sandbox[1], http_attempts=2)) as client:
        runs, ended_by = client.fetch_runs(RUNS * 5)
    assert {found.status for found in runs} == {"failed"}
    assert len(runs) <= 4
    assert "HTTP 503" in str(ended_by)


def test_a_refused_request_ends_at_once(sandbox):
    fail(sandbox, kind="other_400", times=99)
    with WeatherClient(settings(sandbox_url=sandbox[1])) as client:
        runs, ended_by = client.fetch_runs(RUNS)
    assert len(runs) <= 2
    assert ended_by.status == 400


def test_half_a_run_is_incomplete_and_says_how_much_is_missing(sandbox, client):
    fail(sandbox, kind="half_run")
    found = client.fetch_run(at("2025-03-10T06"))
    assert found.status == "incomplete"
    assert found.missing == 4 * 12 * (RUN_DAYS * 24 - 12)


def test_what_a_model_does_not_have_is_lacking_and_the_run_is_complete(sandbox, client):
    fail(sandbox, kind="undefined_variable")
    found = client.fetch_run(at("2025-03-10T06"))
    assert found.status == "complete"
    assert len(found.lacking) >= 1
    assert found.frame[list(found.lacking)].isna().all(axis=None)


def test_a_run_with_temperature_alone_is_incomplete(sandbox, client):
    fail(sandbox, kind="temperature_only")
    found = client.fetch_run(at("2025-03-10T06"))
    assert (found.status, found.missing) == ("incomplete", 4 * 11 * (RUN_DAYS * 24 - 1))


def test_another_unit_is_refused(sandbox, client):
    fail(sandbox, kind="wrong_units")
    with pytest.raises(UpstreamError, match="comes in °F, not in °C"):
        client.fetch_run(at("2025-03-10T06"))


def test_an_archive_that_takes_too_long_is_asked_for_in_halves(sandbox):
    fail(sandbox, kind="stream_timeout", times=2)
    with WeatherClient(settings(sandbox_url=sandbox[1], http_attempts=1)) as client:
        frame = client.fetch_historical("2024-06-01", "2024-06-08")
    assert_hours_of_each_site(frame, "2024-06-01T00", "2024-06-08T23")
    assert [(asked["start_date"], asked["end_date"]) for asked in sandbox[0].asked] == [
        ("2024-06-01", "2024-06-08"),
        ("2024-06-01", "2024-06-04"),
        ("2024-06-01", "2024-06-02"),
        ("2024-06-03", "2024-06-04"),
        ("2024-06-05", "2024-06-08"),
    ]


def test_a_page_with_characters_that_no_text_holds_is_told_without_them(sandbox):
    fail(sandbox, kind="nul_502", times=9)
    with (
        WeatherClient(settings(sandbox_url=sandbox[1], http_attempts=1)) as client,
        pytest.raises(UpstreamError, match="HTTP 502") as caught,
    ):
        client.fetch_forecast()
    assert str(caught.value).isprintable()


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self, at: datetime) -> None:
        self.now = at
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("kind", "until"),
    [
        pytest.param("minutely_limit", "2025-03-12T12:31:01", id="until the next minute"),
        pytest.param("hourly_limit", "2025-03-12T13:00:01", id="until the next hour"),
    ],
)
def test_a_used_up_limit_is_waited_out(kind, until, sandbox, caplog):
    fail(sandbox, kind=kind)
    clock = Clock(at("2025-03-12T12:30:20"))
    given = settings(sandbox_url=sandbox[1])
    with WeatherClient(given, timing=Timing(lambda: clock.now, clock.sleep)) as client:
        assert client.fetch_run(at("2025-03-10T06")).status == "complete"
    assert clock.now == at(until)
    assert len(sandbox[0].asked) == 2
    assert f"going on at {until[11:]} UTC" in caplog.text


def test_the_limit_of_a_day_ends_it_and_says_when_to_go_on(sandbox):
    fail(sandbox, kind="daily_limit", times=9)
    clock = Clock(at("2025-03-12T12:30:20"))
    with (
        WeatherClient(
            settings(sandbox_url=sandbox[1]), timing=Timing(lambda: clock.now, clock.sleep)
        ) as client,
        pytest.raises(UpstreamError, match="go on after 2025-03-13 00:00 UTC"),
    ):
        client.fetch_run(at("2025-03-10T06"))
    assert clock.slept == []


def test_calls_are_paced_by_their_weight(sandbox):
    clock = Clock(at("2025-03-12T12:30:00"))
    limits = {"open_meteo_calls_per_minute": 10.0, "open_meteo_calls_per_hour": 24.0}
    given = settings(sandbox_url=sandbox[1], **limits)
    begun = []
    with WeatherClient(given, timing=Timing(lambda: clock.now, clock.sleep)) as client:
        for run in RUNS:  # 4.8 each: two a minute, five an hour
            client.fetch_run(run)
            begun.append(f"{clock.now:%H:%M}")
    assert begun == ["12:30", "12:30", "12:31", "12:31", "12:32", "13:00"]


def test_a_run_that_fails_otherwise_is_an_error(sandbox, client):
    fail(sandbox, kind="html_502", times=9)
    with pytest.raises(UpstreamError, match="502"):
        client.fetch_run(at("2025-03-10T06"))


def test_one_site_alone_works(sandbox):
    with WeatherClient(settings(sandbox_url=sandbox[1], weather_further_sites=())) as client:
        frame = client.fetch_forecast(forecast_days=1)
    assert (set(frame["site"]), len(frame)) == ({"new_york_city"}, 24)
    assert sandbox[0].asked[0]["latitude"] == "40.7128"


@pytest.mark.parametrize("kind", ["error_under_200", "too_many_at_once", "html_502", "truncated"])
def test_a_passing_fault_is_overcome(kind, sandbox, client):
    httpx.post(f"{sandbox[1]}/sandbox/faults", json={"kind": kind, "times": 2})
    assert len(client.fetch_forecast(forecast_days=1)) == 4 * 24
    assert len(sandbox[0].asked) == 3


def test_an_error_under_200_that_stays_is_told(sandbox):
    httpx.post(f"{sandbox[1]}/sandbox/faults", json={"kind": "error_under_200", "times": 2})
    with (
        WeatherClient(settings(sandbox_url=sandbox[1], http_attempts=2)) as client,
        pytest.raises(UpstreamError, match="Open-Meteo: HTTP 200: The service is overloaded"),
    ):
        client.fetch_forecast()


@pytest.mark.parametrize(
    ("status", "reason", "retry"),
    [
        pytest.param(400, "Invalid date", False, id="a request it does not understand"),
        pytest.param(429, "Minutely API request limit exceeded.", False, id="the limit of a minute"),
        pytest.param(429, "Hourly API request limit exceeded.", False, id="the limit of an hour"),
        pytest.param(429, "Daily API request limit exceeded.", False, id="the limit of a day"),
        pytest.param(503, "The service is overloaded", True, id="an overloaded service"),
        pytest.param(200, "The service is overloaded", True, id="an overloaded service under 200"),
    ],
)
def test_open_meteos_faults_are_told_apart(status, reason, retry):
    fault = OpenMeteoDialect().fault(status, {"error": True, "reason": reason})
    assert (fault.reason, fault.retry) == (reason, retry)


@pytest.mark.parametrize("body", [None, [], {"hourly": {}}, [{"hourly": {}}]])
def test_an_answer_without_an_error_has_no_fault(body):
    assert OpenMeteoDialect().fault(200, body) is None


def test_nulls_and_missing_variables_are_nan(one_site):
    client, server = one_site
    server.body = answer(["2024-06-01T00:00", "2024-06-01T01:00"], temperature_2m=[None, 21.5], rain=[0, 1])
    frame = client.fetch_historical("2024-06-01", "2024-06-01")
    assert frame["temperature_2m"].isna().tolist() == [True, False]
    assert frame["rain"].tolist() == [0.0, 1.0]
    assert frame["shortwave_radiation"].isna().all()


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({}, id="nothing"),
        pytest.param("hello", id="text"),
        pytest.param({"utc_offset_seconds": 0, "hourly": {}}, id="no times"),
        pytest.param(answer(["2024-06-01T00:00"]) | {"utc_offset_seconds": -14400}, id="another zone"),
        pytest.param([answer(["2024-06-01T00:00"])] * 2, id="another number of sites"),
        pytest.param(answer(["2024-06-01T00:00"], rain=[0.0, 1.0]), id="more values than times"),
        pytest.param(answer(["noon"], rain=[0.0]), id="a time that is none"),
    ],
)
def test_an_answer_of_another_shape_is_an_error_that_says_what_was_asked(body, one_site):
    client, server = one_site
    server.body = body
    with pytest.raises(UpstreamError) as caught:
        client.fetch_historical("2024-06-01", "2024-06-01")
    assert "/archive/v1/archive" in caught.value.asked
    assert "start_date=2024-06-01" in caught.value.asked


def test_the_kind_of_data_is_told(client):
    client.fetch_forecast(1)
    assert client.data_kind == "synthetic"


@pytest.mark.parametrize("value", ["warm", {}, 10**400, []])
def test_one_value_that_is_no_number_costs_its_row_and_not_the_page(one_site, value):
    client, server = one_site
    server.body = answer(["2025-03-12T00:00", "2025-03-12T01:00"], temperature_2m=[value, 3.0])
    good, broken = check_weather(client.fetch_forecast())
    assert good["temperature_2m"].tolist() == [3.0]
    assert [breach.name for breach, _ in broken] == ["OUT_OF_RANGE"]
