"""NYISO's forecast files, over real HTTP: hours, zones, times of posting; what is damaged."""

from __future__ import annotations

import io
import zipfile
from datetime import UTC, date, datetime

import httpx
import pytest

from energy_demand.config import SettingsError, load_settings
from energy_demand.data.operator_client import (
    LARGEST_FILE,
    ZONES,
    OperatorClient,
    hours_expected,
    posted_after,
    read_file,
    usually_posted_by,
)
from energy_demand.http import BodyError, UpstreamError
from energy_demand.sandbox.app import create_app
from energy_demand.sandbox.server import serving
from energy_demand.sandbox.worlds.synthetic import SyntheticWorld
from support import make_settings

NOW = datetime(2025, 11, 10, 14, 0, tzinfo=UTC)
DAY = date(2025, 11, 11)
FOLDER = "/public/csv/isolf/"


@pytest.fixture(scope="module")
def upstream(processes):
    with serving(create_app(SyntheticWorld(seed=1), now=NOW)) as address:
        yield address


@pytest.fixture
def client(upstream):
    httpx.delete(f"{upstream}/sandbox/faults")
    with OperatorClient(make_settings(sandbox_url=upstream, http_attempts=2, http_backoff_seconds=0)) as made:
        yield made


def fault(upstream: str, kind: str, **more) -> None:
    httpx.post(f"{upstream}/sandbox/faults", json={"kind": kind, "path": FOLDER} | more).raise_for_status()


def test_a_daily_file_has_the_hours_of_three_days_and_every_zone(client):
    found = client.fetch_day(DAY, NOW)
    assert found.zones == ZONES
    assert found.lines["period"].tolist() == hours_expected(DAY).tolist()
    assert found.lines["lead_days"].value_counts().to_dict() == {1: 24, 2: 24, 3: 24}
    assert client.data_kind == "synthetic"


def test_a_daily_file_is_issued_when_the_server_says_that_it_was_posted(client):
    assert client.fetch_day(DAY, NOW).issued_at == datetime(2025, 11, 10, 12, 5, tzinfo=UTC)


class Given:
    """An application that answers with one body and the headers given."""

    def __init__(self, body: bytes, **headers: str) -> None:
        self.body, self.headers = body, headers

    async def __call__(self, scope, receive, send) -> None:
        head = [(name.replace("_", "-").encode(), text.encode()) for name, text in self.headers.items()]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": self.body})


def asked(body: bytes, now: datetime = NOW, *, month: bool = False, **headers: str):
    with (
        serving(Given(body, **headers)) as address,
        OperatorClient(make_settings(sandbox_url=address, http_attempts=1)) as client,
    ):
        return client.fetch_month(DAY) if month else client.fetch_day(DAY, now)


def table(day: str = "11/11/2025", hours=range(24), zones: str = '"West","NYISO"') -> bytes:
    return "\n".join(
        [f'"Time Stamp",{zones}', *(f'"{day} {hour:02d}:00",2000,17000' for hour in hours)]
    ).encode()


@pytest.mark.usefixtures("processes")
@pytest.mark.parametrize(
    ("headers", "now", "issued_at"),
    [
        ({}, "2025-11-10T14:00", "2025-11-10T14:00"),
        ({}, "2025-11-10T11:00", "2025-11-10T12:05"),
        ({"last_modified": "Mon, 10 Nov 2025 12:31:00 GMT"}, "2025-11-10T14:00", "2025-11-10T12:31"),
        ({"last_modified": "Mon, 10 Nov 2025 02:00:00 GMT"}, "2025-11-10T14:00", "2025-11-10T12:05"),
        ({"last_modified": "yesterday"}, "2025-11-10T14:00", "2025-11-10T14:00"),
    ],
    ids=["not told: when fetched", "never before 07:05", "as told", "told too early", "unreadable"],
)
def test_the_time_of_issue_is_as_told_else_as_fetched_and_never_before_0705(headers, now, issued_at):
    at = datetime.fromisoformat(now).replace(tzinfo=UTC)
    assert asked(table(), at, **headers).issued_at == datetime.fromisoformat(issued_at).replace(tzinfo=UTC)


def test_a_file_that_is_not_posted_yet_is_no_error(client):
    assert client.fetch_day(date(2025, 11, 12), NOW).lines is None


def test_an_archive_has_every_file_issued_at_0745(client):
    files = client.fetch_month(date(2025, 10, 17))
    assert [found.day.day for found in files] == list(range(1, 32))
    assert all(found.issued_at == usually_posted_by(found.day) for found in files)
    assert all(found.lines["period"].tolist() == hours_expected(found.day).tolist() for found in files)


def test_the_archive_of_a_month_without_files_is_empty(client):
    assert client.fetch_month(date(2025, 12, 1)) == []


