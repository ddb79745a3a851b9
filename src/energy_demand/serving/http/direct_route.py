"""A route that passes its request directly to the endpoint.

FastAPI documents it like any other route, but does not parse parameters, which would take as long as the
prediction itself. For endpoints that take only the request and return a response.
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
