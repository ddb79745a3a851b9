"""Disturbances: a change in the synthetic world from a stated time on, never before it.

Text form: `KIND@START[,duration=N(h|d)][,size=X[%]]`, for example `heat-wave@2025-07-10T00:00Z`,
`heat-wave@2025-07-10,duration=4d,size=9` or `level-step@2025-03-01T05:00Z,size=-3%`. START is an ISO
date or time; without an offset it is UTC.

| kind | size | duration |
| --- | --- | --- |
| `heat-wave` | °C added to the temperature (8) | 5d; it builds up and fades within half a day |
| `level-step` | percent of demand (5) | for good |
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

import numpy as np

from energy_demand.sandbox.errors import DisturbanceError
from energy_demand.sandbox.worlds.world import SECONDS_PER_HOUR

if TYPE_CHECKING:
    from collections.abc import Iterable

    from energy_demand.sandbox.worlds.world import FloatArray, IntArray

Kind = Literal["heat-wave", "level-step"]
_DEFAULT_SIZE: dict[Kind, float] = {"heat-wave": 8.0, "level-step": 5.0}
_DEFAULT_HOURS: dict[Kind, float | None] = {"heat-wave": 120.0, "level-step": None}
_HEAT_RAMP_HOURS = 12.0
_DURATION = re.compile(r"(\d{1,5})([hd])")
_SIZE = re.compile(r"([+-]?\d{1,3}(?:\.\d+)?)%?")


@dataclass(frozen=True)
class Disturbance:
    """One change of the world.

    Invariant: nothing changes at or before `start`.
    """

    kind: Kind
    start: datetime
    duration_hours: float | None
    size: float

    @classmethod
    def parse(cls, text: str) -> Disturbance:
        """Read the text form (see the module).

        Raises:
            DisturbanceError: The text cannot be read; the message says which part.
        """
        head, *options = text.strip().split(",")
        name, at, start = head.partition("@")
        kind = next((kind for kind in _DEFAULT_SIZE if kind == name), None)
        if kind is None or not at:
            kinds = ", ".join(_DEFAULT_SIZE)
            raise DisturbanceError(text, f"expected KIND@START, where KIND is one of {kinds}")
        found = dict(_option(text, option) for option in options)
        if len(found) != len(options):
            raise DisturbanceError(text, "an option is given twice")
        return cls(
            kind,
            _moment(text, start),
            found.get("duration", _DEFAULT_HOURS[kind]),
            found.get("size", _DEFAULT_SIZE[kind]) or 0.0,
        )

    def hours_into(self, hours: IntArray) -> FloatArray:
        """Hours since the start, for each hour number."""
        return hours.astype(np.float64) - self.start.timestamp() / SECONDS_PER_HOUR


def heat_added(disturbances: Iterable[Disturbance], hours: IntArray) -> FloatArray:
    """°C added by heat waves at each hour."""
    added = np.zeros(hours.size)
    for wave in _of_kind(disturbances, "heat-wave"):
        into = wave.hours_into(hours)
        left = np.inf if wave.duration_hours is None else wave.duration_hours - into
        added += wave.size * np.clip(np.minimum(into, left) / _HEAT_RAMP_HOURS, 0.0, 1.0)
    return added


def level_factor(disturbances: Iterable[Disturbance], hours: IntArray) -> FloatArray:
    """The factor on demand in each hour-ending period; 1 for an hour that began before the start."""
    factor = np.ones(hours.size)
    for step in _of_kind(disturbances, "level-step"):
        into = step.hours_into(hours) - 1.0  # at the start of the hour
        inside = (into >= 0) & (into < (np.inf if step.duration_hours is None else step.duration_hours))
        factor[inside] *= 1.0 + step.size / 100.0
    return factor


def _of_kind(disturbances: Iterable[Disturbance], kind: Kind) -> list[Disturbance]:
    return [disturbance for disturbance in disturbances if disturbance.kind == kind]


def _moment(text: str, start: str) -> datetime:
    try:
        time = datetime.fromisoformat(start)
    except ValueError:
        raise DisturbanceError(
            text, f"{start!r} is not a valid date or time; expected e.g. 2025-07-06T13:00Z"
        ) from None
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _option(text: str, option: str) -> tuple[str, float]:
    name, _, value = option.strip().partition("=")
    if name == "duration" and (match := _DURATION.fullmatch(value)):
        return name, float(match[1]) * (24.0 if match[2] == "d" else 1.0)
    if name == "size" and (match := _SIZE.fullmatch(value)):
        return name, float(match[1])
    raise DisturbanceError(text, f"cannot read {option.strip()!r}; expected duration=5d or size=8")
