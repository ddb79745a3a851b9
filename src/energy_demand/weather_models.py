"""The weather models whose runs are asked for: when a run starts, and when it is out. Pure.

A model runs at 00, 06, 12 and 18 UTC and is published some hours later. Delays: ECMWF's dissemination
schedule and Open-Meteo's page on model updates.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from energy_demand.timeaxis import floor_hour

if TYPE_CHECKING:
    from collections.abc import Iterator

RUN_EVERY = timedelta(hours=6)
BLEND = "best_match"  # what the server mixes where no model is named; it may change without notice
DEFAULT_DELAY = timedelta(hours=6)
# The long runs of 00 and 12 UTC take longer than those between.
ECMWF = "ecmwf_ifs"
DELAYS = {ECMWF: {0: timedelta(hours=7, minutes=42), 12: timedelta(hours=7, minutes=42)}}
SHORT_ECMWF_DELAY = timedelta(hours=6, minutes=30)


@dataclass(frozen=True)
class WeatherModel:
    """A model, and the hours from a run's start until its publication where a setting says them."""

    name: str
    delay_hours: float | None = None

    def published(self, run: datetime) -> datetime:
        """When the run that starts at `run` is whole."""
        if self.delay_hours is not None:
            return run + timedelta(hours=self.delay_hours)
        if self.name.startswith("ecmwf"):
            return run + DELAYS[ECMWF].get(run.hour, SHORT_ECMWF_DELAY)
        return run + DEFAULT_DELAY

    def runs_before(self, moment: datetime) -> Iterator[datetime]:
        """The starts of the runs that were published by `moment`, the newest first, without end."""
        full = floor_hour(moment)
        run = full - timedelta(hours=full.hour % 6)
        while True:
            if self.published(run) <= moment:
                yield run
            run -= RUN_EVERY
