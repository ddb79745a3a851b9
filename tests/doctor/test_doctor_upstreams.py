"""The doctor's questions to a sandbox over HTTP: as it should be, and on a bad day."""

from __future__ import annotations

import json
import sys
import time
from datetime import timedelta
from urllib.parse import parse_qsl

import httpx
import pytest

from energy_demand.config import SANDBOX_PATHS
from energy_demand.data.eia_client import EIAClient
from energy_demand.data.weather_client import WeatherClient
from energy_demand.doctor import questions, recording, upstreams
from energy_demand.doctor.asking import Answer
from energy_demand.doctor.checks import State, run_checks
from energy_demand.doctor.privacy import Secrets
from energy_demand.doctor.questions import Topic
from energy_demand.sandbox.app import create_app
from energy_demand.sandbox.server import serving
from energy_demand.sandbox.worlds.synthetic import SyntheticWorld
from support import PRESENT, make_settings

KEY = "goodkey0123456789"


class Listening:
    """A sandbox that notes each request."""

    def __init__(self, app) -> None:
        self._app = app
        self.requests: list[tuple[str, list[tuple[str, str]], dict[str, str]]] = []

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] == "http" and not scope["path"].startswith("/sandbox"):
            query = parse_qsl(scope["query_string"].decode(), keep_blank_values=True)
            headers = {name.decode(): value.decode() for name, value in scope["headers"]}
            self.requests.append((scope["path"], query, headers))
        await self._app(scope, receive, send)


@pytest.fixture(scope="module")
def sandbox(processes):
    app = Listening(create_app(SyntheticWorld(seed=1), now=PRESENT, require_key=KEY))
    with serving(app) as address:
        app.address = address
        yield app


@pytest.fixture
def settings(sandbox):
    yield make_settings(sandbox_url=sandbox.address, eia_api_key=KEY, operator_forecast="nyiso")
    httpx.delete(f"{sandbox.address}/sandbox/faults", trust_env=False)


@pytest.fixture
def fault(sandbox):
    def add(kind: str, path: str, **more: object) -> None:
        body = {"kind": kind, "path": path, **more}
        httpx.post(f"{sandbox.address}/sandbox/faults", json=body).raise_for_status()

    return add


def asked(settings, *topics, now=PRESENT):
    asker = upstreams.asker_of(settings)
    checks = [each for each in upstreams.checks(settings, now, asker) if not topics or each.name in topics]
    found = run_checks(checks, Secrets(settings, {}).clean)
    return {each.finding.name: each.finding for each in found}, asker.answers


def test_all_is_well(settings):
    found, answers = asked(settings)
    assert {name: each.state for name, each in found.items()} == dict.fromkeys(Topic, State.OK), found
    assert set(answers) == set(Topic)
    assert "synthetic data of a sandbox" in found[Topic.EIA_HOURLY].found
    assert upstreams.clock(answers).state is State.OK


def test_each_question_is_one_call_and_carries_the_key_in_a_header(settings, sandbox):
    sandbox.requests.clear()
    asked(settings)
    assert len(sandbox.requests) == len(Topic)
    for path, query, headers in sandbox.requests:
        assert KEY not in str(query)
        assert (headers.get("x-api-key") == KEY) == ("/v2/" in path)


def test_with_a_key_of_a_paid_plan_its_hosts_are_asked(sandbox):
    settings = make_settings(sandbox_url=sandbox.address, eia_api_key=KEY, open_meteo_api_key="paidkey01234")
    sandbox.requests.clear()
    found, _ = asked(settings, Topic.ARCHIVE, Topic.FORECAST, Topic.RUN)
    assert {each.state for each in found.values()} == {State.OK}, found
    for path, query, headers in sandbox.requests:
        assert path.startswith("/customer-")
        assert headers["x-api-key"] == "paidkey01234"
        assert "paidkey" not in str(query)


def test_a_key_of_a_paid_plan_that_is_refused(settings, fault):
    fault("invalid_key", "/archive")
    found, _ = asked(settings, Topic.ARCHIVE)
    assert found[Topic.ARCHIVE].state is State.FAILURE
    assert "OPEN_METEO_API_KEY" in found[Topic.ARCHIVE].remedy


def names(query):
    """What is asked, without the span."""
    spans = {
        "start",
        "end",
        "start_date",
        "end_date",
        "run",
        "forecast_days",
        "past_days",
        "offset",
        "length",
    }
    return sorted((name, value) for name, value in query if name not in spans | {"api_key"})


