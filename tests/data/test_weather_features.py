"""Weather as columns: sites averaged by population, radiation estimated where the upstream has none."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from energy_demand.columns import WEATHER_COLUMNS
from energy_demand.data.weather_features import COLUMN_OF_VARIABLE, estimate_radiation, weather_features
from energy_demand.region import NEW_YORK, NEW_YORK_CITY, UPSTATE_SITES
from energy_demand.timeaxis import HOUR, hourly

NOON = datetime(2024, 6, 21, 17, tzinfo=UTC)  # 13:00 in New York, the sun at its highest
MIDNIGHT = datetime(2024, 6, 21, 5, tzinfo=UTC)
WINTER_NOON = datetime(2024, 12, 21, 17, tzinfo=UTC)
NAMES = [NEW_YORK_CITY.name, *(site.name for site in UPSTATE_SITES)]
WEIGHTS = np.array([0.65, 0.12, 0.13, 0.10])


def radiation(moment: datetime, cloud: float = 0.0) -> float:
    return float(estimate_radiation(pd.DatetimeIndex([moment]), np.array([cloud]), NEW_YORK_CITY)[0])


def at_sites(moment: datetime = NOON, **values: list[float]) -> pd.DataFrame:
    """One hour of weather at the four sites."""
    return pd.DataFrame({"timestamp": [moment] * 4, "site": NAMES, **values})


def features_of(frame: pd.DataFrame, moment: datetime = NOON) -> dict[str, float]:
    period = pd.DatetimeIndex([moment])
    columns = weather_features(frame, period, period - pd.Timedelta(HOUR), NEW_YORK)
    assert list(columns) == list(WEATHER_COLUMNS)
    return {name: float(values[0]) for name, values in columns.items()}


# Radiation.


def test_there_is_no_radiation_at_night():
    assert radiation(MIDNIGHT) == 0.0


def test_a_clear_midsummer_noon_is_bright():
    assert 800 < radiation(NOON) < 1100


def test_a_clear_midwinter_noon_is_less_bright():
    assert 250 < radiation(WINTER_NOON) < 550


def test_radiation_falls_with_cloud_and_never_to_nothing_by_day():
    by_cloud = [radiation(NOON, cloud) for cloud in (0, 25, 50, 75, 100)]
    assert by_cloud == sorted(by_cloud, reverse=True)
    assert len(set(by_cloud)) == 5
    assert by_cloud[-1] == pytest.approx(0.25 * by_cloud[0])
    assert by_cloud[2] == pytest.approx(by_cloud[0] * (1 - 0.75 * 0.5**3.4))


def test_radiation_without_known_cloud_is_not_known():
    assert np.isnan(radiation(NOON, np.nan))


def test_a_cloud_cover_out_of_range_is_the_nearest_within():
    assert radiation(NOON, 120) == radiation(NOON, 100)
    assert radiation(NOON, -1) == radiation(NOON, 0)


def test_radiation_is_the_mean_of_the_hour_before():
    day = hourly(datetime(2024, 3, 20, 6, tzinfo=UTC), datetime(2024, 3, 21, 5, tzinfo=UTC))
    values = estimate_radiation(day, np.zeros(24), NEW_YORK_CITY)
    weighted = float(np.average(np.arange(24) + 6 - 0.5, weights=values))  # hour of UTC, middles
    assert weighted == pytest.approx(12 + 74.006 / 15 + 7.5 / 60, abs=0.2)  # solar noon on that day


def test_no_hours_have_no_radiation():
    assert len(estimate_radiation(pd.DatetimeIndex([], tz="UTC"), np.empty(0), NEW_YORK_CITY)) == 0


def test_the_upstreams_own_radiation_wins_and_only_a_missing_one_is_estimated():
    frame = pd.DataFrame(
        {
            "timestamp": hourly(NOON, NOON + HOUR),
            "site": NAMES[0],
            "cloud_cover": 0.0,
            "shortwave_radiation": [123.0, np.nan],
        }
    )
    assert features_of(frame)["solar_radiation"] == 123.0
    assert features_of(frame, NOON + HOUR)["solar_radiation"] == pytest.approx(radiation(NOON + HOUR))


def test_a_radiation_of_zero_from_the_upstream_is_a_value():
    frame = at_sites(cloud_cover=[0.0] * 4, shortwave_radiation=[0.0] * 4)
    assert features_of(frame)["solar_radiation"] == 0.0


def test_estimating_leaves_the_frame_as_it_was():
    frame = at_sites(cloud_cover=[0.0] * 4, shortwave_radiation=[1.0, np.nan, np.nan, np.nan])
    before = frame.copy(deep=True)
    features_of(frame)
    pd.testing.assert_frame_equal(frame, before)


# Sites.


@pytest.mark.parametrize(("variable", "column"), COLUMN_OF_VARIABLE.items(), ids=COLUMN_OF_VARIABLE)
def test_each_variable_becomes_its_column_averaged_by_population(variable, column):
    values = [1.0, 20.0, 30.0, 40.0]
    expected = float(np.dot(WEIGHTS, values))
    assert features_of(at_sites(**{variable: values}))[column] == pytest.approx(expected)


def test_the_columns_own_names_are_understood_too():
    assert features_of(at_sites(temperature=[1.0, 2.0, 3.0, 4.0]))["temperature"] == pytest.approx(
        float(np.dot(WEIGHTS, [1, 2, 3, 4]))
    )


@pytest.mark.parametrize(
    "known",
    [
        pytest.param([0], id="only the city"),
        pytest.param([1, 3], id="two of the upstate sites"),
        pytest.param([0, 1, 2], id="all but one"),
    ],
)
@pytest.mark.parametrize("way", ["is null", "has no row"])
def test_the_weights_are_shared_among_the_sites_that_have_a_value_where_another(way, known):
    values = np.array([1.0, 20.0, 30.0, 40.0])
    frame = at_sites(temperature_2m=[value if n in known else np.nan for n, value in enumerate(values)])
    if way == "has no row":
        frame = frame.iloc[known]
    expected = float(np.average(values[known], weights=WEIGHTS[known]))
    assert features_of(frame)["temperature"] == pytest.approx(expected)


def test_each_column_has_weights_of_its_own():
    frame = at_sites(temperature_2m=[10.0] * 4, precipitation=[np.nan, 2.0, np.nan, np.nan])
    found = features_of(frame)
    assert (found["temperature"], found["precipitation"]) == (pytest.approx(10.0), pytest.approx(2.0))


def test_what_no_site_has_is_not_known():
    found = features_of(at_sites(temperature_2m=[10.0] * 4))
    assert all(np.isnan(value) for name, value in found.items() if name != "temperature")


def test_a_frame_without_sites_is_the_main_sites():
    frame = pd.DataFrame({"timestamp": [NOON], "temperature_2m": [7.0], "cloud_cover": [0.0]})
    found = features_of(frame)
    assert found["temperature"] == pytest.approx(7.0)
    assert found["solar_radiation"] == pytest.approx(radiation(NOON))


def test_a_site_that_is_not_the_regions_counts_for_nothing():
    frame = pd.concat(
        [
            at_sites(temperature_2m=[10.0] * 4),
            pd.DataFrame({"timestamp": [NOON], "site": ["boston"], "temperature_2m": [99.0]}),
        ]
    )
    assert features_of(frame)["temperature"] == pytest.approx(10.0)


def test_each_site_uses_the_newest_forecast_it_has_itself():
    frame = pd.DataFrame(
        {
            "timestamp": [NOON] * 4,
            "issued_at": [NOON - hours * HOUR for hours in (30, 24, 30, 1)],
            "site": [NAMES[0], NAMES[0], NAMES[1], NAMES[1]],
            "temperature_2m": [1.0, 2.0, 3.0, 99.0],
        }
    )
    columns = weather_features(
        frame, pd.DatetimeIndex([NOON]), pd.DatetimeIndex([NOON - 24 * HOUR]), NEW_YORK
    )
    expected = (0.65 * 2.0 + 0.12 * 3.0) / 0.77
    assert columns["temperature"].tolist() == pytest.approx([expected])
