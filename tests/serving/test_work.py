"""Work beside the event loop: one piece after the other, a bounded number of them, given up or not."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from contextlib import suppress

import pytest

from energy_demand.serving.http.answers import TooBusyError
from energy_demand.serving.work import WorkThread


class Slow:
    """Work that begins, and ends when it is let go."""

    def __init__(self) -> None:
        self.began, self._may_end = threading.Event(), threading.Event()
        self.ended = False

    def __call__(self) -> str:
        self.began.set()
        assert self._may_end.wait(10)
        self.ended = True
        return "done"

    def let_go(self) -> None:
        self._may_end.set()


async def under_way(thread: WorkThread, slow: Slow) -> asyncio.Task[str]:
    """A request whose work has begun."""
    request = asyncio.create_task(thread.run(slow))
    assert await asyncio.to_thread(slow.began.wait, 10)
    return request


@pytest.fixture
def in_loop():
    """Runs what is asked with a thread that takes two; a test that goes wrong waits for none of it."""

    def run(test, most_waiting: int = 2):
        thread, slow = WorkThread("test", most_waiting), Slow()
        try:
            return asyncio.run(test(thread, slow))
        finally:
            slow.let_go()
            thread.close()

    return run


def test_work_is_done_one_after_the_other_in_the_order_in_which_it_came(in_loop):
    seen = []

    def work(number: int) -> int:
        seen.append(("begins", number))
        time.sleep(0.01)
        seen.append(("ends", number))
        return 10 * number

    async def ask(thread: WorkThread, _slow: Slow) -> list[int]:
        return await asyncio.gather(*(thread.run(lambda number=number: work(number)) for number in range(5)))

    assert in_loop(ask, most_waiting=5) == [0, 10, 20, 30, 40]
    assert seen == [(what, number) for number in range(5) for what in ("begins", "ends")]


def test_the_event_loop_goes_on_meanwhile(in_loop):
    async def ask(thread: WorkThread, slow: Slow) -> str:
        request = await under_way(thread, slow)
        assert not request.done()
        slow.let_go()
        return await request

    assert in_loop(ask) == "done"


def test_who_comes_when_the_queue_is_full_is_sent_away_until_there_is_room(in_loop):
    async def ask(thread: WorkThread, slow: Slow) -> None:
        first = await under_way(thread, slow)
        second = asyncio.create_task(thread.run(lambda: "second"))
        await asyncio.sleep(0)
        with pytest.raises(TooBusyError, match="2 test requests are waiting"):
            await thread.run(lambda: "third")
        slow.let_go()
        assert await asyncio.gather(first, second) == ["done", "second"]
        assert await thread.run(lambda: "fourth") == "fourth"

    in_loop(ask)


def test_what_fails_says_so_and_leaves_its_place(in_loop):
    async def ask(thread: WorkThread, _slow: Slow) -> None:
        for _ in range(5):
            with pytest.raises(ZeroDivisionError):
                await thread.run(lambda: 1 / 0)
        assert await thread.run(lambda: "fine") == "fine"

    in_loop(ask)


def test_work_that_was_given_up_keeps_its_place_until_it_is_done(in_loop):
    async def ask(thread: WorkThread, slow: Slow) -> None:
        request = await under_way(thread, slow)
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        with pytest.raises(TooBusyError):
            await thread.run(lambda: "next")
        assert not slow.ended
        slow.let_go()
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with suppress(TooBusyError):
                assert await thread.run(lambda: "next") == "next"
                break
            await asyncio.sleep(0.01)
        assert slow.ended
        assert time.monotonic() < deadline

    in_loop(ask, most_waiting=1)


def test_nobody_is_told_that_work_failed_that_was_given_up(in_loop):
    told = []

    async def ask(thread: WorkThread, slow: Slow) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(context))

        def fail() -> None:
            slow()
            raise ZeroDivisionError

        request = asyncio.create_task(thread.run(fail))
        await asyncio.to_thread(slow.began.wait, 10)
        request.cancel()
        with suppress(asyncio.CancelledError):
            await request
        slow.let_go()
        await thread.run(lambda: None)
        del request
        gc.collect()
        await asyncio.sleep(0)

    in_loop(ask)
    assert told == []


def test_closing_waits_for_what_is_under_way_and_drops_what_waits(in_loop):
    began = []

    async def ask(thread: WorkThread, slow: Slow) -> None:
        first = await under_way(thread, slow)
        second = asyncio.create_task(thread.run(lambda: began.append("second")))
        await asyncio.sleep(0)
        threading.Timer(0.1, slow.let_go).start()
        await asyncio.to_thread(thread.close)
        assert slow.ended
        assert await first == "done"
        with pytest.raises(asyncio.CancelledError):
            await second

    in_loop(ask)
    assert began == []
