"""Which rows are taken, and how a refusal names its field."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from energy_demand.data.feature_engineering import degree_features
from energy_demand.model.base.booster import BOOSTER_COLUMNS
from energy_demand.serving.http.answers import LONGEST_INPUT, MOST_ERRORS, refused_fields
from energy_demand.serving.schemas import DERIVED, EXAMPLE, MAX_BATCH_ROWS, Batch, FeatureRow

RANGES = {
    "temperature": (-60.0, 60.0),
    "apparent_temperature": (-90.0, 80.0),
    "humidity": (0.0, 100.0),
    "wind_speed": (0.0, 450.0),
    "cloud_cover": (0.0, 100.0),
    "solar_radiation": (0.0, 1600.0),
    "precipitation": (0.0, 400.0),
    "hour_of_day": (0, 23),
    "day_of_week": (0, 6),
    "month": (1, 12),
    "is_holiday": (0, 1),
    "demand_lag_1h": (0.001, 1e6),
    "demand_lag_24h": (0.001, 1e6),
    "demand_lag_168h": (0.001, 1e6),
    "demand_rolling_mean_24h": (0.001, 1e6),
    "demand_rolling_std_24h": (0.0, 1e6),
    "lead_hours": (1, 48),
}
WHOLE = sorted(name for name, (least, _) in RANGES.items() if isinstance(least, int))
OPTIONAL = {*DERIVED, "lead_hours", "timestamp"}


def read(body: object, model: type[BaseModel] = FeatureRow) -> Any:
    return model.model_validate_json(body if isinstance(body, bytes) else json.dumps(body))


def refusal(body: object, model: type[BaseModel] = FeatureRow) -> dict[str, str]:
    """Message by field, as a caller gets them."""
    with pytest.raises(ValidationError) as caught:
        read(body, model)
    answer = refused_fields({"state": {"request_id": "x"}}, caught.value.errors())
    assert answer.status_code == 422
    return {each["field"]: each["message"] for each in json.loads(answer.body)["errors"]}


def beyond(value: float, towards: float) -> float:
    if isinstance(value, int):
        return value + int(math.copysign(1, towards))
    return math.nextafter(value, towards) if value != 0.001 else 0.0


def test_the_ranges_cover_every_field_that_is_no_derived_one():
    assert RANGES.keys() == FeatureRow.model_fields.keys() - DERIVED.keys() - {"timestamp"}
    assert [name for name, field in FeatureRow.model_fields.items() if field.is_required()] == [
        name for name in FeatureRow.model_fields if name not in OPTIONAL
    ]


@pytest.mark.parametrize("field", RANGES)
def test_a_range_includes_its_ends_and_refuses_what_lies_beyond(field):
    for end, outwards in zip(RANGES[field], (-math.inf, math.inf), strict=True):
        assert getattr(read({**EXAMPLE, field: end}), field) == end
        assert refusal({**EXAMPLE, field: beyond(end, outwards)}).keys() == {field}


@pytest.mark.parametrize("field", sorted(RANGES.keys() - OPTIONAL))
def test_a_missing_field_is_named(field):
    body = {name: value for name, value in EXAMPLE.items() if name != field}
    assert refusal(body) == {field: "Field required"}


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity", "1e400", "1" + "0" * 400])
@pytest.mark.parametrize("field", ["temperature", "hour_of_day", "demand_rolling_std_24h"])
def test_a_number_without_an_end_is_refused(field, literal):
    body = json.dumps({**EXAMPLE, field: "@"}).replace('"@"', literal)
    assert refusal(body.encode())[field].startswith("Input should be a finite number")


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("15", id="a number in quotes"),
        pytest.param(None, id="null"),
        pytest.param([1], id="a list"),
        pytest.param({}, id="an object"),
    ],
)
@pytest.mark.parametrize("field", ["temperature", "hour_of_day", "is_holiday", "lead_hours"])
def test_another_type_than_a_number_is_refused(field, value):
    assert refusal({**EXAMPLE, field: value}).keys() == {field}


@pytest.mark.parametrize("field", ["temperature", "hour_of_day", "lead_hours", "demand_lag_1h"])
def test_true_is_no_number(field):
    assert refusal({**EXAMPLE, field: True}).keys() == {field}


@pytest.mark.parametrize(("given", "kept"), [(True, 1), (False, 0), (1, 1), (0, 0), (1.0, 1), (0.0, 0)])
def test_a_flag_is_true_or_false_or_one_or_zero_and_kept_as_a_number(given, kept):
    row = read({**EXAMPLE, "is_holiday": given, "day_of_week": 5 * kept, "is_weekend": given})
    assert (row.is_holiday, row.is_weekend) == (kept, kept)
    assert type(row.is_holiday) is type(row.is_weekend) is int
    assert (
        FeatureRow.model_validate({**EXAMPLE, "is_holiday": given}).values()
        == row.model_copy(update={"day_of_week": EXAMPLE["day_of_week"]}).values()
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("true", 'Input should be true, false, 0 or 1, got "true"'),
        ("1", 'Input should be true, false, 0 or 1, got "1"'),
        (2, "Input should be less than or equal to 1, got 2"),
        (-1, "Input should be greater than or equal to 0, got -1"),
    ],
)
@pytest.mark.parametrize("field", ["is_weekend", "is_holiday"])
def test_another_flag_is_refused_with_what_it_may_be(field, given, message):
    assert refusal({**EXAMPLE, field: given}) == {field: message}


def test_a_flag_that_contradicts_is_refused_however_it_is_written():
    assert "day_of_week 2, which gives 0" in refusal({**EXAMPLE, "is_weekend": True})["is_weekend"]


@pytest.mark.parametrize("field", WHOLE)
def test_a_whole_number_may_be_written_as_tables_write_it_but_has_no_fraction(field):
    row = read({**EXAMPLE, field: 1.0})
    assert isinstance(getattr(row, field), int)
    assert "fractional part, got 1.5" in refusal({**EXAMPLE, field: 1.5})[field]


@pytest.mark.parametrize("name", ["demand", "query", "body", "Temperature", "", "__proto__"])
def test_an_unknown_field_is_refused_by_its_name(name):
    assert refusal({**EXAMPLE, name: 1}) == {name or "body": "Extra inputs are not permitted, got 1"}


@pytest.mark.parametrize(
    ("field", "value", "given"),
    [
        pytest.param("is_weekend", 1, "day_of_week 2, which gives 0", id="a weekend on a Wednesday"),
        pytest.param("temp_squared", 900.0, "temperature 29.4, which gives 864.36", id="a wrong square"),
        pytest.param("cooling_degree_hours", 0.0, "29.4, which gives 11.1", id="no cooling in the heat"),
        pytest.param("heating_degree_hours", 11.1, "29.4, which gives 0", id="heating in the heat"),
    ],
)
def test_a_derived_field_that_contradicts_its_source_is_refused(field, value, given):
    message = refusal({**EXAMPLE, field: value})[field]
    assert given in message
    assert "leave this field out" in message


def test_a_derived_field_that_agrees_but_for_rounding_is_taken():
    derived = {
        "is_weekend": 0,
        "temp_squared": 864.4,
        "cooling_degree_hours": 11.1,
        "heating_degree_hours": 0,
    }
    assert read({**EXAMPLE, **derived}).values() == read(EXAMPLE).values()


def test_only_the_source_is_named_if_it_is_refused_itself():
    assert refusal({**EXAMPLE, "temperature": 99, "temp_squared": 1}).keys() == {"temperature"}


@given(temperature=st.floats(-60, 60), day=st.integers(0, 6))
def test_the_model_gets_its_columns_in_order_with_derived_ones_as_in_training(temperature, day):
    body = {**EXAMPLE, "temperature": temperature, "day_of_week": day}
    values = dict(zip(BOOSTER_COLUMNS, FeatureRow.model_validate(body).values(), strict=True))
    trained = {name: float(of[0]) for name, of in degree_features(np.array([temperature])).items()}
    assert values == {**body, **trained, "is_weekend": float(day >= 5)}


@pytest.mark.parametrize(
    ("text", "understood"),
    [
        pytest.param("2025-07-31T20:00:00Z", datetime(2025, 7, 31, 20, tzinfo=UTC), id="UTC"),
        pytest.param("2025-07-31T16:00:00-04:00", datetime(2025, 7, 31, 20, tzinfo=UTC), id="New York"),
        pytest.param(
            "2025-07-31T20:30:00+05:30", datetime(2025, 7, 31, 15, tzinfo=UTC), id="half an hour off"
        ),
    ],
)
def test_a_timestamp_is_a_full_hour_of_utc_in_any_zone(text, understood):
    row = read({**EXAMPLE, "timestamp": text})
    assert (row.timestamp, row.timestamp.tzinfo) == (understood, UTC)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("2025-07-31T20:00:00", id="without a zone"),
        pytest.param("2025-07-31T20:30:00Z", id="half past"),
        pytest.param("2025-07-31T20:00:00.5Z", id="with a fraction of a second"),
        pytest.param("2025-07-31T20:00:00+05:30", id="full in its zone, half past in UTC"),
        pytest.param("2025-07-31", id="a day"),
        pytest.param("0001-01-01T00:00:00+14:00", id="before all calendars"),
        pytest.param("9999-12-31T23:00:00-14:00", id="after all calendars"),
        pytest.param(1753992000, id="seconds since 1970"),
        pytest.param("tomorrow", id="a word"),
    ],
)
def test_another_timestamp_is_refused(text):
    assert refusal({**EXAMPLE, "timestamp": text}).keys() == {"timestamp"}


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{", id="cut off"),
        pytest.param(b"null", id="null"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"[" * 100_000, id="deeper than a stack"),
        pytest.param('{"é": 1}'.encode("latin-1"), id="not UTF-8"),
        pytest.param(b'{"month": ' + b"1" * 10_000 + b"}", id="a number of ten thousand digits"),
    ],
)
def test_what_is_no_row_at_all_is_refused_as_a_body(body):
    assert refusal(body).keys() == {"body"}


def test_a_batch_names_the_row():
    rows = [EXAMPLE, EXAMPLE, {**EXAMPLE, "humidity": 101}]
    assert refusal({"rows": rows}, Batch) == {
        "rows.2.humidity": "Input should be less than or equal to 100, got 101"
    }


@pytest.mark.parametrize("rows", [[], [EXAMPLE] * (MAX_BATCH_ROWS + 1)], ids=["none", "one too many"])
def test_a_batch_has_between_one_and_ten_thousand_rows(rows):
    assert refusal({"rows": rows}, Batch).keys() == {"rows"}


def test_a_refusal_stays_short_whatever_was_sent():
    body = {**EXAMPLE, "n" * 5000: "v" * 5000, "humidity": 1e300, "month": "x" * 5000}
    for field, message in refusal(body).items():
        assert len(field) <= LONGEST_INPUT + 1
        assert len(message) < 200
    assert len(refusal({str(number): 1 for number in range(1000)})) == MOST_ERRORS


def test_the_first_line_counts_what_it_does_not_show():
    with pytest.raises(ValidationError) as caught:
        read({"rows": [{}] * 3}, Batch)
    answer = json.loads(refused_fields({"state": {"request_id": "x"}}, caught.value.errors()).body)
    assert answer["detail"] == "rows.0.temperature: Field required (and 47 more)"
    assert answer["request_id"] == "x"
