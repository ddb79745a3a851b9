"""Reading a query to EIA's API v2: what the caller asked, or a refusal in EIA's own words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from energy_demand.sandbox.errors import Refusal

if TYPE_CHECKING:
    from starlette.datastructures import QueryParams

MAX_ROWS = 5000
SORTED_BY = ("period", "respondent", "type")
_FACET = re.compile(r"facets\[([^\]]*)\]\[\d*\]")
_DATA = re.compile(r"data(\[\d*\])?")
_SORT = re.compile(r"sort\[(\d+)\]\[(column|direction)\]")
_DAY_FORM = "%Y-%m-%d"
_HOUR_FORM = "%Y-%m-%dT%H"
_SHAPES = {_DAY_FORM: re.compile(r"\d{4}-\d\d-\d\d"), _HOUR_FORM: re.compile(r"\d{4}-\d\d-\d\dT\d\d")}


@dataclass(frozen=True)
class Form:
    """How one route is asked: its frequency, the forms of its dates and the facets it has."""

    frequency: str
    unit: Literal["h", "D"]
    date_forms: tuple[str, ...]
    facets: tuple[str, ...]


HOURLY = Form("hourly", "h", (_HOUR_FORM, _DAY_FORM), ("respondent", "type"))
DAILY = Form("daily", "D", (_DAY_FORM,), ("respondent", "type", "timezone"))


@dataclass(frozen=True)
class EiaQuery:
    """A query that was understood. `first` and `last` are steps (hour or day numbers), both included.

    `sort` has the columns in their order, and whether each descends.
    """

    facets: dict[str, list[str]]
    with_value: bool
    first: int | None
    last: int | None
    sort: tuple[tuple[str, bool], ...]
    offset: int
    length: int
    echo: dict[str, Any]


def refuse(message: str) -> Refusal:
    """EIA's answer to a query it does not understand."""
    return Refusal(400, {"error": message, "code": 400})


def read_query(params: QueryParams, form: Form) -> EiaQuery:
    """Read a query as the route of `form` does.

    Raises:
        Refusal: HTTP 400 with EIA's error body.
    """
    frequency = params.get("frequency", form.frequency)
    if frequency != form.frequency:
        raise refuse(f"Invalid frequency '{frequency}' provided. The valid frequency is '{form.frequency}'.")
    facets, data, sort = _brackets(params)
    for name in facets:
        if name not in form.facets:
            raise refuse(f"Invalid facet '{name}' provided. The valid facets are {', '.join(form.facets)}.")
    for column in data:
        if column != "value":
            raise refuse(f"Invalid data '{column}' provided. The only valid data is 'value'.")
    return EiaQuery(
        facets=facets,
        with_value=bool(data),
        first=_step(params, "start", form),
        last=_step(params, "end", form),
        sort=_order(sort),
        offset=_count(params, "offset", default=0),
        length=min(_count(params, "length", default=MAX_ROWS), MAX_ROWS),
        echo=_echo(params, frequency, facets, data, sort),
    )


def _brackets(params: QueryParams) -> tuple[dict[str, list[str]], list[str], dict[str, dict[str, str]]]:
    facets: dict[str, list[str]] = {}
    data: list[str] = []
    sort: dict[str, dict[str, str]] = {}
    for key, value in params.multi_items():
        if match := _FACET.fullmatch(key):
            facets.setdefault(match[1], []).append(value)
        elif _DATA.fullmatch(key):
            data.append(value)
        elif match := _SORT.fullmatch(key):
            sort.setdefault(match[1], {})[match[2]] = value
    return facets, data, sort


def _step(params: QueryParams, name: str, form: Form) -> int | None:
    text = params.get(name)
    if text is None:
        return None
    for date_form in form.date_forms:
        if _SHAPES[date_form].fullmatch(text):
            try:
                moment = datetime.strptime(text, date_form)  # noqa: DTZ007 - UTC hours or plain days
            except ValueError:
                break
            return int(np.datetime64(moment.isoformat(), form.unit).astype(np.int64))
    forms = {_HOUR_FORM: "YYYY-MM-DDTHH", _DAY_FORM: "YYYY-MM-DD"}
    raise refuse(f"Invalid {name} '{text}' provided. The date format is {forms[form.date_forms[0]]}.")


def _count(params: QueryParams, name: str, default: int) -> int:
    text = params.get(name)
    if text is None:
        return default
    if not re.fullmatch(r"\d{1,9}", text):
        raise refuse(f"Invalid {name} '{text}' provided. It must be a whole number, 0 or more.")
    return int(text)


def _order(sort: dict[str, dict[str, str]]) -> tuple[tuple[str, bool], ...]:
    found = []
    for number in sorted(sort, key=int):
        column, direction = sort[number].get("column"), sort[number].get("direction", "asc")
        if column not in SORTED_BY:
            columns = ", ".join(SORTED_BY)
            raise refuse(f"Invalid sort column '{column}' provided. The valid columns are {columns}.")
        if direction not in ("asc", "desc"):
            raise refuse(f"Invalid sort direction '{direction}' provided. Use 'asc' or 'desc'.")
        found.append((column, direction == "desc"))
    return tuple(found)


def _echo(
    params: QueryParams,
    frequency: str,
    facets: dict[str, list[str]],
    data: list[str],
    sort: dict[str, dict[str, str]],
) -> dict[str, Any]:
    """The parameters as EIA repeats them in the body, the key among them: a client must not keep it."""
    echo: dict[str, Any] = {"frequency": frequency}
    if data:
        echo["data"] = data
    if facets:
        echo["facets"] = facets
    echo |= {name: params[name] for name in ("start", "end") if name in params}
    if sort:
        echo["sort"] = list(sort.values())
    return echo | {name: params[name] for name in ("offset", "length", "api_key") if name in params}