def test_the_questions_are_those_of_the_clients(settings, sandbox):
    """Else an answer that pleases the doctor could still displease a client."""
    sandbox.requests.clear()
    asked(settings)
    doctors = {path: names(query) for path, query, _ in sandbox.requests}
    sandbox.requests.clear()
    end = PRESENT - timedelta(hours=2)
    with EIAClient(settings) as eia:
        eia.fetch_rows(end - timedelta(hours=3), end, ("D", "DF"))
        eia.fetch_daily_rows(end.date() - timedelta(days=3), end.date() - timedelta(days=2), ("D", "DF"))
    with WeatherClient(settings) as weather:
        day = (end - timedelta(days=9)).date()
        weather.fetch_historical(day, day)
        weather.fetch_forecast(2)
        weather.fetch_run(upstreams._runs(settings, PRESENT)[0])
    clients = {path: names(query) for path, query, _ in sandbox.requests}
    for path, query in clients.items():
        assert doctors[path] == query, path
    assert len(clients) == 5


def test_no_key_is_said_without_a_question(monkeypatch):
    settings = make_settings()
    monkeypatch.setattr(upstreams, "_asked", lambda *_, **__: pytest.fail("it was asked"))
    asker = upstreams.asker_of(settings)
    checks = {each.name: each for each in upstreams.checks(settings, PRESENT, asker)}
    (hourly,) = checks[Topic.EIA_HOURLY].run()
    (daily,) = checks[Topic.EIA_DAILY].run()
    assert (hourly.state, daily.state) == (State.FAILURE, State.NOT_CHECKED)
    assert "eia.gov/opendata" in hourly.remedy


def test_a_key_that_is_refused(sandbox):
    settings = make_settings(sandbox_url=sandbox.address, eia_api_key="wrongkey0123")
    found, _ = asked(settings, Topic.EIA_HOURLY, Topic.EIA_DAILY)
    for each in found.values():
        assert each.state is State.FAILURE
        assert "API_KEY_INVALID" in each.found
        assert "EIA_API_KEY" in each.remedy


