"""Writes batches as JSON, CSV, Parquet or Arrow, piece by piece. Pure.

JSON and CSV are joined from columns by Arrow and not row by row, mostly without Python's interpreter lock,
which a service needs for other answers. Times are ISO 8601 in UTC with a Z.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.ipc
import pyarrow.parquet as pq

from energy_demand.exports.columns import DAY, TEXT, TIME, schema_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from energy_demand.exports.columns import Column

JSON, CSV, PARQUET, ARROW = "json", "csv", "parquet", "arrow"
MEDIA_TYPES = {
    JSON: "application/json",
    CSV: "text/csv",
    PARQUET: "application/vnd.apache.parquet",
    ARROW: "application/vnd.apache.arrow.stream",
}
FORMATS = tuple(MEDIA_TYPES)
BINARY = (PARQUET, ARROW)
# A cell that begins like this would be a formula to a spreadsheet.
_FORMULA = ("=", "+", "-", "@", "\t")


@dataclass(frozen=True)
class Export:
    """An answer: its columns, its batches, and the cursor to the next page (None: there is none)."""

    columns: tuple[Column, ...]
    batches: Iterator[pa.RecordBatch]
    next_cursor: str | None = None


class _Writer(Protocol):
    def begin(self) -> bytes: ...

    def write(self, batch: pa.RecordBatch) -> bytes: ...

    def end(self) -> bytes: ...


def pieces(export: Export, how: str) -> Iterator[bytes]:
    """The bytes of an export in a format, the first ones before anything is read."""
    writer = _WRITERS[how](export)
    yield writer.begin()
    for batch in export.batches:
        if batch.num_rows and (piece := writer.write(batch)):
            yield piece
    yield writer.end()


class _Csv:
    """A header, which is also there without rows, and a line for each row."""

    def __init__(self, export: Export) -> None:
        self._columns = export.columns

    def begin(self) -> bytes:
        return (",".join(each.name for each in self._columns) + "\n").encode()

    def write(self, batch: pa.RecordBatch) -> bytes:
        parts: list[Any] = []
        for number, (column, array) in enumerate(zip(self._columns, batch.columns, strict=True)):
            parts += ["," if number else "", pc.fill_null(_text(column, array, _cell), "")]
        return _joined([*parts, "\n"])

    def end(self) -> bytes:
        return b""


class _Json:
    """One object: the rows, and the cursor to the next page or null."""

    def __init__(self, export: Export) -> None:
        self._columns, self._next = export.columns, export.next_cursor
        self._begun = False

    def begin(self) -> bytes:
        return b'{"next":' + orjson.dumps(self._next) + b',"rows":['

    def write(self, batch: pa.RecordBatch) -> bytes:
        parts: list[Any] = []
        for number, (column, array) in enumerate(zip(self._columns, batch.columns, strict=True)):
            before = ",{" if number == 0 else ","
            parts += [f'{before}"{column.name}":', pc.fill_null(_text(column, array, _quoted), "null")]
        rows = _joined([*parts, "}"])
        rows, self._begun = (rows if self._begun else rows[1:]), True
        return rows

    def end(self) -> bytes:
        return b"]}\n"


class _Columnar:
    """Parquet, a row group for each batch and the footer at the end; or an Arrow IPC stream."""

    def __init__(self, export: Export, open_writer: Callable[[Any, pa.Schema], Any]) -> None:
        self._sink = _Sink()
        self._writer = open_writer(pa.PythonFile(self._sink, mode="w"), schema_of(export.columns))

    def begin(self) -> bytes:
        return self._sink.taken()

    def write(self, batch: pa.RecordBatch) -> bytes:
        self._writer.write_batch(batch)
        return self._sink.taken()

    def end(self) -> bytes:
        self._writer.close()
        return self._sink.taken()


class _Sink:
    """A file that gives what was written to it since it was last asked."""

    closed = False

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, part: bytes) -> int:
        self._parts.append(bytes(part))
        return len(part)

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """What was written stays to be taken."""

    def taken(self) -> bytes:
        taken, self._parts = b"".join(self._parts), []
        return taken


def _parquet(export: Export) -> _Writer:
    return _Columnar(export, lambda sink, schema: pq.ParquetWriter(sink, schema, compression="zstd"))


def _arrow(export: Export) -> _Writer:
    return _Columnar(export, pa.ipc.new_stream)


_WRITERS: dict[str, Callable[[Export], _Writer]] = {JSON: _Json, CSV: _Csv, PARQUET: _parquet, ARROW: _arrow}


def _joined(parts: Sequence[Any]) -> bytes:
    """Rows of texts, all parts of each row in their order."""
    rows = pc.binary_join_element_wise(*parts, "")
    offsets, data = rows.buffers()[1:]
    ends = np.frombuffer(offsets, np.int32)[rows.offset : rows.offset + len(rows) + 1]
    return bytes(memoryview(data)[ends[0] : ends[-1]])


def _text(column: Column, array: pa.Array, shown: Callable[[str], str]) -> pa.Array:
    """Each value as text; of times and words each different one is written once."""
    if column.kind not in {TIME, TEXT, DAY}:
        return array.cast(pa.string())
    words = array.dictionary_encode()
    if column.kind == TEXT:
        texts = words.dictionary.to_pylist()
    elif column.kind == DAY:
        texts = [str(day) for day in words.dictionary.to_pylist()]
    else:
        texts = _times(words.dictionary)
    return pa.array([shown(text) for text in texts], pa.string()).take(words.indices)


def _times(moments: pa.Array) -> list[str]:
    """Times in UTC, with microseconds only where they have some: 2025-07-31T13:00:00Z."""
    microseconds = moments.cast(pa.int64()).to_numpy()
    texts = np.datetime_as_string(microseconds.astype("datetime64[us]"))
    whole = microseconds % 1_000_000 == 0
    return [f"{text[:19] if even else text}Z" for text, even in zip(texts, whole, strict=True)]


def _quoted(text: str) -> str:
    return orjson.dumps(text).decode()


def _cell(text: str) -> str:
    text = f"'{text}" if text.startswith(_FORMULA) else text
    return '"' + text.replace('"', '""') + '"' if any(each in text for each in ',"\r\n') else text