@pytest.mark.usefixtures("processes")
def test_a_file_that_was_posted_again_is_issued_at_the_time_beside_it_in_the_archive():
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        archive.writestr(zipfile.ZipInfo("20251111isolf.csv", (2025, 11, 10, 13, 20, 0)), table())
        archive.writestr(zipfile.ZipInfo("20251112isolf.csv", (2025, 11, 11, 7, 5, 0)), b"<html>")
        archive.writestr("readme.txt", b"")
    good, damaged = asked(body.getvalue(), month=True)
    assert good.issued_at == datetime(2025, 11, 10, 18, 20, tzinfo=UTC)
    assert damaged.lines is None
    assert "20251112isolf.csv is a web page" in str(damaged.error)


def test_the_days_of_a_clock_change_have_23_and_25_hours(client):
    for month, day, hours in ((3, 9, 23), (11, 2, 25)):
        files = {found.day: found for found in client.fetch_month(date(2025, month, 1))}
        lines = files[date(2025, month, day)].lines
        assert (lines["lead_days"] == 1).sum() == hours
        assert lines["period"].is_unique
        assert lines["period"].tolist() == hours_expected(date(2025, month, day)).tolist()


def test_the_autumn_hour_that_stands_once_is_the_earlier_one_and_a_skipped_hour_is_none():
    autumn = read_file(table("11/02/2025"), date(2025, 11, 2))
    assert autumn["period"].iloc[1] == datetime(2025, 11, 2, 6, tzinfo=UTC)
    assert autumn["period"].iloc[2] == datetime(2025, 11, 2, 8, tzinfo=UTC)
    spring = read_file(table("03/09/2025"), date(2025, 3, 9))
    assert spring["period"].isna().tolist() == [hour == 2 for hour in range(24)]


def test_columns_are_found_by_their_names(client, upstream):
    expected = client.fetch_day(DAY, NOW).lines
    fault(upstream, "columns_reordered")
    shuffled = client.fetch_day(DAY, NOW).lines
    assert shuffled[expected.columns].equals(expected)
    fault(upstream, "zone_missing")
    assert set(ZONES) - set(client.fetch_day(DAY, NOW).zones) == {"NORTH"}


@pytest.mark.parametrize("kind", ["http_503", "truncated", "page_under_200", "half_day", "html_502"])
def test_what_passes_is_asked_for_again(client, upstream, kind):
    fault(upstream, kind)
    assert len(client.fetch_day(DAY, NOW).lines) == 72


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("http_503", "HTTP 503"),
        ("truncated", "truncated or damaged"),
        ("page_under_200", "is a web page, not a table"),
        ("half_day", "within a day: it is truncated"),
        ("system_missing", "lacks the columns NYISO"),
    ],
)
def test_what_stays_is_one_line_that_names_the_file(client, upstream, kind, says):
    fault(upstream, kind, times=0)
    with pytest.raises(UpstreamError, match=says) as error:
        client.fetch_day(DAY, NOW)
    assert "20251111isolf.csv" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_damaged_archive_is_one_line_that_names_it(client, upstream):
    fault(upstream, "truncated", times=0)
    with pytest.raises(UpstreamError, match=r"not a whole archive.*20251001isolf_csv\.zip"):
        client.fetch_month(date(2025, 10, 1))


def test_an_answer_that_is_slow_ends_in_time(upstream):
    httpx.delete(f"{upstream}/sandbox/faults")
    fault(upstream, "slow", seconds=3)
    settings = make_settings(sandbox_url=upstream, http_attempts=1, http_timeout_seconds=0.3)
    with OperatorClient(settings) as client, pytest.raises(UpstreamError, match="no response within"):
        client.fetch_day(DAY, NOW)


@pytest.mark.usefixtures("processes")
def test_a_body_without_end_is_refused():
    with pytest.raises(UpstreamError, match="larger than 1 MB"):
        asked(b"x" * (LARGEST_FILE + 1))


def test_a_file_of_another_day_is_refused():
    with pytest.raises(BodyError, match="begins on 2025-11-11"):
        read_file(table(), date(2025, 11, 12))


def test_times_of_posting_are_new_yorks_in_summer_and_winter():
    assert posted_after(date(2025, 7, 10)) == datetime(2025, 7, 9, 11, 5, tzinfo=UTC)
    assert posted_after(DAY) == datetime(2025, 11, 10, 12, 5, tzinfo=UTC)


def test_the_operator_of_another_region_is_refused(monkeypatch):
    monkeypatch.setenv("OPERATOR_FORECAST", "nyiso")
    assert load_settings().operator_forecast == "nyiso"
    monkeypatch.setenv("EIA_REGION", "PJM")
    with pytest.raises(SettingsError, match=r"OPERATOR_FORECAST: nyiso forecasts New York alone"):
        load_settings()
