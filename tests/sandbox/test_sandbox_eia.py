from __future__ import annotations

from datetime import UTC, datetime

import httpx
import pytest

from energy_demand.sandbox.app import create_app
from energy_demand.sandbox.server import serving

HOURLY = "/eia/v2/electricity/rto/region-data/data/"
DAILY = "/eia/v2/electricity/rto/daily-region-data/data/"


def ask(client: httpx.Client, path: str = HOURLY, status: int = 200, **more: object) -> dict:
    params = {
        "frequency": "hourly" if path == HOURLY else "daily",
        "data[0]": "value",
        "facets[respondent][]": "NY",
        "facets[type][]": "D",
        "sort[0][column]": "period",
        "sort[0][direction]": "asc",
    }
    params |= more
    answer = client.get(path, params={key: value for key, value in params.items() if value is not None})
    assert answer.status_code == status, answer.text
    return answer.json()


def periods(body: dict) -> list[str]:
    return [row["period"] for row in body["response"]["data"]]


def test_pages_of_5000_follow_one_another_and_count_every_row_once(synthetic):
    window = {"start": "2023-01-01T00", "end": "2024-06-30T23"}
    pages = [ask(synthetic, offset=offset, length=9999, **window) for offset in range(0, 15000, 5000)]
    assert [len(periods(page)) for page in pages] == [5000, 5000, 3128]
    assert {page["response"]["total"] for page in pages} == {"13128"}
    assert ["warnings" in page for page in pages] == [True, True, False]
    assert pages[0]["warnings"][0]["warning"] == "incomplete return"
    together = [period for page in pages for period in periods(page)]
    assert together == sorted(set(together))


def test_a_page_says_the_same_as_the_whole(synthetic):
    window = {"start": "2024-01-01T00", "end": "2024-01-10T00"}
    whole = ask(synthetic, **window)["response"]["data"]
    assert ask(synthetic, offset=37, length=50, **window)["response"]["data"] == whole[37:87]


def test_start_and_end_are_both_included(synthetic):
    body = ask(synthetic, start="2024-05-01T03", end="2024-05-01T05")
    assert periods(body) == ["2024-05-01T03", "2024-05-01T04", "2024-05-01T05"]


def test_a_bare_end_day_means_its_first_hour(synthetic):
    assert periods(ask(synthetic, start="2024-05-01", end="2024-05-02"))[-1] == "2024-05-02T00"


def test_descending_order_starts_with_the_newest(synthetic):
    body = ask(synthetic, **{"sort[0][direction]": "desc"}, length=2)
    assert periods(body) == ["2025-03-20T14", "2025-03-20T13"]


def test_totals_and_values_are_strings_of_whole_megawatthours(synthetic):
    body = ask(synthetic, start="2024-05-01T03", end="2024-05-01T05")
    assert body["response"]["total"] == "3"
    for row in body["response"]["data"]:
        assert row["value"].isdigit()
        assert row["value-units"] == "megawatthours"
        assert row["respondent-name"] == "New York"


def test_nothing_later_than_now_is_served(synthetic):
    assert periods(ask(synthetic, start="2025-03-20T10", end="2025-04-01T00"))[-1] == "2025-03-20T14"


def test_a_window_in_the_future_is_empty(synthetic):
    assert ask(synthetic, start="2026-01-01T00")["response"]["total"] == "0"


def test_series_come_mixed_without_the_type_facet(synthetic):
    rows = ask(synthetic, start="2024-05-01T03", end="2024-05-01T03", **{"facets[type][]": None})
    assert [row["type"] for row in rows["response"]["data"]] == ["D", "DF", "NG", "TI"]


def test_several_types_may_be_asked_for_at_once(synthetic):
    body = ask(synthetic, start="2024-05-01T03", end="2024-05-01T04", **{"facets[type][]": ["D", "DF"]})
    assert [row["type"] for row in body["response"]["data"]] == ["D", "DF", "D", "DF"]


def test_both_respondents_name_the_same_grid(synthetic):
    window = {"start": "2024-05-01T03", "end": "2024-05-01T03"}
    ny, nyis = (ask(synthetic, **{"facets[respondent][]": who}, **window) for who in ("NY", "NYIS"))
    assert ny["response"]["data"][0]["value"] == nyis["response"]["data"][0]["value"]
    assert nyis["response"]["data"][0]["respondent-name"] == "New York Independent System Operator"


def test_an_unknown_respondent_has_no_rows(synthetic):
    body = ask(synthetic, **{"facets[respondent][]": "NOWHERE"})
    assert body["response"]["total"] == "0"
    assert body["response"]["data"] == []


def test_the_parameters_come_back_with_the_key_in_them(synthetic):
    body = ask(synthetic, start="2024-05-01T03", end="2024-05-01T03", api_key="not-a-secret", length="5000")
    assert body["request"]["command"] == "/v2/electricity/rto/region-data/data/"
    assert body["request"]["params"] == {
        "frequency": "hourly",
        "data": ["value"],
        "facets": {"respondent": ["NY"], "type": ["D"]},
        "start": "2024-05-01T03",
        "end": "2024-05-01T03",
        "sort": [{"column": "period", "direction": "asc"}],
        "length": "5000",
        "api_key": "not-a-secret",
    }
    assert body["apiVersion"]


