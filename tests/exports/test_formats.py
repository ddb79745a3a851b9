"""The four formats of made-up rows, read back by pandas, by hand and by Arrow."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, date, datetime, timedelta

import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from energy_demand.exports.columns import (
    DAY,
    EXPORTS,
    GROUPS,
    INTEGER,
    NUMBER,
    TEXT,
    TIME,
    Column,
    columns_of,
    schema_of,
)
from energy_demand.exports.formats import FORMATS, Export, pieces

COLUMNS = (
    Column("region", TEXT, "", "NY"),
    Column("period", TIME, "", "2025"),
    Column("day", DAY, "", "2025", optional=True),
    Column("lead_hours", INTEGER, "", 1),
    Column("value_mwh", NUMBER, "", 1, optional=True),
    Column("flag", TEXT, "", "", optional=True),
)
START = datetime(2025, 3, 9, 5, tzinfo=UTC)
ROWS = [
    ("NY", START, date(2025, 3, 9), 1, 15000.5, None),
    ("NY", START + timedelta(hours=1, microseconds=250), None, 2, None, 'a "quoted", one'),
    ("NY", START + timedelta(hours=2), date(2025, 3, 9), 3, 0.1, "=1+1"),
    ("NY", START + timedelta(hours=3), date(2025, 3, 9), 48, -1e22, "two\nlines"),
]


def batches(*groups: list[tuple]):
    schema = schema_of(COLUMNS)
    for rows in groups:
        arrays = [pa.array([row[n] for row in rows], field.type) for n, field in enumerate(schema)]
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def written(how: str, *groups: list[tuple], next_cursor: str | None = None) -> bytes:
    return b"".join(pieces(Export(COLUMNS, batches(*groups), next_cursor), how))


def test_json_has_every_value_as_it_is_and_times_with_a_z():
    body = json.loads(written("json", ROWS[:1], [], ROWS[1:], next_cursor="more"))
    assert body["next"] == "more"
    assert [row["period"] for row in body["rows"]] == [
        "2025-03-09T05:00:00Z",
        "2025-03-09T06:00:00.000250Z",
        "2025-03-09T07:00:00Z",
        "2025-03-09T08:00:00Z",
    ]
    assert [row["value_mwh"] for row in body["rows"]] == [15000.5, None, 0.1, -1e22]
    assert [row["flag"] for row in body["rows"]] == [row[-1] for row in ROWS]
    assert [row["day"] for row in body["rows"]] == ["2025-03-09", None, "2025-03-09", "2025-03-09"]


def test_csv_is_what_a_spreadsheet_reads_and_nothing_in_it_is_a_formula():
    header, *lines = csv.reader(io.StringIO(written("csv", ROWS[:1], ROWS[1:]).decode()))
    assert header == [each.name for each in COLUMNS]
    assert [line[1] for line in lines][:2] == ["2025-03-09T05:00:00Z", "2025-03-09T06:00:00.000250Z"]
    assert [line[4] for line in lines[:3]] == ["15000.5", "", "0.1"]
    assert [line[5] for line in lines] == ["", 'a "quoted", one', "'=1+1", "two\nlines"]


READ = {
    "parquet": lambda body: pd.read_parquet(io.BytesIO(body)),
    "arrow": lambda body: pa.ipc.open_stream(body).read_pandas(),
}


@pytest.mark.parametrize("how", READ)
@pytest.mark.parametrize("groups", [[ROWS], [ROWS[:1], [], ROWS[1:]]], ids=["one batch", "three batches"])
def test_parquet_and_arrow_have_the_types_of_their_columns(how, groups):
    frame = READ[how](written(how, *groups))
    assert list(frame["period"]) == [row[1] for row in ROWS]
    assert str(frame["period"].dt.tz) == "UTC"
    assert list(frame["lead_hours"]) == [1, 2, 3, 48]
    assert frame["lead_hours"].dtype == "int32"
    assert list(frame["value_mwh"].isna()) == [False, True, False, False]
    assert list(frame["flag"].isna()) == [True, False, False, False]
    assert list(frame["flag"][1:]) == [row[-1] for row in ROWS[1:]], "texts as they are"


@pytest.mark.parametrize("groups", [[], [[]]], ids=["no batch", "an empty batch"])
def test_an_empty_answer_has_its_columns(groups):
    names = [each.name for each in COLUMNS]
    assert written("csv", *groups).decode() == ",".join(names) + "\n"
    assert json.loads(written("json", *groups)) == {"next": None, "rows": []}
    assert [list(READ[how](written(how, *groups)).columns) for how in READ] == [names, names]


def test_the_first_bytes_come_before_a_row_is_read():
    def never():
        raise AssertionError("rows were read")
        yield

    for how in FORMATS:
        assert next(pieces(Export(COLUMNS, never()), how)) is not None


def test_the_footer_of_parquet_is_written_after_rows_were_sent():
    sent = list(pieces(Export(COLUMNS, batches(ROWS[:2], ROWS[2:])), "parquet"))
    assert sent[0].startswith(b"PAR1")
    assert sent[-1].endswith(b"PAR1")
    assert all(len(piece) > 100 for piece in sent[1:3])
    assert pa.parquet.ParquetFile(io.BytesIO(b"".join(sent))).num_row_groups == 2


@given(
    st.lists(
        st.tuples(
            st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
            st.integers(0, 10**15).map(lambda number: START + timedelta(microseconds=number)),
            st.none() | st.dates(date(2000, 1, 1), date(2099, 1, 1)),
            st.integers(-(2**31), 2**31 - 1),
            st.none() | st.floats(allow_nan=False, allow_infinity=False),
            st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
        ),
        max_size=5,
    )
)
def test_json_and_parquet_say_the_same_of_any_rows(rows):
    body = json.loads(written("json", rows))
    frame = pa.parquet.read_table(io.BytesIO(written("parquet", rows))).to_pylist()
    for answered, stored, row in zip(body["rows"], frame, rows, strict=True):
        assert answered["region"] == stored["region"] == row[0]
        assert datetime.fromisoformat(answered["period"]) == stored["period"] == row[1]
        assert (
            (answered["lead_hours"], answered["flag"])
            == (stored["lead_hours"], stored["flag"])
            == (row[3], row[5])
        )
        assert answered["value_mwh"] == stored["value_mwh"] == row[4]


def test_the_names_of_columns_are_unique_and_every_one_is_described():
    for export in EXPORTS:
        for by in GROUPS:
            columns = columns_of(export, by)
            assert len({each.name for each in columns}) == len(columns)
            assert all(each.text.endswith(".") for each in columns)
