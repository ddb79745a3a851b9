"""The data contract: what is stored, what is set apart and why, and what is neither."""

from __future__ import annotations

from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from energy_demand.columns import WEATHER_VARIABLES
from energy_demand.data.quality import Breach, check_daily, check_demand, check_weather

START = datetime(2024, 5, 1, 1, tzinfo=UTC)
END = datetime(2024, 5, 1, 5, tzinfo=UTC)


def row(
    period: object = "2024-05-01T03", value: object = "15000", who: object = "NY", what: object = "D"
) -> dict:
    return {"period": period, "respondent": who, "type": what, "value": value}


def check(*rows: dict) -> tuple[pd.DataFrame, list[tuple[Breach, dict]]]:
    return check_demand(rows, respondents=["NY", "NYIS"], series=["D", "DF"], start=START, end=END)


def test_good_rows_become_numbers_in_utc_sorted_by_series_and_hour():
    good, apart = check(
        row("2024-05-01T04", "3"), row("2024-05-01T02", "2", what="DF"), row("2024-05-01T03", 1.5, who="NYIS")
    )
    assert apart == []
    assert list(good.columns) == ["period", "origin", "series", "value"]
    assert str(good["period"].dtype) == "datetime64[us, UTC]"
    assert good["value"].dtype == np.float64
    assert list(zip(good["period"].dt.hour, good["origin"], good["series"], good["value"], strict=True)) == [
        (3, "NYIS", "D", 1.5),
        (4, "NY", "D", 3.0),
        (2, "NY", "DF", 2.0),
    ]


@pytest.mark.parametrize(
    ("broken", "breach"),
    [
        pytest.param(row(period="1 May"), Breach.UNPARSABLE_PERIOD, id="a period in words"),
        pytest.param(row(period=None), Breach.UNPARSABLE_PERIOD, id="no period"),
        pytest.param(
            {"respondent": "NY", "type": "D", "value": "1"}, Breach.UNPARSABLE_PERIOD, id="a lacking period"
        ),
        pytest.param(row(period="2024-05-01"), Breach.UNPARSABLE_PERIOD, id="a period without its hour"),
        pytest.param(row(period="2024-05-01T00"), Breach.OUTSIDE_REQUEST, id="an hour too early"),
        pytest.param(row(period="2024-05-01T06"), Breach.OUTSIDE_REQUEST, id="an hour too late"),
        pytest.param(row(who="CAL"), Breach.WRONG_RESPONDENT, id="another respondent"),
        pytest.param(row(who=None), Breach.WRONG_RESPONDENT, id="no respondent"),
        pytest.param(row(what="NG"), Breach.WRONG_SERIES, id="another series"),
        pytest.param(row(what=None), Breach.WRONG_SERIES, id="no series"),
        pytest.param(row(value="n/a"), Breach.NOT_A_NUMBER, id="a value in words"),
        pytest.param(row(value=""), Breach.NOT_A_NUMBER, id="an empty value"),
        pytest.param(row(value="inf"), Breach.NOT_A_NUMBER, id="an infinite value"),
        pytest.param(row(value="-1"), Breach.NEGATIVE, id="a negative value"),
        pytest.param(row(value="1000001"), Breach.ABSURD, id="an absurd value"),
    ],
)
def test_a_broken_row_is_set_apart_as_it_came_and_the_good_rows_of_its_page_go_on(broken, breach):
    good, apart = check(row("2024-05-01T02", "2"), broken, row("2024-05-01T04", "4"))
    assert apart == [(breach, broken)]
    assert good["value"].tolist() == [2.0, 4.0]


@pytest.mark.parametrize(
    "fine",
    [
        pytest.param(row(period="2024-05-01T01"), id="the first hour asked for"),
        pytest.param(row(period="2024-05-01T05"), id="the last hour asked for"),
        pytest.param(row(value="0"), id="a zero, for the outage that it is"),
        pytest.param(row(value="1000000"), id="the largest value there may be"),
    ],
)
def test_what_lies_on_the_edge_is_good(fine):
    good, apart = check(fine)
    assert (len(good), apart) == (1, [])


@pytest.mark.parametrize(
    ("broken", "breach"),
    [
        pytest.param(row("x", "-1", "CAL", "NG"), Breach.UNPARSABLE_PERIOD, id="everything wrong"),
        pytest.param(
            row("2024-05-02T00", "-1", "CAL", "NG"), Breach.OUTSIDE_REQUEST, id="all but the period's form"
        ),
        pytest.param(row(value="-1", who="CAL", what="NG"), Breach.WRONG_RESPONDENT, id="all but the period"),
        pytest.param(row(value="-1", what="NG"), Breach.WRONG_SERIES, id="series and value"),
        pytest.param(row(value="x", what="NG"), Breach.WRONG_SERIES, id="series and a value in words"),
    ],
)
def test_the_first_of_several_breaches_is_the_reason(broken, breach):
    assert check(broken)[1] == [(breach, broken)]


def test_broken_rows_keep_their_order_and_each_its_own_reason():
    rows = [row(value="-1"), row(who="CAL"), row(), row(period="x"), row(value="9e9")]
    assert [breach for breach, _ in check(*rows)[1]] == [
        Breach.NEGATIVE,
        Breach.WRONG_RESPONDENT,
        Breach.UNPARSABLE_PERIOD,
        Breach.ABSURD,
    ]


@pytest.mark.parametrize("value", [None, float("nan")], ids=["null", "NaN"])
def test_a_null_value_is_an_hour_that_is_not_there(value):
    good, apart = check(row("2024-05-01T02", value), row("2024-05-01T03"))
    assert (good["period"].dt.hour.tolist(), apart) == ([3], [])


