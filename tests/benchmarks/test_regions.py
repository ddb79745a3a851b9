"""The benchmark of recorded regions: what it refuses, which site it takes, what it keeps."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import regions

SCRIPT = Path(regions.__file__)
NOWHERE = (np.nan, np.nan)
WHOLE = ("2015-07-01", "2020-01-01")


def write(
    folder: Path, sites=(("region_population_mean", NOWHERE, WHOLE),), *, forecast: bool = True
) -> Path:
    """Four and a half years of a region."""
    folder.mkdir(parents=True)
    periods = pd.date_range("2015-07-01T06:00", "2020-01-08T00:00", freq="h", tz="UTC")
    hours = np.arange(len(periods))
    demand = 30_000 + 1_500 * np.sin(2 * np.pi * hours / 24) + hours % 7
    published = np.where(forecast, demand * 1.01, np.nan)
    pd.DataFrame({"period": periods, "demand_mwh": demand, "day_ahead_forecast_mwh": published}).to_parquet(
        folder / "demand_hourly.parquet"
    )
    rows = []
    for name, (latitude, longitude), (first, last) in sites:
        times = pd.date_range(first, last, freq="h", tz="UTC")
        rows.append(
            pd.DataFrame(
                {
                    "site": name,
                    "latitude": latitude,
                    "longitude": longitude,
                    "time": times,
                    "temperature_2m": 12.5,
                }
            )
        )
    pd.concat(rows).to_parquet(folder / "weather_observed_hourly.parquet")
    return folder


@pytest.fixture
def options(tmp_path):
    """Options for a folder of data."""

    def given(*more: str):
        return regions.arguments(["--data", str(tmp_path / "data"), *more])

    return given


def test_every_region_of_the_folder_is_taken_or_the_ones_named(tmp_path, options):
    for code in ("SWPP", "ISNE"):
        write(tmp_path / "data" / code)
    assert [each.code for each in regions.checked(options())] == ["ISNE", "SWPP"]
    (one,) = regions.checked(options("--region", "SWPP"))
    assert (one.code, one.region.zone.key, one.first.isoformat()) == ("SWPP", "America/Chicago", "2015-07-01")


def test_the_mean_by_population_is_the_weather_of_a_region(tmp_path):
    folder = write(
        tmp_path / "PJM",
        [
            ("philadelphia", (39.96, -75.17), ("2019-06-01", "2020-01-01")),
            ("region_centroid", NOWHERE, WHOLE),
            ("region_population_mean", NOWHERE, WHOLE),
        ],
    )
    assert regions.used_site(folder, regions.START, regions.END).name == "region_population_mean"


def test_without_a_mean_a_city_is_taken_that_covers_the_window(tmp_path):
    folder = write(
        tmp_path / "PJM",
        [
            ("philadelphia", (39.96, -75.17), ("2019-06-01", "2020-01-01")),
            ("ohio_valley", (39.0, -82.6), WHOLE),
        ],
    )
    assert regions.used_site(folder, regions.START, regions.END).name == "ohio_valley"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        pytest.param(
            ("--region", "PJM"), "PJM: no such region; .* has ISNE", id="a region that is not there"
        ),
        pytest.param(("--start", "2016-01-01"), "begins on 2015-07-01", id="too little before the window"),
        pytest.param(
            ("--start", "2019-12-31", "--end", "2019-01-01"), "before --start", id="an empty window"
        ),
        pytest.param(("--end", "2024-12-31"), "less than half", id="a window after the record"),
    ],
)
def test_what_cannot_be_scored_is_refused_before_anything_is_computed(tmp_path, options, more, message):
    write(tmp_path / "data" / "ISNE")
    with pytest.raises(regions.InputError, match=message):
        regions.checked(options(*more))


@pytest.mark.parametrize(
    ("how", "message"),
    [
        pytest.param({"forecast": False}, "day_ahead_forecast_mwh: less than half", id="no forecast"),
        pytest.param(
            {"sites": [("region_centroid", NOWHERE, ("2019-01-01", "2020-01-01"))]},
            "no site has temperature",
            id="weather of one year alone",
        ),
    ],
)
def test_a_record_that_lacks_what_is_needed_is_refused(tmp_path, options, how, message):
    write(tmp_path / "data" / "ISNE", **how)
    with pytest.raises(regions.InputError, match=message):
        regions.checked(options())


@pytest.mark.usefixtures("processes")
def test_all_faults_are_told_at_once_and_standard_output_stays_empty(tmp_path):
    write(tmp_path / "data" / "ISNE", forecast=False)
    write(tmp_path / "data" / "PJM")
    (tmp_path / "data" / "PJM" / "weather_observed_hourly.parquet").write_bytes(b"no table")
    done = subprocess.run(
        [sys.executable, SCRIPT, "--json", "--data", tmp_path / "data", "--work", tmp_path / "work"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "day_ahead_forecast_mwh" in done.stderr
    assert "weather_observed_hourly.parquet: cannot be read" in done.stderr
    assert not (tmp_path / "work").exists()


def test_a_region_is_computed_once_until_its_input_or_the_window_changes(tmp_path, options, monkeypatch):
    folder = write(tmp_path / "data" / "ISNE")
    computed = []

    def compute(region, options, folder, hours_file):
        computed.append(region.code)
        return {"mape": 1.0 + len(computed)}

    monkeypatch.setattr(regions, "computed", compute)

    def scored(*more: str):
        asked = options(*more)
        (region,) = regions.checked(asked)
        return regions.scored_region(region, asked, tmp_path / "work")["mape"]

    assert [scored(), scored()] == [2.0, 2.0]
    assert scored("--end", "2019-06-30") == 3.0
    demand = pd.read_parquet(folder / "demand_hourly.parquet")
    demand.assign(demand_mwh=demand["demand_mwh"] + 1).to_parquet(folder / "demand_hourly.parquet")
    assert [scored(), scored()] == [4.0, 4.0]
    assert len(computed) == 3


def test_flags_are_counted_on_the_hours_of_the_published_screen(tmp_path):
    folder = write(tmp_path / "ISNE")
    demand = pd.read_parquet(folder / "demand_hourly.parquet")
    demand.loc[500, "demand_mwh"] = np.nan
    demand.loc[900:904, "demand_mwh"] = demand.loc[900, "demand_mwh"]
    demand.to_parquet(folder / "demand_hourly.parquet")
    periods = demand["period"].dt.strftime("%Y-%m-%d %H:%M:%S")
    pd.DataFrame({"period": periods[[500, 902, 903, 5000]]}).to_csv(
        folder / "screened_hours.csv", index=False
    )
    region = regions.input_of(folder, regions.START, regions.END)
    counts = regions.screening(region)
    assert counts["hours"] == len(demand)
    assert (counts["published"], counts["found"], counts["further"]) == (4, 3, 3)
    assert (counts["found_causally"], counts["further_causally"]) == (3, 1)
    (folder / "screened_hours.csv").unlink()
    assert regions.screening(region) is None


def test_the_settings_are_those_of_the_region_whatever_the_environment_says(tmp_path, options, monkeypatch):
    monkeypatch.setenv("EIA_REGION", "NY")
    write(tmp_path / "data" / "ERCO")
    asked = options()
    (region,) = regions.checked(asked)
    settings = regions.settings_for(region, asked, tmp_path, tmp_path / "home")
    assert settings.eia_region == "ERCO"
    assert settings.region.zone.key == "America/Chicago"
    assert [site.name for site in settings.region.sites] == ["region_population_mean"]
    assert settings.present().isoformat() == "2020-01-08T12:00:00+00:00"
    assert json.dumps(settings.region.sites[0].weight) == "1.0"
