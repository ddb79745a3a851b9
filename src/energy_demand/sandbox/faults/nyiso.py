"""NYISO's faults: files that are not there, pages in their place, damaged tables.

A fault of a table strikes a daily file, and each member of a monthly archive.
"""

from __future__ import annotations

import csv
import io
import zipfile
from typing import TYPE_CHECKING

from starlette.responses import HTMLResponse, Response

from energy_demand.sandbox.faults.answers import true_answer
from energy_demand.sandbox.nyiso.files import CSV, NOT_FOUND, ZIP

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Receive, Scope, Send

    from energy_demand.sandbox.faults.fault import Behaviour, Fault

Cells = list[list[str]]
_PAGE = (
    "<html>\r\n<head><title>Service temporarily unavailable</title></head>\r\n"
    "<body>Please try again.</body></html>\r\n"
)
_ZONE, _SYSTEM = "North", "NYISO"


def _page(status: int, text: str) -> Behaviour:
    async def behave(_fault: Fault, _app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        await HTMLResponse(text, status)(scope, receive, send)

    return behave


def _table(change: Callable[[Cells], Cells]) -> Behaviour:
    """Every table of the true answer is changed; an answer without one stays as it is."""

    async def behave(_fault: Fault, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        answer = await true_answer(app, scope, receive)
        body = bytes(answer.body)
        kept = {"last-modified": answer.headers["last-modified"]} if answer.status_code == 200 else {}
        if (answer.media_type or "").startswith(CSV):
            answer = Response(_changed(body, change), media_type=CSV, headers=kept)
        elif answer.media_type == ZIP:
            answer = Response(_members(body, change), media_type=ZIP, headers=kept)
        await answer(scope, receive, send)

    return behave


def _changed(body: bytes, change: Callable[[Cells], Cells]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(change(list(csv.reader(io.StringIO(body.decode())))))
    return text.getvalue().encode()


def _members(body: bytes, change: Callable[[Cells], Cells]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(body)) as archive, zipfile.ZipFile(buffer, "w") as other:
        for member in archive.infolist():
            other.writestr(member, _changed(archive.read(member), change))
    return buffer.getvalue()


def _without(column: str) -> Callable[[Cells], Cells]:
    def change(cells: Cells) -> Cells:
        place = cells[0].index(column)
        return [[cell for at, cell in enumerate(line) if at != place] for line in cells]

    return change


def _reordered(cells: Cells) -> Cells:
    """The columns from the last to the first, their names with them; the stamps stay in front."""
    return [[line[0], *line[:0:-1]] for line in cells]


def _shifted(cells: Cells) -> Cells:
    """The values of each line one column further than their names."""
    head, *lines = cells
    return [head, *([line[0], line[-1], *line[1:-1]] for line in lines)]


def _garbage(cells: Cells) -> Cells:
    """Lines of which a stamp or a number is none, or none that can be."""
    head, *lines = cells
    system = head.index(_SYSTEM)
    lines[0] = ["13/41/2025 25:00", *lines[0][1:]]
    for at, text in ((1, "abc"), (2, "-5"), (3, "99999999999")):
        lines[at] = [text if place == system else cell for place, cell in enumerate(lines[at])]
    return [head, *lines]


KINDS: dict[str, Behaviour] = {
    "file_missing": _page(404, NOT_FOUND),
    "page_under_200": _page(200, _PAGE),
    "hour_twice": _table(lambda cells: [*cells[:3], cells[2], *cells[3:]]),
    "columns_reordered": _table(_reordered),
    "columns_shifted": _table(_shifted),
    "zone_missing": _table(_without(_ZONE)),
    "system_missing": _table(_without(_SYSTEM)),
    "half_day": _table(lambda cells: cells[:-7]),
    "garbage_lines": _table(_garbage),
}
