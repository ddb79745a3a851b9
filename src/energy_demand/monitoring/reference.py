"""What drift is measured against: the champion's training rows of the last years, kept in a file.

The file belongs to one champion and is written when that one is promoted. Where it belongs to another, or is
gone, it is made again from the stored record, as it was known when the champion was trained.
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
    """Rows of `watched_rows` and the champion they belong to."""

    version: str
    trained_through: str
    rows: pd.DataFrame


def write_reference(path: Path, reference: Reference) -> None:
    """Write it whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pandas(reference.rows, preserve_index=False)
    named = {"champion": reference.version, "trained_through": reference.trained_through}
    part = path.with_name(path.name + ".part")
    pq.write_table(table.replace_schema_metadata({**(table.schema.metadata or {}), **named}), part)
    part.replace(path)


def read_reference(path: Path) -> Reference | None:
    """The reference, or None where there is none that can be read."""
    try:
        table = pq.read_table(path)
        named = table.schema.metadata or {}
        return Reference(named[b"champion"].decode(), named[b"trained_through"].decode(), table.to_pandas())
    except (OSError, KeyError, TypeError, ValueError, pa.ArrowException):  # damage shows in many ways
        return None
