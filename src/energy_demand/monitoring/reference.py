"""The drift reference: the champion's training rows of the last years, kept in a file.

The file belongs to one champion and is written at its promotion. If it is missing or belongs to another
champion, it is rebuilt from the stored record as known when the champion was trained. A partial file must
never be read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd


@dataclass(frozen=True)
class Reference:
    """Rows of `watched_rows`, and the champion that they belong to."""

    version: str
    trained_through: str
    rows: pd.DataFrame


def write_reference(path: Path, reference: Reference) -> None:
    """Write the file completely or not at all.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pandas(reference.rows, preserve_index=False)
    owner = {"champion": reference.version, "trained_through": reference.trained_through}
    part = path.with_name(path.name + ".part")
    pq.write_table(table.replace_schema_metadata({**(table.schema.metadata or {}), **owner}), part)
    part.replace(path)


def read_reference(path: Path) -> Reference | None:
    """The reference, or None if no readable file exists."""
    try:
        table = pq.read_table(path)
        owner = table.schema.metadata or {}
        return Reference(owner[b"champion"].decode(), owner[b"trained_through"].decode(), table.to_pandas())
    except (OSError, KeyError, TypeError, ValueError, pa.ArrowException):  # damaged files raise any of these
        return None
