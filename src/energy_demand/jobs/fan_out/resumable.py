"""A long job of independent parts that goes on from its finished parts when it is started again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from energy_demand.jobs.fan_out.kept_parts import KeptParts, digest_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import pandas as pd

    from energy_demand.jobs.fan_out.workers import Workers

Shared = TypeVar("Shared")
Task = TypeVar("Task")
Part = TypeVar("Part")


@dataclass(frozen=True)
class Storage(Generic[Part]):
    """How a finished part is written and read.

    Attributes:
        write: the part's frames by name, and a JSON object with the rest.
        read: the part of both.
    """

    write: Callable[[Part], tuple[dict[str, pd.DataFrame], dict[str, Any]]]
    read: Callable[[dict[str, pd.DataFrame], dict[str, Any]], Part]


@dataclass(frozen=True)
class Parts(Generic[Part]):
    """All parts of a job.

    Attributes:
        found: by number.
        resumed: how many of them an earlier start had finished.
        kept: to be forgotten when the job has ended well.
    """

    found: dict[int, Part]
    resumed: int
    kept: KeptParts


def run_parts(
    function: Callable[[Shared, Task, Callable[[object], None]], Part],
    shared: Shared,
    tasks: Mapping[int, Task],
    *,
    workers: Workers,
    folder: Path,
    storage: Storage[Part],
    steps: Callable[[Task], int],
    progress: Callable[[int], None],
) -> Parts[Part]:
    """Run the parts that are not kept yet, and keep each as it is finished.

    Args:
        function: of a module; calls its third argument with each step.
        shared: what every part reads.
        tasks: by number.
        workers: that run them.
        folder: where finished parts are kept, under a digest of `shared`, `tasks` and the code.
        storage: how they are kept.
        steps: of a task.
        progress: called with the number of steps done, of all tasks.

    Raises:
        WorkersError: the workers were lost; what they had finished is kept.
    """
    kept = KeptParts(folder, digest_of(shared, tasks))
    found = {number: storage.read(*old) for number in tasks if (old := kept.read(number)) is not None}
    resumed = len(found)
    done = 0

    def finished() -> None:
        nonlocal done
        done = sum(steps(tasks[number]) for number in found)
        if found:
            progress(done)

    def tell(_step: object) -> None:
        nonlocal done
        done += 1
        progress(done)

    finished()
    missing = {number: task for number, task in tasks.items() if number not in found}
    for number, part in workers.each(function, shared, missing, tell):
        found[number] = part
        kept.write(number, *storage.write(part))
        finished()
    return Parts({number: found[number] for number in tasks}, resumed, kept)