def test_the_trailing_slash_may_be_left_out(synthetic):
    window = {"start": "2024-05-01T03", "end": "2024-05-01T03"}
    without = synthetic.get(HOURLY.rstrip("/"), params=window)
    assert without.status_code == 200
    assert without.json()["response"]["total"] == "8"  # two respondents of four series


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"frequency": "daily"}, id="frequency of the other table"),
        pytest.param({"start": "2024-13-01T00"}, id="month thirteen"),
        pytest.param({"end": "yesterday"}, id="a word for a date"),
        pytest.param({"start": "2024-01-01T00:00"}, id="minutes in an hourly date"),
        pytest.param({"facets[fueltype][]": "NG"}, id="facet of another table"),
        pytest.param({"data[0]": "price"}, id="unknown data column"),
        pytest.param({"offset": "-1"}, id="negative offset"),
        pytest.param({"length": "many"}, id="length in words"),
        pytest.param({"sort[0][direction]": "up"}, id="unknown direction"),
    ],
)
def test_a_query_that_makes_no_sense_is_a_400(synthetic, wrong):
    body = ask(synthetic, status=400, **wrong)
    assert body["code"] == 400
    assert isinstance(body["error"], str)


def test_an_unknown_route_is_a_404_body_under_500(synthetic):
    answer = synthetic.get("/eia/v2/electricity/wholesale-prices/data/")
    assert answer.status_code == 500
    assert answer.json() == {"error": "Not found.", "code": 404}


@pytest.mark.usefixtures("processes")
@pytest.mark.parametrize(
    ("key", "code"),
    [
        pytest.param({}, "API_KEY_MISSING", id="no key"),
        pytest.param({"api_key": ""}, "API_KEY_MISSING", id="an empty key"),
        pytest.param({"api_key": "wrong"}, "API_KEY_INVALID", id="a wrong key"),
    ],
)
def test_a_required_key_is_checked_before_anything_else(synthetic_world, key, code):
    app = create_app(synthetic_world, now=datetime(2024, 1, 1, tzinfo=UTC), require_key="right")
    with serving(app) as url, httpx.Client(base_url=url) as client:
        refused = client.get(HOURLY, params=key | {"frequency": "nonsense"})
        assert refused.status_code == 403
        assert refused.json()["error"]["code"] == code
        assert "wrong" not in refused.text
        assert client.get(HOURLY, params={"api_key": "right", "length": "1"}).status_code == 200


def test_daily_totals_are_those_of_new_york_days(synthetic):
    days = {"start": "2024-11-02", "end": "2024-11-04"}
    body = ask(synthetic, DAILY, **{"facets[timezone][]": "Eastern"}, **days)
    assert periods(body) == ["2024-11-02", "2024-11-03", "2024-11-04"]
    # The clocks went back on the 3rd: 25 hours, ending 05:00 to 05:00 UTC.
    hours = ask(synthetic, start="2024-11-03T05", end="2024-11-04T05")["response"]["data"]
    assert len(hours) == 25
    assert int(body["response"]["data"][1]["value"]) == sum(int(row["value"]) for row in hours)
    assert body["response"]["data"][1]["timezone"] == "Eastern"


def test_a_day_is_served_only_when_it_is_over_in_new_york(synthetic):
    assert periods(ask(synthetic, DAILY, start="2025-03-18")) == ["2025-03-18", "2025-03-19"]


def test_other_timezones_have_no_daily_rows(synthetic):
    assert ask(synthetic, DAILY, **{"facets[timezone][]": "Pacific"})["response"]["total"] == "0"


def test_a_recorded_zero_stays_and_a_missing_hour_is_absent(recorded):
    body = ask(recorded, start="2024-03-01T04", end="2024-03-01T10")
    rows = {row["period"][-2:]: row["value"] for row in body["response"]["data"]}
    assert rows == {"04": "15004", "05": "0", "06": "15006", "08": "15008", "10": "15010"}
    assert body["response"]["total"] == "5"


def test_a_record_mixes_the_series_it_has(recorded):
    body = ask(recorded, start="2024-03-05T02", end="2024-03-05T05", **{"facets[type][]": None})
    assert [(row["period"][-2:], row["type"]) for row in body["response"]["data"]] == [
        ("02", "D"), ("02", "DF"), ("03", "D"), ("03", "DF"), ("04", "D"), ("05", "D"),
    ]  # fmt: skip


def test_a_recorded_day_is_served_only_when_it_is_over(recorded):
    body = ask(recorded, DAILY, **{"facets[type][]": ["D", "DF", "NG", "TI"]})
    assert body["response"]["total"] == "16"  # at 23:30 on the 5th in New York: four days
    assert (
        body["response"]["data"][-1] | {"period": "2024-03-04", "type": "TI", "value": "-60000"}
        == (body["response"]["data"][-1])
    )


@pytest.mark.shared_data
def test_the_shared_record_keeps_its_zeros_and_its_gaps(shared):
    zero = ask(shared, start="2024-10-09T20", end="2024-10-09T22")["response"]["data"]
    assert [row["value"] for row in zero][1:] == ["0", "0"]
    gap = periods(ask(shared, start="2021-11-07T04", end="2021-11-07T07"))
    assert gap == ["2021-11-07T04", "2021-11-07T07"]


@pytest.mark.shared_data
def test_the_shared_record_ends_where_its_present_is(shared):
    assert periods(ask(shared, start="2025-07-31T20"))[-1] == "2025-08-01T04"
    assert periods(ask(shared, DAILY, start="2025-07-30")) == ["2025-07-30", "2025-07-31"]
    assert ask(shared)["response"]["total"] == "88414"