FAULTS = {
    "a page of a gateway": ("html_502", "/eia/v2", {}, Topic.EIA_HOURLY, State.FAILURE, "502", "later"),
    "a limit": ("http_429", "/archive", {}, Topic.ARCHIVE, State.WARNING, "Minutely", "Wait until"),
    "a day's limit": ("daily_limit", "/archive", {}, Topic.ARCHIVE, State.FAILURE, "Daily", "Wait until"),
    "EIA's limit": ("http_403", "/eia/v2", {}, Topic.EIA_HOURLY, State.WARNING, "OVER_RATE_LIMIT", "Wait"),
    "overloaded": ("error_under_200", "/forecast", {}, Topic.FORECAST, State.FAILURE, "overloaded", "later"),
    "half an answer": ("truncated", "/forecast", {}, Topic.FORECAST, State.FAILURE, "hourly", "cuts answers"),
    "a route that is gone": (
        "http_500",
        "/eia/v2",
        {},
        Topic.EIA_DAILY,
        State.FAILURE,
        "Not found",
        "EIA_BASE_URL",
    ),
    "a site less": (
        "site_missing",
        "/archive",
        {},
        Topic.ARCHIVE,
        State.FAILURE,
        "3 places for 4 sites",
        "changed",
    ),
    "a site elsewhere": (
        "site_elsewhere",
        "/archive",
        {},
        Topic.ARCHIVE,
        State.FAILURE,
        "the place of",
        "changed",
    ),
    "another order": (
        "sites_reordered",
        "/archive",
        {},
        Topic.ARCHIVE,
        State.WARNING,
        "not in the order",
        "asked",
    ),
    "Fahrenheit": (
        "wrong_units",
        "/forecast",
        {},
        Topic.FORECAST,
        State.FAILURE,
        "'°F', not '°C'",
        "changed",
    ),
    "a variable that is gone": (
        "undefined_variable",
        "/forecast",
        {},
        Topic.FORECAST,
        State.FAILURE,
        "has no values",
        "changed",
    ),
    "half a run": ("half_run", "/single-runs", {}, Topic.RUN, State.WARNING, "without values after", "asked"),
    "another region": ("wrong_region", "/eia/v2", {}, Topic.EIA_HOURLY, State.FAILURE, "of 'PJM'", "changed"),
    "garbage": (
        "garbage_rows",
        "/eia/v2",
        {"every": 1},
        Topic.EIA_HOURLY,
        State.FAILURE,
        "period",
        "changed",
    ),
    "nulls": ("nulls", "/eia/v2", {"every": 4}, Topic.EIA_HOURLY, State.WARNING, "are null", "asked"),
    "a file that moved": (
        "redirected",
        "/eia/sixMonthFiles",
        {},
        Topic.EIA_FILE,
        State.FAILURE,
        "302",
        "elsewhere",
    ),
    "a page with NULs": ("nul_502", "/eia/v2", {}, Topic.EIA_HOURLY, State.FAILURE, "502", "later"),
    "a stream that broke off": (
        "stream_timeout",
        "/forecast",
        {},
        Topic.FORECAST,
        State.FAILURE,
        "timeoutReached",
        "cuts answers",
    ),
    "a parameter that is unknown": (
        "other_400",
        "/forecast",
        {},
        Topic.FORECAST,
        State.FAILURE,
        "Data corrupted",
        "does not understand",
    ),
    "another page": ("html_502", "/eia/sixMonthFiles", {}, Topic.EIA_FILE, State.FAILURE, "502", "later"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_becomes_a_line_with_a_remedy(settings, fault, name):
    kind, path, more, topic, state, told, remedy = FAULTS[name]
    fault(kind, path, times=1, **more)
    found, _ = asked(settings, topic)
    assert found[topic].state is state, found
    assert told in found[topic].found
    assert remedy in found[topic].remedy


@pytest.mark.parametrize("kind", ["run_missing_400", "run_missing_text", "run_missing_midway"])
def test_a_run_that_is_missing_is_no_failure_where_an_older_one_is_there(settings, fault, kind):
    fault(kind, "/single-runs", times=1)
    found, _ = asked(settings, Topic.RUN)
    assert found[Topic.RUN].state is State.WARNING, found
    assert "not on record" in found[Topic.RUN].found


def test_three_runs_that_are_missing_are_a_failure(settings, fault):
    fault("run_missing_400", "/single-runs", times=3)
    found, _ = asked(settings, Topic.RUN)
    assert found[Topic.RUN].state is State.FAILURE
    assert "none of 3 runs" in found[Topic.RUN].found


def test_an_answer_that_does_not_come(sandbox, fault):
    settings = make_settings(sandbox_url=sandbox.address, eia_api_key=KEY, http_timeout_seconds=0.5)
    fault("slow", "/forecast", seconds=2.0)
    began = time.monotonic()
    found, _ = asked(settings, Topic.FORECAST)
    assert time.monotonic() - began < 10
    assert found[Topic.FORECAST].state is State.FAILURE
    assert "no answer within 0.5 s" in found[Topic.FORECAST].found


def test_an_answer_that_is_slow(settings, fault, monkeypatch):
    monkeypatch.setattr(upstreams, "SLOW_SECONDS", 0.2)
    fault("slow", "/forecast", seconds=0.5)
    found, _ = asked(settings, Topic.FORECAST)
    assert found[Topic.FORECAST].state is State.WARNING
    assert "an answer within 0.2 s" in found[Topic.FORECAST].expected


def test_a_proxy_does_not_reach_this_machine_itself(settings, monkeypatch):
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "")
    found, _ = asked(settings, Topic.FORECAST)
    assert found[Topic.FORECAST].state is State.OK, found


@pytest.mark.usefixtures("processes")
def test_a_socks_proxy_without_the_package_for_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "socksio", None)
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    found, _ = asked(make_settings(), Topic.FORECAST)
    assert found[Topic.FORECAST].state is State.FAILURE
    assert "httpx[socks]" in found[Topic.FORECAST].remedy


@pytest.mark.usefixtures("processes")
def test_nothing_listens():
    settings = make_settings(sandbox_url="http://127.0.0.1:9", eia_api_key=KEY)
    found, answers = asked(settings)
    assert {each.state for each in found.values()} == {State.FAILURE}
    assert all("cannot be reached" in each.found for each in found.values())
    assert answers == {}
    assert upstreams.clock(answers).state is State.NOT_CHECKED


@pytest.mark.parametrize(
    ("later", "state"), [(5, State.WARNING), (60, State.FAILURE)], ids=["hours late", "days late"]
)
def test_an_upstream_that_is_late(settings, later, state):
    """The doctor's present goes on and the sandbox's does not."""
    found, _ = asked(settings, Topic.EIA_HOURLY, now=PRESENT + timedelta(hours=later))
    if state is State.WARNING:
        assert found[Topic.EIA_HOURLY].state is state
        assert "late" in found[Topic.EIA_HOURLY].remedy
    else:
        assert found[Topic.EIA_HOURLY].state is state  # twelve hours that are not there: no rows
        assert "no rows" in found[Topic.EIA_HOURLY].found


@pytest.mark.parametrize(
    ("seconds", "state"), [(2, State.OK), (-20, State.OK), (90, State.WARNING), (-4000, State.FAILURE)]
)
def test_the_clock_of_this_machine(seconds, state):
    question = questions.Question(Topic.FORECAST, "http://x")
    served = PRESENT - timedelta(seconds=seconds)
    headers = {"date": served.strftime("%a, %d %b %Y %H:%M:%S GMT")}
    answer = Answer(question, 200, headers, b"", complete=True, seconds=0.1, at=PRESENT)
    found = upstreams.clock({"x": answer})
    assert found.state is state
    assert bool(found.remedy) == (state is not State.OK)
    odd = Answer(question, 200, {"date": "yesterday"}, b"", complete=True, seconds=0.1, at=PRESENT)
    assert upstreams.clock({"x": odd}).state is State.NOT_CHECKED


