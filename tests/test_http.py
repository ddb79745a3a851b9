"""The one HTTP client, over real HTTP: what it asks again, how long it waits, what it never says."""

from __future__ import annotations

import contextlib
import gzip
import logging
import socket
import time
import traceback
from datetime import UTC, datetime
from urllib.parse import parse_qsl

import httpx
import pytest

from energy_demand.config import Settings
from energy_demand.data.eia_client import EIAClient, EIADialect
from energy_demand.errors import UserError
from energy_demand.http import BodyError, DataKindError, Fault, HttpClient, UpstreamError, describe
from energy_demand.sandbox.app import create_app
from energy_demand.sandbox.server import serving
from energy_demand.sandbox.worlds.synthetic import SyntheticWorld

CANARY = "canary0123456789secret"
PRESENT = datetime(2025, 3, 12, 13, tzinfo=UTC)
JSON = {"content-type": "application/json"}
EIA_PATH = "/eia/v2/electricity/rto/region-data/data/"


def settings(**given: object) -> Settings:
    return Settings(_env_file=None, **{"http_backoff_seconds": 0.0, "energy_demand_now": PRESENT, **given})


class Plain:
    """An upstream whose errors are told by the status alone."""

    name = "Upstream"

    def fault(self, status: int, body: object) -> Fault | None:
        return None


class Scripted:
    """A server that gives its answers in turn, the last one for ever, and remembers what it was asked."""

    def __init__(self) -> None:
        self.give()

    def give(self, *answers: tuple[int, dict[str, str], bytes]) -> None:
        """Begin anew with these answers."""
        self._answers = list(answers)
        self.asked: list[list[tuple[str, str]]] = []
        self.at: list[float] = []

    async def __call__(self, scope, receive, send) -> None:
        assert scope["type"] == "http"
        self.asked.append(parse_qsl(scope["query_string"].decode()))
        self.at.append(time.monotonic())
        status, headers, body = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        await send({"type": "http.response.body", "body": body})


GOOD = (200, JSON, b'{"fine": true}')


@pytest.fixture(scope="module")
def scripted(processes):
    server = Scripted()
    with serving(server) as url:
        yield server, url


@pytest.fixture
def asking(scripted):
    """A client and the scripted server that it asks."""
    server, url = scripted

    @contextlib.contextmanager
    def asking(*answers, sleep=time.sleep, interval_seconds=0.0, dialect=None, **given):
        server.give(*answers)
        pace = {"interval_seconds": interval_seconds, "sleep": sleep}
        with HttpClient(dialect or Plain(), settings(**given), **pace) as client:
            yield client, server, url

    return asking


@pytest.fixture(scope="module")
def sandbox():
    with serving(create_app(SyntheticWorld(seed=1), now=PRESENT)) as url:
        yield url


@pytest.fixture
def faulty(sandbox):
    """The sandbox, and a way to have it fail."""
    yield sandbox, lambda **fault: httpx.post(f"{sandbox}/sandbox/faults", json=fault).raise_for_status()
    httpx.delete(f"{sandbox}/sandbox/faults")


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param((429, JSON, b"{}"), id="too many requests"),
        pytest.param((500, JSON, b"{}"), id="a server error"),
        pytest.param(
            (502, {"content-type": "text/html"}, b"<html>Bad Gateway</html>"), id="a gateway's page"
        ),
        pytest.param((503, {}, b""), id="an empty answer of an overloaded server"),
        pytest.param((200, JSON, b'{"response": {"da'), id="a body cut off"),
        pytest.param((200, JSON, b""), id="no body"),
        pytest.param((200, JSON, b'{"name": "\xff"}'), id="a body in no encoding"),
        pytest.param((200, JSON | {"content-length": "99"}, b"{}"), id="a connection cut off"),
        pytest.param(
            (200, JSON | {"content-encoding": "gzip"}, gzip.compress(b"{}")[:-9] + b"garbage!!"),
            id="a compressed body damaged on the way",
        ),
    ],
)
def test_what_asking_again_can_help_is_asked_again(asking, answer):
    with asking(answer, answer, GOOD) as (client, server, url):
        assert client.get_json(url, [("a", "b")]) == {"fine": True}
        assert server.asked == [[("a", "b")]] * 3


