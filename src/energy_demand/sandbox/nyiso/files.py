"""NYISO's `isolf` files: the operator's own load forecast by the hour, the system and its zones.

A file is named after the first day that it forecasts and is posted between 07:05 and 07:45 New York time on
the day before. Its stamps are local wall-clock times of the hours' starts: 23 on the day that the clocks are
set forward, and 25, 01:00 twice, on the day that they are set back. A later posting takes the place of the
file. The daily files of the last days are there one by one, all of them in an archive for each month, whose
members carry the time of their posting.
"""

from __future__ import annotations

import io
import re
import zipfile
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from energy_demand.sandbox.worlds.noise import share
from energy_demand.sandbox.worlds.world import (
    NEW_YORK,
    OPERATOR_ZONES,
    day_number,
    moment_of_hour,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from energy_demand.sandbox.strictness import Strictness
    from energy_demand.sandbox.worlds.world import FloatArray, IntArray, OperatorFiles, World

FOLDER = "/public/csv/isolf/"
DAILY_FILES_KEPT = 10  # days; older ones are in the archives alone
CSV, ZIP = "text/csv", "application/zip"
NOT_FOUND = "<html>\r\n<head><title>404 Not Found</title></head>\r\n<body></body></html>\r\n"
# Of the files, with the strictness of the real server.
MISSING_SHARE, LATE_SHARE, REPOSTED_SHARE = 0.005, 0.01, 0.03
_SPREAD = timedelta(minutes=40)
_LATE_BY = timedelta(hours=4)
_REPOSTED_AFTER = (timedelta(hours=1), timedelta(hours=9))
_DAILY = re.compile(r"(\d{8})isolf\.csv")
_MONTHLY = re.compile(r"(\d{6})01isolf_csv\.zip")


class _Posting(NamedTuple):
    """What is in the place of a file: since when, and whether a later posting corrects it."""

    at: datetime
    final: bool


def routes(world: World, clock: Callable[[], datetime], strict: Strictness) -> list[Route]:
    """The routes of the files and of the archives."""

    def posted(operator: OperatorFiles, day: date, now: datetime) -> _Posting | None:
        seed = strict.seed if strict.operator_postings else None
        found = [posting for posting in _postings(operator, day, seed) if posting.at <= now]
        return found[-1] if found else None

    def file(request: Request) -> Response:
        now, name = clock(), request.path_params["name"]
        operator = world.operator
        if operator is None:
            return _absent()
        if (named := _DAILY.fullmatch(name)) and (day := _day(named[1])):
            posting = posted(operator, day, now)
            if posting is None or now.astimezone(NEW_YORK).date() - day > timedelta(days=DAILY_FILES_KEPT):
                return _absent()
            return Response(_text(operator, day, posting), media_type=CSV, headers=_modified(posting.at))
        if (named := _MONTHLY.fullmatch(name)) and (first := _day(named[1] + "01")):
            month = [first + timedelta(days=number) for number in range(_days_of(first))]
            there = {day: posting for day in month if (posting := posted(operator, day, now))}
            if there:
                newest = max(posting.at for posting in there.values())
                return Response(_archive(operator, there), media_type=ZIP, headers=_modified(newest))
        return _absent()

    return [Route(FOLDER + "{name}", file)]


def _absent() -> Response:
    return HTMLResponse(NOT_FOUND, 404)


def _modified(at: datetime) -> dict[str, str]:
    return {"last-modified": format_datetime(at.astimezone(UTC).replace(microsecond=0), usegmt=True)}


def _postings(operator: OperatorFiles, day: date, seed: int | None) -> list[_Posting]:
    """The postings of a file in order of time; none where it never appears."""
    recorded = operator.posted_at(day_number(day))
    if recorded is None:
        return []
    first = datetime.fromtimestamp(recorded, tz=UTC)
    if seed is None or operator.last is not None:  # a record says itself when a file was posted
        return [_Posting(first, final=True)]

    def drawn(what: str) -> float:
        return share(seed, "isolf", what, day.isoformat())

    if drawn("missing") < MISSING_SHARE:
        return []
    first += drawn("minute") * _SPREAD + (_LATE_BY if drawn("late") < LATE_SHARE else timedelta())
    if drawn("reposted") >= REPOSTED_SHARE:
        return [_Posting(first, final=True)]
    soonest, latest = _REPOSTED_AFTER
    again = first + soonest + drawn("again") * (latest - soonest)
    return [_Posting(first, final=False), _Posting(again, final=True)]


def _text(operator: OperatorFiles, day: date, posting: _Posting) -> str:
    hours, values = operator.file(day_number(day), final=posting.final)
    return written(hours, values)


def written(hours: IntArray, values: FloatArray) -> str:
    """A file of hour-ending periods and MWh (zones × hours); a zone without a value has an empty cell."""
    lines = [",".join(f'"{name}"' for name in ("Time Stamp", *OPERATOR_ZONES))]
    for hour, cells in zip(hours, values.T, strict=True):
        start = moment_of_hour(int(hour) - 1).astimezone(NEW_YORK)
        numbers = ("" if np.isnan(cell) else f"{cell:.0f}" for cell in cells)
        lines.append(",".join((f'"{start:%m/%d/%Y %H:%M}"', *numbers)))
    return "\n".join(lines) + "\n"


def _archive(operator: OperatorFiles, there: dict[date, _Posting]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for day, posting in there.items():
            local = posting.at.astimezone(NEW_YORK)
            member = zipfile.ZipInfo(f"{day:%Y%m%d}isolf.csv", local.timetuple()[:6])
            member.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(member, _text(operator, day, posting))
    return buffer.getvalue()


def _day(text: str) -> date | None:
    try:
        return datetime.strptime(text, "%Y%m%d").replace(tzinfo=UTC).date()
    except ValueError:
        return None


def _days_of(first: date) -> int:
    return ((first + timedelta(days=32)).replace(day=1) - first).days
