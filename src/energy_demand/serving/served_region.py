"""What a serving process has of one region: its model, its answers to rows, and its forecasts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from energy_demand.config import FIRST_REGION
from energy_demand.registry.local_cache import ChampionCache
from energy_demand.registry.registry import Registry
from energy_demand.serving.forecasts import Forecasts
from energy_demand.serving.http.answers import NotReadyError
from energy_demand.serving.model_holder import ModelHolder
from energy_demand.serving.predictions import Answerer

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from energy_demand.config import Settings
    from energy_demand.serving.model_holder import ServedModel
    from energy_demand.serving.prediction_log import PredictionLog


class ServedRegion:
    """One region.

    Args:
        settings: the region's.
        log: where each prediction goes.
        clock: when an answer was made.
    """

    def __init__(self, settings: Settings, log: PredictionLog, clock: Callable[[], datetime]) -> None:
        self.settings = settings
        self.code, self.model_name = settings.eia_region, settings.model_name
        self.models = ModelHolder(
            Registry(settings), ChampionCache(settings.models_folder), clock, settings.region
        )
        self.answerer = Answerer(settings, log, clock)
        self.forecasts = Forecasts(settings)
        self.newest_mwh: float | None = None

    def model(self) -> ServedModel:
        """The model that serves.

        Raises:
            NotReadyError: none does yet.
        """
        model = self.models.served
        if model is None:
            trouble = self.models.problem is not None
            why = "see the service's log" if trouble else "run `energy-demand train` to train one"
            of = "" if self.code == FIRST_REGION else f" of {self.code}"
            raise NotReadyError(f"no model{of} serves yet; {why}")
        return model
