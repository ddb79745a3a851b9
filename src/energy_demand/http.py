"""The one HTTP client: retries, pacing, typed errors, redaction.

Each upstream has a `Dialect`, which knows the meaning of its error bodies. No message, exception or log
record of this module contains a key, a header, an echo of the request, or a character that no text holds.
"""

from __future__ import annotations

import json
import logging
import re
import threading
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

import httpx
import stamina

from energy_demand.call_limits import CallBudget, CallLimits, DailyLimitError, Timing, Window
from energy_demand.errors import UserError
from energy_demand.logs import REDACTED, RedactingFilter, redact
from energy_demand.timeaxis import to_utc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from energy_demand.config import Settings

T = TypeVar("T")

SANDBOX_HEADER = "x-sandbox-data"
LIVE = "live"
MAX_RETRY_AFTER_SECONDS = 60.0
MAX_BACKOFF_SECONDS = 30.0
SECRET_PARAMS = frozenset({"api_key", "apikey"})
STREAM_BYTES = 1 << 16
# So often in a row an upstream may say that its calls are used up, where the wait was for its next window.
MOST_REFUSALS = 4
# What an upstream with weights counts for a request that it refuses.
ERROR_WEIGHT = 1.0
LONGEST_REASON = 300
LOOPBACK = ("all://127.0.0.1", "all://localhost", "all://[::1]")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fault:
    """The fault that a response reports.

    Attributes:
        reason: in the upstream's words.
        retry: whether another try can help.
        absent: the upstream does not have what was requested, and says so.
        too_large: a smaller request can help.
        used_up: the window whose calls are used up.
    """

    reason: str
    retry: bool
    absent: bool = False
    too_large: bool = False
    used_up: Window | None = None


class Dialect(Protocol):
    """How one upstream reports faults."""

    name: str

    def fault(self, status: int, body: Any) -> Fault | None:
        """The fault in a response, or None. `body` is parsed JSON, or the text of a body that is not JSON."""


class UpstreamError(UserError, RuntimeError):
    """An upstream did not return what was requested.

    Attributes:
        source: the upstream's name.
        asked: the address and parameters, without secrets.
        reason: what the upstream returned, or why it could not be reached.
        status: the HTTP status; None without a response.
        retry_after: seconds the upstream asks to wait, or None.
        fault: the fault as the response reported it; None without a response.
        retry: whether another try could have helped.
    """

    def __init__(
        self,
        source: str,
        asked: str,
        reason: str,
        *,
        status: int | None = None,
        retry: bool = False,
        retry_after: float | None = None,
        fault: Fault | None = None,
    ) -> None:
        self.source = source
        self.asked = asked
        self.reason = _printable(redact(reason))
        self.status = status
        self.retry = retry
        self.retry_after = retry_after
        self.fault = fault
        answer = f"HTTP {status}: {self.reason}" if status else self.reason
        super().__init__(f"{source}: {answer} (requested {asked})")

    @property
    def absent(self) -> bool:
        """Whether the upstream says that it does not have what was requested."""
        return self.fault is not None and self.fault.absent

    @property
    def too_large(self) -> bool:
        """Whether a smaller request can help."""
        return self.fault is not None and self.fault.too_large


class BodyError(ValueError):
    """The reader of a streamed body found that it is not what was requested.

    Attributes:
        retry: whether another try can help.
    """

    def __init__(self, reason: str, *, retry: bool) -> None:
        super().__init__(reason)
        self.retry = retry


class DataKindError(UserError, RuntimeError):
    """One upstream switched between live, recorded and synthetic data within a run."""


