"""EIA's six-month files: the same rows as the API, over real HTTP and from a folder; what is damaged."""

from __future__ import annotations

import tracemalloc
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import httpx
import pandas as pd
import pytest

from energy_demand.data.eia_bulk import FIRST_FILE, BulkClient, HalfYear, read_hours
from energy_demand.data.eia_client import EIAClient, names_on_record
from energy_demand.data.quality import Breach, check_demand
from energy_demand.http import BodyError, UpstreamError
from energy_demand.sandbox.app import create_app
from energy_demand.sandbox.server import serving
from energy_demand.sandbox.worlds.recorded import RecordedWorld
from energy_demand.sandbox.worlds.synthetic import SyntheticWorld
from support import PRESENT, SHARED_DATA, make_settings

if TYPE_CHECKING:
    from pathlib import Path

NEW_YORK = ZoneInfo("America/New_York")
SERIES = ("D", "DF")
NAME = "EIA930_BALANCE_2024_Jan_Jun.csv"
HEADER = (
    '"Balancing Authority","Data Date","UTC Time at End of Hour","Demand Forecast (MW)","Demand (MW)",'
    '"Demand (MW) (Adjusted)","Region"'
)
FIRST = 'NYIS,01/01/2024,01/01/2024 6:00:00 AM,"16,500","17,234","17,300",NY'
SECOND = 'NYIS,01/01/2024,01/01/2024 7:00:00 AM,,"16,900","16,901",NY'
ELSEWHERE = 'PJM,01/01/2024,01/01/2024 6:00:00 AM,"90,000","91,000","91,000",MIDA'


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def written(*lines: str) -> bytes:
    return ("\n".join([HEADER, *lines]) + "\n").encode()


class Watched:
    """An application whose paths are kept."""

    def __init__(self, app) -> None:
        self._app = app
        self.files: list[str] = []

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] == "http" and not scope["path"].startswith("/sandbox"):
            self.files.append(scope["path"].rpartition("/")[2])
        await self._app(scope, receive, send)


@pytest.fixture(scope="module")
def running(processes):
    watched = Watched(create_app(SyntheticWorld(seed=1), now=PRESENT))
    with serving(watched) as url:
        yield watched, url


@pytest.fixture
def sandbox(running):
    watched, url = running
    watched.files.clear()
    yield watched, url
    httpx.delete(f"{url}/sandbox/faults")


@pytest.fixture
def bulk(sandbox):
    with BulkClient(make_settings(sandbox_url=sandbox[1])) as client:
        yield client


@pytest.fixture
def folder(sandbox, tmp_path: Path):
    """A folder with the files of 2023 and 2024, as the sandbox serves them."""
    for year in (2023, 2024):
        for half in ("Jan_Jun", "Jul_Dec"):
            name = f"EIA930_BALANCE_{year}_{half}.csv"
            content = httpx.get(f"{sandbox[1]}/eia/sixMonthFiles/{name}").content
            (tmp_path / name).write_bytes(content)
    return tmp_path


def checked(rows, start: datetime, end: datetime) -> pd.DataFrame:
    """What the contract makes of rows, all of them good."""
    good, broken = check_demand(rows, respondents=names_on_record("NY"), series=SERIES, start=start, end=end)
    assert broken == []
    return good.drop(columns="origin")


def assert_same_as_the_api(url: str, start: datetime, end: datetime, **given: object) -> pd.DataFrame:
    settings = make_settings(sandbox_url=url, **given)
    with EIAClient(settings) as api, BulkClient(settings) as bulk:
        from_api = checked(api.fetch_rows(start, end, SERIES), start, end)
        from_files = checked(bulk.fetch_rows(start, end, SERIES), start, end)
        assert bulk.data_kind == api.data_kind
    pd.testing.assert_frame_equal(from_files, from_api)
    return from_files


@pytest.mark.parametrize(
    ("start", "end", "hours"),
    [
        pytest.param("2018-10-01T00", "2019-04-01T00", 182 * 24 + 1, id="across the region's first hour"),
        pytest.param("2024-12-01T00", "2025-03-12T13", 101 * 24 + 14, id="up to the present"),
    ],
)
def test_files_and_api_give_the_same_rows(sandbox, start, end, hours):
    frame = assert_same_as_the_api(sandbox[1], at(start), at(end))
    assert len(frame) == 2 * hours


