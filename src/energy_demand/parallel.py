"""Independent calls side by side, on as many threads as the process may use.

For calls that release the interpreter lock, as LightGBM and NumPy do.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar, overload

if TYPE_CHECKING:
    from collections.abc import Callable

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")


def cores() -> int:
    """Threads to use: `OMP_NUM_THREADS` where it is set, else the cores that the process may run on."""
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    if wanted.isdecimal() and int(wanted) > 0:
        return int(wanted)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@overload
def side_by_side(first: Callable[[], A], second: Callable[[], B], /) -> tuple[A, B]: ...
@overload
def side_by_side(
    first: Callable[[], A], second: Callable[[], B], third: Callable[[], C], /
) -> tuple[A, B, C]: ...
@overload
def side_by_side(*calls: Callable[[], A]) -> tuple[A, ...]: ...
def side_by_side(*calls: Callable[[], Any]) -> tuple[Any, ...]:
    """What each call returns, in their order. The first error is raised when all calls have ended.

    >>> side_by_side(lambda: 1, lambda: "two")
    (1, 'two')
    """
    threads = min(cores(), len(calls))
    if threads < 2:
        return tuple(call() for call in calls)
    with ThreadPoolExecutor(threads) as pool:
        return tuple(pool.map(lambda call: call(), calls))
