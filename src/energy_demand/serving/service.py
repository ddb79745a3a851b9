"""What a serving process is made of, started and stopped together. No HTTP in here."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import orjson

from energy_demand.database.engine import Database, open_database
from energy_demand.errors import UserError
from energy_demand.monitoring.prometheus_metrics import ServingMetrics
from energy_demand.registry.local_cache import ChampionCache
from energy_demand.registry.registry import Registry
from energy_demand.serving.forecasts import STATEMENT_SECONDS, Forecasts
from energy_demand.serving.http.answers import NotReadyError, read_body
from energy_demand.serving.model_holder import ModelHolder, ReloadInProgressError, ServedModel
from energy_demand.serving.prediction_log import PredictionLog
from energy_demand.serving.predictions import Answerer
from energy_demand.serving.request_log import FLUSH_SECONDS, RequestLog
from energy_demand.serving.retention import archive_predictions
from energy_demand.serving.schemas import Batch
from energy_demand.serving.spool import Spool
from energy_demand.serving.work import WorkThread

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date

    from energy_demand.config import Settings
    from energy_demand.jobs.operator_combination import CombinedForecast
    from energy_demand.serving.schemas import FeatureRow, Prediction

FORECASTS_WAITING = 8
BATCHES_WAITING = 4
GAUGES_SECONDS = 1.0
ARCHIVE_SECONDS = 3600.0
FIRST_LOOK_SECONDS = 15.0
SOURCE = "request"

_log = logging.getLogger(__name__)


class Service:
    """One serving process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.metrics = ServingMetrics()
        self.models = ModelHolder(
            Registry(settings), ChampionCache(settings.models_folder), _clock, settings.region
        )
        self.requests = RequestLog(self.metrics, lambda: self.models.version)
        spool = Spool(settings.home / "spool", settings.prediction_spool_mb << 20)
        self.log = PredictionLog(spool, self._open_database)
        self._answerer = Answerer(settings, self.log, _clock)
        self._forecasts = Forecasts(settings)
        self._forecast_thread = WorkThread("forecast", FORECASTS_WAITING)
        self._batch_thread = WorkThread("batch", BATCHES_WAITING)
        self._stopping, self._looked = threading.Event(), threading.Event()
        self._followers = [
            self._repeat("model-watch", settings.model_watch_seconds, self._follow_alias),
            self._repeat("request-log", FLUSH_SECONDS, self.requests.flush),
            self._repeat("gauges", GAUGES_SECONDS, self._show),
        ]
        if settings.prediction_log_retention_days is not None:
            self._followers.append(self._repeat("archive", ARCHIVE_SECONDS, self._archive))
        self._shown = (0, 0)
        self._newest_mwh: float | None = None

    def start(self) -> None:
        """Begin to log, and look for the champion; waits for the first look, but not for long.

        A worker that joins others takes no request before it has a model, if one can be had; without one it
        starts all the same and says 503.
        """
        self.log.start()
        for thread in self._followers:
            thread.start()
        self._looked.wait(FIRST_LOOK_SECONDS)

    def stop(self) -> None:
        """Write every answer down; waits for work that is under way."""
        self._stopping.set()
        for work in (self._forecast_thread, self._batch_thread):
            work.close()
        self.log.close()
        self._forecasts.close()
        self.requests.flush()
        self._show()

    def model(self) -> ServedModel:
        """The model that serves.

        Raises:
            NotReadyError: none does yet.
        """
        model = self.models.served
        if model is None:
            trouble = self.models.problem is not None
            why = "see the service's log" if trouble else "run `energy-demand train` to train one"
            raise NotReadyError(f"no model serves yet; {why}")
        return model

    def predict(self, row: FeatureRow, request_id: str) -> Prediction:
        """Answer one row; for the event loop's thread."""
        answer = self._answerer.one(self.model(), row, request_id)
        self._newest_mwh = answer.predicted_demand_mwh
        return answer

    async def predict_batch(self, body: bytes, request_id: str) -> bytes:
        """Answer a batch, from JSON to JSON.

        Raises:
            BadBodyError: the body is no `Batch`.
        """
        model = self.model()
        answer, lines = await self._batch_thread.run(
            lambda: self._answerer.many(model, read_body(Batch, body), request_id)
        )
        self.log.add(lines)
        return answer

    async def forecast(
        self, request_id: str, *, hours: int | None, day: date | str | None
    ) -> CombinedForecast:
        """The best forecast of the next hours or of a whole day.

        Raises:
            ForecastError: the hours cannot be forecast.
            NoForecastError: no rung of the ladder could answer.
            DatabaseUnavailableError: the database is away and nothing was read of it before.
        """
        issued_at, model = self._settings.present(), self.models.served

        def work() -> tuple[CombinedForecast, list[bytes]]:
            forecast = self._forecasts.make(model, issued_at, hours=hours, day=day)
            rows = forecast.ours.log_rows(SOURCE, request_id, _clock(), self._settings.region.respondent)
            return forecast, [orjson.dumps(row) for row in rows]

        forecast, lines = await self._forecast_thread.run(work)
        self.log.add(lines)
        self.metrics.forecasts.labels(forecast.ours.quality).inc()
        self._newest_mwh = forecast.ours.peak["predicted_demand_mwh"]
        return forecast

    async def reload(self) -> tuple[ServedModel, str | None]:
        """Let the present champion serve; see `ModelHolder.reload`."""
        outcome = "failed"
        try:
            served, replaced = await asyncio.to_thread(self.models.reload)
            outcome = "same" if replaced is None else "replaced"
        except ReloadInProgressError:
            outcome = "busy"
            raise
        finally:
            self.metrics.reloads.labels(outcome).inc()
            self._show_version()
        return served, replaced

    def _repeat(self, name: str, seconds: float, work: Callable[[], None]) -> threading.Thread:
        def loop() -> None:
            while True:
                try:
                    work()
                except Exception:  # noqa: BLE001
                    # A follower that ends would leave the process on an old model without a word.
                    _log.exception("%s failed; retrying", name)
                if self._stopping.wait(seconds):
                    return

        return threading.Thread(target=loop, name=name, daemon=True)

    def _follow_alias(self) -> None:
        first = self.models.served is None
        try:
            if self.models.look():
                if first:
                    # What was made until now stays: the collector need not go through it again and again.
                    gc.collect()
                    gc.freeze()
                self.metrics.reloads.labels("followed").inc()
        finally:
            self._looked.set()
        self._show_version()

    def _show_version(self) -> None:
        model = self.models.served
        if model is not None:
            self.metrics.model_version.set(float(model.version))
        self.metrics.model_problem.set(0 if self.models.problem is None else 1)

    def _show(self) -> None:
        """Bring the gauges up to date: once a second, not once a request."""
        if self._newest_mwh is not None:
            self.metrics.predicted_demand.set(self._newest_mwh)
        self.metrics.spool_bytes.set(self.log.spool_bytes())
        self.metrics.in_memory.set(self.log.in_memory)
        written, dropped = self.log.written, self.log.dropped
        self.metrics.logged.inc(written - self._shown[0])
        self.metrics.dropped.inc(dropped - self._shown[1])
        self._shown = written, dropped

    def _archive(self) -> None:
        days = self._settings.prediction_log_retention_days
        if days is None:
            return
        try:
            database = open_database(self._settings)
            try:
                folder = self._settings.home / "archive"
                archive_predictions(database, folder, _clock() - timedelta(days=days))
            finally:
                database.close()
        except UserError as error:
            _log.warning("old predictions stay in the database: %s", error)

    def _open_database(self) -> Database:
        return open_database(self._settings, statement_seconds=STATEMENT_SECONDS)


def _clock() -> datetime:
    return datetime.now(UTC)