@pytest.mark.usefixtures("processes")
@pytest.mark.shared_data
@pytest.mark.slow
def test_files_and_api_give_the_same_rows_of_the_whole_record():
    with serving(create_app(RecordedWorld(SHARED_DATA), now=None)) as url:
        start, end = at("2015-07-01T05"), at("2025-08-01T04")
        frame = assert_same_as_the_api(url, start, end, energy_demand_now=end)
    demand = frame[frame["series"] == "D"].set_index("period")["value"]
    assert len(demand) > 88_000
    assert demand[pd.Timestamp("2024-01-18T00", tz="UTC")] == 0  # as reported, not as adjusted
    assert pd.Timestamp("2021-11-07T05", tz="UTC") not in demand.index


def test_a_row_has_the_form_of_the_apis(bulk):
    rows = bulk.fetch_rows(at("2024-05-01T03"), at("2024-05-01T04"), SERIES)
    assert [(row["period"], row["respondent"], row["type"]) for row in rows] == [
        ("2024-05-01T03", "NYIS", "D"),
        ("2024-05-01T03", "NYIS", "DF"),
        ("2024-05-01T04", "NYIS", "D"),
        ("2024-05-01T04", "NYIS", "DF"),
    ]
    assert all(row["value"].isdigit() and int(row["value"]) > 5_000 for row in rows)
    assert bulk.data_kind == "synthetic"


def test_only_the_series_that_is_asked_for_comes(bulk):
    rows = bulk.fetch_rows(at("2024-05-01T03"), at("2024-05-01T04"), ("DF",))
    assert [row["type"] for row in rows] == ["DF", "DF"]


def test_no_row_is_asked_for_where_the_end_is_before_the_start(bulk, sandbox):
    assert bulk.fetch_rows(at("2024-05-01T03"), at("2024-05-01T02"), SERIES) == []
    assert sandbox[0].files == []


@pytest.mark.parametrize(
    ("start", "end", "files"),
    [
        pytest.param("2024-01-01T06", "2024-07-01T04", ["2024_Jan_Jun"], id="a half-year to the hour"),
        pytest.param("2024-01-01T05", "2024-01-01T06", ["2023_Jul_Dec", "2024_Jan_Jun"], id="an hour before"),
        pytest.param("2024-07-01T04", "2024-07-01T05", ["2024_Jan_Jun", "2024_Jul_Dec"], id="an hour after"),
        pytest.param("2024-07-01T05", "2024-07-01T05", ["2024_Jul_Dec"], id="one hour"),
        pytest.param("2025-03-12T12", "2026-03-01T00", ["2025_Jan_Jun"], id="none of the future"),
    ],
)
def test_only_the_files_that_the_span_needs_are_read(bulk, sandbox, start, end, files):
    rows = bulk.fetch_rows(at(start), at(end), SERIES)
    assert sandbox[0].files == [f"EIA930_BALANCE_{half}.csv" for half in files]
    assert rows[0]["period"] == start


def test_a_file_is_read_once_however_often_it_is_asked_for(bulk, sandbox):
    for day in ("2024-02-01", "2024-02-02", "2024-06-01"):
        assert len(bulk.fetch_rows(at(f"{day}T01"), at(f"{day}T02"), SERIES)) == 4
    assert sandbox[0].files == [NAME]


def test_no_key_is_needed_and_none_is_sent(sandbox, caplog):
    caplog.set_level("DEBUG")
    settings = make_settings(eia_bulk_url=f"{sandbox[1]}/eia/sixMonthFiles", eia_request_interval_seconds=0)
    assert settings.eia_api_key is None
    with BulkClient(settings) as client:
        assert client.fetch_rows(at("2024-02-01T01"), at("2024-02-01T01"), ("D",))
    assert "api_key" not in caplog.text


# What a region that is in no catalogue needs.
PLACE = {
    "weather_tz": "America/New_York",
    "weather_site": "new_york_city",
    "weather_lat": 40.7128,
    "weather_lon": -74.0060,
    "weather_further_sites": (),
}


def test_another_region_goes_by_its_own_name(sandbox):
    with BulkClient(make_settings(sandbox_url=sandbox[1], eia_region="NOWH", **PLACE)) as client:
        rows = client.fetch_rows(at("2024-02-01T01"), at("2024-02-01T01"), ("D",))
    assert [row["respondent"] for row in rows] == ["NOWH"]
    assert int(rows[0]["value"]) < 2_000


