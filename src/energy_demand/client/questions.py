"""The parameters of each call; a test compares them with the service's OpenAPI document.

A time without an offset is UTC; a bare date is a local day of the region.
"""

from __future__ import annotations

from collections.abc import Sequence  # noqa: TC003  (a TypedDict's annotations may be read)
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Literal, TypedDict

if TYPE_CHECKING:
    from collections.abc import Mapping

Moment = datetime | date | str
Export = Literal["forecasts", "demand", "scores"]


class ForecastQuestion(TypedDict, total=False):
    """Of `forecast`: the next `hours` (1 to 48), or a local `day` (a date or `tomorrow`).

    `scenario` adds the same hours under changes such as `temperature+3,cloud=0,day=holiday`.
    """

    hours: int | None
    day: date | str | None
    explain: bool
    quantiles: bool
    scenario: str | None
    region: str | None


class Rows(TypedDict, total=False):
    """Of every export: hours, what was known by `as_of`, and pages."""

    period_from: Moment | None
    period_to: Moment | None
    as_of: Moment | None
    limit: int | None
    cursor: str | None
    region: str | None


class DemandQuestion(Rows, total=False):
    """Of `demand`."""


class ForecastsQuestion(Rows, total=False):
    """Of `forecasts`: by issue, by quality or version, or the day-ahead series."""

    issued_from: Moment | None
    issued_to: Moment | None
    days_ahead: Literal[1] | None
    issued_by: str | None
    quality: str | Sequence[str] | None
    version: str | None


class ScoresQuestion(Rows, total=False):
    """Of `scores`: a row for each day, version or quality."""

    by: Literal["day", "version", "quality"] | None
    quality: str | Sequence[str] | None
    version: str | None


class SavedQuestion(ForecastsQuestion, total=False):
    """Of `save`: the parameters of the export that is saved."""

    by: Literal["day", "version", "quality"] | None


def query(question: Mapping[str, Any]) -> dict[str, str | list[str]]:
    """A question as parameters of an address; what is None is left out."""
    return {
        name: [_text(each) for each in value] if isinstance(value, list | tuple) else _text(value)
        for name, value in question.items()
        if value is not None
    }


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value.isoformat()) if isinstance(value, date) else str(value)