@pytest.mark.parametrize("status", [301, 400, 401, 404, 410, 422])
def test_what_asking_again_cannot_help_is_asked_once(asking, status):
    with asking((status, {"location": "/elsewhere"}, b"no such thing"), GOOD) as (client, server, url):
        with pytest.raises(UpstreamError, match=f"Upstream: HTTP {status}: no such thing") as caught:
            client.get_json(url, [])
        assert len(server.asked) == 1
        assert (caught.value.status, caught.value.retry) == (status, False)


@pytest.mark.parametrize("attempts", [1, 3])
def test_the_tries_are_bounded_and_the_last_fault_is_told(asking, attempts):
    with asking((503, {}, b"busy"), http_attempts=attempts) as (client, server, url):
        with pytest.raises(UpstreamError, match="HTTP 503: busy") as caught:
            client.get_json(url + "/place", [("start", "2024-01-01T00")])
        assert len(server.asked) == attempts
    error = caught.value
    assert (error.source, error.status, error.reason) == ("Upstream", 503, "busy")
    assert error.asked == url + "/place?start=2024-01-01T00"
    assert error.asked in str(error)
    assert "\n" not in str(error)
    assert isinstance(error, UserError)


def test_the_upstreams_wish_to_wait_is_honoured(asking):
    with asking((429, {"retry-after": "1"}, b""), GOOD) as (client, server, url):
        client.get_json(url, [])
    assert server.at[1] - server.at[0] >= 1


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        pytest.param("7", 7, id="seconds"),
        pytest.param("86400", 60, id="a day is cut to a minute"),
        pytest.param("Wed, 21 Oct 2026 07:28:00 GMT", None, id="a date is not waited for"),
        pytest.param("-5", None, id="nonsense"),
    ],
)
def test_how_long_the_upstream_asks_to_wait_is_told(asking, header, seconds):
    with (
        asking((429, {"retry-after": header}, b""), http_attempts=1) as (client, _, url),
        pytest.raises(UpstreamError) as caught,
    ):
        client.get_json(url, [])
    assert caught.value.retry_after == seconds


def test_the_waits_between_tries_grow(asking):
    with asking((503, {}, b""), http_backoff_seconds=0.1, http_attempts=4) as (client, server, url):
        with pytest.raises(UpstreamError):
            client.get_json(url, [])
        waits = [later - earlier for earlier, later in zip(server.at, server.at[1:], strict=False)]
    assert waits[0] >= 0.1
    assert waits[2] >= 0.4


def test_requests_keep_their_pace_and_so_do_retries(asking):
    waits: list[float] = []
    with asking((503, {}, b""), GOOD, sleep=waits.append, interval_seconds=30) as (client, server, url):
        client.get_json(url, [])
        client.get_json(url, [])
        assert len(server.asked) == 3
    assert waits == pytest.approx([30, 30], abs=1)


def test_the_first_request_does_not_wait_and_without_a_pace_none_does(asking):
    waits: list[float] = []
    with asking(GOOD, sleep=waits.append) as (client, _, url):
        client.get_json(url, [])
        client.get_json(url, [])
    assert waits == []


def test_paced_requests_are_really_that_far_apart(asking):
    with asking(GOOD, interval_seconds=0.2) as (client, server, url):
        client.get_json(url, [])
        client.get_json(url, [])
    assert server.at[1] - server.at[0] >= 0.19


