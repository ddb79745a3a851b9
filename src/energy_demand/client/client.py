"""The client for ordinary code; `async_client` is the same for asyncio."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

import httpx
import stamina
from pydantic import BaseModel

from . import calls

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path
    from typing import Unpack

    from .answers import Demand, Forecast, Forecasts, Scores
    from .calls import Call
    from .questions import (
        DemandQuestion,
        Export,
        ForecastQuestion,
        ForecastsQuestion,
        SavedQuestion,
        ScoresQuestion,
    )
    from .types import FeatureRow, Health, ModelAnswer, Prediction, Predictions, Ready

T = TypeVar("T", bound=BaseModel)


class Page(Protocol):
    """An answer that may have a next page."""

    @property
    def next(self) -> str | None:
        """The cursor to it."""


P = TypeVar("P", bound=Page)


class Client:
    """Asks a running service, over connections that are kept; close it, or use `with`. Threads may share it.

    Reads are tried again where that can help: no connection, 429, 502, 503, 504; `Retry-After` is obeyed.

    Args:
        url: where the service is, such as `http://127.0.0.1:8000`; a path before its routes is kept.
        api_key: what the service has as `API_KEY`.
        timeout: seconds without a byte; by default 30, and 5 to connect.
        attempts: how often a read is tried.

    Every call raises `ServiceError` with the service's own words, `UnreachableError` or `AnswerError`; all of
    them are `ClientError`.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        timeout: float | httpx.Timeout | None = None,
        attempts: int = calls.ATTEMPTS,
    ) -> None:
        self._http = httpx.Client(**calls.connection(url, api_key, timeout, attempts))
        self._attempts = attempts

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def forecast(self, **question: Unpack[ForecastQuestion]) -> Forecast:
        """The next `hours` (24 by default) or a local `day`, issued now."""
        return self._send(calls.forecast(question))

    def forecasts(self, **question: Unpack[ForecastsQuestion]) -> Forecasts:
        """Logged forecasts with the demand and the error of their hours; all, or a page with `limit`."""
        return self._send(calls.forecasts(question))

    def demand(self, **question: Unpack[DemandQuestion]) -> Demand:
        """Hourly demand with the flags of screening; all, or a page with `limit`."""
        return self._send(calls.demand(question))

    def scores(self, **question: Unpack[ScoresQuestion]) -> Scores:
        """Errors of the scheduled forecasts by day, version or quality; all, or a page with `limit`."""
        return self._send(calls.scores(question))

    def pages(self, ask: Callable[..., P], *, limit: int = 10_000, **question: Any) -> Iterator[P]:
        """The pages of an export, such as `client.pages(client.forecasts, days_ahead=1)`."""
        cursor = None
        while True:
            page = ask(**question, limit=limit, cursor=cursor)
            yield page
            cursor = page.next
            if cursor is None:
                return

    def save(self, export: Export, file: str | Path, **question: Unpack[SavedQuestion]) -> Path:
        """Write a whole export to a file, piece by piece; it takes its name only when it is whole.

        Args:
            export: which one.
            file: its ending is the format: .csv, .parquet, .arrow (an IPC stream) or .json.
            question: the parameters of that export.
        """
        path, params = calls.saved_as(file, question)
        part = path.with_name(f".{path.name}.part")
        try:
            for attempt in stamina.retry_context(**calls.retries(self._attempts)):
                with (
                    attempt,
                    calls.plain_errors(self._http.base_url),
                    self._http.stream("GET", export, params=params) as response,
                ):
                    if not response.is_success:
                        response.read()
                    calls.check(response)
                    with part.open("wb") as written:
                        for piece in response.iter_bytes():
                            written.write(piece)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        return path

    def model(self, *, region: str | None = None) -> ModelAnswer:
        """The model that serves."""
        return self._send(calls.model(region))

    def predict(self, row: FeatureRow | Mapping[str, Any], *, region: str | None = None) -> Prediction:
        """The demand of one hour from its base columns; not tried again."""
        return self._send(calls.predict(row, region))

    def predict_batch(
        self, rows: Iterable[FeatureRow | Mapping[str, Any]], *, region: str | None = None
    ) -> Predictions:
        """Likewise of up to 10,000 rows."""
        return self._send(calls.predict_batch(rows, region))

    def health(self) -> Health:
        """Whether the process is alive; not tried again."""
        return self._send(calls.health())

    def ready(self) -> Ready:
        """Whether a model serves; not tried again. While none does, a `ServiceError` with `status` 503."""
        return self._send(calls.ready())

    def _send(self, call: Call[T]) -> T:
        for attempt in stamina.retry_context(**calls.retries(self._attempts, repeatable=call.repeatable)):
            with attempt, calls.plain_errors(self._http.base_url):
                return call.read(self._http.request(**call.request))
        raise AssertionError("stamina returns a result or raises")
