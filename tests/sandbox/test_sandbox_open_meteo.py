from __future__ import annotations

import shutil
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import httpx
import pandas as pd
import pytest

from energy_demand.sandbox.app import create_app
from energy_demand.sandbox.server import serving
from energy_demand.sandbox.worlds.recorded import RADIATION, RADIATION_FILE, RecordedWorld
from energy_demand.sandbox.worlds.world import SITES, VARIABLES
from support import SHARED_DATA

if TYPE_CHECKING:
    from pathlib import Path

ARCHIVE, FORECAST, RUNS = "/archive/v1/archive", "/forecast/v1/forecast", "/single-runs/v1/forecast"
CITY = {"latitude": "40.7128", "longitude": "-74.0060"}
ALBANY_THEN_CITY = {"latitude": "42.6526,40.7128", "longitude": "-73.7562,-74.0060"}
MARCH_1 = {"start_date": "2024-03-01", "end_date": "2024-03-01"}


def ask(client: httpx.Client, path: str, status: int = 200, hourly: str = "temperature_2m", **params: object):
    answer = client.get(path, params={**CITY, "hourly": hourly, **params})
    assert answer.status_code == status, answer.text
    return answer.json()


def column(body: dict, name: str = "temperature_2m") -> dict[str, float | None]:
    return dict(zip(body["hourly"]["time"], body["hourly"][name], strict=True))


@pytest.mark.usefixtures("processes")
def test_the_archive_covers_both_days_whole(recorded):
    body = ask(recorded, ARCHIVE, start_date="2024-03-01", end_date="2024-03-02")
    times = body["hourly"]["time"]
    assert (times[0], times[-1], len(times)) == ("2024-03-01T00:00", "2024-03-02T23:00", 48)
    assert column(body)["2024-03-01T05:00"] == 0.5
    assert body["hourly_units"] == {"time": "iso8601", "temperature_2m": "°C"}
    assert (body["utc_offset_seconds"], body["timezone"], body["timezone_abbreviation"]) == (0, "GMT", "GMT")
    assert abs(body["latitude"] - 40.7128) < 0.1


def test_the_archive_is_null_for_hours_it_does_not_have_yet(recorded):
    values = column(ask(recorded, ARCHIVE, start_date="2024-03-04", end_date="2024-03-05"))
    assert values["2024-03-04T04:00"] == 7.6  # two days before 04:30 on the 6th
    assert values["2024-03-04T05:00"] is None


def test_a_list_of_sites_is_answered_by_a_list_in_the_same_order(recorded):
    body = ask(recorded, ARCHIVE, **ALBANY_THEN_CITY, **MARCH_1)
    assert [site["hourly"]["temperature_2m"][0] for site in body] == [-50.0, 0.0]
    assert body[0]["latitude"] > body[1]["latitude"]


@pytest.mark.parametrize(
    ("where", "what"),
    [
        pytest.param({"latitude": "45.0", "longitude": "-74.0"}, "temperature_2m", id="an unknown place"),
        pytest.param(CITY, "cloud_cover", id="a column of gaps"),
        pytest.param(CITY, "shortwave_radiation", id="a variable the record lacks"),
    ],
)
def test_what_the_record_lacks_is_null(recorded, where, what):
    body = ask(recorded, ARCHIVE, hourly=what, **where, **MARCH_1)
    assert set(body["hourly"][what]) == {None}


def test_a_local_zone_has_one_fixed_offset_for_the_whole_answer(synthetic):
    """Asked in summer time, January comes in summer time too, as upstream."""
    days = {"start_date": "2025-01-10", "end_date": "2025-01-10"}
    local = ask(synthetic, ARCHIVE, timezone="America/New_York", **days)
    gmt = column(ask(synthetic, ARCHIVE, start_date="2025-01-10", end_date="2025-01-11"))
    assert local["utc_offset_seconds"] == -4 * 3600
    assert local["timezone_abbreviation"] == "GMT-4"
    assert column(local)["2025-01-10T00:00"] == gmt["2025-01-10T04:00"]
    assert column(local)["2025-01-10T23:00"] == gmt["2025-01-11T03:00"]


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"start_date": "2024-03-05", "end_date": "2024-03-04"}, id="an end before the start"),
        pytest.param({"start_date": "2024-3-1", "end_date": "2024-03-04"}, id="a malformed date"),
        pytest.param({"start_date": "2024-03-01"}, id="no end"),
        pytest.param({"start_date": "2024-03-01", "end_date": "2024-03-07"}, id="an end in the future"),
        pytest.param({"start_date": "1939-12-31", "end_date": "2024-03-01"}, id="a start before the archive"),
        pytest.param(MARCH_1 | {"hourly": "temperature_2m,happiness"}, id="an unknown variable"),
        pytest.param(MARCH_1 | {"latitude": "95"}, id="a latitude beyond the pole"),
        pytest.param(MARCH_1 | {"longitude": "-74,-73"}, id="more longitudes than latitudes"),
        pytest.param(MARCH_1 | {"timezone": "Mars/Olympus"}, id="an unknown zone"),
        pytest.param(MARCH_1 | {"temperature_unit": "fahrenheit"}, id="a unit the sandbox lacks"),
        pytest.param(MARCH_1 | {"past_days": "3"}, id="a parameter of another service"),
    ],
)
def test_an_archive_query_that_makes_no_sense_is_a_400(recorded, wrong):
    body = ask(recorded, ARCHIVE, status=400, **wrong)
    assert body["error"] is True
    assert isinstance(body["reason"], str)