@pytest.mark.usefixtures("processes")
def test_an_answer_that_does_not_come_is_given_up_and_asked_again(faulty):
    url, fail = faulty
    fail(kind="slow", seconds=1, times=2)
    with HttpClient(Plain(), settings(http_timeout_seconds=0.2, http_attempts=2)) as client:
        began = time.monotonic()
        with pytest.raises(UpstreamError, match=r"no response within 0\.2 s") as caught:
            client.get_json(f"{url}/eia", [])
        assert 0.4 <= time.monotonic() - began < 1
    assert (caught.value.status, caught.value.retry) == (None, True)


@pytest.mark.usefixtures("processes")
def test_a_server_that_is_not_there_is_told_with_its_address():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v2"
    with (
        HttpClient(Plain(), settings(http_attempts=2)) as client,
        pytest.raises(UpstreamError, match=r"cannot be reached \(ConnectError: .*refused") as caught,
    ):
        client.get_json(url, [("a", "b")])
    assert f"{url}?a=b" in str(caught.value)
    assert caught.value.status is None


def test_an_address_that_is_none_is_told():
    with (
        HttpClient(Plain(), settings(http_attempts=1)) as client,
        pytest.raises(UpstreamError, match="requested http"),
    ):
        client.get_json("http://[nonsense/", [])


def test_parameters_are_sent_as_they_are_repeated_names_included(asking):
    params = [("facets[type][]", "D"), ("facets[type][]", "DF"), ("a", "x y&z")]
    with asking(GOOD) as (client, server, url):
        client.get_json(url, params)
        assert server.asked == [params]


def test_the_kind_of_data_is_not_known_before_an_answer(asking):
    with asking(GOOD) as (client, _, url):
        with pytest.raises(RuntimeError, match="no request was made"):
            _ = client.data_kind
        client.get_json(url, [])
        assert client.data_kind == "live"


def test_a_sandbox_says_what_kind_of_data_it_serves(asking):
    with asking((200, JSON | {"x-sandbox-data": "recorded"}, b"{}")) as (client, _, url):
        client.get_json(url, [])
        assert client.data_kind == "recorded"


def test_data_that_turns_from_live_to_synthetic_within_a_run_is_refused(asking):
    synthetic = (200, JSON | {"x-sandbox-data": "synthetic"}, b"{}")
    with asking(GOOD, synthetic) as (client, _, url):
        client.get_json(url, [])
        with pytest.raises(DataKindError, match="from live to synthetic data"):
            client.get_json(url, [])


def test_an_error_answer_does_not_settle_the_kind_of_data(asking):
    synthetic = (200, JSON | {"x-sandbox-data": "synthetic"}, b"{}")
    with asking((503, {}, b""), synthetic) as (client, _, url):
        client.get_json(url, [])
        assert client.data_kind == "synthetic"


# A body that is read in pieces and never held whole.


def whole(pieces) -> bytes:
    return b"".join(pieces)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param((429, {}, b""), id="too many requests"),
        pytest.param(
            (502, {"content-type": "text/html"}, b"<html>Bad Gateway</html>"), id="a gateway's page"
        ),
        pytest.param((200, {"content-length": "99"}, b"half a tab"), id="a connection cut off"),
        pytest.param(
            (200, {"content-encoding": "gzip"}, gzip.compress(b"a,b")[:-9] + b"garbage!!"),
            id="a compressed body damaged on the way",
        ),
    ],
)
def test_a_stream_is_begun_anew_where_asking_again_can_help(asking, answer):
    with asking(answer, answer, (200, {}, b"a,b\n1,2\n")) as (client, server, url):
        assert client.get_stream(url, whole, [("a", "b")]) == b"a,b\n1,2\n"
        assert server.asked == [[("a", "b")]] * 3


def test_a_stream_comes_in_pieces(asking):
    with asking((200, {}, b"x" * 300_000)) as (client, _, url):
        pieces = client.get_stream(url, lambda pieces: [len(piece) for piece in pieces])
    assert sum(pieces) == 300_000
    assert max(pieces) <= 1 << 16