def test_a_region_that_is_in_no_file_has_no_rows(sandbox):
    with BulkClient(make_settings(sandbox_url=sandbox[1], eia_region="YIS", **PLACE)) as client:
        assert client.fetch_rows(at("2024-02-01T01"), at("2024-02-01T01"), SERIES) == []


# Files that are not there.


def test_the_half_year_that_runs_may_lack_its_file_where_an_earlier_one_came(folder, caplog):
    with BulkClient(make_settings(), folder) as client:
        rows = client.fetch_rows(at("2024-12-01T01"), at("2025-03-12T12"), ("D",))
        assert client.fetch_rows(at("2025-03-01T01"), at("2025-03-12T12"), ("D",)) == []
    assert rows[-1]["period"] == "2025-01-01T05"
    assert caplog.text.count("EIA930_BALANCE_2025_Jan_Jun.csv") == 1
    assert "was not found; its hours are missing" in caplog.text


def test_the_half_year_that_runs_must_have_its_file_where_nothing_else_came(folder):
    with BulkClient(make_settings(), folder) as client, pytest.raises(UpstreamError, match="2025_Jan_Jun"):
        client.fetch_rows(at("2025-03-01T01"), at("2025-03-12T12"), ("D",))


def test_a_missing_file_in_the_middle_is_told_with_its_hours_and_what_to_do(folder):
    (folder / NAME).unlink()
    with BulkClient(make_settings(), folder) as client, pytest.raises(UpstreamError) as caught:
        client.fetch_rows(at("2023-12-01T00"), at("2024-12-01T00"), SERIES)
    told = str(caught.value)
    assert f"{NAME} (hours 2024-01-01T06 to 2024-07-01T04 UTC) was not found" in told
    assert (
        "download it from https://www.eia.gov/electricity/gridmonitor/sixMonthFiles/ into the folder" in told
    )
    assert str(folder / NAME) in told


def test_a_file_that_eia_does_not_have_is_told_and_not_asked_for_again(sandbox):
    settings = make_settings(sandbox_url=sandbox[1], energy_demand_now=at("2026-03-01T00"))
    with BulkClient(settings) as client, pytest.raises(UpstreamError) as caught:
        client.fetch_rows(at("2025-03-01T00"), at("2026-02-01T00"), SERIES)
    assert sandbox[0].files == ["EIA930_BALANCE_2025_Jan_Jun.csv", "EIA930_BALANCE_2025_Jul_Dec.csv"]
    assert "EIA930_BALANCE_2025_Jul_Dec.csv (hours 2025-07-01T05 to 2026-01-01T05 UTC) was not found" in str(
        caught.value
    )
    assert "check EIA_BULK_URL, or choose other dates" in str(caught.value)
    assert f"requested {sandbox[1]}/eia/sixMonthFiles/EIA930_BALANCE_2025_Jul_Dec.csv" in str(caught.value)


def test_before_the_first_file_there_is_nothing_and_no_error(tmp_path):
    (tmp_path / FIRST_FILE.file_name).write_bytes(
        written('NYIS,07/01/2015,07/01/2015 5:00:00 AM,"16,500","17,234","17,300",NY')
    )
    with BulkClient(make_settings(), tmp_path) as client:
        rows = client.fetch_rows(at("2015-01-01T00"), at("2015-07-01T06"), ("D",))
    assert [row["period"] for row in rows] == ["2015-07-01T05"]


def test_a_file_that_ends_before_its_half_year_is_read_and_told(tmp_path, caplog):
    (tmp_path / NAME).write_bytes(written(FIRST, SECOND))
    with BulkClient(make_settings(), tmp_path) as client:
        assert len(client.fetch_rows(at("2024-01-01T06"), at("2024-06-01T00"), ("D",))) == 2
    assert f"{NAME} ends at 2024-01-01T07 UTC, before the end of its half-year" in caplog.text


# A folder.


def test_a_folder_gives_what_the_network_gives(bulk, folder):
    start, end = at("2023-03-01T00"), at("2024-12-31T23")
    with BulkClient(make_settings(), folder) as client:
        assert client.fetch_rows(start, end, SERIES) == bulk.fetch_rows(start, end, SERIES)


