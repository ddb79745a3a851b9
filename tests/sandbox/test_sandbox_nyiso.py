"""NYISO's forecast files as the sandbox serves them: form, days, clock changes, postings, faults."""

from __future__ import annotations

import csv
import io
import zipfile
from datetime import UTC, date, datetime, timedelta
from email.utils import parsedate_to_datetime
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from energy_demand.sandbox.app import create_app
from energy_demand.sandbox.strictness import Strictness
from energy_demand.sandbox.worlds.recorded import RecordedWorld
from energy_demand.sandbox.worlds.synthetic import SyntheticWorld
from energy_demand.sandbox.worlds.world import OPERATOR_ZONES, day_number, hour_number
from support import SHARED_DATA

NEW_YORK = ZoneInfo("America/New_York")
FOLDER = "/public/csv/isolf/"
HEADER = (
    '"Time Stamp","Capitl","Centrl","Dunwod","Genese","Hud Vl","Longil","Mhk Vl","Millwd","N.Y.C.","North",'
    '"West","NYISO"'
)


@pytest.fixture(scope="module")
def world() -> SyntheticWorld:
    return SyntheticWorld(seed=1)


@pytest.fixture
def ask(in_process, world):
    """Asks a sandbox with a present for a path below the folder."""

    def asked(name: str, now: str, strict: Strictness | None = None, world=world, fault=None):
        client = in_process(create_app(world, now=datetime.fromisoformat(now), strict=strict))
        if fault is not None:
            client.post("/sandbox/faults", json=fault)
        return client.get(FOLDER + name)

    return asked


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_a_file_is_written_as_nyiso_writes_it(ask):
    answer = ask("20250710isolf.csv", "2025-07-09T12:00Z")
    lines = answer.text.splitlines()
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/csv")
    assert lines[0] == HEADER
    assert lines[1].startswith('"07/10/2025 00:00",')
    assert lines[-1].startswith('"07/15/2025 23:00",')
    assert len(lines) == 1 + 6 * 24
    assert all(cell.isdigit() for cell in lines[1].split(",")[1:])


def test_the_system_is_the_sum_of_its_zones_and_the_series_df_of_the_next_day(ask, world):
    rows = table(ask("20250710isolf.csv", "2025-07-09T12:00Z").text)
    for row in rows:
        assert sum(int(row[zone]) for zone in OPERATOR_ZONES[:-1]) == int(row["NYISO"])
    periods = hour_number(datetime(2025, 7, 10, 4, tzinfo=UTC)) + np.arange(1, 25)
    assert [int(row["NYISO"]) for row in rows[:24]] == world.hourly.values("DF", periods).tolist()


def test_the_operator_errs_by_some_percent_and_more_on_later_days(world):
    errors: dict[int, list[float]] = {0: [], 5: []}
    for day in range(day_number(date(2024, 1, 1)), day_number(date(2024, 12, 1)), 3):
        hours, values = world.operator.file(day, final=True)
        demand = world.hourly.values("D", hours)
        share = np.abs(values[-1] / demand - 1.0)
        errors[0].append(share[:24].mean())
        errors[5].append(share[-24:].mean())
    assert 0.02 < np.mean(errors[0]) < 0.035
    assert np.mean(errors[5]) > 1.2 * np.mean(errors[0])


@pytest.mark.parametrize(
    ("day", "hours", "stamps"),
    [("2025-03-09", 23, ["01:00", "03:00"]), ("2025-11-02", 25, ["01:00", "01:00", "02:00"])],
    ids=["forward", "back"],
)
def test_the_days_of_a_clock_change_have_23_and_25_hours(ask, day, hours, stamps):
    text = ask(f"{day.replace('-', '')}isolf.csv", f"{day}T12:00Z").text
    rows = [row for row in table(text) if row["Time Stamp"].startswith(f"{day[5:7]}/{day[8:]}/")]
    assert len(rows) == hours
    assert [row["Time Stamp"][-5:] for row in rows[1 : 1 + len(stamps)]] == stamps


@pytest.mark.parametrize(
    ("now", "status"),
    [
        ("2025-07-09T11:04Z", 404),
        ("2025-07-09T11:05Z", 200),
        ("2025-07-20T15:00Z", 200),
        ("2025-07-21T15:00Z", 404),
    ],
    ids=["not yet posted", "posted", "kept", "in the archive alone"],
)
def test_a_daily_file_is_there_from_0705_on_the_day_before_for_ten_days(ask, now, status):
    answer = ask("20250710isolf.csv", now)
    assert answer.status_code == status
    if status == 200:
        assert parsedate_to_datetime(answer.headers["last-modified"]) == datetime(
            2025, 7, 9, 11, 5, tzinfo=UTC
        )


def test_an_archive_has_the_files_of_its_month_that_are_posted_with_their_times(ask):
    whole = zipfile.ZipFile(io.BytesIO(ask("20250601isolf_csv.zip", "2025-07-09T12:00Z").content))
    begun = zipfile.ZipFile(io.BytesIO(ask("20250701isolf_csv.zip", "2025-07-09T12:00Z").content))
    assert whole.namelist() == [f"202506{day:02d}isolf.csv" for day in range(1, 31)]
    assert begun.namelist() == [f"202507{day:02d}isolf.csv" for day in range(1, 11)]
    assert begun.getinfo("20250710isolf.csv").date_time == (2025, 7, 9, 7, 5, 0)
    assert begun.read("20250710isolf.csv").decode() == ask("20250710isolf.csv", "2025-07-09T12:00Z").text


