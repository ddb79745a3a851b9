"""One thread for one kind of work, with a bounded queue, awaited by the event loop."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from energy_demand.serving.http.answers import TooBusyError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class WorkThread:
    """Runs pieces of work one after the other; refuses more when the queue is full.

    Belongs to the event loop's thread. Work of a request that timed out continues and keeps its place until
    it is done, so that timed-out requests cannot pile up behind it.
    """

    def __init__(self, name: str, most_waiting: int) -> None:
        self._name = name
        self._most = most_waiting
        self._pending = 0
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    async def run(self, work: Callable[[], T]) -> T:
        """The result of `work`.

        Raises:
            TooBusyError: the queue is full.
        """
        if self._pending >= self._most:
            raise TooBusyError(
                f"{self._pending} {self._name} requests are waiting in this process; try again shortly"
            )
        self._pending += 1
        future = asyncio.get_running_loop().run_in_executor(self._pool, work)
        future.add_done_callback(self._done)
        return await asyncio.shield(future)

    def close(self) -> None:
        """Wait for the running work and drop the queued work."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _done(self, future: asyncio.Future[T]) -> None:
        self._pending -= 1
        if not future.cancelled():
            future.exception()  # retrieved, so that asyncio does not warn about abandoned work
