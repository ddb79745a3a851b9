"""Recorded regions in the sandbox: respondents by code, local days, six-month files, unplaced sites."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from energy_demand.recorded_data import authorities, recorded_world
from energy_demand.sandbox.app import create_app
from energy_demand.sandbox.errors import SandboxDataError
from energy_demand.sandbox.worlds.recorded_regions import (
    Authority,
    RecordedRegions,
    recorded_sites,
    region_folders,
)
from energy_demand.sandbox.worlds.world import Place
from support import SHARED_DATA

HOURLY = "/eia/v2/electricity/rto/region-data/data/"
DAILY = "/eia/v2/electricity/rto/daily-region-data/data/"
HOURS = pd.date_range("2019-03-08T07:00", periods=120, freq="h", tz="UTC")
NOWHERE = (np.nan, np.nan)


def write_region(folder, level, sites, hours=HOURS):
    """A region's record: demand counts up from `level`, the temperature of site n from 100 × n."""
    folder.mkdir(parents=True)
    demand = level + np.arange(len(hours), dtype=float)
    demand[30] = np.nan
    frame = pd.DataFrame({"period": hours, "demand_mwh": demand, "day_ahead_forecast_mwh": demand - 7})
    frame.to_parquet(folder / "demand_hourly.parquet")
    rows = [
        pd.DataFrame(
            {
                "site": name,
                "latitude": latitude,
                "longitude": longitude,
                "time": hours[first:],
                "temperature_2m": 100.0 * number + np.arange(len(hours))[first:],
                "cloud_cover": np.nan,
                "source": "made",
            }
        )
        for number, (name, (latitude, longitude), first) in enumerate(sites)
    ]
    pd.concat(rows).to_parquet(folder / "weather_observed_hourly.parquet")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """ERCOT and New England."""
    data = tmp_path_factory.mktemp("data")
    dallas = ("dallas", (32.7944, -96.8215), 60)
    means = [("region_centroid", NOWHERE, 0), ("region_population_mean", NOWHERE, 0)]
    write_region(data / "regions" / "ERCO", 40_000, [dallas, *means])
    write_region(data / "regions" / "ISNE", 13_000, means)
    return data


@pytest.fixture(scope="module")
def client(folder, in_process):
    return in_process(create_app(recorded_world(folder), now=None, archive_delay_days=0))


def ask(client, path=HOURLY, **more):
    answer = client.get(path, params={"data[0]": "value", "sort[0][column]": "period", **more})
    assert answer.status_code == 200, answer.text
    return answer.json()["response"]["data"]


