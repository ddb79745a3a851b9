"""MLflow's store in a home folder, which may be copied, moved and brought back from a backup.

MLflow writes absolute artifact paths into its tables. A store that is opened in another folder than before
gets its own paths, so that a copy never reads or writes the original's files
(docs/decisions/0007-homes-that-move.md). Paths outside the home are left as they are.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from energy_demand.config import MLFLOW_EXPERIMENT_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator

MLFLOW_FOLDER = "mlflow"  # of the home
DATABASE_FILE = "mlflow.db"
ARTIFACTS_FOLDER = "artifacts"
BUSY_SECONDS = 30.0
_AS_FILE = "file:"
# Every column of MLflow's tables with the path of a file. A source is mostly `models:/…`, which moves along.
_PATHS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


def sqlite_address(file: Path, driver: str = "sqlite") -> str:
    """The SQLAlchemy address of an SQLite file in a folder of any name.

    SQLAlchemy ends a path at `?` and decodes nothing, so such a path is written as SQLite's own URI. The
    driver is named there, because MLflow makes folders from whatever follows a bare `sqlite:///`.
    """
    if "?" not in str(file):
        return f"{driver}:///{file}"
    named = driver if "+" in driver else f"{driver}+pysqlite"
    return f"{named}:///{_AS_FILE}{quote(str(file))}?uri=true"


def sqlite_file(database: str) -> Path:
    """The file of the database part of an address, as `sqlite_address` writes it."""
    return Path(unquote(database.removeprefix(_AS_FILE)) if database.startswith(_AS_FILE) else database)


@contextmanager
def tables_of(file: Path, seconds: float) -> Iterator[tuple[sqlite3.Connection, set[str]]]:
    """A store opened for reading alone, and the names of its tables.

    Raises:
        sqlite3.Error: it cannot be read, or is locked for longer than `seconds`.
    """
    with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, timeout=seconds)) as store:
        yield store, {row[0] for row in store.execute("SELECT name FROM sqlite_master")}


def follow_home(folder: Path) -> bool:
    """Let the store in `folder` name its own artifacts; True if they were another folder's.

    Raises:
        sqlite3.Error: the store is damaged, or cannot be written.
    """
    file, own = folder / DATABASE_FILE, (folder / ARTIFACTS_FOLDER).as_uri()
    if not file.is_file():
        return False
    address = f"{_AS_FILE}{quote(str(file))}?mode=rw"
    with closing(sqlite3.connect(address, uri=True, timeout=BUSY_SECONDS, isolation_level=None)) as store:
        if not _others(store, own):
            return False
        store.execute("BEGIN IMMEDIATE")  # two processes may open a copy at once
        for root in _others(store, own):
            for table, column in _columns(store):
                store.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?) "  # noqa: S608  (constants)
                    f"WHERE {column} = ? OR substr({column}, 1, ?) = ?",
                    (own, len(root) + 1, root, len(root) + 1, f"{root}/"),
                )
        store.execute("COMMIT")
    return True


def _others(store: sqlite3.Connection, own: str) -> list[str]:
    """The artifact folders of former homes: that of our experiment, and that of MLflow's first one."""
    if ("experiments", "artifact_location") not in set(_columns(store)):
        return []
    rows = store.execute(
        "SELECT name, artifact_location FROM experiments WHERE name = ? OR experiment_id = 0",
        (MLFLOW_EXPERIMENT_NAME,),
    )
    found = {
        str(location) if name == MLFLOW_EXPERIMENT_NAME else str(location).removesuffix("/0")
        for name, location in rows
    }
    ending = f"/{Path(own).parent.name}/{ARTIFACTS_FOLDER}"
    return sorted(
        each for each in found if each.startswith("file:///") and each.endswith(ending) and each != own
    )


def _columns(store: sqlite3.Connection) -> Iterator[tuple[str, str]]:
    """Those of `_PATHS` that this store has."""
    for table, column in _PATHS:
        if column in {row[1] for row in store.execute(f"PRAGMA table_info({table})")}:
            yield table, column