@pytest.mark.parametrize(
    "name", ["20250230isolf.csv", "20250801isolf_csv.zip", "x.csv", "20250715isolf_csv.zip"]
)
def test_what_is_not_there_is_a_page_under_404(ask, name):
    answer = ask(name, "2025-07-09T12:00Z")
    assert answer.status_code == 404
    assert answer.text.startswith("<html>")


def test_the_strict_operator_posts_until_0745_and_sometimes_late_never_or_twice(ask, world):
    times, missing = [], 0
    for number in range(400):
        day = date(2024, 1, 1) + timedelta(days=number)
        before = datetime.combine(day - timedelta(days=1), datetime.min.time(), tzinfo=NEW_YORK)
        late = (before + timedelta(hours=23, minutes=59)).astimezone(UTC)
        answer = ask(f"{day:%Y%m%d}isolf.csv", late.isoformat(), Strictness.none(operator_postings=True))
        if answer.status_code == 404:
            missing += 1
            continue
        posted = parsedate_to_datetime(answer.headers["last-modified"]).astimezone(NEW_YORK)
        assert posted.date() == before.date()
        times.append(posted.hour * 60 + posted.minute)
    usual = [time for time in times if time <= 7 * 60 + 45]
    assert min(times) >= 7 * 60 + 5
    assert len(usual) > 0.9 * len(times) > 300
    assert max(usual) - min(usual) > 30
    assert len(usual) < len(times)
    assert 0 < missing < 12


def test_a_second_posting_takes_the_place_of_the_first_with_other_figures(ask):
    strict = Strictness.none(operator_postings=True)
    changed = []
    for number in range(120):
        day = date(2024, 1, 1) + timedelta(days=number)
        name, before = f"{day:%Y%m%d}isolf.csv", day - timedelta(days=1)
        first = ask(name, f"{before}T13:00Z", strict)
        last = ask(name, f"{day}T12:00Z", strict)
        if first.status_code == 200 and first.text != last.text:
            changed.append((first, last))
    assert 0 < len(changed) < 15
    for first, last in changed:
        assert parsedate_to_datetime(first.headers["last-modified"]) < parsedate_to_datetime(
            last.headers["last-modified"]
        )


@pytest.mark.parametrize("name", ["20250710isolf.csv", "20250701isolf_csv.zip"])
@pytest.mark.parametrize(
    ("kind", "seen"),
    [
        ("hour_twice", lambda rows: len(rows) == 145),
        ("columns_reordered", lambda rows: list(rows[0])[1] == "NYISO"),
        ("columns_shifted", lambda rows: int(rows[0]["Capitl"]) > 9000),
        ("zone_missing", lambda rows: "North" not in rows[0]),
        ("system_missing", lambda rows: "NYISO" not in rows[0]),
        ("half_day", lambda rows: rows[-1]["Time Stamp"].endswith("16:00")),
        ("garbage_lines", lambda rows: rows[1]["NYISO"] == "abc"),
    ],
)
def test_a_fault_of_a_table_strikes_a_file_and_an_archive(ask, kind, seen, name):
    answer = ask(name, "2025-07-09T12:00Z", fault={"kind": kind, "path": FOLDER})
    text = answer.text
    if name.endswith("zip"):
        text = zipfile.ZipFile(io.BytesIO(answer.content)).read("20250710isolf.csv").decode()
    assert seen(table(text))
    assert "last-modified" in answer.headers


@pytest.mark.parametrize(
    ("kind", "status"), [("file_missing", 404), ("page_under_200", 200), ("http_503", 503)]
)
def test_a_fault_puts_a_page_in_the_place_of_a_file(ask, kind, status):
    answer = ask("20250710isolf.csv", "2025-07-09T12:00Z", fault={"kind": kind, "path": FOLDER})
    assert answer.status_code == status
    assert answer.text.startswith("<html>")


def test_a_folder_without_the_operators_file_has_no_forecasts(ask, small_record):
    answer = ask("20240306isolf.csv", "2024-03-06T04:30Z", world=RecordedWorld(small_record))
    assert answer.status_code == 404


@pytest.fixture(scope="module")
def record() -> RecordedWorld:
    return RecordedWorld(SHARED_DATA)


@pytest.mark.shared_data
def test_the_recorded_files_are_those_that_were_posted(ask, record):
    stored = pd.read_parquet(SHARED_DATA / "ny_operator_forecast_as_issued.parquet")
    posted = stored[stored["issued_at"] == pd.Timestamp("2019-11-02T11:05Z")]
    rows = table(ask("20191103isolf.csv", "2019-11-02T11:05Z", world=record).text)
    assert len(rows) == len(posted) == 25 + 24
    for zone in OPERATOR_ZONES:
        assert [float(row[zone]) for row in rows] == posted[zone.upper()].tolist()


@pytest.mark.shared_data
def test_the_record_of_the_operator_ends(ask, record):
    assert ask("20200331isolf.csv", "2020-03-31T12:00Z", world=record).status_code == 200
    assert ask("20200401isolf.csv", "2020-04-01T12:00Z", world=record).status_code == 404
    assert ask("20200401isolf_csv.zip", "2025-01-01T12:00Z", world=record).status_code == 404


@pytest.mark.shared_data
def test_a_recorded_file_that_was_posted_again_is_not_there_before_its_first_day_has_passed(ask, record):
    assert ask("20190809isolf.csv", "2019-08-10T03:59Z", world=record).status_code == 404
    answer = ask("20190809isolf.csv", "2019-08-10T04:00Z", world=record)
    assert answer.headers["last-modified"] == "Sat, 10 Aug 2019 04:00:00 GMT"