def test_the_forecast_holds_observations_up_to_now_and_the_newest_issue_after(recorded):
    body = ask(recorded, FORECAST, past_days=1, forecast_days=2)
    values = column(body)
    assert (body["hourly"]["time"][0], len(values)) == ("2024-03-05T00:00", 72)
    assert values["2024-03-06T04:00"] == 12.4  # observed, without the archive's delay
    assert values["2024-03-06T05:00"] == 300.0  # the issue of 23:00 the evening before
    assert values["2024-03-07T00:00"] is None  # beyond that recording


def test_forecast_precipitation_is_the_sum_of_its_recorded_parts(recorded):
    body = ask(recorded, FORECAST, hourly="precipitation,rain,snowfall", forecast_days=1)
    assert column(body, "precipitation")["2024-03-06T05:00"] == 1.75  # 0.5 + 0.25 + 0.7 cm as 1 mm


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"past_days": "93"}, id="too far back"),
        pytest.param({"forecast_days": "17"}, id="too far ahead"),
        pytest.param({"forecast_days": "0"}, id="no day at all"),
    ],
)
def test_a_forecast_window_out_of_range_is_a_400(recorded, wrong):
    assert "Allowed range" in ask(recorded, FORECAST, status=400, **wrong)["reason"]


@pytest.mark.parametrize(
    ("run", "value"),
    [
        pytest.param("2024-03-05T00:00", 100.0, id="00 UTC is the issue of 05 UTC"),
        pytest.param("2024-03-05T06:00", 200.0, id="06 UTC is the issue of 11 UTC"),
        pytest.param("2024-03-05T18:00", 300.0, id="18 UTC is the issue of 23 UTC"),
    ],
)
def test_a_model_run_is_the_newest_issue_six_hours_on(recorded, run, value):
    body = ask(recorded, RUNS, run=run, forecast_days=3)
    assert body["hourly"]["time"][0] == run
    assert len(body["hourly"]["time"]) == 72
    assert body["hourly"]["temperature_2m"][0] == value
    assert body["hourly"]["temperature_2m"][-1] is None  # the recording has ended


def test_the_record_goes_by_two_names_and_other_models_are_derived_from_it(recorded):
    asked = {"run": "2024-03-05T06:00", "forecast_days": 3}
    unnamed = ask(recorded, RUNS, **asked)
    assert ask(recorded, RUNS, models="ecmwf_ifs", **asked)["hourly"] == unnamed["hourly"]
    derived = ask(recorded, RUNS, models="gfs_seamless", **asked)
    assert derived == ask(recorded, RUNS, models="gfs_seamless", **asked) | {
        "generationtime_ms": derived["generationtime_ms"]
    }
    values = derived["hourly"]["temperature_2m"]
    assert values[0] != unnamed["hourly"]["temperature_2m"][0]
    both = ask(recorded, RUNS, models="ecmwf_ifs,gfs_seamless", **asked)["hourly"]
    assert both["temperature_2m_gfs_seamless"] == values
    assert both["temperature_2m_ecmwf_ifs"] == unnamed["hourly"]["temperature_2m"]


def test_a_derived_model_has_runs_of_its_own_hours_and_of_one_site(recorded):
    refused = ask(recorded, RUNS, models="icon_seamless", run="2024-03-05T06:00", status=400)
    assert refused["reason"] == (
        "The requested model run is not available. Model: icon_seamless, run: 2024-03-05T06:00Z"
    )
    albany, _ = ask(
        recorded, RUNS, run="2024-03-05T00:00", models="icon_seamless", forecast_days=1, **ALBANY_THEN_CITY
    )
    assert set(albany["hourly"]["temperature_2m"]) == {None}
    assert albany["hourly_units"]["temperature_2m"] == "undefined"


def test_a_model_run_has_nulls_for_sites_without_forecasts(recorded):
    albany, city = ask(recorded, RUNS, run="2024-03-05T06:00", **ALBANY_THEN_CITY)
    assert set(albany["hourly"]["temperature_2m"]) == {None}
    assert city["hourly"]["temperature_2m"][0] == 200.0


@pytest.mark.parametrize(
    "run",
    [
        pytest.param("2024-03-06T00:00", id="not published before 06 UTC"),
        pytest.param("2024-03-04T12:00", id="before the first recording"),
        pytest.param("2024-03-05T03:00", id="no model runs at 03 UTC"),
        pytest.param("2024-03-05", id="a day is no run"),
    ],
)
def test_a_model_run_that_is_not_there_is_a_400(recorded, run):
    assert ask(recorded, RUNS, status=400, run=run)["error"] is True


