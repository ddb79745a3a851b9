"""Parts of a long job that are kept as they are finished, so that a second start goes on from there.

A folder's name is a digest of everything that the parts depend on: data, question and code. It is removed
when the job has ended well.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import date, timedelta
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from pydantic import BaseModel

_BODY = "body.json"
# What is the same text wherever it is equal.
_PLAIN = (str, bytes, int, float, Enum, date, timedelta, ZoneInfo, BaseModel)
FOLDERS_KEPT = 5


class KeptParts:
    """The finished parts of one job, each a few frames and a JSON object.

    Nothing is kept where the folder cannot be written; the job goes on without.
    """

    def __init__(self, root: Path, digest: str) -> None:
        self._folder = root / digest
        _drop_old(root, self._folder)

    def read(self, number: int) -> tuple[dict[str, pd.DataFrame], dict[str, Any]] | None:
        """A part, or None if it is not there or not whole."""
        folder = self._of(number)
        try:
            body = json.loads((folder / _BODY).read_text(encoding="utf-8"))
            return {name: pd.read_parquet(folder / f"{name}.parquet") for name in body["frames"]}, body
        except (OSError, ValueError, KeyError):
            return None

    def write(self, number: int, frames: Mapping[str, pd.DataFrame], body: Mapping[str, Any]) -> None:
        """Keep a part; it appears whole or not at all."""
        folder = self._of(number)
        unfinished = folder.with_suffix(".unfinished")
        try:
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir(parents=True)
            for name, frame in frames.items():
                frame.to_parquet(unfinished / f"{name}.parquet", index=False)
            (unfinished / _BODY).write_text(json.dumps({**body, "frames": list(frames)}), encoding="utf-8")
            unfinished.replace(folder)
        except OSError:
            return

    def forget(self) -> None:
        """Remove all parts of the job."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _of(self, number: int) -> Path:
        return self._folder / f"{number:04}"


def digest_of(*values: object) -> str:
    """A digest of the code of this package and of the contents of values; equal in every process.

    A pickle would not do: equal objects are pickled differently, by what they share and what they cache.

    Raises:
        TypeError: a value has parts of a kind whose contents are not known here.
    """
    found = hashlib.sha256(code_digest().encode())
    for value in values:
        _feed(found, value)
    return found.hexdigest()[:24]


def _feed(found: hashlib._Hash, value: object) -> None:
    """Add a value's kind and contents to a digest."""
    found.update(type(value).__name__.encode() + b"\0")
    if is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, Mapping):
        value = list(value.items())
    if isinstance(value, (list, tuple)):
        _feed(found, len(value))
        for each in value:
            _feed(found, each)
    elif value is None or isinstance(value, _PLAIN):
        found.update(repr(value).encode() + b"\0")
    else:
        found.update(_content(value))


def _content(value: object) -> bytes:
    """The contents of a table, an index of times, or an array of numbers."""
    if isinstance(value, pd.DataFrame):
        head = repr([(str(name), str(kind)) for name, kind in value.dtypes.items()]).encode()
        return head + pd.util.hash_pandas_object(value).to_numpy().tobytes()
    if isinstance(value, pd.DatetimeIndex):
        return str(value.dtype).encode() + value.asi8.tobytes()
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        return f"{value.dtype} {value.shape}".encode() + value.tobytes()
    raise TypeError(f"no digest of a {type(value).__name__}")


@cache
def code_digest() -> str:
    """A digest of this package's source."""
    root = Path(__file__).parents[2]
    found = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        found.update(path.relative_to(root).as_posix().encode())
        found.update(path.read_bytes())
    return found.hexdigest()[:24]


def _drop_old(root: Path, mine: Path) -> None:
    """Remove the folders of jobs that were never ended, but for the newest."""
    try:
        others = [path for path in root.iterdir() if path != mine]
        others.sort(key=lambda path: path.stat().st_mtime)
    except OSError:
        return
    for path in others[:-FOLDERS_KEPT]:
        shutil.rmtree(path, ignore_errors=True)