def test_files_of_a_folder_count_as_live_unless_it_is_said(folder):
    with (
        BulkClient(make_settings(), folder) as live,
        BulkClient(make_settings(), folder, kind="recorded") as old,
    ):
        assert (live.data_kind, old.data_kind) == ("live", "recorded")


def test_something_else_under_a_files_name_is_told(tmp_path):
    (tmp_path / NAME).mkdir()
    with (
        BulkClient(make_settings(), tmp_path) as client,
        pytest.raises(UpstreamError, match="cannot be read"),
    ):
        client.fetch_rows(at("2024-02-01T00"), at("2024-02-01T00"), SERIES)


# What a file says.


def read(content: bytes, piece: int = 7) -> pd.DataFrame:
    return read_hours((content[at : at + piece] for at in range(0, len(content), piece)), "NYIS")


@pytest.mark.parametrize("piece", [1, 7, 100, 10_000])
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda content: content, id="as EIA writes it"),
        pytest.param(lambda content: b"\xef\xbb\xbf" + content, id="with a byte order mark"),
        pytest.param(lambda content: content.replace(b"\n", b"\r\n"), id="with Windows line ends"),
        pytest.param(lambda content: content.rstrip(b"\n"), id="without the last line end"),
        pytest.param(lambda content: content + b"\n\n", id="with blank lines"),
        pytest.param(lambda content: content.replace(b"01/01/2024 ", b"1/1/2024 "), id="without zeros"),
        pytest.param(lambda content: content.replace(b"NYIS", b'"NYIS"'), id="with quoted names"),
        pytest.param(lambda content: content.replace(b'"17,234"', b"17234"), id="without thousands commas"),
    ],
)
def test_a_file_is_read_wherever_it_is_cut_and_however_it_is_written(change, piece):
    hours = read(change(written(ELSEWHERE, FIRST, SECOND)), piece)
    assert list(hours["period"]) == [pd.Timestamp("2024-01-01T06Z"), pd.Timestamp("2024-01-01T07Z")]
    assert list(hours["D"]) == ["17234", "16900"]
    assert [value for value in hours["DF"] if not pd.isna(value)] == ["16500"]


def test_noon_and_midnight_are_told_apart():
    midnight, noon = (FIRST.replace("6:00:00 AM", f"12:00:00 {half}") for half in ("AM", "PM"))
    assert [moment.hour for moment in read(written(noon, midnight))["period"]] == [0, 12]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(b"", "is empty", id="nothing"),
        pytest.param(b"<!DOCTYPE html><html><body>Error</body></html>", "is a web page", id="a web page"),
        pytest.param(
            written(FIRST).replace(b'"Demand (MW)",', b'"Load",'),
            r"lacks the columns Demand \(MW\)$",
            id="a column by another name",
        ),
        pytest.param(written(FIRST)[: len(HEADER) // 2], "lacks the columns", id="half a header"),
        pytest.param(
            written(FIRST, SECOND)[:-20], "5 of 7 columns in line 3: it is truncated", id="cut in our row"
        ),
        pytest.param(
            written(FIRST, ELSEWHERE)[:-30], "columns in line 3: it is truncated", id="cut in another's row"
        ),
        pytest.param(written(FIRST, SECOND[:30], SECOND), "columns in line 3", id="a row cut in the middle"),
        pytest.param(b"PK\x03\x04\x00\x00\xff\xfe\x00", "is not text in line 1", id="a zip file"),
        pytest.param(
            written(FIRST.replace("NY", "N\0Y")[::-1], FIRST + "\0"), "is not text", id="zero bytes"
        ),
        pytest.param(written() + FIRST.encode("utf-16"), "is not text", id="another encoding"),
        pytest.param(b"x" * 3_000_000, "is not a text table", id="a line without end"),
        pytest.param(
            written(FIRST.replace("01/01/2024 6:00:00 AM", "2024-01-01T06")),
            "has no readable time; the first is '2024-01-01T06'",
            id="times in another form",
        ),
    ],
)
def test_a_damaged_file_says_what_is_wrong(content, reason):
    with pytest.raises(BodyError, match=reason):
        read(content, 1 << 16)


