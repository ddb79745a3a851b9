"""Reads `.env` and finds what would be dropped without a word: other encodings, lines that are no setting."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from dotenv import dotenv_values
from dotenv.parser import parse_stream

from energy_demand.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

ENCODING = "utf-8-sig"  # UTF-8, with or without a byte-order mark
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


class EnvFileError(UserError, ValueError):
    """A `.env` that cannot be read as a whole; the message names the line, never its content."""


def read_env_file(file: Path) -> dict[str, str | None]:
    """Name → value of every line; empty where there is no file.

    Raises:
        EnvFileError: the file is not UTF-8, or a line is neither `NAME=value` nor a comment.
        OSError: it cannot be read.
    """
    if not file.is_file():
        return {}
    content = file.read_bytes()
    if content.startswith(_UTF_16) or b"\0" in content:
        raise EnvFileError(f"{file}: the file is UTF-16, not UTF-8; save it as UTF-8")
    try:
        text = content.decode(ENCODING)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        # From None: the error holds the file.
        raise EnvFileError(f"{file}, line {line}: not UTF-8; save the file as UTF-8") from None
    for binding in parse_stream(io.StringIO(text)):
        if binding.error or (binding.key is not None and binding.value is None):
            statement = binding.original.string
            line = binding.original.line + len(statement) - len(statement.lstrip("\n"))
            raise EnvFileError(f"{file}, line {line}: not a setting; write NAME=value, or # before a comment")
    return dotenv_values(stream=io.StringIO(text))
