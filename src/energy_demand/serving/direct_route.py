"""A route that hands its request to the endpoint as it is.

FastAPI documents it like any other, but does not look for parameters, which would take as long again as the
prediction. For endpoints that take nothing but the request and give a response.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi.routing import APIRoute
from starlette.routing import request_response

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request
    from starlette.responses import Response


class DirectRoute(APIRoute):
    """See the module."""

    def __init__(
        self, path: str, endpoint: Callable[[Request], Awaitable[Response]], **described: Any
    ) -> None:
        super().__init__(path, endpoint, **described)
        self.app = request_response(endpoint)
