"""What is sent, and how the answer is read: shared by both clients, without any I/O."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import httpx
from pydantic import BaseModel, ValidationError
from pydantic_core import to_json

from .answers import Demand, Forecast, Forecasts, Scores
from .errors import AnswerError, ClientError, ServiceError, UnreachableError
from .questions import query
from .types import Health, ModelAnswer, Prediction, Predictions, Problem, Ready

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from .questions import DemandQuestion, ForecastQuestion, ForecastsQuestion, ScoresQuestion
    from .types import FeatureRow

T = TypeVar("T", bound=BaseModel)

# The service itself gives up after 10 s, and after 120 s with an export, which comes in pieces.
SECONDS = httpx.Timeout(30.0, connect=5.0)
ATTEMPTS = 4
LONGEST_WAIT = 30.0
# Another try can help: too busy, restarting, or too slow for once.
PASSING = frozenset({429, 502, 503, 504})
FORMATS = ("csv", "parquet", "arrow", "json")
LOOPBACK = ("all://127.0.0.1", "all://localhost", "all://[::1]")


@dataclass(frozen=True)
class Call(Generic[T]):
    """A request, and the type of its answer; only safe reads are tried again."""

    answer: type[T]
    path: str
    params: Mapping[str, str | list[str]] = field(default_factory=dict)
    body: bytes | None = None
    repeatable: bool = True

    @property
    def request(self) -> dict[str, Any]:
        """The arguments of httpx."""
        asked: dict[str, Any] = {"method": "GET", "url": self.path, "params": self.params}
        if self.body is None:
            return asked
        return {
            **asked,
            "method": "POST",
            "content": self.body,
            "headers": {"content-type": "application/json"},
        }

    def read(self, response: httpx.Response) -> T:
        """The typed answer.

        Raises:
            ServiceError: the service refused.
            AnswerError: the answer cannot be read.
        """
        check(response)
        try:
            return self.answer.model_validate_json(response.content)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"])) or "the body"
            raise AnswerError(
                f"{response.url.path} did not answer as this client expects ({place}: {first['msg']}); check "
                "the address, and that client and service have the same version"
            ) from None


def forecast(question: ForecastQuestion) -> Call[Forecast]:
    """`GET /forecast`."""
    return Call(Forecast, "forecast", query(question))


def forecasts(question: ForecastsQuestion) -> Call[Forecasts]:
    """`GET /forecasts`."""
    return Call(Forecasts, "forecasts", _as_json(question))


def demand(question: DemandQuestion) -> Call[Demand]:
    """`GET /demand`."""
    return Call(Demand, "demand", _as_json(question))


def scores(question: ScoresQuestion) -> Call[Scores]:
    """`GET /scores`."""
    return Call(Scores, "scores", _as_json(question))


def model(region: str | None) -> Call[ModelAnswer]:
    """`GET /model`."""
    return Call(ModelAnswer, "model", query({"region": region}))


def predict(row: FeatureRow | Mapping[str, Any], region: str | None) -> Call[Prediction]:
    """`POST /predict`."""
    return Call(Prediction, "predict", query({"region": region}), to_json(_plain(row)), repeatable=False)


def predict_batch(rows: Iterable[FeatureRow | Mapping[str, Any]], region: str | None) -> Call[Predictions]:
    """`POST /predict/batch`."""
    body = to_json({"rows": [_plain(row) for row in rows]})
    return Call(Predictions, "predict/batch", query({"region": region}), body, repeatable=False)


def health() -> Call[Health]:
    """`GET /health`; whoever asks wants to know how it is now."""
    return Call(Health, "health", repeatable=False)


def ready() -> Call[Ready]:
    """`GET /ready`; likewise."""
    return Call(Ready, "ready", repeatable=False)


def saved_as(file: str | Path, question: Mapping[str, Any]) -> tuple[Path, dict[str, str | list[str]]]:
    """The file of an export and its parameters; the name's ending is the format.

    Raises:
        ClientError: there is no such format.
    """
    path = Path(file)
    suffix = path.suffix.removeprefix(".").lower()
    if suffix not in FORMATS:
        raise ClientError(f"{path.name} must end in one of .{', .'.join(FORMATS)}; nothing was written")
    return path, {**query(question), "format": suffix}


def check(response: httpx.Response) -> None:
    """Refuse an answer that is a failure; its body has been read.

    Raises:
        ServiceError: with the service's own words.
    """
    if response.is_success:
        return
    wait = response.headers.get("retry-after", "")
    after = float(wait) if wait.isdecimal() else None
    try:
        problem = Problem.model_validate_json(response.content)
    except ValidationError:  # of a proxy, or of another service
        where = response.headers.get("location")
        detail = f"{response.reason_phrase or 'refused'}{f'; it redirects to {where}' if where else ''}"
        raise ServiceError(response.status_code, detail, retry_after=after) from None
    raise ServiceError(
        response.status_code,
        problem.detail,
        fields=problem.errors,
        request_id=problem.request_id,
        retry_after=after,
    )


@contextmanager
def plain_errors(url: httpx.URL) -> Iterator[None]:
    """Failures of the connection as one error, without httpx's own, which holds the key.

    Raises:
        UnreachableError: there was one.
    """
    try:
        yield
    except httpx.HTTPError as error:
        place, reason = url.copy_with(userinfo=b""), str(error) or type(error).__name__
        raise UnreachableError(
            f"{place} cannot be reached, or broke off ({reason}); check that the service runs"
        ) from None


def may_help(error: Exception) -> bool | float:
    """Whether to try again; or after how many seconds."""
    if isinstance(error, ServiceError) and error.status in PASSING:
        return True if error.retry_after is None else min(error.retry_after, LONGEST_WAIT)
    return isinstance(error, UnreachableError)


def retries(attempts: int, *, repeatable: bool = True) -> dict[str, Any]:
    """The arguments of stamina."""
    return {
        "on": may_help,
        "attempts": attempts if repeatable else 1,
        "timeout": None,
        "wait_max": LONGEST_WAIT,
    }


def connection(
    url: str, api_key: str | None, timeout: float | httpx.Timeout | None, attempts: int
) -> dict[str, Any]:
    """The arguments of httpx's clients.

    Raises:
        ClientError: the address or the number of attempts cannot be used.
    """
    if attempts < 1:
        raise ClientError(f"attempts must be at least 1; got {attempts}")
    try:
        base = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ClientError(f"the address is not valid ({error})") from None
    if base.scheme not in {"http", "https"} or not base.host:
        raise ClientError(f"{base!r} is not the address of a service; expected e.g. http://127.0.0.1:8000")
    key = {} if api_key is None else {"X-API-Key": api_key}
    return {
        "base_url": base,
        "headers": {"accept": "application/json", "user-agent": "energy-demand-client", **key},
        "timeout": SECONDS if timeout is None else timeout,
        "follow_redirects": False,  # a redirect would carry the key elsewhere
        # A proxy of the environment's does not reach this machine.
        "mounts": dict.fromkeys(LOOPBACK),
    }


def _as_json(question: Mapping[str, Any]) -> dict[str, str | list[str]]:
    return {**query(question), "format": "json"}


def _plain(row: FeatureRow | Mapping[str, Any]) -> Any:
    return row.model_dump(exclude_unset=True) if isinstance(row, BaseModel) else dict(row)
