"""EIA's six-month files as the sandbox serves them: form, days, clock changes, what is not there."""

from __future__ import annotations

import csv
import io
from collections import Counter
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import httpx

FOLDER = "/eia/sixMonthFiles/"
API = "/eia/v2/electricity/rto/region-data/data/"
DEMAND, FORECAST = "Demand (MW)", "Demand Forecast (MW)"
IMPUTED, ADJUSTED = "Demand (MW) (Imputed)", "Demand (MW) (Adjusted)"
UTC_TIME, LOCAL_TIME = "UTC Time at End of Hour", "Local Time at End of Hour"


def ask(client: httpx.Client, half: str) -> httpx.Response:
    return client.get(f"{FOLDER}EIA930_BALANCE_{half}.csv")


def table(client: httpx.Client, half: str) -> list[dict[str, str]]:
    answer = ask(client, half)
    assert answer.status_code == 200
    return list(csv.DictReader(io.StringIO(answer.text)))


def new_york(client: httpx.Client, half: str) -> list[dict[str, str]]:
    return [row for row in table(client, half) if row["Balancing Authority"] == "NYIS"]


@pytest.mark.usefixtures("processes")
def test_the_file_says_it_is_a_table_and_what_kind_of_data_it_holds(synthetic):
    answer = ask(synthetic, "2024_Jan_Jun")
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.headers["x-sandbox-data"] == "synthetic"


def test_a_row_is_written_as_eia_writes_it(synthetic):
    lines = ask(synthetic, "2024_Jan_Jun").text.splitlines()
    assert lines[0].startswith('"Balancing Authority","Data Date","Hour Number","Local Time at End of Hour",')
    first = next(line for line in lines if line.startswith("NYIS,"))
    assert first.startswith('NYIS,01/01/2024,1,01/01/2024 1:00:00 AM,01/01/2024 6:00:00 AM,"1')


def test_numbers_of_a_thousand_and_more_have_commas_and_smaller_ones_have_none(synthetic):
    rows = table(synthetic, "2024_Jan_Jun")
    values = [row[DEMAND] for row in rows]
    assert {len(value.replace(",", "")) > 3 for value in values} == {True, False}
    assert all(("," in value) == (len(value.replace(",", "")) > 3) for value in values)


@pytest.mark.parametrize(
    ("half", "hours", "first", "last"),
    [
        ("2024_Jan_Jun", 182 * 24 - 1, "01/01/2024 6:00:00 AM", "07/01/2024 4:00:00 AM"),
        ("2024_Jul_Dec", 184 * 24 + 1, "07/01/2024 5:00:00 AM", "01/01/2025 5:00:00 AM"),
    ],
)
def test_a_file_holds_the_hours_of_its_local_days(synthetic, half, hours, first, last):
    rows = new_york(synthetic, half)
    assert len(rows) == hours
    assert (rows[0][UTC_TIME], rows[-1][UTC_TIME]) == (first, last)
    assert rows[-1][LOCAL_TIME].endswith(" 12:00:00 AM")
    assert rows[-1]["Hour Number"] == "24"
    assert rows[-1]["Data Date"] in {"06/30/2024", "12/31/2024"}


@pytest.mark.parametrize(
    ("half", "day", "hours"),
    [
        pytest.param("2024_Jan_Jun", "03/10/2024", 23, id="23 hours in spring"),
        pytest.param("2024_Jul_Dec", "11/03/2024", 25, id="25 hours in autumn"),
        pytest.param("2024_Jul_Dec", "11/04/2024", 24, id="24 hours on any other day"),
    ],
)
def test_hours_are_counted_through_a_clock_change(synthetic, half, day, hours):
    numbers = [row["Hour Number"] for row in new_york(synthetic, half) if row["Data Date"] == day]
    assert numbers == [str(number) for number in range(1, hours + 1)]


def test_another_authority_stands_beside_new_york_with_other_values(synthetic):
    rows = table(synthetic, "2024_Jan_Jun")
    assert Counter(row["Balancing Authority"] for row in rows) == {"NOWH": 4367, "NYIS": 4367}
    ours = {row[DEMAND] for row in rows if row["Balancing Authority"] == "NYIS"}
    others = {row[DEMAND] for row in rows if row["Balancing Authority"] == "NOWH"}
    assert not ours & others


