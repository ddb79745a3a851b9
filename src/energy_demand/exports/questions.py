"""What may be asked of an export: parameters as text, checked and put into a `Question`. Pure.

The API and the shell take the same parameters, so both read them here. A time without an offset is UTC. A
bare date is the region's local day, as everywhere on the command line: as a first one from its start, as a
last one through its end.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

import orjson

from energy_demand.columns import ANSWERS
from energy_demand.errors import UserError
from energy_demand.exports.columns import DEMAND, FORECASTS, GROUPS, SCORES
from energy_demand.timeaxis import (
    HOUR,
    ISSUE_HOUR_LOCAL,
    MAX_LEAD_HOURS,
    TimeFormatError,
    local_midnight,
    parse_day,
    parse_moment,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from energy_demand.region import Region

MOST_ROWS = 1_000_000  # of one answer
MOST_PAGE_ROWS = 50_000  # of a page, which is read before the first byte is sent
MOST_DAYS = 3_660
USUAL_DAYS = 366
FIRST_YEAR, LAST_YEAR = 2000, 2100
LONGEST_CURSOR = 300
# The day-ahead series takes what was issued in the scheduled hour, by which models are judged.
ISSUED_BY = f"{ISSUE_HOUR_LOCAL:02}:59"

_VERSION = re.compile(r"[!-~]{1,64}")
_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")
_CURSOR = re.compile(r"[A-Za-z0-9_-]+")
_DATE_LENGTH = len("2025-07-31")

Key = tuple[datetime | str | int | date, ...]


class QuestionError(UserError, ValueError):
    """A parameter that cannot be used; `field` is its name with underscores."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True)
class Parameter:
    """A parameter: what it means, its JSON schema, an example, and which exports take it."""

    name: str
    text: str
    schema: Mapping[str, Any]
    example: str | None = None
    exports: tuple[str, ...] = (FORECASTS, DEMAND, SCORES)
    repeated: bool = False


_MOMENT = {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "string", "format": "date"}]}
PARAMETERS = {
    each.name: each
    for each in (
        Parameter(
            "period_from",
            f"First hour, by its end, or first local day; default: {USUAL_DAYS} days before the last one.",
            _MOMENT,
            "2025-07-01",
        ),
        Parameter(
            "period_to", "Last hour or local day, included; default: the newest.", _MOMENT, "2025-07-31"
        ),
        Parameter(
            "issued_from", "Only forecasts issued at this time or later.", _MOMENT, exports=(FORECASTS,)
        ),
        Parameter("issued_to", "Only forecasts issued by this time.", _MOMENT, exports=(FORECASTS,)),
        Parameter(
            "days_ahead",
            "1: the day-ahead series. Of each local day it has the last forecast of the whole day that was "
            "issued on the day before, by `issued_by`.",
            {"type": "integer", "enum": [1]},
            exports=(FORECASTS,),
        ),
        Parameter(
            "issued_by",
            "Local time on the day before, through the end of the minute; default: "
            f"{ISSUED_BY}, the end of the scheduled hour. Only together with days_ahead.",
            {"type": "string", "pattern": f"^{_CLOCK.pattern}$"},
            exports=(FORECASTS,),
        ),
        Parameter(
            "as_of",
            "Only what was logged by this time, with demand as it was known then; default: now.",
            {"type": "string", "format": "date-time"},
        ),
        Parameter(
            "quality",
            "Only forecasts of this step of the fallback ladder; may be repeated.",
            {"type": "array", "items": {"type": "string", "enum": list(ANSWERS)}},
            exports=(FORECASTS, SCORES),
            repeated=True,
        ),
        Parameter(
            "version",
            "Only forecasts of this model version.",
            {"type": "string", "pattern": f"^{_VERSION.pattern}$"},
            exports=(FORECASTS, SCORES),
        ),
        Parameter(
            "by",
            "One row for each local day, each model version, or each step of the fallback ladder. By day and "
            "by version only the champion's own answers count, unless `quality` says otherwise.",
            {"type": "string", "enum": list(GROUPS), "default": "day"},
            exports=(SCORES,),
        ),
        Parameter(
            "limit",
            f"At most so many rows, and a cursor to the next ones; default: all, up to {MOST_ROWS:,} rows.",
            {"type": "integer", "minimum": 1, "maximum": MOST_PAGE_ROWS},
        ),
        Parameter(
            "cursor",
            "Go on after a page: the cursor of the page before, with the same other parameters.",
            {
                "type": "string",
                "maxLength": LONGEST_CURSOR,
                "pattern": f"^{_CURSOR.pattern}$",
            },
        ),
    )
}


