"""The layers that every request passes, outermost first: `Observed`, `Headed`, `Guarded`, `Limited`.

Plain ASGI, because a layer that wraps requests in tasks would cost more than a prediction.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import re
import secrets
import time
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from energy_demand.serving.http.access import RefusedError, check_access
from energy_demand.serving.http.answers import INTERNAL, REQUEST_ID, send_problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from energy_demand.serving.request_log import RequestLog

# Keys in the request's state, set by the outermost layer for the others.
HEADERS, STARTED = "headers", "started"
OPEN_PATHS = frozenset({"/health", "/ready", "/docs", "/openapi.json"})
OPEN_PREFIXES = ("/static-offline-docs/", "/docs/")
PROBES = frozenset({"/health", "/ready"})
REQUEST_ID_PATTERN = re.compile(r"[A-Za-z0-9._:-]{1,128}")
MOST_BODY_BYTES = 1 << 20
BATCH_BODY_BYTES = 10 << 20  # a KiB for each of its 10,000 rows
# A body that is too large is read to its end up to this size, so that its sender receives the response.
MOST_READ_BYTES = 32 << 20
LOOK_SECONDS = 0.25
CLIENT_GONE = 499  # for metrics and logs; the client has disconnected

_JSON_POLICY = b"default-src 'none'; frame-ancestors 'none'"
_PAGE_POLICY = (
    b"default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    b"img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'"
)
_SECURITY_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
]
_log = logging.getLogger(__name__)


class Observed:
    """Assigns the request id, records the request, adds security headers, hides internal errors."""

    def __init__(self, app: ASGIApp, requests: RequestLog) -> None:
        self._app = app
        self._requests = requests
        # Unique among processes, with a counter in each: a random id per request costs a system call.
        self._prefix = secrets.token_hex(8)
        self._numbers = itertools.count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        headers = dict(scope["headers"])  # the last one wins if a header is sent twice
        given = headers.get(b"x-request-id")
        sent_id = "" if given is None else given.decode("latin-1")
        usable = REQUEST_ID_PATTERN.fullmatch(sent_id) is not None
        request_id = sent_id if usable else self._new_id()
        state = scope.setdefault("state", {})
        state[HEADERS], state[REQUEST_ID], state[STARTED] = headers, request_id, False
        status = 0
        page = scope["path"].startswith("/docs")
        added = [
            (b"x-request-id", request_id.encode()),
            (b"content-security-policy", _PAGE_POLICY if page else _JSON_POLICY),
            *_SECURITY_HEADERS,
        ]

        async def observed_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status, state[STARTED] = message["status"], True
                message["headers"] = [*message["headers"], *added]
            await send(message)

        self._requests.begin()
        try:
            if given is not None and not usable:
                await send_problem(
                    scope,
                    observed_send,
                    422,
                    "X-Request-ID: must be 1 to 128 letters, digits, dots, colons, hyphens or underscores",
                )
            else:
                await self._app(scope, receive, observed_send)
        except ClientDisconnect:
            status = CLIENT_GONE
        except Exception:  # noqa: BLE001  (logged in full; the caller gets only the request id)
            _log.exception("request failed", extra={"request_id": request_id})
            if status == 0:
                await send_problem(scope, observed_send, 500, INTERNAL)
        finally:
            route, client = scope.get("route"), scope.get("client")
            self._requests.end(
                request_id,
                scope["method"],
                None if route is None else route.path,
                status,
                time.perf_counter() - started,
                None if client is None else client[0],
            )

    def _new_id(self) -> str:
        return f"{self._prefix}-{next(self._numbers)}"


class Guarded:
    """Refuses callers without access; health, readiness and the API's documentation are open."""

    def __init__(self, app: ASGIApp, key: str | None) -> None:
        self._app = app
        self._key = key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "http" and not _is_open(scope["path"]):
            client = scope.get("client")
            try:
                check_access(self._key, None if client is None else client[0], scope["state"][HEADERS])
            except RefusedError as error:
                await send_problem(scope, send, error.status, str(error))
                return
        await self._app(scope, receive, send)


class Limited:
    """Bounds the number of concurrent requests, the size of a body, and the duration of a request.

    One timer serves all requests: one timer per request, as in `asyncio.timeout`, takes as long as the
    prediction itself. `longer` has the seconds of paths whose answers are long.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        most_in_flight: int,
        seconds: float,
        longer: Mapping[str, float] | None = None,
    ) -> None:
        self._app = app
        self._longer = longer or {}
        self._most = most_in_flight
        self._seconds = seconds
        self._look_every = min(LOOK_SECONDS, seconds / 4)
        self._deadlines: dict[asyncio.Task[object], float] = {}
        self._overdue: set[asyncio.Task[object]] = set()
        self._looking = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        task = asyncio.current_task()
        if scope["type"] != "http" or scope["path"] in PROBES or task is None:
            await self._app(scope, receive, send)
            return
        if len(self._deadlines) >= self._most:
            await send_problem(
                scope, send, 429, f"this process is answering {self._most} requests; try again shortly"
            )
            return
        loop = asyncio.get_running_loop()
        seconds = self._longer.get(scope["path"], self._seconds)
        self._deadlines[task] = loop.time() + seconds
        if not self._looking:
            self._looking = True
            loop.call_later(self._look_every, self._look, loop)
        try:
            await self._within_size(scope, receive, send)
        except asyncio.CancelledError:
            if task not in self._overdue:
                raise
            task.uncancel()
            if scope["state"][STARTED]:  # too late for another response: the connection is cut
                raise TimeoutError(f"not sent within {seconds:g} s") from None
            await send_problem(scope, send, 504, f"the request took longer than {seconds:g} s")
        finally:
            del self._deadlines[task]
            self._overdue.discard(task)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Cancel overdue requests; repeat as long as any request is in progress."""
        now = loop.time()
        for task, deadline in self._deadlines.items():
            if deadline < now and task not in self._overdue:
                self._overdue.add(task)
                task.cancel()
        self._looking = bool(self._deadlines)
        if self._looking:
            loop.call_later(self._look_every, self._look, loop)

    async def _within_size(self, scope: Scope, receive: Receive, send: Send) -> None:
        most = BATCH_BODY_BYTES if scope["path"] == "/predict/batch" else MOST_BODY_BYTES
        declared = scope["state"][HEADERS].get(b"content-length")
        if declared is not None and declared.isdigit():  # the server lets no more through
            if int(declared) <= most:
                await self._app(scope, receive, send)
                return
            if int(declared) <= MOST_READ_BYTES:
                while (await receive()).get("more_body"):
                    pass
            await send_problem(scope, send, 413, _too_large(most))
            return
        received = 0

        async def limited_receive() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > most:
                raise HTTPException(413, _too_large(most))
            return message

        try:
            await self._app(scope, limited_receive, send)
        except HTTPException as error:  # raised while a layer in between read the body
            if scope["state"][STARTED]:
                raise
            await send_problem(scope, send, error.status_code, str(error.detail))


class Headed:
    """Answers HEAD as GET, with the same status and headers and without the body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def headed_send(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        # A copy: the server, when it sends, and the log go by the method that was asked with.
        asked = {**scope, "method": "GET"}
        try:
            await self._app(asked, receive, headed_send)
        finally:
            if "route" in asked:
                scope["route"] = asked["route"]


def _too_large(most: int) -> str:
    return f"the body is larger than {most:,} bytes; split it into several requests"


def _is_open(path: str) -> bool:
    return path in OPEN_PATHS or path.startswith(OPEN_PREFIXES)
