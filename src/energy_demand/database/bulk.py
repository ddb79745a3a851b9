"""Frames in and out of PostgreSQL by COPY, and columns out of it as arrays, which Arrow takes as they are.

Every statement here is built from table and column names of `tables.py` and from bound values, never
from data.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as arrow_csv
from psycopg import sql

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    import pandas as pd
    import psycopg
    import sqlalchemy as sa

    from energy_demand.arrays import Integers

INCOMING = "incoming"

_ARROW_TYPES = {
    "timestamp": pa.timestamp("us", tz="UTC"),
    "number": pa.float64(),
    "integer": pa.int64(),
    "text": pa.string(),
}
# A column of a batch: how the server gathers it, and the big-endian type of its binary elements. A value
# that is missing has a place of its own, so that every element takes as many bytes.
_GATHERED = {
    "timestamp": ("array_agg(coalesce(\"{0}\", 'infinity'::timestamptz))", ">i8"),
    "number": ("array_agg(coalesce(\"{0}\", 'NaN'::double precision))", ">f8"),
    "integer": ('array_agg(coalesce("{0}"::integer, -2147483648))', ">i4"),
    "key": ('array_agg("{0}"::bigint)', ">i8"),
    "text": ('array_agg(coalesce(octet_length("{0}"), -1)), string_agg("{0}", \'\')', ">i4"),
}
_ARRAY_HEADER_BYTES = 20  # dimensions, flags, type, length and first index of an array of one dimension
_EPOCH_MICROSECONDS = 946_684_800_000_000  # PostgreSQL counts from the year 2000


def copy_in(connection: sa.Connection, table: sa.Table, frame: pd.DataFrame) -> None:
    """Put `frame` (columns named as in `table`) into a temporary table `incoming` with the same types.

    The temporary table holds only the frame's columns and goes with the transaction.
    """
    columns = [table.c[name] for name in frame.columns]
    definition = ", ".join(f'"{column.name}" {column.type.compile(connection.dialect)}' for column in columns)
    connection.exec_driver_sql(f"DROP TABLE IF EXISTS {INCOMING}")
    connection.exec_driver_sql(f"CREATE TEMPORARY TABLE {INCOMING} ({definition}) ON COMMIT DROP")
    statement = sql.SQL("COPY {} ({}) FROM STDIN WITH (FORMAT csv)").format(
        sql.Identifier(INCOMING), sql.SQL(", ").join(sql.Identifier(column.name) for column in columns)
    )
    buffer = io.BytesIO()
    arrow_csv.write_csv(
        pa.Table.from_pandas(frame, preserve_index=False),
        buffer,
        arrow_csv.WriteOptions(include_header=False),
    )
    with _cursor(connection).copy(statement) as copy:
        copy.write(buffer.getbuffer())
    # Without it a few rows count as thousands, and the table that they are joined with is read whole.
    connection.exec_driver_sql(f"ANALYZE {INCOMING}")


def only_stored_by(moment: datetime | None) -> str:
    """A condition on `ingested_at` for the parameter `stored_by`, or none.

    Left out where it is not needed: keys carry what is read with them, and `ingested_at` is not among it.
    """
    return "" if moment is None else "AND ingested_at <= %(stored_by)s"


def stored(as_of: datetime, stored_by: datetime | None) -> dict[str, datetime | None]:
    """The parameters `stored_by` and `still`: earlier values that were superseded by then do not count."""
    return {"stored_by": stored_by, "still": as_of if stored_by is None else min(as_of, stored_by)}


def copy_out(
    connection: sa.Connection, query: str, values: Mapping[str, Any], columns: Mapping[str, str]
) -> pd.DataFrame:
    """The rows of `query`, whose output columns are `columns`: name → timestamp, number, integer or text.

    Times come back in UTC at microseconds; NULL numbers as NaN.
    """
    statement = sql.SQL("COPY ({}) TO STDOUT WITH (FORMAT csv)").format(sql.SQL(query))
    buffer = io.BytesIO()
    with _cursor(connection).copy(statement, values) as copy:
        for block in copy:
            buffer.write(block)
    types = {name: _ARROW_TYPES[kind] for name, kind in columns.items()}
    if buffer.tell() == 0:
        return _typed(pa.schema(list(types.items())).empty_table())
    buffer.seek(0)
    table = arrow_csv.read_csv(
        buffer,
        read_options=arrow_csv.ReadOptions(column_names=list(columns)),
        convert_options=arrow_csv.ConvertOptions(column_types=types, strings_can_be_null=True),
    )
    return _typed(table)


def batch_out(
    connection: sa.Connection, query: str, values: Mapping[str, Any], columns: Mapping[str, str]
) -> pa.RecordBatch:
    """The rows of `query` in their order: name → timestamp, number, integer, key (an id) or text.

    The server sends each column as one binary array, and the client parses no row: it needs less than a third
    of the processor time that it needs for COPY, and holds the interpreter lock for milliseconds. NULL, and a
    number that is NaN, is null. For tens of thousands of rows, not for millions.
    """
    gathered = ", ".join(_GATHERED[kind][0].format(name) for name, kind in columns.items())
    cursor = _cursor(connection)
    cursor.execute(f"SELECT {gathered} FROM ({query}) AS rows", values, binary=True, prepare=False)  # noqa: S608
    result = cursor.pgresult
    if result is None:
        raise AssertionError("a SELECT has a result")
    sent = iter([result.get_value(0, number) for number in range(result.nfields)])
    arrays = {name: _array(kind, next(sent), sent) for name, kind in columns.items()}
    return pa.RecordBatch.from_pydict(arrays)


def one_row(connection: sa.Connection, query: str, values: Mapping[str, Any]) -> tuple[Any, ...]:
    """The one row of `query`, whose values are bound as those of the other functions here."""
    found: tuple[Any, ...] | None = _cursor(connection).execute(query, values, prepare=False).fetchone()
    if found is None:
        raise AssertionError("the query has one row")
    return found


def _array(kind: str, sent: bytes | None, following: Iterator[bytes | None]) -> pa.Array:
    element = np.dtype(_GATHERED[kind][1])
    stored = np.dtype([("length", ">i4"), ("value", element)])
    found = np.frombuffer(sent or b"", stored, offset=_ARRAY_HEADER_BYTES if sent else 0)["value"]
    numbers = found.astype(element.newbyteorder("="))
    if kind == "text":
        return _texts(numbers, next(following) or b"")
    if kind == "timestamp":
        missing = numbers == np.iinfo(np.int64).max
        numbers = np.where(missing, 0, numbers + _EPOCH_MICROSECONDS)
        return pa.array(numbers, mask=missing, type=pa.int64()).cast(_ARROW_TYPES["timestamp"])
    if kind == "key":
        return pa.array(numbers)
    missing = np.isnan(numbers) if kind == "number" else numbers == np.iinfo(np.int32).min
    return pa.array(numbers, mask=missing)


def _texts(lengths: Integers, joined: bytes) -> pa.Array:
    """Texts from the lengths of each in bytes, −1 for NULL, and from all of them joined."""
    ends = np.cumsum(np.maximum(lengths, 0), dtype=np.int32)
    offsets = np.concatenate([np.zeros(1, np.int32), ends])
    present = np.packbits(lengths >= 0, bitorder="little")
    return pa.StringArray.from_buffers(
        len(lengths), pa.py_buffer(offsets.tobytes()), pa.py_buffer(joined), pa.py_buffer(present.tobytes())
    )


def moved(columns: Sequence[str], table: str) -> str:
    """`"table"."a", "table"."b"` for an SQL column list."""
    return ", ".join(f'{table}."{name}"' for name in columns)


def _typed(table: pa.Table) -> pd.DataFrame:
    frame: pd.DataFrame = table.to_pandas()
    return frame


def _cursor(connection: sa.Connection) -> psycopg.Cursor[Any]:
    cursor: psycopg.Cursor[Any] = connection.connection.cursor()  # type: ignore[assignment]
    return cursor
