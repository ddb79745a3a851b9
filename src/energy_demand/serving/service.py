"""What a serving process is made of, started and stopped together. No HTTP in here."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import orjson

from energy_demand.by_region import by_region
from energy_demand.code_identity import code_identity
from energy_demand.database.engine import Database, open_database
from energy_demand.errors import UserError
from energy_demand.monitoring.prometheus_metrics import ServingMetrics
from energy_demand.serving.exports import Exports
from energy_demand.serving.forecasts import STATEMENT_SECONDS
from energy_demand.serving.http.answers import BadFieldError, NotReadyError, read_body
from energy_demand.serving.model_holder import ReloadInProgressError
from energy_demand.serving.peaks import Peaks
from energy_demand.serving.prediction_log import PredictionLog
from energy_demand.serving.request_log import FLUSH_SECONDS, RequestLog
from energy_demand.serving.retention import archive_predictions
from energy_demand.serving.schemas import Batch
from energy_demand.serving.served_region import ServedRegion
from energy_demand.serving.spool import Spool
from energy_demand.serving.work import WorkThread

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date

    from energy_demand.config import Settings
    from energy_demand.jobs.operator_combination import CombinedForecast
    from energy_demand.jobs.scenarios import BesideScenario
    from energy_demand.model.scenarios.changes import Scenario
    from energy_demand.serving.model_holder import ModelHolder, ServedModel
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
        self.metrics = ServingMetrics(settings.regions)
        self.requests = RequestLog(self.metrics, lambda: self.models.version)
        spool = Spool(settings.home / "spool", settings.prediction_spool_mb << 20)
        self.log = PredictionLog(spool, self._open_database)
        self._default = ServedRegion(settings, self.log, _clock)
        others = by_region(settings, settings.regions[1:], lambda of: ServedRegion(of, self.log, _clock))
        self.regions = {self._default.code: self._default, **others.done}
        self._unusable = others.failed
        for code, reason in self._unusable.items():
            _log.error("%s is not served: %s", code, reason)
            self.metrics.model_problem.labels(code).set(1)
        self._forecast_thread = WorkThread("forecast", FORECASTS_WAITING)
        self._batch_thread = WorkThread("batch", BATCHES_WAITING)
        self.exports = Exports(settings)
        self.peaks = Peaks(settings)
        self._stopping, self._looked = threading.Event(), threading.Event()
        self._followers = [
            self._repeat("model-watch", settings.model_watch_seconds, self._follow_alias),
            self._repeat("request-log", FLUSH_SECONDS, self.requests.flush),
            self._repeat("gauges", GAUGES_SECONDS, self._show),
        ]
        if settings.prediction_log_retention_days is not None:
            self._followers.append(self._repeat("archive", ARCHIVE_SECONDS, self._archive))
        self._shown = (0, 0)

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
        self.exports.close()
        self.peaks.close()
        self.log.close()
        for served in self.regions.values():
            served.forecasts.close()
        self.requests.flush()
        self._show()

    @property
    def models(self) -> ModelHolder:
        """The model of the default region."""
        return self._default.models

    @models.setter
    def models(self, models: ModelHolder) -> None:
        self._default.models = models

    def of(self, region: str | None) -> ServedRegion:
        """A region that is served; None: the default one.

        Raises:
            BadFieldError: it is not among EIA_REGIONS.
            NotReadyError: it is, and cannot be used.
        """
        if region is None:
            return self._default
        served = self.regions.get(region)
        if served is None:
            if region in self._unusable:
                raise NotReadyError(f"{region} is not served: {self._unusable[region]}")
            raise BadFieldError("region", f"{region} is not served; use {', '.join(self.regions)}")
        return served

    def model(self, region: str | None = None) -> ServedModel:
        """The model that serves a region.

        Raises:
            NotReadyError: none does yet.
            BadFieldError: the region is not served.
        """
        return self.of(region).model()

    def others(self) -> dict[str, str | None]:
        """Which version serves each region but the default one; None: none does."""
        codes = self._settings.regions[1:]
        return {code: self.regions[code].models.version if code in self.regions else None for code in codes}

    def predict(self, row: FeatureRow, request_id: str, region: str | None = None) -> Prediction:
        """Answer one row; for the event loop's thread."""
        served = self.of(region)
        answer = served.answerer.one(served.model(), row, request_id)
        served.newest_mwh = answer.predicted_demand_mwh
        return answer

    async def predict_batch(self, body: bytes, request_id: str, region: str | None = None) -> bytes:
        """Answer a batch, from JSON to JSON.

        Raises:
            BadBodyError: the body is no `Batch`.
        """
        served = self.of(region)
        model = served.model()
        answer, lines = await self._batch_thread.run(
            lambda: served.answerer.many(model, read_body(Batch, body), request_id)
        )
        self.log.add(lines)
        return answer

    async def forecast(
        self, request_id: str, *, hours: int | None, day: date | str | None, region: str | None = None
    ) -> CombinedForecast:
        """The best forecast of the next hours or of a whole day.

        Raises:
            ForecastError: the hours cannot be forecast.
            NoForecastError: no rung of the ladder could answer.
            DatabaseUnavailableError: the database is away and nothing was read of it before.
            BadFieldError: the region is not served.
        """
        served = self.of(region)
        issued_at, model = self._settings.present(), served.models.served

        def work() -> tuple[CombinedForecast, list[bytes]]:
            forecast = served.forecasts.make(model, issued_at, hours=hours, day=day)
            rows = forecast.ours.log_rows(SOURCE, request_id, _clock(), served.code, code_identity())
            return forecast, [orjson.dumps(row) for row in rows]

        forecast, lines = await self._forecast_thread.run(work)
        self.log.add(lines)
        self.metrics.forecasts.labels(served.code, forecast.ours.quality).inc()
        served.newest_mwh = forecast.ours.peak["predicted_demand_mwh"]
        return forecast

    async def scenario(
        self,
        read: Callable[[str], Scenario],
        *,
        hours: int | None,
        day: date | str | None,
        region: str | None = None,
    ) -> BesideScenario:
        """The forecast beside a scenario, which `read` makes for the country of the region; not logged.

        Raises:
            ScenarioError: it cannot be used.
            ForecastError: the hours cannot be forecast, or no whole forecaster answered.
            DatabaseUnavailableError: the database is away and nothing was read of it before.
            BadFieldError: the region is not served.
        """
        served = self.of(region)
        issued_at, model = self._settings.present(), served.models.served
        scenario = read(served.settings.region.country)
        return await self._forecast_thread.run(
            lambda: served.forecasts.beside_scenario(model, issued_at, scenario, hours=hours, day=day)
        )

    async def reload(self, region: str | None = None) -> tuple[ServedModel, str | None]:
        """Let the present champion of a region serve; see `ModelHolder.reload`."""
        served, outcome = self.of(region), "failed"
        try:
            model, replaced = await asyncio.to_thread(served.models.reload)
            outcome = "same" if replaced is None else "replaced"
        except ReloadInProgressError:
            outcome = "busy"
            raise
        finally:
            self.metrics.reloads.labels(served.code, outcome).inc()
            self._show_version(served)
        return model, replaced

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
        """Follow the aliases of all regions, the default one first."""
        for served in self.regions.values():
            try:
                self._follow(served)
            except Exception:  # noqa: BLE001
                _log.exception("the champion of %s could not be followed; retrying", served.code)
            if self._stopping.is_set():
                return

    def _follow(self, served: ServedRegion) -> None:
        first = served.models.served is None
        try:
            if served.models.look():
                if first:
                    # What was made until now stays: the collector need not go through it again and again.
                    gc.collect()
                    gc.freeze()
                self.metrics.reloads.labels(served.code, "followed").inc()
        finally:
            if served is self._default:
                self._looked.set()
        self._show_version(served)

    def _show_version(self, served: ServedRegion) -> None:
        models = served.models
        if models.served is not None:
            self.metrics.model_version.labels(served.code).set(float(models.served.version))
        self.metrics.model_problem.labels(served.code).set(0 if models.problem is None else 1)

    def _show(self) -> None:
        """Bring the gauges up to date: once a second, not once a request."""
        for served in self.regions.values():
            if served.newest_mwh is not None:
                self.metrics.predicted_demand.labels(served.code).set(served.newest_mwh)
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
