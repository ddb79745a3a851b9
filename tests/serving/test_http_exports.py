"""The exports over HTTP: formats, pages, limits, regions, callers who leave, and predictions beside them."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import socket
import struct
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urljoin

import httpx
import pandas as pd
import psycopg
import pyarrow as pa
import pytest
import sqlalchemy as sa
from servers import Server, wait_until

from energy_demand.database.engine import open_database
from energy_demand.exports.columns import EXPORTS, columns_of
from energy_demand.exports.formats import FORMATS, MEDIA_TYPES
from energy_demand.exports.questions import PARAMETERS, QuestionError
from energy_demand.serving.exports import MOST_EXPORTS
from energy_demand.serving.http.export_routes import chosen_format
from energy_demand.serving.schemas import EXAMPLE
from logged import away
from logged_days import DAYS, LONG_DAY, USUAL_DAY, fill, periods
from support import make_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
READ = {
    "json": lambda body: pd.DataFrame(json.loads(body)["rows"]),
    "csv": lambda body: pd.read_csv(io.BytesIO(body)),
    "parquet": lambda body: pd.read_parquet(io.BytesIO(body)),
    "arrow": lambda body: pa.ipc.open_stream(body).read_pandas(),
}
MANY = 60_000  # rows of the prediction log of another region, for what takes a while


@pytest.fixture(scope="module")
def days_url(new_database_url) -> str:
    """A database with four days, and with many rows of PJM."""
    url = new_database_url()
    database = open_database(make_settings(database_url=url))
    fill(database)
    with database.transaction() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO prediction_log (respondent, timestamp, issued_at, lead_hours, predicted_demand, "
                "model_version, quality, source, request_id, prediction_made_at) "
                "SELECT 'PJM', h, h - interval '1 hour' * lead, lead, 90000 + random(), '1', 'champion', "
                "'request', 'many ' || lead, h - interval '1 hour' * lead "
                "FROM generate_series(timestamptz '2025-03-12 13:00Z' - :hours * interval '1 hour', "
                "timestamptz '2025-03-12 12:00Z', interval '1 hour') h, generate_series(1, 48) lead"
            ),
            {"hours": MANY // 48},
        )
    database.close()
    return url


@pytest.fixture(scope="module")
def exporting(registered, days_url, tmp_path_factory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("exporting") / "home"
    shutil.copytree(registered / "mlflow", home / "mlflow")
    started = Server(home, days_url, eia_regions="NY,PJM").start()
    yield started
    started.stop()
    started.client.close()


def connections(url: str) -> list[str]:
    """States of the connections to the database, but for this one."""
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        query = (
            "SELECT state FROM pg_stat_activity WHERE datname = current_database() "
            "AND pid <> pg_backend_pid() AND state LIKE '%transaction%'"
        )
        return [row[0] for row in connection.execute(query)]


@pytest.mark.parametrize("export", EXPORTS)
def test_the_four_formats_have_the_same_rows_and_columns(exporting, export):
    answers = {how: exporting.client.get(f"/{export}", params={"format": how}) for how in FORMATS}
    assert {answer.status_code for answer in answers.values()} == {200}
    frames = {how: READ[how](answer.content) for how, answer in answers.items()}
    names = [each.name for each in columns_of(export)]
    for how, frame in frames.items():
        assert list(frame.columns) == names
        assert len(frame) == len(frames["parquet"]) > 2
        assert answers[how].headers["Content-Type"].partition(";")[0] == MEDIA_TYPES[how]
        named = answers[how].headers.get("Content-Disposition")
        assert named == (None if how == "json" else f'attachment; filename="{export}-NY.{how}"')
        assert "Link" not in answers[how].headers
    number = names[-1] if export == "scores" else "actual_mwh"
    for frame in frames.values():
        assert list(frame[number].fillna(-1)) == pytest.approx(list(frames["arrow"][number].fillna(-1)))


@pytest.mark.parametrize(
    ("accept", "how"),
    [
        (None, "json"),
        ("", "json"),
        ("*/*", "json"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "json"),
        ("text/csv", "csv"),
        ("text/*", "csv"),
        ("Text/CSV; charset=utf-8", "csv"),
        ("application/json;q=0.5, application/vnd.apache.parquet", "parquet"),
        ("application/vnd.apache.arrow.stream, */*;q=0.1", "arrow"),
        ("application/x-parquet", "parquet"),
        ("application/json;q=0, */*", "csv"),
        ("text/csv;q=much, application/json", "json"),
    ],
)
def test_the_format_is_the_one_that_accept_prefers(accept, how):
    assert chosen_format(None, accept) == how
    for asked in FORMATS:
        assert chosen_format(asked, accept) == asked, "the parameter goes first"


def test_a_format_that_does_not_exist_is_refused_with_the_four_that_do(exporting):
    with pytest.raises(QuestionError, match="json, csv, parquet, arrow"):
        chosen_format("xlsx", None)
    answer = exporting.client.get("/forecasts?format=xlsx")
    assert answer.status_code == 422
    assert answer.json()["detail"] == "format: must be one of json, csv, parquet, arrow"
    assert answer.json()["errors"][0]["field"] == "format"
    accept = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    refused = exporting.client.get("/forecasts", headers={"Accept": accept})
    assert refused.status_code == 406
    assert all(kind in refused.json()["detail"] for kind in MEDIA_TYPES.values())


def test_accept_over_http_chooses_and_is_named_in_vary(exporting):
    answer = exporting.client.get("/demand", headers={"Accept": "text/csv"})
    assert answer.headers["Content-Type"] == "text/csv; header=present; charset=utf-8"
    assert answer.headers["Vary"] == "Accept"
    assert answer.text.startswith("region,period,")


def test_a_year_as_csv_has_iso_times_and_empty_cells(exporting):
    answer = exporting.client.get("/demand?format=csv&period_from=2024-10-01")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert len(rows) == sum(len(periods(day)) for day in DAYS)
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:00:00Z", row["period"]) for row in rows)
    assert {row["truth_flag"] for row in rows} == {"", "SPIKE", "MISSING"}
    assert not any("nan" in value.lower() or value == "None" for row in rows for value in row.values())


def test_a_day_of_25_hours_has_25_rows(exporting):
    asked = {"days_ahead": 1, "issued_by": "09:00", "period_from": LONG_DAY, "period_to": LONG_DAY}
    rows = exporting.client.get("/forecasts", params=asked).json()["rows"]
    assert len({row["period"] for row in rows}) == len(rows) == 25


@pytest.mark.parametrize("how", FORMATS)
def test_pages_by_their_links_are_the_whole(exporting, how):
    asked = {"format": how, "limit": 120, "period_from": "2024-10-01", "quality": ["champion", "last_week"]}
    answer = exporting.client.get("/forecasts", params=asked)
    frames = [READ[how](answer.content)]
    while "next" in answer.links:
        address = urljoin(str(answer.url), answer.links["next"]["url"])
        answer = exporting.client.get(address)
        assert answer.status_code == 200, answer.text
        frames.append(READ[how](answer.content))
    whole = exporting.client.get("/forecasts", params={**asked, "limit": 50_000})
    assert "next" not in whole.links
    assert [len(frame) for frame in frames[:-1]] == [120] * (len(frames) - 1)
    assert len(frames) > 1
    columns = ["period", "issued_at"]
    expected = READ[how](whole.content)[columns]
    pd.testing.assert_frame_equal(pd.concat(frames, ignore_index=True)[columns], expected)


def test_json_names_the_cursor_of_its_link(exporting):
    answer = exporting.client.get("/demand?limit=3")
    cursor = answer.json()["next"]
    assert cursor in answer.links["next"]["url"]
    more = exporting.client.get("/demand", params={"limit": 3, "cursor": cursor}).json()["rows"]
    assert more[0]["period"] > answer.json()["rows"][-1]["period"]


@pytest.mark.parametrize("how", FORMATS)
@pytest.mark.parametrize("asked", [{"version": "99"}, {"period_from": "2025-05-01"}], ids=["version", "span"])
def test_an_empty_answer_has_its_headings(exporting, how, asked):
    answer = exporting.client.get("/forecasts", params={"format": how, **asked})
    assert answer.status_code == 200
    frame = READ[how](answer.content)
    assert frame.empty
    if how != "json":
        assert list(frame.columns) == [each.name for each in columns_of("forecasts")]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("period_from=yesterday", "period_from"),
        ("perod_from=2025-01-01", "perod_from"),
        ("limit=0", "limit"),
        ("limit=50001", "limit"),
        ("limit=1&limit=2", "limit"),
        ("format=csv&format=json", "format"),
        ("region=NY&region=PJM", "region"),
        ("region=CAL", "region"),
        ("region=ny", "region"),
        ("quality=best", "quality"),
        ("period_from=2001-01-01", "period_from"),
        ("cursor=e30", "cursor"),
        ("days_ahead=2", "days_ahead"),
        ("issued_by=09:00", "issued_by"),
    ],
)
def test_a_bad_parameter_is_a_422_that_names_it(exporting, query, field):
    answer = exporting.client.get(f"/forecasts?{query}")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)
    assert "\n" not in answer.json()["detail"]


def test_each_region_has_its_own(exporting):
    rows = exporting.client.get("/forecasts?region=PJM&limit=5").json()["rows"]
    assert {row["region"] for row in rows} == {"PJM"}
    assert exporting.client.get("/demand?region=PJM").json()["rows"] == []
    own = exporting.client.get("/forecasts?limit=5").json()["rows"]
    assert {row["region"] for row in own} == {"NY"}


def test_head_has_the_headers_and_no_body(exporting):
    answer = exporting.client.head("/forecasts?format=parquet")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["Content-Type"] == MEDIA_TYPES["parquet"]


def test_the_key_guards_the_exports_too(serve, days_url):
    server = serve(database_url=days_url, api_key="export-key-0123456789")
    for export in EXPORTS:
        assert httpx.get(f"http://127.0.0.1:{server.port}/{export}").status_code == 401
        assert server.client.get(f"/{export}").status_code == 200


def test_the_exports_are_counted_by_their_routes(exporting):
    exporting.client.get("/scores")
    exporting.client.get("/scores?by=hour")

    def counted() -> set[str]:
        return set(exporting.metric("http_requests_total"))

    expected = {f'method="GET",route="/scores",status="{status}"' for status in (200, 422)}
    wait_until(lambda: expected <= counted(), what="both")
    assert 'route="/scores"' not in exporting.metric("prediction_requests_total")


def read_slowly(server: Server, path: str) -> socket.socket:
    """A connection that has asked and reads nothing; with buffers as small as they may be."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(20)
    connection.connect(("127.0.0.1", server.port))
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    return connection


