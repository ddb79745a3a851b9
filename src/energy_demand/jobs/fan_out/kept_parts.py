"""Parts of a long job that are kept as they are finished, so that a second start goes on from there.

A folder's name is a digest of everything that the parts depend on: data, question and code. It is removed
when the job has ended well.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Mapping

_BODY = "body.json"
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


def digest_of(*parts: bytes | str) -> str:
    """A digest of the code of this package and of what else is given."""
    found = hashlib.sha256(code_digest().encode())
    for part in parts:
        found.update(hashlib.sha256(part if isinstance(part, bytes) else part.encode()).digest())
    return found.hexdigest()[:24]


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
