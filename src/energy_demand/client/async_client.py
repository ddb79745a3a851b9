"""The client for asyncio; `client` has the same calls, with what they mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, TypeVar

import anyio
import httpx
import stamina
from pydantic import BaseModel

from . import calls

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
    from pathlib import Path
    from typing import Unpack

    from .answers import Demand, Forecast, Forecasts, Scores
    from .calls import Call
    from .client import P
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


class AsyncClient:
    """As `Client`: the same arguments, and the same errors. Close it by `aclose`, or use `async with`."""

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        timeout: float | httpx.Timeout | None = None,
        attempts: int = calls.ATTEMPTS,
    ) -> None:
        self._http = httpx.AsyncClient(**calls.connection(url, api_key, timeout, attempts))
        self._attempts = attempts

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def forecast(self, **question: Unpack[ForecastQuestion]) -> Forecast:
        """The next `hours` (24 by default) or a local `day`, issued now."""
        return await self._send(calls.forecast(question))

    async def forecasts(self, **question: Unpack[ForecastsQuestion]) -> Forecasts:
        """Logged forecasts with the demand and the error of their hours; all, or a page with `limit`."""
        return await self._send(calls.forecasts(question))

    async def demand(self, **question: Unpack[DemandQuestion]) -> Demand:
        """Hourly demand with the flags of screening; all, or a page with `limit`."""
        return await self._send(calls.demand(question))

    async def scores(self, **question: Unpack[ScoresQuestion]) -> Scores:
        """Errors of the scheduled forecasts by day, version or quality; all, or a page with `limit`."""
        return await self._send(calls.scores(question))

    async def pages(
        self, ask: Callable[..., Awaitable[P]], *, limit: int = 10_000, **question: Any
    ) -> AsyncIterator[P]:
        """The pages of an export, such as `client.pages(client.forecasts, days_ahead=1)`."""
        cursor = None
        while True:
            page = await ask(**question, limit=limit, cursor=cursor)
            yield page
            cursor = page.next
            if cursor is None:
                return

    async def save(self, export: Export, file: str | Path, **question: Unpack[SavedQuestion]) -> Path:
        """Write a whole export to a file, piece by piece; it takes its name only when it is whole.

        Args:
            export: which one.
            file: its ending is the format: .csv, .parquet, .arrow (an IPC stream) or .json.
            question: the parameters of that export.
        """
        path, params = calls.saved_as(file, question)
        part = path.with_name(f".{path.name}.part")
        try:
            async for attempt in stamina.retry_context(**calls.retries(self._attempts)):
                with attempt, calls.plain_errors(self._http.base_url):
                    async with self._http.stream("GET", export, params=params) as response:
                        if not response.is_success:
                            await response.aread()
                        calls.check(response)
                        async with await anyio.open_file(part, "wb") as written:
                            async for piece in response.aiter_bytes():
                                await written.write(piece)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        return path

    async def model(self, *, region: str | None = None) -> ModelAnswer:
        """The model that serves."""
        return await self._send(calls.model(region))

    async def predict(self, row: FeatureRow | Mapping[str, Any], *, region: str | None = None) -> Prediction:
        """The demand of one hour from its base columns; not tried again."""
        return await self._send(calls.predict(row, region))

    async def predict_batch(
        self, rows: Iterable[FeatureRow | Mapping[str, Any]], *, region: str | None = None
    ) -> Predictions:
        """Likewise of up to 10,000 rows."""
        return await self._send(calls.predict_batch(rows, region))

    async def health(self) -> Health:
        """Whether the process is alive; not tried again."""
        return await self._send(calls.health())

    async def ready(self) -> Ready:
        """Whether a model serves; not tried again. While none does, a `ServiceError` with `status` 503."""
        return await self._send(calls.ready())

    async def _send(self, call: Call[T]) -> T:
        async for attempt in stamina.retry_context(
            **calls.retries(self._attempts, repeatable=call.repeatable)
        ):
            with attempt, calls.plain_errors(self._http.base_url):
                return call.read(await self._http.request(**call.request))
        raise AssertionError("stamina returns a result or raises")
