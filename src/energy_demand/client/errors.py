"""What a call can raise. No message has the API key."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .types import FieldProblem


class ClientError(Exception):
    """The base of all errors of the client."""


class UnreachableError(ClientError):
    """The service did not answer, or its answer was cut off."""


class AnswerError(ClientError):
    """The answer is none of this service, or of a version that the client does not know."""


class ServiceError(ClientError):
    """The service refused, in its own words.

    Attributes:
        status: the HTTP status.
        detail: the reason, one line.
        fields: each invalid field with a message, where there are any.
        request_id: names the request in the service's log; None where another server answered.
        retry_after: seconds after which to try again, or None.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        fields: Sequence[FieldProblem] = (),
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(f"HTTP {status}: {detail}")
        self.status = status
        self.detail = detail
        self.fields = tuple(fields)
        self.request_id = request_id
        self.retry_after = retry_after
