"""The shape of an answer (names, types, units, forms of times), to compare two answers by it. Pure."""

from __future__ import annotations

import csv
import io
import re
from typing import Any

ABSENT = "absent"
# Words with a meaning for a reader: these are compared as they are.
_LITERAL = re.compile(
    r"(hourly_units\.\w+|value-units|frequency|dateFormat|timezone|timezone_abbreviation|utc_offset_seconds)$"
)
# What repeats the request in another form, which no client reads.
_ECHO = re.compile(r"^(request(\.|$)|response\.description)")

Shape = dict[str, frozenset[str]]


def shape_of(value: Any) -> Shape:
    """Each path of a JSON body with the types that occur there, `absent` among them; `[]` is any element.

    >>> shape_of({"a": [{"b": 1}, {"b": None, "c": "2024-01-01T00"}]})["a[].c"] == {"absent", "text 9-9-9T9"}
    True
    """
    return {path: types for path, types in _walk(value, "").items() if not _ECHO.match(path)}


def shape_of_table(text: str) -> Shape:
    """Each column of a CSV with the forms of its cells."""
    rows = list(csv.reader(io.StringIO(text)))
    names, cells = rows[0], [row for row in rows[1:] if len(row) == len(rows[0])]
    return {name.strip(): frozenset(_cell(row[place]) for row in cells) for place, name in enumerate(names)}


def differences(recorded: Shape, other: Shape) -> dict[str, str]:
    """Paths that only one of two answers has, or whose types differ; each with the reason.

    A null where the other answer has values too is no difference: values come and go. A path whose values are
    all null in one of them alone is one.
    """
    found = {}
    for path in sorted(recorded.keys() | other.keys()):
        mine, others = recorded.get(path), other.get(path)
        if mine is None or others is None:
            found[path] = "only in the recorded answer" if others is None else "not in the recorded answer"
        elif _values(mine) != _values(others):
            found[path] = f"recorded: {_told(mine)}; here: {_told(others)}"
    return found


def _values(types: frozenset[str]) -> frozenset[str]:
    return types - {"null", ""} or types


def _told(types: frozenset[str]) -> str:
    return ", ".join(sorted(types))


def _walk(value: Any, path: str) -> Shape:
    if isinstance(value, dict):
        return _merged([_walk(inner, f"{path}.{name}" if path else name) for name, inner in value.items()])
    if isinstance(value, list):
        elements = [_walk(inner, f"{path}[]") for inner in value]
        found = _merged(elements)
        every = [set(each) for each in elements]
        return {
            name: types if all(name in each for each in every) else types | {ABSENT}
            for name, types in found.items()
        }
    return {path: frozenset([_type(value, path)])}


def _merged(shapes: list[Shape]) -> Shape:
    found: Shape = {}
    for shape in shapes:
        for path, types in shape.items():
            found[path] = found.get(path, frozenset()) | types
    return found


def _type(value: Any, path: str) -> str:
    if _LITERAL.search(path):
        return f"{value!r}"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "truth value"
    if isinstance(value, int | float):
        return "number"
    return f"text {_form(str(value))}".rstrip()


def _form(text: str) -> str:
    """The form of a number or time in a text: `9`, `9-9-9T9`; empty for words."""
    if not re.fullmatch(r"-?\d[\d.:T/-]*", text):
        return ""
    return re.sub(r"\d+", "9", text.removeprefix("-"))


def _cell(text: str) -> str:
    bare = text.strip().replace(",", "")
    if not bare:
        return ""
    if re.fullmatch(r"-?\d+(\.\d+)?", bare):
        return "number"
    return re.sub(r"\d+", "9", bare) if re.match(r"\d", bare) else "text"