@pytest.mark.usefixtures("processes")
def test_a_recording_older_than_the_run_before_does_not_stand_for_a_run(small_record: Path):
    """The last recording is of 23:00 on the 5th: near enough for 00 UTC on the 6th, not for 06 UTC."""
    with (
        serving(create_app(RecordedWorld(small_record), now=None)) as url,
        httpx.Client(base_url=url) as client,
    ):
        assert ask(client, RUNS, run="2024-03-06T00:00")["hourly"]["temperature_2m"][0] == 300.0
        assert "not available" in ask(client, RUNS, status=400, run="2024-03-06T06:00")["reason"]


def test_the_synthetic_world_has_every_variable_at_every_place(synthetic):
    body = ask(synthetic, ARCHIVE, hourly=",".join(VARIABLES), latitude="48.2", longitude="16.4", **MARCH_1)
    assert all(None not in body["hourly"][name] for name in VARIABLES)
    assert max(body["hourly"]["shortwave_radiation"]) > 0


def test_every_answer_says_what_kind_of_data_it_is(synthetic, recorded):
    for client, kind in ((synthetic, "synthetic"), (recorded, "recorded")):
        for path in ("/", ARCHIVE, "/eia/v2/nowhere"):
            assert client.get(path).headers["x-sandbox-data"] == kind
        assert client.get("/").json()["kind"] == kind


@pytest.mark.usefixtures("processes")
@pytest.mark.shared_data
def test_the_shared_record_answers_a_run_with_what_was_issued(shared):
    place = {
        "latitude": ",".join(str(site.latitude) for site in SITES.values()),
        "longitude": ",".join(str(site.longitude) for site in SITES.values()),
    }
    city, *others = ask(shared, RUNS, run="2025-03-01T06:00", **place)
    assert None not in city["hourly"]["temperature_2m"][:144]
    assert all(set(other["hourly"]["temperature_2m"]) == {None} for other in others)


@pytest.mark.shared_data
def test_the_forecast_fills_the_gap_the_shared_archive_leaves(shared):
    archive = column(ask(shared, ARCHIVE, start_date="2025-07-26", end_date="2025-08-01"))
    gap = [time for time, value in archive.items() if value is None]
    forecast = column(ask(shared, FORECAST, past_days=7, forecast_days=2))
    assert gap[0] == "2025-07-27T05:00"
    # The record's own last observation is an hour before its last demand.
    assert [time for time, value in forecast.items() if value is None] == ["2025-08-01T04:00"]


@pytest.mark.shared_data
def test_the_shared_record_has_radiation_upstate_from_its_first_hour_hour_ending_and_none_in_the_city(shared):
    where = {
        "latitude": ",".join(str(site.latitude) for site in SITES.values()),
        "longitude": ",".join(str(site.longitude) for site in SITES.values()),
    }
    days = {"start_date": "2019-12-31", "end_date": "2020-01-01"}
    bodies = ask(shared, ARCHIVE, hourly=RADIATION, **where, **days)
    recorded = pd.read_parquet(SHARED_DATA / RADIATION_FILE).set_index("time")[RADIATION]
    first = recorded["2020-01-01"].tolist()
    for site, body in zip(SITES, bodies, strict=True):
        values = body["hourly"][RADIATION]
        assert values == [None] * (48 if site == "new_york_city" else 24) + (
            [] if site == "new_york_city" else first
        )
    # Hour ending: upstate the sun is up from about half past twelve to half past nine UTC on that day.
    lit = [hour for hour, value in enumerate(first) if value > 0]
    assert lit == list(range(13, 23))


def test_recorded_radiation_is_that_of_the_sites_upstate_where_the_folder_has_it(
    small_record, tmp_path, in_process
):
    folder = tmp_path / "record"
    shutil.copytree(small_record, folder)
    hours = pd.date_range("2024-03-01T01:00", periods=5, freq="h", tz="UTC")
    radiation = pd.DataFrame({"time": hours, "shortwave_radiation": [0.0, 10.0, 20.5, 30.0, 40.0]})
    radiation.to_parquet(folder / "ny_radiation_observed_hourly.parquet")
    now = datetime(2024, 3, 6, 4, 30, tzinfo=UTC)
    client = in_process(create_app(RecordedWorld(folder), now=now, archive_delay_days=2))
    albany, city = ask(
        client, ARCHIVE, hourly="temperature_2m,shortwave_radiation", **ALBANY_THEN_CITY, **MARCH_1
    )
    assert albany["hourly"]["shortwave_radiation"][:7] == [None, 0.0, 10.0, 20.5, 30.0, 40.0, None]
    assert albany["hourly_units"]["shortwave_radiation"] == "W/m²"
    assert set(city["hourly"]["shortwave_radiation"]) == {None}
    assert city["hourly_units"]["shortwave_radiation"] == "undefined"
    assert city["hourly"]["temperature_2m"] == [each / 10 for each in range(24)]
