"""The one HTTP client: retries, pacing, typed errors, redaction.

An upstream speaks a `Dialect`: it alone knows what its error bodies mean. No message, exception or log
record of this module carries a key, a header or a request's echo.
"""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self

import httpx
import stamina

from energy_demand.errors import UserError
from energy_demand.logs import REDACTED, RedactingFilter, redact

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from energy_demand.config import Settings


SANDBOX_HEADER = "x-sandbox-data"
LIVE = "live"
MAX_RETRY_AFTER_SECONDS = 60.0
MAX_BACKOFF_SECONDS = 30.0
SECRET_PARAMS = frozenset({"api_key", "apikey"})

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fault:
    """What an answer says went wrong; `retry` tells whether asking again can help."""

    reason: str
    retry: bool


class Dialect(Protocol):
    """How one upstream says that something went wrong."""

    name: str

    def fault(self, status: int, body: Any) -> Fault | None:
        """The fault in an answer with this status and parsed body (None: not JSON), or None."""


class UpstreamError(UserError, RuntimeError):
    """An upstream did not give what was asked.

    Attributes:
        source: the upstream's name.
        asked: the address and parameters, without secrets.
        reason: what came back.
        status: the HTTP status, or None where no answer came.
        retry: whether asking again could have helped.
        retry_after: seconds the upstream asks to wait, or None.
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
    ) -> None:
        self.source = source
        self.asked = asked
        self.reason = redact(reason)
        self.status = status
        self.retry = retry
        self.retry_after = retry_after
        answer = f"HTTP {status}: {self.reason}" if status else self.reason
        super().__init__(f"{source}: {answer} (asked {asked})")


class DataKindError(UserError, RuntimeError):
    """One upstream's answers change between live, recorded and synthetic data in the middle of a run."""


class HttpClient:
    """Asks one upstream, over one kept connection, no faster than its pace.

    Invariants: at least `interval_seconds` pass between two requests; a request is tried at most
    `settings.http_attempts` times, and again only where that can help.
    """

    def __init__(
        self,
        dialect: Dialect,
        settings: Settings,
        *,
        interval_seconds: float = 0.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._dialect = dialect
        self._settings = settings
        self._interval = interval_seconds
        self._sleep = sleep
        self._next_request = 0.0
        self._data_kind: str | None = None
        # httpx logs each request's full address at INFO, whoever set up the logging.
        logging.getLogger("httpx").addFilter(_REDACTING)
        self._client = httpx.Client(
            timeout=settings.http_timeout_seconds,
            headers={"user-agent": "energy-demand", "accept": "application/json"},
            follow_redirects=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()

    @property
    def data_kind(self) -> str:
        """`live`, or what a sandbox says it serves (`recorded`, `synthetic`); known after an answer.

        Raises:
            RuntimeError: nothing has been answered yet.
        """
        if self._data_kind is None:
            raise RuntimeError("nothing has been asked yet, so the kind of data is not known")
        return self._data_kind

    def get_json(self, url: str, params: Sequence[tuple[str, str]]) -> Any:
        """The parsed JSON body of a GET.

        Raises:
            UpstreamError: after the last try, or at once where asking again cannot help.
        """
        for attempt in stamina.retry_context(
            on=_retry_decision,
            attempts=self._settings.http_attempts,
            timeout=None,
            wait_initial=self._settings.http_backoff_seconds,
            wait_jitter=self._settings.http_backoff_seconds,
            wait_max=MAX_BACKOFF_SECONDS,
        ):
            with attempt:
                return self._ask(url, params)
        raise AssertionError("stamina ends with a result or an error")

    def _ask(self, url: str, params: Sequence[tuple[str, str]]) -> Any:
        asked = describe(url, params)
        secrets = [value for name, value in params if name.lower() in SECRET_PARAMS and value]
        self._keep_pace()
        try:
            response = self._client.get(url, params=httpx.QueryParams(list(params)))
        except httpx.TimeoutException:
            seconds = self._settings.http_timeout_seconds
            raise self._error(asked, f"no answer within {seconds:g} s", retry=True) from None
        except httpx.RequestError as error:
            # `from None`: the httpx error holds the request, and with it the key.
            reason = f"cannot be reached ({type(error).__name__}: {error})"
            raise self._error(asked, reason, retry=True) from None
        except httpx.InvalidURL as error:
            raise self._error(asked, f"no such address ({error})") from None
        logger.debug("%s %s in %.3f s", response.status_code, asked, response.elapsed.total_seconds())
        return self._read(response, asked, secrets)

    def _read(self, response: httpx.Response, asked: str, secrets: Sequence[str]) -> Any:
        status = response.status_code
        try:
            body = response.json()
        except (json.JSONDecodeError, UnicodeDecodeError):
            body = None
        fault = self._dialect.fault(status, body) or _plain_fault(response, body)
        if fault:
            reason = fault.reason
            for secret in secrets:  # EIA repeats the key in its bodies, in whatever form
                reason = reason.replace(secret, REDACTED)
            raise self._error(
                asked, reason, status=status, retry=fault.retry, retry_after=_retry_after(response)
            )
        self._note_kind(response.headers.get(SANDBOX_HEADER, LIVE))
        return body

    def _error(self, asked: str, reason: str, **facts: Any) -> UpstreamError:
        return UpstreamError(self._dialect.name, asked, reason, **facts)

    def _note_kind(self, kind: str) -> None:
        if self._data_kind not in (None, kind):
            raise DataKindError(
                f"{self._dialect.name} served {self._data_kind} data and now {kind} data; nothing of this "
                "page was kept. Check the addresses and run again"
            )
        self._data_kind = kind

    def _keep_pace(self) -> None:
        wait = self._next_request - time.monotonic()
        if wait > 0:
            self._sleep(wait)
        self._next_request = time.monotonic() + self._interval


_REDACTING = RedactingFilter()


def describe(url: str, params: Sequence[tuple[str, str]]) -> str:
    """Address and parameters for a message, secrets left out."""
    shown = "&".join(f"{name}={value}" for name, value in params if name.lower() not in SECRET_PARAMS)
    return redact(f"{url}?{shown}" if shown else url)


def _plain_fault(response: httpx.Response, body: Any) -> Fault | None:
    status = response.status_code
    if status == httpx.codes.OK and body is not None:
        return None
    excerpt = " ".join(response.text[:120].split()) or "empty body"
    if status == httpx.codes.OK:
        return Fault(f"no complete JSON came ({excerpt!r})", retry=True)
    return Fault(excerpt, retry=status == httpx.codes.TOO_MANY_REQUESTS or status >= 500)


def _retry_after(response: httpx.Response) -> float | None:
    text = response.headers.get("retry-after", "")
    return min(float(text), MAX_RETRY_AFTER_SECONDS) if text.isdigit() else None


def _retry_decision(error: Exception) -> bool | float:
    if not isinstance(error, UpstreamError) or not error.retry:
        return False
    return error.retry_after if error.retry_after is not None else True
