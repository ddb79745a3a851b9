"""How many weighted calls an upstream takes in each minute, hour and UTC day of its clock; waiting for them.

The limits reset on the clock's minute, hour and day, not a minute after the first call. Counted is what this
process asked; what others asked from the same address shows only when the upstream refuses, and then the
whole window counts as used up.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from energy_demand.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable

# The upstream's clock is not ours: a call in the first moment of a window could count in the one before.
MARGIN = timedelta(seconds=1)
# Weights are sums of fractions.
ROUNDING = 1e-6
# A shorter wait is not reported.
REPORTED_FROM = timedelta(seconds=5)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Timing:
    """By which clock (UTC) calls are counted, and how a client waits; the real ones by default."""

    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    sleep: Callable[[float], None] = time.sleep


REAL_TIME = Timing()


class Window(StrEnum):
    """The span of a clock in which calls are counted."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"

    def start(self, moment: datetime) -> datetime:
        """The start of the window that `moment` (UTC) lies in."""
        start = moment.replace(second=0, microsecond=0)
        if self is not Window.MINUTE:
            start = start.replace(minute=0)
        return start.replace(hour=0) if self is Window.DAY else start

    def end(self, moment: datetime) -> datetime:
        """The start of the window after the one that `moment` lies in."""
        return self.start(moment) + _LENGTHS[self]


_LENGTHS = {
    Window.MINUTE: timedelta(minutes=1),
    Window.HOUR: timedelta(hours=1),
    Window.DAY: timedelta(days=1),
}


@dataclass(frozen=True)
class CallLimits:
    """The weighted calls that are allowed in each window; None: as many as one likes."""

    minute: float | None = None
    hour: float | None = None
    day: float | None = None

    def of(self, window: Window) -> float | None:
        """The limit of a window."""
        limit: float | None = getattr(self, window.value)
        return limit


class DailyLimitError(UserError, RuntimeError):
    """The calls of the day are used up.

    Attributes:
        until: when the next day begins (UTC).
    """

    def __init__(self, source: str, until: datetime) -> None:
        super().__init__(
            f"the free calls of {source} for this day are used up; go on after {until:%Y-%m-%d %H:%M} UTC"
        )
        self.until = until


@dataclass(frozen=True)
class _Turn:
    """Whether a call was counted `now`: where it was not, `until` is when to try again."""

    now: datetime
    until: datetime | None = None


class CallBudget:
    """Waits until a call fits into the limits; threads may share it."""

    def __init__(
        self,
        source: str,
        limits: CallLimits,
        timing: Timing = REAL_TIME,
    ) -> None:
        self._source = source
        self._limits = limits
        self._clock = timing.clock
        self._sleep = timing.sleep
        self._spent: dict[Window, tuple[datetime, float]] = {}
        self._lock = threading.Lock()
        self._reported: datetime | None = None

    def reserve(self, weight: float) -> datetime:
        """Return when a call of this weight fits; in the windows of the moment it returns, it is counted.

        Raises:
            DailyLimitError: it fits into no window before the next day.
        """
        while (wait := self._reserved(weight)).until is not None:
            self._wait(wait.until)
        return wait.now

    def give_back(self, weight: float, since: datetime) -> None:
        """A call counted less than was reserved for it at `since`: so much of the windows of then is free."""
        with self._lock:
            for window in Window:
                start, spent = self._spent.get(window, (since, 0.0))
                if start == window.start(since):
                    self._spent[window] = (start, max(spent - weight, 0.0))

    def used_up(self, window: Window) -> None:
        """The upstream refused a call: nothing more fits into its present window."""
        with self._lock:
            self._spent[window] = (window.start(self._clock()), float("inf"))

    def _reserved(self, weight: float) -> _Turn:
        """Count the call now, or say when to try again."""
        with self._lock:
            now = self._clock()
            full = [window for window in Window if not self._fits(window, weight, now)]
            if not full:
                for window in Window:
                    self._spent[window] = (window.start(now), self._in(window, now) + weight)
                return _Turn(now)
        if Window.DAY in full:
            raise DailyLimitError(self._source, Window.DAY.end(now))
        return _Turn(now, max(window.end(now) for window in full) + MARGIN)

    def _in(self, window: Window, now: datetime) -> float:
        start, spent = self._spent.get(window, (now, 0.0))
        return spent if start == window.start(now) else 0.0

    def _fits(self, window: Window, weight: float, now: datetime) -> bool:
        limit, spent = self._limits.of(window), self._in(window, now)
        if spent == float("inf"):
            return False
        # A call that is heavier than a whole window has to be tried, in a window of its own.
        return limit is None or spent == 0 or spent + weight <= limit + ROUNDING

    def _wait(self, until: datetime) -> None:
        seconds = (until - self._clock()).total_seconds()
        with self._lock:
            reported, self._reported = self._reported, until
        if reported != until and seconds > REPORTED_FROM.total_seconds():
            logger.warning(
                "%s: the free calls of this %s are used up; going on at %s UTC",
                self._source,
                Window.MINUTE if seconds <= 62 else Window.HOUR,
                f"{until:%H:%M:%S}",
            )
        self._sleep(max(seconds, 0.0))