class HttpClient:
    """Requests from one upstream, over kept connections, no faster than its pace; threads may share it.

    Invariants: at least `interval_seconds` pass between two requests, and no more are made than the
    budget allows; a request is tried at most `settings.http_attempts` times, and retried only where that
    can help. `headers` are secrets.
    """

    def __init__(
        self,
        dialect: Dialect,
        settings: Settings,
        *,
        interval_seconds: float = 0.0,
        sleep: Callable[[float], None] = time.sleep,
        budget: CallBudget | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._dialect = dialect
        self._budget = budget or CallBudget(dialect.name, CallLimits(), Timing(sleep=sleep))
        self._headers = dict(headers or {})
        self._settings = settings
        self._interval = interval_seconds
        self._sleep = sleep
        self._next_request = 0.0
        self._turn = threading.Lock()
        self._data_kind: str | None = None
        # httpx logs each request's full address at INFO, however logging is configured.
        logging.getLogger("httpx").addFilter(_REDACTING)
        self._client = httpx.Client(
            timeout=settings.http_timeout_seconds,
            headers={"user-agent": "energy-demand", "accept": "application/json"},
            follow_redirects=False,
            mounts=dict.fromkeys(LOOPBACK),  # a proxy of the environment's does not reach this machine
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    @property
    def data_kind(self) -> str:
        """`live`, or what the sandbox reports (`recorded`, `synthetic`); known after the first response.

        Raises:
            RuntimeError: no response was received yet.
        """
        if self._data_kind is None:
            raise RuntimeError("no request was made yet, so the kind of data is not known")
        return self._data_kind

    def get_json(self, url: str, params: Sequence[tuple[str, str]], *, weight: float = 1.0) -> Any:
        """The parsed JSON body of a GET, which counts as `weight` calls.

        Raises:
            UpstreamError: after the last try, or at once where another try cannot help.
        """
        return self._within_limits(lambda: self._tried(url, params, self._json, weight=weight))

    def get_stream(
        self, url: str, read: Callable[[Iterator[bytes]], T], params: Sequence[tuple[str, str]] = ()
    ) -> T:
        """The result of `read` on the body of a GET, which is never in memory as a whole.

        As `get_dated`, without the time.
        """
        return self.get_dated(url, read, params)[0]

    def get_dated(
        self, url: str, read: Callable[[Iterator[bytes]], T], params: Sequence[tuple[str, str]] = ()
    ) -> tuple[T, datetime | None]:
        """The result of `read` on the body of a GET, and when the server says that it was last modified.

        Args:
            url: the address.
            read: gets the body in pieces of at most `STREAM_BYTES`, from the start at each try. It raises
                BodyError if the body is not what it should be.
            params: as in `get_json`.

        Raises:
            UpstreamError: after the last try, or at once where another try cannot help.
        """

        def understand(
            response: httpx.Response, asked: str, secrets: Sequence[str]
        ) -> tuple[T, datetime | None]:
            if response.status_code != httpx.codes.OK:
                response.read()
                fault = self._fault(response.status_code, _without(secrets, response.content))
                fault = fault or Fault("no content", retry=False)
                raise self._refusal(response, fault, asked, secrets)
            try:
                result = read(response.iter_bytes(STREAM_BYTES))
            except BodyError as error:
                refused = Fault(str(error), retry=error.retry)
            else:
                self._note_kind(response.headers.get(SANDBOX_HEADER, LIVE))
                return result, _last_modified(response)
            # Raised here so that the reader's error, which may quote the body, is not chained to it.
            raise self._refusal(response, refused, asked, secrets)

        return self._within_limits(lambda: self._tried(url, params, understand, accept="*/*"))

    def _within_limits(self, ask: Callable[[], T]) -> T:
        """The result of `ask`, which is asked again in the upstream's next window where it refused."""
        for refusal in range(MOST_REFUSALS + 1):
            try:
                return ask()
            except UpstreamError as error:
                if error.fault is None or error.fault.used_up is None or refusal == MOST_REFUSALS:
                    raise
                self._budget.used_up(error.fault.used_up)
        raise AssertionError("the last refusal is raised")

    def _tried(
        self,
        url: str,
        params: Sequence[tuple[str, str]],
        understand: Callable[[httpx.Response, str, Sequence[str]], T],
        accept: str = "application/json",
        weight: float = 1.0,
    ) -> T:
        for attempt in stamina.retry_context(
            on=_retry_decision,
            attempts=self._settings.http_attempts,
            timeout=None,
            wait_initial=self._settings.http_backoff_seconds,
            wait_jitter=self._settings.http_backoff_seconds,
            wait_max=MAX_BACKOFF_SECONDS,
        ):
            with attempt:
                return self._ask(url, params, understand, accept, weight)
        raise AssertionError("stamina returns a result or raises")

    def _ask(
        self,
        url: str,
        params: Sequence[tuple[str, str]],
        understand: Callable[[httpx.Response, str, Sequence[str]], T],
        accept: str,
        weight: float,
    ) -> T:
        asked = describe(url, params)
        secrets = [value for name, value in params if name.lower() in SECRET_PARAMS and value]
        secrets += self._headers.values()
        query = httpx.QueryParams(list(params))
        try:
            counted_at = self._budget.reserve(weight)
        except DailyLimitError as error:
            raise self._error(asked, str(error), fault=Fault(str(error), retry=False)) from None
        self._keep_pace()
        began = time.monotonic()
        try:
            with self._client.stream(
                "GET", url, params=query, headers={**self._headers, "accept": accept}
            ) as response:
                try:
                    return understand(response, asked, secrets)
                except UpstreamError:
                    if response.status_code != httpx.codes.OK:
                        self._budget.give_back(weight - ERROR_WEIGHT, counted_at)
                    raise
                finally:
                    logger.debug("%s %s in %.3f s", response.status_code, asked, time.monotonic() - began)
        except httpx.TimeoutException:
            seconds = self._settings.http_timeout_seconds
            raise self._error(asked, f"no response within {seconds:g} s", retry=True) from None
        except httpx.RequestError as error:
            # `from None`: the httpx error holds the request, and with it the key.
            reason = f"cannot be reached ({type(error).__name__}: {error})"
            raise self._error(asked, reason, retry=True) from None
        except httpx.InvalidURL as error:
            raise self._error(asked, f"not a valid address ({error})") from None

    def _json(self, response: httpx.Response, asked: str, secrets: Sequence[str]) -> Any:
        response.read()
        body = _without(secrets, response.content)
        parsed = _parsed(body)
        fault = self._fault(response.status_code, body)
        if fault:
            raise self._refusal(response, fault, asked, secrets)
        self._note_kind(response.headers.get(SANDBOX_HEADER, LIVE))
        return parsed

    def _fault(self, status: int, body: bytes) -> Fault | None:
        parsed = _parsed(body)
        understood = body.decode("utf-8", "replace") if parsed is None else parsed
        return self._dialect.fault(status, understood) or _plain_fault(status, body, parsed)

    def _refusal(
        self, response: httpx.Response, fault: Fault, asked: str, secrets: Sequence[str]
    ) -> UpstreamError:
        reason = fault.reason
        for secret in secrets:  # a streamed body is not redacted before it is read
            reason = reason.replace(secret, REDACTED)
        return self._error(
            asked,
            reason,
            status=response.status_code,
            retry=fault.retry,
            retry_after=_retry_after(response),
            fault=fault,
        )

    def _error(self, asked: str, reason: str, **facts: Any) -> UpstreamError:
        return UpstreamError(self._dialect.name, asked, reason, **facts)

    def _note_kind(self, kind: str) -> None:
        if self._data_kind not in (None, kind):
            raise DataKindError(
                f"{self._dialect.name} switched from {self._data_kind} to {kind} data within a run; this "
                "page was not stored. Check the addresses and run again"
            )
        self._data_kind = kind

    def _keep_pace(self) -> None:
        with self._turn:
            wait = self._next_request - time.monotonic()
            if wait > 0:
                self._sleep(wait)
            self._next_request = time.monotonic() + self._interval


class UpstreamClient:
    """The base of all upstream clients: a `with` block that closes the connection."""

    _http: HttpClient

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    @property
    def data_kind(self) -> str:
        """Live, recorded or synthetic; known after the first response."""
        return self._http.data_kind


_REDACTING = RedactingFilter()


def describe(url: str, params: Sequence[tuple[str, str]]) -> str:
    """Address and parameters for a message, without secrets."""
    shown = "&".join(f"{name}={value}" for name, value in params if name.lower() not in SECRET_PARAMS)
    return redact(f"{url}?{shown}" if shown else url)


def _printable(text: str) -> str:
    """The text on one line and of a bounded length: an upstream's words can hold anything."""
    text = " ".join(re.sub(r"[^\S ]|[\x00-\x1f\x7f-\x9f\ud800-\udfff]", " ", text).split())
    return text if len(text) <= LONGEST_REASON else f"{text[:LONGEST_REASON]}…"


def _without(secrets: Sequence[str], body: bytes) -> bytes:
    """The body without secrets, before it is parsed: EIA repeats the key in its bodies."""
    for secret in secrets:
        body = body.replace(secret.encode(), REDACTED.encode())
    return body


def _parsed(body: bytes) -> Any:
    """The parsed JSON body, or None if it is not JSON."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):  # also a number of thousands of digits, and brackets without end
        return None


def _plain_fault(status: int, body: bytes, parsed: Any) -> Fault | None:
    if status == httpx.codes.OK and parsed is not None:
        return None
    excerpt = " ".join(body.decode("utf-8", "replace")[:120].split()) or "empty body"
    if status == httpx.codes.OK:
        return Fault(f"the response is not complete JSON ({excerpt!r})", retry=True)
    return Fault(excerpt, retry=status == httpx.codes.TOO_MANY_REQUESTS or status >= 500)


def _retry_after(response: httpx.Response) -> float | None:
    text = response.headers.get("retry-after", "")
    return min(float(text), MAX_RETRY_AFTER_SECONDS) if text.isdigit() else None


def _last_modified(response: httpx.Response) -> datetime | None:
    """The time of `Last-Modified` in UTC; None without one, or where it cannot be read."""
    try:
        return to_utc(parsedate_to_datetime(response.headers.get("last-modified", "")))
    except (ValueError, OverflowError):
        return None


def _retry_decision(error: Exception) -> bool | float:
    if not isinstance(error, UpstreamError) or not error.retry:
        return False
    return error.retry_after if error.retry_after is not None else True
