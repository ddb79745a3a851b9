"""What an upstream or a library said, as PostgreSQL and JSON take it."""

from __future__ import annotations

import itertools
import math
from typing import Any

# Of a row that broke the contract, enough is kept to see why.
LONGEST_TEXT, LONGEST_LIST, DEEPEST = 1000, 50, 4
LARGEST_INTEGER = 2**63


def storable(value: Any) -> Any:
    """A value as JSON and text that PostgreSQL takes, whatever an upstream served.

    Neither takes a NUL or half a surrogate pair, JSON no number that is not finite; what is endlessly long or
    deep is cut.
    """
    return _storable(value, DEEPEST)


def _storable(value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, int):
        return (
            value
            if abs(value) < LARGEST_INTEGER
            else str(float(value))
            if abs(value) < 10**300
            else "too large"
        )
    if isinstance(value, dict) and depth:
        kept = itertools.islice(value.items(), LONGEST_LIST)
        return {_storable(str(name), 0): _storable(part, depth - 1) for name, part in kept}
    if isinstance(value, list | tuple) and depth:
        return [_storable(part, depth - 1) for part in value[:LONGEST_LIST]]
    text = str(value) if isinstance(value, str) else f"{value!r:.{LONGEST_TEXT}}"
    text = text.replace("\x00", "\N{REPLACEMENT CHARACTER}")[:LONGEST_TEXT]
    return text.encode("utf-8", "replace").decode()
