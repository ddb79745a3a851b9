"""Frames in and out of PostgreSQL by COPY, the fastest way both ways.

Every statement here is built from table and column names of `tables.py` and from bound values, never
from data.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.csv as arrow_csv
from psycopg import sql

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    import psycopg
    import sqlalchemy as sa

INCOMING = "incoming"

_ARROW_TYPES = {
    "timestamp": pa.timestamp("us", tz="UTC"),
    "number": pa.float64(),
    "integer": pa.int64(),
    "text": pa.string(),
}


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


def moved(columns: Sequence[str], table: str) -> str:
    """`"table"."a", "table"."b"` for an SQL column list."""
    return ", ".join(f'{table}."{name}"' for name in columns)


def _typed(table: pa.Table) -> pd.DataFrame:
    frame: pd.DataFrame = table.to_pandas()
    return frame


def _cursor(connection: sa.Connection) -> psycopg.Cursor[Any]:
    cursor: psycopg.Cursor[Any] = connection.connection.cursor()  # type: ignore[assignment]
    return cursor
