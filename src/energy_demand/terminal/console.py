"""Standard output and standard error, JSON output, and progress bars."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from energy_demand.data.ingestion.ingest import Progress as StepProgress

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def print_json(body: dict[str, Any]) -> None:
    """Print one JSON object on standard output; times are ISO text in UTC."""
    sys.stdout.write(json.dumps(body, default=_plain, allow_nan=False) + "\n")


def _plain(value: Any) -> str:
    if hasattr(value, "isoformat"):
        return str(value.isoformat()).replace("+00:00", "Z")
    raise TypeError(f"{type(value).__name__} is not a JSON value")


@contextmanager
def progress_bars() -> Iterator[StepProgress]:
    """One progress bar for each step on standard error, within a `with` block."""
    bars = Progress(
        TextColumn("{task.description:<18}"),
        BarColumn(bar_width=32),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=err,
    )
    tasks: dict[str, Any] = {}

    def report(step: str, done: int, total: int) -> None:
        if step not in tasks:
            tasks[step] = bars.add_task(step, total=total)
        bars.update(tasks[step], completed=done, total=total)

    with bars:
        yield report
