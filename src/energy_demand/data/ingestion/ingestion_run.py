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
    """The upstream has no data in the requested range."""


class IngestInterruptedError(UserError, RuntimeError):
    """An upstream failed during an ingestion; the message says what was stored."""


class EmptyAnswerError(UserError, RuntimeError):
    """An upstream answered, but with nothing that can be used."""


class Progress(Protocol):
    """Called with the progress of a step."""

    def __call__(self, step: str, done: int, total: int) -> None:
        """`done` of `total` parts of `step` are stored."""


@dataclass(frozen=True)
class Span:
    """A range of hours to ingest, both ends included.

    `history` means that the values were published long ago: they count as known since their publication,
    and one weather forecast a day is enough. Otherwise a value is known from now on, and every recent
    weather forecast is fetched.
    """

    start: datetime
    end: datetime
    history: bool


@dataclass
class Report:
    """What an ingestion stored.

    Attributes:
        missing_hours: hours of demand that were requested twice and not served.
        withdrawn: hours of demand whose value the upstream took back.
        runs_missing: runs of a weather model that are not on record.
        runs_failed: runs that could not be fetched; they are asked for again.
        read: the sources that were read to their end.
        failures: source → why it was not read to its end; the other sources were.
    """

    demand: Written = field(default_factory=Written)
    daily: Written = field(default_factory=Written)
    weather: Written = field(default_factory=Written)
    forecasts: Written = field(default_factory=Written)
    operator: Written = field(default_factory=Written)
    quarantined: int = 0
    missing_hours: int = 0
    withdrawn: int = 0
    runs_missing: int = 0
    runs_failed: int = 0
    read: list[str] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether no row is new or revised."""
        return not any(
            part.new or part.revised
            for part in (self.demand, self.daily, self.weather, self.forecasts, self.operator)
        )

    def to_json(self) -> dict[str, Any]:
        """The counts by kind of row."""
        return asdict(self)


@dataclass(frozen=True)
class IngestionRun:
    """A running ingestion."""

    database: Database
    settings: Settings
    span: Span
    now: datetime
    progress: Progress
    report: Report

    @property
    def respondent(self) -> str:
        """The region's respondent."""
        return self.settings.region.respondent

    def set_apart(
        self, connection: sa.Connection, source: str, broken: Sequence[tuple[Breach, dict[str, Any]]]
    ) -> int:
        """Put rows that broke the contract into quarantine; return how many are new there."""
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
        """The error of a source that failed on chunk `done`; stored for monitoring."""
        first, last = chunks[done]
        kept = f"everything before {first:%Y-%m-%dT%H} UTC is stored" if done else "stored data is unchanged"
        interruption = IngestInterruptedError(
            f"cannot fetch {what} from {first:%Y-%m-%dT%H} to {last:%Y-%m-%dT%H} UTC: {error}; {kept}. "
            "Run the same command again to continue"
        )
        self.note_failure(source, f"{what}: {error}")
        return interruption

    def note_failure(self, source: str, reason: str) -> None:
        """Keep why a source failed, for `status` and monitoring."""
        self.database.run(
            lambda connection: state.record_error(
                connection, source, self.respondent, self.now, reason[:LONGEST_ERROR]
            )
        )


def chunks_of(start: datetime, end: datetime, size: timedelta = CHUNK) -> Iterator[tuple[datetime, datetime]]:
    """The span in pieces of a year, or of `size`, each stored in one transaction."""
    while start <= end:
        last = min(start + size - HOUR, end)
        yield start, last
        start = last + HOUR
