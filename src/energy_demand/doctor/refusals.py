"""Why an answer of an upstream has no data: a key, a limit, a missing run, a page of a proxy. Pure."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Refused(StrEnum):
    """Why an answer has no data."""

    KEY = "key"
    LIMIT = "limit"
    MISSING_RUN = "missing run"
    BUSY = "busy"
    NOT_FOUND = "not found"
    MOVED = "moved"
    PAGE = "page"
    BROKEN = "broken"
    REQUEST = "request"


@dataclass(frozen=True)
class Refusal:
    """Why an answer has no data, and the upstream's own words."""

    kind: Refused
    text: str


def parsed(body: bytes) -> Any:
    """The JSON in a body, or None."""
    try:
        return json.loads(body)
    except (json.JSONDecodeError, UnicodeDecodeError):
        return None


def refusal(status: int, body: bytes, *, table: bool = False) -> Refusal | None:
    """Why this answer has no data; None where it may have.

    Args:
        status: the HTTP status.
        body: the body, as served.
        table: whether a text table is expected, not JSON.
    """
    content = None if table else parsed(body)
    excerpt = " ".join(body[:300].decode("utf-8", "replace").replace("\0", " ").split()) or "empty body"
    text = _reason(content) or excerpt
    # A run that fails midway writes its reason behind half of a JSON body.
    tail = body[-400:].decode("utf-8", "replace")
    if "modelRunUnavailable" in tail or "requested model run" in text:
        return Refusal(Refused.MISSING_RUN, _streamed(tail) or text)
    if "Unexpected error while streaming" in tail:
        return Refusal(Refused.BROKEN, _streamed(tail) or text)
    kind = _kind(status, text, body, expected=table or content is not None)
    if kind is None and isinstance(content, dict) and content.get("error"):
        kind = Refused.BUSY
    return None if kind is None else Refusal(kind, f"HTTP {status}: {text}" if status != 200 else text)


def _kind(status: int, text: str, body: bytes, *, expected: bool) -> Refused | None:
    page = body.lstrip()[:15].lower().startswith((b"<html", b"<!doctype"))
    rules = (
        (re.search(r"API_KEY_|api[_ ]key", text, re.IGNORECASE) and status != 200, Refused.KEY),
        (re.search(r"limit exceeded|rate limit|too many", text, re.IGNORECASE), Refused.LIMIT),
        (status == 429, Refused.LIMIT),
        (status in (401, 403), Refused.KEY),
        (300 <= status < 400, Refused.MOVED),
        (status == 404 or "Not found" in text[:40], Refused.NOT_FOUND),
        (status >= 500, Refused.BUSY),
        (400 <= status < 500, Refused.REQUEST),
        (page, Refused.PAGE),
        (not expected, Refused.BROKEN),
    )
    return next((kind for holds, kind in rules if holds), None)


def _reason(content: Any) -> str | None:
    if not isinstance(content, dict) or "error" not in content:
        return None
    error = content["error"]
    if isinstance(error, dict):
        return f"{error.get('code', '')} {error.get('message', '')}".strip()
    return str(content.get("reason", error))


def _streamed(tail: str) -> str | None:
    found = re.search(r"Unexpected error while streaming data: .*", tail)
    return found[0] if found else None
