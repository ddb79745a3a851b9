"""Idempotent requests: the innermost layer returns the stored response for a repeated request id."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from cachetools import TTLCache
from starlette.requests import ClientDisconnect

from energy_demand.serving.http.answers import request_id_of, send_problem
from energy_demand.serving.http.middleware import HEADERS

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

REPLAYED = frozenset(
    {("POST", "/predict"), ("POST", "/predict/batch"), ("GET", "/forecast"), ("POST", "/forecast")}
)
REPLAY_SECONDS = 3600.0
REPLAY_BYTES = 32 << 20


class Replayed:
    """Returns the stored response for a repeated request id, so that a retry is safe.

    A response is stored for an hour in the process that answered, and is logged once however often it is
    sent. The same id with a different request is refused with 409.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._answers: TTLCache[str, tuple[bytes, bytes]] = TTLCache(
            REPLAY_BYTES, REPLAY_SECONDS, getsizeof=lambda entry: len(entry[1]) + 500
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if (
            scope["type"] != "http"
            or b"x-request-id" not in scope["state"][HEADERS]
            or (scope["method"], scope["path"]) not in REPLAYED
        ):
            await self._app(scope, receive, send)
            return
        body = await _whole_body(receive)
        request = f"{scope['method']} {scope['path']}?".encode() + scope["query_string"] + b"\n" + body
        digest = hashlib.sha256(request).digest()
        request_id = request_id_of(scope)
        stored = self._answers.get(request_id)
        if stored is None:
            await self._app(scope, _giving(body, receive), self._keeping(send, request_id, digest))
        elif stored[0] != digest:
            await send_problem(
                scope, send, 409, f"request id {request_id} was used for a different request; use a new id"
            )
        else:
            start = {"type": "http.response.start", "status": 200, "headers": _json_headers(stored[1])}
            await send(start)
            await send({"type": "http.response.body", "body": stored[1]})

    def _keeping(self, send: Send, request_id: str, digest: bytes) -> Send:
        kept = False
        parts: list[bytes] = []

        async def keeping_send(message: Message) -> None:
            nonlocal kept
            if message["type"] == "http.response.start":
                kept = message["status"] == 200
            elif kept:
                parts.append(message.get("body", b""))
                if not message.get("more_body"):
                    answer = b"".join(parts)
                    if len(answer) < REPLAY_BYTES // 4:
                        self._answers[request_id] = digest, answer
            await send(message)

        return keeping_send


def _json_headers(body: bytes) -> list[tuple[bytes, bytes]]:
    return [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]


async def _whole_body(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


def _giving(body: bytes, receive: Receive) -> Receive:
    given = False

    async def giving_receive() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return giving_receive