@pytest.mark.parametrize("status", [301, 400, 404, 410])
def test_a_stream_that_is_refused_is_asked_for_once_and_not_read(asking, status):
    with asking((status, {"location": "/elsewhere"}, b"no such thing"), GOOD) as (client, server, url):
        with pytest.raises(UpstreamError, match=f"Upstream: HTTP {status}: no such thing") as caught:
            client.get_stream(url, pytest.fail)
        assert len(server.asked) == 1
    assert (caught.value.status, caught.value.retry, caught.value.asked) == (status, False, url)


@pytest.mark.parametrize(("retry", "times"), [(True, 3), (False, 1)])
def test_what_the_reader_of_a_stream_refuses_is_asked_again_where_it_says_so(asking, retry, times):
    def refuse(pieces):
        next(pieces)
        raise BodyError("is cut", retry=retry)

    with asking((200, {}, b"x" * 300_000), http_attempts=3) as (client, server, url):
        with pytest.raises(UpstreamError, match="Upstream: HTTP 200: is cut") as caught:
            client.get_stream(url, refuse)
        assert len(server.asked) == times
        assert client.get_stream(url, whole) == b"x" * 300_000
    assert caught.value.retry is retry


def test_a_stream_keeps_the_pace(asking):
    waits: list[float] = []
    with asking(GOOD, sleep=waits.append, interval_seconds=30) as (client, _, url):
        client.get_json(url, [])
        client.get_stream(url, whole)
    assert waits == pytest.approx([30], abs=1)


@pytest.mark.usefixtures("processes")
def test_a_stream_that_does_not_come_is_given_up(faulty):
    url, fail = faulty
    fail(kind="slow", seconds=1, times=2)
    with (
        HttpClient(Plain(), settings(http_timeout_seconds=0.2, http_attempts=2)) as client,
        pytest.raises(UpstreamError, match=r"no response within 0\.2 s"),
    ):
        client.get_stream(f"{url}/eia", whole)


def test_a_stream_tells_the_kind_of_its_data_once_it_is_read(asking):
    synthetic = (200, {"x-sandbox-data": "synthetic"}, b"a")
    with asking((503, {}, b""), synthetic, GOOD) as (client, _, url):
        client.get_stream(url, whole)
        assert client.data_kind == "synthetic"
        with pytest.raises(DataKindError, match="from synthetic to live data"):
            client.get_stream(url, whole)


def test_a_key_that_a_stream_echoes_stops_here(asking, caplog):
    caplog.set_level(logging.DEBUG)

    def refuse(pieces):
        raise BodyError(f"begins with {whole(pieces)!r}", retry=False)

    with (
        asking((200, {}, b"/v2?key=" + CANARY.encode())) as (client, _, url),
        pytest.raises(UpstreamError) as caught,
    ):
        client.get_stream(url, refuse, [("api_key", CANARY)])
    assert CANARY not in shown_of(caught.value)
    assert CANARY not in caplog.text


def test_a_request_is_described_without_its_key_or_password():
    described = describe(
        f"http://user:{CANARY}@x.test/v2", [("api_key", CANARY), ("start", "1"), ("apikey", CANARY)]
    )
    assert described == "http://user:REDACTED@x.test/v2?start=1"


# The key: it is in every address that is asked, and must be in nothing that is ever shown.


@pytest.fixture
def everything_logged(caplog):
    """All records of all loggers, however chatty."""
    for name in ("httpx", "httpcore", "stamina", "energy_demand", ""):
        caplog.set_level(logging.DEBUG, logger=name or None)
    return caplog


def shown_of(error: BaseException) -> str:
    """Every text that a person could come to see of an exception and of those behind it."""
    chain: list[BaseException] = []
    behind: BaseException | None = error
    while behind is not None and behind not in chain:
        chain.append(behind)
        behind = behind.__cause__ or behind.__context__
    texts = [str(each) + repr(each) + repr(each.args) for each in chain]
    return "".join([*texts, *traceback.format_exception(error)])


