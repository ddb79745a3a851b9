"""A client of the HTTP service, sync and async.

    from energy_demand import Client
    with Client("http://127.0.0.1:8000") as client:
        frame = client.forecast(day="tomorrow").to_frame()

Imports nothing from the rest of the package: `clients/python` packs this folder alone, as
`energy_demand_client`. So every import in here is relative, or one of httpx, pydantic and stamina; frames
import pandas when one is asked for.
"""

from __future__ import annotations

from .answers import Demand, Forecast, Forecasts, Scores
from .async_client import AsyncClient
from .client import Client
from .errors import AnswerError, ClientError, ServiceError, UnreachableError
from .types import FeatureRow, Health, ModelAnswer, Prediction, Predictions, Ready

__all__ = [
    "AnswerError",
    "AsyncClient",
    "Client",
    "ClientError",
    "Demand",
    "FeatureRow",
    "Forecast",
    "Forecasts",
    "Health",
    "ModelAnswer",
    "Prediction",
    "Predictions",
    "Ready",
    "Scores",
    "ServiceError",
    "UnreachableError",
]
