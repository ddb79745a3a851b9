"""Rows of the prediction log, made up; a database that goes away for a while; a small disk."""

from __future__ import annotations

import json
import subprocess
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from support import PRESENT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOUR = timedelta(hours=1)


def row(number: int = 0, **given: Any) -> dict[str, Any]:
    """The answer to request `number`; times are ISO text."""
    return {
        "respondent": "NY",
        "timestamp": (PRESENT + 24 * HOUR).isoformat(),
        "issued_at": PRESENT.isoformat(),
        "lead_hours": 24,
        "predicted_demand": 15_000.5 + number,
        "lower_80": 14_000.0,
        "upper_80": 16_000.0,
        "lower_95": None,
        "upper_95": None,
        "model_version": "7",
        "quality": "base_booster",
        "source": "request",
        "request_id": f"request-{number}",
        "row_number": 0,
        "features_json": {"temperature_2m": 12.5, "hour": 9.0},
        "prediction_made_at": PRESENT.isoformat(),
        **given,
    }


def line(number: int = 0, **given: Any) -> bytes:
    """The same as it stands in the spool."""
    return json.dumps(row(number, **given)).encode()


def logged(database_url: str) -> list[str]:
    """The request id of every row of the log, sorted; a row that is there twice comes twice."""
    engine = sa.create_engine(database_url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        return sorted(connection.scalars(sa.text("SELECT request_id FROM prediction_log")))


def ids(numbers: range) -> list[str]:
    """What `logged` gives for these requests."""
    return sorted(f"request-{number}" for number in numbers)


@contextmanager
def away(database_url: str) -> Iterator[None]:
    """While this lasts the database ends every connection and takes no new one."""
    name = sa.make_url(database_url).database
    admin = sa.create_engine(
        sa.make_url(database_url).set(database="postgres"),
        isolation_level="AUTOCOMMIT",
        poolclass=sa.NullPool,
    )
    end = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = :name"
    with admin.connect() as connection:
        connection.exec_driver_sql(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        connection.execute(sa.text(end), {"name": name}).all()
    try:
        yield
    finally:
        with admin.connect() as connection:
            connection.exec_driver_sql(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")


@contextmanager
def small_disk(folder: Path, size: str = "64k") -> Iterator[Path]:
    """A disk of this size, mounted at `folder`; skips where nothing may be mounted."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a small disk cannot be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def fill_up(folder: Path) -> Path:
    """Take every byte that is left on the disk of `folder`; the file that holds them."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (4096, 1):
            try:
                while file.write(b"x" * size):
                    pass
            except OSError:
                continue
    return filler
