"""The typed events that people are notified of. Pure.

Events with the same `dedup_key` are one, of which one message is sent. An event with a `recovery` goes on for
a while, and its end is sent as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from energy_demand.notification_settings import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date, datetime


@dataclass(frozen=True)
class ForecastReady:
    """A day's scheduled forecast is logged.

    Attributes:
        day: the local day.
        peak_period: UTC end of the hour of the peak.
        peak_mwh: its demand, with the 80 % interval `lower_mwh` to `upper_mwh`.
        energy_mwh: of the whole day.
        quality: the step of the fallback ladder that answered.
    """

    kind: ClassVar = Kind.FORECAST
    urgent: ClassVar = False
    recovery: ClassVar = None

    day: date
    peak_period: datetime
    peak_mwh: float
    lower_mwh: float
    upper_mwh: float
    energy_mwh: float
    quality: str

    @property
    def dedup_key(self) -> str:
        """A better forecast that replaces a fallback's is another event."""
        return f"forecast {self.day} {self.quality}"


@dataclass(frozen=True)
class PeakExpected:
    """A day is expected to be a peak day.

    Attributes:
        day: the local day.
        peak_period: UTC end of the hour of the peak.
        peak_mwh: its demand, with the 80 % interval `lower_mwh` to `upper_mwh`.
        reason: the rule and its figures, in one sentence without a full stop.
        probability: that the day is a peak day, from 0 to 1; None: not known.
    """

    kind: ClassVar = Kind.PEAK
    urgent: ClassVar = False
    recovery: ClassVar = None

    day: date
    peak_period: datetime
    peak_mwh: float
    lower_mwh: float
    upper_mwh: float
    reason: str
    probability: float | None = None

    @property
    def dedup_key(self) -> str:
        """One for each day."""
        return f"peak {self.day}"


@dataclass(frozen=True)
class DriftFound:
    """A drift check found drift, or forecasts that got worse."""

    kind: ClassVar = Kind.DRIFT
    urgent: ClassVar = False
    recovery: ClassVar = "no drift any more"
    dedup_key: ClassVar = "drift"

    checked_at: datetime
    drift_share: float
    reason: str


@dataclass(frozen=True)
class Promoted:
    """Another version of the model serves, because it won its contest."""

    kind: ClassVar = Kind.MODEL
    urgent: ClassVar = False
    recovery: ClassVar = None

    retraining: int
    version: str
    at: datetime
    reason: str

    @property
    def dedup_key(self) -> str:
        """One for each retraining."""
        return f"promotion {self.retraining}"


@dataclass(frozen=True)
class RolledBack:
    """A version of the model no longer serves, and the one before it does again."""

    kind: ClassVar = Kind.MODEL
    urgent: ClassVar = False
    recovery: ClassVar = None

    retraining: int
    version: str
    at: datetime
    reason: str

    @property
    def dedup_key(self) -> str:
        """One for each time; a promotion can be undone, and undone again after it served by hand."""
        return f"rollback {self.retraining} {self.at.isoformat()}"


@dataclass(frozen=True)
class SourceAway:
    """The last attempt to read a source of data failed.

    Attributes:
        upstream: EIA, Open-Meteo or NYISO.
        reasons: by source of `source_state`.
        last_success: when the source that is away longest was read to its end; None: never.
    """

    kind: ClassVar = Kind.SOURCE
    urgent: ClassVar = False

    upstream: str
    reasons: Mapping[str, str]
    last_success: datetime | None

    @property
    def dedup_key(self) -> str:
        """One for each upstream."""
        return f"source {self.upstream}"

    @property
    def recovery(self) -> str:
        """The title of the message when it is over."""
        return f"{self.upstream} can be read again"


@dataclass(frozen=True)
class JobFailed:
    """The newest finished run of a job failed; `job` is its name in `job_run`."""

    kind: ClassVar = Kind.FAILURE

    job: str
    started_at: datetime
    error: str

    @property
    def title(self) -> str:
        """The job's name in messages."""
        return self.job.lower().replace("_", " ")

    @property
    def dedup_key(self) -> str:
        """One for each job."""
        return f"job {self.job}"

    @property
    def recovery(self) -> str:
        """The title of the message when it is over."""
        return f"the {self.title} job works again"

    @property
    def urgent(self) -> bool:
        """Only a missing forecast cannot wait until the morning."""
        return self.job == "FORECAST"


Event: TypeAlias = ForecastReady | PeakExpected | DriftFound | Promoted | RolledBack | SourceAway | JobFailed
