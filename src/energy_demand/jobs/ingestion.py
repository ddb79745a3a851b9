"""The ingestion job: upstream data → stored rows, feature rows, and actual values of logged predictions."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from energy_demand.call_limits import REAL_TIME, Timing
from energy_demand.data.feature_store import refresh_features
from energy_demand.data.ingestion.ingest import IngestInterruptedError, ingest, looking_back
from energy_demand.data.truth import refresh_truth
from energy_demand.database import predictions
from energy_demand.jobs.history_check import history_warnings

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from energy_demand.config import Settings
    from energy_demand.data.ingestion.ingest import Progress, Report, Span
    from energy_demand.database.engine import Database
    from energy_demand.database.repository import Written

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class IngestionOutcome:
    """The result of an ingestion.

    Attributes:
        span: of the ingested hours.
        report: by kind of row.
        features: feature rows.
        actuals: predictions whose actual value is new or changed.
        warnings: after a backfill, what is wrong with the stored history as a whole.
    """

    span: Span
    report: Report
    features: Written
    actuals: int
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The body of `ingest --json`."""
        return {
            **self.report.to_json(),
            "features": asdict(self.features),
            "actuals": self.actuals,
            "warnings": list(self.warnings),
            "start": self.span.start,
            "end": self.span.end,
        }

    def raise_failures(self) -> None:
        """End as a failure where a source failed, after all that could be done was done.

        Raises:
            IngestInterruptedError: naming each source that failed, and why.
        """
        failures = self.report.failures
        if failures:
            lines = "; ".join(f"{source}: {reason}" for source, reason in failures.items())
            if not self.report.read:
                raise IngestInterruptedError(lines)
            raise IngestInterruptedError(
                f"{len(failures)} of the sources failed, the others are stored: {lines}"
            )


def run_ingestion(
    database: Database,
    settings: Settings,
    span: Span,
    now: datetime,
    progress: Progress,
    *,
    bulk: bool = False,
    bulk_folder: Path | None = None,
    timing: Timing = REAL_TIME,
) -> IngestionOutcome:
    """Fetch and store a span, then update features, verdicts on truth, and actual values.

    A source that fails is in `failures` of the report; `raise_failures` makes that the end of a job.

    Raises:
        NoDataError: EIA has no demand in a span of history.
        DataKindMismatchError: the database holds another kind of data.
    """
    span = looking_back(database, settings, span, now)
    report = ingest(
        database, settings, span, now, progress, bulk=bulk, bulk_folder=bulk_folder, timing=timing
    )
    features = refresh_features(database, settings, span.start, span.end, now)
    progress("features", 1, 1)
    since = refresh_truth(database, settings.region, span.start, span.end, now)
    actuals = database.run(
        lambda connection: predictions.fill_actuals(connection, settings.region.respondent, since, now)
    )
    warnings = tuple(history_warnings(database, settings, now)) if span.history else ()
    for warning in warnings:
        logger.warning("%s", warning)
    return IngestionOutcome(span, report, features, actuals, warnings)
