"""The client against a real service: typed answers, frames, pages, files, errors, retries; sync and async."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa
import pytest
from servers import free_port
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse
from starlette.routing import Route

import energy_demand
from energy_demand.client import (
    AnswerError,
    AsyncClient,
    Client,
    ClientError,
    FeatureRow,
    ServiceError,
    UnreachableError,
)
from energy_demand.exports.columns import columns_of
from energy_demand.sandbox.server import serving
from energy_demand.serving.http.openapi import KEY_SCHEME
from energy_demand.serving.schemas import EXAMPLE
from logged_days import USUAL_DAY
from support import PRESENT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

pytestmark = pytest.mark.usefixtures("processes")
READ = {
    ".csv": pd.read_csv,
    ".parquet": pd.read_parquet,
    ".arrow": lambda file: pa.ipc.open_stream(file.read_bytes()).read_pandas(),
    ".json": lambda file: pd.DataFrame(json.loads(file.read_text())["rows"]),
}
SPAN = {"period_from": USUAL_DAY, "period_to": USUAL_DAY}


@pytest.fixture
def client(address) -> Iterator[Client]:
    with Client(address) as client:
        yield client


@pytest.mark.parametrize(
    "question",
    [{"day": "tomorrow"}, {"hours": 3, "explain": True, "quantiles": True}, {"day": date(2025, 3, 13)}],
    ids=str,
)
def test_a_frame_of_the_service_is_the_one_of_this_machine(client, asked_settings, question):
    answer = client.forecast(**question)
    frame = answer.to_frame()
    here = energy_demand.forecast(**question, settings=asked_settings)
    pd.testing.assert_frame_equal(frame, here, check_exact=True)
    assert frame.attrs == here.attrs
    assert answer.issued_at == PRESENT
    assert frame.attrs["issued_at"] == "2025-03-12T13:00:00Z"
    assert (answer.model_version, answer.quality) == ("1", "champion")
    assert str(frame["period"].dtype) == "datetime64[us, UTC]"
    assert ("explanation.calendar" in frame) == ("explain" in question)
    assert ("quantiles.0.5" in frame) == ("quantiles" in question)


def test_a_frame_with_its_facts_can_be_kept(client, tmp_path):
    frame = client.forecast(hours=2, explain=True).to_frame()
    frame.to_parquet(tmp_path / "forecast.parquet")
    assert pd.read_parquet(tmp_path / "forecast.parquet").attrs == frame.attrs


def test_rows_are_typed_and_frames_have_the_columns_of_the_export(client):
    forecasts = client.forecasts(**SPAN, quality=["champion"], version="7", days_ahead=1)
    assert forecasts.next is None
    assert len(forecasts.rows) == 24
    assert forecasts.rows[0].period.tzinfo is not None
    frame = forecasts.to_frame()
    assert list(frame) == [each.name for each in columns_of("forecasts")]
    assert str(frame["issued_at"].dtype) == "datetime64[us, UTC]"
    assert frame["error_mwh"].notna().any()
    demand = client.demand(**SPAN).to_frame()
    assert list(demand) == [each.name for each in columns_of("demand")]
    assert (len(demand), demand["imputed_mwh"].dtype) == (24, float)
    for by, column in (("day", "day"), ("version", "model_version"), ("quality", "quality")):
        scores = client.scores(by=by)
        assert getattr(scores.rows[0], column)
        assert list(scores.to_frame()) == [each.name for each in columns_of("scores", by)]


def test_an_empty_answer_has_its_columns_with_their_types(client):
    frame = client.forecasts(version="99").to_frame()
    assert (len(frame), frame["actual_mwh"].dtype) == (0, float)
    assert str(frame["period"].dtype) == "datetime64[us, UTC]"


def test_pages_are_the_whole(client):
    pages = list(client.pages(client.demand, limit=7, **SPAN))
    assert [len(page.rows) for page in pages] == [7, 7, 7, 3]
    whole = client.demand(**SPAN)
    assert [row for page in pages for row in page.rows] == whole.rows


@pytest.mark.parametrize("suffix", READ)
def test_an_export_is_saved_in_the_format_of_the_file(client, suffix, tmp_path):
    file = client.save("scores", tmp_path / f"scores{suffix}", by="version")
    assert file == tmp_path / f"scores{suffix}"
    assert list(READ[suffix](file)["mape"]) == pytest.approx(
        list(client.scores(by="version").to_frame()["mape"])
    )
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_is_replaced_only_by_a_whole_one(client, tmp_path):
    file = tmp_path / "demand.csv"
    file.write_text("before")
    with pytest.raises(ServiceError, match="period_from"):
        client.save("demand", file, period_from="yesterday")
    assert file.read_text() == "before"
    assert list(tmp_path.iterdir()) == [file]
    with pytest.raises(ClientError, match=r"demand\.xlsx must end in one of \.csv"):
        client.save("demand", tmp_path / "demand.xlsx")


def test_predictions_model_and_probes(client):
    prediction = client.predict(FeatureRow(**EXAMPLE))
    assert prediction.lower_95 < prediction.predicted_demand_mwh < prediction.upper_95
    assert prediction.lead_hours == EXAMPLE["lead_hours"]
    batch = client.predict_batch([EXAMPLE, {**EXAMPLE, "lead_hours": 2, "timestamp": None}])
    assert [each.lead_hours for each in batch.predictions] == [24, 2]
    assert batch.predictions[0].predicted_demand_mwh == prediction.predicted_demand_mwh
    assert client.model().version == client.ready().model_version == "1"
    assert client.health().model_loaded is True


def test_a_refusal_has_the_words_of_the_service(client):
    with pytest.raises(ServiceError, match="HTTP 422: hours: ") as refused:
        client.forecast(hours=49)
    assert (refused.value.status, refused.value.fields[0].field) == (422, "hours")
    assert refused.value.request_id
    with pytest.raises(ServiceError, match="give hours or day, not both"):
        client.forecast(hours=2, day="tomorrow")
    with pytest.raises(ServiceError, match="temperature"):
        client.predict({**EXAMPLE, "temperature": 99})


def test_times_of_python_are_understood(client):
    start = datetime(2025, 3, 10, 12, tzinfo=UTC)
    rows = client.demand(period_from=start, period_to="2025-03-10T14:00Z").rows
    assert [row.period.hour for row in rows] == [12, 13, 14]


def test_nobody_there_is_said_in_one_line():
    url = f"http://127.0.0.1:{free_port()}"
    with (
        Client(url, attempts=2) as client,
        pytest.raises(UnreachableError, match=f"^{url}/? cannot be reached") as error,
    ):
        client.forecast()
    assert error.value.__cause__ is None


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://a.test", "http://", "http://a:b"])
def test_an_address_that_is_none_is_refused_at_once(url):
    with pytest.raises(ClientError, match="address"):
        Client(url)


class Moody:
    """A service under the path `/energy` that fails as its next answers say, then answers."""

    def __init__(self) -> None:
        self.failures: list[int] = []
        self.asked: list[str] = []
        self.headers: Mapping[str, str] = {}

    def app(self) -> Starlette:
        def answer(request):
            self.asked.append(request.url.path)
            self.headers = request.headers
            if not self.failures:
                return JSONResponse({"next": None, "rows": []})
            problem = {"detail": "not now", "request_id": "r1"}
            return JSONResponse(problem, self.failures.pop(0), headers={"Retry-After": "0"})

        routes = [
            Route("/energy/{path:path}", answer, methods=["GET", "POST"]),
            Route("/html/{path:path}", lambda _: PlainTextResponse("<html>hello</html>")),
            Route("/moved/{path:path}", lambda _: RedirectResponse("https://elsewhere.test/")),
            Route("/cut/{path:path}", lambda _: PlainTextResponse("half", headers={"Content-Length": "8"})),
            Route("/proxy/{path:path}", lambda _: PlainTextResponse("<html>bad</html>", 502)),
        ]
        return Starlette(routes=routes)


@pytest.fixture
def moody(processes) -> Iterator[tuple[Moody, str]]:
    service = Moody()
    with serving(service.app()) as url:
        yield service, url


def test_safe_reads_are_tried_again_and_nothing_else(moody):
    service, url = moody
    with Client(f"{url}/energy/") as client:
        service.failures = [503, 429, 504]
        assert client.demand().rows == []
        assert service.asked == ["/energy/demand"] * 4
        service.asked.clear()
        for refused, ask in (
            (422, client.demand),
            (503, client.ready),
            (503, client.health),
            (503, lambda: client.predict(EXAMPLE)),
        ):
            service.failures = [refused]
            with pytest.raises(ServiceError, match=f"HTTP {refused}: not now"):
                ask()
        assert service.asked == [f"/energy/{name}" for name in ("demand", "ready", "health", "predict")]
        service.failures = [503] * 4
        with pytest.raises(ServiceError, match="not now"):
            client.demand()


def test_an_answer_that_breaks_off_leaves_no_file(moody, tmp_path):
    _, url = moody
    with Client(f"{url}/cut", attempts=2) as client, pytest.raises(UnreachableError, match="broke off"):
        client.save("demand", tmp_path / "demand.csv")
    assert list(tmp_path.iterdir()) == []


def test_the_key_is_sent_as_the_service_takes_it_and_never_shown(moody):
    service, url = moody
    key = "client-key-0123456789"
    with Client(f"{url}/energy", api_key=key) as client:
        client.demand()
        assert key not in repr(client)
        assert service.headers[KEY_SCHEME["name"]] == key
        service.failures = [401]
        with pytest.raises(ServiceError, match="HTTP 401: not now") as refused:
            client.model()
        assert key not in repr(refused.value)


def test_another_server_s_answers_are_told_apart(moody):
    _, url = moody
    with Client(f"{url}/html") as client, pytest.raises(AnswerError, match="/html/health did not answer as"):
        client.health()
    with (
        Client(f"{url}/moved") as client,
        pytest.raises(ServiceError, match=r"redirects to https://elsewhere"),
    ):
        client.health()
    with Client(f"{url}/proxy") as client, pytest.raises(ServiceError, match="HTTP 502: Bad Gateway"):
        client.health()


def test_the_async_client_gives_the_same(client, address, tmp_path):
    async def ask():
        async with AsyncClient(address) as other:
            forecast, scores, model, health, ready = await asyncio.gather(
                other.forecast(day="tomorrow"),
                other.scores(by="version"),
                other.model(),
                other.health(),
                other.ready(),
            )
            assert forecast == client.forecast(day="tomorrow")
            assert scores == client.scores(by="version")
            assert (model, health, ready) == (client.model(), client.health(), client.ready())
            pages = [page async for page in other.pages(other.demand, limit=20, **SPAN)]
            assert [len(page.rows) for page in pages] == [20, 4]
            file = await other.save("forecasts", tmp_path / "f.parquet", **SPAN)
            assert len(pd.read_parquet(file)) == len((await other.forecasts(**SPAN)).rows)
            prediction = await other.predict(EXAMPLE)
            batch = await other.predict_batch([EXAMPLE])
            assert batch.predictions[0].predicted_demand_mwh == prediction.predicted_demand_mwh
            with pytest.raises(ServiceError, match="hours"):
                await other.forecast(hours=0)

    asyncio.run(ask())


def test_the_async_client_tries_again_too(moody):
    service, url = moody

    async def ask():
        async with AsyncClient(f"{url}/energy") as client:
            service.failures = [503, 502]
            assert (await client.forecasts()).rows == []
        async with AsyncClient("http://127.0.0.1:9", attempts=1) as client:
            with pytest.raises(UnreachableError, match="cannot be reached"):
                await client.health()

    asyncio.run(ask())
    assert len(service.asked) == 3
