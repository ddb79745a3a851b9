"""What all parts of an ingestion share: its span, its report, its errors."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from energy_demand.database import state
from energy_demand.database.repository import Written
from energy_demand.errors import UserError
from energy_demand.timeaxis import HOUR

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import sqlalchemy as sa

    from energy_demand.config import Settings
    from energy_demand.data.quality import Breach
    from energy_demand.database.engine import Database
    from energy_demand.http import UpstreamError

CHUNK = timedelta(days=366)
LONGEST_ERROR = 500


class RangeError(UserError, ValueError):
    """A range of days that cannot be ingested."""


class NoDataError(UserError, RuntimeError):
    """The upstream has nothing in the range that was asked for."""


class IngestInterruptedError(UserError, RuntimeError):
    """An upstream failed in the middle; the message says what was kept."""


class Progress(Protocol):
    """Told how far a step is."""

    def __call__(self, step: str, done: int, total: int) -> None:
        """`done` of `total` parts of `step` are stored."""


@dataclass(frozen=True)
class Span:
    """A range of hours to ingest, both ends included.

    `history` tells that the values were published long ago: they count as known when they were
    published, and of the forecasts one a day is enough. Otherwise a value is known from now on, and
    every recent forecast is fetched.
    """

    start: datetime
    end: datetime
    history: bool


@dataclass
class Report:
    """What an ingestion stored. `missing_hours` of demand were asked for twice and did not come."""

    demand: Written = field(default_factory=Written)
    daily: Written = field(default_factory=Written)
    weather: Written = field(default_factory=Written)
    forecasts: Written = field(default_factory=Written)
    quarantined: int = 0
    missing_hours: int = 0

    def to_json(self) -> dict[str, Any]:
        """The counts by kind of row."""
        return asdict(self)


@dataclass(frozen=True)
class IngestionRun:
    """One ingestion under way."""

    database: Database
    settings: Settings
    span: Span
    now: datetime
    progress: Progress
    report: Report

    @property
    def respondent(self) -> str:
        """The region that is ingested."""
        return self.settings.region.respondent

    def set_apart(
        self, connection: sa.Connection, source: str, broken: Sequence[tuple[Breach, dict[str, Any]]]
    ) -> int:
        """Put rows that broke the contract into quarantine; how many were not there yet."""
        rows = [
            {
                "source": source,
                "subject": self.respondent,
                "reason": breach.name,
                "payload": payload,
                "seen_at": self.now,
            }
            for breach, payload in broken
        ]
        return state.insert_quarantine(connection, rows)

    def interrupted(
        self,
        source: str,
        error: UpstreamError,
        what: str,
        chunks: Sequence[tuple[datetime, datetime]],
        done: int,
    ) -> IngestInterruptedError:
        """The error of a source that failed on chunk `done`, noted where monitoring can read it."""
        first, last = chunks[done]
        kept = (
            f"everything before {first:%Y-%m-%dT%H} UTC is stored" if done else "what was stored is unchanged"
        )
        told = IngestInterruptedError(
            f"{what} from {first:%Y-%m-%dT%H} to {last:%Y-%m-%dT%H} UTC did not come: {error}; {kept}. "
            "Run the same command again to go on"
        )
        reason = f"{what}: {error}"[:LONGEST_ERROR]
        self.database.run(
            lambda connection: state.record_error(connection, source, self.respondent, self.now, reason)
        )
        return told


def chunks_of(start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    """The span in pieces of a year, each stored in one transaction."""
    while start <= end:
        last = min(start + CHUNK - HOUR, end)
        yield start, last
        start = last + HOUR
