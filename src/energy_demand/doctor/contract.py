"""Compares an answer of an upstream with what the clients expect of it: shape, names, units, times. Pure.

An unexpected field is fine; a missing one, another unit or another type is a problem.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from energy_demand.columns import WEATHER_UNITS, WEATHER_VARIABLES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from energy_demand.region import Site

DEMAND_UNIT = "megawatthours"
PERIODS = {
    "hourly": (re.compile(r"\d{4}-\d\d-\d\dT\d\d"), "%Y-%m-%dT%H"),
    "daily": (re.compile(r"\d{4}-\d\d-\d\d"), "%Y-%m-%d"),
}
ROW_FIELDS = ("period", "respondent", "type", "value", "value-units")
GRID_DEGREES = 0.5  # an answer is for the nearest cell of the weather model's grid
HOUR_FORM = "%Y-%m-%dT%H:%M"
FILE_COLUMNS = ("Balancing Authority", "UTC Time at End of Hour", "Demand (MW)", "Demand Forecast (MW)")
FILE_TIME = "%m/%d/%Y %I:%M:%S %p"
OPERATOR_TIME, OPERATOR_STAMP = "TIME STAMP", "%m/%d/%Y %H:%M"
# The mean of a file's days, MW; recorded hours since 2014 are between 10,500 and 31,401.
OPERATOR_MW = (5_000.0, 60_000.0)
ZONES_WITHIN = 0.05
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_FILE_NUMBER = re.compile(r"(-?\d{1,3}(,\d{3})*|-?\d+)?")


@dataclass
class Comparison:
    """What an answer has.

    Attributes:
        problems: why a client could not use it, or would misread it.
        doubts: what a person should know; a client copes.
        newest: the newest hour or day with a value, UTC.
        rows: how many rows or hours it has.
    """

    problems: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    newest: datetime | None = None
    rows: int = 0


def compare_eia(body: Any, *, frequency: str, respondent: str, series: Sequence[str]) -> Comparison:
    """A page of EIA's rows.

    Args:
        body: the parsed JSON.
        frequency: `hourly` or `daily`.
        respondent: the one that was asked for.
        series: the types that were asked for; `D` has to be there.
    """
    result = Comparison()
    response = body.get("response") if isinstance(body, dict) else None
    if not isinstance(response, dict) or not isinstance(response.get("data"), list):
        result.problems.append("the answer has no list response.data")
        return result
    if not _NUMBER.fullmatch(str(response.get("total"))):
        result.problems.append(f"response.total is {response.get('total')!r}, not a number")
    if response.get("frequency", frequency) != frequency:
        result.problems.append(f"response.frequency is {response['frequency']!r}, not {frequency!r}")
    rows = response["data"]
    result.rows = len(rows)
    if not rows:
        result.problems.append("the answer has no rows")
    counted = Counter(
        problem for row in rows for problem in _row_problems(row, frequency, respondent, series)
    )
    result.problems += [f"{problem} ({count} of {len(rows)} rows)" for problem, count in counted.items()]
    if rows and not counted:
        _look_at_rows(result, rows, PERIODS[frequency][1])
    return result


def _look_at_rows(result: Comparison, rows: list[dict[str, Any]], form: str) -> None:
    """Order, nulls and the newest period of rows that are well formed."""
    periods = [str(row["period"]) for row in rows]
    if periods != sorted(periods):
        result.problems.append("the rows are not sorted by period")
    demand = [row for row in rows if row["type"] == "D"]
    if not demand:
        result.problems.append("the answer has no rows of type D")
    without = sum(row["value"] is None for row in demand)
    if without:
        result.doubts.append(f"{without} of {len(demand)} values of demand are null")
    known = [str(row["period"]) for row in demand if row["value"] is not None]
    if known:
        result.newest = datetime.strptime(max(known), form).replace(tzinfo=UTC)


def _is_period(text: str, frequency: str) -> bool:
    shape, form = PERIODS[frequency]
    try:
        datetime.strptime(text, form).replace(tzinfo=UTC)
    except ValueError:
        return False
    return shape.fullmatch(text) is not None


def _row_problems(row: Any, frequency: str, respondent: str, series: Sequence[str]) -> list[str]:
    if not isinstance(row, dict):
        return ["a row is not an object"]
    missing = [name for name in ROW_FIELDS if name not in row]
    if missing:
        return [f"a row lacks {', '.join(missing)}"]
    problems = []
    if not _is_period(str(row["period"]), frequency):
        problems.append(f"a period is written like {row['period']!r}")
    if row["respondent"] != respondent:
        problems.append(f"a row is of {row['respondent']!r}, not {respondent!r}")
    if row["type"] not in series:
        problems.append(f"a row is of type {row['type']!r}")
    value = row["value"]
    if value is not None and (isinstance(value, bool) or not _NUMBER.fullmatch(str(value))):
        problems.append(f"a value is {value!r}, not a number")
    if row["value-units"] != DEMAND_UNIT:
        problems.append(f"the unit is {row['value-units']!r}, not {DEMAND_UNIT!r}")
    return problems


def compare_file(body: bytes, authority: str, *, complete: bool = False) -> Comparison:
    """The beginning of a six-month file.

    Args:
        body: its first bytes; the last line may be cut.
        authority: the balancing authority that is read from it; it may come later in the file.
        complete: whether the body is the whole file.
    """
    result = Comparison()
    text = body.decode("utf-8-sig", "replace")
    rows = list(csv.reader(io.StringIO(text)))
    rows = rows if complete or text.endswith("\n") else rows[:-1]
    if not rows:
        result.problems.append("the file is empty")
        return result
    names = [name.strip() for name in rows[0]]
    missing = [name for name in FILE_COLUMNS if name not in names]
    if missing:
        result.problems.append(f"the file lacks the columns {', '.join(missing)}")
        return result
    places = {name: names.index(name) for name in FILE_COLUMNS}
    result.rows = len(rows) - 1
    if not result.rows:
        result.problems.append("the file has a header and no rows")
    for row in rows[1:]:
        if len(row) != len(names):
            result.problems.append(f"a row has {len(row)} of {len(names)} columns")
            break
        if problem := _file_row_problem({name: row[place].strip() for name, place in places.items()}):
            result.problems.append(problem)
            break
    if complete and not any(row[places[FILE_COLUMNS[0]]] == authority for row in rows[1:]):
        result.problems.append(f"the file has no rows of {authority}")
    return result


def compare_operator(body: bytes, day: date, zones: Sequence[str], system: str) -> Comparison:
    """A file of the grid operator's forecast.

    Args:
        body: the whole file.
        day: the first day that it has to have.
        zones: all columns of values, the system's among them.
        system: the column of the whole system, which the others add up to.
    """
    result = Comparison()
    rows = [row for row in csv.reader(io.StringIO(body.decode("utf-8-sig", "replace"))) if row]
    if not rows:
        result.problems.append("the file is empty")
        return result
    names = [name.strip().upper() for name in rows[0]]
    missing = [name for name in (OPERATOR_TIME, system) if name not in names]
    if missing:
        result.problems.append(f"the file lacks the columns {', '.join(missing)}")
        return result
    absent = [name for name in zones if name not in names]
    if absent:
        result.doubts.append(f"the file lacks the zones {', '.join(absent)}")
    result.rows = len(rows) - 1
    result.problems += _operator_problems(
        [dict(zip(names, row, strict=False)) for row in rows[1:]], zones, day
    )
    result.problems += [
        f"a row has {len(row)} of {len(names)} columns" for row in rows if len(row) != len(names)
    ][:1]
    if not result.problems and not absent:
        result.problems += _operator_unit_problems(rows[1:], names, zones, system)
    return result


def _operator_problems(rows: list[dict[str, str]], zones: Sequence[str], day: date) -> list[str]:
    """Times that are written otherwise or begin on another day, and cells that are no numbers."""
    if not rows:
        return ["the file has a header and no rows"]
    for row in rows:
        try:
            datetime.strptime(row[OPERATOR_TIME].strip(), OPERATOR_STAMP).replace(tzinfo=UTC)
        except ValueError:
            return [f"a time is written like {row[OPERATOR_TIME]!r}"]
        for name in zones:
            if name in row and row[name].strip() and not _NUMBER.fullmatch(row[name].strip()):
                return [f"{name} has {row[name]!r}, not a number"]
    first = rows[0][OPERATOR_TIME].strip()
    begins = f"{day:%m/%d/%Y} 00:00"
    return [] if first == begins else [f"the file begins at {first}, not at {begins}"]


def _operator_unit_problems(
    rows: list[list[str]], names: list[str], zones: Sequence[str], system: str
) -> list[str]:
    """Values that cannot be MW: of the wrong size, or zones that do not add up to the system."""

    def total(name: str) -> float:
        return sum(float(row[names.index(name)].strip() or 0.0) for row in rows)

    whole, parts = total(system), sum(total(name) for name in zones if name != system)
    mean = whole / len(rows)
    low, high = OPERATOR_MW
    if not low <= mean <= high:
        return [f"{system} is {mean:,.1f} on average, which cannot be MW"]
    if abs(parts - whole) > ZONES_WITHIN * whole:
        return [f"the zones add up to {parts / whole:.0%} of {system}"]
    return []


def _file_row_problem(row: dict[str, str]) -> str | None:
    try:
        datetime.strptime(row[FILE_COLUMNS[1]], FILE_TIME).replace(tzinfo=UTC)
    except ValueError:
        return f"a time is written like {row[FILE_COLUMNS[1]]!r}"
    for name in FILE_COLUMNS[2:]:
        if not _FILE_NUMBER.fullmatch(row[name]):
            return f"{name} has {row[name]!r}, not a number"
    return None


def compare_weather(
    body: Any,
    *,
    sites: Sequence[Site],
    first: datetime,
    hours: int,
    skip_first: bool = False,
    may_end_early: bool = False,
) -> Comparison:
    """Open-Meteo's hourly values of all sites.

    Args:
        body: the parsed JSON.
        sites: those that were asked for.
        first: the first hour that has to be there.
        hours: how many have to be there; more are fine.
        skip_first: whether the first hour, and those before it, may be null: up to a run's own hour sums and
            gusts are.
        may_end_early: whether the newest hours may be null, as the archive's are.

    The result's `newest` is the newest hour in which every site has a temperature.
    """
    result = Comparison()
    answers = body if isinstance(body, list) else [body]
    if len(answers) != len(sites):
        result.problems.append(f"the answer has {len(answers)} places for {len(sites)} sites")
        return result
    newest = []
    ordered = _in_order(answers, sites)
    if any(answer is not other for answer, other in zip(answers, ordered, strict=True)):
        result.doubts.append("the places are not in the order of the sites")
    for answer, site in zip(ordered, sites, strict=True):
        problems = _place_problems(answer, site, first, hours)
        result.problems += [each for each in problems if each not in result.problems]
        if problems:
            continue
        hourly = answer["hourly"]
        result.rows += len(hourly["time"])
        times = hourly["time"]
        skip = sum(text <= f"{first:{HOUR_FORM}}" for text in times) if skip_first else 0
        result.doubts += _holes(hourly, site, skip=skip, hours=None if may_end_early else len(times))
        known = [
            text
            for text, value in zip(hourly["time"], hourly["temperature_2m"], strict=True)
            if value is not None
        ]
        newest.append(max(known, default=None))
    if newest and all(newest):
        oldest = min(text for text in newest if text)
        result.newest = datetime.strptime(oldest, HOUR_FORM).replace(tzinfo=UTC)
    return result


def _place_problems(answer: Any, site: Site, first: datetime, hours: int) -> list[str]:
    if not isinstance(answer, dict):
        return ["a place is not an object"]
    hourly, units = answer.get("hourly"), answer.get("hourly_units")
    if not isinstance(hourly, dict) or not isinstance(units, dict):
        return ["a place has no hourly and hourly_units"]
    problems = []
    if answer.get("utc_offset_seconds") != 0:
        problems.append(f"times are {answer.get('utc_offset_seconds')!r} s from GMT, not 0")
    if _degrees(answer, site) > GRID_DEGREES:
        where = f"{answer.get('latitude')}, {answer.get('longitude')}"
        problems.append(f"the place of {site.name} is at {where}")
    problems += _unit_problems(hourly, units)
    return problems + _hour_problems(hourly, first, hours)


def _in_order(answers: list[Any], sites: Sequence[Site]) -> list[Any]:
    """The answers in the order of the sites, each the nearest that is left."""
    left, ordered = list(answers), []
    for site in sites:
        place = min(range(len(left)), key=lambda number, site=site: _degrees(left[number], site))  # type: ignore[misc]
        ordered.append(left.pop(place))
    return ordered


def _degrees(answer: Any, site: Site) -> float:
    try:
        return math.hypot(answer["latitude"] - site.latitude, answer["longitude"] - site.longitude)
    except (KeyError, TypeError):
        return math.inf


def _are_hourly(times: list[Any]) -> bool:
    try:
        parsed = [datetime.strptime(text, HOUR_FORM).replace(tzinfo=UTC) for text in times]
    except (TypeError, ValueError):
        return False
    return all(later - earlier == timedelta(hours=1) for earlier, later in pairwise(parsed))


def _unit_problems(hourly: dict[str, Any], units: dict[str, Any]) -> list[str]:
    problems = []
    missing = [name for name in WEATHER_VARIABLES if name not in hourly]
    if missing:
        problems.append(f"the variables {', '.join(missing)} are missing")
    for name, unit in {"time": "iso8601", **WEATHER_UNITS}.items():
        given = units.get(name)
        if name in hourly and given == "undefined":
            problems.append(f"{name} has no values (unit 'undefined'): the model does not have it here")
        elif name in hourly and given != unit:
            problems.append(f"{name} is in {given!r}, not {unit!r}")
    return problems


def _hour_problems(hourly: dict[str, Any], first: datetime, hours: int) -> list[str]:
    times = hourly.get("time")
    if not isinstance(times, list):
        return ["hourly.time is not a list"]
    if not _are_hourly(times):
        return ["hourly.time is not a list of consecutive hours like 2025-03-12T00:00"]
    expected = [f"{first + timedelta(hours=number):{HOUR_FORM}}" for number in range(hours)]
    absent = set(expected).difference(times)
    if absent:
        span = f"{times[0]} to {times[-1]}" if times else "none"
        return [f"it lacks {len(absent)} of the {hours} hours from {expected[0]} to {expected[-1]} ({span})"]
    problems = []
    for name in WEATHER_VARIABLES:
        values = hourly.get(name, [])
        if name in hourly and (not isinstance(values, list) or len(values) != len(times)):
            problems.append(f"{name} has not one value for each hour")
        elif any(isinstance(value, bool) or not isinstance(value, int | float | None) for value in values):
            problems.append(f"{name} has values that are not numbers")
    return problems


def _holes(hourly: dict[str, Any], site: Site, *, skip: int, hours: int | None) -> list[str]:
    """What is null: variables without a value, values that end early (unless `hours` is None), gaps."""
    with_values = {
        name: [place for place, value in enumerate(hourly[name]) if value is not None and place >= skip]
        for name in WEATHER_VARIABLES
    }
    lines = []
    empty = [name for name, places in with_values.items() if not places]
    if empty:
        lines.append(f"{site.name}: {', '.join(empty)} without any value")
    short = {name: places[-1] + 1 for name, places in with_values.items() if places}
    if hours is not None and any(count < hours for count in short.values()):
        early = [name for name, count in short.items() if count < hours]
        named = "every variable" if len(early) == len(short) else ", ".join(early)
        lines.append(f"{site.name}: {named} without values after {min(short.values())} of {hours} hours")
    gaps = [name for name, places in with_values.items() if places and len(places) < places[-1] - skip + 1]
    if gaps:
        lines.append(f"{site.name}: {', '.join(gaps)} with nulls between values")
    return lines
