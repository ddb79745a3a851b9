"""A server that takes messages as Apprise's `json://` sends them: one that answers, refuses, or hangs."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Webhook(ThreadingHTTPServer):
    """Keeps what it was sent. `status` is its answer; while `hangs` is set it gives none."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status = 200
        self.hangs = False
        self.ended = threading.Event()
        self.received: list[dict[str, str]] = []

    @property
    def url(self) -> str:
        return f"json://127.0.0.1:{self.server_port}/hook"

    @property
    def titles(self) -> list[str]:
        return [message["title"] for message in self.received]


class _Handler(BaseHTTPRequestHandler):
    server: Webhook

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.server.hangs:
            self.server.ended.wait()
            return
        if self.server.status == 200:
            self.server.received.append(json.loads(body))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def webhook() -> Iterator[Webhook]:
    with Webhook() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.ended.set()
        server.shutdown()
