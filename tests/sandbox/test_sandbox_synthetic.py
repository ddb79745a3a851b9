from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from energy_demand.recorded_data import synthetic_areas
from energy_demand.region_catalogue import entries
from energy_demand.sandbox.errors import DisturbanceError
from energy_demand.sandbox.worlds.disturbances import Disturbance
from energy_demand.sandbox.worlds.models import MODELS, Model
from energy_demand.sandbox.worlds.synthetic import SyntheticWorld
from energy_demand.sandbox.worlds.world import SITES, VARIABLES, Place, hour_number

CITY = SITES["new_york_city"]
FIRST = hour_number(datetime(2010, 1, 2, tzinfo=UTC))
LAST = hour_number(datetime(2035, 12, 31, tzinfo=UTC))
WORLD = SyntheticWorld(seed=3)


def hours(first: str, last: str) -> np.ndarray:
    ends = (hour_number(datetime.fromisoformat(day).replace(tzinfo=UTC)) for day in (first, last))
    return np.arange(*ends)


def city_weather(world: SyntheticWorld, when: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(world.weather.observed(CITY, VARIABLES, when).T, columns=list(VARIABLES))


YEAR = hours("2024-01-01", "2025-01-01")


@settings(max_examples=25, deadline=None)
@given(st.integers(FIRST, LAST - 300), st.integers(1, 300), st.integers(0, 299))
def test_an_hour_is_the_same_whatever_range_is_asked_and_by_whom(first, count, pick):
    """A second world with empty caches, asked for one hour, agrees with a range of the first."""
    hour = first + pick % count
    alone = SyntheticWorld(seed=3)
    one, many = np.array([hour]), np.arange(first, first + count)
    for name in ("D", "DF"):
        assert alone.hourly.values(name, one)[0] == WORLD.hourly.values(name, many)[hour - first]
    place = Place(43.05, -76.15)
    np.testing.assert_array_equal(
        alone.weather.observed(place, VARIABLES, one)[:, 0],
        WORLD.weather.observed(place, VARIABLES, many)[:, hour - first],
    )


def test_another_seed_is_another_world():
    week = hours("2024-07-01", "2024-07-08")
    assert (SyntheticWorld(seed=4).hourly.values("D", week) != WORLD.hourly.values("D", week)).mean() > 0.9


def test_a_run_is_the_same_for_every_range_and_begins_with_its_first_hour():
    issue = WORLD.weather.newest_issue(after=-np.inf, by=YEAR[100] * 3600.0)
    assert issue is not None
    long = WORLD.weather.forecast(issue, CITY, VARIABLES, np.arange(issue - 5, issue + 300))
    short = SyntheticWorld(seed=3).weather.forecast(issue, CITY, VARIABLES, np.arange(issue + 40, issue + 50))
    assert np.isnan(long[:, :5]).all()
    np.testing.assert_array_equal(long[:, 45:55], short)


def test_the_level_is_new_yorks():
    demand = pd.Series(
        WORLD.hourly.values("D", YEAR), pd.to_datetime(YEAR * 3600, unit="s", utc=True)
    ).tz_convert("America/New_York")
    summer, spring = demand[demand.index.month.isin([7, 8])], demand[demand.index.month.isin([4, 5])]
    winter_night = demand[demand.index.month.isin([1, 2]) & demand.index.hour.isin([3, 4])]
    assert 16_000 < demand.mean() < 18_500
    assert 10_500 < demand.min() < 13_500
    assert 25_000 < demand.max() < 33_000
    assert summer.mean() > 1.2 * spring.mean()
    assert 12_500 < winter_night.mean() < 17_000
    assert (demand == demand.round()).all()


def test_independence_day_uses_less_than_the_working_days_around_it():
    """Mean of the seasons of many years, so that the weather evens out."""
    shares = []
    for year in range(2012, 2034):
        feast, before, after = (
            WORLD.hourly.values("D", hours(f"{year}-07-{day}T13:00", f"{year}-07-{day}T21:00")).mean()
            for day in ("04", "03", "05")
        )
        if datetime(year, 7, 4).weekday() in (1, 2, 3):  # noqa: DTZ001 - a plain day
            shares.append(2 * feast / (before + after))
    assert 0.88 < np.mean(shares) < 0.98


def test_demand_is_least_in_mild_weather():
    frame = city_weather(WORLD, YEAR).assign(demand=WORLD.hourly.values("D", YEAR))
    by_heat = frame.groupby(
        pd.cut(frame.temperature_2m, [-20, 0, 12, 18, 27, 45]), observed=True
    ).demand.mean()
    assert by_heat.to_numpy().argmin() == 2
    assert by_heat.iloc[-1] > 1.35 * by_heat.iloc[2]


def test_the_variables_agree_with_one_another():
    weather = city_weather(WORLD, YEAR)
    assert (weather.dew_point_2m <= weather.temperature_2m).all()
    assert (weather.wind_gusts_10m >= weather.wind_speed_10m).all()
    assert weather.relative_humidity_2m.between(0, 100).all()
    assert weather.cloud_cover.between(0, 100).all()
    snow_water = weather.snowfall / 0.7
    np.testing.assert_allclose(weather.precipitation, weather.rain + snow_water, atol=0.02)
    assert (weather.snowfall[weather.temperature_2m > 2] == 0).all()
    midnight = weather[YEAR % 24 == 5]
    assert (midnight.shortwave_radiation == 0).all()
    assert 800 < weather.shortwave_radiation.max() < 1100
    assert 10 < weather.temperature_2m.mean() < 16


def test_forecast_error_is_small_at_first_and_grows_with_lead():
    issues = YEAR[24:2400:6] // 6 * 6
    errors = np.array(
        [
            WORLD.weather.forecast(issue, CITY, ["temperature_2m"], window)[0]
            - WORLD.weather.observed(CITY, ["temperature_2m"], window)[0]
            for issue in issues.tolist()
            for window in [np.arange(issue, issue + 168)]
        ]
    )
    by_lead = np.abs(errors).mean(axis=0)
    assert by_lead[0] < 0.8
    assert 1.0 < by_lead[15:47].mean() < 1.9  # 1.4 °C in the record
    assert by_lead[100:168].mean() > 1.4 * by_lead[15:47].mean()
    assert np.abs(np.diff(errors, axis=1)).mean() < 0.5  # smooth from hour to hour


def temperature_errors(model: str, issues: list[int]) -> np.ndarray:
    """Errors 15 to 46 hours ahead, run by run."""
    return np.array(
        [
            WORLD.weather.forecast(issue, CITY, ["temperature_2m"], window, model)[0]
            - WORLD.weather.observed(CITY, ["temperature_2m"], window)[0]
            for issue in issues
            for window in [np.arange(issue + 15, issue + 47)]
        ]
    )


def test_the_weather_models_differ_in_skill_and_bias_and_err_in_part_alike():
    issues = (YEAR[24:4800:48] // 24 * 24).tolist()
    errors = {model: temperature_errors(model, issues) for model in MODELS}
    spread = {model: found.std() for model, found in errors.items()}
    assert spread["best_match"] < spread["ecmwf_ifs"] < spread["gfs_seamless"]
    assert errors["ecmwf_ifs"].mean() < 0.0 < errors["gfs_seamless"].mean()
    own = errors.pop("ecmwf_ifs").ravel()
    for model, others in errors.items():
        # By daily means of errors that are smooth in time there are about 100 independent ones.
        assert abs(np.corrcoef(own, others.ravel())[0, 1] - MODELS[model].common) < 0.15, model
    mixed = np.mean([own, *(found.ravel() for found in errors.values())], axis=0)
    assert mixed.std() < 0.9 * spread["best_match"]


def runs_in(model: str, first: str, last: str) -> list[str]:
    numbers = [hour for hour in hours(first, last).tolist() if hour % 6 == 0]
    there = [hour for hour in numbers if WORLD.weather.has_run(model, hour)]
    return np.datetime_as_string(np.array(there).astype("datetime64[h]"), unit="h").tolist()


@pytest.mark.parametrize(
    ("model", "first", "last", "found"),
    [
        pytest.param("ecmwf_ifs", "2010-01-01", "2010-01-02", ["00", "06", "12", "18"], id="always"),
        pytest.param("gfs_seamless", "2021-12-01", "2022-01-01", [], id="before its record"),
        pytest.param("gfs_seamless", "2022-01-01", "2022-01-02", ["00", "06", "12", "18"], id="from then on"),
        pytest.param("gfs_seamless", "2024-11-03", "2024-11-17", [], id="in its gap"),
        pytest.param(
            "gfs_seamless", "2024-11-17", "2024-11-18", ["00", "06", "12", "18"], id="after its gap"
        ),
        pytest.param("icon_seamless", "2025-01-01", "2025-01-02", ["00", "12"], id="twice a day"),
    ],
)
def test_a_weather_model_has_a_record_of_its_own(model, first, last, found):
    assert [run[-2:] for run in runs_in(model, first, last)] == found


def test_the_newest_forecast_of_a_model_that_stands_is_its_last_before():
    middle = float(hour_number(datetime(2024, 11, 10, tzinfo=UTC)) * 3600)
    found = WORLD.weather.newest_issue(after=-np.inf, by=middle, model="gfs_seamless")
    assert found == hour_number(datetime(2024, 11, 2, 18, tzinfo=UTC))
    assert WORLD.weather.newest_issue(after=middle - 86400, by=middle, model="gfs_seamless") is None
    long_ago = float(hour_number(datetime(2020, 1, 1, tzinfo=UTC)) * 3600)
    assert WORLD.weather.newest_issue(after=-np.inf, by=long_ago, model="gfs_seamless") is None


def test_a_model_may_end_and_may_change_from_a_run_on():
    middle = hour_number(datetime(2024, 5, 1, tzinfo=UTC))
    changed = {"steady": Model(common=0.5), "moved": Model(common=0.5, changes=middle, by=2.0)}
    models = {**changed, "ended": Model(ends=middle)}
    weather = SyntheticWorld(seed=3, models=models).weather
    for run, degrees in ((middle - 6, 0.0), (middle, 2.0)):
        ahead = np.arange(run, run + 48)
        steady, moved = (
            weather.forecast(run, CITY, ["temperature_2m"], ahead, model)[0]
            - SyntheticWorld(seed=3, models={model: Model(common=0.5)}).weather.forecast(
                run, CITY, ["temperature_2m"], ahead, model
            )[0]
            for model in changed
        )
        assert not steady.any()
        np.testing.assert_allclose(moved, degrees, atol=0.11)
    by = float(middle + 60) * 3600
    assert weather.newest_issue(after=-np.inf, by=by, model="ended") == middle - 6
    assert not weather.has_run("ended", middle)


@settings(max_examples=10, deadline=None)
@given(st.sampled_from([*MODELS, "gem_seamless"]), st.integers(0, 2000), st.integers(0, 300))
def test_a_model_s_run_is_the_same_for_every_world_of_a_seed(model, number, lead):
    issue, ahead = int(YEAR[0]) + 6 * number, np.array([lead])
    window = issue + ahead
    np.testing.assert_array_equal(
        SyntheticWorld(seed=3).weather.forecast(issue, CITY, VARIABLES, window, model),
        WORLD.weather.forecast(issue, CITY, VARIABLES, np.arange(issue, issue + 301), model)[
            :, lead : lead + 1
        ],
    )


def test_the_operator_is_two_percent_low_and_errs_by_two_to_three():
    demand, operator = (WORLD.hourly.values(name, YEAR) for name in ("D", "DF"))
    assert -2.4 < 100 * (operator.sum() / demand.sum() - 1) < -1.6
    assert 2.0 < 100 * np.abs(operator / demand - 1).mean() < 3.0


def test_interchange_is_generation_less_demand():
    demand, made, traded = (WORLD.hourly.values(name, YEAR) for name in ("D", "NG", "TI"))
    np.testing.assert_array_equal(traded, made - demand)


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 24 * 60 * 300), st.sampled_from(["heat-wave", "level-step"]))
def test_a_disturbance_changes_nothing_before_its_start(minutes, kind):
    start = datetime(2024, 1, 15, tzinfo=UTC).timestamp() + 60 * minutes
    moment = datetime.fromtimestamp(start, tz=UTC)
    disturbed = SyntheticWorld(seed=3, disturbances=[Disturbance.parse(f"{kind}@{moment.isoformat()}")])
    edge = int(start // 3600)
    window = np.arange(edge - 200, edge + 60)
    before = window * 3600 <= start
    for name in ("D", "DF"):
        same = disturbed.hourly.values(name, window) == WORLD.hourly.values(name, window)
        assert same[before].all()
        assert not same[~before].all()
    weather = [world.weather.observed(CITY, VARIABLES, window)[:, before] for world in (disturbed, WORLD)]
    np.testing.assert_array_equal(*weather)


def test_a_heat_wave_raises_temperature_and_demand_and_passes():
    world = SyntheticWorld(seed=3, disturbances=[Disturbance.parse("heat-wave@2025-07-10T00:00Z")])
    during, after = hours("2025-07-12", "2025-07-14"), hours("2025-07-25", "2025-07-27")
    warmer = city_weather(world, during).temperature_2m - city_weather(WORLD, during).temperature_2m
    np.testing.assert_allclose(warmer, 8.0, atol=0.11)
    more = world.hourly.values("D", during).mean() / WORLD.hourly.values("D", during).mean()
    assert 1.1 < more < 1.6
    np.testing.assert_array_equal(world.hourly.values("D", after), WORLD.hourly.values("D", after))


def test_a_level_step_multiplies_demand_and_stays():
    world = SyntheticWorld(seed=3, disturbances=[Disturbance.parse("level-step@2025-03-01,size=-10%")])
    window = hours("2025-03-01T01:00", "2025-06-01")
    ratio = world.hourly.values("D", window) / WORLD.hourly.values("D", window)
    np.testing.assert_allclose(ratio, 0.9, atol=1e-4)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            "heat-wave@2025-07-10T00:00Z",
            Disturbance("heat-wave", datetime(2025, 7, 10, tzinfo=UTC), 120.0, 8.0),
            id="a heat wave with its defaults",
        ),
        pytest.param(
            "level-step@2025-07-10T00:00-04:00,duration=36h,size=2.5%",
            Disturbance("level-step", datetime(2025, 7, 10, 4, tzinfo=UTC), 36.0, 2.5),
            id="a level step with everything",
        ),
        pytest.param(
            "level-step@2025-07-10,size=0",
            Disturbance("level-step", datetime(2025, 7, 10, tzinfo=UTC), None, 0.0),
            id="a level step of nothing",
        ),
    ],
)
def test_a_disturbance_is_read_from_text(text, expected):
    assert Disturbance.parse(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "heat-wave", "earthquake@2025-01-01", "heat-wave@someday", "heat-wave@2025-01-01,size=big",
     "heat-wave@2025-01-01,duration=5", "heat-wave@2025-01-01,size=1,size=2"],
)  # fmt: skip
def test_a_disturbance_that_cannot_be_read_is_an_error_that_quotes_it(text):
    with pytest.raises(DisturbanceError) as caught:
        Disturbance.parse(text)
    assert caught.value.text == text
    assert repr(text) in str(caught.value)


