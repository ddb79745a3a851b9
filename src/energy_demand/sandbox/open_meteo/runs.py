"""Which model runs there are, when they are complete, and which of them have gone wrong.

A run of a model is missing, or half there, by a hash of the seed, the model and the run's start: the same
runs for every caller, at every time, after every restart.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING

from energy_demand.sandbox.worlds.noise import share, stream
from energy_demand.sandbox.worlds.world import IFS

if TYPE_CHECKING:
    from energy_demand.sandbox.strictness import Strictness

RUN_INTERVAL = timedelta(hours=6)
PUBLICATION_DELAY = timedelta(hours=6)  # from a run's start to its last file, where no model is stricter
MISSING_SHARE = 0.03
HALF_SHARE = 0.05
HALF_HOURS = 12  # what a half run has
HALF_FOR = timedelta(hours=1)  # from its publication
_IFS_BEGINS = datetime(2024, 3, 14, tzinfo=UTC)
_IFS_SIX_HOURLY = datetime(2025, 1, 1, tzinfo=UTC)  # in 2024 at 00 and 12 UTC alone
_IFS_LONG_DELAY, _IFS_SHORT_DELAY = timedelta(hours=7.7), timedelta(hours=6.5)  # 00 and 12, 06 and 18 UTC
_OTHERS_BEGIN = datetime(2026, 4, 2, tzinfo=UTC)


class Missing(Enum):
    """How the server answers for a run that is not there."""

    REFUSED = "HTTP 400"
    TEXT = "HTTP 200 and a line of text"
    MIDWAY = "HTTP 200, half of the JSON and a line of text"


class Runs:
    """The runs of every model, as far as `strict` says."""

    def __init__(self, strict: Strictness) -> None:
        self._strict = strict

    def published(self, model: str, run: datetime) -> datetime:
        """When the run is complete."""
        if not self._strict.models or model != IFS:
            return run + PUBLICATION_DELAY
        return run + (_IFS_SHORT_DELAY if run.hour % 12 else _IFS_LONG_DELAY)

    def exists(self, model: str, run: datetime) -> bool:
        """Whether the model has ever run then and its runs are kept from then on."""
        if run.minute or run.hour % 6:
            return False
        if not self._strict.models:
            return True
        if model != IFS:
            return run >= _OTHERS_BEGIN
        return run >= _IFS_BEGINS and (run >= _IFS_SIX_HOURLY or run.hour % 12 == 0)

    def served(self, model: str, run: datetime, now: datetime) -> bool:
        """Whether the run exists and is complete by `now`."""
        return self.exists(model, run) and self.published(model, run) <= now

    def missing(self, model: str, run: datetime) -> Missing | None:
        """How the run is missing, or None for a run that is there."""
        seed, start = self._strict.seed, run.isoformat()
        if not self._strict.missing_runs or share(seed, "missing run", model, start) >= MISSING_SHARE:
            return None
        return list(Missing)[stream(seed, "shape of missing run", model, start) % len(Missing)]

    def is_half(self, model: str, run: datetime, now: datetime) -> bool:
        """Whether the run has only its first `HALF_HOURS` hours yet."""
        return (
            self._strict.half_runs
            and share(self._strict.seed, "half run", model, run.isoformat()) < HALF_SHARE
            and now < self.published(model, run) + HALF_FOR
        )


def not_available(model: str, run: str) -> str:
    """The reason under HTTP 400; `run` as in 2026-06-01T00:00."""
    return f"The requested model run is not available. Model: {model}, run: {run}Z"


def run_unavailable(model: str, run: str) -> str:
    """The text in the place of JSON, or in its middle, under HTTP 200."""
    return streaming_error(f"modelRunUnavailable(model: {model}, run: {run}Z)")


def streaming_error(problem: str) -> str:
    """The text of a failure after the answer has begun."""
    return f"Unexpected error while streaming data: {problem}"
