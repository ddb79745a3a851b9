"""Asks one question over HTTP, once, and keeps the response: status, headers, body, seconds."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from collections.abc import Mapping

    from energy_demand.doctor.questions import Question

MOST_BYTES = 1 << 23
LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True)
class Answer:
    """The response.

    Attributes:
        question: what was asked.
        status: the HTTP status.
        headers: names in lower case.
        body: as served; of a file its beginning.
        complete: whether that is the whole body.
        seconds: from the request to the last byte read.
        at: when the first byte came, by this machine's clock.
    """

    question: Question
    status: int
    headers: Mapping[str, str]
    body: bytes
    complete: bool
    seconds: float
    at: datetime

    @property
    def skew(self) -> timedelta | None:
        """How far this machine's clock is ahead of the server's `Date`; None without one."""
        try:
            served = parsedate_to_datetime(self.headers["date"])
        except (KeyError, ValueError, TypeError):
            return None
        if served.tzinfo is None:
            return None
        # The header has whole seconds, cut off.
        return self.at - served - timedelta(seconds=0.5)


def client_for(url: str, timeout_seconds: float) -> httpx.Client:
    """A client for one address: with the environment's proxies, which do not reach this machine itself.

    Raises:
        ImportError: a SOCKS proxy is set, and the package for it is not there.
        httpx.InvalidURL: the address is none.
    """
    on_this_machine = httpx.URL(url).host in LOOPBACK_HOSTS
    return httpx.Client(timeout=timeout_seconds, trust_env=not on_this_machine, follow_redirects=False)


class NoAnswerError(Exception):
    """There was no response; the message says why, without the request."""


class Asker:
    """Asks the upstreams; two questions to one of them are at least its pace apart. Threads may share it."""

    def __init__(self, timeout_seconds: float, paces: Mapping[str, float]) -> None:
        self._timeout = timeout_seconds
        self._paces = paces
        self._turns: dict[str, threading.Lock] = defaultdict(threading.Lock)
        self._next: dict[str, float] = {}
        self.answers: dict[str, Answer] = {}

    def ask(self, question: Question) -> Answer:
        """The answer, which is also kept in `answers` under the topic.

        Raises:
            NoAnswerError: there is none.
        """
        self._keep_pace(question.topic.source)
        try:
            answer = self._ask(question)
        except httpx.TimeoutException:
            raise NoAnswerError(f"no answer within {self._timeout:g} s") from None
        except httpx.HTTPError as error:  # `from None`: it holds the request, and with it the key
            raise NoAnswerError(f"cannot be reached ({type(error).__name__}: {error})") from None
        except (httpx.InvalidURL, ImportError, ValueError) as error:  # ImportError: socksio for a proxy
            raise NoAnswerError(f"cannot be asked ({error})") from None
        self.answers[question.topic.value] = answer
        return answer

    def _ask(self, question: Question) -> Answer:
        headers = {"user-agent": "energy-demand", **question.secret_headers}
        if question.most_bytes is not None:
            # A part of a compressed file could not be unpacked.
            headers["accept-encoding"] = "identity"
            headers["range"] = f"bytes=0-{question.most_bytes - 1}"
        limit = question.most_bytes or MOST_BYTES
        began = time.monotonic()
        with (
            client_for(question.url, self._timeout) as client,
            client.stream("GET", question.url, params=list(question.params), headers=headers) as response,
        ):
            at = datetime.now(UTC)
            body, complete = bytearray(), True
            for piece in response.iter_bytes():
                body += piece
                if len(body) >= limit:
                    complete = False
                    break
                if time.monotonic() - began > 2 * self._timeout:
                    raise NoAnswerError(f"the answer was not complete after {2 * self._timeout:g} s")
            return Answer(
                question=question,
                status=response.status_code,
                headers={name.lower(): value for name, value in response.headers.items()},
                body=bytes(body[:limit]),
                complete=complete and response.status_code != httpx.codes.PARTIAL_CONTENT,
                seconds=time.monotonic() - began,
                at=at,
            )

    def _keep_pace(self, source: str) -> None:
        with self._turns[source]:
            wait = self._next.get(source, 0.0) - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            self._next[source] = time.monotonic() + self._paces.get(source, 0.0)
