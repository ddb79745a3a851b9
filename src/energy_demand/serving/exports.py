"""Streams exports: read by one thread of their own with a connection of its own, a piece at a time.

The event loop only passes pieces on, so predictions do not wait, and their connections are not touched.
Between pieces the thread serves other exports, and nothing is held for a caller who reads slowly or has left.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from starlette.responses import StreamingResponse

from energy_demand.database.embedded import EmbeddedServerError
from energy_demand.database.engine import DatabaseUnavailableError, open_database
from energy_demand.exports.formats import pieces
from energy_demand.exports.reading import STATEMENT_SECONDS, open_export
from energy_demand.serving.http.answers import TooBusyError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from starlette.types import Receive, Scope, Send

    from energy_demand.config import Settings
    from energy_demand.database.engine import Database
    from energy_demand.exports.questions import Question

MOST_EXPORTS = 8
# A whole answer, however slowly it is read; an answer that takes longer is cut off.
EXPORT_SECONDS = 120.0

T = TypeVar("T")


class Exports:
    """The exports of one process. All methods but `_open` belong to the event loop's thread."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="export")
        self._database: Database | None = None
        self.open = 0  # answers that are being sent

    async def begin(self, question: Question, how: str) -> Answer:
        """The beginning of an answer in a format; its first rows are read.

        Raises:
            TooBusyError: too many answers are being sent.
            QuestionError: too many rows match, or they take too long to find.
            DatabaseUnavailableError: the database cannot be reached.
        """
        if self.open >= MOST_EXPORTS:
            raise TooBusyError(f"{self.open} exports are being sent by this process; try again shortly")
        self.open += 1
        try:
            return await self._run(lambda: self._open(question, how))
        except BaseException:
            self.open -= 1
            raise

    def next_of(self, answer: Answer) -> asyncio.Future[bytes | None]:
        """The next piece; None after the last."""
        return self._run(answer.next_piece)

    def end(self, answer: Answer) -> None:
        """Let go of an answer that was sent, or whose caller has gone away."""
        if not answer.ended:
            answer.ended = True
            self.open -= 1

    def close(self) -> None:
        """Wait for the piece that is being read, and give the connections back."""
        self._thread.shutdown(wait=True, cancel_futures=True)
        if self._database is not None:
            self._database.close()

    def _open(self, question: Question, how: str) -> Answer:
        if self._database is None:
            self._database = open_database(
                self._settings, migrate_now=False, read_only=True, statement_seconds=STATEMENT_SECONDS
            )
        try:
            export = open_export(self._database, question)
            answer = Answer(pieces(export, how), export.next_cursor)
            answer.first = [piece for piece in (answer.next_piece(), answer.next_piece()) if piece]
        except (DatabaseUnavailableError, EmbeddedServerError):
            # An embedded database may come back at another address: opened again next time.
            self._database.close()
            self._database = None
            raise
        return answer

    def _run(self, work: Callable[[], T]) -> asyncio.Future[T]:
        future = asyncio.get_running_loop().run_in_executor(self._thread, work)
        # What is read for a caller who has left is dropped, and so is its error.
        future.add_done_callback(lambda done: done.cancelled() or done.exception())
        return future


class Answer:
    """An answer under way: its first pieces, those to come, and the cursor to the next page."""

    def __init__(self, to_come: Iterator[bytes], next_cursor: str | None) -> None:
        self._to_come = to_come
        self.next_cursor = next_cursor
        self.first: list[bytes] = []
        self.ended = False

    def next_piece(self) -> bytes | None:
        """Read and write the next piece; None after the last."""
        return next(self._to_come, None)


class ExportResponse(StreamingResponse):
    """The answer as a response; however it ends, the answer is let go."""

    def __init__(self, exports: Exports, answer: Answer, headers: dict[str, str], media_type: str) -> None:
        self._exports, self._answer = exports, answer
        super().__init__(self._pieces(), headers=headers, media_type=media_type)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._exports.end(self._answer)

    async def _pieces(self) -> AsyncIterator[bytes]:
        """Each piece is sent while the next one is read."""
        for piece in self._answer.first[:-1]:
            yield piece
        sent: bytes | None = self._answer.first[-1]
        while sent is not None:
            coming = self._exports.next_of(self._answer)
            if sent:
                yield sent
            sent = await coming
