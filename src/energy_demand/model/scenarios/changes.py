"""What a scenario changes: text and rows of weather, checked and put into a `Scenario`. Pure.

The API, the shell and the dashboard take the same text, so all of them read it here. Every refusal ends with
what is possible.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from energy_demand.errors import UserError
from energy_demand.model.stages.special_days import HOLIDAYS, public_holidays

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

TEMPERATURE, HUMIDITY, CLOUD, WIND, SOLAR, DAY = "temperature", "humidity", "cloud", "wind", "solar", "day"
QUANTITIES = (TEMPERATURE, HUMIDITY, CLOUD, WIND, SOLAR, DAY)
WORKDAY, SATURDAY, SUNDAY, HOLIDAY = "workday", "saturday", "sunday", "holiday"
DAY_TYPES = (WORKDAY, SATURDAY, SUNDAY, HOLIDAY, *HOLIDAYS)
LONGEST_TEXT = 200

_PART = re.compile(r"([a-z_]+)\s*([=+\-\s])\s*(\S+)", re.ASCII)
_NUMBER = re.compile(r"\d{1,4}(\.\d{1,6})?", re.ASCII)


@dataclass(frozen=True)
class Quantity:
    """A quantity of the weather that a scenario's text can change.

    Attributes:
        unit: of its values.
        largest: change, up or down.
        bounds: within which it stays, and within which it can be set; None where it can only be changed.
    """

    unit: str
    largest: float
    bounds: tuple[float, float] | None = None


WEATHER = {
    TEMPERATURE: Quantity("°C", 20.0),
    HUMIDITY: Quantity("%", 100.0, (0.0, 100.0)),
    CLOUD: Quantity("%", 100.0, (0.0, 100.0)),
    WIND: Quantity("km/h", 100.0, (0.0, 200.0)),
}
POSSIBLE = (
    "possible are temperature+3 or temperature-3 (up to 20 °C), humidity=60 or humidity+10 (0 to 100 %), "
    "cloud=0 or cloud+20 (0 to 100 %), wind=30 or wind+10 (0 to 200 km/h, changes up to 100), and "
    f"day={'|'.join((WORKDAY, SATURDAY, SUNDAY, HOLIDAY))} or a holiday such as day=thanksgiving; "
    "separate several by commas"
)


class ScenarioError(UserError, ValueError):
    """A scenario that cannot be used; `field` is the parameter or the part of a body at fault."""

    def __init__(self, message: str, field: str = "scenario") -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True)
class Change:
    """A quantity set to a value, or changed by it in every hour.

    Attributes:
        name: of `WEATHER`.
        value: in the unit of the quantity; signed if it is a change.
        is_set: whether it is the new value itself.
    """

    name: str
    value: float
    is_set: bool

    @property
    def text(self) -> str:
        """As a scenario's text has it."""
        return f"{self.name}={self.value:g}" if self.is_set else f"{self.name}{self.value:+g}"

    @property
    def is_nothing(self) -> bool:
        """Whether it changes nothing, whatever the weather."""
        return not self.is_set and self.value == 0.0


@dataclass(frozen=True)
class SiteHour:
    """Weather of one's own for an hour.

    Attributes:
        period: end of the hour, UTC.
        site: None for every site of the region.
        values: by quantity, all but `DAY`: °C, %, %, km/h, W/m².
    """

    period: datetime
    site: str | None
    values: Mapping[str, float]


@dataclass(frozen=True)
class Scenario:
    """What differs from the forecast's weather and days.

    Attributes:
        changes: of the weather in every hour, on top of `own`.
        day: one of `DAY_TYPES` that every day counts as; None: as in the calendar.
        own: replaces the forecast's weather.
    """

    changes: tuple[Change, ...] = ()
    day: str | None = None
    own: tuple[SiteHour, ...] = field(default=())

    @cached_property
    def quantities(self) -> tuple[str, ...]:
        """What it changes, in the order of `QUANTITIES`."""
        named = {change.name for change in self.changes} | {name for hour in self.own for name in hour.values}
        return tuple(name for name in QUANTITIES if name in named or (name == DAY and self.day is not None))

    @property
    def text(self) -> str:
        """The text that it was read from, in one spelling; without weather of one's own."""
        day = [] if self.day is None else [f"{DAY}={self.day}"]
        return ",".join([*(change.text for change in self.changes), *day])

    def change(self, name: str) -> Change | None:
        """How a quantity is changed in every hour."""
        return next((each for each in self.changes if each.name == name), None)


def read_scenario(text: str, country: str) -> Scenario:
    """The scenario of a text such as `temperature+3,cloud=0,day=holiday`.

    A space stands for `+`, as it does in a query string.

    Args:
        text: see `POSSIBLE`.
        country: of the region's holiday calendar.

    Raises:
        ScenarioError: it cannot be read, or a value is out of bounds.
    """
    if len(text) > LONGEST_TEXT:
        raise ScenarioError(f"longer than {LONGEST_TEXT} characters; {POSSIBLE}")
    changes: dict[str, Change] = {}
    day: str | None = None
    for part in text.replace("\N{MINUS SIGN}", "-").split(","):
        found = _PART.fullmatch(part.strip())
        if found is None:
            raise ScenarioError(f"{part.strip()!r} is not a change; {POSSIBLE}")
        name, operator, value = found.groups()
        if name in changes or (name == DAY and day is not None):
            raise ScenarioError(f"{name} is given twice; {POSSIBLE}")
        if name == DAY:
            day = _day(operator, value, country)
        elif name in WEATHER:
            changes[name] = _change(name, operator, value)
        else:
            raise ScenarioError(f"{name!r} is not a quantity of a scenario; {POSSIBLE}")
    return Scenario(tuple(changes.values()), day)


def _change(name: str, operator: str, value: str) -> Change:
    quantity = WEATHER[name]
    if _NUMBER.fullmatch(value) is None:
        raise ScenarioError(f"{value!r} is not a number for {name}; {POSSIBLE}")
    number = float(value)
    if operator == "=":
        if quantity.bounds is None:
            raise ScenarioError(f"{name} can be changed and not set for all hours; {POSSIBLE}")
        low, high = quantity.bounds
        if not low <= number <= high:
            raise ScenarioError(f"{name}={value} is out of bounds; {POSSIBLE}")
        return Change(name, number, is_set=True)
    if number > quantity.largest:
        raise ScenarioError(f"{name}{operator.replace(' ', '+')}{value} is out of bounds; {POSSIBLE}")
    return Change(name, -number if operator == "-" else number, is_set=False)


def _day(operator: str, value: str, country: str) -> str:
    if operator != "=" or value not in DAY_TYPES:
        raise ScenarioError(f"{DAY}{operator}{value} is not a kind of day; {POSSIBLE}")
    known = public_holidays(country)
    if (value in HOLIDAYS and value not in known) or (value == HOLIDAY and not known):
        raise ScenarioError(
            f"{value} is not a holiday of this region; use {', '.join((*DAY_TYPES[:3], *known))}"
        )
    return value