def test_slow_readers_hold_no_connection_and_no_more_than_some_are_served(exporting, days_url):
    path = "/forecasts?region=PJM&format=json"
    readers = [read_slowly(exporting, path) for _ in range(MOST_EXPORTS)]
    try:
        assert {reader.recv(15) for reader in readers} == {b"HTTP/1.1 200 OK"}  # each has its place
        refused = exporting.client.get("/scores")
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
        assert exporting.client.post("/predict", json=EXAMPLE).status_code == 200
        wait_until(lambda: connections(days_url) == [], what="no open transaction")
    finally:
        for reader in readers:  # gone without a word
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            reader.close()
    wait_until(lambda: exporting.client.get("/scores").status_code == 200, what="the places given back")
    wait_until(lambda: connections(days_url) == [], what="no open transaction")


def test_a_long_export_does_not_hold_up_predictions(exporting):
    waits = []
    with httpx.stream(
        "GET", f"http://127.0.0.1:{exporting.port}/forecasts?region=PJM&format=csv", timeout=60
    ) as answer:
        assert answer.status_code == 200
        for _ in answer.iter_bytes(1 << 20):
            begun = time.perf_counter()
            assert exporting.client.post("/predict", json=EXAMPLE).status_code == 200
            waits.append(time.perf_counter() - begun)
    assert sorted(waits)[len(waits) // 2] < 0.25


def test_while_the_database_is_away_the_answer_is_to_come_back_and_then_it_is_there(serve, new_database_url):
    url = new_database_url()
    server = serve(database_url=url)
    assert server.client.get("/demand").json() == {"next": None, "rows": []}
    with away(url):
        refused = server.client.get("/demand")
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
        assert "postgresql" not in refused.text
    assert server.client.get("/demand").status_code == 200


def test_the_document_has_every_parameter_format_and_an_example(exporting):
    document = exporting.client.get("/openapi.json").json()
    for export in EXPORTS:
        operation = document["paths"][f"/{export}"]["get"]
        names = {each["name"] for each in operation["parameters"]} - {"X-Request-ID"}
        expected = {each.name for each in PARAMETERS.values() if export in each.exports}
        assert names == expected | {"format", "region"}
        (region,) = (each for each in operation["parameters"] if each["name"] == "region")
        assert region["schema"]["enum"] == ["NY", "PJM"]
        content = operation["responses"]["200"]["content"]
        assert set(content) == set(MEDIA_TYPES.values())
        (row,) = content["application/json"]["example"]["rows"]
        assert list(row) == [each.name for each in columns_of(export)]
        assert {"401", "403", "406", "422", "429", "503", "504"} <= set(operation["responses"])


def test_the_recipe_of_the_documentation_reads_the_file_with_pandas(exporting):
    text = (ROOT / "docs" / "exports.md").read_text()
    (recipe,) = (block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "pandas" in block)
    assert len(recipe.split("\n")) - recipe.count("\n\n") - 1 == 3
    names: dict[str, object] = {}
    exec(recipe.replace("http://127.0.0.1:8000", f"http://127.0.0.1:{exporting.port}"), names)
    frame = names["forecasts"]
    assert isinstance(frame, pd.DataFrame)
    assert set(periods(USUAL_DAY)) <= set(frame["period"])
    assert str(frame["period"].dt.tz) == "UTC"
