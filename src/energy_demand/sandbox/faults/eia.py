"""EIA's faults: another query than the one asked, and pages whose rows are not what they should be."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode

from energy_demand.sandbox.faults.answers import rewritten

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Receive, Scope, Send

    from energy_demand.sandbox.faults.fault import Behaviour, Fault

Query = list[tuple[str, str]]
Row = dict[str, Any]
_WARNINGS = [{"warning": "slow query", "description": "The answer is what was asked for all the same."}]
_ELSEWHERE = {"respondent": "PJM", "respondent-name": "PJM Interconnection, LLC"}
_GARBAGE = ({"period": "2025-13-41T25"}, {"value": "abc"}, {"value": "-5"}, {"value": "99999999999"})


def _misread(change: Callable[[Fault, Query], Query]) -> Behaviour:
    """The application answers a different query from the one it received."""

    async def behave(fault: Fault, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        query = change(fault, parse_qsl(scope["query_string"].decode(), keep_blank_values=True))
        await app({**scope, "query_string": urlencode(query).encode()}, receive, send)

    return behave


def _overlap(fault: Fault, query: Query) -> Query:
    return [
        (name, str(max(int(value) - fault.rows, 0)) if name == "offset" and value.isdecimal() else value)
        for name, value in query
    ]


def _mixed_series(_fault: Fault, query: Query) -> Query:
    return [(name, value) for name, value in query if not name.startswith("facets[type]")]


def _page(change: Callable[[Fault, Any], None]) -> Behaviour:
    """A page of EIA's is changed in place."""

    def rewrite(fault: Fault, body: Any) -> Any:
        if isinstance(body, dict) and "response" in body:
            change(fault, body)
        return body

    return rewritten(rewrite)


def _rows(struck: Callable[[Row, int], list[Row]], every: int | None = None) -> Behaviour:
    """The first row of the fault's hours and every `every`-th after it become what `struck` makes of them.

    `struck` gets the row and how many were struck before it. Without hours these are all rows of the page.
    """

    def change(fault: Fault, body: Any) -> None:
        covered, count = itertools.count(), itertools.count()
        step = every or fault.every
        body["response"]["data"] = [
            served
            for row in body["response"]["data"]
            for served in (
                struck(row, next(count))
                if fault.covers(row["period"]) and next(covered) % step == 0
                else [row]
            )
        ]

    return _page(change)


def _numbers(_fault: Fault, body: Any) -> None:
    for row in body["response"]["data"]:
        if row.get("value") is not None:
            row["value"] = int(row["value"])


def _total_too_large(fault: Fault, body: Any) -> None:
    body["response"]["total"] = str(int(body["response"]["total"]) + fault.rows)


def _null(row: Row, _count: int) -> list[Row]:
    return [row | {"value": None}]


KINDS: dict[str, Behaviour] = {
    "overlap": _misread(_overlap),
    "mixed_series": _misread(_mixed_series),
    "nulls": _rows(_null),
    "taken_back": _rows(_null, every=1),
    "zeros": _rows(lambda row, _count: [row | {"value": "0"}]),
    "missing_rows": _rows(lambda _row, _count: []),
    "wrong_region": _rows(lambda row, _count: [row | _ELSEWHERE, row]),
    "garbage_rows": _rows(lambda row, count: [row | _GARBAGE[count % len(_GARBAGE)]]),
    "numbers": _page(_numbers),
    "total_too_large": _page(_total_too_large),
    "warnings_top": _page(lambda _fault, body: body.update(warnings=_WARNINGS)),
    "warnings_inside": _page(lambda _fault, body: body["response"].update(warnings=_WARNINGS)),
}