def test_of_an_hour_served_twice_the_last_one_stays():
    good, apart = check(row(value="1"), row(value="5", what="DF"), row(value="2"))
    assert (good["series"].tolist(), good["value"].tolist(), apart) == (["D", "DF"], [2.0, 5.0], [])


@pytest.mark.parametrize("later", ["-1", None], ids=["a broken one", "a null"])
def test_an_hour_served_twice_is_not_lost_to(later):
    good, _ = check(row(value="1"), row(value=later))
    assert good["value"].tolist() == [1.0]


def test_no_rows_are_no_rows():
    good, apart = check()
    assert (len(good), apart) == (0, [])
    assert str(good["period"].dtype) == "datetime64[us, UTC]"
    assert good["value"].dtype == np.float64


ODD = [
    None,
    True,
    0,
    -7,
    2**70,
    1e300,
    float("inf"),
    "",
    "NY",
    "D",
    "2024-05-01T03",
    "nan",
    [],
    [1],
    {},
    {"a": 1},
]
json_values = st.sampled_from(ODD)


@settings(deadline=None, max_examples=50)
@given(
    st.lists(
        st.fixed_dictionaries(
            {},
            optional=dict.fromkeys(("period", "respondent", "type", "value"), json_values),
        ),
        max_size=4,
    )
)
def test_whatever_json_eia_sends_no_good_row_is_lost_and_no_other_is_kept(junk):
    good, apart = check(row("2024-05-01T02", "2"), *junk)
    assert 2.0 in good["value"].tolist()
    assert good["period"].between(START, END).all()
    assert good["origin"].isin(["NY", "NYIS"]).all()
    assert good["series"].isin(["D", "DF"]).all()
    assert good["value"].between(0, 1e6).all()
    assert all(broken in junk or repr(broken) in map(repr, junk) for _, broken in apart)


def test_every_breach_has_a_sentence_for_a_person():
    assert all(breach.value.startswith("it") for breach in Breach)


def weather(**values: float) -> pd.DataFrame:
    good = {"temperature_2m": 20.0, "relative_humidity_2m": 50.0, "cloud_cover": 0.0}
    rows = pd.DataFrame([good, {**good, **values}])
    return rows.reindex(columns=list(WEATHER_VARIABLES)).assign(
        timestamp=pd.date_range(START, periods=2, freq="h"), site="albany"
    )


@pytest.mark.parametrize(
    "values",
    [{"temperature_2m": -300.0}, {"relative_humidity_2m": 110.0}, {"cloud_cover": -10.0}, {"rain": np.inf}],
    ids=lambda values: next(iter(values)),
)
def test_weather_that_cannot_be_is_set_apart_with_its_place_and_time(values):
    good, broken = check_weather(weather(**values))
    assert len(good) == 1
    ((breach, payload),) = broken
    assert breach is Breach.OUT_OF_RANGE
    assert payload["site"] == "albany"
    assert payload["timestamp"] == "2024-05-01T02:00:00+00:00"


def test_missing_weather_is_fine():
    good, broken = check_weather(weather(temperature_2m=np.nan))
    assert (len(good), broken) == (2, [])


def test_daily_totals_are_checked_like_hours():
    rows = [row("2024-05-01", "400000"), row("2024-05-02", "-1"), row("2024-05-09", "1"), row("May", "1")]
    good, broken = check_daily(
        rows, respondents=["NY"], series=["D"], start=date(2024, 5, 1), end=date(2024, 5, 3)
    )
    assert good.to_dict("records") == [{"day": date(2024, 5, 1), "series": "D", "value": 400000.0}]
    assert [breach for breach, _ in broken] == [
        Breach.NEGATIVE,
        Breach.OUTSIDE_REQUEST,
        Breach.UNPARSABLE_PERIOD,
    ]


def test_a_daily_total_may_be_as_large_as_its_hours_together():
    rows = [row("2024-05-01", "2250000"), row("2024-05-02", "51539520000")]
    good, broken = check_daily(
        rows, respondents=["NY"], series=["D"], start=date(2024, 5, 1), end=date(2024, 5, 3)
    )
    assert good["value"].tolist() == [2_250_000.0]
    assert [breach for breach, _ in broken] == [Breach.ABSURD]


POISON = [
    pytest.param("\x00", id="a NUL"),
    pytest.param("\ud800", id="half a surrogate pair"),
    pytest.param("x" * 100_000, id="an absurd length"),
    pytest.param(float("inf"), id="infinity"),
    pytest.param(float("nan"), id="no number"),
    pytest.param(10**400, id="a number of 400 digits"),
    pytest.param({"a": [1]}, id="an object"),
    pytest.param([], id="a list"),
    pytest.param(True, id="a truth value"),
]


@pytest.mark.parametrize("poison", POISON)
@pytest.mark.parametrize("column", ["period", "respondent", "type", "value"])
def test_a_row_with_what_no_database_takes_costs_that_row_alone(column, poison):
    good = {"period": "2025-01-01T05", "respondent": "NY", "type": "D", "value": "100"}
    other = good | {"type": "DF"}
    start, end = datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 1, 2, tzinfo=UTC)
    frame, broken = check_demand(
        [good, good | {column: poison}, other],
        respondents=["NY"],
        series=["D", "DF"],
        start=start,
        end=end,
    )
    assert frame["value"].tolist() == [100.0, 100.0]
    assert len(broken) == (0 if poison != poison and column == "value" else 1)  # NaN: no value was served