def weather(client, place, **more):
    params = {"latitude": place[0], "longitude": place[1], "hourly": "temperature_2m,cloud_cover"}
    days = {"start_date": "2019-03-09", "end_date": "2019-03-12", "timezone": "GMT"}
    answer = client.get("/archive/v1/archive", params={**params, **days, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_each_region_is_a_respondent_with_its_own_values(client):
    window = {"start": "2019-03-08T07", "end": "2019-03-08T08"}
    rows = ask(client, **window, **{"facets[type][]": "D"})
    assert [(row["period"], row["respondent"], row["value"]) for row in rows] == [
        ("2019-03-08T07", "ERCO", "40000"),
        ("2019-03-08T07", "ISNE", "13000"),
        ("2019-03-08T08", "ERCO", "40001"),
        ("2019-03-08T08", "ISNE", "13001"),
    ]
    names = authorities()
    assert [row["respondent-name"] for row in rows[:2]] == [names["ERCO"].name, names["ISNE"].name]
    one = ask(client, **window, **{"facets[respondent][]": "ISNE"})
    assert [(row["type"], row["value"]) for row in one] == [
        ("D", "13000"),
        ("DF", "12993"),
        ("D", "13001"),
        ("DF", "12994"),
    ]


def test_pages_of_several_respondents_follow_one_another(client):
    whole = ask(client)
    pages = [row for offset in range(0, len(whole), 7) for row in ask(client, offset=offset, length=7)]
    assert pages == whole
    assert len(whole) == 4 * len(HOURS) - 4


def test_an_hour_without_a_value_has_no_row(client):
    rows = ask(client, **{"facets[respondent][]": "ERCO", "facets[type][]": "D"})
    assert {row["period"] for row in rows} == set(HOURS.delete(30).strftime("%Y-%m-%dT%H"))


def test_a_daily_total_is_that_of_a_whole_day_in_the_regions_own_zone(client):
    rows = ask(client, DAILY, **{"facets[respondent][]": "ERCO", "facets[type][]": "D"})
    assert {row["timezone"] for row in rows} == {"Central"}
    # The 8th begins before the record, the 9th has a missing hour, the 10th has 23 hours.
    first, days = 40_000, ZoneInfo("America/Chicago")
    local = (HOURS - pd.Timedelta(hours=1)).tz_convert(days)
    demand = pd.Series(first + np.arange(len(HOURS)), index=local)
    expected = {
        day: f"{demand[local.strftime('%Y-%m-%d') == day].sum():.0f}" for day in ("2019-03-10", "2019-03-11")
    }
    assert {row["period"]: row["value"] for row in rows if row["period"] in expected} == expected
    assert "2019-03-09" not in {row["period"] for row in rows}
    assert (local.strftime("%Y-%m-%d") == "2019-03-10").sum() == 23
    eastern = {"facets[timezone][]": "Eastern", "facets[type][]": "D"}
    assert {row["respondent"] for row in ask(client, DAILY, **eastern)} == {"ISNE"}


def test_a_six_month_file_has_every_authority_in_its_own_local_time(client):
    answer = client.get("/eia/sixMonthFiles/EIA930_BALANCE_2019_Jan_Jun.csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    of = {name: [row for row in rows if row["Balancing Authority"] == name] for name in ("ERCO", "ISNE")}
    assert [len(of[name]) for name in of] == [len(HOURS), len(HOURS)]
    assert {row["Region"] for row in of["ERCO"]} == {"TEX"}
    assert {row["Region"] for row in of["ISNE"]} == {"NE"}
    assert of["ERCO"][0]["Local Time at End of Hour"] == "03/08/2019 1:00:00 AM"
    assert of["ISNE"][0]["Local Time at End of Hour"] == "03/08/2019 2:00:00 AM"
    assert (of["ERCO"][0]["Hour Number"], of["ISNE"][0]["Hour Number"]) == ("1", "2")
    assert of["ERCO"][30]["Demand (MW)"] == ""
    assert of["ERCO"][31]["Demand (MW)"] == "40,031"


def test_a_site_that_the_record_places_nowhere_is_at_the_regions_centre(folder):
    known = authorities()["ERCO"]
    sites = recorded_sites(folder / "regions" / "ERCO", known)
    assert [site.name for site in sites] == ["region_population_mean", "region_centroid", "dallas"]
    assert sites[0].place == Place(round(known.centre.latitude, 4), round(known.centre.longitude, 4))
    assert sites[1].place.latitude == pytest.approx(sites[0].place.latitude + 1)
    assert sites[2].place == Place(32.7944, -96.8215)


def test_a_recorded_site_has_its_own_hours_and_no_others(client):
    body = weather(client, (32.7944, -96.8215))
    first = HOURS[60].strftime("%Y-%m-%dT%H:%M")
    values = dict(zip(body["hourly"]["time"], body["hourly"]["temperature_2m"], strict=True))
    assert values[first] == 60.0
    assert {value for time, value in values.items() if time < first} == {None}
    assert body["hourly_units"]["cloud_cover"] == "undefined"
    assert body["hourly_units"]["temperature_2m"] == "°C"


def test_a_city_of_the_region_has_the_nearest_sites_hours_and_before_them_the_mean_of_the_region(client):
    known = authorities()["ERCO"]
    city = min(known.places, key=lambda place: abs(place.latitude - 32.7944))
    values = weather(client, city)["hourly"]
    by_time = dict(zip(values["time"], values["temperature_2m"], strict=True))
    assert by_time[HOURS[59].strftime("%Y-%m-%dT%H:%M")] == 259.0
    assert by_time[HOURS[60].strftime("%Y-%m-%dT%H:%M")] == 60.0


def test_a_city_without_a_site_has_the_mean_and_a_place_elsewhere_nothing(client):
    boston = authorities()["ISNE"].places[0]
    first = HOURS[17]
    assert weather(client, boston)["hourly"]["temperature_2m"][0] == 100.0 + 17
    assert first.strftime("%Y-%m-%dT%H:%M") == "2019-03-09T00:00"
    elsewhere = weather(client, (45.0, -110.0))
    assert set(elsewhere["hourly"]["temperature_2m"]) == {None}


def test_a_run_of_a_weather_model_is_not_available(client):
    params = {"latitude": 42.36, "longitude": -71.06, "hourly": "temperature_2m"}
    answer = client.get("/single-runs/v1/forecast", params={**params, "run": "2019-03-10T00:00"})
    assert answer.status_code == 400
    assert "not available" in answer.json()["reason"]


def test_the_present_is_the_end_of_the_newest_region(folder, in_process, tmp_path):
    write_region(tmp_path / "ISNE", 1, [("region_population_mean", NOWHERE, 0)])
    later = HOURS + pd.Timedelta(days=9)
    write_region(tmp_path / "ERCO", 1, [("region_population_mean", NOWHERE, 0)], later)
    body = in_process(create_app(recorded_world(tmp_path), now=None)).get("/").json()
    assert body == {
        "kind": "recorded",
        "now": f"{later[-1]:%Y-%m-%dT%H:%M:%SZ}",
        "first": f"{HOURS[0]:%Y-%m-%dT%H:%M:%SZ}",
        "last": f"{later[-1]:%Y-%m-%dT%H:%M:%SZ}",
    }


def test_new_york_and_regions_are_served_together(small_record, tmp_path, in_process):
    for file in small_record.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    write_region(tmp_path / "regions" / "ISNE", 13_000, [("region_population_mean", NOWHERE, 0)])
    client = in_process(
        create_app(
            recorded_world(tmp_path), now=datetime(2024, 3, 6, 4, 30, tzinfo=UTC), archive_delay_days=0
        )
    )
    hour = {"start": "2024-03-02T00", "end": "2024-03-02T00", "facets[type][]": "D"}
    assert [row["respondent"] for row in ask(client, **hour)] == ["NY", "NYIS"]
    earlier = {"start": "2019-03-08T07", "end": "2019-03-08T07", "facets[type][]": "D"}
    assert [row["respondent"] for row in ask(client, **earlier)] == ["ISNE"]
    days = {"start_date": "2024-03-01", "end_date": "2024-03-01"}
    assert weather(client, (42.6526, -73.7562), **days)["hourly"]["temperature_2m"][0] == -50.0
    assert weather(client, (42.3601, -71.0589))["hourly"]["temperature_2m"][0] == 17.0


@pytest.mark.parametrize(
    "place",
    [
        pytest.param("regions", id="in a folder called regions"),
        pytest.param("", id="side by side"),
    ],
)
def test_regions_are_found(tmp_path, place):
    for code in ("PJM", "ERCO"):
        write_region(tmp_path / place / code, 1, [("region_population_mean", NOWHERE, 0)])
    assert [folder.name for folder in region_folders(tmp_path)] == ["ERCO", "PJM"]
    assert [folder.name for folder in region_folders(tmp_path / place / "PJM")] == ["PJM"]


def test_an_unknown_code_is_refused_by_its_folder(tmp_path):
    write_region(tmp_path / "ATLANTIS", 1, [("region_population_mean", NOWHERE, 0)])
    with pytest.raises(SandboxDataError, match="ATLANTIS: no region has this code"):
        recorded_world(tmp_path)


@pytest.mark.parametrize("file", ["weather_observed_hourly.parquet", "demand_hourly.parquet"])
def test_a_missing_or_damaged_file_is_named(tmp_path, file):
    write_region(tmp_path / "PJM", 1, [("region_population_mean", NOWHERE, 0)])
    (tmp_path / "PJM" / file).write_bytes(b"not a table")
    with pytest.raises(SandboxDataError, match=file):
        recorded_world(tmp_path)


def test_a_region_of_the_catalogue_needs_no_eia_zone(tmp_path):
    """A folder in a zone without daily totals of EIA's is served all the same."""
    write_region(tmp_path / "X", 1, [("region_population_mean", NOWHERE, 0)])
    where = Authority(
        "Reykjavík", ZoneInfo("Atlantic/Reykjavik"), None, (Place(64.1, -21.9),), Place(64.1, -21.9)
    )
    world = RecordedRegions([tmp_path / "X"], {"X": where})
    assert world.grids["X"].timezone == "Atlantic/Reykjavik"
    assert world.grids["X"].files_region is None


@pytest.mark.shared_data
def test_every_recorded_region_is_served(in_process):
    folders = region_folders(SHARED_DATA)
    if not folders:
        pytest.skip("the recorded regions are absent (no folder shared/data/regions beside the project)")
    client = in_process(create_app(recorded_world(SHARED_DATA / "regions"), now=None))
    for folder in folders:
        demand = pd.read_parquet(folder / "demand_hourly.parquet").set_index("period")["demand_mwh"].dropna()
        window = {"start": "2018-01-02T00", "end": "2018-01-05T00"}
        rows = ask(client, **window, **{"facets[respondent][]": folder.name, "facets[type][]": "D"})
        served = {pd.Timestamp(row["period"], tz="UTC"): float(row["value"]) for row in rows}
        assert served == demand["2018-01-02":"2018-01-05T00"].to_dict()
        site = recorded_sites(folder, authorities()[folder.name])[0]
        days = {"start_date": "2018-01-02", "end_date": "2018-01-02"}
        assert None not in weather(client, site.place, **days)["hourly"]["temperature_2m"]