@dataclass(frozen=True)
class Question:
    """What is asked of an export.

    Attributes:
        export: which one.
        region: of which region.
        first: the first hour, by its end,
        last: and the last one, both included.
        known: what became known later is unknown: the present, or an earlier `as_of`.
        as_of: given by the caller; None: the log as it is.
        issued_from: forecasts issued at this time or later,
        issued_to: and by this time, both included.
        issued_by: local time of the day-ahead series; None: every forecast.
        qualities: steps of the fallback ladder; empty: every one.
        version: of the model; None: every one.
        by: what scores are grouped by.
        limit: rows of a page; None: all rows.
        after: the key of the last row of the page before.
        digest: of all parameters but the page's, so that a cursor serves its own question alone.
    """

    export: str
    region: Region
    first: datetime
    last: datetime
    known: datetime
    as_of: datetime | None = None
    issued_from: datetime | None = None
    issued_to: datetime | None = None
    issued_by: time | None = None
    qualities: tuple[str, ...] = ()
    version: str | None = None
    by: str = "day"
    limit: int | None = None
    after: Key | None = None
    digest: str = ""

    def cursor(self, key: Key) -> str:
        """The cursor to the rows after the one with this key."""
        parts = [each.isoformat() if isinstance(each, date) else each for each in key]
        text = base64.urlsafe_b64encode(orjson.dumps([self.digest, *parts]))
        return text.rstrip(b"=").decode()


def parameters_of(export: str) -> dict[str, Parameter]:
    """The parameters of an export by name."""
    return {name: each for name, each in PARAMETERS.items() if export in each.exports}


def parse_question(
    export: str, given: Mapping[str, Sequence[str]], region: Region, present: datetime
) -> Question:
    """The question that parameters ask; each has the values that it was given.

    Raises:
        QuestionError: a parameter is unknown, given twice, invalid, or contradicts another one.
    """
    known = parameters_of(export)
    for name, values in given.items():
        if name not in known:
            raise QuestionError(name, f"unknown parameter; use {', '.join(known)}")
        if len(values) > 1 and not known[name].repeated:
            raise QuestionError(name, "is given more than once")
    one = {name: values[0] for name, values in given.items() if values and not known[name].repeated}
    as_of = None if "as_of" not in one else _moment("as_of", one["as_of"])
    latest = present if as_of is None else min(as_of, present)
    issued_from = _bound("issued_from", one.get("issued_from"), region, end=False)
    issued_to = _bound("issued_to", one.get("issued_to"), region, end=True)
    if issued_from is not None and issued_to is not None and issued_from > issued_to:
        raise QuestionError("issued_from", "is after issued_to")
    first, last = _span(export, one, region, latest, issued_from, issued_to)
    digest = _digest(export, region.respondent, given)
    by = _word("by", one.get("by", "day"), list(GROUPS))
    question = Question(
        export,
        region,
        first,
        last,
        latest,
        as_of,
        issued_from=issued_from,
        issued_to=issued_to,
        issued_by=_day_ahead(one),
        qualities=tuple(_word("quality", each, ANSWERS) for each in given.get("quality", ())),
        version=_version(one.get("version")),
        by=by,
        limit=_limit(one.get("limit")),
        digest=digest,
    )
    after = None if "cursor" not in one else _after(one["cursor"], question)
    return replace(question, after=after)


def _span(
    export: str,
    one: Mapping[str, str],
    region: Region,
    latest: datetime,
    issued_from: datetime | None,
    issued_to: datetime | None,
) -> tuple[datetime, datetime]:
    """The first and the last hour; where they are not given, what the other bounds leave."""
    longest = MAX_LEAD_HOURS * HOUR
    start = _bound("period_from", one.get("period_from"), region, end=False)
    end = _bound("period_to", one.get("period_to"), region, end=True)
    first, last = start, end
    if last is None:
        last = latest + (longest if export == FORECASTS else timedelta(0))
        if issued_to is not None:
            last = min(last, issued_to + longest)
        last = last if first is None else max(first, last)
    if first is None:
        first = last - timedelta(days=USUAL_DAYS) if issued_from is None else issued_from
        first = min(first, last)
    if first > last:
        raise QuestionError("period_from", "is after period_to")
    days = (last - first) / timedelta(days=1)
    if days > MOST_DAYS:
        field = "period_from" if start is not None else "issued_from"
        raise QuestionError(
            field if start is not None or issued_from is not None else "period_to",
            f"the hours asked for cover {days:,.0f} days; ask for at most {MOST_DAYS:,} at once",
        )
    return first, last


