"""The metrics of a serving process. Names are a contract: dashboards and alerts use them.

With several processes each one writes files into the folder that `config.prepare_serving` names, and the
scraped process sums them. Labels are route templates, so no caller can add a series.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

if TYPE_CHECKING:
    from collections.abc import Iterable

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
UNMATCHED = "unmatched"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Series(NamedTuple):
    """The metrics of one kind of request, cached because looking up labels takes longer than counting."""

    counters: list[Counter]
    latency: Histogram | None


class ServingMetrics:
    """The metrics of one serving process, in a registry of its own; those of the models are there at once."""

    def __init__(self, regions: Iterable[str]) -> None:
        self.registry = CollectorRegistry()

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(name, text, labels, registry=self.registry)

        def gauge(name: str, text: str, *labels: str, mode: str = "livesum") -> Gauge:
            return Gauge(name, text, labels, registry=self.registry, multiprocess_mode=mode)  # type: ignore[arg-type]

        self._prediction_requests = counter(
            "prediction_requests_total", "Prediction and forecast requests, by route template.", "route"
        )
        self._latency = Histogram(
            "prediction_latency_seconds",
            "Latency of prediction and forecast requests, by route template.",
            ("route",),
            buckets=SECONDS,
            registry=self.registry,
        )
        self.predicted_demand = gauge(
            "predicted_demand_mwh",
            "The newest prediction of each region; for a forecast, its peak hour.",
            "region",
            mode="mostrecent",
        )
        self._requests = counter(
            "http_requests_total",
            "Requests by method, route template and status.",
            "method",
            "route",
            "status",
        )
        self._errors = counter(
            "http_request_errors_total",
            "Requests refused or failed, by route template and status.",
            "route",
            "status",
        )
        self.in_flight = gauge("http_requests_in_flight", "Requests in progress.")
        self.forecasts = counter(
            "forecasts_total",
            "Forecasts by region and the model or fallback that made them.",
            "region",
            "quality",
        )
        self.reloads = counter(
            "model_reloads_total", "Model reloads, by region and outcome.", "region", "outcome"
        )
        self.model_version = gauge(
            "model_version",
            "Registered version that serves, by region and process; 0 if none serves.",
            "region",
            mode="liveall",
        )
        self.model_problem = gauge(
            "model_problem",
            "1 while the newest champion is not loaded, by region and process; else 0.",
            "region",
            mode="liveall",
        )
        self.spool_bytes = gauge(
            "prediction_log_spool_bytes",
            "Bytes of predictions on disk that wait for the database.",
            mode="livemax",
        )
        self.in_memory = gauge(
            "prediction_log_in_memory_rows", "Predictions that wait in memory because the disk refused them."
        )
        self.logged = counter("prediction_log_rows_total", "Predictions written to the database.")
        self.dropped = counter("prediction_log_dropped_rows_total", "Predictions dropped from the log.")
        self._series: dict[tuple[str, str, int], Series] = {}
        for region in regions:
            self.model_version.labels(region).set(0)
            self.model_problem.labels(region).set(0)
        self.logged.inc(0)
        self.dropped.inc(0)

    def count(self, method: str, route: str | None, status: int, prediction_seconds: float | None) -> None:
        """Count one answered request.

        Args:
            method: as sent.
            route: the template, None where no route matched.
            status: of the answer.
            prediction_seconds: duration of a prediction; None for other requests.
        """
        key = (method if method in METHODS else "other", route or UNMATCHED, status)
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = self._looked_up(*key, prediction=prediction_seconds is not None)
        for counter in series.counters:
            counter.inc()
        if series.latency is not None and prediction_seconds is not None:
            series.latency.observe(prediction_seconds)

    def _looked_up(self, method: str, route: str, status: int, *, prediction: bool) -> Series:
        counters = [self._requests.labels(method, route, str(status))]
        if status >= 400:
            counters.append(self._errors.labels(route, str(status)))
        if not prediction:
            return Series(counters, None)
        return Series([*counters, self._prediction_requests.labels(route)], self._latency.labels(route))