def test_a_damaged_file_of_a_folder_is_named(tmp_path):
    (tmp_path / NAME).write_bytes(written(FIRST, SECOND)[:-20])
    with BulkClient(make_settings(), tmp_path) as client, pytest.raises(UpstreamError) as caught:
        client.fetch_rows(at("2024-01-02T00"), at("2024-02-01T00"), SERIES)
    told = str(caught.value)
    assert f"EIA: {NAME} (hours 2024-01-01T06 to 2024-07-01T04 UTC) has 5 of 7 columns in line 3" in told
    assert "download it again from https://" in told
    assert str(tmp_path / NAME) in told
    assert "\n" not in told


def test_rows_that_cannot_be_understood_are_left_to_the_contract(tmp_path):
    rubbish = [
        FIRST.replace("01/01/2024 6:00:00 AM", "13/41/2024 6:00:00 AM"),
        FIRST.replace("6:00:00 AM", "8:30:00 AM"),
        FIRST.replace("6:00:00 AM", "9:00:00 AM").replace("17,234", "n/a").replace("16,500", "-5"),
    ]
    (tmp_path / NAME).write_bytes(written(FIRST, SECOND, *rubbish))
    start, end = at("2024-01-01T06"), at("2024-02-01T00")
    with BulkClient(make_settings(), tmp_path) as client:
        rows = client.fetch_rows(start, end, SERIES)
    good, broken = check_demand(rows, respondents=["NYIS"], series=SERIES, start=start, end=end)
    assert list(good["value"]) == [17234, 16900, 16500]
    assert sorted(breach for breach, _ in broken) == sorted(
        [Breach.UNPARSABLE_PERIOD] * 4 + [Breach.NOT_A_NUMBER, Breach.NEGATIVE]
    )
    assert {"13/41/2024 6:00:00 AM", "01/01/2024 8:30:00 AM"} <= {row["period"] for _, row in broken}


def test_memory_does_not_grow_with_the_file():
    block = (ELSEWHERE + "\n").encode() * 1000

    def pieces():
        yield written(FIRST)
        for _ in range(300):
            yield block

    read_hours(pieces(), "NYIS")
    tracemalloc.start()
    hours = read_hours(pieces(), "NYIS")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(hours) == 1
    assert peak < 2_000_000 < 300 * len(block)


# What the network does.


@pytest.mark.parametrize("kind", ["http_403", "http_429", "http_500", "html_502", "truncated"])
def test_a_failed_download_is_tried_again(bulk, sandbox, kind):
    httpx.post(f"{sandbox[1]}/sandbox/faults", json={"kind": kind, "path": "/eia"}).raise_for_status()
    if kind == "http_500":  # a 404 body: asking again does not help
        with pytest.raises(UpstreamError, match="code 404"):
            bulk.fetch_rows(at("2024-02-01T00"), at("2024-02-01T00"), SERIES)
        return
    assert len(bulk.fetch_rows(at("2024-02-01T00"), at("2024-02-01T00"), SERIES)) == 2
    assert sandbox[0].files == [NAME, NAME]


def test_a_download_that_stays_cut_is_given_up_and_named(bulk, sandbox):
    fault = {"kind": "truncated", "path": "/eia", "times": 9}
    httpx.post(f"{sandbox[1]}/sandbox/faults", json=fault).raise_for_status()
    with pytest.raises(
        UpstreamError, match=f"{NAME} .* it is truncated or damaged; try again later"
    ) as caught:
        bulk.fetch_rows(at("2024-02-01T00"), at("2024-02-01T00"), SERIES)
    assert sandbox[0].files == [NAME] * 5
    assert f"{sandbox[1]}/eia/sixMonthFiles/{NAME}" in str(caught.value)


# Half-years.


def test_half_years_follow_one_another():
    half, names = FIRST_FILE, []
    for _ in range(3):
        names.append(half.file_name)
        half = half.next()
    assert names == [
        f"EIA930_BALANCE_{name}.csv" for name in ("2015_Jul_Dec", "2016_Jan_Jun", "2016_Jul_Dec")
    ]


def test_the_hours_of_half_years_meet_without_gap_or_overlap():
    half = FIRST_FILE
    for _ in range(20):
        (_, last), (first, _) = half.periods(NEW_YORK), half.next().periods(NEW_YORK)
        assert (first - last).total_seconds() == 3600
        assert HalfYear.of(first.astimezone(NEW_YORK).date()) == half.next()
        half = half.next()
