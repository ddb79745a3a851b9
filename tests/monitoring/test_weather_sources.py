"""The source of weather, inferred from values: by week for copied series, by hour for gaps."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from energy_demand.data.weather_features import COLUMN_OF_VARIABLE, weather_features
from energy_demand.monitoring.drift_detection import SOURCE
from energy_demand.monitoring.weather_sources import ALIKE, ESTIMATED, FEWEST_INFORMATIVE, weather_sources
from energy_demand.region import NEW_YORK
from energy_demand.timeaxis import hourly

WEEK = 7 * 24
# Weeks are counted from 1970, a Thursday.
PERIODS = hourly(
    datetime(2025, 1, 2, tzinfo=UTC), datetime(2025, 1, 2, tzinfo=UTC) + timedelta(hours=4 * WEEK - 1)
)
SITES = [site.name for site in NEW_YORK.sites]


def weather(**variables: np.ndarray) -> pd.DataFrame:
    """Rows from tables of hours × sites."""
    count = len(SITES)
    return pd.DataFrame(
        {
            "timestamp": PERIODS.repeat(count),
            "site": SITES * len(PERIODS),
            **{name: table.reshape(-1) for name, table in variables.items()},
        }
    )


def random_table(seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).uniform(10.0, 90.0, (len(PERIODS), len(SITES)))


def copied_table(seed: int = 1) -> np.ndarray:
    """One series at all sites."""
    return np.repeat(random_table(seed)[:, :1], len(SITES), axis=1)


def labels(column: str, **variables: np.ndarray) -> list[str]:
    return weather_sources(weather(**variables), PERIODS, NEW_YORK)[SOURCE + column].astype(str).tolist()


def test_every_weather_column_and_what_follows_from_it_has_a_label_for_every_hour():
    found = weather_sources(weather(temperature_2m=random_table()), PERIODS, NEW_YORK)
    following = {"temp_squared", "cooling_degree_hours", "heating_degree_hours"}
    assert set(found.columns) == {SOURCE + name for name in {*COLUMN_OF_VARIABLE.values(), *following}}
    assert len(found) == len(PERIODS)
    assert found.notna().all(axis=None)


def test_sites_of_their_own_are_counted():
    table = random_table()
    table[10:20, 1:] = np.nan
    table[20:30, :2] = np.nan
    table[30:40] = np.nan
    expected = ["4 sites"] * len(PERIODS)
    expected[10:40] = ["1 site"] * 10 + ["2 sites"] * 10 + ["no site"] * 10
    assert labels("temperature", temperature_2m=table) == expected
    assert labels("temp_squared", temperature_2m=table) == expected


def test_copied_series_are_distinguished_from_separate_sites_by_week():
    table = random_table()
    table[WEEK : 2 * WEEK] = copied_table()[WEEK : 2 * WEEK]
    expected = ["4 sites"] * len(PERIODS)
    expected[WEEK : 2 * WEEK] = [f"4 sites, {ALIKE}"] * WEEK
    assert labels("humidity", relative_humidity_2m=table) == expected


def test_a_few_hours_alike_do_not_make_a_copied_series():
    table = random_table()
    table[: WEEK // 2] = copied_table()[: WEEK // 2]
    assert set(labels("humidity", relative_humidity_2m=table)) == {"4 sites"}


@pytest.mark.parametrize("common", [0.0, 100.0], ids=["dry everywhere", "overcast everywhere"])
def test_values_that_sites_share_by_chance_are_not_informative(common):
    table = random_table()
    wet = np.arange(len(PERIODS)) % WEEK < FEWEST_INFORMATIVE
    table[~wet] = common
    assert set(labels("precipitation", precipitation=table)) == {"4 sites"}
    copied = np.where(wet[:, None], copied_table(), common)
    assert set(labels("precipitation", precipitation=copied)) == {f"4 sites, {ALIKE}"}


@pytest.mark.parametrize("common", [0.0, 100.0], ids=["dry everywhere", "overcast everywhere"])
def test_an_uninformative_week_is_like_the_one_before(common):
    table = random_table()
    table[:WEEK] = copied_table()[:WEEK]
    table[WEEK : 2 * WEEK] = common
    table[3 * WEEK :] = common
    alike = [f"4 sites, {ALIKE}"] * (2 * WEEK)
    assert labels("precipitation", precipitation=table) == alike + ["4 sites"] * (2 * WEEK)


def test_an_uninformative_first_week_is_like_the_one_after():
    table = copied_table()
    table[:WEEK] = 0.0
    assert set(labels("precipitation", precipitation=table)) == {f"4 sites, {ALIKE}"}


def test_one_site_alone_is_not_a_copy():
    table = copied_table()
    table[:30, 1:] = np.nan
    found = labels("humidity", relative_humidity_2m=table)
    assert found == ["1 site"] * 30 + [f"4 sites, {ALIKE}"] * (len(PERIODS) - 30)
    table[:, 1:] = np.nan
    assert set(labels("humidity", relative_humidity_2m=table)) == {"1 site"}


def test_radiation_that_no_site_measures_is_estimated():
    table = random_table()
    table[:50] = np.nan
    found = labels("solar_radiation", shortwave_radiation=table)
    assert found == [ESTIMATED] * 50 + ["4 sites"] * (len(PERIODS) - 50)
    assert set(labels("solar_radiation", temperature_2m=table)) == {ESTIMATED}


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param(weather(temperature_2m=random_table()).iloc[:0], id="no rows"),
        pytest.param(weather(), id="no such variable"),
        pytest.param(weather(temperature_2m=random_table() * np.nan), id="no values"),
        pytest.param(weather(temperature_2m=random_table()).assign(site="elsewhere"), id="other sites"),
    ],
)
def test_without_weather_there_is_no_site(rows):
    if len(rows) and (rows["site"] == "elsewhere").any():
        rows = rows.drop_duplicates(["timestamp", "site"])
    found = weather_sources(rows, PERIODS, NEW_YORK)
    assert set(found[SOURCE + "temperature"].astype(str)) == {"no site"}


def test_hours_before_and_after_the_weather_have_no_site():
    periods = hourly(PERIODS[0] - pd.Timedelta(hours=5), PERIODS[-1] + pd.Timedelta(hours=5))
    found = weather_sources(weather(temperature_2m=random_table()), periods, NEW_YORK)
    expected = ["no site"] * 5 + ["4 sites"] * len(PERIODS) + ["no site"] * 5
    assert found[SOURCE + "temperature"].astype(str).tolist() == expected


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 2**32 - 1), st.floats(0.0, 1.0))
def test_the_label_is_no_site_exactly_where_the_feature_is_unknown(seed, lost):
    table = random_table(seed)
    table[np.random.default_rng(seed).random(table.shape) < lost] = np.nan
    rows = weather(temperature_2m=table)
    found = weather_sources(rows, PERIODS, NEW_YORK)[SOURCE + "temperature"].astype(str)
    known = ~np.isnan(weather_features(rows, PERIODS, PERIODS, NEW_YORK)["temperature"])
    assert ((found != "no site").to_numpy() == known).all()
