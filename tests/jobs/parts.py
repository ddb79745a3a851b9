"""Parts of a job for a cluster's workers, which import this module."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def added(shared: int, task: int, tell) -> int:
    tell(task)
    return shared + task


def counted(shared: bytes, task: int, tell) -> int:
    return len(shared) + task


def killed_once(marker: Path, task: int, tell) -> int:
    """The first part that is asked ends its worker."""
    if not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return 10 * task


def killed_always(shared: int, task: int, tell) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return task


def slow_but_first(marker: Path, task: int, tell) -> int:
    """Only the part that is asked first is quick."""
    if marker.exists():
        time.sleep(60.0)
    marker.touch()
    return task


def failing(shared: int, task: int, tell) -> int:
    from energy_demand.jobs.past_days import PastDaysError  # noqa: PLC0415

    raise PastDaysError(f"part {task} has no days")