AREAS = synthetic_areas()


def test_every_region_of_the_catalogue_but_new_york_has_an_area():
    assert AREAS.keys() | {"NY", "NYIS"} == entries().keys()


def test_new_york_is_the_same_beside_other_areas():
    beside = SyntheticWorld(seed=3, areas={"ERCO": AREAS["ERCO"]})
    week = hours("2024-07-01", "2024-07-08")
    np.testing.assert_array_equal(beside.hourly.values("D", week), WORLD.hourly.values("D", week))
    assert list(beside.grids) == ["NY", "NYIS", "ERCO"]


def test_another_area_has_its_own_weather_clock_and_size():
    world = SyntheticWorld(seed=3, areas={code: AREAS[code] for code in ("ERCO", "TEX", "BPAT")})
    demand = {code: grid.hourly.values("D", YEAR) for code, grid in world.grids.items()}
    assert all(np.isfinite(each).all() and each.min() > 0 for each in demand.values())
    assert 35_000 < demand["ERCO"].mean() < 80_000
    np.testing.assert_array_equal(demand["ERCO"], demand["TEX"])  # one grid under two names
    summer = (hours("2024-06-01", "2024-09-01"), hours("2024-01-01", "2024-03-01"))
    texas, north = (
        [world.grids[code].hourly.values("D", part).mean() for part in summer] for code in ("ERCO", "BPAT")
    )
    assert texas[0] / texas[1] > 1.3 > north[0] / north[1], "Texas cools more than the north-west"
    assert np.corrcoef(demand["ERCO"], demand["NY"])[0, 1] < 0.97
    # The night's valley is at the same hour of the area's own clock.
    local = pd.DatetimeIndex(YEAR * 3600 * 10**9, tz="UTC") - pd.Timedelta(hours=1)
    valley = {
        code: pd.Series(demand[code]).groupby(local.tz_convert(world.grids[code].zone).hour).mean().idxmin()
        for code in ("NY", "ERCO", "BPAT")
    }
    assert all(1 <= hour <= 5 for hour in valley.values()), valley


def test_daily_totals_are_of_the_area_s_own_days():
    grid = SyntheticWorld(seed=3, areas={"ERCO": AREAS["ERCO"]}).grids["ERCO"]
    assert (grid.zone.key, grid.timezone, grid.files_region) == ("America/Chicago", "Central", None)
    day = np.array([(datetime(2024, 3, 10, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)).days])
    first = hour_number(datetime(2024, 3, 10, tzinfo=grid.zone))
    periods = np.arange(first + 1, first + 24)  # 23 hours: the clocks go forward
    assert grid.daily.values("D", day)[0] == grid.hourly.values("D", periods).sum()