def _moment(name: str, text: str) -> datetime:
    try:
        found = parse_moment(text)
    except TimeFormatError as error:
        raise QuestionError(name, str(error)) from None
    return _in_range(name, found)


def _in_range(name: str, moment: datetime) -> datetime:
    if not FIRST_YEAR <= moment.year < LAST_YEAR:
        raise QuestionError(name, f"must be in the years {FIRST_YEAR} to {LAST_YEAR - 1}")
    return moment


def _bound(name: str, text: str | None, region: Region, *, end: bool) -> datetime | None:
    """A time, or the beginning or end of a local day; its hours are those that end within it."""
    if text is None:
        return None
    if len(text.strip()) != _DATE_LENGTH:
        return _moment(name, text)
    try:
        day = parse_day(text)
    except TimeFormatError:
        return _moment(name, text)
    if not FIRST_YEAR <= day.year < LAST_YEAR:
        raise QuestionError(name, f"must be in the years {FIRST_YEAR} to {LAST_YEAR - 1}")
    midnight = local_midnight(day + timedelta(days=1) if end else day, region.zone)
    if name.startswith("period"):
        return midnight if end else midnight + HOUR
    return midnight - timedelta(microseconds=1) if end else midnight


def _day_ahead(one: Mapping[str, str]) -> time | None:
    if "days_ahead" not in one:
        if "issued_by" in one:
            raise QuestionError("issued_by", "is only for days_ahead=1")
        return None
    if one["days_ahead"] != "1":
        raise QuestionError("days_ahead", f"must be 1, as forecasts reach {MAX_LEAD_HOURS} hours")
    clock = _CLOCK.fullmatch(one.get("issued_by", ISSUED_BY))
    if clock is None:
        raise QuestionError("issued_by", "must be a local time from 00:00 to 23:59")
    return time(int(clock[1]), int(clock[2]), 59, 999_999)


def _word(name: str, text: str, known: Sequence[str]) -> str:
    if text not in known:
        raise QuestionError(name, f"must be one of {', '.join(known)}")
    return text


def _version(text: str | None) -> str | None:
    if text is not None and not _VERSION.fullmatch(text):
        raise QuestionError("version", "must be 1 to 64 printable characters without blanks")
    return text


def _limit(text: str | None) -> int | None:
    if text is None:
        return None
    if not re.fullmatch(r"[0-9]{1,9}", text) or not 1 <= int(text) <= MOST_PAGE_ROWS:
        raise QuestionError(
            "limit", f"must be a whole number from 1 to {MOST_PAGE_ROWS:,}; leave it out for all rows"
        )
    return int(text)


def _digest(export: str, region: str, given: Mapping[str, Sequence[str]]) -> str:
    asked = {name: list(values) for name, values in given.items() if name not in {"limit", "cursor"}}
    return hashlib.sha256(orjson.dumps([export, region, sorted(asked.items())])).hexdigest()[:12]


def _after(cursor: str, question: Question) -> Key:
    """The key in a cursor: its first part is a time or, of scores, what they are grouped by."""
    wrong = QuestionError("cursor", "is not one that this question was answered with")
    if len(cursor) > LONGEST_CURSOR or not _CURSOR.fullmatch(cursor):
        raise wrong
    try:
        digest, *parts = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if digest != question.digest:
            raise wrong
        if question.export == SCORES:
            (value,) = parts
            return (parse_day(value) if question.by == "day" else str(value),)
        if question.export == DEMAND or question.issued_by is not None:
            (period,) = parts
            return (_in_range("cursor", parse_moment(period)),)
        period, issued_at, number = parts
        if not isinstance(number, int):
            raise wrong
        moments = [_in_range("cursor", parse_moment(each)) for each in (period, issued_at)]
    except QuestionError:
        raise
    except (binascii.Error, ValueError, TypeError, AttributeError):
        raise wrong from None
    return (*moments, number)