def assert_no_canary(logged, error: BaseException | None) -> None:
    records = [f"{record.getMessage()} {vars(record)} {record.exc_text}" for record in logged.records]
    assert records, "nothing was logged, so nothing was shown to be clean"
    assert [record for record in records if CANARY in record] == []
    if error is not None:
        assert CANARY not in shown_of(error)


@pytest.mark.usefixtures("processes")
@pytest.mark.parametrize(
    ("fault", "status"),
    [
        pytest.param({"kind": "http_403"}, 403, id="throttled"),
        pytest.param({"kind": "http_500"}, 500, id="a server error"),
        pytest.param({"kind": "http_429"}, 429, id="too many requests"),
        pytest.param({"kind": "html_502"}, 502, id="a gateway's page"),
        pytest.param({"kind": "truncated"}, 200, id="half an answer, the echo of the key in it"),
        pytest.param({"kind": "slow", "seconds": 0.6}, None, id="no answer in time"),
    ],
)
def test_the_key_is_in_no_log_and_no_error_after(fault, status, faulty, everything_logged):
    url, fail = faulty
    fail(times=2, path="/eia", **fault)
    timeout = 0.25 if status is None else 20.0
    given = settings(sandbox_url=url, eia_api_key=CANARY, http_attempts=2, http_timeout_seconds=timeout)
    with EIAClient(given) as client, pytest.raises(UpstreamError) as caught:
        client.fetch_demand("2024-12-01T00", "2024-12-01T05")
    assert caught.value.status == status
    assert_no_canary(everything_logged, caught.value)


@pytest.mark.usefixtures("processes")
def test_the_key_is_in_no_log_when_all_goes_well(everything_logged):
    with serving(create_app(SyntheticWorld(seed=1), now=PRESENT, require_key=CANARY)) as url:
        given = settings(sandbox_url=url, eia_api_key=CANARY)
        with EIAClient(given) as client:
            assert len(client.fetch_demand("2024-12-01T00", "2024-12-01T05")) == 6
    assert any("HTTP Request" in record.getMessage() for record in everything_logged.records)
    assert_no_canary(everything_logged, None)


@pytest.mark.usefixtures("processes")
def test_the_key_is_in_no_error_when_it_is_wrong(everything_logged):
    with serving(create_app(SyntheticWorld(seed=1), now=PRESENT, require_key="another")) as url:
        given = settings(sandbox_url=url, eia_api_key=CANARY)
        with EIAClient(given) as client, pytest.raises(UpstreamError, match="API_KEY_INVALID") as caught:
            client.fetch_demand("2024-12-01T00", "2024-12-01T05")
    assert_no_canary(everything_logged, caught.value)


@pytest.mark.usefixtures("processes")
def test_the_key_is_in_no_error_when_the_server_is_not_there(everything_logged):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with (
        EIAClient(settings(sandbox_url=url, eia_api_key=CANARY, http_attempts=2)) as client,
        pytest.raises(UpstreamError) as caught,
    ):
        client.fetch_demand("2024-12-01T00", "2024-12-01T05")
    assert_no_canary(everything_logged, caught.value)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(f'{{"error": "bad request ?api_key={CANARY}&x=1", "code": 400}}', id="as an address"),
        pytest.param(f'{{"error": "the key {CANARY} is unknown", "code": 400}}', id="in a sentence"),
        pytest.param(f'{{"error": {{"code": "BAD", "message": "{CANARY}?"}}}}', id="in an error's message"),
        pytest.param(f'{{"error": ["api_key", "{CANARY}"]}}', id="in a list"),
        pytest.param(f"<html>/v2?api_key%3D{CANARY}%26a</html>", id="encoded in a page"),
    ],
)
def test_a_key_that_the_upstream_echoes_stops_here(asking, body, everything_logged):
    with (
        asking((400, {}, body.encode()), dialect=EIADialect()) as (client, _, url),
        pytest.raises(UpstreamError) as caught,
    ):
        client.get_json(url + EIA_PATH, [("api_key", CANARY), ("start", "2024-01-01T00")])
    assert_no_canary(everything_logged, caught.value)
