"""One thread for one kind of work, with a bounded queue before it, for the event loop to wait on."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from energy_demand.serving.answers import TooBusyError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class WorkThread:
    """Runs one piece of work after the other; whoever comes when the queue is full is sent away.

    Belongs to the event loop's thread. Work that nobody waits for any more (a request over its time) goes on
    and keeps its place until it is done, so that given-up requests cannot pile up behind it.
    """

    def __init__(self, name: str, most_waiting: int) -> None:
        self._name = name
        self._most = most_waiting
        self._pending = 0
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    async def run(self, work: Callable[[], T]) -> T:
        """What `work` returns.

        Raises:
            TooBusyError: as much waits as may.
        """
        if self._pending >= self._most:
            raise TooBusyError(
                f"{self._pending} {self._name} requests wait in this process; try again shortly"
            )
        self._pending += 1
        future = asyncio.get_running_loop().run_in_executor(self._pool, work)
        future.add_done_callback(self._done)
        return await asyncio.shield(future)

    def close(self) -> None:
        """Wait for what is under way, drop what waits."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _done(self, future: asyncio.Future[T]) -> None:
        self._pending -= 1
        if not future.cancelled():
            future.exception()  # seen, so that nobody warns of work that was given up