def test_the_values_are_those_of_the_api(synthetic):
    params = {"frequency": "hourly", "data[0]": "value", "facets[respondent][]": "NYIS", "length": 5000}
    window = {"start": "2024-01-01T06", "end": "2024-07-01T04", "sort[0][column]": "period"}
    answer = synthetic.get(API, params={**params, **window, "facets[type][]": "DF"}).json()
    served = [row["value"] for row in answer["response"]["data"]]
    assert [row[FORECAST].replace(",", "") for row in new_york(synthetic, "2024_Jan_Jun")] == served


def test_nothing_later_than_now_is_in_a_file(synthetic):
    assert new_york(synthetic, "2025_Jan_Jun")[-1][UTC_TIME] == "03/20/2025 2:00:00 PM"


@pytest.mark.parametrize(
    "half",
    [
        pytest.param("2025_Jul_Dec", id="in the future"),
        pytest.param("2009_Jan_Jun", id="before the record"),
        pytest.param("2024_Jan_Dec", id="no half-year"),
        pytest.param("9999_Jul_Dec", id="after the last year there can be"),
        pytest.param("0000_Jan_Jun", id="no year"),
    ],
)
def test_what_is_not_there_is_a_page_under_404(synthetic, half):
    answer = ask(synthetic, half)
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("text/html")
    assert "<html>" in answer.text


@pytest.mark.parametrize("path", ["EIA930_SUBREGION_2024_Jan_Jun.csv", "", "a/b.csv"])
def test_other_files_are_not_there(synthetic, path):
    answer = synthetic.get(FOLDER + path)
    assert (answer.status_code, "<html>" in answer.text) == (404, True)


def test_the_api_still_answers_beside_the_files(synthetic):
    assert synthetic.get("/eia/nowhere").json()["code"] == 404


@pytest.mark.usefixtures("processes")
def test_hours_that_the_record_lacks_are_empty_and_zeros_stay(recorded):
    rows = {row[UTC_TIME]: row for row in new_york(recorded, "2024_Jan_Jun")}
    said = {hour: rows[f"03/01/2024 {hour}:00:00 AM"] for hour in range(5, 10)}
    assert [row[DEMAND] for row in said.values()] == ["0", "15,006", "", "15,008", ""]
    assert [row[IMPUTED] for row in said.values()] == ["15,005", "", "15,007", "", "15,009"]
    assert [row[ADJUSTED] for row in said.values()] == ["15,005", "15,006", "15,007", "15,008", "15,009"]
    assert {row["Net Generation (MW)"] for row in said.values()} == {""}


def test_a_file_begins_and_ends_with_the_record(recorded):
    rows = new_york(recorded, "2024_Jan_Jun")
    assert rows[0][UTC_TIME] == "03/01/2024 12:00:00 AM"
    assert (rows[0]["Data Date"], rows[0]["Hour Number"]) == ("02/29/2024", "19")
    assert rows[-1][UTC_TIME] == "03/06/2024 4:00:00 AM"
    assert ask(recorded, "2024_Jan_Jun").headers["x-sandbox-data"] == "recorded"
    assert ask(recorded, "2023_Jul_Dec").status_code == 404


@pytest.mark.usefixtures("processes")
@pytest.mark.shared_data
def test_the_shared_records_defects_are_in_its_files(shared):
    autumn = {row[UTC_TIME]: row for row in new_york(shared, "2021_Jul_Dec")}
    assert autumn["11/07/2021 5:00:00 AM"][DEMAND] == autumn["11/07/2021 6:00:00 AM"][DEMAND] == ""
    outage = {row[UTC_TIME]: row for row in new_york(shared, "2024_Jan_Jun")}["01/18/2024 12:00:00 AM"]
    assert (outage[DEMAND], outage[FORECAST]) == ("0", "")
    assert outage[ADJUSTED] not in {"", "0"}
    assert new_york(shared, "2025_Jul_Dec")[-1][UTC_TIME] == "08/01/2025 4:00:00 AM"