def test_what_is_recorded_holds_no_secret_and_can_be_read_again(settings, tmp_path):
    _, answers = asked(settings)
    folder = tmp_path / "recorded"
    recording.check_folder(folder)
    files = recording.write(folder, answers, Secrets(settings, {}), PRESENT)
    assert {file.name for file in files} == {*(topic.file_name for topic in Topic), "manifest.json"}
    assert KEY not in "".join(file.read_text() for file in files)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["now"] == "2025-03-12T13:00:00Z"
    assert {each["topic"] for each in manifest["answers"]} == set(Topic)
    for each in manifest["answers"]:
        assert each["status"] == 200
        assert (folder / each["file"]).stat().st_size > 100
    assert len((folder / Topic.EIA_FILE.file_name).read_text().splitlines()) <= recording.FILE_LINES


def test_a_key_that_an_upstream_repeats_is_not_recorded(settings, tmp_path):
    question = questions.Question(Topic.FORECAST, "http://x", secret_headers={"X-Api-Key": KEY})
    body = f'{{"error": "{KEY} is wrong"}}'.encode()
    answer = Answer(
        question, 403, {"location": f"/?api_key={KEY}"}, body, complete=True, seconds=0.1, at=PRESENT
    )
    for file in recording.write(tmp_path, {"x": answer}, Secrets(settings, {}), PRESENT):
        assert KEY not in file.read_text()
    assert KEY not in repr(question)


def test_a_folder_that_cannot_be_written(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(recording.OutputError, match="name another folder"):
        recording.check_folder(file)


def test_a_new_half_year_asks_for_the_file_before_for_some_days():
    zone = make_settings().region.zone
    assert questions.half_year_of(PRESENT.replace(month=1, day=3), zone) == (
        "EIA930_BALANCE_2024_Jul_Dec.csv",
        False,
    )
    assert questions.half_year_of(PRESENT, zone) == ("EIA930_BALANCE_2025_Jan_Jun.csv", True)
    assert set(SANDBOX_PATHS) == {each.lower() for each in upstreams.ADDRESSES.values()}


# The grid operator.


def test_the_operator_is_not_asked_where_it_is_switched_off(sandbox):
    found, answers = asked(make_settings(sandbox_url=sandbox.address, eia_api_key=KEY), Topic.OPERATOR)
    assert found == {}
    assert answers == {}


def test_the_newest_file_of_the_operator_is_asked_for_with_its_age_and_seconds(settings, sandbox):
    sandbox.requests.clear()
    found, _ = asked(settings, Topic.OPERATOR)
    assert [path for path, _, _ in sandbox.requests] == ["/public/csv/isolf/20250313isolf.csv"]
    line = found[Topic.OPERATOR]
    assert line.state is State.OK
    assert "144 hours, file of 2025-03-13, posted 2025-03-12T11:05Z" in line.found
    assert " s, " in line.found


def test_before_the_posting_yesterday_s_file_is_the_newest(settings, sandbox):
    sandbox.requests.clear()
    asked(settings, Topic.OPERATOR, now=PRESENT - timedelta(minutes=80))
    assert [path for path, _, _ in sandbox.requests] == ["/public/csv/isolf/20250312isolf.csv"]


def test_a_late_file_of_the_operator_is_a_warning_and_none_at_all_a_failure(settings):
    found, _ = asked(settings, Topic.OPERATOR, now=PRESENT + timedelta(days=1))
    line = found[Topic.OPERATOR]
    assert line.state is State.WARNING
    assert "the file of 2025-03-14 is not posted yet" in line.found
    found, _ = asked(settings, Topic.OPERATOR, now=PRESENT + timedelta(days=4))
    line = found[Topic.OPERATOR]
    assert line.state is State.FAILURE
    assert "NYISO_FORECAST_URL" in line.remedy


def test_the_operator_s_file_is_recorded_as_served(settings, tmp_path):
    _, answers = asked(settings, Topic.OPERATOR)
    recording.write(tmp_path, answers, Secrets(settings, {}), PRESENT)
    assert (tmp_path / "nyiso-forecast.csv").read_bytes() == answers[Topic.OPERATOR].body
    entry = json.loads((tmp_path / recording.MANIFEST).read_text())["answers"][0]
    assert entry["topic"] == Topic.OPERATOR
    assert entry["url"].endswith("/20250313isolf.csv")
