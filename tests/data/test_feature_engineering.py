"""The feature builder: each column by hand, odd histories, and the property that nothing leaks."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import holidays
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from energy_demand.columns import CALENDAR_COLUMNS, DEMAND_COLUMNS, FEATURE_COLUMNS, WEATHER_COLUMNS
from energy_demand.data.feature_engineering import build_features, calendar_features, local_calendar
from energy_demand.timeaxis import HOUR, Availability, day_ahead_issue, day_periods, hourly

NEW_YORK = ZoneInfo("America/New_York")
THE_TWENTY = [
    "temperature",
    "apparent_temperature",
    "humidity",
    "wind_speed",
    "cloud_cover",
    "solar_radiation",
    "precipitation",
    "hour_of_day",
    "day_of_week",
    "month",
    "is_weekend",
    "is_holiday",
    "demand_lag_1h",
    "demand_lag_24h",
    "demand_lag_168h",
    "demand_rolling_mean_24h",
    "demand_rolling_std_24h",
    "temp_squared",
    "cooling_degree_hours",
    "heating_degree_hours",
]
START = datetime(2024, 5, 1, tzinfo=UTC)
HOURS = 21 * 24
TARGET_HOUR = 14 * 24  # hours after START; in the middle of the series


def at(hour: int) -> datetime:
    """The moment `hour` hours after the start."""
    return START + hour * HOUR


def demand(values: dict[int, float] | None = None, *, without: tuple[int, ...] = ()) -> pd.DataFrame:
    """Hour `n` after the start has demand 10000 + n, unless it is said otherwise or left out."""
    series = {hour: 10_000.0 + hour for hour in range(HOURS)} | (values or {})
    kept = [hour for hour in series if hour not in without]
    return pd.DataFrame(
        {"period": [at(hour) for hour in kept], "demand_mwh": [series[hour] for hour in kept]}
    )


def weather(hours: int = HOURS, **values: object) -> pd.DataFrame:
    """One temperature for each hour, 0.1 °C an hour."""
    temperature = np.arange(hours) / 10
    return pd.DataFrame({"timestamp": hourly(at(0), at(hours - 1)), "temperature_2m": temperature, **values})


def features_at(hour: int, lead: float, delay: int, history: pd.DataFrame) -> pd.Series:
    """The row for one hour and one lead."""
    targets = pd.DataFrame({"period": [at(hour)], "issued_at": [at(hour) - lead * HOUR]})
    return build_features(history, weather(), targets=targets, availability=Availability(delay)).iloc[0]


# The frame.


def test_the_columns_are_the_twenty_in_their_order_between_the_keys_and_the_target():
    rows = build_features(demand(), weather())
    assert list(FEATURE_COLUMNS) == THE_TWENTY
    assert list(rows.columns) == ["timestamp", "issued_at", *THE_TWENTY, "lead_hours", "demand_mwh"]


def test_times_are_utc_counts_are_whole_and_the_rest_are_floats():
    types = build_features(demand(), weather()).dtypes.astype(str)
    assert set(types[["timestamp", "issued_at"]]) == {"datetime64[us, UTC]"}
    assert set(types[[*CALENDAR_COLUMNS, "lead_hours"]]) == {"int64"}
    rest = [*WEATHER_COLUMNS, *DEMAND_COLUMNS, "temp_squared", "cooling_degree_hours", "demand_mwh"]
    assert set(types[rest]) == {"float64"}


def test_every_hour_has_a_row_for_each_lead_issued_that_long_before():
    rows = build_features(demand(), weather(), leads=range(1, 4))
    assert rows["lead_hours"].tolist()[:6] == [1, 2, 3, 1, 2, 3]
    assert (rows["timestamp"] - rows["issued_at"] == pd.to_timedelta(rows["lead_hours"], unit="h")).all()
    assert rows.groupby("timestamp").size().eq(3).iloc[10:].all()


def test_without_further_word_the_lead_is_a_day_and_the_delay_an_hour():
    rows = build_features(demand(), weather())
    assert set(rows["lead_hours"]) == {24}
    last = rows.iloc[-1]
    assert last["demand_lag_1h"] == last["demand_mwh"] - 25


def test_only_the_warm_up_rows_are_dropped():
    rows = build_features(demand(), weather(), leads=1, availability=Availability(0))
    assert rows["timestamp"].tolist() == list(hourly(at(168), at(HOURS - 1)))
    rows = build_features(demand(), weather(), leads=48, availability=Availability(1))
    assert rows["timestamp"].tolist() == list(hourly(at(168), at(HOURS - 1)))


def test_a_gap_later_on_drops_only_its_own_hours():
    rows = build_features(demand(without=(300, 301)), weather())
    assert rows["timestamp"].tolist() == [at(hour) for hour in range(168, HOURS) if hour not in (300, 301)]


def test_hours_without_demand_are_no_rows():
    rows = build_features(demand({300: np.nan}), weather())
    assert at(300) not in set(rows["timestamp"])
    assert rows["demand_mwh"].notna().all()


def test_wanted_rows_come_in_their_order_and_none_is_dropped():
    wanted = pd.DataFrame(
        {
            "period": [at(400), at(2), at(HOURS + 10), at(400)],
            "issued_at": [at(390), at(1), at(HOURS), at(380)],
        }
    )
    rows = build_features(demand(), weather(), targets=wanted)
    assert rows["timestamp"].tolist() == wanted["period"].tolist()
    assert rows["issued_at"].tolist() == wanted["issued_at"].tolist()
    assert rows["lead_hours"].tolist() == [10, 1, 10, 20]
    assert rows["demand_mwh"].fillna(-1).tolist() == [10400.0, 10002.0, -1.0, 10400.0]
    assert list(rows.index) == [0, 1, 2, 3]


def test_wanted_rows_and_all_rows_are_the_same_rows():
    rows = build_features(demand(without=(250, 251)), weather(), leads=[5, 30])
    wanted = rows[["timestamp", "issued_at"]].rename(columns={"timestamp": "period"})
    again = build_features(demand(without=(250, 251)), weather(), targets=wanted)
    pd.testing.assert_frame_equal(again, rows)


def test_naive_times_are_read_as_utc():
    aware = build_features(demand(), weather())
    plain_demand = demand().assign(period=lambda frame: frame["period"].dt.tz_localize(None))
    plain_weather = weather().assign(timestamp=lambda frame: frame["timestamp"].dt.tz_localize(None))
    pd.testing.assert_frame_equal(build_features(plain_demand, plain_weather), aware)


def test_new_york_times_are_converted():
    local_demand = demand().assign(period=lambda frame: frame["period"].dt.tz_convert(NEW_YORK))
    local_weather = weather().assign(timestamp=lambda frame: frame["timestamp"].dt.tz_convert(NEW_YORK))
    pd.testing.assert_frame_equal(
        build_features(local_demand, local_weather), build_features(demand(), weather())
    )


def test_the_order_and_the_index_of_the_input_do_not_matter():
    shuffled = demand().sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(
        build_features(shuffled, weather().sample(frac=1, random_state=2)),
        build_features(demand(), weather()),
    )


def test_the_inputs_are_left_as_they_were():
    given_demand, given_weather = demand(), weather()
    build_features(given_demand, given_weather)
    pd.testing.assert_frame_equal(given_demand, demand())
    pd.testing.assert_frame_equal(given_weather, weather())


@pytest.mark.parametrize("column", ["period", "demand_mwh"])
def test_a_missing_demand_column_is_named(column):
    with pytest.raises(ValueError, match=f"demand_df lacks the column {column}"):
        build_features(demand().drop(columns=column), weather())


def test_a_missing_time_of_the_weather_is_named():
    with pytest.raises(ValueError, match="weather_df lacks the column timestamp"):
        build_features(demand(), weather().drop(columns="timestamp"))


@pytest.mark.parametrize("leads", [0, -1, [24, 0], []], ids=["zero", "negative", "one of two", "none"])
def test_leads_must_be_positive(leads):
    with pytest.raises(ValueError, match="leads must be positive"):
        build_features(demand(), weather(), leads=leads)


def test_no_demand_at_all_gives_no_rows_or_rows_without_lags():
    nothing = demand().iloc[:0]
    assert build_features(nothing, weather()).empty
    row = features_at(400, 24, 1, nothing)
    assert row[list(DEMAND_COLUMNS)].isna().all()
    assert row["temperature"] == 40.0


# Demand.


@pytest.mark.parametrize(
    ("lead", "delay", "newest"),
    [
        pytest.param(1, 0, 1, id="an hour ahead, published at once: the hour before"),
        pytest.param(1, 1, 2, id="an hour ahead, published an hour later"),
        pytest.param(24, 0, 24, id="a day ahead: the hour that has just ended"),
        pytest.param(24, 1, 25, id="a day ahead, published an hour later"),
        pytest.param(48, 3, 51, id="two days ahead, published three hours later"),
        pytest.param(1.5, 0, 2, id="issued at half past: the last full hour"),
        pytest.param(1.5, 1, 3, id="issued at half past, published an hour later"),
    ],
)
def test_the_newest_demand_is_that_of_the_last_hour_published_by_the_issue_time(lead, delay, newest):
    row = features_at(TARGET_HOUR, lead, delay, demand())
    assert row["demand_lag_1h"] == 10_000 + TARGET_HOUR - newest


@pytest.mark.parametrize(
    ("lead", "delay", "back"),
    [
        pytest.param(1, 0, 24, id="an hour ahead: yesterday"),
        pytest.param(24, 0, 24, id="a day ahead, published at once: yesterday"),
        pytest.param(24, 1, 48, id="a day ahead, published an hour later: the day before yesterday"),
        pytest.param(25, 0, 48, id="25 hours ahead: the day before yesterday"),
        pytest.param(48, 0, 48, id="two days ahead, published at once"),
        pytest.param(48, 1, 72, id="two days ahead, published an hour later"),
    ],
)
def test_the_same_hour_of_the_day_is_the_newest_published_one(lead, delay, back):
    row = features_at(TARGET_HOUR, lead, delay, demand())
    assert row["demand_lag_24h"] == 10_000 + TARGET_HOUR - back
    assert row["demand_lag_168h"] == 10_000 + TARGET_HOUR - 168


def test_missing_hours_are_stepped_over_by_whole_days_and_weeks():
    gaps = demand({TARGET_HOUR - 48: np.nan}, without=(TARGET_HOUR - 24, TARGET_HOUR - 168))
    row = features_at(TARGET_HOUR, 1, 0, gaps)
    assert row["demand_lag_24h"] == 10_000 + TARGET_HOUR - 72
    assert row["demand_lag_168h"] == 10_000 + TARGET_HOUR - 336
    assert row["demand_lag_1h"] == 10_000 + TARGET_HOUR - 1


def test_the_newest_demand_steps_over_missing_hours_one_by_one():
    gaps = demand({TARGET_HOUR - 2: np.nan}, without=(TARGET_HOUR - 1,))
    assert features_at(TARGET_HOUR, 1, 0, gaps)["demand_lag_1h"] == 10_000 + TARGET_HOUR - 3


def test_the_rolling_columns_cover_the_newest_24_known_hours():
    gap = range(TARGET_HOUR - 10, TARGET_HOUR - 4)
    row = features_at(TARGET_HOUR, 3, 1, demand(without=tuple(gap)))
    known = [hour for hour in range(TARGET_HOUR - 3) if hour not in gap][-24:]
    assert (known[-1], known[0]) == (TARGET_HOUR - 4, TARGET_HOUR - 33)
    values = 10_000.0 + np.array(known)
    assert row["demand_rolling_mean_24h"] == pytest.approx(values.mean(), rel=1e-12)
    assert row["demand_rolling_std_24h"] == pytest.approx(values.std(ddof=1), rel=1e-9)


@pytest.mark.parametrize("issue", [1, 0, -5], ids=["before its end", "at its end", "long after its end"])
def test_the_target_is_never_among_its_own_features(issue):
    spiked = features_at(TARGET_HOUR, issue, 0, demand({TARGET_HOUR: 99_999.0}))
    lags = ["demand_lag_24h", "demand_lag_168h"]
    if issue > 0:
        lags = list(DEMAND_COLUMNS)
    assert (spiked[lags] == features_at(TARGET_HOUR, issue, 0, demand())[lags]).all()
    assert (spiked[lags] < 50_000).all()


def test_demand_that_stopped_30_hours_ago_still_gives_lags_by_whole_steps():
    stopped = demand(without=tuple(range(TARGET_HOUR - 54, HOURS)))
    row = features_at(TARGET_HOUR, 24, 1, stopped)
    assert row["demand_lag_1h"] == 10_000 + TARGET_HOUR - 55
    assert row["demand_lag_24h"] == 10_000 + TARGET_HOUR - 72
    assert row["demand_lag_168h"] == 10_000 + TARGET_HOUR - 168
    assert row["demand_rolling_mean_24h"] == pytest.approx(10_000 + TARGET_HOUR - 55 - 11.5)


def test_demand_that_stopped_over_a_week_ago_gives_the_week_before():
    stopped = demand(without=tuple(range(TARGET_HOUR - 170, HOURS)))
    assert features_at(TARGET_HOUR, 1, 0, stopped)["demand_lag_168h"] == 10_000 + TARGET_HOUR - 336


def test_the_lags_are_elapsed_time_over_the_clock_change():
    periods = hourly(datetime(2025, 2, 20, tzinfo=UTC), datetime(2025, 3, 12, tzinfo=UTC))
    history = pd.DataFrame({"period": periods, "demand_mwh": np.arange(len(periods), dtype=float)})
    day = day_periods(date(2025, 3, 10), NEW_YORK)
    issue = day_ahead_issue(date(2025, 3, 10), NEW_YORK)
    wanted = pd.DataFrame({"period": day, "issued_at": [issue] * len(day)})
    rows = build_features(history, weather(), targets=wanted)
    assert set((rows["demand_mwh"] - rows["demand_lag_24h"]) % 24) == {0.0}
    assert set(rows["demand_mwh"] - rows["demand_lag_168h"]) == {168.0}


def test_a_short_history_gives_the_same_row_as_a_long_one():
    long = features_at(TARGET_HOUR, 24, 1, demand())
    short = features_at(TARGET_HOUR, 24, 1, demand(without=tuple(range(TARGET_HOUR - 200))))
    assert np.allclose(
        long[THE_TWENTY].to_numpy(float), short[THE_TWENTY].to_numpy(float), rtol=1e-9, equal_nan=True
    )


# The calendar.


def calendar_of(periods: pd.DatetimeIndex) -> pd.DataFrame:
    wanted = pd.DataFrame({"period": periods, "issued_at": periods - HOUR})
    return build_features(demand(), weather(), targets=wanted)[list(CALENDAR_COLUMNS)]


@pytest.mark.parametrize(
    ("day", "hours"),
    [
        pytest.param(date(2025, 1, 15), list(range(24)), id="an ordinary day"),
        pytest.param(date(2025, 3, 9), [0, 1, *range(3, 24)], id="the day without two o'clock"),
        pytest.param(date(2024, 11, 3), [0, 1, 1, *range(2, 24)], id="the day with one o'clock twice"),
    ],
)
def test_the_hour_of_the_day_is_the_local_hour_in_which_the_period_starts(day, hours):
    calendar = calendar_of(day_periods(day, NEW_YORK))
    assert calendar["hour_of_day"].tolist() == hours
    assert set(calendar["day_of_week"]) == {day.weekday()}
    assert set(calendar["month"]) == {day.month}
    assert set(calendar["is_weekend"]) == {int(day.weekday() >= 5)}


def test_the_last_hour_of_a_month_belongs_to_that_month():
    last, first = calendar_of(
        pd.DatetimeIndex([datetime(2024, 6, 1, 4, tzinfo=UTC), datetime(2024, 6, 1, 5, tzinfo=UTC)])
    ).itertuples()
    assert (last.hour_of_day, last.month, last.day_of_week, last.is_weekend) == (23, 5, 4, 0)
    assert (first.hour_of_day, first.month, first.day_of_week, first.is_weekend) == (0, 6, 5, 1)


def test_holidays_are_those_of_the_united_states_from_local_midnight_to_midnight():
    year = holidays.country_holidays("US", years=2021)
    first = date(2021, 1, 1)
    for number in range(365):
        day = first + timedelta(days=number)
        if day in year or day + timedelta(days=1) in year or number % 40 == 0:
            assert set(calendar_of(day_periods(day, NEW_YORK))["is_holiday"]) == {int(day in year)}, day
    assert date(2021, 7, 5) in year  # the fourth was a Sunday


def test_holidays_hold_in_every_year_that_is_asked_for():
    days = [date(2016, 7, 4), date(2020, 12, 25), date(2025, 1, 1), date(2024, 12, 31)]
    calendar = calendar_of(pd.DatetimeIndex([day_periods(day, NEW_YORK)[12] for day in days]))
    assert calendar["is_holiday"].tolist() == [1, 1, 1, 0]


@pytest.mark.parametrize(
    "year",
    [
        pytest.param(2021, id="a year with holidays that are observed on another day, the last in December"),
        pytest.param(2024, id="a leap year"),
    ],
)
@pytest.mark.parametrize("minutes", [0, 30], ids=["full hours", "half past"])
def test_the_calendar_of_one_hour_is_that_of_all_hours(year, minutes):
    periods = hourly(datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 2, tzinfo=UTC))
    periods += pd.Timedelta(minutes=minutes)
    together = pd.DataFrame(calendar_features(periods, NEW_YORK, "US"))
    one_by_one = pd.DataFrame(
        [local_calendar(period, NEW_YORK, "US") for period in periods.to_pydatetime()], index=together.index
    )
    pd.testing.assert_frame_equal(one_by_one, together)
    changes = together["hour_of_day"].diff().value_counts()
    assert (changes[0], changes[2]) == (1, 1)  # both clock changes are among them
    assert together["is_holiday"].sum() > 200


# The weather.


def test_degree_hours_are_against_18_3_degrees():
    temperatures = [18.3, 20.3, 10.3, -5.0]
    frame = pd.DataFrame({"timestamp": hourly(at(400), at(403)), "temperature_2m": temperatures})
    wanted = pd.DataFrame({"period": hourly(at(400), at(403)), "issued_at": [at(399)] * 4})
    rows = build_features(demand(), frame, targets=wanted)
    assert rows["cooling_degree_hours"].tolist() == pytest.approx([0.0, 2.0, 0.0, 0.0])
    assert rows["heating_degree_hours"].tolist() == pytest.approx([0.0, 0.0, 8.0, 23.3])
    assert rows["temp_squared"].tolist() == pytest.approx([18.3**2, 20.3**2, 10.3**2, 25.0])


def test_the_weather_is_that_of_the_target_hour():
    rows = build_features(demand(), weather())
    elapsed = (rows["timestamp"] - START) / pd.Timedelta(hours=1)
    assert rows["temperature"].tolist() == pytest.approx((elapsed / 10).tolist())


def test_missing_weather_keeps_the_row():
    rows = build_features(demand(), weather(200))
    assert len(rows) == HOURS - 168
    gone = rows[rows["timestamp"] >= at(200)]
    assert (
        gone[["temperature", "temp_squared", "cooling_degree_hours", "heating_degree_hours"]]
        .isna()
        .all(axis=None)
    )
    assert gone[[*DEMAND_COLUMNS, *CALENDAR_COLUMNS]].notna().all(axis=None)


def test_no_weather_at_all_keeps_the_rows():
    rows = build_features(demand(), weather().iloc[:0])
    assert len(rows) == HOURS - 168
    assert rows[list(WEATHER_COLUMNS)].isna().all(axis=None)


def test_an_hour_of_weather_given_twice_is_refused():
    with pytest.raises(ValueError, match="twice for one site"):
        build_features(demand(), pd.concat([weather(), weather().iloc[[5]]]))


def forecasts(*issues: tuple[int, float]) -> pd.DataFrame:
    """Forecasts of the target hour: when issued (hours after the start), and its temperature."""
    return pd.DataFrame(
        {
            "timestamp": [at(TARGET_HOUR)] * len(issues),
            "issued_at": [at(hour) for hour, _ in issues],
            "temperature_2m": [temperature for _, temperature in issues],
        }
    )


@pytest.mark.parametrize(
    ("issued_at", "temperature"),
    [
        pytest.param(TARGET_HOUR - 31, np.nan, id="before the first forecast"),
        pytest.param(TARGET_HOUR - 30, 1.0, id="at the very issue of the first"),
        pytest.param(TARGET_HOUR - 25, 1.0, id="between the first and the second"),
        pytest.param(TARGET_HOUR - 24, 2.0, id="at the second"),
        pytest.param(TARGET_HOUR - 7, 2.0, id="before the third"),
        pytest.param(TARGET_HOUR - 1, 3.0, id="after the third"),
    ],
)
def test_a_row_uses_the_newest_forecast_issued_by_then_and_none_later(issued_at, temperature):
    given_forecasts = forecasts((TARGET_HOUR - 6, 3.0), (TARGET_HOUR - 30, 1.0), (TARGET_HOUR - 24, 2.0))
    wanted = pd.DataFrame({"period": [at(TARGET_HOUR)], "issued_at": [at(issued_at)]})
    rows = build_features(demand(), given_forecasts, targets=wanted)
    assert rows["temperature"].tolist() == pytest.approx([temperature], nan_ok=True)


def test_each_row_finds_its_own_forecast_whatever_the_order_of_the_rows():
    given_forecasts = forecasts((TARGET_HOUR - 30, 1.0), (TARGET_HOUR - 24, 2.0))
    wanted = pd.DataFrame(
        {
            "period": [at(TARGET_HOUR), at(TARGET_HOUR - 1), at(TARGET_HOUR)],
            "issued_at": [at(TARGET_HOUR - 2), at(TARGET_HOUR - 3), at(TARGET_HOUR - 29)],
        }
    )
    rows = build_features(demand(), given_forecasts, targets=wanted)
    assert rows["temperature"].tolist() == pytest.approx([2.0, np.nan, 1.0], nan_ok=True)


def test_the_newest_forecast_counts_even_where_it_says_nothing():
    given_forecasts = forecasts((TARGET_HOUR - 30, 1.0), (TARGET_HOUR - 24, np.nan))
    wanted = pd.DataFrame({"period": [at(TARGET_HOUR)], "issued_at": [at(TARGET_HOUR - 2)]})
    assert build_features(demand(), given_forecasts, targets=wanted)["temperature"].isna().all()


# Nothing leaks.

SPAN = 15 * 24


@st.composite
def worlds(draw: st.DrawFn):
    """Demand with gaps, forecasts and observed weather, a target with its lead, and a publication delay."""
    seed = draw(st.integers(0, 2**32 - 1))
    random = np.random.default_rng(seed)
    kept = random.random(SPAN) > draw(st.sampled_from([0.0, 0.1, 0.6]))
    hours = np.flatnonzero(kept)
    history = pd.DataFrame(
        {"period": [at(int(hour)) for hour in hours], "demand_mwh": random.uniform(9e3, 3e4, len(hours))}
    )
    target = draw(st.integers(200, SPAN - 1))
    minutes = draw(st.sampled_from([0, 0, 1, 30, 59]))
    issued_at = at(target - draw(st.integers(1, 48))) - timedelta(minutes=minutes)
    issues = sorted(draw(st.lists(st.integers(target - 90, target + 5), max_size=6, unique=True)))
    return random, history, target, issued_at, issues, draw(st.integers(0, 3))


def row_of(history, weather_df, target, issued_at, delay) -> list[float]:
    wanted = pd.DataFrame({"period": [at(target)], "issued_at": [issued_at]})
    rows = build_features(history, weather_df, targets=wanted, availability=Availability(delay))
    return rows.iloc[0][[*THE_TWENTY, "lead_hours"]].astype(float).tolist()


def disturbed(random, history: pd.DataFrame, is_known) -> pd.DataFrame:
    """Of what is not known: some values changed, some deleted, every absent hour added."""
    unknown = history[~history["period"].map(is_known)]
    changed = unknown.assign(demand_mwh=random.uniform(0, 1e6, len(unknown)))
    present = set(history["period"])
    absent = [at(hour) for hour in range(SPAN + 60) if not is_known(at(hour)) and at(hour) not in present]
    added = pd.DataFrame({"period": absent, "demand_mwh": random.uniform(0, 1e6, len(absent))})
    frames = [history[history["period"].map(is_known)], changed[random.random(len(changed)) > 0.3], added]
    return pd.concat([frame for frame in frames if len(frame)]).sample(frac=1, random_state=1)


def assert_same(first: list[float], second: list[float]) -> None:
    np.testing.assert_array_equal(np.array(first), np.array(second))


@settings(deadline=None, max_examples=100)
@given(worlds())
def test_nothing_that_became_known_after_the_issue_time_changes_a_row(world):
    random, history, target, issued_at, _, delay = world
    observed = pd.DataFrame(
        {"timestamp": hourly(at(0), at(SPAN)), "temperature_2m": random.normal(size=SPAN + 1)}
    )
    other = observed.assign(temperature_2m=random.normal(size=SPAN + 1))
    other.loc[target, "temperature_2m"] = observed.loc[target, "temperature_2m"]
    later = disturbed(random, history, lambda period: period + delay * HOUR <= issued_at)
    assert_same(
        row_of(history, observed, target, issued_at, delay), row_of(later, other, target, issued_at, delay)
    )


@settings(deadline=None, max_examples=60)
@given(worlds())
def test_no_forecast_issued_after_the_issue_time_changes_a_row(world):
    random, history, target, issued_at, issues, delay = world
    issued = pd.DataFrame(
        {"timestamp": at(target), "issued_at": [at(hour) for hour in issues], "temperature_2m": 0.0}
    ).astype({"timestamp": "datetime64[us, UTC]", "issued_at": "datetime64[us, UTC]"})
    issued["temperature_2m"] = random.normal(size=len(issued))
    known = issued["issued_at"] <= issued_at
    changed = issued.assign(temperature_2m=issued["temperature_2m"].where(known, 99.0))
    before = row_of(history, issued, target, issued_at, delay)
    assert_same(before, row_of(history, changed, target, issued_at, delay))
    assert_same(before, row_of(history, issued[known], target, issued_at, delay))
    newest = issued.loc[known, "temperature_2m"]
    assert before[0] == pytest.approx(newest.iloc[-1] if len(newest) else np.nan, nan_ok=True)


@pytest.mark.parametrize("delay", [1, 2, 3])
@pytest.mark.parametrize("lead", [1, 23, 48])
def test_a_leak_of_one_hour_would_be_noticed(lead, delay):
    """The same disturbance, seen by rows that count each hour as published an hour too early."""
    random = np.random.default_rng(7)
    issued_at = at(TARGET_HOUR - lead)
    # Uneven demand: on a straight line a window moved by an hour has the same deviation.
    history = demand().assign(demand_mwh=random.uniform(9e3, 3e4, HOURS))
    later = disturbed(random, history, lambda period: period + delay * HOUR <= issued_at)
    honest, leaking = (
        [row_of(frame, weather(), TARGET_HOUR, issued_at, each) for frame in (history, later)]
        for each in (delay, delay - 1)
    )
    assert_same(*honest)
    noticed = [name for name, a, b in zip(THE_TWENTY, *leaking, strict=False) if a != b and not np.isnan(a)]
    assert {"demand_lag_1h", "demand_rolling_mean_24h", "demand_rolling_std_24h"} <= set(noticed)


@pytest.mark.parametrize(("column", "lead"), [("demand_lag_24h", 24), ("demand_lag_168h", 168)])
def test_a_leak_into_a_lag_would_be_noticed(column, lead):
    random = np.random.default_rng(7)
    issued_at = at(TARGET_HOUR - lead)
    later = disturbed(random, demand(), lambda period: period + HOUR <= issued_at)
    position = THE_TWENTY.index(column)
    honest, leaking = (
        [row_of(frame, weather(), TARGET_HOUR, issued_at, delay)[position] for frame in (demand(), later)]
        for delay in (1, 0)
    )
    assert honest[0] == honest[1]
    assert leaking[0] != leaking[1]


def test_a_doubtful_hour_serves_as_history_but_is_no_truth():
    periods = pd.date_range("2024-05-01", periods=400, freq="h", tz="UTC")
    demand = pd.DataFrame({"period": periods, "demand_mwh": np.arange(400.0) + 10_000})
    doubtful = 300
    truth = demand["demand_mwh"].where(demand.index != doubtful)
    rows = build_features(demand.assign(truth_mwh=truth), pd.DataFrame({"timestamp": periods}), leads=24)
    assert periods[doubtful] not in set(rows["timestamp"])
    later = rows[rows["timestamp"] == periods[doubtful + 25]]
    assert later["demand_lag_1h"].tolist() == [10_000 + doubtful]
    assert rows["demand_mwh"].notna().all()
